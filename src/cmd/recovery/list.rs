//! `tachi recovery list`.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;
use tachi_domain::WaitsFor;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::Life;
use tachi_engine::ports::OperatorDesk as _;
use tachi_engine::ports::operator::{RecoveryFilter, RecoveryState, RecoverySummary};
use tachi_operator::{RecoveryView, progress};

use super::super::when::{since, time};
use super::super::{Failure, command_settings, waits};
use crate::cli::{ListFormat, RecoveryListArgs, StateWord};
use crate::{out, wiring};

/// Lists them.
pub(super) async fn run(args: RecoveryListArgs) -> Result<u8, Failure> {
    let base = wiring::existing(&command_settings(&args.config)?).await?;
    let now = base.clock.wall();
    let opened_since = args
        .since
        .as_deref()
        .map(|text| since(text, now))
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
    let rows = base
        .store
        .find_recoveries(&filter)
        .await
        .map_err(|error| Failure::new("listing recoveries", error))?;
    match args.format {
        ListFormat::Table if rows.is_empty() && filter == RecoveryFilter::default() => {
            out::line("no recovery is open");
        }
        ListFormat::Table if rows.is_empty() => out::line("there is no such recovery"),
        ListFormat::Table => out::line(table(&rows)),
        ListFormat::Json => {
            out::line(json!(rows.iter().map(RecoveryView::from).collect::<Vec<_>>()).to_string());
        }
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

fn table(rows: &[RecoverySummary]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "recovery",
        "host",
        "kind",
        "life",
        "status",
        "opened",
        "instances",
        "waits for",
        "message",
    ]);
    for row in rows {
        table.add_row([
            row.id.to_string(),
            row.host.clone(),
            row.kind.to_string(),
            row.life.to_string(),
            row.status.clone(),
            time(row.opened_at),
            progress(row.moves).unwrap_or_default(),
            Some(waits::what(row.wait.as_ref()))
                .filter(|what| *what != WaitsFor::Nothing)
                .map(|what| what.to_string())
                .unwrap_or_default(),
            row.message.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}

/// A line each. What could break a line or a field apart becomes a blank.
fn value(row: &RecoverySummary) -> String {
    let fields = [
        row.id.to_string(),
        row.host.clone(),
        row.kind.to_string(),
        row.life.to_string(),
        row.status.clone(),
        time(row.opened_at),
        row.message.clone().unwrap_or_default(),
    ];
    let plain = fields.map(|field| {
        field
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect::<String>()
    });
    plain.join("\t")
}
