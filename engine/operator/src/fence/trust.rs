//! Trusting the machines behind the devices of a host, as an operator.

use std::collections::BTreeMap;

use tachi_domain::level::{Level, Target};
use tachi_domain::machine_id::MachineId;
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::machines::{Entry, MachineLine};
use tachi_engine::ports::{AuditEntry, AuditSink, DeviceOperation, Fencer, Machines};

use crate::audited::after;
use crate::failure::Failure;
use crate::when;

/// The known machines behind devices, by host and device.
pub type KnownMachines = BTreeMap<(String, String), MachineLine>;

/// Reads the known machines.
///
/// # Errors
///
/// The database failed.
pub async fn known_machines(machines: &dyn Machines) -> Result<KnownMachines, Failure> {
    let lines = machines.machines().await;
    let lines = lines.map_err(|error| Failure::new("reading which machines the devices switch", error))?;
    let by_place = lines
        .into_iter()
        .map(|line| ((line.host.clone(), line.device.clone()), line));
    Ok(by_place.collect())
}

/// A device whose machine is to be confirmed.
pub struct MachineChange {
    level: u32,
    pub target: Target,
    was: Option<MachineId>,
    is: Option<MachineId>,
    /// The change in a line, for the operator who decides.
    pub line: String,
}

/// An operator who confirms that the answering machines are a host's, and the ports for it.
pub struct MachineTrust<'a> {
    /// The devices, which are not compared with the known machines.
    pub fencer: &'a dyn Fencer,
    pub machines: &'a dyn Machines,
    /// The audit log, which is written before a confirmation is.
    pub audit: &'a dyn AuditSink,
    pub by: &'a str,
    /// Shows what went wrong beside a confirmation, a line each time.
    pub note: fn(&str),
}

impl MachineTrust<'_> {
    /// Finds the devices of the host whose machine differs from the known one, or that share it with others.
    ///
    /// # Errors
    ///
    /// The host has no device of that name, a device does not answer, or the database failed.
    pub async fn changes(
        &self,
        host: &str,
        device_name: Option<&str>,
        levels: &[Level],
    ) -> Result<Vec<MachineChange>, Failure> {
        let lines = known_machines(self.machines).await?;
        let (mut found, mut changes) = (false, Vec::new());
        for (level, device) in levels
            .iter()
            .flat_map(|level| level.devices.iter().map(move |device| (level.number, device)))
        {
            let target = &device.target;
            let name = target.to_string();
            if device_name.is_some_and(|requested| requested != target.device && requested != name) {
                continue;
            }
            found = true;
            let answered = {
                let _permit = self.fencer.permit(host, target, DeviceOperation::Read).await;
                self.fencer.machine(host, target).await
            };
            let is = answered.map_err(|error| {
                let what = format!("reading the machine of {name} (name another device with --device)");
                Failure::new(what, error)
            })?;
            let known = self.machines.known(host, &name, is.as_ref()).await;
            let entry = known.map_err(|error| Failure::new("reading which machine is expected", error))?;
            if agrees(&entry, is.as_ref()) {
                continue;
            }
            let since = lines
                .get(&(host.to_owned(), name.clone()))
                .filter(|line| line.machine.is_some());
            changes.push(MachineChange {
                level,
                target: target.clone(),
                line: in_a_line(&name, &entry, is.as_ref(), since),
                was: entry.known.expected,
                is,
            });
        }
        if !found {
            let what = device_name.unwrap_or_default();
            return Err(Failure::usage(format!("{host} has no device {what}")));
        }
        Ok(changes)
    }

    /// Writes one confirmation, with its lines in the audit log.
    ///
    /// # Errors
    ///
    /// The audit log cannot be written, the known machine has changed meanwhile, or the database failed.
    pub async fn confirm(&self, host: &str, change: &MachineChange) -> Result<(), Failure> {
        let entry = |phase| {
            let mut entry = AuditEntry::new(AuditAction::ConfirmMachine, phase, host);
            entry.operator = Some(self.by.to_owned());
            entry.level = Some(change.level);
            entry.device = Some(format!("{} at {}", change.target, change.target.endpoint));
            entry.from = change.was.as_ref().map(ToString::to_string);
            entry.to = change.is.as_ref().map(ToString::to_string);
            entry
        };
        let intent = self.audit.write(entry(AuditPhase::Intent)).await;
        intent.map_err(|error| Failure::new("not confirmed: the audit log", error))?;
        let name = change.target.to_string();
        let machines = (change.was.as_ref(), change.is.as_ref());
        let written = self.machines.confirm(host, &name, machines, self.by).await;
        let mut outcome = entry(AuditPhase::Outcome);
        outcome.result = Some(match &written {
            Ok(true) => AuditResult::Ok,
            Ok(false) | Err(_) => AuditResult::Transient,
        });
        after(self.audit, outcome, self.note).await;
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::from_text(format!(
                "{name}: its expected machine has changed in the meantime; run this again"
            ))),
            Err(error) => Err(Failure::new("writing the confirmation", error)),
        }
    }
}

/// True if there is nothing to confirm: the expected machine answers, or none was expected and none answers.
fn agrees(entry: &Entry, is: Option<&MachineId>) -> bool {
    let same = entry.known.expected.is_some() == is.is_some();
    same && entry.known.judge(is).is_ok()
}

fn in_a_line(device: &str, entry: &Entry, is: Option<&MachineId>, since: Option<&MachineLine>) -> String {
    let was = match (&entry.known.expected, since) {
        (Some(was), Some(line)) => {
            let by = line
                .said_by
                .as_ref()
                .map_or_else(|| "learned".to_owned(), |by| format!("confirmed by {by}"));
            format!("{was} ({by} {})", when::time(line.since))
        }
        (Some(was), None) => was.to_string(),
        (None, _) => "not known".to_owned(),
    };
    let is = is.map_or_else(|| "none".to_owned(), ToString::to_string);
    let others = &entry.known.elsewhere;
    let shared = if others.is_empty() {
        String::new()
    } else {
        format!("; the same machine answers for {}", others.join(", "))
    };
    format!("{device}: the machine was {was}; now it is {is}{shared}")
}

#[cfg(test)]
mod tests {
    use tachi_domain::Timestamp;
    use tachi_domain::machine_id::KnownMachine;

    use super::*;

    /// Covers T9.
    #[test]
    fn a_confirmation_shows_the_old_and_new_machine_and_other_hosts_that_have_it() {
        let id = |text: &str| text.parse::<MachineId>().unwrap();
        let entry = |expected: Option<&str>, elsewhere: &[&str]| Entry {
            known: KnownMachine {
                expected: expected.map(id),
                confirmed: false,
                elsewhere: elsewhere.iter().map(|&host| host.to_owned()).collect(),
            },
            noted: true,
        };
        let (a, b) = (id("guid=a"), id("guid=b"));
        let line = MachineLine {
            host: "c1".into(),
            device: "bmc".into(),
            machine: Some(a.clone()),
            since: Timestamp::from_micros(0),
            said_by: None,
            foreign: None,
        };
        let changed = entry(Some("guid=a"), &["c2"]);
        assert_eq!(
            in_a_line("bmc", &changed, Some(&b), Some(&line)),
            "bmc: the machine was guid=a (learned 1970-01-01T00:00:00.000Z); now it is guid=b; the same machine answers for c2"
        );
        for (entry, is, same) in [
            (entry(Some("guid=a"), &[]), Some(&a), true),
            (entry(Some("guid=a"), &["c2"]), Some(&a), false),
            (entry(Some("guid=a"), &[]), Some(&b), false),
            (entry(Some("guid=a"), &[]), None, false),
            (entry(None, &[]), Some(&a), false),
            (entry(None, &[]), None, true),
        ] {
            assert_eq!(agrees(&entry, is), same, "{entry:?} {is:?}");
        }
    }
}
