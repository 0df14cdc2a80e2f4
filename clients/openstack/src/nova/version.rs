//! Negotiation of microversions.

use http::Method;
use osauth::ApiVersion;
use serde::Deserialize;
use tachi_domain::fault::FaultClass;
use tachi_engine::ports::CallError;
use tokio::sync::Mutex;

use crate::fault::{self, Effect, ErrorScope};
use crate::keystone::plugin::Service;
use crate::session::{Call, RequestPath, Session};

/// The microversions of one kind of call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feature {
    what: &'static str,
    oldest: ApiVersion,
    newest: ApiVersion,
}

impl Feature {
    pub(super) const SERVICES: Self = Self {
        what: "services",
        oldest: ApiVersion(2, 53),
        newest: ApiVersion(2, 69),
    };
    pub(super) const SERVERS: Self = Self {
        what: "servers",
        oldest: ApiVersion(2, 53),
        newest: ApiVersion(2, 73),
    };
    pub(super) const SERVERS_AND_IMAGES: Self = Self {
        what: "servers",
        oldest: ApiVersion(2, 53),
        newest: ApiVersion(2, 98),
    };
    pub(super) const MIGRATIONS: Self = Self {
        what: "migrations",
        oldest: ApiVersion(2, 59),
        newest: ApiVersion(2, 59),
    };
    pub(super) const AGGREGATES: Self = Self {
        what: "aggregates and hypervisors",
        oldest: ApiVersion(2, 53),
        newest: ApiVersion(2, 53),
    };
    pub(super) const SERVER_GROUPS: Self = Self {
        what: "server groups",
        oldest: ApiVersion(2, 53),
        newest: ApiVersion(2, 64),
    };
    pub(super) const HYPERVISORS: Self = Self {
        what: "hypervisors",
        oldest: ApiVersion(2, 53),
        newest: ApiVersion(2, 75),
    };
    pub(super) const EVACUATE: Self = Self {
        what: "evacuate",
        oldest: ApiVersion(2, 53),
        newest: ApiVersion(2, 94),
    };
    /// From 2.25 on Nova detects shared storage by itself, and from 2.65 on it can also abort queued migrations. From
    /// 2.30 on the scheduler checks a requested host, and no call here uses an earlier version.
    pub(super) const LIVE_MIGRATE: Self = Self {
        what: "live migrations",
        oldest: ApiVersion(2, 53),
        newest: ApiVersion(2, 68),
    };
    /// The first microversion that builds a server on a named host with the scheduler's checks.
    pub(super) const CANARIES: Self = Self {
        what: "canaries of a live drill",
        oldest: ApiVersion(2, 74),
        newest: ApiVersion(2, 74),
    };
    pub(super) const ACTIONS: Self = Self {
        what: "server actions",
        oldest: ApiVersion(2, 53),
        newest: ApiVersion(2, 53),
    };
}

/// The first microversion whose service list shows hosts of down cells.
pub(super) const DOWN_CELLS: ApiVersion = ApiVersion(2, 69);

/// The first microversion whose locks carry a reason.
pub(super) const LOCK_REASON: ApiVersion = ApiVersion(2, 73);

#[derive(Clone, Copy, Debug)]
struct Range {
    min: ApiVersion,
    max: ApiVersion,
}

/// The negotiated range of microversions, shared by all tasks.
#[derive(Debug, Default)]
pub(super) struct Versions {
    range: Mutex<Option<Range>>,
}

#[derive(Deserialize)]
struct Document {
    version: Offer,
}

#[derive(Deserialize)]
struct Offer {
    #[serde(default)]
    id: String,
    #[serde(default, rename = "version")]
    max: String,
    #[serde(default, rename = "min_version")]
    min: String,
}

impl Versions {
    /// Returns the microversion for a kind of call.
    pub(super) async fn microversion_for(
        &self,
        session: &Session,
        feature: Feature,
    ) -> Result<ApiVersion, CallError> {
        let range = self.range(session).await?;
        if range.max < feature.oldest || range.min > feature.newest {
            let text = format!(
                "nova offers microversions {} to {}, but {} need {} to {}",
                range.min, range.max, feature.what, feature.oldest, feature.newest
            );
            return Err(fault::unsent(FaultClass::Fatal, text));
        }
        Ok(feature.newest.min(range.max))
    }

    /// Discards the negotiated range.
    pub(super) async fn clear(&self) {
        *self.range.lock().await = None;
    }

    /// Returns the range, negotiating it if it is unknown. Cancel safe: a dropped negotiation has no effect.
    async fn range(&self, session: &Session) -> Result<Range, CallError> {
        let mut known = self.range.lock().await;
        if let Some(range) = *known {
            return Ok(range);
        }
        let range = negotiate(session).await?;
        tracing::info!(min = %range.min, max = %range.max, "negotiated Nova's microversions");
        *known = Some(range);
        Ok(range)
    }
}

async fn negotiate(session: &Session) -> Result<Range, CallError> {
    // In catalogues of old deployments the endpoint ends with the project's id, so the document is one level up.
    match ask(session, 0).await {
        Err(error) if error.fault.status == Some(404) => ask(session, 1).await,
        outcome => outcome,
    }
}

async fn ask(session: &Session, up: usize) -> Result<Range, CallError> {
    let answer = session
        .call(&Call {
            service: Service::Compute,
            method: Method::GET,
            place: RequestPath::Above(up),
            query: &[],
            version: None,
            subject: None,
            body: None,
            effect: Effect::Read,
            about: ErrorScope::Service,
            started_at: session.now(),
        })
        .await?;
    let value: serde_json::Value = answer.json()?;
    if value.get("versions").is_some() {
        let text = "the address of nova's endpoint has no version; it must end in /v2.1".to_owned();
        return Err(fault::unsent(FaultClass::Fatal, text));
    }
    let document: Document =
        serde_json::from_value(value).map_err(|error| answer.malformed(&error.to_string()))?;
    let Offer { id, max, min } = document.version;
    if let (Ok(min), Ok(max)) = (min.parse(), max.parse()) {
        return Ok(Range { min, max });
    }
    let text =
        format!("nova's endpoint has version {id:?}, which has no microversions; use the v2.1 endpoint");
    Err(fault::unsent(FaultClass::Fatal, text))
}
