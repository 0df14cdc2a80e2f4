//! Operators' actions on reporters, monitors and failed recoveries, on a controller or over the API. The audit log gets the intent before
//! the action and the result after it.

use serde::{Deserialize, Serialize};
use tachi_domain::monitor::MonitorKind;
use tachi_domain::situation::MutedReporter;
use tachi_domain::{NotificationId, RecoveryId, Timestamp};
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::operator::{RecoveryFilter, RetryOutcome, attempt};
use tachi_engine::ports::{AuditEntry, JournalError, Monitors, OperatorJournal};
use utoipa::ToSchema;

use crate::actions::ActionError;
use crate::audited::AuditedOperator;
use crate::plain::plain;
use crate::schema;
use crate::search;
use crate::when::Time;

/// The window in seconds in which an identical request counts as a retry after a lost answer.
const REPEAT_WINDOW_SECONDS: u64 = 60;

/// The number of the host's latest recoveries that are searched for an identical request.
const MAX_RECENT_RECOVERIES: u64 = 5;

/// A reporter whose claims Nova has contradicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DoubtedReporter)]
pub struct ReporterView {
    /// The reporter's number in the list.
    pub number: i64,
    /// The reporter, for people.
    pub reporter: String,
    /// The host that the reporter's credentials are bound to; null if they are bound to none.
    #[serde(default)]
    #[schema(required)]
    pub host: Option<String>,
    /// True if the reporter is muted: its reports start nothing. False if too many reporters are muted already.
    pub set_aside: bool,
    /// When Nova contradicted it.
    pub since: Time,
    /// The number of its reports that were stored since then and started nothing.
    pub kept: u64,
    /// The reason, for people.
    pub why: String,
}

impl From<&MutedReporter> for ReporterView {
    fn from(reporter: &MutedReporter) -> Self {
        Self {
            number: reporter.number,
            reporter: reporter.reporter.to_string(),
            host: reporter.reporter.host.as_deref().map(str::to_owned),
            set_aside: reporter.is_muted,
            since: Time(reporter.since),
            kept: reporter.ignored_reports,
            why: reporter.why.clone(),
        }
    }
}

/// A reporter that was unmuted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LiftedReporter)]
pub struct LiftedView {
    /// The reporter as it was while muted.
    pub lifted: ReporterView,
    /// The operator who released it.
    pub by: String,
}

/// A monitor that was removed from the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ForgottenMonitor)]
pub struct ForgottenView {
    /// The host that the monitor ran on.
    pub host: String,
    /// The kind of monitor.
    #[schema(schema_with = schema::monitor_kind)]
    pub kind: MonitorKind,
    /// The operator who removed it.
    pub by: String,
}

/// A new attempt after a failed recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Retry)]
pub struct RetriedView {
    /// The id of the new recovery.
    #[schema(value_type = String, format = "uuid")]
    pub recovery: RecoveryId,
    /// The id of the new recovery's notification.
    #[schema(value_type = String, format = "uuid")]
    pub notification: NotificationId,
    /// The operator who requested it.
    pub by: String,
    /// True if the same operator had just made the same request, so that nothing was written.
    pub already: bool,
}

/// A completed action, and the reason why the audit log lacks its result, if it does.
#[derive(Debug)]
pub struct Done<T> {
    /// The answer.
    pub view: T,
    /// A message for people; `None` if the audit log has the result.
    pub unaudited: Option<String>,
}

/// An operator, and the ports for the actions.
pub struct MaintenanceOperator<'a> {
    /// The recoveries and reporters.
    pub operator_journal: &'a dyn OperatorJournal,
    /// The registry of monitors.
    pub monitors: &'a dyn Monitors,
    pub operator: AuditedOperator<'a>,
}

impl MaintenanceOperator<'_> {
    /// Unmutes a reporter, given its number or the host that it is bound to.
    ///
    /// # Errors
    ///
    /// No such reporter is muted, the audit log cannot be written, or the database failed.
    pub async fn unmute(&self, name: &str) -> Result<Done<LiftedView>, ActionError> {
        let all = self.operator_journal.muted_reporters().await?;
        let found = reporter(&all, name)?.ok_or_else(|| {
            ActionError::Unknown(format!(
                "no reporter {} is muted: it was unmuted, or never muted; see tachi monitor list --muted",
                plain(name)
            ))
        })?;
        let mut entry = AuditEntry::new(AuditAction::Lift, AuditPhase::Intent, "");
        entry.reporter = Some(found.reporter.to_string());
        self.operator
            .intend(entry.clone(), "unmutes it", "nothing was unmuted")
            .await?;
        let lifted = self.operator_journal.unmute_reporter(found.number).await;
        let (result, text) = match &lifted {
            Ok(Some(reporter)) => (
                AuditResult::Ok,
                format!(
                    "is unmuted; {} of its reports were stored without effect",
                    reporter.ignored_reports
                ),
            ),
            Ok(None) => (
                AuditResult::Permanent,
                "another operator has unmuted it meanwhile".into(),
            ),
            Err(error) => failed(error),
        };
        let unaudited = self.operator.conclude(entry, result, text).await;
        let lifted = lifted?.ok_or_else(|| {
            ActionError::Refused("another operator has unmuted it meanwhile: nothing was written".into())
        })?;
        Ok(Done {
            view: LiftedView {
                lifted: ReporterView::from(&lifted),
                by: self.operator.by.clone(),
            },
            unaudited,
        })
    }

    /// Removes a decommissioned monitor from the registry.
    ///
    /// # Errors
    ///
    /// The monitor has never sent a heartbeat, the audit log cannot be written, or the database failed.
    pub async fn forget(&self, host: &str, kind: MonitorKind) -> Result<Done<ForgottenView>, ActionError> {
        let unknown = || {
            ActionError::Unknown(format!(
                "{} has no {kind} monitor: it is removed already, or has never sent a heartbeat; see tachi monitor list",
                plain(host)
            ))
        };
        let known = self.monitors.monitors().await?;
        if !known
            .iter()
            .any(|monitor| monitor.heartbeat.host == host && monitor.heartbeat.kind == kind)
        {
            return Err(unknown());
        }
        let entry = AuditEntry::new(AuditAction::Word, AuditPhase::Intent, host);
        let intent = format!("removes the {kind} monitor");
        self.operator
            .intend(entry.clone(), &intent, "nothing was removed")
            .await?;
        let forgotten = self.monitors.forget_monitor(host, kind).await;
        let (result, text) = match &forgotten {
            Ok(true) => (AuditResult::Ok, format!("the {kind} monitor is removed")),
            Ok(false) => (
                AuditResult::Permanent,
                format!("the {kind} monitor does not exist any more"),
            ),
            Err(error) => failed(error),
        };
        let unaudited = self.operator.conclude(entry, result, text).await;
        if !forgotten? {
            return Err(unknown());
        }
        Ok(Done {
            view: ForgottenView {
                host: host.to_owned(),
                kind,
                by: self.operator.by.clone(),
            },
            unaudited,
        })
    }

    /// Starts a new attempt, unless the same operator has started one within the last minute.
    ///
    /// # Errors
    ///
    /// Known facts block it, the audit log cannot be written, or the database failed.
    pub async fn retry(&self, id: RecoveryId, now: Timestamp) -> Result<Done<RetriedView>, ActionError> {
        let unknown = || ActionError::Unknown(format!("no recovery has the id {id}"));
        let history = self.operator_journal.history(id).await?.ok_or_else(unknown)?;
        let mut entry = AuditEntry::new(AuditAction::Word, AuditPhase::Intent, &history.summary.host);
        entry.recovery = Some(id.to_string());
        if let Some(view) = self.earlier_attempt(id, &history.summary.host, now).await? {
            return Ok(Done {
                view,
                unaudited: None,
            });
        }
        self.operator
            .intend(entry.clone(), "another attempt", "nothing was started")
            .await?;
        let retried = self.operator_journal.retry(id, &self.operator.by).await;
        let refused = |why: String| ActionError::Refused(format!("no new attempt: {why}"));
        let outcome = match retried {
            Ok(RetryOutcome::Started {
                recovery,
                notification,
            }) => Ok((recovery, notification)),
            Ok(RetryOutcome::Unknown) => Err(unknown()),
            Ok(RetryOutcome::Purged) => Err(refused("its notification was purged; send it again".into())),
            Ok(RetryOutcome::NotFailed(status)) => Err(refused(format!(
                "recovery {id} has not failed: its notification is {status}"
            ))),
            Ok(RetryOutcome::Open(open)) => Err(refused(format!(
                "recovery {open} of the same subject is still open"
            ))),
            Ok(RetryOutcome::Refused(why)) => Err(refused(why)),
            Err(error) => Err(ActionError::Failed(error)),
        };
        let (result, text) = match &outcome {
            Ok((recovery, _)) => (AuditResult::Ok, format!("recovery {recovery}")),
            Err(ActionError::Failed(error)) => failed(error),
            Err(why) => (AuditResult::Permanent, why.to_string()),
        };
        let unaudited = self.operator.conclude(entry, result, text).await;
        let (recovery, notification) = outcome?;
        Ok(Done {
            view: RetriedView {
                recovery,
                notification,
                by: self.operator.by.clone(),
                already: false,
            },
            unaudited,
        })
    }

    /// Finds the attempt at this recovery that the same operator started a moment ago.
    async fn earlier_attempt(
        &self,
        id: RecoveryId,
        host: &str,
        now: Timestamp,
    ) -> Result<Option<RetriedView>, JournalError> {
        let filter = RecoveryFilter {
            closed: true,
            host: Some(host.to_owned()),
            limit: Some(MAX_RECENT_RECOVERIES),
            ..RecoveryFilter::default()
        };
        let attempt_text = attempt(id, &self.operator.by);
        for row in self.operator_journal.find_recoveries(&filter).await? {
            let age = now.micros_since(row.opened_at).unsigned_abs() / 1_000_000;
            if age >= REPEAT_WINDOW_SECONDS {
                continue;
            }
            let history = self.operator_journal.history(row.id).await?;
            if history.is_some_and(|history| history.steps.iter().any(|step| step.text == attempt_text)) {
                return Ok(Some(RetriedView {
                    recovery: row.id,
                    notification: row.notification,
                    by: self.operator.by.clone(),
                    already: true,
                }));
            }
        }
        Ok(None)
    }
}

/// Without an answer from the database, the action may have been written.
fn failed(error: &JournalError) -> (AuditResult, String) {
    let result = if error.denied {
        AuditResult::Permanent
    } else {
        AuditResult::Transient
    };
    (result, format!("{error}: {}", error.source))
}

/// Finds a reporter by its number, else by the host that it is bound to. Several reporters may be bound to one host.
fn reporter<'a>(listed: &'a [MutedReporter], name: &str) -> Result<Option<&'a MutedReporter>, ActionError> {
    if let Some(numbered) = listed.iter().find(|muted| muted.number.to_string() == name) {
        return Ok(Some(numbered));
    }
    let bound = listed
        .iter()
        .filter(|muted| muted.reporter.host.as_deref() == Some(name));
    let found: Vec<&MutedReporter> = bound.collect();
    if found.len() > 1 {
        let each = found
            .iter()
            .map(|muted| format!("{} {}", muted.number, plain(&muted.reporter.to_string())));
        return Err(ActionError::Ambiguous(search::several_matches(
            name,
            "reporters",
            each,
        )));
    }
    Ok(found.first().copied())
}

#[cfg(test)]
mod tests {
    use tachi_domain::Reporter;

    use super::*;

    #[test]
    fn a_reporter_is_found_by_its_number_or_its_host() {
        let one = |number, host: Option<&str>| MutedReporter {
            number,
            reporter: Reporter {
                host: host.map(Into::into),
                ..Reporter::default()
            },
            since: Timestamp::from_micros(0),
            why: "contradicted".into(),
            is_muted: true,
            ignored_reports: 0,
        };
        let listed = [one(7, Some("cmp1")), one(8, None), one(9, Some("8"))];
        for (name, expected) in [
            ("7", Some(7)),
            ("cmp1", Some(7)),
            ("8", Some(8)),
            ("cmp2", None),
            ("", None),
        ] {
            assert_eq!(
                reporter(&listed, name).unwrap().map(|muted| muted.number),
                expected,
                "{name}"
            );
        }
        let several = [one(7, Some("cmp1")), one(8, Some("cmp1"))];
        let Err(ActionError::Ambiguous(why)) = reporter(&several, "cmp1") else {
            panic!("one of two was picked");
        };
        assert!(why.contains("\n  7 ") && why.contains("\n  8 "), "{why}");
    }
}
