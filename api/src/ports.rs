//! Ports: the interfaces that the API needs from its surroundings.

use std::sync::Arc;

use async_trait::async_trait;
use tachi_engine::ports::{
    AuditSink, CallError, Clock, Freezes, JournalError, Monitors, Notifier, OperatorJournal, Plans, Registry,
};
use tachi_operator::{AuditRequest, AuditView, FromNovaView, JobView, RegionSnapshot, ReturnView};

use crate::auth::Identity;
use crate::metrics;
use crate::refusals::RefusalCounter;

/// Keystone could not validate a token.
#[derive(Debug, thiserror::Error)]
#[error("validating a token")]
pub struct Unavailable {
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A validator of tokens.
#[async_trait]
pub trait TokenValidator: Send + Sync {
    /// Returns the identity behind `token`; `None` if the token is unknown, expired or revoked. Has a deadline of its own.
    /// A cache in front of this holds the answers, so every call may query Keystone.
    ///
    /// # Errors
    ///
    /// Keystone cannot be reached, fails, or refuses Tachi's own credentials.
    async fn validate(&self, token: &str) -> Result<Option<Identity>, Unavailable>;

    /// Does the same as [`TokenValidator::validate`] for a request that a service forwards. A recently expired token counts
    /// as valid too, if Keystone allows that.
    ///
    /// # Errors
    ///
    /// The same errors as [`TokenValidator::validate`].
    async fn validate_expired(&self, token: &str) -> Result<Option<Identity>, Unavailable>;
}

/// Credentials for a login. The names are Keystone's.
pub enum LoginWith {
    /// A password, for a token with project scope.
    Password {
        /// The name of the user.
        user: String,
        /// The name of the user's domain.
        user_domain: String,
        password: String,
        /// The name of the project.
        project: String,
        /// The name of the project's domain.
        project_domain: String,
    },
    /// An application credential.
    ApplicationCredential { id: String, secret: String },
}

/// A login for users of the board.
#[async_trait]
pub trait Login: Send + Sync {
    /// Returns a token; `None` if Keystone refuses the credentials. Has a deadline of its own.
    ///
    /// # Errors
    ///
    /// Keystone cannot be reached, or fails.
    async fn log_in(&self, with: LoginWith) -> Result<Option<String>, Unavailable>;
}

/// A validator that counts the answers.
pub(crate) struct MeteredValidator(pub(crate) Arc<dyn TokenValidator>);

#[async_trait]
impl TokenValidator for MeteredValidator {
    async fn validate(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        let started_at = tokio::time::Instant::now();
        counted(started_at, self.0.validate(token).await)
    }

    async fn validate_expired(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        let started_at = tokio::time::Instant::now();
        counted(started_at, self.0.validate_expired(token).await)
    }
}

fn counted(
    started_at: tokio::time::Instant,
    answer: Result<Option<Identity>, Unavailable>,
) -> Result<Option<Identity>, Unavailable> {
    let outcome = match &answer {
        Ok(Some(_)) => "valid",
        Ok(None) => "invalid",
        Err(_) => "failed",
    };
    metrics::token_validated(outcome, started_at.elapsed());
    answer
}

/// A check of host names against Nova.
#[async_trait]
pub trait ComputeHosts: Send + Sync {
    /// True if Nova has a `nova-compute` service on exactly the host `name`, in any state. Has a deadline of its own.
    ///
    /// # Errors
    ///
    /// Nova or Keystone failed.
    async fn exists(&self, name: &str) -> Result<bool, CallError>;
}

/// A source of the region's state, from the database alone.
#[async_trait]
pub trait RegionService: Send + Sync {
    /// Returns the state of the region, with our own tables as read after the call: a caller sees its own last action.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn snapshot(&self) -> Result<Arc<RegionSnapshot>, JournalError>;

    /// Returns a state that may be one second old, for streams, which poll.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn cached_snapshot(&self) -> Result<Arc<RegionSnapshot>, JournalError> {
        self.snapshot().await
    }

    /// Returns the scheduled jobs of the engines with their results, as read after the call.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn schedule(&self) -> Result<Vec<JobView>, JournalError>;
}

/// A reason why a controller returns no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No object has this name.
    #[error("{0}")]
    Unknown(String),
    /// The current data or the configuration prevents an answer.
    #[error("{0}")]
    Refused(String),
    /// No page ends at this marker.
    #[error("{0:?} is not a marker")]
    Marker(String),
    /// Another service does not answer.
    #[error("{what}")]
    Unavailable {
        /// The name of the service.
        service: &'static str,
        /// The operation that failed.
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A source of data that is not in the database: Nova's current state and files of this machine. All methods are read-only.
#[async_trait]
pub trait Controller: Send + Sync {
    /// Returns lines of this machine's audit logs, newest first.
    ///
    /// # Errors
    ///
    /// The marker is invalid, or the logs could not be read.
    async fn audit(&self, request: AuditRequest) -> Result<AuditView, QueryError>;

    /// Returns the checks for returning a host, given by name or id, to service.
    ///
    /// # Errors
    ///
    /// No host or several hosts match, or the database failed. Missing answers of Nova are part of the result, not an error.
    async fn host_return(&self, host: &str) -> Result<ReturnView, QueryError>;

    /// Returns the segments and hosts that would be created from Nova's `zone`s or `aggregate`s, or from the `rack`s in the
    /// configuration. `default_zone` is the zone of hosts that no aggregate assigns to one.
    ///
    /// # Errors
    ///
    /// Nova has no hosts, no configuration assigns hosts to racks, or Nova or the database failed.
    async fn proposal(&self, by: &str, default_zone: Option<&str>) -> Result<FromNovaView, QueryError>;
}

/// Everything that the API depends on, except the token validator, which is part of [`Auth`](crate::Auth).
#[derive(Clone)]
pub struct Ports {
    /// Stores segments, hosts and notifications.
    pub registry: Arc<dyn Registry>,
    /// Wakes the engines after an accepted notification.
    pub notify: Arc<dyn Notifier>,
    /// The wall clock and the boot clock.
    pub clock: Arc<dyn Clock>,
    /// Checks host names in Nova.
    pub compute_hosts: Arc<dyn ComputeHosts>,
    /// Provides the state of the region.
    pub region: Arc<dyn RegionService>,
    /// Queries and actions on recoveries.
    pub operator_journal: Arc<dyn OperatorJournal>,
    pub freezes: Arc<dyn Freezes>,
    /// Stores drains and givebacks.
    pub plans: Arc<dyn Plans>,
    /// Stores the audit log. Every action is logged with its operator before it is stored.
    pub audit: Arc<dyn AuditSink>,
    /// Stores heartbeats of monitors.
    pub monitors: Arc<dyn Monitors>,
    /// Provides data that is not in the database.
    pub controller: Arc<dyn Controller>,
    /// Counts refused reports. The creator must make it write the last ones.
    pub refusals: RefusalCounter,
}
