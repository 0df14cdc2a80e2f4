//! `tachi vmove`: the instances of recoveries, and a person's word about one.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;
use tachi_domain::recovery::MoveVerdict;
use tachi_domain::{Timestamp, WaitsFor};
use tachi_engine::ports::OperatorDesk as _;
use tachi_engine::ports::operator::{MoveFilter, MoveLine};
use tachi_operator::words::{self, Effect};
use tachi_operator::{VmoveLine as Line, VmoveView};

use super::recovery::note_if_nobody_works;
use super::who::who;
use super::{Failure, command_settings, waits};
use crate::cli::{ListFormat, VmoveCommand, VmoveListArgs, VmoveRecoverArgs};
use crate::wiring::Base;
use crate::{out, wiring};

/// Carries out one of them.
pub(crate) async fn run(command: VmoveCommand) -> Result<u8, Failure> {
    match command {
        VmoveCommand::List(args) => list(args).await,
        VmoveCommand::Recover(args) => recover(args).await,
    }
}

/// For what it waits, for people.
fn waits_of(line: &MoveLine, now: Timestamp) -> String {
    match &line.wait {
        Some(wait) if wait.what != WaitsFor::Nothing => waits::sentence(wait, now),
        Some(_) | None => String::new(),
    }
}

async fn lines(base: &Base, filter: MoveFilter) -> Result<Vec<Line>, Failure> {
    let lines = base.store.moves(filter).await;
    let lines = lines.map_err(|error| Failure::new("listing instances", error))?;
    Ok(lines.into_iter().map(Line::from).collect())
}

async fn list(args: VmoveListArgs) -> Result<u8, Failure> {
    let base = wiring::existing(&command_settings(&args.config)?).await?;
    let filter = if args.needs_person {
        MoveFilter::NeedsPerson
    } else {
        MoveFilter::Unsettled
    };
    let found = lines(&base, filter).await?;
    let now = base.clock.wall();
    match args.format {
        ListFormat::Table if found.is_empty() && args.needs_person => {
            out::line("no instance waits for a person");
        }
        ListFormat::Table if found.is_empty() => out::line("no recovery with instances is open"),
        ListFormat::Table => out::line(table(&found, now)),
        ListFormat::Json => {
            let rows: Vec<_> = found.iter().map(VmoveView::from).collect();
            out::line(json!(rows).to_string());
        }
        ListFormat::Value => found.iter().for_each(|line| {
            let (one, step) = (&line.line, line.step());
            let waits = waits::what(one.wait.as_ref());
            let note = one.message.as_deref().unwrap_or_default();
            out::line(format!(
                "{}\t{}\t{}\t{step}\t{}\t{waits}\t{note}",
                one.server, one.name, one.host, one.recovery
            ));
        }),
    }
    Ok(crate::DONE)
}

fn table(lines: &[Line], now: Timestamp) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "instance",
        "name",
        "host",
        "to",
        "state",
        "recovery",
        "waits for",
        "what is known",
    ]);
    for line in lines {
        table.add_row([
            line.line.server.to_string(),
            line.line.name.clone(),
            line.line.host.clone(),
            line.line.dest.clone().unwrap_or_default(),
            line.step().to_owned(),
            line.line.recovery.to_string(),
            waits_of(&line.line, now),
            line.line.message.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}

async fn recover(args: VmoveRecoverArgs) -> Result<u8, Failure> {
    let word = verdict(&args);
    let by = who(args.reason.as_deref())?;
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let desk = base.store.as_ref();
    let found = words::instance(desk, &args.instance).await?;
    let (recovery, name) = (found.line.recovery, &found.line.name);
    match words::say_of(desk, &found, word, args.on, &by).await? {
        Effect::SeenTo => out::line(format!("{name}: written that {by} has seen to it")),
        Effect::Heard => {
            wiring::socket_poke(&settings)?.poke();
            out::line(format!(
                "{word} of {name}: written; the engine hears it within a second or two, and tachi recovery show {recovery} tells \
                 what came of it"
            ));
            note_if_nobody_works(&base).await?;
        }
    }
    Ok(crate::DONE)
}

fn verdict(args: &VmoveRecoverArgs) -> MoveVerdict {
    if args.success {
        MoveVerdict::Success
    } else if args.failure {
        MoveVerdict::Failure
    } else if args.retry {
        MoveVerdict::Retry
    } else {
        MoveVerdict::Ignore
    }
}
