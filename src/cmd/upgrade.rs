//! `tachi upgrade check`: the checks of `masakari-status upgrade check`, and the further needs of this version.

mod adopted;

use std::sync::Arc;

use tachi_cli::arguments::{ConfigArgs, ShapeArgs};
use tachi_cli::out::{self, waiting};
use tachi_cli::upgrade::{self, Check, CheckGrade, NAMED, check};
use tachi_domain::count;
use tachi_domain::policy::FencingMode;
use tachi_engine::SystemClock;
use tachi_engine::ports::{Clock, CloudLists as _, EngineRegistry as _, OperatorJournal as _};
use tachi_openstack::Nova;
use tachi_operator::{Failure, is_alive};
use tachi_store::Store;

use super::command_settings;
use crate::settings::Settings;
use crate::wiring;

/// Exit code if the checks could not be made at all.
const UNEXPECTED: u8 = 255;

/// Makes all checks and prints the table; returns the worst result as the exit code.
pub(super) async fn run(config: &ConfigArgs, shape: &ShapeArgs) -> u8 {
    let checked = match command_settings(config) {
        Ok(settings) => waiting("the database, Keystone and Nova", Box::pin(checks(&settings))).await,
        Err(error) => Err(error),
    };
    let read = checked.and_then(|checks| upgrade::show(shape, SystemClock.wall(), &checks));
    read.unwrap_or_else(|error| {
        out::note(format!("tachi: {}", error.chain()));
        UNEXPECTED
    })
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
    match store.engine_registry().engines().await {
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
    let region = match store.operator_journal().region().await {
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
