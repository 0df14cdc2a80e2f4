//! What keeps a recovery from going on, as the notification tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::elapsed::Elapsed;
use crate::recovery::Now;

/// What a trouble is about, weightiest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// The host's power controller does not answer, or not clearly.
    Power,
    /// The host has been told to power off.
    PowerOff,
    /// Nova hears a host that is reported dead.
    Heard,
    /// Monitors of a host that is said to be off send heartbeats.
    Monitors,
    /// A word that counts only after a while.
    BareWord,
    /// Nova's record of the host cannot be read.
    Service,
    /// Nova's record of the host cannot be changed.
    Update,
    /// The lists a plan is made of.
    Inventory,
    /// The lists moves are followed by.
    Lists,
    /// Calls about instances.
    Calls,
    /// Reserved hosts that are not to be had yet.
    Reserve,
    /// Instances another recovery is working on.
    Taken,
    /// Hosts that die beside this one.
    Neighbours,
    /// Moves that take strangely long.
    Slow,
    /// An operator's hook.
    Hook,
    /// A freeze keeps an order back.
    Frozen,
}

/// Something that keeps the recovery from going on.
#[derive(Clone, Debug, PartialEq)]
struct Trouble {
    /// Since when. What passes by itself in a moment is not worth a write.
    since: Elapsed,
    /// The first words for it: later ones differ in request ids only, and every change would be a write.
    text: String,
}

/// How long a trouble must last to be told.
const TOLD_AFTER: Duration = Duration::from_secs(3);

/// All there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Troubles(BTreeMap<Topic, Trouble>);

impl Troubles {
    /// Something keeps the recovery from going on just now.
    pub(super) fn begin(&mut self, topic: Topic, now: Now, text: impl FnOnce() -> String) {
        self.0.entry(topic).or_insert_with(|| Trouble {
            since: now.elapsed,
            text: text(),
        });
    }

    /// The same, in words that follow what is so now: they hold nothing that differs at each look.
    pub(super) fn say(&mut self, topic: Topic, now: Now, text: String) {
        let since = self.0.get(&topic).map_or(now.elapsed, |trouble| trouble.since);
        self.0.insert(topic, Trouble { since, text });
    }

    /// It does so no more.
    pub(super) fn end(&mut self, topic: Topic) {
        self.0.remove(&topic);
    }

    /// The weightiest that is worth telling.
    pub(super) fn told(&self, now: Now) -> Option<&str> {
        let told = |trouble: &&Trouble| now.elapsed.since(trouble.since) >= TOLD_AFTER;
        self.0.values().find(told).map(|trouble| trouble.text.as_str())
    }

    /// The weightiest, however young.
    pub(super) fn first(&self) -> Option<&str> {
        self.0.values().next().map(|trouble| trouble.text.as_str())
    }

    /// When each is worth telling.
    pub(super) fn moments(&self) -> impl Iterator<Item = Elapsed> {
        self.0.values().map(|trouble| trouble.since.plus(TOLD_AFTER))
    }
}
