//! The instances whose reported failure no recovery has repaired.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _, QueryTrait as _,
    Set,
};
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::ReportedFailure;
use tachi_domain::{ServerId, Timestamp};

use crate::clock;
use crate::convert::{self, Cell};
use crate::entity::{failed_instance, notification, recovery};
use crate::error::Stop;
use crate::transaction::{Transaction, Tx, TxOutcome};

/// The end of the recovery of an instance.
pub(super) struct End<'a> {
    pub(super) status: NotificationStatus,
    pub(super) message: Option<&'a str>,
    /// True if the instance was reported down and nothing was done.
    pub(super) unrepaired: bool,
}

/// Stores the result of the recovery of an instance. An ignored recovery changes nothing: an earlier failure stays.
pub(super) async fn ended(tx: &Tx, row: &recovery::Model, end: &End<'_>, now: Timestamp) -> Result<(), Stop> {
    let failed = match end.status {
        NotificationStatus::Failed => true,
        _ if end.unrepaired => true,
        NotificationStatus::Finished => false,
        NotificationStatus::New
        | NotificationStatus::Running
        | NotificationStatus::Error
        | NotificationStatus::Ignored => return Ok(()),
    };
    let Some(server) = instance(tx, row).await? else {
        return Ok(());
    };
    if !failed {
        let known = failed_instance::Entity::find_by_id(server.to_string())
            .one(tx)
            .await?;
        // `MariaDB` would lock the gap of a missing row, which blocks other recoveries.
        if known.is_some() {
            failed_instance::Entity::delete_by_id(server.to_string())
                .exec(tx)
                .await?;
        }
        return Ok(());
    }
    // A user may have started it since the report, if no recovery has touched it.
    let at = if end.unrepaired {
        Timestamp::from_micros(row.opened_at)
    } else {
        clock::now(tx, now).await?
    };
    let model = failed_instance::ActiveModel {
        instance_uuid: Set(server.to_string()),
        failed_at: Set(at.micros()),
        reason: Set(end.message.map(str::to_owned)),
    };
    let over = OnConflict::column(failed_instance::Column::InstanceUuid)
        .update_columns([failed_instance::Column::FailedAt, failed_instance::Column::Reason])
        .to_owned();
    let insert = failed_instance::Entity::insert(model).on_conflict(over);
    tx.execute(&insert.into_query()).await?;
    Ok(())
}

/// Returns the instance that the recovery's notification names.
async fn instance(tx: &Tx, row: &recovery::Model) -> Result<Option<ServerId>, Stop> {
    let payload: Option<Option<String>> = notification::Entity::find()
        .select_only()
        .column(notification::Column::Payload)
        .filter(notification::Column::NotificationUuid.eq(&row.notification_uuid))
        .into_tuple()
        .one(tx)
        .await?;
    let cell = Cell {
        table: "notifications",
        row: &row.notification_uuid,
        column: "payload",
    };
    let payload = convert::payload(cell, payload.flatten().as_deref())?;
    Ok(payload.get("instance_uuid").and_then(|text| text.parse().ok()))
}

/// Returns the instances with an open recovery, and those whose last recovery has failed.
pub(crate) async fn failures(db: &impl ConnectionTrait) -> Result<BTreeMap<ServerId, ReportedFailure>, Stop> {
    let mut found = BTreeMap::new();
    for row in failed_instance::Entity::find().all(db).await? {
        let cell = Cell {
            table: "tachi_failed_instance",
            row: &row.instance_uuid,
            column: "instance_uuid",
        };
        found.insert(
            cell.id(&row.instance_uuid)?,
            ReportedFailure {
                open: None,
                at: Timestamp::from_micros(row.failed_at),
                reason: row.reason,
            },
        );
    }
    let open: Vec<(String, Option<String>, i64)> = recovery::Entity::find()
        .select_only()
        .columns([
            recovery::Column::Uuid,
            recovery::Column::OpenKey,
            recovery::Column::OpenedAt,
        ])
        .filter(recovery::Column::Life.eq(Life::Open.as_str()))
        .filter(recovery::Column::Kind.eq(RecoveryKind::Vm.as_str()))
        .into_tuple()
        .all(db)
        .await?;
    for (uuid, key, opened_at) in open {
        let key = key.as_deref().and_then(|key| key.strip_prefix("vm:"));
        let Some(server) = key.and_then(|text| text.parse().ok()) else {
            continue;
        };
        let cell = Cell {
            table: "recovery",
            row: &uuid,
            column: "uuid",
        };
        found.insert(
            server,
            ReportedFailure {
                open: Some(cell.id(&uuid)?),
                at: Timestamp::from_micros(opened_at),
                reason: None,
            },
        );
    }
    Ok(found)
}

/// Removes instances that run again or are deleted.
pub(super) struct Forget<'a> {
    /// The instances, each with the time of the failure that was read.
    pub(super) gone: &'a BTreeMap<ServerId, Timestamp>,
}

#[async_trait]
impl Transaction for Forget<'_> {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        for (server, failed_at) in self.gone {
            failed_instance::Entity::delete_many()
                .filter(failed_instance::Column::InstanceUuid.eq(server.to_string()))
                .filter(failed_instance::Column::FailedAt.lte(failed_at.micros()))
                .exec(tx)
                .await?;
        }
        Ok(TxOutcome::Keep(()))
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::notification::NotificationType::Vm;
    use tachi_engine::ports::journal::{ClaimedRecovery, Write, WriteOutcome};
    use tachi_engine::ports::{FailedInstances as _, OperatorJournal as _};

    use super::*;
    use crate::testing::{Bench, START, notification};

    const VM1: &str = "6c2b9d7e-0b0e-4f52-9c61-000000000001";
    const VM2: &str = "6c2b9d7e-0b0e-4f52-9c61-000000000002";

    async fn claimed(bench: &Bench, instance: &str) -> ClaimedRecovery {
        let payload = [
            ("instance_uuid", instance),
            ("event", "LIFECYCLE"),
            ("vir_domain_event", "STOPPED_FAILED"),
        ];
        bench.clock.set_wall_on(200);
        let report = notification(Vm, "cmp1", bench.clock_wall(), &payload);
        bench.accept(&report).await.unwrap();
        bench.claim_newest("engine").await
    }

    async fn end(bench: &Bench, claimed: &ClaimedRecovery, status: NotificationStatus) {
        end_as(bench, claimed, status, false).await;
    }

    async fn end_as(bench: &Bench, claimed: &ClaimedRecovery, status: NotificationStatus, unrepaired: bool) {
        bench.clock.set_wall_on(10);
        let write = Write {
            unrepaired,
            life: Some(Life::Closed),
            notification: Some((status, Some("not stopped".to_owned()))),
            ..Write::default()
        };
        let written = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &write)
            .await
            .unwrap();
        assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
    }

    async fn abort(bench: &Bench, claimed: &ClaimedRecovery) {
        let operator_journal = bench.store.operator_journal();
        let wait = tachi_domain::ApprovedWait::Current;
        operator_journal
            .submit(
                claimed.id,
                tachi_domain::recovery::OperatorCommand::Reject,
                &wait,
                "ada",
            )
            .await
            .unwrap();
    }

    /// The failed instances, with the seconds since the start of the test.
    async fn known(bench: &Bench) -> Vec<(String, i64)> {
        let failed = bench.store.journal().failed_instances().await.unwrap();
        let since = |at: Timestamp| at.micros_since(Timestamp::from_micros(START)) / 1_000_000;
        failed
            .iter()
            .map(|(id, at)| (id.to_string(), since(*at)))
            .collect()
    }

    /// Covers R36.
    #[tokio::test]
    async fn an_instance_whose_recovery_failed_is_known_until_a_later_one_succeeds() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        bench.host(&segment, "cmp1").await;
        assert_eq!(known(&bench).await, []);
        let first = claimed(&bench, VM1).await;
        let begun = known(&bench).await;
        assert_eq!(begun, [(VM1.to_owned(), begun[0].1)], "its recovery is open");
        end(&bench, &first, NotificationStatus::Failed).await;
        let failed = known(&bench).await;
        assert_eq!(failed, [(VM1.to_owned(), begun[0].1 + 10)]);
        let shown = bench.store.operator_journal().reported_failures().await.unwrap();
        let reasons: Vec<_> = shown.values().map(|failure| failure.reason.as_deref()).collect();
        assert_eq!(reasons, [Some("not stopped")]);
        let other = claimed(&bench, VM2).await;
        end(&bench, &other, NotificationStatus::Finished).await;
        assert_eq!(known(&bench).await, failed, "another instance");
        let again = claimed(&bench, VM1).await;
        assert_eq!(known(&bench).await, [(VM1.to_owned(), failed[0].1 + 410)]);
        end(&bench, &again, NotificationStatus::Ignored).await;
        assert_eq!(known(&bench).await, failed, "nothing was done");
        for status in [NotificationStatus::Ignored, NotificationStatus::Finished] {
            let other = claimed(&bench, VM2).await;
            let opened = other.opened_at.micros_since(Timestamp::from_micros(START)) / 1_000_000;
            end_as(&bench, &other, status, true).await;
            let both = known(&bench).await;
            let at = both.iter().find(|(id, _)| id == VM2).map(|(_, at)| *at);
            assert_eq!(at, Some(opened), "{status:?}: it is down since its report");
            let other = claimed(&bench, VM2).await;
            end(&bench, &other, NotificationStatus::Finished).await;
            assert_eq!(known(&bench).await, failed);
        }
        let again = claimed(&bench, VM1).await;
        end(&bench, &again, NotificationStatus::Failed).await;
        let later = known(&bench).await;
        assert!(later[0].1 > failed[0].1, "{later:?}");
        let discard = async |micros: i64| {
            let gone = [(VM1.parse().unwrap(), Timestamp::from_micros(micros))].into();
            bench.store.journal().forget_instances(&gone).await.unwrap();
        };
        discard(START + later[0].1 * 1_000_000 - 1).await;
        assert_eq!(known(&bench).await, later, "it has failed since");
        discard(START + later[0].1 * 1_000_000).await;
        assert_eq!(known(&bench).await, []);
        let again = claimed(&bench, VM1).await;
        abort(&bench, &again).await;
        end(&bench, &again, NotificationStatus::Failed).await;
        assert_eq!(known(&bench).await.len(), 1, "nothing has shown that it runs");
        let again = claimed(&bench, VM1).await;
        end(&bench, &again, NotificationStatus::Failed).await;
        assert_eq!(known(&bench).await.len(), 1);
        let last = claimed(&bench, VM1).await;
        end(&bench, &last, NotificationStatus::Finished).await;
        assert_eq!(known(&bench).await, []);
    }
}
