//! The writer: a thread that owns the file, and the port in front of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat};
use metrics::{counter, describe_counter};
use serde::Serialize;
use serde_json::json;
use tachi_engine::ports::Clock;
use tachi_engine::ports::audit::{AuditEntry, AuditError, AuditSink};
use tokio::sync::oneshot;

use crate::chain;
use crate::file::LogFile;
use crate::keys::{KeyFile, Keys};
use crate::second::{Second, SecondCopyWriter};

const LINES: &str = "tachi_audit_lines_total";
pub(crate) const FAILED: &str = "tachi_audit_failures_total";

/// Limit of pending lines.
const MAX_PENDING_LINES: usize = 4_096;

/// Limit of lines per write.
const MAX_LINES_PER_WRITE: usize = 256;

/// Timeout of a line: a power command waits for it, and so does the recovery's heartbeat.
const WRITE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Options of the audit log.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file. If another process already writes it, the next free name is taken (`NAME.2.jsonl`).
    pub path: PathBuf,
    /// The writer: the engine's name in its claims, or the user of a command.
    pub actor: String,
    /// True to refuse an action whose line cannot be written.
    pub required: bool,
    /// The file with the keys that seal lines.
    pub key_file: Option<PathBuf>,
    /// The second place of lines.
    pub second: Option<Second>,
}

/// The log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening the audit log {}", path.display())]
pub struct OpenError {
    /// The file as the configuration names it.
    pub path: PathBuf,
    #[source]
    pub source: std::io::Error,
}

/// The reason why a line is not confirmed on disk.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{0}")]
    Failed(String),
    #[error("the disk did not confirm the line within {} ms", WRITE_TIMEOUT.as_millis())]
    Late,
    #[error("{MAX_PENDING_LINES} lines are already waiting for the disk")]
    Full,
    #[error("the thread that writes the log has ended")]
    Ended,
}

struct Job {
    entry: AuditEntry,
    done: Option<oneshot::Sender<Result<(), String>>>,
}

/// The audit log of this process.
pub struct AuditLog {
    /// The configured options; the open file may be another one after a rotation.
    options: Options,
    /// Boxed, because the channel allocates space for its full capacity at once.
    jobs: SyncSender<Box<Job>>,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl AuditLog {
    /// Opens the log. If that fails, each line retries it, so that an engine starts nevertheless and reports the
    /// problem.
    ///
    /// # Errors
    ///
    /// The thread could not be started.
    pub fn start(options: Options, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        describe_counter!(LINES, "Lines of the audit log written to the disk");
        describe_counter!(FAILED, "Lines of the audit log that could not be written");
        counter!(LINES).increment(0);
        counter!(FAILED).increment(0);
        let (jobs, inbox) = sync_channel(MAX_PENDING_LINES);
        let mut writer = Writer {
            options: options.clone(),
            clock,
            keys: None,
            file: None,
            second: None,
        };
        if let Some(place) = options.second.clone() {
            let path = options.path.clone();
            writer.second =
                Some(SecondCopyWriter::start(place).map_err(|source| OpenError { path, source })?);
        }
        match writer.opened() {
            Ok(file) => tracing::info!(log = %file.path().display(), "audit log opened"),
            Err(error) => {
                let consequence = if options.required {
                    "no power command is sent until the log can be written"
                } else {
                    "power commands are sent without audit lines"
                };
                tracing::error!(log = %options.path.display(), %error, consequence, "failed to open the audit log");
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
    ) -> Result<(), WriteError> {
        self.jobs
            .try_send(Box::new(Job { entry, done }))
            .map_err(|error| match error {
                TrySendError::Full(_) => WriteError::Full,
                TrySendError::Disconnected(_) => WriteError::Ended,
            })
    }

    async fn written(&self, entry: AuditEntry) -> Result<(), WriteError> {
        let (done, answer) = oneshot::channel();
        self.give(entry, Some(done))?;
        match tokio::time::timeout(WRITE_TIMEOUT, answer).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(why))) => Err(WriteError::Failed(why)),
            Ok(Err(_)) => Err(WriteError::Ended),
            Err(_) => Err(WriteError::Late),
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
                tracing::warn!(log, %why, "failed to write a power command to the audit log; sending it, because audit_required is false");
                Ok(())
            }
        }
    }

    fn note(&self, entry: AuditEntry) {
        if let Err(why) = self.give(entry, None) {
            counter!(FAILED).increment(1);
            tracing::warn!(log = %self.options.path.display(), %why, "failed to queue a line for the audit log");
        }
    }
}

struct Writer {
    options: Options,
    clock: Arc<dyn Clock>,
    keys: Option<KeyFile>,
    file: Option<LogFile>,
    second: Option<SecondCopyWriter>,
}

impl Writer {
    fn opened(&mut self) -> std::io::Result<&mut LogFile> {
        if let (None, Some(path)) = (&self.keys, &self.options.key_file) {
            let opened = KeyFile::open(path.clone());
            self.keys = Some(opened.map_err(std::io::Error::other)?);
        }
        match &mut self.file {
            Some(_) => {}
            none => {
                let keys = self.keys.as_mut().map(KeyFile::keys);
                *none = Some(LogFile::open(&self.options.path, keys)?);
            }
        }
        self.file
            .as_mut()
            .ok_or_else(|| std::io::Error::other("the log is not open"))
    }

    fn run(mut self, inbox: &Receiver<Box<Job>>) {
        loop {
            let first = match inbox.recv_timeout(Duration::from_secs(60)) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut jobs = vec![first];
            while jobs.len() < MAX_LINES_PER_WRITE
                && let Ok(job) = inbox.try_recv()
            {
                jobs.push(job);
            }
            let entries: Vec<&AuditEntry> = jobs.iter().map(|job| &job.entry).collect();
            let awaited = jobs.iter().any(|job| job.done.is_some());
            let outcome = self.put(&entries, awaited);
            let count = u64::try_from(jobs.len()).unwrap_or(u64::MAX);
            match &outcome {
                Ok(()) => counter!(LINES).increment(count),
                Err(why) => {
                    counter!(FAILED).increment(count);
                    tracing::error!(log = %self.options.path.display(), why, "failed to write the audit log");
                    // Drops the file, which is reopened for the next line: the end is read from the disk again.
                    self.file = None;
                }
            }
            for done in jobs.into_iter().filter_map(|job| job.done) {
                // The caller may have given up.
                let _ = done.send(outcome.clone());
            }
        }
    }

    /// Writes the entries. `awaited` is true if a caller waits for the result.
    fn put(&mut self, entries: &[&AuditEntry], awaited: bool) -> Result<(), String> {
        let now = self.clock.wall().micros();
        let at = DateTime::from_timestamp_micros(now)
            .unwrap_or_default()
            .to_rfc3339_opts(SecondsFormat::Micros, true);
        self.opened().map_err(|error| error.to_string())?;
        let keys = self.keys.as_mut().map(KeyFile::keys);
        let Some(file) = &mut self.file else {
            return Err("the log is not open".into());
        };
        let mut batch = LineBatch {
            at: &at,
            actor: &self.options.actor,
            keys,
            head: file.head().clone(),
            text: String::new(),
        };
        let cut = file.take_cut();
        if cut > 0 {
            batch.append(&format!(
                "removed {cut} bytes of an unfinished line that was never confirmed as written"
            ))?;
        }
        let key = keys.map(Keys::newest);
        if key != file.key() {
            batch.append(&match key {
                Some(key) => format!("the following lines are sealed with key {key}"),
                None => "the following lines are sealed without a key".to_owned(),
            })?;
        }
        for entry in entries {
            batch.add(*entry)?;
        }
        let LineBatch { head, text, .. } = batch;
        let written = file.append(&text, head, key);
        written.map_err(|error| error.to_string())?;
        if let Some(second) = &mut self.second {
            second.write(&text, awaited);
        }
        Ok(())
    }
}

/// A batch of lines for one write.
struct LineBatch<'a> {
    at: &'a str,
    actor: &'a str,
    keys: Option<&'a Keys>,
    head: chain::Head,
    text: String,
}

impl LineBatch<'_> {
    fn add(&mut self, entry: &impl Serialize) -> Result<(), String> {
        let sealed = chain::seal(&self.head, self.at, self.actor, entry, self.keys);
        let (line, head) = sealed.map_err(|error| error.to_string())?;
        self.text.push_str(&line);
        self.head = head;
        Ok(())
    }

    /// Adds a line about the log itself.
    fn append(&mut self, text: &str) -> Result<(), String> {
        self.add(&json!({ "action": "log", "text": text }))
    }
}

/// Returns the existing logs that processes of this machine may have written for `path`.
pub(crate) fn siblings(path: &Path) -> Vec<PathBuf> {
    (1..=16)
        .map(|number| crate::file::numbered(path, number))
        .filter(|path| path.exists())
        .collect()
}

#[cfg(test)]
mod tests;
