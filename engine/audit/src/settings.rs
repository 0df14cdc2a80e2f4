//! `[fencing] audit_log` and `audit_required`: the audit log of power commands.

use std::path::{Path, PathBuf};

use tachi_config::{Reader, Refusal};

use crate::second::{Second, SecondError};

/// Folder where packages let services log.
const FOLDER: &str = "/var/log/masakari";

/// Name of the log in that folder, and in `state_path`.
const NAME: &str = "fencing-audit.jsonl";

/// Settings of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// The file of the first engine; others of the same machine take names beside it.
    pub log: PathBuf,
    /// True if a power command is not sent unless it can be written to the log.
    pub required: bool,
    /// The keys that its lines are sealed with.
    pub key_file: Option<PathBuf>,
    /// Second destination of its lines.
    pub second: Option<Second>,
}

impl AuditSettings {
    /// Reads the options.
    pub fn read(r: &mut Reader<'_>, state_path: &Path) -> Self {
        // The configuration shows an absolute path, which can be written back.
        let state_path = std::path::absolute(state_path).unwrap_or_else(|_| state_path.to_owned());
        let default = default_log(&state_path).display().to_string();
        let log = r
            .string("fencing", "audit_log")
            .default(default)
            .varies("fencing-audit.jsonl in /var/log/masakari, or in state_path")
            .check(|path| {
                if path.starts_with('/') {
                    Ok(())
                } else {
                    Err(Refusal::new(
                        "is not an absolute path",
                        "write one such as /var/log/masakari/fencing-audit.jsonl",
                    ))
                }
            })
            .unit("path")
            .help("log of power commands, an absolute path")
            .get();
        let key_file = r
            .string("fencing", "audit_key_file")
            .check(|path| {
                if path.starts_with('/') {
                    Ok(())
                } else {
                    Err(Refusal::new(
                        "is not an absolute path",
                        "write one such as /etc/tachi/audit.key",
                    ))
                }
            })
            .unit("path")
            .help("keys that seal the lines of the log ([audit-log.md](audit-log.md))")
            .optional()
            .map(PathBuf::from);
        let second = r
            .parsed(
                "fencing",
                "audit_second",
                |text: &str| {
                    text.parse().map_err(|error: SecondError| {
                        Refusal::new(error.to_string(), "write syslog, or file:/path")
                    })
                },
                Second::to_string,
            )
            .help("second copy of the lines: syslog, or file:/path")
            .optional();
        Self {
            log: log.into(),
            required: r
                .bool("fencing", "audit_required")
                .default(true)
                .help("sends no power command that cannot be logged")
                .get(),
            key_file,
            second,
        }
    }

    /// Returns the paths where logs of this machine may be, for a command that only reads them: its user need not be the one who writes.
    pub fn places(&self, state_path: &Path) -> Vec<PathBuf> {
        let mut places = vec![self.log.clone()];
        for other in [Path::new(FOLDER).join(NAME), state_path.join(NAME)] {
            if !places.contains(&other) {
                places.push(other);
            }
        }
        places
    }
}

/// Returns the path beside the other logs if we may write there, else in `state_path`.
fn default_log(state_path: &Path) -> PathBuf {
    let usual = Path::new(FOLDER);
    let writable =
        rustix::fs::access(usual, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    if writable { usual } else { state_path }.join(NAME)
}
