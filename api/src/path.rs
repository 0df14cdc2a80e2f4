//! Path forms. Every resource has a path with and one without a project id. Both are rewritten to the form that the router
//! knows.

use axum::extract::Request;
use http::Uri;
use http::uri::PathAndQuery;
use regex::Regex;

use crate::media;

/// The parts removed from a request's path, for links and checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathPrefix {
    /// The configured base path, if the request's path starts with it.
    pub(crate) mount: String,
    /// The project id in the path.
    pub(crate) project: Option<String>,
}

/// Rewrites the path of `request`, and records the removed parts in a [`PathPrefix`].
pub(crate) fn normalise(mut request: Request, base_path: &str, project_ids: Option<&Regex>) -> Request {
    let by_media_type = media::requests_v1(request.headers());
    let (place, path) = take_apart(request.uri().path(), base_path, project_ids, by_media_type);
    if path != request.uri().path() {
        let rewritten = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        // Removing parts from a valid path leaves a valid path.
        if let Ok(path_and_query) = rewritten.parse::<PathAndQuery>() {
            let mut parts = request.uri().clone().into_parts();
            parts.path_and_query = Some(path_and_query);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
    }
    request.extensions_mut().insert(place);
    request
}

fn take_apart(
    path: &str,
    base_path: &str,
    project_ids: Option<&Regex>,
    by_media_type: bool,
) -> (PathPrefix, String) {
    let mut place = PathPrefix::default();
    let mut path = collapse_slashes(path);
    let below = path
        .strip_prefix(base_path)
        .filter(|rest| rest.starts_with('/'))
        .map(ToOwned::to_owned);
    if let Some(below) = below.filter(|_| !base_path.is_empty()) {
        base_path.clone_into(&mut place.mount);
        path = below;
    }
    if by_media_type
        && !["/v1", "/healthcheck", "/healthz", "/operator", "/board"]
            .iter()
            .any(|root| is_below(&path, root))
    {
        path.insert_str(0, "/v1");
    }
    if let Some((project, rest)) = path.strip_prefix("/v1/").and_then(|rest| rest.split_once('/'))
        && project_ids.map_or_else(|| is_project_id(project), |ids| ids.is_match(project))
        && !rest.is_empty()
    {
        place.project = Some(project.to_owned());
        path = format!("/v1/{rest}");
    }
    // Host names may have any suffix. The boot guard's route is specific to Tachi, so clients never request a format there.
    if path.starts_with("/v1/") && !path.starts_with("/v1/boot-guard/") {
        for suffix in [".json", ".xml"] {
            if let Some(bare) = path.strip_suffix(suffix) {
                path.truncate(bare.len());
                break;
            }
        }
    }
    (place, path)
}

fn is_project_id(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn collapse_slashes(path: &str) -> String {
    let mut collapsed = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !collapsed.ends_with('/') {
            collapsed.push(c);
        }
    }
    collapsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        let cases = [
            ("bare", "/v1/segments", "", "", None, "/v1/segments"),
            (
                "with project",
                "/v1/0a-f9/segments",
                "",
                "",
                Some("0a-f9"),
                "/v1/segments",
            ),
            (
                "project in capitals does not route",
                "/v1/ABC/segments",
                "",
                "",
                None,
                "/v1/ABC/segments",
            ),
            (
                "project of other letters does not route",
                "/v1/xyz/segments",
                "",
                "",
                None,
                "/v1/xyz/segments",
            ),
            ("project alone", "/v1/abc", "", "", None, "/v1/abc"),
            ("project and slash", "/v1/abc/", "", "", None, "/v1/abc/"),
            (
                "slashes",
                "//v1///abc//segments//x",
                "",
                "",
                Some("abc"),
                "/v1/segments/x",
            ),
            (
                "trailing slash stays",
                "/v1/abc/segments/",
                "",
                "",
                Some("abc"),
                "/v1/segments/",
            ),
            ("suffix", "/v1/segments.json", "", "", None, "/v1/segments"),
            (
                "other suffix",
                "/v1/abc/segments/x.xml",
                "",
                "",
                Some("abc"),
                "/v1/segments/x",
            ),
            (
                "a host's name is not cut",
                "/v1/abc/boot-guard/cmp1.xml",
                "",
                "",
                Some("abc"),
                "/v1/boot-guard/cmp1.xml",
            ),
            (
                "version id is no suffix",
                "/v1/versions/v1.0",
                "",
                "",
                None,
                "/v1/versions/v1.0",
            ),
            (
                "mounted",
                "/ha/v1/abc/segments",
                "/ha",
                "/ha",
                Some("abc"),
                "/v1/segments",
            ),
            ("mounted, root", "/ha/", "/ha", "/ha", None, "/"),
            ("mounted, nothing", "/ha", "/ha", "", None, "/ha"),
            ("mounted, another path", "/hat/v1", "/ha", "", None, "/hat/v1"),
            ("mounted, reached directly", "/v1", "/ha", "", None, "/v1"),
        ];
        for (name, path, base, mount, project, expected) in cases {
            let place = PathPrefix {
                mount: mount.to_owned(),
                project: project.map(ToOwned::to_owned),
            };
            assert_eq!(
                take_apart(path, base, None, false),
                (place, expected.to_owned()),
                "{name}"
            );
        }
    }

    #[test]
    fn project_ids_of_the_operators_choice() {
        let ids = Regex::new("^(?:[a-z]+-[0-9]+)$").unwrap();
        let cases = [
            ("chosen", "/v1/team-7/segments", Some("team-7"), "/v1/segments"),
            (
                "the default is off",
                "/v1/0af9/segments",
                None,
                "/v1/0af9/segments",
            ),
        ];
        for (name, path, project, expected) in cases {
            let (place, path) = take_apart(path, "", Some(&ids), false);
            assert_eq!(
                (place.project.as_deref(), path.as_str()),
                (project, expected),
                "{name}"
            );
        }
    }

    #[test]
    fn a_media_type_stands_for_the_prefix() {
        let cases = [
            ("/", None, "/v1/"),
            ("/segments", None, "/v1/segments"),
            ("/abc/segments", Some("abc"), "/v1/segments"),
            ("/v1/abc/segments", Some("abc"), "/v1/segments"),
            ("/v1", None, "/v1"),
            ("/operator/v1/hosts", None, "/operator/v1/hosts"),
            ("/healthcheck", None, "/healthcheck"),
            ("/healthz", None, "/healthz"),
            ("/healthchecks", None, "/v1/healthchecks"),
        ];
        for (path, project, expected) in cases {
            let (place, got) = take_apart(path, "", None, true);
            assert_eq!(
                (place.project.as_deref(), got.as_str()),
                (project, expected),
                "{path}"
            );
        }
    }

    #[test]
    fn query_survives() {
        let request = Request::builder()
            .uri("/v1/abc//segments?a=/b//c")
            .body(axum::body::Body::empty())
            .unwrap();
        let request = normalise(request, "", None);
        assert_eq!(request.uri(), "/v1/segments?a=/b//c");
    }
}
