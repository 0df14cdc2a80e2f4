//! Failures, refusals, silence and slowness of Nova, of various lengths.

use super::harness::{Harness, evacuation, fault, id, server, timeout, unavailable};
use crate::entity::notification::NotificationStatus;
use crate::fault::{Fault, FaultClass};
use crate::host_recovery::{End, MoveStep, Stage};
use crate::nova::{Migration, Server};
use crate::power::Power;
use crate::recovery::{Command, Life, Observation, ServerCall, ServiceUpdate};

fn rebuilding(number: u128) -> Server {
    Server {
        task_state: Some("rebuilding".into()),
        ..server(number)
    }
}

/// Passes ten seconds, answering reads of the service, the device and the lists. Returns true if instance 1 was
/// evacuated.
fn round(harness: &mut Harness, servers: Vec<Server>, records: Vec<Migration>) -> bool {
    harness.tick(10_000);
    let mut requested = harness.evacuates(1);
    harness.service();
    requested |= harness.evacuates(1);
    harness.power(Power::Off);
    requested |= harness.evacuates(1);
    harness.lists(servers, records);
    requested | harness.evacuates(1)
}

/// Refuses every evacuation with `refusal` for `millis`; everything else is answered normally. Returns the
/// number of evacuation requests.
fn refused_for(harness: &mut Harness, millis: u64, refusal: &Fault) -> u32 {
    let until = harness.at + millis;
    let mut requested = 0;
    while harness.at < until && harness.state.stage == Stage::Moving {
        let mut now = round(harness, vec![server(1)], vec![]);
        if harness.state.in_flight.move_track.servers.contains(&id(1)) {
            harness.reads(1, Some(server(1)));
            now |= harness.evacuates(1);
        }
        if now {
            requested += 1;
            harness.answer(1, ServerCall::Evacuate, Err(refusal.clone()));
        }
    }
    requested
}

/// Covers EW2.
#[test]
fn a_transient_fault_never_makes_an_unfinished_move_a_success() {
    let faults = [
        unavailable(),
        timeout(),
        fault(Some(401), FaultClass::Fatal, false),
    ];
    for broken in faults {
        let mut harness = Harness::engine().requested();
        for _ in 0..20 {
            harness.see(Observation::Lists(Err(broken.clone())));
            harness.see(Observation::Server {
                server: id(1),
                result: Err(broken.clone()),
            });
            harness.see(Observation::Inventory(Err(broken.clone())));
            harness.tick(30_000);
            assert_eq!(harness.status, NotificationStatus::Running, "{broken}");
            assert!(harness.is_asked(1), "{broken}");
        }
        harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
        harness.over(vec![]);
        assert_eq!(harness.status, NotificationStatus::Finished, "{broken}");
    }
}

/// Covers EW2.
#[test]
fn a_move_that_fails_every_time_ends_as_failed() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    let mut records = Vec::new();
    for record in 1..=3 {
        records.push(evacuation(record, 1, "failed", None));
        let again = round(&mut harness, vec![server(1)], records.clone())
            | round(&mut harness, vec![server(1)], records.clone());
        assert_eq!(again, record < 3, "{record}");
        if again {
            harness.answer(1, ServerCall::Evacuate, Ok(()));
        }
    }
    assert!(
        matches!(harness.step(1), MoveStep::Unlocking { end: End::Person, .. }),
        "{:?}",
        harness.step(1)
    );
    harness.over(vec![server(1)]);
    assert_eq!(harness.status, NotificationStatus::Failed);
}

/// Covers EW4.
#[test]
fn a_rebuild_that_makes_progress_is_not_called_slow() {
    let mut harness = Harness::engine().requested();
    let stages = ["rebuilding", "rebuild_block_device_mapping", "rebuild_spawning"];
    for round in 0..90 {
        let task = stages[round / 30];
        let server = Server {
            task_state: Some(task.into()),
            ..server(1)
        };
        harness
            .tick(10_000)
            .lists(vec![server], vec![evacuation(1, 1, "pre-migrating", Some("b"))]);
        assert!(!harness.evacuates_any(), "{round}");
    }
    harness.tick(4_000);
    assert_eq!(harness.message, None, "fifteen minutes, five in each task");
    for _ in 0..70 {
        harness.tick(10_000).lists(
            vec![rebuilding(1)],
            vec![evacuation(1, 1, "pre-migrating", Some("b"))],
        );
    }
    harness.tick(4_000);
    assert!(
        harness.message.as_deref().unwrap().contains("no progress"),
        "and then nothing"
    );
    assert_eq!(harness.status, NotificationStatus::Running, "which is no failure");
}

/// Covers EW7.
#[test]
fn a_segment_disabled_between_two_attempts_gets_no_second_one() {
    let mut harness = Harness::engine().requested();
    harness.operator_state(false, false);
    harness.tick(10_000).service().power(Power::Off);
    harness.lists(vec![server(1)], vec![evacuation(1, 1, "failed", Some("b"))]);
    assert_eq!(harness.one(1).failures, 1);
    for _ in 0..30 {
        assert!(!round(&mut harness, vec![server(1)], vec![]));
        let writes: Vec<&Command> = harness
            .commands
            .iter()
            .filter(|command| command.is_write())
            .collect();
        assert!(writes.is_empty(), "{writes:?}");
    }
    assert!(
        harness
            .message
            .as_deref()
            .unwrap()
            .contains("segment is disabled")
    );
    harness.operator_state(true, false);
    let requested = harness.evacuates(1) | round(&mut harness, vec![server(1)], vec![]);
    assert!(requested, "enabled again: {:?}", harness.commands);
}

/// Covers EW7.
#[test]
fn a_host_put_in_maintenance_between_two_attempts_gets_no_second_one() {
    let mut harness = Harness::engine().requested();
    harness.operator_state(true, true);
    harness.tick(10_000).service().power(Power::Off);
    harness.lists(vec![server(1)], vec![evacuation(1, 1, "failed", Some("b"))]);
    for _ in 0..30 {
        assert!(!round(&mut harness, vec![server(1)], vec![]));
        assert!(
            harness.commands.iter().all(|command| !command.is_write()),
            "{:?}",
            harness.commands
        );
    }
}

/// Covers EW8.
#[test]
fn an_outage_of_nova_only_delays_the_recovery() {
    let outage = fault(None, FaultClass::Transient, false);
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.answer(1, ServerCall::Evacuate, Err(outage.clone()));
    let requested = refused_for(&mut harness, 900_000, &outage);
    assert!(requested > 20, "{requested} requests");
    assert_eq!(harness.one(1).failures, 0, "not Nova's failure of the instance");
    assert_eq!(harness.status, NotificationStatus::Running);
    harness.at += 31_000;
    assert!(
        round(&mut harness, vec![server(1)], vec![]),
        "{:?}",
        harness.commands
    );
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    harness
        .tick(1_000)
        .lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.over(vec![]);
    assert_eq!(harness.status, NotificationStatus::Finished);
}

/// Covers EW8.
#[test]
fn an_instance_whose_calls_fail_beyond_its_deadline_needs_an_operator_and_names_the_cause() {
    let outage = fault(Some(429), FaultClass::Transient, false);
    let mut harness = Harness::with("UNKNOWN", |policy| {
        policy.move_deadline = std::time::Duration::from_secs(600);
    });
    harness.service.enabled = true;
    let mut harness = harness.planned(vec![server(1)]);
    harness.answer(1, ServerCall::Evacuate, Err(outage.clone()));
    refused_for(&mut harness, 590_000, &outage);
    assert!(harness.is_waiting(1));
    refused_for(&mut harness, 30_000, &outage);
    assert!(
        matches!(harness.step(1), MoveStep::Unlocking { end: End::Person, .. }),
        "{:?}",
        harness.step(1)
    );
    let note = harness.one(1).note.clone().unwrap();
    assert!(note.contains("600 s") && note.contains("429"), "{note}");
}

#[test]
fn time_an_operator_takes_counts_towards_no_deadline() {
    let outage = fault(Some(429), FaultClass::Transient, false);
    let change = |policy: &mut crate::policy::Policy| {
        policy.move_deadline = std::time::Duration::from_secs(600);
        policy.deadline = std::time::Duration::from_secs(1_200);
    };
    let mut harness = Harness::with("UNKNOWN", change).planned(vec![server(1)]);
    harness.answer(1, ServerCall::Evacuate, Err(outage.clone()));
    refused_for(&mut harness, 300_000, &outage);
    harness.operator_state(false, false);
    for _ in 0..360 {
        harness.tick(10_000);
    }
    harness.operator_state(true, false);
    assert!(harness.is_waiting(1), "an hour disabled");
    refused_for(&mut harness, 500_000, &outage);
    assert!(harness.is_waiting(1), "its limit starts again");
    refused_for(&mut harness, 200_000, &outage);
    assert!(!harness.is_waiting(1));
}

#[test]
fn a_recovery_past_its_deadline_requests_nothing_and_follows_running_moves() {
    let change = |policy: &mut crate::policy::Policy| {
        policy.in_flight = 1;
        policy.deadline = std::time::Duration::from_secs(1_200);
    };
    let mut harness = Harness::with("UNKNOWN", change).planned(vec![server(1), server(2)]);
    harness
        .answer(1, ServerCall::Evacuate, Ok(()))
        .answer(2, ServerCall::Lock, Ok(()));
    let record = [evacuation(1, 1, "pre-migrating", Some("b"))];
    for _ in 0..130 {
        harness
            .tick(10_000)
            .lists(vec![rebuilding(1), server(2)], record.to_vec());
    }
    assert!(harness.is_asked(1), "Nova is evacuating it");
    assert!(!harness.is_waiting(2));
    assert!(
        harness
            .one(2)
            .note
            .as_deref()
            .unwrap()
            .contains("not moved within 1200 s")
    );
    harness.answer(2, ServerCall::Unlock, Ok(()));
    assert_eq!(harness.status, NotificationStatus::Running);
    harness.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.over(vec![server(2)]);
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert!(harness.message.as_deref().unwrap().contains("1 instance moved"));
}

#[test]
fn a_recovery_without_a_list_by_its_deadline_ends_with_the_reason() {
    let change = |policy: &mut crate::policy::Policy| policy.deadline = std::time::Duration::from_secs(600);
    let mut harness = Harness::with("UNKNOWN", change).proven();
    harness.forced_down();
    harness.see(Observation::Inventory(Err(unavailable())));
    for _ in 0..70 {
        if harness.requests(|command| matches!(command, Command::TakeInventory { .. })) {
            harness.see(Observation::Inventory(Err(unavailable())));
        }
        harness.tick(10_000);
        if harness.status != NotificationStatus::Running {
            break;
        }
    }
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert!(
        harness.message.as_deref().unwrap().contains("429"),
        "{:?}",
        harness.message
    );
    assert_eq!(
        harness.record.life,
        Some(Life::Watching),
        "forced_down is ours to clear"
    );
}

/// Covers EW14.
#[test]
fn the_vmove_shows_the_cause_and_the_notification_the_instance() {
    let cause = fault(Some(409), FaultClass::Conflict, false);
    let mut harness = Harness::with("UNKNOWN", |policy| policy.attempts = 1).planned(vec![server(1)]);
    harness.answer(1, ServerCall::Evacuate, Err(cause));
    harness.over(vec![server(1)]);
    let note = harness.one(1).note.clone().unwrap();
    assert!(note.contains("409"), "{note}");
    assert_eq!(harness.status, NotificationStatus::Failed);
    let message = harness.message.clone().unwrap();
    assert!(
        message.contains("vm-1") && message.contains("1 instance needs an operator"),
        "{message}"
    );
}

#[test]
fn a_refused_evacuation_is_shown_until_it_is_accepted() {
    let policy = fault(Some(403), FaultClass::Permanent, false);
    let mut harness = Harness::engine().planned(vec![server(1)]);
    assert!(harness.evacuates(1));
    harness.answer(1, ServerCall::Evacuate, Err(policy.clone()));
    assert_eq!(
        harness.message, None,
        "what passes in a moment is not worth a write"
    );
    harness.tick(4_000);
    let message = harness.message.clone().unwrap();
    assert!(
        message.starts_with("Nova has not evacuated vm-1; the request is repeated: ")
            && message.contains(&policy.text),
        "{message}"
    );
    harness.reads(1, Some(server(1)));
    let requested = (0..40).any(|_| round(&mut harness, vec![server(1)], vec![]));
    assert!(requested, "{:?}", harness.step(1));
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    harness.tick(1_000).lists(
        vec![rebuilding(1)],
        vec![evacuation(1, 1, "pre-migrating", Some("b"))],
    );
    assert_eq!(harness.message, None);
}

/// Covers EW19.
#[test]
fn a_refusal_due_to_the_service_is_not_a_failure_of_the_instance() {
    let in_use = fault(Some(400), FaultClass::Permanent, false);
    let mut harness = Harness::engine().planned(vec![server(1)]);
    let mut requested = harness.evacuates(1);
    for round in 0..2 {
        assert!(requested, "{round}: {:?}", harness.commands);
        harness.answer(1, ServerCall::Evacuate, Err(in_use.clone()));
        assert_eq!(harness.one(1).failures, 1, "{round}: as far as is known");
        harness.tick(1_000).reads(1, Some(server(1)));
        harness.service.forced_down = false;
        harness.service.up = true;
        harness.service();
        assert_eq!(
            harness.one(1).failures,
            0,
            "{round}: others have cleared forced_down"
        );
        assert!(
            matches!(
                harness.updates(),
                Some(ServiceUpdate::DisableAndForceDown { .. } | ServiceUpdate::ForceDown)
            ),
            "{round}: {:?}",
            harness.commands
        );
        harness.forced_down();
        requested = harness.evacuates(1);
        harness.inventory(vec![server(1)], vec![]);
        requested |= harness.evacuates(1);
        requested |= self::round(&mut harness, vec![server(1)], vec![]);
    }
}

/// Covers EW19.
#[test]
fn a_refusal_of_the_instance_itself_counts() {
    let refusal = fault(Some(400), FaultClass::Permanent, false);
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.answer(1, ServerCall::Evacuate, Err(refusal.clone()));
    let requested = refused_for(&mut harness, 300_000, &refusal);
    assert_eq!(
        requested, 2,
        "three attempts, the service forced down all the time"
    );
    assert!(!harness.is_waiting(1));
}

/// Covers EW30.
#[test]
fn calls_without_answers_lose_nothing() {
    let mut harness = Harness::engine().planned(vec![server(1), server(2)]);
    let mut writes = 0;
    for _ in 0..60 {
        // All open queries time out together.
        let requested = harness.commands.clone();
        harness.at += 20_000;
        let silent: Vec<Observation> = requested
            .into_iter()
            .filter_map(|command| match command {
                Command::ReadLists { .. } => Some(Observation::Lists(Err(timeout()))),
                Command::ReadServer(server) => Some(Observation::Server {
                    server,
                    result: Err(timeout()),
                }),
                Command::TakeInventory { .. } => Some(Observation::Inventory(Err(timeout()))),
                Command::ReadService => Some(Observation::Service(Err(timeout()))),
                other => other.server_call().map(|(server, call)| {
                    writes += 1;
                    Observation::ServerCall {
                        server,
                        call,
                        result: Err(timeout()),
                    }
                }),
            })
            .collect();
        harness.see_all(silent);
        harness.power(Power::Off);
        assert_eq!(harness.status, NotificationStatus::Running);
    }
    assert_eq!(writes, 2, "one request each; no repetition before a check");
    assert!(harness.is_asked(1) && harness.is_asked(2));
    harness.tick(20_000).service();
    let done = vec![
        evacuation(1, 1, "done", Some("b")),
        evacuation(2, 2, "done", Some("b")),
    ];
    harness.lists(vec![], done);
    harness.over(vec![]);
    assert_eq!(harness.status, NotificationStatus::Finished);
}

/// Lets Nova's scheduler find no host for `millis` or until the instance is given up. Returns the total number
/// of requests.
fn no_host_for(harness: &mut Harness, millis: u64, records: &mut Vec<Migration>) -> usize {
    let until = harness.at + millis;
    let failed =
        |records: &mut Vec<Migration>| records.push(evacuation(records.len() as u64 + 1, 1, "error", None));
    if records.is_empty() {
        failed(records);
        harness.tick(1_000).lists(vec![server(1)], records.clone());
    }
    while harness.at < until && harness.is_waiting(1) {
        if round(harness, vec![server(1)], records.clone()) {
            harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1_000);
            failed(records);
            harness.lists(vec![server(1)], records.clone());
        }
    }
    records.len()
}

#[test]
fn an_instance_without_a_host_is_retried_while_novas_broker_may_recover() {
    let three_minutes =
        |policy: &mut crate::policy::Policy| policy.retry_for = std::time::Duration::from_secs(180);
    let mut harness = Harness::with("UNKNOWN", three_minutes).requested();
    let mut records = Vec::new();
    let requested = no_host_for(&mut harness, 150_000, &mut records);
    assert!((5..20).contains(&requested), "{requested} times in 150 s");
    assert!(harness.is_waiting(1), "{:?}", harness.one(1).step);
    let requested = no_host_for(&mut harness, 120_000, &mut records);
    assert!(requested < 20, "{requested} requests");
    assert!(
        !harness.is_waiting(1),
        "after three minutes an operator is needed"
    );
    let note = harness.one(1).note.clone().unwrap();
    assert!(note.contains("of 180 s"), "{note}");

    let mut hasty = Harness::with("UNKNOWN", |_| {}).requested();
    let requested = no_host_for(&mut hasty, 150_000, &mut Vec::new());
    assert_eq!(requested, 3, "without that time the attempts alone count");
}
