//! `tachi recovery`: commands that show recoveries and act on them.

mod act;
pub mod domain;
pub(super) mod history;
mod list;
mod named;
mod report;
mod show;

use crate::arguments::RecoveryCommand;
use crate::out;
use crate::source::{Controller, Source};

pub(super) use act::{ABORT, act};
pub(crate) use named::find;
use named::named;
pub(super) use show::show;
use tachi_operator::Failure;

pub async fn run(command: RecoveryCommand, controller: &dyn Controller) -> Result<u8, Failure> {
    match command {
        RecoveryCommand::List(args) => list::run(args, controller).await,
        RecoveryCommand::Show(args) => show::run(args, controller).await,
        RecoveryCommand::Report(args) => report::run(args, controller).await,
        RecoveryCommand::Retry(args) => Box::pin(act::retry(args, controller)).await,
        RecoveryCommand::Approve(args) => Box::pin(act::approve(args, act::APPROVE, controller)).await,
        RecoveryCommand::Reject(args) => Box::pin(act::approve(args, act::REJECT, controller)).await,
        RecoveryCommand::Abort(args) => Box::pin(act::abort(args, controller)).await,
        RecoveryCommand::ConfirmOff(args) => Box::pin(act::confirm_off(args, controller)).await,
    }
}

fn unknown(recovery: tachi_domain::RecoveryId) -> Failure {
    Failure::from_text(format!("no recovery has the id {recovery}"))
}

/// Notes if no engine runs: an action or an attempt is only written, and needs an engine to take effect.
pub async fn note_if_no_engine_runs(source: &dyn Source) {
    match source.situation().await {
        Ok(situation) => note_unless(situation.engines.iter().any(|engine| engine.alive)),
        // The action itself is written, so the failed check is only a note.
        Err(error) => out::note(format!(
            "tachi: could not check if an engine is running: {}",
            error.chain()
        )),
    }
}

pub fn note_unless(an_engine_works: bool) {
    if !an_engine_works {
        out::note(
            "tachi: no engine has sent a heartbeat recently, and nothing happens until one is running: `tachi status`",
        );
    }
}
