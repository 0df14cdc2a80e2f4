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

/// True if the evidence may be why the API rejects a report. A report without it is better than one that causes no recovery. If the
/// reason is another one, the API rejects the second request, too, and its answer counts.
fn may_be_about_evidence(failed: &CallFailure) -> bool {
    failed.class == Class::Rejected
}

#[async_trait]
impl Post for Client {
    async fn post(&self, record: &Record) -> Result<Answer, CallFailure> {
        let answer = self.notify(&record.body, record.header.as_deref()).await;
        match answer {
            Err(failed) if record.header.is_some() && may_be_about_evidence(&failed) => {
                tracing::warn!(
                    subject = %record.subject, answer = %failed.text,
                    "API rejects a report with evidence; sending it without"
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
    fn evidence_is_left_out_of_a_report_that_is_rejected_whatever_the_answer_says() {
        let cases = [
            (Class::Rejected, "400: X-Tachi-Fence-Evidence: unknown kind", true),
            (Class::Rejected, "400: the header is not understood", true),
            (Class::Unreachable, "503: evidence", false),
            (Class::Barred, "403: evidence", false),
            (Class::Busy, "429: evidence", false),
            (Class::Broken, "500: evidence", false),
        ];
        for (class, text, expected) in cases {
            let failed = CallFailure::new(class, text);
            assert_eq!(may_be_about_evidence(&failed), expected, "{text}");
        }
    }
}
