//! Entries of the audit log before and after a change by this process.

use std::sync::Arc;

use tachi_cli::out;
use tachi_engine::ports::{AuditEntry, AuditSink};
use tachi_operator::Failure;

/// Writes the intent to the audit log, which must be on disk before anything is done.
pub(crate) async fn before(
    audit: &Arc<dyn AuditSink>,
    entry: AuditEntry,
    not_done: &str,
) -> Result<(), Failure> {
    let written = audit.write(entry).await;
    written.map_err(|error| {
        let source = error.source.to_string();
        Failure::from_text(format!("{not_done}: {error}: {source}"))
    })
}

/// Writes the outcome. A failed write is only a note, because the action itself has succeeded.
pub(crate) async fn after(audit: &Arc<dyn AuditSink>, entry: AuditEntry) {
    if let Err(error) = audit.write(entry).await {
        out::note(format!(
            "tachi: its outcome is not in the audit log: {error}: {}",
            error.source
        ));
    }
}
