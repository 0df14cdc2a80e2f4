use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::entity::Stamps;
use crate::entity::notification::NotificationType;
use crate::fault::{Fault, FaultClass};
use crate::nova::{Actor, InstanceTraits as Nature, Migration, PowerState, ServerAction, VmState};
use crate::recovery::{MoveOrder, OperatorCommand, OperatorRequest, ServerCall, ServerReading};
use crate::{HostId, ServiceId, Timestamp};

mod answers;
mod budget;
mod chance;
mod elsewhere;
mod freezes;
mod gates;
mod hooks;
mod limits;
mod owners;
mod relocation;
mod whereabouts;

const HOST: &str = "c1";
const D: u64 = 20_000;
/// D + Q plus the maximum age of an intent: a call without an answer has no effect after that, in ms.
const LATE_EFFECT_WINDOW: u64 = 81_000;
const STOP_LIMIT: u64 = 180_000;
const START_LIMIT: u64 = 60_000;

/// Returns rules without moves and without a second restart.
fn restart_only() -> Policy {
    Policy {
        max_moves: 0,
        restart_again_for: Duration::ZERO,
        ..Policy::default()
    }
}

fn server_id() -> ServerId {
    ServerId(Uuid::from_u128(7))
}

fn notification(event: &str, detail: &str, instance: Option<&str>) -> Notification {
    let mut payload: BTreeMap<String, String> = [("event", event), ("vir_domain_event", detail)]
        .map(|(key, value)| (key.into(), value.into()))
        .into();
    payload.extend(instance.map(|id| ("instance_uuid".into(), id.into())));
    Notification {
        row: 1,
        id: NotificationId(Uuid::from_u128(2)),
        kind: NotificationType::Vm,
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
    }
}

fn operator_state(segment_enabled: bool, operator_maintenance: bool) -> OperatorState {
    OperatorState {
        segment_enabled,
        operator_maintenance,
        ..OperatorState::DEFAULT
    }
}

fn operator_action(number: u64, word: OperatorCommand) -> Observation {
    let word = OperatorRequest {
        number,
        word,
        by: "alice".into(),
        at: Timestamp::from_micros(0),
    };
    Observation::OperatorState(OperatorState {
        word: Some(word),
        ..OperatorState::DEFAULT
    })
}

fn server(vm_state: VmState, task_state: Option<&str>) -> Server {
    Server {
        id: server_id(),
        name: "web".into(),
        host: Some(HOST.into()),
        vm_state,
        task_state: task_state.map(Into::into),
        power_state: PowerState::Running,
        locked: false,
        locked_reason: None,
        metadata: [("HA_Enabled".to_owned(), "True".to_owned())].into(),
        volume_backed: true,
        launched: true,
        fault: None,
        about: Nature::default(),
        needs: None,
        updated: None,
    }
}

fn action(name: &str, by: Actor) -> ServerAction {
    ServerAction {
        action: name.to_owned(),
        by,
        at: None,
    }
}

fn actions(result: Result<Option<Vec<ServerAction>>, Fault>) -> Observation {
    Observation::Actions {
        server: server_id(),
        result,
    }
}

fn migrations(result: Result<Vec<Migration>, Fault>) -> Observation {
    Observation::Followed {
        server: server_id(),
        result: result.map(|migrations| ServerReading {
            server: None,
            migrations,
            percent: None,
        }),
    }
}

fn shown(server: Server) -> Observation {
    Observation::Server {
        server: server_id(),
        result: Ok(Some(server)),
    }
}

fn is(vm_state: VmState) -> Observation {
    shown(server(vm_state, None))
}

fn service(up: bool, forced_down: bool) -> Observation {
    Observation::Service(Ok(Some(Service {
        id: ServiceId(Uuid::from_u128(9)),
        host: HOST.into(),
        enabled: true,
        disabled_reason: None,
        up,
        forced_down,
        last_heartbeat: None,
        nova_now: None,
    })))
}

fn up() -> Observation {
    service(true, false)
}

fn answer(call: ServerCall, result: Result<(), Fault>) -> Observation {
    Observation::ServerCall {
        server: server_id(),
        call,
        result,
    }
}

fn fault(class: FaultClass, status: Option<u16>, maybe_done: bool) -> Fault {
    Fault {
        class,
        status,
        maybe_done,
        text: format!("compute POST action was answered {status:?}"),
    }
}

fn lost() -> Fault {
    fault(FaultClass::Transient, Some(503), true)
}

fn silent() -> Observation {
    Observation::Server {
        server: server_id(),
        result: Err(fault(FaultClass::Transient, None, false)),
    }
}

/// A recovery, its elapsed time, and all its records and commands.
struct Run {
    state: VmRecovery,
    at: u64,
    record: Record,
    commands: Vec<Command>,
    calls: Vec<(u64, Command)>,
    shown: Option<(NotificationStatus, Option<String>)>,
    /// The instance's actions in Nova, latest first; `None` leaves their reads unanswered.
    actions: Option<Vec<ServerAction>>,
    /// The instance's migrations in Nova; `None` leaves their reads unanswered.
    migrations: Option<Vec<Migration>>,
}

impl Run {
    fn new(event: &str, detail: &str, instance: Option<&str>, policy: Policy) -> Self {
        Self::of(&notification(event, detail, instance), policy)
    }

    fn of(notification: &Notification, policy: Policy) -> Self {
        let id = RecoveryId(Uuid::from_u128(1));
        Self {
            state: VmRecovery::new(id, notification, HOST, policy),
            at: 0,
            record: Record::default(),
            commands: Vec::new(),
            calls: Vec::new(),
            shown: None,
            actions: Some(vec![action("create", Actor::Person)]),
            migrations: Some(Vec::new()),
        }
    }

    /// Returns a claimed recovery that nothing blocks.
    fn begun() -> Self {
        let id = server_id().to_string();
        let mut run = Self::new("LIFECYCLE", "STOPPED_FAILED", Some(&id), restart_only());
        run.observe(Observation::Claimed(OperatorState::DEFAULT));
        assert_eq!(run.commands, [Command::ReadServer(server_id())]);
        run
    }

    /// Returns a recovery in this stage, whose call is commanded and unanswered.
    fn requested(stage: Stage) -> Self {
        let mut run = Self::begun();
        run.observe(is(match stage {
            Stage::Activating => VmState::Resized,
            Stage::Stopping => VmState::Active,
            Stage::Starting => VmState::Stopped,
            Stage::Begin | Stage::Migrating | Stage::Confirming | Stage::Waiting | Stage::Done => {
                panic!("not tested by this: {stage:?}")
            }
        }));
        assert_eq!(run.state.stage, stage);
        run.observe(up());
        assert_eq!(run.calls.len(), 1, "{:?}", run.calls);
        run
    }

    fn observe(&mut self, observation: Observation) {
        let now = DecisionTime {
            elapsed: Elapsed::from_millis(self.at),
            wall: Timestamp::from_micros(0),
        };
        let before = self.state.head().unwrap();
        let decision = decide(&mut self.state, observation, now);
        self.record = decision.record;
        self.commands = decision.commands;
        let writes: Vec<_> = self
            .commands
            .iter()
            .filter(|command| command.is_write())
            .collect();
        assert!(writes.len() <= 1, "one call at a time: {writes:?}");
        if let Some(call) = writes.first() {
            let host = Some(self.state.host.as_str());
            assert_eq!(self.record.unless_host_recovery.as_deref(), host, "R12");
            assert!(self.record.head, "the intent is journalled before the call");
            let intents = self
                .record
                .steps
                .iter()
                .filter(|step| step.kind == StepKind::Intent)
                .count();
            assert_eq!(intents, 1);
            self.calls.push((self.at, (*call).clone()));
        }
        if let Some(shown) = self.record.notification.clone() {
            if let Some((status, _)) = &self.shown {
                assert!(status.is_open(), "one end only");
            }
            assert_eq!(
                shown.0.is_open(),
                self.state.stage != Stage::Done,
                "{shown:?} in {:?}",
                self.state.stage
            );
            self.shown = Some(shown);
        }
        if self.state.stage == Stage::Done && self.record.life.is_some() {
            assert_eq!(self.record.life, Some(Life::Closed));
            assert!(self.commands.is_empty(), "{:?}", self.commands);
        }
        let head = self.state.head().unwrap();
        assert!(
            self.record.head || head == before || self.record.is_empty() || self.at > 0,
            "what must survive is written"
        );
        let again = VmRecovery::restore(&head).unwrap();
        assert_eq!(again.head().unwrap(), head, "serde round trip");
        self.show_actions();
        self.show_migrations();
    }

    /// Answers reads of the actions at once.
    fn show_actions(&mut self) {
        if let Some(shown) = self.actions.clone() {
            self.answer_at_once(&Command::ReadActions(server_id()), actions(Ok(Some(shown))));
        }
    }

    /// Answers reads of the migrations at once.
    fn show_migrations(&mut self) {
        if let Some(shown) = self.migrations.clone() {
            self.answer_at_once(&Command::FollowMove(server_id()), migrations(Ok(shown)));
        }
    }

    fn answer_at_once(&mut self, read: &Command, answer: Observation) {
        if !self.commands.contains(read) {
            return;
        }
        let mut earlier = std::mem::take(&mut self.commands);
        earlier.retain(|command| command != read);
        let record = self.record.clone();
        self.observe(answer);
        earlier.append(&mut self.commands);
        self.commands = earlier;
        if self.record.is_empty() {
            self.record = record;
        }
    }

    fn at(&mut self, millis: u64, observation: Observation) {
        assert!(millis >= self.at);
        self.at = millis;
        self.observe(observation);
    }

    /// Shows this instance and a running host at every tick, until `millis`.
    fn goes_on(&mut self, millis: u64, sight: &Observation) {
        while self.at < millis && self.state.stage != Stage::Done {
            self.at = (self.at + 500).min(millis);
            self.observe(sight.clone());
            if self.commands.contains(&Command::ReadService) {
                self.observe(up());
            }
        }
    }

    /// Replaces the engine by one that continues from the journal.
    fn taken_over(&mut self) {
        self.state = VmRecovery::restore(&self.state.head().unwrap()).unwrap();
        self.observe(Observation::Claimed(OperatorState::DEFAULT));
    }

    fn end(&self) -> (NotificationStatus, &str) {
        assert_eq!(self.state.stage, Stage::Done);
        let (status, message) = self.shown.as_ref().unwrap();
        (*status, message.as_deref().unwrap())
    }

    fn assert_end(&self, case: &str, status: NotificationStatus, part: &str) {
        let (ended, message) = self.end();
        assert_eq!(ended, status, "{case}: {message}");
        assert!(message.contains(part), "{case}: {message:?} lacks {part:?}");
    }
}

/// Runs a recovery with a Nova that answers within a tick of 20 ms and needs `takes` ms to stop an instance.
/// Returns the time from the stop to the start command, and the number of reads until then.
fn stopped_by_a_nova_that_takes(takes: u64) -> (u64, usize) {
    let mut run = Run::requested(Stage::Stopping);
    let (began, mut requests) = (run.at, 0);
    run.at(began + 20, answer(ServerCall::Stop, Ok(())));
    let mut reads: Vec<Command> = Vec::new();
    while run.calls.len() < 2 {
        assert!(run.at < began + takes + 60_000, "never");
        reads.extend(run.commands.iter().filter(|command| !command.is_write()).cloned());
        run.at += 20;
        match reads.pop() {
            Some(Command::ReadServer(_)) => {
                requests += 1;
                let done = run.at >= began + takes;
                run.observe(is(if done { VmState::Stopped } else { VmState::Active }));
            }
            Some(Command::ReadService) => {
                requests += 1;
                run.observe(up());
            }
            _ => run.observe(Observation::Tick),
        }
    }
    (run.at - began, requests)
}

#[test]
fn a_stopped_instance_is_started_soon_and_nova_is_not_asked_all_the_time() {
    for takes in [40, 150, 300, 700] {
        let (after, requests) = stopped_by_a_nova_that_takes(takes);
        assert!(
            after <= takes + takes / 2 + 150,
            "stopped after {takes} ms, started after {after}"
        );
        assert!(requests <= 8, "stopped after {takes} ms: {requests} reads");
    }
    let (after, requests) = stopped_by_a_nova_that_takes(20_000);
    assert!(after <= 20_000 + 600, "{after}");
    assert!(requests <= 50, "every 500 ms in the long run: {requests} reads");
}

fn call_of(stage: Stage) -> (Command, ServerCall) {
    let server = server_id();
    match stage {
        Stage::Activating => (
            Command::Activate {
                server,
                to: VmState::Active,
            },
            ServerCall::Activate,
        ),
        Stage::Stopping => (Command::Stop(server), ServerCall::Stop),
        Stage::Starting => (Command::Start(server), ServerCall::Start),
        Stage::Begin | Stage::Migrating | Stage::Confirming | Stage::Waiting | Stage::Done => {
            panic!("not tested by this: {stage:?}")
        }
    }
}

/// Returns the instance as it is while the stage's call has had no effect.
fn unmoved(stage: Stage) -> Observation {
    is(match stage {
        Stage::Activating => VmState::Resized,
        Stage::Stopping => VmState::Active,
        Stage::Starting => VmState::Stopped,
        Stage::Begin | Stage::Migrating | Stage::Confirming | Stage::Waiting | Stage::Done => {
            panic!("not tested by this: {stage:?}")
        }
    })
}

const CALL_STAGES: [Stage; 3] = [Stage::Activating, Stage::Stopping, Stage::Starting];

#[test]
fn every_vm_state_has_its_way() {
    let cases = [
        (VmState::Active, Some(Stage::Stopping), true),
        (VmState::Error, Some(Stage::Stopping), true),
        (VmState::Other("strange".into()), Some(Stage::Stopping), true),
        (VmState::Building, Some(Stage::Stopping), false),
        (VmState::Stopped, Some(Stage::Starting), true),
        (VmState::Resized, Some(Stage::Activating), true),
        (VmState::Paused, None, false),
        (VmState::Rescued, None, false),
        (VmState::Suspended, None, false),
        (VmState::Shelved, None, false),
        (VmState::ShelvedOffloaded, None, false),
        (VmState::Deleted, None, false),
    ];
    for (state, stage, calls) in cases {
        let mut run = Run::begun();
        run.observe(is(state.clone()));
        match stage {
            Some(stage) => assert_eq!(run.state.stage, stage, "{state}"),
            None => run.assert_end(
                &state.to_string(),
                NotificationStatus::Ignored,
                "left to its owner",
            ),
        }
        run.observe(up());
        assert_eq!(!run.calls.is_empty(), calls, "{state}");
    }
}

#[test]
fn a_crashed_instance_is_stopped_and_started_once_each() {
    let mut run = Run::requested(Stage::Stopping);
    run.at(100, answer(ServerCall::Stop, Ok(())));
    run.at(600, shown(server(VmState::Active, Some("powering-off"))));
    run.at(1100, is(VmState::Stopped));
    assert_eq!(run.state.stage, Stage::Starting);
    assert_eq!(run.commands, [Command::ReadService]);
    run.at(1200, up());
    run.at(1300, answer(ServerCall::Start, Ok(())));
    run.at(1700, shown(server(VmState::Stopped, Some("powering-on"))));
    run.at(2200, is(VmState::Active));
    run.assert_end("", NotificationStatus::Finished, "stopped and started");
    assert!(
        run.record.running_again,
        "what is reported of it from now on is another failure (R19)"
    );
    assert_eq!(
        run.calls,
        [
            (0, Command::Stop(server_id())),
            (1200, Command::Start(server_id()))
        ]
    );
    run.at(3000, is(VmState::Stopped));
    assert!(
        run.record.is_empty() && run.commands.is_empty(),
        "done stays done"
    );
}

#[test]
fn an_instance_that_nova_has_stopped_itself_is_only_started() {
    let mut run = Run::requested(Stage::Starting);
    run.at(100, answer(ServerCall::Start, Ok(())));
    run.at(600, is(VmState::Active));
    assert_eq!(run.calls, [(0, Command::Start(server_id()))]);
    run.assert_end("", NotificationStatus::Finished, "active");
}

#[test]
fn a_resized_instance_is_set_active_first() {
    let mut run = Run::requested(Stage::Activating);
    run.at(100, answer(ServerCall::Activate, Ok(())));
    run.at(600, is(VmState::Active));
    assert_eq!(run.state.stage, Stage::Stopping);
    run.at(700, up());
    run.at(800, answer(ServerCall::Stop, Ok(())));
    run.at(1300, is(VmState::Stopped));
    run.at(1400, up());
    let calls: Vec<_> = run.calls.into_iter().map(|(_, call)| call).collect();
    assert_eq!(calls, CALL_STAGES.map(|stage| call_of(stage).0));
}

#[test]
fn a_confirm_or_revert_under_way_is_not_cut_off_by_a_reset() {
    let mut run = Run::begun();
    run.observe(shown(server(VmState::Resized, Some("resize_reverting"))));
    run.observe(up());
    assert!(run.calls.is_empty() && run.state.stage == Stage::Activating);
}

/// Covers R5.
#[test]
fn taken_over_in_each_stage_a_call_without_an_answer_is_only_looked_for() {
    for stage in CALL_STAGES {
        let mut run = Run::requested(stage);
        run.at(1000, Observation::Tick);
        run.taken_over();
        assert_eq!(run.state.stage, stage);
        run.goes_on(LATE_EFFECT_WINDOW - 1, &unmoved(stage));
        assert_eq!(run.calls.len(), 1, "{stage:?}: not repeated");
        run.goes_on(LATE_EFFECT_WINDOW + 2000, &unmoved(stage));
        assert_eq!(run.calls.len(), 2, "{stage:?}: it never took effect");
    }
    let mut run = Run::requested(Stage::Stopping);
    run.taken_over();
    run.goes_on(LATE_EFFECT_WINDOW - 1, &is(VmState::Stopped));
    assert_eq!(run.calls.len(), 1, "a stop that may come is waited for");
    let mut run = Run::requested(Stage::Starting);
    run.taken_over();
    run.observe(is(VmState::Active));
    run.assert_end("the start took effect", NotificationStatus::Finished, "active");
    assert_eq!(run.calls.len(), 1);
}

#[test]
fn taken_over_where_nothing_is_open_it_goes_on_at_once() {
    let mut run = Run::begun();
    run.taken_over();
    assert_eq!(run.commands, [Command::ReadServer(server_id())]);

    let mut run = Run::requested(Stage::Stopping);
    run.observe(answer(ServerCall::Stop, Ok(())));
    run.taken_over();
    run.goes_on(2000, &is(VmState::Stopped));
    assert_eq!(
        run.calls.len(),
        2,
        "an answered stop is waited for no longer than it takes"
    );

    let mut run = Run::requested(Stage::Starting);
    run.observe(answer(ServerCall::Start, Ok(())));
    run.goes_on(500, &is(VmState::Active));
    run.taken_over();
    assert!(run.record.is_empty() && run.commands.is_empty(), "over");
}

/// Covers R12.
#[test]
fn a_host_recovery_ends_it_and_says_whether_the_instance_may_be_stopped() {
    use NotificationStatus::{Failed, Ignored};
    let refuse = |run: &mut Run, stage| {
        // As the driver does: the call of the refused write was not sent.
        run.observe(Observation::NotSent(call_of(stage).0));
        run.observe(Observation::HostUnderRecovery);
    };
    for (stage, status) in [
        (Stage::Activating, Ignored),
        (Stage::Stopping, Ignored),
        (Stage::Starting, Failed),
    ] {
        let mut run = Run::requested(stage);
        refuse(&mut run, stage);
        run.assert_end(&format!("{stage:?}"), status, "is being recovered");
        assert_eq!(run.calls.len(), 1, "{stage:?}");
    }
    let mut run = Run::requested(Stage::Stopping);
    run.observe(answer(ServerCall::Stop, Err(lost())));
    run.goes_on(LATE_EFFECT_WINDOW + 1000, &unmoved(Stage::Stopping));
    assert_eq!(run.calls.len(), 2);
    refuse(&mut run, Stage::Stopping);
    run.assert_end(
        "after a lost stop",
        Failed,
        "a stop for its restart had been requested",
    );
}

#[test]
fn nothing_is_done_to_an_instance_that_has_left_the_host() {
    use NotificationStatus::{Failed, Ignored};
    for (stage, status) in [
        (Stage::Activating, Ignored),
        (Stage::Stopping, Failed),
        (Stage::Starting, Failed),
    ] {
        let mut run = Run::requested(stage);
        run.observe(shown(Server {
            host: Some("c2".into()),
            ..server(VmState::Stopped, None)
        }));
        run.assert_end(&format!("{stage:?}"), status, "has left host c1");
        assert_eq!(run.calls.len(), 1);
    }
}

/// Covers R20.
#[test]
fn nothing_is_called_while_an_operator_blocks_it_and_it_continues_once_allowed() {
    for stage in CALL_STAGES {
        for no in [operator_state(false, false), operator_state(true, true)] {
            let mut run = Run::begun();
            run.observe(unmoved(stage));
            run.observe(Observation::OperatorState(no.clone()));
            run.observe(up());
            run.goes_on(10_000, &unmoved(stage));
            assert!(run.calls.is_empty(), "{stage:?}");
            let message = run.shown.clone().unwrap().1.unwrap();
            assert!(message.starts_with("nothing is done while"), "{message}");
            run.observe(Observation::OperatorState(OperatorState::DEFAULT));
            assert!(run.calls.is_empty(), "the host was up ten seconds ago");
            run.observe(up());
            run.goes_on(12_000, &unmoved(stage));
            assert_eq!(run.calls.len(), 1, "{stage:?}");
            assert_eq!(run.shown, Some((NotificationStatus::Running, None)));
        }
    }
}

#[test]
fn an_operators_no_that_lasts_ends_it_with_the_reason() {
    let mut run = Run::begun();
    run.observe(is(VmState::Active));
    run.observe(Observation::OperatorState(operator_state(false, false)));
    run.goes_on(STOP_LIMIT + 500, &is(VmState::Active));
    run.assert_end("", NotificationStatus::Failed, "while the segment is disabled");
    assert!(run.calls.is_empty());
}

/// Covers R12.
#[test]
fn a_host_that_is_down_gets_no_call() {
    for stage in CALL_STAGES {
        for (what, down) in [
            ("down", service(false, false)),
            ("forced down", service(true, true)),
            ("unknown", Observation::Service(Ok(None))),
            ("not shown", Observation::Service(Err(lost()))),
        ] {
            let mut run = Run::begun();
            run.observe(unmoved(stage));
            run.observe(down.clone());
            while run.state.stage != Stage::Done && run.at <= STOP_LIMIT {
                run.at += 500;
                run.observe(unmoved(stage));
                if run.commands.contains(&Command::ReadService) {
                    run.observe(down.clone());
                }
            }
            assert!(run.calls.is_empty(), "{stage:?} {what}");
            let (status, message) = run.end();
            assert_eq!(status, NotificationStatus::Failed, "{stage:?} {what}");
            assert!(
                message.contains("host c1") || message.contains("waiting for Nova"),
                "{stage:?} {what}: {message}"
            );
        }
    }
}

#[test]
fn the_host_is_looked_at_before_each_call_and_an_old_look_counts_for_nothing() {
    let mut run = Run::requested(Stage::Stopping);
    run.observe(answer(
        ServerCall::Stop,
        Err(fault(FaultClass::Conflict, Some(409), false)),
    ));
    run.at(1500, is(VmState::Active));
    assert_eq!(run.calls.len(), 1);
    assert!(run.commands.contains(&Command::ReadService), "looked at again");
    // Meanwhile an operator aborts, and withdraws that much later.
    run.observe(Observation::OperatorState(operator_state(false, false)));
    run.observe(up());
    run.at(1500 + 5_001, Observation::OperatorState(OperatorState::DEFAULT));
    run.observe(is(VmState::Active));
    assert_eq!(run.calls.len(), 1, "an old reading of up does not count");
    run.observe(service(false, false));
    assert_eq!(run.calls.len(), 1);
}

#[test]
fn what_nova_showed_before_a_silence_is_not_acted_on() {
    let mut run = Run::begun();
    run.observe(is(VmState::Active));
    assert!(run.commands.contains(&Command::ReadService));
    run.at(1000, silent());
    run.observe(up());
    assert!(run.calls.is_empty());

    let mut run = Run::begun();
    run.observe(is(VmState::Active));
    run.at(5_001, up());
    assert!(run.calls.is_empty(), "a read that hangs is a silence too");
}

#[test]
fn a_slow_answer_about_the_host_is_named() {
    let mut run = Run::begun();
    run.observe(is(VmState::Active));
    assert!(run.commands.contains(&Command::ReadService));
    for at in [2_000, 4_000, 6_000] {
        run.at(at, is(VmState::Active));
    }
    run.observe(up());
    run.at(9_500, is(VmState::Active));
    assert!(run.calls.is_empty());
    let message = run.shown.clone().unwrap().1.unwrap();
    assert_eq!(message, "waiting for Nova: its answer took longer than 5 s");
}

/// Covers R12.
#[test]
fn an_answer_that_took_long_shows_nothing() {
    let mut run = Run::begun();
    assert_eq!(run.commands, [Command::ReadServer(server_id())]);
    run.at(5_001, is(VmState::Active));
    run.observe(up());
    run.at(8_001, Observation::Tick);
    assert!(
        run.calls.is_empty(),
        "it may have been moved in these five seconds"
    );
    let message = run.shown.clone().unwrap().1.unwrap();
    assert_eq!(message, "waiting for Nova: its answer took longer than 5 s");
    run.observe(is(VmState::Active));
    run.observe(up());
    assert_eq!(run.calls.len(), 1, "{:?}", run.calls);
}

#[test]
fn a_refusal_is_not_told_any_more_when_the_state_has_come_all_the_same() {
    let mut run = Run::requested(Stage::Stopping);
    run.observe(answer(
        ServerCall::Stop,
        Err(fault(FaultClass::Conflict, Some(409), false)),
    ));
    run.at(4000, shown(server(VmState::Active, Some("powering-off"))));
    assert!(run.shown.clone().unwrap().1.unwrap().contains("409"));
    run.at(4500, is(VmState::Stopped));
    assert_eq!(run.shown, Some((NotificationStatus::Running, None)));
    assert_eq!(run.state.stage, Stage::Starting);
}

#[test]
fn nothing_is_asked_any_more_when_it_ends() {
    let mut run = Run::requested(Stage::Stopping);
    run.observe(answer(ServerCall::Stop, Ok(())));
    run.at(
        STOP_LIMIT - 1000,
        shown(server(VmState::Active, Some("powering-off"))),
    );
    run.at(STOP_LIMIT, Observation::Tick);
    run.assert_end("", NotificationStatus::Failed, "not stopped");
    assert!(run.commands.is_empty(), "{:?}", run.commands);
}
