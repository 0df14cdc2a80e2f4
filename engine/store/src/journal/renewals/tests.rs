use std::time::Duration;

use tachi_domain::Elapsed;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::recovery::OperatorState;
use tachi_engine::ports::journal::{Claim, ClaimedRecovery, LeaseRenewal, WriteOutcome};
use tachi_engine::ports::{FreezeTerms, Freezes as _, Journal as _, NewFreeze};

use crate::testing::Bench;

async fn together(bench: &Bench, claims: &[ClaimedRecovery]) -> Vec<OperatorState> {
    let mut renewals = Vec::new();
    for claimed in claims {
        renewals.push(LeaseRenewal {
            claim: bench.store.journal().claim_of(claimed.id, claimed.epoch).await,
            elapsed: Elapsed::from_millis(1),
        });
    }
    let outcomes = bench.store.journal().renew_all(&renewals).await;
    outcomes
        .into_iter()
        .map(|claimed| operator_state(claimed.unwrap()))
        .collect()
}

async fn one_by_one(bench: &Bench, claims: &[ClaimedRecovery]) -> Vec<OperatorState> {
    let mut states = Vec::new();
    for claimed in claims {
        let journal = bench.store.journal();
        states.push(operator_state(
            journal
                .beat_at(claimed.id, claimed.epoch, Elapsed::from_millis(1))
                .await
                .unwrap(),
        ));
    }
    states
}

fn operator_state(committed: WriteOutcome) -> OperatorState {
    let WriteOutcome::Written(operator_state) = committed else {
        panic!("{committed:?}");
    };
    OperatorState {
        clock: None,
        ..operator_state
    }
}

/// A batch reads the data of each renewal with other statements than a single renewal does: with a freeze and without
/// one.
/// Covers R20.
#[tokio::test]
async fn lease_renewals_in_one_transaction_get_the_answers_that_each_would_get() {
    let bench = Bench::new().await;
    let claims = bench.varied_recoveries().await;
    let states = together(&bench, &claims).await;
    assert_eq!(states, one_by_one(&bench, &claims).await);
    let maintained: Vec<bool> = states
        .iter()
        .map(|operator_state| operator_state.operator_maintenance)
        .collect();
    assert_eq!(maintained, [false, false, false, false, true, false]);
    let enabled: Vec<bool> = states
        .iter()
        .map(|operator_state| operator_state.segment_enabled)
        .collect();
    assert_eq!(enabled, [true, true, true, false, false, false]);
    assert!(states[1].word.is_some());
    let new = NewFreeze {
        scope: FreezeScope::Host,
        target: claims[2].host.as_ref().unwrap().id.to_string(),
        name: "frozen".into(),
        by: "alice".into(),
        terms: FreezeTerms {
            lasts: Duration::from_hours(1),
            reason: "new board".into(),
            unless_worse: false,
        },
    };
    bench.store.freezes().freeze(&new).await.unwrap();
    let states = together(&bench, &claims).await;
    assert_eq!(states, one_by_one(&bench, &claims).await);
    let frozen: Vec<usize> = states
        .iter()
        .map(|operator_state| operator_state.frozen.over.len())
        .collect();
    assert_eq!(frozen, [0, 0, 1, 0, 0, 0]);
}

/// An engine that has lost a claim and claimed again may renew both: only the newer claim is held, and only its
/// elapsed time is stored.
/// Covers R1.
#[tokio::test]
async fn the_older_of_two_claims_of_a_recovery_is_lost() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    let lost = bench.claim_newest("engine").await;
    let newer = bench.claim_newest("engine").await;
    let beat = |claimed: &ClaimedRecovery, past: u64, millis| LeaseRenewal {
        claim: Claim {
            beat: claimed.beat + past,
            ..claimed.claim()
        },
        elapsed: Elapsed::from_millis(millis),
    };
    let orders = [
        [beat(&lost, 0, 5), beat(&newer, 0, 7)],
        [beat(&newer, 1, 7), beat(&lost, 1, 5)],
    ];
    for renewals in orders {
        let outcomes = bench.store.journal().renew_all(&renewals).await;
        for (outcome, beat) in outcomes.into_iter().zip(renewals) {
            let is_held = matches!(outcome.unwrap(), WriteOutcome::Written(_));
            assert_eq!(is_held, beat.claim.epoch == newer.epoch);
        }
    }
    let again = bench.claim_newest("engine").await;
    assert_eq!(again.elapsed, Elapsed::from_millis(7));
}
