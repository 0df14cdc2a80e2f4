//! Hypervisors: the machine, its nova-compute, and Nova's row about it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::ledger::Ledger;
use crate::model::ServerIx;
use crate::model::cast::{Cast, RebuildOrder};
use crate::model::concurrent_rebuilds::ConcurrentRebuilds;
use crate::model::inventory::{Amounts, Inventory};
use crate::model::maas::Machine;
use crate::region_time::RegionTime;

/// Size of a new host's disk, which no test fills.
const DISK_GB: u64 = 10_000;

/// Index of a host in [`Hosts`]. It stays valid, because hosts are never removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostIx(usize);

/// A guest that a machine's hypervisor has defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guest {
    pub(crate) server_id: Uuid,
    pub(crate) power: GuestPower,
}

/// A guest's state in the hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestPower {
    Running,
    Paused,
    Suspended,
    Shutoff,
}

impl GuestPower {
    /// True if a process holds the disk. A paused guest has one: resuming it beside another copy is as bad as running
    /// it.
    pub(crate) fn is_executing(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// Returns Nova's number of the power state.
    pub(crate) fn power_state(self) -> u8 {
        match self {
            Self::Running => 1,
            Self::Paused => 3,
            Self::Shutoff | Self::Suspended => 4,
        }
    }
}

/// Heartbeats, computed from their first time instead of being written one by one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heartbeat {
    since: Option<RegionTime>,
    last: RegionTime,
}

impl Heartbeat {
    /// Creates heartbeats that start at `first`.
    pub(crate) fn from(first: RegionTime) -> Self {
        Self {
            since: Some(first),
            last: RegionTime::START,
        }
    }

    /// Returns the last heartbeat at or before `now`.
    pub(crate) fn last(&self, now: RegionTime, interval: Duration) -> RegionTime {
        let Some(since) = self.since.filter(|since| *since <= now) else {
            return self.last;
        };
        let elapsed = now.since(since);
        let over = elapsed.as_nanos() % interval.as_nanos().max(1);
        RegionTime::at(
            now.age()
                .saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(0))),
        )
    }

    /// Starts or stops the heartbeats.
    pub(crate) fn set(&mut self, is_beating: bool, now: RegionTime, interval: Duration) {
        match (is_beating, self.since) {
            (true, None) => self.since = Some(now),
            (false, Some(_)) => {
                self.last = self.last(now, interval);
                self.since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
}

/// One hypervisor.
#[derive(Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the real world"
)]
pub(crate) struct Host {
    /// Service host: what Nova calls `host`.
    pub(crate) name: Arc<str>,
    /// Node name: what Nova calls `hypervisor_hostname`. Not the service host, on purpose.
    pub(crate) node: String,
    pub(crate) number: u32,
    pub(crate) rack: String,
    pub(crate) ip: String,
    pub(crate) service_id: Uuid,
    pub(crate) hypervisor_id: Uuid,
    pub(crate) vcpus: u32,
    pub(crate) ram_mb: u64,
    pub(crate) disk_gb: u64,

    // The machine.
    pub(crate) power: bool,
    pub(crate) link: bool,
    /// Start time of nova-compute.
    pub(crate) agent: Option<RegionTime>,
    /// True if nova-compute starts at boot.
    pub(crate) agent_at_boot: bool,
    /// Incremented when nova-compute ends: events planned for an earlier life are void.
    pub(crate) incarnation: u64,
    pub(crate) guests: BTreeMap<ServerIx, Guest>,
    pub(crate) machine: Machine,
    /// Unconsumed messages, as in the broker's queue `compute.<host>`.
    pub(crate) queue: VecDeque<Cast>,
    pub(crate) rebuilding: usize,
    pub(crate) waiting: VecDeque<RebuildOrder>,
    pub(crate) concurrent_rebuilds: ConcurrentRebuilds,

    // Nova's rows.
    pub(crate) heartbeat: Heartbeat,
    /// The last change of the row by the API; `updated_at` shows it too.
    pub(crate) edited: RegionTime,
    pub(crate) disabled: bool,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) forced_down: bool,
    /// True if Nova's API cannot reach the database of the host's cell.
    pub(crate) cell_down: bool,
    pub(crate) servers: BTreeSet<ServerIx>,
    pub(crate) inventory: Inventory,
}

/// The properties of a new host.
#[derive(Debug)]
pub(crate) struct NewHost {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) rack: String,
    pub(crate) service_id: Uuid,
    pub(crate) hypervisor_id: Uuid,
    pub(crate) system_id: String,
    pub(crate) vcpus: u32,
    pub(crate) ram_mb: u64,
    pub(crate) first_heartbeat: RegionTime,
}

impl Host {
    pub(crate) fn new(new: NewHost) -> Self {
        Self {
            node: format!("{}.sandbox", new.name),
            name: new.name.into(),
            number: new.number,
            rack: new.rack,
            ip: format!("10.0.{}.{}", new.number / 250, new.number % 250 + 1),
            service_id: new.service_id,
            hypervisor_id: new.hypervisor_id,
            vcpus: new.vcpus,
            ram_mb: new.ram_mb,
            disk_gb: DISK_GB,
            power: true,
            link: true,
            agent: Some(RegionTime::START),
            agent_at_boot: true,
            incarnation: 0,
            guests: BTreeMap::new(),
            machine: Machine::new(new.system_id),
            queue: VecDeque::new(),
            rebuilding: 0,
            waiting: VecDeque::new(),
            concurrent_rebuilds: ConcurrentRebuilds::default(),
            heartbeat: Heartbeat::from(new.first_heartbeat),
            edited: RegionTime::START,
            disabled: false,
            disabled_reason: None,
            forced_down: false,
            cell_down: false,
            servers: BTreeSet::new(),
            inventory: Inventory::default(),
        }
    }

    /// True if nova-compute has run since this life. A dead or isolated one does nothing more, and leaves its records
    /// unchanged.
    pub(crate) fn works_since(&self, incarnation: u64) -> bool {
        self.incarnation == incarnation && self.reachable()
    }

    /// Returns a guest's state in this machine's hypervisor.
    pub(crate) fn guest(&self, index: ServerIx) -> Option<GuestPower> {
        self.guests.get(&index).map(|guest| guest.power)
    }

    /// True if nova-compute consumes messages and can write to Nova's database.
    pub(crate) fn reachable(&self) -> bool {
        self.power && self.link && self.agent.is_some()
    }

    pub(crate) fn refresh_heartbeat(&mut self, now: RegionTime, interval: Duration) {
        let is_beating = self.reachable();
        self.heartbeat.set(is_beating, now, interval);
    }

    /// Returns the totals that Placement has.
    pub(crate) fn total(&self) -> Amounts {
        Amounts {
            vcpus: self.vcpus,
            ram_mb: self.ram_mb,
            disk_gb: self.disk_gb,
        }
    }

    pub(crate) fn has_room(&self, amounts: Amounts) -> bool {
        self.inventory.has_room(self.total(), amounts)
    }

    pub(crate) fn release(&mut self, server: ServerIx) {
        self.inventory.release(server);
    }
}

/// All hosts, with their indexes, and the ledger of the guests that execute on them.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    pub(crate) ledger: Ledger,
    rows: Vec<Host>,
    by_name: HashMap<Arc<str>, HostIx>,
    by_service: HashMap<Uuid, HostIx>,
    by_machine: HashMap<String, HostIx>,
}

impl Hosts {
    pub(crate) fn push(&mut self, host: Host) -> HostIx {
        let ix = HostIx(self.rows.len());
        self.by_name.insert(Arc::clone(&host.name), ix);
        self.by_service.insert(host.service_id, ix);
        self.by_machine.insert(host.machine.system_id.clone(), ix);
        self.rows.push(host);
        ix
    }

    pub(crate) fn find(&self, name: &str) -> Option<HostIx> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn by_service(&self, id: Uuid) -> Option<HostIx> {
        self.by_service.get(&id).copied()
    }

    pub(crate) fn by_machine(&self, system_id: &str) -> Option<HostIx> {
        self.by_machine.get(system_id).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (HostIx, &Host)> {
        self.rows
            .iter()
            .enumerate()
            .map(|(position, host)| (HostIx(position), host))
    }

    pub(crate) fn indexes(&self) -> impl Iterator<Item = HostIx> + use<> {
        (0..self.rows.len()).map(HostIx)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

// Only `push` makes a `HostIx`, and rows are never removed: the index is always in range.
impl Index<HostIx> for Hosts {
    type Output = Host;

    fn index(&self, ix: HostIx) -> &Host {
        &self.rows[ix.0]
    }
}

impl IndexMut<HostIx> for Hosts {
    fn index_mut(&mut self, ix: HostIx) -> &mut Host {
        &mut self.rows[ix.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_secs(2);

    fn at(seconds: u64) -> RegionTime {
        RegionTime::at(Duration::from_secs(seconds))
    }

    #[test]
    fn heartbeats_are_computed_not_written() {
        let mut heartbeat = Heartbeat::from(at(1));
        for (now, last) in [(0, 0), (1, 1), (2, 1), (3, 3), (4, 3), (1001, 1001)] {
            assert_eq!(heartbeat.last(at(now), BEAT), at(last), "at {now}");
        }
        heartbeat.set(false, at(6), BEAT);
        assert_eq!(
            heartbeat.last(at(100), BEAT),
            at(5),
            "frozen at the last beat before the end"
        );
        heartbeat.set(true, at(200), BEAT);
        assert_eq!(heartbeat.last(at(203), BEAT), at(202));
    }

    #[test]
    fn an_allocation_counts_once_per_server() {
        let mut host = Host::new(NewHost {
            name: "h".into(),
            number: 1,
            rack: "r".into(),
            service_id: Uuid::nil(),
            hypervisor_id: Uuid::nil(),
            system_id: "abc".into(),
            vcpus: 2,
            ram_mb: 1024,
            first_heartbeat: RegionTime::START,
        });
        let amounts = |vcpus| Amounts {
            vcpus,
            ram_mb: 512,
            disk_gb: 1,
        };
        host.inventory.allocate(ServerIx(1), amounts(1));
        host.inventory.allocate(ServerIx(1), amounts(1));
        assert!(host.has_room(amounts(1)));
        assert!(!host.has_room(amounts(2)));
        host.release(ServerIx(1));
        host.release(ServerIx(1));
        assert_eq!(host.inventory.used(), Amounts::default());
    }
}
