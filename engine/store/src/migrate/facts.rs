//! Columns that older versions left empty in closed recoveries: the Nova records that were given up, and the hosts
//! where instances may run. Their values are taken from the states. An engine fills in the columns of open recoveries
//! with its first decision.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _, QueryTrait as _,
};
use tachi_domain::WaitsFor;
use tachi_domain::recovery::Life;
use tachi_domain::recovery::given_up::{may_run_in, written_off_in};

use crate::entity::{recovery, recovery_move};
use crate::error::Stop;
use crate::waits::json;

/// Limit of rows to read and write at a time.
const BATCH: u64 = 500;

/// The stored form of an empty list.
const NOTHING: &str = "[]";

/// Fills in the columns. Any number of processes may do it at once, and again after a crash. It queries first, because
/// an update without matching rows would still take locks.
pub(super) async fn fill(db: &impl ConnectionTrait) -> Result<(), Stop> {
    let nothing = WaitsFor::Nothing.as_str();
    let closed = recovery::Column::Life.eq(Life::Closed.as_str());
    loop {
        let rows: Vec<i64> = recovery::Entity::find()
            .select_only()
            .column(recovery::Column::Id)
            .filter(recovery::Column::WaitsFor.is_null())
            .filter(closed.clone())
            .limit(BATCH)
            .into_tuple()
            .all(db)
            .await?;
        if rows.is_empty() {
            break;
        }
        recovery::Entity::update_many()
            .col_expr(recovery::Column::WaitsFor, Expr::value(nothing))
            .filter(recovery::Column::Id.is_in(rows))
            .filter(recovery::Column::WaitsFor.is_null())
            .exec(db)
            .await?;
    }
    loop {
        let of_closed = recovery::Entity::find()
            .select_only()
            .column(recovery::Column::Id)
            .filter(closed.clone())
            .into_query();
        let rows: Vec<(String, String)> = recovery_move::Entity::find()
            .select_only()
            .column(recovery_move::Column::VmoveUuid)
            .column(recovery_move::Column::State)
            .filter(recovery_move::Column::WaitsFor.is_null())
            .filter(recovery_move::Column::RecoveryId.in_subquery(of_closed))
            .limit(BATCH)
            .into_tuple()
            .all(db)
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut bare = Vec::new();
        for (uuid, state) in rows {
            let written_off = json(&written_off_in(&state).unwrap_or_default())?;
            let may_run = json(&may_run_in(&state).unwrap_or_default())?;
            if written_off == NOTHING && may_run == NOTHING {
                bare.push(uuid);
            } else {
                write(db, [uuid], (&written_off, &may_run)).await?;
            }
        }
        write(db, bare, (NOTHING, NOTHING)).await?;
    }
}

async fn write(
    db: &impl ConnectionTrait,
    uuids: impl IntoIterator<Item = String>,
    (written_off, may_run): (&str, &str),
) -> Result<(), Stop> {
    let uuids: Vec<String> = uuids.into_iter().collect();
    if uuids.is_empty() {
        return Ok(());
    }
    recovery_move::Entity::update_many()
        .col_expr(
            recovery_move::Column::WaitsFor,
            Expr::value(WaitsFor::Nothing.as_str()),
        )
        .col_expr(recovery_move::Column::WrittenOff, Expr::value(written_off))
        .col_expr(recovery_move::Column::MayRun, Expr::value(may_run))
        .filter(recovery_move::Column::VmoveUuid.is_in(uuids))
        .filter(recovery_move::Column::WaitsFor.is_null())
        .exec(db)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sea_orm::ConnectionTrait as _;
    use tachi_domain::ServerId;
    use tachi_engine::ports::journal::{Write, WriteOutcome};
    use tachi_engine::ports::operator::MoveFilter;
    use tachi_engine::ports::{Journal as _, OperatorJournal as _};
    use uuid::Uuid;

    use super::*;
    use crate::testing::{Bench, pending_move};

    fn server(number: u128) -> ServerId {
        ServerId(Uuid::from_u128(number))
    }

    /// Returns a state as written by the version before these columns.
    fn state(number: u128, more: &str) -> String {
        format!("{{\"version\":2,\"server\":\"{}\",{more}}}", server(number))
    }

    /// Writes a recovery whose moves have these states, as the version before the columns did.
    async fn left(bench: &Bench, life: Life, states: &[(u128, &str)]) {
        let claimed = bench.claim_newest("engine").await;
        let moves = states.iter().map(|(number, more)| {
            let mut instance = pending_move(server(*number), 0);
            instance.state = state(*number, more);
            instance.open = false;
            instance
        });
        let write = Write {
            life: Some(life),
            moves: moves.collect(),
            ..Write::default()
        };
        let written = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &write)
            .await
            .unwrap();
        assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
        let db = &bench.store.db.writer().db;
        for sql in [
            "UPDATE recovery SET waits_for = NULL, waits_on = NULL, waits_since = NULL",
            "UPDATE recovery_move SET waits_for = NULL, waits_on = NULL, waits_since = NULL, written_off = NULL, may_run = NULL",
        ] {
            db.execute_unprepared(sql).await.unwrap();
        }
    }

    const GIVEN_UP: &str =
        r#""written_off":[{"id":4,"status":"accepted","dest":"cmp2"}],"step":{"at":"over"}"#;
    const MAY_RUN: &str = r#""written_off":[],"may_run":["cmp3"],"step":{"at":"over"}"#;
    const NOTHING: &str = r#""written_off":[],"step":{"at":"over"}"#;

    /// Covers R10.
    #[tokio::test]
    async fn data_of_older_versions_is_read_before_and_after_the_columns_are_filled() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        left(&bench, Life::Closed, &[(1, GIVEN_UP), (2, MAY_RUN), (3, NOTHING)]).await;
        let all = BTreeSet::from([server(1), server(2), server(3)]);
        let found = async || {
            let written_off = bench.store.journal().written_off("cmp1").await.unwrap();
            let may_run = bench.store.journal().may_run(&all).await.unwrap();
            (
                written_off.into_keys().collect::<Vec<_>>(),
                may_run.into_iter().collect::<Vec<_>>(),
            )
        };
        let expected = (
            vec![server(1)],
            vec![(server(2), BTreeSet::from(["cmp3".to_owned()]))],
        );
        assert_eq!(found().await, expected, "read from the states");
        bench.store.migrate().await.unwrap();
        let db = &bench.store.db.writer().db;
        // The filled-in columns must not depend on the states.
        db.execute_unprepared("UPDATE recovery_move SET state = '{}'")
            .await
            .unwrap();
        assert_eq!(found().await, expected, "read from the columns");
        let nobody = bench
            .store
            .operator_journal()
            .moves(MoveFilter::NeedsPerson)
            .await
            .unwrap();
        assert_eq!(nobody, [], "a long closed recovery needs no operator");
    }

    #[tokio::test]
    async fn open_recoveries_are_left_to_their_engine() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        left(&bench, Life::Watching, &[(1, GIVEN_UP)]).await;
        bench.store.migrate().await.unwrap();
        assert_eq!(
            bench.store.operator_journal().recoveries(false).await.unwrap()[0].wait,
            None
        );
        let line = &bench
            .store
            .operator_journal()
            .moves(MoveFilter::Unsettled)
            .await
            .unwrap()[0];
        assert_eq!(line.wait, None);
        // An older engine may still write it, so its state is authoritative.
        assert_eq!(bench.store.journal().written_off("cmp1").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn somebody_sees_to_what_was_given_up_once() {
        use tachi_domain::{Timestamp, Wait};
        use tachi_engine::ports::operator::ActionOutcome;

        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine").await;
        let mut instance = pending_move(server(1), 0);
        instance.open = false;
        instance.wait = Some(Wait::bare(WaitsFor::GivenUp, Timestamp::from_micros(1)));
        let write = Write {
            life: Some(Life::Closed),
            moves: vec![instance],
            ..Write::default()
        };
        let written = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &write)
            .await
            .unwrap();
        assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
        let waiting = async || {
            bench
                .store
                .operator_journal()
                .moves(MoveFilter::NeedsPerson)
                .await
                .unwrap()
                .len()
        };
        assert_eq!(waiting().await, 1);
        let acknowledge = async |number| {
            bench
                .store
                .operator_journal()
                .acknowledge(claimed.id, server(number), "alice")
                .await
                .unwrap()
        };
        assert_eq!(acknowledge(2).await, ActionOutcome::NotOpen);
        assert_eq!(acknowledge(1).await, ActionOutcome::Submitted);
        assert_eq!(acknowledge(1).await, ActionOutcome::NotOpen, "once");
        assert_eq!(waiting().await, 0);
        let steps = bench.store.operator_journal().steps(claimed.id).await.unwrap();
        assert!(
            steps.iter().any(|step| step.text == "acknowledged by alice"),
            "{steps:?}"
        );
    }
}
