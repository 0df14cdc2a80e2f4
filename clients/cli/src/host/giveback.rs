//! `tachi host giveback`: moves back to a host what recoveries and drains have moved away, if it is still where they put it.

use std::time::Duration;

use serde_json::{Value, json};
use tachi_domain::count;
use tachi_domain::recovery::RecoveryKind;
use tachi_operator::plans::MAX_RETURNED;
use tachi_operator::when::ago;
use tachi_operator::{AwayView, Failure, GivebackView, RecoveryView, members, one_line};

use super::super::consent::confirmed;
use super::planned::{begun, wish};
use crate::arguments::{HostGivebackArgs, ShapeArgs};
use crate::out;
use crate::out::answer::{self, ProgressReporter};
use crate::source::{self, Controller};

/// Moves instances back to a host, or with `--dry-run` shows which would be moved.
pub async fn run(args: HostGivebackArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let wish = wish(
        RecoveryKind::Giveback,
        &args.planned,
        String::new(),
        Duration::ZERO,
    )?;
    let shape = &args.planned.shape;
    if args.dry_run {
        answer::accepts(shape, members::<GivebackView>())?;
    } else {
        answer::accepts(shape, members::<RecoveryView>())?;
    }
    let source = source::open(&args.source, controller).await?;
    let preview = source.giveback_outlook(&args.host, wish.with_locked).await?;
    let host = &preview.host;
    if preview.against.is_none() || args.dry_run {
        let now = source.now();
        if let Some(read_at) = preview.seen_at {
            out::note(format!(
                "tachi: from the data that an engine read from Nova {}; later moves are missing",
                ago(read_at.0, now)
            ));
        }
        if args.dry_run {
            answer::object(
                shape,
                now,
                || json!(preview),
                |_| {
                    let blockers = preview.against.iter();
                    let blockers = blockers.map(|why| format!("nothing would be started now: {why}"));
                    lines(&preview).into_iter().chain(blockers).collect()
                },
            )?;
            return Ok(crate::DONE);
        }
        let meanwhile = ProgressReporter::of(shape, now);
        for one in lines(&preview) {
            meanwhile.report(one);
        }
        let back = preview
            .instances
            .iter()
            .filter(|instance| instance.stays.is_none())
            .count();
        if back == 0 {
            // There is no recovery, so there are no fields of one either.
            let whole = ShapeArgs {
                columns: Vec::new(),
                ..shape.clone()
            };
            if !shape.is_text() {
                answer::object(&whole, now, || Value::Null, |_| Vec::new())?;
            }
            return Ok(crate::DONE);
        }
        if back > MAX_RETURNED {
            meanwhile.report(format!(
                "the first {MAX_RETURNED} of them move back now: run the same command again for the rest"
            ));
        }
        confirmed(
            (host, args.planned.yes),
            "give back to",
            "they are live-migrated there.",
        )?;
    }
    // The source refuses what is blocked, unless the same operator has just requested the same.
    let planned = source.plan(host, &wish).await?;
    begun(source.as_ref(), &planned, &args.planned).await
}

/// Lists the instances that move back and those that stay.
fn lines(preview: &GivebackView) -> Vec<String> {
    let host = &preview.host;
    let (back, stay): (Vec<&AwayView>, Vec<&AwayView>) = preview
        .instances
        .iter()
        .partition(|instance| instance.stays.is_none());
    let total = preview.instances.len();
    if total == 0 {
        return vec![format!(
            "no instance that was moved away from {host} is elsewhere"
        )];
    }
    let first = format!(
        "{} of {} moved away from {host} can go back",
        back.len(),
        count(total, "instance", "instances")
    );
    let back = back.into_iter().map(|one| {
        let (name, on) = (one_line(&one.name), one_line(&one.on));
        format!(
            "  {name} is still on {on}, where recovery {} put it",
            one.recovery
        )
    });
    let stay = stay.into_iter().map(|one| {
        let why = one.stays.as_deref().unwrap_or_default();
        format!("  {} {}: stays", one_line(&one.name), one_line(why))
    });
    std::iter::once(first).chain(back).chain(stay).collect()
}
