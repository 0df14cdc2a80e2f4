//! Media types: those accepted for bodies, and the one of an answer.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

/// Masakari's media type for JSON.
const MASAKARI_JSON: &str = "application/vnd.openstack.masakari+json";
const JSON: &str = "application/json";

/// True if the body's media type is supported. `text/plain` counts, because one WSGI server substituted it for a missing header
/// and clients came to rely on that.
pub(crate) fn is_supported(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let bare = value.split(';').next().unwrap_or_default().trim();
    ["", JSON, MASAKARI_JSON, "text/plain"]
        .iter()
        .any(|known| bare.eq_ignore_ascii_case(known))
}

/// Returns the media type of a successful answer.
pub(crate) fn of_answer(headers: &HeaderMap) -> HeaderValue {
    let mut own = 0.0;
    let mut json = 0.0;
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1.0_f32, |q| q.parse().unwrap_or(0.0));
            if name.eq_ignore_ascii_case(MASAKARI_JSON) {
                own = quality;
            } else if name.eq_ignore_ascii_case(JSON) || name == "*/*" || name == "application/*" {
                json = quality.max(json);
            }
        }
    }
    HeaderValue::from_static(if own > json { MASAKARI_JSON } else { JSON })
}

/// Returns the offer that the client prefers; the first if it has no preference or accepts none.
pub(crate) fn best(headers: &HeaderMap, offers: &[&'static str]) -> &'static str {
    let mut best = (0.0, offers.first().copied().unwrap_or(JSON));
    for offer in offers {
        let quality = quality_of(headers, offer);
        if quality > best.0 {
            best = (quality, offer);
        }
    }
    best.1
}

/// Returns the quality of `offer` in its most specific range, so that `text/html;q=0` overrides `*/*`.
fn quality_of(headers: &HeaderMap, offer: &str) -> f32 {
    let family = offer.split('/').next().unwrap_or_default();
    let mut closest = (0, 0.0);
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let closeness = if name.eq_ignore_ascii_case(offer) {
                3
            } else if name
                .strip_suffix("/*")
                .is_some_and(|range| range.eq_ignore_ascii_case(family))
            {
                2
            } else if name == "*/*" {
                1
            } else {
                continue;
            };
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1.0_f32, |q| q.parse().unwrap_or(0.0));
            if closeness > closest.0 {
                closest = (closeness, quality);
            }
        }
    }
    closest.1
}

/// True if a media type requests version 1 of the API, which a path without `/v1` may rely on. `Content-Type` takes precedence;
/// in `Accept` only types that this API can answer with count.
pub(crate) fn requests_v1(headers: &HeaderMap) -> bool {
    let accepts = |value: &HeaderValue| {
        value
            .to_str()
            .ok()
            .and_then(version)
            .map(|version| version == "1")
    };
    headers.get(CONTENT_TYPE).and_then(accepts).unwrap_or_else(|| {
        let ranges = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        ranges
            .flat_map(|list| list.split(','))
            .filter(|range| {
                let name = range.split(';').next().unwrap_or_default().trim();
                name.eq_ignore_ascii_case(JSON) || name.eq_ignore_ascii_case(MASAKARI_JSON)
            })
            .any(|range| version(range) == Some("1"))
    })
}

/// Returns the parameter `version` of a media type.
fn version(media_type: &str) -> Option<&str> {
    media_type
        .split(';')
        .skip(1)
        .find_map(|part| part.trim().strip_prefix("version="))
        .map(|version| version.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: Option<&'static str>) -> HeaderMap {
        value
            .map(|value| (name, HeaderValue::from_static(value)))
            .into_iter()
            .collect()
    }

    #[test]
    fn media_types_of_requests() {
        let cases = [
            (None, true),
            (Some(""), true),
            (Some("application/json"), true),
            (Some("application/json; charset=utf-8"), true),
            (Some(MASAKARI_JSON), true),
            (Some("text/plain"), true),
            (Some("application/xml"), false),
            (Some("text/html"), false),
            (Some("application/x-www-form-urlencoded"), false),
        ];
        for (value, expected) in cases {
            assert_eq!(is_supported(&headers(CONTENT_TYPE, value)), expected, "{value:?}");
        }
    }

    #[test]
    fn answers_are_named_by_the_best_match() {
        let cases = [
            (None, JSON),
            (Some("*/*"), JSON),
            (Some("text/html"), JSON),
            (Some(MASAKARI_JSON), MASAKARI_JSON),
            (
                Some("application/vnd.openstack.masakari+json;q=0.5, application/json;q=0.4"),
                MASAKARI_JSON,
            ),
            (Some("application/vnd.openstack.masakari+json;q=0.5, */*"), JSON),
            (Some("application/vnd.openstack.masakari+json;q=nonsense"), JSON),
        ];
        for (value, expected) in cases {
            assert_eq!(of_answer(&headers(ACCEPT, value)), expected, "{value:?}");
        }
    }

    #[test]
    fn the_best_of_what_is_offered() {
        let offers = ["text/plain", "text/html", "application/json"];
        let cases = [
            (None, "text/plain"),
            (Some("*/*"), "text/plain"),
            (Some("image/png"), "text/plain"),
            (Some("application/json"), "application/json"),
            (Some("APPLICATION/*"), "application/json"),
            (Some("text/plain;q=0.4, text/html;q=0.5"), "text/html"),
            (Some("text/plain;q=0, */*"), "text/html"),
            (
                Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                "text/html",
            ),
            (Some("application/json;q=nonsense"), "text/plain"),
        ];
        for (value, expected) in cases {
            assert_eq!(best(&headers(ACCEPT, value), &offers), expected, "{value:?}");
        }
    }

    #[test]
    fn a_media_type_can_choose_the_version() {
        let cases = [
            (ACCEPT, Some("application/json;version=1"), true),
            (
                ACCEPT,
                Some("text/html, application/json; version=1; q=0.5"),
                true,
            ),
            (
                ACCEPT,
                Some("application/vnd.openstack.masakari+json;version=\"1\""),
                true,
            ),
            (ACCEPT, Some("text/html;version=1"), false),
            (ACCEPT, Some("application/json;version=2"), false),
            (ACCEPT, Some("application/json"), false),
            (ACCEPT, None, false),
            (CONTENT_TYPE, Some("application/json;version=1"), true),
            (CONTENT_TYPE, Some("application/json;version=1.0"), false),
        ];
        for (name, value, expected) in cases {
            assert_eq!(
                requests_v1(&headers(name.clone(), value)),
                expected,
                "{name}: {value:?}"
            );
        }
    }
}
