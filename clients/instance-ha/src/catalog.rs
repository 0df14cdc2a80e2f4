//! Lookup of the API in the service catalogue, and the paths below its address.

use reqwest::Url;
use tachi_keystone::{Catalog, CatalogError, Interface, Region, ServiceQuery, SetupError};

/// The official type of the service, and its earlier name.
const TYPES: [&str; 2] = ["instance-ha", "ha"];

/// Finds the API's address, with its version and, if the entry has one, the project; or returns the reason for an
/// operator.
pub(crate) fn find(
    catalog: &Catalog,
    interface: Interface,
    region: &Region,
    region_option: &str,
) -> Result<Url, CatalogError> {
    let query = ServiceQuery {
        types: &TYPES,
        name: None,
        interface,
        region,
        region_option,
    };
    catalog.find(&query).map(|located| versioned(located.url))
}

/// Parses the configured address that overrides the catalogue.
pub(crate) fn parse_override(address: &str) -> Result<Url, SetupError> {
    let wrong = |why: String| SetupError::Address {
        // Omits the part in which a password may be.
        url: address.split('@').next_back().unwrap_or_default().to_owned(),
        why,
    };
    let url = Url::parse(address.trim()).map_err(|error| wrong(error.to_string()))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() {
        Ok(versioned(url))
    } else {
        Err(wrong(
            "not an http or https address, or it contains credentials".to_owned(),
        ))
    }
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Builds the address of `path` beside `/v1`, from an address that [`find`] returned. Special characters in a segment
/// of the path are escaped.
pub(crate) fn unversioned_url(endpoint: &Url, path: &[&str], query: &[(&str, String)]) -> Url {
    let parts: Vec<&str> = endpoint.path_segments().into_iter().flatten().collect();
    let version = parts.iter().rposition(|part| is_version(part));
    let before = parts.get(..version.unwrap_or(parts.len())).unwrap_or_default();
    let mut url = endpoint.clone();
    // An http address always has a path.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(before).extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// Appends `/v1` if an entry lacks it.
fn versioned(mut url: Url) -> Url {
    let mut parts: Vec<String> = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    // The version is the last segment, or the one before the project.
    if !parts.iter().rev().take(2).any(|part| is_version(part)) {
        parts.push("v1".to_owned());
    }
    url.set_path(&parts.join("/"));
    url.set_query(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        serde_json::from_value(serde_json::json!([
            {"type": "compute", "endpoints": [{"interface": "public", "region": "one", "url": "http://nova/v2.1"}]},
            {"type": "instance-ha", "name": "masakari", "endpoints": [
                {"interface": "internal", "region_id": "one", "url": "http://in.one/v1/p"},
                {"interface": "public", "region": "one", "region_id": "one", "url": "http://pub.one/v1/p"},
                {"interface": "public", "region": "two", "url": "http://pub.two"},
                {"interface": "adminURL", "region": "two", "url": "unix:/run/x"},
            ]},
            {"type": "ha", "endpoints": [{"interface": "public", "region": "old", "url": "http://old/v1"}]},
        ]))
        .unwrap()
    }

    #[test]
    fn the_endpoint_is_found_by_type_interface_and_region() {
        use Interface::{Admin, Internal, Public};
        let cases = [
            (Public, Some("one"), Ok("http://pub.one/v1/p")),
            (
                Public,
                None,
                Err(
                    "instance-ha in several regions, and no region is set: old (http://old/v1), one \
                     (http://pub.one/v1/p), two (http://pub.two). Set [api] region",
                ),
            ),
            (Internal, Some("one"), Ok("http://in.one/v1/p")),
            (Public, Some("two"), Ok("http://pub.two/v1")),
            (Public, Some("old"), Ok("http://old/v1")),
            (
                Internal,
                Some("two"),
                Err("no internal endpoint of type instance-ha in region two"),
            ),
            (Admin, Some("two"), Err("not http")),
            (Public, Some("three"), Err("in region three; it has: instance-ha")),
        ];
        for (interface, region, expected) in cases {
            let region = Region::from(region.map(str::to_owned));
            let found = find(&catalog(), interface, &region, "[api] region");
            match (found.map_err(|error| error.to_string()), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected),
                (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
                (got, expected) => panic!("{interface:?} {region:?}: {got:?} instead of {expected:?}"),
            }
        }
        let nothing = find(&Catalog::default(), Public, &Region::Unset, "")
            .unwrap_err()
            .to_string();
        assert!(nothing.contains("scoped to a project"), "{nothing}");
    }

    #[test]
    fn what_is_beside_the_version_is_found_below_any_prefix_and_names_cannot_leave_it() {
        let cases = [
            (
                "http://h:15868/v1/4f5e",
                "a",
                "http://h:15868/operator/v1/hosts/a",
            ),
            (
                "http://h/instance-ha/v1",
                "a",
                "http://h/instance-ha/operator/v1/hosts/a",
            ),
            (
                "http://h/v1",
                "a/../b?x#y",
                "http://h/operator/v1/hosts/a%2F..%2Fb%3Fx%23y",
            ),
            ("http://h/v1", "\u{1b}é", "http://h/operator/v1/hosts/%1B%C3%A9"),
        ];
        for (endpoint, name, expected) in cases {
            let url = unversioned_url(
                &endpoint.parse().unwrap(),
                &["operator", "v1", "hosts", name],
                &[],
            );
            assert_eq!(url.as_str(), expected);
        }
        let url = unversioned_url(
            &"http://h/v1".parse().unwrap(),
            &["operator", "v1", "recoveries"],
            &[("host", "a&b=c".to_owned())],
        );
        assert_eq!(url.query(), Some("host=a%26b%3Dc"));
    }

    #[test]
    fn every_form_of_entry_works() {
        let cases = [
            ("http://h:15868/v1/4f5e", "http://h:15868/v1/4f5e"),
            ("http://h:15868/v1/4f5e/", "http://h:15868/v1/4f5e"),
            ("http://h:15868/v1", "http://h:15868/v1"),
            ("http://h:15868/", "http://h:15868/v1"),
            ("http://h/instance-ha", "http://h/instance-ha/v1"),
            ("http://h/instance-ha/v1/4f5e", "http://h/instance-ha/v1/4f5e"),
            ("https://h/v1?x=1", "https://h/v1"),
        ];
        for (text, expected) in cases {
            assert_eq!(versioned(text.parse().unwrap()).as_str(), expected);
        }
    }
}
