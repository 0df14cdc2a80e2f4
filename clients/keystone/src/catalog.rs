//! The service catalogue.

use reqwest::Url;
use serde::Deserialize;

use crate::options::Interface;

/// The services a token can be used with.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Catalog(Vec<Entry>);

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

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Types by which the service goes, the best first.
    pub types: &'a [&'a str],
    /// Its name; `None` takes any.
    pub name: Option<&'a str>,
    /// Which of its addresses.
    pub interface: Interface,
    /// Only addresses of this region.
    pub region: Option<&'a str>,
}

impl Wanted<'_> {
    fn is_met_by(&self, endpoint: &Endpoint) -> bool {
        let interface = endpoint.interface.as_str();
        let of = |region: &Option<String>| region.as_deref() == self.region;
        interface.strip_suffix("URL").unwrap_or(interface) == self.interface.as_str()
            && (self.region.is_none() || of(&endpoint.region) || of(&endpoint.region_id))
    }

    fn is_named(&self, entry: &Entry) -> bool {
        match (self.name, &entry.name) {
            (Some(wanted), Some(name)) => wanted == name,
            // Catalogues without names match by type, as keystoneauth does it.
            _ => true,
        }
    }
}

impl Catalog {
    /// The address of a service, or what is wrong with the catalogue, for a person.
    ///
    /// # Errors
    ///
    /// There is none, or it is no address.
    pub fn find(&self, wanted: &Wanted<'_>) -> Result<Url, String> {
        let of_type = |service_type: &&str| {
            let entries = self.0.iter().filter(|entry| entry.service_type == *service_type);
            let named = entries.filter(|entry| wanted.is_named(entry));
            named
                .flat_map(|entry| &entry.endpoints)
                .find(|endpoint| wanted.is_met_by(endpoint))
        };
        let service_type = wanted.types.first().copied().unwrap_or_default();
        let Some(found) = wanted.types.iter().find_map(of_type) else {
            let part = |what: &str, part: Option<&str>| {
                part.map(|part| format!(" {what} {part}")).unwrap_or_default()
            };
            return Err(format!(
                "the catalogue has no {} endpoint of type {service_type}{}{}; it has: {}",
                wanted.interface.as_str(),
                part("and name", wanted.name),
                part("in region", wanted.region),
                self.listing(),
            ));
        };
        let wrong = |why: &str| {
            format!(
                "the catalogue's address {:?} for {service_type} is {why}",
                found.url
            )
        };
        let url = Url::parse(&found.url).map_err(|error| wrong(&format!("wrong: {error}")))?;
        if matches!(url.scheme(), "http" | "https") && url.has_host() {
            Ok(url)
        } else {
            Err(wrong("not http"))
        }
    }

    fn listing(&self) -> String {
        let one = |entry: &Entry| {
            let name = entry
                .name
                .as_deref()
                .map(|name| format!(":{name}"))
                .unwrap_or_default();
            let at = |endpoint: &Endpoint| {
                let region = endpoint.region_id.as_deref().or(endpoint.region.as_deref());
                format!("{}@{}", endpoint.interface, region.unwrap_or("-"))
            };
            let endpoints: Vec<String> = entry.endpoints.iter().map(at).collect();
            format!("{}{name} ({})", entry.service_type, endpoints.join(" "))
        };
        if self.0.is_empty() {
            return "nothing (is the token scoped to a project?)".to_owned();
        }
        self.0.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        serde_json::from_value(serde_json::json!([
            {"type": "compute", "name": "nova", "endpoints": [
                {"interface": "internal", "region": "one", "region_id": "one", "url": "http://internal.one/v2.1"},
                {"interface": "public", "region": "one", "region_id": "one", "url": "http://public.one/v2.1"},
                {"interface": "public", "region": "two", "url": "http://public.two/v2.1"},
                {"interface": "adminURL", "region": "two", "url": "http://admin.two/v2.1"},
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

    /// Types, name, interface, region; the address, or a part of the error.
    type Case = (
        &'static [&'static str],
        Option<&'static str>,
        Interface,
        Option<&'static str>,
        Result<&'static str, &'static str>,
    );

    #[test]
    fn the_endpoint_is_found_by_type_name_interface_and_region() {
        use Interface::{Admin, Internal, Public};
        const NOVA: &[&str] = &["compute"];
        let cases: [Case; 13] = [
            (NOVA, None, Public, None, Ok("http://public.one/v2.1")),
            (NOVA, Some("nova"), Internal, None, Ok("http://internal.one/v2.1")),
            (
                NOVA,
                Some("nova"),
                Public,
                Some("two"),
                Ok("http://public.two/v2.1"),
            ),
            (
                NOVA,
                Some("nova"),
                Admin,
                Some("two"),
                Ok("http://admin.two/v2.1"),
            ),
            (
                NOVA,
                Some("nova2"),
                Public,
                Some("one"),
                Ok("http://second.one/v2.1"),
            ),
            (NOVA, Some("nova2"), Public, Some("two"), Err("in region two")),
            (NOVA, Some("other"), Public, None, Err("name other")),
            (NOVA, None, Admin, Some("one"), Err("no admin endpoint")),
            (
                &["computev21"],
                None,
                Public,
                None,
                Err("compute:nova (internal@one"),
            ),
            (
                &["new", "compute"],
                None,
                Public,
                None,
                Ok("http://public.one/v2.1"),
            ),
            (
                &["compute", "broken"],
                None,
                Public,
                None,
                Ok("http://public.one/v2.1"),
            ),
            (&["broken"], None, Public, None, Err("nowhere")),
            (&["socket"], Some("any"), Public, Some("one"), Err("not http")),
        ];
        for (types, name, interface, region, want) in cases {
            let wanted = Wanted {
                types,
                name,
                interface,
                region,
            };
            match (catalog().find(&wanted), want) {
                (Ok(url), Ok(want)) => assert_eq!(url.as_str(), want),
                (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
                (got, want) => panic!("{wanted:?}: {got:?} instead of {want:?}"),
            }
        }
    }
}
