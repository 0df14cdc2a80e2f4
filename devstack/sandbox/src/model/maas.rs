//! Machines in MAAS: the cached power state, the answers of the BMCs, and false answers.

use serde::{Deserialize, Serialize};

use crate::model::agenda::Event;
use crate::model::host::Host;
use crate::model::{HostIx, World};

/// The answer of MAAS and the BMC to a power query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PowerQuery {
    /// The real state.
    Truth,
    /// Always this state.
    Says {
        /// `on`, `off`, `unknown` or `error`.
        state: String,
    },
    /// These states in turn, then the real one.
    Script { states: Vec<String> },
    /// An error status.
    Fails {
        /// HTTP status.
        status: u16,
    },
    /// No answer.
    Hangs,
}

/// The effect of a power command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PowerCommand {
    /// The machine obeys after a while.
    Works,
    /// 200 with the machine, and nothing happens.
    Ignored,
    /// 200 with `null`: MAAS cannot execute it.
    Null,
    /// An error status, and nothing happens.
    Fails {
        /// HTTP status.
        status: u16,
    },
    /// The machine obeys, but the connection breaks before the answer.
    ObeysThenBreaks,
}

/// A machine in MAAS.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) system_id: String,
    /// MAAS's cached state, which does not follow a pulled plug.
    pub(crate) cached_power: String,
    pub(crate) bmc_powered: bool,
    pub(crate) query: PowerQuery,
    pub(crate) query_delay_millis: u64,
    pub(crate) command: PowerCommand,
    pub(crate) power_type: String,
    /// True if MAAS has recorded another board for this machine.
    pub(crate) exchanged: bool,
}

impl Machine {
    pub(crate) fn new(system_id: String) -> Self {
        Self {
            system_id,
            cached_power: "on".into(),
            bmc_powered: true,
            query: PowerQuery::Truth,
            query_delay_millis: 0,
            command: PowerCommand::Works,
            power_type: "ipmi".into(),
            exchanged: false,
        }
    }
}

/// The answer to a power query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueryAnswer {
    State(String),
    Status(u16),
    Silence,
}

impl Host {
    /// Queries the BMC through MAAS.
    pub(crate) fn query_power(&mut self) -> QueryAnswer {
        let machine = &mut self.machine;
        let truth = if self.power { "on" } else { "off" };
        let reported = match &mut machine.query {
            // A BMC without power cannot answer; false states come from MAAS, so they continue.
            PowerQuery::Truth if !machine.bmc_powered => return QueryAnswer::Status(503),
            PowerQuery::Truth => truth.to_owned(),
            PowerQuery::Says { state } => state.clone(),
            PowerQuery::Script { states } if states.is_empty() => truth.to_owned(),
            PowerQuery::Script { states } => states.remove(0),
            PowerQuery::Fails { status } => return QueryAnswer::Status(*status),
            PowerQuery::Hangs => return QueryAnswer::Silence,
        };
        machine.cached_power.clone_from(&reported);
        QueryAnswer::State(reported)
    }

    /// Returns the state of a machine's outlet.
    pub(crate) fn outlet_state(&self) -> &'static str {
        if self.power { "on" } else { "off" }
    }
}

impl World {
    /// Switches the outlet of a machine, whatever its BMC does.
    pub(crate) fn command_outlet(&mut self, ix: HostIx, on: bool) -> PowerCommand {
        let at = self.now.after(self.settings.maas_power_time);
        self.agenda.plan(at, Event::Power { host: ix, on });
        PowerCommand::Works
    }

    /// Sends a power command, and returns its effect.
    pub(crate) fn command_power(&mut self, ix: HostIx, on: bool) -> PowerCommand {
        let machine = &self.hosts[ix].machine;
        let command = if machine.command != PowerCommand::Works {
            machine.command
        } else if !machine.bmc_powered {
            PowerCommand::Fails { status: 503 }
        } else if machine.power_type == "manual" {
            PowerCommand::Null
        } else {
            PowerCommand::Works
        };
        if matches!(command, PowerCommand::Works | PowerCommand::ObeysThenBreaks) {
            let at = self.now.after(self.settings.maas_power_time);
            self.agenda.plan(at, Event::Power { host: ix, on });
        }
        command
    }
}
