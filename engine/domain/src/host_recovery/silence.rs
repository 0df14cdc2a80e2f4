//! Since when Nova's silence about the host says something: by looks at which it heard others (R26).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::elapsed::Elapsed;

/// Without a look that was answered for so long, what stood before says nothing.
const UNSEEN: Duration = Duration::from_secs(20);

/// What the looks at all hosts say of Nova.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SilenceTrack {
    /// When the last look that was answered was asked for.
    pub looked: Option<Elapsed>,
    /// The last of them at which Nova, or this engine, was deaf.
    pub deaf: Option<Elapsed>,
    /// Silence is counted from no earlier moment: nobody had looked for a while.
    pub again: Option<Elapsed>,
    /// A look since the last one has failed.
    #[serde(skip)]
    pub(super) failed: bool,
}

impl SilenceTrack {
    /// How long ago Nova was deaf by `now`.
    pub(super) fn deaf_ago(&self, now: Elapsed) -> Option<Duration> {
        self.deaf.map(|deaf| now.since(deaf))
    }

    pub(super) fn is_deaf_now(&self) -> bool {
        self.deaf.is_some() && self.deaf == self.looked
    }

    /// What the last owner saw between its last looks and its end, nobody knows.
    pub(super) fn claimed(&mut self, now: Elapsed) {
        if self.is_deaf_now() {
            self.deaf = Some(now);
        }
        if self.looked.is_some() {
            self.again = Some(now);
            self.looked = Some(now);
        }
    }

    /// Whether it is to be written: what is known of it says less than before.
    pub(super) fn look(&mut self, asked: Elapsed, is_deaf: Option<bool>) -> bool {
        let Some(is_deaf) = is_deaf else {
            self.failed = true;
            return false;
        };
        let before = *self;
        let late = self.looked.is_some_and(|looked| asked.since(looked) > UNSEEN);
        let was_away = std::mem::take(&mut self.failed) && late;
        self.looked = Some(asked);
        if late {
            self.again = Some(asked);
        }
        if is_deaf || was_away {
            self.deaf = Some(asked);
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

    #[test]
    fn r26_a_failed_look_counts_for_nothing_unless_none_is_good_for_twenty_seconds() {
        let mut track = SilenceTrack::default();
        track.look(at(0), Some(false));
        for second in 1..20 {
            track.look(at(second), None);
        }
        track.look(at(20), Some(false));
        assert_eq!((track.deaf, track.again), (None, None));
        track.look(at(30), None);
        track.look(at(41), Some(false));
        assert_eq!((track.deaf, track.again), (Some(at(41)), Some(at(41))));
    }

    #[test]
    fn r26_where_nobody_has_looked_silence_begins_again_and_nova_was_not_deaf() {
        let mut track = SilenceTrack::default();
        track.look(at(0), Some(false));
        assert!(track.look(at(100), Some(false)), "it is written");
        assert_eq!((track.deaf, track.again), (None, Some(at(100))));
        assert!(!track.look(at(101), Some(false)));
        track.claimed(at(102));
        assert_eq!(track.again, Some(at(102)));
    }

    #[test]
    fn r26_deafness_is_written_when_it_begins() {
        let mut track = SilenceTrack::default();
        track.look(at(0), Some(false));
        assert!(track.look(at(1), Some(true)));
        assert!(track.is_deaf_now());
        assert!(!track.look(at(2), Some(true)), "not with every look");
        track.look(at(3), Some(false));
        assert!(!track.is_deaf_now());
        assert_eq!(track.deaf_ago(at(10)), Some(Duration::from_secs(8)));
    }
}
