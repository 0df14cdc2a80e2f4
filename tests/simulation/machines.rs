//! The true state of the machines, independent of Nova, the power controllers and the engines.

use std::collections::BTreeMap;

use crate::nova::ServerIx;

/// The behaviour of a power controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bmc {
    /// The truth.
    Truth,
    /// "off" once, though it is not, as in the middle of a reset; then the truth.
    OffOnce,
    /// An unknown power state.
    Unknown,
    /// No answer.
    Dead,
    /// Accepts commands without effect.
    Deaf,
    /// Answers for another machine, which is off.
    Foreign,
    /// Says "off" whatever is so, and obeys.
    EverOff,
    /// Answers for another machine, which is off, and says which one it is.
    Named,
}

#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub powered: bool,
    /// nova-compute runs.
    pub compute: bool,
    /// It can be heard by Nova.
    pub network: bool,
    /// Counts power-ups: work of an earlier life is void.
    pub life: u32,
    /// When it was switched on last.
    pub on_since: u64,
    pub bmc: Bmc,
    /// Guests on its disk, and whether each runs.
    pub guests: BTreeMap<ServerIx, bool>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            powered: true,
            compute: true,
            network: true,
            life: 0,
            on_since: 0,
            bmc: Bmc::Truth,
            guests: BTreeMap::new(),
        }
    }

    pub(crate) fn beats(&self) -> bool {
        self.powered && self.compute && self.network
    }

    pub(crate) fn power_off(&mut self) {
        self.powered = false;
        self.compute = false;
        for runs in self.guests.values_mut() {
            *runs = false;
        }
    }

    pub(crate) fn runs(&self, server: ServerIx) -> bool {
        self.powered && self.guests.get(&server) == Some(&true)
    }
}
