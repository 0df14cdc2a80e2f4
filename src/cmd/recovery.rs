//! `tachi recovery`: what an operator can see and say of recoveries.

pub(crate) mod domain;
mod list;
mod named;
mod show;
mod story;

use tachi_domain::recovery::{RecoveryKind, Word};
use tachi_engine::ports::operator::Retried;
use tachi_engine::ports::{OperatorDesk as _, Roll as _};
use tachi_operator::{is_alive, words};

use super::who::who;
use super::{Failure, command_settings};
use crate::cli::{RecoveryCommand, RetryArgs, VouchArgs, WordArgs, WordsArgs};
use crate::wiring::Base;
use crate::{out, wiring};

use named::named;
pub(super) use show::show;

/// Carries out one of them.
pub(crate) async fn run(command: RecoveryCommand) -> Result<u8, Failure> {
    match command {
        RecoveryCommand::List(args) => list::run(args).await,
        RecoveryCommand::Show(args) => show::run(args).await,
        RecoveryCommand::Retry(args) => retry(args).await,
        RecoveryCommand::Approve(args) => Box::pin(say_of(args, Word::Approve, "approve")).await,
        RecoveryCommand::Abort(args) => say(args, Word::Reject, "abort").await,
        RecoveryCommand::Reject(args) => Box::pin(say_of(args, Word::Reject, "reject")).await,
        RecoveryCommand::Vouch(args) => Box::pin(vouch(args)).await,
    }
}

async fn say_of(args: WordsArgs, word: Word, said_as: &str) -> Result<u8, Failure> {
    let WordsArgs {
        config,
        recovery,
        domain,
        reason,
    } = args;
    match (recovery, domain) {
        (Some(recovery), _) => {
            let args = WordArgs {
                config,
                recovery,
                reason,
            };
            say(args, word, said_as).await
        }
        (None, Some(domain)) => {
            let settings = command_settings(&config)?;
            let base = wiring::existing(&settings).await?;
            let by = who(reason.as_deref())?;
            let heard = domain::say(base.store.as_ref(), &domain, word, &by).await?;
            for (id, host) in &heard {
                out::line(format!("{said_as} {id} ({host}): written"));
            }
            wiring::socket_poke(&settings)?.poke();
            note_if_nobody_works(&base).await?;
            Ok(crate::DONE)
        }
        (None, None) => Err(Failure::usage("name a recovery, or --domain")),
    }
}

async fn say(args: WordArgs, word: Word, said_as: &str) -> Result<u8, Failure> {
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let by = who(args.reason.as_deref())?;
    let id = named(base.store.as_ref(), &args.recovery).await?;
    words::say(base.store.as_ref(), id, word, &by).await?;
    wiring::socket_poke(&settings)?.poke();
    out::line(format!(
        "{said_as}: written; the engine hears it within a second or two"
    ));
    note_if_nobody_works(&base).await?;
    Ok(crate::DONE)
}

/// Refuses what is about another host: the word of the wrong one destroys disks.
async fn vouch(args: VouchArgs) -> Result<u8, Failure> {
    let VouchArgs {
        config,
        recovery,
        off,
        reason,
    } = args;
    if reason.trim().is_empty() {
        return Err(Failure::usage("--reason: write what was done and seen"));
    }
    let settings = command_settings(&config)?;
    let base = wiring::existing(&settings).await?;
    let recovery = named(base.store.as_ref(), &recovery).await?;
    let story = base
        .store
        .story(recovery)
        .await
        .map_err(|error| Failure::new("reading the recovery", error))?;
    let Some(summary) = story.map(|story| story.summary) else {
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
    let args = WordArgs {
        config,
        recovery: recovery.to_string(),
        reason: Some(reason),
    };
    say(args, Word::HostIsOff, "vouch").await
}

async fn retry(args: RetryArgs) -> Result<u8, Failure> {
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let by = who(args.reason.as_deref())?;
    let id = named(base.store.as_ref(), &args.recovery).await?;
    let retried = base
        .store
        .retry(id, &by)
        .await
        .map_err(|error| Failure::new("asking for another attempt", error))?;
    let refused = |why: String| Err(Failure::told(format!("no new attempt: {why}")));
    match retried {
        Retried::Begun {
            recovery,
            notification,
        } => {
            wiring::socket_poke(&settings)?.poke();
            out::line(format!("recovery      {recovery}"));
            out::line(format!("notification  {notification}"));
            note_if_nobody_works(&base).await?;
            Ok(crate::DONE)
        }
        Retried::Unknown => Err(unknown(id)),
        Retried::Purged => refused("its notification was purged; send it again".into()),
        Retried::NotFailed(status) => refused(format!(
            "recovery {id} has not failed, its notification is {status}"
        )),
        Retried::Open(id) => refused(format!("recovery {id} is about the same and still open")),
        Retried::Refused(why) => refused(why),
    }
}

fn unknown(recovery: tachi_domain::RecoveryId) -> Failure {
    Failure::told(format!("there is no recovery {recovery}"))
}

/// A word or an attempt is only written; it needs an engine to be heard.
pub(crate) async fn note_if_nobody_works(base: &Base) -> Result<(), Failure> {
    let engines = base
        .store
        .engines()
        .await
        .map_err(|error| Failure::new("reading which engines run", error))?;
    if !engines.iter().any(|line| is_alive(line, base.clock.wall())) {
        out::note("tachi: no engine has signed lately: nothing happens before one runs, see `tachi status`");
    }
    Ok(())
}
