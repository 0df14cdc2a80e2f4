//! Keystone for one user: an adapter from `tachi-keystone` to the engine's types.

pub(crate) mod admin;
mod login;
pub(crate) mod plugin;
pub(crate) mod validate;

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use reqwest::Client;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_engine::ports::{CallError, Clock};
use tachi_keystone::{CatalogError, Cause, Failure, Need, Region, Token};

pub(crate) use plugin::Plugin;

use crate::fault::{self, Details, Effect, ErrorScope};
use crate::options::{CatalogInfo, Options};
use crate::session::SetupError;

/// A client of Keystone for one user.
pub(crate) struct Keystone {
    #[expect(clippy::struct_field_names, reason = "the other crate's type of this name")]
    keystone: tachi_keystone::Keystone,
    compute: CatalogInfo,
    region: Region,
    region_option: &'static str,
}

impl std::fmt::Debug for Keystone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.keystone.fmt(f)
    }
}

impl Keystone {
    pub(crate) fn new(options: &Options, client: Client, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let request_id = || Some(format!("req-{}", uuid::Uuid::new_v4()));
        Ok(Self {
            keystone: tachi_keystone::Keystone::new(
                &options.keystone,
                client,
                move || clock.boot(),
                request_id,
            )?,
            compute: options.compute.clone(),
            region: options.keystone.region.clone(),
            region_option: options.keystone.region_option,
        })
    }

    /// Returns a token that is valid for at least the next few seconds. [`Need::Quick`] loses no time.
    pub(crate) async fn token(&self, need: Need) -> Result<Arc<Token>, CallError> {
        self.keystone.token(need).await.map_err(failed)
    }

    /// Returns the reason if the catalogue is ambiguous about a service that is used, as far as Keystone responds.
    pub(crate) async fn ambiguity(&self) -> Option<String> {
        let token = self.token(Need::Quick).await.ok()?;
        let found = [self.nova(&token.catalog), self.placement(&token.catalog)];
        found.into_iter().find_map(|found| match found {
            Err(CatalogError::Ambiguous(text)) => Some(text),
            Ok(_) | Err(CatalogError::Missing(_) | CatalogError::Unusable(_)) => None,
        })
    }

    /// Returns a token other than `refused`, which a service did not accept.
    pub(crate) async fn replace(&self, refused: &HeaderValue) -> Result<Arc<Token>, CallError> {
        self.keystone.replace(refused).await.map_err(failed)
    }
}

fn failed(failure: Failure) -> CallError {
    let Failure {
        cause,
        text,
        request_id,
        source,
    } = failure;
    match cause {
        Cause::Unanswered { malformed, .. } => CallError {
            fault: Fault {
                class: if malformed {
                    FaultClass::Permanent
                } else {
                    FaultClass::Transient
                },
                status: None,
                maybe_done: false,
                text: format!("{} failed: {text}", Failure::REQUEST_LINE),
            },
            source: source.map(|source| Box::new(source) as Box<_>),
        },
        Cause::Refused(status) => refused(status, text, request_id),
        Cause::Malformed(status) => {
            fault::malformed(Failure::REQUEST_LINE, Some(status.as_u16()), false, &text)
        }
    }
}

fn refused(status: StatusCode, message: String, request_id: Option<String>) -> CallError {
    let details = Details {
        message,
        request_id,
        ..Details::default()
    };
    let mut error = fault::refusal(
        Failure::REQUEST_LINE,
        status,
        Effect::Read,
        ErrorScope::Service,
        &details,
    );
    // Keystone will refuse a wrong token request the next time, too.
    if status.is_client_error() && error.fault.class != FaultClass::Transient {
        error.fault.class = FaultClass::Fatal;
    }
    if status == StatusCode::UNAUTHORIZED {
        let text = error.fault.text.trim_end_matches('.');
        error.fault.text = format!("{text}; check user, password, project and domains");
    }
    error
}
