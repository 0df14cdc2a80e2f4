use sea_orm::ConnectionTrait as _;
use tachi_domain::RecoveryId;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::Life;
use tachi_engine::ports::Journal as _;
use tachi_engine::ports::journal::{ClaimedRecovery, HostWrite};
use tokio::task::JoinSet;

use super::*;
use crate::conn::statements;
use crate::testing::{Bench, START};

/// Creates this number of open recoveries, each claimed and of its own host.
async fn claimed(count: usize) -> (Bench, Vec<ClaimedRecovery>) {
    let bench = Bench::new().await;
    let all = claimed_in(&bench, count).await;
    (bench, all)
}

async fn claimed_in(bench: &Bench, count: usize) -> Vec<ClaimedRecovery> {
    let segment = bench.segment("s1").await;
    for number in 0..count {
        let host = bench.host(&segment, &format!("cmp{number}")).await;
        bench.stopped(&host).await;
    }
    let journal = bench.store.journal();
    let mut all = Vec::new();
    for view in journal.unsettled().await.unwrap() {
        all.push(
            journal
                .claim_at(view.id, view.epoch, "engine")
                .await
                .unwrap()
                .unwrap(),
        );
    }
    assert_eq!(all.len(), count);
    all
}

fn ending(text: &str) -> Write {
    Write {
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Finished, Some(text.to_owned()))),
        ..Write::default()
    }
}

/// Writes all concurrently, and returns the results in their order.
async fn at_once(bench: &Bench, all: &[ClaimedRecovery]) -> Vec<Result<WriteOutcome, JournalError>> {
    let mut tasks = JoinSet::new();
    for (place, claimed) in all.iter().enumerate() {
        let (journal, id, epoch) = (bench.store.journal().clone(), claimed.id, claimed.epoch);
        tasks.spawn(async move { (place, journal.commit_at(id, epoch, &ending("over")).await) });
    }
    let mut outcomes = tasks.join_all().await;
    outcomes.sort_by_key(|(place, _)| *place);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

async fn open(bench: &Bench) -> Vec<RecoveryId> {
    let unsettled = bench.store.journal().unsettled().await.unwrap();
    unsettled.into_iter().map(|view| view.id).collect()
}

fn is_written(outcome: &Result<WriteOutcome, JournalError>) -> bool {
    matches!(outcome, Ok(WriteOutcome::Written(_)))
}

#[tokio::test]
async fn concurrent_writes_share_a_transaction() {
    let (bench, all) = claimed(41).await;
    let (first, others) = all.split_first().unwrap();
    let before = statements::times();
    assert!(is_written(&at_once(&bench, std::slice::from_ref(first)).await[0]));
    let alone = statements::times() - before;
    let before = statements::times();
    let outcomes = at_once(&bench, others).await;
    let together = statements::times() - before;
    assert!(outcomes.iter().all(is_written), "{outcomes:?}");
    // There is no BEGIN and no COMMIT per write.
    assert!(
        together < (alone - 1) * 40,
        "{together} questions, {alone} of one"
    );
    assert!(open(&bench).await.is_empty());
}

/// Covers R1.
#[tokio::test]
async fn a_lost_claim_in_a_group_does_not_affect_the_others() {
    let (bench, all) = claimed(12).await;
    let taken = &all[5];
    let by_another = bench
        .store
        .journal()
        .claim_at(taken.id, taken.epoch, "another")
        .await;
    assert!(by_another.unwrap().is_some());
    for (place, outcome) in at_once(&bench, &all).await.into_iter().enumerate() {
        if place == 5 {
            assert_eq!(outcome.unwrap(), WriteOutcome::Lost);
        } else {
            assert!(is_written(&outcome), "{place}: {outcome:?}");
        }
    }
    assert_eq!(open(&bench).await, [taken.id]);
}

#[tokio::test]
async fn a_failed_write_in_a_group_fails_alone() {
    let (bench, all) = claimed(12).await;
    let strange = format!("UPDATE recovery SET off_word = '?' WHERE uuid = '{}'", all[3].id);
    bench
        .store
        .db
        .writer()
        .execute_unprepared(&strange)
        .await
        .unwrap();
    for (place, outcome) in at_once(&bench, &all).await.into_iter().enumerate() {
        assert_eq!(is_written(&outcome), place != 3, "{place}: {outcome:?}");
    }
}

/// `SQLite` checks a deferred foreign key at the commit, which then fails.
/// Covers R1.
#[tokio::test]
async fn a_failed_commit_is_not_reported_as_written_and_the_next_one_is() {
    let bench = Bench::sqlite().await;
    let all = claimed_in(&bench, 12).await;
    let writer = bench.store.db.writer();
    let refused = all[11].id;
    for statement in [
        "CREATE TABLE above (id INTEGER PRIMARY KEY)".to_owned(),
        "CREATE TABLE below (id INTEGER REFERENCES above (id) DEFERRABLE INITIALLY DEFERRED)".to_owned(),
        format!(
            "CREATE TRIGGER refuses AFTER UPDATE ON recovery WHEN NEW.uuid = '{refused}' BEGIN INSERT INTO below VALUES (1); END"
        ),
    ] {
        writer.execute_unprepared(&statement).await.unwrap();
    }
    let outcomes = at_once(&bench, &all).await;
    let open = open(&bench).await;
    assert!(open.contains(&refused));
    for (claimed, outcome) in all.iter().zip(&outcomes) {
        assert_eq!(is_written(outcome), !open.contains(&claimed.id), "{outcome:?}");
    }
    assert!(open.len() > 1, "it shared its transaction with others");
    writer.execute_unprepared("DROP TRIGGER refuses").await.unwrap();
    let left: Vec<ClaimedRecovery> = all
        .into_iter()
        .filter(|claimed| open.contains(&claimed.id))
        .collect();
    assert!(at_once(&bench, &left).await.iter().all(is_written));
    assert!(self::open(&bench).await.is_empty());
}

#[tokio::test]
async fn a_dropped_caller_blocks_no_other_write() {
    let (bench, all) = claimed(3).await;
    let journal = bench.store.journal();
    let write = ending("left");
    let left = tokio::time::timeout(
        std::time::Duration::ZERO,
        journal.commit_at(all[0].id, all[0].epoch, &write),
    );
    let _ = left.await;
    assert!(at_once(&bench, &all[1..]).await.iter().all(is_written));
}

/// Covers R1.
#[tokio::test]
async fn a_caller_waiting_for_a_writer_that_ends_gets_unknown_and_the_next_caller_finds_another_writer() {
    let (bench, all) = claimed(2).await;
    let (answer, outcome) = oneshot::channel();
    let together = GroupCommit::default();
    together.0.lock().unwrap().waiting.push(PendingWrite {
        claim: all[0].claim(),
        write: ending("lost"),
        now: bench.store.db.now(),
        begun: Instant::now(),
        answer,
    });
    together.0.lock().unwrap().is_led = true;
    drop(Lead {
        of: together.clone(),
        is_finished: false,
    });
    assert!(outcome.await.is_err());
    let claim = all[1].claim();
    let write = ending("over");
    let written = together.write(&bench.store.db, &claim, &write, Instant::now());
    assert!(is_written(&written.await.unwrap()));
}

#[tokio::test]
async fn a_lead_that_is_done_leaves_the_next_one_alone() {
    let together = GroupCommit::default();
    let mut first = Lead {
        of: together.clone(),
        is_finished: false,
    };
    assert!(first.next().is_none());
    // Another caller has started a new writer in the meantime.
    together.0.lock().unwrap().is_led = true;
    drop(first);
    assert!(together.0.lock().unwrap().is_led);
}

#[test]
fn a_write_beyond_its_own_rows_is_not_grouped() {
    assert!(is_its_own(&ending("over")));
    let others: [fn(&mut Write); 4] = [
        |write| write.unless_host_recovery = Some("cmp1".into()),
        |write| write.unless_frozen.own = true,
        |write| write.proven_off = Some(true),
        |write| {
            write.host = Some(HostWrite {
                host: tachi_domain::HostId(uuid::Uuid::from_u128(START.unsigned_abs().into())),
                why: tachi_domain::entity::host::MaintenanceReason::Recovery,
            });
        },
    ];
    for change in others {
        let mut write = ending("over");
        change(&mut write);
        assert!(!is_its_own(&write), "{write:?}");
    }
}
