//! `tachi doctor --fix`: fixes with our own rows and files. No power is switched, and no instance is touched.
//!
//! Each fix checks itself what is wrong, so that a second run finds nothing to do, and is in the audit log before it is done.

use tachi_cli::arguments::DoctorArgs;
use tachi_cli::doctor::checks::{self, Check};
use tachi_cli::doctor::close_files::close_files;
use tachi_cli::doctor::fix::{Fix, is_fixable};
use tachi_cli::doctor::{lines, named};
use tachi_cli::out;
use tachi_cli::process_owner::who;
use tachi_cli::status::code;
use tachi_domain::count;
use tachi_domain::situation::Severity;
use tachi_operator::Failure;

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
            Fix::Files => {
                let audit = || wiring::audit(&settings, &base.clock, COMMAND);
                close_files(&settings.open_files(), args.dry_run, audit, &by).await?
            }
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
