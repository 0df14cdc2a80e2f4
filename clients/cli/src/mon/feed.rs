//! Feed of the view: polls once a second, beside the drawing.

use std::time::Duration;

use tachi_domain::recovery::Life;
use tachi_domain::{RecoveryId, Timestamp};
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_operator::{ExplanationView, Failure, RecoveryHistoryView, SituationView, UnderwayView};
use tokio::sync::{mpsc, watch};

use crate::source::Source;

/// Interval between an answer and the next query.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Timeout of a query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// The subject of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Region,
    Host(String),
    Why(String),
    Recovery(RecoveryId),
    /// A finding, by its key.
    Finding(String),
}

/// The data of the subject, in addition to the situation.
#[derive(Clone, Debug)]
pub(super) enum More {
    /// The running recovery, or else the newest: its last steps are shown.
    Newest(Option<RecoveryHistoryView>),
    Host(Option<ExplanationView>),
    Why(Vec<ExplanationView>),
    Recovery(Option<RecoveryHistoryView>),
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct FeedAnswer {
    pub(super) subject: Subject,
    pub(super) now: Timestamp,
    pub(super) situation: SituationView,
    pub(super) more: More,
}

/// Polls until the receiver is gone.
pub(super) async fn feed(
    source: Box<dyn Source>,
    mut subject: watch::Receiver<Subject>,
    answers: mpsc::Sender<Result<FeedAnswer, String>>,
) {
    loop {
        let requested = subject.borrow_and_update().clone();
        let answer = once(source.as_ref(), &requested).await;
        if answers.send(answer.map_err(|error| error.chain())).await.is_err() {
            return;
        }
        // Both can be cancelled: no query is running.
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            changed = subject.changed() => if changed.is_err() {
                return;
            }
        }
    }
}

/// Queries once.
pub(super) async fn once(source: &dyn Source, subject: &Subject) -> Result<FeedAnswer, Failure> {
    let late = || Failure::from_text(format!("no answer within {} s", QUERY_TIMEOUT.as_secs()));
    let answer = tokio::time::timeout(QUERY_TIMEOUT, ask(source, subject)).await;
    answer.map_err(|_| late())?
}

async fn ask(source: &dyn Source, subject: &Subject) -> Result<FeedAnswer, Failure> {
    let situation = source.situation().await?;
    let more = match subject {
        Subject::Region => More::Newest(running(source, &situation).await?),
        Subject::Finding(_) => More::Newest(None),
        Subject::Host(name) => {
            let found = source.explanations(name).await?;
            More::Host(found.into_iter().find(|one| one.kind == "host"))
        }
        Subject::Why(name) => More::Why(source.explanations(name).await?),
        Subject::Recovery(id) => More::Recovery(source.recovery(*id).await?),
    };
    Ok(FeedAnswer {
        subject: subject.clone(),
        now: source.now(),
        situation,
        more,
    })
}

/// Returns the recovery that makes progress: one on hold has no new steps, and would hide the steps of one that was approved.
async fn running(
    source: &dyn Source,
    situation: &SituationView,
) -> Result<Option<RecoveryHistoryView>, Failure> {
    match working(situation) {
        Some(row) => source.recovery(row.id).await,
        None => newest(source).await,
    }
}

fn working(situation: &SituationView) -> Option<&UnderwayView> {
    let works =
        |row: &&UnderwayView| row.life == Life::Open && !row.waits.as_ref().is_some_and(|wait| wait.held);
    situation.recoveries.iter().find(works)
}

async fn newest(source: &dyn Source) -> Result<Option<RecoveryHistoryView>, Failure> {
    let filter = RecoveryFilter {
        limit: Some(1),
        ..RecoveryFilter::default()
    };
    match source.recoveries(&filter).await?.first() {
        None => Ok(None),
        Some(row) => source.recovery(row.recovery).await,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::region;
    use super::*;

    #[test]
    fn the_recovery_that_works_is_shown_and_not_one_that_is_on_hold() {
        let mut situation = region();
        assert!(working(&situation).is_none(), "the only one is on hold");
        let mut other = situation.recoveries[0].clone();
        (other.id, other.waits) = (RecoveryId(uuid::Uuid::from_u128(77)), None);
        situation.recoveries.push(other);
        assert_eq!(
            working(&situation).map(|row| row.id),
            Some(situation.recoveries[1].id)
        );
    }
}
