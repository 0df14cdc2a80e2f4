//! Instances on the local disk of their host, as read by a monitor there before the host fails. A stale reading
//! of another host about the same instance does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tachi_domain::ServerId;
use tachi_domain::host_recovery::{End, MoveStep};
use tachi_domain::nova::VmState;
use tachi_domain::policy::{LocalDisk, LocalDiskRules};

use crate::calls::index_of;
use crate::journal::RecIx;
use crate::mishap::Mishap;
use crate::nova::{HostIx, ServerIx, server_id};
use crate::rng::Rng;
use crate::world::{HOSTS, World};

/// The treatment of such instances in a seed, and its generator.
#[derive(Clone, Debug)]
pub(crate) struct LocalDisks {
    treatment: LocalDisk,
    rng: Rng,
    /// The readings of each host.
    readings: BTreeMap<HostIx, BTreeSet<ServerId>>,
}

impl LocalDisks {
    pub(crate) fn draw(mut rng: Rng) -> Self {
        let treatment = match rng.between(0, 9) {
            0 => LocalDisk::Evacuate,
            1..=4 => LocalDisk::Leave,
            _ => LocalDisk::Wait(Duration::from_secs(rng.between(20, 400))),
        };
        Self {
            treatment,
            rng,
            readings: BTreeMap::new(),
        }
    }

    pub(crate) fn rules(this: Option<&Self>) -> LocalDiskRules {
        LocalDiskRules {
            usual: this.map_or(LocalDisk::Evacuate, |own| own.treatment),
            ..LocalDiskRules::default()
        }
    }
}

impl World {
    /// Puts half of the instances on a local disk. A reading of another host names every other instance.
    pub(crate) fn read_local_disks(&mut self) {
        let Some(mut disks) = self.weather.faults.local_disks.clone() else {
            return;
        };
        let mut stay = BTreeSet::new();
        for (server, row) in self.nova.servers.iter().enumerate() {
            let is_local = disks.rng.percent(50);
            let other = (row.host + 1 + disks.rng.below(HOSTS - 1)) % HOSTS;
            let reader = if is_local { row.host } else { other };
            let readings = disks.readings.entry(reader).or_default();
            readings.insert(server_id(server));
            if is_local && row.launched && row.vm_state == VmState::Active {
                stay.insert(server);
            }
        }
        if disks.treatment != LocalDisk::Evacuate {
            self.also_excluded(disks.rng.clone(), stay);
        }
        self.weather.faults.local_disks = Some(disks);
    }

    pub(crate) fn local_disks_of(&self, host: HostIx) -> BTreeSet<ServerId> {
        let disks = self.weather.faults.local_disks.as_ref();
        disks
            .and_then(|it| it.readings.get(&host).cloned())
            .unwrap_or_default()
    }

    /// Checks that an instance that is to stay is never evacuated, and that one that waits is not evacuated
    /// early (R14).
    pub(crate) fn check_local_disk(&mut self, rec: RecIx, host: HostIx, server: ServerIx) {
        let treatment = LocalDisks::rules(self.weather.faults.local_disks.as_ref()).usual;
        if !self.local_disks_of(host).contains(&server_id(server)) {
            return;
        }
        let waited = Duration::from_millis(self.now - self.journal.recs[rec].opened);
        let text = match treatment {
            LocalDisk::Evacuate => return,
            LocalDisk::Wait(time) if waited >= time => return self.mishap(Mishap::WaitedForDisk),
            LocalDisk::Wait(time) => format!(
                "{} s after the start instead of {}",
                waited.as_secs(),
                time.as_secs()
            ),
            LocalDisk::Leave => "although it is to stay".to_owned(),
        };
        self.violate(format!(
            "vm-{server} is on the local disk of host {host} and is evacuated {text} (R14)"
        ));
    }

    /// Checks that only a reading of the host itself keeps an instance there (R14).
    pub(crate) fn check_left_for_disk(&mut self, rec: RecIx) {
        let host = self.journal.recs[rec].host;
        let local = self.local_disks_of(host);
        let moves = self.moves_of(rec);
        let mut left = moves.iter().filter(|instance| {
            let note = instance.note.as_deref().unwrap_or_default();
            instance.step == MoveStep::Done(End::Left) && note.contains("local_disk is leave")
        });
        if let Some(instance) = left.clone().find(|instance| !local.contains(&instance.server)) {
            let text = format!(
                "vm-{} is left without a reading of its host (R14)",
                index_of(instance.server)
            );
            return self.violate(text);
        }
        if left.next().is_some() {
            self.mishap(Mishap::LeftForDisk);
        }
    }
}
