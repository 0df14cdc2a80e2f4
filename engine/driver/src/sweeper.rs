//! Which recoveries to claim, by what is seen of their owners (R2).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tachi_domain::RecoveryId;

use crate::journal::{Claim, ClaimView};

/// An owner whose beat has not moved for this long is taken for dead: from then on another engine may claim its recovery.
pub const SILENCE: Duration = Duration::from_secs(4);

/// Between two looks while another engine's beats are watched. Silence is counted from when a beat was first *seen*, and it is
/// noticed at the next look, so an owner's death costs two of these on top of [`SILENCE`]: with a second each it was up to six.
pub const WATCH: Duration = Duration::from_millis(250);

/// So many are claimed by one sweep at most. A claim is a transaction: a host that fails while thousands of reports are worked
/// off is claimed by the next sweep, and not after all of them.
const AT_ONCE: usize = 64;

/// Of instances and processes no more than this are begun at a time. It bounds what a flood of reports costs in memory, and
/// many more at once are not done sooner.
const BEGUN: usize = 256;

/// One that is not done by then waits for something, and keeps nobody else out.
const BEGINS: Duration = Duration::from_secs(2);

/// What is known of a recovery that is not shown any more is forgotten after this time.
const KNOWN_FOR: Duration = Duration::from_mins(10);

/// What an engine has once seen or written of a recovery's row: later it is never less (R33).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowVersion {
    /// How often it was claimed.
    pub epoch: u64,
    /// Raised by every claim and commit.
    pub seq: u64,
}

/// Remembers when each beat was first seen, on this engine's own clock.
#[derive(Debug, Default)]
pub struct Sweeper {
    /// The latest that was known of each recovery, and when.
    known: BTreeMap<RecoveryId, (RowVersion, Duration)>,
    seen: BTreeMap<RecoveryId, (u64, u64, Duration)>,
    /// Claims of our own that we are not sure of any more, by epoch.
    unsure: BTreeMap<RecoveryId, u64>,
    /// Recoveries of instances and processes that are ours, and since when.
    begun: BTreeMap<RecoveryId, Duration>,
    /// Hosts are left that the last sweep could have claimed.
    more_hosts: bool,
    /// Others are.
    more: bool,
}

impl Sweeper {
    /// A claim of our own at `epoch` has to be made anew; there is no other owner to wait for.
    pub fn not_sure(&mut self, id: RecoveryId, epoch: u64) {
        self.unsure.insert(id, epoch);
    }

    /// A driver of ours has ended with this claim.
    pub fn left(&mut self, claim: &Claim, now: Duration) {
        let known = RowVersion {
            epoch: claim.epoch,
            seq: claim.seq,
        };
        self.learn(claim.id, known, now);
    }

    fn learn(&mut self, id: RecoveryId, known: RowVersion, now: Duration) {
        let entry = self.known.entry(id).or_insert((known, now));
        entry.0.epoch = entry.0.epoch.max(known.epoch);
        entry.0.seq = entry.0.seq.max(known.seq);
        entry.1 = now;
    }

    /// The recoveries whose rows are older than what was once known of them, with that: a failover of the database has lost
    /// writes, or a copy that lags behind has answered. The journal can tell.
    pub fn rewound(
        &mut self,
        views: &[ClaimView],
        now: Duration,
        ours: impl Fn(RecoveryId) -> bool,
    ) -> Vec<(ClaimView, RowVersion)> {
        let mut rewound = Vec::new();
        // Owners find out by themselves.
        for view in views.iter().filter(|view| !ours(view.id)) {
            let shown = RowVersion {
                epoch: view.epoch,
                seq: view.seq,
            };
            self.learn(view.id, shown, now);
            let known = self.known.get(&view.id).map_or(shown, |(known, _)| *known);
            if known != shown {
                rewound.push((view.clone(), known));
            }
        }
        self.known
            .retain(|_, (_, at)| now.saturating_sub(*at) < KNOWN_FOR);
        rewound
    }

    /// The recoveries to claim now, those of hosts first. `ours` says which are being driven here.
    pub fn claimable(
        &mut self,
        views: &[ClaimView],
        now: Duration,
        ours: impl Fn(RecoveryId) -> bool,
    ) -> Vec<ClaimView> {
        self.begun
            .retain(|id, since| ours(*id) && now.saturating_sub(*since) < BEGINS);
        let mut free: Vec<&ClaimView> = Vec::new();
        let mut watched = 0;
        for view in views.iter().filter(|view| !ours(view.id)) {
            watched += 1;
            // Somebody else may be quicker, and die at once: so it is watched from now on.
            let first = self.seen.entry(view.id).or_insert((view.epoch, view.beat, now));
            if view.owner.is_none() || self.unsure.get(&view.id) == Some(&view.epoch) {
                free.push(view);
                continue;
            }
            self.unsure.remove(&view.id);
            if (first.0, first.1) != (view.epoch, view.beat) {
                *first = (view.epoch, view.beat, now);
            } else if now.saturating_sub(first.2) >= SILENCE {
                free.push(view);
            }
        }
        if self.seen.len() > watched {
            // Some are closed since, or ours.
            let known: BTreeSet<RecoveryId> = views.iter().map(|view| view.id).collect();
            self.seen.retain(|id, _| known.contains(id) && !ours(*id));
        }
        let (hosts, others): (Vec<_>, Vec<_>) = free.into_iter().partition(|view| view.of_host);
        let (all_hosts, all_others) = (hosts.len(), others.len());
        let room = BEGUN.saturating_sub(self.begun.len());
        let claimed: Vec<ClaimView> = hosts
            .into_iter()
            .chain(others.into_iter().take(room))
            .take(AT_ONCE)
            .cloned()
            .collect();
        self.more_hosts = all_hosts > AT_ONCE;
        self.more = claimed.len() < all_hosts + all_others;
        for view in &claimed {
            self.unsure.remove(&view.id);
            if !view.of_host {
                self.begun.insert(view.id, now);
            }
        }
        claimed
    }

    /// Whether somebody else's beats are being watched, so that the next sweep must not be long in coming.
    pub fn is_watching(&self) -> bool {
        !self.seen.is_empty()
    }

    /// The sweep has claimed nothing: the database failed, or others were quicker each time. The next one comes when it is due, and
    /// not at once, for as long as that lasts.
    pub fn came_to_nothing(&mut self) {
        self.more_hosts = false;
        self.more = false;
    }

    /// Whether the next sweep may follow at once: there is more to be claimed, and room for it. A sweep reads all that is open,
    /// which is worth it for a good part of `AT_ONCE`.
    pub fn has_more(&self, now: Duration, ours: impl Fn(RecoveryId) -> bool) -> bool {
        let begins =
            |(id, since): &(&RecoveryId, &Duration)| ours(**id) && now.saturating_sub(**since) < BEGINS;
        let room = BEGUN.saturating_sub(self.begun.iter().filter(begins).count());
        self.more_hosts || self.more && room >= AT_ONCE
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::recovery::Life;
    use uuid::Uuid;

    use super::*;

    fn view(id: u128, epoch: u64, beat: u64, owner: Option<&str>) -> ClaimView {
        let id = RecoveryId(Uuid::from_u128(id));
        ClaimView {
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

    fn at_seq(epoch: u64, seq: u64) -> ClaimView {
        ClaimView {
            seq,
            ..view(1, epoch, 0, Some("other"))
        }
    }

    #[test]
    fn r33_a_row_that_is_older_than_it_once_was_is_noticed_even_if_it_was_closed_meanwhile() {
        let mut sweeper = Sweeper::default();
        assert!(sweeper.rewound(&[at_seq(2, 7)], at(0), |_| false).is_empty());
        for older in [at_seq(2, 6), at_seq(1, 9)] {
            let found = sweeper.rewound(std::slice::from_ref(&older), at(1_000), |_| false);
            assert_eq!(found.len(), 1, "{older:?}");
            assert!(sweeper.rewound(&[older], at(1_000), |_| true).is_empty(), "ours");
        }
        let found = sweeper.rewound(&[at_seq(2, 6)], at(2_000), |_| false);
        assert_eq!(found[0].1, RowVersion { epoch: 2, seq: 9 }, "each at its highest");
        // One that a driver of this engine has closed is shown again.
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
        // Not for ever.
        sweeper.left(&closed, at(0));
        assert!(sweeper.rewound(&[], at(700_000), |_| false).is_empty());
        assert!(
            sweeper
                .rewound(&[at_seq(3, 19)], at(700_001), |_| false)
                .is_empty()
        );
    }

    #[test]
    fn a_recovery_nobody_owns_is_claimed_at_once() {
        let mut sweeper = Sweeper::default();
        assert_eq!(
            sweeper.claimable(&[view(1, 0, 0, None)], at(0), |_| false).len(),
            1
        );
    }

    #[test]
    fn r2_an_owner_is_taken_for_dead_only_after_four_seconds_of_the_same_beat() {
        let mut sweeper = Sweeper::default();
        let silent = [view(1, 1, 7, Some("other"))];
        assert!(
            sweeper.claimable(&silent, at(1_000), |_| false).is_empty(),
            "a fresh engine has seen nothing"
        );
        assert!(sweeper.claimable(&silent, at(4_999), |_| false).is_empty());
        assert_eq!(sweeper.claimable(&silent, at(5_000), |_| false).len(), 1);
    }

    #[test]
    fn ew09_an_owners_death_is_noticed_within_five_seconds() {
        // The owner's last beat is committed at 0, and it dies right after; the worst phase of the looks is what counts.
        for phase in 0..WATCH.as_millis() {
            let mut sweeper = Sweeper::default();
            let silent = [view(1, 1, 7, Some("other"))];
            let mut now = at(u64::try_from(phase).unwrap());
            while sweeper.claimable(&silent, now, |_| false).is_empty() {
                now += WATCH;
            }
            assert!(now < Duration::from_secs(5), "{now:?} at phase {phase}");
        }
    }

    #[test]
    fn what_somebody_else_was_quicker_to_claim_is_watched_and_what_is_ours_is_not() {
        let mut sweeper = Sweeper::default();
        let free = [view(1, 0, 0, None)];
        assert_eq!(sweeper.claimable(&free, at(0), |_| false).len(), 1);
        assert!(sweeper.is_watching(), "until it is known whose it is");
        assert!(sweeper.claimable(&free, at(250), |_| true).is_empty());
        assert!(!sweeper.is_watching());
    }

    #[test]
    fn a_beat_or_a_new_epoch_starts_the_wait_anew() {
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
    fn our_own_are_left_alone_and_an_unsure_one_is_claimed_without_waiting() {
        let mut sweeper = Sweeper::default();
        let own = [view(1, 3, 7, Some("me"))];
        assert!(sweeper.claimable(&own, at(0), |_| true).is_empty());
        sweeper.not_sure(own[0].id, 3);
        assert_eq!(sweeper.claimable(&own, at(1), |_| false).len(), 1);
        sweeper.not_sure(own[0].id, 2);
        assert!(
            sweeper.claimable(&own, at(2), |_| false).is_empty(),
            "somebody else has it by now"
        );
    }

    /// `count` reports of instances that nobody owns.
    fn flood(count: u128) -> Vec<ClaimView> {
        let one = |id| ClaimView {
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
        assert_eq!(claimed.len(), AT_ONCE);
        assert_eq!(claimed[0].id, views[9_000].id, "the host is the first");
        assert!(sweeper.has_more(at(1), |_| true));
    }

    #[test]
    fn a_sweep_that_has_claimed_nothing_is_not_repeated_at_once() {
        let mut hosts: Vec<ClaimView> = (1..=200).map(|id| view(id, 0, 0, None)).collect();
        for of_host in [true, false] {
            for host in &mut hosts {
                host.of_host = of_host;
            }
            let mut sweeper = Sweeper::default();
            assert_eq!(sweeper.claimable(&hosts, at(0), |_| false).len(), AT_ONCE);
            assert!(sweeper.has_more(at(0), |_| false));
            sweeper.came_to_nothing();
            assert!(!sweeper.has_more(at(0), |_| false));
            assert_eq!(sweeper.claimable(&hosts, at(250), |_| false).len(), AT_ONCE);
        }
    }

    #[test]
    fn no_more_than_some_are_begun_at_a_time_and_all_are_in_the_end() {
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
            assert!(ours.len() <= BEGUN, "{}", ours.len());
            if !sweeper.has_more(at(now), |id| ours.contains(&id)) {
                // Half of them end.
                now += 100;
                let half: Vec<_> = ours.iter().copied().take(BEGUN / 2).collect();
                for id in half {
                    ours.remove(&id);
                }
            }
        }
        assert!(now < 5_000, "{now}");
    }

    #[test]
    fn those_that_wait_for_something_keep_nobody_out() {
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
    fn what_there_was_no_room_for_is_still_unsure() {
        let mut views = flood(500);
        for view in &mut views {
            (view.epoch, view.owner) = (3, Some("me".to_owned()));
        }
        let mut sweeper = Sweeper::default();
        for view in &views {
            sweeper.not_sure(view.id, 3);
        }
        let mut claimed = 0;
        for turn in 0..500 {
            claimed += sweeper.claimable(&views, at(turn), |_| false).len();
            views.drain(..AT_ONCE.min(views.len()));
        }
        assert_eq!(claimed, 500, "without waiting for their silence");
    }
}
