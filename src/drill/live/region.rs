//! Changes of a live drill in Nova: its canaries, and the service of their host. Each change is in the audit log before it is made.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::ServerId;
use tachi_domain::nova::Service;
use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_engine::ports::{AuditEntry, AuditSink, CallError, Compute as _};
use tachi_openstack::{CanaryOrder, Nova};
use tachi_operator::Failure;

use super::{canaries, change_to};
use crate::database::Database;
use crate::wiring;
use crate::wiring::audited::{after, before};

/// Name of this command in the audit log.
const COMMAND: &str = "tachi drill --live";

pub(super) struct Region<'a> {
    pub(super) nova: Arc<Nova>,
    audit: Arc<dyn AuditSink>,
    host: &'a str,
    by: &'a str,
}

impl<'a> Region<'a> {
    pub(super) async fn open(database: &Database, host: &'a str, by: &'a str) -> Result<Self, Failure> {
        let (settings, clock) = (&database.settings, &database.base.clock);
        Ok(Self {
            nova: wiring::nova(settings, clock).await?,
            audit: wiring::audit(settings, clock, COMMAND)?,
            host,
            by,
        })
    }

    async fn intent(&self, text: &str) -> Result<(), Failure> {
        let entry = self.entry(AuditPhase::Intent, text);
        before(&self.audit, entry, "not done").await
    }

    async fn outcome<T>(&self, text: &str, came: &Result<T, CallError>) {
        let mut entry = self.entry(AuditPhase::Outcome, text);
        entry.result = Some(AuditResult::Ok);
        if let Err(error) = came {
            entry.result = Some(AuditResult::Transient);
            entry.text = error.to_string();
        }
        after(&self.audit, entry).await;
    }

    fn entry(&self, phase: AuditPhase, text: &str) -> AuditEntry {
        AuditEntry::change(phase, self.host, self.by, text)
    }

    pub(super) async fn build(&self, order: &CanaryOrder) -> Result<ServerId, Failure> {
        self.intent(&format!("builds canary {}", order.name)).await?;
        let built = self.nova.canaries().build(order).await;
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
        let changed = self.nova.update_service(service.id, &change_to(reason)).await;
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
            let deleted = self.nova.canaries().delete(*id).await;
            self.outcome("requested", &deleted).await;
            remaining.extend(deleted.err().map(|error| format!("{id}: {error}")));
        }
        let left = canaries::until_gone(&self.nova, ids, within).await;
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
