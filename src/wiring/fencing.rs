//! Fence devices: read, read again when their file changes, and tested before they are needed.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use metrics::{describe_gauge, gauge};
use tachi_daemon::FileBacked;
use tachi_domain::policy::FencingMode;
use tachi_engine::MachineCheckedFencer;
use tachi_engine::ports::Clock;
use tachi_fence::Fencers;
use tachi_fence::self_test::{FAULTS, FencingState, OFF_WHILE_UP, UP};
use tachi_operator::Failure;
use tachi_operator::engine_heartbeat::PartState;
use tokio_util::sync::CancellationToken;

use super::Base;
use crate::settings::{Fencing, Settings};

const FILE_OK: &str = "tachi_fence_file_ok";

/// Fingerprint of the file, by which a change is noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Print {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The devices of this process.
pub(crate) struct Devices {
    settings: Fencing,
    fencers: Arc<Fencers>,
    loaded_print: Option<Print>,
    how: FencingState,
    identified: OnceLock<Arc<MachineCheckedFencer>>,
}

impl Devices {
    /// Reads the devices.
    ///
    /// # Errors
    ///
    /// The file cannot be used: a process does not start with a part of its devices.
    pub(crate) fn open(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        let fencing = settings.fencing.clone();
        let loaded_print = print(fencing.file.as_ref());
        let topology = fencing.topology()?;
        for (name, kind) in topology.devices() {
            tracing::info!(device = name, kind, "fence device configured");
            tachi_engine::device_known(name);
        }
        describe_gauge!(
            UP,
            "1 unless a host's self-test of the device has failed twice in a row"
        );
        describe_gauge!(FAULTS, "Hosts whose last self-test of the device failed");
        describe_gauge!(
            OFF_WHILE_UP,
            "Devices that read their host off while it is up in Nova"
        );
        describe_gauge!(
            FILE_OK,
            "0 while the devices' file has problems and its previous content is in force"
        );
        gauge!(FILE_OK).set(1.0);
        Ok(Self {
            fencers: Arc::new(
                Fencers::new(topology, Arc::clone(clock)).max_power_commands(fencing.max_power_commands),
            ),
            settings: fencing,
            loaded_print,
            how: FencingState::default(),
            identified: OnceLock::new(),
        })
    }

    pub(crate) fn fencers(&self) -> Arc<Fencers> {
        Arc::clone(&self.fencers)
    }

    /// Returns the devices with the machine of each. Recoveries and the self-test share it: an alarm that one of them has logged about a
    /// device is not repeated by the other, and either of them clears it.
    pub(crate) fn identified(&self, base: &Base) -> Arc<MachineCheckedFencer> {
        let new = || {
            Arc::new(MachineCheckedFencer::new(
                self.fencers(),
                Arc::new(base.store.machines().clone()),
                base.clock.clone(),
            ))
        };
        Arc::clone(self.identified.get_or_init(new))
    }

    pub(crate) fn how(&self) -> FencingState {
        self.how.clone()
    }

    /// Reads the file again if it has changed. Problems of it are logged once, and the old one stays in force.
    fn check_file(&mut self) {
        let now = print(self.settings.file.as_ref());
        if self.loaded_print == now {
            return;
        }
        self.loaded_print = now;
        match self.settings.topology() {
            Ok(topology) => {
                let devices = topology.devices().count();
                for (name, _) in topology.devices() {
                    tachi_engine::device_known(name);
                }
                self.fencers.replace(topology);
                self.how.file(None);
                gauge!(FILE_OK).set(1.0);
                tracing::info!(
                    devices,
                    "fence devices reloaded; running recoveries keep their devices"
                );
            }
            Err(error) => {
                let why = error.chain();
                tracing::error!(%why, "fence device reload failed; keeping the previous devices");
                self.how
                    .file(Some(why.lines().take(3).collect::<Vec<_>>().join(" ")));
                gauge!(FILE_OK).set(0.0);
            }
        }
    }

    /// Checks every second, and reads at once on SIGHUP, until it is stopped.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        if self.settings.file.is_some() {
            tachi_daemon::watch(self, stop).await;
        }
    }
}

impl FileBacked for Devices {
    const NAME: &'static str = "the devices' file";

    fn invalidate(&mut self) {
        self.loaded_print = None;
    }

    fn recheck(&mut self) {
        self.check_file();
    }
}

/// Returns the fact about the devices, for the engine's heartbeat.
pub(crate) fn fact(how: FencingState, fencing: &Fencing, mode: FencingMode) -> PartState {
    let well = fencing.fact(mode);
    Arc::new(move || how.problem().unwrap_or_else(|| well.clone()))
}

fn print(path: Option<&PathBuf>) -> Option<Print> {
    let file = std::fs::metadata(path?).ok()?;
    Some(Print {
        inode: (file.dev(), file.ino()),
        size: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests;
