//! The writer: a thread that owns the file, and the port in front of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat};
use metrics::{counter, describe_counter};
use serde_json::json;
use tachi_engine::ports::Clock;
use tachi_engine::ports::audit::{AuditEntry, AuditError, AuditSink};
use tokio::sync::oneshot;

use crate::chain;
use crate::file::LogFile;

const LINES: &str = "tachi_audit_lines_total";
const FAILED: &str = "tachi_audit_failures_total";

/// How many lines may wait for the disk.
const WAITING: usize = 4_096;

/// How many lines go to the disk together.
const TOGETHER: usize = 256;

/// How long a line may take: a power command waits for it, and so does the recovery's beat.
const LIMIT: Duration = Duration::from_millis(1_500);

/// Where and how to write.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file. If another process writes it already, the next free one of its kind is taken.
    pub path: PathBuf,
    /// Who writes: the name under which the engine claims, or the user of a command.
    pub actor: String,
    /// Whether what cannot be written must not be done.
    pub required: bool,
}

/// The log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening the audit log {}", path.display())]
pub struct OpenError {
    /// Which.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

/// Why a line is not known to be on the disk.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error("{0}")]
    Failed(String),
    #[error("the disk has not taken it within {} ms", LIMIT.as_millis())]
    Late,
    #[error("{WAITING} lines wait for the disk already")]
    Full,
    #[error("its writer has ended")]
    Ended,
}

struct Job {
    entry: AuditEntry,
    done: Option<oneshot::Sender<Result<(), String>>>,
}

/// The audit log of this process.
pub struct AuditLog {
    /// As it was asked for; the file may be another one.
    options: Options,
    jobs: SyncSender<Job>,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl AuditLog {
    /// Opens the log. One that cannot be opened yet is tried again with each line, so that an engine starts all the same and
    /// says what it cannot do.
    ///
    /// # Errors
    ///
    /// No thread could be started.
    pub fn start(options: Options, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        describe_counter!(LINES, "Lines of the audit log that are on the disk");
        describe_counter!(FAILED, "Lines of the audit log that could not be written");
        counter!(LINES).increment(0);
        counter!(FAILED).increment(0);
        let (jobs, inbox) = sync_channel(WAITING);
        let mut writer = Writer {
            options: options.clone(),
            clock,
            file: None,
        };
        match writer.opened() {
            Ok(file) => tracing::info!(log = %file.path().display(), "audit log"),
            Err(error) => {
                let consequence = if options.required {
                    "no power command is sent until it can be written"
                } else {
                    "power commands are sent without it"
                };
                tracing::error!(log = %options.path.display(), %error, "the audit log cannot be opened: {consequence}");
            }
        }
        let path = options.path.clone();
        std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || writer.run(&inbox))
            .map_err(|source| OpenError { path, source })?;
        Ok(Self { options, jobs })
    }

    fn give(
        &self,
        entry: AuditEntry,
        done: Option<oneshot::Sender<Result<(), String>>>,
    ) -> Result<(), Unwritten> {
        self.jobs
            .try_send(Job { entry, done })
            .map_err(|error| match error {
                TrySendError::Full(_) => Unwritten::Full,
                TrySendError::Disconnected(_) => Unwritten::Ended,
            })
    }

    async fn written(&self, entry: AuditEntry) -> Result<(), Unwritten> {
        let (done, answer) = oneshot::channel();
        self.give(entry, Some(done))?;
        match tokio::time::timeout(LIMIT, answer).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(why))) => Err(Unwritten::Failed(why)),
            Ok(Err(_)) => Err(Unwritten::Ended),
            Err(_) => Err(Unwritten::Late),
        }
    }
}

#[async_trait]
impl AuditSink for AuditLog {
    async fn write(&self, entry: AuditEntry) -> Result<(), AuditError> {
        match self.written(entry).await {
            Ok(()) => Ok(()),
            Err(why) => {
                let log = self.options.path.display().to_string();
                if self.options.required {
                    return Err(AuditError {
                        log,
                        source: Box::new(why),
                    });
                }
                tracing::warn!(log, %why, "a power command is not in the audit log, and audit_required is false");
                Ok(())
            }
        }
    }

    fn note(&self, entry: AuditEntry) {
        if let Err(why) = self.give(entry, None) {
            counter!(FAILED).increment(1);
            tracing::warn!(log = %self.options.path.display(), %why, "a line is not in the audit log");
        }
    }
}

struct Writer {
    options: Options,
    clock: Arc<dyn Clock>,
    file: Option<LogFile>,
}

impl Writer {
    fn opened(&mut self) -> std::io::Result<&mut LogFile> {
        match &mut self.file {
            Some(_) => {}
            none => *none = Some(LogFile::open(&self.options.path)?),
        }
        self.file
            .as_mut()
            .ok_or_else(|| std::io::Error::other("not open"))
    }

    fn run(mut self, inbox: &Receiver<Job>) {
        loop {
            let first = match inbox.recv_timeout(Duration::from_secs(60)) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut jobs = vec![first];
            while jobs.len() < TOGETHER
                && let Ok(job) = inbox.try_recv()
            {
                jobs.push(job);
            }
            let entries: Vec<&AuditEntry> = jobs.iter().map(|job| &job.entry).collect();
            let outcome = self.put(&entries);
            let count = u64::try_from(jobs.len()).unwrap_or(u64::MAX);
            match &outcome {
                Ok(()) => counter!(LINES).increment(count),
                Err(why) => {
                    counter!(FAILED).increment(count);
                    tracing::error!(log = %self.options.path.display(), why, "the audit log cannot be written");
                    // Opened anew for the next line: what the disk has made of this one is read from it then.
                    self.file = None;
                }
            }
            for done in jobs.into_iter().filter_map(|job| job.done) {
                // Whoever waited may have given up.
                let _ = done.send(outcome.clone());
            }
        }
    }

    fn put(&mut self, entries: &[&AuditEntry]) -> Result<(), String> {
        let now = self.clock.wall().micros();
        let at = DateTime::from_timestamp_micros(now)
            .unwrap_or_default()
            .to_rfc3339_opts(SecondsFormat::Micros, true);
        let actor = self.options.actor.clone();
        let file = self.opened().map_err(|error| error.to_string())?;
        let mut head = file.head().clone();
        let mut text = String::new();
        let mut add = |head: &mut chain::Head, entry: &dyn erased::Entry| -> Result<(), String> {
            let (line, next) = entry.seal(head, &at, &actor).map_err(|error| error.to_string())?;
            text.push_str(&line);
            *head = next;
            Ok(())
        };
        let cut = file.take_cut();
        if cut > 0 {
            let told = json!({
                "action": "log",
                "text": format!("{cut} bytes of an unfinished line, which nobody was told was written, were cut off"),
            });
            add(&mut head, &told)?;
        }
        for entry in entries {
            add(&mut head, *entry)?;
        }
        file.append(&text, head).map_err(|error| error.to_string())
    }
}

/// A line of either kind.
mod erased {
    use serde::Serialize;

    use crate::chain::{self, Head};

    pub(super) trait Entry {
        fn seal(&self, head: &Head, at: &str, actor: &str) -> serde_json::Result<(String, Head)>;
    }

    impl<T: Serialize> Entry for T {
        fn seal(&self, head: &Head, at: &str, actor: &str) -> serde_json::Result<(String, Head)> {
            chain::seal(head, at, actor, self)
        }
    }
}

/// All logs that processes of this machine may have written for `path`, those that are there.
pub(crate) fn siblings(path: &Path) -> Vec<PathBuf> {
    (1..=16)
        .map(|number| crate::file::numbered(path, number))
        .filter(|path| path.exists())
        .collect()
}

#[cfg(test)]
mod tests;
