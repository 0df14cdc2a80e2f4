//! `tachi monitor`: the monitors that sign that they are at work.

use serde_json::json;
use tachi_domain::Timestamp;
use tachi_domain::monitor::MonitorKind;
use tachi_engine::ports::Monitors as _;
use tachi_operator::MonitorView;

use super::{Failure, command_settings};
use crate::cli::{Format, MonitorCommand, MonitorForgetArgs, MonitorListArgs};
use crate::{out, source, wiring};

/// Carries out one of them.
pub(crate) async fn run(command: MonitorCommand) -> Result<u8, Failure> {
    match command {
        MonitorCommand::List(args) => list(args).await,
        MonitorCommand::Forget(args) => forget(args).await,
    }
}

async fn list(args: MonitorListArgs) -> Result<u8, Failure> {
    let source = source::open(&args.source).await?;
    let monitors = source.situation().await?.monitors;
    match args.format {
        Format::Table if monitors.is_empty() => out::line(
            "no monitor has ever signed: those of Masakari do not, and ours need an API of this version and a host that is in a \
             segment",
        ),
        Format::Table => out::line(table(&monitors, source.now())),
        Format::Json => out::line(json!(monitors).to_string()),
    }
    Ok(crate::DONE)
}

fn table(monitors: &[MonitorView], now: Timestamp) -> String {
    let header = [
        "host", "monitor", "state", "signed", "version", "watches", "trouble",
    ];
    let rows = monitors.iter().map(|one| {
        let ago = now.micros_since(one.signed_at.0) / 1_000_000;
        let watches = if one.kind == MonitorKind::Host {
            format!("{} hosts", one.watches)
        } else {
            String::new()
        };
        [
            one.host.clone(),
            one.kind.to_string(),
            one.grade.to_string(),
            format!("{ago} s ago"),
            one.version.clone(),
            watches,
            one.trouble.clone(),
        ]
    });
    out::table(header, rows)
}

async fn forget(args: MonitorForgetArgs) -> Result<u8, Failure> {
    let base = wiring::existing(&command_settings(&args.config)?).await?;
    let (host, kind) = (&args.host, MonitorKind::from(args.kind));
    let forgotten = base.store.monitors().forget_monitor(host, kind).await;
    let forgotten = forgotten.map_err(|error| Failure::new("forgetting a monitor", error))?;
    if !forgotten {
        return Err(Failure::told(format!(
            "no {kind} monitor of {} has ever signed: see tachi monitor list",
            out::plain(host)
        )));
    }
    out::line(format!(
        "the {kind} monitor of {} is forgotten; if it still runs it is known again within ten seconds",
        out::plain(host)
    ));
    Ok(crate::DONE)
}
