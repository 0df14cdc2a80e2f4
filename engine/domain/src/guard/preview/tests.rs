use super::super::region::tests::region;
use super::super::{HostIncident, Witness};
use super::*;

type Change = fn(&mut Region);
type PreviewCase<'a> = (&'a str, usize, Change, &'a Policy, &'a [&'a str], u64);

/// Covers R24.
#[test]
fn the_guard_preview_agrees_with_what_a_recovery_meets() {
    let rules = Policy::default();
    // Two segments of five hosts.
    let mut all = region();
    assert_eq!(all.would_hold(&rules), [], "one may always fail");
    all.proofs.push(HostIncident {
        host: all.hosts[0].id,
        recovery: RecoveryId(Uuid::from_u128(1)),
        age: Duration::from_secs(10),
    });
    let found = all.would_hold(&rules);
    let names: Vec<&str> = found.iter().map(|one| one.host.as_str()).collect();
    assert_eq!(
        names,
        ["compute-1", "compute-2", "compute-3", "compute-4"],
        "2 of 5 would be out"
    );
    for one in &found {
        let host = all.hosts.iter().find(|host| host.name == one.host).unwrap();
        assert_eq!(
            one.why,
            holds(&all.facts_beforehand(host, &rules), &rules),
            "as if it were asked alone"
        );
        assert!(
            one.why[0].starts_with("G4 segment: 2 of the segment's 5 hosts"),
            "{found:?}"
        );
    }
    all.proofs.clear();
    let mut listed = rules.clone();
    listed.fencing = FencingMode::Engine;
    listed.guards.protected_hosts = vec!["compute-7".to_owned()];
    let found = all.would_hold(&listed);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].why[0].starts_with("G11 protected"), "{found:?}");
    all.hosts[7].on_maintenance = true;
    assert_eq!(all.would_hold(&listed), [], "reports of it are refused");
    all.hosts[7].by_process = true;
    assert_eq!(all.would_hold(&listed), found, "reports of it are accepted");
}
/// The host that fails next, in segments of four and five. One death is never a storm, and capacity that is away is none.
/// Covers C4, R24.
#[test]
fn hosts_that_are_away_hold_nothing_and_hosts_that_just_failed_do() {
    let of = |hosts: usize| {
        let mut all = region();
        all.hosts.truncate(hosts);
        let services = &mut all.nova.as_mut().unwrap().services;
        services.retain(|name, _| all.hosts.iter().any(|host| host.name == *name));
        all
    };
    let engine = Policy {
        fencing: FencingMode::Engine,
        ..Policy::default()
    };
    let mut listed = engine.clone();
    listed.guards.protected_hosts = vec!["compute-3".to_owned()];
    let maintenance: Change = |all| {
        all.hosts[0].on_maintenance = true;
        all.hosts[0].by_operator = true;
    };
    let repair: Change = |all| {
        all.hosts[0].on_maintenance = true;
        let service = all.nova.as_mut().unwrap().services.get_mut("compute-0");
        let service = service.unwrap().as_mut().unwrap();
        (service.up, service.forced_down, service.enabled) = (false, true, false);
        all.proofs.push(HostIncident {
            host: all.hosts[0].id,
            recovery: RecoveryId(Uuid::from_u128(1)),
            age: Duration::from_mins(60),
        });
    };
    let fenced: Change = |all| {
        all.proofs.push(HostIncident {
            host: all.hosts[0].id,
            recovery: RecoveryId(Uuid::from_u128(1)),
            age: Duration::from_secs(10),
        });
    };
    let cases: [PreviewCase<'_>; 6] = [
        ("4 hosts", 4, |_| {}, &engine, &[], 2),
        (
            "4 hosts, one in an operator's maintenance",
            4,
            maintenance,
            &engine,
            &[],
            2,
        ),
        (
            "5 hosts, one recovered and away for repair",
            5,
            repair,
            &engine,
            &[],
            2,
        ),
        (
            "5 hosts, one fenced 10 s ago",
            5,
            fenced,
            &engine,
            &["compute-1", "compute-2", "compute-3", "compute-4"],
            2,
        ),
        (
            "a host in storm_protected_hosts",
            4,
            |_| {},
            &listed,
            &["compute-3"],
            2,
        ),
        ("both", 4, maintenance, &listed, &["compute-3"], 2),
    ];
    for (case, hosts, change, rules, holding, together) in cases {
        let mut all = of(hosts);
        change(&mut all);
        let found = all.would_hold(rules);
        let names: Vec<&str> = found.iter().map(|one| one.host.as_str()).collect();
        assert_eq!(names, holding, "{case}: {found:?}");
        let losses = all.joint_losses(rules);
        assert_eq!(losses.len(), 1, "{case}: {losses:?}");
        assert_eq!(losses[0].hosts, together, "{case}: {losses:?}");
        assert!(losses[0].why[0].starts_with("G4 segment: "), "{case}: {losses:?}");
    }
}

/// Covers C4, R24.
#[test]
fn the_loss_of_a_failure_domain_is_asked_of_the_same_guards() {
    let rules = Policy::default();
    let mut all = region();
    let names = |numbers: &[usize]| numbers.iter().map(|number| format!("compute-{number}")).collect();
    all.domains.insert("rack:r1".to_owned(), names(&[0, 1]));
    all.domains.insert("rack:r2".to_owned(), names(&[2, 5]));
    all.domains.insert("rack:r3".to_owned(), names(&[3, 99]));
    let mut wide = rules.clone();
    (wide.segment_percent, wide.global_percent) = (60, 50);
    let shown = |rules: &Policy| -> Vec<(Option<String>, u64, String)> {
        let guards = |why: &[String]| {
            let numbers = why.iter().filter_map(|reason| reason.split(' ').next());
            numbers.collect::<Vec<_>>().join(" ")
        };
        let losses = all.joint_losses(rules).into_iter();
        losses
            .map(|one| (one.domain, one.hosts, guards(&one.why)))
            .collect()
    };
    let r1 = Some("rack:r1".to_owned());
    let r2 = Some("rack:r2".to_owned());
    let narrow = shown(&rules);
    assert_eq!(
        narrow[..2],
        [(None, 2, "G4".to_owned()), (None, 2, "G4".to_owned())]
    );
    assert_eq!(narrow[2], (r1.clone(), 2, "G4".to_owned()));
    // One host of each of two segments.
    assert_eq!((&narrow[3].0, narrow[3].1), (&r2, 2));
    let wide = shown(&wide);
    assert_eq!(
        (wide[2].clone(), wide[3].clone()),
        ((r1, 2, String::new()), (r2, 2, String::new()))
    );
}

/// Covers R24.
#[test]
fn waits_that_only_a_repair_ends_are_known_beforehand() {
    let rules = Policy::default();
    let mut all = region();
    all.nova.as_mut().unwrap().scheduler_up = false;
    let found = all.would_hold(&rules);
    assert_eq!(found.len(), 10, "{found:?}");
    assert_eq!(
        found[0].why,
        ["G9 evacuation: no nova-scheduler is up: nothing could be evacuated"]
    );

    // One host of another segment takes instances: nothing would take its own.
    let mut all = region();
    for (host, service) in &mut all.nova.as_mut().unwrap().services {
        service.as_mut().unwrap().enabled = host == "compute-6";
    }
    let found = all.would_hold(&rules);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].host, "compute-6");
    assert!(
        found[0].why[0].starts_with("G9 evacuation: no other host"),
        "{found:?}"
    );

    let mut all = region();
    all.witnesses = vec![Witness {
        name: "gateway".to_owned(),
        reached: false,
    }];
    let found = all.would_hold(&rules);
    assert_eq!(found.len(), 10, "{found:?}");
    assert!(found[0].why[0].starts_with("G1 observer: "), "{found:?}");
    all.witnesses[0].reached = true;
    assert_eq!(all.would_hold(&rules), []);
}
