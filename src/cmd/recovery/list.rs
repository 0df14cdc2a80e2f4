//! `tachi recovery list`.

use serde_json::json;
use tachi_domain::WaitsFor;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::Life;
use tachi_engine::ports::operator::{RecoveryFilter, RecoveryState};
use tachi_operator::{RecoveryView, progress};

use super::super::Failure;
use super::super::when::{since, time};
use crate::cli::{ListFormat, RecoveryListArgs, StateWord};
use crate::{out, source};

/// Lists them.
pub(super) async fn run(args: RecoveryListArgs) -> Result<u8, Failure> {
    let source = source::open(&args.source).await?;
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
        since: opened_since,
        before: None,
        limit: args.limit,
    };
    let rows = source.recoveries(&filter).await?;
    match args.format {
        ListFormat::Table if rows.is_empty() && filter == RecoveryFilter::default() => {
            out::line("no recovery is open");
        }
        ListFormat::Table if rows.is_empty() => out::line("there is no such recovery"),
        ListFormat::Table => out::line(table(&rows)),
        ListFormat::Json => out::line(json!(rows).to_string()),
        ListFormat::Value => rows.iter().for_each(|row| out::line(value(row))),
    }
    Ok(crate::DONE)
}

fn state_of(word: StateWord) -> RecoveryState {
    use NotificationStatus as Status;
    match word {
        StateWord::Held => RecoveryState::Held,
        StateWord::Open => RecoveryState::Life(Life::Open),
        StateWord::Watching => RecoveryState::Life(Life::Watching),
        StateWord::Closed => RecoveryState::Life(Life::Closed),
        StateWord::New => RecoveryState::Status(Status::New),
        StateWord::Running => RecoveryState::Status(Status::Running),
        StateWord::Finished => RecoveryState::Status(Status::Finished),
        StateWord::Failed => RecoveryState::Status(Status::Failed),
        StateWord::Ignored => RecoveryState::Status(Status::Ignored),
    }
}

fn table(rows: &[RecoveryView]) -> String {
    let header = [
        "recovery",
        "host",
        "kind",
        "life",
        "status",
        "opened",
        "instances",
        "waits for",
        "message",
    ];
    let row = |row: &RecoveryView| {
        let waits = row.waits.as_ref().map(|wait| wait.what);
        let waits = waits.filter(|what| *what != WaitsFor::Nothing);
        [
            row.recovery.to_string(),
            row.host.clone(),
            row.kind.to_string(),
            row.life.to_string(),
            row.status.clone(),
            time(row.opened_at.0),
            progress(row.moves).unwrap_or_default(),
            waits.map_or_else(String::new, |what| what.to_string()),
            row.message.clone().unwrap_or_default(),
        ]
    };
    out::table(header, rows.iter().map(row))
}

/// A line each. What could break a line or a field apart is written out.
fn value(row: &RecoveryView) -> String {
    let fields = [
        row.recovery.to_string(),
        row.host.clone(),
        row.kind.to_string(),
        row.life.to_string(),
        row.status.clone(),
        time(row.opened_at.0),
        row.message.clone().unwrap_or_default(),
    ];
    fields.map(|field| out::plain(&field)).join("\t")
}
