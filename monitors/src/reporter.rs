//! Storing of reports.

use std::sync::Arc;

use tachi_instance_ha::Notification;
use tachi_spool::{Entry, Spool, SpoolError};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::Clock;
use crate::delivery::Store;
use crate::health::Health;

/// Limit of reports that wait to be written; further ones wait for the disk.
const MAX_QUEUED: usize = 256;

/// Limit of reports per sync.
const BATCH: usize = 64;

/// The reason why a report was not stored: the monitor still has it, and retries.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The disk did not accept it, or the spool is full.
    #[error("storing a report")]
    NotStored(#[source] Arc<SpoolError>),
    #[error("storing a report: the monitor is stopping")]
    Stopping,
}

type WriteResult = oneshot::Sender<Result<usize, ReportError>>;

struct Message {
    entry: Option<Entry>,
    /// The subject whose pending reports are dropped, and the reason.
    replaces: Option<(String, String)>,
    /// Query of the number of reports with this subject; writes nothing.
    count_of: Option<String>,
    written: WriteResult,
}

/// A handle for reports. Clones report to the same spool.
#[derive(Clone)]
pub struct Reporter {
    queue: mpsc::Sender<Message>,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reporter")
    }
}

impl Reporter {
    /// Stores a report. When this returns, the report is on the disk and will be delivered, in order, whatever happens:
    /// the monitor may forget the event.
    ///
    /// # Errors
    ///
    /// The report is not stored. If writing failed, it is nevertheless delivered from memory: repeat it, unchanged,
    /// until it is on the disk or delivered.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the report may have been stored.
    pub async fn report(&self, notification: &Notification) -> Result<(), ReportError> {
        self.send(Some(entry(notification)), None).await.map(|_| ())
    }

    /// Stores a report and drops undelivered ones with the same subject, in one step: they are obsolete. `why` is
    /// logged. Returns the number of dropped reports.
    ///
    /// # Errors
    ///
    /// The same errors as [`report`](Self::report); nothing is dropped then.
    pub async fn report_replacing(
        &self,
        notification: &Notification,
        why: &str,
    ) -> Result<usize, ReportError> {
        let replaces = (notification.subject().to_owned(), why.to_owned());
        self.send(Some(entry(notification)), Some(replaces)).await
    }

    /// Drops undelivered reports about `subject`, which are obsolete. Returns their number.
    ///
    /// # Errors
    ///
    /// The disk did not accept it.
    pub async fn withdraw(&self, subject: &str, why: &str) -> Result<usize, ReportError> {
        self.send(None, Some((subject.to_owned(), why.to_owned()))).await
    }

    /// Returns the number of undelivered reports about `subject`.
    ///
    /// # Errors
    ///
    /// The monitor is stopping, so the number is unknown.
    pub async fn waiting(&self, subject: &str) -> Result<usize, ReportError> {
        let (written, answer) = oneshot::channel();
        let message = Message {
            entry: None,
            replaces: None,
            count_of: Some(subject.to_owned()),
            written,
        };
        self.queue
            .send(message)
            .await
            .map_err(|_| ReportError::Stopping)?;
        answer.await.map_err(|_| ReportError::Stopping)?
    }

    async fn send(
        &self,
        entry: Option<Entry>,
        replaces: Option<(String, String)>,
    ) -> Result<usize, ReportError> {
        let (written, answer) = oneshot::channel();
        let message = Message {
            entry,
            replaces,
            count_of: None,
            written,
        };
        self.queue
            .send(message)
            .await
            .map_err(|_| ReportError::Stopping)?;
        answer.await.map_err(|_| ReportError::Stopping)?
    }
}

fn entry(notification: &Notification) -> Entry {
    Entry {
        subject: notification.subject().to_owned(),
        body: notification.body().to_owned(),
        header: notification.evidence().map(ToOwned::to_owned),
        minor: notification.is_minor(),
    }
}

/// Writes reports to the disk, many with one sync.
pub(crate) struct SpoolWriter {
    queue: mpsc::Receiver<Message>,
    store: Store,
    fresh: Arc<Notify>,
    health: Health,
    clock: Clock,
}

impl SpoolWriter {
    /// Creates a writer, and the handle to it. `fresh` is notified when there is something to deliver.
    pub(crate) fn new(store: Store, fresh: Arc<Notify>, health: Health, clock: Clock) -> (Self, Reporter) {
        let (sender, queue) = mpsc::channel(MAX_QUEUED);
        let keeper = Self {
            queue,
            store,
            fresh,
            health,
            clock,
        };
        (keeper, Reporter { queue: sender })
    }

    /// Stores reports until all handles are dropped.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.queue.recv_many(&mut batch, BATCH).await > 0 {
            for group in groups(std::mem::take(&mut batch)) {
                self.keep(group).await;
            }
            self.fresh.notify_one();
        }
    }

    async fn keep(&self, mut group: Vec<Message>) {
        if let Some(subject) = group.first_mut().and_then(|message| message.count_of.take()) {
            let waiting = self.store.with(move |spool| about(spool, &subject).len()).await;
            for message in group {
                // A caller that does not wait needs no answer.
                let _ = message.written.send(Ok(waiting));
            }
            return;
        }
        let at = self.clock.stamp();
        let (mut entries, mut waiting) = (Vec::new(), Vec::new());
        let mut replaces = None;
        for message in group {
            replaces = replaces.or(message.replaces);
            entries.extend(message.entry);
            waiting.push(message.written);
        }
        let stale = replaces.clone();
        let outcome = self
            .store
            .with(move |spool| {
                let mut old: Vec<u64> = match &stale {
                    Some((subject, _)) => about(spool, subject),
                    None => Vec::new(),
                };
                // A repetition after a failed write does not replace itself.
                let is_repetition = |seq: &u64| {
                    let record = spool.get(*seq);
                    record.is_some_and(|record| entries.iter().any(|entry| entry.body == record.body))
                };
                old.retain(|seq| !is_repetition(seq));
                // The new report is stored first: if the process dies between the two, both are delivered, in their
                // order.
                let put = match spool.put(entries, &at) {
                    // The report is held in memory.
                    Err(error @ SpoolError::Write { .. }) => Err(error),
                    Err(error) => return (Err(error), false),
                    Ok(_) => Ok(()),
                };
                let gone = spool.gone(&old);
                (put.and(gone.map(|()| old.len())), spool.is_written())
            })
            .await;
        let (outcome, written) = outcome;
        match &outcome {
            Ok(dropped) => {
                // A report that was delivered from memory is safe, and shows nothing about the disk.
                if written {
                    self.health.good("spool");
                }
                if let (Some((subject, why)), true) = (&replaces, *dropped > 0) {
                    tracing::info!(%subject, %why, reports = dropped, "dropping obsolete undelivered reports");
                    crate::delivery::dropped("overtaken", *dropped);
                }
            }
            Err(error) => self.health.bad("spool", chain(error)),
        }
        let outcome = outcome.map_err(|error| ReportError::NotStored(Arc::new(error)));
        for writer in waiting {
            // A caller that does not wait needs no answer.
            let _ = writer.send(outcome.clone());
        }
    }
}

fn about(spool: &Spool, subject: &str) -> Vec<u64> {
    let about = spool.iter().filter(|record| record.subject == subject);
    about.map(|record| record.seq).collect()
}

/// True for a report that drops no others and queries nothing.
fn plain(message: &Message) -> bool {
    message.replaces.is_none() && message.count_of.is_none()
}

/// Groups messages for one sync: plain reports together, one that replaces others alone.
fn groups(batch: Vec<Message>) -> Vec<Vec<Message>> {
    let mut groups: Vec<Vec<Message>> = Vec::new();
    for message in batch {
        match groups.last_mut() {
            Some(last) if plain(&message) && last.iter().all(plain) => {
                last.push(message);
            }
            _ => groups.push(vec![message]),
        }
    }
    groups
}

fn chain(error: &SpoolError) -> String {
    let mut text = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(error) = below {
        text.push_str(": ");
        text.push_str(&error.to_string());
        below = error.source();
    }
    text
}
