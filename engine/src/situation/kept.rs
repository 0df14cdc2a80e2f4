//! What an engine has kept of the cloud, read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use tachi_domain::forecast::SharedNeeds;
use tachi_domain::situation::{Instance, Instances, Known, Rooms};

use super::Watched;
use crate::ports::Fact;
use crate::watcher::{Listed, kind};

impl Watched {
    /// From what is kept. What cannot be read is as good as not gathered: another version wrote it.
    pub fn from_kept(kept: &[Fact]) -> Self {
        let computes = one(kept, kind::COMPUTES).and_then(|fact| {
            Some(Known {
                as_of: fact.as_of,
                value: serde_json::from_str(&fact.value).ok()?,
            })
        });
        let instances = one(kept, kind::SERVERS).and_then(|fact| {
            let listed: Listed = serde_json::from_str(&fact.value).ok()?;
            Some(Known {
                as_of: fact.as_of,
                value: Instances {
                    complete: listed.complete,
                    on: instances(kept)?,
                },
            })
        });
        Self {
            rooms: rooms(kept),
            computes,
            instances,
            tests: one(kept, kind::TESTS).and_then(|fact| serde_json::from_str(&fact.value).ok()),
        }
    }
}

fn one<'a>(kept: &'a [Fact], kind: &str) -> Option<&'a Fact> {
    kept.iter().find(|fact| fact.kind == kind)
}

/// By host; nothing if a part cannot be read. What their instances need is there once for all that need the same.
fn instances(kept: &[Fact]) -> Option<BTreeMap<String, Arc<Vec<Instance>>>> {
    let mut shared = SharedNeeds::default();
    let facts = kept.iter().filter(|fact| fact.kind == kind::INSTANCES);
    let each = facts.map(|fact| {
        let mut all: Vec<Instance> = serde_json::from_str(&fact.value).ok()?;
        for one in &mut all {
            one.needs = one.needs.take().map(|needs| shared.share(needs));
        }
        Some((fact.subject.clone(), Arc::new(all)))
    });
    each.collect()
}

/// What hosts have; nothing of it if a part cannot be read.
fn rooms(kept: &[Fact]) -> Option<Known<Rooms>> {
    let state = one(kept, kind::ROOMS)?;
    let providers = kept
        .iter()
        .filter(|fact| fact.kind == kind::PROVIDER)
        .map(|fact| {
            let provider = serde_json::from_str(&fact.value).ok()?;
            Some((fact.subject.clone(), Arc::new(provider)))
        });
    Some(Known {
        as_of: state.as_of,
        value: Rooms {
            providers: providers.collect::<Option<_>>()?,
            aggregates: serde_json::from_str(&one(kept, kind::AGGREGATES)?.value).ok()?,
            groups: serde_json::from_str(&one(kept, kind::GROUPS)?.value).ok()?,
            state: serde_json::from_str(&state.value).ok()?,
        },
    })
}
