//! Faults of the region: power, links, agents, moves, BMCs.

use std::time::Duration;

use uuid::Uuid;

use super::Region;
use crate::SandboxError;
use crate::model::Refusal;
use crate::model::fault::MoveFaultRule;
use crate::model::maas::{PowerCommand, PowerQuery};
use crate::model::migration::MigrationKind;
use crate::model::server::{TaskState, VmState};

impl From<Refusal> for SandboxError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            message: refusal.message,
        }
    }
}

/// The interface to the faults of a region.
#[derive(Debug, Clone, Copy)]
pub struct Faults<'a>(&'a Region);

impl Region {
    /// Returns the interface to the faults.
    pub fn faults(&self) -> Faults<'_> {
        Faults(self)
    }
}

impl Faults<'_> {
    /// Cuts the power of a host: guests and nova-compute end at once, the BMC keeps running.
    ///
    /// # Errors
    ///
    /// There is no such host; the same applies to every call here with a host.
    pub fn power_loss(self, host: &str) -> Result<(), SandboxError> {
        self.0.on_host(host, |state, ix| state.world.power_off(ix))
    }

    /// Switches a host on; nova-compute starts after the boot.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn power_on(self, host: &str) -> Result<(), SandboxError> {
        self.0.on_host(host, |state, ix| state.world.power_on(ix))
    }

    /// Isolates a host from the control network: guests keep running, heartbeat and messages stop.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn link_loss(self, host: &str) -> Result<(), SandboxError> {
        self.0.on_host(host, |state, ix| state.world.set_link(ix, false))
    }

    /// Restores the link; nova-compute continues without a restart, and so without its cleanup.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn link_restore(self, host: &str) -> Result<(), SandboxError> {
        self.0.on_host(host, |state, ix| state.world.set_link(ix, true))
    }

    /// Stops nova-compute; guests keep running.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn agent_stop(self, host: &str) -> Result<(), SandboxError> {
        self.0.on_host(host, |state, ix| state.world.end_agent(ix))
    }

    /// Starts nova-compute, with its cleanup. Has no effect on a machine that is off.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn agent_start(self, host: &str) -> Result<(), SandboxError> {
        self.0.on_host(host, |state, ix| state.world.start_agent(ix))
    }

    /// Sets whether nova-compute starts at boot. With `false` a host may be powered on without its cleanup.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn agent_at_boot(self, host: &str, starts: bool) -> Result<(), SandboxError> {
        self.0
            .on_host(host, |state, ix| state.world.hosts[ix].agent_at_boot = starts)
    }

    /// Empties the queue `compute.<host>`, as an operator does before a host returns. Returns the number of dropped
    /// messages.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn purge_queue(self, host: &str) -> Result<usize, SandboxError> {
        self.0.on_host(host, |state, ix| {
            let count = state.world.hosts[ix].queue.len();
            state.world.hosts[ix].queue.clear();
            count
        })
    }

    /// Cuts the power of a rack, including its BMCs. Returns the number of affected hosts.
    ///
    /// # Errors
    ///
    /// There is no such rack.
    pub fn rack_loss(self, rack: &str) -> Result<usize, SandboxError> {
        match self.0.change(|state| state.world.lose_rack(rack)) {
            0 => Err(SandboxError::NoSuchRack {
                name: rack.to_owned(),
            }),
            count => Ok(count),
        }
    }

    /// Restores the power of a rack: BMCs answer again, machines stay off.
    pub fn rack_restore(self, rack: &str) {
        self.0.change(|state| state.world.restore_rack(rack));
    }

    /// Stops or starts the controller services of this name (`control-1`).
    ///
    /// # Errors
    ///
    /// There is no such controller.
    pub fn set_controller(self, name: &str, up: bool) -> Result<(), SandboxError> {
        if self.0.change(|state| state.set_controller(name, up)) {
            Ok(())
        } else {
            Err(SandboxError::NoSuchThing {
                what: "controller",
                name: name.to_owned(),
            })
        }
    }

    /// Adds a fault of evacuations.
    pub fn add_move_fault(self, rule: MoveFaultRule) {
        self.0.change(|state| state.world.faults.add(rule));
    }

    /// Returns the faults of evacuations in force.
    pub fn move_faults(self) -> Vec<MoveFaultRule> {
        self.0.read(|state| state.world.faults.rules().to_vec())
    }

    /// Removes every fault of evacuations, of MAAS and of the APIs. Power and links do not change.
    pub fn clear_faults(self) {
        self.0.api_faults().clear();
        self.0.change(|state| {
            state.world.faults.clear();
            for ix in state.world.hosts.indexes() {
                let machine = &mut state.world.hosts[ix].machine;
                machine.query = PowerQuery::Truth;
                machine.query_delay_millis = 0;
                machine.command = PowerCommand::Works;
                machine.bmc_powered = true;
            }
        });
    }

    /// Sets MAAS's answer to power queries about a host.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn maas_query(self, host: &str, query: PowerQuery) -> Result<(), SandboxError> {
        self.0
            .on_host(host, |state, ix| state.world.hosts[ix].machine.query = query)
    }

    /// Sets the duration of a power query about a host, in real time.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn maas_query_delay(self, host: &str, delay: Duration) -> Result<(), SandboxError> {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.0.on_host(host, |state, ix| {
            state.world.hosts[ix].machine.query_delay_millis = millis;
        })
    }

    /// Sets the effect of power commands to a host.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn maas_command(self, host: &str, command: PowerCommand) -> Result<(), SandboxError> {
        self.0
            .on_host(host, |state, ix| state.world.hosts[ix].machine.command = command)
    }

    /// Cuts or restores the power of a host's BMC.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn bmc_power(self, host: &str, on: bool) -> Result<(), SandboxError> {
        self.0
            .on_host(host, |state, ix| state.world.hosts[ix].machine.bmc_powered = on)
    }

    /// Sets a host's power type in MAAS (`ipmi`, `redfish`, `manual`).
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn maas_power_type(self, host: &str, power_type: &str) -> Result<(), SandboxError> {
        self.0.on_host(host, |state, ix| {
            power_type.clone_into(&mut state.world.hosts[ix].machine.power_type);
        })
    }

    /// Sets whether MAAS has recorded another board for the machine.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn maas_exchanged(self, host: &str, exchanged: bool) -> Result<(), SandboxError> {
        self.0.on_host(host, |state, ix| {
            state.world.hosts[ix].machine.exchanged = exchanged;
        })
    }

    /// Disconnects the cell of a host from Nova's API, or connects it again: its service is shown with minimal fields,
    /// but its servers normally, unlike in a real Nova.
    ///
    /// # Errors
    ///
    /// There is no such host.
    pub fn cell_down(self, host: &str, down: bool) -> Result<(), SandboxError> {
        self.0
            .on_host(host, |state, ix| state.world.hosts[ix].cell_down = down)
    }

    /// Creates an unfinished live migration, cold migration or resize: the record names `dest`, Nova still has the
    /// source, and the guest runs at `dest` if `guest_at_dest`.
    ///
    /// # Errors
    ///
    /// The server or the host does not exist, or the server has no host.
    pub fn half_move(
        self,
        server: Uuid,
        dest: &str,
        kind: MigrationKind,
        guest_at_dest: bool,
    ) -> Result<(), SandboxError> {
        self.0.change(|state| {
            let (index, ix) = (Region::index_of(state, server)?, Region::host_ix(state, dest)?);
            state
                .world
                .half_move(index, ix, kind, guest_at_dest)
                .ok_or(SandboxError::NoSuchServer { id: server })
        })
    }

    /// Sets the states in Nova's record of a server, without an effect on guests.
    ///
    /// # Errors
    ///
    /// There is no such server.
    pub fn set_server_state(
        self,
        server: Uuid,
        vm_state: VmState,
        task_state: Option<TaskState>,
    ) -> Result<(), SandboxError> {
        self.0.change(|state| {
            let index = Region::index_of(state, server)?;
            state.world.servers.edit(index, state.world.now, |row| {
                row.vm_state = vm_state;
                row.task_state = task_state;
            });
            Ok(())
        })
    }

    /// Crashes a guest: it stops on every host it runs on, and Nova does not notice.
    ///
    /// # Errors
    ///
    /// There is no such server.
    pub fn crash_guest(self, server: Uuid) -> Result<(), SandboxError> {
        self.0.change(|state| {
            let index = Region::index_of(state, server)?;
            for ix in state.world.hosts.indexes() {
                state.world.hosts.crash_guest(ix, index, state.world.now);
            }
            Ok(())
        })
    }
}
