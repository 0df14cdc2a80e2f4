//! `tachi doctor --fix`: closing files with secrets to others.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_engine::ports::{AuditEntry, AuditSink};
use tachi_operator::Failure;
use tachi_operator::audited::{after, before};

use crate::out;

/// Closes files to others; returns their number.
/// `open` are the files, each with what it holds; the audit log is opened once there is something to do.
pub async fn close_files(
    open: &[(&str, &str)],
    dry_run: bool,
    audit: impl FnOnce() -> Result<Arc<dyn AuditSink>, Failure>,
    by: &str,
) -> Result<usize, Failure> {
    if open.is_empty() {
        out::line("configuration: its other problems are fixed by hand: `tachi doctor configuration`");
    }
    if dry_run {
        for (file, what) in open {
            out::print(format!(
                "{file}: would be made unreadable to others (chmod o=): it holds {what}"
            ));
        }
        return Ok(0);
    }
    if open.is_empty() {
        return Ok(0);
    }
    let audit = audit()?;
    for (file, _) in open {
        let entry = |phase, text: String| AuditEntry::change(phase, "", by, text);
        let intent = entry(AuditPhase::Intent, format!("closes {file} to others"));
        before(audit.as_ref(), intent, "nothing was done").await?;
        let closed = close(Path::new(file));
        let mut outcome = entry(AuditPhase::Outcome, format!("{file} is closed to others"));
        outcome.result = Some(AuditResult::Ok);
        if let Err(error) = &closed {
            outcome.result = Some(AuditResult::Permanent);
            outcome.text = format!("{file}: {error}");
        }
        after(audit.as_ref(), outcome, |text| out::note(text)).await;
        closed.map_err(|error| Failure::new(format!("closing {file} to others"), error))?;
        out::print(format!("fixed: {file} is closed to others"));
    }
    Ok(open.len())
}

/// Removes the rights of others on a file, and keeps those of its owner and group.
fn close(file: &Path) -> std::io::Result<()> {
    let mut permissions = std::fs::metadata(file)?.permissions();
    permissions.set_mode(permissions.mode() & 0o7770);
    std::fs::set_permissions(file, permissions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_a_file_takes_nothing_from_its_owner_and_group() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "").unwrap();
        for (was, is) in [(0o644, 0o640), (0o777, 0o770), (0o600, 0o600), (0o004, 0)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(was)).unwrap();
            close(&file).unwrap();
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, is, "{was:o}");
        }
        assert!(close(&folder.path().join("none")).is_err());
    }
}
