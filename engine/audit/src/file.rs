//! The log file: opens it with its lock, continues at its end, reopens it after a rotation, and truncates it after a
//! failure.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::chain::{self, HashCheck, Head};
use crate::keys::Keys;

/// Maximum length of a line, in bytes. A file with a longer last line is not one of our logs.
pub(crate) const MAX_LINE_BYTES: u64 = 1 << 20;

/// Limit of engines of one machine that write concurrently.
const WRITERS: u32 = 16;

/// A log that only this process writes.
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    /// Position of the next line.
    end: u64,
    head: Head,
    /// Bytes of an unfinished line that were found and cut off.
    cut: u64,
    /// The key that seals its last line.
    key: Option<String>,
    /// Keeps the lock until it is dropped.
    _lock: File,
}

impl LogFile {
    /// Opens `configured`, or the next free one of its kind if another process writes that: `audit.jsonl`, `audit.2.jsonl`, ...
    pub(crate) fn open(configured: &Path, keys: Option<&Keys>) -> io::Result<Self> {
        if let Some(folder) = configured.parent() {
            std::fs::create_dir_all(folder)?;
        }
        for number in 1..=WRITERS {
            let path = numbered(configured, number);
            let lock = options().open(beside(&path, "lock"))?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Self::continue_at(path, lock, keys);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!("{WRITERS} processes already write audit logs of this name"),
        ))
    }

    fn continue_at(path: PathBuf, lock: File, keys: Option<&Keys>) -> io::Result<Self> {
        let mut file = open_log(&path)?;
        let Found { head, end, cut, key } = found(&mut file, &path, keys)?;
        if cut > 0 {
            file.set_len(end)?;
        }
        // The folder's entry must survive a crash too, not only the file's content.
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self {
            path,
            file,
            end,
            head,
            cut,
            key,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the key that seals its last line; `None` if it has no key.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    pub(crate) fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }

    /// Writes `text`, whole lines up to `head`, to the disk. If that fails, removes all of it again, as far as the disk
    /// allows.
    pub(crate) fn append(&mut self, text: &str, head: Head, key: Option<&str>) -> io::Result<()> {
        self.follow_rotation()?;
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // The state after a failed write is unknown, in the cache and on the disk: truncate it and read the end
            // again.
            let _ = self.file.set_len(self.end).and_then(|()| self.file.sync_data());
            return Err(error);
        }
        self.end += u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.head = head;
        self.key = key.map(str::to_owned);
        self.store_head();
        Ok(())
    }

    /// Switches to the new file after a rotation; the chain continues through both.
    fn follow_rotation(&mut self) -> io::Result<()> {
        let ours = self.file.metadata()?;
        let there = std::fs::metadata(&self.path);
        let same = there
            .as_ref()
            .is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
        if !same {
            self.file = open_log(&self.path)?;
            if let Some(folder) = self.path.parent() {
                File::open(folder)?.sync_all()?;
            }
            self.end = self.file.metadata()?.len();
        } else if ours.len() < self.end {
            // The file was copied and emptied.
            self.end = ours.len();
        } else if ours.len() > self.end {
            // A failed write could not be truncated, or another process has written: never append to half a line.
            self.file.set_len(self.end)?;
        }
        Ok(())
    }

    /// Stores the head beside the log, as best effort. Without it, a rotation during a restart starts a new chain, and
    /// missing lines at the end are not detected.
    fn store_head(&self) {
        let path = beside(&self.path, "head");
        let new = beside(&self.path, "head.new");
        let head = serde_json::to_vec(&self.head)
            .map_err(io::Error::other)
            .and_then(|bytes| std::fs::write(&new, bytes))
            .and_then(|()| std::fs::rename(&new, &path));
        if let Err(error) = head {
            tracing::debug!(path = %path.display(), %error, "failed to save the head of the audit log");
        }
    }
}

/// Opens a regular file only: a pipe or a device stores nothing, and may never end.
fn open_log(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(strange(path, "it is not a regular file"));
    }
    options().open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o640);
    options
}

/// Returns the name of a log by its number: `audit.jsonl`, `audit.2.jsonl`, ...
pub(crate) fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

pub(crate) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(what);
    path.with_file_name(name)
}

/// Returns the head stored beside a log, if there is one.
pub(crate) fn stored_head(path: &Path) -> Option<Head> {
    serde_json::from_slice(&std::fs::read(beside(path, "head")).ok()?).ok()
}

/// The end of a log.
struct Found {
    head: Head,
    /// End of its last complete line.
    end: u64,
    /// Number of bytes after it.
    cut: u64,
    /// The key of that line.
    key: Option<String>,
}

fn found(file: &mut File, path: &Path, keys: Option<&Keys>) -> io::Result<Found> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(2 * MAX_LINE_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let Some(last) = tail.iter().rposition(|byte| *byte == b'\n') else {
        if from > 0 {
            return Err(strange(path, "its end is not a line of an audit log"));
        }
        // The file is empty, or its first line was truncated: the chain continues from the previous file.
        return Ok(Found {
            head: stored_head(path).unwrap_or_default(),
            end: 0,
            cut: length,
            key: None,
        });
    };
    let cut = u64::try_from(tail.len() - last - 1).unwrap_or(u64::MAX);
    let begin = tail[..last]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let opened = chain::open(&tail[begin..last], keys);
    let (line, checked) = opened.map_err(|why| strange(path, &format!("last line: {why}")))?;
    if checked == HashCheck::No {
        return Err(strange(
            path,
            "its lines are sealed with a key, and [fencing] audit_key_file is not set",
        ));
    }
    let head = Head {
        seq: line.seq,
        hash: line.hash,
    };
    Ok(Found {
        head,
        end: length - cut,
        cut,
        key: line.key,
    })
}

fn strange(path: &Path, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "{} cannot be continued: {why}. Move it away, keep it for inspection, and start again",
            path.display()
        ),
    )
}
