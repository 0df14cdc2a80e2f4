//! `/operator/v1`: data that only a controller has, from Nova and from the audit logs of this machine. Read-only.

use axum::extract::State;
use tachi_operator::AuditRequest;

use crate::error::{ApiError, marker_not_found};
use crate::extract::{Answer, AuthorisedRequest, Ids};
use crate::ports::QueryError;
use crate::query::Params;
use crate::reply;
use crate::state::ApiState;

/// The methods to group hosts into segments. The first is the default.
pub(crate) const GROUPING_METHODS: &[&str] = &["zone", "aggregate", "rack"];

impl From<QueryError> for ApiError {
    fn from(why: QueryError) -> Self {
        match why {
            QueryError::Unknown(text) => Self::unknown_name(text),
            QueryError::Refused(message) => Self::Conflict { message },
            QueryError::Marker(text) => marker_not_found(&text),
            QueryError::Unavailable { service, source, .. } => Self::Unavailable { service, source },
        }
    }
}

/// Returns a page of this machine's audit log, newest entries first.
pub(crate) async fn audit(State(app): State<ApiState>, params: Params, _: AuthorisedRequest) -> Answer {
    let limit = params.limit("limit", app.max_limit)?;
    let wish = AuditRequest {
        host: params.text("host"),
        recovery: params.last("recovery").map(str::to_ascii_lowercase),
        marker: params.text("marker"),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    };
    reply::ok("audit", &app.controller.audit(wish).await?)
}

/// Returns the checks for returning a host to service.
pub(crate) async fn host_return(
    State(app): State<ApiState>,
    Ids(host): Ids<String>,
    _: AuthorisedRequest,
) -> Answer {
    reply::ok("return", &app.controller.host_return(&host).await?)
}

/// Returns the segments and hosts that would be created from Nova's data.
pub(crate) async fn from_nova(State(app): State<ApiState>, params: Params, _: AuthorisedRequest) -> Answer {
    let by = params.last("by").unwrap_or(GROUPING_METHODS[0]);
    if !GROUPING_METHODS.contains(&by) {
        return Err(ApiError::bad_request(format!(
            "Invalid value for by: {by:?} is not one of {}",
            GROUPING_METHODS.join(", ")
        )));
    }
    let zone = params.last("default_zone").filter(|zone| !zone.is_empty());
    reply::ok("from_nova", &app.controller.proposal(by, zone).await?)
}
