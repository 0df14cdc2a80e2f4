//! The heartbeat of a suspected host while its recovery is on hold. If the host is up, the recovery ends right after a heartbeat.

use std::time::Duration;

use super::super::service::MAX_CONTRADICTED_TIME;
use super::{SCAN_INTERVAL, SCAN_LIFETIME};
use crate::elapsed::Elapsed;
use crate::timestamp::Timestamp;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct UpTrack {
    /// The time since which the host has been seen up in Nova.
    since: Option<Elapsed>,
    /// The heartbeat that the last scan showed, and when that scan was requested.
    heartbeat: Option<(Elapsed, Timestamp)>,
}

impl UpTrack {
    /// Handles the heartbeat of a scan that was requested at `requested_at`. Returns true if it has moved since a scan shortly before; a Nova that
    /// shows no heartbeat counts as moved.
    pub(in super::super) fn has_new_heartbeat(
        &mut self,
        requested_at: Elapsed,
        heartbeat: Option<Timestamp>,
    ) -> bool {
        let Some(heartbeat) = heartbeat else { return true };
        let before = self.heartbeat.replace((requested_at, heartbeat));
        before.is_some_and(|(at, before)| before != heartbeat && requested_at.since(at) <= SCAN_LIFETIME)
    }

    /// Returns the time that the host has been up in Nova. The first call starts to count.
    pub(in super::super) fn up_time(&mut self, now: Elapsed) -> Duration {
        now.since(*self.since.get_or_insert(now))
    }

    /// Resets that time: the host is not up in Nova any more, or its heartbeats do not count.
    pub(in super::super) fn reset(&mut self) {
        self.since = None;
    }

    /// Returns the interval between scans. It is short at the end, because the heartbeat after which the suspect is given up must
    /// be seen to arrive.
    pub(in super::super) fn scan_interval(&self, now: Elapsed, otherwise: Duration) -> Duration {
        let long = self
            .since
            .is_some_and(|since| now.since(since) >= MAX_CONTRADICTED_TIME);
        if long { SCAN_INTERVAL } else { otherwise }
    }
}
