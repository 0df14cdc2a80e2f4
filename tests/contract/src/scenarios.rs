//! The scenarios.

use serde_json::json;
use tachi_domain::WaitsFor;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_driver::journal::ReservationState;

use crate::{
    Answer, Draft, Found, Line, NO_COMMANDS, Operation, OperatorView, Outcome, RESERVED_HOST, Scenario, View,
    actions, rewind, server,
};

/// Longer than the window of duplicate reports, in seconds.
const WINDOW: u32 = 200;

/// Returns a new recovery, in the view of its first owner.
pub(crate) fn fresh() -> Found {
    Found {
        epoch: 1,
        kind: RecoveryKind::Host,
        rewound: false,
        life: Life::Open,
        status: NotificationStatus::Running,
        millis: 0,
        state: None,
        moves: Vec::new(),
        on_maintenance: false,
        restarts: Vec::new(),
        operator_view: NO_COMMANDS,
    }
}

pub(crate) struct Script(Vec<Line>);

type Writer = fn(&mut Script);

impl Script {
    pub(crate) fn line(&mut self, operation: Operation, answer: Answer) {
        self.0.push(Line { operation, answer });
    }

    pub(crate) fn pass(&mut self, seconds: u32) {
        self.line(Operation::Pass(seconds), Answer::Done);
    }

    pub(crate) fn report(&mut self, host: usize, off: bool, opened: Option<usize>) {
        let answer = opened.map_or(Answer::NotOpened, Answer::Opened);
        self.line(Operation::Report { host, off }, answer);
    }

    pub(crate) fn report_instance(&mut self, host: usize, server: u32, opened: Option<usize>) {
        let answer = opened.map_or(Answer::NotOpened, Answer::Opened);
        self.line(Operation::ReportInstance { host, server }, answer);
    }

    pub(crate) fn drain(&mut self, host: usize, opened: Option<usize>) {
        let answer = opened.map_or(Answer::NotOpened, Answer::Opened);
        self.line(Operation::Drain { host }, answer);
    }

    pub(crate) fn claim(&mut self, recovery: usize, seen: u64, found: Option<Found>) {
        let owner = usize::try_from(seen).unwrap_or_default();
        let operation = Operation::Claim {
            recovery,
            seen,
            owner,
        };
        self.line(operation, Answer::Claimed(found.map(Box::new)));
    }

    /// Reports a host, which opens the recovery of this number, and claims that.
    pub(crate) fn opened(&mut self, host: usize, recovery: usize) {
        self.report(host, false, Some(recovery));
        self.claim(recovery, 0, Some(fresh()));
    }

    pub(crate) fn commit(&mut self, recovery: usize, epoch: u64, draft: Draft, outcome: Outcome) {
        let operation = Operation::Commit {
            recovery,
            epoch,
            draft: Box::new(draft),
        };
        self.line(operation, Answer::Committed(outcome));
    }

    pub(crate) fn written(&mut self, recovery: usize, draft: Draft) {
        self.commit(recovery, 1, draft, Outcome::Written(NO_COMMANDS));
    }

    pub(crate) fn refused(&mut self, recovery: usize, draft: Draft, outcome: Outcome) {
        self.commit(recovery, 1, draft, outcome);
    }

    pub(crate) fn beat(&mut self, recovery: usize, epoch: u64, millis: u64, outcome: Outcome) {
        let operation = Operation::RenewLease {
            recovery,
            epoch,
            millis,
        };
        self.line(operation, Answer::Committed(outcome));
    }

    pub(crate) fn views(&mut self, views: Vec<View>) {
        self.line(Operation::Unsettled, Answer::Views(views));
    }
}

fn moved(server: u32, open: bool, state: &str) -> (u32, bool, String) {
    (server, open, state.to_owned())
}

pub(crate) fn view(epoch: u64, beat: u64, owned: bool) -> View {
    View {
        recovery: 0,
        epoch,
        beat,
        owned,
        life: Life::Open,
    }
}

pub(crate) fn ends(life: Life) -> Draft {
    Draft {
        life: Some(life),
        status: Some(NotificationStatus::Finished),
        ..Draft::default()
    }
}

/// Returns all scenarios.
pub fn scenarios() -> Vec<Scenario> {
    let all: [(&'static str, Writer); 24] = [
        (
            "a claim needs the epoch that is there, and its owner's writes carry it",
            claims,
        ),
        ("what an owner left is found by the next", found),
        ("a write that is refused leaves nothing", nothing),
        (
            "an owner whose latest writes were lost has no claim, and the next owner learns of it",
            rewind::by_its_owner,
        ),
        (
            "an engine that once knew more marks what was lost",
            rewind::by_another,
        ),
        ("claims, beats and commits raise the beat", beats),
        ("who lets go has no claim any more", release),
        ("a closed recovery cannot be claimed", closed),
        ("a claim sets waiting notifications running", statuses),
        ("an instance is moved by one recovery at a time", moves),
        (
            "reports of a host that is being recovered, or was lately",
            reports,
        ),
        ("hosts are confirmed off while a recovery handles them", proven),
        (
            "what recoveries of a host have given up is known to the next",
            given_up,
        ),
        (
            "what a recovery and its moves wait for is written with their states",
            waits,
        ),
        ("a host's recovery keeps others out", exclusion),
        ("where an instance may run keeps its restart out", elsewhere),
        (
            "a report that joins an open recovery is read before its end",
            joined,
        ),
        ("why a host is in maintenance", maintenance),
        ("an operator's change is in the next pulse", actions::operators),
        ("a reserved host is held by one recovery", reserve),
        (
            "a reserved host is held by a recovery or drained",
            reserve_drained,
        ),
        ("orders and restarts are counted", counted),
        (
            "what is frozen, and what has thawed, is in each pulse",
            crate::freezes::freezes,
        ),
        (
            "a drain freezes no host whose instances are being recovered, and ends no other freeze",
            crate::freezes::drained,
        ),
    ];
    let scenario = |(name, write): (&'static str, Writer)| {
        let mut script = Script(Vec::new());
        write(&mut script);
        Scenario {
            name,
            lines: script.0,
        }
    };
    all.into_iter().map(scenario).collect()
}

fn claims(script: &mut Script) {
    script.report(0, false, Some(0));
    script.views(vec![view(0, 0, false)]);
    script.claim(0, 1, None);
    script.claim(0, 0, Some(fresh()));
    script.claim(0, 0, None);
    script.written(0, Draft::default());
    script.claim(0, 1, Some(Found { epoch: 2, ..fresh() }));
    script.commit(0, 1, Draft::default(), Outcome::Lost);
    script.beat(0, 1, 5, Outcome::Lost);
    script.commit(0, 2, Draft::default(), Outcome::Written(NO_COMMANDS));
    script.views(vec![view(2, 4, true)]);
}

fn found(script: &mut Script) {
    script.opened(0, 0);
    let first = Draft {
        millis: 1_500,
        state: Some("{\"step\":1}"),
        moves: vec![moved(2, true, "two"), moved(1, true, "one")],
        ..Draft::default()
    };
    script.written(0, first);
    let second = Draft {
        millis: 2_500,
        moves: vec![moved(2, false, "over")],
        ..Draft::default()
    };
    script.written(0, second);
    let found = Found {
        epoch: 2,
        millis: 2_500,
        state: Some("{\"step\":1}".to_owned()),
        moves: vec!["one".to_owned(), "over".to_owned()],
        ..fresh()
    };
    script.claim(0, 1, Some(found));
}

fn nothing(script: &mut Script) {
    script.opened(0, 0);
    let holds = Draft {
        moves: vec![moved(1, true, "held")],
        ..Draft::default()
    };
    script.written(0, holds);
    script.opened(1, 1);
    let all = Draft {
        millis: 9_000,
        state: Some("{}"),
        life: Some(Life::Closed),
        status: Some(NotificationStatus::Failed),
        moves: vec![moved(7, true, "mine"), moved(1, true, "theirs")],
        proven: true,
        proven_off: Some(true),
        put: Some((1, MaintenanceReason::Recovery)),
        order: Some((None, 600)),
        reservations: vec![(RESERVED_HOST, ReservationState::Reserved)],
        ..Draft::default()
    };
    script.refused(1, all, Outcome::MovesTaken(vec![1]));
    script.line(Operation::ProvenOff, Answer::Hosts(Vec::new()));
    script.claim(1, 1, Some(Found { epoch: 2, ..fresh() }));
    // The refused transaction has reserved nothing.
    let takes = Draft {
        moves: vec![moved(7, true, "mine")],
        reservations: vec![(RESERVED_HOST, ReservationState::Reserved)],
        order: Some((Some(1), 600)),
        ..Draft::default()
    };
    script.written(0, takes);
}

fn beats(script: &mut Script) {
    script.opened(0, 0);
    script.views(vec![view(1, 1, true)]);
    script.beat(0, 1, 1_000, Outcome::Written(NO_COMMANDS));
    script.views(vec![view(1, 2, true)]);
    script.written(0, Draft::default());
    script.views(vec![view(1, 3, true)]);
    script.beat(0, 1, 3_000, Outcome::Written(NO_COMMANDS));
    let found = Found {
        epoch: 2,
        millis: 3_000,
        ..fresh()
    };
    script.claim(0, 1, Some(found));
    script.views(vec![view(2, 5, true)]);
}

fn release(script: &mut Script) {
    script.opened(0, 0);
    let release = |epoch| Operation::Release { recovery: 0, epoch };
    script.line(release(0), Answer::Done);
    script.views(vec![view(1, 1, true)]);
    script.line(release(1), Answer::Done);
    script.views(vec![view(1, 1, false)]);
    script.claim(0, 1, Some(Found { epoch: 2, ..fresh() }));
    script.line(release(1), Answer::Done);
    script.views(vec![view(2, 2, true)]);
}

fn closed(script: &mut Script) {
    script.opened(0, 0);
    script.written(0, ends(Life::Watching));
    let watching = View {
        life: Life::Watching,
        ..view(1, 2, true)
    };
    script.views(vec![watching]);
    let found = Found {
        epoch: 2,
        life: Life::Watching,
        status: NotificationStatus::Finished,
        ..fresh()
    };
    script.claim(0, 1, Some(found));
    script.commit(0, 2, ends(Life::Closed), Outcome::Written(NO_COMMANDS));
    script.views(Vec::new());
    script.claim(0, 2, None);
}

fn statuses(script: &mut Script) {
    use NotificationStatus::{Error, Failed, Finished, Ignored, New, Running};
    script.opened(0, 0);
    let cases = [
        (New, Running),
        (Error, Running),
        (Running, Running),
        (Finished, Finished),
        (Failed, Failed),
        (Ignored, Ignored),
    ];
    for ((before, after), epoch) in cases.into_iter().zip(1..) {
        let write = Draft {
            status: Some(before),
            ..Draft::default()
        };
        script.commit(0, epoch, write, Outcome::Written(NO_COMMANDS));
        let found = Found {
            epoch: epoch + 1,
            status: after,
            ..fresh()
        };
        script.claim(0, epoch, Some(found));
    }
}

fn moves(script: &mut Script) {
    let with = |moves: Vec<(u32, bool, String)>| Draft {
        moves,
        ..Draft::default()
    };
    script.opened(0, 0);
    script.written(
        0,
        with(vec![moved(1, true, ""), moved(2, true, ""), moved(3, true, "")]),
    );
    script.opened(1, 1);
    let taken_moves = || with(vec![moved(2, true, ""), moved(9, true, ""), moved(1, true, "")]);
    script.refused(1, taken_moves(), Outcome::MovesTaken(vec![1, 2]));
    // A move that is not open blocks no other recovery.
    script.written(1, with(vec![moved(3, false, "")]));
    script.written(0, with(vec![moved(2, false, "")]));
    script.refused(1, taken_moves(), Outcome::MovesTaken(vec![1]));
    script.written(0, ends(Life::Watching));
    script.refused(1, taken_moves(), Outcome::MovesTaken(vec![1]));
    script.written(0, ends(Life::Closed));
    script.written(1, taken_moves());
}

fn reports(script: &mut Script) {
    script.opened(0, 0);
    script.report(0, false, None);
    script.pass(WINDOW);
    script.report(0, false, None);
    script.written(0, ends(Life::Watching));
    script.report(0, false, Some(1));
    script.claim(1, 0, Some(fresh()));
    script.written(1, ends(Life::Closed));
    // An equal report within the window, except that it follows a failed recovery.
    script.report(0, false, None);
    script.pass(WINDOW);
    script.report(0, false, Some(2));
    script.claim(2, 0, Some(fresh()));
    let fails = Draft {
        status: Some(NotificationStatus::Failed),
        ..ends(Life::Closed)
    };
    script.written(2, fails);
    script.report(0, false, Some(3));
    script.report_instance(0, 1, Some(4));
    script.pass(WINDOW);
    script.report_instance(0, 1, None);
    script.report_instance(0, 2, Some(5));
}

fn proven(script: &mut Script) {
    script.opened(0, 0);
    let off = |proven_off: bool| Draft {
        proven_off: Some(proven_off),
        ..Draft::default()
    };
    script.line(Operation::ProvenOff, Answer::Hosts(Vec::new()));
    script.written(0, off(true));
    script.line(Operation::ProvenOff, Answer::Hosts(vec![0]));
    script.written(0, ends(Life::Watching));
    script.line(Operation::ProvenOff, Answer::Hosts(vec![0]));
    script.written(0, off(false));
    script.line(Operation::ProvenOff, Answer::Hosts(Vec::new()));
    script.written(0, off(true));
    script.written(0, ends(Life::Closed));
    script.line(Operation::ProvenOff, Answer::Hosts(Vec::new()));
}

fn given_up(script: &mut Script) {
    script.opened(0, 0);
    let off = |number: u32| {
        let off = json!({"id": number, "status": "accepted", "dest": "compute-2"});
        json!({"server": server(number), "step": "any", "written_off": [off]}).to_string()
    };
    let write = Draft {
        moves: vec![
            moved(1, false, &off(1)),
            moved(
                2,
                false,
                &json!({"server": server(2), "written_off": []}).to_string(),
            ),
        ],
        ..ends(Life::Closed)
    };
    script.written(0, write);
    script.line(Operation::WrittenOff { host: 0 }, Answer::Servers(vec![1]));
    script.line(Operation::WrittenOff { host: 1 }, Answer::Servers(Vec::new()));
    // After five more recoveries of the host the record is no longer returned.
    for recovery in 1..=5 {
        script.line(Operation::WrittenOff { host: 0 }, Answer::Servers(vec![1]));
        script.pass(WINDOW);
        script.opened(0, recovery);
        script.written(recovery, ends(Life::Closed));
    }
    script.line(Operation::WrittenOff { host: 0 }, Answer::Servers(Vec::new()));
}

fn waits(script: &mut Script) {
    let expect_waits =
        |script: &mut Script, held: &[(usize, WaitsFor, &str)], servers: &[(u32, WaitsFor)]| {
            let names = |on: &str| on.split_whitespace().map(str::to_owned).collect();
            let held = held
                .iter()
                .map(|(recovery, what, on)| (*recovery, *what, names(on)));
            let answer = Answer::Waits {
                held: held.collect(),
                servers: servers.to_vec(),
            };
            script.line(Operation::Waits, answer);
        };
    let approval = [(0, WaitsFor::Approval, "rate segment")];
    script.opened(0, 0);
    expect_waits(script, &[], &[]);
    let write = Draft {
        wait: Some((WaitsFor::Approval, &["segment", "rate"])),
        ..Draft::default()
    };
    script.written(0, write);
    expect_waits(script, &approval, &[]);
    let nothing = Draft {
        wait: Some((WaitsFor::Nothing, &[])),
        ..Draft::default()
    };
    script.commit(0, 0, nothing, Outcome::Lost);
    expect_waits(script, &approval, &[]);
    script.written(0, Draft::default());
    expect_waits(script, &approval, &[]);
    let write = Draft {
        wait: Some((WaitsFor::Moves, &[])),
        moves: vec![
            moved(1, true, "one"),
            moved(2, true, "two"),
            moved(3, false, "three"),
        ],
        move_waits: vec![
            (1, WaitsFor::Absence),
            (2, WaitsFor::Nothing),
            (3, WaitsFor::GivenUp),
        ],
        ..Draft::default()
    };
    script.written(0, write);
    expect_waits(
        script,
        &[(0, WaitsFor::Moves, "")],
        &[(1, WaitsFor::Absence), (3, WaitsFor::GivenUp)],
    );
    let end = Draft {
        wait: Some((WaitsFor::GivenUp, &[])),
        ..ends(Life::Closed)
    };
    script.written(0, end);
    // An action on a held recovery no longer matters; abandoned records still need attention.
    expect_waits(script, &[], &[(3, WaitsFor::GivenUp)]);
    script.pass(WINDOW);
    script.opened(0, 1);
    expect_waits(script, &[], &[(3, WaitsFor::GivenUp)]);
    let again = Draft {
        moves: vec![moved(3, true, "again")],
        move_waits: vec![(3, WaitsFor::Nothing)],
        ..Draft::default()
    };
    script.written(1, again);
    expect_waits(script, &[], &[]);
}

fn exclusion(script: &mut Script) {
    let unless = |host: usize| Draft {
        unless_recovered: Some(host),
        ..Draft::default()
    };
    script.report_instance(0, 1, Some(0));
    let vm = Found {
        kind: RecoveryKind::Vm,
        ..fresh()
    };
    script.claim(0, 0, Some(vm));
    script.written(0, unless(0));
    script.opened(0, 1);
    script.refused(0, unless(0), Outcome::HostUnderRecovery);
    script.written(0, unless(1));
    // Its own recovery does not block it.
    script.written(1, unless(0));
    script.written(1, ends(Life::Watching));
    script.written(0, unless(0));
    script.pass(WINDOW);
    script.opened(0, 2);
    script.refused(1, unless(0), Outcome::HostUnderRecovery);
    script.written(2, ends(Life::Watching));
    // Of two recoveries that watch the host the newer one decides; an instance's recovery is not affected.
    script.refused(1, unless(0), Outcome::HostUnderRecovery);
    script.written(2, unless(0));
    script.written(0, unless(0));
    script.written(2, ends(Life::Closed));
    script.written(1, unless(0));
}

fn elsewhere(script: &mut Script) {
    let alone = |server: u32, host: usize| Draft {
        unless_elsewhere: Some((server, host)),
        ..Draft::default()
    };
    let doubtful = |number: u32, what: WaitsFor| {
        let state = json!({"may_run": ["compute-2"]}).to_string();
        Draft {
            moves: vec![(number, false, state)],
            move_waits: vec![(number, what)],
            ..Draft::default()
        }
    };
    let refusal = || Outcome::MayRunOn(["compute-2".to_owned()].into());
    script.report_instance(0, 1, Some(0));
    let vm = Found {
        kind: RecoveryKind::Vm,
        ..fresh()
    };
    script.claim(0, 0, Some(vm));
    script.written(0, alone(1, 0));
    script.opened(1, 1);
    script.written(1, doubtful(1, WaitsFor::GivenUp));
    script.written(1, doubtful(3, WaitsFor::Nothing));
    script.refused(0, alone(1, 0), refusal());
    script.refused(0, alone(3, 0), refusal());
    // It may run there; nothing is known about another instance.
    script.written(0, alone(1, 2));
    script.written(0, alone(2, 0));
    script.written(1, ends(Life::Closed));
    // An instance that was not given up is resolved when its recovery closes.
    script.written(0, alone(3, 0));
    script.refused(0, alone(1, 0), refusal());
    script.pass(WINDOW);
    script.opened(1, 2);
    let found_out = Draft {
        moves: vec![moved(1, false, "{}")],
        ..Draft::default()
    };
    script.written(2, found_out);
    script.written(0, alone(1, 0));
}

fn joined(script: &mut Script) {
    let unless = || Draft {
        unless_joined: true,
        ..Draft::default()
    };
    script.opened(0, 0);
    script.written(0, unless());
    script.report(0, false, None);
    script.written(0, unless());
    script.report(0, true, None);
    script.refused(0, unless(), Outcome::Joined);
    let view = OperatorView {
        joined: true,
        ..NO_COMMANDS
    };
    script.beat(0, 1, 1_000, Outcome::Written(view.clone()));
    let found = Found {
        epoch: 2,
        millis: 1_000,
        operator_view: view.clone(),
        ..fresh()
    };
    script.claim(0, 1, Some(found));
    script.commit(0, 2, unless(), Outcome::Joined);
    // Its own state of the freeze does not block the write.
    script.commit(0, 2, ends(Life::Closed), Outcome::Written(view));
}

fn maintenance(script: &mut Script) {
    use MaintenanceReason::{Process, Recovery};
    let put = |why| Draft {
        put: Some((0, why)),
        ..Draft::default()
    };
    let back = || Draft {
        back: Some(0),
        ..Draft::default()
    };
    let on = |epoch| Found {
        epoch,
        on_maintenance: true,
        ..fresh()
    };
    script.opened(0, 0);
    script.written(0, put(Recovery));
    script.claim(0, 1, Some(on(2)));
    // Instances of a recovering host are handled with it; a report that it stopped is delivered again.
    script.report_instance(0, 1, None);
    script.commit(0, 2, ends(Life::Watching), Outcome::Written(NO_COMMANDS));
    script.pass(WINDOW);
    script.report(0, false, Some(1));
    script.claim(1, 0, Some(on(1)));
    // Only the recovery that set the maintenance ends it, and a weaker reason has no effect.
    script.written(1, back());
    script.written(1, put(Process));
    script.claim(1, 1, Some(on(2)));
    script.commit(0, 2, back(), Outcome::Written(NO_COMMANDS));
    script.claim(1, 2, Some(Found { epoch: 3, ..fresh() }));
    script.commit(1, 3, put(Process), Outcome::Written(NO_COMMANDS));
    script.commit(1, 3, back(), Outcome::Written(NO_COMMANDS));
    script.claim(1, 3, Some(on(4)));
    // An operator's reason is never undone, and the host's state is not delivered.
    script.line(Operation::Maintenance { host: 0 }, Answer::Done);
    let operator_view = OperatorView {
        maintenance: true,
        ..NO_COMMANDS
    };
    script.commit(1, 4, put(Recovery), Outcome::Written(operator_view.clone()));
    script.commit(1, 4, back(), Outcome::Written(operator_view));
    // A finished recovery gets no further state of its host.
    script.commit(1, 4, ends(Life::Closed), Outcome::Written(NO_COMMANDS));
    script.pass(WINDOW);
    script.report(0, true, None);
}

fn reserve(script: &mut Script) {
    use ReservationState::{Consumed, GivenBack, Reserved, Used};
    let take = |state| Draft {
        reservations: vec![(RESERVED_HOST, state)],
        ..Draft::default()
    };
    let taken = || Outcome::ReserveTaken(vec![RESERVED_HOST]);
    script.opened(0, 0);
    script.opened(1, 1);
    // A host that is not in reserve cannot be reserved.
    let other = Draft {
        reservations: vec![(2, Reserved)],
        ..Draft::default()
    };
    script.refused(0, other, Outcome::ReserveTaken(vec![2]));
    script.written(0, take(Reserved));
    script.written(0, take(Reserved));
    script.refused(1, take(Reserved), taken());
    script.written(0, take(Consumed));
    script.refused(1, take(Reserved), taken());
    script.written(0, take(GivenBack));
    script.written(1, take(Reserved));
    script.refused(0, take(Reserved), taken());
    // A closed recovery holds no host, and hosts that it did not use are in reserve again.
    script.written(1, ends(Life::Closed));
    script.written(0, take(Reserved));
    script.written(0, take(GivenBack));
    // The reserved host itself fails.
    script.report(RESERVED_HOST, false, Some(2));
    script.refused(0, take(Reserved), taken());
    script.claim(2, 0, Some(fresh()));
    let on_maintenance = Draft {
        put: Some((RESERVED_HOST, MaintenanceReason::Recovery)),
        ..ends(Life::Watching)
    };
    script.written(2, on_maintenance);
    script.refused(0, take(Reserved), taken());
    let in_service = Draft {
        back: Some(RESERVED_HOST),
        ..ends(Life::Closed)
    };
    script.written(2, in_service);
    // The failure of an instance on it does not matter.
    script.report_instance(RESERVED_HOST, 1, Some(3));
    script.written(0, take(Reserved));
    script.written(0, take(Consumed));
    script.written(0, take(Used));
    script.refused(0, take(Reserved), taken());
}

fn reserve_drained(script: &mut Script) {
    use ReservationState::{Consumed, GivenBack, Reserved};
    let take = |state| Draft {
        reservations: vec![(RESERVED_HOST, state)],
        ..Draft::default()
    };
    script.opened(0, 0);
    script.drain(RESERVED_HOST, Some(1));
    let drain = Found {
        kind: RecoveryKind::Drain,
        ..fresh()
    };
    script.claim(1, 0, Some(drain));
    script.refused(0, take(Reserved), Outcome::ReserveTaken(vec![RESERVED_HOST]));
    script.written(1, ends(Life::Closed));
    script.written(0, take(Reserved));
    script.drain(RESERVED_HOST, None);
    script.written(0, take(Consumed));
    script.drain(RESERVED_HOST, None);
    // Every other host may be drained.
    script.drain(2, Some(2));
    script.written(0, take(GivenBack));
    script.drain(RESERVED_HOST, Some(3));
    script.refused(0, take(Reserved), Outcome::ReserveTaken(vec![RESERVED_HOST]));
}

fn counted(script: &mut Script) {
    let order = |at_most: u32| Draft {
        order: Some((Some(at_most), 600)),
        ..Draft::default()
    };
    script.opened(0, 0);
    script.opened(1, 1);
    script.written(0, order(1));
    // Any number of its own orders does not count.
    script.written(0, order(1));
    script.refused(1, order(1), Outcome::TooManyOrders);
    script.written(1, order(2));
    script.opened(2, 2);
    script.refused(2, order(2), Outcome::TooManyOrders);
    script.pass(601);
    script.written(2, order(1));
    let restarts = |life| Draft {
        restarted: Some(1),
        life,
        status: life.map(|_| NotificationStatus::Finished),
        ..Draft::default()
    };
    let vm = |restarts: &[u64]| Found {
        kind: RecoveryKind::Vm,
        restarts: restarts.to_vec(),
        ..fresh()
    };
    script.report_instance(3, 1, Some(3));
    script.claim(3, 0, Some(vm(&[])));
    script.written(3, restarts(None));
    script.pass(50);
    // Two records of one restart count once, with the first time.
    script.written(3, restarts(Some(Life::Closed)));
    script.pass(WINDOW);
    script.report_instance(3, 1, Some(4));
    script.claim(4, 0, Some(vm(&[250])));
    script.written(4, restarts(Some(Life::Closed)));
    script.pass(WINDOW);
    script.report_instance(3, 1, Some(5));
    script.claim(5, 0, Some(vm(&[200, 450])));
    script.report_instance(3, 2, Some(6));
    script.claim(6, 0, Some(vm(&[])));
}
