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
    Heard,
    /// Monitors of a host that is reported off send heartbeats.
    Monitors,
    /// A claim counts only after a while.
    BareWord,
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
    Taken,
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
const TOLD_AFTER: Duration = Duration::from_secs(3);

/// All current blockers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Blockers(BTreeMap<BlockerKind, Blocker>);

impl Blockers {
    /// Records a blocker.
    pub(super) fn begin(&mut self, topic: BlockerKind, now: DecisionTime, text: impl FnOnce() -> String) {
        self.0.entry(topic).or_insert_with(|| Blocker {
            since: now.elapsed,
            text: text(),
        });
    }

    /// Records it with a text that follows the current state. The text contains nothing that differs at each reading.
    pub(super) fn set(&mut self, topic: BlockerKind, now: DecisionTime, text: String) {
        let since = self.0.get(&topic).map_or(now.elapsed, |trouble| trouble.since);
        self.0.insert(topic, Blocker { since, text });
    }

    /// Records the end of a blocker.
    pub(super) fn end(&mut self, topic: BlockerKind) {
        self.0.remove(&topic);
    }

    /// Returns the most important blocker that has lasted long enough to be shown.
    pub(super) fn due(&self, now: DecisionTime) -> Option<&str> {
        let is_due = |trouble: &&Blocker| now.elapsed.since(trouble.since) >= TOLD_AFTER;
        self.0.values().find(is_due).map(|trouble| trouble.text.as_str())
    }

    /// Returns the most important blocker, even a recent one.
    pub(super) fn first(&self) -> Option<&str> {
        self.0.values().next().map(|trouble| trouble.text.as_str())
    }

    /// Returns the time from which each is shown.
    pub(super) fn moments(&self) -> impl Iterator<Item = Elapsed> {
        self.0.values().map(|trouble| trouble.since.plus(TOLD_AFTER))
    }
}
