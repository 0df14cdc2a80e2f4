use std::sync::Mutex;

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::vmove::VmoveState;
use tachi_domain::policy::Policy;
use tachi_domain::recovery::{Step, StepKind, Task};
use tachi_domain::{HostId, VmoveId};
use tachi_driver::open;
use tachi_testkit::rows;
use uuid::Uuid;

use super::*;
use crate::ports::NoEvents;
use crate::ports::journal::HostWrite;

const NOON: Timestamp = Timestamp::from_micros(1_795_176_000_000_000);

/// An event sink that stores the events.
#[derive(Default)]
struct Ear(Mutex<Vec<Event>>);

impl Events for Ear {
    fn is_enabled(&self) -> bool {
        true
    }

    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Ear {
    fn emitted_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn names(&self) -> Vec<String> {
        self.emitted_events().iter().map(Event::name).collect()
    }
}

fn claimed(kind: RecoveryKind) -> ClaimedRecovery {
    rows::claimed(kind, NOON)
}

fn emitter(ear: &Arc<Ear>, claimed: &ClaimedRecovery) -> EventEmitter {
    let events: Arc<dyn Events> = ear.clone();
    let state = open(claimed, &Policy::default()).unwrap();
    EventEmitter::new(&events, "engine:1", claimed, Some(&*state)).unwrap()
}

fn head() -> Write {
    Write {
        state: Some("{}".into()),
        ..Write::default()
    }
}

fn ended(status: NotificationStatus, message: &str) -> Write {
    Write {
        notification: Some((status, Some(message.into()))),
        ..head()
    }
}

fn one_move(number: u128, status: VmoveStatus) -> MoveWrite {
    MoveWrite {
        server: ServerId(Uuid::from_u128(200 + number)),
        vmove: VmoveState {
            id: VmoveId(Uuid::from_u128(100 + number)),
            name: format!("vm-{number}"),
            source_host: "compute-1".into(),
            dest_host: None,
            start_time: None,
            end_time: None,
            status,
            message: None,
        },
        rank: 0,
        wait: None,
        written_off: Vec::new(),
        may_run: BTreeSet::new(),
        open: true,
        state: "{}".into(),
    }
}

fn moves(moves: &[(u128, VmoveStatus)]) -> Write {
    Write {
        moves: moves
            .iter()
            .map(|(number, status)| one_move(*number, *status))
            .collect(),
        ..Write::default()
    }
}

fn failed_step(text: &str) -> StepWrite {
    StepWrite {
        step: Step {
            task: Task::Evacuate,
            server: None,
            kind: StepKind::Outcome,
            progress: 1.0,
            failed: true,
            text: text.into(),
        },
        at: NOON,
    }
}

#[test]
fn no_data_is_gathered_without_a_listener() {
    let events: Arc<dyn Events> = Arc::new(NoEvents);
    assert!(EventEmitter::new(&events, "engine:1", &claimed(RecoveryKind::Host), None).is_none());
}

/// Covers EW35.
#[test]
fn a_recovery_publishes_its_start_and_its_end() {
    let ear = Arc::<Ear>::default();
    let mut emitter = emitter(&ear, &claimed(RecoveryKind::Host));
    emitter.claimed(NOON);
    emitter.committed(&head(), None, NOON);
    emitter.committed(&head(), None, NOON);
    assert_eq!(
        ear.names(),
        ["notification.process.start", "recovery.process.start"],
        "emitted once, and a first claim is no take-over"
    );
    let proven = Write {
        proven_off: Some(true),
        host: Some(HostWrite {
            host: HostId(Uuid::from_u128(2)),
            why: MaintenanceReason::Recovery,
        }),
        ..head()
    };
    emitter.committed(&proven, None, NOON);
    emitter.committed(&proven, None, NOON);
    assert_eq!(
        ear.names(),
        ["host.update.start", "host.update.end", "recovery.proof"],
        "neither a repeated proof nor a host that stays in maintenance is an event"
    );
    emitter.committed(&ended(NotificationStatus::Finished, "2 moved"), None, NOON);
    let emitted_events = ear.emitted_events();
    let names: Vec<String> = emitted_events.iter().map(Event::name).collect();
    assert_eq!(names, ["notification.process.end", "recovery.process.end"]);
    let Subject::Notification(_, EventSnapshot::Entity(observed)) = &emitted_events[0].subject else {
        panic!("{:?}", emitted_events[0]);
    };
    assert_eq!(observed.status, NotificationStatus::Finished);
    assert!(emitted_events.iter().all(|event| event.failure.is_none()));
    emitter.committed(&ended(NotificationStatus::Finished, "2 moved"), None, NOON);
    assert_eq!(ear.names(), Vec::<String>::new(), "an end is emitted once");
}

/// Covers EW35.
#[test]
fn every_state_change_of_an_instance_is_published() {
    use VmoveStatus::{Failed, Ignored, Ongoing, Pending, Succeeded};
    let ear = Arc::<Ear>::default();
    let mut emitter = emitter(&ear, &claimed(RecoveryKind::Host));
    emitter.committed(&head(), None, NOON);
    ear.emitted_events();
    emitter.committed(&moves(&[(1, Pending), (2, Pending), (3, Ignored)]), None, NOON);
    assert_eq!(ear.names(), ["vmove.process.end"], "the one excluded");
    emitter.committed(&moves(&[(1, Ongoing), (2, Ongoing)]), None, NOON);
    emitter.committed(&moves(&[(1, Ongoing)]), None, NOON);
    assert_eq!(ear.names(), ["vmove.process.start", "vmove.process.start"]);
    emitter.committed(&moves(&[(1, Pending)]), None, NOON);
    emitter.committed(&moves(&[(1, Ongoing)]), None, NOON);
    assert_eq!(
        ear.names(),
        Vec::<String>::new(),
        "requested again, started long ago"
    );
    emitter.committed(&moves(&[(1, Succeeded), (2, Failed)]), None, NOON);
    let emitted_events = ear.emitted_events();
    let observed: Vec<_> = emitted_events
        .iter()
        .map(|event| (event.name(), event.priority().as_str()))
        .collect();
    assert_eq!(
        observed,
        [
            ("vmove.process.end".to_owned(), "INFO"),
            ("vmove.process.error".to_owned(), "ERROR")
        ]
    );
    emitter.committed(&ended(NotificationStatus::Failed, "1 of 2"), None, NOON);
    let emitted_events = ear.emitted_events();
    let Subject::Recovery(RecoveryEvent::Process, summary) = &emitted_events[1].subject else {
        panic!("{:?}", emitted_events[1]);
    };
    assert_eq!(summary.moves, [(Ignored, 1), (Failed, 1), (Succeeded, 1)].into());
}

/// Covers EW35.
#[test]
fn a_failure_names_what_failed_and_why() {
    for (kind, exception) in [
        (RecoveryKind::Host, "HostRecoveryFailureException"),
        (RecoveryKind::Vm, "InstanceRecoveryFailureException"),
        (RecoveryKind::Process, "ProcessRecoveryFailureException"),
    ] {
        let ear = Arc::<Ear>::default();
        let mut emitter = emitter(&ear, &claimed(kind));
        let steps = Write {
            steps: vec![failed_step("Nova said no"), failed_step("and no again")],
            ..head()
        };
        emitter.committed(&steps, None, NOON);
        ear.emitted_events();
        emitter.committed(&ended(NotificationStatus::Failed, "nothing moved"), None, NOON);
        let failure = ear.emitted_events()[0].failure.clone().unwrap();
        assert_eq!(failure.exception, exception);
        assert_eq!(failure.message, "nothing moved");
        assert_eq!(failure.function, "EvacuateInstancesTask");
        assert_eq!(
            failure.trace,
            "EvacuateInstancesTask: Nova said no\nEvacuateInstancesTask: and no again"
        );
    }
}

#[test]
fn a_trace_has_a_bound() {
    let ear = Arc::<Ear>::default();
    let mut emitter = emitter(&ear, &claimed(RecoveryKind::Host));
    for number in 0..1000 {
        let write = Write {
            steps: vec![failed_step(&number.to_string())],
            ..head()
        };
        emitter.committed(&write, None, NOON);
    }
    assert_eq!(emitter.trace().lines().count(), MAX_TRACE_LINES);
    assert!(emitter.trace().ends_with(": 999"));
}

/// Covers EW35.
#[test]
fn an_end_without_a_start_publishes_both() {
    let ear = Arc::<Ear>::default();
    let mut emitter = emitter(&ear, &claimed(RecoveryKind::Vm));
    let write = Write {
        notification: Some((
            NotificationStatus::Ignored,
            Some("the segment is disabled".into()),
        )),
        ..Write::default()
    };
    emitter.committed(&write, None, NOON);
    assert_eq!(
        ear.names(),
        [
            "notification.process.start",
            "recovery.process.start",
            "notification.process.end",
            "recovery.process.end"
        ]
    );
}

#[test]
fn a_hold_is_published_once_for_each_reason() {
    let ear = Arc::<Ear>::default();
    let mut emitter = emitter(&ear, &claimed(RecoveryKind::Host));
    emitter.committed(&head(), None, NOON);
    ear.emitted_events();
    emitter.committed(&head(), Some("a storm"), NOON);
    emitter.committed(&head(), Some("a storm"), NOON);
    let emitted_events = ear.emitted_events();
    assert_eq!(emitted_events.len(), 1);
    assert_eq!(emitted_events[0].name(), "recovery.hold");
    assert_eq!(emitted_events[0].failure.as_ref().unwrap().message, "a storm");
    emitter.committed(&head(), Some("it cannot be fenced"), NOON);
    assert_eq!(ear.names(), ["recovery.hold"]);
    emitter.committed(&head(), None, NOON);
    assert_eq!(ear.names(), ["recovery.resume"]);
    emitter.committed(&head(), Some("again"), NOON);
    ear.emitted_events();
    emitter.committed(&ended(NotificationStatus::Failed, "rejected"), None, NOON);
    assert_eq!(
        ear.names(),
        ["notification.process.error", "recovery.process.error"],
        "the end event is enough"
    );
}

#[test]
fn a_false_alarm_is_no_error_in_our_own_event() {
    let ear = Arc::<Ear>::default();
    let mut emitter = emitter(&ear, &claimed(RecoveryKind::Host));
    emitter.committed(&head(), None, NOON);
    ear.emitted_events();
    let dismissed = Write {
        dismissed: true,
        ..ended(NotificationStatus::Failed, "up in Nova: nothing was done")
    };
    emitter.committed(&dismissed, None, NOON);
    let emitted_events = ear.emitted_events();
    let names: Vec<String> = emitted_events.iter().map(Event::name).collect();
    assert_eq!(names, ["notification.process.error", "recovery.process.end"]);
    let Subject::Recovery(_, observed) = &emitted_events[1].subject else {
        panic!("{:?}", emitted_events[1]);
    };
    assert!(observed.dismissed);
    assert_eq!(emitted_events[1].failure, None);
}

#[test]
fn another_engine_continues_without_publishing_the_start_again() {
    let ear = Arc::<Ear>::default();
    let first = claimed(RecoveryKind::Host);
    let state = open(&first, &Policy::default()).unwrap();
    let again = ClaimedRecovery {
        epoch: 2,
        state: Some(state.head().unwrap()),
        ..claimed(RecoveryKind::Host)
    };
    let mut emitter = emitter(&ear, &again);
    emitter.claimed(NOON);
    emitter.committed(&head(), None, NOON);
    assert_eq!(ear.names(), ["recovery.take_over"]);
}

#[test]
fn the_end_of_watching_is_published() {
    let ear = Arc::<Ear>::default();
    let mut emitter = emitter(&ear, &claimed(RecoveryKind::Host));
    emitter.committed(&head(), None, NOON);
    let watching = Write {
        life: Some(Life::Watching),
        ..ended(NotificationStatus::Finished, "done")
    };
    emitter.committed(&watching, None, NOON);
    ear.emitted_events();
    let closed = Write {
        life: Some(Life::Closed),
        ..head()
    };
    emitter.committed(&closed, None, NOON);
    assert_eq!(ear.names(), ["recovery.close"]);
}

#[test]
fn every_event_of_a_recovery_has_its_id() {
    let ear = Arc::<Ear>::default();
    let mut emitter = emitter(&ear, &claimed(RecoveryKind::Host));
    emitter.committed(&ended(NotificationStatus::Failed, "no"), None, NOON);
    let emitted_events = ear.emitted_events();
    assert_eq!(emitted_events.len(), 4);
    for event in emitted_events {
        assert_eq!(event.cause.request_id, "req-00000000-0000-0000-0000-000000000003");
    }
}
