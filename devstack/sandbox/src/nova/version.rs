//! Microversions and the version documents.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::answer::Answer;
use crate::web::SandboxState;

/// The newest supported minor version.
const NEWEST: u16 = 100;

/// A microversion `2.MINOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Microversion(u16);

impl Default for Microversion {
    fn default() -> Self {
        Self(1)
    }
}

impl std::fmt::Display for Microversion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "2.{}", self.0)
    }
}

impl Microversion {
    /// True if this is `2.minor` or later.
    pub(super) fn at_least(self, minor: u16) -> bool {
        self.0 >= minor
    }

    /// Parses the headers: the common one before Nova's older one; 2.1 if neither names compute.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Answer> {
        let common = headers
            .get_all("openstack-api-version")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|part| part.trim().strip_prefix("compute ").map(str::trim));
        let old = || {
            headers
                .get("x-openstack-nova-api-version")
                .and_then(|value| value.to_str().ok())
        };
        match common.or_else(old) {
            None => Ok(Self::default()),
            Some("latest") => Ok(Self(NEWEST)),
            Some(text) => Self::parse(text.trim()),
        }
    }

    fn parse(text: &str) -> Result<Self, Answer> {
        let malformed = || {
            let message = format!(
                "API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum."
            );
            Answer {
                status: StatusCode::BAD_REQUEST,
                message,
            }
        };
        let (major, minor) = text.split_once('.').ok_or_else(malformed)?;
        let (major, minor): (u16, u16) = (
            major.parse().map_err(|_| malformed())?,
            minor.parse().map_err(|_| malformed())?,
        );
        if major == 2 && (1..=NEWEST).contains(&minor) {
            return Ok(Self(minor));
        }
        let message =
            format!("Version {text} is not supported by the API. Minimum is 2.1 and maximum is 2.{NEWEST}.");
        Err(Answer {
            status: StatusCode::NOT_ACCEPTABLE,
            message,
        })
    }
}

fn document(app: &SandboxState) -> Value {
    json!({
        "id": "v2.1",
        "status": "CURRENT",
        "version": format!("2.{NEWEST}"),
        "min_version": "2.1",
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": format!("{}/compute/v2.1/", app.base)}],
    })
}

/// `GET /compute/`.
pub(super) async fn list(State(app): State<SandboxState>) -> Json<Value> {
    let old = json!({
        "id": "v2.0", "status": "SUPPORTED", "version": "", "min_version": "", "updated": "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": format!("{}/compute/v2/", app.base)}],
    });
    Json(json!({"versions": [old, document(&app)]}))
}

/// `GET /compute/v2.1/`.
pub(super) async fn show(State(app): State<SandboxState>) -> Json<Value> {
    let mut document = document(&app);
    document["media-types"] =
        json!([{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}]);
    Json(json!({"version": document}))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn negotiation() {
        for (name, value, expected) in [
            ("openstack-api-version", "compute 2.73", Ok("2.73")),
            ("openstack-api-version", "compute latest", Ok("2.100")),
            ("openstack-api-version", "placement 1.9, compute 2.53", Ok("2.53")),
            ("openstack-api-version", "placement 1.9", Ok("2.1")),
            ("x-openstack-nova-api-version", "2.90", Ok("2.90")),
            ("openstack-api-version", "compute 2.101", Err(406)),
            ("openstack-api-version", "compute 2.0", Err(406)),
            ("openstack-api-version", "compute 3.1", Err(406)),
            ("openstack-api-version", "compute two", Err(400)),
            ("openstack-api-version", "compute 2", Err(400)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            let negotiated = Microversion::of(&headers).map(|version| version.to_string());
            assert_eq!(
                negotiated.map_err(|answer| answer.status.as_u16()),
                expected.map(str::to_owned),
                "{value}"
            );
        }
    }

    #[test]
    fn the_common_header_goes_before_the_old_one() {
        let mut headers = HeaderMap::new();
        headers.insert("openstack-api-version", HeaderValue::from_static("compute 2.60"));
        headers.insert("x-openstack-nova-api-version", HeaderValue::from_static("2.40"));
        assert_eq!(Microversion::of(&headers).unwrap(), Microversion(60));
    }
}
