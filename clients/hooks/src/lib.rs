//! Hooks: the adapter behind [`tachi_engine::ports::Hooks`]. It runs programs and asks web addresses that operators have
//! put into the way of a recovery; when, how often, and what follows from the answer is decided in the domain.
//!
//! ```text
//! tachi (binary) -> tachi-hooks -> engine -> domain
//! ```
//!
//! A program is run without a shell, in a process group and an environment of its own, under `timeout`, so that it ends even
//! if the engine is killed. An address is asked by POST, over verified TLS where it says `https`, and never redirected.

mod doubt;
mod exec;
mod text;
mod web;

pub use doubt::doubt;

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use tachi_domain::hooks::{HookOutcome, HookTarget, HookVerdict};
use tachi_engine::ports::Hooks;
use tachi_engine::ports::hooks::HookRun;
use tokio::sync::Semaphore;

/// How many hooks run at once in one engine: each may be a process.
const AT_ONCE: usize = 64;

/// Why hooks cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The file with certificate authorities.
    #[error("reading the certificate authorities of hooks from {}", path.display())]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It holds no certificate that can be used.
    #[error("the certificate authorities of hooks in {} cannot be used", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What the TLS library said; `None` if there is no certificate in it at all.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// The HTTP client.
    #[error("setting up the HTTP client of hooks")]
    Client(#[source] reqwest::Error),
}

/// Runs hooks.
#[derive(Debug)]
pub struct Runner {
    web: web::Web,
    places: Semaphore,
}

impl Runner {
    /// A runner that trusts the system's certificate authorities and those in `ca_file`.
    ///
    /// # Errors
    ///
    /// The file cannot be used.
    pub fn new(ca_file: Option<PathBuf>) -> Result<Self, SetupError> {
        Ok(Self {
            web: web::Web::new(ca_file)?,
            places: Semaphore::new(AT_ONCE),
        })
    }

    #[cfg(test)]
    fn with_places(places: usize) -> Self {
        Self {
            places: Semaphore::new(places),
            ..Self::new(None).unwrap()
        }
    }
}

#[async_trait]
impl Hooks for Runner {
    #[tracing::instrument(name = "hooks::run", skip_all, fields(hook = %run.hook.name(), key = %run.key))]
    async fn run(&self, run: HookRun) -> Option<HookOutcome> {
        let Ok(_place) = self.places.try_acquire() else {
            tracing::warn!("not begun: {AT_ONCE} hooks are running already");
            return None;
        };
        tracing::debug!("hook begins");
        let outcome = match &run.hook.target {
            HookTarget::Exec { program, args } => exec::run(program, args, &run).await,
            HookTarget::Http { url, token_file } => self.web.run(url, token_file.as_deref(), &run).await,
        };
        tracing::debug!(verdict = ?outcome.verdict, "hook ended: {}", outcome.text);
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
