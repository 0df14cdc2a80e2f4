//! Selection and order of the instances.

use super::harness::{Harness, nova_time, server, tagged};
use crate::entity::notification::NotificationStatus;
use crate::entity::vmove::VmoveStatus;
use crate::host_recovery::{End, MoveStep};
use crate::nova::{InstanceTraits, Server};
use crate::pace::{Permits, Urgency};
use crate::policy::{ExclusionRules, Policy};
use crate::recovery::{Command, Observation};

fn order(harness: &Harness) -> Vec<u128> {
    harness
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Evacuate(it) => Some(it.server().0.as_u128()),
            _ => None,
        })
        .collect()
}

fn preferred(instance: Server, priority: &str) -> Server {
    let mut instance = instance;
    instance.metadata.insert("HA_Priority".into(), priority.into());
    instance
}

fn made(instance: Server, millis: u64) -> Server {
    let about = InstanceTraits {
        created: Some(nova_time(millis)),
        ..instance.about
    };
    Server { about, ..instance }
}

/// Covers EW13.
#[test]
fn marked_ones_come_first_then_the_highest_priority_then_the_oldest() {
    let harness = Harness::engine().planned(vec![
        made(server(1), 9),
        made(preferred(server(2), "900"), 8),
        made(preferred(tagged(3), "-5"), 7),
        made(tagged(4), 6),
        made(tagged(5), 5),
        made(preferred(tagged(6), " 10 "), 4),
        server(7),
        made(server(8), 2),
    ]);
    let mut by_rank: Vec<u128> = (1..=8).collect();
    by_rank.sort_by_key(|number| harness.one(*number).rank);
    assert_eq!(by_rank, [6, 5, 4, 3, 2, 8, 1, 7]);
    assert!(by_rank.starts_with(&order(&harness)) && !order(&harness).is_empty());
    assert_eq!((harness.one(6).priority, harness.one(6).rank), (10, 0));
    assert_eq!((harness.one(2).priority, harness.one(2).rank), (900, 4));
}

#[test]
fn an_invalid_priority_counts_as_zero() {
    let long = "9".repeat(400);
    let hostile = [
        "",
        "high",
        "1e9",
        "0x10",
        "--1",
        "NaN",
        "1;DROP",
        "\u{0}",
        "٣",
        "99999999999999999999",
        &long,
    ];
    for text in hostile {
        let harness = Harness::engine().planned(vec![preferred(server(1), text), preferred(server(2), "1")]);
        assert_eq!(harness.one(1).priority, 0, "{text:?}");
        assert_eq!(order(&harness), [2, 1], "{text:?}");
    }
}

#[test]
fn without_a_key_there_are_no_priorities() {
    let harness = Harness::with("UNKNOWN", |policy| policy.priority_key = String::new());
    let harness = harness.planned(vec![server(1), preferred(server(2), "9")]);
    assert_eq!(order(&harness), [1, 2]);
}

fn of(project: &str, instance: Server) -> Server {
    let mut instance = instance;
    instance.about.project = project.into();
    instance
}

/// Returns instances of three projects: 20 of the highest priority in one, and one each in two.
fn greedy_and_others() -> Vec<Server> {
    let mut servers: Vec<Server> = (1..=20)
        .map(|number| of("greedy", preferred(made(tagged(number), 1), "2147483647")))
        .collect();
    servers.push(of("modest", made(tagged(21), 9)));
    servers.push(of("shy", preferred(made(tagged(22), 8), "-3")));
    servers.push(of("plain", server(23)));
    servers
}

#[test]
fn one_projects_priorities_do_not_delay_other_projects() {
    let harness = Harness::engine().planned(greedy_and_others());
    assert_eq!(
        order(&harness)[..4],
        [1, 22, 21, 2],
        "one of each, the oldest first"
    );
    assert_eq!(
        harness.one(23).rank,
        22,
        "what is not marked comes last, whosever it is"
    );
}

#[test]
fn within_a_project_its_priorities_count() {
    let mut servers = greedy_and_others();
    servers.push(of("modest", preferred(made(tagged(30), 9), "7")));
    servers.push(of("modest", preferred(made(tagged(31), 9), "8")));
    let harness = Harness::engine().planned(servers);
    let ranks = [31, 30, 21].map(|number| harness.one(number).rank);
    assert_eq!(ranks, [2, 4, 6]);
}

#[test]
fn priorities_of_all_projects_together_are_an_operators_choice() {
    let harness = Harness::with("UNKNOWN", |policy| policy.priority_across_projects = true);
    let harness = harness.planned(greedy_and_others());
    assert_eq!([21, 22].map(|number| harness.one(number).rank), [20, 21]);
}

#[test]
fn a_priority_affects_other_recoveries_only_if_it_counts_across_projects() {
    let urgent = |across| {
        let harness = Harness::with("UNKNOWN", |policy| {
            policy.queued = 1;
            policy.priority_across_projects = across;
        });
        let mut harness = harness.planned(vec![preferred(tagged(1), "9"), preferred(tagged(2), "8")]);
        harness.see(Observation::Permits(Permits {
            evacuations: 1,
            calls: 8,
            pause: std::time::Duration::ZERO,
        }));
        harness.state.demand().ready
    };
    let marked = |priority| Urgency {
        tagged: true,
        priority,
    };
    assert_eq!(urgent(false), [(marked(0), 1)]);
    assert_eq!(urgent(true), [(marked(8), 1)]);
}

#[test]
fn a_late_instance_comes_after_the_planned_ones() {
    let mut harness =
        Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(vec![server(1), server(3)]);
    harness.inventory(vec![server(1), preferred(tagged(2), "7"), server(3)], vec![]);
    assert_eq!((harness.one(2).priority, harness.one(2).rank), (7, 2));
}

/// Returns a plan under these rules, with each instance marked by its owner.
fn left_by(rules: ExclusionRules, instance: Server) -> Harness {
    Harness::with("UNKNOWN", |policy| policy.leave = rules).planned(vec![instance])
}

fn about(change: impl FnOnce(&mut InstanceTraits)) -> Server {
    let mut instance = tagged(1);
    instance.about.project = "p1".into();
    change(&mut instance.about);
    instance
}

/// Covers EW25.
#[test]
fn an_excluded_instance_names_its_rule() {
    let pairs = |text: &str| vec![text.parse().unwrap()];
    let owners = |key: &str, value: &str| {
        let mut instance = tagged(1);
        instance.metadata.insert(key.into(), value.into());
        instance
    };
    let image = |traits: &mut InstanceTraits| {
        traits.image = Some("i1".into());
        traits
            .image_properties
            .insert("os_distro".into(), "cirros".into());
    };
    let flavor = |traits: &mut InstanceTraits| {
        traits.flavor_properties.insert("hw:pci".into(), "1".into());
    };
    let none = ExclusionRules::default;
    let cases = [
        (
            "metadata",
            ExclusionRules {
                metadata: pairs("ha=no"),
                ..none()
            },
            owners("ha", "no"),
            owners("ha", "yes"),
            "exclude_instance_metadata names ha=no",
        ),
        (
            "metadata, any value",
            ExclusionRules {
                metadata: pairs("canary"),
                ..none()
            },
            owners("canary", "x\u{0}y"),
            owners("Canary", "x"),
            "exclude_instance_metadata names canary",
        ),
        (
            "project",
            ExclusionRules {
                projects: vec!["p1".into()],
                ..none()
            },
            about(|_| {}),
            about(|traits| traits.project = "p11".into()),
            "exclude_projects names p1",
        ),
        (
            "image",
            ExclusionRules {
                images: vec!["i1".into()],
                ..none()
            },
            about(image),
            about(|_| {}),
            "exclude_images names i1",
        ),
        (
            "image property",
            ExclusionRules {
                image_properties: pairs("os_distro=cirros"),
                ..none()
            },
            about(image),
            about(flavor),
            "exclude_image_properties names os_distro=cirros",
        ),
        (
            "flavor property",
            ExclusionRules {
                flavor_properties: pairs("hw:pci"),
                ..none()
            },
            about(flavor),
            about(image),
            "exclude_flavor_properties names hw:pci",
        ),
    ];
    for (name, rules, left, moved, why) in cases {
        let mut harness = left_by(rules.clone(), left.clone());
        assert_eq!(harness.step(1), &MoveStep::Done(End::Left), "{name}");
        assert_eq!(harness.one(1).status(), VmoveStatus::Ignored, "{name}");
        let expected = format!("{why}; it is started when its host has returned");
        assert_eq!(harness.one(1).note.as_deref(), Some(expected.as_str()), "{name}");
        assert!(
            harness.commands.iter().all(|command| !command.is_write()),
            "{name}: {:?}",
            harness.commands
        );
        harness.over(vec![left]);
        assert_eq!(harness.status, NotificationStatus::Finished, "{name}");
        assert!(left_by(rules, moved).evacuates(1), "{name}: only what it names");
    }
}

/// Covers EW25.
#[test]
fn amphorae_are_left_to_octavia_unless_configured_otherwise() {
    let named = |instance: Server, name: &str| Server {
        name: name.into(),
        ..instance
    };
    let amphora = "amphora-5d9a2c1e-8f6b-4f52-9d0c-0c6d1a3e7b42";
    let cases = [
        ("an amphora", named(server(1), amphora), false, false),
        (
            "an amphora its owner has marked",
            named(tagged(1), amphora),
            false,
            true,
        ),
        (
            "an amphora, and the option on",
            named(server(1), amphora),
            true,
            true,
        ),
        (
            "a name of that kind",
            named(server(1), "amphora-web"),
            false,
            true,
        ),
        (
            "an id without dashes",
            named(server(1), &amphora.replace('-', "")),
            false,
            true,
        ),
        (
            "a longer name",
            named(server(1), &format!("{amphora}-2")),
            false,
            true,
        ),
        ("any other", server(1), false, true),
    ];
    for (name, instance, option, moved) in cases {
        let change = |policy: &mut Policy| policy.evacuate_service_instances = option;
        let harness = Harness::with("UNKNOWN", change).planned(vec![instance]);
        assert_eq!(harness.evacuates(1), moved, "{name}");
        if !moved {
            assert_eq!(harness.one(1).status(), VmoveStatus::Ignored, "{name}");
            assert!(
                harness.one(1).note.as_deref().unwrap().contains("Octavia"),
                "{name}"
            );
        }
    }
}
