//! What an engine has kept of the cloud, read again. Of a large region it is megabytes, and every command reads all of it: that takes as
//! many threads as there are processors.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use tachi_domain::forecast::SharedNeeds;
use tachi_domain::situation::{Instance, Instances, Known, Rooms};

use super::Watched;
use crate::ports::Fact;
use crate::watcher::{Listed, kind};

/// Fewer hosts are not worth a thread.
const WORTH: usize = 100;

/// More threads than this gain nothing.
const MOST: usize = 8;

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

type OnHosts = BTreeMap<String, Arc<Vec<Instance>>>;

/// By host; nothing if a part cannot be read.
fn instances(kept: &[Fact]) -> Option<OnHosts> {
    let facts: Vec<&Fact> = kept.iter().filter(|fact| fact.kind == kind::INSTANCES).collect();
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(facts.len() / WORTH).clamp(1, MOST);
    if threads == 1 {
        return read(&facts);
    }
    thread::scope(|scope| {
        let parts = facts.chunks(facts.len().div_ceil(threads));
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || read(part))).collect();
        let mut all = OnHosts::new();
        for part in parts {
            all.append(&mut part.join().ok()??);
        }
        Some(all)
    })
}

/// Of these hosts. What their instances need is there once for all that need the same.
fn read(facts: &[&Fact]) -> Option<OnHosts> {
    let mut shared = SharedNeeds::default();
    let each = facts.iter().map(|fact| {
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

#[cfg(test)]
mod tests {
    use tachi_domain::{ServerId, Timestamp};
    use uuid::Uuid;

    use super::*;

    const AT: Timestamp = Timestamp::from_micros(1_000_000);

    fn fact(kind: &str, subject: &str, value: String) -> Fact {
        Fact {
            kind: kind.into(),
            subject: subject.into(),
            value,
            as_of: AT,
        }
    }

    /// Enough hosts for several threads, where there are processors for them.
    fn region(hosts: u128) -> Vec<Fact> {
        let mut kept = vec![fact(kind::SERVERS, "", r#"{"complete":true}"#.into())];
        kept.extend((0..hosts).map(|number| {
            let one = Instance {
                id: ServerId(Uuid::from_u128(number)),
                name: format!("vm-{number}").into(),
                left: None,
                needs: None,
                moving: false,
                marked: true,
            };
            let value = serde_json::to_string(&[one]).unwrap();
            fact(kind::INSTANCES, &format!("host-{number:04}"), value)
        }));
        kept
    }

    #[test]
    fn all_is_read_whoever_reads_which_part() {
        for hosts in [1, 99, 350, 1_001] {
            let known = Watched::from_kept(&region(hosts)).instances.unwrap();
            let on: Vec<_> = known.value.on.into_iter().collect();
            assert_eq!(on.len() as u128, hosts);
            for (number, (host, all)) in (0..hosts).zip(on) {
                assert_eq!(host, format!("host-{number:04}"));
                assert_eq!(all[0].id, ServerId(Uuid::from_u128(number)));
            }
        }
    }

    #[test]
    fn a_part_that_cannot_be_read_makes_all_of_it_unknown() {
        let mut kept = region(400);
        kept[300].value = "{}".into();
        assert!(Watched::from_kept(&kept).instances.is_none());
    }
}
