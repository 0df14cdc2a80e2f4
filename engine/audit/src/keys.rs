//! The keys that seal lines: without one, anyone who may write the folder can rewrite the whole log.
//!
//! A file has one key per line, the newest first: the first one seals, and all are accepted for verification. A leaked key
//! is replaced by a new one above it: the first line with the new key covers the earlier lines, and no later line with
//! the old key is accepted.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::{Digest as _, Sha256};

use crate::hex;

/// Minimum length of a key, in bytes: that of the hash.
const MIN_KEY_BYTES: usize = 32;

/// Maximum size of the file, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// An error that makes a key file unusable.
#[derive(Debug, thiserror::Error)]
#[error("the audit log's key file {}: {why}", path.display())]
pub struct KeyError {
    pub path: PathBuf,
    /// The problem and its fix.
    pub why: String,
}

struct Key {
    /// The id of the key in lines; it does not reveal the key.
    id: String,
    secret: SecretSlice<u8>,
}

/// The keys of a file, the newest first.
#[derive(Default)]
pub struct Keys(Vec<Key>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl Keys {
    /// Reads a file that only its owner and group can read, and only its owner can write.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is open to others, or contains no key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let wrong = |why: String| KeyError {
            path: path.to_owned(),
            why,
        };
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let metadata = file.metadata().map_err(|error| wrong(error.to_string()))?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o027 != 0 {
            let place = path.display();
            return Err(wrong(format!(
                "its mode is {mode:o}, so others could read or change it: chmod 0640 {place}, then create a new key with \
                 `tachi audit new-key`, because this one may be known"
            )));
        }
        let mut text = String::new();
        let read = file.take(MAX_FILE_BYTES).read_to_string(&mut text);
        read.map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text).map_err(wrong)
    }

    /// Parses the keys; the error states the problem without quoting the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = hex::bytes(line).filter(|bytes| bytes.len() >= MIN_KEY_BYTES);
            let bytes = bytes.ok_or_else(|| {
                format!(
                    "line {} is not a key: write {} or more hexadecimal digits, as `tachi audit new-key` does",
                    at + 1,
                    2 * MIN_KEY_BYTES
                )
            })?;
            keys.push(Key::new(bytes));
        }
        if keys.is_empty() {
            return Err("it contains no key: create one with `tachi audit new-key`".into());
        }
        Ok(Self(keys))
    }

    /// Returns the id of the key that seals.
    pub fn newest(&self) -> &str {
        self.0.first().map_or("", |key| key.id.as_str())
    }

    /// Returns the age of a key: 0 is the newest. `None` if it is unknown.
    pub(crate) fn age_of(&self, id: &str) -> Option<usize> {
        self.0.iter().position(|key| key.id == id)
    }

    /// Returns the seal of a text by the key with this id.
    pub(crate) fn seal(&self, id: &str, text: &str) -> Option<String> {
        let key = self.0.iter().find(|key| key.id == id)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.expose_secret()).ok()?;
        mac.update(text.as_bytes());
        Some(hex::text(&mac.finalize().into_bytes()))
    }
}

impl Key {
    fn new(bytes: Vec<u8>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tachi audit key ");
        hash.update(&bytes);
        Self {
            id: hex::text(&hash.finalize()[..4]),
            secret: bytes.into(),
        }
    }
}

/// A key file that is read again when it changes.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    last_stamp: Option<(u64, u64, i64, i64)>,
    keys: Keys,
}

impl KeyFile {
    pub(crate) fn open(path: PathBuf) -> Result<Self, KeyError> {
        let current = stamp(&path);
        let keys = Keys::read(&path)?;
        Ok(Self {
            path,
            last_stamp: current,
            keys,
        })
    }

    /// Returns the current keys. If the file has become unusable, keeps those that were read before.
    pub(crate) fn keys(&mut self) -> &Keys {
        let current = stamp(&self.path);
        if current.is_some() && current != self.last_stamp {
            match Keys::read(&self.path) {
                Ok(keys) => self.keys = keys,
                Err(error) => {
                    tracing::error!(%error, "failed to reload the audit keys; using the previous ones");
                }
            }
            self.last_stamp = current;
        }
        &self.keys
    }
}

fn stamp(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn a_seal_depends_on_the_key() {
        let keys = Keys::parse(&format!("# newest\n{}\n{ONE}\n", "ab".repeat(32))).unwrap();
        let other = Keys::parse(ONE).unwrap();
        assert_eq!(keys.age_of(other.newest()), Some(1));
        assert_eq!(keys.age_of("00000000"), None);
        assert_eq!(
            keys.seal(other.newest(), "text"),
            other.seal(other.newest(), "text")
        );
        assert_ne!(
            keys.seal(keys.newest(), "text"),
            other.seal(other.newest(), "text")
        );
        // The result of Python's `hmac`.
        assert_eq!(
            other.seal(other.newest(), "text").unwrap(),
            "27a0eabaf34a3623827e82713f146e82e8c1a889564c6df9e5045f5fc6f61709"
        );
        assert!(!format!("{keys:?}").contains("abab"), "{keys:?}");
    }

    #[test]
    fn an_invalid_key_is_refused_and_not_shown() {
        let short = "ab".repeat(31);
        for text in ["", "# nothing\n", short.as_str(), "geheim", &format!("{ONE}g")] {
            let why = Keys::parse(text).unwrap_err();
            assert!(why.contains("new-key") && !why.contains("geheim"), "{why}");
        }
    }

    #[test]
    fn a_key_file_open_to_others_is_refused_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        std::fs::write(&path, ONE).unwrap();
        for (mode, refused) in [
            (0o600, false),
            (0o640, false),
            (0o400, false),
            (0o644, true),
            (0o660, true),
            (0o602, true),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = Keys::read(&path).map_err(|error| error.to_string());
            assert_eq!(read.is_err(), refused, "{mode:o}: {read:?}");
            assert!(read.err().is_none_or(|why| why.contains("chmod 0640")));
        }
    }
}
