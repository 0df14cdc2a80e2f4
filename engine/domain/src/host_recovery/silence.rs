//! The time since which a missing heartbeat of the host counts, by scans in which other hosts were up in Nova.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::elapsed::Elapsed;

/// Time without an answered scan after which earlier silence does not count.
pub(super) const MAX_OBSERVATION_GAP: Duration = Duration::from_secs(20);

/// The evidence of the scans of all hosts about Nova itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SilenceTrack {
    /// The time at which the last answered scan was requested.
    pub looked: Option<Elapsed>,
    /// The time of the last scan in which Nova, or this engine, was deaf.
    pub deaf: Option<Elapsed>,
    /// The time before which silence does not count, because no engine had scanned for a while.
    pub again: Option<Elapsed>,
    /// True if a scan since the last answered one has failed.
    #[serde(skip)]
    pub(super) failed: bool,
}

impl SilenceTrack {
    /// Returns the time since Nova was last deaf.
    pub(super) fn deaf_ago(&self, now: Elapsed) -> Option<Duration> {
        self.deaf.map(|deaf| now.since(deaf))
    }

    pub(super) fn is_deaf_now(&self) -> bool {
        self.deaf.is_some() && self.deaf == self.looked
    }

    /// Starts again for a new owner, because the last owner's final scans are unknown.
    pub(super) fn claimed(&mut self, now: Elapsed) {
        if self.is_deaf_now() {
            self.deaf = Some(now);
        }
        if self.looked.is_some() {
            self.again = Some(now);
            self.looked = Some(now);
        }
    }

    /// Handles a scan. Returns true if the state is to be written, because it proves less than before.
    pub(super) fn record_scan(&mut self, requested_at: Elapsed, is_deaf: Option<bool>) -> bool {
        let Some(is_deaf) = is_deaf else {
            self.failed = true;
            return false;
        };
        let before = *self;
        let late = self
            .looked
            .is_some_and(|looked| requested_at.since(looked) > MAX_OBSERVATION_GAP);
        let was_away = std::mem::take(&mut self.failed) && late;
        self.looked = Some(requested_at);
        if late {
            self.again = Some(requested_at);
        }
        if is_deaf || was_away {
            self.deaf = Some(requested_at);
        }
        let went_deaf = self.deaf != before.deaf && (before.deaf.is_none() || before.deaf != before.looked);
        self.again != before.again || went_deaf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Elapsed {
        Elapsed::from_millis(seconds * 1_000)
    }

    /// Covers R26.
    #[test]
    fn a_failed_scan_is_ignored_unless_none_succeeds_for_twenty_seconds() {
        let mut track = SilenceTrack::default();
        track.record_scan(at(0), Some(false));
        for second in 1..20 {
            track.record_scan(at(second), None);
        }
        track.record_scan(at(20), Some(false));
        assert_eq!((track.deaf, track.again), (None, None));
        track.record_scan(at(30), None);
        track.record_scan(at(41), Some(false));
        assert_eq!((track.deaf, track.again), (Some(at(41)), Some(at(41))));
    }

    /// Covers R26.
    #[test]
    fn after_a_gap_in_observation_silence_starts_again_and_nova_was_not_unreachable() {
        let mut track = SilenceTrack::default();
        track.record_scan(at(0), Some(false));
        assert!(track.record_scan(at(100), Some(false)), "it is written");
        assert_eq!((track.deaf, track.again), (None, Some(at(100))));
        assert!(!track.record_scan(at(101), Some(false)));
        track.claimed(at(102));
        assert_eq!(track.again, Some(at(102)));
    }

    /// Covers R26.
    #[test]
    fn an_outage_of_nova_is_written_when_it_starts() {
        let mut track = SilenceTrack::default();
        track.record_scan(at(0), Some(false));
        assert!(track.record_scan(at(1), Some(true)));
        assert!(track.is_deaf_now());
        assert!(!track.record_scan(at(2), Some(true)), "not with every look");
        track.record_scan(at(3), Some(false));
        assert!(!track.is_deaf_now());
        assert_eq!(track.deaf_ago(at(10)), Some(Duration::from_secs(8)));
    }
}
