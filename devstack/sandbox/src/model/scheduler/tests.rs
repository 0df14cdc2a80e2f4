//! Each rule alone, in a region of two hosts: is the second host accepted for the server of the first?

use std::collections::BTreeMap;

use super::*;
use crate::model::server::VmState;
use crate::model::testing::region;

/// Returns whether the second host gets the first one's server after this change.
fn taken(change: impl FnOnce(&mut State, ServerIx)) -> bool {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    let index = state.index(id);
    change(&mut state, index);
    let second = state.h(2);
    state.accepts(second, index)
}

fn specs(state: &mut State, pairs: &[(&str, &str)]) {
    state.flavors[0].extra_specs = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
}

fn aggregate(state: &mut State, key: &str, value: &str) {
    let id = state.create_aggregate("rows", None).unwrap();
    state.add_aggregate_host(id, "compute-002").unwrap();
    let metadata = BTreeMap::from([(key.to_owned(), Some(value.to_owned()))]);
    state.set_aggregate_metadata(id, metadata).unwrap();
}

#[test]
fn an_inventory_is_honoured_in_each_class() {
    // The flavor: 1 processor, 512 MiB, 1 GiB.
    assert!(taken(|_, _| {}));
    let second = |state: &State| state.h(2);
    assert!(!taken(|state, _| {
        let ix = second(state);
        state.world.hosts[ix].inventory.ram.reserved = 512 * 1024 - 511;
    }));
    assert!(!taken(|state, _| {
        let ix = second(state);
        state.world.hosts[ix].inventory.vcpus.ratio = 0.005;
    }));
    assert!(taken(|state, _| {
        let ix = second(state);
        (
            state.world.hosts[ix].ram_mb,
            state.world.hosts[ix].inventory.ram.ratio,
        ) = (512, 1.5);
    }));
    assert!(!taken(|state, _| {
        let ix = second(state);
        state.world.hosts[ix].inventory.ram.max_unit = Some(511);
    }));
    assert!(!taken(|state, _| {
        let ix = second(state);
        state.world.hosts[ix].inventory.vcpus.min_unit = 2;
    }));
    let small_disk = |state: &mut State| {
        let ix = state.h(2);
        state.world.hosts[ix].disk_gb = 0;
    };
    assert!(taken(|state, _| small_disk(state)), "a volume needs none");
    assert!(!taken(|state, index| {
        small_disk(state);
        let image = state.images[0].id;
        let now = state.world.now;
        state
            .world
            .servers
            .edit(index, now, |server| server.image = Some(image));
    }));
}

#[test]
fn traits_are_honoured() {
    for (requirement, has, expected) in [
        ("required", false, false),
        ("required", true, true),
        ("forbidden", false, true),
        ("forbidden", true, false),
    ] {
        let result = taken(|state, _| {
            specs(state, &[("trait:HW_CPU_X86_AVX2", requirement)]);
            let ix = state.h(2);
            if has {
                state.world.hosts[ix]
                    .inventory
                    .traits
                    .insert("HW_CPU_X86_AVX2".into());
            }
        });
        assert_eq!(result, expected, "{requirement} {has}");
    }
}

#[test]
fn the_metadata_of_aggregates_is_honoured() {
    for key in ["ssd", "aggregate_instance_extra_specs:ssd"] {
        assert!(!taken(|state, _| specs(state, &[(key, "true")])), "{key}");
        assert!(!taken(|state, _| {
            specs(state, &[(key, "true")]);
            aggregate(state, "ssd", "false");
        }));
        assert!(taken(|state, _| {
            specs(state, &[(key, "true")]);
            aggregate(state, "ssd", "true");
        }));
    }
    assert!(
        taken(|state, _| specs(state, &[("hw_rng:allowed", "true")])),
        "of another scope"
    );
    assert!(!taken(|state, _| aggregate(state, "filter_tenant_id", "other")));
    assert!(taken(|state, _| aggregate(
        state,
        "filter_tenant_id",
        "other, demo-project"
    )));
    assert!(!taken(|state, _| aggregate(
        state,
        "trait:CUSTOM_GPU",
        "required"
    )));
}

#[test]
fn groups_are_honoured() {
    for (policy, expected) in [
        (GroupPolicy::AntiAffinity { per_host: 1 }, false),
        (GroupPolicy::AntiAffinity { per_host: 2 }, true),
        (GroupPolicy::Affinity, true),
        (GroupPolicy::Soft, true),
    ] {
        let with = |other_on: usize| {
            taken(|state, index| {
                let other = state.put(other_on, VmState::Active);
                let other = state.index(other);
                let id = state.world.rng.uuid();
                state.server_groups.push(ServerGroup {
                    id,
                    name: "group".into(),
                    policy,
                    members: BTreeSet::from([index, other]),
                });
            })
        };
        assert_eq!(with(2), expected, "{policy:?}");
        // The other one is where this one is now.
        assert_eq!(with(1), policy != GroupPolicy::Affinity, "{policy:?}");
    }
}
