//! Which recoveries to claim, by what is seen of their owners (R2).

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_domain::RecoveryId;

use crate::journal::ClaimView;

/// An owner whose beat has not moved for this long is taken for dead.
pub const SILENCE: Duration = Duration::from_secs(4);

/// Between two looks while another engine's beats are watched. Silence is counted from when a beat was first *seen*, and it is
/// noticed at the next look, so an owner's death costs two of these on top of [`SILENCE`]: with a second each it was up to six.
pub const WATCH: Duration = Duration::from_millis(250);

/// Remembers when each beat was first seen, on this engine's own clock.
#[derive(Debug, Default)]
pub struct Sweeper {
    seen: BTreeMap<RecoveryId, (u64, u64, Duration)>,
    /// Claims of our own that we are not sure of any more, by epoch.
    unsure: BTreeMap<RecoveryId, u64>,
}

impl Sweeper {
    /// A claim of our own at `epoch` has to be made anew; there is no other owner to wait for.
    pub fn not_sure(&mut self, id: RecoveryId, epoch: u64) {
        self.unsure.insert(id, epoch);
    }

    /// The recoveries to claim now. `ours` says which are being driven here.
    pub fn claimable(
        &mut self,
        views: &[ClaimView],
        now: Duration,
        ours: impl Fn(RecoveryId) -> bool,
    ) -> Vec<ClaimView> {
        self.seen
            .retain(|id, _| views.iter().any(|view| view.id == *id) && !ours(*id));
        let mut claimable = Vec::new();
        for view in views.iter().filter(|view| !ours(view.id)) {
            let unsure = self.unsure.remove(&view.id) == Some(view.epoch);
            // Somebody else may be quicker, and die at once: so it is watched from now on.
            let first = self.seen.entry(view.id).or_insert((view.epoch, view.beat, now));
            if view.owner.is_none() || unsure {
                claimable.push(view.clone());
                continue;
            }
            if (first.0, first.1) != (view.epoch, view.beat) {
                *first = (view.epoch, view.beat, now);
            } else if now.saturating_sub(first.2) >= SILENCE {
                claimable.push(view.clone());
            }
        }
        claimable
    }

    /// Whether somebody else's beats are being watched, so that the next sweep must not be long in coming.
    pub fn is_watching(&self) -> bool {
        !self.seen.is_empty()
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
            beat,
            owner: owner.map(Into::into),
            life: Life::Open,
        }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
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
}
