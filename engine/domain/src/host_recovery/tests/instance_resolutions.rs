//! The four operator actions on an instance in each of its twelve states before the end. A refusal has a
//! reason. The instance never runs twice, unless the operator was wrong.

use std::fmt::Write as _;

use super::half_done::{failed_at_b, in_error, poll, rebuilding};
use super::harness::{Harness, bus, evacuation, fault, id, server, unavailable};
use crate::fault::FaultClass;
use crate::host_recovery::{End, MoveStep};
use crate::nova::{Migration, MigrationType, Server, VmState};
use crate::power::Power;
use crate::recovery::{Command, InstanceResolution, Observation, ResolutionKind, ServerCall};

const KINDS: [ResolutionKind; 4] = [
    ResolutionKind::Success,
    ResolutionKind::Failure,
    ResolutionKind::Retry,
    ResolutionKind::Ignore,
];

/// A state, and what Nova keeps showing in it.
struct State {
    name: &'static str,
    harness: Harness,
    servers: Vec<Server>,
    records: Vec<Migration>,
    /// The host on which its guest may run; a second evacuation elsewhere would start a second guest.
    runs_on: Option<&'static str>,
}

impl Harness {
    pub(super) fn resolve(&mut self, number: u128, kind: ResolutionKind, on: Option<&str>) -> &mut Self {
        let last = u64::try_from(self.operator_state.move_words.len()).unwrap();
        let resolution = InstanceResolution {
            number: last + 1,
            ..resolution(number, kind, on)
        };
        self.operator_state.move_words.push(resolution);
        self.see(Observation::OperatorState(self.operator_state.clone()))
    }
}

/// Returns an operator's first action on an instance.
fn resolution(number: u128, kind: ResolutionKind, on: Option<&str>) -> InstanceResolution {
    InstanceResolution {
        number: 1,
        server: id(number),
        word: kind,
        on: on.map(Into::into),
        by: "ada (looked)".into(),
        at: None,
        is_late: false,
    }
}

fn at_b(server: Server) -> Server {
    Server {
        host: Some("b".into()),
        ..server
    }
}

fn live() -> Migration {
    Migration {
        kind: MigrationType::LiveMigration,
        ..evacuation(1, 1, "running", Some("b"))
    }
}

fn in_flight(servers: &[Server], records: &[Migration], millis: u64) -> Harness {
    let mut harness = Harness::engine().requested();
    poll(&mut harness, millis, servers, records, &[], &bus(true));
    assert!(harness.is_asked(1), "{:?}", harness.step(1));
    harness
}

fn paused() -> Server {
    Server {
        vm_state: VmState::Paused,
        ..server(1)
    }
}

fn stopped() -> Server {
    Server {
        vm_state: VmState::Stopped,
        ..server(1)
    }
}

fn held_at_b() -> (Harness, Vec<Migration>) {
    let mut harness = failed_at_b();
    let mut records = vec![evacuation(1, 1, "failed", Some("b"))];
    for record in 2..10 {
        poll(&mut harness, 20_000, &[in_error(1)], &records, &[], &bus(true));
        harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1);
        records.push(evacuation(record, 1, "failed", Some("b")));
    }
    assert_eq!(harness.step(1), &MoveStep::OnHold);
    (harness, records)
}

fn states() -> Vec<State> {
    let state = |name, harness, servers: &[Server], records: &[Migration], runs_on| State {
        name,
        harness,
        servers: servers.to_vec(),
        records: records.to_vec(),
        runs_on,
    };
    let b = Some("b");
    let accepted = [evacuation(1, 1, "accepted", None)];
    let building = [evacuation(1, 1, "pre-migrating", b)];
    let done = [evacuation(1, 1, "done", b)];
    let failed = [evacuation(1, 1, "failed", b)];
    let (on_hold, records) = held_at_b();
    let mut all = vec![
        state(
            "held, it may have been left at b",
            on_hold,
            &[in_error(1)],
            &records,
            b,
        ),
        state(
            "held, it was being moved to b",
            Harness::engine().planned_with(vec![server(1)], vec![live()]),
            &[server(1)],
            &[live()],
            b,
        ),
    ];
    let mut waiting = Harness::engine().planned(vec![server(1)]);
    waiting.answer(1, ServerCall::Evacuate, Err(unavailable()));
    assert!(waiting.is_waiting(1));
    all.push(state("waiting", waiting, &[server(1)], &[], None));
    let again = failed_at_b();
    assert!(again.is_waiting(1), "{:?}", again.step(1));
    all.push(state("waiting, for b alone", again, &[in_error(1)], &failed, b));
    let preparing = Harness::engine().planned(vec![paused()]);
    assert!(preparing.one(1).is_being_prepared(), "{:?}", preparing.one(1));
    all.push(state("being made ready", preparing, &[paused()], &[], None));
    let sent = Harness::engine().planned(vec![server(1)]);
    assert!(sent.evacuates(1));
    // What never shows had no effect: the protocol waits long enough before it repeats a request.
    all.push(state("asked, not answered", sent, &[server(1)], &[], None));
    all.push(state(
        "asked, nothing to see yet",
        Harness::engine().requested(),
        &[server(1)],
        &[],
        None,
    ));
    let rebuilding = [rebuilding(1)];
    all.push(state(
        "asked, taken up",
        in_flight(&rebuilding, &accepted, 5_000),
        &rebuilding,
        &accepted,
        b,
    ));
    all.push(state(
        "asked, being built at b",
        in_flight(&rebuilding, &building, 5_000),
        &rebuilding,
        &building,
        b,
    ));
    all.push(state(
        "asked, stuck at b",
        in_flight(&rebuilding, &building, 120_000),
        &rebuilding,
        &building,
        b,
    ));
    let mut restoring = Harness::engine().planned(vec![stopped()]);
    restoring.answer(1, ServerCall::Evacuate, Ok(())).tick(1_000);
    restoring.lists(vec![at_b(server(1))], done.to_vec());
    if !matches!(restoring.step(1), MoveStep::Restoring { .. }) {
        restoring.reads(1, Some(at_b(server(1))));
    }
    assert!(
        matches!(restoring.step(1), MoveStep::Restoring { .. }),
        "{:?}",
        restoring.step(1)
    );
    all.push(state("being restored at b", restoring, &[], &done, b));
    let mut unlocking = Harness::engine().requested();
    unlocking.tick(1_000).lists(vec![at_b(server(1))], done.to_vec());
    if !matches!(unlocking.step(1), MoveStep::Unlocking { .. }) {
        unlocking.reads(1, Some(at_b(server(1))));
    }
    assert!(
        matches!(unlocking.step(1), MoveStep::Unlocking { .. }),
        "{:?}",
        unlocking.step(1)
    );
    all.push(state("being unlocked", unlocking, &[], &done, b));
    all
}

/// Returns the result of the action, from the timeline.
fn outcome(harness: &Harness) -> String {
    let steps = harness.record.steps.iter();
    let line = steps
        .map(|step| step.text.as_str())
        .find(|text| text.contains(" requested for "));
    let line = line.expect("the action is in the timeline");
    line.split_once(": not done: ")
        .map_or_else(|| "done".to_owned(), |(_, why)| format!("refused: {why}"))
}

fn step(harness: &Harness) -> &'static str {
    match harness.step(1) {
        MoveStep::OnHold => "held",
        MoveStep::Waiting { .. } => "waiting",
        MoveStep::Asked { .. } => "asked",
        MoveStep::Restoring { .. } => "restoring",
        MoveStep::Unlocking { end: End::Moved, .. } | MoveStep::Done(End::Moved) => "moved",
        MoveStep::Unlocking { end: End::Left, .. } | MoveStep::Done(End::Left) => "left",
        MoveStep::Unlocking { end: End::Person, .. } | MoveStep::Done(End::Person) => "person",
    }
}

/// Answers a read of the instance with Nova's state.
fn answered(harness: &mut Harness, shown: Option<&Server>) {
    if harness.requests(|command| *command == Command::ReadServer(id(1)))
        && let Some(shown) = shown
    {
        harness.reads(1, Some(shown.clone()));
    }
}

/// Returns the targets of its evacuations, now and in the minutes after, while Nova shows the same.
fn asked_for(state: &mut State) -> Vec<Option<String>> {
    let harness = &mut state.harness;
    let requested = |harness: &Harness| -> Vec<Option<String>> {
        let requested = harness.commands.iter().filter_map(|command| match command {
            Command::Evacuate(it) => Some(it.target().map(ToOwned::to_owned)),
            _ => None,
        });
        requested.collect()
    };
    let mut all = requested(harness);
    answered(harness, state.servers.first());
    // Queries caused by the action are answered too.
    if harness.requests(|command| matches!(command, Command::TakeInventory { .. })) {
        harness.inventory(state.servers.clone(), state.records.clone());
        all.extend(requested(harness));
    }
    let (servers, records) = (&state.servers, &state.records);
    all.extend(poll(harness, 150_000, servers, records, &[], &bus(true)));
    all
}

/// Per state and action: the result, the instance's step, and the targets of evacuations in the minutes after.
const TABLE: &str = include_str!("instance_resolutions.txt");

#[test]
fn operator_each_action_in_each_state_is_done_or_refused_and_never_starts_two() {
    let mut table = String::new();
    let number = states().len();
    assert_eq!(number, 12);
    for place in 0..number {
        for kind in KINDS {
            let mut state = states().swap_remove(place);
            // As an operator would send it when asked about a host.
            let on = matches!(kind, ResolutionKind::Success | ResolutionKind::Failure).then_some("b");
            let on = on.filter(|_| kind == ResolutionKind::Success || state.runs_on.is_some());
            let place = on.map_or_else(String::new, |host| format!(" on {host}"));
            state.harness.resolve(1, kind, on);
            let outcome = outcome(&state.harness);
            // A refused action changes nothing, and earlier requests are not its effect.
            let then = step(&state.harness);
            let requested = asked_for(&mut state);
            let targets = requested.iter().map(|to| to.as_deref().unwrap_or("anywhere"));
            let targets: Vec<&str> = targets.collect();
            let targets = if targets.is_empty() {
                "nowhere"
            } else {
                &targets.join(", ")
            };
            writeln!(
                table,
                "{} | {kind}{place} | {outcome} | {then} | {targets}",
                state.name
            )
            .unwrap();
            // An operator's statement that it does not run on "b" is trusted: there is no other source.
            let confirmed_off = kind == ResolutionKind::Failure && outcome == "done";
            if let (Some(runs_on), false) = (state.runs_on, confirmed_off) {
                let two = requested.iter().any(|to| to.as_deref() != Some(runs_on));
                assert!(!two, "{}: {kind}: evacuated to {requested:?}", state.name);
            }
        }
    }
    assert_eq!(table, TABLE, "{table}");
}

#[test]
fn operator_success_counts_as_soon_as_nova_confirms_it() {
    for place in 0..states().len() {
        let mut state = states().swap_remove(place);
        state.harness.resolve(1, ResolutionKind::Success, Some("b"));
        if outcome(&state.harness) != "done" {
            continue;
        }
        let shown = at_b(server(1));
        answered(&mut state.harness, Some(&shown));
        state.servers = vec![shown];
        // A paused instance is paused there first.
        let then = step(&state.harness);
        assert!(
            ["moved", "restoring"].contains(&then),
            "{}: {:?}",
            state.name,
            state.harness.one(1)
        );
        assert_eq!(asked_for(&mut state), [], "{}", state.name);
    }
}

#[test]
fn operator_success_holds_a_waiting_instance_while_nova_shows_it_elsewhere() {
    for place in ["waiting", "waiting, for b alone", "being made ready"] {
        let find = |state: &State| state.name == place;
        let mut state = states().into_iter().find(find).unwrap();
        state.harness.resolve(1, ResolutionKind::Success, Some("b"));
        assert_eq!(asked_for(&mut state), [], "{place}");
        assert_eq!(state.harness.step(1), &MoveStep::OnHold, "{place}");
        let note = state.harness.one(1).note.clone().unwrap();
        assert!(
            note.contains("reported that it runs on b, but Nova shows it on"),
            "{note}"
        );
        // An operator's check of that host ends it.
        state.harness.resolve(1, ResolutionKind::Failure, Some("b"));
        asked_for(&mut state);
        assert_ne!(state.harness.step(1), &MoveStep::OnHold, "{place}");
    }
}

/// A permanent refusal by Nova ends the instance's recovery; before that, an operator can retry it at once.
#[test]
fn operator_retry_requests_again_at_once_and_resets_the_failures() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    for _ in 0..2 {
        let refused = fault(Some(500), FaultClass::Transient, false);
        harness.answer(1, ServerCall::Evacuate, Err(refused));
    }
    assert!(harness.is_waiting(1), "{:?}", harness.step(1));
    harness.resolve(1, ResolutionKind::Retry, None);
    assert_eq!(outcome(&harness), "done");
    assert_eq!((harness.one(1).failures, harness.one(1).note.clone()), (0, None));
    harness.at += 500;
    harness.service();
    harness.power(Power::Off);
    assert!(
        harness.evacuates(1) || harness.is_asked(1),
        "{:?}",
        harness.one(1)
    );
    harness.see(Observation::Tick);
}

/// Covers R32.
#[test]
fn a_report_of_where_an_instance_runs_survives_a_takeover() {
    for place in ["waiting", "being made ready"] {
        let mut state = states().into_iter().find(|state| state.name == place).unwrap();
        state.harness.resolve(1, ResolutionKind::Success, Some("b"));
        assert_eq!(outcome(&state.harness), "done");
        // The reading was never answered.
        state.harness.take_over();
        assert_eq!(state.harness.state.heard_moves, 1);
        assert!(asked_for(&mut state).is_empty(), "{place}");
        assert_eq!(state.harness.step(1), &MoveStep::OnHold, "{place}");
    }
}

/// Covers R32.
#[test]
fn a_report_of_where_an_instance_runs_holds_it_although_its_migration_ends() {
    let mut harness = Harness::engine().planned_with(vec![server(1)], vec![live()]);
    harness
        .resolve(1, ResolutionKind::Success, Some("b"))
        .reads(1, Some(server(1)));
    let ended = Migration {
        status: "failed".into(),
        ..live()
    };
    let requested = poll(&mut harness, 60_000, &[server(1)], &[ended], &[], &bus(true));
    assert!(requested.is_empty(), "{requested:?}");
}

/// What the operator has seen may have changed: the guest may have been started there since.
///
/// Covers R26, R32.
#[test]
fn an_action_on_an_instance_that_is_read_late_does_not_count() {
    for kind in KINDS {
        let (mut harness, records) = held_at_b();
        let before = harness.one(1).clone();
        let late = InstanceResolution {
            is_late: true,
            ..resolution(1, kind, Some("b"))
        };
        harness.operator_state.move_words.push(late);
        harness.see(Observation::OperatorState(harness.operator_state.clone()));
        let refused = outcome(&harness);
        assert!(
            refused.starts_with("refused: it was given more than 120 s"),
            "{kind}: {refused}"
        );
        let requested = poll(&mut harness, 20_000, &[in_error(1)], &records, &[], &bus(true));
        assert!(requested.is_empty(), "{kind}: {requested:?}");
        assert_eq!(harness.one(1).may_run, before.may_run, "{kind}");
        assert_eq!(harness.step(1), &before.step, "{kind}");
        let again = InstanceResolution {
            number: 2,
            ..resolution(1, ResolutionKind::Failure, Some("b"))
        };
        harness.operator_state.move_words.push(again);
        harness.see(Observation::OperatorState(harness.operator_state.clone()));
        assert_eq!(outcome(&harness), "done", "{kind}: the same is given again");
    }
}
