//! The file, behind a minimal interface: append, sync, rewrite.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::SpoolError;

/// Longest file that is read. It is several times the limits of a queue: a larger file is not ours.
const MAX_BYTES: u64 = 256 << 20;

/// The interface between queue and disk. The real one is [`FileDisk`]; tests have one that fails.
pub(crate) trait Disk: Send {
    /// Appends and syncs.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Replaces the whole content and syncs. After a crash either the old or the new content is there.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// The file `queue` in a folder.
pub(crate) struct FileDisk {
    folder: PathBuf,
    file: File,
    /// The lock, held while this value exists.
    _lock: File,
}

impl FileDisk {
    /// Locks the folder, and returns the content of the file.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Vec<u8>), SpoolError> {
        let wrong = |source| SpoolError::Folder {
            path: folder.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(wrong)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join("lock"))
            .map_err(wrong)?;
        if let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            return Err(if error == rustix::io::Errno::WOULDBLOCK {
                SpoolError::InUse {
                    path: folder.to_owned(),
                }
            } else {
                wrong(error.into())
            });
        }
        let path = folder.join("queue");
        let unreadable = |source| SpoolError::Read {
            path: path.clone(),
            source,
        };
        let mut file = open(&path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut file)
            .take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        // The file's name must be on the disk before anything relies on its content.
        sync_folder(folder).map_err(wrong)?;
        let disk = Self {
            folder: folder.to_owned(),
            file,
            _lock: lock,
        };
        Ok((disk, bytes))
    }

    /// Keeps a copy of a damaged file, for an operator to examine. Only the latest is kept.
    pub(crate) fn keep_damaged(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.folder.join("queue.damaged");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(path)
    }
}

/// A disk for a folder that could not be used at the start, but perhaps later: a disk that is full or read-only.
pub(crate) struct LateDisk {
    folder: PathBuf,
    /// True if the content was read at the start.
    known: bool,
    disk: Option<FileDisk>,
}

impl LateDisk {
    /// Creates it with the content that can be read now.
    pub(crate) fn new(folder: &Path) -> (Self, Vec<u8>) {
        let (known, bytes) = match fs::read(folder.join("queue")) {
            Ok(bytes) => (true, bytes),
            Err(error) => (error.kind() == io::ErrorKind::NotFound, Vec::new()),
        };
        let disk = Self {
            folder: folder.to_owned(),
            known,
            disk: None,
        };
        (disk, bytes)
    }
}

impl Disk for LateDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.disk {
            Some(disk) => disk.append(bytes),
            None => Err(io::Error::other("the folder could not be used at the start")),
        }
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(disk) = &mut self.disk {
            return disk.replace(bytes);
        }
        let (mut disk, there) = FileDisk::open(&self.folder).map_err(io::Error::other)?;
        if !self.known && !there.is_empty() {
            disk.keep_damaged(&there)?;
        }
        disk.replace(bytes)?;
        self.disk = Some(disk);
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Disk for FileDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (new, name) = (self.folder.join("queue.new"), self.folder.join("queue"));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &name)?;
        sync_folder(&self.folder)?;
        self.file = open(&name)?;
        Ok(())
    }
}
