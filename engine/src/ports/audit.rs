//! The audit log: who ordered which power command, and what proved a host off.

use async_trait::async_trait;
use serde::Serialize;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    /// A command that cuts a host's power.
    PowerOff,
    /// A command that gives a host its power back.
    PowerOn,
    /// A person says which machine a power controller switches.
    ConfirmMachine,
    /// A host is proven off.
    Proof,
    /// A recovery passes from one stage to the next, is held, or is let go on.
    Transition,
    /// A reporter whose claims Nova contradicts is set aside, or should be.
    SetAside,
    /// A person lets a reporter be heard again.
    Lift,
    /// A person's word about a recovery or one of its instances, as its engine has heard it.
    Word,
    /// A person wants nothing of something to be fenced or moved for a while.
    Freeze,
    /// A person ends that.
    Thaw,
    /// A person has changed a segment or a host over the API.
    Change,
}

/// Where in its life the action is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditPhase {
    /// About to be done: on disk before the first byte of the command.
    Intent,
    /// Done, or not: what came of it.
    Outcome,
}

/// How an action went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditResult {
    /// As wanted.
    Ok,
    /// Not, but another try may succeed.
    Transient,
    /// Not, and no other try will.
    Permanent,
}

/// One line, as far as its writer does not know it by itself. What is not known is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// A power command, a proof, a person's word.
    pub action: AuditAction,
    /// Before the act, or how it came out.
    pub phase: AuditPhase,
    /// The host in question, by its name in Nova.
    pub host: String,
    /// The recovery on whose behalf; none for an operator's own command.
    #[serde(rename = "episode_id", skip_serializing_if = "Option::is_none")]
    pub recovery: Option<String>,
    /// The notification that caused it.
    #[serde(rename = "notification_uuid", skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    /// Who reported what the recovery is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporter: Option<String>,
    /// The person who acts, if it is not the engine that writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// The state that is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The state that is entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The level of the host's devices, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// The device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Which try, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What came of it; in outcomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<AuditResult>,
    /// The device's own word. Scrubbed of secrets by whoever makes the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_state: Option<String>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// What a proof rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The guard that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    /// Which version of the devices' configuration was in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<String>,
    /// For people: why, or what happened.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl AuditEntry {
    /// A line about `host`; what else is known is filled in.
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
}

/// A line could not be written.
#[derive(Debug, thiserror::Error)]
#[error("writing to the audit log {log}")]
pub struct AuditError {
    /// Which log.
    pub log: String,
    /// What kept it from being written.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Writes the audit log.
#[async_trait]
pub trait AuditSink: Send + Sync {
    /// Writes one line and returns once it is on the disk. Whoever sends a power command writes its intent first, and does
    /// not send it if that fails. A log that the operator has declared dispensable never fails here: it warns.
    ///
    /// The engine does this for the commands of recoveries, so fencers do not; whoever switches a host without a recovery
    /// does it himself.
    ///
    /// # Errors
    ///
    /// The line is not known to be on the disk.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the line may be written or not.
    async fn write(&self, entry: AuditEntry) -> Result<(), AuditError>;

    /// Writes one line soon, after those that were given earlier, and waits for nothing: for what came of a command, which
    /// the journal holds too. One that cannot be written is logged.
    fn note(&self, entry: AuditEntry);
}

/// For tests, and for engines without power controllers: lines go nowhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAudit;

#[async_trait]
impl AuditSink for NoAudit {
    async fn write(&self, _entry: AuditEntry) -> Result<(), AuditError> {
        Ok(())
    }

    fn note(&self, _entry: AuditEntry) {}
}
