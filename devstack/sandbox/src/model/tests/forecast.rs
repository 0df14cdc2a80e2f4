//! Compares the forecast with the scheduler's results, over a thousand regions by seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};
use tachi_domain::ServerId;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::forecast::{
    Amounts, Capacity, Cloud, Demand, Group, HostRoom, Method, Provider, Requirement, Room, Shape, forecast,
};

use crate::model::boot::NewServer;
use crate::model::evacuate::EvacuateRequest;
use crate::model::scheduler::{GroupPolicy, ServerGroup};
use crate::model::server::{Server, VmState};
use crate::model::testing::{admin, settings};
use crate::model::{HostIx, ServerIx, State};

const TRAIT: &str = "HW_CPU_X86_AVX2";

/// Returns a region of two to seven partly full hosts, with everything that a scheduler checks.
fn region(seed: u64) -> (State, StdRng) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut settings = settings(rng.random_range(2..8));
    settings.seed = seed;
    let mut state = State::new(settings);
    let hosts: Vec<HostIx> = state.world.hosts.indexes().collect();
    for ix in &hosts {
        let host = &mut state.world.hosts[*ix];
        host.vcpus = [4, 8, 16][rng.random_range(0..3)];
        host.ram_mb = 1024 * [16, 24, 32][rng.random_range(0..3)];
        host.disk_gb = [100, 400][rng.random_range(0..2)];
        host.disabled = rng.random_bool(0.08);
        let inventory = &mut host.inventory;
        inventory.vcpus.ratio = [1.0, 1.5, 4.0, 16.0][rng.random_range(0..4)];
        inventory.ram.ratio = [1.0, 1.0, 0.9, 1.5][rng.random_range(0..4)];
        inventory.ram.reserved = [0, 512, 4096][rng.random_range(0..3)];
        if rng.random_bool(0.15) {
            inventory.ram.max_unit = Some(4096);
        }
        if rng.random_bool(0.1) {
            inventory.ram.step_size = 1024;
        }
        if rng.random_bool(0.6) {
            inventory.traits.insert(TRAIT.into());
        }
    }
    aggregates(&mut state, &mut rng);
    let special = [
        ("trait:HW_CPU_X86_AVX2", "required"),
        ("trait:HW_CPU_X86_AVX2", "forbidden"),
        ("ssd", "true"),
    ];
    for (key, value) in special {
        let mut flavor = state.flavors[rng.random_range(0..3)].clone();
        flavor.extra_specs.insert(key.into(), value.into());
        state.flavors.push(flavor);
    }
    fill(&mut state, &mut rng, &hosts);
    groups(&mut state, &mut rng);
    (state, rng)
}

fn aggregates(state: &mut State, rng: &mut StdRng) {
    let names: Vec<String> = state
        .world
        .hosts
        .iter()
        .map(|(_, host)| host.name.to_string())
        .collect();
    if rng.random_bool(0.4) {
        let id = state.create_aggregate("az2", Some("az2")).unwrap();
        for name in names.iter().filter(|_| rng.random_bool(0.5)) {
            state.add_aggregate_host(id, name).unwrap();
        }
    }
    for (key, value, odds) in [
        ("ssd", "true", 0.5),
        ("filter_tenant_id", "another", 0.1),
        ("trait:HW_CPU_X86_AVX2", "required", 0.1),
    ] {
        let id = state.create_aggregate(key, None).unwrap();
        let metadata = BTreeMap::from([(key.to_owned(), Some(value.to_owned()))]);
        state.set_aggregate_metadata(id, metadata).unwrap();
        let odds = if rng.random_bool(0.4) { odds } else { 0.0 };
        for name in names.iter().filter(|_| rng.random_bool(odds)) {
            state.add_aggregate_host(id, name).unwrap();
        }
    }
}

fn fill(state: &mut State, rng: &mut StdRng, hosts: &[HostIx]) {
    let image = state.images[0].id;
    for _ in 0..hosts.len() * rng.random_range(1..8) {
        let ix = hosts[rng.random_range(0..hosts.len())];
        let flavor = rng.random_range(0..state.flavors.len());
        let kind = &state.flavors[flavor];
        let needs = crate::model::inventory::Amounts {
            vcpus: kind.vcpus,
            ram_mb: kind.ram_mb,
            disk_gb: kind.disk_gb,
        };
        if !state.world.hosts[ix].has_room(needs) {
            continue;
        }
        let zone = state.aggregates.zone_of(ix).to_owned();
        let new = NewServer {
            name: "vm".into(),
            image: rng.random_bool(0.6).then_some(image),
            flavor,
            metadata: BTreeMap::new(),
            zone: rng.random_bool(0.4).then_some(zone),
            host: None,
        };
        state.boot_now(ix, "demo-project", "demo-user", VmState::Active, new);
    }
}

fn groups(state: &mut State, rng: &mut StdRng) {
    for _ in 0..rng.random_range(0..3) {
        let policy = match rng.random_range(0..6) {
            0 => GroupPolicy::Affinity,
            1 => GroupPolicy::Soft,
            2 => GroupPolicy::AntiAffinity { per_host: 2 },
            _ => GroupPolicy::AntiAffinity { per_host: 1 },
        };
        let id = state.world.rng.uuid();
        let members: BTreeSet<ServerIx> = state
            .world
            .servers
            .iter()
            .map(|server| server.index)
            .filter(|_| rng.random_bool(0.2))
            .collect();
        state.server_groups.push(ServerGroup {
            id,
            name: "group".into(),
            policy,
            members,
        });
    }
}

fn demand(state: &State, server: &Server) -> Demand {
    let flavor = &state.flavors[server.flavor];
    let disk = if server.image.is_some() { flavor.disk_gb } else { 0 };
    let amounts = [
        ("VCPU", u64::from(flavor.vcpus)),
        ("MEMORY_MB", flavor.ram_mb),
        ("DISK_GB", disk),
    ];
    let mut wishes: BTreeSet<Requirement> = server
        .pinned_zone
        .clone()
        .map(Requirement::Zone)
        .into_iter()
        .collect();
    wishes.extend(
        flavor
            .traits("required")
            .map(|name| Requirement::Trait(name.to_owned())),
    );
    wishes.extend(
        flavor
            .traits("forbidden")
            .map(|name| Requirement::NoTrait(name.to_owned())),
    );
    if let Some(value) = flavor.extra_specs.get("ssd") {
        wishes.insert(Requirement::Metadata("ssd".into(), value.clone()));
    }
    Demand {
        id: ServerId(server.id),
        name: server.name.clone().into(),
        shape: Arc::new(Shape {
            project: server.project_id.clone(),
            amounts: amounts.map(|(class, amount)| (class.to_owned(), amount)).into(),
            wishes,
            not_reckoned: None,
        }),
    }
}

/// Converts the state to an engine's view.
fn cloud_of(state: &State) -> Cloud {
    let mut cloud = Cloud::default();
    for (ix, host) in state.world.hosts.iter() {
        let used = host.inventory.used();
        let used = Amounts::from([
            ("VCPU".into(), u64::from(used.vcpus)),
            ("MEMORY_MB".into(), used.ram_mb),
            ("DISK_GB".into(), used.disk_gb),
        ]);
        let classes = host.inventory.classes(host.total());
        let has = classes.into_iter().map(|(class, (total, terms))| {
            let capacity = Capacity {
                total,
                reserved: terms.reserved,
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "small and positive"
                )]
                ratio_millis: (terms.ratio * 1_000.0) as u64,
                min_unit: terms.min_unit,
                max_unit: terms.max_unit(total),
                step_size: terms.step_size,
                used: used[class],
            };
            (class.to_owned(), capacity)
        });
        let mut metadata: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (key, value) in state
            .aggregates
            .iter()
            .filter(|row| row.hosts.contains(&ix))
            .flat_map(|row| &row.metadata)
        {
            metadata.entry(key.clone()).or_default().insert(value.clone());
        }
        let own = host
            .servers
            .iter()
            .filter_map(|index| state.world.servers.get(*index));
        let room = HostRoom {
            provider: Some(Arc::new(Provider {
                has: has.collect(),
                traits: host.inventory.traits.clone().into(),
            })),
            open: !host.disabled && state.service_up(ix),
            zone: state.aggregates.zone_of(ix).to_owned(),
            metadata,
            demands: Some(own.map(|server| demand(state, server)).collect()),
        };
        cloud.hosts.insert(host.name.to_string(), room);
    }
    for server in state.world.servers.iter() {
        if let Some(ix) = server.host {
            cloud
                .places
                .insert(ServerId(server.id), state.world.hosts[ix].name.to_string());
        }
    }
    for group in &state.server_groups {
        let per_host = match group.policy {
            GroupPolicy::Soft => continue,
            GroupPolicy::Affinity => None,
            GroupPolicy::AntiAffinity { per_host } => Some(per_host as u64),
        };
        let members = group
            .members
            .iter()
            .filter_map(|index| state.world.servers.get(*index));
        cloud.bind(Group {
            per_host,
            members: members.map(|server| ServerId(server.id)).collect(),
        });
    }
    cloud
}

/// Kills the hosts, and evacuates their servers in random order. Returns the number of servers without a destination.
fn kill(state: &mut State, rng: &mut StdRng, lost: usize) -> usize {
    for number in 1..=lost {
        let ix = state.h(number);
        state.world.power_off(ix);
    }
    state.pass(13_000);
    let mut ids: Vec<uuid::Uuid> = Vec::new();
    for number in 1..=lost {
        let own = state.world.hosts[state.h(number)].servers.iter();
        ids.extend(own.filter_map(|index| Some(state.world.servers.get(*index)?.id)));
    }
    ids.shuffle(rng);
    for id in &ids {
        state
            .evacuate(&admin(), *id, &EvacuateRequest::default())
            .unwrap();
    }
    state.pass(10_000);
    ids.iter().filter(|id| state.shown(**id).1 == "error").count()
}

#[derive(Debug, Default)]
struct Score {
    predicted_fits: usize,
    broken: Vec<u64>,
    /// Number of regions without a promise in which all servers fitted.
    false_alarms: usize,
    /// Number of regions without a promise in which some servers found no host.
    right: usize,
}

/// Removes a part of the data of a forecast.
type Omission = fn(&mut Cloud);

/// Scores forecasts from the data that `omit` leaves visible.
fn score(seeds: std::ops::Range<u64>, omit: Omission) -> Score {
    let mut score = Score::default();
    for seed in seeds {
        let (mut state, mut rng) = region(seed);
        let lost = if seed.is_multiple_of(4) { 2 } else { 1 };
        let mut cloud = cloud_of(&state);
        omit(&mut cloud);
        let names: Vec<String> = (1..=lost).map(|number| format!("compute-{number:03}")).collect();
        let method = Method {
            method: RecoveryMethod::Auto,
            reserved: &[],
        };
        let result = forecast(&cloud, &names.iter().map(String::as_str).collect(), &method);
        let failed = kill(&mut state, &mut rng, lost);
        match (result.room, failed) {
            (Room::Enough, 0) => score.predicted_fits += 1,
            (Room::Enough, _) => score.broken.push(seed),
            (_, 0) => score.false_alarms += 1,
            (_, _) => score.right += 1,
        }
    }
    score
}

#[test]
fn of_a_thousand_regions_none_breaks_a_promise() {
    let score = score(0..1_000, |_| {});
    println!("{score:?}");
    assert_eq!(
        score.broken, [0_u64; 0],
        "room was promised, and the scheduler found none"
    );
    // A forecast that promises nothing would pass the check above.
    assert!(score.predicted_fits >= 200, "{score:?}");
    assert!(score.right >= 200, "{score:?}");
    assert!(score.false_alarms <= 200, "{score:?}");
}

/// The check above detects a forecast that ignores one of these.
#[test]
fn a_forecast_that_overlooks_anything_breaks_its_word() {
    fn each(cloud: &mut Cloud, change: impl Fn(&mut Capacity)) {
        let providers = cloud.hosts.values_mut().filter_map(|host| host.provider.as_mut());
        providers
            .flat_map(|provider| Arc::make_mut(provider).has.values_mut())
            .for_each(change);
    }
    let omissions: [(&str, Omission); 9] = [
        ("reserved", |cloud| each(cloud, |one| one.reserved = 0)),
        ("used", |cloud| each(cloud, |one| one.used = 0)),
        ("max_unit", |cloud| each(cloud, |one| one.max_unit = u64::MAX)),
        ("step_size", |cloud| each(cloud, |one| one.step_size = 1)),
        ("a ratio below one", |cloud| {
            each(cloud, |one| one.ratio_millis = one.ratio_millis.max(1_000));
        }),
        ("groups", |cloud| {
            let hosts = std::mem::take(&mut cloud.hosts);
            *cloud = Cloud::default();
            cloud.hosts = hosts;
        }),
        ("disabled hosts", |cloud| {
            cloud.hosts.values_mut().for_each(|host| host.open = true);
        }),
        ("wishes", |cloud| {
            let demands = cloud.hosts.values_mut().filter_map(|host| host.demands.as_mut());
            demands
                .flatten()
                .for_each(|one| Arc::make_mut(&mut one.shape).wishes.clear());
        }),
        ("metadata that isolates", |cloud| {
            cloud
                .hosts
                .values_mut()
                .for_each(|host| host.metadata.retain(|key, _| key == "ssd"));
        }),
    ];
    for (what, omit) in omissions {
        let score = score(0..1_000, omit);
        assert!(!score.broken.is_empty(), "{what} may be overlooked: {score:?}");
    }
}
