//! Fencing, which leads to a proof that the host is off.
//!
//! Mode `engine`: the recovery queries the devices, level by level. Two readings of "off" in a row from every device of a level,
//! far enough apart, are the proof, regardless of who has switched the host off. A device that answers anything else gets a
//! power-off command, but only once the host is down in Nova too: one report alone fences no host. The recovery then waits for
//! "off". If a level fails, the next one is tried. After the last one the recovery is on hold, shows the failures, and retries
//! at intervals.
//! Mode `external`: the claim of the notification counts once the host is down in Nova.

pub(super) mod confirmation;
mod decision;
mod devices;
mod failure;
pub(super) mod monitors;
mod reading;

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
const REFUSED_ORDER_DELAY: Duration = Duration::from_secs(1);

/// A power-off that a version which knew one device per host has journalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffIntent {
    /// The time of the order.
    pub at: Elapsed,
    /// True if the device has answered.
    pub answered: bool,
}

/// A power-off that has been journalled. It is kept until it can no longer take effect, even if its level has failed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The switch that gets the order; `None` if a version wrote it that knew one device per host.
    pub target: Option<Target>,
    /// The number of its level.
    pub level: u32,
    /// The time of the order.
    pub at: Elapsed,
    /// The time that the device may take to carry out what it has accepted.
    pub limit: Duration,
    /// The time that the order may be in flight, if the device's calls may take longer than other calls.
    #[serde(default)]
    pub call: Option<Duration>,
    /// True if the device has answered. Until then, or until its time and Q have passed, it may still take effect.
    pub answered: bool,
    /// True if the device has read "off" since. An accepted order whose effect was not seen may still take effect.
    pub seen_off: bool,
}

impl Order {
    /// True if the order may still take effect.
    fn may_take_effect(&self, now: Elapsed, policy: &Policy) -> bool {
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

/// The state of the fencing of a host.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own about what was ordered or tried"
)]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fence {
    /// The time at which this try started.
    pub began: Elapsed,
    /// A power-off from an old state, see [`OffIntent`]; becomes one of `orders`.
    #[serde(skip_serializing)]
    pub off: Option<OffIntent>,
    /// True if a power-off may have been sent, in this try or an earlier one.
    pub ordered: bool,
    /// The last answer of a device, or the reason why it gave none.
    pub last_word: Option<String>,
    /// The host's levels as they were configured when this try started; `None` until they are known.
    pub levels: Option<Vec<Level>>,
    /// The index of the level that is being tried, or has confirmed the host off; counted from 0.
    pub level: usize,
    /// The time at which the current level was started.
    pub level_began: Elapsed,
    /// Power-offs that may still take effect, and those of this try.
    pub orders: Vec<Order>,
    /// The reasons why the levels before this one have failed.
    pub failures: Vec<String>,
    /// The time at which the levels are tried again; set once every level has failed.
    pub retry_at: Option<Elapsed>,
    /// True if one of the failures is transient.
    pub passing: bool,
    /// True if the levels are being tried again now, while the recovery is on hold.
    pub retrying: bool,
    /// The guards that an approval had lifted when this try gave its first order: its further levels need no other approval.
    pub approved: BTreeSet<Guard>,
    /// True if a power-off that is no longer listed, or that an earlier owner gave, may have been sent.
    #[serde(skip)]
    ordered_before: bool,
    /// The request for the levels of the host.
    #[serde(skip)]
    pub(super) question: Question,
    /// The state of each device of the current level.
    #[serde(skip)]
    pub(super) device_states: BTreeMap<usize, DeviceState>,
}

impl Fence {
    /// Starts a new try, with the levels as they are configured now. An order that may still take effect is not forgotten.
    pub(super) fn begin_again(&mut self, now: Elapsed, policy: &Policy) {
        let mut orders = std::mem::take(&mut self.orders);
        let listed = orders.len();
        orders.retain(|order| order.may_take_effect(now, policy));
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

    /// Starts a new try with the same levels, from the first.
    fn try_again(&mut self, now: Elapsed, policy: &Policy) {
        // If no level is configured there is nothing to keep.
        let levels = self.levels.take().filter(|levels| !levels.is_empty());
        self.begin_again(now, policy);
        self.levels = levels;
    }

    /// Drops the requests in flight, of which a new owner knows nothing, and converts the order that an earlier version stored.
    pub(super) fn forget_answers(&mut self) {
        self.forget_devices();
        // The order that the last owner has journalled may have been sent.
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

    /// Delays all orders for a moment.
    pub(super) fn orders_refused(&mut self, now: Elapsed) {
        for device_state in self.device_states.values_mut() {
            device_state.off_not_before = now.plus(REFUSED_ORDER_DELAY);
        }
    }

    /// True if no order may take effect any more.
    pub(super) fn has_no_pending_orders(&self, now: Elapsed, policy: &Policy) -> bool {
        !self.orders.iter().any(|order| order.may_take_effect(now, policy))
    }

    /// Returns the level that is being tried, or has confirmed the host off.
    fn current(&self) -> Option<&Level> {
        self.levels.as_ref()?.get(self.level)
    }

    fn devices(&self) -> &[Device] {
        self.current().map_or(&[], |level| level.devices.as_slice())
    }

    /// Returns the switches of the current level.
    pub(super) fn targets(&self) -> Vec<Target> {
        self.devices()
            .iter()
            .map(|device| device.target.clone())
            .collect()
    }

    pub(super) fn index_of(&self, target: &Target) -> Option<usize> {
        self.devices().iter().position(|device| device.target == *target)
    }

    /// Moves to the next level. Returns true if there is one.
    pub(super) fn advance_level(&mut self, now: Elapsed) -> bool {
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

    /// Returns the orders of this try at this level to this switch, oldest first.
    fn orders_of<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Order> {
        self.orders
            .iter()
            .filter(|order| order.target.as_ref() == Some(target) && order.at >= self.level_began)
    }

    /// Records a reading of "off" that was started at `started`: every earlier order to that switch has been carried out.
    fn record_off_reading(&mut self, target: &Target, started: Elapsed) {
        for order in &mut self.orders {
            if order.target.as_ref() == Some(target) && order.at <= started {
                order.seen_off = true;
            }
        }
    }
}

/// The state of a device of the current level. None of it survives a take-over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DeviceState {
    /// True if a query is in flight.
    pub(super) reading: bool,
    /// True if an order is in flight.
    ordering: bool,
    /// The earliest time of the next request.
    pub(super) not_before: Elapsed,
    /// The earliest time of the next order.
    pub(super) off_not_before: Elapsed,
    /// The first "off" of an unbroken series, and in `latest_off` the latest that is far enough from it.
    first_off: Option<DatedReading>,
    latest_off: Option<DatedReading>,
    /// True if the latest answer was something other than "off".
    not_off: bool,
    /// The number of failed calls in a row.
    faults: u32,
    /// The time since which its answers have been unclear: neither on nor off.
    unclear_since: Option<Elapsed>,
    /// The time that its calls have waited for a permit, which is not the device's fault.
    waited: Duration,
    /// The reason why the device cannot be relied on.
    failed: Option<Failure>,
}

/// The failure of a device, and with it of its level.
#[derive(Clone, Debug, PartialEq)]
struct Failure {
    why: String,
    /// True if it will not pass by itself, such as a wrong password: a query soon after may lock an account.
    lasting: bool,
}

impl DeviceState {
    /// True if it has read "off" lately; `None` if it has not answered yet.
    pub(super) fn reads_off(&self) -> Option<bool> {
        if self.first_off.is_some() {
            return Some(true);
        }
        let unclear = self.unclear_since.is_some() || self.failed.is_some() || self.not_off;
        unclear.then_some(false)
    }

    /// Drops the readings, because the host's heartbeat has moved: an earlier "off" shows nothing any more.
    fn forget_readings(&mut self, now: Elapsed) {
        self.first_off = None;
        self.latest_off = None;
        self.not_before = now;
    }

    /// True if "off" was first read before this moment.
    fn read_off_before(&self, time: Elapsed) -> bool {
        self.first_off.as_ref().is_some_and(|first| first.started < time)
    }

    /// True if its latest reading names the machine.
    fn names_machine(&self) -> bool {
        let latest = self.latest_off.as_ref();
        latest.is_some_and(|dated| dated.reading.machine.is_some())
    }

    fn record_unclear_reading(&mut self, now: Elapsed) {
        if self.unclear_since.is_none() {
            self.unclear_since = Some(now);
            self.waited = Duration::ZERO;
        }
    }
}
