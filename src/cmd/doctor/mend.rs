//! `tachi doctor --fix`: what can be mended with rows and files of ours. Nothing is switched, and no instance is touched.
//!
//! Each mend looks for itself what is wrong, so that a second one finds nothing to do, and is in the audit log before it is done.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tachi_domain::count;
use tachi_domain::situation::Grade;
use tachi_engine::ports::AuditEntry;
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};

use super::super::freeze::{after, before};
use super::super::init::missing;
use super::super::status::code;
use super::super::who::who;
use super::super::{Failure, command_settings};
use super::checks::{self, Check};
use super::{lines, named, read};
use crate::cli::DoctorArgs;
use crate::out;
use crate::settings::Settings;
use crate::wiring::{self, Base};

/// As the audit log names us.
const COMMAND: &str = "tachi doctor --fix";

/// What can be done about a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mend {
    /// Hosts of Nova's are put into segments.
    Segments,
    /// Files with secrets are closed to others.
    Files,
}

impl Mend {
    /// What helps against a check of this name, if something does.
    fn of(check: &str) -> Option<Self> {
        match check {
            "no-hosts" | "host-not-in-segment" => Some(Self::Segments),
            "configuration" => Some(Self::Files),
            _ => None,
        }
    }
}

/// Whether something helps against a check.
pub(super) fn is_mended(check: &str) -> bool {
    Mend::of(check).is_some()
}

/// Mends what was named, or all that can be.
pub(super) async fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let by = who(None)?;
    let settings = command_settings(&args.source.config)?;
    let wrong = wrong(args).await?;
    if wrong.is_empty() {
        out::line("nothing is wrong, so nothing was mended");
        return Ok(crate::DONE);
    }
    let base = wiring::existing(&settings).await?;
    let mut done: Vec<Mend> = Vec::new();
    let mut mended = 0;
    for one in &wrong {
        let Some(mend) = Mend::of(&one.name) else {
            lines(one).iter().for_each(out::told);
            out::line("        by hand");
            continue;
        };
        if done.contains(&mend) {
            continue;
        }
        done.push(mend);
        mended += match mend {
            Mend::Segments => Box::pin(segments(args, &settings, &base)).await?,
            Mend::Files => files(args, &settings, &base, &by).await?,
        };
    }
    if args.dry_run {
        out::line("nothing was done: leave --dry-run out");
        return Ok(crate::DONE);
    }
    if mended == 0 {
        out::line("nothing was mended");
    }
    let left = self::wrong(args).await?;
    let worst = left.iter().map(|one| one.grade).max().unwrap_or(Grade::Ok);
    for one in left.iter().filter(|one| is_mended(&one.name)) {
        lines(one).iter().for_each(out::told);
    }
    Ok(if args.check { code(worst) } else { crate::DONE })
}

/// The checks that were asked for and are not good.
async fn wrong(args: &DoctorArgs) -> Result<Vec<Check>, Failure> {
    let all = checks::all(&read(&args.source.config).await);
    let shown = match &args.name {
        None => all.iter().collect(),
        Some(name) => named(&all, name)?,
    };
    let bad = shown
        .into_iter()
        .filter(|one| !matches!(one.grade, Grade::Ok | Grade::Info));
    Ok(bad.cloned().collect())
}

/// Gives how many hosts were put into a segment.
async fn segments(args: &DoctorArgs, settings: &Settings, base: &Base) -> Result<usize, Failure> {
    let missing = missing(settings, base).await?;
    missing.lines().iter().for_each(out::told);
    if missing.is_empty() || args.dry_run {
        return Ok(0);
    }
    // The settings are used up; they are read again as they were.
    let made = Box::pin(missing.put(command_settings(&args.source.config)?, base, COMMAND)).await?;
    out::line(format!(
        "mended: {} in segments now",
        count(made, "host is", "hosts are")
    ));
    Ok(made)
}

/// Gives how many files were closed.
async fn files(args: &DoctorArgs, settings: &Settings, base: &Base, by: &str) -> Result<usize, Failure> {
    let open = settings.open_files();
    if open.is_empty() {
        out::line(
            "configuration: what else is wrong with it is mended by hand: `tachi doctor configuration`",
        );
    }
    if args.dry_run {
        for (file, what) in &open {
            out::told(format!(
                "{file}: would be closed to others (chmod o=): it holds {what}"
            ));
        }
        return Ok(0);
    }
    if open.is_empty() {
        return Ok(0);
    }
    let audit = wiring::audit(settings, &base.clock, COMMAND)?;
    for (file, _) in &open {
        let entry = |phase, text: String| {
            let mut entry = AuditEntry::new(AuditAction::Change, phase, "");
            entry.operator = Some(by.to_owned());
            entry.text = text;
            entry
        };
        let intent = entry(AuditPhase::Intent, format!("closes {file} to others"));
        before(&audit, intent, "nothing was done").await?;
        let closed = close(Path::new(file));
        let mut outcome = entry(AuditPhase::Outcome, format!("{file} is closed to others"));
        outcome.result = Some(AuditResult::Ok);
        if let Err(error) = &closed {
            outcome.result = Some(AuditResult::Permanent);
            outcome.text = format!("{file}: {error}");
        }
        after(&audit, outcome).await;
        closed.map_err(|error| Failure::new(format!("closing {file} to others"), error))?;
        out::told(format!("mended: {file} is closed to others"));
    }
    Ok(open.len())
}

/// Takes from others what they may do with a file, and leaves its owner and group what they may.
fn close(file: &Path) -> std::io::Result<()> {
    let mut permissions = std::fs::metadata(file)?.permissions();
    permissions.set_mode(permissions.mode() & 0o7770);
    std::fs::set_permissions(file, permissions)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_mended_are_checks_that_there_are() {
        let mut names: BTreeSet<String> = checks::codes().map(checks::name_of).collect();
        names.insert("configuration".to_owned());
        let mended: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| Mend::of(name).is_some())
            .collect();
        assert_eq!(mended, ["configuration", "host-not-in-segment", "no-hosts"]);
    }

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
