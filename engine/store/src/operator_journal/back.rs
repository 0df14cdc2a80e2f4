//! Instances that a recovery has left where they were, and that run again: started after their host's return, or moved by a later
//! recovery.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _, QueryTrait as _};
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::host_recovery::{ExcludedStart, StartEnd};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::operator::MoveCounts;

use crate::batches::batches;
use crate::database::Database;
use crate::entity::{recovery, recovery_move, vmove};
use crate::error::Stop;

/// The part of a move's state that tells whether the instance was started after its host's return.
#[derive(serde::Deserialize)]
struct StoredStart {
    #[serde(default)]
    start: Option<ExcludedStart>,
}

fn was_started(state: &str) -> bool {
    let stored = serde_json::from_str::<StoredStart>(state).ok();
    stored.and_then(|stored| stored.start?.end) == Some(StartEnd::Started)
}

/// A move, by the row of its recovery and the id of its instance.
pub(super) type MoveKey = (i64, String);

/// Counts the instances of these recoveries that run again as back. `counts` has them as ignored or failed. What is still being recovered
/// is neither started nor moved by a later recovery.
pub(super) async fn count(
    db: &Database,
    notifications: &[&str],
    counts: &mut BTreeMap<String, MoveCounts>,
) -> Result<(), Stop> {
    let has_some = |counts: &MoveCounts| counts.ignored + counts.failed > 0;
    let with_some: Vec<&str> = notifications
        .iter()
        .copied()
        .filter(|id| counts.get(*id).is_some_and(has_some))
        .collect();
    if with_some.is_empty() {
        return Ok(());
    }
    // A planned recovery stops no instance, so those that it has not moved are still not moved.
    let recoveries: Vec<(i64, String)> = recovery::Entity::find()
        .select_only()
        .columns([recovery::Column::Id, recovery::Column::NotificationUuid])
        .filter(recovery::Column::NotificationUuid.is_in(with_some))
        .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
        .filter(recovery::Column::Life.ne(Life::Open.as_str()))
        .into_tuple()
        .all(db.reader())
        .await?;
    let recoveries: BTreeMap<i64, String> = recoveries.into_iter().collect();
    let of_these: Vec<(i64, String)> = recoveries.iter().map(|(id, uuid)| (*id, uuid.clone())).collect();
    let (mut left, mut failed, mut back) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for batch in batches(&of_these) {
        for (recovery, server, state) in moves(db, &batch, VmoveStatus::Ignored).await? {
            let key = (recovery, server);
            if was_started(&state) {
                back.insert(key.clone());
            }
            left.insert(key);
        }
        let batch = moves(db, &batch, VmoveStatus::Failed).await?;
        failed.extend(batch.into_iter().map(|(recovery, server, _)| (recovery, server)));
    }
    let unknown: Vec<MoveKey> = left.difference(&back).chain(&failed).cloned().collect();
    back.extend(moved_since(db, &unknown).await?.into_keys());
    for key in back {
        let Some(counts) = recoveries.get(&key.0).and_then(|uuid| counts.get_mut(uuid)) else {
            continue;
        };
        let from = if failed.contains(&key) {
            &mut counts.failed
        } else {
            &mut counts.ignored
        };
        *from = from.saturating_sub(1);
        counts.succeeded += 1;
    }
    Ok(())
}

/// Returns the instances of these recoveries whose moves have the status, with the state of each move.
async fn moves(
    db: &Database,
    recoveries: &[(i64, String)],
    status: VmoveStatus,
) -> Result<Vec<(i64, String, String)>, Stop> {
    let with_status = vmove::Entity::find()
        .select_only()
        .column(vmove::Column::Uuid)
        .filter(vmove::Column::NotificationUuid.is_in(recoveries.iter().map(|(_, uuid)| uuid)))
        .filter(vmove::Column::Status.eq(status.as_str()))
        .filter(vmove::Column::Deleted.eq(0))
        .into_query();
    let found = recovery_move::Entity::find()
        .select_only()
        .columns([
            recovery_move::Column::RecoveryId,
            recovery_move::Column::InstanceUuid,
            recovery_move::Column::State,
        ])
        .filter(recovery_move::Column::RecoveryId.is_in(recoveries.iter().map(|(id, _)| *id)))
        .filter(recovery_move::Column::VmoveUuid.in_subquery(with_status))
        .into_tuple()
        .all(db.reader())
        .await?;
    Ok(found)
}

/// Returns the moves after which a later recovery of a host has moved the instance, with the newest such recovery.
pub(super) async fn moved_since(db: &Database, moves: &[MoveKey]) -> Result<BTreeMap<MoveKey, i64>, Stop> {
    let servers: BTreeSet<&str> = moves.iter().map(|(_, server)| server.as_str()).collect();
    let servers: Vec<&str> = servers.into_iter().collect();
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    for servers in batches(&servers) {
        // Vmoves have no index by instance, so they are found by their ids.
        let of_these: Vec<(String, String, i64)> = recovery_move::Entity::find()
            .select_only()
            .columns([
                recovery_move::Column::VmoveUuid,
                recovery_move::Column::InstanceUuid,
                recovery_move::Column::RecoveryId,
            ])
            .filter(recovery_move::Column::InstanceUuid.is_in(servers))
            .into_tuple()
            .all(db.reader())
            .await?;
        let uuids: Vec<&str> = of_these.iter().map(|(uuid, ..)| uuid.as_str()).collect();
        let mut succeeded: BTreeSet<String> = BTreeSet::new();
        for uuids in batches(&uuids) {
            let found: Vec<String> = vmove::Entity::find()
                .select_only()
                .column(vmove::Column::Uuid)
                .filter(vmove::Column::Uuid.is_in(uuids))
                .filter(vmove::Column::Status.eq(VmoveStatus::Succeeded.as_str()))
                .filter(vmove::Column::Deleted.eq(0))
                .into_tuple()
                .all(db.reader())
                .await?;
            succeeded.extend(found);
        }
        for (_, server, recovery) in of_these.into_iter().filter(|(uuid, ..)| succeeded.contains(uuid)) {
            let last = newest.entry(server).or_insert(recovery);
            *last = recovery.max(*last);
        }
    }
    let later = moves.iter().filter_map(|key| {
        let last = newest.get(&key.1).filter(|last| **last > key.0)?;
        Some((key.clone(), *last))
    });
    Ok(later.collect())
}

#[cfg(test)]
mod tests {
    use tachi_domain::ServerId;
    use tachi_domain::entity::notification::NotificationStatus;
    use tachi_engine::ports::OperatorJournal as _;
    use tachi_engine::ports::journal::{MoveWrite, Write, WriteOutcome};
    use uuid::Uuid;

    use super::*;
    use crate::testing::{Bench, pending_move};

    fn one(number: u32, status: VmoveStatus, start: Option<StartEnd>) -> MoveWrite {
        let start = start.map(|end| ExcludedStart {
            tries: 1,
            requested: None,
            end: Some(end),
        });
        let mut instance = pending_move(ServerId(Uuid::from_u128(u128::from(number))), number);
        instance.vmove.status = status;
        instance.open = false;
        instance.state = serde_json::json!({"rank": number, "start": start}).to_string();
        instance
    }

    /// Closes a recovery of the host with these moves.
    async fn recovered(bench: &Bench, host: &tachi_domain::entity::Host, moves: Vec<MoveWrite>) {
        bench.clock.set_wall_on(3_600);
        bench.stopped(host).await;
        let claimed = bench.claim_newest("engine").await;
        let write = Write {
            moves,
            life: Some(Life::Closed),
            notification: Some((NotificationStatus::Finished, None)),
            ..Write::default()
        };
        let written = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &write)
            .await;
        assert!(matches!(written, Ok(WriteOutcome::Written(_))), "{written:?}");
    }

    /// Covers R36.
    #[tokio::test]
    async fn an_excluded_instance_counts_as_back_once_it_was_started_or_a_later_recovery_moved_it() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let shown = async || -> Vec<(u64, u64, u64)> {
            let all = bench.store.operator_journal().recoveries(true).await.unwrap();
            let counts = all.iter().map(|row| row.moves);
            counts
                .map(|all| (all.succeeded, all.ignored, all.total()))
                .collect()
        };
        let left = VmoveStatus::Ignored;
        let first = vec![
            one(1, VmoveStatus::Succeeded, None),
            one(2, left, Some(StartEnd::Started)),
            one(3, left, Some(StartEnd::NotStarted)),
            one(4, left, None),
        ];
        recovered(&bench, &host, first).await;
        assert_eq!(shown().await, [(2, 2, 4)], "one was started");
        recovered(
            &bench,
            &host,
            vec![one(3, VmoveStatus::Failed, None), one(4, left, None)],
        )
        .await;
        assert_eq!(shown().await, [(0, 1, 2), (2, 2, 4)], "nothing was moved since");
        recovered(&bench, &host, vec![one(3, VmoveStatus::Succeeded, None)]).await;
        assert_eq!(
            shown().await,
            [(1, 0, 1), (1, 1, 2), (3, 1, 4)],
            "of both earlier ones"
        );
        recovered(&bench, &host, vec![one(1, left, None)]).await;
        assert_eq!(shown().await[0], (0, 1, 1), "it was moved before, and not since");
        recovered(&bench, &host, vec![one(5, VmoveStatus::Failed, None)]).await;
        assert_eq!(shown().await[0], (0, 0, 1), "it failed");
        recovered(&bench, &host, vec![one(5, VmoveStatus::Succeeded, None)]).await;
        assert_eq!(shown().await[1], (1, 0, 1), "a later recovery has moved it");
    }
}
