//! Bulk creation of running servers.

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;

use super::Region;
use crate::SandboxError;
use crate::model::boot::NewServer;
use crate::model::inventory::Amounts;
use crate::model::server::VmState;
use crate::model::{HostIx, State};

/// The servers to boot.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Boot {
    /// The host; `None` spreads them over all hosts that are on.
    pub host: Option<String>,
    /// The number of servers.
    pub count: usize,
    /// The prefix of the names.
    pub name: String,
    /// True to append a number to the name.
    pub numbered: bool,
    /// Metadata of each server.
    pub metadata: BTreeMap<String, String>,
    /// Project name: `demo`, `admin` or `service`.
    pub project: String,
    /// Flavor name.
    pub flavor: String,
    /// True to boot from a volume instead of an image.
    pub volume_backed: bool,
    /// The requested availability zone; evacuations stay inside it.
    pub zone: Option<String>,
    /// The initial state.
    pub vm_state: VmState,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            host: None,
            count: 1,
            name: "vm".into(),
            numbered: true,
            metadata: BTreeMap::new(),
            project: "demo".into(),
            flavor: "m1.tiny".into(),
            volume_backed: true,
            zone: None,
            vm_state: VmState::Active,
        }
    }
}

impl Boot {
    /// Creates an order of `count` running servers, spread over the hosts.
    pub fn spread(count: usize) -> Self {
        Self {
            count,
            ..Self::default()
        }
    }

    /// Creates an order of `count` running servers on one host.
    pub fn on(host: &str, count: usize) -> Self {
        Self {
            host: Some(host.to_owned()),
            count,
            ..Self::default()
        }
    }

    /// Adds metadata, such as `HA_Enabled=True`.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets the initial state.
    #[must_use]
    pub fn vm_state(mut self, vm_state: VmState) -> Self {
        self.vm_state = vm_state;
        self
    }

    /// Sets the prefix of the names.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets the exact name, without a number.
    #[must_use]
    pub fn exact_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self.numbered = false;
        self
    }
}

impl Region {
    /// Creates running servers at once, and returns their ids in order.
    ///
    /// # Errors
    ///
    /// A name in `boot` is unknown, or no host has capacity.
    pub fn boot(&self, boot: &Boot) -> Result<Vec<Uuid>, SandboxError> {
        self.change(|state| {
            let flavor = state
                .flavors
                .iter()
                .position(|flavor| flavor.name == boot.flavor)
                .ok_or_else(|| SandboxError::NoSuchThing {
                    what: "flavor",
                    name: boot.flavor.clone(),
                })?;
            let unknown = || SandboxError::NoSuchThing {
                what: "project",
                name: boot.project.clone(),
            };
            let project = state
                .tenants
                .project_id(&boot.project)
                .ok_or_else(unknown)?
                .to_owned();
            let user = state
                .tenants
                .user_of(&boot.project)
                .ok_or_else(unknown)?
                .to_owned();
            let image = if boot.volume_backed {
                None
            } else {
                state.images.first().map(|image| image.id)
            };
            let fixed = match &boot.host {
                Some(name) => Some(Self::host_ix(state, name)?),
                None => None,
            };
            let mut turn = BootOrder::new(state);
            let mut ids = Vec::with_capacity(boot.count);
            for number in 1..=boot.count {
                let ix = match fixed {
                    Some(ix) => ix,
                    None => turn.next(state, flavor).ok_or(SandboxError::NoRoom)?,
                };
                let new = NewServer {
                    name: if boot.numbered {
                        format!("{}-{number}", boot.name)
                    } else {
                        boot.name.clone()
                    },
                    image,
                    flavor,
                    metadata: boot.metadata.clone(),
                    zone: boot.zone.clone(),
                    host: None,
                };
                ids.push(state.boot_now(ix, &project, &user, boot.vm_state, new));
            }
            Ok(ids)
        })
    }
}

/// Returns hosts round-robin, so that fifty thousand servers need no fifty thousand calls of the scheduler.
struct BootOrder {
    hosts: Vec<HostIx>,
    next: usize,
}

impl BootOrder {
    fn new(state: &State) -> Self {
        let on = |ix: &HostIx| state.world.hosts[*ix].power && !state.world.hosts[*ix].disabled;
        Self {
            hosts: state.world.hosts.indexes().filter(on).collect(),
            next: 0,
        }
    }

    fn next(&mut self, state: &State, flavor: usize) -> Option<HostIx> {
        let flavor = state.flavors.get(flavor)?;
        let needs = Amounts {
            vcpus: flavor.vcpus,
            ram_mb: flavor.ram_mb,
            disk_gb: flavor.disk_gb,
        };
        for _ in 0..self.hosts.len() {
            let ix = *self.hosts.get(self.next)?;
            self.next = (self.next + 1) % self.hosts.len();
            if state.world.hosts[ix].has_room(needs) {
                return Some(ix);
            }
        }
        None
    }
}
