//! Pulling plugs and other mischief.

use std::time::Duration;

use uuid::Uuid;

use super::Region;
use crate::SandboxError;
use crate::model::fault::MoveFaultRule;
use crate::model::maas::{PowerCommand, PowerQuery};
use crate::model::migration::MigrationKind;
use crate::model::server::{TaskState, VmState};
use crate::model::service::{ServiceChange, ServiceStatus};
use crate::model::{Refusal, State};

impl From<Refusal> for SandboxError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            message: refusal.message,
        }
    }
}

impl Region {
    /// Pulls the plug of a host: guests and nova-compute end at once, the BMC goes on.
    ///
    /// # Errors
    ///
    /// When there is no such host; so for every call here that names one.
    pub fn power_loss(&self, host: &str) -> Result<(), SandboxError> {
        self.on_host(host, State::power_off)
    }

    /// Switches a host on; nova-compute starts after the boot.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn power_on(&self, host: &str) -> Result<(), SandboxError> {
        self.on_host(host, State::power_on)
    }

    /// Cuts a host off the control network: guests run on, heartbeat and messages stop.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn link_loss(&self, host: &str) -> Result<(), SandboxError> {
        self.on_host(host, |state, ix| state.set_link(ix, false))
    }

    /// Mends the link; nova-compute goes on without a restart, and so without its cleanup.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn link_restore(&self, host: &str) -> Result<(), SandboxError> {
        self.on_host(host, |state, ix| state.set_link(ix, true))
    }

    /// Stops nova-compute; guests run on.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn agent_stop(&self, host: &str) -> Result<(), SandboxError> {
        self.on_host(host, State::end_agent)
    }

    /// Starts nova-compute, with its cleanup. Nothing happens on a machine that is off.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn agent_start(&self, host: &str) -> Result<(), SandboxError> {
        self.on_host(host, State::start_agent)
    }

    /// Whether nova-compute starts with the machine. With `false` a host may be powered on without its cleanup.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn agent_at_boot(&self, host: &str, starts: bool) -> Result<(), SandboxError> {
        self.on_host(host, |state, ix| state.hosts[ix].agent_at_boot = starts)
    }

    /// Empties the queue `compute.<host>`, as an operator does before a host returns. Says how many messages went.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn purge_queue(&self, host: &str) -> Result<usize, SandboxError> {
        self.on_host(host, |state, ix| {
            let count = state.hosts[ix].queue.len();
            state.hosts[ix].queue.clear();
            count
        })
    }

    /// Takes the power from a whole rack, BMCs included. Says how many hosts that was.
    ///
    /// # Errors
    ///
    /// When there is no such rack.
    pub fn rack_loss(&self, rack: &str) -> Result<usize, SandboxError> {
        match self.change(|state| state.lose_rack(rack)) {
            0 => Err(SandboxError::NoSuchRack {
                name: rack.to_owned(),
            }),
            count => Ok(count),
        }
    }

    /// Gives a rack its power back: BMCs answer again, machines stay off.
    pub fn rack_restore(&self, rack: &str) {
        self.change(|state| state.restore_rack(rack));
    }

    /// Stops or starts the controller services of this name (`control-1`).
    ///
    /// # Errors
    ///
    /// When there is none of this name.
    pub fn set_controller(&self, name: &str, up: bool) -> Result<(), SandboxError> {
        if self.change(|state| state.set_controller(name, up)) {
            Ok(())
        } else {
            Err(SandboxError::NoSuchThing {
                what: "controller",
                name: name.to_owned(),
            })
        }
    }

    /// Adds a fault of evacuations.
    pub fn add_move_fault(&self, rule: MoveFaultRule) {
        self.change(|state| state.faults.add(rule));
    }

    /// The faults of evacuations in force.
    pub fn move_faults(&self) -> Vec<MoveFaultRule> {
        self.read(|state| state.faults.rules().to_vec())
    }

    /// Removes every fault of evacuations, of MAAS and of the APIs. Powers and links stay as they are.
    pub fn clear_faults(&self) {
        self.api_faults().clear();
        self.change(|state| {
            state.faults.clear();
            for ix in state.hosts.indexes() {
                let machine = &mut state.hosts[ix].machine;
                machine.query = PowerQuery::Truth;
                machine.query_delay_millis = 0;
                machine.command = PowerCommand::Works;
                machine.bmc_powered = true;
            }
        });
    }

    /// Sets how MAAS answers power queries about a host.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn maas_query(&self, host: &str, query: PowerQuery) -> Result<(), SandboxError> {
        self.on_host(host, |state, ix| state.hosts[ix].machine.query = query)
    }

    /// Sets how long MAAS takes for a power query about a host, in real time.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn maas_query_delay(&self, host: &str, delay: Duration) -> Result<(), SandboxError> {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.on_host(host, |state, ix| {
            state.hosts[ix].machine.query_delay_millis = millis;
        })
    }

    /// Sets what becomes of power commands to a host.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn maas_command(&self, host: &str, command: PowerCommand) -> Result<(), SandboxError> {
        self.on_host(host, |state, ix| state.hosts[ix].machine.command = command)
    }

    /// Takes the power from a host's BMC, or gives it back.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn bmc_power(&self, host: &str, on: bool) -> Result<(), SandboxError> {
        self.on_host(host, |state, ix| state.hosts[ix].machine.bmc_powered = on)
    }

    /// Sets the power type MAAS knows a host by (`ipmi`, `redfish`, `manual`).
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn maas_power_type(&self, host: &str, power_type: &str) -> Result<(), SandboxError> {
        self.on_host(host, |state, ix| {
            power_type.clone_into(&mut state.hosts[ix].machine.power_type);
        })
    }

    /// Leaves a live migration, cold migration or resize caught half-way: the record names `dest`, Nova still says
    /// the source, and the guest runs at `dest` if `guest_at_dest`.
    ///
    /// # Errors
    ///
    /// When server or host do not exist, or the server has no host.
    pub fn half_move(
        &self,
        server: Uuid,
        dest: &str,
        kind: MigrationKind,
        guest_at_dest: bool,
    ) -> Result<(), SandboxError> {
        self.change(|state| {
            let (no, ix) = (Self::server_no(state, server)?, Self::host_ix(state, dest)?);
            state
                .half_move(no, ix, kind, guest_at_dest)
                .ok_or(SandboxError::NoSuchServer { id: server })
        })
    }

    /// Writes states into Nova's record of a server; guests are not touched.
    ///
    /// # Errors
    ///
    /// When there is no such server.
    pub fn set_server_state(
        &self,
        server: Uuid,
        vm_state: VmState,
        task_state: Option<TaskState>,
    ) -> Result<(), SandboxError> {
        self.change(|state| {
            let no = Self::server_no(state, server)?;
            state.edit(no, |row| {
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
    /// When there is no such server.
    pub fn crash_guest(&self, server: Uuid) -> Result<(), SandboxError> {
        self.change(|state| {
            let no = Self::server_no(state, server)?;
            for ix in state.hosts.indexes() {
                state.crash_guest(ix, no);
            }
            Ok(())
        })
    }

    /// Enables or disables a compute service, as an operator does.
    ///
    /// # Errors
    ///
    /// When there is no such host, or Nova refuses.
    pub fn set_service(&self, host: &str, enabled: bool, reason: Option<&str>) -> Result<(), SandboxError> {
        let change = ServiceChange {
            status: Some(if enabled {
                ServiceStatus::Enabled
            } else {
                ServiceStatus::Disabled
            }),
            disabled_reason: reason.map(str::to_owned),
            forced_down: None,
        };
        self.on_host(host, |state, ix| state.update_service(ix, &change))??;
        Ok(())
    }

    /// Puts hosts into an availability zone of their own.
    ///
    /// # Errors
    ///
    /// When a host does not exist, has servers already, or is in another zone.
    pub fn create_zone(&self, zone: &str, hosts: &[&str]) -> Result<(), SandboxError> {
        self.change(|state| {
            let id = state.create_aggregate(zone, Some(zone))?;
            for host in hosts {
                state.add_aggregate_host(id, host)?;
            }
            Ok(())
        })
    }

    /// Makes an aggregate that is no availability zone, with these hosts; gives its number.
    ///
    /// # Errors
    ///
    /// When there is one of that name, or a host does not exist.
    pub fn create_aggregate(&self, name: &str, hosts: &[&str]) -> Result<u64, SandboxError> {
        self.change(|state| {
            let id = state.create_aggregate(name, None)?;
            for host in hosts {
                state.add_aggregate_host(id, host)?;
            }
            Ok(id)
        })
    }

    /// Writes something on an aggregate.
    ///
    /// # Errors
    ///
    /// When there is no such aggregate.
    pub fn set_aggregate_metadata(&self, id: u64, key: &str, value: &str) -> Result<(), SandboxError> {
        let change = [(key.to_owned(), Some(value.to_owned()))].into();
        self.change(|state| state.set_aggregate_metadata(id, change))?;
        Ok(())
    }

    /// Which hosts are in an aggregate; none if there is no such aggregate.
    pub fn aggregate_hosts(&self, id: u64) -> Vec<String> {
        self.read(|state| {
            let hosts = state.aggregates.get(id).map(|row| &row.hosts);
            hosts
                .into_iter()
                .flatten()
                .map(|ix| state.hosts[*ix].name.to_string())
                .collect()
        })
    }
}
