//! Permits and shared records.

use std::collections::BTreeSet;
use std::time::Duration;

use super::harness::{Harness, evacuation, fault, id, server, tagged, timeout, wall};
use crate::Elapsed;
use crate::fault::FaultClass;
use crate::host_recovery::{End, MoveStep};
use crate::nova::{Server, VmState};
use crate::pace::{Permits, StartSample, Urgency};
use crate::recovery::{Command, DecisionTime, Evacuations, Lists, Observation, ServerCall, ServerIds};

impl Harness {
    fn permits(&mut self, evacuations: u64, calls: u32) -> &mut Self {
        self.see(Observation::Permits(Permits {
            evacuations,
            calls,
            pause: Duration::from_millis(500),
        }))
    }

    fn evacuated(&self) -> usize {
        let requested = |command: &&Command| matches!(command, Command::Evacuate(_));
        self.commands.iter().filter(requested).count()
    }

    fn requests_lists(&self) -> bool {
        self.requests(|command| matches!(command, Command::ReadLists { .. }))
    }

    fn requests_records(&self) -> bool {
        self.requests(|command| matches!(command, Command::ReadEvacuations { .. }))
    }

    fn requests_ids(&self) -> bool {
        self.requests(|command| *command == Command::ReadServerIds)
    }

    fn ids(&mut self, numbers: &[u128]) -> &mut Self {
        let started = Elapsed::from_millis(self.at);
        let ids = numbers.iter().map(|number| id(*number)).collect();
        self.see(Observation::ServerIds(Ok(ServerIds { started, ids })))
    }

    fn next_poll(&self) -> u128 {
        let now = DecisionTime {
            elapsed: Elapsed::from_millis(self.at),
            wall: wall(self.at),
        };
        self.state.next_poll(now).as_millis()
    }
}

/// Returns three instances, one of them prioritised; without permits one is evacuated at a time.
fn harness() -> Harness {
    Harness::with("UNKNOWN", |policy| policy.queued = 1).planned(vec![server(1), tagged(2), server(3)])
}

#[test]
fn with_one_permit_the_marked_instance_is_first() {
    let harness = harness();
    assert!(harness.evacuates(2));
    assert_eq!(harness.evacuated(), 1);
}

#[test]
fn nothing_starts_without_a_permit() {
    let mut harness = Harness::with("UNKNOWN", |_| ());
    harness.leave_is_given = true;
    let mut harness = harness.planned(vec![server(1), tagged(2)]);
    let locks = |harness: &Harness| harness.requests(|command| matches!(command, Command::Lock { .. }));
    assert!(harness.evacuated() == 0 && !locks(&harness));
    assert!(locks(harness.permits(1, 8)));
}

#[test]
fn no_more_starts_than_permitted_and_the_demand_is_reported() {
    let mut harness = harness();
    harness.permits(1, 8);
    assert_eq!(harness.evacuated(), 0, "one was requested already");
    let demand = harness.state.demand();
    assert_eq!((demand.requested, demand.in_flight, demand.queued), (1, 1, 1));
    assert_eq!(demand.ready, [(Urgency::default(), 2)]);
    assert!(demand.active && !demand.calls);
    harness.permits(2, 8);
    assert_eq!(harness.evacuated(), 1);
    harness.permits(2, 8);
    assert_eq!(
        harness.evacuated(),
        0,
        "the same leave twice is not leave for two"
    );
    harness.permits(9, 8);
    assert_eq!(harness.evacuated(), 1);
    assert_eq!(harness.state.demand().ready, []);
}

#[test]
fn a_failed_request_needs_a_new_permit() {
    let mut harness = harness();
    harness.permits(1, 8);
    let refused = fault(Some(503), FaultClass::Transient, false);
    harness.answer(2, ServerCall::Evacuate, Err(refused));
    harness.tick(1_500);
    harness.power(crate::power::Power::Off);
    assert_eq!(harness.evacuated(), 0);
    let ready = harness.state.demand().ready;
    let marked = Urgency {
        tagged: true,
        priority: 0,
    };
    assert_eq!(ready, [(marked, 1), (Urgency::default(), 2)], "most urgent first");
    harness.permits(2, 8);
    assert!(harness.evacuates(2));
}

#[test]
fn nothing_is_ready_while_the_host_is_not_proven_off_just_now() {
    let mut harness = harness();
    harness.permits(1, 8).tick(31_000);
    harness.lists(vec![server(1), tagged(2), server(3)], vec![]);
    assert_eq!(
        harness.state.demand().ready,
        [],
        "a place would be kept from others for nothing"
    );
    harness.power(crate::power::Power::Off);
    assert_eq!(harness.state.demand().ready, [(Urgency::default(), 2)]);
    harness.operator_state(false, false);
    assert_eq!(
        harness.state.demand().ready,
        [],
        "nor while the segment is disabled"
    );
}

#[test]
fn a_new_owner_starts_to_count_at_zero() {
    let mut harness = harness();
    harness.permits(5, 8).take_over();
    assert_eq!(harness.state.demand().requested, 0);
    let before = harness.state.demand().in_flight;
    assert_eq!(before, 3, "the request is followed");
}

#[test]
fn the_pick_up_time_is_reported_once() {
    let mut harness = Harness::engine().requested();
    harness.at += 699;
    harness.lists(vec![server(1)], vec![evacuation(4, 1, "accepted", None)]);
    assert_eq!(harness.state.sight().taken, []);
    harness.at += 500;
    harness.lists(
        vec![server(1)],
        vec![evacuation(4, 1, "pre-migrating", Some("b"))],
    );
    // It was not taken up at the previous check; the exact time is unknown.
    let wait = |least, most| StartSample {
        least: Duration::from_millis(least),
        most: Duration::from_millis(most),
    };
    assert_eq!(harness.state.sight().taken, [wait(700, 1_200)]);
    assert_eq!(harness.state.demand().queued, 0);
    harness.at += 500;
    harness.lists(
        vec![server(1)],
        vec![evacuation(4, 1, "pre-migrating", Some("b"))],
    );
    assert_eq!(harness.state.sight().taken, []);
}

#[test]
fn rare_polls_do_not_count_as_pick_up_time() {
    let mut harness = Harness::engine().requested();
    harness.at += 6_000;
    harness.lists(
        vec![server(1)],
        vec![evacuation(4, 1, "pre-migrating", Some("b"))],
    );
    assert_eq!(
        harness.state.sight().taken[0].least,
        Duration::ZERO,
        "it may have been at once"
    );
}

/// Covers R13.
#[test]
fn the_whole_lists_are_read_only_if_the_records_require_it() {
    let mut harness = Harness::engine().requested();
    harness.records(vec![]).tick(600);
    assert!(harness.requests_records() && !harness.requests_lists());
    harness.records(vec![evacuation(4, 1, "pre-migrating", Some("b"))]);
    assert!(!harness.requests_lists());
    assert_eq!(harness.one(1).dest.as_deref(), Some("b"));
    assert_eq!(harness.state.sight().taken.len(), 1);
    harness.tick(600);
    assert!(harness.requests_records() && !harness.requests_lists());
    harness.records(vec![evacuation(4, 1, "failed", Some("b"))]);
    assert!(harness.is_asked(1), "the records alone end nothing");
    assert!(harness.requests_lists(), "{:?}", harness.commands);
    harness.lists(vec![server(1)], vec![evacuation(4, 1, "failed", Some("b"))]);
    assert!(harness.is_waiting(1));
}

/// Covers R9.
#[test]
fn a_move_recorded_as_done_is_confirmed_by_one_read_of_the_instance() {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![server(1)], vec![]);
    let done = || vec![evacuation(4, 1, "done", Some("b"))];
    harness.tick(600).records(done());
    assert!(harness.is_asked(1), "the record alone ends nothing");
    assert!(!harness.requests_lists());
    assert!(harness.requests(|command| *command == Command::ReadServer(id(1))));
    harness.reads(1, Some(server(1)));
    assert!(harness.is_asked(1), "it has not left");
    harness.tick(600).records(done());
    assert!(
        !harness.requests(|command| matches!(command, Command::ReadServer(_))),
        "not again and again"
    );
    harness.lists(vec![server(1)], done());
    assert!(harness.is_asked(1), "nor by the lists");
    harness.tick(600).records(done());
    let moved = Server {
        host: Some("b".into()),
        ..server(1)
    };
    harness.reads(1, Some(moved));
    assert!(!harness.is_asked(1));
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
    assert_eq!(harness.one(1).note, None, "{:?}", harness.one(1).note);
    assert_eq!(harness.one(1).dest.as_deref(), Some("b"));
}

/// Covers R9.
#[test]
fn moves_that_are_done_together_are_confirmed_by_the_ids_of_those_that_are_still_there() {
    let servers: Vec<Server> = (1..=5).map(server).collect();
    let mut harness = Harness::engine().planned(servers.clone());
    harness.lists(servers, vec![]);
    let done = |number: u128| evacuation(u64::try_from(number).unwrap(), number, "done", Some("b"));
    let records = || (1..=3).map(done).collect();
    harness.tick(600).records(records());
    assert!(harness.requests_ids() && !harness.requests_lists());
    assert!(!harness.requests(|command| matches!(command, Command::ReadServer(_))));
    harness.tick(100);
    assert!(!harness.requests_ids(), "the last one has not been answered");
    harness.ids(&[1, 4, 5]);
    assert!(harness.is_asked(1), "it has not left");
    assert!(!harness.is_asked(2) && !harness.is_asked(3));
    assert_eq!(harness.one(2).dest.as_deref(), Some("b"));
    assert!(harness.is_asked(4), "no record shows its evacuation as done");
    assert!(!harness.requests_ids(), "the records come first");
    harness.tick(600).records(records());
    assert!(
        !harness.requests_ids() && !harness.requests(|command| matches!(command, Command::ReadServer(_))),
        "left to the full lists, without repeated reads"
    );
    let left: Vec<Server> = [4, 5].map(server).into();
    harness.lists(left, records());
    assert!(!harness.is_asked(1));
}

/// Covers R9.
#[test]
fn ids_do_not_confirm_a_move_without_a_finished_record() {
    let servers: Vec<Server> = (1..=3).map(server).collect();
    let mut harness = Harness::engine().planned(servers.clone());
    harness.lists(servers, vec![]);
    let done = |number: u128| evacuation(u64::try_from(number).unwrap(), number, "done", Some("b"));
    harness.tick(600).records((1..=2).map(done).collect());
    harness.ids(&[]);
    assert!(harness.is_asked(3));
    assert!(!harness.is_asked(1) && !harness.is_asked(2));
}

/// Covers R9.
#[test]
fn ids_read_before_the_request_confirm_nothing() {
    let mut harness = Harness::engine().planned(vec![server(1), server(2)]);
    harness.lists(vec![server(1), server(2)], vec![]);
    let done = |number: u128| evacuation(u64::try_from(number).unwrap(), number, "done", Some("b"));
    harness.tick(600).records((1..=2).map(done).collect());
    harness.see(Observation::ServerIds(Ok(ServerIds {
        started: Elapsed::ZERO,
        ids: BTreeSet::new(),
    })));
    assert!(harness.is_asked(1) && harness.is_asked(2));
}

#[test]
fn finished_evacuations_are_collected_for_three_seconds() {
    let servers: Vec<Server> = (1..=8).map(server).collect();
    let done = |number: u128| evacuation(u64::try_from(number).unwrap(), number, "done", Some("b"));
    let polls = |harness: &Harness| {
        harness.requests_ids() || harness.requests(|command| matches!(command, Command::ReadServer(_)))
    };
    let begun = || {
        let mut harness = Harness::with("UNKNOWN", |policy| policy.queued = 8).planned(servers.clone());
        harness.lists(servers.clone(), vec![]);
        assert!((1..=8).all(|number| harness.is_asked(number)));
        harness.tick(600);
        harness
    };
    let mut harness = begun();
    for _ in 0..6 {
        harness.records((1..=3).map(done).collect());
        assert!(!polls(&harness), "no instance would return sooner");
        harness.tick(500);
    }
    harness.records((1..=3).map(done).collect());
    assert!(harness.requests_ids());
    let mut harness = begun();
    harness.records((1..=4).map(done).collect());
    assert!(harness.requests_ids(), "half of them");
    // A stopped instance would run until the next check.
    let mut stopped = servers.clone();
    stopped[0].vm_state = VmState::Stopped;
    let mut harness = Harness::engine().planned(stopped.clone());
    harness.lists(stopped, vec![]).tick(600).records(vec![done(1)]);
    assert!(polls(&harness));
}

#[test]
fn an_instance_counts_as_back_from_the_time_of_its_record() {
    let servers: Vec<Server> = (1..=4).map(server).collect();
    let mut harness = Harness::engine().planned(servers.clone());
    harness.lists(servers, vec![]).tick(600);
    let done = evacuation(1, 1, "done", Some("b"));
    harness.records(vec![done.clone()]);
    let at = harness.at;
    harness.tick(3_500).records(vec![done]);
    assert!(harness.requests(|command| *command == Command::ReadServer(id(1))));
    let moved = Server {
        host: Some("b".into()),
        ..server(1)
    };
    harness.reads(1, Some(moved));
    assert_eq!(harness.one(1).done_at, Some(wall(at)));
}

#[test]
fn ids_that_cannot_be_read_are_read_again_a_second_later() {
    let mut harness = Harness::engine().planned(vec![server(1), server(2)]);
    harness.lists(vec![server(1), server(2)], vec![]);
    let done = |number: u128| evacuation(u64::try_from(number).unwrap(), number, "done", Some("b"));
    harness.tick(600).records((1..=2).map(done).collect());
    let refused = fault(Some(503), FaultClass::Transient, false);
    harness.see(Observation::ServerIds(Err(refused)));
    assert!(!harness.requests_ids());
    harness.tick(1_000);
    assert!(harness.requests_ids());
    harness.ids(&[]);
    assert!(!harness.is_asked(1) && !harness.is_asked(2));
}

/// Covers R13.
#[test]
fn the_whole_lists_are_read_at_intervals_too() {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![server(1)], vec![]);
    harness.tick(9_000);
    assert!(!harness.requests_lists());
    harness.tick(1_000);
    assert!(harness.requests_lists());
}

/// Covers R8.
#[test]
fn missing_records_are_never_a_failure() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.answer(1, ServerCall::Evacuate, Err(timeout()));
    harness.lists(vec![server(1)], vec![]);
    for _ in 0..400 {
        harness.tick(1_000).records(vec![]);
        assert!(!harness.evacuates_any(), "at {}", harness.at);
        assert!(harness.is_asked(1));
    }
}

#[test]
fn records_of_another_evacuation_require_a_check_before_any_request() {
    let mut harness =
        Harness::with("UNKNOWN", |policy| policy.queued = 1).planned(vec![server(1), server(2)]);
    harness.lists(vec![server(1), server(2)], vec![]);
    harness.see(Observation::Permits(Permits {
        evacuations: 1,
        calls: 8,
        pause: Duration::from_millis(500),
    }));
    harness.tick(600);
    // An earlier record is done and must not be taken for the effect of a later request (R8).
    harness.records(vec![evacuation(7, 2, "failed", None)]);
    assert!(!harness.requests_lists());
    assert_eq!(harness.one(2).known.0, 7);
    harness.tick(600);
    harness.records(vec![
        evacuation(9, 2, "accepted", None),
        evacuation(7, 2, "failed", None),
    ]);
    assert!(harness.requests_lists(), "another client is evacuating it");
    harness.lists(
        vec![server(1), server(2)],
        vec![
            evacuation(9, 2, "accepted", None),
            evacuation(7, 2, "failed", None),
        ],
    );
    harness.permits(1_000, 64);
    assert!(!harness.evacuates(2));
    assert!(harness.is_asked(2), "it is followed");
}

/// Covers R8.
#[test]
fn nothing_is_requested_while_the_records_show_an_evacuation_by_another_client() {
    for status in ["accepted", "pre-migrating", "done", "completed"] {
        let mut harness =
            Harness::with("UNKNOWN", |policy| policy.queued = 1).planned(vec![server(1), server(2)]);
        harness.lists(vec![server(1), server(2)], vec![]);
        harness
            .tick(600)
            .records(vec![evacuation(9, 2, status, Some("b"))]);
        assert!(harness.requests_lists(), "{status}");
        harness.permits(1_000, 64);
        assert!(
            !harness.evacuates(2),
            "{status}: there is capacity, but it was not checked"
        );
        harness.lists(vec![server(1), server(2)], vec![evacuation(9, 2, "failed", None)]);
        assert!(
            harness.evacuates(2),
            "{status}: it has come to nothing, and is here"
        );
    }
}

/// Covers R8.
#[test]
fn lists_requested_before_another_client_was_seen_do_not_clear_it() {
    let mut harness =
        Harness::with("UNKNOWN", |policy| policy.queued = 1).planned(vec![server(1), server(2)]);
    harness.lists(vec![server(1), server(2)], vec![]);
    let requested = Elapsed::from_millis(harness.at);
    harness
        .tick(600)
        .records(vec![evacuation(9, 2, "accepted", None)]);
    harness.permits(1_000, 64);
    let old = |started: Elapsed| {
        Observation::Lists(Ok(Lists {
            started,
            servers: vec![server(1), server(2)],
            evacuations: vec![],
            proven_off: BTreeSet::new(),
        }))
    };
    harness.see(old(requested));
    assert!(!harness.evacuates(2), "{:?}", harness.commands);
    harness.tick(5_000);
    assert!(harness.requests_lists(), "they are requested again");
    harness.see(old(Elapsed::from_millis(harness.at)));
    assert!(harness.evacuates(2), "no other client was evacuating it");
}

#[test]
fn a_record_from_before_our_request_is_not_its_effect() {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![server(1)], vec![]);
    harness.tick(600);
    let started = Elapsed::ZERO;
    harness.see(Observation::Evacuations(Ok(Evacuations {
        started,
        records: vec![evacuation(4, 1, "done", Some("b"))],
    })));
    assert!(!harness.requests_lists(), "it was read before");
    assert_eq!(harness.one(1).dest, None);
}

#[test]
fn the_next_decision_is_when_something_is_due_within_a_second() {
    let mut harness = Harness::engine().requested();
    harness.records(vec![]);
    assert_eq!(harness.next_poll(), 500, "the records");
    harness.tick(500);
    assert!(harness.requests_records());
    assert_eq!(
        harness.next_poll(),
        1_000,
        "an answer is awaited, and nothing else is due"
    );
    harness.records(vec![]).at += 499;
    assert_eq!(
        harness.next_poll(),
        5,
        "not again and again for the sake of a millisecond"
    );
    let refused = fault(Some(429), FaultClass::Transient, false);
    harness.see(Observation::Evacuations(Err(refused)));
    assert_eq!(harness.next_poll(), 1_000);
    assert_eq!(
        Harness::engine().begun().next_poll(),
        100,
        "the proof takes few steps"
    );
}
