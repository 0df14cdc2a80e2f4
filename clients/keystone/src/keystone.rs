//! The token: fetched once, renewed before it expires and after a refusal, by one task at a time.
//!
//! Concurrent callers share a renewal, including its failure: forty calls with a revoked token cause one request, and
//! forty calls with a wrong password do not lock the account.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, Url};

use crate::address::base_url;
use crate::credentials::Credentials;
use crate::failure::{Failure, SetupError};
use crate::options::Options;
use crate::request;
use crate::token::Token;

/// Longest time that a call may spend on renewing a token that is still valid.
const EARLY_RENEWAL_LIMIT: Duration = Duration::from_secs(5);

/// Pause after a failed early renewal.
const EARLY_RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// Pause after Keystone refused the credentials. More frequent attempts may lock the account.
const REFUSAL_PAUSE: Duration = Duration::from_secs(5);

/// The freshness of the token that a caller needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Renews a token that expires soon.
    Fresh,
    /// Accepts any valid token, to lose no time.
    Quick,
}

/// A client of Keystone for one user.
pub struct Keystone {
    client: Client,
    /// With `/v3`, without a trailing slash.
    base: Url,
    credentials: Credentials,
    /// A monotonic clock.
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    /// Returns the id of the work that a request is part of.
    request_id: fn() -> Option<String>,
    current: Mutex<Option<Arc<Token>>>,
    renewal: tokio::sync::Mutex<Renewal>,
    /// Counts finished renewals, so that a waiter can see whether one finished while it waited.
    renewals: AtomicU64,
}

#[derive(Default)]
struct Renewal {
    failure: Option<Failure>,
    not_before: Duration,
    not_early_before: Duration,
}

impl std::fmt::Debug for Keystone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keystone")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

impl Keystone {
    /// Creates a client without sending a request. `clock` must be monotonic; `request_id` names the work that a
    /// request is part of.
    ///
    /// # Errors
    ///
    /// The address is invalid.
    pub fn new(
        options: &Options,
        client: Client,
        clock: impl Fn() -> Duration + Send + Sync + 'static,
        request_id: fn() -> Option<String>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            client,
            base: base_url(&options.auth_url)?,
            credentials: options.credentials.clone(),
            clock: Box::new(clock),
            request_id,
            current: Mutex::new(None),
            renewal: tokio::sync::Mutex::default(),
            renewals: AtomicU64::new(0),
        })
    }

    /// Returns Keystone's address, with `/v3`.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Returns a token that is valid for at least the next few seconds.
    ///
    /// # Errors
    ///
    /// No valid token is left, and Keystone returned no other.
    pub async fn token(&self, need: Need) -> Result<Arc<Token>, Failure> {
        let now = (self.clock)();
        let Some(token) = self.current() else {
            return self.renew(None).await;
        };
        if !token.is_valid(now) {
            return self.renew(Some(&token.value)).await;
        }
        if need == Need::Fresh && token.expires_soon(now) {
            return Ok(self.renew_early(token).await);
        }
        Ok(token)
    }

    /// Returns a token other than `refused`, which a service did not accept.
    ///
    /// # Errors
    ///
    /// Keystone returned none.
    pub async fn replace(&self, refused: &HeaderValue) -> Result<Arc<Token>, Failure> {
        self.renew(Some(refused)).await
    }

    /// Drops a token that no service has refused: the next call requests another.
    pub fn discard(&self, token: &HeaderValue) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.take_if(|known| known.value == *token);
    }

    fn current(&self) -> Option<Arc<Token>> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Cancel safe: a renewal that is dropped half-way leaves no trace.
    async fn renew(&self, stale: Option<&HeaderValue>) -> Result<Arc<Token>, Failure> {
        let renewals_before = self.renewals.load(Ordering::SeqCst);
        let mut renewal = self.renewal.lock().await;
        if let Some(token) = self.current()
            && stale != Some(&token.value)
        {
            return Ok(token);
        }
        let shared =
            self.renewals.load(Ordering::SeqCst) != renewals_before || (self.clock)() < renewal.not_before;
        if shared && let Some(failure) = renewal.failure.as_ref().map(Failure::shared) {
            return Err(failure);
        }
        self.fetch(&mut renewal).await
    }

    /// Renews a token that is still valid, unless a renewal is running. An unreachable Keystone is not an error here.
    async fn renew_early(&self, token: Arc<Token>) -> Arc<Token> {
        let Ok(mut renewal) = self.renewal.try_lock() else {
            return token;
        };
        if (self.clock)() < renewal.not_early_before {
            return token;
        }
        let outcome = tokio::time::timeout(EARLY_RENEWAL_LIMIT, self.fetch(&mut renewal)).await;
        let reason = match outcome {
            Ok(Ok(new)) => return new,
            Ok(Err(failure)) => failure.text,
            Err(_) => format!("no answer within {} s", EARLY_RENEWAL_LIMIT.as_secs()),
        };
        renewal.not_early_before = (self.clock)() + EARLY_RENEWAL_PAUSE;
        tracing::warn!(%reason, "failed to renew the token early; using it until it expires");
        token
    }

    async fn fetch(&self, renewal: &mut Renewal) -> Result<Arc<Token>, Failure> {
        let generation = self.renewals.load(Ordering::SeqCst) + 1;
        let outcome = self.ask(&self.credentials, generation).await;
        self.renewals.store(generation, Ordering::SeqCst);
        match outcome {
            Ok(token) => {
                let token = Arc::new(token);
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&token));
                renewal.failure = None;
                Ok(token)
            }
            Err(failure) => {
                if failure.is_permanent() {
                    renewal.not_before = (self.clock)() + REFUSAL_PAUSE;
                }
                renewal.failure = Some(failure.shared());
                Err(failure)
            }
        }
    }

    /// Requests a token for these credentials, without caching it.
    ///
    /// # Errors
    ///
    /// Keystone returned none.
    pub async fn log_in(&self, credentials: &Credentials) -> Result<Token, Failure> {
        self.ask(credentials, 0).await
    }

    async fn ask(&self, credentials: &Credentials, generation: u64) -> Result<Token, Failure> {
        let received_at = (self.clock)();
        request::fetch(
            &self.client,
            &self.base,
            credentials,
            received_at,
            generation,
            (self.request_id)(),
        )
        .await
    }
}
