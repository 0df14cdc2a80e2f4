//! Hooks: the adapter behind [`tachi_engine::ports::Hooks`]. It runs the programs and posts to the web addresses that
//! operators have configured as steps of a recovery. The domain decides when and how often, and what follows from the
//! result.
//!
//! ```text
//! tachi (binary) -> tachi-hooks -> engine -> domain
//! ```
//!
//! A program runs without a shell, in its own process group and environment, under `timeout`, so that it ends even if
//! the engine is killed. An address receives a POST, over verified TLS if it is `https`, and redirects are not
//! followed.

#![warn(missing_docs, clippy::missing_errors_doc)]

mod exec;
mod precheck;
mod settings;
mod text;
mod web;

pub use precheck::precheck;
pub use settings::{HookSettings, flows};

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use tachi_domain::hooks::{HookOutcome, HookTarget, HookVerdict};
use tachi_engine::ports::Hooks;
use tachi_engine::ports::hooks::HookRun;
use tokio::sync::Semaphore;

/// Limit of concurrent hooks in one engine: each may be a process.
const MAX_CONCURRENT: usize = 64;

/// An error in setting up hooks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The file with certificate authorities cannot be read.
    #[error("reading the certificate authorities of hooks from {}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The file contains no usable certificate.
    #[error("the certificate authorities of hooks in {} cannot be used", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The TLS library's error; `None` if the file contains no certificate.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// The HTTP client could not be set up.
    #[error("setting up the HTTP client of hooks")]
    Client(#[source] reqwest::Error),
}

/// Runs hooks.
#[derive(Debug)]
pub struct Runner {
    web: web::Web,
    permits: Semaphore,
}

impl Runner {
    /// Creates a runner that trusts the system's certificate authorities and those in `ca_file`.
    ///
    /// # Errors
    ///
    /// The file cannot be used.
    pub fn new(ca_file: Option<PathBuf>) -> Result<Self, SetupError> {
        Ok(Self {
            web: web::Web::new(ca_file)?,
            permits: Semaphore::new(MAX_CONCURRENT),
        })
    }

    #[cfg(test)]
    fn with_permits(permits: usize) -> Self {
        Self {
            permits: Semaphore::new(permits),
            ..Self::new(None).unwrap()
        }
    }
}

#[async_trait]
impl Hooks for Runner {
    #[tracing::instrument(name = "hooks::run", skip_all, fields(hook = %run.hook.name(), key = %run.key))]
    async fn run(&self, run: HookRun) -> Option<HookOutcome> {
        let Ok(_permit) = self.permits.try_acquire() else {
            tracing::warn!(
                limit = MAX_CONCURRENT,
                "hook not started: too many hooks are running"
            );
            return None;
        };
        tracing::debug!("starting hook");
        let outcome = match &run.hook.target {
            HookTarget::Exec { program, args } => exec::run(program, args, &run).await,
            HookTarget::Http { url, token_file } => self.web.run(url, token_file.as_deref(), &run).await,
        };
        tracing::debug!(verdict = ?outcome.verdict, text = outcome.text, "hook finished");
        Some(outcome)
    }
}

fn failed(text: String) -> HookOutcome {
    HookOutcome {
        verdict: HookVerdict::Failed,
        text,
    }
}

#[cfg(test)]
mod tests;
