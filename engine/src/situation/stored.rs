//! Reads the facts that an engine has stored about the cloud.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tachi_domain::forecast::{Needs, Provider};
use tachi_domain::situation::{DeviceTest, Instance, Instances, Rooms, TimedFact};

use super::CloudSnapshot;
use crate::ports::Fact;
use crate::watcher::{ListingProgress, kind};

impl CloudSnapshot {
    /// Reads the stored facts. A fact that cannot be read counts as missing: another version wrote it.
    pub fn from_stored(facts: &[Fact]) -> Self {
        let computes = one(facts, kind::COMPUTES).and_then(|fact| {
            Some(TimedFact {
                as_of: fact.as_of,
                value: serde_json::from_str(&fact.value).ok()?,
            })
        });
        let instances = one(facts, kind::SERVERS).and_then(|fact| {
            let listed: ListingProgress = serde_json::from_str(&fact.value).ok()?;
            Some(TimedFact {
                as_of: fact.as_of,
                value: Instances {
                    complete: listed.complete,
                    listing_since: listed.since,
                    on: instances(facts)?,
                },
            })
        });
        let mut all = Self {
            rooms: rooms(facts),
            computes,
            instances,
            joint_losses: one(facts, kind::JOINT_LOSSES).and_then(|fact| {
                Some(TimedFact {
                    as_of: fact.as_of,
                    value: serde_json::from_str(&fact.value).ok()?,
                })
            }),
            holds: one(facts, kind::HOLDS).and_then(|fact| {
                Some(TimedFact {
                    as_of: fact.as_of,
                    value: serde_json::from_str(&fact.value).ok()?,
                })
            }),
            tests: one(facts, kind::TESTS).and_then(|fact| serde_json::from_str(&fact.value).ok()),
        };
        all.add_command_tests(facts);
        all
    }

    /// Adds the tests of fence devices that operators have run by command. The later test of a device takes precedence.
    /// Omits tests that had expired at the last read of Nova, because the device may have been replaced.
    pub fn add_command_tests(&mut self, kept: &[Fact]) {
        let facts = kept.iter().filter(|fact| fact.kind == kind::COMMAND_TESTS);
        let read = facts.filter_map(|fact| serde_json::from_str::<Vec<DeviceTest>>(&fact.value).ok());
        let known_at = self.computes.as_ref().map(|known| known.as_of);
        let counts = |test: &DeviceTest| {
            known_at.is_none_or(|at| at.micros_since(test.as_of) <= i64::from(test.counts_for) * 1_000_000)
        };
        for mut test in read.flatten().filter(counts) {
            let tests = self.tests.get_or_insert_default();
            let same = |known: &&mut DeviceTest| known.host == test.host && known.target == test.target;
            match tests.iter_mut().find(same) {
                Some(before) if before.as_of >= test.as_of => {}
                Some(before) => {
                    if test.fault.is_some() {
                        test.failures = test.failures.saturating_add(before.failures);
                    }
                    *before = test;
                }
                None => tests.push(test),
            }
        }
    }
}

fn one<'a>(facts: &'a [Fact], kind: &str) -> Option<&'a Fact> {
    facts.iter().find(|fact| fact.kind == kind)
}

/// A cache that parses equal texts only once: a large region has fifty thousand texts, most of them equal.
struct SharedText<'a, T>(HashMap<&'a str, Arc<T>>);

impl<'a, T: DeserializeOwned> SharedText<'a, T> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn read(&mut self, text: &'a RawValue) -> Option<Arc<T>> {
        let text = text.get();
        if let Some(same) = self.0.get(text) {
            return Some(Arc::clone(same));
        }
        let read = Arc::new(serde_json::from_str(text).ok()?);
        self.0.insert(text, Arc::clone(&read));
        Some(read)
    }
}

/// Returns the instances by host; `None` if a part cannot be read.
fn instances(facts: &[Fact]) -> Option<BTreeMap<String, Arc<Vec<Instance>>>> {
    let mut needs = SharedText::new();
    let facts = facts.iter().filter(|fact| fact.kind == kind::INSTANCES);
    let each = facts.map(|fact| {
        let texts: Vec<Instance<&RawValue>> = serde_json::from_str(&fact.value).ok()?;
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            all.push(instance(text, &mut needs)?);
        }
        Some((fact.subject.clone(), Arc::new(all)))
    });
    each.collect()
}

fn instance<'a>(
    stored_instance: Instance<&'a RawValue>,
    needs: &mut SharedText<'a, Needs>,
) -> Option<Instance> {
    let needs = match stored_instance.needs {
        Some(text) => Some(needs.read(text)?),
        None => None,
    };
    Some(Instance {
        id: stored_instance.id,
        name: stored_instance.name,
        left: stored_instance.left,
        moving: stored_instance.moving,
        local_disk: stored_instance.local_disk,
        marked: stored_instance.marked,
        rest: stored_instance.rest,
        ended_by_boot: stored_instance.ended_by_boot,
        start_blocker: stored_instance.start_blocker,
        needs,
    })
}

/// Returns the capacity of hosts; `None` if a part cannot be read.
fn rooms(facts: &[Fact]) -> Option<TimedFact<Rooms>> {
    let state = one(facts, kind::ROOMS)?;
    let mut traits = SharedText::new();
    let providers = facts.iter().filter(|fact| fact.kind == kind::PROVIDER);
    let providers = providers.map(|fact| {
        let provider: Provider<&RawValue> = serde_json::from_str(&fact.value).ok()?;
        let provider = Provider {
            has: provider.has,
            traits: traits.read(provider.traits)?,
        };
        Some((fact.subject.clone(), Arc::new(provider)))
    });
    Some(TimedFact {
        as_of: state.as_of,
        value: Rooms {
            providers: providers.collect::<Option<_>>()?,
            aggregates: serde_json::from_str(&one(facts, kind::AGGREGATES)?.value).ok()?,
            groups: serde_json::from_str(&one(facts, kind::GROUPS)?.value).ok()?,
            state: serde_json::from_str(&state.value).ok()?,
        },
    })
}
