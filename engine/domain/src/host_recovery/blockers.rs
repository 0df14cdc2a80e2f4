//! The blockers that keep a recovery from continuing, as the notification shows them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::elapsed::Elapsed;
use crate::recovery::DecisionTime;

/// The subject of a blocker, most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BlockerKind {
    /// The host's power controller does not answer, or not clearly.
    Power,
    /// The host has been ordered to power off.
    PowerOff,
    /// A host that is reported dead is up in Nova.
    HostUp,
    /// Monitors of a host that is reported off send heartbeats.
    Monitors,
    /// A claim counts only after a while.
    BareClaim,
    /// Nova's record of the host cannot be read.
    Service,
    /// Nova's record of the host cannot be changed.
    Update,
    /// The lists for the plan cannot be read.
    Inventory,
    /// The lists by which moves are followed cannot be read.
    Lists,
    /// Calls about instances fail.
    Calls,
    /// Reserved hosts are not available yet.
    Reserve,
    /// Another recovery is working on some of the instances.
    OtherRecovery,
    /// Hosts fail together with this one.
    Neighbours,
    /// Moves take unusually long.
    Slow,
    /// An operator's hook is running.
    Hook,
    /// A freeze delays an order.
    Frozen,
}

/// A condition that prevents the recovery from continuing.
#[derive(Clone, Debug, PartialEq)]
struct Blocker {
    /// The start. A blocker that ends soon is not worth a write.
    since: Elapsed,
    /// The first text for it: later ones differ in request ids only, and every change would be a write.
    text: String,
}

/// Time that a blocker must last before it is shown.
const BLOCKER_DISPLAY_DELAY: Duration = Duration::from_secs(3);

/// All current blockers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Blockers(BTreeMap<BlockerKind, Blocker>);

impl Blockers {
    /// Records a blocker.
    pub(super) fn begin(&mut self, kind: BlockerKind, now: DecisionTime, text: impl FnOnce() -> String) {
        self.0.entry(kind).or_insert_with(|| Blocker {
            since: now.elapsed,
            text: text(),
        });
    }

    /// Records it with a text that follows the current state. The text contains nothing that differs at each reading.
    pub(super) fn set(&mut self, kind: BlockerKind, now: DecisionTime, text: String) {
        let since = self.0.get(&kind).map_or(now.elapsed, |blocker| blocker.since);
        self.0.insert(kind, Blocker { since, text });
    }

    /// Records the end of a blocker.
    pub(super) fn end(&mut self, kind: BlockerKind) {
        self.0.remove(&kind);
    }

    /// Returns the most important blocker that has lasted long enough to be shown.
    pub(super) fn due(&self, now: DecisionTime) -> Option<&str> {
        let is_due = |blocker: &&Blocker| now.elapsed.since(blocker.since) >= BLOCKER_DISPLAY_DELAY;
        self.0.values().find(is_due).map(|blocker| blocker.text.as_str())
    }

    /// Returns the most important blocker, even a recent one.
    pub(super) fn first(&self) -> Option<&str> {
        self.0.values().next().map(|blocker| blocker.text.as_str())
    }

    /// Returns the time from which each is shown.
    pub(super) fn moments(&self) -> impl Iterator<Item = Elapsed> {
        self.0
            .values()
            .map(|blocker| blocker.since.plus(BLOCKER_DISPLAY_DELAY))
    }
}
