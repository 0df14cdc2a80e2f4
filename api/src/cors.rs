//! Cross-origin requests, following oslo.middleware: the origins that a browser may show the API's answers to.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

/// Request headers that browsers may send to every origin.
const SIMPLE_HEADERS: [&str; 8] = [
    "Accept",
    "Accept-Language",
    "Content-Type",
    "Cache-Control",
    "Content-Language",
    "Expires",
    "Last-Modified",
    "Pragma",
];

/// A `[cors]` group: a set of origins and their permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsGroup {
    /// `allowed_origin`: each with scheme, host and port; `*` is every origin.
    pub origins: Vec<String>,
    /// `allow_credentials`.
    pub credentials: bool,
    /// `expose_headers`: the response headers that a script may read.
    pub expose_headers: Vec<String>,
    /// `max_age`: the time that a browser may cache the answer to a preflight. Zero omits the header.
    pub max_age: Duration,
    /// `allow_methods`.
    pub methods: Vec<String>,
    /// `allow_headers`: the request headers that a script may send, besides those that every script may.
    pub headers: Vec<String>,
}

impl Default for CorsGroup {
    /// Returns Masakari's defaults, without an origin.
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            origins: Vec::new(),
            credentials: true,
            expose_headers: texts(&[
                "X-Auth-Token",
                "X-Openstack-Request-Id",
                "X-Subject-Token",
                "X-Service-Token",
            ]),
            max_age: Duration::from_secs(3600),
            methods: texts(&["GET", "PUT", "POST", "DELETE", "PATCH"]),
            headers: texts(&[
                "X-Auth-Token",
                "X-Openstack-Request-Id",
                "X-Identity-Status",
                "X-Roles",
                "X-Service-Catalog",
                "X-User-Id",
                "X-Tenant-Id",
            ]),
        }
    }
}

/// All groups. The first group that lists an origin applies. Without groups, cross-origin requests are off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    pub groups: Vec<CorsGroup>,
}

impl Cors {
    /// Answers every OPTIONS request: 200 without a body, and with CORS headers if the request is allowed.
    pub(crate) fn preflight(&self, preflight_headers: &HeaderMap) -> Response {
        let mut response = StatusCode::OK.into_response();
        if let Some(headers) = self.permission(preflight_headers) {
            response.headers_mut().extend(headers);
        }
        response
    }

    fn permission(&self, preflight_headers: &HeaderMap) -> Option<HeaderMap> {
        let (origin, group) = self.group_of(preflight_headers.get(ORIGIN)?)?;
        let method = preflight_headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        if !group.methods.iter().any(|known| known.as_bytes() == method) {
            return None;
        }
        let requested = preflight_headers
            .get(ACCESS_CONTROL_REQUEST_HEADERS)
            .map_or(Some(""), |value| value.to_str().ok())?;
        let requested: Vec<&str> = items(requested).collect();
        let is_allowed = |name: &str| {
            let listed = group.headers.iter().map(String::as_str);
            listed
                .chain(SIMPLE_HEADERS)
                .any(|known| known.eq_ignore_ascii_case(name))
        };
        if !requested.iter().all(|name| is_allowed(name)) {
            return None;
        }
        let mut headers = HeaderMap::new();
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if group.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if !group.max_age.is_zero() {
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(group.max_age.as_secs()));
        }
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
        if !requested.is_empty() {
            let value = HeaderValue::from_str(&requested.join(",")).ok()?;
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, value);
        }
        Some(headers)
    }

    /// Adds the CORS headers to the answer of any other request from `origin`.
    pub(crate) fn mark(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if self.groups.is_empty() {
            return;
        }
        // `Vary` is needed even without an origin: a cache must not serve this answer to an origin that would get another one.
        answer.append(VARY, HeaderValue::from_static("Origin"));
        let Some((origin, group)) = origin.and_then(|origin| self.group_of(origin)) else {
            return;
        };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if group.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Ok(value) = HeaderValue::from_str(&group.expose_headers.join(","))
            && !value.is_empty()
        {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, value);
        }
    }

    /// Returns the group of an origin, and the origin's name in the answer. `*` stays `*` and is never replaced by the origin: with
    /// credentials that would open the API to every page a user visits. Browsers refuse a star with credentials.
    fn group_of(&self, origin: &HeaderValue) -> Option<(HeaderValue, &CorsGroup)> {
        let find = |name: &[u8]| {
            let mut groups = self.groups.iter();
            groups.find(|group| group.origins.iter().any(|known| known.as_bytes() == name))
        };
        find(origin.as_bytes())
            .map(|group| (origin.clone(), group))
            .or_else(|| find(b"*").map(|group| (HeaderValue::from_static("*"), group)))
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DASHBOARD: &str = "https://dashboard.example.org";

    fn cors() -> Cors {
        let group = |origins: &[&str]| CorsGroup {
            origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
            ..CorsGroup::default()
        };
        let careful = CorsGroup {
            credentials: false,
            expose_headers: Vec::new(),
            max_age: Duration::ZERO,
            methods: vec!["GET".to_owned()],
            headers: Vec::new(),
            ..group(&["http://reader"])
        };
        Cors {
            groups: vec![group(&[DASHBOARD, "http://other:8080"]), careful],
        }
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|&(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn header_values(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn preflights() {
        let origin = ("origin", DASHBOARD);
        let put = ("access-control-request-method", "PUT");
        let get = ("access-control-request-method", "GET");
        let request_headers = |value| ("access-control-request-headers", value);
        let granted = |more: &[&str]| {
            let mut lines = vec![
                "access-control-allow-credentials: true".to_owned(),
                "access-control-allow-methods: PUT".to_owned(),
                format!("access-control-allow-origin: {DASHBOARD}"),
                "access-control-max-age: 3600".to_owned(),
                "vary: Origin".to_owned(),
            ];
            lines.extend(more.iter().map(|&line| line.to_owned()));
            lines.sort();
            lines
        };
        let cases = [
            ("granted", headers(&[origin, put]), granted(&[])),
            (
                "with headers, in any case",
                headers(&[origin, put, request_headers("x-auth-token, Content-Type,")]),
                granted(&["access-control-allow-headers: x-auth-token,Content-Type"]),
            ),
            ("no origin", headers(&[put]), vec![]),
            (
                "another origin",
                headers(&[("origin", "https://evil"), put]),
                vec![],
            ),
            (
                "the origin in capitals",
                headers(&[("origin", "https://Dashboard.example.org"), put]),
                vec![],
            ),
            ("no method", headers(&[origin]), vec![]),
            (
                "another method",
                headers(&[origin, ("access-control-request-method", "TRACE")]),
                vec![],
            ),
            (
                "another header",
                headers(&[origin, put, request_headers("x-other")]),
                vec![],
            ),
            (
                "a careful group",
                headers(&[("origin", "http://reader"), get]),
                vec![
                    "access-control-allow-methods: GET".to_owned(),
                    "access-control-allow-origin: http://reader".to_owned(),
                    "vary: Origin".to_owned(),
                ],
            ),
            (
                "a careful group refuses more",
                headers(&[("origin", "http://reader"), put]),
                vec![],
            ),
        ];
        for (name, preflight_headers, expected) in cases {
            let response = cors().preflight(&preflight_headers);
            assert_eq!(response.status(), 200, "{name}");
            assert_eq!(header_values(response.headers()), expected, "{name}");
        }
        let off = Cors::default().preflight(&headers(&[origin, put]));
        assert_eq!(
            (off.status(), header_values(off.headers())),
            (StatusCode::OK, vec![])
        );
    }

    #[test]
    fn requests_other_than_preflights() {
        let mark = |cors: &Cors, origin: Option<&'static str>| {
            let mut answer = headers(&[("vary", "OpenStack-API-Version")]);
            cors.mark(origin.map(HeaderValue::from_static).as_ref(), &mut answer);
            header_values(&answer)
        };
        let vary = ["vary: OpenStack-API-Version", "vary: Origin"];
        let exposed = "access-control-expose-headers: \
                       X-Auth-Token,X-Openstack-Request-Id,X-Subject-Token,X-Service-Token";
        assert_eq!(
            mark(&cors(), Some("http://other:8080")),
            [
                "access-control-allow-credentials: true",
                "access-control-allow-origin: http://other:8080",
                exposed,
                vary[0],
                vary[1],
            ]
        );
        assert_eq!(mark(&cors(), Some("http://evil")), vary);
        assert_eq!(mark(&cors(), None), vary);
        assert_eq!(
            mark(&cors(), Some("http://reader")),
            ["access-control-allow-origin: http://reader", vary[0], vary[1]]
        );
        assert_eq!(mark(&Cors::default(), Some(DASHBOARD)), [vary[0]], "off");
    }

    #[test]
    fn a_star_is_answered_as_a_star_and_not_as_the_origin() {
        let mut cors = cors();
        cors.groups.push(CorsGroup {
            origins: vec!["*".to_owned()],
            ..CorsGroup::default()
        });
        let mut answer = HeaderMap::new();
        cors.mark(Some(&HeaderValue::from_static("https://evil")), &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        cors.mark(Some(&HeaderValue::from_static(DASHBOARD)), &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], DASHBOARD);
    }
}
