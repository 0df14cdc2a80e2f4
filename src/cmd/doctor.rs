//! `tachi doctor`: everything that can be checked, in one table. The checks cover what `upgrade check`, `config`, `policy` and `status`
//! know already. The data is read once, and each check is a function of it.

mod checks;
mod detection_latency;
mod finding_checks;
mod fixes;
mod remote;
mod storm_limits;

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};
use tachi_domain::count;
use tachi_domain::situation::Severity;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::SituationView;

use super::status::code;
use super::upgrade;
use crate::cli::{ConfigArgs, DoctorArgs};
use crate::database::Database;
use crate::failure::Failure;
use crate::out::{self, Cell, Column, TextTable, View, answer, waiting};
use crate::schedule::Outcome;
use crate::settings::Settings;
use crate::source::{self, Controller, Source as _};
use crate::wiring;

use checks::{Check, Read};
use detection_latency::Rules;

/// Limit of the checks that are named in a line.
const NAMED: usize = 5;

/// Runs the checks, or the fixes.
pub(crate) async fn run(args: DoctorArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    if args.fix {
        return Box::pin(fixes::run(&args)).await;
    }
    let began = Instant::now();
    let all = if args.source.cloud().is_some() {
        remote::all(source::open(&args.source, controller).await?.as_ref()).await?
    } else {
        let work = Box::pin(read(&args.source.config));
        checks::all(&waiting("the database, Keystone, Nova and fence devices", work).await)
    };
    let shown: Vec<&Check> = match &args.name {
        None => all.iter().collect(),
        Some(name) => named(&all, name)?,
    };
    let seconds = began.elapsed().as_secs_f64();
    let now = SystemClock.wall();
    if args.shape.is_told() {
        let is_told = |one: &&&Check| {
            args.all || args.name.is_some() || !matches!(one.grade, Severity::Ok | Severity::Info)
        };
        let mut checks: Vec<&Check> = shown.iter().filter(is_told).copied().collect();
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
    let worst = shown.iter().map(|one| one.grade).max().unwrap_or(Severity::Ok);
    Ok(if args.check { code(worst) } else { crate::DONE })
}

/// Runs the checks as a scheduled job; returns the findings in a line.
pub(crate) async fn job(config: &ConfigArgs) -> Outcome {
    let all = checks::all(&Box::pin(read(config)).await);
    let all: Vec<&Check> = all.iter().collect();
    let worst = all.iter().map(|one| one.grade).max().unwrap_or(Severity::Ok);
    let bad = all
        .iter()
        .filter(|one| one.grade == worst && worst > Severity::Info);
    let bad: Vec<&str> = bad.map(|one| one.name.as_str()).take(NAMED).collect();
    let counted = counted(&all);
    Outcome {
        grade: worst,
        details: if bad.is_empty() {
            counted
        } else {
            format!("{counted}: {}", bad.join(", "))
        },
    }
}

/// Reads the data of all checks. Data that cannot be read is a finding itself.
async fn read(config: &ConfigArgs) -> Read {
    let settings = match Settings::load(config) {
        Ok(settings) => settings,
        Err(errors) => {
            return Read {
                config: Err(Failure::config(&errors).chain()),
                ..Read::default()
            };
        }
    };
    let words = settings.report.warnings.iter();
    let mut doubts: Vec<String> = words
        .filter(|one| !one.is_notice())
        .map(ToString::to_string)
        .collect();
    doubts.extend(settings.exposed().iter().map(ToString::to_string));
    // Both use the database: if it does not answer, they wait at the same time.
    let (upgrade, situation) = tokio::join!(
        Box::pin(upgrade::checks(&settings)),
        Box::pin(situation(config, &settings))
    );
    Read {
        config: Ok(doubts),
        devices: Some(devices(&settings)),
        policy: Some(
            wiring::policy::read(&settings.oslo_policy)
                .map(|loaded| loaded.warnings.iter().map(ToString::to_string).collect())
                .map_err(|error| error.chain()),
        ),
        upgrade: Some(upgrade.map_err(|error| error.chain())),
        situation: Some(situation.map_err(|error| error.chain())),
    }
}

fn devices(settings: &Settings) -> Result<Vec<String>, String> {
    if !settings.fencing.is_configured() {
        return Ok(Vec::new());
    }
    let topology = settings.fencing.topology().map_err(|error| error.chain())?;
    Ok(topology.warnings())
}

async fn situation(
    config: &ConfigArgs,
    settings: &Settings,
) -> Result<(SituationView, Option<Rules>), Failure> {
    let situation = Database::open(config).await?.situation().await?;
    let rules = Rules::of(settings, &situation);
    Ok((situation, Some(rules)))
}

fn named<'a>(all: &'a [Check], name: &str) -> Result<Vec<&'a Check>, Failure> {
    let wanted = name.trim().to_ascii_lowercase().replace('_', "-");
    let found: Vec<&Check> = all.iter().filter(|one| one.name == wanted).collect();
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

fn lines(one: &Check) -> Vec<String> {
    let word = one.grade.as_str().to_ascii_uppercase();
    let mut lines = vec![format!("{word:<7} {:<28} {}", one.name, one.details)];
    let fixes = one.fix.iter().flat_map(|fix| fix.lines());
    lines.extend(fixes.map(|fix| format!("        -> {fix}")));
    lines.extend(one.page.iter().map(|page| format!("        {page}")));
    lines
}

/// True if the check could not be made.
fn is_unseen(one: &Check) -> bool {
    one.grade == Severity::Unknown && one.fix.is_none() && one.page.is_none()
}

/// Removes the checks that the most common reason has prevented, and returns one line about them.
fn alike(checks: &mut Vec<&Check>) -> Option<String> {
    let mut whys: BTreeMap<&str, usize> = BTreeMap::new();
    for one in checks.iter().filter(|one| is_unseen(one)) {
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
        .partition(|one| is_unseen(one) && one.details == why);
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
