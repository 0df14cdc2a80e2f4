//! `tachi monitor`: the monitors that send heartbeats.

use serde_json::json;
use tachi_domain::count;
use tachi_domain::monitor::MonitorKind;
use tachi_operator::{Failure, ForgottenView, MonitorView, members};

use super::reporter;
use crate::arguments::{MonitorCommand, MonitorForgetArgs, MonitorListArgs};
use crate::out::{Cell, Column, TextTable, answer};
use crate::source::{self, Controller};

pub async fn run(command: MonitorCommand, controller: &dyn Controller) -> Result<u8, Failure> {
    match command {
        MonitorCommand::List(args) if args.muted => reporter::list(args, controller).await,
        MonitorCommand::List(args) => list(args, controller).await,
        MonitorCommand::Unmute(args) => reporter::unmute(args, controller).await,
        MonitorCommand::Forget(args) => delete_monitor(args, controller).await,
    }
}

async fn list(args: MonitorListArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let monitors = source.situation().await?.monitors;
    let none = "no monitor has ever sent a heartbeat: those of Masakari do not, and those of Tachi need an API of this version and a host \
        in a segment";
    answer::list(&args.shape, source.now(), &sheet(monitors), none)?;
    Ok(crate::DONE)
}

fn sheet(monitors: Vec<MonitorView>) -> TextTable<7> {
    let columns = [
        Column::new("host"),
        Column::of("monitor", "kind"),
        Column::of("state", "grade"),
        Column::of("signed", "signed_at"),
        Column::new("version"),
        Column::new("watches"),
        Column::new("trouble"),
    ];
    TextTable::new(columns, monitors, |one| {
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

async fn delete_monitor(args: MonitorForgetArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    answer::accepts(&args.shape, members::<ForgottenView>())?;
    let source = source::open(&args.source, controller).await?;
    let removed = source.delete_monitor(&args.host, args.kind.into()).await?;
    answer::object(
        &args.shape,
        source.now(),
        || json!(removed),
        |_| {
            vec![format!(
                "the {} monitor of {} is removed, by {}; if it is still running, it is listed again within ten seconds",
                removed.kind, removed.host, removed.by
            )]
        },
    )?;
    Ok(crate::DONE)
}
