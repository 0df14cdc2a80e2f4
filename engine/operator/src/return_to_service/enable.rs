//! Returning a host to service: the step that is done in Nova.

use tachi_domain::nova::Service;
use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_engine::ports::compute::ServiceChange;
use tachi_engine::ports::{AuditEntry, AuditSink, NovaCalls};

use super::{ReturnFacts, checks, is_ready};
use crate::audited::{after, before};
use crate::failure::Failure;
use crate::plain::plain;

/// Returns the facts if nothing blocks the host's return.
///
/// # Errors
///
/// A check blocks it; the text names all that do.
pub fn ready(facts: ReturnFacts) -> Result<ReturnFacts, Failure> {
    let checked = checks(&facts);
    if is_ready(&checked) {
        return Ok(facts);
    }
    let blockers = checked.iter().filter(|check| check.is_blocker());
    let why: Vec<_> = blockers.map(|check| plain(&check.text)).collect();
    Err(Failure::from_text(format!(
        "nothing was done, {} is not ready to return to service:\n  {}",
        plain(&facts.view.host.name),
        why.join("\n  ")
    )))
}

/// Enables the service of a host, for this operator. Each change is in the audit log before it is made.
///
/// # Errors
///
/// The audit log cannot be written, or Nova failed.
pub async fn enable(
    nova: &dyn NovaCalls,
    audit: &dyn AuditSink,
    (service, by): (&Service, &str),
    note: fn(&str),
) -> Result<(), Failure> {
    // A slow login between the intent and the call would make the intent too old to act on.
    let ready = nova.make_ready().await;
    ready.map_err(|error| Failure::new("nothing was done: connecting to Nova", error))?;
    let entry = |phase, text: &str| AuditEntry::change(phase, &service.host, by, text);
    let intent = entry(AuditPhase::Intent, "enables its service at Nova");
    before(audit, intent, "nothing was done").await?;
    let change = ServiceChange {
        disable: Some(None),
        forced_down: None,
    };
    let changed = nova.update_service(service.id, &change).await;
    let mut outcome = entry(AuditPhase::Outcome, "its service is enabled");
    outcome.result = Some(AuditResult::Ok);
    if let Err(error) = &changed {
        outcome.result = Some(AuditResult::Transient);
        outcome.text = error.to_string();
    }
    after(audit, outcome, note).await;
    changed.map(|_| ()).map_err(|error| {
        let what = if error.fault.maybe_done {
            "enabling its service (it may have taken effect: run this again)"
        } else {
            "enabling its service (nothing was done)"
        };
        Failure::new(what, error)
    })
}
