//! `tachi vmove`: the instances of recoveries, and a person's word about one.

use serde_json::json;
use tachi_domain::recovery::MoveVerdict;
use tachi_domain::{Timestamp, WaitsFor};
use tachi_operator::{VmoveView, WaitView};

use super::Failure;
use super::recovery::note_if_nobody_works;
use crate::cli::{ListFormat, VmoveCommand, VmoveListArgs, VmoveRecoverArgs};
use crate::out;
use crate::source::{self, Saying};

/// Carries out one of them.
pub(crate) async fn run(command: VmoveCommand) -> Result<u8, Failure> {
    match command {
        VmoveCommand::List(args) => list(args).await,
        VmoveCommand::Recover(args) => recover(args).await,
    }
}

async fn list(args: VmoveListArgs) -> Result<u8, Failure> {
    let source = source::open(&args.source).await?;
    let found = source.instances(args.needs_person).await?;
    match args.format {
        ListFormat::Table if found.is_empty() && args.needs_person => {
            out::line("no instance waits for a person");
        }
        ListFormat::Table if found.is_empty() => out::line("no recovery with instances is open"),
        ListFormat::Table => out::line(table(&found, source.now())),
        ListFormat::Json => out::line(json!(found).to_string()),
        ListFormat::Value => found.iter().for_each(|one| out::line(value(one))),
    }
    Ok(crate::DONE)
}

/// A line. What could break it or a field apart is written out.
fn value(one: &VmoveView) -> String {
    let waits = one.waits.as_ref().map_or(WaitsFor::Nothing, |wait| wait.what);
    let fields = [
        one.instance.clone(),
        one.name.clone(),
        one.host.clone(),
        one.state.clone(),
        one.recovery.to_string(),
        waits.to_string(),
        one.known.clone().unwrap_or_default(),
    ];
    fields.map(|field| out::plain(&field)).join("\t")
}

fn table(found: &[VmoveView], now: Timestamp) -> String {
    let header = [
        "instance",
        "name",
        "host",
        "to",
        "state",
        "recovery",
        "waits for",
        "what is known",
    ];
    let waits = |wait: &Option<WaitView>| {
        let wait = wait.as_ref().filter(|wait| wait.what != WaitsFor::Nothing);
        wait.map_or_else(String::new, |wait| wait.sentence(now))
    };
    let row = |one: &VmoveView| {
        [
            one.instance.clone(),
            one.name.clone(),
            one.host.clone(),
            one.to.clone().unwrap_or_default(),
            one.state.clone(),
            one.recovery.to_string(),
            waits(&one.waits),
            one.known.clone().unwrap_or_default(),
        ]
    };
    out::table(header, found.iter().map(row))
}

async fn recover(args: VmoveRecoverArgs) -> Result<u8, Failure> {
    let word = verdict(&args);
    let source = source::open(&args.source).await?;
    let saying = Saying::OfInstance(&args.instance, word, args.on.as_deref());
    let said = source.say(saying, args.reason.as_deref()).await?;
    let (name, by) = (&args.instance, &said.by);
    if said.seen_to {
        out::told(format!("{name}: written that {by} has seen to it"));
        return Ok(crate::DONE);
    }
    out::told(format!(
        "{word} of {name}: written as {by}; the engine hears it within a second or two, and tachi recovery show {} tells what came \
         of it",
        said.recovery
    ));
    note_if_nobody_works(source.as_ref()).await;
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
