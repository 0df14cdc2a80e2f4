//! The complete history of one recovery.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _,
};
use tachi_domain::entity::Notification;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::RecoveryKind;
use tachi_domain::{Elapsed, RecoveryId, Timestamp};
use tachi_engine::ports::journal::ProofWrite;
use tachi_engine::ports::operator::{HistoryMove, ProofLine, RecoveryHistory, RecoverySummary};

use super::{back, find, steps_of};
use crate::batches::batches;
use crate::convert::{self, Cell, recovery_cell};
use crate::database::Database;
use crate::entity::{host, notification, recovery, recovery_move, recovery_proof, vmove};
use crate::error::{Failure, Stop};
use crate::journal;
use crate::waits::WaitColumns;

pub(super) async fn history(db: &Database, id: RecoveryId) -> Result<Option<RecoveryHistory>, Stop> {
    let reader = db.reader();
    let select = recovery::Entity::find().filter(recovery::Column::Uuid.eq(id.to_string()));
    let Some(row) = select.clone().one(reader).await? else {
        return Ok(None);
    };
    let rows = find::rows(select).all(reader).await?;
    let Some(summary) = find::summaries(db, rows).await?.pop() else {
        return Ok(None);
    };
    let notification = notification::Entity::find()
        .filter(notification::Column::NotificationUuid.eq(&row.notification_uuid))
        .one(reader)
        .await?
        .map(convert::notification)
        .transpose()?;
    let moves = recovery_move::Entity::find()
        .filter(recovery_move::Column::RecoveryId.eq(row.id))
        .order_by_asc(recovery_move::Column::Rank)
        .order_by_asc(recovery_move::Column::VmoveUuid)
        .all(reader)
        .await?;
    let mut shown: BTreeMap<String, vmove::Model> = vmove::Entity::find()
        .filter(vmove::Column::NotificationUuid.eq(&row.notification_uuid))
        .filter(vmove::Column::Deleted.eq(0))
        .all(reader)
        .await?
        .into_iter()
        .map(|row| (row.uuid.clone(), row))
        .collect();
    let mut rows: Vec<vmove::Model> = moves
        .iter()
        .filter_map(|row| shown.remove(&row.vmove_uuid))
        .collect();
    if recovery_cell(&row, "kind")
        .parse(&row.kind, RecoveryKind::from_value)?
        .is_planned()
    {
        // These have no move. Their rows are in the order in which they are started.
        rows.extend(shown.into_values());
        rows.sort_by_key(|row| row.id);
    }
    let vmoves = rows.into_iter().map(convert::vmove).collect::<Result<_, _>>()?;
    Ok(Some(RecoveryHistory {
        later: later(db, &row, &summary, notification.as_ref()).await?,
        has_reserve: has_reserve(db, &summary).await?,
        summary,
        notification,
        reporters: convert::reporters(&row)?,
        epoch: recovery_cell(&row, "epoch").count(row.epoch)?,
        beat: recovery_cell(&row, "beat").count(row.beat)?,
        elapsed: Elapsed::from_millis(recovery_cell(&row, "elapsed_ms").count(row.elapsed_ms)?),
        word: row.word.clone().map(|word| {
            let by = row.word_by.clone().unwrap_or_default();
            let at = Timestamp::from_micros(row.word_at.unwrap_or_default());
            (word, by, at)
        }),
        unread: journal::unread(reader, &row, db.now()).await?,
        move_words: journal::move_words(&row)?,
        state: row.state,
        moves: history_moves(db, moves).await?,
        vmoves,
        steps: steps_of(db, row.id).await?,
        proofs: proofs(db, row.id).await?,
    }))
}

/// Returns the newest recovery of the same host or instance after one that has failed.
async fn later(
    db: &Database,
    row: &recovery::Model,
    summary: &RecoverySummary,
    notification: Option<&Notification>,
) -> Result<Option<RecoveryId>, Stop> {
    if summary.status != NotificationStatus::Failed.as_str() {
        return Ok(None);
    }
    let newer = recovery::Entity::find()
        .filter(recovery::Column::Id.gt(row.id))
        .filter(recovery::Column::Kind.eq(&row.kind))
        .order_by_desc(recovery::Column::Id);
    let instance = notification.and_then(|row| row.payload.get("instance_uuid"));
    let moves = match (summary.kind, instance) {
        (RecoveryKind::Host, _) => newer.filter(recovery::Column::HostUuid.eq(&row.host_uuid)),
        (RecoveryKind::Vm, Some(instance)) => {
            let of_it = notification::Entity::find()
                .select_only()
                .column(notification::Column::NotificationUuid)
                .filter(notification::Column::Payload.contains(instance))
                .into_query();
            newer.filter(recovery::Column::NotificationUuid.in_subquery(of_it))
        }
        (RecoveryKind::Vm | RecoveryKind::Process | RecoveryKind::Drain | RecoveryKind::Giveback, _) => {
            return Ok(None);
        }
    };
    let found: Option<String> = moves
        .select_only()
        .column(recovery::Column::Uuid)
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

/// True if the recovery's segment has a reserved host that is not in maintenance.
async fn has_reserve(db: &Database, summary: &RecoverySummary) -> Result<bool, Stop> {
    let Some(segment) = summary.segment else {
        return Ok(false);
    };
    let ready = host::Entity::find()
        .filter(host::Column::FailoverSegmentId.eq(segment.to_string()))
        .filter(host::Column::Reserved.eq(true))
        .filter(host::Column::OnMaintenance.eq(false))
        .filter(host::Column::Deleted.eq(0));
    Ok(ready.count(db.reader()).await? > 0)
}

async fn history_moves(db: &Database, moves: Vec<recovery_move::Model>) -> Result<Vec<HistoryMove>, Stop> {
    let keys: Vec<back::MoveKey> = moves
        .iter()
        .map(|row| (row.recovery_id, row.instance_uuid.clone()))
        .collect();
    let moved_since = back::moved_since(db, &keys).await?;
    let ids: BTreeSet<i64> = moved_since.values().copied().collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    let mut names = BTreeMap::new();
    for ids in batches(&ids) {
        let found: Vec<(i64, String)> = recovery::Entity::find()
            .select_only()
            .columns([recovery::Column::Id, recovery::Column::Uuid])
            .filter(recovery::Column::Id.is_in(ids))
            .into_tuple()
            .all(db.reader())
            .await?;
        for (id, uuid) in found {
            let cell = Cell {
                table: "recovery",
                row: &uuid,
                column: "uuid",
            };
            names.insert(id, cell.id(&uuid)?);
        }
    }
    let stored = moves.into_iter().zip(keys).map(|(row, key)| {
        let moved_by = moved_since.get(&key).and_then(|id| names.get(id)).copied();
        stored_move(row, moved_by)
    });
    Ok(stored.collect::<Result<_, _>>()?)
}

fn stored_move(row: recovery_move::Model, moved_by: Option<RecoveryId>) -> Result<HistoryMove, Failure> {
    let wait = WaitColumns {
        what: row.waits_for,
        on: row.waits_on,
        since: row.waits_since,
    };
    Ok(HistoryMove {
        wait: wait.read("recovery_move", &row.vmove_uuid)?,
        vmove: row.vmove_uuid,
        seen_to: row.seen_to,
        moved_by,
        state: row.state,
    })
}

async fn proofs(db: &Database, recovery: i64) -> Result<Vec<ProofLine>, Stop> {
    let rows = recovery_proof::Entity::find()
        .filter(recovery_proof::Column::RecoveryId.eq(recovery))
        .order_by_asc(recovery_proof::Column::Id)
        .all(db.reader())
        .await?;
    let lines = rows.into_iter().map(|row| {
        let id = row.id.to_string();
        let cell = Cell {
            table: "recovery_proof",
            row: &id,
            column: "epoch",
        };
        Ok::<_, Failure>(ProofLine {
            epoch: cell.count(row.epoch)?,
            proof: ProofWrite {
                kind: row.kind,
                by: row.read_by,
                from: row.read_from,
                evidence: row.evidence,
                at: Timestamp::from_micros(row.at),
            },
        })
    });
    Ok(lines.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use tachi_domain::recovery::{OperatorCommand, Task};
    use tachi_engine::ports::OperatorJournal as _;
    use tachi_engine::ports::journal::{Write, WriteOutcome};
    use uuid::Uuid;

    use super::*;
    use crate::testing::{Bench, step};

    #[tokio::test]
    async fn a_story_has_state_steps_proofs_and_the_last_word() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let notification = bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine").await;
        let write = Write {
            elapsed: Elapsed::from_millis(1_500),
            state: Some("{}".to_owned()),
            steps: vec![step(Task::Fence, 0.5, false, "powering off")],
            proofs: vec![ProofWrite {
                kind: "device".to_owned(),
                by: "engine".to_owned(),
                from: "maas".to_owned(),
                evidence: "{}".to_owned(),
                at: bench.clock_wall(),
            }],
            ..Write::default()
        };
        let written = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &write)
            .await
            .unwrap();
        assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
        bench
            .store
            .operator_journal()
            .submit(
                claimed.id,
                OperatorCommand::Reject,
                &tachi_domain::ApprovedWait::Current,
                "alice",
            )
            .await
            .unwrap();
        let history = bench
            .store
            .operator_journal()
            .history(claimed.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(history.summary.id, claimed.id);
        assert_eq!(history.summary.segment, Some(segment.id));
        assert_eq!(history.notification.unwrap().id, notification.id);
        assert_eq!((history.epoch, history.elapsed.millis()), (1, 1_500));
        assert_eq!(history.state.as_deref(), Some("{}"));
        assert_eq!(history.steps.len(), 1);
        assert_eq!(history.proofs[0].proof.from, "maas");
        let action = Some(("reject".to_owned(), "alice".to_owned(), bench.clock_wall()));
        assert_eq!(history.word, action);
        let nobody = bench
            .store
            .operator_journal()
            .history(RecoveryId(Uuid::nil()))
            .await
            .unwrap();
        assert!(nobody.is_none());
    }
}
