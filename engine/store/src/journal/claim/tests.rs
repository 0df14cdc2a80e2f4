use sea_orm::ConnectionTrait as _;
use tachi_domain::RecoveryId;
use tachi_domain::recovery::Life;
use tachi_engine::ports::Journal as _;
use tachi_engine::ports::journal::{ClaimedRecovery, PeerClaim, Write, WriteOutcome};

use tokio::task::JoinSet;

use crate::testing::{Bench, pending_move};

type PeerClaims = Vec<PeerClaim>;

async fn views(bench: &Bench) -> Vec<PeerClaim> {
    bench.store.journal().unsettled().await.unwrap()
}

async fn peer_claims(bench: &Bench) -> PeerClaims {
    views(bench).await
}

/// Registers this number of hosts and reports each as stopped.
async fn reported(bench: &Bench, count: usize) -> PeerClaims {
    let segment = bench.segment("s1").await;
    for number in 0..count {
        let host = bench.host(&segment, &format!("cmp{number}")).await;
        bench.stopped(&host).await;
    }
    peer_claims(bench).await
}

async fn sql(bench: &Bench, text: &str) {
    bench.store.db.writer().execute_unprepared(text).await.unwrap();
}

/// Claims, and returns the claims in the order of the request.
async fn claimed(bench: &Bench, views: &PeerClaims, owner: &str) -> Vec<Option<ClaimedRecovery>> {
    let outcomes = bench.store.journal().claim_all(views, owner).await;
    outcomes.into_iter().map(Result::unwrap).collect()
}

/// Covers R1.
#[tokio::test]
async fn a_lost_claim_in_a_batch_writes_nothing_and_the_others_succeed() {
    let bench = Bench::new().await;
    let all = reported(&bench, 5).await;
    let journal = bench.store.journal();
    let theirs = journal
        .claim_at(all[1].id, all[1].epoch, "other")
        .await
        .unwrap()
        .unwrap();
    let closed = journal
        .claim_at(all[3].id, all[3].epoch, "other")
        .await
        .unwrap()
        .unwrap();
    let close = Write {
        life: Some(Life::Closed),
        ..Write::default()
    };
    let done = journal.commit_at(closed.id, closed.epoch, &close).await.unwrap();
    assert!(matches!(done, WriteOutcome::Written(_)));
    let mut claims = all.clone();
    // Not claimed although the epoch is right, because the recovery is closed.
    claims[3] = PeerClaim {
        epoch: closed.epoch,
        seq: closed.seq + 1,
        beat: closed.beat + 1,
        owner: Some("other".to_owned()),
        ..claims[3].clone()
    };

    let outcomes = claimed(&bench, &claims, "engine").await;
    let epochs: Vec<Option<u64>> = outcomes
        .iter()
        .map(|claimed_row| claimed_row.as_ref().map(|claimed_row| claimed_row.epoch))
        .collect();
    assert_eq!(epochs, [Some(1), None, Some(1), None, Some(1)]);
    let owners: Vec<(u64, Option<String>)> = views(&bench)
        .await
        .into_iter()
        .map(|view| (view.epoch, view.owner))
        .collect();
    let ours = (1, Some("engine".to_owned()));
    let other = (theirs.epoch, Some("other".to_owned()));
    assert_eq!(owners, [ours.clone(), other, ours.clone(), ours]);
    let again = claimed(&bench, &claims, "engine").await;
    assert!(again.iter().all(Option::is_none), "{again:?}");
}

/// A batch reads the data of each claim with other statements than a single claim does: its moves, in their order, and
/// the operators' actions.
/// Covers R1, R20.
#[tokio::test]
async fn claims_in_one_transaction_get_the_answers_that_each_would_get() {
    let bench = Bench::new().await;
    let claimed_first = bench.varied_recoveries().await;
    for (number, claimed_row) in claimed_first.iter().enumerate().skip(4) {
        let moves = [2, 1].map(|rank| {
            let server = tachi_domain::ServerId(uuid::Uuid::from_u128((number * 10 + rank) as u128));
            pending_move(server, u32::try_from(rank).unwrap())
        });
        let write = Write {
            state: Some(format!("{{\"of\":{number}}}")),
            moves: moves.to_vec(),
            ..Write::default()
        };
        let journal = bench.store.journal();
        let done = journal
            .commit_at(claimed_row.id, claimed_row.epoch, &write)
            .await
            .unwrap();
        assert!(matches!(done, WriteOutcome::Written(_)));
    }
    let together = claimed(&bench, &peer_claims(&bench).await, "engine").await;
    for (claimed_row, view) in together.into_iter().zip(peer_claims(&bench).await) {
        let claimed_row = claimed_row.unwrap();
        assert_eq!(claimed_row.id, view.id);
        let alone = bench.store.journal().claim(&view, "engine").await.unwrap();
        let alone = ClaimedRecovery {
            epoch: claimed_row.epoch,
            seq: claimed_row.seq,
            beat: claimed_row.beat,
            ..alone.unwrap()
        };
        let without_clock = |mut claimed: ClaimedRecovery| {
            claimed.operator_state.clock = None;
            format!("{claimed:#?}")
        };
        if claimed_row.state.is_some() {
            assert_eq!(claimed_row.moves, [r#"{"rank":1}"#, r#"{"rank":2}"#]);
        }
        assert_eq!(without_clock(claimed_row), without_clock(alone));
    }
}

#[tokio::test]
async fn an_unreadable_recovery_blocks_no_other_claim() {
    let bench = Bench::new().await;
    let all = reported(&bench, 3).await;
    sql(
        &bench,
        &format!(
            "UPDATE recovery SET off_word = 'nonsense' WHERE uuid = '{}'",
            all[1].id
        ),
    )
    .await;
    let outcomes = bench.store.journal().claim_all(&all, "engine").await;
    assert!(matches!(outcomes[0], Ok(Some(_))));
    let why = outcomes[1].as_ref().unwrap_err().source.to_string();
    assert!(why.contains("off_word"), "{why}");
    assert!(matches!(outcomes[2], Ok(Some(_))));
}

/// The response to a claim was lost, and the engine reads a replica that does not show the claim yet.
/// Covers R1.
#[tokio::test]
async fn a_claim_of_the_same_owner_that_was_not_seen_is_not_taken_for_one_that_was_just_made() {
    let bench = Bench::new().await;
    let all = reported(&bench, 2).await;
    let journal = bench.store.journal();
    journal
        .claim_at(all[0].id, all[0].epoch, "engine")
        .await
        .unwrap()
        .unwrap();
    let outcomes = journal.claim_all(&all, "engine").await;
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    let epochs: Vec<u64> = peer_claims(&bench)
        .await
        .into_iter()
        .map(|view| view.epoch)
        .collect();
    assert_eq!(epochs, [1, 0], "nothing is claimed");
    let views = peer_claims(&bench).await;
    let after = claimed(&bench, &views, "engine").await;
    assert!(after.iter().all(Option::is_some));
}

/// Engines claim the same recoveries concurrently, in different orders: each is won by one engine, and none is lost.
/// The database may refuse one of two transactions that wait for each other; that engine tries again, as in its next
/// sweep.
/// Covers R1.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_batches_of_claims_give_each_recovery_one_owner() {
    const ENGINES: usize = 4;
    let bench = Bench::new().await;
    let all = reported(&bench, 24).await;
    let stores = [bench.store.clone(), bench.another().await];
    let mut engines = JoinSet::new();
    for number in 0..ENGINES {
        let store = stores[number % 2].clone();
        let mut claims: PeerClaims = all.clone();
        claims.rotate_left(number * 5);
        if number % 2 == 1 {
            claims.reverse();
        }
        engines.spawn(async move {
            let owner = format!("engine{number}");
            let mut won = Vec::new();
            for _ in 0..100 {
                let outcomes = store.journal().claim_all(&claims, &owner).await;
                let mut again = PeerClaims::new();
                for (view, outcome) in claims.iter().zip(outcomes) {
                    match outcome {
                        Ok(Some(claimed)) => won.push((claimed.id, owner.clone())),
                        Ok(None) => {}
                        Err(_) => again.push(view.clone()),
                    }
                }
                claims = again;
                if claims.is_empty() {
                    return won;
                }
            }
            panic!("{owner} was never answered for {claims:?}");
        });
    }
    let mut won = Vec::new();
    while let Some(claimed) = engines.join_next().await {
        won.extend(claimed.unwrap());
    }
    won.sort();
    let kept = views(&bench).await.into_iter();
    let mut kept: Vec<(RecoveryId, String)> = kept.map(|view| (view.id, view.owner.unwrap())).collect();
    kept.sort();
    assert_eq!(won, kept, "an engine whose claim succeeded owns the recovery");
    assert_eq!(won.len(), all.len());
    assert!(views(&bench).await.iter().all(|view| view.epoch == 1));
}
