//! Selection of devices for hosts, queueing, and calls.

mod check;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::level::{Level, Target};
use tachi_domain::machine_id::MachineId;
use tachi_domain::power::PowerReading;
use tachi_engine::ports::{CallError, Clock, DeviceOperation, DevicePermit, Fencer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::instrument;

use crate::device::{Device, Plug};
use crate::topology::{HostLevels, Topology};

pub use check::Progress;

/// Number of earlier files to keep for the recoveries that started under them.
const MAX_EARLIER_FILES: usize = 4;

/// Default limit of concurrent power commands.
const MAX_POWER_COMMANDS: usize = 4;

/// All fence devices, by the current devices' file and by earlier ones.
pub struct Fencers {
    /// The files, newest first. Never empty.
    files: RwLock<Vec<Arc<File>>>,
    /// Permits for calls, by endpoint.
    endpoint_slots: EndpointSlots,
    /// Permits for continuous tests, by endpoint: a part of the endpoint's calls.
    tests: EndpointSlots,
    /// Permits for commands, by endpoint: those that have one wait for a global permit, and for one of the endpoint's calls.
    command_turns: EndpointSlots,
    commands: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
}

/// A devices' file, with the devices that were created from it so far.
struct File {
    topology: Topology,
    made: Mutex<HashMap<(String, String), Arc<dyn Device>>>,
}

impl std::fmt::Debug for Fencers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fencers")
            .field("source", &self.newest().topology.source())
            .finish_non_exhaustive()
    }
}

impl Fencers {
    /// Creates the fencer for the devices of a file. Without devices no host is covered.
    pub fn new(topology: Topology, clock: Arc<dyn Clock>) -> Self {
        Self {
            files: RwLock::new(vec![Arc::new(File::new(topology))]),
            endpoint_slots: EndpointSlots::default(),
            tests: EndpointSlots::default(),
            command_turns: EndpointSlots::default(),
            commands: Arc::new(Semaphore::new(MAX_POWER_COMMANDS)),
            clock,
        }
    }

    /// Sets the limit of concurrent power commands over all devices.
    #[must_use]
    pub fn max_power_commands(self, commands: usize) -> Self {
        Self {
            commands: Arc::new(Semaphore::new(commands.max(1))),
            ..self
        }
    }

    /// Activates another file. Recoveries that started under the previous one keep its devices.
    pub fn replace(&self, topology: Topology) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.insert(0, Arc::new(File::new(topology)));
        files.truncate(MAX_EARLIER_FILES);
    }

    /// True if no device is configured.
    pub fn is_empty(&self) -> bool {
        self.newest().topology.is_empty()
    }

    /// Returns the devices that are currently configured for a host.
    pub fn resolve(&self, host: &str) -> HostLevels {
        self.newest().topology.resolve(host)
    }

    /// Returns the names and kinds of all devices.
    pub fn devices(&self) -> Vec<(String, String)> {
        let newest = self.newest();
        let devices = newest.topology.devices();
        devices
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .collect()
    }

    /// Returns the source of the devices' configuration.
    pub fn source(&self) -> String {
        self.newest().topology.source().to_owned()
    }

    fn newest(&self) -> Arc<File> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        // There is always a file; an empty one covers no host.
        files
            .first()
            .map_or_else(|| Arc::new(File::new(Topology::default())), Arc::clone)
    }

    /// Returns the device of `target` for `host`, if the current file or a recent one defines it.
    fn device(&self, host: &str, target: &Target) -> Result<(Arc<dyn Device>, Plug), CallError> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner).clone();
        for file in files {
            let resolved = file.topology.resolve(host);
            let Some(host_device) = resolved.host_device(target) else {
                continue;
            };
            let device = file.device(host_device.entry.as_ref(), target, &self.clock)?;
            return Ok((device, host_device.plug.clone()));
        }
        Err(CallError::refused(format!(
            "device {target} at {} is no longer configured for host {host}; approve the recovery to restart it with \
             the current devices",
            target.endpoint
        )))
    }

    /// Waits for a permit for a call to the device.
    async fn slot(&self, device: &dyn Device) -> Option<OwnedSemaphorePermit> {
        self.endpoint_slots
            .acquire(device.endpoint(), device.limits().parallel)
            .await
    }

    /// Waits for a permit for a continuous test of the device. Tests queue here, and never ahead of a recovery.
    async fn test_slot(&self, device: &dyn Device) -> Option<OwnedSemaphorePermit> {
        self.tests
            .acquire(device.endpoint(), device.limits().parallel / 2)
            .await
    }

    /// Sends a power command and logs it. The first log line precedes the command, so that no command goes unlogged.
    async fn audited(
        &self,
        host: &str,
        target: &Target,
        action: &str,
        reason: &str,
        call: impl Future<Output = Result<(), CallError>> + Send,
    ) -> Result<(), CallError> {
        let started_at = self.clock.boot();
        tracing::info!(
            target: "tachi::audit", host, device = %target, endpoint = %target.endpoint, action, reason,
            "power command: sending"
        );
        let outcome = call.await;
        let millis = self.clock.boot().saturating_sub(started_at).as_millis();
        match &outcome {
            Ok(()) => {
                tracing::info!(
                    target: "tachi::audit", host, device = %target, action, millis, "power command: accepted"
                );
            }
            Err(error) => {
                let fault = &error.fault;
                tracing::info!(
                    target: "tachi::audit", host, device = %target, action, millis, class = ?fault.class,
                    maybe_done = fault.maybe_done, fault = %fault.text, "power command: failed"
                );
            }
        }
        outcome
    }
}

/// Permits by endpoint, which limit the concurrent calls.
#[derive(Default)]
struct EndpointSlots(Mutex<HashMap<String, Arc<Semaphore>>>);

impl EndpointSlots {
    /// Waits for one of `parallel` permits.
    async fn acquire(&self, endpoint: &str, parallel: usize) -> Option<OwnedSemaphorePermit> {
        let slot = {
            let mut endpoint_slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = endpoint_slots
                .entry(endpoint.to_owned())
                .or_insert_with(|| Arc::new(Semaphore::new(parallel.max(1))));
            Arc::clone(slot)
        };
        // The semaphore is never closed.
        slot.acquire_owned().await.ok()
    }
}

impl File {
    fn new(topology: Topology) -> Self {
        Self {
            topology,
            made: Mutex::default(),
        }
    }

    fn made(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<dyn Device>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a device. Devices are created on demand and kept, because they cache what they have found.
    fn device(
        &self,
        entry: &crate::topology::Entry,
        target: &Target,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<dyn Device>, CallError> {
        let key = (entry.name.clone(), target.endpoint.clone());
        if let Some(device) = self.made().get(&key) {
            return Ok(Arc::clone(device));
        }
        let built = entry
            .build(&target.endpoint, clock)
            .map_err(|why| CallError::refused(format!("device {target}: {why}")))?;
        let Some(device) = built else {
            return Err(CallError::refused(format!(
                "device {target} is manual: an operator must power the host off so that another device reads it off, \
                 or abort the recovery"
            )));
        };
        self.made().insert(key, Arc::clone(&device));
        Ok(device)
    }
}

/// The permits of one call.
struct CallPermits {
    _device: Option<OwnedSemaphorePermit>,
    _command: Option<OwnedSemaphorePermit>,
    _turn: Option<OwnedSemaphorePermit>,
}

#[async_trait]
impl Fencer for Fencers {
    fn levels(&self, host: &str) -> Vec<Level> {
        let resolved = self.resolve(host);
        for (number, why) in &resolved.notes {
            tracing::warn!(
                host,
                level = number,
                why,
                "ignoring an invalid level of fence devices"
            );
        }
        resolved.levels()
    }

    async fn permit(&self, host: &str, target: &Target, work: DeviceOperation) -> DevicePermit {
        // The call itself reports that a device cannot be found.
        let Ok((device, _)) = self.device(host, target) else {
            return DevicePermit::free();
        };
        let parallel = device.limits().parallel;
        // The commands to one endpoint wait for one another first: a slow one takes no more of the global permits than it can use.
        // The permit for the call itself comes last: a command that waits for a global one must not block readings.
        let (turn, command) = match work {
            DeviceOperation::Switch => (
                self.command_turns.acquire(device.endpoint(), parallel).await,
                Arc::clone(&self.commands).acquire_owned().await.ok(),
            ),
            DeviceOperation::Read => (None, None),
        };
        DevicePermit::with(CallPermits {
            _device: self.slot(device.as_ref()).await,
            _command: command,
            _turn: turn,
        })
    }

    #[instrument(name = "fence::read_power", skip_all, fields(host = %host, device = %target), err(level = "debug"))]
    async fn read_power(&self, host: &str, target: &Target) -> Result<PowerReading, CallError> {
        let started_at = self.clock.boot();
        let (device, plug) = self.device(host, target)?;
        let reading = device.read_power(&plug).await?;
        let millis = self.clock.boot().saturating_sub(started_at).as_millis();
        tracing::debug!(device = %reading.device, power = ?reading.power, raw = %reading.raw, millis, "power read");
        Ok(reading)
    }

    #[instrument(name = "fence::machine", skip_all, fields(host = %host, device = %target), err(level = "debug"))]
    async fn machine(&self, host: &str, target: &Target) -> Result<Option<MachineId>, CallError> {
        let (device, plug) = self.device(host, target)?;
        device.machine(&plug).await
    }

    #[instrument(name = "fence::power_off", skip_all, fields(host = %host, device = %target), err(level = "debug"))]
    async fn power_off(&self, host: &str, target: &Target, reason: &str) -> Result<(), CallError> {
        let (device, plug) = self.device(host, target)?;
        let call = device.power_off(&plug, reason);
        self.audited(host, target, "power_off", reason, call).await
    }

    #[instrument(name = "fence::power_on", skip_all, fields(host = %host, device = %target), err(level = "debug"))]
    async fn power_on(&self, host: &str, target: &Target, reason: &str) -> Result<(), CallError> {
        let (device, plug) = self.device(host, target)?;
        let call = device.power_on(&plug, reason);
        self.audited(host, target, "power_on", reason, call).await
    }
}

/// Fallback timeout of one test of a device, without its wait for a permit: every call has its own timeout.
const TEST_TIMEOUT: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests;
