//! Operators' reports that a host has failed, on a controller or over the API. Such a report counts for no more than a monitor's: the
//! engine still has to prove that the host is off.

use serde::{Deserialize, Serialize};
use tachi_domain::count;
use tachi_domain::entity::Notification;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::{NewNotification, NotificationType};
use tachi_domain::freeze::FreezeScope;
use tachi_domain::policy::FencingMode;
use tachi_domain::recovery::Life;
use tachi_domain::situation::TimedFact;
use tachi_domain::{NotificationId, RecoveryId, Timestamp};
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::operator::{HostView, RecoveryFilter, RecoverySummary};
use tachi_engine::ports::{
    AuditEntry, FreezeLine, Freezes, JournalError, OperatorJournal, RegistryError, Reports,
};
use utoipa::ToSchema;

use crate::actions::ActionError;
use crate::audited::AuditedOperator;
use crate::plain::plain;
use crate::search::{best_matches, no_match, several_matches};
use crate::snapshot::RegionSnapshot;
use crate::when::ago;

/// The number of the host's latest recoveries that are searched for the one that the report started.
const MAX_RECENT_RECOVERIES: u64 = 5;

/// A preview of the consequences of reporting that a host has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FailureOutlook)]
pub struct FailurePreview {
    /// The host's name.
    pub host: String,
    /// The reason why the report would be refused, for people; null if nothing blocks it.
    #[schema(required)]
    pub against: Option<String>,
    /// The host's state in Nova and the consequences of a report, one sentence each.
    pub consequences: Vec<String>,
}

/// A report that a host has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostFailure)]
pub struct FailedView {
    /// The host's name.
    pub host: String,
    /// The id of the report's notification.
    #[schema(value_type = String, format = "uuid")]
    pub notification: NotificationId,
    /// The id of the recovery that the report started; null if it joined an earlier report of the host, or starts nothing.
    #[schema(required, value_type = Option<String>)]
    pub recovery: Option<RecoveryId>,
    /// The operator, with the reason in parentheses if one was given.
    pub by: String,
    /// True if the same operator had made the same report and its recovery is known, so that nothing was written.
    pub already: bool,
    /// True if the report starts nothing, because its reporter is muted: Nova has contradicted it too often.
    pub set_aside: bool,
}

/// Finds a host by its name, its id or the beginning of its id.
///
/// # Errors
///
/// There is no match, there are several, or the database failed.
pub async fn named(operator_journal: &dyn OperatorJournal, name: &str) -> Result<HostView, ActionError> {
    let name = name.trim();
    let hosts = operator_journal
        .region()
        .await?
        .into_iter()
        .flat_map(|view| view.hosts);
    let called = |view: &HostView| (view.host.id.to_string(), view.host.name.clone());
    let (_, mut found) = best_matches(name, hosts, called);
    if found.len() > 1 {
        let each = found.iter().map(|view| {
            let host = &view.host;
            format!(
                "{} {} of segment {}",
                host.id,
                plain(&host.name),
                plain(&host.segment.name)
            )
        });
        return Err(ActionError::Ambiguous(several_matches(name, "hosts", each)));
    }
    found
        .pop()
        .ok_or_else(|| ActionError::Unknown(no_match(name, "host", "see `tachi status --all-hosts`")))
}

/// Returns the known fact that blocks a report, before anything is written.
fn report_blocker(view: &HostView) -> Option<String> {
    let host = &view.host.name;
    if let Some((id, Life::Open)) = view.recovery {
        return Some(format!(
            "recovery {id} of {host} is already running: `tachi recovery show {host} --follow` shows it"
        ));
    }
    // The registry accepts the report of a dead host that a recovery or a failed process has put in maintenance.
    (view.why == Some(MaintenanceReason::Operator)).then(|| {
        format!(
            "{host} is in maintenance, and such a host is not recovered; end that first: openstack segment host update \
             --on_maintenance False {} {host}",
            view.host.segment.id
        )
    })
}

/// Describes the host's state in Nova, as an engine last read it.
pub fn nova_state(snapshot: &RegionSnapshot, host: &str) -> String {
    let Some(TimedFact { as_of, value }) = &snapshot.facts.computes else {
        return format!("No engine has read Nova yet: the state of {host} is unknown.");
    };
    let when = ago(*as_of, snapshot.now);
    let state = value
        .iter()
        .find(|service| service.host == host)
        .map(|service| service.up);
    let state = match state {
        None => format!("Nova had no compute service on {host} {when}"),
        Some(true) => format!("Nova showed {host} up {when}"),
        Some(false) => format!("Nova showed {host} down {when}"),
    };
    let all = snapshot.situation.instances.as_ref();
    match all.map(|all| all.iter().filter(|instance| *instance.host == *host).count()) {
        None => format!("{state}."),
        Some(all) => format!(
            "{state}, and {} on it.",
            count(all, "instance was", "instances were")
        ),
    }
}

/// Previews the consequences of a report. `nova` is a sentence on the host's state in Nova.
///
/// # Errors
///
/// The database failed.
pub async fn preview(
    freezes: &dyn Freezes,
    view: &HostView,
    mode: FencingMode,
    nova: String,
) -> Result<FailurePreview, ActionError> {
    let host = &view.host.name;
    let fencing = match mode {
        FencingMode::Engine => format!(
            "The engine fences {host} and confirms it off before it moves an instance. If it stays up in Nova, it is not fenced, and after \
             2 min the report is dismissed. To power off a host that still runs, on a controller: `tachi fence off {host}`."
        ),
        FencingMode::DryRun => format!(
            "[fencing] mode is dry-run: the recovery shows what it would do with {host}, and does nothing."
        ),
        FencingMode::External => format!(
            "[fencing] mode is external, so no engine powers {host} off: no instance is moved until the host is confirmed off, by a \
             report with evidence or by `tachi recovery confirm-off`."
        ),
    };
    let mut lines = vec![nova, fencing];
    if !view.host.segment.enabled {
        lines.push(format!(
            "Segment {} is disabled: the report is stored, and no recovery starts before it is enabled.",
            view.host.segment.name
        ));
    }
    let frozen = freezes.freezes().await?;
    for line in frozen.iter().filter(|line| freezes_host(line, view)) {
        lines.push(format!(
            "{}: the report is stored, and no recovery starts before that ends, or `{}` ends it.",
            line.freeze.sentence(),
            line.freeze.thaw()
        ));
    }
    Ok(FailurePreview {
        host: host.clone(),
        against: report_blocker(view),
        consequences: lines,
    })
}

/// True if the freeze stops all new work on the whole host.
pub(crate) fn freezes_host(line: &FreezeLine, view: &HostView) -> bool {
    match line.freeze.scope {
        FreezeScope::Region => true,
        FreezeScope::Segment => line.target == view.host.segment.id.to_string(),
        FreezeScope::Host => line.target == view.host.id.to_string(),
        FreezeScope::Instance => false,
    }
}

/// Builds the notification that the API would write for an administrator's report, before its reporter is checked. It claims no proof,
/// because the operator has shown none.
pub fn notification(host: &str, now: Timestamp) -> NewNotification {
    let payload = [
        ("event", "STOPPED"),
        ("cluster_status", "OFFLINE"),
        ("host_status", "UNKNOWN"),
    ];
    NewNotification {
        kind: NotificationType::ComputeHost,
        hostname: host.to_owned(),
        generated_time: now,
        payload: payload
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        evidence: None,
        reporter: None,
    }
}

/// An operator who reports a host, and the ports for it.
pub struct FailureReport<'a> {
    pub operator_journal: &'a dyn OperatorJournal,
    pub reports: &'a dyn Reports,
    pub operator: AuditedOperator<'a>,
    /// The window in seconds in which an identical report is a duplicate.
    pub window: u32,
}

/// The result of a report.
#[derive(Debug)]
pub struct ReportOutcome {
    /// The answer.
    pub view: FailedView,
    /// The notification that was written; `None` if the same report existed already.
    pub accepted: Option<Notification>,
    /// The reason why the audit log lacks the result, if it does.
    pub unaudited: Option<String>,
}

impl FailureReport<'_> {
    /// Reports that a host has failed. Writes nothing if the same operator has made the same report, as long as its recovery is open or the
    /// report would be a duplicate.
    ///
    /// # Errors
    ///
    /// Known facts block it, the audit log cannot be written, or the database failed.
    pub async fn report(
        &self,
        view: &HostView,
        mut new: NewNotification,
        now: Timestamp,
    ) -> Result<ReportOutcome, ActionError> {
        let host = &view.host.name;
        if let Some(why) = report_blocker(view) {
            let open = view.recovery.filter(|(_, life)| *life == Life::Open);
            let outcome = match open {
                Some((id, _)) => self.earlier_report(id).await?,
                None => None,
            };
            return outcome.ok_or_else(|| ActionError::Refused(format!("nothing was reported: {why}")));
        }
        if let Some(reporter) = new.reporter.as_deref_mut() {
            reporter.user_name = Some(self.operator.by.clone());
        }
        let entry = AuditEntry::new(AuditAction::Word, AuditPhase::Intent, host);
        self.operator
            .intend(
                entry.clone(),
                "reports the host as failed",
                "nothing was reported",
            )
            .await?;
        let accepted = self.reports.accept_notification(&new, self.window, now).await;
        let (result, text) = match &accepted {
            Ok(notification) => (AuditResult::Ok, format!("notification {}", notification.id)),
            Err(error) => (audit_result_of(error), error.to_string()),
        };
        let unaudited = self.operator.conclude(entry, result, text).await;
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return self.refused(host, error).await,
        };
        let known = self.recoveries(host).await?;
        let begun = known.iter().find(|recovery| recovery.notification == accepted.id);
        Ok(ReportOutcome {
            view: FailedView {
                host: host.clone(),
                notification: accepted.id,
                recovery: begun.map(|recovery| recovery.id),
                by: self.operator.by.clone(),
                already: false,
                set_aside: accepted.reporter.as_ref().is_some_and(|who| who.muted),
            },
            accepted: Some(accepted),
            unaudited,
        })
    }

    /// Returns the earlier report if this operator, with the same reason, is among the recovery's reporters.
    async fn earlier_report(&self, id: RecoveryId) -> Result<Option<ReportOutcome>, ActionError> {
        let history = self.operator_journal.history(id).await?;
        let ours = history.filter(|history| {
            let mut reporters = history.reporters.iter();
            reporters.any(|reporter| reporter.user_name.as_deref() == Some(self.operator.by.as_str()))
        });
        Ok(ours.map(|history| ReportOutcome {
            view: FailedView {
                host: history.summary.host,
                notification: history.summary.notification,
                recovery: Some(id),
                by: self.operator.by.clone(),
                already: true,
                set_aside: false,
            },
            accepted: None,
            unaudited: None,
        }))
    }

    /// Returns the host's latest recoveries, newest first.
    async fn recoveries(&self, host: &str) -> Result<Vec<RecoverySummary>, JournalError> {
        let filter = RecoveryFilter {
            closed: true,
            host: Some(host.to_owned()),
            limit: Some(MAX_RECENT_RECOVERIES),
            ..RecoveryFilter::default()
        };
        self.operator_journal.find_recoveries(&filter).await
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the registry's other errors do not concern a report, or are the database's"
    )]
    async fn refused(&self, host: &str, error: RegistryError) -> Result<ReportOutcome, ActionError> {
        match error {
            RegistryError::Duplicate => {
                let known = self.recoveries(host).await?;
                let newest = known.first();
                if let Some(newest) = newest
                    && let Some(reported) = self.earlier_report(newest.id).await?
                {
                    return Ok(reported);
                }
                let which = newest.map_or_else(String::new, |newest_report| {
                    format!(
                        "; that is recovery {} ({}): `tachi recovery show {}`",
                        newest_report.id, newest_report.status, newest_report.id
                    )
                });
                Err(ActionError::Refused(format!(
                    "nothing was reported: the same report of {host} came within the last {} s \
                     (duplicate_notification_detection_interval){which}",
                    self.window
                )))
            }
            RegistryError::OnMaintenance { .. } => Err(ActionError::Refused(format!(
                "nothing was reported: {host} has been put in maintenance meanwhile"
            ))),
            RegistryError::UnknownHostName { .. } => Err(ActionError::Refused(format!(
                "nothing was reported: {host} has been removed from its segment meanwhile"
            ))),
            other => Err(ActionError::Failed(JournalError::new(
                "reporting the host (the report may be stored: see `tachi recovery list`)",
                other,
            ))),
        }
    }
}

/// Returns the audit result of a report that got no notification. A refusal is final; without an answer, the report may have been accepted.
fn audit_result_of(error: &RegistryError) -> AuditResult {
    if error.is_refusal() {
        AuditResult::Permanent
    } else {
        AuditResult::Transient
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::segment::RecoveryMethod;
    use tachi_domain::entity::{Host, Segment, Stamps};
    use tachi_domain::{HostId, SegmentId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_an_operators_maintenance_refuses_a_report() {
        let stamps = Stamps {
            created_at: Timestamp::from_micros(1),
            updated_at: None,
        };
        let segment = Segment {
            row: 1,
            id: SegmentId(Uuid::nil()),
            name: "all".to_owned(),
            service_type: "COMPUTE".to_owned(),
            enabled: true,
            description: None,
            recovery_method: RecoveryMethod::Auto,
            stamps,
        };
        let mut view = HostView {
            host: Host {
                row: 1,
                id: HostId(Uuid::nil()),
                name: "compute-001".to_owned(),
                reserved: false,
                on_maintenance: true,
                kind: "COMPUTE".to_owned(),
                control_attributes: "SSH".to_owned(),
                segment,
                stamps,
            },
            why: None,
            recovery: None,
        };
        for why in MaintenanceReason::ALL {
            view.why = Some(*why);
            assert_eq!(
                report_blocker(&view).is_some(),
                *why == MaintenanceReason::Operator,
                "{why}"
            );
        }
    }

    #[test]
    fn a_report_whose_answer_is_lost_is_not_written_down_as_refused() {
        let lost = || Box::<dyn std::error::Error + Send + Sync>::from("the connection is gone");
        let operation = "accepting a notification";
        for error in [
            RegistryError::Unavailable {
                operation,
                source: lost(),
            },
            RegistryError::Database {
                operation,
                source: lost(),
            },
        ] {
            assert_eq!(audit_result_of(&error), AuditResult::Transient, "{error}");
        }
        let name = || "compute-001".to_owned();
        for error in [
            RegistryError::Duplicate,
            RegistryError::OnMaintenance { name: name() },
            RegistryError::UnknownHostName { name: name() },
        ] {
            assert_eq!(audit_result_of(&error), AuditResult::Permanent, "{error}");
        }
    }
}
