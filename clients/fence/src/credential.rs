//! Sources of secrets.
//!
//! Secrets never come from the environment or the command line, because `/proc` shows both.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;

/// Maximum size of a secret, in bytes.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// The source of a secret: `file:/path`, `cred:name` for a systemd credential, or the secret itself.
#[derive(Clone)]
#[non_exhaustive]
pub enum Source {
    /// A file of mode 0640 at most, owned by root or the user that runs this.
    File(PathBuf),
    /// The file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// The secret itself, from a configuration file.
    Literal(SecretString),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "cred:{name}"),
            Self::Literal(_) => f.write_str("[REDACTED]"),
        }
    }
}

impl FromStr for Source {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("file:") {
            return if path.starts_with('/') {
                Ok(Self::File(path.into()))
            } else {
                Err(CredentialError::Relative { path: path.into() })
            };
        }
        if let Some(name) = text.strip_prefix("cred:") {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            return if !name.is_empty() && !name.starts_with('.') && name.chars().all(plain) {
                Ok(Self::Credential(name.to_owned()))
            } else {
                Err(CredentialError::Name {
                    name: name.to_owned(),
                })
            };
        }
        Ok(Self::Literal(text.into()))
    }
}

/// An error in loading a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The path is not absolute.
    #[error("{} is not an absolute path", path.display())]
    Relative {
        /// The path.
        path: PathBuf,
    },
    /// The name contains more than a file name.
    #[error("{name:?} is not the name of a credential")]
    Name {
        /// The name.
        name: String,
    },
    /// systemd did not start the process with credentials.
    #[error("$CREDENTIALS_DIRECTORY is not set, so there is no credential {name}")]
    NoDirectory {
        /// The credential.
        name: String,
    },
    /// The file cannot be read.
    #[error("reading the secret in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: std::io::Error,
    },
    /// Others can read or change the file.
    #[error("{} has mode {mode:04o}, so others could read or change it: chmod 0640 {}", path.display(), path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// The mode.
        mode: u32,
    },
    /// Another user owns the file.
    #[error("{} belongs to user {owner}, not to root or the current user", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// The owner.
        owner: u32,
    },
    /// The file is empty, too large, not a regular file or not text.
    #[error("{} contains no valid secret: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: &'static str,
    },
}

impl Source {
    /// Loads the secret and removes white space around it.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or others could have read or changed it.
    pub fn load(&self) -> Result<SecretString, CredentialError> {
        self.load_from(
            std::env::var_os("CREDENTIALS_DIRECTORY")
                .map(PathBuf::from)
                .as_deref(),
        )
    }

    fn load_from(&self, credentials: Option<&Path>) -> Result<SecretString, CredentialError> {
        match self {
            Self::Literal(secret) => Ok(secret.clone()),
            Self::File(path) => read(path, check),
            Self::Credential(name) => {
                let directory =
                    credentials.ok_or_else(|| CredentialError::NoDirectory { name: name.clone() })?;
                // systemd protects the folder and sets the modes of the files itself.
                read(&directory.join(name), |_, _| Ok(()))
            }
        }
    }
}

fn read(
    path: &Path,
    check: impl Fn(&Path, &Metadata) -> Result<(), CredentialError>,
) -> Result<SecretString, CredentialError> {
    let failed = |source| CredentialError::Read {
        path: path.into(),
        source,
    };
    let content = |why| CredentialError::Content {
        path: path.into(),
        why,
    };
    let file = File::open(path).map_err(failed)?;
    // Read from the open file, so that the file cannot be replaced between this check and the reading.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(content("not a regular file"));
    }
    check(path, &metadata)?;
    let mut text = String::new();
    file.take(MAX_SECRET_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(content("too large"));
    }
    match text.trim() {
        "" => Err(content("empty")),
        secret => Ok(secret.into()),
    }
}

fn check(path: &Path, metadata: &Metadata) -> Result<(), CredentialError> {
    let mode = metadata.permissions().mode() & 0o7777;
    // The owner may write; the group may read; others may do nothing.
    if mode & 0o037 != 0 {
        return Err(CredentialError::Mode {
            path: path.into(),
            mode,
        });
    }
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(CredentialError::Owner {
            path: path.into(),
            owner,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_source_is_recognized_by_its_prefix() {
        let cases = [
            ("file:/etc/tachi/key", "file:/etc/tachi/key"),
            ("file:key", "key is not an absolute path"),
            ("cred:maas-key", "cred:maas-key"),
            ("cred:", "\"\" is not the name of a credential"),
            ("cred:../key", "\"../key\" is not the name of a credential"),
            ("cred:..", "\"..\" is not the name of a credential"),
            ("a:b:c", "[REDACTED]"),
        ];
        for (text, expected) in cases {
            let got = match text.parse::<Source>() {
                Ok(source) => format!("{source:?}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn a_secret_file_is_refused_when_others_could_read_or_change_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let cases = [
            (0o400, true),
            (0o440, true),
            (0o600, true),
            (0o640, true),
            (0o444, false),
            (0o604, false),
            (0o660, false),
            (0o620, false),
            (0o602, false),
            (0o755, false),
        ];
        for (mode, good) in cases {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, " s3cret\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let got = Source::File(path.clone()).load();
            match got {
                Ok(secret) => {
                    assert!(good, "{mode:o}");
                    assert_eq!(secret.expose_secret(), "s3cret");
                }
                Err(error) => {
                    assert!(!good, "{mode:o}: {error}");
                    assert!(matches!(error, CredentialError::Mode { .. }), "{error}");
                }
            }
        }
    }

    #[test]
    fn only_a_small_regular_file_with_text_is_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
            Source::File(path)
        };
        assert!(matches!(
            write("empty", b" \n").load(),
            Err(CredentialError::Content { why: "empty", .. })
        ));
        let large = vec![b'x'; 70_000];
        assert!(matches!(
            write("large", &large).load(),
            Err(CredentialError::Content { why: "too large", .. })
        ));
        assert!(matches!(
            write("binary", b"\xff\xfe").load(),
            Err(CredentialError::Read { .. })
        ));
        let missing = Source::File(folder.path().join("missing")).load();
        assert!(matches!(missing, Err(CredentialError::Read { .. })));
        let directory = Source::File(folder.path().into()).load();
        assert!(matches!(directory, Err(CredentialError::Content { .. })));
    }

    #[test]
    fn a_systemd_credential_comes_from_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("maas"), "a:b:c\n").unwrap();
        let source = Source::Credential("maas".into());
        assert_eq!(
            source.load_from(Some(folder.path())).unwrap().expose_secret(),
            "a:b:c"
        );
        assert!(matches!(
            source.load_from(None),
            Err(CredentialError::NoDirectory { .. })
        ));
    }
}
