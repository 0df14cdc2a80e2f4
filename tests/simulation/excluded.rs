//! Instances that policy excludes. They stay on their dead host and run again once it has returned, unless
//! their owner stopped them meanwhile (P5).

use std::collections::BTreeSet;

use tachi_domain::host_recovery::StartEnd;
use tachi_domain::nova::{Actor, PowerState, VmState};
use tachi_domain::recovery::RecoveryKind;

use crate::calls::index_of;
use crate::journal::RecIx;
use crate::mishap::Mishap;
use crate::nova::{HostIx, ServerIx};
use crate::rng::Rng;
use crate::world::{Event, HOSTS, World, note};

/// Percent of seeds with excluded instances.
const PERCENT: u64 = 20;

/// Nova's `sync_power_state_interval`, in milliseconds.
const POWER_SYNC_INTERVAL: u64 = 600_000;

/// Metadata that excludes an instance.
pub(crate) const MARK: (&str, &str) = ("recovery", "no");

#[derive(Clone, Debug)]
pub(crate) struct ExclusionPlan {
    rng: Rng,
    servers: BTreeSet<ServerIx>,
    /// Instances that their owners stopped while the host was away.
    stopped: BTreeSet<ServerIx>,
}

/// Uses a separate generator, so that seeds without excluded instances do not change.
pub(crate) fn draw(seed: u64) -> Option<ExclusionPlan> {
    let mut rng = Rng::new(seed ^ 0x5eed_0150);
    rng.percent(PERCENT).then_some(ExclusionPlan {
        rng,
        servers: BTreeSet::new(),
        stopped: BTreeSet::new(),
    })
}

impl World {
    /// Instances that stay on their host for another reason than the metadata; they are started there too.
    pub(crate) fn also_excluded(&mut self, rng: Rng, servers: BTreeSet<ServerIx>) {
        let excluded = self.excluded.get_or_insert_with(|| ExclusionPlan {
            rng,
            servers: BTreeSet::new(),
            stopped: BTreeSet::new(),
        });
        excluded.servers.extend(servers);
    }

    pub(crate) fn plan_excluded(&mut self) {
        let Some(mut excluded) = self.excluded.take() else {
            return;
        };
        for server in 0..self.weather.servers {
            let row = &mut self.nova.servers[server];
            let runs = row.launched && row.vm_state == VmState::Active;
            if runs && excluded.rng.percent(40) {
                row.excluded = true;
                excluded.servers.insert(server);
            }
        }
        if let Some(server) = excluded.servers.first().copied()
            && excluded.rng.percent(50)
        {
            let at = self.first_failure + excluded.rng.between(20_000, 400_000);
            self.at(at, Event::OwnerStops(server));
        }
        self.excluded = Some(excluded);
    }

    /// Stops an excluded instance that Nova still shows as active although it does not run.
    pub(crate) fn owner_stops(&mut self, server: ServerIx) {
        let row = &self.nova.servers[server];
        let fits = row.exists && row.vm_state == VmState::Active && row.task_state.is_none();
        if !fits || self.machines[row.host].runs(server) || !self.ever_failed.contains(&row.host) {
            return;
        }
        let row = &mut self.nova.servers[server];
        row.vm_state = VmState::Stopped;
        row.power_state = PowerState::Shutdown;
        row.actions.push(("stop", Actor::Person));
        if let Some(excluded) = &mut self.excluded {
            excluded.stopped.insert(server);
        }
        self.mishap(Mishap::OwnerStops);
        note!(self, "the owner of vm-{server} stops it");
    }

    /// Schedules Nova's power-state sync after a start of nova-compute.
    pub(crate) fn plan_power_sync(&mut self, host: HostIx, life: u32) {
        if let Some(excluded) = &mut self.excluded {
            let after = excluded.rng.between(1_000, 600_000);
            self.after(after, Event::PowerSync(host, life));
        }
    }

    /// Records guests that are shut down as stopped, as Nova's power-state sync does.
    pub(crate) fn power_sync(&mut self, host: HostIx, life: u32) {
        let machine = &self.machines[host];
        let Some(excluded) = self
            .excluded
            .as_ref()
            .filter(|_| machine.beats() && machine.life == life)
        else {
            return;
        };
        let mut is_busy = false;
        for server in &excluded.servers {
            let row = &mut self.nova.servers[*server];
            if !row.exists || row.host != host || row.vm_state != VmState::Active || machine.runs(*server) {
                continue;
            }
            if row.task_state.is_some() {
                is_busy = true;
                continue;
            }
            row.vm_state = VmState::Stopped;
            row.power_state = PowerState::Shutdown;
            row.actions.push(("stop", Actor::Nova));
        }
        // The sync skips an instance with a task, and is periodic.
        if is_busy {
            self.after(POWER_SYNC_INTERVAL, Event::PowerSync(host, life));
        }
    }

    /// Checks that no instance is started after its owner stopped it.
    pub(crate) fn check_start(&mut self, server: ServerIx) {
        let Some(excluded) = &self.excluded else { return };
        if excluded.stopped.contains(&server) {
            return self.violate(format!(
                "vm-{server} was stopped by its owner, and is started (P5)"
            ));
        }
        if excluded.servers.contains(&server) && !self.restarted.contains(&server) {
            self.mishap(Mishap::ExcludedStarted);
        }
    }

    /// Checks that excluded instances that were running run again once their host is back.
    pub(crate) fn check_excluded(&mut self) {
        let Some(excluded) = self.excluded.clone() else {
            return;
        };
        for server in excluded.servers.difference(&excluded.stopped).copied() {
            let row = &self.nova.servers[server];
            let host = row.host;
            let is_back =
                host < HOSTS && self.machines[host].beats() && !self.nova.services[host].forced_down;
            if !row.exists || !is_back || self.restarted.contains(&server) {
                continue;
            }
            let Some(end) = self.start_end(server, host) else {
                continue;
            };
            // A reinstalled host has lost its disks.
            let is_lost = self.nova.services[host].registered > 0;
            // Its disk has not arrived with it: the resize that brought it was cut off by the death of the host.
            let mut records = self.nova.migrations.iter();
            let is_cut_off = records.any(|row| row.server == server && row.status == "post-migrating");
            // A live migration has taken the guest and its disk away; its destination has died, and Nova shows it here still.
            let has_left = !self.machines[host].guests.contains_key(&server);
            let may_fail = is_lost || is_cut_off || has_left || self.weather.faults.start_fails.is_some();
            let has_failed = may_fail && end == StartEnd::NotStarted;
            if !has_failed && !self.machines[host].runs(server) {
                return self.violate(format!(
                    "vm-{server} is excluded, and does not run on host {host}, which is back (P5)"
                ));
            }
        }
    }

    /// Returns how the latest recovery of the host ended the start of an instance; `None` if it had none to do.
    fn start_end(&self, server: ServerIx, host: HostIx) -> Option<StartEnd> {
        let of_host = |rec: &RecIx| {
            let row = &self.journal.recs[*rec];
            row.kind == RecoveryKind::Host && row.host == host
        };
        let recs = (0..self.journal.recs.len()).rev().filter(of_host);
        let ends = recs.filter_map(|rec| {
            let moves = self.moves_of(rec);
            let instance = moves
                .into_iter()
                .find(|instance| index_of(instance.server) == server)?;
            instance.start.map(|start| start.end)
        });
        ends.flatten().next()
    }
}
