//! Concurrent notifications in one transaction.
//!
//! When a rack dies, or a network returns, hundreds of notifications arrive within a second. With separate
//! transactions, each would cost a dozen queries and a write to the disk. So the notifications that arrive during one
//! transaction share the next one, at the cost of one. As always, the response follows the commit.
//!
//! A batch contains only notifications that clearly are to be accepted, and several of one host only if they differ:
//! repetitions are detected by earlier commits. Each unusual notification, and each one of a failed batch, is then
//! handled alone in [`AcceptTransaction`](super::Accept), which has all the rules. A recovery's key that is already held is such a
//! failure: the unique key reports it, and no query checks it before.

mod batch;
mod known;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tachi_domain::entity::Notification;
use tachi_domain::entity::notification::NewNotification;
use tachi_domain::{HostId, Timestamp};
use tachi_engine::ports::RegistryError;
use tokio::sync::oneshot;

use super::{
    AcceptContext, AcceptOutcome, AcceptTransaction, duplicates, note_boots, recovery_row,
    with_failed_recovery,
};
use crate::convert;
use crate::entity::{host, notification, recovery};
use crate::error::{Failure, Stop};
use crate::insert;
use crate::lock;
use crate::registry::RegistryTables;
use crate::reporters;
use crate::transaction::{Transaction, Tx, TxOutcome};
use known::NameCache;

/// Limit of concurrent transactions of this kind: one is prepared while another waits for the disk.
const USUAL_WORKERS: usize = 2;

/// Limit while those are blocked; see [`EXTRA_WORKER_DELAY`].
const MAX_WORKERS: usize = 8;

/// Time without a response after which a caller starts another worker, because the running one may be blocked by a
/// lock.
const EXTRA_WORKER_DELAY: Duration = Duration::from_millis(50);

const OPERATION: &str = "accepting a notification";

/// The notifications that wait to be accepted.
#[derive(Default)]
pub(crate) struct AcceptQueue {
    queue: Mutex<Queue>,
    known: NameCache,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    workers: usize,
}

struct Entry {
    new: NewNotification,
    window_seconds: u32,
    now: Timestamp,
    /// The identity of the reporter, if it is muted.
    muted: Option<String>,
    answer: oneshot::Sender<Result<Notification, RegistryError>>,
}

impl AcceptQueue {
    /// Adds a notification to the queue.
    fn join(&self, entry: Entry) {
        self.queue().entries.push_back(entry);
    }

    /// True if the caller has to start another worker for the queue.
    fn another(&self, most: usize) -> bool {
        let mut queue = self.queue();
        let is_needed = queue.workers < most && !queue.entries.is_empty();
        if is_needed {
            queue.workers += 1;
        }
        is_needed
    }

    /// Returns the next batch, see [`batch::of`]. If it is empty, the worker has to end.
    fn next(&self) -> Vec<Entry> {
        let mut queue = self.queue();
        let batch = batch::of(&mut queue.entries);
        if batch.is_empty() {
            queue.workers -= 1;
        }
        batch
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code under this lock can leave the queue in an inconsistent state.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts a notification, together with those that arrive at the same time.
///
/// # Cancel safety
///
/// If the future is dropped, the work continues.
pub(crate) async fn accept(
    registry: &RegistryTables,
    new: &NewNotification,
    window_seconds: u32,
    now: Timestamp,
) -> Result<Notification, RegistryError> {
    let muted = reporters::muted_identity(&registry.db, &registry.muted_reporters, new).await;
    let muted = muted.map_err(|stop| stop.registry(OPERATION))?;
    let (answer, mut answered) = oneshot::channel();
    registry.waiting.join(Entry {
        new: new.clone(),
        window_seconds,
        now,
        muted,
        answer,
    });
    let mut most = USUAL_WORKERS;
    loop {
        if registry.waiting.another(most) {
            tokio::spawn(work(registry.clone()));
        }
        match tokio::time::timeout(EXTRA_WORKER_DELAY, &mut answered).await {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(gone)) => {
                return Err(RegistryError::Unavailable {
                    operation: OPERATION,
                    source: Box::new(gone),
                });
            }
            Err(_) => most = MAX_WORKERS,
        }
    }
}

/// Releases a worker's slot if the worker panics; otherwise it would be taken forever.
struct SlotGuard<'a>(&'a AcceptQueue);

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue().workers -= 1;
        }
    }
}

/// Works until no notification waits.
async fn work(registry: RegistryTables) {
    let _place = SlotGuard(&registry.waiting);
    loop {
        let batch = registry.waiting.next();
        match batch.len() {
            0 => return,
            1 => each_alone(&registry, batch).await,
            _ => at_once(&registry, batch).await,
        }
    }
}

async fn at_once(registry: &RegistryTables, batch: Vec<Entry>) {
    let together = AcceptBatch {
        entries: &batch,
        known: &registry.waiting.known,
    };
    match registry.db.write(&together).await {
        Ok(accepted) => {
            let mut alone = Vec::new();
            for (entry, accepted) in batch.into_iter().zip(accepted) {
                match accepted {
                    // A caller that has been dropped needs no response; the row exists.
                    Some(notification) => _ = entry.answer.send(Ok(notification)),
                    None => alone.push(entry),
                }
            }
            each_alone(registry, alone).await;
        }
        Err(Stop::Failed(Failure::Commit(error))) => {
            // They may have been written. If each were then handled alone, it would look like a repetition of a
            // notification that was never confirmed.
            tracing::warn!(%error, notifications = batch.len(), "database did not confirm a commit");
            for entry in batch {
                let lost = Failure::Commit(sea_orm::DbErr::Custom(error.to_string()));
                let error = RegistryError::Unavailable {
                    operation: OPERATION,
                    source: Box::new(lost),
                };
                _ = entry.answer.send(Err(error));
            }
        }
        Err(stop) => {
            tracing::debug!(
                ?stop,
                "failed to accept notifications together; accepting each alone"
            );
            each_alone(registry, batch).await;
        }
    }
}

async fn each_alone(registry: &RegistryTables, entries: Vec<Entry>) {
    join_all(entries.into_iter().map(|entry| async move {
        let accept = AcceptTransaction {
            new: &entry.new,
            window_seconds: entry.window_seconds,
            now: entry.now,
            muted: entry.muted.as_deref(),
        };
        let accepted = registry.db.write(&accept).await;
        let accepted =
            accepted
                .map_err(|stop| stop.registry(OPERATION))
                .and_then(|accepted| match accepted {
                    AcceptOutcome::Opened(notification) => Ok(notification),
                    AcceptOutcome::Joined => Err(RegistryError::Duplicate),
                });
        _ = entry.answer.send(accepted);
    }))
    .await;
}

/// Accepts the notifications that clearly are to be accepted; `None` for the others.
struct AcceptBatch<'a> {
    entries: &'a [Entry],
    known: &'a NameCache,
}

#[async_trait]
impl Transaction for AcceptBatch<'_> {
    type Output = Vec<Option<Notification>>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Self::Output>, Stop> {
        let hosts = self.hosts(tx).await?;
        let mut cases: Vec<Option<AcceptContext<'_>>> = self
            .entries
            .iter()
            .map(|entry| {
                let accept = AcceptTransaction {
                    new: &entry.new,
                    window_seconds: entry.window_seconds,
                    now: entry.now,
                    muted: None,
                };
                let host = hosts.get(&entry.new.hostname)?;
                // A report of a muted reporter is handled alone.
                if host.on_maintenance.unwrap_or(false) || entry.muted.is_some() {
                    return None;
                }
                let id: HostId = host.uuid.parse().ok()?;
                Some(accept.case(host.clone(), id))
            })
            .collect();
        let earlier = duplicates::earlier(tx, cases.iter().flatten()).await?;
        for slot in &mut cases {
            if let Some(case) = slot
                && case.is_repeated(&earlier)?
            {
                *slot = None;
            }
        }
        let stopped = cases.iter().flatten().filter(|case| case.host_stopped);
        let stopped: Vec<String> = stopped.map(|case| case.host.uuid.clone()).collect();
        let failed = with_failed_recovery(tx, &stopped).await?;
        for slot in &mut cases {
            slot.take_if(|case| case.host_stopped && failed.contains(&case.host.uuid));
        }
        note_boots(tx, cases.iter_mut().flatten()).await?;
        let rows: Vec<notification::ActiveModel> = cases
            .iter()
            .flatten()
            .map(AcceptContext::notification_row)
            .collect::<Result<_, _>>()?;
        if rows.is_empty() {
            return Ok(TxOutcome::Undo(self.entries.iter().map(|_| None).collect()));
        }
        let uuids: Vec<String> = rows
            .iter()
            .filter_map(|row| row.notification_uuid.try_as_ref().cloned())
            .collect();
        let written = insert::notifications(tx, rows).await?;
        let mut written: HashMap<String, notification::Model> = written
            .into_iter()
            .map(|row| (row.notification_uuid.clone(), row))
            .collect();
        let recoveries = cases.iter().flatten().zip(&uuids);
        let recoveries: Vec<recovery::ActiveModel> = recoveries
            .map(|(case, uuid)| {
                let (key, first_data) = (case.key.clone(), case.first_report()?);
                Ok(recovery_row(
                    &case.host,
                    uuid,
                    case.kind,
                    key,
                    first_data,
                    case.accept.now,
                ))
            })
            .collect::<Result<_, Stop>>()?;
        recovery::Entity::insert_many(recoveries)
            .exec_without_returning(tx)
            .await?;
        let mut uuids = uuids.into_iter();
        let accepted = cases
            .iter()
            .map(|slot| {
                let row = slot
                    .as_ref()
                    .and_then(|_| uuids.next())
                    .and_then(|uuid| written.remove(&uuid));
                row.map(convert::notification).transpose()
            })
            .collect::<Result<_, _>>()?;
        Ok(TxOutcome::Keep(accepted))
    }
}

impl AcceptBatch<'_> {
    /// Returns the hosts by name, with their locks taken.
    ///
    /// A notification is left to be handled alone if only the database considers its name equal to the host's. The same
    /// applies if the host was deleted, renamed or created again since its id was cached.
    async fn hosts(&self, tx: &Tx) -> Result<HashMap<String, host::Model>, Stop> {
        let names: HashSet<&str> = self
            .entries
            .iter()
            .map(|entry| entry.new.hostname.as_str())
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        let known = self.known.of(&names);
        let is_cached = known.is_some();
        let ids: Vec<String> = if let Some(ids) = known {
            ids
        } else {
            let found = host::Entity::find()
                .filter(host::Column::Name.is_in(names))
                .filter(host::Column::Deleted.eq(0))
                .all(tx)
                .await?;
            self.known.remember(&found);
            found.into_iter().map(|host| host.uuid).collect()
        };
        lock::take(tx, ids.iter().cloned()).await?;
        let taken = host::Entity::find()
            .filter(host::Column::Uuid.is_in(&ids))
            .filter(host::Column::Deleted.eq(0))
            .all(tx)
            .await?;
        let hosts: HashMap<String, host::Model> =
            taken.into_iter().map(|host| (host.name.clone(), host)).collect();
        if is_cached
            && !self
                .entries
                .iter()
                .all(|entry| hosts.contains_key(&entry.new.hostname))
        {
            self.known.clear();
        }
        Ok(hosts)
    }
}

#[cfg(test)]
mod tests;
