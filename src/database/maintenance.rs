//! Operator actions on reporters, monitors and failed recoveries, in the database.

use std::sync::Arc;

use tachi_cli::out;
use tachi_cli::process_owner;
use tachi_domain::RecoveryId;
use tachi_domain::monitor::MonitorKind;
use tachi_engine::ports::AuditSink;
use tachi_operator::actions::ActionError;
use tachi_operator::audited::AuditedOperator;
use tachi_operator::maintenance::{Done, MaintenanceOperator};
use tachi_operator::{Failure, ForgottenView, LiftedView, RetriedView};

use super::Database;
use crate::wiring;

/// The operator at the keyboard, and the audit log of the actions.
struct LocalOperator<'a> {
    database: &'a Database,
    audit: Arc<dyn AuditSink>,
    by: String,
}

impl<'a> LocalOperator<'a> {
    fn open(database: &'a Database, command: &str, reason: Option<&str>) -> Result<Self, Failure> {
        let by = process_owner::who(reason)?;
        let audit = wiring::audit(&database.settings, &database.base.clock, command)?;
        Ok(Self { database, audit, by })
    }

    fn maintenance_operator(&self) -> MaintenanceOperator<'_> {
        let store = &self.database.base.store;
        MaintenanceOperator {
            operator_journal: store.operator_journal(),
            monitors: store.monitors(),
            operator: AuditedOperator {
                audit: self.audit.as_ref(),
                by: self.by.clone(),
                request: None,
            },
        }
    }
}

fn converted<T>(what: &str, done: Result<Done<T>, ActionError>) -> Result<T, Failure> {
    let done = done.map_err(|unsaid| Failure::unsaid(what, unsaid))?;
    if let Some(why) = done.unaudited {
        out::note(format!("tachi: {why}"));
    }
    Ok(done.view)
}

pub(super) async fn unmute(
    database: &Database,
    reporter: &str,
    reason: Option<&str>,
) -> Result<LiftedView, Failure> {
    let operator_journal = LocalOperator::open(database, "tachi monitor unmute", reason)?;
    let done = operator_journal.maintenance_operator().unmute(reporter).await;
    converted("unmuting the reporter", done)
}

pub(super) async fn delete_monitor(
    database: &Database,
    host: &str,
    kind: MonitorKind,
) -> Result<ForgottenView, Failure> {
    let operator_journal = LocalOperator::open(database, "tachi monitor forget", None)?;
    let done = operator_journal.maintenance_operator().forget(host, kind).await;
    converted("removing a monitor", done)
}

pub(super) async fn retry(
    database: &Database,
    id: RecoveryId,
    reason: Option<&str>,
) -> Result<RetriedView, Failure> {
    let operator_journal = LocalOperator::open(database, "tachi recovery retry", reason)?;
    let now = database.base.clock.wall();
    let view = converted(
        "requesting another attempt",
        operator_journal.maintenance_operator().retry(id, now).await,
    )?;
    wiring::socket_notifier(&database.settings)?.notify();
    Ok(view)
}
