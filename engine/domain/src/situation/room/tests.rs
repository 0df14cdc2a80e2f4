//! Effect of capacity on hosts and instances.

use std::collections::BTreeMap;

use super::super::tests::{ALL_WELL, NONE, NOW, TestCase, ago, fine};
use super::super::{Aspect, Facts, Rooms, RoomsState, Situation, TimedFact, assess};
use super::*;
use crate::forecast::{Capacity, Headroom, Needs, Provider};
use crate::guard::{JointLoss, WouldHold};

/// Sets the free memory of the hosts; each instance needs 100.
pub(in super::super) fn rooms(facts: &mut Facts, free: [u64; 3]) {
    let provider = |free: u64| {
        let has = [("VCPU", 100), ("MEMORY_MB", free), ("DISK_GB", 100)].map(|(class, total)| {
            let capacity = Capacity {
                total,
                reserved: 0,
                ratio_millis: 1_000,
                min_unit: 1,
                max_unit: 1_000,
                step_size: 1,
                used: 0,
            };
            (class.to_owned(), capacity)
        });
        Arc::new(Provider {
            has: has.into(),
            ..Provider::default()
        })
    };
    let names = ["a", "b", "c"].map(str::to_owned);
    facts.rooms = Some(TimedFact {
        as_of: ago(12),
        value: Rooms {
            providers: names.into_iter().zip(free.map(provider)).collect(),
            ..Rooms::default()
        },
    });
    let known = facts.instances.as_mut().unwrap();
    for all in known.value.on.values_mut() {
        for instance in Arc::make_mut(all) {
            instance.needs = Some(needs(100).into());
        }
    }
}

fn needs(memory_mb: u64) -> Needs {
    Needs {
        project: "p".into(),
        resources: Resources {
            vcpus: 1,
            memory_mb,
            disk_gb: 1,
        },
        wishes: BTreeSet::new(),
        not_reckoned: None,
    }
}

fn on<'a>(facts: &'a mut Facts, host: &str) -> &'a mut Vec<Instance> {
    let known = facts.instances.as_mut().unwrap();
    Arc::make_mut(known.value.on.entry(host.into()).or_default())
}

fn state(facts: &mut Facts) -> &mut RoomsState {
    &mut facts.rooms.as_mut().unwrap().value.state
}

/// Capacity for the instances of `c` only.
const SHORT: [u64; 3] = [100, 100, 0];

/// Returns the table of cases.
#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(in super::super) fn cases() -> Vec<TestCase> {
    vec![
        (
            "the instances of each host fit on the others",
            |facts| rooms(facts, [100; 3]),
            &[],
            ALL_WELL,
        ),
        (
            "two hosts do not",
            |facts| rooms(facts, SHORT),
            &[(
                FindingCode::NoRoom,
                "a,b",
                "not all of its instances would fit (segment s1)",
            )],
            [2, 4, 0, 0, 0, 0],
        ),
        (
            "the large one fits only if the small one goes elsewhere",
            |facts| {
                rooms(facts, [0, 100, 60]);
                on(facts, "a")[1].needs = Some(needs(50).into());
                on(facts, "b").clear();
                on(facts, "c").clear();
            },
            &[(FindingCode::RoomTight, "a", "only if Nova places them well")],
            [0, 2, 0, 0, 0, 0],
        ),
        (
            "not all hosts are read yet",
            |facts| {
                rooms(facts, SHORT);
                state(facts).unread = 3;
            },
            &[(
                FindingCode::RoomUnknown,
                "a,b",
                "the capacity of 3 hosts is not read yet",
            )],
            [2, 0, 4, 0, 0, 0],
        ),
        (
            "one requires what the forecast does not model",
            |facts| {
                rooms(facts, [1_000; 3]);
                let needs = Arc::make_mut(on(facts, "b")[0].needs.as_mut().unwrap());
                needs.not_reckoned = Some("hw:numa_nodes=2".into());
            },
            &[(
                FindingCode::RoomUnknown,
                "b",
                "the forecast does not model hw:numa_nodes=2",
            )],
            ALL_WELL,
        ),
        (
            "Placement denies access",
            |facts| {
                rooms(facts, SHORT);
                facts.rooms.as_mut().unwrap().as_of = ago(3_600);
                state(facts).trouble = Some("403".into());
                state(facts).refused = true;
            },
            &[(
                FindingCode::RoomUnknown,
                "",
                "it is unknown if other hosts have capacity: 403",
            )],
            ALL_WELL,
        ),
        (
            "Placement does not answer",
            |facts| {
                rooms(facts, SHORT);
                state(facts).trouble = Some("timed out".into());
            },
            &[(
                FindingCode::RoomUnknown,
                "",
                "it is unknown if other hosts have capacity: timed out",
            )],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "Placement's answer is stale",
            |facts| {
                rooms(facts, [100; 3]);
                facts.rooms.as_mut().unwrap().as_of = ago(61);
            },
            &[(FindingCode::RoomUnknown, "", "too old")],
            [0, 0, 6, 0, 0, 0],
        ),
        (
            "without an engine everything grows stale, with one finding",
            |facts| {
                rooms(facts, SHORT);
                facts.rooms.as_mut().unwrap().as_of = ago(61);
                facts.engines.clear();
            },
            &[(FindingCode::NoEngine, "", "no engine runs")],
            NONE,
        ),
        (
            "without the required reserved host there is no other finding on capacity",
            |facts| {
                rooms(facts, SHORT);
                facts.segments[0].method = RecoveryMethod::ReservedHost;
            },
            &[(
                FindingCode::NoReservedHost,
                "segment s1",
                "it has no reserved host",
            )],
            NONE,
        ),
        (
            "an incomplete list of instances is a finding, and capacity is none",
            |facts| {
                rooms(facts, SHORT);
                facts.instances.as_mut().unwrap().value.complete = false;
            },
            &[(
                FindingCode::InstancesNotListed,
                "",
                "first listing of Nova's instances",
            )],
            ALL_WELL,
        ),
    ]
}

fn situation(change: impl Fn(&mut Facts)) -> Situation {
    let mut facts = fine();
    change(&mut facts);
    assess(&facts, NOW)
}

/// A possible lack of capacity, or denied access, is only info.
#[test]
fn only_a_likely_lack_of_capacity_is_worse_than_info() {
    let grades: BTreeMap<&str, Severity> = cases()
        .into_iter()
        .map(|(name, change, _, _)| (name, situation(change).grade))
        .collect();
    for (name, grade) in [
        ("the instances of each host fit on the others", Severity::Ok),
        ("two hosts do not", Severity::Warn),
        (
            "the large one fits only if the small one goes elsewhere",
            Severity::Info,
        ),
        ("one requires what the forecast does not model", Severity::Info),
        ("Placement denies access", Severity::Info),
        ("Placement does not answer", Severity::Unknown),
        ("not all hosts are read yet", Severity::Unknown),
    ] {
        assert_eq!(grades[name], grade, "{name}");
    }
}

#[test]
fn room_is_assessed_as_soon_as_it_can_be() {
    let outcome = |change: fn(&mut Facts)| {
        let situation = situation(change);
        let headroom = situation.segments[0].headroom;
        (
            situation.not_assessed.contains(&Aspect::Room),
            headroom.map(|one| (one.hosts, one.exact)),
        )
    };
    assert_eq!(outcome(|_| {}), (true, None), "without a request");
    assert_eq!(outcome(|facts| rooms(facts, [100; 3])), (false, Some((1, true))));
    assert_eq!(outcome(|facts| rooms(facts, [400; 3])), (false, Some((2, true))));
    assert_eq!(outcome(|facts| rooms(facts, SHORT)), (false, Some((0, true))));
    let refused: fn(&mut Facts) = |facts| {
        rooms(facts, SHORT);
        state(facts).trouble = Some("403".into());
        state(facts).refused = true;
    };
    assert_eq!(outcome(refused), (true, None));
}

fn fact<T>(value: T) -> TimedFact<T> {
    TimedFact {
        as_of: ago(12),
        value,
    }
}

/// Covers R36.
#[test]
fn headroom_is_the_smaller_of_the_room_and_of_what_the_guards_let_fail() {
    let held = |facts: &mut Facts, hosts: &[&str]| {
        let hold = |host: &&str| WouldHold {
            host: (*host).to_owned(),
            why: vec!["G4 segment: 2 of 3 hosts are out".to_owned()],
        };
        facts.holds = Some(fact(hosts.iter().map(hold).collect()));
    };
    let loss = |host: &str, domain: Option<&str>, hosts| JointLoss {
        host: host.to_owned(),
        domain: domain.map(str::to_owned),
        hosts,
        why: Vec::new(),
    };
    for (joint, alone, expected) in [
        (vec![], &[][..], (2, 2)),
        (vec![loss("a", None, 2)], &[][..], (1, 2)),
        (vec![loss("a", None, 3)], &[][..], (2, 2)),
        // Neither another segment, nor a domain, nor one host that is held for a reason of its own.
        (
            vec![loss("z", None, 2), loss("a", Some("rack:r1"), 2)],
            &["a"][..],
            (2, 2),
        ),
        (vec![loss("a", None, 2)], &["a", "b", "c"][..], (0, 2)),
    ] {
        let situation = situation(|facts| {
            rooms(facts, [400; 3]);
            facts.joint_losses = Some(fact(joint.clone()));
            held(facts, alone);
        });
        let segment = &situation.segments[0];
        let hosts = |headroom: Option<Headroom>| headroom.unwrap().hosts;
        assert_eq!(
            (hosts(segment.headroom), hosts(segment.room)),
            expected,
            "{joint:?}, {alone:?}"
        );
    }
}

#[test]
fn the_number_of_hosts_for_an_instance_is_known() {
    let mut facts = fine();
    let id = on(&mut facts, "a")[0].id;
    assert_eq!(fit(&facts, NOW, "a", id), None, "without a request");
    rooms(&mut facts, [500, 100, 99]);
    let outcome = |facts: &Facts| fit(facts, NOW, "a", id).map(|fit| (fit.hosts, fit.of));
    assert_eq!(outcome(&facts), Some((1, 2)));
    facts.segments[0].hosts[1].maintenance = Some(crate::entity::host::MaintenanceReason::Operator);
    assert_eq!(
        outcome(&facts),
        Some((0, 1)),
        "nothing comes to a host in maintenance"
    );
    assert_eq!(fit(&facts, NOW, "b", id), None, "it is not there");
    let needs = Arc::make_mut(on(&mut facts, "a")[0].needs.as_mut().unwrap());
    needs.not_reckoned = Some("hw:numa_nodes=2".into());
    assert_eq!(outcome(&facts), None);
}

/// An instance's project matters only where hosts are reserved for projects.
#[test]
fn instances_with_equal_needs_share_a_shape() {
    let mut facts = fine();
    rooms(&mut facts, [1_000; 3]);
    let needs = on(&mut facts, "a")[1].needs.as_mut().unwrap();
    Arc::make_mut(needs).project = "other".into();
    let shapes = |facts: &Facts| {
        let (cloud, trouble) = cloud(facts, NOW, |_| true);
        assert_eq!(trouble, None);
        let all = cloud
            .hosts
            .values()
            .filter_map(|host| host.demands.as_ref())
            .flatten();
        let all: BTreeSet<_> = all.map(|one| Arc::as_ptr(&one.shape)).collect();
        all.len()
    };
    assert_eq!(shapes(&facts), 1);
    let rooms = &mut facts.rooms.as_mut().unwrap().value;
    rooms.aggregates.push(Aggregate {
        id: 1,
        name: "kept".into(),
        zone: None,
        hosts: BTreeSet::new(),
        metadata: [("filter_tenant_id".to_owned(), "p".to_owned())].into(),
    });
    assert_eq!(shapes(&facts), 2);
}
