//! The service catalogue.

use std::collections::BTreeSet;

use reqwest::Url;
use serde::Deserialize;

use crate::options::{Interface, Region};

/// The services that a token can be used with.
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

/// The service to find.
#[derive(Clone, Copy, Debug)]
pub struct ServiceQuery<'a> {
    /// Types of the service, the preferred one first.
    pub types: &'a [&'a str],
    /// The service's name; `None` matches any.
    pub name: Option<&'a str>,
    /// The interface to use.
    pub interface: Interface,
    /// The region whose endpoints count.
    pub region: &'a Region,
    /// The option that sets the region, for messages.
    pub region_option: &'a str,
}

impl ServiceQuery<'_> {
    fn is_met_by(&self, endpoint: &Endpoint, region: Option<&str>) -> bool {
        let interface = endpoint.interface.as_str();
        let of = |name: &Option<String>| name.as_deref() == region;
        interface.strip_suffix("URL").unwrap_or(interface) == self.interface.as_str()
            && (region.is_none() || of(&endpoint.region) || of(&endpoint.region_id))
    }

    fn is_named(&self, entry: &Entry) -> bool {
        match (self.name, &entry.name) {
            (Some(expected), Some(name)) => expected == name,
            // Catalogues without names match by type, as in keystoneauth.
            _ => true,
        }
    }

    fn service(&self) -> &str {
        self.types.first().copied().unwrap_or_default()
    }
}

impl Endpoint {
    fn region(&self) -> Option<&str> {
        self.region_id.as_deref().or(self.region.as_deref())
    }

    fn address(&self) -> &str {
        self.url.trim_end_matches('/')
    }
}

/// A service's endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEndpoint {
    /// The address.
    pub url: Url,
    /// The region; `None` if the catalogue states none, or lists this address in several.
    pub region: Option<String>,
}

/// An error in finding an endpoint. The text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// The catalogue has no such endpoint.
    #[error("{0}")]
    Missing(String),
    /// The catalogue has several such endpoints, and no setting selects one.
    #[error("{0}")]
    Ambiguous(String),
    /// The endpoint's address cannot be used.
    #[error("{0}")]
    Unusable(String),
}

impl Catalog {
    /// Finds the one endpoint of a service. The order of the catalogue does not matter: another region may have hosts
    /// and instances of the same names.
    ///
    /// # Errors
    ///
    /// There is no such endpoint, there are several, or its address is invalid.
    pub fn find(&self, query: &ServiceQuery<'_>) -> Result<ServiceEndpoint, CatalogError> {
        let (region, by_type) = match query.region {
            Region::Unset => (None, self.endpoints(query, None)),
            Region::Named(name) => (Some(name), self.endpoints(query, Some(name))),
            Region::Preferred(name) => match self.endpoints(query, Some(name)) {
                there if there.is_empty() => (None, self.endpoints(query, None)),
                there => (Some(name), there),
            },
        };
        let Some(best) = by_type.first() else {
            return Err(self.missing(query, region.map(String::as_str)));
        };
        let all: Vec<&Endpoint> = by_type.iter().flatten().copied().collect();
        if region.is_none() && differ(&all, Endpoint::region) && differ(&all, |one| Some(one.address())) {
            return Err(several_regions(query, &all));
        }
        if differ(best, |one| Some(one.address())) {
            return Err(several_endpoints(query, best));
        }
        let [found, ..] = best.as_slice() else {
            return Err(self.missing(query, region.map(String::as_str)));
        };
        Ok(ServiceEndpoint {
            url: usable(query, &found.url)?,
            region: found
                .region()
                .filter(|_| !differ(best, Endpoint::region))
                .map(ToOwned::to_owned),
        })
    }

    /// Returns the matching endpoints by type, the best type first. Types without an endpoint are omitted.
    fn endpoints(&self, query: &ServiceQuery<'_>, region: Option<&String>) -> Vec<Vec<&Endpoint>> {
        let region = region.map(String::as_str);
        let of_type = |service_type: &&str| -> Vec<&Endpoint> {
            let entries = self.0.iter().filter(|entry| entry.service_type == *service_type);
            let named = entries.filter(|entry| query.is_named(entry));
            named
                .flat_map(|entry| &entry.endpoints)
                .filter(|endpoint| query.is_met_by(endpoint, region))
                .collect()
        };
        let by_type = query.types.iter().map(of_type);
        by_type.filter(|some| !some.is_empty()).collect()
    }

    fn missing(&self, query: &ServiceQuery<'_>, region: Option<&str>) -> CatalogError {
        let part =
            |what: &str, part: Option<&str>| part.map(|part| format!(" {what} {part}")).unwrap_or_default();
        CatalogError::Missing(format!(
            "the catalogue has no {} endpoint of type {}{}{}; it has: {}",
            query.interface.as_str(),
            query.service(),
            part("and name", query.name),
            part("in region", region),
            self.listing(query),
        ))
    }

    /// Lists the endpoints of the requested types; if there are none, all endpoints.
    fn listing(&self, query: &ServiceQuery<'_>) -> String {
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
        let is_requested = |entry: &&Entry| query.types.contains(&entry.service_type.as_str());
        let mut shown: Vec<&Entry> = self.0.iter().filter(is_requested).collect();
        if shown.is_empty() {
            shown = self.0.iter().collect();
        }
        shown.into_iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// True if `part` differs between endpoints.
fn differ<'a>(all: &[&'a Endpoint], part: impl Fn(&'a Endpoint) -> Option<&'a str>) -> bool {
    all.iter().map(|one| part(one)).collect::<BTreeSet<_>>().len() > 1
}

fn candidates(all: &[&Endpoint]) -> String {
    let one = |endpoint: &&Endpoint| {
        format!(
            "{} ({})",
            endpoint.region().unwrap_or("no region"),
            endpoint.address()
        )
    };
    let all: BTreeSet<String> = all.iter().map(one).collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

fn several_regions(query: &ServiceQuery<'_>, all: &[&Endpoint]) -> CatalogError {
    let unknown = match query.region {
        Region::Preferred(name) => format!("none of them is {name}"),
        Region::Unset | Region::Named(_) => "no region is set".to_owned(),
    };
    CatalogError::Ambiguous(format!(
        "the catalogue has {} in several regions, and {unknown}: {}. Set {}",
        query.service(),
        candidates(all),
        query.region_option,
    ))
}

fn several_endpoints(query: &ServiceQuery<'_>, all: &[&Endpoint]) -> CatalogError {
    CatalogError::Ambiguous(format!(
        "the catalogue has several {} endpoints of {} in one region: {}. Delete the unused ones from Keystone",
        query.interface.as_str(),
        query.service(),
        candidates(all),
    ))
}

fn usable(query: &ServiceQuery<'_>, address: &str) -> Result<Url, CatalogError> {
    let wrong = |why: &str| {
        CatalogError::Unusable(format!(
            "the catalogue's address {address:?} for {} is invalid: {why}",
            query.service()
        ))
    };
    let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(wrong("it is not http or https"))
    }
}

#[cfg(test)]
mod tests;
