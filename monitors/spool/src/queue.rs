//! The queue of records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, FileDisk, LateDisk};
use crate::error::SpoolError;
use crate::line::{self, Line};
use crate::stamp::Stamp;

/// The file is rewritten when its removed records exceed this many bytes, and the remaining ones.
const MAX_GARBAGE_BYTES: usize = 256 << 10;

/// Number of remembered entries that were delivered before they were written, so that a repetition is not stored.
const MAX_DELIVERED_ENTRIES: usize = 1024;

/// Approximate overhead of a record's lines, in bytes.
const OVERHEAD: usize = 160;

/// An entry to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The subject. Records with one subject keep their order and can be replaced together.
    pub subject: String,
    /// The body to send.
    pub body: String,
    /// The header to send with it.
    pub header: Option<String>,
    /// True if it may be dropped to make room when the queue is full.
    pub minor: bool,
}

/// A stored record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The number, which increases and is never reused.
    pub seq: u64,
    /// The time of storing.
    pub at: Stamp,
    /// The subject.
    pub subject: String,
    /// The body to send.
    pub body: String,
    /// The header to send with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// True if it may be dropped.
    #[serde(default)]
    pub minor: bool,
}

impl Record {
    fn size(&self) -> usize {
        self.subject.len() + self.body.len() + self.header.as_ref().map_or(0, String::len) + OVERHEAD
    }
}

/// Limits of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The number of records.
    pub records: usize,
    /// The size in bytes, including the overhead.
    pub bytes: usize,
}

impl Default for Limits {
    /// Returns limits that are small enough to hold the queue in memory as well.
    fn default() -> Self {
        Self {
            records: 4096,
            bytes: 2 << 20,
        }
    }
}

/// The findings of opening a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The number of stored records.
    pub records: usize,
    /// True if a crash damaged the last line, which no caller relied on.
    pub torn: bool,
    /// The number of damaged lines before the last; the file is kept at `kept`.
    pub damaged: usize,
    /// The path of the damaged file.
    pub kept: Option<PathBuf>,
    /// The reason why the folder cannot be used; until it can, everything is held in memory only.
    pub unusable: Option<String>,
}

pub struct Spool {
    disk: Box<dyn Disk>,
    path: PathBuf,
    limits: Limits,
    records: BTreeMap<u64, Record>,
    next: u64,
    /// The size of `records`, by [`Record::size`].
    live: usize,
    /// The approximate size of the file.
    written: usize,
    /// True if the file's content is unknown; it is rewritten before anything else.
    file_uncertain: bool,
    /// Records that are only in memory, because the disk did not accept them.
    memory_only: BTreeSet<u64>,
    /// Entries that were only in memory and are delivered: a repetition is confirmed as stored.
    delivered: VecDeque<(String, String)>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("path", &self.path)
            .field("records", &self.records.len())
            .finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens the queue in `folder`, which is created if it is missing. The folder belongs to this process until the
    /// queue is dropped.
    ///
    /// An unusable folder is no error: entries are held in memory, and written once that is possible.
    ///
    /// # Errors
    ///
    /// Another process uses the folder.
    pub fn open(folder: &Path, limits: Limits) -> Result<(Self, OpenReport), SpoolError> {
        let (disk, bytes) = match FileDisk::open(folder) {
            Ok(opened) => opened,
            Err(error @ SpoolError::InUse { .. }) => return Err(error),
            Err(error) => return Ok(Self::open_late(folder, limits, &error)),
        };
        let read = Read::of(&bytes);
        let mut opened = OpenReport {
            records: read.records.len(),
            torn: read.torn,
            damaged: read.damaged,
            ..OpenReport::default()
        };
        if read.damaged > 0 {
            match disk.keep_damaged(&bytes) {
                Ok(path) => opened.kept = Some(path),
                Err(error) => {
                    tracing::error!(%error, "failed to keep a copy of the damaged spool");
                }
            }
        }
        let mut spool = Self::with_disk(Box::new(disk), folder.join("queue"), limits, &read, bytes.len());
        spool.records = read.records;
        if spool.file_uncertain
            && let Err(error) = spool.rewrite()
        {
            // The file is rewritten before anything else.
            opened.unusable = Some(chain(&error));
        }
        Ok((spool, opened))
    }

    fn open_late(folder: &Path, limits: Limits, why: &SpoolError) -> (Self, OpenReport) {
        let (disk, bytes) = LateDisk::new(folder);
        let read = Read::of(&bytes);
        let opened = OpenReport {
            records: read.records.len(),
            torn: read.torn,
            damaged: read.damaged,
            unusable: Some(chain(why)),
            ..OpenReport::default()
        };
        let mut spool = Self::with_disk(Box::new(disk), folder.join("queue"), limits, &read, bytes.len());
        spool.records = read.records;
        spool.file_uncertain = true;
        (spool, opened)
    }

    fn with_disk(disk: Box<dyn Disk>, path: PathBuf, limits: Limits, read: &Read, written: usize) -> Self {
        Self {
            disk,
            path,
            limits,
            records: BTreeMap::new(),
            next: read.next,
            live: read.records.values().map(Record::size).sum(),
            written,
            file_uncertain: read.torn || read.damaged > 0,
            memory_only: BTreeSet::new(),
            delivered: VecDeque::new(),
        }
    }

    /// Counts the records in `folder`, without locking or changing it: the reader may be another user than the owner.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn waiting(folder: &Path) -> Result<usize, SpoolError> {
        let path = folder.join("queue");
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Read::of(&bytes).records.len()),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(SpoolError::Read { path, source }),
        }
    }

    /// Stores `entries`, all of them or none. When this returns, they are on the disk, or were delivered meanwhile.
    ///
    /// If the queue is full, the oldest minor records are dropped, if that is enough and the new ones are not minor
    /// themselves.
    ///
    /// # Errors
    ///
    /// The queue is full. Or writing failed ([`SpoolError::Write`]): then the entries stay in memory, can be delivered
    /// from there, and are written with the next successful write. A repetition finds them there.
    pub fn put(&mut self, mut entries: Vec<Entry>, at: &Stamp) -> Result<Vec<u64>, SpoolError> {
        let memory_only: Vec<u64> = entries.iter().filter_map(|entry| self.holds(entry)).collect();
        entries.retain(|entry| self.holds(entry).is_none() && !self.was_delivered(entry));
        if entries.is_empty() {
            if !memory_only.is_empty() {
                self.rewrite()?;
            }
            return Ok(memory_only);
        }
        let mut next = self.next;
        let mut fresh = Vec::with_capacity(entries.len());
        for entry in entries {
            let record = Record {
                seq: next,
                at: at.clone(),
                subject: entry.subject,
                body: entry.body,
                header: entry.header,
                minor: entry.minor,
            };
            if record.size() > self.limits.bytes {
                return Err(SpoolError::TooLarge {
                    bytes: record.size(),
                    limit: self.limits.bytes,
                });
            }
            next += 1;
            fresh.push(record);
        }
        let evicted = self.room_for(&fresh)?;
        let mut text = Vec::new();
        if !evicted.is_empty() {
            line::write(&Line::Gone(evicted.clone()), &mut text).map_err(SpoolError::Encode)?;
        }
        let mut seqs = Vec::with_capacity(fresh.len());
        let mut lines = Vec::with_capacity(fresh.len());
        for record in fresh {
            seqs.push(record.seq);
            lines.push(Line::Put(record));
        }
        for line in &lines {
            line::write(line, &mut text).map_err(SpoolError::Encode)?;
        }
        let written = self.append(&text);
        if !evicted.is_empty() {
            tracing::warn!(
                records = evicted.len(),
                "spool is full; dropped the oldest reports that cause no recovery"
            );
        }
        for seq in &evicted {
            self.remove(*seq);
        }
        for line in lines {
            if let Line::Put(record) = line {
                self.live += record.size();
                self.records.insert(record.seq, record);
            }
        }
        self.next = next;
        if let Err(error) = written {
            self.memory_only.extend(seqs);
            return Err(error);
        }
        seqs.extend(memory_only);
        Ok(seqs)
    }

    /// Returns the number of an entry that is held only in memory.
    fn holds(&self, entry: &Entry) -> Option<u64> {
        let same = |record: &&Record| record.subject == entry.subject && record.body == entry.body;
        let mut memory_only = self.memory_only.iter().filter_map(|seq| self.records.get(seq));
        memory_only.find(same).map(|record| record.seq)
    }

    fn was_delivered(&self, entry: &Entry) -> bool {
        self.delivered
            .iter()
            .any(|(subject, body)| *subject == entry.subject && *body == entry.body)
    }

    /// Returns the records to drop to make room for `fresh`.
    fn room_for(&self, fresh: &[Record]) -> Result<Vec<u64>, SpoolError> {
        let mut records = self.records.len() + fresh.len();
        let mut bytes = self.live + fresh.iter().map(Record::size).sum::<usize>();
        let fits =
            |records: usize, bytes: usize| records <= self.limits.records && bytes <= self.limits.bytes;
        let mut evicted = Vec::new();
        if !fits(records, bytes) && fresh.iter().any(|record| !record.minor) {
            for old in self.records.values().filter(|record| record.minor) {
                if fits(records, bytes) {
                    break;
                }
                evicted.push(old.seq);
                records -= 1;
                bytes -= old.size();
            }
        }
        if fits(records, bytes) {
            Ok(evicted)
        } else {
            Err(SpoolError::Full {
                records: self.records.len(),
                bytes: self.live,
            })
        }
    }

    /// Removes records from the queue. When this returns, the removal is on the disk.
    ///
    /// # Errors
    ///
    /// The disk did not accept it. The records are removed all the same, and come back only after a restart of the
    /// process.
    pub fn gone(&mut self, seqs: &[u64]) -> Result<(), SpoolError> {
        let known: Vec<u64> = seqs
            .iter()
            .copied()
            .filter(|seq| self.records.contains_key(seq))
            .collect();
        if known.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        line::write(&Line::Gone(known.clone()), &mut text).map_err(SpoolError::Encode)?;
        let written = self.append(&text);
        for seq in known {
            self.remove(seq);
        }
        written
    }

    fn remove(&mut self, seq: u64) {
        let Some(record) = self.records.remove(&seq) else {
            return;
        };
        self.live -= record.size();
        if self.memory_only.remove(&seq) {
            self.delivered.push_back((record.subject, record.body));
            if self.delivered.len() > MAX_DELIVERED_ENTRIES {
                self.delivered.pop_front();
            }
        }
    }

    /// Returns the records, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Record> + Clone {
        self.records.values()
    }

    /// Returns the record with this number.
    pub fn get(&self, seq: u64) -> Option<&Record> {
        self.records.get(&seq)
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// True if the file matches this queue.
    pub fn is_written(&self) -> bool {
        !self.file_uncertain
    }

    fn append(&mut self, text: &[u8]) -> Result<(), SpoolError> {
        let garbage = self.written.saturating_sub(self.live);
        if self.file_uncertain || garbage > MAX_GARBAGE_BYTES.max(self.live) {
            self.rewrite()?;
        }
        if let Err(source) = self.disk.append(text) {
            // Part of the text may be on the disk, and after a failed sync the system may have dropped it.
            self.file_uncertain = true;
            return Err(self.unwritten(source));
        }
        self.written += text.len();
        Ok(())
    }

    fn rewrite(&mut self) -> Result<(), SpoolError> {
        let mut text = Vec::new();
        line::write(&Line::Next(self.next), &mut text).map_err(SpoolError::Encode)?;
        for record in self.records.values() {
            line::write(&Line::Put(record.clone()), &mut text).map_err(SpoolError::Encode)?;
        }
        self.file_uncertain = true;
        if let Err(source) = self.disk.replace(&text) {
            return Err(self.unwritten(source));
        }
        self.file_uncertain = false;
        self.memory_only.clear();
        self.written = text.len();
        Ok(())
    }

    fn unwritten(&self, source: std::io::Error) -> SpoolError {
        SpoolError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let below = std::iter::successors(error.source(), |error| error.source());
    below.fold(error.to_string(), |text, error| format!("{text}: {error}"))
}

/// The parsed content of a file.
#[derive(Debug, Default)]
struct Read {
    records: BTreeMap<u64, Record>,
    next: u64,
    torn: bool,
    damaged: usize,
}

impl Read {
    fn of(bytes: &[u8]) -> Self {
        let mut read = Self {
            next: 1,
            ..Self::default()
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                read.torn = true;
                break;
            };
            let (line, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            match line::read(line) {
                Some(Line::Put(record)) => {
                    read.next = read.next.max(record.seq.saturating_add(1));
                    read.records.insert(record.seq, record);
                }
                Some(Line::Gone(seqs)) => {
                    for seq in seqs {
                        read.next = read.next.max(seq.saturating_add(1));
                        read.records.remove(&seq);
                    }
                }
                Some(Line::Next(next)) => read.next = read.next.max(next),
                None => read.damaged += 1,
            }
        }
        read
    }
}

#[cfg(test)]
mod tests;
