use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::entity::Stamps;
use crate::entity::notification::NotificationType;
use crate::fault::Fault;
use crate::guard::{HostIncident, NovaView, RegionHost};
use crate::recovery::OperatorRequest;
use crate::{HostId, SegmentId, ServiceId, Timestamp};

mod freezes;
mod hooks;

const HOST: &str = "c1";
const D: u64 = 20_000;
const LATE_EFFECT_WINDOW: u64 = 81_000;

fn operator_state(segment_enabled: bool, operator_maintenance: bool) -> OperatorState {
    OperatorState {
        segment_enabled,
        operator_maintenance,
        ..OperatorState::DEFAULT
    }
}

fn record_of(enabled: bool, reason: Option<&str>) -> Service {
    Service {
        id: ServiceId(Uuid::from_u128(9)),
        host: HOST.into(),
        enabled,
        disabled_reason: reason.map(Into::into),
        up: true,
        forced_down: false,
        last_heartbeat: None,
        nova_now: None,
    }
}

fn shown(enabled: bool) -> Observation {
    Observation::Service(Ok(Some(record_of(enabled, None))))
}

fn fault(class: FaultClass, status: Option<u16>, maybe_done: bool) -> Fault {
    Fault {
        class,
        status,
        maybe_done,
        text: format!("compute PUT os-services was answered {status:?}"),
    }
}

fn accepted() -> Observation {
    Observation::ServiceUpdated(Ok(record_of(false, None)))
}

struct Run {
    state: ProcessRecovery,
    at: u64,
    record: Record,
    commands: Vec<Command>,
    calls: Vec<(u64, Command)>,
    shown: Option<(NotificationStatus, Option<String>)>,
    region: Region,
}

/// Returns ten healthy hosts of a segment, this one first.
fn region() -> Region {
    let host = |number: u128| RegionHost {
        id: HostId(Uuid::from_u128(3 + number)),
        name: if number == 0 {
            HOST.into()
        } else {
            format!("other-{number}")
        },
        segment: SegmentId(Uuid::from_u128(1)),
        on_maintenance: false,
        by_operator: false,
        by_process: false,
        recovering: false,
        waits_for_disks: false,
        reported_ago: None,
        reporters: Vec::new(),
        heartbeats: crate::monitor::BootHeartbeats::default(),
    };
    Region {
        running_for: Duration::from_hours(1),
        hosts: (0..10).map(host).collect(),
        orders: Vec::new(),
        proofs: Vec::new(),
        processes: Vec::new(),
        nova: Ok(NovaView {
            services: [(HOST.to_owned(), Some(record_of(true, None)))].into(),
            ..NovaView::default()
        }),
        witnesses: Vec::new(),
        domains: BTreeMap::new(),
    }
}

impl Run {
    fn new(event: &str, process: &str) -> Self {
        let payload: BTreeMap<String, String> = [("event", event), ("process_name", process)]
            .map(|(key, value)| (key.into(), value.into()))
            .into();
        let notification = Notification {
            row: 1,
            id: NotificationId(Uuid::from_u128(2)),
            kind: NotificationType::Process,
            generated_time: Timestamp::from_micros(0),
            source_host: HostId(Uuid::from_u128(3)),
            segment: None,
            payload,
            status: NotificationStatus::New,
            message: None,
            reporter: None,
            stamps: Stamps {
                created_at: Timestamp::from_micros(0),
                updated_at: None,
            },
        };
        let id = RecoveryId(Uuid::from_u128(1));
        Self {
            state: ProcessRecovery::new(id, &notification, HOST, Policy::default()),
            at: 0,
            record: Record::default(),
            commands: Vec::new(),
            calls: Vec::new(),
            shown: None,
            region: region(),
        }
    }

    /// Returns a claimed recovery of a stopped `nova-compute`.
    fn begun() -> Self {
        let mut run = Self::new("STOPPED", "nova-compute");
        run.observe(Observation::Claimed(OperatorState::DEFAULT));
        assert_eq!(run.commands, [Command::ReadService]);
        run
    }

    /// Returns a recovery whose disable call was sent.
    fn requested() -> Self {
        let mut run = Self::begun();
        run.observe(shown(true));
        assert_eq!(run.calls.len(), 1);
        run
    }

    fn observe(&mut self, observation: Observation) {
        let now = DecisionTime {
            elapsed: Elapsed::from_millis(self.at),
            wall: Timestamp::from_micros(0),
        };
        let decision = decide(&mut self.state, observation, now);
        self.record = decision.record;
        self.commands = decision.commands;
        // The rest of the region is healthy, unless a test changes it.
        if self.commands == [Command::ScanHosts] {
            let region = Arc::new(self.region.clone());
            let decision = decide(&mut self.state, Observation::Region(region), now);
            let later = decision.record;
            self.record.merge(later);
            self.commands = decision.commands;
        }
        assert!(
            self.commands.len() <= 1,
            "one question at a time: {:?}",
            self.commands
        );
        if let Some(call) = self.commands.first().filter(|command| command.is_write()) {
            assert!(self.record.head, "the intent is journalled before the call");
            assert_eq!(self.record.unless_host_recovery.as_deref(), Some(HOST), "R12");
            self.calls.push((self.at, call.clone()));
        }
        if let Some(shown) = self.record.notification.clone() {
            if let Some((status, _)) = &self.shown {
                assert!(status.is_open(), "one end only");
            }
            assert_eq!(shown.0.is_open(), !self.state.over);
            self.shown = Some(shown);
        }
        assert!(!self.state.over || self.commands.is_empty());
        let head = self.state.head().unwrap();
        let again = ProcessRecovery::restore(&head).unwrap();
        assert_eq!(again.head().unwrap(), head, "serde round trip");
    }

    /// Shows this service at every tick and answers nothing else.
    fn goes_on(&mut self, millis: u64, enabled: bool) {
        while self.at < millis && !self.state.over {
            self.at = (self.at + 500).min(millis);
            self.observe(Observation::Tick);
            if self.commands == [Command::ReadService] {
                self.observe(shown(enabled));
            }
        }
    }

    fn taken_over(&mut self, operator_state: OperatorState) {
        self.state = ProcessRecovery::restore(&self.state.head().unwrap()).unwrap();
        self.observe(Observation::Claimed(operator_state));
    }

    fn assert_end(&self, case: &str, status: NotificationStatus, part: &str) {
        assert!(self.state.over, "{case}: still open");
        let (ended, message) = self.shown.clone().unwrap();
        let message = message.unwrap();
        assert_eq!(ended, status, "{case}: {message}");
        assert!(message.contains(part), "{case}: {message:?} lacks {part:?}");
    }
}

#[test]
fn gates_need_no_question() {
    use NotificationStatus::{Finished, Ignored};
    let cases = [
        (
            "started",
            "STARTED",
            "nova-compute",
            OperatorState::DEFAULT,
            Finished,
            "nothing to do",
        ),
        (
            "started, any case",
            "started",
            "nova-compute",
            OperatorState::DEFAULT,
            Finished,
            "nothing to do",
        ),
        (
            "another event",
            "RESTARTED",
            "nova-compute",
            OperatorState::DEFAULT,
            Ignored,
            "requires no recovery",
        ),
        (
            "no event",
            "",
            "nova-compute",
            OperatorState::DEFAULT,
            Ignored,
            "requires no recovery",
        ),
        (
            "a disabled segment",
            "STOPPED",
            "nova-compute",
            operator_state(false, false),
            Ignored,
            "segment HA is disabled",
        ),
        (
            "in maintenance",
            "STOPPED",
            "nova-compute",
            operator_state(true, true),
            Ignored,
            "in maintenance",
        ),
        (
            "another process, in maintenance",
            "STOPPED",
            "libvirtd",
            operator_state(true, true),
            Ignored,
            "in maintenance",
        ),
        (
            "no process",
            "STOPPED",
            "",
            OperatorState::DEFAULT,
            Ignored,
            "names no process",
        ),
        (
            "a process that is not essential",
            "STOPPED",
            "snmpd",
            OperatorState::DEFAULT,
            Finished,
            "non_essential_processes",
        ),
        (
            "the same by its path",
            "STOPPED",
            "/usr/sbin/snmpd",
            OperatorState::DEFAULT,
            Finished,
            "non_essential_processes",
        ),
    ];
    for (case, event, process, operator_state, status, part) in cases {
        let mut run = Run::new(event, process);
        run.state.policy.non_essential_processes = vec!["snmpd".to_owned()];
        run.observe(Observation::Tick);
        assert!(run.commands.is_empty(), "{case}: nothing before the first pulse");
        run.observe(Observation::Claimed(operator_state));
        run.assert_end(case, status, part);
        assert_eq!(
            run.record.host, None,
            "{case}: ew5, the host is not put in maintenance"
        );
    }
}

#[test]
fn nova_compute_is_disabled_with_our_mark_and_the_host_marked_when_nova_shows_it() {
    let mut run = Run::requested();
    let Command::UpdateService {
        update: ServiceUpdate::Disable { reason },
        ..
    } = &run.calls[0].1
    else {
        panic!("{:?}", run.calls);
    };
    assert_eq!(
        *reason,
        format!("Masakari detected process failed. [{}]", mark(run.state.id))
    );
    run.at = 100;
    run.observe(accepted());
    assert_eq!(run.record.host, None, "not before it is seen");
    run.goes_on(600, false);
    run.assert_end("", NotificationStatus::Finished, "is disabled");
    assert_eq!(run.record.host, Some(MaintenanceReason::Process));
    assert_eq!((run.record.life, run.calls.len()), (Some(Life::Closed), 1));
    run.observe(shown(true));
    assert!(run.record.is_empty(), "done stays done");
}

/// Covers R23.
#[test]
fn a_service_disabled_by_others_is_not_changed() {
    let mut run = Run::begun();
    run.observe(Observation::Service(Ok(Some(record_of(
        false,
        Some("disk swap"),
    )))));
    run.assert_end("", NotificationStatus::Finished, "is disabled");
    assert!(run.calls.is_empty());
}

/// An operator has enabled it since, and the copy of Nova's database that answers lags behind.
/// Covers R36.
#[test]
fn a_service_that_an_earlier_recovery_disabled_is_disabled_again() {
    let mut run = Run::begun();
    let reason = format!("{} [tachi another]", Policy::default().process_disable_reason);
    run.observe(Observation::Service(Ok(Some(record_of(false, Some(&reason))))));
    assert_eq!(run.calls.len(), 1, "{:?}", run.shown);
    assert!(!run.state.over);
    run.observe(accepted());
    run.at = 2_000;
    run.observe(shown(false));
    run.assert_end("", NotificationStatus::Finished, "is disabled");
}

#[test]
fn answers_to_the_question() {
    use FaultClass::{Conflict, Fatal, Permanent, Transient};
    let mut run = Run::begun();
    run.observe(Observation::Service(Ok(None)));
    assert!(!run.state.over, "a copy that lags behind gives this answer too");
    run.at = 5_000;
    run.observe(Observation::Tick);
    assert_eq!(run.commands, [Command::ReadService]);
    run.observe(Observation::Service(Ok(None)));
    run.assert_end(
        "",
        NotificationStatus::Failed,
        "no nova-compute service on host c1",
    );
    for class in [Conflict, Fatal, Permanent, Transient] {
        let mut run = Run::begun();
        run.observe(Observation::Service(Err(fault(class, Some(503), false))));
        assert!(run.commands.is_empty(), "{class:?}: not at once");
        let (status, message) = run.shown.clone().unwrap();
        assert_eq!(status, NotificationStatus::Running);
        assert!(message.unwrap().starts_with("waiting for Nova"));
        run.at = 1000;
        run.observe(Observation::Tick);
        assert_eq!(run.commands, [Command::ReadService], "{class:?}");
        run.observe(shown(true));
        assert_eq!(run.shown, Some((NotificationStatus::Running, None)), "taken back");
        assert_eq!(run.calls.len(), 1);
    }
}

#[test]
fn each_answer_of_the_call() {
    use FaultClass::{Conflict, Fatal, Permanent, Transient};
    // Interval of retries while the service is shown enabled; `None` if the recovery fails.
    let cases = [
        ("ok", Ok(record_of(false, None)), Some(D)),
        ("404", Err(fault(Permanent, Some(404), false)), None),
        ("400", Err(fault(Permanent, Some(400), false)), None),
        ("409", Err(fault(Conflict, Some(409), false)), Some(1000)),
        ("429", Err(fault(Transient, Some(429), false)), Some(1000)),
        ("403", Err(fault(Fatal, Some(403), false)), Some(1000)),
        ("503", Err(fault(Transient, Some(503), true)), Some(1000)),
    ];
    for (case, result, again) in cases {
        let mut run = Run::requested();
        run.observe(Observation::ServiceUpdated(result));
        let Some(again) = again else {
            run.assert_end(case, NotificationStatus::Failed, case);
            continue;
        };
        run.goes_on(again - 1, true);
        assert_eq!(run.calls.len(), 1, "{case}: not before");
        run.goes_on(again + 1000, true);
        assert_eq!(run.calls.len(), 2, "{case}");
        run.observe(accepted());
        run.goes_on(again + 3000, false);
        run.assert_end(case, NotificationStatus::Finished, "is disabled");
    }
}

#[test]
fn a_disabling_without_effect_fails_after_its_limit() {
    for (seconds, calls) in [(180, 9..=10), (60, 3..=4)] {
        let mut run = Run::requested();
        run.state.policy.disable_limit = Duration::from_secs(seconds);
        while !run.state.over && run.at < 1_000_000 {
            run.observe(accepted());
            run.goes_on(run.at + D + 1000, true);
        }
        run.assert_end("", NotificationStatus::Failed, "still shows it enabled");
        assert!(calls.contains(&run.calls.len()), "{seconds}: {}", run.calls.len());
        let limit = seconds * 1000;
        assert!((limit..limit + 30_000).contains(&run.at), "{seconds}: {}", run.at);
    }
}

#[test]
fn a_lost_answer_is_looked_for_before_anything_else() {
    let mut run = Run::requested();
    run.observe(Observation::ServiceUpdated(Err(fault(
        FaultClass::Transient,
        None,
        true,
    ))));
    run.goes_on(2000, false);
    run.assert_end("", NotificationStatus::Finished, "is disabled");
    assert_eq!(run.calls.len(), 1, "it had taken effect");
}

/// Covers R20.
#[test]
fn an_abort_in_the_middle_blocks_the_call_and_undoes_nothing() {
    for no in [operator_state(false, false), operator_state(true, true)] {
        let mut run = Run::begun();
        run.observe(Observation::OperatorState(no.clone()));
        run.assert_end("before the call", NotificationStatus::Ignored, "");
        assert!(run.calls.is_empty());

        let mut run = Run::requested();
        run.observe(Observation::OperatorState(no.clone()));
        run.observe(accepted());
        run.goes_on(2000, false);
        run.assert_end("after an effect", NotificationStatus::Finished, "is disabled");

        let mut run = Run::requested();
        run.observe(Observation::OperatorState(no.clone()));
        run.observe(Observation::ServiceUpdated(Err(fault(
            FaultClass::Conflict,
            Some(409),
            false,
        ))));
        run.assert_end("after a refusal", NotificationStatus::Ignored, "");

        let mut run = Run::requested();
        run.observe(Observation::OperatorState(no));
        run.observe(Observation::ServiceUpdated(Err(fault(
            FaultClass::Transient,
            None,
            true,
        ))));
        run.goes_on(LATE_EFFECT_WINDOW - 1000, true);
        assert!(!run.state.over, "it may still take effect");
        run.goes_on(LATE_EFFECT_WINDOW + 1000, true);
        run.assert_end("after a loss", NotificationStatus::Ignored, "");
        assert_eq!(run.calls.len(), 1);
    }
}

#[test]
fn what_was_not_sent_is_begun_again_but_not_at_once() {
    for run in [Run::begun(), Run::requested()] {
        let mut run = run;
        let command = run.commands[0].clone();
        let calls = run.calls.len();
        run.observe(Observation::NotSent(command.clone()));
        assert!(run.commands.is_empty(), "{command:?}: no busy loop");
        run.at = 500;
        run.observe(Observation::Tick);
        assert_eq!(run.commands, [Command::ReadService]);
        run.observe(shown(true));
        assert_eq!(run.calls.len(), calls + 1);
    }
}

/// Covers R12.
#[test]
fn a_host_that_is_being_recovered_needs_no_more() {
    let mut run = Run::requested();
    let call = run.commands[0].clone();
    run.observe(Observation::NotSent(call));
    run.observe(Observation::HostUnderRecovery);
    run.assert_end("", NotificationStatus::Finished, "is being recovered");
    assert_eq!(run.record.host, None, "the host recovery reports it");
}

#[test]
fn taken_over_it_looks_first() {
    let mut run = Run::begun();
    run.taken_over(OperatorState::DEFAULT);
    assert_eq!(run.commands, [Command::ReadService]);

    let mut run = Run::requested();
    run.taken_over(operator_state(false, false));
    assert_eq!(run.commands, [Command::ReadService], "the request is followed");
    run.observe(shown(false));
    run.assert_end("", NotificationStatus::Finished, "is disabled");
    run.taken_over(OperatorState::DEFAULT);
    assert!(run.record.is_empty() && run.commands.is_empty(), "over");
}

#[test]
fn an_operators_reject_ends_it_once() {
    let mut run = Run::requested();
    let word = |number, word| {
        Observation::OperatorState(OperatorState {
            word: Some(OperatorRequest {
                number,
                word,
                by: "alice".into(),
                at: Timestamp::from_micros(0),
            }),
            ..OperatorState::DEFAULT
        })
    };
    run.observe(word(1, OperatorCommand::Approve));
    run.observe(word(1, OperatorCommand::Reject));
    assert!(!run.state.over, "a stale number");
    run.observe(word(2, OperatorCommand::Reject));
    run.assert_end("", NotificationStatus::Failed, "aborted by alice");
}

proptest::proptest! {
    /// Covers R12, R20.
    #[test]
    fn random_sequences_never_disable_against_an_operator_and_end_once(
        sequence in proptest::collection::vec((0..3000_u64, 0..14_u8), 1..200),
    ) {
        let mut run = Run::begun();
        let mut forbidden = false;
        for (passed, what) in sequence {
            run.at += passed;
            let last = run.commands.first().cloned();
            let no = |forbidden: &mut bool, operator_state: OperatorState| {
                *forbidden = !operator_state.segment_enabled || operator_state.operator_maintenance;
                Observation::OperatorState(operator_state)
            };
            let observation = match what {
                0 => no(&mut forbidden, operator_state(false, false)),
                1 => no(&mut forbidden, operator_state(true, true)),
                2 | 3 => no(&mut forbidden, OperatorState::DEFAULT),
                4..7 => shown(true),
                7 if passed < 300 => shown(false),
                8 => accepted(),
                9 => Observation::ServiceUpdated(Err(fault(FaultClass::Transient, None, true))),
                10 => Observation::ServiceUpdated(Err(fault(FaultClass::Conflict, Some(409), false))),
                11 => Observation::Service(Err(fault(FaultClass::Transient, Some(503), false))),
                12 => {
                    run.taken_over(if forbidden { operator_state(true, true) } else { OperatorState::DEFAULT });
                    continue;
                }
                13 => last.map_or(Observation::Tick, Observation::NotSent),
                _ => Observation::Tick,
            };
            let before = run.calls.len();
            run.observe(observation);
            assert!(run.calls.len() == before || !forbidden, "against the operator's action");
        }
        run.taken_over(OperatorState::DEFAULT);
        if !run.state.over {
            run.observe(shown(false));
        }
        assert!(run.state.over && !run.shown.clone().unwrap().0.is_open());
    }
}

/// Returns a region in which nine other hosts' services were disabled for a process a day ago.
fn crowded() -> Run {
    let mut run = Run::begun();
    let day = Duration::from_hours(24);
    let out = |number: u128| HostIncident {
        host: HostId(Uuid::from_u128(3 + number)),
        recovery: RecoveryId(Uuid::from_u128(100 + number)),
        age: day,
    };
    run.region.processes = (1..10).map(out).collect();
    run
}

/// Covers T3.
#[test]
fn a_service_is_not_disabled_when_too_many_are_and_an_operator_is_asked() {
    let mut run = crowded();
    run.observe(shown(true));
    assert!(run.calls.is_empty() && !run.state.over);
    let (status, message) = run.shown.clone().unwrap();
    assert_eq!(status, NotificationStatus::Running);
    let message = message.unwrap();
    assert!(message.starts_with("on hold: G12 process: "), "{message}");
    let request = OperatorRequest {
        number: 1,
        word: OperatorCommand::Approve,
        by: "ada".into(),
        at: Timestamp::from_micros(0),
    };
    run.at = 600_000;
    let approved = OperatorState {
        word: Some(request),
        ..OperatorState::DEFAULT
    };
    run.observe(Observation::OperatorState(approved));
    assert_eq!(run.commands, [Command::ReadService]);
    run.observe(shown(true));
    assert_eq!(run.calls.len(), 1);
}

/// Covers T3.
#[test]
fn a_recovery_on_hold_continues_when_others_are_back_and_survives_its_engine() {
    let mut run = crowded();
    run.observe(shown(true));
    run.taken_over(OperatorState::DEFAULT);
    run.observe(shown(true));
    assert!(run.calls.is_empty());
    run.region.processes.clear();
    run.at = 40_000;
    run.observe(Observation::Tick);
    run.observe(shown(true));
    assert_eq!(run.calls.len(), 1);
}

/// Covers T3.
#[test]
fn a_recovery_on_hold_whose_service_is_up_in_nova_ends_by_itself() {
    let mut run = crowded();
    run.observe(shown(true));
    run.goes_on(200_000, true);
    run.assert_end(
        "heard",
        NotificationStatus::Finished,
        "it runs, and nothing was done",
    );
    assert!(run.record.dismissed, "a false alarm");
    assert!(run.calls.is_empty());
}

/// A reserved host is disabled, and one in maintenance provides no spare capacity.
/// Covers T3.
#[test]
fn a_host_that_is_disabled_already_is_not_taken_out_of_use_past_the_guard() {
    let mut run = crowded();
    run.observe(shown(false));
    assert_eq!(run.record.host, None);
    let (_, message) = run.shown.clone().unwrap();
    let message = message.unwrap();
    assert!(message.starts_with("on hold: G12 process: "), "{message}");
    run.region.processes.clear();
    run.at = 40_000;
    run.observe(Observation::Tick);
    run.observe(shown(false));
    assert_eq!(run.record.host, Some(MaintenanceReason::Process));
    assert!(run.calls.is_empty(), "there is nothing to be disabled");
}

/// The engine was stopped between its query and the answer.
/// Covers C19, T3.
#[test]
fn a_stale_scan_does_not_allow_the_disabling() {
    let mut run = Run::begun();
    run.state.region = None;
    let now = |at: u64| DecisionTime {
        elapsed: Elapsed::from_millis(at),
        wall: Timestamp::from_micros(0),
    };
    let commands = decide(&mut run.state, shown(true), now(run.at));
    assert_eq!(commands.commands, [Command::ScanHosts]);
    let late = decide(
        &mut run.state,
        Observation::Region(Arc::new(run.region.clone())),
        now(run.at + 180_000),
    );
    assert_eq!(
        late.commands,
        [],
        "neither that scan nor that reading of Nova counts"
    );
    run.at += 181_000;
    run.observe(Observation::Tick);
    assert_eq!(run.commands, [Command::ReadService], "both are read again");
}
