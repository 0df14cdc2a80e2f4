//! `tachi recovery show`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tachi_domain::RecoveryId;
use tachi_domain::recovery::Life;
use tachi_engine::ports::OperatorDesk as _;
use tachi_engine::ports::operator::Story;
use tachi_operator::{StoryView, progress, waits_for};

use super::super::{Failure, command_settings};
use super::{named, story, unknown};
use crate::cli::{RecoveryShowArgs, ShowFormat};
use crate::wiring::Base;
use crate::{out, wiring};

/// Between two looks of `--follow`.
const LOOK: Duration = Duration::from_secs(1);

/// How long `--follow` puts up with a database that does not answer.
const PATIENCE: u32 = 300;

/// Tells one recovery.
pub(super) async fn run(args: RecoveryShowArgs) -> Result<u8, Failure> {
    let base = wiring::existing(&command_settings(&args.config)?).await?;
    show(&base, args).await
}

/// The same, of a database that is open.
pub(in crate::cmd) async fn show(base: &Base, args: RecoveryShowArgs) -> Result<u8, Failure> {
    let id = named(base.store.as_ref(), &args.recovery).await?;
    let told = read(base, id).await?.ok_or_else(|| unknown(id))?;
    if args.format == ShowFormat::Json {
        out::line(json!(StoryView::from(&told)).to_string());
        return Ok(crate::DONE);
    }
    if args.follow {
        return follow(base, id, told).await;
    }
    story::heading(&told).iter().for_each(out::line);
    out::line("");
    story::lines(&told).iter().for_each(out::line);
    if let Some(table) = story::instances(&told) {
        out::line("");
        out::line(table);
    }
    let region = base.store.region().await;
    let region = region.map_err(|error| Failure::new("reading segments and hosts", error))?;
    let hosts = region.iter().flat_map(|view| &view.hosts);
    let registered: BTreeSet<&str> = hosts.map(|view| view.host.name.as_str()).collect();
    if let Some(line) = story::unprotected(&told.vmoves, &registered) {
        out::line("");
        out::line(line);
    }
    Ok(crate::DONE)
}

async fn read(base: &Base, id: RecoveryId) -> Result<Option<Story>, Failure> {
    let story = base.store.story(id).await;
    story.map_err(|error| Failure::new("reading the recovery", error))
}

/// Tells what is new until the recovery has ended.
async fn follow(base: &Base, id: RecoveryId, first: Story) -> Result<u8, Failure> {
    story::heading(&first).iter().for_each(out::line);
    out::line("");
    let mut told = 0;
    let mut last = String::new();
    let mut now = first;
    let mut failures = 0;
    loop {
        let lines = story::lines(&now);
        lines.iter().skip(told).for_each(out::line);
        told = lines.len();
        let waits = format!(
            "{}waits for {}",
            progress(now.summary.moves).map_or(String::new(), |text| format!("{text}; ")),
            waits_for(&now)
        );
        if now.summary.life != Life::Open {
            let message = now.summary.message.as_deref().unwrap_or("no message");
            out::line(format!("{}: {message}", now.summary.status));
            let failed = now.summary.status == "failed";
            return Ok(if failed { crate::FAILED } else { crate::DONE });
        }
        if waits != last {
            out::line(format!("... {waits}"));
            last = waits;
        }
        now = loop {
            tokio::time::sleep(LOOK).await;
            match read(base, id).await {
                Ok(Some(story)) => break story,
                Ok(None) => return Err(unknown(id)),
                Err(error) if failures < PATIENCE => {
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
