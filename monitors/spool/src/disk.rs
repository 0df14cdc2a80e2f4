//! The file, behind a minimal interface: append, sync, rewrite.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::SpoolError;

/// More than the limits of a queue allow, several times over: what is larger is not ours.
const LONGEST: u64 = 256 << 20;

/// The queue's interface of a disk. The real one is [`FileDisk`]; tests have one that fails.
pub(crate) trait Disk: Send {
    /// Writes at the end and syncs.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Replaces everything, so that after a crash either the old or the new is there, and syncs.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A file `queue` in a folder.
pub(crate) struct FileDisk {
    folder: PathBuf,
    file: File,
    /// Locked while this value exists.
    _lock: File,
}

impl FileDisk {
    /// Takes the folder, and gives what is in the file.
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
            .take(LONGEST)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        // The file's name is on the disk before anything in it is relied on.
        sync_folder(folder).map_err(wrong)?;
        let disk = Self {
            folder: folder.to_owned(),
            file,
            _lock: lock,
        };
        Ok((disk, bytes))
    }

    /// Keeps a file that was not understood, for a person to look at. One is enough.
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

/// A folder that could not be used at the start, and perhaps can later: a disk that is full or read-only.
pub(crate) struct LateDisk {
    folder: PathBuf,
    /// True if the content was read at the start.
    known: bool,
    disk: Option<FileDisk>,
}

impl LateDisk {
    /// With what can be read there now.
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
