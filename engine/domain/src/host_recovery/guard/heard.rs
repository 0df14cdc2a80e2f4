//! What is seen of a suspect's heartbeat while it is held: one that lives is given up, right after a heartbeat.

use std::time::Duration;

use super::super::service::CONTRADICTED_LIMIT;
use super::{FRESH, LOOKS_APART};
use crate::elapsed::Elapsed;
use crate::timestamp::Timestamp;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Heard {
    /// Since when Nova has been seen to hear it.
    since: Option<Elapsed>,
    /// Its heartbeat as the last look showed it, and when that was asked for.
    beat: Option<(Elapsed, Timestamp)>,
}

impl Heard {
    /// A look that was asked for then has shown this heartbeat. Whether it has moved since a look shortly before; a Nova that tells
    /// none is believed.
    pub(in super::super) fn beats_anew(&mut self, asked: Elapsed, beat: Option<Timestamp>) -> bool {
        let Some(beat) = beat else { return true };
        let before = self.beat.replace((asked, beat));
        before.is_some_and(|(at, before)| before != beat && asked.since(at) <= FRESH)
    }

    /// For how long Nova has heard it by now.
    pub(in super::super) fn lasts(&mut self, now: Elapsed) -> Duration {
        now.since(*self.since.get_or_insert(now))
    }

    /// Nova hears it no more, or that says nothing.
    pub(in super::super) fn over(&mut self) {
        self.since = None;
    }

    /// Between two looks: the heartbeat after which it is given up must be seen to come.
    pub(in super::super) fn looks_apart(&self, now: Elapsed, otherwise: Duration) -> Duration {
        let long = self
            .since
            .is_some_and(|since| now.since(since) >= CONTRADICTED_LIMIT);
        if long { LOOKS_APART } else { otherwise }
    }
}
