//! The true state of the machines, independent of Nova, power controllers and engines.

use std::collections::BTreeMap;

use crate::nova::ServerIx;

/// The behaviour of a power controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bmc {
    /// Reports the true state.
    Truth,
    /// Reports a false "off" once, as in the middle of a reset, then the true state.
    OffOnce,
    /// Reports an unknown power state.
    Unknown,
    /// Gives no answer.
    Dead,
    /// Accepts commands without effect.
    NoEffect,
    /// Controls another machine, which is off.
    WrongMachine,
    /// Always reports "off", and obeys commands.
    EverOff,
    /// Controls another machine, which is off, and names it.
    Named,
}

#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub powered: bool,
    /// True if nova-compute runs.
    pub compute: bool,
    /// True if Nova receives its heartbeats.
    pub network: bool,
    /// Boot number; tasks of earlier boots are void.
    pub life: u32,
    /// Time of the last power-on, in ms.
    pub on_since: u64,
    pub bmc: Bmc,
    /// Guests on its disk; true if the guest runs.
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
