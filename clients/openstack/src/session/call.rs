//! A request before it is sent.

use std::time::Duration;

use http::{HeaderValue, Method};
use openstack::session::Session as OsSession;
use osauth::ApiVersion;
use reqwest::Url;
use serde_json::Value;

use crate::fault::{Effect, ErrorScope};
use crate::keystone::plugin::Service;

/// The path of a request, relative to the service's endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestPath<'a> {
    /// A path below the endpoint. Each segment is percent-encoded.
    Path(&'a [&'a str]),
    /// This many path segments above the endpoint (0: the endpoint itself), with a trailing slash.
    Above(usize),
}

impl std::fmt::Display for RequestPath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(segments) => segments.iter().try_for_each(|segment| write!(f, "/{segment}")),
            Self::Above(0) => f.write_str("/"),
            Self::Above(_) => f.write_str("/.."),
        }
    }
}

/// A request.
pub(crate) struct Call<'a> {
    pub(crate) service: Service,
    pub(crate) method: Method,
    pub(crate) place: RequestPath<'a>,
    pub(crate) query: &'a [(&'static str, String)],
    pub(crate) version: Option<ApiVersion>,
    /// A token to be validated.
    pub(crate) subject: Option<HeaderValue>,
    pub(crate) body: Option<Value>,
    pub(crate) effect: Effect,
    pub(crate) about: ErrorScope,
    /// The time (boot clock) at which the caller started. A write is sent soon after it or not at all.
    pub(crate) started_at: Duration,
}

impl<'a> Call<'a> {
    /// Returns a read without deadline.
    pub(crate) fn read(
        service: Service,
        path: &'a [&'a str],
        query: &'a [(&'static str, String)],
        about: ErrorScope,
    ) -> Self {
        Self {
            service,
            method: Method::GET,
            place: RequestPath::Path(path),
            query,
            version: None,
            subject: None,
            body: None,
            effect: Effect::Read,
            about,
            started_at: Duration::ZERO,
        }
    }

    /// Returns service, method and path, for people.
    pub(super) fn line(&self) -> String {
        let query: Vec<String> = self
            .query
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let whole = format!(
            "{}: {} {}{mark}{}",
            self.service.name(),
            self.method,
            self.place,
            query.join("&")
        );
        tachi_text::one_line(&whole, &[])
    }

    /// Builds the address.
    pub(super) async fn url(&self, os: &OsSession) -> Result<Url, openstack::Error> {
        match self.place {
            RequestPath::Path(segments) => os.get_endpoint(self.service, segments).await,
            RequestPath::Above(up) => {
                let mut url = os.get_endpoint(self.service, [""]).await?;
                if let Ok(mut segments) = url.path_segments_mut() {
                    for _ in 0..up {
                        segments.pop_if_empty().pop().push("");
                    }
                }
                Ok(url)
            }
        }
    }
}
