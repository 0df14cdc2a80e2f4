//! Powering a host off and on by hand, with the same devices, limits and proofs as the engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tachi_domain::Timestamp;
use tachi_domain::count;
use tachi_domain::entity::Host;
use tachi_domain::level::{Level, Target};
use tachi_domain::nova::Service;
use tachi_domain::policy::Policy;
use tachi_domain::power::Power;
use tachi_domain::recovery::Life;
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::operator::RecoveryHistory;
use tachi_engine::ports::{
    AuditEntry, AuditSink, CallError, Compute, DeviceOperation, Fencer, OperatorJournal,
};

use super::power_text;
use crate::audited::after;
use crate::failure::Failure;

/// Number of the host's last closed recoveries of each kind that are checked for commands that may still take effect.
const CHECKED_RECOVERIES: u64 = 5;

/// Time that a device may need for an accepted command if no other is known: MAAS retries for this long.
const MAX_DEVICE_TIME: Duration = Duration::from_secs(150);

/// Sends power commands, each after its line is in the audit log.
pub struct AuditedSwitch {
    /// The devices, which compare the machine first unless the operator has waived that.
    pub fencer: Arc<dyn Fencer>,
    pub audit: Arc<dyn AuditSink>,
    pub policy: Policy,
    pub host: String,
    pub who: String,
    /// The reason that devices and the audit log are given.
    pub reason: String,
    /// Shows progress to the operator, a line each time.
    pub progress: Box<dyn Fn(String) + Send + Sync>,
    /// Shows what went wrong beside the command, a line each time.
    pub note: fn(&str),
}

impl AuditedSwitch {
    fn entry(&self, action: AuditAction, phase: AuditPhase, level: u32, target: &Target) -> AuditEntry {
        let mut entry = AuditEntry::new(action, phase, &self.host);
        entry.operator = Some(self.who.clone());
        entry.level = Some(level);
        entry.device = Some(format!("{target} at {}", target.endpoint));
        entry.text.clone_from(&self.reason);
        entry
    }

    /// Sends a power command, after the audit log has its intent.
    async fn command(&self, on: bool, level: u32, target: &Target) -> Result<(), String> {
        let action = if on {
            AuditAction::PowerOn
        } else {
            AuditAction::PowerOff
        };
        let intent = self.entry(action, AuditPhase::Intent, level, target);
        let written = self.audit.write(intent).await;
        written.map_err(|error| format!("not sent: {error}: {}", error.source))?;
        let _permit = self
            .fencer
            .permit(&self.host, target, DeviceOperation::Switch)
            .await;
        let answer = if on {
            self.fencer.power_on(&self.host, target, &self.reason).await
        } else {
            self.fencer.power_off(&self.host, target, &self.reason).await
        };
        let mut outcome = self.entry(action, AuditPhase::Outcome, level, target);
        outcome.result = Some(match &answer {
            Ok(()) => AuditResult::Ok,
            Err(_) => AuditResult::Permanent,
        });
        if let Err(error) = &answer {
            outcome.text.clone_from(&error.fault.text);
        }
        after(self.audit.as_ref(), outcome, self.note).await;
        answer.map_err(|error| error.fault.text)
    }

    /// Tries level by level, until one confirms the host off. Returns the proof.
    ///
    /// # Errors
    ///
    /// Every level failed.
    pub async fn off(&self, levels: &[Level]) -> Result<String, Failure> {
        for level in levels {
            (self.progress)(format!("{level}"));
            match self.switch_off(level).await {
                Ok(proof) => return Ok(proof),
                Err(why) => (self.progress)(format!("  failed: {why}")),
            }
        }
        Err(Failure::from_text(format!(
            "{} is not confirmed off: every level failed",
            self.host
        )))
    }

    /// Powers the host on by the devices of its first level, if each has read off twice. Returns what they have accepted.
    ///
    /// # Errors
    ///
    /// The host has no level, a device does not read off, or a command failed.
    pub async fn on(&self, levels: &[Level]) -> Result<String, Failure> {
        let host = &self.host;
        let Some(level) = levels.first() else {
            return Err(Failure::from_text("the host has no fence level"));
        };
        // Some controllers switch on by a power cycle: a running host would lose everything.
        for device in &level.devices {
            for _ in 0..2 {
                let power = read(self.fencer.as_ref(), host, &device.target).await;
                let power = power.map_err(|error| Failure::new("reading the host's power", error))?;
                if power != Power::Off {
                    return Err(Failure::from_text(format!(
                        "{host} is not powered on: {} reads {}, not off",
                        device.target,
                        power_text(power)
                    )));
                }
                tokio::time::sleep(self.policy.power_confirm).await;
            }
        }
        let mut accepted = Vec::new();
        for device in &level.devices {
            let target = &device.target;
            let sent = self.command(true, level.number, target).await;
            sent.map_err(|why| Failure::from_text(format!("{host} is not powered on: {why}")))?;
            (self.progress)(format!("{target} has accepted the power-on of {host}"));
            accepted.push(target.to_string());
        }
        Ok(format!("accepted by {}", accepted.join(", ")))
    }

    /// Sends power-off to every device of a level that is not off, and waits until each has read off twice in a row.
    async fn switch_off(&self, level: &Level) -> Result<String, String> {
        let (fencers, host, policy) = (self.fencer.as_ref(), &self.host, &self.policy);
        let mut off = Vec::new();
        for device in &level.devices {
            let target = &device.target;
            let limit = device.limit.unwrap_or(policy.power_off_limit);
            let poll = device.poll.unwrap_or(policy.power_poll);
            let began = Instant::now();
            let (mut ordered, mut row, mut faults) = (false, 0, 0);
            while row < 2 {
                let wait = match read(fencers, host, target).await {
                    Ok(Power::Off) => {
                        row += 1;
                        policy.power_confirm
                    }
                    Ok(Power::On | Power::Unknown) => {
                        row = 0;
                        if !ordered {
                            self.command(false, level.number, target).await?;
                            (self.progress)(format!("  {target} has accepted the power-off"));
                            ordered = true;
                        }
                        poll
                    }
                    Err(error) => {
                        (row, faults) = (0, faults + 1);
                        if faults >= device.attempts && !ordered {
                            return Err(error.fault.text);
                        }
                        poll
                    }
                };
                if row < 2 {
                    if began.elapsed() >= limit {
                        return Err(format!("{target} is not off after {} s", limit.as_secs()));
                    }
                    tokio::time::sleep(wait).await;
                }
            }
            off.push(format!("{target} read off twice in a row"));
        }
        Ok(off.join(", "))
    }
}

/// Describes Nova's view of the host, for the operator who decides.
///
/// # Errors
///
/// Nova cannot be asked.
pub async fn what_runs(nova: &dyn Compute, host: &str) -> Result<String, CallError> {
    let service = nova.service(host).await?;
    let servers = nova.server_ids_on(host).await?;
    Ok(warning(host, service.as_ref(), servers.len()))
}

fn warning(host: &str, service: Option<&Service>, servers: usize) -> String {
    let Some(service) = service else {
        return format!(
            "Nova has no compute service on {host}; it shows {} there.",
            count(servers, "instance", "instances")
        );
    };
    let state = if service.up { "up" } else { "down" };
    let heartbeat = service.heartbeat_age_micros().map_or_else(
        || "has no heartbeat from it".to_owned(),
        |age| format!("received its heartbeat {} s ago", age / 1_000_000),
    );
    format!(
        "Nova {heartbeat}, shows it {state}, and has {} on it.",
        count(servers, "instance", "instances")
    )
}

async fn read(fencers: &dyn Fencer, host: &str, target: &Target) -> Result<Power, CallError> {
    let _permit = fencers.permit(host, target, DeviceOperation::Read).await;
    Ok(fencers.read_power(host, target).await?.power)
}

/// Returns why a host must not be powered on now.
///
/// # Errors
///
/// The database failed.
pub async fn blocker(
    operator_journal: &dyn OperatorJournal,
    policy: &Policy,
    host: &Host,
    now: Timestamp,
) -> Result<Option<String>, Failure> {
    let wrong = |error| Failure::new("reading the host's recoveries", error);
    let recoveries = operator_journal
        .recoveries_of_host(host.id, &host.name, CHECKED_RECOVERIES)
        .await;
    for summary in recoveries.map_err(wrong)? {
        if summary.life == Life::Open {
            return Ok(Some(format!(
                "its recovery {} is open, and its instances may be on their way elsewhere",
                summary.id
            )));
        }
        let Some(history) = operator_journal.history(summary.id).await.map_err(wrong)? else {
            continue;
        };
        let wait = MAX_DEVICE_TIME.max(policy.power_off_limit) + policy.late_effect_window();
        if let Some(left) = still_pending(&history, now, wait) {
            return Ok(Some(format!(
                "a power-off of recovery {} may still take effect; try again in {} s",
                summary.id,
                left.as_secs().max(1)
            )));
        }
    }
    Ok(None)
}

/// Returns how long a command of this recovery may still take effect. Uses the time of its line in the history: a recovery's elapsed time
/// stops while no engine owns it.
fn still_pending(history: &RecoveryHistory, now: Timestamp, wait: Duration) -> Option<Duration> {
    let orders = history
        .steps
        .iter()
        .filter(|step| step.task == "FenceHostTask" && step.kind == "intent");
    let last = orders.map(|step| step.at).max()?;
    let age = u64::try_from(now.micros().saturating_sub(last.micros())).unwrap_or_default();
    wait.checked_sub(Duration::from_micros(age))
        .filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use tachi_domain::ServiceId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_question_before_a_power_off_shows_novas_heartbeat_and_what_runs_there() {
        let mut service = Service {
            id: ServiceId(Uuid::from_u128(1)),
            host: "c1".into(),
            enabled: true,
            disabled_reason: None,
            up: true,
            forced_down: false,
            last_heartbeat: Some(Timestamp::from_micros(5_000_000)),
            nova_now: Some(Timestamp::from_micros(8_000_000)),
        };
        assert_eq!(
            warning("c1", Some(&service), 8),
            "Nova received its heartbeat 3 s ago, shows it up, and has 8 instances on it."
        );
        (service.up, service.last_heartbeat) = (false, None);
        assert_eq!(
            warning("c1", Some(&service), 0),
            "Nova has no heartbeat from it, shows it down, and has 0 instances on it."
        );
        assert!(warning("c1", None, 0).starts_with("Nova has no compute service on c1"));
    }
}
