//! `tachi doctor --fix`: fixes with our own rows and files. No power is switched, and no instance is touched.
//!
//! Each fix checks itself what is wrong, so that a second run finds nothing to do, and is in the audit log before it is done.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tachi_cli::arguments::DoctorArgs;
use tachi_cli::doctor::checks::{self, Check};
use tachi_cli::doctor::fix::{Fix, is_fixable};
use tachi_cli::doctor::{lines, named};
use tachi_cli::out;
use tachi_cli::process_owner::who;
use tachi_cli::status::code;
use tachi_domain::count;
use tachi_domain::situation::Severity;
use tachi_engine::ports::AuditEntry;
use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_operator::Failure;
use tachi_operator::audited::{after, before};

use super::super::command_settings;
use super::super::init::missing;
use super::read;
use crate::settings::Settings;
use crate::wiring::{self, Base};

/// Name of this command in the audit log.
const COMMAND: &str = "tachi doctor --fix";

/// Fixes the named check, or all that can be fixed.
pub(super) async fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let by = who(None)?;
    let settings = command_settings(&args.source.config)?;
    let wrong = wrong(args).await?;
    if wrong.is_empty() {
        out::line("nothing to fix: every check passed");
        return Ok(crate::DONE);
    }
    let base = wiring::existing(&settings).await?;
    let mut done: Vec<Fix> = Vec::new();
    let mut fixed = 0;
    for one in &wrong {
        let Some(fix) = Fix::of(&one.name) else {
            lines(one).iter().for_each(out::print);
            out::line("        by hand");
            continue;
        };
        if done.contains(&fix) {
            continue;
        }
        done.push(fix);
        fixed += match fix {
            Fix::Segments => Box::pin(segments(args, &settings, &base)).await?,
            Fix::Files => files(args, &settings, &base, &by).await?,
        };
    }
    if args.dry_run {
        out::line("nothing was done: run it without --dry-run");
        return Ok(crate::DONE);
    }
    if fixed == 0 {
        out::line("nothing was fixed");
    }
    let left = self::wrong(args).await?;
    let most_severe = left.iter().map(|one| one.grade).max().unwrap_or(Severity::Ok);
    for one in left.iter().filter(|one| is_fixable(&one.name)) {
        lines(one).iter().for_each(out::print);
    }
    Ok(if args.check {
        code(most_severe)
    } else {
        crate::DONE
    })
}

/// Returns the requested checks that did not pass.
async fn wrong(args: &DoctorArgs) -> Result<Vec<Check>, Failure> {
    let all = checks::all(&read(&args.source.config).await);
    let shown = match &args.name {
        None => all.iter().collect(),
        Some(name) => named(&all, name)?,
    };
    let bad = shown
        .into_iter()
        .filter(|one| !matches!(one.grade, Severity::Ok | Severity::Info));
    Ok(bad.cloned().collect())
}

/// Puts hosts into segments; returns their number.
async fn segments(args: &DoctorArgs, settings: &Settings, base: &Base) -> Result<usize, Failure> {
    let missing = missing(settings, base).await?;
    missing.lines().iter().for_each(out::print);
    if missing.is_empty() || args.dry_run {
        return Ok(0);
    }
    // The settings were consumed, so they are read again.
    let made = Box::pin(missing.put(command_settings(&args.source.config)?, base, COMMAND)).await?;
    out::line(format!(
        "fixed: {} in segments now",
        count(made, "host is", "hosts are")
    ));
    Ok(made)
}

/// Closes files to others; returns their number.
async fn files(args: &DoctorArgs, settings: &Settings, base: &Base, by: &str) -> Result<usize, Failure> {
    let open = settings.open_files();
    if open.is_empty() {
        out::line("configuration: its other problems are fixed by hand: `tachi doctor configuration`");
    }
    if args.dry_run {
        for (file, what) in &open {
            out::print(format!(
                "{file}: would be made unreadable to others (chmod o=): it holds {what}"
            ));
        }
        return Ok(0);
    }
    if open.is_empty() {
        return Ok(0);
    }
    let audit = wiring::audit(settings, &base.clock, COMMAND)?;
    for (file, _) in &open {
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
