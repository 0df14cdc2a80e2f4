//! `tachi host fail`: a person says that a host is dead. It is the report that a monitor would make, and counts for no more: what
//! proves the host off is the engine's affair.

use tachi_domain::Reporter;
use tachi_domain::entity::Notification;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::{NewNotification, NotificationType};
use tachi_domain::freeze::FreezeScope;
use tachi_domain::policy::FencingMode;
use tachi_domain::recovery::Life;
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::operator::{HostView, RecoveryFilter, RecoverySummary};
use tachi_engine::ports::{AuditEntry, Freezes as _, OperatorDesk as _, Registry as _, RegistryError};

use super::super::Failure;
use super::super::fence::{confirmed, what_runs};
use super::super::freeze::{after, before};
use super::super::recovery::note_if_nobody_works;
use super::super::who::who;
use super::find;
use crate::cli::HostFailArgs;
use crate::source::Database;
use crate::{out, wiring};

/// Of the host's recoveries so many are looked at for the one that has begun.
const LOOKED_AT: u64 = 5;

/// Reports a host as failed.
pub(super) async fn run(args: HostFailArgs) -> Result<u8, Failure> {
    if args.reason.trim().is_empty() {
        return Err(Failure::usage("--reason: write what was seen"));
    }
    let by = who(Some(&args.reason))?;
    let database = Database::open(&args.config).await?;
    let Database { settings, base } = &database;
    let view = find(base, &args.host).await?;
    let host = view.host.name.clone();
    if let Some(why) = speaks_against(&view) {
        return Err(Failure::told(format!("nothing was reported: {why}")));
    }
    out::told(what_runs(settings, &host).await);
    for line in consequences(&database, &view).await? {
        out::told(line);
    }
    confirmed((&host, args.yes), "report as dead", "see above.")?;
    let new = report(&database, &host, &by)?;
    let audit = wiring::audit(settings, &base.clock, "tachi host fail")?;
    let entry = |phase, text: String| {
        let mut entry = AuditEntry::new(AuditAction::Word, phase, &host);
        entry.operator = Some(by.clone());
        entry.text = text;
        entry
    };
    let intent = entry(AuditPhase::Intent, "reports the host as failed".to_owned());
    before(&audit, intent, "nothing was reported").await?;
    let window = settings.duplicate_window_seconds;
    let accepted = base
        .store
        .registry()
        .accept_notification(&new, window, base.clock.wall())
        .await;
    let mut outcome = entry(AuditPhase::Outcome, String::new());
    (outcome.result, outcome.text) = match &accepted {
        Ok(one) => (Some(AuditResult::Ok), format!("notification {}", one.id)),
        Err(error) => (Some(AuditResult::Permanent), error.to_string()),
    };
    after(&audit, outcome).await;
    let accepted = match accepted {
        Ok(accepted) => accepted,
        Err(error) => return Err(refused(&database, &host, error).await),
    };
    wiring::socket_poke(settings)?.poke();
    tell(&database, &host, &accepted).await?;
    note_if_nobody_works(&database).await;
    Ok(crate::DONE)
}

/// What is known before anybody is asked.
fn speaks_against(view: &HostView) -> Option<String> {
    let host = &view.host.name;
    if let Some((id, Life::Open)) = view.recovery {
        return Some(format!(
            "recovery {id} of {host} is at work already: `tachi recovery show {id} --follow` tells what it does"
        ));
    }
    if !view.host.on_maintenance {
        return None;
    }
    Some(match view.why {
        Some(MaintenanceReason::Operator) | None => format!(
            "{host} is on maintenance, and nothing of such a host is recovered; end that first: openstack segment host update \
             --on_maintenance False {} {host}",
            view.host.segment.id
        ),
        Some(MaintenanceReason::Recovery | MaintenanceReason::Process) => format!(
            "{host} is on maintenance since it was recovered: `tachi host return {host}` tells how to bring it back"
        ),
    })
}

/// What comes of it.
async fn consequences(database: &Database, view: &HostView) -> Result<Vec<String>, Failure> {
    let Database { settings, base } = database;
    let host = &view.host.name;
    let mut lines = vec![match settings.policy.fencing {
        FencingMode::Engine => format!(
            "The engine fences {host} and proves it off before any instance is moved. If Nova goes on hearing it, it is not fenced, \
             and the recovery says so: `tachi fence off {host}` switches it off."
        ),
        FencingMode::DryRun => format!(
            "[fencing] mode is dry-run: the recovery tells what it would do with {host}, and does none of it."
        ),
        FencingMode::External => format!(
            "[fencing] mode is external, so no engine switches {host} off: nothing is moved before somebody says that it is off, \
             by a report with evidence or by `tachi recovery vouch`."
        ),
    }];
    if !view.host.segment.enabled {
        lines.push(format!(
            "Segment {} is disabled: the report is kept, and nothing begins before it is enabled.",
            view.host.segment.name
        ));
    }
    let freezes = base.store.freezes().freezes().await;
    let freezes = freezes.map_err(|error| Failure::new("listing freezes", error))?;
    let its = |scope, target: &str| match scope {
        FreezeScope::Region => true,
        FreezeScope::Segment => target == view.host.segment.id.to_string(),
        FreezeScope::Host => target == view.host.id.to_string(),
        FreezeScope::Instance => false,
    };
    for line in freezes.iter().filter(|line| its(line.freeze.scope, &line.target)) {
        lines.push(format!(
            "{}: the report is kept, and nothing begins before that ends, or `{}` ends it.",
            line.freeze.sentence(),
            line.freeze.thaw()
        ));
    }
    Ok(lines)
}

/// As the API would write down an administrator's report, by the same rules. It claims no proof: nobody has shown one.
fn report(database: &Database, host: &str, by: &str) -> Result<NewNotification, Failure> {
    let payload = [
        ("event", "STOPPED"),
        ("cluster_status", "OFFLINE"),
        ("host_status", "UNKNOWN"),
    ];
    let mut new = NewNotification {
        kind: NotificationType::ComputeHost,
        hostname: host.to_owned(),
        generated_time: database.base.clock.wall(),
        payload: payload
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        evidence: None,
        reporter: None,
    };
    let reporter = Reporter {
        user_id: who(None)?,
        user_name: Some(by.to_owned()),
        ..Reporter::default()
    };
    let binding = &database.settings.binding;
    binding
        .judge(reporter, || true, &mut new)
        .map_err(|why| Failure::told(format!("nothing was reported: {why}")))?;
    Ok(new)
}

/// The recoveries of a host, newest first.
async fn recoveries(database: &Database, host: &str) -> Result<Vec<RecoverySummary>, Failure> {
    let filter = RecoveryFilter {
        closed: true,
        host: Some(host.to_owned()),
        limit: Some(LOOKED_AT),
        ..RecoveryFilter::default()
    };
    let found = database.base.store.desk().find_recoveries(&filter).await;
    found.map_err(|error| Failure::new("reading the host's recoveries", error))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the registry's other errors are about other things, or the database"
)]
async fn refused(database: &Database, host: &str, error: RegistryError) -> Failure {
    let known = recoveries(database, host).await.unwrap_or_default();
    let newest = known.first();
    match error {
        RegistryError::Duplicate => {
            let seconds = database.settings.duplicate_window_seconds;
            let which = newest.map_or_else(String::new, |one| {
                format!(
                    "; that is recovery {} ({}): `tachi recovery show {}`",
                    one.id, one.status, one.id
                )
            });
            Failure::told(format!(
                "nothing was reported: the same was said of {host} within the last {seconds} s \
                 (duplicate_notification_detection_interval){which}"
            ))
        }
        RegistryError::OnMaintenance { .. } => Failure::told(format!(
            "nothing was reported: {host} has been put on maintenance meanwhile"
        )),
        RegistryError::UnknownHostName { .. } => Failure::told(format!(
            "nothing was reported: {host} has been taken out of its segment meanwhile"
        )),
        _ => Failure::new(
            "reporting the host (it may have been written: see `tachi recovery list`)",
            error,
        ),
    }
}

async fn tell(database: &Database, host: &str, accepted: &Notification) -> Result<(), Failure> {
    out::line(format!("notification  {}", accepted.id));
    if accepted.reporter.as_ref().is_some_and(|who| who.set_aside) {
        return Err(Failure::told(format!(
            "the report of {host} is kept, and nothing begins: this reporter is set aside, because Nova has contradicted it too \
             often; `tachi reporter list`"
        )));
    }
    let found = recoveries(database, host).await?;
    let Some(begun) = found.iter().find(|one| one.notification == accepted.id) else {
        out::told(format!(
            "it has joined what is known of {host}: `tachi recovery list --host {host}`"
        ));
        return Ok(());
    };
    out::line(format!("recovery      {}", begun.id));
    out::line(format!("follow it     tachi recovery show {} --follow", begun.id));
    Ok(())
}
