//! Verifies the machine of a fence device before its state is used or a command is sent. A BMC that was moved to another
//! address, or cabled to another machine, reports "off" for that machine.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::level::{Level, Target};
use tachi_domain::machine_id::MachineId;
use tachi_domain::power::PowerReading;
use tokio::time::timeout;

use crate::numbers;
use crate::ports::machines::Entry;
use crate::ports::{CallError, Clock, DeviceOperation, DevicePermit, Fencer, Machines};

/// Timeout of a device's identification of its machine before a command. Part of the timeout of a power command.
pub const MACHINE_CHECK_TIMEOUT: Duration = Duration::from_secs(20);

/// A fencer that checks the machine of each device first.
pub struct MachineCheckedFencer {
    devices: Arc<dyn Fencer>,
    machines: Arc<dyn Machines>,
    clock: Arc<dyn Clock>,
    /// The devices for which a foreign machine was reported.
    logged: Mutex<BTreeSet<(String, String)>>,
}

impl MachineCheckedFencer {
    /// Creates the fencer, without a call to a device.
    pub fn new(devices: Arc<dyn Fencer>, machines: Arc<dyn Machines>, clock: Arc<dyn Clock>) -> Self {
        Self {
            devices,
            machines,
            clock,
            logged: Mutex::default(),
        }
    }

    /// Checks that `answers`, the machine a device has just reported, is the host's machine, and returns its known
    /// entry.
    ///
    /// # Errors
    ///
    /// A conflict: the machine is or may be another one; or the database failed, so that it cannot be checked.
    pub async fn judge(
        &self,
        host: &str,
        device: &str,
        answers: Option<&MachineId>,
    ) -> Result<Entry, CallError> {
        let known = self.machines.known(host, device, answers).await;
        let entry = known.map_err(|error| {
            let why = format!("{error}: {}", error.source);
            not_compared(host, device, &why, Some(Box::new(error)))
        })?;
        self.judge_by(entry, host, device, answers).await
    }

    /// Checks many devices like [`Self::judge`], each with its host and reported machine, with one read of the
    /// database. The results are in the order of `devices`.
    pub async fn check_all(
        &self,
        devices: &[(&str, String, Option<&MachineId>)],
    ) -> Vec<Result<Entry, CallError>> {
        let mut judged = Vec::with_capacity(devices.len());
        match self.machines.known_of(devices).await {
            Ok(entries) => {
                for (entry, (host, device, answers)) in entries.into_iter().zip(devices) {
                    judged.push(self.judge_by(entry, host, device, *answers).await);
                }
            }
            Err(error) => {
                let why = format!("{error}: {}", error.source);
                judged.extend(
                    devices
                        .iter()
                        .map(|(host, device, _)| Err(not_compared(host, device, &why, None))),
                );
            }
        }
        judged
    }

    async fn judge_by(
        &self,
        entry: Entry,
        host: &str,
        device: &str,
        answers: Option<&MachineId>,
    ) -> Result<Entry, CallError> {
        let Err(doubt) = entry.known.judge(answers) else {
            self.note_match(host, device, &entry).await;
            return Ok(entry);
        };
        let text = entry.known.sentence(&doubt, host, device, answers);
        self.is_foreign(host, device, answers, &text).await;
        Err(CallError {
            fault: Fault {
                class: FaultClass::Conflict,
                status: None,
                maybe_done: false,
                text,
            },
            source: None,
        })
    }

    async fn is_foreign(&self, host: &str, device: &str, answers: Option<&MachineId>, text: &str) {
        if self.update(|logged| logged.insert((host.to_owned(), device.to_owned()))) {
            tracing::error!(host, device, why = %text, "fence device failed its machine check");
        }
        // Used only by `tachi status`: the refusal does not depend on it.
        if let Err(error) = self.machines.note(host, device, Some(answers)).await {
            tracing::warn!(host, device, %error, "failed to store the machine that answers for the fence device");
        }
    }

    async fn note_match(&self, host: &str, device: &str, entry: &Entry) {
        if self.update(|logged| logged.remove(&(host.to_owned(), device.to_owned()))) {
            tracing::info!(host, device, "fence device passes its machine check again");
        }
        if entry.noted
            && let Err(error) = self.machines.note(host, device, None).await
        {
            tracing::warn!(host, device, %error, "failed to store the machine that answers for the fence device");
        }
    }

    /// Changes the set of reported devices and updates its metric.
    fn update(&self, change: impl FnOnce(&mut BTreeSet<(String, String)>) -> bool) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut logged);
        numbers::foreign_machines(logged.len());
        changed
    }

    /// Makes the device identify its machine before a command. If this fails, no command is sent.
    async fn compare(&self, host: &str, target: &Target) -> Result<(), CallError> {
        let started_at = self.clock.boot();
        let named = timeout(MACHINE_CHECK_TIMEOUT, self.devices.machine(host, target)).await;
        let late = || {
            not_named(
                target,
                &format!("no answer within {} s", MACHINE_CHECK_TIMEOUT.as_secs()),
            )
        };
        let machine = match named {
            Ok(Ok(machine)) => machine,
            Ok(Err(mut error)) => {
                error.fault.maybe_done = false;
                return Err(error);
            }
            Err(_) => return Err(late()),
        };
        self.judge(host, &target.to_string(), machine.as_ref()).await?;
        // A process that was stopped in between must not send a command that another engine may have repeated.
        if self.clock.boot().saturating_sub(started_at) > MACHINE_CHECK_TIMEOUT {
            return Err(late());
        }
        Ok(())
    }
}

fn not_compared(host: &str, device: &str, why: &str, source: Source) -> CallError {
    let text = format!("cannot check which machine device {device} of host {host} switches: {why}");
    passing(text, source)
}

fn not_named(target: &Target, why: &str) -> CallError {
    passing(
        format!("cannot read the machine of device {target}; sent no power command: {why}"),
        None,
    )
}

/// The source error of a fault.
type Source = Option<Box<dyn std::error::Error + Send + Sync>>;

fn passing(text: String, source: Source) -> CallError {
    CallError {
        fault: Fault {
            class: FaultClass::Transient,
            status: None,
            maybe_done: false,
            text,
        },
        source,
    }
}

#[async_trait]
impl Fencer for MachineCheckedFencer {
    fn levels(&self, host: &str) -> Vec<Level> {
        self.devices.levels(host)
    }

    async fn permit(&self, host: &str, target: &Target, work: DeviceOperation) -> DevicePermit {
        self.devices.permit(host, target, work).await
    }

    async fn read_power(&self, host: &str, target: &Target) -> Result<PowerReading, CallError> {
        let reading = self.devices.read_power(host, target).await?;
        self.judge(host, &target.to_string(), reading.machine.as_ref())
            .await?;
        Ok(reading)
    }

    async fn machine(&self, host: &str, target: &Target) -> Result<Option<MachineId>, CallError> {
        self.devices.machine(host, target).await
    }

    async fn power_off(&self, host: &str, target: &Target, reason: &str) -> Result<(), CallError> {
        self.compare(host, target).await?;
        self.devices.power_off(host, target, reason).await
    }

    async fn power_on(&self, host: &str, target: &Target, reason: &str) -> Result<(), CallError> {
        self.compare(host, target).await?;
        self.devices.power_on(host, target, reason).await
    }
}

#[cfg(test)]
mod tests;
