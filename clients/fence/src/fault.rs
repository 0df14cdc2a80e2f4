//! Constructors and classification of failed calls.

use http::StatusCode;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_engine::ports::CallError;

/// Creates a failed call without an underlying error.
pub(crate) fn fault(class: FaultClass, status: Option<u16>, maybe_done: bool, text: String) -> CallError {
    CallError {
        fault: Fault {
            class,
            status,
            maybe_done,
            text,
        },
        source: None,
    }
}

/// Returns the class of an HTTP status that is not a success.
pub(crate) fn class_of(status: StatusCode) -> FaultClass {
    match status.as_u16() {
        408 | 425 | 429 | 500..=599 => FaultClass::Transient,
        _ => FaultClass::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        let transient = [408, 425, 429, 500, 502, 503, 504];
        for status in [
            301, 302, 400, 401, 403, 404, 408, 409, 410, 425, 429, 500, 502, 503, 504,
        ] {
            let expected = if transient.contains(&status) {
                FaultClass::Transient
            } else {
                FaultClass::Permanent
            };
            assert_eq!(
                class_of(StatusCode::from_u16(status).unwrap()),
                expected,
                "{status}"
            );
        }
    }
}
