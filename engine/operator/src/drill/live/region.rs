//! Changes of a live drill in Nova: its canaries, and the service of their host. Each change is in the audit log before it is made.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::ServerId;
use tachi_domain::nova::Service;
use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_engine::ports::canaries::CanaryOrder;
use tachi_engine::ports::{AuditEntry, AuditSink, CallError, Canaries, NovaCalls};

use super::{canaries, change_to};
use crate::actions::ActionError;
use crate::failure::Failure;

/// The ports for the changes of a drill.
pub struct CanaryPorts<'a> {
    pub compute: Arc<dyn NovaCalls>,
    pub canaries: Arc<dyn Canaries>,
    /// The audit log, which is written before each change.
    pub audit: Arc<dyn AuditSink>,
    /// Shows progress to the operator, a line each time.
    pub note: &'a (dyn Fn(&str) + Send + Sync),
}

pub(super) struct Region<'a> {
    ports: CanaryPorts<'a>,
    host: &'a str,
    by: &'a str,
}

impl<'a> Region<'a> {
    pub(super) fn new(ports: CanaryPorts<'a>, host: &'a str, by: &'a str) -> Self {
        Self { ports, host, by }
    }

    pub(super) fn compute(&self) -> &dyn NovaCalls {
        self.ports.compute.as_ref()
    }

    pub(super) fn canaries(&self) -> &dyn Canaries {
        self.ports.canaries.as_ref()
    }

    /// Shows progress to the operator.
    pub(super) fn note(&self, text: &str) {
        (self.ports.note)(text);
    }

    async fn intent(&self, text: &str) -> Result<(), Failure> {
        let entry = self.entry(AuditPhase::Intent, text);
        let written = self.ports.audit.write(entry).await;
        written.map_err(|source| {
            let not_done = "not done";
            ActionError::Unaudited { not_done, source }.into()
        })
    }

    async fn outcome<T>(&self, text: &str, came: &Result<T, CallError>) {
        let mut entry = self.entry(AuditPhase::Outcome, text);
        entry.result = Some(AuditResult::Ok);
        if let Err(error) = came {
            entry.result = Some(AuditResult::Transient);
            entry.text = error.to_string();
        }
        // The action itself has succeeded.
        if let Err(error) = self.ports.audit.write(entry).await {
            self.note(&format!(
                "tachi: its outcome is not in the audit log: {error}: {}",
                error.source
            ));
        }
    }

    fn entry(&self, phase: AuditPhase, text: &str) -> AuditEntry {
        AuditEntry::change(phase, self.host, self.by, text)
    }

    pub(super) async fn build(&self, order: &CanaryOrder) -> Result<ServerId, Failure> {
        self.intent(&format!("builds canary {}", order.name)).await?;
        let built = self.canaries().build_canary(order).await;
        let text = built
            .as_ref()
            .map_or_else(|_| String::new(), |id| format!("canary {id} is being built"));
        self.outcome(&text, &built).await;
        built.map_err(|error| Failure::new(format!("building canary {}", order.name), error))
    }

    /// Enables the service, or disables it with a reason.
    pub(super) async fn change(
        &self,
        what: &str,
        service: &Service,
        reason: Option<&str>,
    ) -> Result<(), Failure> {
        self.intent(what).await?;
        let changed = self
            .compute()
            .update_service(service.id, &change_to(reason))
            .await;
        self.outcome("done", &changed).await;
        changed
            .map(|_| ())
            .map_err(|error| Failure::new(format!("the drill {what}"), error))
    }

    /// Deletes canaries, and waits until they are gone.
    pub(super) async fn delete(&self, ids: &[ServerId], within: Duration) -> Result<(), Failure> {
        let mut remaining = Vec::new();
        for id in ids {
            self.intent(&format!("deletes canary {id}")).await?;
            let deleted = self.canaries().delete_canary(*id).await;
            self.outcome("requested", &deleted).await;
            remaining.extend(deleted.err().map(|error| format!("{id}: {error}")));
        }
        let left = canaries::until_gone(self.compute(), ids, within).await;
        remaining.extend(left.iter().map(|id| format!("{id} still exists")));
        if remaining.is_empty() {
            return Ok(());
        }
        Err(Failure::from_text(format!(
            "canaries are left (`tachi drill {} --clean-up` deletes them): {}",
            self.host,
            remaining.join("; ")
        )))
    }
}
