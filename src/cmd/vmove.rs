//! `tachi vmove`: the instances of recoveries, and a person's word about one.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;
use tachi_domain::RecoveryId;
use tachi_domain::host_recovery::{End, Move, MoveStep};
use tachi_domain::recovery::{MoveVerdict, MoveWord, RecoveryKind};
use tachi_engine::ports::OperatorDesk as _;
use tachi_engine::ports::operator::{RecoverySummary, Said};

use super::recovery::note_if_nobody_works;
use super::who::who;
use super::{Failure, command_settings};
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

/// An instance, and the recovery it is in.
struct Line {
    recovery: RecoverySummary,
    one: Move,
}

impl Line {
    fn needs_person(&self) -> bool {
        match self.one.step {
            MoveStep::Held | MoveStep::Over(End::Person) => true,
            // Its recovery says that it makes no progress.
            MoveStep::Asked { .. } => {
                let message = self.recovery.message.as_deref();
                message.is_some_and(|text| text.contains("no progress"))
            }
            MoveStep::Waiting { .. }
            | MoveStep::Restoring { .. }
            | MoveStep::Unlocking { .. }
            | MoveStep::Over(End::Moved | End::Left) => false,
        }
    }

    fn step(&self) -> &'static str {
        match self.one.step {
            MoveStep::Held => "held",
            MoveStep::Waiting { .. } => "waiting",
            MoveStep::Asked { .. } => "asked",
            MoveStep::Restoring { .. } => "restoring",
            MoveStep::Unlocking { .. } => "unlocking",
            MoveStep::Over(End::Moved) => "moved",
            MoveStep::Over(End::Left) => "left",
            MoveStep::Over(End::Person) => "needs a person",
        }
    }
}

async fn lines(base: &Base) -> Result<Vec<Line>, Failure> {
    let recoveries = base.store.recoveries(false).await;
    let recoveries = recoveries.map_err(|error| Failure::new("listing recoveries", error))?;
    let mut lines = Vec::new();
    for summary in recoveries
        .into_iter()
        .filter(|one| one.kind == RecoveryKind::Host)
    {
        let story = base.store.story(summary.id).await;
        let Some(story) = story.map_err(|error| Failure::new("reading a recovery", error))? else {
            continue;
        };
        for text in &story.moves {
            let one = serde_json::from_str(text).map_err(|error| {
                Failure::new(format!("reading the moves of recovery {}", summary.id), error)
            })?;
            lines.push(Line {
                recovery: story.summary.clone(),
                one,
            });
        }
    }
    lines.sort_by_key(|line| (line.recovery.opened_at, line.one.rank));
    Ok(lines)
}

async fn list(args: VmoveListArgs) -> Result<u8, Failure> {
    let base = wiring::existing(&command_settings(&args.config)?).await?;
    let mut found = lines(&base).await?;
    found.retain(|line| !args.needs_person || line.needs_person());
    match args.format {
        ListFormat::Table if found.is_empty() && args.needs_person => {
            out::line("no instance waits for a person");
        }
        ListFormat::Table if found.is_empty() => out::line("no recovery with instances is open"),
        ListFormat::Table => out::line(table(&found)),
        ListFormat::Json => {
            let rows: Vec<_> = found.iter().map(as_json).collect();
            out::line(json!(rows).to_string());
        }
        ListFormat::Value => found.iter().for_each(|line| {
            let one = &line.one;
            let note = one.note.as_deref().unwrap_or_default();
            let (id, host) = (line.recovery.id, &line.recovery.host);
            out::line(format!(
                "{}\t{}\t{host}\t{}\t{id}\t{note}",
                one.server,
                one.name,
                line.step()
            ));
        }),
    }
    Ok(crate::DONE)
}

fn table(lines: &[Line]) -> String {
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
        "what is known",
    ]);
    for line in lines {
        table.add_row([
            line.one.server.to_string(),
            line.one.name.clone(),
            line.recovery.host.clone(),
            line.one.dest.clone().unwrap_or_default(),
            line.step().to_owned(),
            line.recovery.id.to_string(),
            known(line),
        ]);
    }
    table.to_string()
}

fn known(line: &Line) -> String {
    let waits = line.recovery.message.clone().filter(|_| line.needs_person());
    line.one.note.clone().or(waits).unwrap_or_default()
}

fn as_json(line: &Line) -> serde_json::Value {
    json!({
        "instance": line.one.server.to_string(),
        "name": line.one.name,
        "host": line.recovery.host,
        "to": line.one.dest,
        "may_run_on": line.one.may_run,
        "state": line.step(),
        "needs_person": line.needs_person(),
        "recovery": line.recovery.id.to_string(),
        "known": known(line),
    })
}

async fn recover(args: VmoveRecoverArgs) -> Result<u8, Failure> {
    let word = verdict(&args);
    let by = who(args.reason.as_deref())?;
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let (recovery, one) = find(lines(&base).await?, &args.instance)?;
    one.admits(word, args.on.as_deref())
        .map_err(|why| Failure::told(format!("nothing was written: {why}")))?;
    let said = MoveWord {
        number: 0,
        server: one.server,
        word,
        on: args.on,
        by,
    };
    let heard = base.store.say_of(recovery, &said).await;
    match heard.map_err(|error| Failure::new("writing the word", error))? {
        Said::Heard => {
            wiring::socket_poke(&settings)?.poke();
            out::line(format!(
                "{word} of {}: written; the engine hears it within a second or two, and tachi recovery show {recovery} tells \
                 what came of it",
                one.name
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

/// The one instance of this id or name that is being moved, or else why there is none.
fn find(lines: Vec<Line>, instance: &str) -> Result<(RecoveryId, Move), Failure> {
    let is_it = |line: &Line| {
        line.one.name == instance || line.one.server.to_string() == instance.to_ascii_lowercase()
    };
    let mut found: Vec<Line> = lines.into_iter().filter(is_it).collect();
    // One that is over in an older recovery may be under way in a younger one.
    if found.iter().any(|line| !line.one.is_over()) {
        found.retain(|line| !line.one.is_over());
    }
    match found.len() {
        0 => Err(Failure::told(format!(
            "no open recovery has an instance {instance}: see tachi vmove list"
        ))),
        1 => found
            .pop()
            .map(|line| (line.recovery.id, line.one))
            .ok_or_else(|| Failure::told("no such instance")),
        many => Err(Failure::told(format!(
            "{many} instances are called {instance}: name its id, as tachi vmove list shows it"
        ))),
    }
}
