//! Ownership of a recovery, and its renewal.

use super::*;

#[tokio::test]
async fn a_claim_finds_what_the_last_owner_left() {
    let (bench, host) = one_down().await;
    let first = bench.claim_newest("engine1").await;
    assert_eq!(first.epoch, 1);
    assert_eq!(first.kind, RecoveryKind::Host);
    assert_eq!(first.life, Life::Open);
    assert_eq!(first.elapsed, Elapsed::ZERO);
    assert_eq!(first.state, None);
    assert_eq!(first.moves, Vec::<String>::new());
    assert_eq!(first.opened_at, bench.clock_wall());
    assert_eq!(unclocked(first.operator_state.clone()), OperatorState::DEFAULT);
    assert_eq!(first.host.as_ref().map(|host| host.name.as_str()), Some("cmp1"));
    assert_eq!(first.notification.status, NotificationStatus::Running);
    assert!(first.notification.stamps.updated_at.is_some());

    written(&bench, &first, &everything(host.id)).await;
    let second = bench.claim_newest("engine2").await;
    assert_eq!(second.id, first.id);
    assert_eq!(second.epoch, 2);
    assert_eq!(second.elapsed, Elapsed::from_millis(1234));
    assert_eq!(second.state.as_deref(), Some("{\"step\":\"plan\"}"));
    assert_eq!(second.moves, ["{\"rank\":0}", "{\"rank\":1}", "{\"rank\":2}"]);
    assert!(second.host.is_some_and(|host| host.on_maintenance));
    let views = bench.store.journal().unsettled().await.unwrap();
    assert_eq!(views[0].owner.as_deref(), Some("engine2"));
    assert_eq!(views[0].beat, 3, "two claims and a commit");
}

#[tokio::test]
async fn a_claim_turns_waiting_notifications_to_running_and_leaves_others() {
    use NotificationStatus::{Error, Failed, Finished, Ignored, New, Running};
    let cases = [
        (New, Running),
        (Error, Running),
        (Running, Running),
        (Finished, Finished),
        (Failed, Failed),
        (Ignored, Ignored),
    ];
    let (bench, _) = one_down().await;
    for (before, after) in cases {
        let claimed = bench.claim_newest("engine").await;
        let write = Write {
            notification: Some((before, None)),
            ..Write::default()
        };
        written(&bench, &claimed, &write).await;
        assert_eq!(
            bench.claim_newest("engine").await.notification.status,
            after,
            "{before}"
        );
    }
}

#[tokio::test]
async fn a_claim_needs_the_epoch_that_is_there_and_a_recovery_that_is_not_closed() {
    let (bench, _) = one_down().await;
    let claimed = bench.claim_newest("engine1").await;
    for (case, epoch) in [("before", 0), ("after", 2), ("far off", u64::MAX >> 2)] {
        let none = bench
            .store
            .journal()
            .claim_at(claimed.id, epoch, "engine2")
            .await
            .unwrap();
        assert!(none.is_none(), "{case}");
    }
    let unknown = RecoveryId(Uuid::nil());
    assert!(
        bench
            .store
            .journal()
            .claim_at(unknown, 0, "engine2")
            .await
            .unwrap()
            .is_none()
    );
    let close = Write {
        life: Some(Life::Closed),
        ..Write::default()
    };
    written(&bench, &claimed, &close).await;
    let closed = bench
        .store
        .journal()
        .claim_at(claimed.id, claimed.epoch, "engine2")
        .await
        .unwrap();
    assert!(closed.is_none(), "closed");
    assert_eq!(bench.store.journal().unsettled().await.unwrap(), []);
}

/// Covers R1.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_concurrent_claims_succeeds() {
    let (bench, _) = one_down().await;
    let id = bench.newest().await;
    let stores = [bench.store.clone(), bench.another().await];
    let mut claims = JoinSet::new();
    for number in 0..32 {
        let store = stores[number % 2].clone();
        claims.spawn(async move {
            store
                .journal()
                .claim_at(id, 0, &format!("engine{number}"))
                .await
                .unwrap()
        });
    }
    let mut winners = 0;
    while let Some(claimed) = claims.join_next().await {
        winners += usize::from(claimed.unwrap().is_some());
    }
    assert_eq!(winners, 1);
    assert_eq!(bench.store.journal().unsettled().await.unwrap()[0].epoch, 1);
}

/// Covers R1.
#[tokio::test]
async fn an_owner_that_was_taken_over_writes_nothing() {
    let (bench, host) = one_down().await;
    let stale = bench.claim_newest("engine1").await;
    let owner = bench.claim_newest("engine2").await;
    let before = contents(&bench).await;

    let lost = bench
        .store
        .journal()
        .commit_at(stale.id, stale.epoch, &everything(host.id))
        .await
        .unwrap();
    assert_eq!(lost, WriteOutcome::Lost);
    let lost = bench
        .store
        .journal()
        .beat_at(stale.id, stale.epoch, Elapsed::from_millis(9))
        .await
        .unwrap();
    assert_eq!(lost, WriteOutcome::Lost);
    bench
        .store
        .journal()
        .release_at(stale.id, stale.epoch)
        .await
        .unwrap();
    assert_eq!(contents(&bench).await, before);
    assert_eq!(
        bench.store.journal().unsettled().await.unwrap()[0]
            .owner
            .as_deref(),
        Some("engine2")
    );

    written(&bench, &owner, &everything(host.id)).await;
    assert_ne!(contents(&bench).await, before);
}

/// Covers R1.
#[tokio::test]
async fn a_write_that_fails_half_way_leaves_nothing() {
    let (bench, host) = one_down().await;
    let claimed = bench.claim_newest("engine").await;
    let before = contents(&bench).await;
    let mut write = everything(host.id);
    // The recovery's row is written first; then the moves fail, because one vmove occurs twice.
    let mut twice = write.moves[0].clone();
    twice.server = server(77);
    write.moves.push(twice);
    bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &write)
        .await
        .unwrap_err();
    assert_eq!(contents(&bench).await, before);
}

#[tokio::test]
async fn a_commit_and_a_renewal_raise_the_beat_and_keep_the_elapsed_time() {
    let (bench, _) = one_down().await;
    let claimed = bench.claim_newest("engine").await;
    for (beat, millis) in [(2, 1000), (3, 2500)] {
        let beaten = bench
            .store
            .journal()
            .beat_at(claimed.id, claimed.epoch, Elapsed::from_millis(millis))
            .await
            .unwrap();
        assert!(is_calm(beaten));
        assert_eq!(bench.store.journal().unsettled().await.unwrap()[0].beat, beat);
    }
    let again = bench.claim_newest("engine2").await;
    assert_eq!(again.elapsed, Elapsed::from_millis(2500));
}

/// Covers R1.
#[tokio::test]
async fn a_lost_claim_in_a_batch_of_renewals_writes_nothing_and_the_others_are_held() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let mut claims = Vec::new();
    for name in ["cmp1", "cmp2", "cmp3"] {
        let host = bench.host(&segment, name).await;
        bench.stopped(&host).await;
        claims.push(bench.claim_newest("engine1").await);
    }
    let taken = bench
        .store
        .journal()
        .claim_at(claims[1].id, claims[1].epoch, "engine2")
        .await
        .unwrap();
    assert!(taken.is_some());
    let before = bench.store.journal().unsettled().await.unwrap();
    let beats: Vec<LeaseRenewal> = claims
        .iter()
        .map(|claimed| LeaseRenewal {
            claim: claimed.claim(),
            elapsed: Elapsed::from_millis(77),
        })
        .collect();
    let outcomes = bench.store.journal().renew_all(&beats).await;
    let outcomes: Vec<WriteOutcome> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes[1], WriteOutcome::Lost);
    let calm: Vec<bool> = outcomes.into_iter().map(is_calm).collect();
    assert_eq!(calm, [true, false, true]);
    let after = bench.store.journal().unsettled().await.unwrap();
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        let raised = u64::from(after.id != claims[1].id);
        assert_eq!(after.beat, before.beat + raised, "{at}");
        assert_eq!(after.epoch, before.epoch, "{at}");
    }
    let again = bench
        .store
        .journal()
        .claim_at(claims[0].id, claims[0].epoch, "engine3")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.elapsed, Elapsed::from_millis(77));
    let other = bench
        .store
        .journal()
        .claim_at(claims[1].id, claims[1].epoch + 1, "engine3")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        other.elapsed,
        Elapsed::ZERO,
        "nothing of the lost one was written"
    );
}

#[tokio::test]
async fn a_released_recovery_has_no_owner_and_keeps_its_epoch() {
    let (bench, _) = one_down().await;
    let claimed = bench.claim_newest("engine").await;
    bench
        .store
        .journal()
        .release_at(claimed.id, claimed.epoch)
        .await
        .unwrap();
    let views = bench.store.journal().unsettled().await.unwrap();
    assert_eq!(views[0].owner, None);
    assert_eq!(views[0].epoch, claimed.epoch);
}
