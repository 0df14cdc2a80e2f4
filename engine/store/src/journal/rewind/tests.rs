use sea_orm::ConnectionTrait as _;
use tachi_domain::Elapsed;
use tachi_domain::recovery::Task;
use tachi_engine::ports::journal::{Claim, ClaimedRecovery, PeerClaim, Write, WriteOutcome};
use tachi_engine::ports::{Journal as _, OperatorJournal as _};

use crate::testing::{Bench, step};

/// Creates claimed recoveries whose last commit a failover has lost.
async fn lost(count: usize) -> (Bench, Vec<ClaimedRecovery>) {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let mut claims = Vec::new();
    for number in 0..count {
        let host = bench.host(&segment, &format!("cmp{number}")).await;
        bench.stopped(&host).await;
        claims.push(bench.claim_newest("engine").await);
    }
    (bench, claims)
}

/// Returns the claim after one commit more than the row contains.
fn past(claimed: &ClaimedRecovery) -> Claim {
    let mut claim = claimed.claim();
    claim.committed();
    claim
}

async fn views(bench: &Bench) -> Vec<PeerClaim> {
    bench.store.journal().unsettled().await.unwrap()
}

fn note() -> Write {
    Write {
        steps: vec![step(Task::Evacuate, 0.0, false, "asked")],
        ..Write::default()
    }
}

/// Covers R33.
#[tokio::test]
async fn a_write_on_a_row_that_lost_one_leaves_nothing_but_the_mark() {
    let (bench, claims) = lost(1).await;
    let journal = bench.store.journal();
    let rewound = journal.commit(&past(&claims[0]), &note()).await.unwrap();
    assert_eq!(rewound, WriteOutcome::Rewound);
    assert!(
        bench
            .store
            .operator_journal()
            .steps(claims[0].id)
            .await
            .unwrap()
            .is_empty()
    );
    let marked = views(&bench).await;
    assert_eq!((marked[0].epoch, marked[0].owner.as_deref()), (2, None));
    let next = journal.claim(&marked[0], "other").await.unwrap().unwrap();
    assert!(next.rewound && next.seq > past(&claims[0]).seq, "{next:?}");
    // No previous owner can write any more.
    for stale in [claims[0].claim(), past(&claims[0])] {
        assert_eq!(journal.commit(&stale, &note()).await.unwrap(), WriteOutcome::Lost);
        assert_eq!(
            journal.beat(&stale, Elapsed::ZERO).await.unwrap(),
            WriteOutcome::Lost
        );
    }
}

/// Covers R33.
#[tokio::test]
async fn releasing_a_row_that_lost_a_write_marks_it() {
    let (bench, claims) = lost(1).await;
    bench.store.journal().release(&past(&claims[0])).await.unwrap();
    assert!(bench.claim_newest("other").await.rewound);
}

/// Lease renewals and small writes share a transaction: the mark of one row is stored with the writes of the others.
/// Covers R33.
#[tokio::test]
async fn a_row_of_a_group_that_lost_a_write_is_marked_and_the_others_are_written() {
    let (bench, claims) = lost(4).await;
    let journal = bench.store.journal();
    let known: Vec<Claim> = claims
        .iter()
        .enumerate()
        .map(|(at, claimed)| if at == 2 { past(claimed) } else { claimed.claim() })
        .collect();
    let writes = known.iter().map(|claim| async move {
        let small = Write::default();
        journal.commit(claim, &small).await.unwrap()
    });
    let outcomes = futures_util::future::join_all(writes).await;
    let rewound: Vec<bool> = outcomes
        .iter()
        .map(|outcome| *outcome == WriteOutcome::Rewound)
        .collect();
    assert_eq!(rewound, [false, false, true, false]);
    let epochs: Vec<u64> = views(&bench).await.iter().map(|view| view.epoch).collect();
    assert_eq!(epochs, [1, 1, 2, 1]);
}

/// Covers R33.
#[tokio::test]
async fn a_recovery_whose_row_is_lost_has_no_owner() {
    let (bench, claims) = lost(1).await;
    let sql = format!("DELETE FROM recovery WHERE uuid = '{}'", claims[0].id);
    bench.store.db.writer().execute_unprepared(&sql).await.unwrap();
    let committed = bench.store.journal().commit(&claims[0].claim(), &note()).await;
    assert_eq!(committed.unwrap(), WriteOutcome::Lost);
}
