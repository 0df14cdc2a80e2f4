//! Future events: one heap for the whole region.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::model::HostIx;
use crate::model::ServerIx;
use crate::model::cast::Cast;
use crate::model::migration::Relocation;
use crate::model::rebuild::Rebuild;
use crate::region_time::RegionTime;

/// A future event.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// nova-compute starts. Void if `incarnation` is no longer the host's.
    AgentStart { host: HostIx, incarnation: u64 },
    /// nova-compute compares power states for the first time since its start.
    PowerSync { host: HostIx, incarnation: u64 },
    /// A message reaches nova-compute.
    Deliver {
        host: HostIx,
        incarnation: u64,
        cast: Cast,
    },
    /// A conductor handles an evacuation of this instance.
    Conduct { order: crate::model::conductor::Order },
    /// A new server is scheduled and spawned.
    Build { server: ServerIx },
    /// A destination has done all of the rebuild except the start of the guest.
    RebuildSpawn { rebuild: Box<Rebuild> },
    /// A destination records the instance as its own.
    RebuildFinish { rebuild: Box<Rebuild> },
    /// The guest of a live migration switches over.
    LiveSwitch { live: Box<Relocation> },
    /// The live migration is recorded as completed.
    LiveFinish { live: Box<Relocation> },
    /// A cold migration arrives at its destination.
    ColdArrive { cold: Relocation },
    /// The machine loses or gets power, by MAAS or by a planned fault.
    Power { host: HostIx, on: bool },
}

#[derive(Debug)]
struct Entry {
    at: RegionTime,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Events ordered by time, then by the order in which they were planned.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<Entry>>,
    planned: u64,
}

impl Agenda {
    pub(crate) fn plan(&mut self, at: RegionTime, event: Event) {
        self.planned += 1;
        self.heap.push(Reverse(Entry {
            at,
            order: self.planned,
            event,
        }));
    }

    /// Returns the time of the next event.
    pub(crate) fn next_at(&self) -> Option<RegionTime> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// Removes and returns the next event that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: RegionTime) -> Option<(RegionTime, Event)> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}
