//! Bound monitors: one per host sends the API heartbeats with the boot ID and uptime of its host. Nova is not
//! involved: heartbeats continue while nova-compute is down, and end with the host or its network.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tachi_domain::monitor::{self, BootHeartbeats, MonitorKind};

use crate::mutate::mutated;
use crate::nova::{HostIx, stamp};
use crate::world::{HOSTS, World};

/// Interval between two heartbeats of a monitor, in ms.
const HEARTBEAT_INTERVAL: u64 = 10_000;

/// Number of heartbeats kept per host.
const MAX_KEPT_HEARTBEATS: usize = 8;

/// A heartbeat as the API received it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    /// Boot number of the host.
    pub boot: u32,
    /// Uptime, in ms.
    pub up: u64,
    pub received: u64,
}

/// The latest heartbeats of each host, oldest first.
pub(crate) type Heartbeats = BTreeMap<HostIx, VecDeque<Heartbeat>>;

impl World {
    /// Sends the due heartbeats; runs before each event.
    pub(crate) fn monitors_beat(&mut self) {
        if !self.weather.faults.monitors || self.database_down() {
            return;
        }
        for host in 0..HOSTS {
            let machine = &self.machines[host];
            if !machine.powered || !machine.network {
                continue;
            }
            let kept = self.journal.heartbeats.entry(host).or_default();
            if kept
                .back()
                .is_some_and(|last| self.now < last.received + HEARTBEAT_INTERVAL)
            {
                continue;
            }
            kept.push_back(Heartbeat {
                boot: machine.life,
                up: self.now - machine.on_since,
                received: self.now,
            });
            if kept.len() > MAX_KEPT_HEARTBEATS {
                kept.pop_front();
            }
        }
    }

    /// Returns an engine's view of a host under recovery: the heartbeats of the boot in which it was reported.
    pub(crate) fn boot_heartbeats(&self, host: HostIx) -> BootHeartbeats {
        let mut open = self.journal.recs.iter();
        let open = open.find(|row| row.is_open_for_host() && row.host == host);
        let Some((boot, opened)) = open.and_then(|row| Some((row.boot?, row.opened))) else {
            return BootHeartbeats::default();
        };
        let kept = self.journal.heartbeats.get(&host).into_iter().flatten();
        let beats = kept
            .filter(|beat| beat.boot == boot && !mutated("monitors"))
            .map(|beat| monitor::Heartbeat {
                up: Duration::from_millis(beat.up),
                received: stamp(beat.received),
                age: Duration::from_millis(self.now - beat.received),
            });
        BootHeartbeats {
            reported: Some(stamp(opened)),
            monitors: BTreeMap::from([(MonitorKind::Instance, beats.collect())]),
        }
    }

    /// True if the host's monitor has contradicted the claim made at `since` for long enough (R15).
    pub(crate) fn is_contradicted(&self, host: HostIx, since: u64) -> bool {
        let kept = self.journal.heartbeats.get(&host);
        let late = kept
            .into_iter()
            .flatten()
            .filter(|beat| beat.received > since + MIN_CLAIM_AGE);
        let life = self.machines[host].life;
        let ups: Vec<u64> = late
            .filter(|beat| beat.boot == life)
            .map(|beat| beat.up)
            .collect();
        let both = ups.first().zip(ups.last());
        both.is_some_and(|(first, last)| last.saturating_sub(*first) >= MIN_HEARTBEAT_DISTANCE)
    }
}

/// Minimum delay after a claim from which heartbeats count, and minimum distance between them by their own
/// uptime, in ms.
const MIN_CLAIM_AGE: u64 = 20_000;
const MIN_HEARTBEAT_DISTANCE: u64 = 8_000;
