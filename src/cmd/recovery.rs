//! `tachi recovery`: what an operator can see and say of recoveries.

pub(crate) mod domain;
mod list;
mod named;
mod report;
mod show;
pub(super) mod story;

use serde_json::json;
use tachi_domain::recovery::{Life, RecoveryKind, Word};
use tachi_engine::ports::operator::{RecoveryFilter, RecoveryState};
use tachi_operator::{RetriedView, members};

use super::Failure;
use crate::cli::{RecoveryCommand, RetryArgs, ShapeArgs, VouchArgs, WordArgs, WordsArgs};
use crate::out::{self, answer};
use crate::source::{self, Database, Saying, Source};

use named::named;
pub(super) use show::show;

/// What a word is told with, and one of several.
const WORD: [&str; 3] = ["word", "recovery", "by"];
const WORDS: [&str; 4] = ["word", "recovery", "host", "by"];

/// Carries out one of them.
pub(crate) async fn run(command: RecoveryCommand) -> Result<u8, Failure> {
    match command {
        RecoveryCommand::List(args) => list::run(args).await,
        RecoveryCommand::Show(args) => show::run(args).await,
        RecoveryCommand::Report(args) => report::run(args).await,
        RecoveryCommand::Retry(args) => retry(args).await,
        RecoveryCommand::Approve(args) => Box::pin(say_of(args, Word::Approve, "approve")).await,
        RecoveryCommand::Abort(args) => say(args, Word::Reject, "abort").await,
        RecoveryCommand::Reject(args) => Box::pin(say_of(args, Word::Reject, "reject")).await,
        RecoveryCommand::Vouch(args) => Box::pin(vouch(args)).await,
    }
}

async fn say_of(args: WordsArgs, word: Word, said_as: &str) -> Result<u8, Failure> {
    let WordsArgs {
        source,
        recovery,
        domain,
        reason,
        shape,
    } = args;
    let members = if recovery.is_some() { &WORD[..] } else { &WORDS };
    answer::admits(&shape, members.iter().copied())?;
    let source = source::open(&source).await?;
    let reason = reason.as_deref();
    match (recovery, domain) {
        (Some(recovery), _) => say_one(source.as_ref(), &recovery, (word, said_as), reason, &shape).await,
        (None, Some(domain)) => {
            let held = held_by(source.as_ref(), &domain).await?;
            let (mut objects, mut lines) = (Vec::new(), Vec::new());
            for (id, host) in &held.recoveries {
                let id = *id;
                match source.say(Saying::OfRecovery(id, word), reason).await {
                    Ok(said) => {
                        objects.push(json!({"word": said_as, "recovery": id, "host": host, "by": said.by}));
                        lines.push(format!("{said_as} {id} ({host}): written"));
                    }
                    Err(error) => {
                        let story = source.recovery(id).await?;
                        // One that has ended meanwhile needs no word.
                        if story.is_none_or(|story| story.summary.life == Life::Open) {
                            return Err(error);
                        }
                    }
                }
            }
            lines.extend(held.missing(&domain));
            answer::object(&shape, source.now(), || json!(objects), |_| lines)?;
            note_if_nobody_works(source.as_ref()).await;
            Ok(crate::DONE)
        }
        (None, None) => Err(Failure::usage("name a recovery, or --domain")),
    }
}

/// What is held because this domain was lost.
async fn held_by(source: &dyn Source, domain: &str) -> Result<domain::Held, Failure> {
    let filter = RecoveryFilter {
        state: Some(RecoveryState::Held),
        ..RecoveryFilter::default()
    };
    let mut held = Vec::new();
    for row in source.recoveries(&filter).await? {
        if let Some(story) = source.recovery(row.recovery).await? {
            held.push((row.recovery, row.host, story.state));
        }
    }
    domain::held_by(domain, held)
}

async fn say(args: WordArgs, word: Word, said_as: &str) -> Result<u8, Failure> {
    answer::admits(&args.shape, WORD)?;
    let source = source::open(&args.source).await?;
    let reason = args.reason.as_deref();
    say_one(
        source.as_ref(),
        &args.recovery,
        (word, said_as),
        reason,
        &args.shape,
    )
    .await
}

async fn say_one(
    source: &dyn Source,
    recovery: &str,
    (word, said_as): (Word, &str),
    reason: Option<&str>,
    shape: &ShapeArgs,
) -> Result<u8, Failure> {
    let id = named(source, recovery).await?;
    let said = source.say(Saying::OfRecovery(id, word), reason).await?;
    let object = || json!({"word": said_as, "recovery": id, "by": said.by});
    answer::object(shape, source.now(), object, |_| {
        vec![format!(
            "{said_as}: written as {}; the engine hears it within a second or two",
            said.by
        )]
    })?;
    note_if_nobody_works(source).await;
    Ok(crate::DONE)
}

/// Refuses what is about another host: the word of the wrong one destroys disks.
async fn vouch(args: VouchArgs) -> Result<u8, Failure> {
    let VouchArgs {
        config,
        recovery,
        off,
        reason,
        shape,
    } = args;
    if reason.trim().is_empty() {
        return Err(Failure::usage("--reason: write what was done and seen"));
    }
    answer::admits(&shape, WORD)?;
    let database = Database::open(&config).await?;
    let recovery = named(&database, &recovery).await?;
    let Some(summary) = database.recovery(recovery).await?.map(|story| story.summary) else {
        return Err(unknown(recovery));
    };
    if summary.kind != RecoveryKind::Host {
        return Err(Failure::told(format!(
            "recovery {recovery} is not about a dead host: there is nothing to vouch for"
        )));
    }
    if summary.host != off {
        return Err(Failure::told(format!(
            "recovery {recovery} is about host {}, not {off}: nothing was written",
            summary.host
        )));
    }
    let (recovery, reason) = (recovery.to_string(), Some(reason.as_str()));
    say_one(&database, &recovery, (Word::HostIsOff, "vouch"), reason, &shape).await
}

async fn retry(args: RetryArgs) -> Result<u8, Failure> {
    answer::admits(&args.shape, members::<RetriedView>())?;
    let source = source::open(&args.source).await?;
    let id = named(source.as_ref(), &args.recovery).await?;
    let told = source.retry(id, args.reason.as_deref()).await?;
    answer::object(
        &args.shape,
        source.now(),
        || json!(told),
        |_| {
            let already = told.already.then(|| {
                format!(
                    "{} has asked for the same within the last minute: nothing was written",
                    told.by
                )
            });
            let ids = [
                format!("recovery      {}", told.recovery),
                format!("notification  {}", told.notification),
            ];
            already.into_iter().chain(ids).collect()
        },
    )?;
    note_if_nobody_works(source.as_ref()).await;
    Ok(crate::DONE)
}

fn unknown(recovery: tachi_domain::RecoveryId) -> Failure {
    Failure::told(format!("there is no recovery {recovery}"))
}

/// A word or an attempt is only written; it needs an engine to be heard.
pub(crate) async fn note_if_nobody_works(source: &dyn Source) {
    match source.situation().await {
        Ok(seen) => note_unless(seen.engines.iter().any(|engine| engine.alive)),
        // What was asked for is done.
        Err(error) => out::note(format!(
            "tachi: whether an engine runs is not known: {}",
            error.chain()
        )),
    }
}

pub(crate) fn note_unless(an_engine_works: bool) {
    if !an_engine_works {
        out::note("tachi: no engine has signed lately: nothing happens before one runs, see `tachi status`");
    }
}
