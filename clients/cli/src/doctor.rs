//! `tachi doctor`: the checks and their output.

pub mod checks;
pub mod close_files;
pub mod detection_latency;
mod finding_checks;
pub mod fix;
pub mod remote;
mod storm_limits;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tachi_domain::count;
use tachi_domain::situation::Severity;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::Failure;

use crate::arguments::DoctorArgs;
use crate::out::{self, Cell, Column, TextTable, View, answer};
use crate::status::code;

use checks::Check;

/// Limit of the checks that are named in a line.
const NAMED: usize = 5;

/// Prints the checks that the options select; returns the exit code.
pub fn show(args: &DoctorArgs, all: &[Check], took: Duration) -> Result<u8, Failure> {
    let shown: Vec<&Check> = match &args.name {
        None => all.iter().collect(),
        Some(name) => named(all, name)?,
    };
    let seconds = took.as_secs_f64();
    let now = SystemClock.wall();
    if args.shape.is_text() {
        let is_shown = |check: &&&Check| {
            args.all || args.name.is_some() || !matches!(check.grade, Severity::Ok | Severity::Info)
        };
        let mut checks: Vec<&Check> = shown.iter().filter(is_shown).copied().collect();
        let unseen = if args.all { None } else { alike(&mut checks) };
        let checks = checks.into_iter().flat_map(lines).chain(unseen);
        let checks: Vec<String> = checks.chain([sum(&shown, seconds)]).collect();
        View::of(&args.shape, now)
            .lines(&checks)
            .iter()
            .for_each(out::line);
    } else {
        let whole = |rows: Vec<Value>| json!({ "checks": rows });
        answer::listed(&args.shape, now, &sheet(&shown), "nothing was checked", whole)?;
    }
    let most_severe = shown.iter().map(|one| one.grade).max().unwrap_or(Severity::Ok);
    Ok(if args.check {
        code(most_severe)
    } else {
        crate::DONE
    })
}

/// Returns the worst grade, and the result in a line.
pub fn summary(all: &[Check]) -> (Severity, String) {
    let all: Vec<&Check> = all.iter().collect();
    let most_severe = all.iter().map(|one| one.grade).max().unwrap_or(Severity::Ok);
    let bad = all
        .iter()
        .filter(|one| one.grade == most_severe && most_severe > Severity::Info);
    let bad: Vec<&str> = bad.map(|one| one.name.as_str()).take(NAMED).collect();
    let counted = counted(&all);
    let details = if bad.is_empty() {
        counted
    } else {
        format!("{counted}: {}", bad.join(", "))
    };
    (most_severe, details)
}

/// Returns the checks of this name.
pub fn named<'a>(all: &'a [Check], name: &str) -> Result<Vec<&'a Check>, Failure> {
    let requested = name.trim().to_ascii_lowercase().replace('_', "-");
    let found: Vec<&Check> = all.iter().filter(|one| one.name == requested).collect();
    if found.is_empty() {
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        return Err(Failure::usage(format!(
            "no check is named {name:?}; available: {}",
            names.join(", ")
        )));
    }
    Ok(found)
}

fn sheet(checks: &[&Check]) -> TextTable<5> {
    let columns = [
        Column::new("check"),
        Column::new("grade"),
        Column::new("details"),
        Column::new("fix"),
        Column::new("page"),
    ];
    TextTable::new(columns, checks, |one| {
        let cells = [
            Cell::text(&one.name),
            Cell::text(one.grade.as_str()),
            Cell::prose(&one.details),
            Cell::prose(one.fix.clone().unwrap_or_default()),
            Cell::prose(one.page.clone().unwrap_or_default()),
        ];
        let object = json!({
            "check": one.name, "grade": one.grade, "details": one.details, "fix": one.fix, "page": one.page,
        });
        (cells, object)
    })
}

/// Describes a check, with its fix and its page.
pub fn lines(check: &Check) -> Vec<String> {
    let label = check.grade.as_str().to_ascii_uppercase();
    let mut lines = vec![format!("{label:<7} {:<28} {}", check.name, check.details)];
    let fixes = check.fix.iter().flat_map(|fix| fix.lines());
    lines.extend(fixes.map(|fix| format!("        -> {fix}")));
    lines.extend(check.page.iter().map(|page| format!("        {page}")));
    lines
}

/// True if the check could not be made.
fn is_unseen(check: &Check) -> bool {
    check.grade == Severity::Unknown && check.fix.is_none() && check.page.is_none()
}

/// Removes the checks that the most common reason has prevented, and returns one line about them.
fn alike(checks: &mut Vec<&Check>) -> Option<String> {
    let mut whys: BTreeMap<&str, usize> = BTreeMap::new();
    for one in checks.iter().filter(|check| is_unseen(check)) {
        *whys.entry(&one.details).or_default() += 1;
    }
    let (why, number) = whys.into_iter().max_by_key(|(_, number)| *number)?;
    let why = why.to_owned();
    if number < 2 {
        return None;
    }
    let (alike, others): (Vec<&Check>, _) = checks
        .iter()
        .copied()
        .partition(|check| is_unseen(check) && check.details == why);
    *checks = others;
    let names: Vec<&str> = alike.iter().map(|one| one.name.as_str()).collect();
    Some(format!(
        "UNKNOWN {} checks: {why} ({})",
        names.len(),
        checks::named(&names)
    ))
}

fn sum(all: &[&Check], seconds: f64) -> String {
    let checks = count(all.len(), "check", "checks");
    format!("{checks} in {seconds:.1} s: {}", counted(all))
}

fn counted(all: &[&Check]) -> String {
    let of = |grades: &[Severity]| all.iter().filter(|one| grades.contains(&one.grade)).count();
    // A check that was made with an unknown result has a fix or a page about it.
    let unseen = all.iter().filter(|one| is_unseen(one)).count();
    let unknown = match of(&[Severity::Unknown]) - unseen {
        0 => String::new(),
        some => format!("{some} unknown, "),
    };
    format!(
        "{} ok, {}, {}, {unknown}{unseen} not checkable",
        of(&[Severity::Ok, Severity::Info]),
        count(of(&[Severity::Warn]), "warning", "warnings"),
        count(of(&[Severity::Err]), "error", "errors"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A check that was made and has no answer is not one that could not be made.
    #[test]
    fn an_unknown_result_is_counted_apart_from_a_check_that_could_not_be_made() {
        let check = |grade| checks::check("a", grade, "");
        let unknown = Check {
            fix: Some("tachi fence test --all".to_owned()),
            ..check(Severity::Unknown)
        };
        let all = [
            check(Severity::Ok),
            check(Severity::Warn),
            unknown,
            check(Severity::Unknown),
        ];
        let shown = |all: &[Check]| counted(&all.iter().collect::<Vec<_>>());
        assert_eq!(
            shown(&all),
            "1 ok, 1 warning, 0 errors, 1 unknown, 1 not checkable"
        );
        assert_eq!(shown(&all[..1]), "1 ok, 0 warnings, 0 errors, 0 not checkable");
    }
}
