use uuid::Uuid;

use super::*;
use crate::ServiceId;

const NOW: i64 = 1_000_000_000_000;

fn id(number: usize) -> HostId {
    HostId(Uuid::from_u128(u128::try_from(number).unwrap()))
}

fn recovery(number: u128) -> RecoveryId {
    RecoveryId(Uuid::from_u128(number))
}

fn name(number: usize) -> String {
    format!("compute-{number}")
}

/// Returns a service with this heartbeat age, in seconds.
fn service(number: usize, age: i64) -> Service {
    Service {
        id: ServiceId(Uuid::nil()),
        host: name(number),
        enabled: true,
        disabled_reason: None,
        up: age < 60,
        forced_down: false,
        last_heartbeat: Some(Timestamp::from_micros(NOW - age * 1_000_000)),
        nova_now: Some(Timestamp::from_micros(NOW)),
    }
}

/// Returns two segments of five hosts, all with a heartbeat four seconds ago.
pub(in super::super) fn region() -> Region {
    let host = |number: usize| RegionHost {
        id: id(number),
        name: name(number),
        segment: SegmentId(Uuid::from_u128(u128::try_from(number / 5).unwrap())),
        on_maintenance: false,
        by_operator: false,
        by_process: false,
        recovering: false,
        waits_for_disks: false,
        reported_ago: None,
        reporters: Vec::new(),
        heartbeats: crate::monitor::BootHeartbeats::default(),
    };
    Region {
        running_for: Duration::from_hours(1),
        hosts: (0..10).map(host).collect(),
        orders: Vec::new(),
        proofs: Vec::new(),
        processes: Vec::new(),
        nova: Ok(NovaView {
            services: (0..10)
                .map(|number| (name(number), Some(service(number, 4))))
                .collect(),
            scheduler_up: true,
            aggregates: Vec::new(),
        }),
        witnesses: Vec::new(),
        domains: BTreeMap::new(),
    }
}

fn facts(region: &Region) -> GuardFacts {
    region.facts(
        id(0),
        &name(0),
        recovery(1),
        HostFacts::default(),
        &Policy::default(),
    )
}

fn nova(region: &mut Region) -> &mut NovaView {
    region.nova.as_mut().unwrap()
}

fn age(region: &mut Region, number: usize, age: i64) {
    nova(region)
        .services
        .insert(name(number), Some(service(number, age)));
}

/// Sets the age of the host's recovery, in seconds.
fn suspect(region: &mut Region, number: usize, ago: u64) {
    region.hosts[number].recovering = true;
    region.hosts[number].reported_ago = Some(Duration::from_secs(ago));
}

/// Makes host 1 forced down, confirmed by Nova; its remaining instances have waited since then.
fn waits_for_disks(region: &mut Region, ago: u64) {
    suspect(region, 1, ago);
    region.hosts[1].on_maintenance = true;
    region.hosts[1].waits_for_disks = true;
    let down = Service {
        up: false,
        forced_down: true,
        ..service(1, i64::try_from(ago).unwrap() + 30)
    };
    nova(region).services.insert(name(1), Some(down));
}

/// Name, change, and the expected counts of hosts that are out in the segment and in total.
type TestCase = (&'static str, Box<dyn Fn(&mut Region)>, u64, u64);

/// Covers R24.
#[test]
fn hosts_with_rare_heartbeats_are_not_silent_between_two_of_them() {
    let mut region = region();
    nova(&mut region).services.insert(name(1), Some(service(1, 25)));
    let mut rules = Policy::default();
    assert!(region.fell_silent(&name(1), &rules));
    rules.heartbeat_age_usual = Duration::from_secs(28);
    assert!(!region.fell_silent(&name(1), &rules));
    nova(&mut region).services.insert(name(1), Some(service(1, 43)));
    assert!(region.fell_silent(&name(1), &rules));
}

/// Covers T4, R24.
#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[test]
fn a_host_counts_as_out_once_however_many_sources_show_it() {
    let proof = |host, seconds| HostIncident {
        host: id(host),
        recovery: recovery(9),
        age: Duration::from_secs(seconds),
    };
    let lately = proof(1, 299);
    let earlier = proof(1, 301);
    let cases: Vec<TestCase> = vec![
        ("only the host itself", Box::new(|_| {}), 1, 1),
        (
            "under recovery, without a heartbeat since",
            Box::new(|r| {
                r.hosts[1].recovering = true;
                age(r, 1, 400);
            }),
            2,
            2,
        ),
        (
            "reported after its last heartbeat",
            Box::new(|r| suspect(r, 1, 5)),
            2,
            2,
        ),
        (
            "reported before its last heartbeat",
            Box::new(|r| suspect(r, 1, 7)),
            1,
            1,
        ),
        (
            "four of them",
            Box::new(|r| (1..5).for_each(|number| suspect(r, number, 60))),
            1,
            1,
        ),
        (
            "under recovery in a cell that is down",
            Box::new(|r| {
                suspect(r, 1, 60);
                nova(r).services.insert(name(1), None);
            }),
            2,
            2,
        ),
        (
            "in maintenance for a process",
            Box::new(|r| (r.hosts[1].on_maintenance, r.hosts[1].by_process) = (true, true)),
            1,
            1,
        ),
        (
            "away for repair",
            Box::new(|r| {
                r.hosts[1].on_maintenance = true;
                age(r, 1, 3_000);
            }),
            1,
            1,
        ),
        (
            "all that is left are instances that wait for it, within the window",
            Box::new(|r| waits_for_disks(r, 299)),
            2,
            2,
        ),
        (
            "all that is left are instances that wait for it, for longer",
            Box::new(|r| waits_for_disks(r, 301)),
            1,
            1,
        ),
        (
            "in maintenance by an operator, and up",
            Box::new(|r| (r.hosts[1].on_maintenance, r.hosts[1].by_operator) = (true, true)),
            1,
            1,
        ),
        ("of another segment", Box::new(|r| suspect(r, 7, 0)), 1, 2),
        (
            "confirmed off lately",
            Box::new(move |r| r.proofs.push(lately)),
            2,
            2,
        ),
        (
            "confirmed off long ago",
            Box::new(move |r| r.proofs.push(earlier)),
            1,
            1,
        ),
        ("fell silent lately", Box::new(|r| age(r, 1, 20)), 2, 2),
        ("silent for long", Box::new(|r| age(r, 1, 3_000)), 1, 1),
        (
            "an operator switched it off",
            Box::new(|r| {
                (r.hosts[1].on_maintenance, r.hosts[1].by_operator) = (true, true);
                age(r, 1, 20);
            }),
            1,
            1,
        ),
        (
            "everything at once",
            Box::new(move |r| {
                (r.hosts[1].on_maintenance, r.hosts[1].recovering) = (true, true);
                r.proofs.push(lately);
                age(r, 1, 20);
            }),
            2,
            2,
        ),
    ];
    for (case, change, segment, all) in cases {
        let mut region = region();
        change(&mut region);
        let facts = facts(&region);
        assert_eq!((facts.segment.hosts, facts.all.hosts), (5, 10), "{case}");
        assert_eq!((facts.segment.out, facts.all.out), (segment, all), "{case}");
        assert_eq!(facts.segment_out.len() as u64, segment, "{case}: each is named");
        assert_eq!(facts.segment_out[0], name(0), "{case}");
    }
    let nobody = region().facts(
        id(77),
        "gone",
        recovery(1),
        HostFacts::default(),
        &Policy::default(),
    );
    assert_eq!(
        nobody.segment,
        Count::default(),
        "a host that is not registered any more"
    );
}

#[test]
fn orders_of_this_recovery_and_repeated_ones_do_not_count_against_it() {
    let mut region = region();
    for (host, by) in [(0, 1), (1, 2), (1, 2), (2, 3)] {
        region.orders.push(HostIncident {
            host: id(host),
            recovery: recovery(by),
            age: Duration::from_secs(5),
        });
    }
    assert_eq!(facts(&region).ordered.len(), 2);
}

#[test]
fn a_host_flaps_by_other_recoveries_of_it_within_the_window() {
    let mut region = region();
    for (host, by, seconds) in [(0, 1, 5), (0, 2, 1_000), (0, 2, 1_001), (0, 3, 3_601), (1, 4, 10)] {
        region.proofs.push(HostIncident {
            host: id(host),
            recovery: recovery(by),
            age: Duration::from_secs(seconds),
        });
    }
    assert_eq!(facts(&region).fenced, 1);
}

#[test]
fn heartbeats_that_stopped_within_one_interval_of_this_hosts_are_a_cliff() {
    let mut region = region();
    for (number, seconds) in [(0, 30), (1, 38), (2, 21), (3, 41), (4, 19)] {
        age(&mut region, number, seconds);
    }
    nova(&mut region).services.insert(name(9), None);
    let facts = facts(&region).nova.unwrap();
    assert_eq!((facts.services, facts.stale, facts.stopped_together), (9, 5, 3));
    assert_eq!((facts.hosts_up, facts.targets, facts.segment_targets), (4, 4, 0));
}

/// Covers R24.
#[test]
fn one_failed_host_is_never_a_storm() {
    for in_maintenance in 0..4 {
        let mut region = region();
        suspect(&mut region, 0, 0);
        for number in 1..=in_maintenance {
            region.hosts[number].on_maintenance = true;
            if number % 2 == 0 {
                region.hosts[number].by_operator = true;
            } else {
                // Recovered long ago, and not returned.
                age(&mut region, number, 90_000);
            }
        }
        let facts = facts(&region);
        assert_eq!((facts.segment.out, facts.all.out), (1, 1), "{in_maintenance}");
        assert_eq!(facts.segment_away, u64::try_from(in_maintenance).unwrap());
        for guard in [crate::guard::Guard::Segment, crate::guard::Guard::Global] {
            let rules = Policy {
                segment_percent: 1,
                global_percent: 1,
                ..Policy::default()
            };
            assert_eq!(
                guard.check(&facts, &rules),
                crate::guard::GuardResult::Pass,
                "{in_maintenance}"
            );
        }
    }
}

/// Covers R24.
#[test]
fn a_hold_counts_its_hosts_while_they_are_down_in_nova() {
    let mut region = region();
    for number in [1, 2, 3] {
        age(&mut region, number, 3_000);
    }
    let lasting = |hosts: &[usize]| {
        let hosts = hosts.iter().map(|number| name(*number)).collect();
        let rules = Policy::default();
        let lasting = region.lasting_facts(id(0), &hosts, &rules, &facts(&region));
        lasting.unwrap().segment.out
    };
    assert_eq!(lasting(&[0, 1, 2]), 3, "the third was silent long before");
    assert_eq!(lasting(&[0, 4]), 1, "it is up again");
    assert_eq!(lasting(&[]), 4, "held by an older version");
}

#[test]
fn targets_are_other_hosts_that_are_enabled_and_up() {
    let mut region = region();
    region.hosts[1].on_maintenance = true;
    for (number, what) in [(2, "disabled"), (3, "forced down"), (4, "silent")] {
        let mut one = service(number, if what == "silent" { 20 } else { 4 });
        one.enabled = what != "disabled";
        one.forced_down = what == "forced down";
        nova(&mut region).services.insert(name(number), Some(one));
    }
    let facts = facts(&region).nova.unwrap();
    assert_eq!((facts.hosts_up, facts.targets, facts.segment_targets), (7, 6, 0));
}

fn aggregate(id: u64, key: &str, value: &str, hosts: &[usize]) -> Aggregate {
    Aggregate {
        id,
        name: format!("a{id}"),
        zone: None,
        hosts: hosts.iter().map(|number| name(*number)).collect(),
        metadata: [(key.to_owned(), value.to_owned())].into(),
    }
}

#[test]
fn hosts_are_protected_by_a_pattern_or_by_an_aggregate() {
    let cases: [(&str, &str, Option<Aggregate>, bool); 6] = [
        ("by nothing", "", None, false),
        ("by a pattern", "*-0", None, true),
        ("by another's pattern", "*-1", None, false),
        (
            "by an aggregate",
            "",
            Some(aggregate(1, "no-fence", "true", &[0])),
            true,
        ),
        (
            "by an aggregate with the value no",
            "",
            Some(aggregate(1, "no-fence", "False", &[0])),
            false,
        ),
        (
            "by an aggregate of others",
            "",
            Some(aggregate(1, "no-fence", "true", &[1])),
            false,
        ),
    ];
    for (case, pattern, aggregate, expected) in cases {
        let mut region = region();
        nova(&mut region).aggregates.extend(aggregate);
        let mut rules = Policy::default();
        rules.guards.protected_hosts = Some(pattern.to_owned())
            .filter(|it| !it.is_empty())
            .into_iter()
            .collect();
        let facts = region.facts(id(0), &name(0), recovery(1), HostFacts::default(), &rules);
        assert_eq!(
            facts.protected.is_some(),
            expected,
            "{case}: {:?}",
            facts.protected
        );
    }
}

#[test]
fn a_completely_lost_failure_domain_is_reported_with_its_time_span() {
    let mut region = region();
    nova(&mut region)
        .aggregates
        .push(aggregate(1, "failure_domain", "rack:r7", &[0, 1, 2]));
    nova(&mut region)
        .aggregates
        .push(aggregate(2, "failure_domain", "rack:r8", &[3, 4]));
    nova(&mut region)
        .aggregates
        .push(aggregate(3, "ssd", "true", &[0, 1]));
    for (number, seconds) in [(0, 32), (1, 20), (2, 25)] {
        age(&mut region, number, seconds);
    }
    let domains = facts(&region).domains;
    assert_eq!(domains.len(), 1);
    assert!(domains[0].is_whole());
    assert_eq!(domains[0].sentence(), "rack r7: 3 of 3 hosts lost within 12 s");
    age(&mut region, 2, 3);
    let domains = facts(&region).domains;
    assert_eq!((domains[0].lost, domains[0].is_whole()), (2, false));
    // The file takes precedence over an aggregate of the same name.
    region.domains.insert("rack:r7".into(), [name(0), name(1)].into());
    let domains = facts(&region).domains;
    assert_eq!((domains[0].hosts, domains[0].lost), (2, 2));
    region.domains.insert("rack:r7".into(), [name(0)].into());
    assert!(!facts(&region).domains[0].is_whole(), "a host alone is no domain");
}

/// Returns ten hosts in two segments with these process recoveries, oldest first, and their ages in seconds.
fn disabling(hosts: &[(usize, u64)]) -> Region {
    let mut region = region();
    let dated = |(number, (host, seconds)): (usize, &(usize, u64))| HostIncident {
        host: id(*host),
        recovery: recovery(100 + u128::try_from(number).unwrap()),
        age: Duration::from_secs(*seconds),
    };
    region.processes = hosts.iter().enumerate().map(dated).collect();
    region
}

/// Returns the guard's result for the last of them.
fn last(hosts: &[(usize, u64)]) -> crate::guard::GuardResult {
    let (host, _) = hosts.last().unwrap();
    let recovery = recovery(99 + u128::try_from(hosts.len()).unwrap());
    crate::guard::process::check(&disabling(hosts), id(*host), recovery, &Policy::default())
}

/// Covers T3.
#[test]
fn services_are_disabled_for_processes_up_to_a_fraction_of_the_segment_and_of_all() {
    use crate::guard::GuardResult;
    assert_eq!(last(&[(0, 0)]), GuardResult::Pass, "one always may be");
    assert!(
        matches!(last(&[(0, 9_000), (1, 0)]), GuardResult::Hold { .. }),
        "two of five"
    );
    assert_eq!(
        last(&[(0, 9_000), (5, 0)]),
        GuardResult::Pass,
        "two of ten, one of each five"
    );
    assert!(matches!(
        last(&[(0, 9_000), (5, 9_000), (6, 0)]),
        GuardResult::Hold { .. }
    ));
    assert_eq!(
        last(&[(0, 9_000), (0, 0)]),
        GuardResult::Pass,
        "the same host again"
    );
    // Later recoveries do not delay the first one.
    let all = disabling(&[(0, 3), (1, 2), (2, 1)]);
    let verdict = |number: usize| {
        crate::guard::process::check(
            &all,
            id(number),
            recovery(100 + u128::try_from(number).unwrap()),
            &Policy::default(),
        )
    };
    assert_eq!(verdict(0), GuardResult::Pass);
    assert!(matches!(verdict(1), GuardResult::Hold { .. }));
}

/// Covers T3.
#[test]
fn a_host_disabled_for_a_process_counts_even_after_its_recovery() {
    let mut region = disabling(&[(1, 0)]);
    (region.hosts[0].on_maintenance, region.hosts[0].by_process) = (true, true);
    let verdict = crate::guard::process::check(&region, id(1), recovery(100), &Policy::default());
    assert!(
        matches!(verdict, crate::guard::GuardResult::Hold { .. }),
        "{verdict:?}"
    );
}

/// Covers T3.
#[test]
fn services_are_disabled_for_processes_at_a_bounded_rate() {
    let mut rules = Policy::default();
    rules.guards.process_segment_percent = 100;
    rules.guards.process_global_percent = 100;
    let check = |ages: [u64; 3]| {
        let hosts = [(0, ages[0]), (1, ages[1]), (2, ages[2]), (3, 0)];
        crate::guard::process::check(&disabling(&hosts), id(3), recovery(103), &rules)
    };
    let waits = check([200, 100, 1]);
    assert!(
        matches!(waits, crate::guard::GuardResult::Wait { .. }),
        "{waits:?}"
    );
    assert_eq!(check([301, 100, 1]), crate::guard::GuardResult::Pass);
}

/// Returns a reporter: a hypervisor or a control node.
fn voice(host: Option<usize>, user: &str) -> crate::Reporter {
    crate::Reporter {
        user_id: user.into(),
        host: host.map(name),
        control: host.is_none(),
        ..crate::Reporter::default()
    }
}

/// Covers T2.
#[test]
fn corroboration_counts_bound_reporters_outside_the_hosts_failure_domains() {
    let unbound = || crate::Reporter {
        user_id: "anybody".into(),
        ..crate::Reporter::default()
    };
    let cases = [
        ("nobody", vec![], 0),
        ("a control node", vec![voice(None, "a")], 1),
        ("two of them", vec![voice(None, "a"), voice(None, "b")], 2),
        (
            "one and a hypervisor",
            vec![voice(None, "a"), voice(Some(3), "c")],
            2,
        ),
        (
            "hypervisors alone",
            vec![voice(Some(3), "c"), voice(Some(4), "d"), voice(Some(5), "e")],
            1,
        ),
        (
            "one and the host itself",
            vec![voice(None, "a"), voice(Some(0), "c")],
            1,
        ),
        (
            "one and one of its rack",
            vec![voice(None, "a"), voice(Some(1), "c")],
            1,
        ),
        (
            "one, and a reporter bound to no host",
            vec![voice(None, "a"), unbound()],
            1,
        ),
    ];
    for (case, reporters, expected) in cases {
        let mut region = region();
        region.domains = [("rack:r1".to_owned(), [name(0), name(1)].into())].into();
        region.hosts[0].reporters = reporters;
        assert_eq!(facts(&region).reporters, expected, "{case}");
    }
}

/// A failed switch isolates some hosts, from which the rest of the cloud seems down.
/// Covers T2.
#[test]
fn a_monitor_on_a_host_that_is_down_in_nova_or_out_corroborates_nothing() {
    let corroborated = |change: &dyn Fn(&mut Region)| {
        let mut region = region();
        region.hosts[0].reporters = vec![voice(None, "a"), voice(Some(3), "c")];
        change(&mut region);
        facts(&region).reporters
    };
    assert_eq!(corroborated(&|_| {}), 2);
    let silent = |region: &mut Region| {
        nova(region).services.insert(name(3), Some(service(3, 20)));
    };
    assert_eq!(corroborated(&silent), 1, "it is down in Nova");
    let unknown = |region: &mut Region| {
        nova(region).services.remove(&name(3));
    };
    assert_eq!(corroborated(&unknown), 1, "Nova does not know it");
    let suspected = |region: &mut Region| suspect(region, 3, 2);
    assert_eq!(
        corroborated(&suspected),
        1,
        "the report follows its last heartbeat"
    );
    let accused = |region: &mut Region| suspect(region, 3, 60);
    assert_eq!(corroborated(&accused), 2, "a heartbeat follows the report");
}

/// Covers R24.
#[test]
fn rare_heartbeats_may_also_form_a_cliff() {
    let mut region = region();
    // A broker fails. With a heartbeat interval of 30 s, the last heartbeats are 0 to 30 s older than the
    // failure.
    for number in 0..10 {
        let age = 50 + i64::try_from(number * 3).unwrap();
        nova(&mut region)
            .services
            .insert(name(number), Some(service(number, age)));
    }
    let mut rules = Policy::default();
    let stopped_together = |rules: &Policy| {
        let facts = region.facts(id(0), &name(0), recovery(1), HostFacts::default(), rules);
        facts.nova.unwrap().stopped_together
    };
    assert_eq!(stopped_together(&rules), 4);
    rules.heartbeat_age_usual = Duration::from_secs(30);
    assert_eq!(stopped_together(&rules), 10);
}

/// Covers T2.
#[test]
fn reports_of_hypervisors_count_in_no_fraction_while_the_host_is_up_in_nova() {
    let out = |reporter: crate::Reporter| {
        let mut region = region();
        // Reported just now; its last heartbeat is 4 s old.
        suspect(&mut region, 1, 0);
        region.hosts[1].reporters = vec![reporter];
        facts(&region).segment.out
    };
    assert_eq!(out(voice(Some(3), "c")), 1);
    assert_eq!(out(voice(None, "a")), 2);
}
