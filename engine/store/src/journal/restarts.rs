//! Restarts of an instance by all recoveries.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Set,
};
use std::time::Duration;
use tachi_domain::recovery::{MoveOrder, RecoveryKind};
use tachi_domain::{ServerId, Timestamp};
use tachi_engine::ports::journal::RESTARTS;

use super::orders::before;
use crate::entity::{instance_restart, recovery};
use crate::error::Stop;
use crate::transaction::Tx;
use crate::{clock, lock};

pub(super) async fn add(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    server: ServerId,
    now: Timestamp,
) -> Result<(), Stop> {
    let known = instance_restart::Entity::find_by_id(row.id).one(db).await?;
    if known.is_none() {
        let restart = instance_restart::ActiveModel {
            recovery_id: Set(row.id),
            instance_uuid: Set(server.to_string()),
            at: Set(now.micros()),
            moved_at: Set(None),
        };
        restart.insert(db).await?;
    }
    Ok(())
}

/// The lock for every move of a failed instance, so that two of them cannot both be the last permitted one.
const LOCK: &str = "instance-moves";

/// Counts a move of a failed instance, unless too many instances of the region were moved. A repeated one counts once.
pub(super) async fn count_move(
    tx: &Tx,
    row: &recovery::Model,
    order: MoveOrder,
    now: Timestamp,
) -> Result<bool, Stop> {
    lock::take(tx, [LOCK.to_owned()]).await?;
    let now = clock::now(tx, now).await?;
    let others = instance_restart::Entity::find()
        .filter(instance_restart::Column::MovedAt.gt(before(now, order.within)))
        .filter(instance_restart::Column::RecoveryId.ne(row.id))
        .count(tx)
        .await?;
    if others >= u64::from(order.at_most) {
        return Ok(false);
    }
    add(tx, row, order.server, now).await?;
    instance_restart::Entity::update_many()
        .col_expr(instance_restart::Column::MovedAt, Expr::value(now.micros()))
        .filter(instance_restart::Column::RecoveryId.eq(row.id))
        .exec(tx)
        .await?;
    Ok(true)
}

/// Returns the ages of restarts of this recovery's instance by other recoveries. If the clock was set back, the age is
/// zero.
pub(super) async fn ages(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    server: Option<ServerId>,
    now: Timestamp,
) -> Result<Vec<Duration>, Stop> {
    let Some(server) = server.filter(|_| row.kind == RecoveryKind::Vm.as_str()) else {
        return Ok(Vec::new());
    };
    let times: Vec<i64> = instance_restart::Entity::find()
        .select_only()
        .column(instance_restart::Column::At)
        .filter(instance_restart::Column::InstanceUuid.eq(server.to_string()))
        .filter(instance_restart::Column::RecoveryId.ne(row.id))
        .order_by_desc(instance_restart::Column::At)
        .limit(RESTARTS)
        .into_tuple()
        .all(db)
        .await?;
    let age = |at: &i64| {
        now.micros_since(Timestamp::from_micros(*at))
            .max(0)
            .unsigned_abs()
    };
    Ok(times.iter().map(|at| Duration::from_micros(age(at))).collect())
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::notification::{NotificationStatus, NotificationType::Vm};
    use tachi_domain::recovery::Life;
    use tachi_engine::ports::journal::{ClaimedRecovery, Write, WriteOutcome};

    use super::*;
    use crate::testing::{Bench, notification};

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

    async fn restart(bench: &Bench, claimed: &ClaimedRecovery, life: Option<Life>) {
        let write = Write {
            restarted: claimed.notification.payload["instance_uuid"].parse().ok(),
            life,
            notification: life.map(|_| (NotificationStatus::Finished, None)),
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

    /// Covers EW26.
    #[tokio::test]
    async fn the_next_recovery_of_an_instance_knows_of_its_restarts_and_no_others_do() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        bench.host(&segment, "cmp1").await;
        let first = claimed(&bench, VM1).await;
        assert!(first.restarts.is_empty());
        restart(&bench, &first, None).await;
        // A repeated restart counts once, and an owner that takes over does not count its own.
        restart(&bench, &first, None).await;
        let again = bench.claim_newest("other").await;
        assert!(again.restarts.is_empty());
        restart(&bench, &again, Some(Life::Closed)).await;
        let second = claimed(&bench, VM1).await;
        assert_eq!(second.restarts, [Duration::from_secs(200)]);
        restart(&bench, &second, Some(Life::Closed)).await;
        let other = claimed(&bench, VM2).await;
        assert!(other.restarts.is_empty());
        let third = claimed(&bench, VM1).await;
        let ages = [400, 600].map(Duration::from_secs);
        assert_eq!(third.restarts, ages);
        bench.clock.set_wall_on(-100_000);
        let back = bench.claim_newest("other").await;
        assert_eq!(back.restarts, [Duration::ZERO; 2], "a clock that went back");
    }

    #[tokio::test]
    async fn only_so_many_instances_of_the_region_are_moved_within_a_period() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        bench.host(&segment, "cmp1").await;
        let moved = async |claimed: &ClaimedRecovery| {
            let write = Write {
                move_order: Some(MoveOrder {
                    server: claimed.notification.payload["instance_uuid"].parse().unwrap(),
                    at_most: 1,
                    within: Duration::from_secs(1_000),
                }),
                ..Write::default()
            };
            let journal = bench.store.journal();
            journal
                .commit_at(claimed.id, claimed.epoch, &write)
                .await
                .unwrap()
        };
        let first = claimed(&bench, VM1).await;
        assert!(matches!(moved(&first).await, WriteOutcome::Written(_)));
        assert!(
            matches!(moved(&first).await, WriteOutcome::Written(_)),
            "its own does not count"
        );
        let second = claimed(&bench, VM2).await;
        assert!(matches!(moved(&second).await, WriteOutcome::TooManyOrders));
        bench.clock.set_wall_on(801);
        assert!(
            matches!(moved(&second).await, WriteOutcome::Written(_)),
            "the first is too old now"
        );
    }
}
