use tachi_domain::recovery::Life;
use uuid::Uuid;

use super::*;

fn view(id: u128, epoch: u64, beat: u64, owner: Option<&str>) -> PeerClaim {
    let id = RecoveryId(Uuid::from_u128(id));
    PeerClaim {
        id,
        epoch,
        seq: beat,
        beat,
        owner: owner.map(Into::into),
        life: Life::Open,
        of_host: true,
    }
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at_seq(epoch: u64, seq: u64) -> PeerClaim {
    PeerClaim {
        seq,
        ..view(1, epoch, 0, Some("other"))
    }
}

/// Covers R33.
#[test]
fn a_row_older_than_its_known_version_is_detected_even_if_it_was_closed_meanwhile() {
    let mut sweeper = Sweeper::default();
    assert!(sweeper.rewound(&[at_seq(2, 7)], at(0), |_| false).is_empty());
    for older in [at_seq(2, 6), at_seq(1, 9)] {
        let found = sweeper.rewound(std::slice::from_ref(&older), at(1_000), |_| false);
        assert_eq!(found.len(), 1, "{older:?}");
        assert!(sweeper.rewound(&[older], at(1_000), |_| true).is_empty(), "ours");
    }
    let found = sweeper.rewound(&[at_seq(2, 6)], at(2_000), |_| false);
    assert_eq!(found[0].1, RowVersion { epoch: 2, seq: 9 }, "each at its highest");
    // A recovery that a driver of this engine has closed is listed again.
    let mut sweeper = Sweeper::default();
    let closed = Claim {
        id: at_seq(1, 1).id,
        epoch: 3,
        owner: "me".to_owned(),
        seq: 20,
        beat: 30,
    };
    sweeper.left(&closed, at(0));
    assert!(sweeper.rewound(&[], at(60_000), |_| false).is_empty());
    assert_eq!(sweeper.rewound(&[at_seq(3, 19)], at(61_000), |_| false).len(), 1);
    // The memory has a limit.
    sweeper.left(&closed, at(0));
    assert!(sweeper.rewound(&[], at(700_000), |_| false).is_empty());
    assert!(
        sweeper
            .rewound(&[at_seq(3, 19)], at(700_001), |_| false)
            .is_empty()
    );
}

#[test]
fn a_recovery_without_an_owner_is_claimed_at_once() {
    let mut sweeper = Sweeper::default();
    assert_eq!(
        sweeper.claimable(&[view(1, 0, 0, None)], at(0), |_| false).len(),
        1
    );
}

/// Covers R2.
#[test]
fn an_owner_counts_as_dead_only_after_four_seconds_of_the_same_heartbeat() {
    let mut sweeper = Sweeper::default();
    let silent = [view(1, 1, 7, Some("other"))];
    assert!(
        sweeper.claimable(&silent, at(1_000), |_| false).is_empty(),
        "a new engine has seen no heartbeat"
    );
    assert!(sweeper.claimable(&silent, at(4_999), |_| false).is_empty());
    assert_eq!(sweeper.claimable(&silent, at(5_000), |_| false).len(), 1);
}

/// Covers EW9.
#[test]
fn an_owners_death_is_noticed_within_five_seconds() {
    // The owner's last heartbeat is committed at 0, and it dies right after. The worst phase of the reads counts.
    for phase in 0..CLAIM_POLL_INTERVAL.as_millis() {
        let mut sweeper = Sweeper::default();
        let silent = [view(1, 1, 7, Some("other"))];
        let mut now = at(u64::try_from(phase).unwrap());
        while sweeper.claimable(&silent, now, |_| false).is_empty() {
            now += CLAIM_POLL_INTERVAL;
        }
        assert!(now < Duration::from_secs(5), "{now:?} at phase {phase}");
    }
}

#[test]
fn a_recovery_that_another_engine_claimed_first_is_watched_and_our_own_is_not() {
    let mut sweeper = Sweeper::default();
    let free = [view(1, 0, 0, None)];
    assert_eq!(sweeper.claimable(&free, at(0), |_| false).len(), 1);
    assert!(sweeper.is_watching(), "until its owner is known");
    assert!(sweeper.claimable(&free, at(250), |_| true).is_empty());
    assert!(!sweeper.is_watching());
}

#[test]
fn a_heartbeat_or_a_new_epoch_restarts_the_timeout() {
    let mut sweeper = Sweeper::default();
    assert!(
        sweeper
            .claimable(&[view(1, 1, 7, Some("other"))], at(0), |_| false)
            .is_empty()
    );
    assert!(
        sweeper
            .claimable(&[view(1, 1, 8, Some("other"))], at(3_900), |_| false)
            .is_empty()
    );
    assert!(
        sweeper
            .claimable(&[view(1, 1, 8, Some("other"))], at(7_000), |_| false)
            .is_empty()
    );
    assert!(
        sweeper
            .claimable(&[view(1, 2, 8, Some("third"))], at(7_900), |_| false)
            .is_empty()
    );
    assert_eq!(
        sweeper
            .claimable(&[view(1, 2, 8, Some("third"))], at(11_900), |_| false)
            .len(),
        1
    );
}

#[test]
fn our_own_are_skipped_and_an_uncertain_claim_is_repeated_at_once() {
    let mut sweeper = Sweeper::default();
    let own = [view(1, 3, 7, Some("me"))];
    assert!(sweeper.claimable(&own, at(0), |_| true).is_empty());
    sweeper.uncertain(own[0].id, 3);
    assert_eq!(sweeper.claimable(&own, at(1), |_| false).len(), 1);
    sweeper.uncertain(own[0].id, 2);
    assert!(
        sweeper.claimable(&own, at(2), |_| false).is_empty(),
        "another engine owns it now"
    );
}

/// Creates `count` reports of instances without an owner.
fn flood(count: u128) -> Vec<PeerClaim> {
    let one = |id| PeerClaim {
        of_host: false,
        ..view(id, 0, 0, None)
    };
    (1..=count).map(one).collect()
}

#[test]
fn a_host_does_not_wait_for_a_flood_of_other_reports() {
    let mut views = flood(9_000);
    views.push(view(10_000, 0, 0, None));
    let mut sweeper = Sweeper::default();
    let claimed = sweeper.claimable(&views, at(0), |_| false);
    assert_eq!(claimed.len(), CLAIM_BATCH);
    assert_eq!(claimed[0].id, views[9_000].id, "the host is the first");
    assert!(sweeper.has_more(at(1), |_| true));
}

#[test]
fn a_sweep_that_has_claimed_nothing_is_not_repeated_at_once() {
    let mut hosts: Vec<PeerClaim> = (1..=200).map(|id| view(id, 0, 0, None)).collect();
    for of_host in [true, false] {
        for host in &mut hosts {
            host.of_host = of_host;
        }
        let mut sweeper = Sweeper::default();
        assert_eq!(sweeper.claimable(&hosts, at(0), |_| false).len(), CLAIM_BATCH);
        assert!(sweeper.has_more(at(0), |_| false));
        sweeper.claimed_nothing();
        assert!(!sweeper.has_more(at(0), |_| false));
        assert_eq!(sweeper.claimable(&hosts, at(250), |_| false).len(), CLAIM_BATCH);
    }
}

#[test]
fn the_limit_of_starting_recoveries_holds_and_all_are_claimed_in_the_end() {
    let views = flood(3_000);
    let mut sweeper = Sweeper::default();
    let mut ours: BTreeSet<RecoveryId> = BTreeSet::new();
    let mut claimed = BTreeSet::new();
    let mut now = 0;
    while claimed.len() < views.len() {
        let left: Vec<_> = views
            .iter()
            .filter(|view| ours.contains(&view.id) || !claimed.contains(&view.id))
            .cloned()
            .collect();
        for view in sweeper.claimable(&left, at(now), |id| ours.contains(&id)) {
            assert!(claimed.insert(view.id), "{:?} twice", view.id);
            ours.insert(view.id);
        }
        assert!(ours.len() <= MAX_RUNNING_SMALL, "{}", ours.len());
        if !sweeper.has_more(at(now), |id| ours.contains(&id)) {
            // Half of them end.
            now += 100;
            let half: Vec<_> = ours.iter().copied().take(MAX_RUNNING_SMALL / 2).collect();
            for id in half {
                ours.remove(&id);
            }
        }
    }
    assert!(now < 5_000, "{now}");
}

#[test]
fn waiting_recoveries_do_not_count_against_the_limit() {
    let views = flood(1_000);
    let mut sweeper = Sweeper::default();
    let mut ours: BTreeSet<RecoveryId> = BTreeSet::new();
    for turn in 0..100 {
        for view in sweeper.claimable(&views, at(turn * 250), |id| ours.contains(&id)) {
            ours.insert(view.id);
        }
    }
    assert_eq!(ours.len(), views.len(), "none of them ever ends");
}

#[test]
fn uncertain_claims_beyond_the_limit_stay_uncertain() {
    let mut views = flood(500);
    for view in &mut views {
        (view.epoch, view.owner) = (3, Some("me".to_owned()));
    }
    let mut sweeper = Sweeper::default();
    for view in &views {
        sweeper.uncertain(view.id, 3);
    }
    let mut claimed = 0;
    for turn in 0..500 {
        claimed += sweeper.claimable(&views, at(turn), |_| false).len();
        views.drain(..CLAIM_BATCH.min(views.len()));
    }
    assert_eq!(claimed, 500, "without waiting for the timeout");
}
