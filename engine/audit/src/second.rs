//! The second place of lines, out of reach of an attacker on this machine: the system's log, or a file on another file
//! system. It gets each line after the log. Its failure never blocks a power command, because no caller waits for it.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use metrics::counter;

use crate::log::FAILED;

/// Socket of the system's log.
const SYSLOG: &str = "/dev/log";

/// Facility 10 (for administrators only) and severity 5.
const PRIORITY: u8 = 10 * 8 + 5;

/// Limit of pending batches.
const MAX_PENDING_BATCHES: usize = 1_024;

/// Timeout of the wait for it in a process that may exit right after the write.
const LINGER_TIMEOUT: Duration = Duration::from_millis(250);

/// The target of the second copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Second {
    /// A file, to which whole lines are appended. They form the same chain as in the log.
    File(PathBuf),
    /// A socket of the system's log.
    Syslog(PathBuf),
}

/// An invalid second place.
#[derive(Debug, thiserror::Error)]
#[error("must be syslog, syslog:/path/of/its/socket or file:/path")]
pub struct SecondError;

impl FromStr for Second {
    type Err = SecondError;

    fn from_str(text: &str) -> Result<Self, SecondError> {
        let absolute = |path: &str| {
            let path = PathBuf::from(path);
            path.is_absolute().then_some(path).ok_or(SecondError)
        };
        match text.split_once(':') {
            None if text == "syslog" => Ok(Self::Syslog(SYSLOG.into())),
            Some(("syslog", path)) => absolute(path).map(Self::Syslog),
            Some(("file", path)) => absolute(path).map(Self::File),
            None | Some(_) => Err(SecondError),
        }
    }
}

impl std::fmt::Display for Second {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Syslog(path) => write!(f, "syslog:{}", path.display()),
        }
    }
}

/// Writes the second copy on its own thread, so that a hanging file system blocks nothing else.
pub(crate) struct SecondCopyWriter {
    batches: SyncSender<Batch>,
    place: Second,
    /// True after a wait has timed out. Later writes do not wait.
    is_hung: bool,
}

struct Batch {
    text: String,
    done: Option<SyncSender<()>>,
}

impl SecondCopyWriter {
    pub(crate) fn start(place: Second) -> io::Result<Self> {
        let (batches, inbox) = sync_channel(MAX_PENDING_BATCHES);
        let to = place.clone();
        std::thread::Builder::new()
            .name("audit-second".into())
            .spawn(move || run(&to, &inbox))?;
        Ok(Self {
            batches,
            place,
            is_hung: false,
        })
    }

    /// Writes whole lines. With `linger`, waits briefly until they are written: a command exits after its answer.
    pub(crate) fn write(&mut self, text: &str, linger: bool) {
        let (done, finished) = sync_channel(1);
        let batch = Batch {
            text: text.to_owned(),
            done: Some(done),
        };
        match self.batches.try_send(batch) {
            Ok(()) if linger && !self.is_hung => {
                self.is_hung = finished.recv_timeout(LINGER_TIMEOUT).is_err();
            }
            Ok(()) => {}
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                failed(&self.place, &batch.text, "earlier lines are still waiting");
            }
        }
    }
}

fn run(place: &Second, inbox: &Receiver<Batch>) {
    while let Ok(batch) = inbox.recv() {
        let copied = match place {
            Second::File(path) => add(path, &batch.text),
            Second::Syslog(path) => write_line(path, &batch.text),
        };
        if let Err(error) = copied {
            failed(place, &batch.text, &error.to_string());
        }
        if let Some(done) = batch.done {
            // The caller may have given up.
            let _ = done.try_send(());
        }
    }
}

fn failed(place: &Second, text: &str, why: &str) {
    let lines = u64::try_from(text.lines().count()).unwrap_or(u64::MAX);
    counter!(FAILED, "sink" => "second").increment(lines);
    tracing::error!(%place, lines, why, "failed to write lines to the second place of the audit log");
}

fn add(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

fn write_line(path: &Path, text: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    socket.connect(path)?;
    for line in text.lines() {
        let message = format!("<{PRIORITY}>tachi-audit[{}]: {line}", std::process::id());
        socket.send(message.as_bytes())?;
    }
    Ok(())
}
