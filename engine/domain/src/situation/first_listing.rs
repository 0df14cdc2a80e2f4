//! Progress of the first listing of Nova's instances.

use std::fmt::Write as _;

use super::{Facts, Instances};
use crate::count;
use crate::timestamp::Timestamp;

/// The resource class by which the progress is estimated: every instance takes some, and Placement knows the sum.
const MEMORY: &str = "MEMORY_MB";

/// Describes the progress. The share is an estimate, because Nova does not show the total number of instances.
pub(super) fn text(facts: &Facts, known: &Instances, now: Timestamp) -> String {
    let listed: usize = known.on.values().map(|all| all.len()).sum();
    let mut text = format!(
        "first listing of Nova's instances: {} so far",
        count(listed as u64, "instance", "instances")
    );
    if let Some(percent) = percent(facts, known) {
        let _ = write!(text, ", about {percent} %");
        let elapsed = known
            .listing_since
            .map(|since| now.micros_since(since).max(0) / 1_000_000);
        if let Some(elapsed) = elapsed {
            let left = elapsed.saturating_mul(100 - percent) / percent;
            let minutes = left.saturating_add(59) / 60;
            let _ = match minutes {
                0 | 1 => write!(text, ", less than a minute left"),
                61.. => write!(text, ", slower than expected: see the engine's log"),
                minutes => write!(text, ", about {minutes} min left"),
            };
        }
    }
    text
}

/// Estimates the share from the hosts whose use of memory Placement has shown: the pages of the listing are in the order of the
/// instances' creation, so they reach all hosts alike. At most 99: the last page alone ends the listing.
fn percent(facts: &Facts, known: &Instances) -> Option<i64> {
    let providers = &facts.rooms.as_ref()?.value.providers;
    let (mut listed, mut used) = (0_u64, 0_u64);
    for (host, provider) in providers {
        used = used.saturating_add(provider.has.get(MEMORY).map_or(0, |memory| memory.used));
        let needs = known.on.get(host).into_iter().flat_map(|all| all.iter());
        let needs = needs.filter_map(|one| one.needs.as_ref());
        listed = needs.fold(listed, |sum, needs| sum.saturating_add(needs.resources.memory_mb));
    }
    let share = listed.saturating_mul(100).checked_div(used)?;
    (share > 0).then(|| i64::try_from(share).unwrap_or(99).min(99))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{ago, fine};
    use super::super::{FindingCode, Rooms, RoomsState, TimedFact, assess};
    use super::*;
    use crate::forecast::{Capacity, Needs, Provider};
    use crate::resources::Resources;

    #[test]
    fn the_share_and_the_rest_are_estimated_by_memory() {
        let memory = |used| Capacity {
            total: 1_000,
            reserved: 0,
            ratio_millis: 1_000,
            min_unit: 1,
            max_unit: 1_000,
            step_size: 1,
            used,
        };
        let provider = |used| {
            let has = [("MEMORY_MB".to_owned(), memory(used))].into();
            Arc::new(Provider {
                has,
                ..Provider::default()
            })
        };
        // Two of three hosts are read; each of the region's six instances takes 30.
        for (used, since, expected) in [
            (None, None, "6 instances so far"),
            (Some(100), None, "6 instances so far, about 60 %"),
            (
                Some(100),
                Some(180),
                "6 instances so far, about 60 %, about 2 min left",
            ),
            (
                Some(100),
                Some(30),
                "6 instances so far, about 60 %, less than a minute left",
            ),
            (
                Some(60),
                Some(600),
                "6 instances so far, about 99 %, less than a minute left",
            ),
        ] {
            let mut facts = fine();
            let known = &mut facts.instances.as_mut().unwrap().value;
            known.listing_since = since.map(ago);
            for all in known.on.values_mut() {
                for instance in Arc::make_mut(all) {
                    instance.needs = Some(Arc::new(Needs {
                        project: String::new(),
                        resources: Resources {
                            vcpus: 1,
                            memory_mb: 30,
                            disk_gb: 0,
                        },
                        wishes: [].into(),
                        not_reckoned: None,
                    }));
                }
            }
            let known = known.clone();
            facts.rooms = used.map(|used| TimedFact {
                as_of: ago(5),
                value: Rooms {
                    providers: [("a".into(), provider(used)), ("b".into(), provider(used))].into(),
                    aggregates: Vec::new(),
                    groups: Vec::new(),
                    state: RoomsState::default(),
                },
            });
            let rendered = text(&facts, &known, ago(0));
            assert_eq!(rendered, format!("first listing of Nova's instances: {expected}"));
        }
    }

    #[test]
    fn no_data_is_stale_before_the_first_listing_is_complete() {
        let mut facts = fine();
        let known = facts.instances.as_mut().unwrap();
        known.value.complete = false;
        known.as_of = ago(46);
        facts.computes.as_mut().unwrap().as_of = ago(46);
        let situation = assess(&facts, ago(0));
        let codes: Vec<FindingCode> = situation.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [FindingCode::InstancesNotListed]);
        assert_eq!(situation.counts.unwrap().unknown, 6);
    }
}
