//! The way to a proof.
//!
//! Mode `engine`: ask the devices, level by level. Two readings of "off" in a row from every device of a level, far enough
//! apart, are the proof, whoever has switched the host off. A device that says anything else is told to power the host off,
//! but only once Nova does not hear it either (one report alone fences nobody), and then "off" is waited for. A level that
//! fails makes way for the next; after the last one the recovery is held, told, and tried again from time to time.
//! Mode `external`: the notification's word counts once Nova does not hear the host.

mod acting;
mod devices;
mod failing;
pub(super) mod monitors;
mod reading;
pub(super) mod vouch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::elapsed::Elapsed;
use crate::guard::Guard;
use crate::level::{Device, Level, Target};
use crate::policy::Policy;
use crate::proof::DatedReading;
use crate::question::Question;

/// An order that the journal has refused is not given again within this time.
const REFUSED: Duration = Duration::from_secs(1);

/// A power-off that has been journalled by a version that knew one device per host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffIntent {
    /// When.
    pub at: Elapsed,
    /// Whether the device has answered.
    pub answered: bool,
}

/// A power-off that has been journalled. It is remembered until it can take effect no more, whatever became of its level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which switch; `None` if a version wrote it that knew one device per host.
    pub target: Option<Target>,
    /// The number of its level.
    pub level: u32,
    /// When.
    pub at: Elapsed,
    /// How long the device may take to do what it has accepted.
    pub limit: Duration,
    /// How long the order may be under way, if the device's calls may take longer than any other.
    #[serde(default)]
    pub call: Option<Duration>,
    /// Whether the device has answered. Until then, or until its time and Q have passed, it may still take effect (R5).
    pub answered: bool,
    /// Whether the device has said "off" since. What it has accepted and not been seen to do may come yet.
    pub seen_off: bool,
}

impl Order {
    /// Whether it may still take effect (R5).
    fn may_come(&self, now: Elapsed, policy: &Policy) -> bool {
        let age = now.since(self.at);
        match (self.answered, self.seen_off || self.target.is_none()) {
            (true, true) => false,
            (true, false) => age < self.limit + policy.proxy_hold,
            (false, _) => {
                let call = self.call.unwrap_or_default().max(policy.call_deadline);
                age < call + policy.proxy_hold
            }
        }
    }
}

/// What is known on the way to a proof.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own about what was ordered or tried"
)]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fence {
    /// When this try began.
    pub began: Elapsed,
    /// See [`OffIntent`]; becomes one of `orders`.
    #[serde(skip_serializing)]
    pub off: Option<OffIntent>,
    /// A power-off may have gone out, in this try or an earlier one (R27).
    pub ordered: bool,
    /// What a device said last, or why it did not.
    pub last_word: Option<String>,
    /// The host's levels as they were configured when this try began (I10); `None` until they are known.
    pub levels: Option<Vec<Level>>,
    /// Which of them is being tried, or has proven the host off; counted from 0.
    pub level: usize,
    /// When that began.
    pub level_began: Elapsed,
    /// Power-offs that may still take effect, and those of this try.
    pub orders: Vec<Order>,
    /// Why the levels before this one have failed.
    pub failures: Vec<String>,
    /// Every level has failed: when they are tried again.
    pub retry_at: Option<Elapsed>,
    /// One of the failures may pass by itself.
    pub passing: bool,
    /// They are being tried again just now, while the recovery is held.
    pub retrying: bool,
    /// The guards that an approval had lifted when this try gave its first order: its further levels need no other approval.
    pub approved: BTreeSet<Guard>,
    /// One that is not listed any more, or was an earlier owner's, may have gone out.
    #[serde(skip)]
    ordered_before: bool,
    /// Which levels it has.
    #[serde(skip)]
    pub(super) question: Question,
    /// How the devices of the current level do.
    #[serde(skip)]
    pub(super) posts: BTreeMap<usize, Post>,
}

impl Fence {
    /// A new try, with the levels as they are configured now. An order that may still take effect is not forgotten.
    pub(super) fn begin_again(&mut self, now: Elapsed, policy: &Policy) {
        let mut orders = std::mem::take(&mut self.orders);
        let listed = orders.len();
        orders.retain(|order| order.may_come(now, policy));
        let ordered_before = self.ordered_before || orders.len() < listed;
        *self = Self {
            began: now,
            level_began: now,
            orders,
            ordered: self.ordered,
            ordered_before,
            ..Self::default()
        };
    }

    /// The same levels once more, from the first.
    fn try_again(&mut self, now: Elapsed, policy: &Policy) {
        // Where nothing is configured there is nothing to be kept.
        let levels = self.levels.take().filter(|levels| !levels.is_empty());
        self.begin_again(now, policy);
        self.levels = levels;
    }

    /// A new owner knows of no question under way, and reads what an earlier version wrote in its own words.
    pub(super) fn forget_answers(&mut self) {
        self.forget_devices();
        // What the last owner has journalled may have gone out.
        self.ordered_before = self.ordered;
        if let Some(off) = self.off.take() {
            self.orders.push(Order {
                target: None,
                level: 0,
                at: off.at,
                limit: Duration::ZERO,
                call: None,
                answered: off.answered,
                seen_off: false,
            });
        }
    }

    /// No order is given for a moment.
    pub(super) fn orders_refused(&mut self, now: Elapsed) {
        for post in self.posts.values_mut() {
            post.off_not_before = now.plus(REFUSED);
        }
    }

    /// Whether no order may take effect any more (R5).
    pub(super) fn is_quiet(&self, now: Elapsed, policy: &Policy) -> bool {
        !self.orders.iter().any(|order| order.may_come(now, policy))
    }

    /// The level that is being tried, or has proven the host off.
    fn current(&self) -> Option<&Level> {
        self.levels.as_ref()?.get(self.level)
    }

    fn devices(&self) -> &[Device] {
        self.current().map_or(&[], |level| level.devices.as_slice())
    }

    /// Its switches.
    pub(super) fn targets(&self) -> Vec<Target> {
        self.devices()
            .iter()
            .map(|device| device.target.clone())
            .collect()
    }

    pub(super) fn index_of(&self, target: &Target) -> Option<usize> {
        self.devices().iter().position(|device| device.target == *target)
    }

    /// Leaves this level for the next, if there is one.
    pub(super) fn goes_on_to_next(&mut self, now: Elapsed) -> bool {
        let goes_on = !self.is_last();
        if goes_on {
            self.level += 1;
            self.level_began = now;
        }
        goes_on
    }

    fn is_last(&self) -> bool {
        self.levels
            .as_ref()
            .is_none_or(|levels| self.level + 1 >= levels.len())
    }

    /// The orders of this try at this level to this switch, oldest first.
    fn orders_of<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Order> {
        self.orders
            .iter()
            .filter(|order| order.target.as_ref() == Some(target) && order.at >= self.level_began)
    }

    /// Something said "off" when asked at `started`: what was ordered of it before has been done.
    fn saw_off(&mut self, target: &Target, started: Elapsed) {
        for order in &mut self.orders {
            if order.target.as_ref() == Some(target) && order.at <= started {
                order.seen_off = true;
            }
        }
    }
}

/// How a device of the current level does. Nothing of it survives a take-over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Post {
    /// A question is under way.
    pub(super) reading: bool,
    /// An order is under way.
    ordering: bool,
    /// No question before this moment.
    pub(super) not_before: Elapsed,
    /// No order before this moment.
    pub(super) off_not_before: Elapsed,
    /// The first "off" of an unbroken row, and the latest that is far enough from it.
    first_off: Option<DatedReading>,
    latest_off: Option<DatedReading>,
    /// The latest answer was something else than "off".
    not_off: bool,
    /// Failed calls in a row.
    faults: u32,
    /// Since when it has not said clearly whether the host is on or off.
    unclear_since: Option<Elapsed>,
    /// How long its calls have waited for their turn, which is not the device's fault.
    waited: Duration,
    /// Why it cannot be counted on.
    failed: Option<Failure>,
}

/// Why a device, and with it its level, has failed.
#[derive(Clone, Debug, PartialEq)]
struct Failure {
    why: String,
    /// It will not pass by itself, such as a wrong password: asking again soon may lock an account.
    lasting: bool,
}

impl Post {
    /// Whether it has said "off" lately; `None` if it has not answered yet.
    pub(super) fn says_off(&self) -> Option<bool> {
        if self.first_off.is_some() {
            return Some(true);
        }
        let unclear = self.unclear_since.is_some() || self.failed.is_some() || self.not_off;
        unclear.then_some(false)
    }

    /// The host's heartbeat has moved: what read "off" before says nothing (R26).
    fn forget_readings(&mut self, now: Elapsed) {
        self.first_off = None;
        self.latest_off = None;
        self.not_before = now;
    }

    /// Whether "off" was read first before this moment.
    fn read_off_before(&self, moment: Elapsed) -> bool {
        self.first_off
            .as_ref()
            .is_some_and(|first| first.started < moment)
    }

    /// Whether what it says names the machine.
    fn names_machine(&self) -> bool {
        let latest = self.latest_off.as_ref();
        latest.is_some_and(|dated| dated.reading.machine.is_some())
    }

    fn not_clear(&mut self, now: Elapsed) {
        if self.unclear_since.is_none() {
            self.unclear_since = Some(now);
            self.waited = Duration::ZERO;
        }
    }
}
