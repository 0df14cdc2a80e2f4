//! Asks for what is shown, once a second, beside the drawing.

use std::time::Duration;

use tachi_domain::{RecoveryId, Timestamp};
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_operator::{ExplanationView, SituationView, StoryView};
use tokio::sync::{mpsc, watch};

use super::super::Failure;
use crate::source::Source;

/// Between an answer and the next question.
const LOOK: Duration = Duration::from_secs(1);

/// A question that takes longer has no answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Region,
    Host(String),
    Why(String),
    Recovery(RecoveryId),
}

/// What belongs to it beside the situation.
#[derive(Clone, Debug)]
pub(super) enum More {
    /// The newest recovery, whose last steps are told.
    Newest(Option<StoryView>),
    Host(Option<ExplanationView>),
    Why(Vec<ExplanationView>),
    Recovery(Option<StoryView>),
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) want: Want,
    pub(super) now: Timestamp,
    pub(super) seen: SituationView,
    pub(super) more: More,
}

/// Asks until nobody listens any more.
pub(super) async fn feed(
    source: Box<dyn Source>,
    mut want: watch::Receiver<Want>,
    told: mpsc::Sender<Result<Told, String>>,
) {
    loop {
        let wanted = want.borrow_and_update().clone();
        let answer = once(source.as_ref(), &wanted).await;
        if told.send(answer.map_err(|error| error.chain())).await.is_err() {
            return;
        }
        // Both can be left: nothing is under way.
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            changed = want.changed() => if changed.is_err() {
                return;
            }
        }
    }
}

/// One answer.
pub(super) async fn once(source: &dyn Source, want: &Want) -> Result<Told, Failure> {
    let late = || Failure::told(format!("no answer within {} s", PATIENCE.as_secs()));
    let asked = tokio::time::timeout(PATIENCE, ask(source, want)).await;
    asked.map_err(|_| late())?
}

async fn ask(source: &dyn Source, want: &Want) -> Result<Told, Failure> {
    let seen = source.situation().await?;
    let more = match want {
        Want::Region => More::Newest(newest(source).await?),
        Want::Host(name) => {
            let found = source.explanations(name).await?;
            More::Host(found.into_iter().find(|one| one.kind == "host"))
        }
        Want::Why(name) => More::Why(source.explanations(name).await?),
        Want::Recovery(id) => More::Recovery(source.recovery(*id).await?),
    };
    Ok(Told {
        want: want.clone(),
        now: source.now(),
        seen,
        more,
    })
}

async fn newest(source: &dyn Source) -> Result<Option<StoryView>, Failure> {
    let filter = RecoveryFilter {
        limit: Some(1),
        ..RecoveryFilter::default()
    };
    match source.recoveries(&filter).await?.first() {
        None => Ok(None),
        Some(row) => source.recovery(row.recovery).await,
    }
}
