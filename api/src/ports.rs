//! What the API needs from the outside, in its own words.

use std::sync::Arc;

use async_trait::async_trait;
use tachi_engine::ports::{
    AuditSink, CallError, Clock, Freezes, JournalError, Monitors, OperatorDesk, Plans, Poke, Registry,
};
use tachi_operator::{AuditView, AuditWish, FromNovaView, JobView, ReturnView, Seen};

use crate::auth::Identity;
use crate::metrics;
use crate::refusals::RefusalCounter;

/// Whoever issues tokens could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("validating a token")]
pub struct Unavailable {
    /// What went wrong.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Says whose a token is.
#[async_trait]
pub trait TokenValidator: Send + Sync {
    /// The identity behind `token`; `None` if it is unknown, expired or revoked. Has a deadline of its own. The answer
    /// is cached in front of this, so every call may go to Keystone.
    ///
    /// # Errors
    ///
    /// Keystone cannot be reached, fails, or does not accept our own credentials.
    async fn validate(&self, token: &str) -> Result<Option<Identity>, Unavailable>;

    /// As [`TokenValidator::validate`], for a request that a service passes on: a token that has ended not long ago is
    /// good as well, if whoever issues tokens allows that.
    ///
    /// # Errors
    ///
    /// As for [`TokenValidator::validate`].
    async fn validate_ended(&self, token: &str) -> Result<Option<Identity>, Unavailable>;
}

/// What somebody logs in with. The names are Keystone's.
pub enum LoginWith {
    /// A password, for a token of a project.
    Password {
        /// The user.
        user: String,
        /// The name of the user's domain.
        user_domain: String,
        /// The password.
        password: String,
        /// The project.
        project: String,
        /// The name of the project's domain.
        project_domain: String,
    },
    /// An application credential.
    ApplicationCredential {
        /// Its id.
        id: String,
        /// Its secret.
        secret: String,
    },
}

/// Gets tokens for people.
#[async_trait]
pub trait Login: Send + Sync {
    /// A token; `None` if Keystone does not accept what they have typed. Has a deadline of its own.
    ///
    /// # Errors
    ///
    /// Keystone cannot be reached, or fails.
    async fn log_in(&self, with: LoginWith) -> Result<Option<String>, Unavailable>;
}

/// A validator whose answers are counted.
pub(crate) struct Measured(pub(crate) Arc<dyn TokenValidator>);

#[async_trait]
impl TokenValidator for Measured {
    async fn validate(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        let began = tokio::time::Instant::now();
        counted(began, self.0.validate(token).await)
    }

    async fn validate_ended(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        let began = tokio::time::Instant::now();
        counted(began, self.0.validate_ended(token).await)
    }
}

fn counted(
    began: tokio::time::Instant,
    answer: Result<Option<Identity>, Unavailable>,
) -> Result<Option<Identity>, Unavailable> {
    let outcome = match &answer {
        Ok(Some(_)) => "valid",
        Ok(None) => "invalid",
        Err(_) => "failed",
    };
    metrics::token_validated(outcome, began.elapsed());
    answer
}

/// Knows the compute hosts.
#[async_trait]
pub trait ComputeHosts: Send + Sync {
    /// Whether Nova has a `nova-compute` service on exactly the host `name`, whatever state it is in. Has a deadline
    /// of its own.
    ///
    /// # Errors
    ///
    /// Nova or Keystone failed.
    async fn exists(&self, name: &str) -> Result<bool, CallError>;
}

/// Knows how the region is, from the database alone.
#[async_trait]
pub trait Lookout: Send + Sync {
    /// Everything at this moment. May be a second old: whoever asks often is told the same again.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn look(&self) -> Result<Arc<Seen>, JournalError>;

    /// What engines do by the clock, and what came of it. May be a second old, too.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn schedule(&self) -> Result<Vec<JobView>, JournalError>;
}

/// Why a controller gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unasked {
    /// There is nothing of that name.
    #[error("{0}")]
    Unknown(String),
    /// What is known, or the configuration, stands against it.
    #[error("{0}")]
    Refused(String),
    /// No page ends there.
    #[error("{0:?} is no marker")]
    Marker(String),
    /// Somebody who was asked does not answer.
    #[error("{what}")]
    Away {
        /// Who.
        service: &'static str,
        /// What was asked.
        what: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What the process knows beside the database: Nova as it is now, and the files of its machine. Nothing is changed by any of it.
#[async_trait]
pub trait Controller: Send + Sync {
    /// Lines of the audit logs of this machine, newest first.
    ///
    /// # Errors
    ///
    /// The marker is none, or the logs could not be read.
    async fn audit(&self, wish: AuditWish) -> Result<AuditView, Unasked>;

    /// What speaks for and against putting a host, by its name or id, to work again.
    ///
    /// # Errors
    ///
    /// No host is called so, or several are; or the database failed. What Nova does not answer is part of what is told.
    async fn host_return(&self, host: &str) -> Result<ReturnView, Unasked>;

    /// Which segments and hosts would be made of what Nova has, by its `zone`s or `aggregate`s, or by the `rack`s of the configuration;
    /// `default_zone` is that of hosts that no aggregate puts into one.
    ///
    /// # Errors
    ///
    /// Nova has no hosts, nothing says which host is in which rack, or Nova or the database failed.
    async fn proposal(&self, by: &str, default_zone: Option<&str>) -> Result<FromNovaView, Unasked>;
}

/// Everything the API talks to, except the token validator, which is part of [`Auth`](crate::Auth).
#[derive(Clone)]
pub struct Ports {
    /// Where everything is kept.
    pub registry: Arc<dyn Registry>,
    /// Wakes the engines after an accepted notification.
    pub poke: Arc<dyn Poke>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Checks the names of hosts.
    pub compute_hosts: Arc<dyn ComputeHosts>,
    /// What operators are told.
    pub lookout: Arc<dyn Lookout>,
    /// What they can see and say of recoveries.
    pub desk: Arc<dyn OperatorDesk>,
    /// What they have frozen.
    pub freezes: Arc<dyn Freezes>,
    /// Where what people plan for living hosts is written.
    pub plans: Arc<dyn Plans>,
    /// Where it is written down who said what, before it is said.
    pub audit: Arc<dyn AuditSink>,
    /// Where monitors sign.
    pub monitors: Arc<dyn Monitors>,
    /// What is not in the database.
    pub controller: Arc<dyn Controller>,
    /// Counts reports that are not accepted. Whoever made it has it write the last ones.
    pub refusals: RefusalCounter,
}
