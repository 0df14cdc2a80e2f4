//! Partial failures of Nova, messages stuck in its queues, and false answers.

use std::collections::BTreeSet;
use std::time::Duration;

use super::harness::{HOST, Harness, bus, evacuation, fault, id, nova_time, server, timeout};
use crate::entity::notification::NotificationStatus;
use crate::fault::FaultClass;
use crate::host_recovery::{End, MoveStep};
use crate::nova::{Migration, Server, VmState};
use crate::power::Power;
use crate::recovery::given_up::{may_run, may_run_in};
use crate::recovery::{
    Command, InCell, Inventory, Messaging, Observation, OperatorCommand, ResolutionKind, ServerCall,
};

pub(super) fn rebuilding(number: u128) -> Server {
    Server {
        task_state: Some("rebuilding".into()),
        ..server(number)
    }
}

pub(super) fn in_error(number: u128) -> Server {
    Server {
        vm_state: VmState::Error,
        ..server(number)
    }
}

/// Runs ticks of 500 ms with a recent proof and these lists. Returns the targets of the evacuations of vm-1.
pub(super) fn poll(
    harness: &mut Harness,
    millis: u64,
    servers: &[Server],
    records: &[Migration],
    off: &[&str],
    conductors: &Messaging,
) -> Vec<Option<String>> {
    let until = harness.at + millis;
    let mut requested = Vec::new();
    let mut answer = |harness: &mut Harness| {
        // Queries are answered at once, including the commands that follow.
        for _ in 0..3 {
            let targets = harness.commands.iter().filter_map(|command| match command {
                Command::Evacuate(it) => Some(it.target().map(ToOwned::to_owned)),
                _ => None,
            });
            requested.extend(targets);
            if harness.requests(|command| *command == Command::ReadConductors) {
                harness.see(Observation::Conductors(Ok(conductors.clone())));
            } else if harness.requests(|command| matches!(command, Command::TakeInventory { .. })) {
                harness.inventory(servers.to_vec(), records.to_vec());
            } else {
                return;
            }
        }
    };
    while harness.at < until {
        harness.at += 500;
        harness.service();
        answer(harness);
        harness.power(Power::Off);
        answer(harness);
        harness.lists_with(servers.to_vec(), records.to_vec(), off);
        answer(harness);
    }
    requested
}

/// Returns a recovery whose evacuation of vm-1 failed at "b" after its guest was spawned there.
pub(super) fn failed_at_b() -> Harness {
    let mut harness = Harness::engine().requested();
    harness.tick(1_000).lists(
        vec![rebuilding(1)],
        vec![evacuation(1, 1, "pre-migrating", Some("b"))],
    );
    harness
        .tick(1_000)
        .lists(vec![in_error(1)], vec![evacuation(1, 1, "failed", Some("b"))]);
    harness
}

/// Covers C1.
#[test]
fn an_evacuation_failed_at_a_destination_is_repeated_only_there() {
    let mut harness = failed_at_b();
    assert_eq!(harness.one(1).may_run, BTreeSet::from(["b".to_owned()]));
    let records = vec![evacuation(1, 1, "failed", Some("b"))];
    let requested = poll(&mut harness, 5_000, &[in_error(1)], &records, &[], &bus(true));
    assert_eq!(requested, [Some("b".to_owned())]);
}

/// Covers C1.
#[test]
fn a_permanent_failure_there_is_held_for_an_operator() {
    let mut harness = failed_at_b();
    let mut records = vec![evacuation(1, 1, "failed", Some("b"))];
    for record in 2..10 {
        let requested = poll(&mut harness, 20_000, &[in_error(1)], &records, &[], &bus(true));
        assert!(
            requested.iter().all(|to| to.as_deref() == Some("b")),
            "{requested:?}"
        );
        harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1);
        records.push(evacuation(record, 1, "failed", Some("b")));
    }
    assert_eq!(harness.step(1), &MoveStep::OnHold);
    assert_eq!(harness.status, NotificationStatus::Running);
    let note = harness.one(1).note.clone().unwrap();
    for fragment in ["may still run on b", "--not-running-on HOST", "virsh domstate"] {
        assert!(note.contains(fragment), "{fragment}: {note}");
    }
    let requested = poll(&mut harness, 200_000, &[in_error(1)], &records, &[], &bus(true));
    assert_eq!(requested, [], "not forgotten");
}

/// Covers C1.
#[test]
fn a_destination_confirmed_off_runs_nothing_and_releases_the_instance() {
    let mut harness = failed_at_b();
    let records = vec![evacuation(1, 1, "failed", Some("b"))];
    // While it may run at "b", it is evacuated to "b".
    poll(&mut harness, 9_000, &[in_error(1)], &records, &["b"], &bus(true));
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    let mut records = records;
    records.push(evacuation(2, 1, "accepted", Some("b")));
    let requested = poll(&mut harness, 20_000, &[in_error(1)], &records, &["b"], &bus(true));
    assert_eq!(requested, [None], "{:?}", harness.one(1));
    assert_eq!(harness.one(1).possible_hosts().count(), 0);
}

/// Returns the targets of the current evacuation commands.
fn targets(harness: &Harness) -> Vec<Option<String>> {
    let targets = harness.commands.iter().filter_map(|command| match command {
        Command::Evacuate(it) => Some(it.target().map(ToOwned::to_owned)),
        _ => None,
    });
    targets.collect()
}

/// Returns a recovery that may start nothing while "b" is confirmed off.
fn held_back_while_b_is_off(records: &[Migration]) -> Harness {
    let mut harness = failed_at_b();
    harness.operator_state(false, false);
    let requested = poll(&mut harness, 12_000, &[in_error(1)], records, &["b"], &bus(true));
    assert_eq!(requested, []);
    assert_eq!(harness.one(1).possible_hosts().count(), 0);
    harness
}

/// Covers R29.
#[test]
fn absence_is_revoked_with_its_proof() {
    let records = vec![evacuation(1, 1, "failed", Some("b"))];
    let mut harness = held_back_while_b_is_off(&records);
    // A heartbeat of "b" arrives before the evacuation.
    poll(&mut harness, 1_000, &[in_error(1)], &records, &[], &bus(true));
    assert!(harness.one(1).possible_hosts().eq(["b"]), "{:?}", harness.one(1));
    harness.operator_state(true, false);
    assert_eq!(targets(&harness), [Some("b".to_owned())]);
}

/// Covers R29.
#[test]
fn a_request_elsewhere_needs_a_recent_check_of_the_absence() {
    let records = vec![evacuation(1, 1, "failed", Some("b"))];
    let mut harness = held_back_while_b_is_off(&records);
    harness.at += 16_000;
    harness.service().power(Power::Off).records(records);
    harness.operator_state(true, false);
    assert!(!harness.evacuates(1), "{:?}", harness.commands);
    harness.tick(500);
    assert!(harness.requests(|command| matches!(command, Command::ReadLists { .. })));
}

/// Covers R29.
#[test]
fn a_request_elsewhere_is_followed_and_names_the_returned_host() {
    let records = vec![evacuation(1, 1, "failed", Some("b"))];
    let mut harness = held_back_while_b_is_off(&records);
    harness.operator_state(true, false);
    assert_eq!(targets(&harness), [None]);
    harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1_000);
    let under_way = evacuation(2, 1, "pre-migrating", Some("c"));
    let records = vec![records[0].clone(), under_way];
    harness.lists(vec![rebuilding(1)], records.clone());
    assert!(harness.is_asked(1));
    assert!(harness.one(1).possible_hosts().eq(["b"]));
    harness.tick(1_000).lists(
        vec![],
        vec![records[0].clone(), evacuation(2, 1, "done", Some("c"))],
    );
    let note = harness.one(1).note.clone().unwrap_or_default();
    assert!(note.contains("running on b too"), "{note}");
}

/// Covers R29.
#[test]
fn a_destination_that_failed_during_the_rebuild_and_is_back_may_run_it() {
    let mut harness = Harness::engine().requested();
    let records = vec![evacuation(1, 1, "pre-migrating", Some("b"))];
    harness.operator_state(false, false);
    poll(
        &mut harness,
        12_000,
        &[rebuilding(1)],
        &records,
        &["b"],
        &bus(true),
    );
    assert!(harness.is_waiting(1), "{:?}", harness.step(1));
    poll(&mut harness, 1_000, &[rebuilding(1)], &records, &[], &bus(true));
    assert!(harness.one(1).possible_hosts().eq(["b"]), "{:?}", harness.one(1));
}

/// Covers C1.
#[test]
fn possible_hosts_survive_a_takeover_and_are_known_to_later_recoveries() {
    let mut harness = failed_at_b();
    harness.take_over();
    assert_eq!(harness.one(1).may_run, BTreeSet::from(["b".to_owned()]));
    let kept = may_run_in(&harness.one(1).to_json().unwrap()).unwrap();
    let known = may_run([(id(1), kept.clone())]);
    assert_eq!(known[&id(1)], BTreeSet::from(["b".to_owned()]));
    let mut free = harness.one(1).clone();
    free.may_run.clear();
    let later = may_run_in(&free.to_json().unwrap()).unwrap();
    assert!(
        may_run([(id(1), kept), (id(1), later)]).is_empty(),
        "found out since"
    );
    let mut harness = Harness::engine().proven();
    harness.forced_down();
    let service = Some(harness.service.clone());
    harness.see(Observation::Inventory(Ok(Inventory {
        evacuated: Vec::new(),
        migrations: vec![],
        servers: vec![server(1)],
        in_cell: InCell::NotQueried,
        service,
        written_off: [].into(),
        may_run: known,
        local_disks: [].into(),
    })));
    harness.answer(1, ServerCall::Lock, Ok(()));
    let to = harness.commands.iter().find_map(|command| match command {
        Command::Evacuate(it) => Some(it.target().map(ToOwned::to_owned)),
        _ => None,
    });
    assert_eq!(to, Some(Some("b".to_owned())), "{:?}", harness.commands);
}

/// Covers C1.
#[test]
fn an_instance_that_may_run_on_two_hosts_is_not_requested() {
    let mut harness = Harness::engine().requested();
    let records = vec![
        evacuation(1, 1, "failed", Some("b")),
        evacuation(2, 1, "failed", Some("c")),
    ];
    let requested = poll(&mut harness, 30_000, &[in_error(1)], &records, &[], &bus(true));
    assert_eq!(requested, []);
    assert_eq!(harness.step(1), &MoveStep::OnHold);
    assert!(harness.one(1).note.as_deref().unwrap().contains("b or c"));
}

/// Covers C1.
#[test]
fn a_failure_that_named_no_destination_has_spawned_nothing() {
    let mut harness = Harness::engine().requested();
    let record = evacuation(1, 1, "failed", None);
    let requested = poll(&mut harness, 5_000, &[server(1)], &[record], &[], &bus(true));
    assert_eq!(requested, [None]);
}

/// Covers C14.
#[test]
fn an_accepted_record_is_not_lost_because_a_newer_one_was_picked_up_first() {
    let mut harness = Harness::engine().requested();
    let both = vec![
        evacuation(1, 1, "accepted", None),
        evacuation(2, 2, "pre-migrating", Some("c")),
    ];
    assert_eq!(
        poll(&mut harness, 250_000, &[rebuilding(1)], &both, &[], &bus(true)),
        []
    );
    let requested = poll(&mut harness, 100_000, &[rebuilding(1)], &both, &[], &bus(true));
    assert_eq!(requested, [None], "by any measure");
}

/// Covers C14.
#[test]
fn time_without_a_broker_does_not_count_and_is_added() {
    let mut harness = Harness::engine().requested();
    let records = vec![evacuation(1, 1, "accepted", None)];
    let silent = Messaging {
        latest_heartbeat_age: Some(Duration::from_secs(40)),
        ..bus(true)
    };
    // Conductors are always up here: their heartbeats do not use the broker.
    assert_eq!(
        poll(&mut harness, 400_000, &[rebuilding(1)], &records, &[], &silent),
        []
    );
    assert_eq!(
        poll(&mut harness, 470_000, &[rebuilding(1)], &records, &[], &bus(true)),
        [],
        "as long again as it was away, and what Nova needs besides"
    );
    let requested = poll(&mut harness, 40_000, &[rebuilding(1)], &records, &[], &bus(true));
    assert_eq!(requested, [None]);
}

/// Covers C14.
#[test]
fn where_nova_shows_no_date_continued_heartbeats_show_that_messages_get_through() {
    let mut harness = Harness::engine().requested();
    let records = vec![evacuation(1, 1, "accepted", None)];
    let heartbeat = |at: u64| Messaging {
        latest_heartbeat_age: None,
        latest_heartbeat: Some(nova_time(at)),
        ..bus(true)
    };
    let requested = poll(
        &mut harness,
        600_000,
        &[rebuilding(1)],
        &records,
        &[],
        &heartbeat(0),
    );
    assert_eq!(requested, [], "they stand still: the broker is away");
    let mut requested = Vec::new();
    for round in 1..=80 {
        requested.extend(poll(
            &mut harness,
            10_000,
            &[rebuilding(1)],
            &records,
            &[],
            &heartbeat(round * 10_000),
        ));
        assert!(requested.is_empty() || round > 60, "{round}");
    }
    assert_eq!(requested, [None]);
}

/// Covers C14.
#[test]
fn an_unanswered_call_may_be_held_by_novas_api_forever() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    let timeout = fault(None, FaultClass::Transient, true);
    harness.answer(1, ServerCall::Evacuate, Err(timeout)).tick(1);
    let records = vec![evacuation(1, 1, "accepted", None)];
    let requested = poll(
        &mut harness,
        4_000_000,
        &[rebuilding(1)],
        &records,
        &[],
        &bus(true),
    );
    assert_eq!(requested, []);
    let message = harness.message.clone().unwrap_or_default();
    assert!(message.contains("no progress"), "{message}");
    assert!(message.contains("never answered"), "{message}");
}

/// Covers C14.
#[test]
fn an_evacuation_may_wait_in_the_queue_of_a_host_that_failed_since() {
    let mut harness = Harness::engine().requested();
    let records = vec![evacuation(1, 1, "accepted", None)];
    let silent = |seconds: u64| Messaging {
        silent: [("c".to_owned(), Duration::from_secs(seconds))].into(),
        ..bus(true)
    };
    assert_eq!(
        poll(
            &mut harness,
            500_000,
            &[rebuilding(1)],
            &records,
            &[],
            &silent(100)
        ),
        []
    );
    let long_dead = silent(10_000);
    let requested = poll(&mut harness, 10_000, &[rebuilding(1)], &records, &[], &long_dead);
    assert_eq!(requested, [None], "it was dead long before");
}

/// Covers C3.
#[test]
fn a_single_not_found_ends_no_move() {
    let all = || vec![server(1), server(2), server(3)];
    let mut harness = Harness::engine().planned(all());
    for number in 1..=3 {
        harness.answer(
            number,
            ServerCall::Evacuate,
            Err(fault(Some(404), FaultClass::Permanent, false)),
        );
        assert!(harness.is_waiting(number));
    }
    assert!(
        harness.requests(|command| matches!(command, Command::ReadServer(_)))
            || !harness.state.in_flight.move_track.servers.is_empty()
    );
    for number in 1..=3 {
        harness.reads(number, Some(server(number)));
    }
    harness
        .tick(1_000)
        .service()
        .power(Power::Off)
        .lists(all(), vec![]);
    harness.tick(100);
    for number in 1..=3 {
        assert!(harness.is_asked(number), "{:?}", harness.step(number));
    }
}

/// Covers C3.
#[test]
fn a_repeated_later_not_found_counts() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.answer(
        1,
        ServerCall::Evacuate,
        Err(fault(Some(404), FaultClass::Permanent, false)),
    );
    harness.reads(1, None);
    assert!(harness.is_waiting(1), "{:?}", harness.step(1));
    let reads = |harness: &Harness| harness.requests(|command| *command == Command::ReadServer(id(1)));
    harness.tick(4_000);
    assert!(!reads(&harness) && !harness.evacuates(1));
    harness.tick(1_100);
    assert!(reads(&harness), "{:?}", harness.commands);
    harness.reads(1, None);
    assert!(
        matches!(
            harness.step(1),
            MoveStep::Done(End::Left) | MoveStep::Unlocking { end: End::Left, .. }
        ),
        "{:?}",
        harness.step(1)
    );
}

/// Covers C3.
#[test]
fn instances_in_the_last_list_are_planned_again() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.answer(
        1,
        ServerCall::Evacuate,
        Err(fault(Some(404), FaultClass::Permanent, false)),
    );
    harness.reads(1, None).tick(5_100).reads(1, None);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Left));
    if !harness.requests(|command| matches!(command, Command::TakeInventory { .. })) {
        harness.tick(1_000);
    }
    harness.inventory(vec![server(1)], vec![]);
    assert_eq!(harness.status, NotificationStatus::Running);
    assert!(harness.is_waiting(1), "{:?}", harness.step(1));
}

/// Covers C4.
#[test]
fn an_empty_list_counts_only_if_the_hosts_cell_confirms_it() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().empty(InCell::Has(0)).tick(100);
    assert_eq!(
        harness.status,
        NotificationStatus::Finished,
        "{:?}",
        harness.message
    );
    // Repetition does not help: the cell may be down during each read of a list.
    for (doubt, why) in [
        (InCell::Has(3), "the host's cell has 3"),
        (InCell::Failed(timeout()), "could not be queried"),
    ] {
        let mut harness = Harness::engine().proven();
        harness.forced_down();
        for _ in 0..20 {
            harness.empty(doubt.clone()).tick(31_000).service();
            assert_eq!(harness.status, NotificationStatus::Running);
            assert!(harness.requests(|command| matches!(command, Command::TakeInventory { .. })));
        }
        let message = harness.message.clone().unwrap_or_default();
        assert!(message.contains(why), "{message}");
        harness.inventory(vec![server(1)], vec![]);
        assert!(harness.is_waiting(1), "{doubt:?}");
    }
}

/// Covers C4.
#[test]
fn an_operator_ends_a_recovery_whose_list_stays_uncertain() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().empty(InCell::Has(3));
    harness.command(OperatorCommand::Reject).tick(31_000);
    assert_eq!(
        harness.status,
        NotificationStatus::Running,
        "instances may be locked"
    );
    harness.tick(31_000);
    assert_ne!(
        harness.status,
        NotificationStatus::Running,
        "{:?}",
        harness.message
    );
    let warning = format!("may be locked ({})", harness.mark());
    assert!(
        harness.message.as_deref().unwrap().contains(&warning),
        "{:?}",
        harness.message
    );
}

/// Covers C4.
#[test]
fn a_late_instance_is_not_missed_when_the_cell_is_down_at_the_last_check() {
    let over = |in_cell: InCell| {
        let mut harness = Harness::engine().requested();
        harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
        let unlocked = Observation::ServerCall {
            server: id(1),
            call: ServerCall::Unlock,
            result: Ok(()),
        };
        harness.see(unlocked);
        if !harness.requests(|command| matches!(command, Command::TakeInventory { .. })) {
            harness.tick(500);
        }
        harness.empty(in_cell).tick(100);
        harness
    };
    assert_eq!(over(InCell::Has(0)).status, NotificationStatus::Finished);
    // By Nova's own records all known instances have left.
    for unsure in [InCell::NotQueried, InCell::Failed(timeout())] {
        assert_eq!(over(unsure).status, NotificationStatus::Finished);
    }
    let mut harness = over(InCell::Has(1));
    assert_eq!(harness.status, NotificationStatus::Running);
    harness.tick(2_000).inventory(vec![server(2)], vec![]);
    assert!(harness.is_waiting(2), "{:?}", harness.message);
}

/// Covers C4.
#[test]
fn without_a_hypervisor_one_empty_list_does_not_count() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().empty(InCell::NotQueried);
    for _ in 0..5 {
        harness.tick(400);
        assert_eq!(harness.status, NotificationStatus::Running);
    }
    harness.tick(1_100);
    assert!(harness.requests(|command| matches!(command, Command::TakeInventory { .. })));
    harness.inventory(vec![server(1)], vec![]);
    assert!(harness.is_waiting(1), "the cell was away only for a moment");
}

/// Covers C4.
#[test]
fn without_a_hypervisor_two_empty_lists_seconds_apart_count() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().empty(InCell::NotQueried);
    harness.tick(3_100).empty(InCell::NotQueried);
    for _ in 0..3 {
        harness.tick(100);
    }
    assert_eq!(
        harness.status,
        NotificationStatus::Finished,
        "{:?}",
        harness.message
    );
}

fn stuck() -> Vec<Migration> {
    vec![evacuation(1, 1, "pre-migrating", Some("b"))]
}

/// Covers C5.
#[test]
fn a_stuck_move_is_in_the_journal_with_its_destination() {
    let mut harness = Harness::engine().requested();
    poll(&mut harness, 500_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
    assert!(!harness.one(1).waits_for().needs_person());
    poll(&mut harness, 200_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
    harness.take_over();
    let kept = harness.one(1);
    assert!(kept.waits_for().needs_person());
    assert_eq!(kept.dest.as_deref(), Some("b"));
}

/// Covers C5.
#[test]
fn reject_ends_a_recovery_that_waits_for_a_record_that_nova_never_ends() {
    let mut harness = Harness::engine().requested();
    poll(&mut harness, 60_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
    harness.command(OperatorCommand::Reject);
    poll(&mut harness, 300_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
    assert!(harness.is_asked(1), "it may yet be done");
    poll(&mut harness, 300_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
    harness.over(vec![rebuilding(1)]);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Person));
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert!(
        harness.one(1).may_run.contains("b"),
        "a later recovery is to know"
    );
}

/// Covers C5.
#[test]
fn a_failure_declared_by_an_operator_ends_a_stuck_move_and_names_the_host() {
    let mut harness = Harness::engine().requested();
    poll(&mut harness, 20_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
    harness.resolve(1, ResolutionKind::Failure, Some("b"));
    assert!(harness.is_asked(1), "it has made progress just now");
    poll(&mut harness, 60_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
    harness.resolve(1, ResolutionKind::Failure, None);
    assert!(harness.is_asked(1), "of which host?");
    harness.resolve(1, ResolutionKind::Failure, Some("c"));
    assert!(harness.is_asked(1), "another one");
    harness.resolve(1, ResolutionKind::Failure, Some("b"));
    let requested = harness.evacuates(1);
    let later = poll(&mut harness, 5_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
    assert!(requested || later == [None], "{:?}", harness.one(1));
}

/// Seed 975188778: it was to be named for the destination first, and for the other host first.
/// Covers C5, R29.
#[test]
fn an_operator_names_each_host_of_a_stuck_move_in_any_order() {
    for order in [["b", "c"], ["c", "b"]] {
        let mut harness = Harness::engine().requested();
        harness
            .state
            .moves
            .get_mut(&id(1))
            .unwrap()
            .may_run
            .insert("c".into());
        poll(&mut harness, 20_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
        poll(&mut harness, 700_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
        let wait = harness.one(1).wait.clone().unwrap();
        assert_eq!(wait.on, BTreeSet::from(["b".to_owned(), "c".to_owned()]));
        for host in order {
            harness.resolve(1, ResolutionKind::Failure, Some(host));
            let is_given_up = harness.one(1).dest.is_none();
            assert_eq!(is_given_up, host == "b" || order[0] == "b", "{order:?} {host}");
        }
        assert!(harness.one(1).has_no_possible_host(), "{:?}", harness.one(1));
    }
}

/// The action had no effect, but the timeline recorded one.
/// Covers C5.
#[test]
fn a_failure_declared_by_an_operator_names_uncertain_hosts_and_none_that_is_confirmed_off() {
    let mut instance = failed_at_b().one(1).clone();
    instance.may_run.insert("c".into());
    instance.counted_off.insert("c".into());
    assert_eq!(instance.accepts(ResolutionKind::Failure, Some("b")), Ok(()));
    let refused = instance.accepts(ResolutionKind::Failure, Some("c")).unwrap_err();
    assert!(refused.contains("may run on b: name that host"), "{refused}");
}

/// Covers C5.
#[test]
fn ignore_ends_a_held_or_stuck_move_and_keeps_its_possible_hosts() {
    let mut harness = failed_at_b();
    harness.resolve(1, ResolutionKind::Ignore, None);
    assert!(
        matches!(harness.step(1), MoveStep::Unlocking { end: End::Left, .. }),
        "{:?}",
        harness.step(1)
    );
    assert!(harness.one(1).may_run.contains("b"));
    let mut harness = Harness::engine().requested();
    poll(&mut harness, 5_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
    harness.resolve(1, ResolutionKind::Ignore, None);
    assert!(
        matches!(harness.step(1), MoveStep::Unlocking { end: End::Person, .. }),
        "{:?}",
        harness.step(1)
    );
    assert!(harness.one(1).may_run.contains("b"));
}

/// Covers C5.
#[test]
fn success_counts_when_nova_shows_it_there() {
    let shown = |host: &str| Server {
        host: Some(host.into()),
        ..server(1)
    };
    for (host, believed) in [(HOST, false), ("c", false), ("b", true)] {
        let mut harness = Harness::engine().requested();
        poll(&mut harness, 5_000, &[rebuilding(1)], &stuck(), &[], &bus(true));
        harness.resolve(1, ResolutionKind::Success, Some("b"));
        harness.reads(
            1,
            Some(Server {
                task_state: Some("rebuilding".into()),
                ..shown(host)
            }),
        );
        let moved = matches!(harness.step(1), MoveStep::Unlocking { end: End::Moved, .. });
        assert_eq!(moved, believed, "{host}: {:?}", harness.step(1));
    }
}

/// Covers C5.
#[test]
fn an_operator_action_applies_once_and_not_again_after_a_takeover() {
    let mut harness = failed_at_b();
    harness.resolve(1, ResolutionKind::Failure, Some("b"));
    assert!(harness.one(1).may_run.is_empty());
    harness.take_over();
    assert_eq!(harness.state.heard_moves, 1);
    assert!(harness.one(1).may_run.is_empty());
}

/// Covers R13.
#[test]
fn an_instance_bound_to_a_host_that_nova_forgot_is_held_and_not_requested_in_a_loop() {
    let mut harness = failed_at_b();
    let records = [evacuation(1, 1, "failed", Some("b"))];
    let mut requested = 0;
    for _ in 0..400 {
        requested += poll(&mut harness, 1_000, &[in_error(1)], &records, &[], &bus(true)).len();
        if harness.is_asked(1) {
            let unknown = fault(Some(404), FaultClass::Permanent, false);
            harness.answer(1, ServerCall::Evacuate, Err(unknown));
            if harness.requests(|command| *command == Command::ReadServer(id(1))) {
                harness.reads(1, Some(in_error(1)));
            }
        }
    }
    assert_eq!(harness.step(1), &MoveStep::OnHold, "{requested} requests");
    assert!(requested <= 12, "{requested} requests");
}
