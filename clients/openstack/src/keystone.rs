//! The token: got once, renewed before it ends and when it was refused, by one task at a time.
//!
//! A renewal that others wait for is shared with them, failures too: forty calls that find a revoked token cause one
//! request, and forty calls with a wrong password do not lock the account.

pub(crate) mod admin;
mod catalog;
mod login;
pub(crate) mod plugin;
mod request;
mod token;
pub(crate) mod validate;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use reqwest::{Client, Url};
use tachi_domain::fault::{Fault, FaultClass};
use tachi_engine::ports::{CallError, Clock};

pub(crate) use plugin::Plugin;

use crate::options::{CatalogInfo, Credentials, Options};
use crate::session::SetupError;
use token::Token;

/// Longest time a call may spend on renewing a token that is still good.
const EARLY_RENEWAL_LIMIT: Duration = Duration::from_secs(5);

/// How long an early renewal that failed is not tried again.
const EARLY_RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// How long credentials that Keystone refused are not shown to it again: accounts are locked for less.
const REFUSAL_PAUSE: Duration = Duration::from_secs(5);

/// Which token a caller can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Renews a token that will end soon.
    Fresh,
    /// Takes any token that is still good, to lose no time (R4).
    Quick,
}

/// Keystone, seen from one user.
pub(crate) struct Keystone {
    client: Client,
    /// With `/v3` and without a slash at the end.
    base: Url,
    credentials: Credentials,
    compute: CatalogInfo,
    clock: Arc<dyn Clock>,
    current: Mutex<Option<Arc<Token>>>,
    renewal: tokio::sync::Mutex<Renewal>,
    /// Renewals that ended, so that a waiter can tell whether one ended while it waited.
    renewals: AtomicU64,
}

#[derive(Default)]
struct Renewal {
    failure: Option<Fault>,
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
    pub(crate) fn new(options: &Options, client: Client, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        Ok(Self {
            client,
            base: base_url(&options.auth_url)?,
            credentials: options.credentials.clone(),
            compute: options.compute.clone(),
            clock,
            current: Mutex::new(None),
            renewal: tokio::sync::Mutex::default(),
            renewals: AtomicU64::new(0),
        })
    }

    /// A token that is good for at least the next seconds.
    pub(crate) async fn token(&self, need: Need) -> Result<Arc<Token>, CallError> {
        let now = self.clock.boot();
        let Some(token) = self.current() else {
            return self.renew(None).await;
        };
        if !token.is_good(now) {
            return self.renew(Some(&token.value)).await;
        }
        if need == Need::Fresh && token.ends_soon(now) {
            return Ok(self.renew_early(token).await);
        }
        Ok(token)
    }

    /// A token other than `refused`, which a service did not accept.
    pub(crate) async fn replace(&self, refused: &HeaderValue) -> Result<Arc<Token>, CallError> {
        self.renew(Some(refused)).await
    }

    fn current(&self) -> Option<Arc<Token>> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Cancel safe: a renewal that is dropped half way has not happened.
    async fn renew(&self, stale: Option<&HeaderValue>) -> Result<Arc<Token>, CallError> {
        let seen = self.renewals.load(Ordering::SeqCst);
        let mut renewal = self.renewal.lock().await;
        if let Some(token) = self.current()
            && stale != Some(&token.value)
        {
            return Ok(token);
        }
        let shared = self.renewals.load(Ordering::SeqCst) != seen || self.clock.boot() < renewal.not_before;
        if shared && let Some(fault) = renewal.failure.clone() {
            return Err(CallError { fault, source: None });
        }
        self.fetch(&mut renewal).await
    }

    /// Renews a token that is still good, unless somebody is about it; Keystone being down is no reason to fail.
    async fn renew_early(&self, token: Arc<Token>) -> Arc<Token> {
        let Ok(mut renewal) = self.renewal.try_lock() else {
            return token;
        };
        if self.clock.boot() < renewal.not_early_before {
            return token;
        }
        let outcome = tokio::time::timeout(EARLY_RENEWAL_LIMIT, self.fetch(&mut renewal)).await;
        let reason = match outcome {
            Ok(Ok(new)) => return new,
            Ok(Err(error)) => error.fault.text,
            Err(_) => format!("no answer within {} s", EARLY_RENEWAL_LIMIT.as_secs()),
        };
        renewal.not_early_before = self.clock.boot() + EARLY_RENEWAL_PAUSE;
        tracing::warn!(%reason, "the token ends soon and could not be renewed; using it as long as it lasts");
        token
    }

    async fn fetch(&self, renewal: &mut Renewal) -> Result<Arc<Token>, CallError> {
        let generation = self.renewals.load(Ordering::SeqCst) + 1;
        let outcome = request::fetch(
            &self.client,
            &self.base,
            &self.credentials,
            self.clock.as_ref(),
            generation,
        )
        .await;
        self.renewals.store(generation, Ordering::SeqCst);
        match outcome {
            Ok(token) => {
                let token = Arc::new(token);
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&token));
                renewal.failure = None;
                Ok(token)
            }
            Err(error) => {
                if error.fault.class == FaultClass::Fatal {
                    renewal.not_before = self.clock.boot() + REFUSAL_PAUSE;
                }
                renewal.failure = Some(error.fault.clone());
                Err(error)
            }
        }
    }
}

/// `https://host/identity`, with or without `/v3` and slashes, to `https://host/identity/v3`.
fn base_url(text: &str) -> Result<Url, SetupError> {
    let wrong = |why: String| SetupError::AuthUrl {
        url: without_userinfo(text),
        why,
    };
    let mut url = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("not an http or https address".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("credentials do not belong into the address".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("an address has no query and no fragment".to_owned()));
    }
    let mut segments: Vec<String> = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|segment| !segment.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    match segments.last().map(String::as_str) {
        Some("v3") => {}
        Some("v2.0") => return Err(wrong("Keystone's v2.0 API does not exist any more".to_owned())),
        _ => segments.push("v3".to_owned()),
    }
    url.set_path(&segments.join("/"));
    Ok(url)
}

fn without_userinfo(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://***{}", &text[..scheme], &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_urls_are_brought_to_one_form() {
        let cases = [
            ("http://k:5000", Some("http://k:5000/v3")),
            ("http://k:5000/", Some("http://k:5000/v3")),
            ("http://k:5000/v3", Some("http://k:5000/v3")),
            ("http://k:5000/v3/", Some("http://k:5000/v3")),
            ("https://k/identity", Some("https://k/identity/v3")),
            ("https://k/identity//v3//", Some("https://k/identity/v3")),
            ("http://k:5000/v2.0", None),
            ("k:5000", None),
            ("ftp://k/v3", None),
            ("http://user:pw@k/v3", None),
            ("http://k/v3?x=1", None),
            ("", None),
        ];
        for (given, want) in cases {
            assert_eq!(base_url(given).ok().as_ref().map(Url::as_str), want, "{given:?}");
        }
        let error = base_url("http://user:hunter2@k/v3").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
