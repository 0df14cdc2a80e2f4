//! Freezes: work that waits for them, work that continues, and the claims that count afterwards (ADR 0051).

use proptest::collection::vec;
use proptest::prelude::*;

use super::harness::{Harness, id, region, server, tagged};
use super::holds::alive;
use super::properties::{Act, acts, apply, check};
use crate::Timestamp;
use crate::entity::notification::NotificationStatus;
use crate::freeze::{Freeze, FreezeScope, FreezeStatus};
use crate::guard::Region;
use crate::host_recovery::{End, HoldKind, MoveStep, Stage};
use crate::nova::{Server, VmState};
use crate::policy::FencingMode;
use crate::power::Power;
use crate::recovery::{Command, Observation, OperatorCommand, ServerCall};
use crate::reporter::Reporter;
use crate::wait::WaitsFor;

fn freeze(scope: FreezeScope, number: i64) -> Freeze {
    Freeze {
        number,
        scope,
        name: "compute-1".into(),
        until: Timestamp::from_micros(3_600_000_000),
        by: "alice".into(),
        reason: "firmware".into(),
        unless_worse: false,
    }
}

impl Harness {
    fn frozen(&mut self, frozen: FreezeStatus) -> &mut Self {
        self.operator_state.frozen = frozen;
        let operator_state = self.operator_state.clone();
        self.see(Observation::OperatorState(operator_state))
    }

    fn freeze_host(&mut self) -> &mut Self {
        self.frozen(FreezeStatus {
            over: vec![freeze(FreezeScope::Host, 1)],
            ..FreezeStatus::NONE
        })
    }

    fn freeze_instance(&mut self, number: u128) -> &mut Self {
        self.frozen(FreezeStatus {
            instances: [(id(number), freeze(FreezeScope::Instance, 1))].into(),
            ..FreezeStatus::NONE
        })
    }

    fn thaw(&mut self) -> &mut Self {
        self.frozen(FreezeStatus {
            thawed: 1,
            ..FreezeStatus::NONE
        })
    }

    fn acts(&self) -> bool {
        self.requests(Command::is_write)
    }

    /// Sends silence and two readings of "off". Returns true if that gave a proof.
    fn found_off(&mut self) -> bool {
        // No heartbeat since before the report. The first answer may belong to a query from before the thaw.
        let age = self.at + 20_000;
        self.heartbeat_age(age).service_now();
        self.power(Power::Off).tick(3_000).power(Power::Off);
        self.state.service.put.is_some()
    }

    /// Sends silence and a reading of "on".
    fn found_on(&mut self) -> &mut Self {
        self.heartbeat_age(90_000).service_now().power(Power::On)
    }
}

/// Returns a scan with two corroborating reporters.
fn doubly_reported() -> Region {
    let mut region = region(1, 10);
    region.hosts[0].reporters = ["one", "two"]
        .map(|user| Reporter {
            user_id: user.into(),
            control: true,
            ..Reporter::default()
        })
        .into();
    region
}

#[test]
fn a_frozen_host_waits_with_its_end_shown_and_is_then_recovered() {
    for mode in [FencingMode::Engine, FencingMode::External] {
        let mut harness = match mode {
            FencingMode::External => Harness::external(),
            _ => Harness::engine(),
        };
        harness.freeze_host().claim();
        for _ in 0..200 {
            assert!(harness.commands.is_empty(), "{mode:?}: {:?}", harness.commands);
            harness.tick(60_000);
        }
        let message = harness.message.clone().unwrap();
        for part in [
            "1970-01-01T01:00:00Z",
            "alice",
            "firmware",
            "tachi thaw host compute-1",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(
            harness.message_count, 1,
            "no running number is written again and again"
        );
        let wait = harness.state.wait().unwrap();
        assert_eq!((wait.what, wait.on.len()), (WaitsFor::Frozen, 1));
        assert_eq!(harness.status, NotificationStatus::Running);
        harness.region_later(region(1, 10)).thaw();
        assert!(
            harness.tick(1_000).found_off(),
            "{mode:?}: {:?}",
            harness.commands
        );
    }
}

/// The host that was never frozen is the control case.
#[test]
fn reports_from_before_the_end_of_a_freeze_power_off_no_running_host() {
    for frozen in [false, true] {
        let mut harness = Harness::engine();
        if frozen {
            harness.freeze_host();
        }
        harness.claim();
        if frozen {
            harness.tick(600_000).thaw();
        }
        harness.region(doubly_reported());
        let mut ordered = false;
        for _ in 0..30 {
            harness
                .tick(5_000)
                .heartbeat_age(1_000)
                .service_now()
                .power(Power::On);
            ordered |= harness.orders_off();
        }
        assert_eq!(ordered, !frozen);
        assert_eq!(harness.state.stage == Stage::Done, frozen);
        if frozen {
            assert_eq!(
                harness.status,
                NotificationStatus::Failed,
                "a later report starts again"
            );
            assert!(
                !harness.contradicted,
                "the report may have been right at the time"
            );
        }
    }
}

#[test]
fn a_host_that_is_down_after_the_freeze_is_powered_off() {
    let mut harness = Harness::engine();
    harness.freeze_host().claim().tick(600_000).thaw();
    harness.region(region(1, 10));
    harness.found_on();
    assert!(harness.orders_off(), "{:?}", harness.commands);
    assert!(harness.record.unless_frozen.own, "the journal checks again");
}

#[test]
fn a_freeze_before_the_first_order_or_change_discards_the_claims() {
    // On hold by a guard, being read, confirmed off, and about to be disabled.
    let on_hold = {
        let mut harness = Harness::engine();
        harness.claim().storm(8, 10);
        assert!(harness.state.hold.is_some());
        harness
    };
    let requested = {
        let mut harness = Harness::engine().begun();
        harness.heartbeat_age(20_000).service().power(Power::Off);
        harness
    };
    let proven = Harness::engine().proven();
    assert!(proven.record.unless_frozen.own);
    for mut harness in [on_hold, requested].into_iter().chain([proven]) {
        let disabling = harness.state.stage == Stage::Disabling;
        // The journal refused the action.
        let refused = harness
            .commands
            .iter()
            .filter(|command| command.is_write())
            .cloned();
        let mut news: Vec<Observation> = refused.map(Observation::NotSent).collect();
        harness.operator_state.frozen.over = vec![freeze(FreezeScope::Host, 1)];
        news.push(Observation::OperatorState(harness.operator_state.clone()));
        harness.see_all(news);
        assert_eq!(harness.state.stage, Stage::Begin);
        assert!(harness.state.proof.is_none() && harness.state.hold.is_none() && !harness.acts());
        assert_eq!(harness.record.host_back, disabling, "it is no lost host any more");
        harness.tick(60_000).power(Power::Off);
        let age = harness.at + 20_000;
        harness.heartbeat_age(age).service();
        assert!(harness.commands.is_empty(), "{:?}", harness.commands);
        harness.region_later(region(1, 10)).thaw().tick(1_000);
        harness.power(Power::Off).tick(3_000);
        assert!(harness.state.proof.is_none(), "Nova was not read since");
        assert!(harness.found_off(), "{:?}", harness.commands);
    }
}

/// The freeze was written while the intent was on its way, so the journal refused the intent.
#[test]
fn an_order_that_the_journal_refuses_has_never_been_given() {
    let mut harness = Harness::engine().begun();
    harness.found_on();
    let order = harness
        .commands
        .iter()
        .find(|command| command.is_write())
        .cloned()
        .unwrap();
    assert!(matches!(order, Command::PowerOff { .. }) && harness.record.unless_frozen.own);
    harness.operator_state.frozen.over = vec![freeze(FreezeScope::Region, 1)];
    let operator_state = harness.operator_state.clone();
    harness.see_all(vec![
        Observation::NotSent(order),
        Observation::OperatorState(operator_state),
    ]);
    assert!(!harness.state.fence.ordered && harness.state.fence.orders.is_empty());
    assert_eq!(harness.state.stage, Stage::Begin);
    for _ in 0..10 {
        harness
            .tick(60_000)
            .power(Power::On)
            .heartbeat_age(90_000)
            .service();
        assert!(!harness.acts(), "{:?}", harness.commands);
    }
    harness.region_later(region(1, 10)).thaw().tick(1_000);
    harness.found_on();
    assert!(harness.orders_off(), "{:?}", harness.commands);
    assert!(
        harness.record.order.is_some(),
        "counted as if it were the first, which it is"
    );
}

/// The first order of an episode that starts during the evacuation, when the host came back.
/// Covers R24.
#[test]
fn a_refused_order_during_the_moves_is_counted_when_it_is_given() {
    let mut harness = alive();
    harness.command(OperatorCommand::Approve).found_on();
    let order = harness
        .commands
        .iter()
        .find(|command| command.is_write())
        .cloned()
        .unwrap();
    assert!(matches!(order, Command::PowerOff { .. }) && harness.record.order.is_some());
    harness.operator_state.frozen.over = vec![freeze(FreezeScope::Host, 1)];
    let operator_state = harness.operator_state.clone();
    harness.see_all(vec![
        Observation::NotSent(order),
        Observation::OperatorState(operator_state),
    ]);
    harness
        .tick(1_000)
        .power(Power::On)
        .heartbeat_age(90_000)
        .service();
    assert!(!harness.orders_off(), "{:?}", harness.commands);
    harness.region_later(region(1, 10)).thaw();
    assert!(
        harness.orders_off(),
        "{:?} {:?}",
        harness.state.hold,
        harness.state.fence
    );
    assert!(harness.record.order.is_some(), "nothing was counted before");
}

#[test]
fn started_work_is_followed_to_its_end_without_power_commands() {
    let mut harness = Harness::engine().begun();
    harness.found_on();
    assert!(harness.orders_off());
    harness.powered_off(Ok(()));
    harness.freeze_host();
    assert_eq!(harness.state.stage, Stage::Fencing);
    for _ in 0..20 {
        harness
            .tick(10_000)
            .heartbeat_age(90_000)
            .service()
            .power(Power::On);
        assert!(!harness.orders_off(), "{:?}", harness.commands);
    }
    // The device failed to power it off and an operator approves; that does not end a freeze.
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Fence)
    );
    harness.command(OperatorCommand::Approve);
    assert!(
        harness
            .record
            .steps
            .iter()
            .any(|step| step.text.contains("tachi thaw host compute-1")),
        "{:?}",
        harness.record.steps
    );
    for _ in 0..20 {
        harness
            .tick(10_000)
            .heartbeat_age(90_000)
            .service()
            .power(Power::On);
        assert!(!harness.orders_off(), "{:?}", harness.commands);
    }
    // It is found off after all: its instances are down and get moved.
    assert!(
        harness.command(OperatorCommand::Approve).found_off(),
        "{:?}",
        harness.commands
    );
    harness.forced_down().inventory(vec![server(1)], Vec::new());
    harness.answer(1, ServerCall::Lock, Ok(()));
    assert!(harness.evacuates(1), "{:?}", harness.commands);
}

#[test]
fn a_host_freeze_holds_no_moves_and_an_instance_that_is_frozen_itself_waits() {
    let mut harness = Harness::engine().planned(vec![tagged(1)]);
    assert!(harness.evacuates(1));
    let mut bed2 = Harness::engine().proven();
    bed2.forced_down()
        .freeze_host()
        .inventory(vec![server(1)], Vec::new());
    assert!(bed2.acts(), "a proven host is emptied: {:?}", bed2.commands);
    // A freeze after the request: the evacuation is followed.
    harness.freeze_instance(1).answer(1, ServerCall::Evacuate, Ok(()));
    assert!(harness.is_asked(1));

    let mut harness = Harness::engine().proven();
    harness.forced_down().freeze_instance(2);
    harness.inventory(vec![server(1), server(2)], Vec::new());
    let locks = |harness: &Harness, number| {
        harness.requests(|command| matches!(command, Command::Lock { server, .. } if *server == id(number)))
    };
    assert!(
        locks(&harness, 1) && !locks(&harness, 2),
        "{:?}",
        harness.commands
    );
    harness.answer(1, ServerCall::Lock, Ok(()));
    assert!(harness.evacuates(1) && !harness.evacuates(2));
    assert!(harness.record.unless_frozen.servers.contains(&id(1)));
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    let deadline = u64::try_from(harness.state.policy.deadline.as_millis()).unwrap();
    for _ in 0..4 {
        harness.at += deadline / 2;
        harness.power(Power::Off).service();
        assert!(
            harness.is_waiting(2),
            "it is not given up meanwhile: {:?}",
            harness.step(2)
        );
    }
    assert_eq!(harness.one(2).waits_for(), WaitsFor::Frozen);
    assert_eq!(harness.state.wait().unwrap().what, WaitsFor::Frozen);
    harness.thaw();
    assert!(locks(&harness, 2), "{:?}", harness.commands);
}

/// Covers R33.
#[test]
fn an_instance_in_error_under_its_owners_lock_is_no_sign_that_a_frozen_recovery_had_begun() {
    let mut harness = Harness::engine().begun();
    harness.freeze_host();
    harness.see(Observation::Rewound).take_over();
    harness.freeze_host().heartbeat_age(100_000).service();
    let suspected = Server {
        vm_state: VmState::Error,
        locked: true,
        locked_reason: Some("mine".into()),
        ..server(1)
    };
    harness.inventory(vec![suspected], vec![]);
    assert!(!harness.state.moves.is_empty(), "it may have been prepared");
    for _ in 0..60 {
        harness.tick(1_000).service();
        harness.found_on().storm(1, 10);
        assert!(!harness.acts(), "{:?}", harness.commands);
    }
    assert_eq!(harness.state.stage, Stage::Begin, "{:?}", harness.message);
}

#[test]
fn an_operator_can_reject_a_frozen_recovery() {
    let mut harness = Harness::engine();
    harness
        .freeze_host()
        .claim()
        .tick(1_000)
        .command(OperatorCommand::Reject);
    assert_eq!(harness.status, NotificationStatus::Failed);
    let mut harness = Harness::engine().proven();
    harness.forced_down().freeze_instance(1);
    harness
        .inventory(vec![server(1)], Vec::new())
        .command(OperatorCommand::Reject);
    assert_eq!(*harness.step(1), MoveStep::Done(End::Person));
}

#[test]
fn an_approval_does_not_end_a_freeze_and_does_not_count_after_it() {
    let mut harness = Harness::engine();
    harness
        .freeze_host()
        .claim()
        .command(OperatorCommand::Approve)
        .tick(1_000);
    assert!(harness.commands.is_empty(), "{:?}", harness.commands);
    harness.command(OperatorCommand::HostIsOff).tick(1_000);
    assert!(harness.commands.is_empty(), "{:?}", harness.commands);
    harness.region_later(region(8, 10)).thaw().tick(1_000);
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Storm)
    );
}

/// No engine saw the freeze; the journal keeps its number.
#[test]
fn a_freeze_that_no_engine_has_seen_counts_too() {
    let mut harness = Harness::engine();
    harness.operator_state.frozen.thawed = 7;
    harness.region_later(doubly_reported()).claim().tick(1_000);
    for _ in 0..30 {
        harness
            .tick(5_000)
            .heartbeat_age(1_000)
            .service_now()
            .power(Power::On);
        assert!(!harness.orders_off());
    }
    assert_eq!(harness.state.stage, Stage::Done);
}

#[test]
fn a_new_owner_waits_for_the_freeze_and_handles_its_end_once() {
    let mut harness = Harness::engine();
    harness.freeze_host().claim().tick(1_000).take_over().tick(1_000);
    assert!(harness.commands.is_empty(), "{:?}", harness.commands);
    harness.region_later(region(1, 10));
    harness.operator_state.frozen = FreezeStatus {
        thawed: 1,
        ..FreezeStatus::NONE
    };
    harness.take_over().tick(1_000);
    harness.found_on();
    assert!(harness.orders_off(), "{:?}", harness.commands);
    // The same thaw, seen again, revokes nothing.
    let operator_state = harness.operator_state.clone();
    harness
        .powered_off(Ok(()))
        .see(Observation::OperatorState(operator_state));
    assert_eq!(harness.state.stage, Stage::Fencing);
    assert!(harness.state.fence.ordered);
}

#[test]
fn an_unless_worse_freeze_ends_when_a_second_host_is_out() {
    let cases = [
        (FreezeScope::Host, true, 1, false),
        (FreezeScope::Host, true, 2, true),
        (FreezeScope::Host, false, 5, false),
        (FreezeScope::Segment, true, 1, false),
        (FreezeScope::Region, true, 2, true),
    ];
    for (scope, unless_worse, out, ends) in cases {
        let mut harness = Harness::engine();
        let freeze = Freeze {
            unless_worse,
            ..freeze(scope, 9)
        };
        harness.frozen(FreezeStatus {
            over: vec![freeze],
            ..FreezeStatus::NONE
        });
        let mut seen_region = region(out, 10);
        // Nova receives no heartbeat from the reported hosts.
        if let Ok(nova) = &mut seen_region.nova {
            for service in nova.services.values_mut().take(out).flatten() {
                service.up = false;
                service.last_heartbeat = Some(Timestamp::from_micros(0));
            }
        }
        harness.region_later(seen_region).claim().tick(10_000).tick(100);
        let numbers: Vec<i64> = harness.record.worse.iter().copied().collect();
        assert_eq!(numbers == [9], ends, "{scope} {unless_worse} {out}: {numbers:?}");
    }
}

/// An act of the other properties, or the start or end of a freeze.
#[derive(Clone, Debug)]
enum Cold {
    Act(Act),
    Freeze(bool),
    Thaw,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn with_any_observation_nothing_starts_during_a_freeze(
        opening in 0_usize..5,
        external in any::<bool>(),
        script in vec(prop_oneof![
            8 => acts().prop_map(Cold::Act),
            1 => any::<bool>().prop_map(Cold::Freeze),
            1 => Just(Cold::Thaw),
        ], 1..60),
    ) {
        let mode = if external { FencingMode::External } else { FencingMode::Engine };
        let mut harness = Harness::with("NORMAL", |policy| policy.fencing = mode);
        harness = match opening {
            0 => { harness.claim(); harness }
            1 => harness.begun(),
            _ if external => harness.begun(),
            2 => harness.proven(),
            _ => harness.planned(vec![server(1), server(2), server(3)]),
        };
        let mut thaws = 0;
        for cold in script {
            let before = harness.state.clone();
            let was_frozen = !harness.operator_state.frozen.over.is_empty();
            match cold {
                Cold::Act(Act::TakeOver) if opening == 0 => continue,
                Cold::Act(act) => apply(&mut harness, act),
                Cold::Freeze(host) => {
                    if host { harness.freeze_host(); } else { harness.freeze_instance(1); }
                    harness.operator_state.frozen.thawed = thaws;
                }
                Cold::Thaw => {
                    thaws += 1;
                    harness.frozen(FreezeStatus { thawed: thaws, ..FreezeStatus::NONE });
                }
            }
            check(&harness, &before);
            let frozen = was_frozen && !harness.operator_state.frozen.over.is_empty();
            let untouched = before.moves.is_empty() && before.service.put.is_none() && !before.fence.ordered;
            if frozen {
                prop_assert!(!harness.orders_off(), "{:?}", harness.commands);
                prop_assert!(!untouched || harness.updates().is_none(), "{:?}", harness.commands);
            }
            if harness.operator_state.frozen.instances.contains_key(&id(1)) {
                prop_assert!(!harness.evacuates(1), "{:?}", harness.commands);
            }
        }
    }
}
