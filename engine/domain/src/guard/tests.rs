use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::policy::{FencingMode, Policy};

fn rules() -> Policy {
    Policy {
        fencing: FencingMode::Engine,
        ..Policy::default()
    }
}

/// Returns the facts with one of ten hosts lost.
fn calm() -> GuardFacts {
    GuardFacts {
        running_for: Duration::from_hours(1),
        nova: Ok(NovaFacts {
            services: 10,
            unforced: 10,
            stale: 1,
            stopped_together: 1,
            hosts_up: 9,
            targets: 9,
            segment_targets: 9,
            scheduler_up: true,
        }),
        witnesses: Vec::new(),
        segment: Count { hosts: 10, out: 1 },
        segment_out: Vec::new(),
        segment_away: 0,
        all: Count { hosts: 10, out: 1 },
        ordered: Vec::new(),
        fenced: 0,
        reporters: 1,
        protected: None,
        domains: Vec::new(),
        own: HostFacts {
            silent: true,
            ..HostFacts::default()
        },
    }
}

fn nova(facts: &mut GuardFacts) -> &mut NovaFacts {
    facts.nova.as_mut().unwrap()
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn witness(name: &str, reached: bool) -> Witness {
    Witness {
        name: name.into(),
        reached,
    }
}

/// Name, guard, change of the facts, and the guard's result.
type TestCase = (&'static str, Guard, fn(&mut GuardFacts), &'static str);

fn result_name(verdict: &GuardResult) -> &'static str {
    match verdict {
        GuardResult::Pass => "pass",
        GuardResult::Warn { .. } => "warn",
        GuardResult::Wait { .. } => "wait",
        GuardResult::Hold { .. } => "hold",
    }
}

/// Covers R24.
/// Covers C4, R24.
#[test]
fn the_first_held_number_of_hosts_is_that_of_the_guard() {
    for hosts in 0..60 {
        for percent in 0..=100 {
            let first = (0..=hosts).find(|out| is_finished(Count { hosts, out: *out }, percent));
            assert_eq!(first_held(hosts, percent), first, "{hosts} hosts, {percent} %");
        }
    }
    assert_eq!(first_held(6, 34), Some(3));
    assert_eq!(first_held(5, 34), Some(2));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_guard_trips_at_its_limit_and_not_before() {
    use Guard::*;
    let cases: &[TestCase] = &[
        ("long ago", StartUp, |_| {}, "pass"),
        (
            "just started",
            StartUp,
            |f| f.running_for = Duration::ZERO,
            "wait",
        ),
        (
            "a moment early",
            StartUp,
            |f| f.running_for = Duration::from_millis(299_999),
            "wait",
        ),
        ("on time", StartUp, |f| f.running_for = seconds(300), "pass"),
        ("other hosts are up", Observer, |_| {}, "pass"),
        ("nova is silent", Observer, |f| f.nova = Err("503".into()), "wait"),
        ("no host is up", Observer, |f| nova(f).hosts_up = 0, "wait"),
        (
            "a host alone",
            Observer,
            |f| (nova(f).hosts_up, nova(f).services) = (0, 1),
            "pass",
        ),
        (
            "one witness of two",
            Observer,
            |f| f.witnesses = vec![witness("a", false), witness("b", true)],
            "pass",
        ),
        (
            "no witness",
            Observer,
            |f| f.witnesses = vec![witness("a", false)],
            "wait",
        ),
        (
            "a witness counts more than hosts",
            Observer,
            |f| {
                nova(f).hosts_up = 0;
                f.witnesses = vec![witness("a", true)];
            },
            "pass",
        ),
        (
            "all of three",
            AllStale,
            |f| (nova(f).unforced, nova(f).stale) = (3, 3),
            "wait",
        ),
        (
            "all of two",
            AllStale,
            |f| (nova(f).unforced, nova(f).stale) = (2, 2),
            "pass",
        ),
        ("nine of ten", AllStale, |f| nova(f).stale = 9, "pass"),
        (
            "it is up in Nova",
            Corroboration,
            |f| f.own.silent = false,
            "wait",
        ),
        (
            "evidence",
            Corroboration,
            |f| (f.own.silent, f.own.evidence) = (false, true),
            "pass",
        ),
        (
            "two reporters",
            Corroboration,
            |f| (f.own.silent, f.reporters) = (false, 2),
            "pass",
        ),
        ("silence", Corroboration, |_| {}, "pass"),
        (
            "one of one",
            Segment,
            |f| f.segment = Count { hosts: 1, out: 1 },
            "pass",
        ),
        (
            "one of two",
            Segment,
            |f| f.segment = Count { hosts: 2, out: 1 },
            "pass",
        ),
        (
            "two of three",
            Segment,
            |f| f.segment = Count { hosts: 3, out: 2 },
            "hold",
        ),
        (
            "34 of 100",
            Segment,
            |f| f.segment = Count { hosts: 100, out: 34 },
            "pass",
        ),
        (
            "35 of 100",
            Segment,
            |f| f.segment = Count { hosts: 100, out: 35 },
            "hold",
        ),
        (
            "the host is in no segment",
            Segment,
            |f| f.segment = Count::default(),
            "pass",
        ),
        (
            "25 of 100",
            Global,
            |f| f.all = Count { hosts: 100, out: 25 },
            "pass",
        ),
        (
            "26 of 100",
            Global,
            |f| f.all = Count { hosts: 100, out: 26 },
            "hold",
        ),
        (
            "more hosts than numbers",
            Global,
            |f| {
                f.all = Count {
                    hosts: u64::MAX,
                    out: u64::MAX,
                }
            },
            "pass",
        ),
        ("two orders", Rate, |f| f.ordered = vec![seconds(1); 2], "pass"),
        (
            "three orders",
            Rate,
            |f| f.ordered = vec![seconds(1), seconds(299), seconds(2)],
            "wait",
        ),
        (
            "three, one outside the window",
            Rate,
            |f| f.ordered = vec![seconds(1), seconds(300), seconds(2)],
            "pass",
        ),
        ("half of ten", Cliff, |f| nova(f).stopped_together = 5, "pass"),
        ("six of ten", Cliff, |f| nova(f).stopped_together = 6, "wait"),
        (
            "six of ten, for long",
            Cliff,
            |f| {
                nova(f).stopped_together = 6;
                f.own.cliff_for = seconds(30);
            },
            "hold",
        ),
        (
            "two of three",
            Cliff,
            |f| (nova(f).services, nova(f).stopped_together) = (3, 2),
            "pass",
        ),
        (
            "three of five",
            Cliff,
            |f| (nova(f).services, nova(f).stopped_together) = (5, 3),
            "wait",
        ),
        ("room", Capacity, |_| {}, "pass"),
        ("no other host", Capacity, |f| nova(f).segment_targets = 0, "warn"),
        ("few others", Capacity, |f| nova(f).segment_targets = 4, "warn"),
        (
            "no scheduler",
            Evacuation,
            |f| nova(f).scheduler_up = false,
            "wait",
        ),
        ("no target", Evacuation, |f| nova(f).targets = 0, "wait"),
        ("one target", Evacuation, |f| nova(f).targets = 1, "pass"),
        ("fenced once", Flap, |f| f.fenced = 1, "pass"),
        ("fenced twice", Flap, |f| f.fenced = 2, "hold"),
        (
            "protected",
            Protected,
            |f| f.protected = Some("it has no-fence".into()),
            "hold",
        ),
        ("not protected", Protected, |_| {}, "pass"),
    ];
    for (name, guard, change, expected) in cases {
        let mut facts = calm();
        change(&mut facts);
        let verdict = guard.check(&facts, &rules());
        assert_eq!(result_name(&verdict), *expected, "{guard}: {name}: {verdict:?}");
    }
    for guard in Guard::ALL {
        let tripped = cases.iter().any(|case| case.1 == *guard && case.3 != "pass");
        let passed = cases.iter().any(|case| case.1 == *guard && case.3 == "pass");
        assert!(tripped && passed, "{guard} has no case");
    }
}

#[test]
fn guards_with_a_limit_of_zero_are_disabled() {
    let mut rules = rules();
    rules.guards = GuardPolicy {
        startup_grace: Duration::ZERO,
        fences: 0,
        cliff_percent: 100,
        flap_fences: 0,
        ..GuardPolicy::default()
    };
    rules.segment_percent = 100;
    rules.global_percent = 100;
    let mut facts = calm();
    facts.running_for = Duration::ZERO;
    facts.ordered = vec![Duration::ZERO; 500];
    facts.fenced = 9;
    facts.segment = Count { hosts: 9, out: 9 };
    facts.all = Count { hosts: 9, out: 9 };
    (nova(&mut facts).services, nova(&mut facts).stopped_together) = (9, 9);
    let ruling = rule(&facts, &rules, GuardPhase::Order, &BTreeSet::new());
    assert_eq!(ruling, Ruling::default());
}

/// Covers R24.
#[test]
fn a_deferred_order_and_a_grace_period_have_an_end() {
    let mut facts = calm();
    facts.ordered = vec![seconds(100), seconds(10), seconds(200), seconds(50)];
    facts.running_for = seconds(120);
    let until = |guard: Guard| {
        let GuardResult::Wait { until, .. } = guard.check(&facts, &rules()) else {
            panic!("{guard} lets it pass");
        };
        until
    };
    // The third most recent of four orders must leave the window.
    assert_eq!(until(Guard::Rate), Some(seconds(200)));
    assert_eq!(until(Guard::StartUp), Some(seconds(180)));
}

/// Covers I8.
#[test]
fn lifted_guards_are_skipped_and_all_others_checked() {
    let mut facts = calm();
    facts.segment.out = 5;
    facts.all.out = 5;
    facts.protected = Some("it has no-fence".into());
    facts.running_for = Duration::ZERO;
    let named = |lifted: &[Guard], phase| {
        let lifted: BTreeSet<Guard> = lifted.iter().copied().collect();
        let ruling = rule(&facts, &rules(), phase, &lifted);
        let holds: Vec<Guard> = ruling.holds.iter().map(|hold| hold.0).collect();
        (holds, ruling.waits.len())
    };
    let (segment, global) = (Guard::Segment, Guard::Global);
    assert_eq!(named(&[], GuardPhase::Begin), (vec![segment, global], 1));
    assert_eq!(
        named(&[], GuardPhase::Order),
        (vec![segment, global, Guard::Protected], 1)
    );
    assert_eq!(named(&[segment], GuardPhase::Begin), (vec![global], 1));
    assert_eq!(named(&[segment, global], GuardPhase::Proof), (vec![], 1));
    assert_eq!(
        named(&[segment, global, Guard::StartUp], GuardPhase::Proof),
        (vec![], 0)
    );
}

#[test]
fn the_guard_names_some_of_the_hosts_that_are_out() {
    let hold_reason = |names: &[&str], out: u64| {
        let mut facts = calm();
        facts.segment = Count { hosts: 9, out };
        facts.segment_out = names.iter().map(|name| (*name).to_owned()).collect();
        let GuardResult::Hold { reason } = Guard::Segment.check(&facts, &rules()) else {
            panic!("it lets {out} pass");
        };
        reason
    };
    let reason = hold_reason(&["compute-003", "compute-004", "compute-005", "compute-006"], 4);
    assert!(
        reason.starts_with("4 of the segment's 9 hosts are out of service at once (limit 34 %): "),
        "{reason}"
    );
    assert!(
        reason.ends_with(" (out of service: compute-003, compute-004, compute-005, compute-006)"),
        "{reason}"
    );
    let reason = hold_reason(&["a", "b", "c", "d", "e"], 7);
    assert!(
        reason.ends_with(" (out of service: a, b, c, d, e, and 2 more)"),
        "{reason}"
    );
}

#[test]
fn guards_of_orders_are_skipped_in_mode_external() {
    let mut facts = calm();
    facts.running_for = Duration::ZERO;
    facts.protected = Some("it has no-fence".into());
    facts.ordered = vec![Duration::ZERO; 5];
    facts.own.silent = false;
    let mut rules = rules();
    rules.fencing = FencingMode::External;
    for phase in [GuardPhase::Begin, GuardPhase::Proof] {
        assert_eq!(rule(&facts, &rules, phase, &BTreeSet::new()), Ruling::default());
    }
    facts.segment.out = 4;
    let ruling = rule(&facts, &rules, GuardPhase::Proof, &BTreeSet::new());
    assert_eq!(ruling.holds.len(), 1, "a storm counts with external fencing too");
}

#[test]
fn guards_about_the_engines_view_cannot_be_approved() {
    for guard in Guard::ALL {
        let fixed = matches!(guard, Guard::Observer | Guard::Corroboration);
        assert_eq!(guard.can_be_lifted(), !fixed, "{guard}");
    }
    let numbers: BTreeSet<&str> = Guard::ALL.iter().map(|guard| guard.number()).collect();
    assert_eq!(numbers.len(), 12);
}
