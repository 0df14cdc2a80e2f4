//! Adds a new key to a key file.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::Path;

use crate::file::beside;
use crate::hex;
use crate::keys::{KeyError, Keys};

/// Length of a key, in bytes.
const KEY_BYTES: usize = 32;

/// Creates the file, or adds a new key above the existing ones; returns the new key's id. The file is replaced as a
/// whole and keeps its owner and mode: a process that reads it meanwhile reads the old one.
///
/// # Errors
///
/// The file is open to others, contains an invalid key, or cannot be written. It is unchanged then.
pub fn new_key(path: &Path) -> Result<String, KeyError> {
    let there = path.exists();
    if there {
        Keys::read(path)?;
    }
    let wrong = |error: std::io::Error| KeyError {
        path: path.to_owned(),
        why: error.to_string(),
    };
    write(path, there).map_err(wrong)?;
    Ok(Keys::read(path)?.newest().to_owned())
}

fn write(path: &Path, there: bool) -> std::io::Result<()> {
    let mut random = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let mut text = format!("{}\n", hex::text(&random));
    let new = beside(path, "new");
    // A crash may have left it behind.
    let _ = std::fs::remove_file(&new);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    if there {
        text.push_str(&std::fs::read_to_string(path)?);
        let metadata = std::fs::metadata(path)?;
        chown(&new, Some(metadata.uid()), Some(metadata.gid()))?;
        file.set_permissions(std::fs::Permissions::from_mode(metadata.mode() & 0o777))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
