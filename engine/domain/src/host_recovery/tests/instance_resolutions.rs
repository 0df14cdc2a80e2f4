//! The four operator actions on an instance in each of its twelve states before the end. A refusal has a
//! reason. The instance never runs twice, unless the operator was wrong.

use std::fmt::Write as _;

use super::bed::{Harness, evacuation, fault, id, messages, server, unavailable};
use super::half_done::{failed_at_b, in_error, poll, rebuilding};
use crate::fault::FaultClass;
use crate::host_recovery::{End, MoveStep};
use crate::nova::{Migration, MigrationType, Server, VmState};
use crate::power::Power;
use crate::recovery::{Command, Observation, ResolutionKind, ServerCall};

const WORDS: [ResolutionKind; 4] = [
    ResolutionKind::Success,
    ResolutionKind::Failure,
    ResolutionKind::Retry,
    ResolutionKind::Ignore,
];

/// A state, and what Nova keeps showing in it.
struct State {
    name: &'static str,
    bed: Harness,
    servers: Vec<Server>,
    records: Vec<Migration>,
    /// The host on which its guest may run; a second evacuation elsewhere would start a second guest.
    runs_on: Option<&'static str>,
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
    let mut bed = Harness::engine().asked();
    poll(&mut bed, millis, servers, records, &[], &messages(true));
    assert!(bed.is_asked(1), "{:?}", bed.step(1));
    bed
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
    let mut bed = failed_at_b();
    let mut records = vec![evacuation(1, 1, "failed", Some("b"))];
    for record in 2..10 {
        poll(&mut bed, 20_000, &[in_error(1)], &records, &[], &messages(true));
        bed.answer(1, ServerCall::Evacuate, Ok(())).tick(1);
        records.push(evacuation(record, 1, "failed", Some("b")));
    }
    assert_eq!(bed.step(1), &MoveStep::Held);
    (bed, records)
}

fn states() -> Vec<State> {
    let state = |name, bed, servers: &[Server], records: &[Migration], runs_on| State {
        name,
        bed,
        servers: servers.to_vec(),
        records: records.to_vec(),
        runs_on,
    };
    let b = Some("b");
    let accepted = [evacuation(1, 1, "accepted", None)];
    let building = [evacuation(1, 1, "pre-migrating", b)];
    let done = [evacuation(1, 1, "done", b)];
    let failed = [evacuation(1, 1, "failed", b)];
    let (held, records) = held_at_b();
    let mut all = vec![
        state(
            "held, it may have been left at b",
            held,
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
        Harness::engine().asked(),
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
    let mut unlocking = Harness::engine().asked();
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
fn heard(bed: &Harness) -> String {
    let steps = bed.record.steps.iter();
    let line = steps
        .map(|step| step.text.as_str())
        .find(|text| text.contains(" requested for "));
    let line = line.expect("the action is in the timeline");
    line.split_once(": not done: ")
        .map_or_else(|| "done".to_owned(), |(_, why)| format!("refused: {why}"))
}

fn step(bed: &Harness) -> &'static str {
    match bed.step(1) {
        MoveStep::Held => "held",
        MoveStep::Waiting { .. } => "waiting",
        MoveStep::Asked { .. } => "asked",
        MoveStep::Restoring { .. } => "restoring",
        MoveStep::Unlocking { end: End::Moved, .. } | MoveStep::Over(End::Moved) => "moved",
        MoveStep::Unlocking { end: End::Left, .. } | MoveStep::Over(End::Left) => "left",
        MoveStep::Unlocking { end: End::Person, .. } | MoveStep::Over(End::Person) => "person",
    }
}

/// Answers a read of the instance with Nova's state.
fn answered(bed: &mut Harness, shown: Option<&Server>) {
    if bed.wants(|command| *command == Command::ReadServer(id(1)))
        && let Some(shown) = shown
    {
        bed.reads(1, Some(shown.clone()));
    }
}

/// Returns the targets of its evacuations, now and in the minutes after, while Nova shows the same.
fn asked_for(state: &mut State) -> Vec<Option<String>> {
    let bed = &mut state.bed;
    let asked = |bed: &Harness| -> Vec<Option<String>> {
        let asked = bed.commands.iter().filter_map(|command| match command {
            Command::Evacuate(it) => Some(it.target().map(ToOwned::to_owned)),
            _ => None,
        });
        asked.collect()
    };
    let mut all = asked(bed);
    answered(bed, state.servers.first());
    // Queries caused by the action are answered too.
    if bed.wants(|command| matches!(command, Command::TakeInventory { .. })) {
        bed.inventory(state.servers.clone(), state.records.clone());
        all.extend(asked(bed));
    }
    let (servers, records) = (&state.servers, &state.records);
    all.extend(poll(bed, 150_000, servers, records, &[], &messages(true)));
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
        for word in WORDS {
            let mut state = states().swap_remove(place);
            // As an operator would send it when asked about a host.
            let on = matches!(word, ResolutionKind::Success | ResolutionKind::Failure).then_some("b");
            let on = on.filter(|_| word == ResolutionKind::Success || state.runs_on.is_some());
            let place = on.map_or_else(String::new, |host| format!(" on {host}"));
            state.bed.resolve(1, word, on);
            let heard = heard(&state.bed);
            // A refused action changes nothing, and earlier requests are not its effect.
            let then = step(&state.bed);
            let asked = asked_for(&mut state);
            let told = asked.iter().map(|to| to.as_deref().unwrap_or("anywhere"));
            let told: Vec<&str> = told.collect();
            let told = if told.is_empty() {
                "nowhere"
            } else {
                &told.join(", ")
            };
            writeln!(
                table,
                "{} | {word}{place} | {heard} | {then} | {told}",
                state.name
            )
            .unwrap();
            // An operator's statement that it does not run on "b" is trusted: there is no other source.
            let confirmed_off = word == ResolutionKind::Failure && heard == "done";
            if let (Some(runs_on), false) = (state.runs_on, confirmed_off) {
                let two = asked.iter().any(|to| to.as_deref() != Some(runs_on));
                assert!(!two, "{}: {word}: evacuated to {asked:?}", state.name);
            }
        }
    }
    assert_eq!(table, TABLE, "{table}");
}

#[test]
fn operator_success_counts_as_soon_as_nova_confirms_it() {
    for place in 0..states().len() {
        let mut state = states().swap_remove(place);
        state.bed.resolve(1, ResolutionKind::Success, Some("b"));
        if heard(&state.bed) != "done" {
            continue;
        }
        let shown = at_b(server(1));
        answered(&mut state.bed, Some(&shown));
        state.servers = vec![shown];
        // A paused instance is paused there first.
        let then = step(&state.bed);
        assert!(
            ["moved", "restoring"].contains(&then),
            "{}: {:?}",
            state.name,
            state.bed.one(1)
        );
        assert_eq!(asked_for(&mut state), [], "{}", state.name);
    }
}

#[test]
fn operator_success_holds_a_waiting_instance_while_nova_shows_it_elsewhere() {
    for place in ["waiting", "waiting, for b alone", "being made ready"] {
        let find = |state: &State| state.name == place;
        let mut state = states().into_iter().find(find).unwrap();
        state.bed.resolve(1, ResolutionKind::Success, Some("b"));
        assert_eq!(asked_for(&mut state), [], "{place}");
        assert_eq!(state.bed.step(1), &MoveStep::Held, "{place}");
        let note = state.bed.one(1).note.clone().unwrap();
        assert!(
            note.contains("reported that it runs on b, but Nova shows it on"),
            "{note}"
        );
        // An operator's check of that host ends it.
        state.bed.resolve(1, ResolutionKind::Failure, Some("b"));
        asked_for(&mut state);
        assert_ne!(state.bed.step(1), &MoveStep::Held, "{place}");
    }
}

/// A permanent refusal by Nova ends the instance's recovery; before that, an operator can retry it at once.
#[test]
fn operator_retry_requests_again_at_once_and_resets_the_failures() {
    let mut bed = Harness::engine().planned(vec![server(1)]);
    for _ in 0..2 {
        let refused = fault(Some(500), FaultClass::Transient, false);
        bed.answer(1, ServerCall::Evacuate, Err(refused));
    }
    assert!(bed.is_waiting(1), "{:?}", bed.step(1));
    bed.resolve(1, ResolutionKind::Retry, None);
    assert_eq!(heard(&bed), "done");
    assert_eq!((bed.one(1).failures, bed.one(1).note.clone()), (0, None));
    bed.at += 500;
    bed.service();
    bed.power(Power::Off);
    assert!(bed.evacuates(1) || bed.is_asked(1), "{:?}", bed.one(1));
    bed.see(Observation::Tick);
}
