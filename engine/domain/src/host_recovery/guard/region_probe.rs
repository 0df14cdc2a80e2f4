//! The scans of all hosts, as the guards use them.

use std::sync::Arc;
use std::time::Duration;

use super::host_up::UpTrack;
use super::{HOLD_SCAN_INTERVAL, SCAN_INTERVAL, SCAN_LIFETIME};
use crate::elapsed::Elapsed;
use crate::guard::Region;
use crate::id::HostId;
use crate::monitor::BootHeartbeats;
use crate::policy::Policy;
use crate::question::Question;
use crate::recovery::{Command, DecisionTime};
use crate::timestamp::Timestamp;

/// The last scan of all hosts and the request for the next. Nothing of it survives a take-over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct RegionProbe {
    question: Question,
    /// The last scan, and the time at which it was requested.
    counted: Option<(Elapsed, Arc<Region>)>,
    /// The host's heartbeat while the recovery is on hold.
    pub(in super::super) up_track: UpTrack,
    /// The time since which fewer hosts are out than the guards that hold the recovery need.
    pub(in super::super) below_limit_since: Option<Elapsed>,
    /// True if the host was silent in Nova at some time, so that its report was not made up.
    pub(in super::super) was_ever_silent: bool,
}

impl RegionProbe {
    pub(in super::super) fn question(&self) -> Question {
        self.question
    }

    pub(in super::super) fn record_scan(&mut self, region: Arc<Region>) {
        self.counted = Some((self.question.answered().unwrap_or_default(), region));
    }

    /// Requests a scan, unless one is in flight or the last one is more recent than `every`.
    pub(in super::super) fn request_if_due(
        &mut self,
        now: DecisionTime,
        every: Duration,
        commands: &mut Vec<Command>,
    ) {
        let young = |(requested_at, _): &(Elapsed, _)| now.elapsed.since(*requested_at) < every;
        if !self.counted.as_ref().is_some_and(young) && self.question.send(now.elapsed) {
            commands.push(Command::ScanHosts);
        }
    }

    /// Requests scans while a host is being fenced: often until it is `ordered` off. A further order requests a scan of its own.
    pub(in super::super) fn request_scan_for_order(
        &mut self,
        ordered: bool,
        now: DecisionTime,
        commands: &mut Vec<Command>,
    ) {
        let every = if ordered {
            HOLD_SCAN_INTERVAL
        } else {
            SCAN_INTERVAL
        };
        self.request_if_due(now, every, commands);
    }

    /// Requests a scan, unless one is in flight or was requested within the last second.
    pub(in super::super) fn request_scan_now(&mut self, now: DecisionTime, commands: &mut Vec<Command>) {
        self.request_if_due(now, SCAN_INTERVAL, commands);
    }

    /// True if the last scan, however stale, showed another host under recovery.
    pub(in super::super) fn has_other_recoveries(&self, host: HostId) -> bool {
        let counted = self.counted.as_ref();
        counted.is_some_and(|(_, region)| region.recovers_others(host))
    }

    /// Requests another scan, even if one is in flight: earlier results do not count any more.
    pub(in super::super) fn rescan(&mut self, now: DecisionTime, commands: &mut Vec<Command>) {
        self.clear();
        self.question.send_at_once(now.elapsed);
        commands.push(Command::ScanHosts);
    }

    /// Restarts as if nothing had been scanned yet. The report of the host may have been right at the time, so it is not treated
    /// as made up.
    pub(in super::super) fn restart(&mut self) {
        *self = Self {
            question: self.question,
            was_ever_silent: true,
            ..Self::default()
        };
    }

    pub(in super::super) fn not_sent(&mut self, now: DecisionTime) {
        self.question.not_sent();
        self.question.not_before = now.elapsed.plus(Duration::from_secs(1));
    }

    /// Drops the last scan.
    pub(in super::super) fn clear(&mut self) {
        self.counted = None;
    }

    /// Returns the last scan, and the time at which it was requested.
    pub(in super::super) fn last(&self) -> Option<(Elapsed, Arc<Region>)> {
        self.counted.clone()
    }

    /// Returns the last scan, if it is fresh.
    pub(in super::super) fn fresh(&self, now: DecisionTime) -> Option<Arc<Region>> {
        let (requested_at, region) = self.counted.as_ref()?;
        (now.elapsed.since(*requested_at) <= SCAN_LIFETIME).then(|| region.clone())
    }

    /// Returns the heartbeats of a host's own monitors in the last scan, however stale, and the time at which it was requested.
    pub(in super::super) fn heartbeats(&self, host: HostId) -> Option<(Elapsed, &BootHeartbeats)> {
        let (requested_at, region) = self.counted.as_ref()?;
        Some((*requested_at, region.heartbeats(host)?))
    }

    /// True if the host's heartbeat has moved since a scan shortly before this one.
    pub(in super::super) fn has_new_heartbeat(
        &mut self,
        now: DecisionTime,
        heartbeat: Option<Timestamp>,
    ) -> bool {
        let requested_at = self
            .counted
            .as_ref()
            .map_or(now.elapsed, |(requested_at, _)| *requested_at);
        self.up_track.has_new_heartbeat(requested_at, heartbeat)
    }

    /// True if more than one reporter has reported `host` as dead.
    pub(in super::super) fn has_two_reporters(&self, host: HostId, policy: &Policy) -> bool {
        let counted = self.counted.as_ref();
        counted.is_some_and(|(_, region)| region.independent_reporters(host, policy) >= 2)
    }
}
