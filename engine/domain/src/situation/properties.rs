//! Properties that hold for every assessment, whatever the facts.

use proptest::prelude::*;

use super::room::tests::rooms;
use super::tests::{NOW, ago, compute, engine, fine, test};
use super::*;
use crate::entity::host::MaintenanceReason;
use crate::entity::segment::RecoveryMethod;
use crate::guard::WouldHold;
use crate::nova::{Rest, StopReason};
use crate::policy::FencingMode;
use crate::recovery::Life;

/// Generates facts of all kinds. All their times lie in the past: no clock runs ahead.
fn facts() -> impl Strategy<Value = Facts> {
    let hosts = proptest::collection::vec((0..6_u8, 0..4_u8, 0..6_u8, any::<bool>()), 3);
    let ages = (0..100_i64, 0..100_i64, 0..40_i64, 0..1_000_i64);
    let room = (0..4_u8, 0..4_u64, 0..4_u64, 0..4_u64, 0..100_i64);
    (hosts, ages, 0..5_u8, 0..5_u8, any::<(bool, bool, bool)>(), room).prop_map(
        |(hosts, (computes, instances, signed, tested), mode, method, (listed, polled, devices), room)| {
            let mut facts = fine();
            let (state, a, b, c, age) = room;
            if state > 0 {
                rooms(&mut facts, [a, b, c].map(|places| places * 100));
                let known = facts.rooms.as_mut().unwrap();
                known.as_of = ago(age);
                known.value.state.unread = u64::from(state == 2);
                known.value.state.trouble = (state == 3).then(|| "timed out".to_owned());
                known.value.state.refused = state == 3 && a == 0;
            }
            facts
                .engines
                .push(engine("ctl-2:1", signed, &[("nova", signed % 3 != 0, "away")]));
            facts.fencing.mode = match mode {
                0 => FencingMode::DryRun,
                1 => FencingMode::External,
                _ => FencingMode::Engine,
            };
            facts.fencing.has_devices = devices || mode != 3;
            facts.segments[0].method = match method {
                0 => RecoveryMethod::ReservedHost,
                1 => RecoveryMethod::RhPriority,
                _ => RecoveryMethod::Auto,
            };
            let known = facts.computes.as_mut().unwrap();
            known.as_of = ago(computes);
            let tests = facts.fencing.tests.as_mut().unwrap();
            for (place, (state, at_nova, fence, reserved)) in hosts.into_iter().enumerate() {
                let host = &mut facts.segments[0].hosts[place];
                host.reserved = reserved;
                host.maintenance = (state == 0).then_some(MaintenanceReason::Operator);
                host.recovery =
                    (state == 1).then_some((crate::id::RecoveryId(uuid::Uuid::nil()), Life::Open));
                let compute = &mut known.value[place];
                compute.up = at_nova != 1;
                compute.enabled = at_nova != 2;
                compute.cell_down = at_nova == 3;
                tests[place].as_of = ago(tested);
                tests[place].fault = (fence < 2).then(|| "timed out".to_owned());
                tests[place].failures = u32::from(fence < 2) + u32::from(fence == 1);
            }
            // The guards are checked when Nova is read.
            if signed % 2 == 0 {
                let why = vec!["G11 protected: it is listed".to_owned()];
                let hold = |host: &str| WouldHold {
                    host: host.to_owned(),
                    why: why.clone(),
                };
                facts.holds = Some(TimedFact {
                    as_of: ago(computes),
                    value: if tested % 2 == 0 {
                        vec![hold("b")]
                    } else {
                        Vec::new()
                    },
                });
            }
            facts.instances.as_mut().unwrap().as_of = ago(instances);
            if !listed {
                facts.instances = None;
            }
            if !polled {
                facts.computes = None;
            }
            facts
        },
    )
}

fn older(facts: &Facts, seconds: i64) -> Facts {
    let mut old = facts.clone();
    if let Some(known) = &mut old.computes {
        known.as_of = known.as_of.minus_seconds(seconds);
    }
    if let Some(known) = &mut old.instances {
        known.as_of = known.as_of.minus_seconds(seconds);
    }
    if let Some(known) = &mut old.rooms {
        known.as_of = known.as_of.minus_seconds(seconds);
    }
    if let Some(known) = &mut old.holds {
        known.as_of = known.as_of.minus_seconds(seconds);
    }
    for engine in &mut old.engines {
        engine.seen_at = engine.seen_at.minus_seconds(seconds);
    }
    for monitor in &mut old.monitors {
        monitor.signed_at = monitor.signed_at.minus_seconds(seconds);
    }
    for test in old.fencing.tests.iter_mut().flatten() {
        test.as_of = test.as_of.minus_seconds(seconds);
    }
    old
}

/// Asserts that no instance and no host is better protected than `before`, and that the grade is no better.
fn no_better(now: &Situation, before: &Situation) {
    let hosts = now.hosts.iter().zip(&before.hosts);
    for (now, before) in hosts {
        assert_eq!(now.name, before.name);
        assert!(
            now.protection >= before.protection,
            "{}: {now:?} after {before:?}",
            now.name
        );
    }
    let instances = now
        .instances
        .iter()
        .flatten()
        .zip(before.instances.iter().flatten());
    for (now, before) in instances {
        assert_eq!(now.id, before.id);
        assert!(now.protection >= before.protection, "{now:?} after {before:?}");
    }
    assert!(
        now.grade >= before.grade,
        "{:?} after {:?}",
        now.findings,
        before.findings
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn older_facts_never_improve_the_grade(facts in facts(), seconds in 0..2_000_i64) {
        no_better(&assess(&older(&facts, seconds), NOW), &assess(&facts, NOW));
    }

    /// Such an instance is never protected, whatever else is known, and a finding about it or about its host names it.
    /// Covers R36.
    #[test]
    fn what_should_run_and_does_not_is_never_protected_and_always_named(
        mut facts in facts(),
        rests in proptest::collection::vec((0..5_u8, 0..1_000_i64, any::<(bool, bool, bool)>()), 6),
    ) {
        let Some(known) = &mut facts.instances else {
            return Ok(());
        };
        let mut all = rests.into_iter();
        for instance in known.value.on.values_mut().flat_map(|all| std::sync::Arc::make_mut(all).iter_mut()) {
            let Some((why, seconds, (busy, stopped, left))) = all.next() else { break };
            let why = [None, Some(StopReason::Unasked), Some(StopReason::Meant), Some(StopReason::Due), Some(StopReason::Unclear)][usize::from(why)];
            instance.rest = why.map(|why| Rest { why, since: ago(seconds), busy, stopped, may_run: false, observed: None, judged: None });
            instance.left = (left && seconds % 2 == 0).then(|| "by policy".to_owned());
        }
        let on = facts.instances.as_ref().unwrap().value.on.clone();
        let situation = assess(&facts, NOW);
        for instance in on.values().flat_map(|all| all.iter()).filter(|instance| instance.left.is_none()) {
            let shown = situation.instances.iter().flatten().find(|shown| shown.id == instance.id).unwrap();
            let named = situation.findings.iter().any(|finding| {
                finding.code == FindingCode::InstanceDown && finding.subjects.contains(&instance.name.to_string())
            });
            match instance.rest.as_ref().map(|rest| rest.why) {
                None | Some(StopReason::Meant) => prop_assert!(!named, "{instance:?}"),
                Some(StopReason::Due) => prop_assert!(named && shown.protection == Protection::Down, "{shown:?}"),
                Some(StopReason::Unasked | StopReason::Unclear) => {
                    prop_assert!(named && shown.protection >= Protection::Unknown, "{shown:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_old_is_good(facts in facts()) {
        let situation = assess(&older(&facts, 2_000), NOW);
        prop_assert!(situation.grade >= Severity::Unknown);
        let good = [Protection::Protected, Protection::Degraded];
        for instance in situation.instances.iter().flatten() {
            prop_assert!(!good.contains(&instance.protection), "{instance:?}");
        }
    }

    #[test]
    fn a_good_fact_never_makes_it_worse(mut facts in facts(), which in 0..5_u8, place in 0..3_usize) {
        // A host that works again may fail or take instances, so its capacity is judged for the first time, and the result may be
        // worse than no judgement. The forecast has its own property tests of capacity.
        if matches!(which, 1 | 2 | 4) {
            facts.rooms = None;
        }
        let mut better = facts.clone();
        let name = ["a", "b", "c"][place];
        match which {
            0 => better.engines.push(engine("ctl-3:1", 1, &[("nova", true, "ok")])),
            1 => {
                let known = TimedFact { as_of: ago(1), value: better.computes.map_or_else(|| ["a", "b", "c"].map(compute).to_vec(), |known| known.value) };
                better.computes = Some(known);
            }
            2 => {
                if let Some(known) = &mut better.computes {
                    known.value[place] = compute(name);
                }
            }
            3 => {
                let mut good = test(name, "pdu");
                good.as_of = ago(1);
                better.fencing.tests.get_or_insert_default().push(good);
            }
            _ => {
                better.segments[0].hosts[place].maintenance = None;
                better.segments[0].hosts[place].recovery = None;
                if let Some(known) = &mut better.computes {
                    known.value[place] = compute(name);
                }
                better.fencing.tests = Some(["a", "b", "c"].map(|name| test(name, "bmc")).to_vec());
            }
        }
        no_better(&assess(&facts, NOW), &assess(&better, NOW));
    }
}

#[test]
fn a_thousand_hosts_and_fifty_thousand_instances_are_judged_in_a_moment() {
    let mut facts = fine();
    let name = |number: u32| format!("compute-{number:04}");
    let hosts: Vec<String> = (0..1_000).map(name).collect();
    facts.segments[0].hosts = hosts.iter().map(|name| super::tests::host(name)).collect();
    facts.fencing.tests = Some(
        hosts
            .iter()
            .flat_map(|name| [test(name, "bmc"), test(name, "pdu")])
            .collect(),
    );
    facts.computes.as_mut().unwrap().value = hosts.iter().map(|name| compute(name)).collect();
    let on = hosts.iter().zip(0_u128..).map(|(name, place)| {
        (
            name.clone(),
            std::sync::Arc::new(
                (0..50)
                    .map(|number| super::tests::instance(place * 50 + number))
                    .collect::<Vec<_>>(),
            ),
        )
    });
    facts.instances.as_mut().unwrap().value.on = on.collect();
    let begun = std::time::Instant::now();
    let situation = assess(&facts, NOW);
    let took = begun.elapsed();
    assert_eq!(situation.counts.unwrap().protected, 50_000);
    // The test runs unoptimised and on a busy machine: an optimised build takes a tenth of this time.
    assert!(took < Duration::from_secs(3), "{took:?}");
    println!("assessed in {took:?}");
}
