//! Results of a host's recovery that block an instance's own recovery.

use sea_orm::{DbBackend, QueryTrait as _, Statement};
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::recovery::Life;
use tachi_domain::{Timestamp, Wait, WaitsFor};
use tachi_engine::ports::OperatorJournal as _;
use tachi_engine::ports::journal::{ClaimedRecovery, MoveWrite, Write, WriteOutcome};
use tachi_engine::ports::operator::ActionOutcome;
use uuid::Uuid;

use super::*;
use crate::testing::{Bench, START, notification, pending_move};

/// Covers C1.
#[tokio::test]
async fn an_instance_that_may_run_elsewhere_is_not_restarted_until_an_operator_acknowledges_it() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    let claimed = bench.claim_newest("engine").await;
    let [left, other] = [1, 2].map(|number| ServerId(Uuid::from_u128(number)));
    let given_up = MoveWrite {
        may_run: ["cmp3".to_owned()].into(),
        wait: Some(Wait::bare(WaitsFor::GivenUp, Timestamp::from_micros(START))),
        open: false,
        ..pending_move(left, 0)
    };
    let write = Write {
        moves: vec![given_up],
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Failed, None)),
        ..Write::default()
    };
    let committed = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &write)
        .await
        .unwrap();
    assert!(matches!(committed, WriteOutcome::Written(_)), "{committed:?}");

    let reported = async |server: ServerId| {
        bench.clock.set_wall_on(200);
        let id = server.to_string();
        let payload = [
            ("instance_uuid", id.as_str()),
            ("event", "LIFECYCLE"),
            ("vir_domain_event", "STOPPED_FAILED"),
        ];
        let report = notification(NotificationType::Vm, "cmp1", bench.clock_wall(), &payload);
        bench.accept(&report).await.unwrap();
        bench.claim_newest("engine").await
    };
    let restarts = async |claimed: &ClaimedRecovery, server: ServerId| {
        let intent = Write {
            unless_elsewhere: Some(Elsewhere {
                server,
                host: "cmp1".to_owned(),
            }),
            ..Write::default()
        };
        let store = &bench.store;
        store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &intent)
            .await
            .unwrap()
    };
    let theirs = reported(other).await;
    assert!(matches!(restarts(&theirs, other).await, WriteOutcome::Written(_)));
    let ours = reported(left).await;
    let refused = WriteOutcome::MayRunOn(["cmp3".to_owned()].into());
    assert_eq!(restarts(&ours, left).await, refused);
    let outcome = bench
        .store
        .operator_journal()
        .acknowledge(claimed.id, left, "alice")
        .await
        .unwrap();
    assert_eq!(outcome, ActionOutcome::Submitted);
    assert!(matches!(restarts(&ours, left).await, WriteOutcome::Written(_)));
}

/// The query runs in the transaction of each intent, which holds the lock of the host's row.
#[tokio::test]
async fn an_instance_s_moves_are_found_through_an_index() {
    let bench = Bench::sqlite().await;
    let of_one = moves_of(ServerId(Uuid::from_u128(1))).build(DbBackend::Sqlite);
    let explain = Statement::from_string(DbBackend::Sqlite, format!("EXPLAIN QUERY PLAN {of_one}"));
    let rows = bench.store.db.reader().query_all_raw(explain).await.unwrap();
    let plan: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("", "detail").unwrap())
        .collect();
    let plan = plan.join("; ");
    assert!(plan.contains("USING INDEX tachi_move_instance_idx"), "{plan}");
}
