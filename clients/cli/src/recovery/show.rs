//! `tachi recovery show`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tachi_domain::RecoveryId;
use tachi_domain::recovery::Life;
use tachi_operator::{Failure, RecoveryHistoryView, progress_of};

use super::{history, named, unknown};
use crate::arguments::{RecoveryShowArgs, ShapeArgs};
use crate::out::{self, View, answer};
use crate::source::{self, Controller, Source};

/// Interval between two polls of `--follow`.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Limit of failed polls in a row, for `--follow`.
const MAX_ATTEMPTS: u32 = 300;

/// Shows one recovery.
pub(super) async fn run(args: RecoveryShowArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    show(source.as_ref(), &args.recovery, args.follow, &args.shape).await
}

/// Shows one recovery from an open source.
pub(crate) async fn show(
    source: &dyn Source,
    requested: &str,
    is_followed: bool,
    shape: &ShapeArgs,
) -> Result<u8, Failure> {
    let id = named(source, requested).await?;
    let shown = source.recovery(id).await?.ok_or_else(|| unknown(id))?;
    let now = source.now();
    if is_followed {
        return follow(source, id, shown, &View::of(shape, now)).await;
    }
    let mut strange = None;
    if shape.is_text() {
        let region = source.situation().await?;
        let hosts = region.segments.iter().flat_map(|segment| &segment.hosts);
        let registered: BTreeSet<&str> = hosts.map(|host| host.name.as_str()).collect();
        strange = history::unprotected(&shown.instances, &registered);
    }
    let instances = history::instances(&shown);
    // Lines are laid out one by one; a table is laid out as a whole.
    answer::object(
        shape,
        now,
        || json!(shown),
        |view| {
            let mut lines = history::heading(&shown, view);
            lines.push(String::new());
            lines.extend(history::lines(&shown, view));
            lines
        },
    )?;
    if shape.is_text() {
        let view = View::of(shape, now);
        if let Some(sheet) = instances {
            out::line("");
            out::line(sheet.table(&[], &view).map_err(Failure::usage)?);
        }
        if let Some(line) = strange {
            out::line("");
            view.lines(&[line]).iter().for_each(out::line);
        }
    }
    Ok(crate::DONE)
}

/// Prints what changes in the recovery until it ends.
async fn follow(
    source: &dyn Source,
    id: RecoveryId,
    first: RecoveryHistoryView,
    view: &View,
) -> Result<u8, Failure> {
    let print_lines = |lines: &[String]| view.lines(lines).iter().for_each(out::line);
    print_lines(&history::heading(&first, view));
    out::line("");
    let mut printed = 0;
    let mut last = String::new();
    let mut now = first;
    let mut failures = 0;
    loop {
        let lines = history::lines(&now, view);
        print_lines(lines.get(printed..).unwrap_or_default());
        printed = lines.len();
        let waits = format!(
            "{}waits for {}",
            progress_of(now.summary.kind, now.summary.moves)
                .map_or(String::new(), |text| format!("{text}; ")),
            now.waits_for
        );
        if now.summary.life != Life::Open {
            let message = now.summary.message.as_deref().unwrap_or("no message");
            print_lines(&[format!("{}: {message}", now.summary.status)]);
            let failed = now.summary.status == "failed";
            return Ok(if failed { crate::FAILED } else { crate::DONE });
        }
        if waits != last {
            print_lines(&[format!("... {waits}")]);
            last = waits;
        }
        now = loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            match source.recovery(id).await {
                Ok(Some(history)) => break history,
                Ok(None) => return Err(unknown(id)),
                Err(error) if failures < MAX_ATTEMPTS => {
                    failures += 1;
                    if failures == 1 {
                        out::note(format!("tachi: {}; trying again", error.chain()));
                    }
                }
                Err(error) => return Err(error),
            }
        };
        failures = 0;
    }
}
