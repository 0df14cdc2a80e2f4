//! `tachi upgrade check`: the checks of `masakari-status upgrade check`, and the further needs of this version.

mod adopted;

use std::sync::Arc;

use tachi_cli::arguments::{ConfigArgs, ShapeArgs};
use tachi_cli::out::{self, waiting};
use tachi_cli::upgrade::{self, Check, CheckGrade, NAMED, check, checks};
use tachi_engine::SystemClock;
use tachi_engine::ports::{Clock, OperatorJournal as _};
use tachi_openstack::Nova;
use tachi_operator::Failure;
use tachi_store::Store;

use super::command_settings;
use crate::settings::Settings;
use crate::wiring;

/// Exit code if the checks could not be made at all.
const UNEXPECTED: u8 = 255;

/// Makes all checks and prints the table; returns the worst result as the exit code.
pub(super) async fn run(config: &ConfigArgs, shape: &ShapeArgs) -> u8 {
    let checked = match command_settings(config) {
        Ok(settings) => {
            waiting(
                "the database, Keystone and Nova",
                Box::pin(self::checks(&settings)),
            )
            .await
        }
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
    let mut found = vec![
        checks::policy_file(&settings.oslo_policy.file),
        checks::options(&settings.report),
        adopted::authorities(settings),
        checks::without_evidence(settings.policy.fencing, settings.policy.bare_normal),
    ];
    // The store is opened without a migration: a check changes nothing.
    let store = if settings.database.exists() {
        Store::connect(&settings.database.once(), clock.clone())
            .await
            .map_err(|error| Failure::new("opening the database", error).chain())
    } else {
        Err(format!("there is no database yet at {}", settings.database))
    };
    let pending = match &store {
        Ok(store) => store
            .pending()
            .await
            .map_err(|error| Failure::new("reading the revision", error).chain()),
        Err(error) => Err(error.clone()),
    };
    let revision = checks::revision(pending);
    let current = revision.grade == CheckGrade::Success;
    found.push(revision);
    found.push(checks::fencing(&wiring::region_service::fencing_of(
        &settings.fencing,
        &settings.policy,
    )));
    found.push(adopted::upstream_engine(settings).await);
    if let Ok(store) = &store {
        found.extend(adopted::open_work(store, current).await);
    }
    let store = store.ok().filter(|_| current);
    found.push(adopted::binding(settings, store.as_ref()).await);
    if let Some(store) = &store {
        found.push(checks::engines(store.engine_registry(), clock.wall()).await);
    }
    let nova = match wiring::nova(settings, &clock).await {
        Ok(nova) => nova,
        Err(error) => {
            found.push(check("Nova", CheckGrade::Failure, error.chain()));
            return Ok(found);
        }
    };
    match nova.probe().await {
        Ok(()) => found.push(check("Nova", CheckGrade::Success, None)),
        Err(error) => {
            found.push(check("Nova", CheckGrade::Failure, error.to_string()));
            return Ok(found);
        }
    }
    found.push(checks::rights(nova.as_ref()).await);
    if let Some(store) = &store {
        found.push(names(store, &nova).await);
    }
    Ok(found)
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
