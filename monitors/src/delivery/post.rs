//! Sending reports.

use async_trait::async_trait;
use tachi_instance_ha::{Answer, CallFailure, Class, Client};
use tachi_spool::Record;

/// A receiver of reports.
#[async_trait]
pub(crate) trait Post: Send + Sync {
    async fn post(&self, record: &Record) -> Result<Answer, CallFailure>;
    /// Ensures that the next report need not wait for a login.
    async fn warm(&self) -> Result<(), CallFailure>;
    /// Returns the API's clock minus the local one, in seconds.
    fn skew_seconds(&self) -> Option<i64>;
}

/// True if the API rejects a report for its evidence. Only its message shows this. A report without the header is better than one that
/// causes no recovery.
fn is_about_evidence(failed: &CallFailure) -> bool {
    failed.class == Class::Rejected && failed.text.to_ascii_lowercase().contains("evidence")
}

#[async_trait]
impl Post for Client {
    async fn post(&self, record: &Record) -> Result<Answer, CallFailure> {
        let answer = self.notify(&record.body, record.header.as_deref()).await;
        match answer {
            Err(failed) if record.header.is_some() && is_about_evidence(&failed) => {
                tracing::error!(
                    subject = %record.subject, answer = %failed.text,
                    "API rejects the evidence; sending the report without it"
                );
                self.notify(&record.body, None).await
            }
            answer => answer,
        }
    }

    async fn warm(&self) -> Result<(), CallFailure> {
        self.login().await.map(|_| ())
    }

    fn skew_seconds(&self) -> Option<i64> {
        self.skew_seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers R18.
    #[test]
    fn only_evidence_that_is_not_understood_is_left_out() {
        let cases = [
            (Class::Rejected, "400: X-Tachi-Fence-Evidence: unknown kind", true),
            (
                Class::Rejected,
                "400: Host with name x could not be found.",
                false,
            ),
            (Class::Unreachable, "503: evidence", false),
        ];
        for (class, text, expected) in cases {
            let failed = CallFailure::new(class, text);
            assert_eq!(is_about_evidence(&failed), expected, "{text}");
        }
    }
}
