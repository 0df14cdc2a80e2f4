//! Results of the lists.

use super::harness::{HOST, Harness, bus, evacuation, fault, id, server};
use crate::Elapsed;
use crate::fault::FaultClass;
use crate::host_recovery::{End, MoveStep};
use crate::nova::{Migration, Server, VmState};
use crate::power::Power;
use crate::recovery::{Command, Evacuations, Observation, Restoration, ServerCall};

fn rebuilding(number: u128) -> Server {
    Server {
        task_state: Some("rebuilding".into()),
        ..server(number)
    }
}

/// Keeps all observations current and reads the lists every 500 ms. Returns the number of evacuations.
fn poll_lists(
    harness: &mut Harness,
    millis: u64,
    servers: &[Server],
    records: &[Migration],
    off: &[&str],
) -> usize {
    let until = harness.at + millis;
    let mut requested = 0;
    while harness.at < until {
        harness.at += 500;
        harness.power(Power::Off);
        requested += usize::from(harness.evacuates_any());
        if harness.requests(|command| *command == Command::ReadConductors) {
            harness.see(Observation::Conductors(Ok(bus(true))));
            requested += usize::from(harness.evacuates_any());
        }
        harness.lists_with(servers.to_vec(), records.to_vec(), off);
        requested += usize::from(harness.evacuates_any());
    }
    requested
}

/// Covers R8.
#[test]
fn absence_counts_only_d_and_q_after_the_calls_deadline_and_twice() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    let sent = harness.at;
    harness.answer(1, ServerCall::Evacuate, Err(super::harness::timeout()));
    assert_eq!(poll_lists(&mut harness, 100_000, &[server(1)], &[], &[]), 0);
    harness.at = sent + 101_000;
    harness.power(Power::Off).lists(vec![server(1)], vec![]);
    assert!(harness.is_asked(1), "seen once");
    harness.at += 500;
    harness.lists(vec![server(1)], vec![]);
    assert!(harness.evacuates(1), "seen twice");
}

/// Covers R8.
#[test]
fn absence_does_not_count_while_nova_works_on_the_instance_unless_it_was_absent_before() {
    let mut harness = Harness::engine().requested();
    assert_eq!(poll_lists(&mut harness, 300_000, &[rebuilding(1)], &[], &[]), 0);
    // An earlier lost cast left this record; it does not belong to this call.
    let mut harness = Harness::engine().planned(vec![rebuilding(1)]);
    harness.answer(1, ServerCall::Evacuate, Err(super::harness::timeout()));
    assert_eq!(poll_lists(&mut harness, 103_000, &[rebuilding(1)], &[], &[]), 1);
}

/// Covers R8.
#[test]
fn any_newer_record_is_the_effect_and_an_older_one_is_not() {
    let mut harness = Harness::engine().planned_with(vec![server(1)], vec![evacuation(7, 1, "failed", None)]);
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    harness.at += 1;
    harness.lists(vec![server(1)], vec![evacuation(7, 1, "failed", None)]);
    assert!(harness.is_asked(1), "the old failure is not ours");
    harness.at += 500;
    harness.lists(
        vec![server(1)],
        vec![evacuation(8, 1, "failed", None), evacuation(7, 1, "failed", None)],
    );
    assert!(harness.is_waiting(1));
}

#[test]
fn lists_requested_before_the_intent_do_not_count() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    let started = harness.at;
    harness.at += 400;
    harness.answer(1, ServerCall::Lock, Ok(()));
    assert!(harness.evacuates(1));
    let later = harness.at;
    harness.at = started;
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.at = later;
    assert!(harness.is_asked(1));
}

/// Covers R9.
#[test]
fn a_move_is_confirmed_by_both_the_host_and_a_finished_record() {
    let cases = [
        (
            "still on the host",
            vec![server(1)],
            vec![evacuation(1, 1, "done", Some("b"))],
            false,
        ),
        ("left without a record", vec![], vec![], false),
        (
            "left, record not finished",
            vec![],
            vec![evacuation(1, 1, "pre-migrating", Some("b"))],
            false,
        ),
        ("both", vec![], vec![evacuation(1, 1, "done", Some("b"))], true),
        (
            "both, closed by its old host",
            vec![],
            vec![evacuation(1, 1, "completed", Some("b"))],
            true,
        ),
        (
            "any record of this recovery",
            vec![],
            vec![
                evacuation(2, 1, "accepted", None),
                evacuation(1, 1, "done", Some("b")),
            ],
            true,
        ),
        (
            "one of last year",
            vec![],
            vec![Migration {
                created_at: Some(crate::Timestamp::from_micros(1)),
                ..evacuation(1, 1, "completed", Some("b"))
            }],
            false,
        ),
    ];
    for (name, servers, records, confirmed) in cases {
        let mut harness = Harness::engine().requested();
        harness.lists(servers, records);
        assert_eq!(!harness.is_asked(1), confirmed, "{name}");
    }
}

/// Covers EW4.
#[test]
fn a_rebuild_of_a_quarter_of_an_hour_is_one_evacuation() {
    let mut harness = Harness::engine().requested();
    let requested = poll_lists(
        &mut harness,
        900_000,
        &[rebuilding(1)],
        &[evacuation(1, 1, "pre-migrating", Some("b"))],
        &[],
    );
    assert_eq!(requested, 0);
    harness.tick(4_000);
    let message = harness.message.clone().unwrap();
    assert!(
        message.contains("over 600 s") && message.contains('b'),
        "R10: the message shows it: {message}"
    );
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.over(vec![]);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
}

/// Covers R10.
#[test]
fn a_move_to_a_failed_destination_is_repeated_once_that_is_confirmed_off() {
    let mut harness = Harness::engine().requested();
    let record = [evacuation(1, 1, "pre-migrating", Some("b"))];
    assert_eq!(
        poll_lists(&mut harness, 60_000, &[rebuilding(1)], &record, &["c"]),
        0
    );
    assert_eq!(
        poll_lists(&mut harness, 9_500, &[rebuilding(1)], &record, &["b"]),
        0,
        "proven only just now"
    );
    assert_eq!(
        poll_lists(&mut harness, 2_000, &[rebuilding(1)], &record, &["b"]),
        1
    );
    assert!(harness.is_asked(1));
    assert_eq!(harness.one(1).failures, 0, "not Nova's failure");
}

/// Covers R10.
#[test]
fn a_proof_that_ends_and_returns_is_a_new_one() {
    let mut harness = Harness::engine().requested();
    let record = [evacuation(1, 1, "pre-migrating", Some("b"))];
    for _ in 0..5 {
        assert_eq!(
            poll_lists(&mut harness, 9_000, &[rebuilding(1)], &record, &["b"]),
            0
        );
        assert_eq!(poll_lists(&mut harness, 500, &[rebuilding(1)], &record, &[]), 0);
    }
}

/// Covers R10.
#[test]
fn a_given_up_record_that_changes_is_followed() {
    let mut harness = Harness::engine().requested();
    let first = evacuation(1, 1, "accepted", None);
    let other = evacuation(2, 2, "pre-migrating", Some("c"));
    assert_eq!(
        poll_lists(
            &mut harness,
            320_000,
            &[rebuilding(1)],
            &[first.clone(), other.clone()],
            &[]
        ),
        1
    );
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    // Nova's conductor takes the first accepted record for the second call.
    let taken = [
        evacuation(1, 1, "pre-migrating", Some("b")),
        evacuation(3, 1, "accepted", None),
        other,
    ];
    assert_eq!(
        poll_lists(&mut harness, 400_000, &[rebuilding(1)], &taken, &[]),
        0,
        "never two"
    );
}

/// Nova ends neither record: one was with the failed host, and no host takes up the other.
/// Covers R10.
#[test]
fn a_move_to_a_failed_host_is_given_up_even_if_the_host_returns_first() {
    let mut harness = Harness::engine().requested();
    let first = evacuation(1, 1, "accepted", None);
    let other = evacuation(2, 2, "pre-migrating", Some("c"));
    let lists = [first, other.clone()];
    assert_eq!(
        poll_lists(&mut harness, 320_000, &[rebuilding(1)], &lists, &[]),
        1
    );
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    let taken = [
        evacuation(1, 1, "pre-migrating", Some("b")),
        evacuation(3, 1, "accepted", None),
        other.clone(),
    ];
    assert_eq!(
        poll_lists(&mut harness, 15_000, &[rebuilding(1)], &taken, &["b"]),
        0,
        "the younger may yet be taken up"
    );
    assert_eq!(
        poll_lists(&mut harness, 400_000, &[rebuilding(1)], &taken, &[]),
        1
    );
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    // It continues nevertheless: it was in the queue of "b".
    let alive = [
        evacuation(1, 1, "migrating", Some("b")),
        evacuation(3, 1, "accepted", None),
        evacuation(4, 1, "accepted", None),
        other,
    ];
    assert_eq!(
        poll_lists(&mut harness, 400_000, &[rebuilding(1)], &alive, &[]),
        0,
        "never two"
    );
}

/// Covers R10.
#[test]
fn an_older_record_that_is_failed_in_the_place_of_the_new_one_is_an_attempt() {
    let mut harness = Harness::engine().requested();
    let first = evacuation(1, 1, "accepted", None);
    let other = evacuation(2, 2, "pre-migrating", Some("c"));
    let lists = [first, other.clone()];
    assert_eq!(
        poll_lists(&mut harness, 320_000, &[rebuilding(1)], &lists, &[]),
        1
    );
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    assert_eq!(harness.one(1).failures, 0);
    // Nova's conductor takes the first accepted record for the second call and finds no valid host. The second
    // record never changes. Without a count, a full cloud would get requests without end.
    let failed = [
        evacuation(1, 1, "error", None),
        evacuation(3, 1, "accepted", None),
        other,
        evacuation(4, 2, "pre-migrating", Some("c")),
    ];
    poll_lists(&mut harness, 400_000, &[rebuilding(1)], &failed, &[]);
    assert_eq!(harness.one(1).failures, 1);
}

/// Covers R10.
#[test]
fn conductors_that_are_down_or_unknown_allow_no_repetition() {
    for (name, answer) in [
        ("one is down", Ok(bus(false))),
        ("no answer", Err(fault(Some(503), FaultClass::Transient, true))),
    ] {
        let mut harness = Harness::engine().requested();
        let records = vec![
            evacuation(1, 1, "accepted", None),
            evacuation(2, 2, "pre-migrating", Some("c")),
        ];
        for _ in 0..400 {
            harness.at += 1_000;
            harness.power(Power::Off);
            if harness.requests(|command| *command == Command::ReadConductors) {
                harness.see(Observation::Conductors(answer.clone()));
            }
            harness.lists(vec![rebuilding(1)], records.clone());
            assert!(!harness.evacuates_any(), "{name}");
        }
    }
}

/// Covers R10.
#[test]
fn a_waiting_instance_allows_no_repetition_of_a_recent_request() {
    let mut harness = Harness::with("UNKNOWN", |policy| policy.in_flight = 2).planned(vec![
        server(1),
        server(2),
        server(3),
    ]);
    harness
        .answer(1, ServerCall::Evacuate, Ok(()))
        .answer(2, ServerCall::Evacuate, Ok(()));
    let stuck = evacuation(1, 1, "accepted", None);
    let servers = [rebuilding(1), server(2), server(3)];
    poll_lists(
        &mut harness,
        59_000,
        &servers,
        &[stuck.clone(), evacuation(2, 2, "pre-migrating", Some("b"))],
        &[],
    );
    harness.at += 100;
    harness.power(Power::Off);
    harness.lists(
        vec![rebuilding(1), server(3)],
        vec![stuck.clone(), evacuation(2, 2, "done", Some("b"))],
    );
    harness.answer(3, ServerCall::Lock, Ok(())).tick(0);
    assert!(harness.is_asked(3), "{:?}", harness.step(3));
    harness.answer(3, ServerCall::Evacuate, Ok(()));
    let records = [
        stuck,
        evacuation(2, 2, "done", Some("b")),
        evacuation(3, 3, "accepted", None),
    ];
    for _ in 0..20 {
        harness.at += 500;
        harness
            .power(Power::Off)
            .lists(vec![rebuilding(1), rebuilding(3)], records.to_vec());
        assert!(!harness.evacuates(3), "its own minute has only started");
    }
}

#[test]
fn two_records_in_flight_fail_only_together() {
    let mut harness = Harness::engine().requested();
    let records = [
        evacuation(2, 1, "failed", None),
        evacuation(1, 1, "pre-migrating", Some("b")),
    ];
    assert_eq!(
        poll_lists(&mut harness, 30_000, &[rebuilding(1)], &records, &[]),
        0
    );
    assert!(harness.is_asked(1));
    let records = [evacuation(2, 1, "failed", None), evacuation(1, 1, "failed", None)];
    assert_eq!(poll_lists(&mut harness, 3_000, &[server(1)], &records, &[]), 1);
    assert_eq!(harness.one(1).failures, 1);
}

#[test]
fn an_instance_that_left_without_a_record_is_read() {
    let on_other_host = Server {
        host: Some("b".into()),
        ..server(1)
    };
    let cases = [
        ("deleted", None, Some(End::Left)),
        ("on another host", Some(on_other_host.clone()), Some(End::Moved)),
        (
            "on another host, with a task in Nova",
            Some(Server {
                task_state: Some("rebuild_spawning".into()),
                ..on_other_host
            }),
            None,
        ),
        ("on this host after all", Some(server(1)), None),
    ];
    for (name, shown, end) in cases {
        let mut harness = Harness::engine().requested();
        for _ in 0..2 {
            harness.at += 500;
            harness.lists(vec![], vec![]);
        }
        assert!(
            harness.requests(|command| *command == Command::ReadServer(id(1))),
            "{name}"
        );
        match shown {
            None => harness.gone(1),
            shown => harness.reads(1, shown),
        };
        harness.over(vec![]);
        match end {
            Some(end) => assert_eq!(harness.step(1), &MoveStep::Done(end), "{name}"),
            None => assert!(harness.is_asked(1), "{name}"),
        }
    }
}

/// Covers R9.
#[test]
fn two_conflicting_evacuations_leave_it_moved_and_it_is_restored() {
    let stuck = Server {
        host: Some("elsewhere".into()),
        vm_state: VmState::Error,
        task_state: Some("rebuild_block_device_mapping".into()),
        ..server(1)
    };
    let mut harness = Harness::engine().requested();
    for _ in 0..2 {
        harness.at += 500;
        harness.lists(vec![], vec![evacuation(1, 1, "failed", Some("elsewhere"))]);
    }
    harness
        .reads(1, Some(stuck.clone()))
        .tick(500)
        .reads(1, Some(stuck.clone()));
    let to = Restoration::MarkActive;
    assert!(harness.requests(|command| *command
        == Command::Restore {
            server: id(1),
            to: to.clone()
        }));
    assert!(!harness.record.is_empty(), "journalled first");
    harness.answer(1, ServerCall::Restore, Ok(()));
    let active = Server {
        vm_state: VmState::Active,
        task_state: None,
        ..stuck
    };
    harness.tick(500).reads(1, Some(active)).over(vec![]);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
    assert_eq!(harness.one(1).dest.as_deref(), Some("elsewhere"));
}

#[test]
fn a_record_closed_by_the_returned_host_needs_an_operator() {
    let mut harness = Harness::engine().requested();
    let record = [evacuation(1, 1, "completed", None)];
    assert_eq!(poll_lists(&mut harness, 590_000, &[server(1)], &record, &[]), 0);
    assert!(harness.is_asked(1), "its destination may still be building");
    poll_lists(&mut harness, 20_000, &[server(1)], &record, &[]);
    harness.over(vec![server(1)]);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Person));
    assert!(
        harness
            .one(1)
            .note
            .as_deref()
            .unwrap()
            .contains("check where it runs")
    );
}

/// Covers R13.
#[test]
fn records_are_read_once_per_tick_and_never_two_at_a_time() {
    let mut harness = Harness::engine().requested();
    let requests =
        |harness: &Harness| harness.requests(|command| matches!(command, Command::ReadEvacuations { .. }));
    harness.records(vec![evacuation(1, 1, "pre-migrating", Some("b"))]);
    assert!(!requests(&harness));
    harness.tick(499);
    assert!(!requests(&harness));
    harness.tick(1);
    assert!(requests(&harness));
    harness.tick(5_000);
    assert!(!requests(&harness), "the last one has not been answered");
    assert_eq!(harness.one(1).server, id(1));
    assert!(server(1).host.as_deref() == Some(HOST));
}

/// Covers R13.
#[test]
fn a_slow_nova_is_polled_for_records_less_often() {
    let requests =
        |harness: &Harness| harness.requests(|command| matches!(command, Command::ReadEvacuations { .. }));
    for (taken, pause) in [
        (30, 500),
        (100, 1_500),
        (300, 2_000),
        (1_000, 2_000),
        (3_000, 3_000),
        (60_000, 4_000),
    ] {
        let mut harness = Harness::engine().requested();
        // The cost of a list is measured from three samples.
        for poll in 0..3 {
            if poll > 0 {
                harness.tick(4_000);
                assert!(requests(&harness), "{taken} ms, read {poll}");
            }
            let started = Elapsed::from_millis(harness.at);
            harness.tick(taken);
            harness.see(Observation::Evacuations(Ok(Evacuations {
                started,
                records: vec![evacuation(1, 1, "pre-migrating", Some("b"))],
            })));
        }
        harness.tick(pause - 1);
        assert!(!requests(&harness), "{taken} ms, too soon");
        harness.tick(1);
        assert!(requests(&harness), "{taken} ms, not again");
    }
}

#[test]
fn no_more_evacuations_are_requested_than_nova_picks_up() {
    let servers: Vec<Server> = (1..=4).map(server).collect();
    let mut harness = Harness::with("UNKNOWN", |policy| policy.queued = 2).planned(servers.clone());
    let requested = |harness: &Harness| (1..=4).filter(|number| harness.is_asked(*number)).count();
    assert_eq!(requested(&harness), 2);
    harness.at += 500;
    harness.lists(
        servers.clone(),
        vec![
            evacuation(1, 1, "accepted", None),
            evacuation(2, 2, "accepted", None),
        ],
    );
    assert_eq!(requested(&harness), 2, "no host has taken them up");
    harness.at += 500;
    harness.lists(
        servers,
        vec![
            evacuation(1, 1, "pre-migrating", Some("b")),
            evacuation(2, 2, "accepted", None),
        ],
    );
    assert_eq!(requested(&harness), 3, "one place in the queue is free");
}

/// The messaging state and the host's own record come from one read of Nova's services.
/// Covers R13.
#[test]
fn the_hosts_service_is_read_together_with_the_conductors() {
    let mut harness = Harness::engine().requested();
    let records = vec![evacuation(1, 1, "accepted", None)];
    let (mut conductors, mut alone) = (0, 0);
    for round in 0..240 {
        if round % 2 == 0 {
            harness.at += 500;
            harness.power(Power::Off);
        } else {
            harness.lists(vec![rebuilding(1)], records.clone());
        }
        let requests_service = harness.requests(|command| *command == Command::ReadService);
        if harness.requests(|command| *command == Command::ReadConductors) {
            conductors += 1;
            assert!(requests_service, "the first time, too");
            harness.at += 50;
            harness.see(Observation::Conductors(Ok(bus(true)))).service();
        } else if requests_service {
            alone += 1;
            harness.service();
        }
    }
    assert!(conductors >= 8, "{conductors}");
    assert!(alone <= 3, "before an evacuation was late: {alone}");
}
