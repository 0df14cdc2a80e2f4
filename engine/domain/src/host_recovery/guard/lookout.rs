//! What the guards see of all hosts.

use std::sync::Arc;
use std::time::Duration;

use super::heard::Heard;
use super::{FRESH, HELD_APART, LOOKS_APART};
use crate::elapsed::Elapsed;
use crate::guard::Region;
use crate::id::HostId;
use crate::monitor::BootHeartbeats;
use crate::policy::Policy;
use crate::question::Question;
use crate::recovery::{Command, Now};
use crate::timestamp::Timestamp;

/// Nothing of it survives a take-over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Lookout {
    question: Question,
    /// What was seen of all hosts, and when that was asked for.
    counted: Option<(Elapsed, Arc<Region>)>,
    /// What is seen of the host's heartbeat while the recovery is held.
    pub(in super::super) heard: Heard,
    /// Since when too few hosts are out for what it is held by.
    pub(in super::super) calm_since: Option<Elapsed>,
    /// Nova has missed the host at some time: its report was not made up.
    pub(in super::super) was_missed: bool,
}

impl Lookout {
    pub(in super::super) fn question(&self) -> Question {
        self.question
    }

    pub(in super::super) fn looked_around(&mut self, region: Arc<Region>) {
        self.counted = Some((self.question.answered().unwrap_or_default(), region));
    }

    /// Looks around, unless a look is under way or so young.
    pub(in super::super) fn want(&mut self, now: Now, every: Duration, commands: &mut Vec<Command>) {
        let young = |(asked, _): &(Elapsed, _)| now.elapsed.since(*asked) < every;
        if !self.counted.as_ref().is_some_and(young) && self.question.send(now.elapsed) {
            commands.push(Command::CountHosts);
        }
    }

    /// Looks around while a host is being fenced: often until it is `ordered` off. A further order asks for a look of its own.
    pub(in super::super) fn want_for_order(&mut self, ordered: bool, now: Now, commands: &mut Vec<Command>) {
        let every = if ordered { HELD_APART } else { LOOKS_APART };
        self.want(now, every, commands);
    }

    /// Looks around, unless a look is under way or was asked for within the last second.
    pub(in super::super) fn want_now(&mut self, now: Now, commands: &mut Vec<Command>) {
        self.want(now, LOOKS_APART, commands);
    }

    /// Whether the last look, however old, showed another host under recovery.
    pub(in super::super) fn saw_others(&self, host: HostId) -> bool {
        let counted = self.counted.as_ref();
        counted.is_some_and(|(_, region)| region.recovers_others(host))
    }

    /// Looks around once more, whatever is under way: what was seen before counts no more.
    pub(in super::super) fn look_anew(&mut self, now: Now, commands: &mut Vec<Command>) {
        self.forget();
        self.question.send_at_once(now.elapsed);
        commands.push(Command::CountHosts);
    }

    /// As if nobody had looked yet. Whoever has reported the host may have been right then.
    pub(in super::super) fn begin_anew(&mut self) {
        *self = Self {
            question: self.question,
            was_missed: true,
            ..Self::default()
        };
    }

    pub(in super::super) fn not_sent(&mut self, now: Now) {
        self.question.not_sent();
        self.question.not_before = now.elapsed.plus(Duration::from_secs(1));
    }

    /// What was seen counts no more.
    pub(in super::super) fn forget(&mut self) {
        self.counted = None;
    }

    /// The last look, and when it was asked for.
    pub(in super::super) fn last(&self) -> Option<(Elapsed, Arc<Region>)> {
        self.counted.clone()
    }

    /// The last look, if it is young.
    pub(in super::super) fn fresh(&self, now: Now) -> Option<Arc<Region>> {
        let (asked, region) = self.counted.as_ref()?;
        (now.elapsed.since(*asked) <= FRESH).then(|| region.clone())
    }

    /// The heartbeats of a host's own monitors as the last look showed them, however old, and when that was asked for.
    pub(in super::super) fn heartbeats(&self, host: HostId) -> Option<(Elapsed, &BootHeartbeats)> {
        let (asked, region) = self.counted.as_ref()?;
        Some((*asked, region.heartbeats(host)?))
    }

    /// Whether the host's heartbeat has moved since a look shortly before this one.
    pub(in super::super) fn beats_anew(&mut self, now: Now, beat: Option<Timestamp>) -> bool {
        let asked = self.counted.as_ref().map_or(now.elapsed, |(asked, _)| *asked);
        self.heard.beats_anew(asked, beat)
    }

    /// Whether more than one reporter has said of `host` that it is dead.
    pub(in super::super) fn reported_twice(&self, host: HostId, policy: &Policy) -> bool {
        let counted = self.counted.as_ref();
        counted.is_some_and(|(_, region)| region.voices(host, policy) >= 2)
    }
}
