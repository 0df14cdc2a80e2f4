//! Whether a host is protected: what `tachi-monitor check` asks.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::client::{Client, Reply, refused};
use crate::error::{Class, Failed};

/// More pages than a list of segments or hosts has.
const MOST_PAGES: usize = 1000;

/// A host of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its name, as Nova knows it.
    pub name: String,
    /// The segment's name.
    pub segment: String,
    /// Whether it is on maintenance: reports about it cause nothing then.
    pub on_maintenance: bool,
}

/// How a host is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// In a segment.
    In(Registered),
    /// Not under this name.
    Not {
        /// A registered name that is the same but for its domain or its case.
        similar: Option<String>,
        /// How many hosts are registered.
        hosts: usize,
    },
}

impl Registration {
    /// Looks for a host among all that are registered.
    pub fn of(hostname: &str, all: &[Registered]) -> Self {
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
    /// The number by which a list goes on.
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
    /// The hosts of all segments. The user needs to be allowed to list segments and hosts.
    ///
    /// # Errors
    ///
    /// The API does not answer, or does not say.
    pub async fn registered(&self) -> Result<Vec<Registered>, Failed> {
        let mut all = Vec::new();
        let segments = self
            .pages(
                "/segments",
                |body| Ok(serde_json::from_slice::<Segments>(body)?.segments),
                |segment| marker(segment.id, &segment.uuid),
            )
            .await?;
        for segment in segments {
            // The uuid comes from the API; only what can stand in a path is used.
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
            all.extend(hosts.into_iter().map(|host| Registered {
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
    ) -> Result<Vec<T>, Failed> {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..MOST_PAGES {
            let asked = match all.last() {
                Some(last) => format!("{path}?sort_key=id&sort_dir=asc&marker={}", id(last)),
                None => format!("{path}?sort_key=id&sort_dir=asc"),
            };
            let line = format!("GET {path}");
            let reply: Reply = self.call(Method::GET, &asked, &HeaderMap::new(), None).await?;
            if !reply.status.is_success() {
                return Err(refused(&line, &reply));
            }
            let page = parse(&reply.body).map_err(|error| {
                Failed::new(Class::Broken, format!("{line}: an answer without sense: {error}"))
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

/// By what a list goes on: Masakari takes the number and nothing else.
fn marker(id: Option<u64>, uuid: &str) -> String {
    // What comes from the API stands in an address only where it can.
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    id.map_or_else(|| uuid.chars().filter(plain).collect(), |id| id.to_string())
}

/// The same name but for its domain or its case.
fn alike(one: &str, other: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    short(one) == short(other) && !short(one).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_domain_or_case_are_alike() {
        for (one, other, want) in [
            ("cmp1", "cmp1.maas", true),
            ("cmp1.maas", "CMP1.example.org", true),
            ("cmp1", "cmp10", false),
            ("", "", false),
        ] {
            assert_eq!(alike(one, other), want, "{one} {other}");
        }
    }
}
