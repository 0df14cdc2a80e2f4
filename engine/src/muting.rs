//! Counts reports that Nova has contradicted, for each reporter, and logs a muting.

use tachi_domain::RecoveryId;
use tachi_domain::guard::MutingPolicy;
use tachi_domain::situation::MutedReporter;

use crate::engine::Ports;
use crate::numbers;
use crate::ports::audit::{AuditAction, AuditEntry, AuditPhase};

/// Counts one contradiction in the background. Losing the count is harmless, so the finished recovery does not wait for
/// it.
pub(crate) fn contradicted(ports: &Ports, recovery: RecoveryId, host: &str, rules: MutingPolicy) {
    if rules.limit == 0 {
        return;
    }
    let (ports, host) = (ports.clone(), host.to_owned());
    tokio::spawn(async move {
        match ports.journal.contradicted(recovery, rules).await {
            Ok(news) => news.iter().for_each(|muted| log(&ports, recovery, &host, muted)),
            Err(error) => {
                let source = error.source.to_string();
                tracing::warn!(%recovery, %error, source, "failed to count a report that Nova has contradicted");
            }
        }
    });
}

fn log(ports: &Ports, recovery: RecoveryId, host: &str, muted: &MutedReporter) {
    let (reporter, why, number) = (&muted.reporter, &muted.why, muted.number);
    let text = if muted.is_muted {
        format!(
            "muted: {why}. Its reports are stored and start nothing until an operator unmutes it: tachi monitor unmute {number}"
        )
    } else {
        format!(
            "not muted, because too many would be: {why}. Check whether Nova is right; tachi monitor unmute {number} ends this \
             warning"
        )
    };
    tracing::error!(%reporter, %text, "Nova has contradicted a reporter too often");
    numbers::muted_reporter(muted.is_muted);
    let mut entry = AuditEntry::new(AuditAction::SetAside, AuditPhase::Outcome, host);
    entry.recovery = Some(recovery.to_string());
    entry.reporter = Some(reporter.to_string());
    entry.text = text;
    ports.audit.note(entry);
}
