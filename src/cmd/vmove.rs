//! `tachi vmove`: the instances of recoveries, and a person's word about one.

use serde_json::json;
use tachi_domain::recovery::MoveVerdict;
use tachi_domain::{Timestamp, WaitsFor};
use tachi_operator::{VmoveView, WaitView};

use super::Failure;
use super::fence::confirmed;
use super::recovery::note_if_nobody_works;
use crate::cli::{VmoveCommand, VmoveListArgs, VmoveRecoverArgs};
use crate::out::{Cell, Column, Sheet, answer};
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
    let none = if args.needs_person {
        "no instance waits for a person"
    } else {
        "no recovery with instances is open"
    };
    let now = source.now();
    answer::list(&args.shape, now, &sheet(found, now), none)?;
    Ok(crate::DONE)
}

fn sheet(found: Vec<VmoveView>, now: Timestamp) -> Sheet<8> {
    let columns = [
        Column::new("instance"),
        Column::new("name"),
        Column::new("host"),
        Column::new("to"),
        Column::new("state"),
        Column::new("recovery"),
        Column::of("waits for", "waits"),
        Column::of("what is known", "known"),
    ];
    let waits = |wait: &Option<WaitView>| {
        let wait = wait.as_ref().filter(|wait| wait.what != WaitsFor::Nothing);
        wait.map_or_else(String::new, |wait| wait.sentence(now))
    };
    Sheet::new(columns, found, |one| {
        let cells = [
            Cell::id(&one.instance),
            Cell::text(&one.name),
            Cell::text(&one.host),
            Cell::text(one.to.clone().unwrap_or_default()),
            Cell::text(&one.state),
            Cell::id(&one.recovery),
            Cell::prose(waits(&one.waits)),
            Cell::prose(one.known.clone().unwrap_or_default()),
        ];
        (cells, json!(one))
    })
}

async fn recover(args: VmoveRecoverArgs) -> Result<u8, Failure> {
    answer::admits(&args.shape, ["word", "instance", "recovery", "by", "seen_to"])?;
    let word = verdict(&args);
    if args.failure {
        // The only word here that makes an instance start while another copy of it may run.
        let (name, what) = args.on.as_ref().map_or_else(
            || {
                (
                    &args.instance,
                    "vouch that nothing will come of the evacuation of".to_owned(),
                )
            },
            |host| (host, format!("vouch that {} does not run on", args.instance)),
        );
        let consequence =
            "it may be started elsewhere; if it runs after all, it runs twice, and its disks are destroyed.";
        confirmed((name, args.yes), &what, consequence)?;
    }
    let source = source::open(&args.source).await?;
    let saying = Saying::OfInstance(&args.instance, word, args.on.as_deref());
    let said = source.say(saying, args.reason.as_deref()).await?;
    let (name, by) = (&args.instance, &said.by);
    let object = || json!({"word": word.as_str(), "instance": name, "recovery": said.recovery, "by": by, "seen_to": said.seen_to});
    answer::object(&args.shape, source.now(), object, |_| {
        vec![if said.seen_to {
            format!("{name}: written that {by} has seen to it")
        } else {
            format!(
                "{word} of {name}: written as {by}; the engine hears it within a second or two, and tachi recovery show {} tells \
                 what came of it",
                said.recovery
            )
        }]
    })?;
    if !said.seen_to {
        note_if_nobody_works(source.as_ref()).await;
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
