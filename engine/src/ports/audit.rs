//! The audit log: who sent which power command, and the proof that a host is off.

use async_trait::async_trait;
use serde::Serialize;

/// The kind of an audit entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    /// A command that cuts a host's power.
    PowerOff,
    /// A command that switches a host's power on.
    PowerOn,
    /// An operator confirms which machine a power controller switches.
    ConfirmMachine,
    /// A host is confirmed off.
    Proof,
    /// A recovery enters the next stage, is put on hold, or is released from it.
    Transition,
    /// A reporter whose claims Nova contradicts is muted, or would be if the limit allowed it.
    SetAside,
    /// An operator unmutes a reporter.
    Lift,
    /// An operator's action on a recovery or one of its instances, once its engine has received it.
    Word,
    /// An operator suspends fencing and evacuation of something for a while.
    Freeze,
    /// An operator ends a freeze.
    Thaw,
    /// An operator changes a segment or a host through the API.
    Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditPhase {
    /// The action is about to start. On disk before the first byte of the command.
    Intent,
    /// The action has ended, with or without success.
    Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditResult {
    Ok,
    /// The action failed, but another attempt may succeed.
    Transient,
    /// The action failed, and another attempt would fail too.
    Permanent,
}

/// One entry, without the fields that the log adds by itself. Unknown fields are omitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// A power command, a proof or an operator's action.
    pub action: AuditAction,
    pub phase: AuditPhase,
    /// The host in question, by its name in Nova.
    pub host: String,
    /// The recovery that caused the action; `None` for an operator's own command.
    #[serde(rename = "episode_id", skip_serializing_if = "Option::is_none")]
    pub recovery: Option<String>,
    /// The notification that caused it.
    #[serde(rename = "notification_uuid", skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    /// The source of the report that the recovery is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporter: Option<String>,
    /// The operator, if the actor is not the engine that writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The level among the host's devices, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The number of the attempt, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The result, in outcomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<AuditResult>,
    /// The state as the device spelled it. The creator of the entry removes secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The evidence of a proof.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The guard that put the recovery on hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    /// The version of the devices' configuration in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<String>,
    /// The reason or the event, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl AuditEntry {
    /// Creates an entry about `host`; the caller fills in the other fields.
    pub fn new(action: AuditAction, phase: AuditPhase, host: impl Into<String>) -> Self {
        Self {
            action,
            phase,
            host: host.into(),
            recovery: None,
            notification: None,
            reporter: None,
            operator: None,
            from: None,
            to: None,
            level: None,
            device: None,
            attempt: None,
            result: None,
            raw_state: None,
            latency_ms: None,
            evidence: Vec::new(),
            guard: None,
            config_digest: None,
            text: String::new(),
        }
    }

    /// Creates an entry about an operator's change of `host`, which is empty if the change is of no host.
    pub fn change(
        phase: AuditPhase,
        host: impl Into<String>,
        operator: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            operator: Some(operator.into()),
            text: text.into(),
            ..Self::new(AuditAction::Change, phase, host)
        }
    }
}

/// An error while writing an entry.
#[derive(Debug, thiserror::Error)]
#[error("writing to the audit log {log}")]
pub struct AuditError {
    pub log: String,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

#[async_trait]
pub trait AuditSink: Send + Sync {
    /// Writes one entry and returns once it is on the disk. The sender of a power command writes its intent first, and
    /// does not send the command if that fails. With `audit_required` false, it only logs a warning
    /// and never fails.
    ///
    /// The engine writes the entries of recoveries, not the fencers. Code that switches a host outside a recovery must
    /// write the entry itself.
    ///
    /// # Errors
    ///
    /// The entry is not confirmed on the disk.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the entry may or may not be written.
    async fn write(&self, entry: AuditEntry) -> Result<(), AuditError>;

    /// Queues one entry after earlier ones, without waiting: for outcomes, which the journal contains too. Logs a
    /// failure.
    fn note(&self, entry: AuditEntry);
}

/// An audit log that discards entries, for tests and for engines without power controllers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAudit;

#[async_trait]
impl AuditSink for NoAudit {
    async fn write(&self, _entry: AuditEntry) -> Result<(), AuditError> {
        Ok(())
    }

    fn note(&self, _entry: AuditEntry) {}
}

/// The result of verifying a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogReport {
    /// The number of whole lines that form a chain.
    pub lines: u64,
    /// The numbers of the first and the last line.
    pub span: Option<(u64, u64)>,
    /// The first invalid line, counted from 1, and its defect.
    pub broken: Option<(u64, String)>,
    /// True if the first line continues the chain of another file.
    pub continues: bool,
    /// The number of lines that are sealed with a key.
    pub keyed: u64,
    /// The number of keyed lines that could not be checked, because the key is missing.
    pub unchecked: u64,
}

impl LogReport {
    /// True if the log is unchanged, as far as the check covers: with keys, lines must be sealed.
    pub fn is_intact(&self, with_keys: bool) -> bool {
        self.broken.is_none() && self.unchecked == 0 && !(with_keys && self.lines > 0 && self.keyed == 0)
    }
}
