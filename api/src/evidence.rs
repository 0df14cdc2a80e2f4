//! Fence evidence sent with a notification, in the header `X-Tachi-Fence-Evidence`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use tachi_domain::entity::notification::{NewNotification, NotificationType};
use tachi_domain::evidence::{EvidenceError, FenceEvidence, GivenEvidence, MAX_EVIDENCE_BYTES, claims_off};

use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::ApiState;

const HEADER: &str = "X-Tachi-Fence-Evidence";

/// The policy rule for senders of evidence.
pub(crate) const RULE: &str = "tachi:evidence:create";

#[derive(Debug, thiserror::Error)]
enum HeaderError {
    #[error("there are {0} such headers; send only one")]
    Several(usize),
    #[error("it is not padded standard base64 (RFC 4648): {0}")]
    NoBase64(#[source] base64::DecodeError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error("it is valid only for a COMPUTE_HOST notification with event STOPPED and host_status NORMAL")]
    OtherReport,
}

/// Returns the evidence sent with a notification. Evidence from a caller that the policy does not admit is dropped: the
/// notification then counts as if it had none.
///
/// # Errors
///
/// 400 with the reason why the evidence is invalid. Nothing has been stored, so the reporter may retry without evidence.
pub(crate) fn given(
    app: &ApiState,
    caller: &Caller,
    headers: &HeaderMap,
    new: &NewNotification,
) -> Result<Option<Box<GivenEvidence>>, ApiError> {
    let values: Vec<&[u8]> = headers
        .get_all(HEADER)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect();
    if values.is_empty() {
        return Ok(None);
    }
    let user = &caller.identity.user_id;
    if !new.reporter.as_ref().is_some_and(|reporter| reporter.control) {
        tracing::warn!(
            host = %new.hostname, %user, rule = RULE,
            "ignoring fence evidence; the policy does not admit it, or its reporter is bound to a host"
        );
        return Ok(None);
    }
    let evidence = read(&values, new)
        .map_err(|error| ApiError::bad_request(format!("Invalid header {HEADER}: {error}")))?;
    Ok(Some(Box::new(GivenEvidence {
        evidence,
        by: user.clone(),
        generated: new.generated_time,
        arrived: app.clock.wall(),
    })))
}

fn read(values: &[&[u8]], new: &NewNotification) -> Result<FenceEvidence, HeaderError> {
    let [value] = values else {
        return Err(HeaderError::Several(values.len()));
    };
    // The size is checked before the evidence is decoded.
    let bytes = value.len() / 4 * 3;
    if bytes > MAX_EVIDENCE_BYTES + 2 {
        return Err(EvidenceError::TooLong { bytes }.into());
    }
    let json = STANDARD.decode(value).map_err(HeaderError::NoBase64)?;
    let evidence = FenceEvidence::from_json(&json)?;
    evidence.check_host(&new.hostname)?;
    let stopped = new
        .payload
        .get("event")
        .is_some_and(|event| event.eq_ignore_ascii_case("STOPPED"));
    if new.kind != NotificationType::ComputeHost || !stopped || !claims_off(&new.payload) {
        return Err(HeaderError::OtherReport);
    }
    Ok(evidence)
}
