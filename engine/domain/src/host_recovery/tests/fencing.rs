//! Fencing up to the proof, and `forced_down`.

use super::harness::{Harness, fault, server, timeout, unavailable};
use crate::entity::host::MaintenanceReason;
use crate::entity::notification::NotificationStatus;
use crate::entity::segment::RecoveryMethod;
use crate::fault::FaultClass;
use crate::host_recovery::{HoldKind, Stage};
use crate::power::Power;
use crate::recovery::{Life, Observation, OperatorCommand, ServiceUpdate};

fn reads_power(harness: &Harness) -> bool {
    harness.reads_power()
}

#[test]
fn gates_end_a_recovery_before_anything_is_touched() {
    use NotificationStatus::{Finished, Ignored};
    let cases = [
        ("started", "event", "STARTED", true, false, Finished),
        ("another event", "event", "SOMETHING", true, false, Ignored),
        (
            "segment disabled (EW7)",
            "event",
            "STOPPED",
            false,
            false,
            Ignored,
        ),
        ("operator's maintenance", "event", "STOPPED", true, true, Ignored),
    ];
    for (name, _, event, enabled, maintenance, expected) in cases {
        let mut harness = Harness::engine();
        harness.state.event = event.into();
        harness.operator_state(enabled, maintenance);
        assert_eq!(harness.status, expected, "{name}");
        assert_eq!(harness.record.life, Some(Life::Closed), "{name}");
        assert!(harness.commands.is_empty(), "{name}");
        assert!(harness.message.is_some(), "{name}");
    }
}

/// Covers R15.
#[test]
fn external_fencing_needs_normal_and_engine_fencing_does_not() {
    use crate::policy::FencingMode::{Engine, External};
    let cases = [
        ("NORMAL", External, false),
        ("UNKNOWN", External, true),
        ("", External, true),
        ("NORMAL", Engine, false),
        ("UNKNOWN", Engine, false),
        ("", Engine, false),
    ];
    for (reported, mode, ignored) in cases {
        let mut harness = Harness::with(reported, |policy| policy.fencing = mode);
        harness.claim();
        let name = format!("{reported:?} {mode:?}");
        assert_eq!(harness.status == NotificationStatus::Ignored, ignored, "{name}");
        assert_eq!(harness.message.is_some(), ignored, "the reason is shown: {name}");
    }
}

/// Covers EW24, R24.
#[test]
fn a_storm_above_the_fraction_is_held_and_one_host_is_not() {
    let cases = [
        ("one of one", 1, 1, false),
        ("one of two", 1, 2, false),
        ("two of ten", 2, 10, false),
        ("three of ten", 3, 10, true),
        ("two of three", 2, 3, true),
    ];
    for (name, out, of, on_hold) in cases {
        let mut harness = Harness::engine();
        harness.claim().storm(out, of);
        assert_eq!(harness.state.hold.is_some(), on_hold, "{name}");
        assert_eq!(reads_power(&harness), !on_hold, "{name}");
    }
}

#[test]
fn an_approved_storm_continues_and_a_rejected_one_ends_as_failed() {
    let mut harness = Harness::engine();
    harness
        .claim()
        .storm(5, 5)
        .command(OperatorCommand::Approve)
        .tick(0);
    assert_eq!(harness.state.stage, Stage::Fencing);
    assert!(reads_power(&harness));
    let mut harness = Harness::engine();
    harness.claim().storm(5, 5).command(OperatorCommand::Reject);
    assert_eq!(harness.status, NotificationStatus::Failed);
    let message = harness.message.as_deref().unwrap();
    assert!(message.contains("aborted by ada"));
    // Without a scan the number of failed hosts is unknown.
    assert!(
        message.contains("nothing was moved; if ")
            && message.contains("(tachi instance list --host compute-1)")
            && !message.contains("0 need an operator"),
        "{message}"
    );
    assert_eq!(harness.record.life, Some(Life::Closed));
}

#[test]
fn an_operator_action_applies_once() {
    let mut harness = Harness::engine();
    harness
        .claim()
        .storm(5, 5)
        .command(OperatorCommand::Approve)
        .tick(0);
    harness.heartbeat_age(20_000).service().power(Power::On);
    harness.powered_off(Err(fault(Some(403), FaultClass::Permanent, false)));
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Fence);
    harness.operator_state(true, false);
    assert!(
        harness.state.hold.is_some(),
        "the old approval covers nothing new"
    );
    harness.command(OperatorCommand::Approve);
    assert!(harness.state.hold.is_none());
}

#[test]
fn a_proof_needs_two_readings_of_off_in_a_row_and_apart() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service();
    harness.power(Power::Off);
    assert!(harness.state.proof.is_none());
    harness.tick(2_999);
    assert!(!reads_power(&harness), "no second read before the gap has passed");
    harness.tick(1).power(Power::On);
    assert!(harness.state.proof.is_none());
    harness.tick(3_000).power(Power::Off);
    assert!(harness.state.proof.is_none(), "the first of a new pair");
    harness.tick(3_000).power(Power::Off);
    assert!(harness.state.proof.is_some());
    assert_eq!(harness.record.host, Some(MaintenanceReason::Recovery));
    assert_eq!(harness.record.proofs.len(), 1);
}

#[test]
fn a_failed_or_unclear_reading_breaks_the_pair() {
    for (name, unclear) in [("fails", false), ("is unknown", true)] {
        let mut harness = Harness::engine().begun();
        harness.heartbeat_age(1_000).service();
        harness.power(Power::Off).tick(3_000);
        if unclear {
            harness.power(Power::Unknown);
        } else {
            harness.power_fails(unavailable());
        }
        harness.tick(6_000).power(Power::Off);
        assert!(harness.state.proof.is_none(), "reading {name}");
    }
}

#[test]
fn no_host_is_powered_off_while_it_is_up_in_nova() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(5_000).service().power(Power::On);
    assert!(!harness.orders_off());
    harness.tick(4_000);
    assert!(harness.message.as_deref().unwrap().contains("Nova shows it up"));
    harness.heartbeat_age(16_000).service();
    assert!(harness.orders_off(), "a stale heartbeat is the second witness");
    assert!(harness.record.head, "journalled before it is sent");
}

#[test]
fn a_contradicted_report_is_given_up_without_any_action() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(1_000).service().power(Power::On);
    let mut orders = 0;
    for _ in 0..130 {
        harness.tick(1_000).heartbeat_age(1_000).service();
        orders += usize::from(harness.orders_off());
        if harness.state.stage == Stage::Done {
            break;
        }
    }
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert_eq!(orders, 0);
    assert!(
        harness.message_count <= 3,
        "messages do not flap: {}",
        harness.message_count
    );
}

/// Covers T4.
#[test]
fn a_report_is_contradicted_by_uninterrupted_heartbeats_in_nova() {
    for (name, missed, counted) in [("heard", false, true), ("missed and back", true, false)] {
        let mut harness = Harness::engine().begun();
        harness
            .heartbeat_age(if missed { 60_000 } else { 1_000 })
            .service();
        harness.heartbeat_age(1_000).service().power(Power::On);
        for _ in 0..200 {
            if harness.status == NotificationStatus::Failed {
                break;
            }
            harness.tick(1_000).heartbeat_age(1_000).service();
        }
        assert_eq!(harness.status, NotificationStatus::Failed, "{name}");
        assert_eq!(harness.contradicted, counted, "{name}");
    }
}

/// Covers R5.
#[test]
fn an_order_without_an_answer_is_not_repeated_before_d_and_q_have_passed() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    assert!(harness.orders_off());
    harness.powered_off(Err(timeout()));
    for _ in 0..15 {
        harness.tick(5_000);
        assert!(!harness.orders_off(), "at {}", harness.at);
        harness.power(Power::On);
        assert!(!harness.orders_off(), "at {}", harness.at);
    }
    harness.tick(5_000);
    assert!(!harness.orders_off(), "its heartbeat was not read since");
    harness.heartbeat_age(100_000).service_now();
    assert!(harness.orders_off(), "D + Q have passed");
}

#[test]
fn a_reading_requested_before_the_order_does_not_show_its_effect() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    assert!(harness.orders_off());
    harness.powered_off(Ok(()));
    harness.at += 4_000;
    harness.power_at(0, Power::On).power(Power::Off);
    harness.at += 3_000;
    harness.power(Power::Off);
    assert!(harness.state.proof.is_some());
}

#[test]
fn a_device_that_ignores_an_accepted_order_leads_to_a_hold() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    harness.powered_off(Ok(()));
    for _ in 0..31 {
        harness.tick(5_000).power(Power::On);
    }
    let hold = harness.state.hold.clone().unwrap();
    assert_eq!(hold.kind, HoldKind::Fence);
    assert_eq!(
        harness.status,
        NotificationStatus::Running,
        "R20: held is running"
    );
    assert!(harness.message.as_deref().unwrap().starts_with("on hold: "));
    harness.command(OperatorCommand::Approve);
    for _ in 0..10 {
        harness.tick(2_000).service().power(Power::Off);
    }
    assert!(
        harness.state.proof.is_some(),
        "approve tries again: {:?}",
        harness.message
    );
}

#[test]
fn each_answer_to_the_order_is_handled() {
    let cases = [
        (
            "refused for good",
            fault(Some(403), FaultClass::Permanent, false),
            true,
            false,
        ),
        (
            "wrong credentials",
            fault(Some(401), FaultClass::Fatal, false),
            true,
            false,
        ),
        (
            "busy",
            fault(Some(503), FaultClass::Transient, false),
            false,
            true,
        ),
        ("no answer", timeout(), false, false),
    ];
    for (name, answer, on_hold, again) in cases {
        let mut harness = Harness::engine().begun();
        harness.heartbeat_age(20_000).service().power(Power::On);
        harness.powered_off(Err(answer));
        harness.tick(6_000);
        assert_eq!(harness.state.hold.is_some(), on_hold, "{name}");
        assert_eq!(harness.orders_off(), again, "{name}");
    }
}

#[test]
fn a_device_that_cannot_be_read_leads_to_a_hold_and_never_counts_as_off() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(60_000).service();
    harness.power_fails(unavailable());
    for _ in 0..200 {
        harness.tick(1_000);
        if reads_power(&harness) {
            harness.power_fails(fault(Some(503), FaultClass::Transient, false));
        }
    }
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Fence);
    assert!(harness.state.proof.is_none());
}

/// Covers R15.
#[test]
fn an_off_claim_counts_once_the_host_is_down_in_nova() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(14_000).service();
    assert!(
        harness.state.proof.is_none(),
        "R16: a heartbeat of 14 s is not stale"
    );
    harness.tick(1_000).heartbeat_age(16_000).service();
    assert!(harness.state.proof.is_some());
    assert!(
        !harness.orders_off(),
        "R18: a notification powers nothing off in mode external"
    );
    assert!(!reads_power(&harness));
}

/// Covers R16.
#[test]
fn forced_down_hides_up_and_not_the_heartbeat() {
    let mut harness = Harness::external().begun();
    harness.service.forced_down = true;
    harness.service.up = false;
    harness.heartbeat_age(5_000).service();
    assert!(
        harness.state.proof.is_none(),
        "down because forced, with a recent heartbeat"
    );
    harness.service.forced_down = false;
    harness.tick(1_000).service();
    assert!(
        harness.state.proof.is_none(),
        "Nova itself shows it down, and its heartbeat has not stood still for long"
    );
    harness.tick(10_000).service_now();
    assert!(harness.state.proof.is_some());
}

/// Covers R23.
#[test]
fn a_foreign_disable_stays() {
    let cases = [
        ("enabled", true, None, false),
        ("disabled for a reason of its own", false, Some("disk"), true),
        ("disabled without a reason", false, None, true),
        (
            "disabled by an earlier recovery",
            false,
            Some("x [tachi 0]"),
            false,
        ),
    ];
    for (name, enabled, reason, foreign) in cases {
        let mut harness = Harness::engine();
        harness.service.enabled = enabled;
        harness.service.disabled_reason = reason.map(Into::into);
        let harness = harness.proven();
        match harness.updates().unwrap() {
            ServiceUpdate::ForceDown => assert!(foreign, "{name}"),
            ServiceUpdate::DisableAndForceDown { reason } => {
                assert!(!foreign, "{name}");
                assert!(reason.contains("tachi 0000"), "marked as ours: {reason}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Covers R17.
#[test]
fn forced_down_is_not_set_on_an_old_reading() {
    let mut harness = Harness::engine().proven();
    assert!(harness.updates().is_some());
    harness.see(Observation::ServiceUpdated(Err(timeout())));
    harness.tick(31_000);
    assert!(harness.updates().is_none(), "the reading is older than 30 s");
    assert!(reads_power(&harness));
    harness.power(Power::Off);
    assert!(harness.updates().is_some());
}

#[test]
fn a_failed_forced_down_is_repeated_and_shown() {
    let cases = [
        ("busy", unavailable(), 3_000),
        ("no answer", timeout(), 3_000),
        ("refused", fault(Some(400), FaultClass::Permanent, false), 31_000),
    ];
    for (name, answer, wait) in cases {
        let mut harness = Harness::engine().proven();
        harness.see(Observation::ServiceUpdated(Err(answer)));
        assert!(harness.updates().is_none(), "{name}");
        harness.tick(wait);
        let mut again = harness.updates().is_some();
        // After a permanent refusal the service is read before a retry.
        harness.service();
        again |= harness.updates().is_some();
        harness.power(Power::Off);
        again |= harness.updates().is_some();
        assert!(again, "{name}");
        assert!(
            harness
                .message
                .as_deref()
                .unwrap()
                .contains("cannot be forced down"),
            "{name}"
        );
    }
}

#[test]
fn a_claim_is_bound_to_the_heartbeat_from_the_start() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(16_000).service();
    assert!(harness.updates().is_some());
    harness.see(Observation::ServiceUpdated(Err(unavailable())));
    // The recovery was on hold for an hour; the host returned and failed again.
    harness.operator_state(true, true);
    harness.at += 3_600_000;
    harness.heartbeat_age(20_000);
    harness.operator_state(true, false).service();
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
    assert!(harness.state.proof.is_none());
}

#[test]
fn a_delayed_claim_is_renewed_while_no_heartbeat_comes() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(16_000).service();
    harness.see(Observation::ServiceUpdated(Err(unavailable())));
    harness.operator_state(true, true);
    harness.at += 3_600_000;
    harness.operator_state(true, false);
    assert!(harness.updates().is_none(), "one hour old");
    harness.service();
    assert!(harness.updates().is_some());
}

#[test]
fn a_host_unknown_to_nova_counts_after_three_answers() {
    let mut harness = Harness::engine().begun();
    for answers in 1..=3 {
        assert_eq!(harness.state.stage, Stage::Fencing, "after {}", answers - 1);
        harness.see(Observation::Service(Ok(None))).tick(5_000);
    }
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert!(harness.message.as_deref().unwrap().contains("service host name"));
}

#[test]
fn a_segment_disabled_before_the_order_ends_it_and_after_the_order_it_waits() {
    let mut harness = Harness::engine().begun();
    harness.operator_state(false, false);
    assert_eq!(harness.status, NotificationStatus::Ignored);

    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    assert!(harness.orders_off());
    harness.operator_state(false, false).powered_off(Ok(()));
    harness.tick(5_000);
    assert_eq!(
        harness.status,
        NotificationStatus::Running,
        "the host is off by our order"
    );
    assert!(harness.message.as_deref().unwrap().contains("disabled"));
    harness
        .operator_state(true, false)
        .power(Power::Off)
        .tick(3_000)
        .power(Power::Off);
    assert!(harness.state.proof.is_some(), "it continues once permitted");
}

#[test]
fn an_unsent_order_is_repeated() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    let order = harness
        .commands
        .iter()
        .find(|command| command.is_write())
        .cloned()
        .unwrap();
    harness.see(Observation::NotSent(order));
    assert!(harness.orders_off());
}

#[test]
fn a_short_blocker_is_not_written() {
    let mut harness = Harness::engine().begun();
    for round in 0..20 {
        harness.see(Observation::Service(Err(fault(
            Some(503),
            FaultClass::Transient,
            true,
        ))));
        harness.tick(1_000).service().tick(1_000);
        assert_eq!(harness.message_count, 0, "round {round}");
    }
    let mut harness = Harness::engine().begun();
    for round in 0..20_u16 {
        let mut other = unavailable();
        other.text = format!("req-{round}");
        harness.see(Observation::Service(Err(other))).tick(2_000);
    }
    assert_eq!(
        harness.message_count, 1,
        "a persistent one is reported once, whatever the request ID"
    );
}

#[test]
fn a_host_without_instances_ends_as_finished() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![], vec![]);
    assert_eq!(harness.status, NotificationStatus::Finished);
    assert_eq!(harness.record.life, Some(Life::Watching));
    let mut again = Harness::engine().planned(vec![server(1)]);
    again.tick(1);
    assert_eq!(again.status, NotificationStatus::Running);
}

#[test]
fn a_rejection_after_a_power_off_warns_that_the_host_may_be_off() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service();
    harness.power(Power::On);
    assert_eq!(harness.ordered_devices(), ["bmc"]);
    harness.powered_off(Ok(())).command(OperatorCommand::Reject);
    harness.tick(1);
    assert_eq!(harness.status, NotificationStatus::Failed);
    let message = harness.message.clone().unwrap();
    assert!(message.contains("was ordered off"), "{message}");
    let mut before = Harness::engine().begun();
    before.command(OperatorCommand::Reject).tick(1);
    let message = before.message.clone().unwrap();
    assert!(
        message.starts_with("aborted by") && !message.contains("ordered off"),
        "{message}"
    );
}

#[test]
fn a_method_other_than_auto_is_recorded() {
    for (method, text) in [
        (RecoveryMethod::Auto, false),
        (RecoveryMethod::ReservedHost, true),
    ] {
        let mut harness = Harness::engine();
        harness.state.method = method;
        let harness = harness.begun();
        let recorded = harness
            .record
            .steps
            .iter()
            .any(|step| step.text.contains("recovery method is"));
        assert_eq!(recorded, text, "{method}");
    }
}

/// Covers R17.
#[test]
fn each_move_records_the_proof_of_its_request() {
    let mut harness = Harness::engine().planned(vec![server(1), server(2)]);
    harness.tick(10);
    let named: Vec<_> = harness
        .state
        .moves
        .values()
        .map(|instance| instance.proof)
        .collect();
    assert_eq!((harness.state.proofs, named), (1, vec![Some(1), Some(1)]));
}
