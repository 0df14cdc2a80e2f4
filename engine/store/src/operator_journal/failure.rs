//! An operator's statement that an instance runs although its recovery has failed.

use async_trait::async_trait;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Set,
};
use tachi_domain::recovery::{RecoveryKind, StepKind, Task};
use tachi_domain::{RecoveryId, ServerId, Timestamp};
use tachi_engine::ports::operator::ActionOutcome;

use crate::convert::Cell;
use crate::database::Database;
use crate::entity::{failed_instance, notification, recovery, recovery_step};
use crate::error::Stop;
use crate::transaction::{Transaction, Tx, TxOutcome};

/// Returns the newest recovery of this instance alone.
pub(super) async fn recovery_of(db: &Database, server: ServerId) -> Result<Option<RecoveryId>, Stop> {
    let of_it = notification::Entity::find()
        .select_only()
        .column(notification::Column::NotificationUuid)
        .filter(notification::Column::Payload.contains(server.to_string()))
        .into_query();
    let found: Option<String> = recovery::Entity::find()
        .select_only()
        .column(recovery::Column::Uuid)
        .filter(recovery::Column::Kind.eq(RecoveryKind::Vm.as_str()))
        .filter(recovery::Column::NotificationUuid.in_subquery(of_it))
        .order_by_desc(recovery::Column::Id)
        .into_tuple()
        .one(db.reader())
        .await?;
    let cell = |row: &str| {
        Cell {
            table: "recovery",
            row,
            column: "uuid",
        }
        .id(row)
    };
    Ok(found.as_deref().map(cell).transpose()?)
}

/// Removes the failure that the operator has seen, and records the operator in the recovery's history.
pub(super) struct DismissFailure<'a> {
    pub(super) id: RecoveryId,
    pub(super) server: ServerId,
    pub(super) failed_at: Timestamp,
    pub(super) by: &'a str,
    pub(super) at: Timestamp,
}

#[async_trait]
impl Transaction for DismissFailure<'_> {
    type Output = ActionOutcome;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<ActionOutcome>, Stop> {
        let found = recovery::Entity::find()
            .filter(recovery::Column::Uuid.eq(self.id.to_string()))
            .one(tx)
            .await?;
        let Some(row) = found else {
            return Ok(TxOutcome::Undo(ActionOutcome::Unknown));
        };
        let removed = failed_instance::Entity::delete_many()
            .filter(failed_instance::Column::InstanceUuid.eq(self.server.to_string()))
            .filter(failed_instance::Column::FailedAt.eq(self.failed_at.micros()))
            .exec(tx)
            .await?;
        if removed.rows_affected == 0 {
            return Ok(TxOutcome::Undo(ActionOutcome::NotOpen));
        }
        let step = recovery_step::ActiveModel {
            recovery_id: Set(row.id),
            epoch: Set(row.epoch),
            task: Set(Task::StartInstance.name().to_owned()),
            instance_uuid: Set(Some(self.server.to_string())),
            kind: Set(StepKind::Note.as_str().to_owned()),
            progress: Set(1.0),
            failed: Set(false),
            text: Set(format!("seen running by {}", self.by)),
            at: Set(self.at.micros()),
            ..Default::default()
        };
        step.insert(tx).await?;
        Ok(TxOutcome::Keep(ActionOutcome::Submitted))
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
    use tachi_domain::recovery::Life;
    use tachi_engine::ports::OperatorJournal as _;
    use tachi_engine::ports::journal::{Write, WriteOutcome};

    use super::*;
    use crate::testing::{Bench, notification};

    const SERVER: &str = "6c2b9d7e-0b0e-4f52-9c61-000000000001";

    /// Covers R36.
    #[tokio::test]
    async fn an_instance_that_an_operator_has_seen_running_is_no_longer_failed() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        bench.host(&segment, "cmp1").await;
        let journal = bench.store.operator_journal();
        let server: ServerId = SERVER.parse().unwrap();
        assert_eq!(journal.recovery_of_instance(server).await.unwrap(), None);
        let payload = [
            ("instance_uuid", SERVER),
            ("event", "IO_ERROR"),
            ("vir_domain_event", "IO_ERROR_REPORT"),
        ];
        let report = notification(NotificationType::Vm, "cmp1", bench.clock_wall(), &payload);
        bench.accept(&report).await.unwrap();
        let claimed = bench.claim_newest("engine").await;
        let close = Write {
            life: Some(Life::Closed),
            notification: Some((NotificationStatus::Failed, Some("not stopped".to_owned()))),
            ..Write::default()
        };
        let written = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &close)
            .await;
        assert!(matches!(written, Ok(WriteOutcome::Written(_))), "{written:?}");
        let id = journal.recovery_of_instance(server).await.unwrap().unwrap();
        assert_eq!(id, claimed.id);
        let failed = journal.reported_failures().await.unwrap();
        let at = failed.get(&server).unwrap().at;
        let runs = async |at| {
            journal
                .dismiss_failure(id, server, at, "alice (seen)")
                .await
                .unwrap()
        };
        assert_eq!(
            runs(at.minus_seconds(1)).await,
            ActionOutcome::NotOpen,
            "it failed again since"
        );
        assert_eq!(journal.reported_failures().await.unwrap(), failed);
        assert_eq!(runs(at).await, ActionOutcome::Submitted);
        assert!(journal.reported_failures().await.unwrap().is_empty());
        assert_eq!(
            runs(at).await,
            ActionOutcome::NotOpen,
            "another operator was faster"
        );
        let steps = journal.steps(id).await.unwrap();
        let last = steps.last().unwrap();
        assert_eq!(last.text, "seen running by alice (seen)");
        assert_eq!(last.server.as_deref(), Some(SERVER));
    }
}
