use uuid::Uuid;

use super::*;
use crate::id::{HostId, ServiceId};
use crate::nova::Service;

fn gib(memory: u64) -> Resources {
    Resources {
        vcpus: memory,
        memory_mb: memory * 1024,
        disk_gb: memory,
    }
}

fn host(name: &str, room: Option<u64>) -> ReservedHost {
    ReservedHost {
        id: HostId(Uuid::from_u128(u128::from(name.as_bytes()[0]))),
        name: name.into(),
        busy: false,
        service: Some(Service {
            id: ServiceId(Uuid::from_u128(9)),
            host: name.into(),
            enabled: false,
            disabled_reason: Some("reserve".into()),
            up: true,
            forced_down: false,
            last_heartbeat: None,
            nova_now: None,
        }),
        room: room.map(gib),
    }
}

fn down(name: &str) -> ReservedHost {
    let mut host = host(name, Some(64));
    if let Some(service) = &mut host.service {
        service.up = false;
    }
    host
}

fn forced_down(name: &str) -> ReservedHost {
    let mut host = host(name, Some(64));
    if let Some(service) = &mut host.service {
        service.forced_down = true;
    }
    host
}

fn aggregate(id: u64, zone: Option<&str>, hosts: &[&str]) -> Aggregate {
    Aggregate {
        id,
        name: format!("a{id}"),
        zone: zone.map(Into::into),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        metadata: std::collections::BTreeMap::new(),
    }
}

fn chosen(hosts: Vec<ReservedHost>, aggregates: Vec<Aggregate>, join: bool, needs: &[u64]) -> Choice {
    let survey = Survey {
        hosts,
        aggregates,
        placement_error: None,
    };
    let needs: Vec<Option<Resources>> = needs.iter().map(|need| Some(gib(*need))).collect();
    choose(
        &survey,
        &ReserveRequest {
            source: "source",
            needs: &needs,
            join,
            taken: &|name| name == "taken",
            unfit: &|name| (name == "unfit").then(|| "never came up".to_owned()),
        },
    )
}

fn names(choice: &Choice) -> Vec<(&str, usize)> {
    choice
        .picks
        .iter()
        .map(|pick| (pick.host.name.as_str(), pick.instances))
        .collect()
}

#[test]
#[expect(clippy::type_complexity, reason = "a table of cases")]
fn the_minimum_number_of_hosts_is_chosen() {
    let cases: [(&str, Vec<ReservedHost>, &[u64], &[(&str, usize)]); 8] = [
        ("nothing needed", vec![host("a", Some(8))], &[], &[]),
        (
            "the smallest that holds all",
            vec![host("a", Some(64)), host("b", Some(8)), host("c", Some(4))],
            &[4, 4],
            &[("b", 2)],
        ),
        (
            "two when one is too small",
            vec![host("a", Some(4)), host("b", Some(8))],
            &[4, 4, 4],
            &[("b", 2), ("a", 1)],
        ),
        (
            "one that holds a part",
            vec![host("a", Some(4))],
            &[4, 4],
            &[("a", 1)],
        ),
        ("a full one is not taken", vec![host("a", Some(2))], &[4], &[]),
        (
            "unknown room is the last resort",
            vec![host("a", None), host("b", Some(4))],
            &[4],
            &[("b", 1)],
        ),
        (
            "unknown room is tried",
            vec![host("a", None), host("b", None)],
            &[4, 4],
            &[("a", 2)],
        ),
        (
            "this recovery's own and the dead one are not looked at",
            vec![host("source", Some(64)), host("taken", Some(64))],
            &[1],
            &[],
        ),
    ];
    for (name, hosts, needs, want) in cases {
        assert_eq!(names(&chosen(hosts, Vec::new(), false, needs)), want, "{name}");
    }
}

/// Covers EW37.
#[test]
fn a_reserved_host_that_nova_does_not_know_is_a_clear_reason() {
    let mut strange = host("fqdn.example", Some(64));
    strange.service = None;
    let choice = chosen(vec![strange], Vec::new(), false, &[1]);
    assert!(choice.picks.is_empty());
    assert!(choice.reasons[0].contains("fqdn.example has no nova-compute service"));
}

#[test]
fn a_host_that_cannot_be_chosen_has_a_reason() {
    let mut busy = host("busy", Some(64));
    busy.busy = true;
    let cases = [
        ("busy", busy, "reserved by another recovery, drained or frozen"),
        ("down", down("down"), "is down in Nova"),
        ("forced", forced_down("forced"), "is forced down"),
        ("unfit", host("unfit", Some(64)), "never came up"),
        ("small", host("small", Some(1)), "has no capacity left"),
    ];
    for (name, host, why) in cases {
        let choice = chosen(vec![host], Vec::new(), false, &[4]);
        assert!(choice.picks.is_empty(), "{name}");
        assert!(choice.reasons[0].contains(why), "{name}: {:?}", choice.reasons);
        assert_eq!(choice.busy, name == "busy");
    }
}

/// Covers EW36.
#[test]
fn zones_and_aggregates_decide_which_hosts_may_join() {
    type TestCase = (&'static str, Vec<Aggregate>, bool, Option<Vec<u64>>);
    let cases: [TestCase; 7] = [
        ("no aggregates", vec![], false, Some(vec![])),
        (
            "the same zone",
            vec![aggregate(1, Some("z"), &["source", "rh"])],
            false,
            Some(vec![]),
        ),
        (
            "outside the zone, and not to join",
            vec![aggregate(1, Some("z"), &["source"])],
            false,
            None,
        ),
        (
            "outside the zone, joins",
            vec![aggregate(1, Some("z"), &["source"])],
            true,
            Some(vec![1]),
        ),
        (
            "in another zone, which Nova would refuse",
            vec![
                aggregate(1, Some("z"), &["source"]),
                aggregate(2, Some("y"), &["rh"]),
            ],
            true,
            None,
        ),
        (
            "every aggregate of the source that it is not in",
            vec![
                aggregate(1, None, &["source"]),
                aggregate(2, None, &["source", "rh"]),
                aggregate(3, None, &["other"]),
                aggregate(4, Some("z"), &["source"]),
            ],
            true,
            Some(vec![1, 4]),
        ),
        (
            "in a zone while the source is in none",
            vec![aggregate(2, Some("y"), &["rh"])],
            true,
            None,
        ),
    ];
    for (name, aggregates, join, want) in cases {
        let choice = chosen(vec![host("rh", Some(64))], aggregates, join, &[1]);
        let got = choice.picks.first().map(|pick| {
            pick.joins
                .iter()
                .map(|aggregate| aggregate.id)
                .collect::<Vec<_>>()
        });
        assert_eq!(got, want, "{name}: {:?}", choice.reasons);
    }
}

#[test]
fn an_instance_without_a_known_flavor_is_placed_nevertheless() {
    let survey = Survey {
        hosts: vec![host("a", Some(0))],
        ..Survey::default()
    };
    let request = ReserveRequest {
        source: "source",
        needs: &[None, None],
        join: false,
        taken: &|_| false,
        unfit: &|_| None,
    };
    assert_eq!(names(&choose(&survey, &request)), [("a", 2)]);
    assert_eq!(survey.zone_of("a"), None);
}
