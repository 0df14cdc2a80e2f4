//! Concurrent writes of several recoveries in one transaction.
//!
//! A flood of reports ends as many recoveries, each with one small write. With separate transactions each would wait
//! for the disk, or for the other nodes of a cluster.
//!
//! Only writes to their recovery's own rows are combined: they cannot refuse one another, and take no locks that
//! another transaction could take in another order. If one of them is refused or fails, nothing of the transaction is
//! written, and each caller then uses a transaction of its own.

use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::DbErr;
use tachi_domain::Timestamp;
use tachi_engine::ports::JournalError;
use tachi_engine::ports::journal::{Claim, Write, WriteOutcome};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::commit::Commit;
use crate::database::Database;
use crate::error::{Failure, Stop};
use crate::transaction::{self, Transaction as _, TxOutcome};

/// The operation named in errors.
pub(super) const WHAT: &str = "writing the journal of a recovery";

/// Limit of writes per transaction: the first ones wait for the others, and so does an engine that wants to claim such
/// a recovery.
const MAX_BATCH: usize = 32;

/// The writes that wait for the next transaction, and a flag for the task that executes it.
#[derive(Clone, Default)]
pub(super) struct GroupCommit(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: Vec<PendingWrite>,
    is_led: bool,
}

struct PendingWrite {
    claim: Claim,
    write: Write,
    now: Timestamp,
    begun: Instant,
    answer: oneshot::Sender<Answer>,
}

/// The result; `None` if certainly nothing was written, and the caller has to write alone.
type Answer = Option<Result<WriteOutcome, JournalError>>;

impl PendingWrite {
    fn commit(&self) -> Commit<'_> {
        Commit {
            claim: &self.claim,
            write: &self.write,
            now: self.now,
            begun: self.begun,
        }
    }

    fn answer(self, answer: Answer) {
        // A caller that has been dropped meanwhile needs no result.
        let _ = self.answer.send(answer);
    }
}

/// True if the write touches only its recovery's own rows and depends on no others.
pub(super) fn is_its_own(write: &Write) -> bool {
    let Write {
        elapsed: _,
        state: _,
        wait: _,
        life: _,
        steps: _,
        notification: _,
        latest: _,
        dismissed: _,
        unrepaired: _,
        moves,
        proofs,
        host,
        proven_off,
        unless_host_recovery,
        unless_elsewhere,
        unless_joined,
        unless_evidence,
        restarted,
        reservations,
        host_back,
        running_again,
        order,
        move_order,
        unless_frozen,
        worse,
        planned,
        freeze,
        rewind_done: _,
        processed_action_ids: _,
    } = write;
    let lists = [
        moves.len(),
        proofs.len(),
        reservations.len(),
        worse.len(),
        planned.len(),
    ];
    let touches = lists != [0; 5]
        || proven_off.is_some()
        || host.is_some()
        || host_back.is_some()
        || *running_again
        || restarted.is_some()
        || order.is_some()
        || move_order.is_some()
        || freeze.is_some();
    let is_conditional = unless_host_recovery.is_some()
        || unless_elsewhere.is_some()
        || *unless_joined
        || *unless_evidence
        || unless_frozen.is_conditional();
    !touches && !is_conditional
}

impl GroupCommit {
    /// Writes together with the other waiting writes; `None` if the caller has to write alone.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it is unknown whether the write happens.
    pub(super) async fn write(&self, db: &Database, claim: &Claim, write: &Write, begun: Instant) -> Answer {
        let (answer, outcome) = oneshot::channel();
        let waiting = PendingWrite {
            claim: claim.clone(),
            write: write.clone(),
            now: db.now(),
            begun,
            answer,
        };
        let is_led = {
            let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            queue.waiting.push(waiting);
            std::mem::replace(&mut queue.is_led, true)
        };
        if !is_led {
            let mut lead = Lead {
                of: self.clone(),
                is_finished: false,
            };
            let db = db.clone();
            tokio::spawn(async move {
                while let Some(all) = lead.next() {
                    write_all(&db, all).await;
                }
            });
        }
        outcome.await.unwrap_or_else(|_| {
            let stopped = DbErr::Custom("the writer was stopped".to_owned());
            Some(Err(Stop::from(Failure::Commit(stopped)).journal(WHAT)))
        })
    }
}

/// The task that executes transactions until no write waits. If it ends before that, the waiting callers get an error,
/// because the result is unknown.
struct Lead {
    of: GroupCommit,
    /// True once no write waited any more; the next caller starts another task.
    is_finished: bool,
}

impl Lead {
    fn next(&mut self) -> Option<Vec<PendingWrite>> {
        let mut queue = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = queue.waiting.len().min(MAX_BATCH);
        let next: Vec<PendingWrite> = queue.waiting.drain(..most).collect();
        self.is_finished = next.is_empty();
        queue.is_led = !self.is_finished;
        queue.is_led.then_some(next)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.is_finished {
            let mut queue = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
            queue.is_led = false;
            queue.waiting.clear();
        }
    }
}

async fn write_all(db: &Database, all: Vec<PendingWrite>) {
    let outcomes = match all.as_slice() {
        [alone] => db
            .write_journal(&alone.commit())
            .await
            .map(|outcome| Some(vec![outcome])),
        _ => in_one(db, &all).await,
    };
    match outcomes {
        Ok(Some(outcomes)) => {
            for (waiting, outcome) in all.into_iter().zip(outcomes) {
                waiting.answer(Some(Ok(outcome)));
            }
        }
        // All callers are released at once, because each has its own timeout for a failing database.
        Ok(None) => {
            for waiting in all {
                waiting.answer(None);
            }
        }
        // It is unknown whether anything was written.
        Err(stop) => {
            let error = stop.journal(WHAT);
            for waiting in all {
                waiting.answer(Some(Err(error.clone())));
            }
        }
    }
}

/// Executes all writes in one transaction; `None` if certainly nothing was written.
async fn in_one(db: &Database, all: &[PendingWrite]) -> Result<Option<Vec<WriteOutcome>>, Stop> {
    let Ok(tx) = db.begin_journal().await else {
        return Ok(None);
    };
    let mut outcomes = Vec::with_capacity(all.len());
    for waiting in all {
        match waiting.commit().run(&tx).await {
            Ok(TxOutcome::Keep(outcome)) => outcomes.push(outcome),
            Ok(TxOutcome::Undo(_)) | Err(_) => {
                transaction::roll_back(tx).await;
                return Ok(None);
            }
        }
    }
    match transaction::commit(tx).await {
        Ok(()) => Ok(Some(outcomes)),
        Err(failure) if failure.may_be_repeated() => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

#[cfg(test)]
mod tests;
