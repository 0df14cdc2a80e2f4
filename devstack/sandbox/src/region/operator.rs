//! Changes in Nova by an operator of the cloud.

use uuid::Uuid;

use super::Region;
use crate::SandboxError;
use crate::model::service::{ServiceChange, ServiceStatus};

/// An operator of the cloud, as an administrator of Nova.
#[derive(Debug, Clone, Copy)]
pub struct Operator<'a>(&'a Region);

impl Region {
    /// Returns the interface of an operator.
    pub fn operator(&self) -> Operator<'_> {
        Operator(self)
    }
}

impl Operator<'_> {
    /// Enables or disables a compute service.
    ///
    /// # Errors
    ///
    /// There is no such host, or Nova refuses.
    pub fn set_service(self, host: &str, enabled: bool, reason: Option<&str>) -> Result<(), SandboxError> {
        let change = ServiceChange {
            status: Some(if enabled {
                ServiceStatus::Enabled
            } else {
                ServiceStatus::Disabled
            }),
            disabled_reason: reason.map(str::to_owned),
            forced_down: None,
        };
        self.0
            .on_host(host, |state, ix| state.update_service(ix, &change))??;
        Ok(())
    }

    /// Sets a server's host in Nova's record and clears its task, as an operator does after checking where it runs.
    /// Changes no guest.
    ///
    /// # Errors
    ///
    /// The server or the host does not exist.
    pub fn correct_host(self, server: Uuid, host: &str) -> Result<(), SandboxError> {
        self.0.change(|state| {
            let (index, ix) = (Region::index_of(state, server)?, Region::host_ix(state, host)?);
            let before = state.world.servers.get(index).and_then(|row| row.host);
            if let Some(before) = before {
                state.world.hosts[before].servers.remove(&index);
            }
            state.world.hosts[ix].servers.insert(index);
            state.world.servers.edit(index, state.world.now, |row| {
                row.host = Some(ix);
                row.task_state = None;
            });
            Ok(())
        })
    }

    /// Creates an aggregate with these hosts that is no availability zone. Returns its number.
    ///
    /// # Errors
    ///
    /// The name is in use, or a host does not exist.
    pub fn create_aggregate(self, name: &str, hosts: &[&str]) -> Result<u64, SandboxError> {
        self.0.change(|state| {
            let id = state.create_aggregate(name, None)?;
            for host in hosts {
                state.add_aggregate_host(id, host)?;
            }
            Ok(id)
        })
    }

    /// Sets a metadata value of an aggregate.
    ///
    /// # Errors
    ///
    /// There is no such aggregate.
    pub fn set_aggregate_metadata(self, id: u64, key: &str, value: &str) -> Result<(), SandboxError> {
        let change = [(key.to_owned(), Some(value.to_owned()))].into();
        self.0.change(|state| state.set_aggregate_metadata(id, change))?;
        Ok(())
    }

    /// Returns the hosts of an aggregate; none if it does not exist.
    pub fn aggregate_hosts(self, id: u64) -> Vec<String> {
        self.0.read(|state| {
            let hosts = state.aggregates.get(id).map(|row| &row.hosts);
            hosts
                .into_iter()
                .flatten()
                .map(|ix| state.world.hosts[*ix].name.to_string())
                .collect()
        })
    }
}
