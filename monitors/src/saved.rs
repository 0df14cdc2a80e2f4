//! Small state files of a monitor, replaced atomically: after a crash the file has the new content or the old one.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// An error in reading or writing a state file.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}", path.display())]
pub(crate) struct SavedError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Reads the last content; `None` if there is none, or it cannot be parsed.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SavedError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SavedError {
            what: "reading",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Writes to a new file beside the old one, syncs, renames, and syncs the folder, which is created if it is missing.
/// Only one process writes a file; a partial file of a dead process is overwritten.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), SavedError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let new = path.with_extension("new");
    let write = || {
        std::fs::create_dir_all(folder)?;
        let mut file = std::io::BufWriter::new(std::fs::File::create(&new)?);
        serde_json::to_writer(&mut file, value)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        std::fs::rename(&new, path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().map_err(|source| SavedError {
        what: "writing",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_half_a_file_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/list.json");
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), None);
        write(&path, &vec![1, 2]).unwrap();
        std::fs::write(path.with_extension("new"), "[1, ").unwrap();
        write(&path, &vec![1, 2, 3]).unwrap();
        assert_eq!(read(&path).unwrap(), Some(vec![1, 2, 3]));
        std::fs::write(&path, "[1, ").unwrap();
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = read::<Vec<u32>>(folder.path()).unwrap_err();
        assert!(error.to_string().starts_with("reading /"), "{error}");
        let error = write(folder.path(), &1).unwrap_err();
        assert!(error.to_string().starts_with("writing /"), "{error}");
    }
}
