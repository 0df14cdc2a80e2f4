use tachi_domain::HostId;
use tachi_domain::entity::host::HostAttributes;
use tachi_domain::recovery::FenceOrder;
use tachi_engine::ports::journal::{ClaimedRecovery, ProofWrite, Write, WriteOutcome};
use tachi_engine::ports::{Hosts as _, Journal};

use super::*;
use crate::testing::Bench;

const HOUR: Duration = Duration::from_hours(1);

fn at_most(count: u32) -> Write {
    Write {
        order: Some(FenceOrder {
            at_most: Some(count),
            within: Duration::from_secs(300),
        }),
        ..Write::default()
    }
}

async fn written(bench: &Bench, claimed: &ClaimedRecovery, write: &Write) -> bool {
    let committed = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, write)
        .await
        .unwrap();
    let written = matches!(committed, WriteOutcome::Written(_));
    assert!(
        written || matches!(committed, WriteOutcome::TooManyOrders),
        "{committed:?}"
    );
    written
}

/// Creates a segment with this number of hosts, all down and claimed.
async fn down(count: usize) -> (Bench, Vec<ClaimedRecovery>) {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let mut all = Vec::new();
    for number in 0..count {
        let host = bench.host(&segment, &format!("cmp{number}")).await;
        bench.stopped(&host).await;
        all.push(bench.claim_newest("engine").await);
    }
    (bench, all)
}

/// Covers R24.
#[tokio::test]
async fn the_first_start_is_recorded_once_for_all_engines_and_restarts() {
    let bench = Bench::new().await;
    let ago = Duration::from_secs;
    assert_eq!(bench.store.journal().first_start().await.unwrap(), ago(0));
    bench.clock.set_wall_on(1_000);
    assert_eq!(bench.store.journal().first_start().await.unwrap(), ago(1_000));
    let another = bench.another().await;
    assert_eq!(another.journal().first_start().await.unwrap(), ago(1_000));
}

/// Covers R24.
#[tokio::test]
async fn hosts_are_listed_with_their_maintenance_and_their_open_recovery() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let mut ids: Vec<HostId> = Vec::new();
    for name in ["fine", "down", "mine", "gone"] {
        ids.push(bench.host(&segment, name).await.id);
    }
    let put = HostAttributes {
        on_maintenance: Some(true),
        ..HostAttributes::default()
    };
    bench
        .store
        .registry()
        .update_host(segment.id, ids[2], &put)
        .await
        .unwrap();
    bench
        .store
        .registry()
        .delete_host(segment.id, ids[3])
        .await
        .unwrap();
    let host = bench
        .store
        .registry()
        .get_host(segment.id, ids[1])
        .await
        .unwrap()
        .unwrap();
    bench.stopped(&host).await;
    let standing = bench.store.journal().host_records(HOUR).await.unwrap();
    let mut rows: Vec<_> = standing
        .hosts
        .iter()
        .map(|host| {
            (
                host.name.as_str(),
                host.recovering,
                host.on_maintenance,
                host.by_operator,
            )
        })
        .collect();
    rows.sort_unstable();
    assert_eq!(
        rows,
        [
            ("down", true, false, false),
            ("fine", false, false, false),
            ("mine", false, true, true),
        ]
    );
    assert!(standing.hosts.iter().all(|host| host.segment == segment.id));
    // A recovery that watches for its host's return does not count as open.
    let claimed = bench.claim_newest("engine").await;
    let end = Write {
        life: Some(Life::Watching),
        ..Write::default()
    };
    assert!(written(&bench, &claimed, &end).await);
    let standing = bench.store.journal().host_records(HOUR).await.unwrap();
    assert!(standing.hosts.iter().all(|host| !host.recovering));
}

/// Covers R24.
#[tokio::test]
async fn orders_are_counted_with_the_transaction_that_gives_them() {
    let (bench, all) = down(5).await;
    for claimed in &all[..3] {
        assert!(written(&bench, claimed, &at_most(3)).await);
    }
    let before = bench.store.journal().host_records(HOUR).await.unwrap();
    assert_eq!(before.orders.len(), 3);
    assert!(!written(&bench, &all[3], &at_most(3)).await, "the fourth");
    assert_eq!(
        bench.store.journal().host_records(HOUR).await.unwrap().orders,
        before.orders
    );
    assert!(
        written(&bench, &all[0], &at_most(3)).await,
        "a repeated order is counted once"
    );
    let unlimited = Write {
        order: Some(FenceOrder {
            at_most: None,
            within: Duration::from_secs(300),
        }),
        ..Write::default()
    };
    assert!(
        written(&bench, &all[3], &unlimited).await,
        "an operator has overridden the guard"
    );
    assert!(!written(&bench, &all[4], &at_most(4)).await);
    bench.clock.set_wall_on(301);
    assert!(
        written(&bench, &all[4], &at_most(3)).await,
        "the number is below the limit again"
    );
    let stale = Write { ..at_most(9) };
    let lost = bench
        .store
        .journal()
        .commit_at(all[4].id, all[4].epoch - 1, &stale)
        .await
        .unwrap();
    assert_eq!(
        lost,
        WriteOutcome::Lost,
        "a claim that is lost counts nothing (R1)"
    );
    assert_eq!(
        bench
            .store
            .journal()
            .host_records(Duration::from_secs(100))
            .await
            .unwrap()
            .orders
            .len(),
        1
    );
}

/// Covers R24.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_orders_succeed_up_to_the_limit() {
    let (bench, all) = down(8).await;
    let stores = [bench.store.clone(), bench.another().await];
    let mut tasks = tokio::task::JoinSet::new();
    for (number, claimed) in all.into_iter().enumerate() {
        let store = stores[number % 2].clone();
        tasks.spawn(async move {
            store
                .journal()
                .commit_at(claimed.id, claimed.epoch, &at_most(3))
                .await
                .unwrap()
        });
    }
    let outcomes = tasks.join_all().await;
    let given = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, WriteOutcome::Written(_)))
        .count();
    assert_eq!(given, 3, "{outcomes:?}");
}

/// Covers C10, R24.
#[tokio::test]
async fn proofs_are_listed_with_their_host_while_a_recovery_needs_them() {
    let (bench, all) = down(2).await;
    let proof = ProofWrite {
        kind: "device".into(),
        by: "engine".into(),
        from: "bmc1".into(),
        evidence: "{}".into(),
        // The engine's clock is an hour behind.
        at: Timestamp::from_micros(bench.clock_wall().micros() - 3_600_000_000),
    };
    let write = Write {
        proofs: vec![proof],
        ..Write::default()
    };
    assert!(written(&bench, &all[1], &write).await);
    let standing = bench.store.journal().host_records(HOUR).await.unwrap();
    let rows: Vec<_> = standing
        .proofs
        .iter()
        .map(|record| (record.recovery, record.host, record.age))
        .collect();
    let host = all[1].host.as_ref().unwrap().id;
    assert_eq!(rows, [(all[1].id, host, Duration::ZERO)]);
    bench.clock.set_wall_on(3_601);
    assert_eq!(bench.store.journal().host_records(HOUR).await.unwrap().proofs, []);
}
