//! `tachi monitor`: the monitors that sign that they are at work.

use serde_json::json;
use tachi_domain::count;
use tachi_domain::monitor::MonitorKind;
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::{AuditEntry, Monitors as _};
use tachi_operator::MonitorView;

use super::freeze::{after, before};
use super::who::who;
use super::{Failure, command_settings};
use crate::cli::{MonitorCommand, MonitorForgetArgs, MonitorListArgs};
use crate::out::{self, Cell, Column, Sheet, answer};
use crate::{source, wiring};

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
    let none = "no monitor has ever signed: those of Masakari do not, and ours need an API of this version and a host that is in a \
                segment";
    answer::list(&args.shape, source.now(), &sheet(monitors), none)?;
    Ok(crate::DONE)
}

fn sheet(monitors: Vec<MonitorView>) -> Sheet<7> {
    let columns = [
        Column::new("host"),
        Column::of("monitor", "kind"),
        Column::of("state", "grade"),
        Column::of("signed", "signed_at"),
        Column::new("version"),
        Column::new("watches"),
        Column::new("trouble"),
    ];
    Sheet::new(columns, monitors, |one| {
        let watches = if one.kind == MonitorKind::Host {
            count(one.watches, "host", "hosts")
        } else {
            String::new()
        };
        let cells = [
            Cell::text(&one.host),
            Cell::text(one.kind.to_string()),
            Cell::text(one.grade.to_string()),
            Cell::Time(one.signed_at.0),
            Cell::text(&one.version),
            Cell::text(watches),
            Cell::prose(&one.trouble),
        ];
        (cells, json!(one))
    })
}

async fn forget(args: MonitorForgetArgs) -> Result<u8, Failure> {
    let by = who(None)?;
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let (host, kind) = (&args.host, MonitorKind::from(args.kind));
    let audit = wiring::audit(&settings, &base.clock, "tachi monitor forget")?;
    let entry = |phase, text: String| {
        let mut entry = AuditEntry::new(AuditAction::Word, phase, host);
        entry.operator = Some(by.clone());
        entry.text = text;
        entry
    };
    let intent = entry(AuditPhase::Intent, format!("forgets the {kind} monitor"));
    before(&audit, intent, "nothing was forgotten").await?;
    let forgotten = base.store.monitors().forget_monitor(host, kind).await;
    let (result, text) = match &forgotten {
        Ok(true) => (AuditResult::Ok, format!("the {kind} monitor is forgotten")),
        Ok(false) => (
            AuditResult::Permanent,
            format!("no {kind} monitor has ever signed"),
        ),
        Err(error) => (AuditResult::Transient, format!("{error}: {}", error.source)),
    };
    let mut outcome = entry(AuditPhase::Outcome, text);
    outcome.result = Some(result);
    after(&audit, outcome).await;
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
