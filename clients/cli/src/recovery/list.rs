//! `tachi recovery list`.

use serde_json::json;
use tachi_domain::WaitsFor;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::Life;
use tachi_engine::ports::operator::{RecoveryFilter, RecoveryState};
use tachi_operator::when::since;
use tachi_operator::{Failure, RecoveryView, progress_of};

use crate::arguments::{RecoveryListArgs, StateArg};
use crate::out::{Cell, Column, TextTable, answer};
use crate::source::{self, Controller};

/// Lists recoveries.
pub(super) async fn run(args: RecoveryListArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let opened_since = args
        .since
        .as_deref()
        .map(|text| since(text, source.now()))
        .transpose()
        .map_err(Failure::usage)?;
    let filter = RecoveryFilter {
        closed: args.all,
        state: args.state.map(state_of),
        id: None,
        host: args.host,
        segment: args.segment,
        instance: None,
        since: opened_since,
        before: None,
        limit: args.limit,
    };
    let rows = source.recoveries(&filter).await?;
    answer::list(&args.shape, source.now(), &sheet(rows), nothing_listed(&filter))?;
    Ok(crate::DONE)
}

/// Returns the text in place of an empty list.
fn nothing_listed(filter: &RecoveryFilter) -> &'static str {
    let everything = RecoveryFilter {
        closed: true,
        ..RecoveryFilter::default()
    };
    if *filter == RecoveryFilter::default() {
        "no recovery is open"
    } else if *filter == everything {
        "no recoveries yet"
    } else {
        "no recovery matches"
    }
}

fn state_of(arg: StateArg) -> RecoveryState {
    use NotificationStatus as Status;
    match arg {
        StateArg::Held => RecoveryState::OnHold,
        StateArg::Open => RecoveryState::Life(Life::Open),
        StateArg::Watching => RecoveryState::Life(Life::Watching),
        StateArg::Closed => RecoveryState::Life(Life::Closed),
        StateArg::New => RecoveryState::Status(Status::New),
        StateArg::Running => RecoveryState::Status(Status::Running),
        StateArg::Finished => RecoveryState::Status(Status::Finished),
        StateArg::Failed => RecoveryState::Status(Status::Failed),
        StateArg::Ignored => RecoveryState::Status(Status::Ignored),
        StateArg::Dismissed => RecoveryState::Dismissed,
    }
}

fn sheet(rows: Vec<RecoveryView>) -> TextTable<9> {
    let columns = [
        Column::new("recovery"),
        Column::new("host"),
        Column::new("kind"),
        Column::new("life"),
        Column::new("status"),
        Column::of("opened", "opened_at"),
        Column::new("instances"),
        Column::of("waits for", "waits"),
        Column::new("message"),
    ];
    TextTable::new(columns, rows, |row| {
        let waits = row.waits.as_ref().map(|wait| wait.what);
        let waits = waits.filter(|what| *what != WaitsFor::Nothing);
        let cells = [
            Cell::id(&row.recovery),
            Cell::text(&row.host),
            Cell::text(row.kind.to_string()),
            Cell::text(row.life.to_string()),
            Cell::text(&row.status),
            Cell::Time(row.opened_at.0),
            Cell::prose(progress_of(row.kind, row.moves).unwrap_or_default()),
            Cell::prose(waits.map_or_else(String::new, |what| what.to_string())),
            Cell::prose(row.message.clone().unwrap_or_default()),
        ];
        (cells, json!(row))
    })
}

#[cfg(test)]
mod tests;
