use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::ServerId;

fn id(number: u64) -> ServerId {
    ServerId(uuid::Uuid::from_u128(u128::from(number)))
}

fn amounts(vcpus: u64, memory: u64) -> Amounts {
    [("VCPU", vcpus), ("MEMORY_MB", memory)]
        .map(|(class, amount)| (class.to_owned(), amount))
        .into()
}

fn demand(number: u64, memory: u64) -> Demand {
    Demand {
        id: id(number),
        name: format!("vm-{number}").into(),
        shape: Arc::new(shape(memory)),
    }
}

fn shape(memory: u64) -> Shape {
    Shape {
        project: "p".into(),
        amounts: amounts(1, memory),
        ..Shape::default()
    }
}

/// Returns a number of instances that need only 100 MiB.
fn of_memory_alone(count: u64) -> Vec<Demand> {
    let one = |number| {
        let mut landing = demand(number, 100);
        shape_of(&mut landing).amounts.remove("VCPU");
        landing
    };
    (1..=count).map(one).collect()
}

fn shape_of(demand: &mut Demand) -> &mut Shape {
    Arc::make_mut(&mut demand.shape)
}

fn provider_of<'a>(cloud: &'a mut Cloud, host: &str) -> &'a mut Provider {
    Arc::make_mut(cloud.hosts.get_mut(host).unwrap().provider.as_mut().unwrap())
}

fn capacity(total: u64) -> Capacity {
    Capacity {
        total,
        reserved: 0,
        ratio_millis: 1_000,
        min_unit: 1,
        max_unit: total,
        step_size: 1,
        used: 0,
    }
}

fn host(vcpus: u64, memory: u64) -> HostRoom {
    let has = [("VCPU", capacity(vcpus)), ("MEMORY_MB", capacity(memory))];
    HostRoom {
        provider: Some(Arc::new(Provider {
            has: has.map(|(class, has)| (class.to_owned(), has)).into(),
            traits: Arc::default(),
        })),
        open: true,
        zone: "nova".into(),
        metadata: BTreeMap::new(),
        demands: Some(Vec::new()),
    }
}

/// Returns hosts `a`, `b`, .. with this free memory, and the instances of `a`.
fn cloud(memory: &[u64], of_a: Vec<Demand>) -> Cloud {
    let names = ["a", "b", "c", "d", "e"];
    let hosts = names.iter().zip(memory);
    let mut cloud = Cloud::default();
    cloud.hosts = hosts
        .map(|(name, memory)| ((*name).to_owned(), host(64, *memory)))
        .collect();
    for one in &of_a {
        cloud.places.insert(one.id, "a".into());
    }
    cloud.hosts.get_mut("a").unwrap().demands = Some(of_a);
    cloud
}

const AUTO: Method<'_> = Method {
    method: RecoveryMethod::Auto,
    reserved: &[],
};

fn lose(cloud: &Cloud, lost: &[&str]) -> Outcome {
    forecast(cloud, &lost.iter().copied().collect(), &AUTO)
}

#[test]
fn free_capacity_follows_reserve_and_ratio_and_is_rounded_down() {
    let capacity = |total, reserved, ratio_millis, used| Capacity {
        reserved,
        ratio_millis,
        used,
        ..capacity(total)
    };
    assert_eq!(capacity(8192, 512, 1_000, 1_024).free(), 6_656);
    assert_eq!(capacity(8, 0, 16_000, 100).free(), 28);
    assert_eq!(capacity(10, 0, 1_234, 0).free(), 12);
    assert_eq!(capacity(1, 5, 1_000, 9).free(), 0);
    let steps = Capacity {
        min_unit: 4,
        max_unit: 8,
        step_size: 2,
        ..capacity(100, 0, 1_000, 0)
    };
    let allowed: Vec<u64> = (0..12).filter(|amount| steps.allows(*amount)).collect();
    assert_eq!(allowed, [4, 6, 8]);
}

#[test]
fn the_same_instances_fit_up_to_the_last_megabyte() {
    let three = || vec![demand(1, 100), demand(2, 100), demand(3, 100)];
    assert_eq!(lose(&cloud(&[0, 200, 100], three()), &["a"]).room, Room::Enough);
    let mut less = cloud(&[0, 200, 100], three());
    let provider = provider_of(&mut less, "c");
    provider.has.get_mut("MEMORY_MB").unwrap().used = 1;
    let outcome = lose(&less, &["a"]);
    assert_eq!(outcome.room, Room::Short);
    assert_eq!(outcome.short_of.unwrap().text, "1 MiB memory");
    assert_eq!(outcome.instances, 3);
    assert_eq!(
        lose(&cloud(&[0, 0], vec![]), &["a"]).room,
        Room::Enough,
        "nothing to move"
    );
}

/// With one resource there is nothing to trade off: the bound shows the shortage.
#[test]
fn several_hosts_are_full_with_the_last_instance_and_not_before() {
    for (count, room) in [(7, Room::Enough), (8, Room::Enough), (9, Room::Short)] {
        let cloud = cloud(&[0, 200, 200, 200, 200], of_memory_alone(count));
        assert_eq!(lose(&cloud, &["a"]).room, room, "{count}");
    }
}

/// The small instances may spread over both hosts before the large one is placed.
#[test]
fn a_fit_that_depends_on_placement_is_tight() {
    let mixed = vec![demand(1, 100), demand(2, 50), demand(3, 50)];
    assert_eq!(
        lose(&cloud(&[0, 100, 100], mixed.clone()), &["a"]).room,
        Room::Tight
    );
    assert_eq!(
        lose(&cloud(&[0, 150, 150], mixed.clone()), &["a"]).room,
        Room::Enough
    );
    assert_eq!(
        lose(&cloud(&[0, 90, 200], mixed), &["a"]).room,
        Room::Enough,
        "fills no host for it"
    );
}

#[test]
fn unknown_data_gives_no_promise() {
    let plenty = || cloud(&[0, 1_000], vec![demand(1, 100)]);
    assert_eq!(lose(&plenty(), &["a"]).room, Room::Enough);
    for (case, change) in [
        (
            "no provider",
            (|cloud| cloud.hosts.get_mut("b").unwrap().provider = None) as fn(&mut Cloud),
        ),
        ("closed", |cloud| cloud.hosts.get_mut("b").unwrap().open = false),
        ("no instances known", |cloud| {
            cloud.hosts.get_mut("a").unwrap().demands = None;
        }),
        ("asks for more", |cloud| {
            let own = cloud.hosts.get_mut("a").unwrap().demands.as_mut().unwrap();
            shape_of(&mut own[0]).not_reckoned = Some("hw:numa_nodes".into());
        }),
    ] {
        let mut cloud = plenty();
        change(&mut cloud);
        let outcome = lose(&cloud, &["a"]);
        assert!(outcome.room >= Room::Unknown, "{case}: {outcome:?}");
        assert!(outcome.short_of.is_some(), "{case}");
    }
    assert_eq!(lose(&plenty(), &["nobody"]).room, Room::Unknown);
    assert_eq!(lose(&plenty(), &["a", "b"]).room, Room::Short);
}

#[test]
fn hosts_that_the_scheduler_would_not_take_do_not_count() {
    for (case, wish, text) in [
        ("trait", Requirement::Trait("T".into()), "traits"),
        ("zone", Requirement::Zone("az9".into()), "zone"),
        (
            "metadata",
            Requirement::Metadata("ssd".into(), "true".into()),
            "metadata",
        ),
    ] {
        let mut landing = demand(1, 10);
        shape_of(&mut landing).wishes.insert(wish);
        let outcome = lose(&cloud(&[0, 1_000], vec![landing]), &["a"]);
        assert_eq!(outcome.room, Room::Short, "{case}");
        assert!(outcome.short_of.unwrap().text.contains(text), "{case}");
    }
    let mut unwanted = demand(1, 10);
    shape_of(&mut unwanted)
        .wishes
        .insert(Requirement::NoTrait("T".into()));
    let mut cloud = cloud(&[0, 1_000], vec![unwanted]);
    assert_eq!(lose(&cloud, &["a"]).room, Room::Enough);
    let provider = provider_of(&mut cloud, "b");
    provider.traits = Arc::new(["T".to_owned()].into());
    assert_eq!(lose(&cloud, &["a"]).room, Room::Short);
    for (key, value, room) in [
        ("filter_tenant_id", "other", Room::Short),
        ("filter_tenant_id2", "other, p", Room::Enough),
        ("trait:X", "required", Room::Short),
        ("anything", "else", Room::Enough),
    ] {
        let mut cloud = super::tests::cloud(&[0, 1_000], vec![demand(1, 10)]);
        let metadata = &mut cloud.hosts.get_mut("b").unwrap().metadata;
        metadata.insert(key.into(), BTreeSet::from([value.to_owned()]));
        assert_eq!(lose(&cloud, &["a"]).room, room, "{key}");
    }
    let mut cloud = super::tests::cloud(&[0, 1_000], vec![demand(1, 600)]);
    let provider = provider_of(&mut cloud, "b");
    provider.has.get_mut("MEMORY_MB").unwrap().max_unit = 500;
    let outcome = lose(&cloud, &["a"]);
    assert_eq!(outcome.room, Room::Short, "one instance may not take so much");
}

#[test]
fn groups_keep_their_members_apart() {
    let pair = || vec![demand(1, 10), demand(2, 10)];
    let group = |per_host, members: &[u64]| Group {
        per_host,
        members: members.iter().map(|number| id(*number)).collect(),
    };
    for (case, per_host, members, hosts, room) in [
        ("two on one", Some(1), &[1, 2][..], &[0, 1_000][..], Room::Short),
        ("two on two", Some(1), &[1, 2], &[0, 1_000, 1_000], Room::Enough),
        (
            "two on one, which may be",
            Some(2),
            &[1, 2],
            &[0, 1_000],
            Room::Short,
        ),
        (
            "one moves, one is there",
            Some(1),
            &[1, 9],
            &[0, 1_000],
            Room::Short,
        ),
        ("affinity", None, &[1, 2], &[0, 1_000], Room::Short),
        ("affinity without members", None, &[1], &[0, 1_000], Room::Enough),
    ] {
        let mut cloud = cloud(hosts, pair());
        cloud.bind(group(per_host, members));
        cloud.places.insert(id(9), "b".into());
        let outcome = lose(&cloud, &["a"]).room;
        // With two per host the bound is conservative: it counts a host with one as full.
        let expected = if case.ends_with("may be") {
            Room::Tight
        } else {
            room
        };
        assert_eq!(outcome, expected, "{case}");
    }
}

/// An anti-affinity partner excludes its host: possibly the host with the most capacity.
#[test]
fn a_partner_may_be_on_the_host_with_the_most_room() {
    for (hosts, room) in [
        ([0, 300, 200, 100], Room::Tight),
        ([0, 100, 200, 300], Room::Tight),
        ([0, 300, 200, 200], Room::Enough),
    ] {
        let mut cloud = cloud(&hosts, of_memory_alone(4));
        cloud.bind(Group {
            per_host: Some(1),
            members: [id(1), id(2)].into(),
        });
        assert_eq!(lose(&cloud, &["a"]).room, room, "{hosts:?}");
    }
}

#[test]
fn reserved_hosts_take_all_of_a_host_or_nothing() {
    let cloud = cloud(&[0, 1_000, 150], vec![demand(1, 100), demand(2, 100)]);
    let outcome = |method, reserved: &[&str]| {
        let method = Method { method, reserved };
        forecast(&cloud, &BTreeSet::from(["a"]), &method).room
    };
    assert_eq!(outcome(RecoveryMethod::ReservedHost, &["b"]), Room::Enough);
    assert_eq!(outcome(RecoveryMethod::ReservedHost, &["c"]), Room::Short);
    assert_eq!(
        outcome(RecoveryMethod::ReservedHost, &["b", "c"]),
        Room::Short,
        "either may be taken"
    );
    assert_eq!(outcome(RecoveryMethod::ReservedHost, &[]), Room::Short);
    assert_eq!(
        outcome(RecoveryMethod::RhPriority, &["c"]),
        Room::Enough,
        "the scheduler has b"
    );
    assert_eq!(
        outcome(RecoveryMethod::AutoPriority, &["b"]),
        Room::Enough,
        "auto has only c, and b is in reserve"
    );
    assert_eq!(
        outcome(RecoveryMethod::Auto, &["b"]),
        Room::Short,
        "what is reserved is not counted on"
    );
}

#[test]
fn headroom_is_the_largest_number_of_hosts_that_may_be_lost() {
    let view = |hosts: &[&'static str]| ForecastSegment {
        name: "S1",
        method: RecoveryMethod::Auto,
        hosts: hosts.to_vec(),
        reserved: Vec::new(),
    };
    let all = ["a", "b", "c", "d", "e"];
    for (free, expected) in [(90, 0), (100, 1), (200, 1), (300, 2), (600, 3)] {
        let mut cloud = cloud(&[free; 5], Vec::new());
        for (number, host) in cloud.hosts.values_mut().enumerate() {
            let number = number as u64 * 10;
            host.demands = Some((number..number + 4).map(|number| demand(number, 100)).collect());
        }
        let outcome = forecast_segments(&cloud, [view(&all)]).remove(0);
        let headroom = outcome.headroom.unwrap();
        assert_eq!((headroom.hosts, headroom.exact), (expected, true), "{free}");
    }
    let mut cloud = cloud(&[100; 5], Vec::new());
    cloud.hosts.get_mut("c").unwrap().demands = None;
    assert_eq!(forecast_segments(&cloud, [view(&all)])[0].headroom, None);
}

/// Returns a region of 1,000 equal hosts: five flavors, each instance with an anti-affinity partner on the next
/// host.
fn large(free: u64) -> Cloud {
    let mut cloud = Cloud::default();
    let shapes: Vec<Arc<Shape>> = [100, 100, 50, 150, 100]
        .map(|memory| Arc::new(shape(memory)))
        .into();
    for number in 0..1_000 {
        let mut one = host(64, 100 * 50 + free);
        let provider = Arc::make_mut(one.provider.as_mut().unwrap());
        provider.has.get_mut("MEMORY_MB").unwrap().used = 100 * 50;
        let first = number * 50;
        let own = (first..first + 50).zip(shapes.iter().cycle());
        let own = own.map(|(number, shape)| Demand {
            shape: Arc::clone(shape),
            ..demand(number, 0)
        });
        one.demands = Some(own.collect());
        cloud.hosts.insert(format!("h{number:04}"), one);
    }
    for pair in 0..1_000 {
        let members = BTreeSet::from([id(pair * 50), id((pair * 50 + 50) % 50_000)]);
        cloud.bind(Group {
            per_host: Some(1),
            members,
        });
    }
    let on = cloud.hosts.iter().flat_map(|(name, host)| {
        let own = host.demands.iter().flatten();
        own.map(|landing| (landing.id, name.clone()))
    });
    cloud.places = on.collect();
    cloud
}

fn whole(cloud: &Cloud) -> ForecastSegment<'_> {
    ForecastSegment {
        name: "S1",
        method: RecoveryMethod::Auto,
        hosts: cloud.hosts.keys().map(String::as_str).collect(),
        reserved: Vec::new(),
    }
}

/// Beyond a number of sets one bound covers all of them; it may be weaker, but never wrong. A nearly full
/// region is the slowest case: the first hosts that are checked prove nothing.
#[test]
fn a_thousand_hosts_and_fifty_thousand_instances_are_forecast_in_a_moment() {
    for (what, free, room, least, most) in [
        // Each host has capacity for ten more: 50 k must fit on the remaining 10 (1,000 - k), so k is 166 at
        // most.
        ("room", 1_000, Room::Enough, 60, 166),
        ("little capacity", 160, Room::Enough, 1, 30),
        ("just enough if placed well", 150, Room::Enough, 1, 30),
        ("capacity for the small ones", 100, Room::Short, 0, 0),
        ("full", 0, Room::Short, 0, 0),
    ] {
        let cloud = large(free);
        let begun = std::time::Instant::now();
        let outcome = forecast_segments(&cloud, [whole(&cloud)]).remove(0);
        let took = begun.elapsed();
        let headroom = outcome.headroom.unwrap();
        println!("{what}: {headroom:?} in {took:?}");
        assert_eq!(outcome.worst.unwrap().room, room, "{what}");
        assert!((least..=most).contains(&headroom.hosts), "{what}: {headroom:?}");
        // A quiet machine needs some tenths of this.
        assert!(took < std::time::Duration::from_secs(2), "{what}: {took:?}");
    }
}

/// A seeded random number generator (splitmix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut random = self.0;
        random = (random ^ (random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (random ^ (random >> 31)) % most.max(1)
    }
}

/// True if a hostile scheduler places every instance: any order, any host with capacity.
fn all_are_placed(cloud: &Cloud, dice: &mut Dice) -> bool {
    let mut left: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (name, host) in cloud.hosts.iter().filter(|(name, _)| *name != "a") {
        let has = &host.provider.as_ref().unwrap().has;
        left.insert(name, (has["VCPU"].free(), has["MEMORY_MB"].free()));
    }
    let mut waiting = cloud.hosts["a"].demands.clone().unwrap();
    // The smallest often come first: they do the most harm.
    if dice.below(2) == 0 {
        waiting.sort_by_key(|landing| std::cmp::Reverse(landing.shape.amounts["MEMORY_MB"]));
    }
    while !waiting.is_empty() {
        let last = waiting.len() - 1;
        let at = if dice.below(2) == 0 {
            last
        } else {
            usize::try_from(dice.below(last as u64 + 1)).unwrap()
        };
        let landing = waiting.remove(at);
        let (vcpus, memory) = (landing.shape.amounts["VCPU"], landing.shape.amounts["MEMORY_MB"]);
        let mut fit: Vec<_> = left
            .iter_mut()
            .filter(|(_, free)| free.0 >= vcpus && free.1 >= memory)
            .collect();
        let count = fit.len() as u64;
        if count == 0 {
            return false;
        }
        let choice = usize::try_from(dice.below(count)).unwrap();
        let free = &mut *fit[choice].1;
        *free = (free.0 - vcpus, free.1 - memory);
    }
    true
}

#[test]
fn no_scheduler_contradicts_the_forecast() {
    let mut promised = 0;
    for seed in 0..3_000 {
        let mut dice = Dice(seed);
        let hosts = usize::try_from(2 + dice.below(3)).unwrap();
        let count = 1 + dice.below(7);
        let own = (0..count)
            .map(|number| {
                let mut landing = demand(
                    number,
                    [50, 100, 250, 400][usize::try_from(dice.below(4)).unwrap()],
                );
                shape_of(&mut landing)
                    .amounts
                    .insert("VCPU".into(), 1 + dice.below(4));
                landing
            })
            .collect();
        let mut cloud = cloud(&vec![0; hosts + 1], own);
        for (_, room) in cloud.hosts.iter_mut().filter(|(name, _)| *name != "a") {
            *room = host(dice.below(16), 100 * dice.below(12));
        }
        if lose(&cloud, &["a"]).room == Room::Enough {
            promised += 1;
            for _ in 0..30 {
                assert!(all_are_placed(&cloud, &mut dice), "seed {seed}: {cloud:#?}");
            }
        }
    }
    // Guards against a forecast that never reports enough capacity.
    assert!(promised > 500, "{promised} of 3000 regions");
}

/// Returns up to five hosts with instances, some of them in groups.
fn any_region(dice: &mut Dice) -> Cloud {
    let count = usize::try_from(2 + dice.below(4)).unwrap();
    let free: Vec<u64> = (0..count).map(|_| 100 * dice.below(24)).collect();
    let mut cloud = cloud(&free, Vec::new());
    let mut number = 0;
    for (name, host) in &mut cloud.hosts {
        let own = (0..dice.below(5)).map(|_| {
            number += 1;
            demand(number, [50, 100, 250][usize::try_from(dice.below(3)).unwrap()])
        });
        let own: Vec<Demand> = own.collect();
        cloud
            .places
            .extend(own.iter().map(|landing| (landing.id, name.clone())));
        host.demands = (dice.below(20) > 0).then_some(own);
        host.open = dice.below(10) > 0;
    }
    if dice.below(2) == 0 {
        let members = (0..2).map(|_| id(1 + dice.below(number.max(1)))).collect();
        cloud.bind(Group {
            per_host: [None, Some(1), Some(2)][usize::try_from(dice.below(3)).unwrap()],
            members,
        });
    }
    cloud
}

/// Where all hosts of a segment are proven together, the result must match that of each host alone.
#[test]
fn the_bound_agrees_with_the_forecast_of_each_host() {
    let mut rooms: BTreeMap<Room, usize> = BTreeMap::new();
    for seed in 0..3_000 {
        let mut dice = Dice(seed);
        let cloud = any_region(&mut dice);
        let methods = RecoveryMethod::ALL;
        let method = methods[usize::try_from(dice.below(methods.len() as u64)).unwrap()];
        let names: Vec<&str> = cloud.hosts.keys().map(String::as_str).collect();
        let (reserved, hosts) = names.split_at(usize::try_from(dice.below(2)).unwrap());
        let view = ForecastSegment {
            name: "S1",
            method,
            hosts: hosts.to_vec(),
            reserved: reserved.to_vec(),
        };
        for outcome in &forecast_segments(&cloud, [view])[0].hosts {
            let lost = outcome.lost.iter().map(String::as_str).collect();
            let alone = forecast(&cloud, &lost, &Method { method, reserved });
            assert_eq!(outcome, &alone, "seed {seed}: {cloud:#?}");
            *rooms.entry(alone.room).or_default() += 1;
        }
    }
    assert!(
        rooms.len() == 4 && rooms.values().all(|count| *count > 20),
        "{rooms:?}"
    );
}
