//! `tachi host giveback`: what recoveries and drains have moved away from a host goes back to it, if it is still where they put it.

use std::time::Duration;

use tachi_domain::recovery::RecoveryKind;
use tachi_domain::{Timestamp, count};
use tachi_operator::planning::MOST;
use tachi_operator::when::ago;
use tachi_operator::{AwayView, GivebackView, one_line};

use super::super::Failure;
use super::super::fence::confirmed;
use super::planned::{begun, wish};
use crate::cli::HostGivebackArgs;
use crate::{out, source};

/// Gives back to a host, or says what would be given back.
pub(super) async fn run(args: HostGivebackArgs) -> Result<u8, Failure> {
    let wish = wish(
        RecoveryKind::Giveback,
        &args.planned,
        String::new(),
        Duration::ZERO,
    )?;
    let source = source::open(&args.source).await?;
    let outlook = source.giveback_outlook(&args.host, wish.with_locked).await?;
    let host = &outlook.host;
    if outlook.against.is_none() || args.dry_run {
        let back = told(&outlook, source.now());
        if args.dry_run {
            if let Some(why) = outlook.against {
                out::told(format!("nothing would be begun now: {why}"));
            }
            return Ok(crate::DONE);
        }
        if back == 0 {
            return Ok(crate::DONE);
        }
        if back > MOST {
            out::told(format!(
                "the first {MOST} of them go back now: give the same command again for the rest"
            ));
        }
        confirmed(
            (host, args.planned.yes),
            "give back to",
            "they are live-migrated there.",
        )?;
    }
    // What speaks against it is refused there, unless this person has said the same already.
    let planned = source.plan(host, &wish).await?;
    begun(source.as_ref(), &planned, args.planned.no_follow).await
}

/// Says what goes back and what stays; gives how many go back.
fn told(outlook: &GivebackView, now: Timestamp) -> usize {
    let host = &outlook.host;
    if let Some(seen) = outlook.seen_at {
        out::note(format!(
            "tachi: as an engine saw Nova {}; what was moved later is not in it",
            ago(seen.0, now)
        ));
    }
    let (back, stay): (Vec<&AwayView>, Vec<&AwayView>) =
        outlook.instances.iter().partition(|one| one.stays.is_none());
    let total = outlook.instances.len();
    if total == 0 {
        out::line(format!("nothing that was moved away from {host} is elsewhere"));
        return 0;
    }
    out::line(format!(
        "{} of {} moved away from {host} can go back",
        back.len(),
        count(total, "instance", "instances")
    ));
    for one in &back {
        out::line(format!(
            "  {} is still on {}, where recovery {} put it",
            one_line(&one.name),
            one_line(&one.on),
            one.recovery
        ));
    }
    for one in stay {
        let why = one.stays.as_deref().unwrap_or_default();
        out::line(format!("  {} {}: stays", one_line(&one.name), one_line(why)));
    }
    back.len()
}
