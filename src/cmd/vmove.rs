//! `tachi vmove`: the instances of recoveries, and a person's word about one.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;
use tachi_domain::host_recovery::Move;
use tachi_domain::recovery::{Life, MoveVerdict, MoveWord};
use tachi_domain::{Timestamp, WaitsFor};
use tachi_engine::ports::OperatorDesk as _;
use tachi_engine::ports::operator::{MoveFilter, MoveLine, Said};
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
    let mut all = lines(&base, MoveFilter::Unsettled).await?;
    let given_up = lines(&base, MoveFilter::NeedsPerson).await?;
    all.extend(given_up.into_iter().filter(|line| line.line.life == Life::Closed));
    let found = find(all, &args.instance)?;
    let (recovery, server, name) = (found.line.recovery, found.line.server, found.line.name.clone());
    if word == MoveVerdict::Ignore && waits::what(found.line.wait.as_ref()) == WaitsFor::GivenUp {
        let said = base.store.see_to(recovery, server, &by).await;
        return match said.map_err(|error| Failure::new("writing the word", error))? {
            Said::Heard => {
                out::line(format!("{name}: written that {by} has seen to it"));
                Ok(crate::DONE)
            }
            Said::Unknown | Said::Over => Err(Failure::told(format!(
                "recovery {recovery} has not given up {name}, or somebody has seen to it meanwhile: nothing was written"
            ))),
        };
    }
    let Some(one) = &found.one else {
        return Err(Failure::told(format!(
            "{name}: its state was written by another version of Tachi; use that one"
        )));
    };
    one.admits(word, args.on.as_deref())
        .map_err(|why| Failure::told(format!("nothing was written: {why}")))?;
    let said = MoveWord {
        number: 0,
        server,
        word,
        on: args.on,
        by,
    };
    let heard = base.store.say_of(recovery, &said).await;
    match heard.map_err(|error| Failure::new("writing the word", error))? {
        Said::Heard => {
            wiring::socket_poke(&settings)?.poke();
            out::line(format!(
                "{word} of {name}: written; the engine hears it within a second or two, and tachi recovery show {recovery} tells \
                 what came of it"
            ));
            note_if_nobody_works(&base).await?;
            Ok(crate::DONE)
        }
        Said::Unknown | Said::Over => Err(Failure::told(format!("recovery {recovery} is over"))),
    }
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

/// The one instance of this id or name that is being moved or waits for a person, or else why there is none.
fn find(lines: Vec<Line>, instance: &str) -> Result<Line, Failure> {
    let is_it = |line: &Line| {
        line.line.name == instance || line.line.server.to_string() == instance.to_ascii_lowercase()
    };
    let mut found: Vec<Line> = lines.into_iter().filter(is_it).collect();
    // One that is over in an older recovery may be under way in a younger one.
    let is_over = |line: &Line| line.one.as_ref().is_some_and(Move::is_over);
    if found.iter().any(|line| !is_over(line)) {
        found.retain(|line| !is_over(line));
    } else if let Some(server) = found.last().map(|line| line.line.server)
        && found.iter().all(|line| line.line.server == server)
    {
        // Over in all of them: the youngest says what is so now.
        found.drain(..found.len() - 1);
    }
    match found.len() {
        0 => Err(Failure::told(format!(
            "no open recovery has an instance {instance}, nor has one given it up: see tachi vmove list"
        ))),
        1 => found.pop().ok_or_else(|| Failure::told("no such instance")),
        many => Err(Failure::told(format!(
            "{many} instances are called {instance}: name its id, as tachi vmove list shows it"
        ))),
    }
}
