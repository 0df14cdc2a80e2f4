//! Decides what goes into the audit log, and when: the intent of a power command before it is journalled, its outcome,
//! every proof, and every stage of a host recovery.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::level::Target;
use tachi_domain::recovery::{Command, Observation, Record, RecoveryKind};

use crate::ports::audit::{AuditAction, AuditEntry, AuditPhase, AuditResult, AuditSink};
use crate::ports::journal::{ClaimedRecovery, ProofWrite, Write};
use tachi_driver::Recovery;

/// Writes the audit entries of one recovery.
pub(crate) struct Auditor {
    sink: Arc<dyn AuditSink>,
    recovery: String,
    notification: String,
    reporter: Option<String>,
    /// True for recoveries of hosts: no other kind switches power.
    is_host_recovery: bool,
    stage: String,
    hold: Option<String>,
}

impl Auditor {
    pub(crate) fn new(sink: Arc<dyn AuditSink>, claimed: &ClaimedRecovery, state: &dyn Recovery) -> Self {
        Self {
            sink,
            recovery: claimed.id.to_string(),
            notification: claimed.notification.id.to_string(),
            reporter: claimed.notification.reporter.as_ref().map(ToString::to_string),
            is_host_recovery: claimed.kind == RecoveryKind::Host,
            stage: state.stage(),
            hold: state.hold_reason().map(str::to_owned),
        }
    }

    fn entry(&self, action: AuditAction, phase: AuditPhase, host: &str) -> AuditEntry {
        let mut entry = AuditEntry::new(action, phase, host);
        entry.recovery = Some(self.recovery.clone());
        entry.notification = Some(self.notification.clone());
        entry.reporter.clone_from(&self.reporter);
        entry
    }

    /// Returns the entry of a power command; `None` for every other command.
    pub(crate) fn line(&self, host: &str, command: &Command) -> Option<AuditEntry> {
        let (action, target, reason) = power_of(command)?;
        let mut entry = self.entry(action, AuditPhase::Intent, host);
        entry.device = Some(format!("{target} at {}", target.endpoint));
        reason.clone_into(&mut entry.text);
        Some(entry)
    }

    /// Writes the intents of the power commands among `commands`. Returns the fault if that fails; the commands must not
    /// be sent then.
    pub(crate) async fn orders(&self, host: &str, commands: &[Command]) -> Option<Fault> {
        for command in commands {
            let Some(entry) = self.line(host, command) else {
                continue;
            };
            if let Err(error) = self.sink.write(entry).await {
                let text = format!(
                    "{} was not sent to {host}: {error}: {}",
                    command.name(),
                    error.source
                );
                tracing::error!(recovery = self.recovery, host, %text, "failed to write the power command to the audit log; not sending it");
                return Some(Fault {
                    class: FaultClass::Transient,
                    status: None,
                    maybe_done: false,
                    text,
                });
            }
        }
        None
    }

    /// Logs the changes that a committed transaction made to the recovery.
    pub(crate) fn committed(&mut self, state: &dyn Recovery, record: &Record, write: &Write) {
        let host = state.host();
        // Operator actions precede their effects in the log.
        for applied in &record.processed_actions {
            let mut entry = self.entry(AuditAction::Word, AuditPhase::Outcome, host);
            entry.operator = Some(applied.by.clone());
            entry.text.clone_from(&applied.word);
            self.sink.note(entry);
        }
        if !self.is_host_recovery {
            return;
        }
        for (proof, written) in record.proofs.iter().zip(&write.proofs) {
            let mut entry = self.entry(AuditAction::Proof, AuditPhase::Outcome, host);
            entry.result = Some(AuditResult::Ok);
            describe(&mut entry, written);
            entry.text = proof.sentence(host);
            self.sink.note(entry);
        }
        let (entered, hold) = (state.stage(), state.hold_reason());
        if entered != self.stage || hold != self.hold.as_deref() {
            let mut entry = self.entry(AuditAction::Transition, AuditPhase::Outcome, host);
            entry.from = Some(status_text(&self.stage, self.hold.is_some()));
            entry.to = Some(status_text(&entered, hold.is_some()));
            hold.unwrap_or_default().clone_into(&mut entry.text);
            self.sink.note(entry);
            self.hold = hold.map(str::to_owned);
            self.stage = entered;
        }
    }
}

fn status_text(stage: &str, hold: bool) -> String {
    if hold {
        format!("{stage} (held)")
    } else {
        stage.to_owned()
    }
}

fn describe(entry: &mut AuditEntry, proof: &ProofWrite) {
    if proof.kind == "device" {
        entry.device = Some(proof.from.clone());
    }
    entry.evidence = vec![proof.evidence.clone()];
}

fn power_of(command: &Command) -> Option<(AuditAction, &Target, &str)> {
    match command {
        Command::PowerOff { target, reason } => Some((AuditAction::PowerOff, target, reason)),
        Command::PowerOn { target, reason } => Some((AuditAction::PowerOn, target, reason)),
        Command::ScanHosts
        | Command::ReadService
        | Command::ReadLevels
        | Command::ReadPower(_)
        | Command::UpdateService { .. }
        | Command::TakeInventory { .. }
        | Command::ReadLists { .. }
        | Command::ReadEvacuations { .. }
        | Command::ReadServerIds
        | Command::ReadConductors
        | Command::ReadServer(_)
        | Command::ReadActions(_)
        | Command::FollowMove(_)
        | Command::LiveMigrate { .. }
        | Command::AbortMigration { .. }
        | Command::Lock { .. }
        | Command::Unlock(_)
        | Command::Prepare(_)
        | Command::Evacuate(_)
        | Command::Restore { .. }
        | Command::Stop(_)
        | Command::Start(_)
        | Command::Migrate(_)
        | Command::ConfirmMigration(_)
        | Command::Activate { .. }
        | Command::RunHook(_)
        | Command::Reserve(_) => None,
    }
}

/// Returns the entry for the outcome of the command logged as `intent`.
pub(crate) fn outcome(intent: AuditEntry, observation: &Observation, took: Duration) -> AuditEntry {
    let mut entry = AuditEntry {
        phase: AuditPhase::Outcome,
        latency_ms: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        ..intent
    };
    let (result, text) = if let Observation::PowerOff { result: answer, .. }
    | Observation::PowerOn { result: answer, .. } = observation
    {
        match answer {
            Ok(()) => (AuditResult::Ok, "accepted".to_owned()),
            Err(fault) => {
                let result = match fault.class {
                    FaultClass::Transient | FaultClass::Conflict => AuditResult::Transient,
                    FaultClass::Permanent | FaultClass::Fatal => AuditResult::Permanent,
                };
                let doubt = if fault.maybe_done {
                    " (it may still take effect)"
                } else {
                    ""
                };
                (result, format!("{}{doubt}", fault.text))
            }
        }
    } else {
        let text = "not sent: the intent or the claim had expired";
        (AuditResult::Transient, text.to_owned())
    };
    entry.result = Some(result);
    entry.text = text;
    entry
}
