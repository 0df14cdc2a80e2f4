//! `tachi events`: events of the region in chronological order, from the records of recoveries and freezes.

use serde_json::json;
use tachi_domain::recovery::Life;
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_operator::when::since;
use tachi_operator::{Failure, FreezeView, RecoveryHistoryView, Time, one_line};

use crate::arguments::EventsArgs;
use crate::out::{self, Cell, Column, TextTable, answer};
use crate::source::{self, Controller};

/// Limit of the recoveries whose histories are read.
const RECOVERIES: u64 = 100;

/// An event of the region.
struct Event {
    at: Time,
    host: String,
    recovery: Option<String>,
    text: String,
}

/// Lists the events.
pub async fn run(args: EventsArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let from = since(&args.since, source.now()).map_err(Failure::usage)?;
    let filter = RecoveryFilter {
        closed: true,
        host: args.host.clone(),
        since: Some(from),
        limit: Some(RECOVERIES),
        ..RecoveryFilter::default()
    };
    let mut rows = source.recoveries(&filter).await?;
    if rows.len() as u64 == RECOVERIES {
        out::note(format!(
            "tachi: the newest {RECOVERIES} recoveries are shown; `tachi recovery list --all` lists all"
        ));
    }
    // A recovery that was opened before may have newer events.
    let unsettled = RecoveryFilter {
        host: args.host.clone(),
        ..RecoveryFilter::default()
    };
    for row in source.recoveries(&unsettled).await? {
        if rows.iter().all(|one| one.recovery != row.recovery) {
            rows.push(row);
        }
    }
    let mut events = Vec::new();
    for row in rows {
        if let Some(history) = source.recovery(row.recovery).await? {
            events.extend(of_recovery(&history));
        }
    }
    let freezes = source.freezes().await?;
    let of_host = |freeze: &&FreezeView| args.host.is_none() || freeze.name == args.host;
    events.extend(freezes.iter().filter(of_host).map(of_freeze));
    events.retain(|event| event.at.0 >= from);
    events.sort_by_key(|event| event.at.0);
    let none = args.host.as_ref().map_or_else(
        || "nothing happened since then".to_owned(),
        |host| format!("no event of {} since then", one_line(host)),
    );
    answer::list(&args.shape, source.now(), &sheet(&events), &none)?;
    Ok(crate::DONE)
}

/// Returns the opening, the steps that are about the whole host, and an operator's last action.
fn of_recovery(history: &RecoveryHistoryView) -> Vec<Event> {
    let summary = &history.summary;
    let event = |at: Time, text: String| Event {
        at,
        host: summary.host.clone(),
        recovery: Some(summary.recovery.to_string()),
        text,
    };
    let by: Vec<String> = history
        .reporters
        .iter()
        .map(|reporter| one_line(&reporter.to_string()))
        .collect();
    let by = if by.is_empty() {
        String::new()
    } else {
        format!(", reported by {}", by.join(", "))
    };
    let mut events = vec![event(
        summary.opened_at,
        format!("recovery ({}) opened{by}", summary.kind),
    )];
    // The outcome of an intent repeats it.
    let steps = history
        .steps
        .iter()
        .filter(|step| step.instance.is_none() && step.kind != "intent");
    events.extend(steps.map(|step| event(step.at, one_line(&step.text))));
    if let Some(word) = &history.word {
        let text = format!("{} by {}", word.label(), one_line(&word.by));
        events.push(event(word.at, text));
    }
    if summary.life == Life::Closed
        && let (Some(last), Some(message)) = (events.iter().map(|event| event.at.0).max(), &summary.message)
        && events.iter().all(|event| event.text != one_line(message))
    {
        events.push(event(
            Time(last),
            format!("{}: {}", summary.status, one_line(message)),
        ));
    }
    events
}

fn of_freeze(freeze: &FreezeView) -> Event {
    Event {
        at: freeze.since,
        host: freeze.name.clone().unwrap_or_default(),
        recovery: None,
        text: format!(
            "{} frozen by {}: {}",
            freeze.scope,
            one_line(&freeze.by),
            one_line(&freeze.reason)
        ),
    }
}

fn sheet(events: &[Event]) -> TextTable<4> {
    let columns = [
        Column::new("at"),
        Column::new("host"),
        Column::new("event"),
        Column::new("recovery"),
    ];
    TextTable::new(columns, events, |one| {
        let cells = [
            Cell::Time(one.at.0),
            Cell::text(&one.host),
            Cell::prose(&one.text),
            Cell::id(&one.recovery.as_deref().unwrap_or_default()),
        ];
        let object = json!({"at": one.at, "host": one.host, "event": one.text, "recovery": one.recovery});
        (cells, object)
    })
}
