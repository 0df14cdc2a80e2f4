//! Freezes: work that waits for them, work that continues, and the claims that count afterwards (ADR 0051).

use proptest::collection::vec;
use proptest::prelude::*;

use super::bed::{Harness, id, region, server, tagged};
use super::holds::alive;
use super::properties::{Act, acts, apply, check};
use crate::Timestamp;
use crate::entity::notification::NotificationStatus;
use crate::freeze::{Freeze, FreezeScope, FreezeStatus};
use crate::guard::Region;
use crate::host_recovery::{End, HoldKind, MoveStep, Stage};
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
        self.wants(Command::is_write)
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
        let mut bed = match mode {
            FencingMode::External => Harness::external(),
            _ => Harness::engine(),
        };
        bed.freeze_host().claim();
        for _ in 0..200 {
            assert!(bed.commands.is_empty(), "{mode:?}: {:?}", bed.commands);
            bed.tick(60_000);
        }
        let message = bed.message.clone().unwrap();
        for part in [
            "1970-01-01T01:00:00Z",
            "alice",
            "firmware",
            "tachi thaw host compute-1",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(bed.said, 1, "no running number is written again and again");
        let wait = bed.state.wait().unwrap();
        assert_eq!((wait.what, wait.on.len()), (WaitsFor::Frozen, 1));
        assert_eq!(bed.status, NotificationStatus::Running);
        bed.around_later(region(1, 10)).thaw();
        assert!(bed.tick(1_000).found_off(), "{mode:?}: {:?}", bed.commands);
    }
}

/// The host that was never frozen is the control case.
#[test]
fn reports_from_before_the_end_of_a_freeze_power_off_no_running_host() {
    for frozen in [false, true] {
        let mut bed = Harness::engine();
        if frozen {
            bed.freeze_host();
        }
        bed.claim();
        if frozen {
            bed.tick(600_000).thaw();
        }
        bed.around(doubly_reported());
        let mut ordered = false;
        for _ in 0..30 {
            bed.tick(5_000)
                .heartbeat_age(1_000)
                .service_now()
                .power(Power::On);
            ordered |= bed.orders_off();
        }
        assert_eq!(ordered, !frozen);
        assert_eq!(bed.state.stage == Stage::Over, frozen);
        if frozen {
            assert_eq!(
                bed.status,
                NotificationStatus::Failed,
                "a later report starts again"
            );
            assert!(!bed.contradicted, "the report may have been right at the time");
        }
    }
}

#[test]
fn a_host_that_is_down_after_the_freeze_is_powered_off() {
    let mut bed = Harness::engine();
    bed.freeze_host().claim().tick(600_000).thaw();
    bed.around(region(1, 10));
    bed.found_on();
    assert!(bed.orders_off(), "{:?}", bed.commands);
    assert!(bed.record.unless_frozen.own, "the journal checks again");
}

#[test]
fn a_freeze_before_the_first_order_or_change_discards_the_claims() {
    // On hold by a guard, being read, confirmed off, and about to be disabled.
    let held = {
        let mut bed = Harness::engine();
        bed.claim().storm(8, 10);
        assert!(bed.state.hold.is_some());
        bed
    };
    let asked = {
        let mut bed = Harness::engine().begun();
        bed.heartbeat_age(20_000).service().power(Power::Off);
        bed
    };
    let proven = Harness::engine().proven();
    assert!(proven.record.unless_frozen.own);
    for mut bed in [held, asked].into_iter().chain([proven]) {
        let disabling = bed.state.stage == Stage::Disabling;
        // The journal refused the action.
        let refused = bed.commands.iter().filter(|one| one.is_write()).cloned();
        let mut news: Vec<Observation> = refused.map(Observation::NotSent).collect();
        bed.operator_state.frozen.over = vec![freeze(FreezeScope::Host, 1)];
        news.push(Observation::OperatorState(bed.operator_state.clone()));
        bed.see_all(news);
        assert_eq!(bed.state.stage, Stage::Begin);
        assert!(bed.state.proof.is_none() && bed.state.hold.is_none() && !bed.acts());
        assert_eq!(bed.record.host_back, disabling, "it is no lost host any more");
        bed.tick(60_000).power(Power::Off);
        let age = bed.at + 20_000;
        bed.heartbeat_age(age).service();
        assert!(bed.commands.is_empty(), "{:?}", bed.commands);
        bed.around_later(region(1, 10)).thaw().tick(1_000);
        bed.power(Power::Off).tick(3_000);
        assert!(bed.state.proof.is_none(), "Nova was not read since");
        assert!(bed.found_off(), "{:?}", bed.commands);
    }
}

/// The freeze was written while the intent was on its way, so the journal refused the intent.
#[test]
fn an_order_that_the_journal_refuses_has_never_been_given() {
    let mut bed = Harness::engine().begun();
    bed.found_on();
    let order = bed.commands.iter().find(|one| one.is_write()).cloned().unwrap();
    assert!(matches!(order, Command::PowerOff { .. }) && bed.record.unless_frozen.own);
    bed.operator_state.frozen.over = vec![freeze(FreezeScope::Region, 1)];
    let operator_state = bed.operator_state.clone();
    bed.see_all(vec![
        Observation::NotSent(order),
        Observation::OperatorState(operator_state),
    ]);
    assert!(!bed.state.fence.ordered && bed.state.fence.orders.is_empty());
    assert_eq!(bed.state.stage, Stage::Begin);
    for _ in 0..10 {
        bed.tick(60_000).power(Power::On).heartbeat_age(90_000).service();
        assert!(!bed.acts(), "{:?}", bed.commands);
    }
    bed.around_later(region(1, 10)).thaw().tick(1_000);
    bed.found_on();
    assert!(bed.orders_off(), "{:?}", bed.commands);
    assert!(
        bed.record.order.is_some(),
        "counted as if it were the first, which it is"
    );
}

/// The first order of an episode that starts during the evacuation, when the host came back.
/// Covers R24.
#[test]
fn a_refused_order_during_the_moves_is_counted_when_it_is_given() {
    let mut bed = alive();
    bed.command(OperatorCommand::Approve).found_on();
    let order = bed.commands.iter().find(|one| one.is_write()).cloned().unwrap();
    assert!(matches!(order, Command::PowerOff { .. }) && bed.record.order.is_some());
    bed.operator_state.frozen.over = vec![freeze(FreezeScope::Host, 1)];
    let operator_state = bed.operator_state.clone();
    bed.see_all(vec![
        Observation::NotSent(order),
        Observation::OperatorState(operator_state),
    ]);
    bed.tick(1_000).power(Power::On).heartbeat_age(90_000).service();
    assert!(!bed.orders_off(), "{:?}", bed.commands);
    bed.around_later(region(1, 10)).thaw();
    assert!(bed.orders_off(), "{:?} {:?}", bed.state.hold, bed.state.fence);
    assert!(bed.record.order.is_some(), "nothing was counted before");
}

#[test]
fn started_work_is_followed_to_its_end_without_power_commands() {
    let mut bed = Harness::engine().begun();
    bed.found_on();
    assert!(bed.orders_off());
    bed.powered_off(Ok(()));
    bed.freeze_host();
    assert_eq!(bed.state.stage, Stage::Fencing);
    for _ in 0..20 {
        bed.tick(10_000).heartbeat_age(90_000).service().power(Power::On);
        assert!(!bed.orders_off(), "{:?}", bed.commands);
    }
    // The device failed to power it off and an operator approves; that does not end a freeze.
    assert_eq!(
        bed.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Fence)
    );
    bed.command(OperatorCommand::Approve);
    assert!(
        bed.record
            .steps
            .iter()
            .any(|step| step.text.contains("tachi thaw host compute-1")),
        "{:?}",
        bed.record.steps
    );
    for _ in 0..20 {
        bed.tick(10_000).heartbeat_age(90_000).service().power(Power::On);
        assert!(!bed.orders_off(), "{:?}", bed.commands);
    }
    // It is found off after all: its instances are down and get moved.
    assert!(
        bed.command(OperatorCommand::Approve).found_off(),
        "{:?}",
        bed.commands
    );
    bed.forced_down().inventory(vec![server(1)], Vec::new());
    bed.answer(1, ServerCall::Lock, Ok(()));
    assert!(bed.evacuates(1), "{:?}", bed.commands);
}

#[test]
fn a_host_freeze_holds_no_moves_and_an_instance_that_is_frozen_itself_waits() {
    let mut bed = Harness::engine().planned(vec![tagged(1)]);
    assert!(bed.evacuates(1));
    let mut bed2 = Harness::engine().proven();
    bed2.forced_down()
        .freeze_host()
        .inventory(vec![server(1)], Vec::new());
    assert!(bed2.acts(), "a proven host is emptied: {:?}", bed2.commands);
    // A freeze after the request: the evacuation is followed.
    bed.freeze_instance(1).answer(1, ServerCall::Evacuate, Ok(()));
    assert!(bed.is_asked(1));

    let mut bed = Harness::engine().proven();
    bed.forced_down().freeze_instance(2);
    bed.inventory(vec![server(1), server(2)], Vec::new());
    let locks = |bed: &Harness, number| {
        bed.wants(|one| matches!(one, Command::Lock { server, .. } if *server == id(number)))
    };
    assert!(locks(&bed, 1) && !locks(&bed, 2), "{:?}", bed.commands);
    bed.answer(1, ServerCall::Lock, Ok(()));
    assert!(bed.evacuates(1) && !bed.evacuates(2));
    assert!(bed.record.unless_frozen.servers.contains(&id(1)));
    bed.answer(1, ServerCall::Evacuate, Ok(()));
    let deadline = u64::try_from(bed.state.policy.deadline.as_millis()).unwrap();
    for _ in 0..4 {
        bed.at += deadline / 2;
        bed.power(Power::Off).service();
        assert!(
            bed.is_waiting(2),
            "it is not given up meanwhile: {:?}",
            bed.step(2)
        );
    }
    assert_eq!(bed.one(2).waits_for(), WaitsFor::Frozen);
    assert_eq!(bed.state.wait().unwrap().what, WaitsFor::Frozen);
    bed.thaw();
    assert!(locks(&bed, 2), "{:?}", bed.commands);
}

#[test]
fn an_operator_can_reject_a_frozen_recovery() {
    let mut bed = Harness::engine();
    bed.freeze_host()
        .claim()
        .tick(1_000)
        .command(OperatorCommand::Reject);
    assert_eq!(bed.status, NotificationStatus::Failed);
    let mut bed = Harness::engine().proven();
    bed.forced_down().freeze_instance(1);
    bed.inventory(vec![server(1)], Vec::new())
        .command(OperatorCommand::Reject);
    assert_eq!(*bed.step(1), MoveStep::Over(End::Person));
}

#[test]
fn an_approval_does_not_end_a_freeze_and_does_not_count_after_it() {
    let mut bed = Harness::engine();
    bed.freeze_host()
        .claim()
        .command(OperatorCommand::Approve)
        .tick(1_000);
    assert!(bed.commands.is_empty(), "{:?}", bed.commands);
    bed.command(OperatorCommand::HostIsOff).tick(1_000);
    assert!(bed.commands.is_empty(), "{:?}", bed.commands);
    bed.around_later(region(8, 10)).thaw().tick(1_000);
    assert_eq!(
        bed.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Storm)
    );
}

/// No engine saw the freeze; the journal keeps its number.
#[test]
fn a_freeze_that_no_engine_has_seen_counts_too() {
    let mut bed = Harness::engine();
    bed.operator_state.frozen.thawed = 7;
    bed.around_later(doubly_reported()).claim().tick(1_000);
    for _ in 0..30 {
        bed.tick(5_000)
            .heartbeat_age(1_000)
            .service_now()
            .power(Power::On);
        assert!(!bed.orders_off());
    }
    assert_eq!(bed.state.stage, Stage::Over);
}

#[test]
fn a_new_owner_waits_for_the_freeze_and_handles_its_end_once() {
    let mut bed = Harness::engine();
    bed.freeze_host().claim().tick(1_000).take_over().tick(1_000);
    assert!(bed.commands.is_empty(), "{:?}", bed.commands);
    bed.around_later(region(1, 10));
    bed.operator_state.frozen = FreezeStatus {
        thawed: 1,
        ..FreezeStatus::NONE
    };
    bed.take_over().tick(1_000);
    bed.found_on();
    assert!(bed.orders_off(), "{:?}", bed.commands);
    // The same thaw, seen again, revokes nothing.
    let operator_state = bed.operator_state.clone();
    bed.powered_off(Ok(()))
        .see(Observation::OperatorState(operator_state));
    assert_eq!(bed.state.stage, Stage::Fencing);
    assert!(bed.state.fence.ordered);
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
        let mut bed = Harness::engine();
        let one = Freeze {
            unless_worse,
            ..freeze(scope, 9)
        };
        bed.frozen(FreezeStatus {
            over: vec![one],
            ..FreezeStatus::NONE
        });
        let mut around = region(out, 10);
        // Nova receives no heartbeat from the reported hosts.
        if let Ok(nova) = &mut around.nova {
            for service in nova.services.values_mut().take(out).flatten() {
                service.up = false;
                service.last_heartbeat = Some(Timestamp::from_micros(0));
            }
        }
        bed.around_later(around).claim().tick(10_000).tick(100);
        let numbers: Vec<i64> = bed.record.worse.iter().copied().collect();
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
        let mut bed = Harness::with("NORMAL", |policy| policy.fencing = mode);
        bed = match opening {
            0 => { bed.claim(); bed }
            1 => bed.begun(),
            _ if external => bed.begun(),
            2 => bed.proven(),
            _ => bed.planned(vec![server(1), server(2), server(3)]),
        };
        let mut thaws = 0;
        for cold in script {
            let before = bed.state.clone();
            let was_frozen = !bed.operator_state.frozen.over.is_empty();
            match cold {
                Cold::Act(Act::TakeOver) if opening == 0 => continue,
                Cold::Act(act) => apply(&mut bed, act),
                Cold::Freeze(host) => {
                    if host { bed.freeze_host(); } else { bed.freeze_instance(1); }
                    bed.operator_state.frozen.thawed = thaws;
                }
                Cold::Thaw => {
                    thaws += 1;
                    bed.frozen(FreezeStatus { thawed: thaws, ..FreezeStatus::NONE });
                }
            }
            check(&bed, &before);
            let frozen = was_frozen && !bed.operator_state.frozen.over.is_empty();
            let untouched = before.moves.is_empty() && before.service.put.is_none() && !before.fence.ordered;
            if frozen {
                prop_assert!(!bed.orders_off(), "{:?}", bed.commands);
                prop_assert!(!untouched || bed.updates().is_none(), "{:?}", bed.commands);
            }
            if bed.operator_state.frozen.instances.contains_key(&id(1)) {
                prop_assert!(!bed.evacuates(1), "{:?}", bed.commands);
            }
        }
    }
}
