//! `/monitors/{host}/{kind}`: heartbeats of monitors.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::IntoResponse as _;
use http::HeaderValue;
use tachi_domain::monitor::MonitorKind;

use crate::error::ApiError;
use crate::evidence;
use crate::extract::{Answer, AuthorisedRequest, Ids};
use crate::monitor_heartbeats::RejectedHeartbeat;
use crate::reply;
use crate::state::ApiState;
use crate::types::heartbeat::NewHeartbeat;

/// The header with the hosts that have lost planes and that Nova shows down.
const DOWN_IN_NOVA: &str = "x-tachi-down-in-nova";

/// Limit of that header, in bytes: proxies accept a few kilobytes. Hosts beyond it are listed after earlier ones have
/// been reported.
const MAX_DOWN_BYTES: usize = 6_000;

/// Accepts a heartbeat. It is written within one or two seconds, in a batch with those of other monitors.
pub(crate) async fn heartbeat(
    State(app): State<ApiState>,
    Ids((host, kind)): Ids<(String, String)>,
    AuthorisedRequest { caller, body, .. }: AuthorisedRequest<NewHeartbeat>,
) -> Answer {
    let kind = kind_of(&kind)?;
    let is_admitted = || app.policy.allows(evidence::RULE, &caller);
    let reporter = caller.reporter();
    app.binding
        .options
        .check_heartbeat(&reporter, is_admitted, &host)
        .map_err(|why| ApiError::NotYours {
            message: format!("This caller may not send heartbeats for monitors of {host}: {why}."),
        })?;
    let bound = app.binding.options.host_of(&reporter).as_deref() == Some(host.as_str());
    let heartbeat = body.of(host.clone(), kind, bound, app.clock.wall());
    let planes = heartbeat.planes.iter().flatten();
    let cut_off: BTreeSet<String> = planes.map(|(host, _)| host.clone()).collect();
    app.heartbeats.take(heartbeat).map_err(|refused| match refused {
        RejectedHeartbeat::UnknownHost => ApiError::not_found(format!(
            "Host {host} is in no failover segment, and its monitor watches no host in one: the heartbeat is ignored."
        )),
        RejectedHeartbeat::TooMany(wait) => ApiError::too_many(wait),
    })?;
    let mut answer = reply::nothing();
    if let Some(down) = down_in_nova(&app, &cut_off).await {
        answer.headers_mut().insert(DOWN_IN_NOVA, down);
    }
    Ok(answer.into_response())
}

/// Returns the hosts of `cut_off` that Nova shows down. The monitor reports them as stopped. Otherwise a host that has
/// lost its storage, and its nova-compute with it, would not be recovered.
async fn down_in_nova(app: &ApiState, cut_off: &BTreeSet<String>) -> Option<HeaderValue> {
    if cut_off.is_empty() {
        return None;
    }
    let snapshot = app.region.cached_snapshot().await.ok()?;
    let computes = snapshot.facts.computes.iter().flat_map(|known| &known.value);
    let mut left = MAX_DOWN_BYTES;
    let down: Vec<&str> = computes
        .filter(|one| !one.up && !one.cell_down && cut_off.contains(&one.host))
        .map(|one| one.host.as_str())
        .take_while(|host| {
            let needed = host.len() + ", ".len();
            let fits = left >= needed;
            left = left.saturating_sub(needed);
            fits
        })
        .collect();
    (!down.is_empty()).then(|| HeaderValue::from_str(&down.join(", ")).ok())?
}

/// Parses the kind of monitor in a path.
pub(super) fn kind_of(text: &str) -> Result<MonitorKind, ApiError> {
    MonitorKind::from_value(text).ok_or_else(|| {
        let kinds: Vec<&str> = MonitorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        ApiError::not_found(format!(
            "Unknown kind of monitor {text:?}; valid kinds: {}.",
            kinds.join(", ")
        ))
    })
}
