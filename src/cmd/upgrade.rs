//! `tachi upgrade check`: the checks of `masakari-status upgrade check`, and the further needs of this version.

mod adopted;
mod shown;

use std::sync::Arc;

use tachi_domain::count;
use tachi_domain::policy::FencingMode;
use tachi_engine::SystemClock;
use tachi_engine::ports::{Clock, CloudLists as _, EngineRegistry as _, OperatorJournal as _};
use tachi_openstack::Nova;
use tachi_operator::is_alive;
use tachi_store::Store;

use super::command_settings;
use crate::cli::{ConfigArgs, ShapeArgs};
use crate::failure::Failure;
use crate::out::{self, answer, waiting};
use crate::settings::Settings;
use crate::wiring;

/// Exit code if the checks could not be made at all.
const UNEXPECTED: u8 = 255;

/// Result of a check; also the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CheckGrade {
    Success = 0,
    Warning = 1,
    Failure = 2,
}

impl CheckGrade {
    const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Warning => 1,
            Self::Failure => 2,
        }
    }
}

/// A check and its result.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) grade: CheckGrade,
    pub(super) details: Option<String>,
}

pub(super) fn check(name: &'static str, grade: CheckGrade, details: impl Into<Option<String>>) -> Check {
    Check {
        name,
        grade,
        details: details.into(),
    }
}

/// Names of all checks, in the order of the table, which omits checks that cannot be made yet.
pub(super) const NAMES: [&str; 14] = [
    "Policy File JSON to YAML Migration",
    "Options Without Effect",
    "CA Files",
    "Reports Without Evidence",
    "Database Revision",
    "Fencing",
    "Masakari's Engine",
    "Open Work",
    "Reserved Hosts",
    "Reporter Binding",
    "Engines",
    "Nova",
    "Rights in Nova",
    "Host Names",
];

/// Limit of the names in a line; the rest is counted.
const NAMED: usize = 5;

/// Makes all checks and prints the table; returns the worst result as the exit code.
pub(super) async fn run(config: &ConfigArgs, shape: &ShapeArgs) -> u8 {
    let checked = match command_settings(config) {
        Ok(settings) => waiting("the database, Keystone and Nova", Box::pin(checks(&settings))).await,
        Err(error) => Err(error),
    };
    let read = checked.and_then(|checks| {
        let object = shown::as_json(&checks);
        answer::object(shape, SystemClock.wall(), || object, |_| shown::table(&checks))?;
        Ok(worst(&checks).code())
    });
    read.unwrap_or_else(|error| {
        out::note(format!("tachi: {}", error.chain()));
        UNEXPECTED
    })
}

fn worst(checks: &[Check]) -> CheckGrade {
    checks
        .iter()
        .map(|check| check.grade)
        .max()
        .unwrap_or(CheckGrade::Success)
}

pub(super) async fn checks(settings: &Settings) -> Result<Vec<Check>, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut checks = vec![
        policy_file(settings),
        adopted::options(&settings.report),
        adopted::authorities(settings),
        adopted::without_evidence(settings),
    ];
    // The store is opened without a migration: a check changes nothing.
    let store = if settings.database.exists() {
        Store::connect(&settings.database.once(), clock.clone())
            .await
            .map_err(|error| Failure::new("opening the database", error).chain())
    } else {
        Err(format!("there is no database yet at {}", settings.database))
    };
    let revision = revision(&store).await;
    let current = revision.grade == CheckGrade::Success;
    checks.push(revision);
    checks.push(fencing(settings));
    checks.push(adopted::upstream_engine(settings).await);
    if let Ok(store) = &store {
        checks.extend(adopted::open_work(store, current).await);
    }
    let store = store.ok().filter(|_| current);
    checks.push(adopted::binding(settings, store.as_ref()).await);
    if let Some(store) = &store {
        checks.push(engines(store, &clock).await);
    }
    let nova = match wiring::nova(settings, &clock).await {
        Ok(nova) => nova,
        Err(error) => {
            checks.push(check("Nova", CheckGrade::Failure, error.chain()));
            return Ok(checks);
        }
    };
    match nova.probe().await {
        Ok(()) => checks.push(check("Nova", CheckGrade::Success, None)),
        Err(error) => {
            checks.push(check("Nova", CheckGrade::Failure, error.to_string()));
            return Ok(checks);
        }
    }
    checks.push(rights(&nova).await);
    if let Some(store) = &store {
        checks.push(names(store, &nova).await);
    }
    Ok(checks)
}

/// Makes Masakari's own check, under its own name.
fn policy_file(settings: &Settings) -> Check {
    const NAME: &str = "Policy File JSON to YAML Migration";
    let file = &settings.oslo_policy.file;
    if file.extension().is_some_and(|extension| extension == "json") {
        let details = format!(
            "[oslo_policy] policy_file is {}: write the rules that differ from the defaults as YAML",
            file.display()
        );
        return check(NAME, CheckGrade::Failure, details);
    }
    check(NAME, CheckGrade::Success, None)
}

async fn revision(store: &Result<Store, String>) -> Check {
    const NAME: &str = "Database Revision";
    let pending = match store {
        Ok(store) => store
            .pending()
            .await
            .map_err(|error| Failure::new("reading the revision", error).chain()),
        Err(error) => Err(error.clone()),
    };
    match pending {
        Ok(pending) if pending.is_empty() => check(NAME, CheckGrade::Success, None),
        Ok(pending) => {
            let details = format!(
                "run `tachi db sync`: {} to come",
                count(pending.len(), "migration is", "migrations are")
            );
            check(NAME, CheckGrade::Failure, details)
        }
        Err(error) => check(NAME, CheckGrade::Failure, error),
    }
}

fn fencing(settings: &Settings) -> Check {
    const NAME: &str = "Fencing";
    let fencing = wiring::region_service::fencing_of(&settings.fencing, &settings.policy);
    match (fencing.mode, &fencing.device) {
        (FencingMode::Engine, Some(_)) => check(NAME, CheckGrade::Success, None),
        (FencingMode::Engine, None) => check(NAME, CheckGrade::Failure, fencing.line()),
        (FencingMode::External | FencingMode::DryRun, _) => check(NAME, CheckGrade::Warning, fencing.line()),
    }
}

async fn engines(store: &Store, clock: &Arc<dyn Clock>) -> Check {
    const NAME: &str = "Engines";
    match store.roll().engines().await {
        Ok(lines) if lines.iter().any(|line| is_alive(line, clock.wall())) => {
            check(NAME, CheckGrade::Success, None)
        }
        Ok(_) => check(NAME, CheckGrade::Warning, "no engine is running".to_owned()),
        Err(error) => check(
            NAME,
            CheckGrade::Failure,
            Failure::new("reading the list of engines", error).chain(),
        ),
    }
}

/// Checks our rights in Nova by the list of services, which only administrators may read.
async fn rights(nova: &Nova) -> Check {
    const NAME: &str = "Rights in Nova";
    match nova.services().await.map(|services| services.conductors_up) {
        Ok(true) => check(NAME, CheckGrade::Success, None),
        Ok(false) => {
            let details = "not every nova-conductor is up; evacuations go through them".to_owned();
            check(NAME, CheckGrade::Warning, details)
        }
        Err(error) => check(NAME, CheckGrade::Failure, error.to_string()),
    }
}

/// Compares host names: a report names a registered host, and Nova must have it under exactly the same name.
async fn names(store: &Store, nova: &Nova) -> Check {
    const NAME: &str = "Host Names";
    let region = match store.desk().region().await {
        Ok(region) => region,
        Err(error) => {
            return check(
                NAME,
                CheckGrade::Failure,
                Failure::new("reading hosts", error).chain(),
            );
        }
    };
    let mut missing = Vec::new();
    for view in region.iter().flat_map(|view| &view.hosts) {
        match nova.compute_host_exists(&view.host.name).await {
            Ok(true) => {}
            Ok(false) => missing.push(view.host.name.clone()),
            Err(error) => return check(NAME, CheckGrade::Failure, error.to_string()),
        }
    }
    if missing.is_empty() {
        return check(NAME, CheckGrade::Success, None);
    }
    let all = missing.len();
    missing.truncate(NAMED);
    let details = format!(
        "Nova has no compute service on {all} of the hosts, such as {}: their failure cannot be recovered",
        missing.join(", ")
    );
    check(NAME, CheckGrade::Failure, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_is_the_exit_code() {
        let graded = |grades: &[CheckGrade]| -> Vec<Check> {
            grades.iter().map(|grade| check("a", *grade, None)).collect()
        };
        for (grades, code) in [
            (&[][..], 0),
            (&[CheckGrade::Success], 0),
            (&[CheckGrade::Success, CheckGrade::Warning], 1),
            (
                &[CheckGrade::Failure, CheckGrade::Warning, CheckGrade::Success],
                2,
            ),
        ] {
            assert_eq!(worst(&graded(grades)).code(), code, "{grades:?}");
        }
    }
}
