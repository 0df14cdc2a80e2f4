//! The instances that the recovery of a host has given up, and that no operator has acknowledged.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use tachi_domain::{ServerId, Timestamp, WaitsFor};

use crate::convert::Cell;
use crate::entity::recovery_move;
use crate::error::Stop;
use crate::transaction::{Transaction, Tx, TxOutcome};

/// The author of the acknowledgement, as reports show it.
const BY: &str = "tachi (it runs again, or was deleted)";

/// Returns these instances, each with the time at which it was given up.
pub(super) async fn all(db: &impl ConnectionTrait) -> Result<BTreeMap<ServerId, Timestamp>, Stop> {
    let rows: Vec<(String, Option<i64>)> = recovery_move::Entity::find()
        .select_only()
        .columns([
            recovery_move::Column::InstanceUuid,
            recovery_move::Column::WaitsSince,
        ])
        .filter(recovery_move::Column::WaitsFor.eq(WaitsFor::GivenUp.as_str()))
        .filter(recovery_move::Column::SeenTo.is_null())
        .into_tuple()
        .all(db)
        .await?;
    let mut found: BTreeMap<ServerId, Timestamp> = BTreeMap::new();
    for (instance, since) in rows {
        let cell = Cell {
            table: "recovery_move",
            row: &instance,
            column: "instance_uuid",
        };
        let since = Timestamp::from_micros(since.unwrap_or_default());
        let known = found.entry(cell.id(&instance)?).or_insert(since);
        *known = since.max(*known);
    }
    Ok(found)
}

/// Acknowledges instances that run again or are deleted.
pub(super) struct Acknowledge<'a> {
    /// The instances, each with the time of the failure that was read.
    pub(super) gone: &'a BTreeMap<ServerId, Timestamp>,
}

#[async_trait]
impl Transaction for Acknowledge<'_> {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        for (server, failed_at) in self.gone {
            recovery_move::Entity::update_many()
                .col_expr(recovery_move::Column::SeenTo, Expr::value(BY))
                .filter(recovery_move::Column::InstanceUuid.eq(server.to_string()))
                .filter(recovery_move::Column::WaitsFor.eq(WaitsFor::GivenUp.as_str()))
                .filter(recovery_move::Column::WaitsSince.lte(failed_at.micros()))
                .filter(recovery_move::Column::SeenTo.is_null())
                .exec(tx)
                .await?;
        }
        Ok(TxOutcome::Keep(()))
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::Wait;
    use tachi_engine::ports::journal::{Write, WriteOutcome};
    use tachi_engine::ports::operator::MoveFilter;
    use tachi_engine::ports::{FailedInstances as _, OperatorJournal as _};
    use uuid::Uuid;

    use super::*;
    use crate::testing::{Bench, pending_move};

    /// Covers R36.
    #[tokio::test]
    async fn a_given_up_instance_waits_until_it_is_known_to_run_or_to_be_deleted() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine").await;
        let server = ServerId(Uuid::from_u128(1));
        let at = bench.clock_wall();
        let mut instance = pending_move(server, 0);
        instance.wait = Some(Wait {
            what: WaitsFor::GivenUp,
            on: [].into(),
            since: at,
        });
        let write = Write {
            moves: vec![instance],
            ..Write::default()
        };
        let journal = bench.store.journal();
        let written = journal.commit_at(claimed.id, claimed.epoch, &write).await;
        assert!(matches!(written, Ok(WriteOutcome::Written(_))), "{written:?}");
        let waiting = async || {
            bench
                .store
                .operator_journal()
                .moves(MoveFilter::NeedsPerson)
                .await
                .unwrap()
        };
        assert_eq!(journal.failed_instances().await.unwrap(), [(server, at)].into());
        let before = [(server, at.minus_seconds(1))].into();
        journal.forget_instances(&before).await.unwrap();
        assert_eq!(waiting().await.len(), 1, "it was given up since");
        journal.forget_instances(&[(server, at)].into()).await.unwrap();
        assert!(waiting().await.is_empty());
        assert!(journal.failed_instances().await.unwrap().is_empty());
    }
}
