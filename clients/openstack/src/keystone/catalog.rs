//! The service catalogue.

use openstack::EndpointFilters;
use reqwest::Url;
use serde::Deserialize;

use crate::options::CatalogInfo;

/// The services a token can be used with.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Catalog(Vec<Entry>);

#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    service_type: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    interface: String,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    region_id: Option<String>,
    url: String,
}

impl Catalog {
    /// The address of a service, or what is wrong with the catalogue, for a person.
    pub(crate) fn find(&self, wanted: &CatalogInfo, filters: &EndpointFilters) -> Result<Url, String> {
        let fits = |entry: &&Entry| {
            entry.service_type == wanted.service_type
                && match (&wanted.service_name, &entry.name) {
                    (Some(wanted), Some(name)) => wanted == name,
                    // Catalogues without names match by type, as keystoneauth does it.
                    _ => true,
                }
        };
        let found = self
            .0
            .iter()
            .filter(fits)
            .flat_map(|entry| &entry.endpoints)
            .find(|endpoint| {
                filters
                    .interfaces
                    .iter()
                    .any(|interface| *interface == endpoint.interface)
                    && filters.region.as_ref().is_none_or(|region| {
                        endpoint.region.as_ref() == Some(region)
                            || endpoint.region_id.as_ref() == Some(region)
                    })
            });
        let Some(found) = found else {
            return Err(format!(
                "the catalogue has no {} endpoint of type {}{}{}; it has: {}",
                filters
                    .interfaces
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" or "),
                wanted.service_type,
                wanted
                    .service_name
                    .as_ref()
                    .map(|name| format!(" and name {name}"))
                    .unwrap_or_default(),
                filters
                    .region
                    .as_ref()
                    .map(|region| format!(" in region {region}"))
                    .unwrap_or_default(),
                self.listing(),
            ));
        };
        let url = Url::parse(&found.url).map_err(|error| {
            format!(
                "the catalogue's address {:?} for {} is wrong: {error}",
                found.url, wanted.service_type
            )
        })?;
        if matches!(url.scheme(), "http" | "https") && url.has_host() {
            Ok(url)
        } else {
            Err(format!(
                "the catalogue's address {:?} for {} is not http",
                found.url, wanted.service_type
            ))
        }
    }

    fn listing(&self) -> String {
        let one = |entry: &Entry| {
            let name = entry.name.as_deref().unwrap_or("");
            let at = |endpoint: &Endpoint| {
                let region = endpoint
                    .region_id
                    .as_deref()
                    .or(endpoint.region.as_deref())
                    .unwrap_or("-");
                format!("{}@{region}", endpoint.interface)
            };
            let endpoints: Vec<String> = entry.endpoints.iter().map(at).collect();
            format!("{}:{name} ({})", entry.service_type, endpoints.join(" "))
        };
        if self.0.is_empty() {
            return "nothing (is the token scoped to a project?)".to_owned();
        }
        self.0.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use openstack::InterfaceType;

    use super::*;
    use crate::options::Interface;

    fn catalog() -> Catalog {
        serde_json::from_value(serde_json::json!([
            {"type": "compute", "name": "nova", "endpoints": [
                {"interface": "internal", "region": "one", "region_id": "one", "url": "http://internal.one/v2.1"},
                {"interface": "public", "region": "one", "region_id": "one", "url": "http://public.one/v2.1"},
                {"interface": "public", "region": "two", "url": "http://public.two/v2.1"},
            ]},
            {"type": "compute", "name": "nova2", "endpoints": [
                {"interface": "public", "region": "one", "url": "http://second.one/v2.1"},
            ]},
            {"type": "broken", "name": "b", "endpoints": [
                {"interface": "public", "region": "one", "url": "nowhere"},
            ]},
            {"type": "socket", "endpoints": [{"interface": "public", "region_id": "one", "url": "unix:/run/x"}]},
        ]))
        .unwrap()
    }

    /// Type, name, interface, region; the address, or a part of the error.
    type Case = (
        &'static str,
        Option<&'static str>,
        Interface,
        Option<&'static str>,
        Result<&'static str, &'static str>,
    );

    #[test]
    fn the_endpoint_is_found_by_type_name_interface_and_region() {
        use Interface::{Admin, Internal, Public};
        let cases: [Case; 10] = [
            ("compute", None, Public, None, Ok("http://public.one/v2.1")),
            (
                "compute",
                Some("nova"),
                Internal,
                None,
                Ok("http://internal.one/v2.1"),
            ),
            (
                "compute",
                Some("nova"),
                Public,
                Some("two"),
                Ok("http://public.two/v2.1"),
            ),
            (
                "compute",
                Some("nova2"),
                Public,
                Some("one"),
                Ok("http://second.one/v2.1"),
            ),
            (
                "compute",
                Some("nova2"),
                Public,
                Some("two"),
                Err("in region two"),
            ),
            ("compute", Some("other"), Public, None, Err("name other")),
            ("compute", None, Admin, None, Err("no admin endpoint")),
            (
                "computev21",
                None,
                Public,
                None,
                Err("compute:nova (internal@one"),
            ),
            ("broken", None, Public, None, Err("nowhere")),
            ("socket", Some("any"), Public, Some("one"), Err("not http")),
        ];
        for (service_type, name, interface, region, want) in cases {
            let wanted = CatalogInfo {
                service_type: service_type.to_owned(),
                service_name: name.map(ToOwned::to_owned),
                interface,
            };
            let mut filters = EndpointFilters::default();
            filters.set_interfaces(InterfaceType::from(interface));
            filters.region = region.map(ToOwned::to_owned);
            match (catalog().find(&wanted, &filters), want) {
                (Ok(url), Ok(want)) => assert_eq!(url.as_str(), want),
                (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
                (got, want) => panic!("{service_type} {name:?} {region:?}: {got:?} instead of {want:?}"),
            }
        }
    }
}
