//! The document passed to hooks.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use tachi_domain::entity::{Host, Notification};
use tachi_domain::hooks::{HookCall, HookInstance};
use tachi_domain::recovery::{Command, Observation, RecoveryKind};
use tachi_domain::{RecoveryId, Timestamp};

use crate::ports::Hooks;
use crate::ports::hooks::HookRun;
use crate::ports::journal::ClaimedRecovery;

/// The version of the document. Additions keep it; changes and removals raise it.
const VERSION: u32 = 1;

/// The common part of all documents of a recovery.
#[derive(Debug)]
pub(crate) struct DocumentContext {
    recovery: RecoveryId,
    kind: RecoveryKind,
    notification: Notification,
    host: Option<Host>,
    engine: String,
}

impl DocumentContext {
    pub(crate) fn new(claimed: &ClaimedRecovery, engine: &str) -> Arc<Self> {
        Arc::new(Self {
            recovery: claimed.id,
            kind: claimed.kind,
            notification: claimed.notification.clone(),
            host: claimed.host.clone(),
            engine: engine.to_owned(),
        })
    }

    fn document(&self, call: &HookCall) -> Value {
        let notification = &self.notification;
        let host = self.host.as_ref().map(|host| {
            json!({
                "uuid": host.id.to_string(),
                "name": host.name,
                "type": host.kind,
                "control_attributes": host.control_attributes,
                "reserved": host.reserved,
            })
        });
        let segment = self.host.as_ref().map(|host| {
            json!({
                "uuid": host.segment.id.to_string(),
                "name": host.segment.name,
                "service_type": host.segment.service_type,
                "recovery_method": host.segment.recovery_method.as_str(),
            })
        });
        json!({
            "version": VERSION,
            "recovery": self.recovery.to_string(),
            "kind": self.kind.as_str(),
            "phase": call.phase.as_str(),
            "hook": u32::from(call.number) + 1,
            "attempt": call.attempt,
            "engine": self.engine,
            "notification": {
                "notification_uuid": notification.id.to_string(),
                "type": notification.kind.as_str(),
                "generated_time": iso(notification.generated_time),
                "payload": notification.payload,
            },
            "host": host,
            "segment": segment,
            "proof": call.proof,
            "instances": call.instances.as_ref().map(|all| all.iter().map(instance).collect::<Vec<_>>()),
        })
    }

    fn run(&self, call: &HookCall) -> HookRun {
        let facts = [
            ("TACHI_HOOK_VERSION", VERSION.to_string()),
            ("TACHI_RECOVERY", self.recovery.to_string()),
            ("TACHI_KIND", self.kind.as_str().to_owned()),
            ("TACHI_PHASE", call.phase.as_str().to_owned()),
            ("TACHI_ATTEMPT", call.attempt.to_string()),
            ("TACHI_NOTIFICATION", self.notification.id.to_string()),
            (
                "TACHI_HOST",
                self.host
                    .as_ref()
                    .map(|host| host.name.clone())
                    .unwrap_or_default(),
            ),
        ];
        HookRun {
            hook: call.hook.clone(),
            document: self.document(call).to_string(),
            key: format!(
                "{}-{}-{}",
                self.recovery,
                call.phase.as_str(),
                u32::from(call.number) + 1
            ),
            facts: facts.into(),
        }
    }
}

/// Runs a hook and returns its result.
pub(crate) async fn run(call: Box<HookCall>, context: &DocumentContext, hooks: &dyn Hooks) -> Observation {
    match hooks.run(context.run(&call)).await {
        Some(outcome) => Observation::Hook {
            phase: call.phase,
            number: call.number,
            attempt: call.attempt,
            outcome,
        },
        None => Observation::NotSent(Command::RunHook(call)),
    }
}

fn instance(hook_instance: &HookInstance) -> Value {
    json!({
        "uuid": hook_instance.id.to_string(),
        "name": hook_instance.name,
        "status": hook_instance.status,
        "dest_host": hook_instance.dest_host,
        "message": hook_instance.message,
    })
}

fn iso(at: Timestamp) -> Option<String> {
    let at = DateTime::from_timestamp_micros(at.micros())?;
    Some(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests;
