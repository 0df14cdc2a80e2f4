//! Another attempt after a failed recovery.
//!
//! The attempt passes the same checks as a notification, and is a new recovery that reads everything again. The failed
//! one stays unchanged. The attempt claims nothing about the host, because an earlier NORMAL was about the past.
//! Evidence keeps its date, and is kept only if no reporter of the host is muted and no monitor on the host has sent a heartbeat
//! since.

use async_trait::async_trait;
use sea_orm::{ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, Set};
use tachi_domain::entity::notification::{NewNotification, NotificationStatus};
use tachi_domain::evidence::GivenEvidence;
use tachi_domain::host_recovery::{contradicts_claim, own_stamp_in};
use tachi_domain::recovery::retry::{note_first_reported, payload};
use tachi_domain::recovery::{RecoveryKind, StepKind, Task, open_key};
use tachi_domain::{NotificationId, RecoveryId, Timestamp};
use tachi_engine::ports::operator::{RetryOutcome, attempt};
use tachi_engine::ports::{RegistryError, Reports as _};

use crate::convert::{self, recovery_cell};
use crate::database::Database;
use crate::entity::{host, notification, recovery, recovery_step};
use crate::error::{Failure, Stop};
use crate::heartbeats;
use crate::journal::stored_off_claim;
use crate::registry::RegistryTables;
use crate::reporters::{key, muted_keys};
use crate::transaction::{Transaction, Tx, TxOutcome};

#[expect(clippy::too_many_lines, reason = "one transaction")]
pub(super) async fn retry(registry: &RegistryTables, id: RecoveryId, by: &str) -> Result<RetryOutcome, Stop> {
    let db = &registry.db;
    let reader = db.reader();
    let Some(failed) = recovery::Entity::find()
        .filter(recovery::Column::Uuid.eq(id.to_string()))
        .one(reader)
        .await?
    else {
        return Ok(RetryOutcome::Unknown);
    };
    let Some(row) = notification::Entity::find()
        .filter(notification::Column::NotificationUuid.eq(&failed.notification_uuid))
        .one(reader)
        .await?
    else {
        return Ok(RetryOutcome::Purged);
    };
    let notification = convert::notification(row)?;
    if notification.status != NotificationStatus::Failed {
        return Ok(RetryOutcome::NotFailed(notification.status.to_string()));
    }
    let kind = convert::recovery_kind(&failed)?;
    if kind.is_planned() {
        let text = format!(
            "a {kind} cannot be retried: `tachi host {kind} {}` starts another",
            failed.host_name
        );
        return Ok(RetryOutcome::Refused(text));
    }
    let host_id = recovery_cell(&failed, "host_uuid").id(&failed.host_uuid)?;
    if let Some(key) = open_key(kind, host_id, &notification.payload) {
        let open = recovery::Entity::find()
            .filter(recovery::Column::OpenKey.eq(key))
            .one(reader)
            .await?;
        if let Some(open) = open {
            return Ok(RetryOutcome::Open(recovery_cell(&open, "uuid").id(&open.uuid)?));
        }
    }
    // The host may have been renamed since.
    let host = host::Entity::find()
        .filter(host::Column::Uuid.eq(&failed.host_uuid))
        .filter(host::Column::Deleted.eq(0))
        .one(reader)
        .await?;
    let Some(host) = host else {
        let text = format!("host {} is no longer registered", failed.host_name);
        return Ok(RetryOutcome::Refused(text));
    };
    let now = db.now();
    // A user who may not write to the history cannot start an attempt, because its origin would not be recorded.
    let request_note = Note {
        notification: notification.id,
        text: format!("another attempt requested by {by}"),
        now,
    };
    if db.write(&request_note).await?.is_none() {
        return Ok(RetryOutcome::Unknown);
    }
    let evidence = match kind {
        RecoveryKind::Host => standing_evidence(db, &failed).await?,
        RecoveryKind::Vm | RecoveryKind::Process | RecoveryKind::Drain | RecoveryKind::Giveback => None,
    };
    let mut payload = match kind {
        RecoveryKind::Host => {
            let own_stamp = failed.state.as_deref().and_then(own_stamp_in);
            payload(id, own_stamp, evidence.is_some(), notification.payload)
        }
        RecoveryKind::Vm | RecoveryKind::Process | RecoveryKind::Drain | RecoveryKind::Giveback => {
            notification.payload
        }
    };
    let first_reported = failed.first_reported_at.unwrap_or(failed.opened_at);
    note_first_reported(&mut payload, Timestamp::from_micros(first_reported));
    let new = NewNotification {
        kind: notification.kind,
        hostname: host.name,
        generated_time: now,
        payload,
        evidence,
        reporter: None,
    };
    // Without a window, because a repetition is intended. An open recovery prevents it nevertheless.
    let accepted = match registry.accept_notification(&new, 0, now).await {
        Ok(accepted) => accepted.id,
        Err(error @ (RegistryError::Unavailable { .. } | RegistryError::Database { .. })) => {
            return Err(error.into());
        }
        Err(error) => return Ok(RetryOutcome::Refused(error.to_string())),
    };
    let note = Note {
        notification: accepted,
        text: attempt(id, by),
        now,
    };
    let Some(recovery) = db.write(&note).await? else {
        return Err(Failure::Dangling {
            table: "recovery",
            row: format!("of notification {accepted}"),
        }
        .into());
    };
    Ok(RetryOutcome::Started {
        recovery,
        notification: accepted,
    })
}

/// Returns the evidence of the failed recovery, unless one of its reporters is muted by now, or a monitor on the host has sent a
/// heartbeat later: the host has run since.
async fn standing_evidence(
    db: &Database,
    failed: &recovery::Model,
) -> Result<Option<Box<GivenEvidence>>, Stop> {
    let Some(evidence) = stored_off_claim(failed)?.and_then(|off_claim| off_claim.evidence) else {
        return Ok(None);
    };
    let muted = muted_keys(db.reader()).await?;
    for reporter in convert::reporters(failed)? {
        if muted.contains(&key(&reporter)?) {
            return Ok(None);
        }
    }
    let heartbeat = heartbeats::latest(db.reader(), &failed.host_name).await?;
    if heartbeat.is_some_and(|at| contradicts_claim(at, evidence.dated())) {
        return Ok(None);
    }
    Ok(Some(evidence))
}

/// A line of a recovery's history with the operator who requested an attempt. In the new recovery it is the first line.
struct Note {
    notification: NotificationId,
    text: String,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Note {
    type Output = Option<RecoveryId>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Option<RecoveryId>>, Stop> {
        let Some(row) = recovery::Entity::find()
            .filter(recovery::Column::NotificationUuid.eq(self.notification.to_string()))
            .one(tx)
            .await?
        else {
            return Ok(TxOutcome::Undo(None));
        };
        let id = recovery_cell(&row, "uuid").id(&row.uuid)?;
        let step = recovery_step::ActiveModel {
            recovery_id: Set(row.id),
            epoch: Set(0),
            task: Set(Task::Fence.name().to_owned()),
            instance_uuid: Set(None),
            kind: Set(StepKind::Note.as_str().to_owned()),
            progress: Set(0.0),
            failed: Set(false),
            text: Set(self.text.clone()),
            at: Set(self.now.micros()),
            ..Default::default()
        };
        step.insert(tx).await?;
        Ok(TxOutcome::Keep(Some(id)))
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::host::MaintenanceReason;
    use tachi_domain::recovery::Life;
    use tachi_engine::ports::journal::{HostWrite, Write, WriteOutcome};
    use tachi_engine::ports::{Hosts as _, Monitors as _, OperatorJournal as _};
    use uuid::Uuid;

    use super::*;
    use crate::testing::Bench;

    /// Creates a host whose recovery has finished with this status.
    async fn ended(status: NotificationStatus, life: Life) -> (Bench, RecoveryId) {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let write = Write {
            life: Some(life),
            notification: Some((status, None)),
            host: Some(HostWrite {
                host: host.id,
                why: MaintenanceReason::Recovery,
            }),
            ..Write::default()
        };
        let id = written(&bench, &write).await;
        (bench, id)
    }

    /// Claims and writes the newest recovery.
    async fn written(bench: &Bench, write: &Write) -> RecoveryId {
        let claimed = bench.claim_newest("engine").await;
        let journal = bench.store.journal();
        let written = journal.commit_at(claimed.id, claimed.epoch, write).await;
        assert!(matches!(written, Ok(WriteOutcome::Written(_))), "{written:?}");
        claimed.id
    }

    /// Covers R19.
    #[tokio::test]
    async fn a_failed_recovery_is_tried_again_at_once_and_only_one_at_a_time() {
        for life in [Life::Closed, Life::Watching] {
            let (bench, failed) = ended(NotificationStatus::Failed, life).await;
            let retried = bench
                .store
                .operator_journal()
                .retry(failed, "alice")
                .await
                .unwrap();
            let RetryOutcome::Started {
                recovery,
                notification,
            } = retried
            else {
                panic!("{life}: {retried:?}");
            };
            assert_ne!(recovery, failed);
            let again = bench
                .store
                .operator_journal()
                .retry(failed, "alice")
                .await
                .unwrap();
            assert_eq!(again, RetryOutcome::Open(recovery), "{life}");
            let history = bench
                .store
                .operator_journal()
                .history(recovery)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(history.summary.notification, notification);
            assert_eq!((history.summary.life, history.epoch), (Life::Open, 0));
            assert!(history.steps[0].text.contains("alice"), "{:?}", history.steps);
            let old = bench
                .store
                .operator_journal()
                .history(failed)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(old.summary.status, "failed");
            let last = &old.steps.last().unwrap().text;
            assert_eq!(last, "another attempt requested by alice");
            assert_eq!((old.later, history.later), (Some(recovery), None), "{life}");
        }
    }

    #[tokio::test]
    async fn downtime_counts_from_the_first_report_through_all_attempts() {
        let (bench, first) = ended(NotificationStatus::Failed, Life::Closed).await;
        let opened = |history: Option<tachi_engine::ports::operator::RecoveryHistory>| {
            let summary = history.unwrap().summary;
            (summary.opened_at, summary.first_reported_at)
        };
        let reported = opened(bench.store.operator_journal().history(first).await.unwrap());
        assert_eq!(reported.0, reported.1, "a first attempt");
        let mut failed = first;
        for _ in 0..2 {
            bench.clock.advance(std::time::Duration::from_mins(1));
            let retried = bench
                .store
                .operator_journal()
                .retry(failed, "alice")
                .await
                .unwrap();
            let RetryOutcome::Started { recovery, .. } = retried else {
                panic!("{retried:?}");
            };
            let history = opened(bench.store.operator_journal().history(recovery).await.unwrap());
            assert_eq!(history.1, reported.0, "as the first attempt was opened");
            assert!(history.0 > reported.0, "{history:?}");
            let write = Write {
                life: Some(Life::Closed),
                notification: Some((NotificationStatus::Failed, None)),
                ..Write::default()
            };
            failed = written(&bench, &write).await;
        }
        bench
            .store
            .operator_journal()
            .retry(failed, "alice")
            .await
            .unwrap();
        let claimed = bench.claim_newest("engine").await;
        assert_eq!(
            claimed.first_reported_at, reported.0,
            "the engine's metric counts from it"
        );
    }

    /// The report of the test fixture is NORMAL, without evidence.
    /// Covers R31.
    #[tokio::test]
    async fn a_retry_does_not_repeat_the_claim_that_the_host_is_off() {
        let (bench, failed) = ended(NotificationStatus::Failed, Life::Closed).await;
        let retried = bench
            .store
            .operator_journal()
            .retry(failed, "alice")
            .await
            .unwrap();
        assert!(matches!(retried, RetryOutcome::Started { .. }), "{retried:?}");
        let again = bench.claim_newest("engine").await;
        let payload = &again.notification.payload;
        assert_eq!(payload["host_status"], "UNKNOWN");
        assert_eq!(payload["retry_of"], failed.to_string());
        assert!(again.operator_state.off_claim.is_none() && !again.operator_state.joined_normal);
    }

    /// Covers R31.
    #[tokio::test]
    async fn evidence_keeps_its_date_in_another_attempt() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let at = bench.clock_wall().minus_seconds(300);
        let json = include_bytes!("../../../../docs/examples/fence-evidence.json");
        let mut evidence = tachi_domain::evidence::FenceEvidence::from_json(json).unwrap();
        (evidence.completed_at, evidence.observed_at) = (at, at);
        let given = GivenEvidence {
            evidence,
            by: "bridge".into(),
            generated: at,
            arrived: at,
        };
        let new = NewNotification {
            evidence: Some(Box::new(given.clone())),
            ..crate::testing::stopped(&host.name, bench.clock_wall())
        };
        bench.accept(&new).await.unwrap();
        let claimed = bench.claim_newest("engine").await;
        let write = Write {
            life: Some(Life::Closed),
            notification: Some((NotificationStatus::Failed, None)),
            ..Write::default()
        };
        let journal = bench.store.journal();
        let _ = journal
            .commit_at(claimed.id, claimed.epoch, &write)
            .await
            .unwrap();
        bench.clock.set_wall_on(600);
        bench
            .store
            .operator_journal()
            .retry(claimed.id, "alice")
            .await
            .unwrap();
        let again = bench.claim_newest("engine").await;
        let off_claim = again.operator_state.off_claim.unwrap();
        assert_eq!(off_claim.evidence.as_deref(), Some(&given));
        assert_eq!(off_claim.dated, given.dated());
        assert_eq!(again.notification.payload["host_status"], "NORMAL");

        // A monitor on the host has sent a heartbeat since: the host has run.
        let write = Write {
            life: Some(Life::Closed),
            notification: Some((NotificationStatus::Failed, None)),
            ..Write::default()
        };
        let failed = again.id;
        let _ = journal.commit_at(failed, again.epoch, &write).await.unwrap();
        let beat = crate::monitors::tests::received(&[crate::monitors::tests::beating("first", 100)]);
        assert!(
            bench
                .store
                .monitors()
                .store_heartbeats(&beat)
                .await
                .unwrap()
                .is_empty()
        );
        bench
            .store
            .operator_journal()
            .retry(failed, "alice")
            .await
            .unwrap();
        let again = bench.claim_newest("engine").await;
        assert!(again.operator_state.off_claim.is_none());
        assert_eq!(again.notification.payload["host_status"], "UNKNOWN");
    }

    #[tokio::test]
    async fn a_recovery_that_has_not_failed_is_not_retried() {
        for (status, life) in [
            (NotificationStatus::Running, Life::Open),
            (NotificationStatus::Finished, Life::Watching),
            (NotificationStatus::Ignored, Life::Closed),
        ] {
            let (bench, id) = ended(status, life).await;
            let retried = bench.store.operator_journal().retry(id, "alice").await.unwrap();
            assert_eq!(retried, RetryOutcome::NotFailed(status.to_string()));
            assert_eq!(
                bench
                    .store
                    .operator_journal()
                    .recoveries(true)
                    .await
                    .unwrap()
                    .len(),
                1
            );
            let unknown = bench
                .store
                .operator_journal()
                .retry(RecoveryId(Uuid::nil()), "alice")
                .await;
            assert_eq!(unknown.unwrap(), RetryOutcome::Unknown);
        }
    }

    #[tokio::test]
    async fn a_host_that_an_operator_keeps_out_or_has_removed_is_left_alone() {
        use tachi_domain::entity::host::HostAttributes;
        let (bench, failed) = ended(NotificationStatus::Failed, Life::Closed).await;
        let views = bench.store.operator_journal().region().await.unwrap();
        let host = &views[0].hosts[0].host;
        let change = HostAttributes {
            on_maintenance: Some(true),
            ..HostAttributes::default()
        };
        bench
            .store
            .registry()
            .update_host(host.segment.id, host.id, &change)
            .await
            .unwrap();
        let retried = bench
            .store
            .operator_journal()
            .retry(failed, "alice")
            .await
            .unwrap();
        assert_eq!(
            retried,
            RetryOutcome::Refused("host cmp1 is in maintenance".to_owned())
        );
        bench
            .store
            .registry()
            .delete_host(host.segment.id, host.id)
            .await
            .unwrap();
        let retried = bench
            .store
            .operator_journal()
            .retry(failed, "alice")
            .await
            .unwrap();
        let gone = "host cmp1 is no longer registered".to_owned();
        assert_eq!(retried, RetryOutcome::Refused(gone));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_of_two_concurrent_retries_succeeds() {
        let (bench, failed) = ended(NotificationStatus::Failed, Life::Closed).await;
        let other = bench.another().await;
        let (one, two) = tokio::join!(
            bench.store.operator_journal().retry(failed, "alice"),
            other.operator_journal().retry(failed, "bob")
        );
        let begun = [one.unwrap(), two.unwrap()]
            .iter()
            .filter(|retried| matches!(retried, RetryOutcome::Started { .. }))
            .count();
        assert_eq!(begun, 1);
        let open = bench.store.operator_journal().recoveries(false).await.unwrap();
        assert_eq!(open.len(), 1);
    }
}
