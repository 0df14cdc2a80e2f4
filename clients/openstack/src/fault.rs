//! Classification of statuses and broken connections for the decisions that depend on them.

use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_engine::ports::{CallError, Pushback};

/// The effect of a call, which decides how its failure is classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The call changes nothing.
    Read,
    /// The call changes something, and repeating it has no further effect. It is sent soon or not at all.
    Idempotent,
    /// The call must not be repeated. It is sent soon or not at all.
    Once,
}

impl Effect {
    pub(crate) const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

/// The scope of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorScope {
    /// One object: 403 and 404 apply to this object only.
    Object,
    /// The whole service: 403 and 404 apply to every such call.
    Service,
}

/// Returns the class of a status that is not a success. A 401 arrives here only after the token has been renewed once.
pub(crate) fn class_of(status: StatusCode, about: ErrorScope) -> FaultClass {
    match status.as_u16() {
        // 300 to 399 is a redirect or a choice of versions, so the endpoint is misconfigured.
        300..=399 | 401 => FaultClass::Fatal,
        403 | 404 if about == ErrorScope::Service => FaultClass::Fatal,
        409 => FaultClass::Conflict,
        501 | 505 => FaultClass::Permanent,
        // 406: the microversion no longer exists because Nova was replaced; it is negotiated again. 413: over quota or
        // limit.
        406 | 408 | 413 | 425 | 429 | 500..=599 => FaultClass::Transient,
        _ => FaultClass::Permanent,
    }
}

/// Creates the error for a response that is not a success.
pub(crate) fn refusal(
    line: &str,
    status: StatusCode,
    effect: Effect,
    about: ErrorScope,
    details: &Details,
) -> CallError {
    let reason = status.canonical_reason().unwrap_or("");
    let mut text = format!("{line} returned {} {reason}", status.as_u16());
    if !details.message.is_empty() {
        text.push_str(": ");
        text.push_str(&details.message);
    }
    if details.is_foreign {
        text.push_str(" (not from Nova itself)");
    }
    if let Some(wait) = details.retry_after {
        // Writing to a String does not fail.
        let _ = write!(text, " (retry after {} s)", wait.as_secs());
    }
    if let Some(id) = &details.request_id {
        let _ = write!(text, " ({id})");
    }
    let fault = Fault {
        class: if details.is_foreign {
            FaultClass::Transient
        } else {
            class_of(status, about)
        },
        status: Some(status.as_u16()),
        maybe_done: effect.writes()
            && (status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT || details.is_foreign),
        text,
    };
    let requests_backoff =
        matches!(status.as_u16(), 413 | 429) || (status.as_u16() == 503 && details.retry_after.is_some());
    let pushback = requests_backoff.then(|| {
        Box::new(Pushback {
            retry_after: details.retry_after,
        }) as Box<_>
    });
    CallError {
        fault,
        source: pushback,
    }
}

/// Details of a refusal besides its status.
#[derive(Debug, Default)]
pub(crate) struct Details {
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) request_id: Option<String>,
    /// True for a 404 without Nova's own body: it comes from a proxy and is no evidence about the object.
    pub(crate) is_foreign: bool,
}

/// True if a body is Nova's own statement that the object does not exist.
pub(crate) fn is_item_not_found(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body)
        .is_ok_and(|body| body.get("itemNotFound").is_some_and(serde_json::Value::is_object))
}

/// Creates the error for a request without a response.
pub(crate) fn broken(line: &str, error: reqwest::Error, effect: Effect) -> CallError {
    let error = error.without_url();
    // Without a connection, not one byte of the request was sent.
    let unsent = error.is_connect() || error.is_builder();
    let fault = Fault {
        class: if error.is_builder() {
            FaultClass::Permanent
        } else {
            FaultClass::Transient
        },
        status: None,
        maybe_done: effect.writes() && !unsent,
        text: format!(
            "{line} failed: {}",
            tachi_text::one_line(&tachi_text::chain(&error), &[])
        ),
    };
    CallError {
        fault,
        source: Some(Box::new(error)),
    }
}

/// Creates the error for a request that was not sent, so that nothing has been done.
pub(crate) fn unsent(class: FaultClass, text: String) -> CallError {
    CallError {
        fault: Fault {
            class,
            status: None,
            maybe_done: false,
            text,
        },
        source: None,
    }
}

/// Creates the error for a response that cannot be parsed.
pub(crate) fn malformed(line: &str, status: Option<u16>, maybe_done: bool, what: &str) -> CallError {
    CallError {
        fault: Fault {
            class: FaultClass::Transient,
            status,
            maybe_done,
            text: format!(
                "{line} returned an invalid answer: {}",
                tachi_text::one_line(what, &[])
            ),
        },
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        use ErrorScope::{Object, Service};
        use FaultClass::{Conflict, Fatal, Permanent, Transient};
        let cases = [
            (300, Fatal, Fatal),
            (302, Fatal, Fatal),
            (400, Permanent, Permanent),
            (401, Fatal, Fatal),
            (403, Permanent, Fatal),
            (404, Permanent, Fatal),
            (405, Permanent, Permanent),
            (406, Transient, Transient),
            (408, Transient, Transient),
            (409, Conflict, Conflict),
            (410, Permanent, Permanent),
            (413, Transient, Transient),
            (422, Permanent, Permanent),
            (429, Transient, Transient),
            (500, Transient, Transient),
            (501, Permanent, Permanent),
            (502, Transient, Transient),
            (503, Transient, Transient),
            (504, Transient, Transient),
            (505, Permanent, Permanent),
            (599, Transient, Transient),
        ];
        for (status, object, service) in cases {
            let code = StatusCode::from_u16(status).unwrap();
            assert_eq!(class_of(code, Object), object, "{status} of an object");
            assert_eq!(class_of(code, Service), service, "{status} of the service");
        }
    }

    #[test]
    fn only_a_write_that_may_have_been_taken_is_maybe_done() {
        let all = [Effect::Read, Effect::Idempotent, Effect::Once];
        for status in (300..600).filter_map(|s| StatusCode::from_u16(s).ok()) {
            for effect in all {
                let fault = refusal("x", status, effect, ErrorScope::Object, &Details::default()).fault;
                let expected = effect != Effect::Read && (status.as_u16() >= 500 || status.as_u16() == 408);
                assert_eq!(fault.maybe_done, expected, "{status} {effect:?}");
            }
        }
    }

    #[test]
    fn retry_after_is_parsed() {
        let wait = Some(Duration::from_secs(7));
        let cases = [
            (429, wait, Some(wait)),
            (429, None, Some(None)),
            (413, None, Some(None)),
            (503, wait, Some(wait)),
            (503, None, None),
            (500, wait, None),
            (409, wait, None),
        ];
        for (status, retry_after, expected) in cases {
            let details = Details {
                retry_after,
                ..Details::default()
            };
            let code = StatusCode::from_u16(status).unwrap();
            let error = refusal("x", code, Effect::Once, ErrorScope::Object, &details);
            let got = error.pushback().map(|pushback| pushback.retry_after);
            assert_eq!(got, expected, "{status} {retry_after:?}");
        }
    }

    #[test]
    fn a_refusal_names_request_status_reason_and_id() {
        let details = Details {
            message: "No valid host".into(),
            retry_after: Some(Duration::from_secs(7)),
            request_id: Some("req-1".into()),
            is_foreign: false,
        };
        let error = refusal(
            "nova: GET /servers/1",
            StatusCode::SERVICE_UNAVAILABLE,
            Effect::Read,
            ErrorScope::Object,
            &details,
        );
        let expected =
            "nova: GET /servers/1 returned 503 Service Unavailable: No valid host (retry after 7 s) (req-1)";
        assert_eq!(error.to_string(), expected);
    }
}
