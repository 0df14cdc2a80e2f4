//! `/monitors/{host}/{kind}`: heartbeats of monitors.

use axum::extract::State;
use axum::response::IntoResponse as _;
use tachi_domain::monitor::MonitorKind;

use crate::error::ApiError;
use crate::evidence;
use crate::extract::{Answer, AuthorisedRequest, Ids};
use crate::monitor_heartbeats::RejectedHeartbeat;
use crate::reply;
use crate::state::ApiState;
use crate::types::heartbeat::NewSignature;

/// Accepts a heartbeat. It is written within one or two seconds, in a batch with those of other monitors.
pub(crate) async fn heartbeat(
    State(app): State<ApiState>,
    Ids((host, kind)): Ids<(String, String)>,
    AuthorisedRequest { caller, body, .. }: AuthorisedRequest<NewSignature>,
) -> Answer {
    let kind = kind_of(&kind)?;
    let is_admitted = || app.policy.allows(evidence::RULE, &caller);
    let reporter = caller.reporter();
    app.binding
        .options
        .may_sign(&reporter, is_admitted, &host)
        .map_err(|why| ApiError::NotYours {
            message: format!("This caller may not sign for the monitors of {host}: {why}."),
        })?;
    let bound = app.binding.options.host_of(&reporter).as_deref() == Some(host.as_str());
    app.signs
        .take(body.of(host.clone(), kind, bound))
        .map_err(|refused| match refused {
            RejectedHeartbeat::Stranger => ApiError::not_found(format!(
                "Host {host} is in no failover segment, so nothing is expected of its monitors."
            )),
            RejectedHeartbeat::TooMany(wait) => ApiError::too_many(wait),
        })?;
    Ok(reply::nothing().into_response())
}

/// Parses the kind of monitor in a path.
pub(super) fn kind_of(word: &str) -> Result<MonitorKind, ApiError> {
    MonitorKind::from_word(word).ok_or_else(|| {
        let kinds: Vec<&str> = MonitorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        ApiError::not_found(format!(
            "No monitor is called {word:?}: there are {}.",
            kinds.join(", ")
        ))
    })
}
