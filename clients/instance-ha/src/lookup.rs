//! Registration of hosts, as `tachi-monitor check` reads it.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::client::{Client, Reply, refused};
use crate::error::{CallFailure, Class};

/// Limit of pages to read, above any real list of segments or hosts.
const MAX_PAGES: usize = 1000;

/// A host of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredHost {
    /// The name in Nova.
    pub name: String,
    /// The segment's name.
    pub segment: String,
    /// True if it is in maintenance: reports about it have no effect then.
    pub on_maintenance: bool,
}

/// The registration of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// Registered in a segment.
    In(RegisteredHost),
    /// Not registered under this name.
    Not {
        /// A registered name that differs only in its domain or its case.
        similar: Option<String>,
        /// Number of registered hosts.
        hosts: usize,
    },
}

impl Registration {
    /// Finds a host among all registered hosts.
    pub fn of(hostname: &str, all: &[RegisteredHost]) -> Self {
        if let Some(found) = all.iter().find(|host| host.name == hostname) {
            return Self::In(found.clone());
        }
        let similar = all.iter().find(|host| alike(&host.name, hostname));
        Self::Not {
            similar: similar.map(|host| host.name.clone()),
            hosts: all.len(),
        }
    }
}

#[derive(Deserialize)]
struct Segment {
    /// The marker for the next page.
    id: Option<u64>,
    uuid: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Host {
    id: Option<u64>,
    #[serde(default)]
    uuid: String,
    name: String,
    #[serde(default)]
    on_maintenance: bool,
}

#[derive(Deserialize)]
struct Segments {
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Hosts {
    hosts: Vec<Host>,
}

impl Client {
    /// Lists the hosts of all segments. The user must be allowed to list segments and hosts.
    ///
    /// # Errors
    ///
    /// The API does not answer, or refuses.
    pub async fn registered_hosts(&self) -> Result<Vec<RegisteredHost>, CallFailure> {
        let mut all = Vec::new();
        let segments = self
            .pages(
                "/segments",
                |body| Ok(serde_json::from_slice::<Segments>(body)?.segments),
                |segment| marker(segment.id, &segment.uuid),
            )
            .await?;
        for segment in segments {
            // The id comes from the API, so it is checked before it is put into a path.
            if !segment
                .uuid
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-')
            {
                continue;
            }
            let hosts = self
                .pages(
                    &format!("/segments/{}/hosts", segment.uuid),
                    |body| Ok(serde_json::from_slice::<Hosts>(body)?.hosts),
                    |host| marker(host.id, &host.uuid),
                )
                .await?;
            all.extend(hosts.into_iter().map(|host| RegisteredHost {
                name: host.name,
                segment: segment.name.clone(),
                on_maintenance: host.on_maintenance,
            }));
        }
        Ok(all)
    }

    async fn pages<T>(
        &self,
        path: &str,
        parse: impl Fn(&[u8]) -> Result<Vec<T>, serde_json::Error>,
        id: impl Fn(&T) -> String,
    ) -> Result<Vec<T>, CallFailure> {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..MAX_PAGES {
            let page_path = match all.last() {
                Some(last) => format!("{path}?sort_key=id&sort_dir=asc&marker={}", id(last)),
                None => format!("{path}?sort_key=id&sort_dir=asc"),
            };
            let line = format!("GET {path}");
            let reply: Reply = self
                .call(Method::GET, &page_path, &HeaderMap::new(), None)
                .await?;
            if !reply.status.is_success() {
                return Err(refused(&line, &reply));
            }
            let page = parse(&reply.body).map_err(|error| {
                CallFailure::new(Class::Broken, format!("{line}: invalid answer: {error}"))
            })?;
            let moved = page
                .last()
                .is_some_and(|last| Some(id(last)) != all.last().map(&id));
            if !moved {
                return Ok(all);
            }
            all.extend(page);
        }
        Ok(all)
    }
}

/// Returns the marker of the next page. Masakari accepts only the number.
fn marker(id: Option<u64>, uuid: &str) -> String {
    // Values from the API are put into an address only if they need no escaping.
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    id.map_or_else(|| uuid.chars().filter(plain).collect(), |id| id.to_string())
}

/// True if the names differ only in their domain or case.
fn alike(one: &str, other: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    short(one) == short(other) && !short(one).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_domain_or_case_are_alike() {
        for (one, other, expected) in [
            ("cmp1", "cmp1.maas", true),
            ("cmp1.maas", "CMP1.example.org", true),
            ("cmp1", "cmp10", false),
            ("", "", false),
        ] {
            assert_eq!(alike(one, other), expected, "{one} {other}");
        }
    }
}
