//! Who takes reports.

use async_trait::async_trait;
use tachi_instance_ha::{Answer, Client, Failed};
use tachi_spool::Record;

/// Takes reports.
#[async_trait]
pub(crate) trait Post: Send + Sync {
    /// Takes one.
    async fn post(&self, record: &Record) -> Result<Answer, Failed>;
    /// Makes sure that the next one need not wait.
    async fn warm(&self) -> Result<(), Failed>;
    /// Its clock minus ours, in seconds.
    fn skew_seconds(&self) -> Option<i64>;
}

#[async_trait]
impl Post for Client {
    async fn post(&self, record: &Record) -> Result<Answer, Failed> {
        self.notify(&record.body, record.header.as_deref()).await
    }

    async fn warm(&self) -> Result<(), Failed> {
        self.login().await.map(|_| ())
    }

    fn skew_seconds(&self) -> Option<i64> {
        self.skew_seconds()
    }
}
