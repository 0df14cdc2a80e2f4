use proptest::prelude::*;

use super::*;

const NOTHING: [&str; 0] = [];
const ONE: Uuid = Uuid::from_u128(1);

fn judge(rules: Rules) -> Judge {
    Judge::new(rules, Inventory::new("boot"), false)
}

fn life(event: Lifecycle, detail: i32) -> DomainEventKind {
    DomainEventKind::Lifecycle(event, detail)
}

fn started() -> DomainEventKind {
    life(Lifecycle::Started, 0)
}

fn failed() -> DomainEventKind {
    life(Lifecycle::Stopped, lifecycle::STOPPED_FAILED)
}

fn feed_at(
    judge: &mut Judge,
    uuid: Uuid,
    what: &DomainEventKind,
    micros: i64,
    now: Instant,
) -> Vec<Decision> {
    let guest_event = GuestEvent {
        uuid,
        name: "instance-1",
        what,
        micros,
    };
    judge.event(&guest_event, now)
}

/// Returns the reports, with upstream's names.
fn reported_details(decisions: &[Decision]) -> Vec<&'static str> {
    decisions
        .iter()
        .filter_map(|decision| match decision {
            Decision::Send(report) => Some(report.event_names.detail),
            Decision::Withdraw(_) | Decision::Skip(..) => None,
        })
        .collect()
}

/// Returns the reports about one guest, event by event; each report is stored at once.
fn feed(judge: &mut Judge, events: &[DomainEventKind]) -> Vec<&'static str> {
    let now = Instant::now();
    let mut all = Vec::new();
    for what in events {
        all.extend(reported_details(&feed_at(judge, ONE, what, 1, now)));
        judge.done(ONE);
    }
    all
}

fn listed(uuid: Uuid, state: DomainState, reason: i32) -> GuestListing {
    GuestListing {
        uuid,
        name: "instance-1".to_owned(),
        persistent: true,
        nova: true,
        state,
        reason,
    }
}

fn compare_all(judge: &mut Judge, guests: &[GuestListing]) -> Vec<&'static str> {
    let decisions = judge.compare(guests, 2, Instant::now());
    for decision in &decisions {
        if let Decision::Send(report) = decision {
            judge.done(report.uuid);
        }
    }
    reported_details(&decisions)
}

/// A cause, its events, the reports by default and with all of upstream's events.
type Cause = (
    &'static str,
    Vec<DomainEventKind>,
    &'static [&'static str],
    &'static [&'static str],
);

/// Covers R36.
#[tokio::test]
async fn a_guest_that_shuts_itself_down_is_listed_until_it_starts() {
    let (request, signal) = (life(Lifecycle::Shutdown, 1), life(Lifecycle::Shutdown, 2));
    let end = |detail| life(Lifecycle::Stopped, detail);
    let now = Instant::now();
    for (case, events, expected) in [
        ("shut down by itself", vec![request.clone(), end(0)], 1),
        ("its end is missed", vec![request.clone()], 1),
        ("ended by a signal", vec![signal, end(0)], 0),
        ("destroyed meanwhile", vec![request.clone(), end(1)], 0),
        ("started since", vec![request.clone(), end(0), started()], 0),
    ] {
        let mut judge = judge(Rules::default());
        judge.compare(&[listed(ONE, DomainState::Running, 1)], 1, now);
        feed(&mut judge, &events);
        judge.compare(&[listed(ONE, DomainState::Shutoff, shutoff::SHUTDOWN)], 2, now);
        assert_eq!(judge.shut_down().len(), expected, "{case}");
        judge.compare(&[listed(ONE, DomainState::Running, 1)], 3, now);
        assert!(judge.shut_down().is_empty(), "{case}");
    }
}

/// Covers MW12.
#[tokio::test]
async fn by_default_only_events_that_the_engine_handles_are_reported() {
    let rules = Rules::default;
    let all = || Rules {
        all_events: true,
        coalesce: Duration::ZERO,
        ..rules()
    };
    // The events of a real libvirt, by cause: default, and with all of upstream's events.
    let causes: [Cause; 10] = [
        ("killed", vec![failed()], &["STOPPED_FAILED"], &["STOPPED_FAILED"]),
        (
            "ended by a signal",
            vec![life(Lifecycle::Shutdown, 2), life(Lifecycle::Stopped, 0)],
            &[],
            &["STOPPED_SHUTDOWN"],
        ),
        (
            "destroyed by Nova",
            vec![life(Lifecycle::Shutdown, 2), life(Lifecycle::Stopped, 1)],
            &[],
            &["STOPPED_DESTROYED"],
        ),
        (
            "shut down by itself",
            vec![life(Lifecycle::Shutdown, 1), life(Lifecycle::Stopped, 0)],
            &[],
            &["STOPPED_SHUTDOWN"],
        ),
        (
            "reset by libvirt",
            vec![
                DomainEventKind::Reboot,
                DomainEventKind::Reboot,
                DomainEventKind::Reboot,
            ],
            &[],
            &["UNKNOWN", "UNKNOWN", "UNKNOWN"],
        ),
        (
            "watchdog, pause",
            vec![DomainEventKind::Watchdog(1), life(Lifecycle::Suspended, 3)],
            &[],
            &["WATCHDOG_PAUSE", "SUSPENDED_WATCHDOG"],
        ),
        (
            "watchdog, power off",
            vec![DomainEventKind::Watchdog(3), failed()],
            &["STOPPED_FAILED"],
            &["WATCHDOG_POWEROFF", "STOPPED_FAILED"],
        ),
        (
            "disk error, reported to the guest",
            vec![
                DomainEventKind::IoError(2),
                DomainEventKind::IoErrorReason(2, String::new()),
            ],
            &["IO_ERROR_REPORT"],
            &["IO_ERROR_REPORT", "UNKNOWN"],
        ),
        (
            "disk full, paused",
            vec![
                DomainEventKind::IoError(1),
                DomainEventKind::IoErrorReason(1, "enospc".to_owned()),
                life(Lifecycle::Suspended, 2),
            ],
            &[],
            &["IO_ERROR_PAUSE", "UNKNOWN", "SUSPENDED_IOERROR"],
        ),
        (
            "no way to the process",
            vec![DomainEventKind::ControlError],
            &[],
            &["UNKNOWN"],
        ),
    ];
    for (cause, events, by_default, compatible) in causes {
        for (rules, expected) in [(rules(), by_default), (all(), compatible)] {
            let mut judge = judge(rules);
            feed(&mut judge, &[started()]);
            assert_eq!(feed(&mut judge, &events), expected, "{cause}");
        }
    }
}

/// Covers MW12.
#[tokio::test(start_paused = true)]
async fn equal_events_within_two_seconds_are_reported_once() {
    let mut judge = judge(Rules {
        all_events: true,
        ..Rules::default()
    });
    let mut reports_at = |seconds| {
        let now = Instant::now() + Duration::from_secs(seconds);
        reported_details(&feed_at(&mut judge, ONE, &DomainEventKind::Reboot, 1, now)).len()
    };
    assert_eq!(
        [reports_at(0), reports_at(0), reports_at(1), reports_at(3)],
        [1, 0, 0, 1]
    );
}

/// Covers MW14.
#[tokio::test]
async fn a_panic_is_reported_as_a_death_once() {
    let panic = [
        life(Lifecycle::Suspended, 0),
        life(Lifecycle::Crashed, 0),
        life(Lifecycle::Stopped, lifecycle::STOPPED_CRASHED),
    ];
    let mut with = judge(Rules::default());
    feed(&mut with, &[life(Lifecycle::Defined, 0), started()]);
    assert_eq!(feed(&mut with, &panic), ["STOPPED_FAILED"]);
    assert_eq!(
        compare_all(&mut with, &[listed(ONE, DomainState::Shutoff, shutoff::CRASHED)]),
        NOTHING
    );
    let mut without = judge(Rules {
        panics: false,
        ..Rules::default()
    });
    feed(&mut without, &[started()]);
    assert_eq!(feed(&mut without, &panic), NOTHING);
}

/// Covers MW14.
#[tokio::test(start_paused = true)]
async fn a_guest_that_panicked_and_is_kept_is_reported_when_nothing_restarts_it() {
    let now = Instant::now();
    let later = now + Duration::from_secs(5);
    let crashed = life(Lifecycle::Crashed, 0);

    let mut kept = judge(Rules::default());
    feed(&mut kept, &[started()]);
    assert_eq!(
        reported_details(&feed_at(&mut kept, ONE, &crashed, 1, now)),
        NOTHING
    );
    assert!(kept.panicked(now).is_empty());
    assert_eq!(kept.panicked(later), [ONE]);
    let decision = kept.still_panicked(ONE, 9, later).unwrap();
    assert_eq!(reported_details(&[decision]), ["STOPPED_FAILED"]);
    assert!(kept.still_panicked(ONE, 9, later).is_none(), "once");

    let mut restarted = judge(Rules::default());
    feed(&mut restarted, &[started()]);
    feed_at(&mut restarted, ONE, &crashed, 1, now);
    feed_at(&mut restarted, ONE, &life(Lifecycle::Resumed, 0), 1, now);
    assert!(restarted.panicked(later).is_empty(), "on_crash is restart");
}

/// Covers MW15.
#[tokio::test(start_paused = true)]
async fn the_reason_of_a_pause_is_reported_where_configured_and_not_too_often() {
    let rules = Rules {
        watchdog_pause: true,
        io_error_pause: true,
        ..Rules::default()
    };
    let mut judge = judge(rules);
    feed(&mut judge, &[started()]);
    assert_eq!(
        feed(&mut judge, &[DomainEventKind::Watchdog(1)]),
        ["STOPPED_FAILED"]
    );
    let now = Instant::now();
    let mut disk = |seconds: u64, action| {
        let now = now + Duration::from_secs(seconds);
        reported_details(&feed_at(
            &mut judge,
            ONE,
            &DomainEventKind::IoError(action),
            1,
            now,
        ))
    };
    assert_eq!(disk(0, 1), ["IO_ERROR_REPORT"]);
    // A guest that keeps writing to a broken disk fails a thousand times a second.
    assert_eq!(disk(1, 2), NOTHING);
    assert_eq!(disk(179, 2), NOTHING);
    assert_eq!(disk(180, 2), ["IO_ERROR_REPORT"]);
}

/// Covers MW16.
#[tokio::test]
async fn the_end_of_a_migration_is_no_death() {
    let arrives = life(Lifecycle::Started, lifecycle::STARTED_MIGRATED);
    let mut judge = judge(Rules::default());
    assert_eq!(
        feed(&mut judge, &[arrives.clone(), failed()]),
        NOTHING,
        "it still runs at its source"
    );
    let lives = life(Lifecycle::Resumed, lifecycle::RESUMED_MIGRATED);
    assert_eq!(
        feed(&mut judge, &[arrives, lives, failed()]),
        ["STOPPED_FAILED"],
        "it had arrived"
    );
    let leaves = life(Lifecycle::Stopped, lifecycle::STOPPED_MIGRATED);
    assert_eq!(feed(&mut judge, &[started(), leaves]), NOTHING);
}

/// Covers MW16.
#[tokio::test]
async fn a_guest_that_was_arriving_when_libvirtd_went_is_not_reported() {
    let mut judge = judge(Rules::default());
    let arriving = listed(ONE, DomainState::Paused, tachi_libvirt::paused::MIGRATION);
    assert_eq!(compare_all(&mut judge, &[arriving]), NOTHING);
    assert_eq!(
        compare_all(&mut judge, &[listed(ONE, DomainState::Shutoff, shutoff::FAILED)]),
        NOTHING
    );
}

/// Covers MW5.
#[tokio::test]
async fn a_guest_that_died_while_unwatched_is_reported_once() {
    use DomainState::{Crashed, Paused, Running, Shutoff};
    let cases: [(&str, DomainState, i32, &[&str]); 9] = [
        ("killed", Shutoff, shutoff::CRASHED, &["STOPPED_FAILED"]),
        ("ended by an error", Shutoff, shutoff::FAILED, &["STOPPED_FAILED"]),
        (
            "given up by libvirtd",
            Shutoff,
            shutoff::DAEMON,
            &["STOPPED_FAILED"],
        ),
        ("destroyed", Shutoff, shutoff::DESTROYED, &[]),
        ("shut down", Shutoff, shutoff::SHUTDOWN, &[]),
        ("moved", Shutoff, shutoff::MIGRATED, &[]),
        ("forgotten why", Shutoff, shutoff::UNKNOWN, &[]),
        ("paused", Paused, 1, &[]),
        ("alive", Running, 1, &[]),
    ];
    for (case, state, reason, expected) in cases {
        let mut judge = judge(Rules::default());
        feed(&mut judge, &[started(), life(Lifecycle::Defined, 0)]);
        assert_eq!(
            compare_all(&mut judge, &[listed(ONE, state, reason)]),
            expected,
            "{case}"
        );
        assert_eq!(
            compare_all(&mut judge, &[listed(ONE, state, reason)]),
            NOTHING,
            "{case}, again"
        );
    }
    let mut kept = judge(Rules::default());
    feed(&mut kept, &[started()]);
    assert_eq!(
        compare_all(&mut kept, &[listed(ONE, Crashed, 1)]),
        NOTHING,
        "not yet"
    );
    assert_eq!(kept.panicked(Instant::now() + Duration::from_secs(5)), [ONE]);
}

#[tokio::test]
async fn a_guest_without_a_state_in_libvirt_keeps_its_last_state() {
    let silent = || [listed(ONE, DomainState::None, 0)];
    let mut judge = judge(Rules::default());
    feed(&mut judge, &[started()]);
    assert_eq!(compare_all(&mut judge, &silent()), NOTHING);
    assert_eq!(feed(&mut judge, &[failed()]), ["STOPPED_FAILED"]);
    feed(&mut judge, &[life(Lifecycle::Defined, 0), started(), failed()]);
    assert_eq!(compare_all(&mut judge, &silent()), NOTHING);
    assert_eq!(feed(&mut judge, &[failed()]), NOTHING, "reported before");
}

/// Covers MW5.
#[tokio::test]
async fn a_running_guest_without_definition_that_vanished_is_reported_once() {
    let mut judge = judge(Rules::default());
    feed(&mut judge, &[started()]);
    assert_eq!(compare_all(&mut judge, &[]), ["STOPPED_FAILED"]);
    assert_eq!(compare_all(&mut judge, &[]), NOTHING);
    // A guest with a definition was moved or deleted by Nova, which removes the definition.
    feed(&mut judge, &[life(Lifecycle::Defined, 0), started()]);
    assert_eq!(compare_all(&mut judge, &[]), NOTHING);
}

/// Covers MW5.
#[tokio::test]
async fn a_guest_that_came_and_died_while_unwatched_is_reported() {
    let dead = || [listed(ONE, DomainState::Shutoff, shutoff::CRASHED)];
    assert_eq!(
        compare_all(&mut judge(Rules::default()), &dead()),
        ["STOPPED_FAILED"]
    );
}

/// Covers MW7.
#[tokio::test]
async fn on_a_host_that_was_never_watched_dead_guests_are_not_reported() {
    let mut judge = Judge::new(Rules::default(), Inventory::new("boot"), true);
    let other = Uuid::from_u128(2);
    let guests = [
        listed(ONE, DomainState::Shutoff, shutoff::CRASHED),
        listed(other, DomainState::Running, 1),
    ];
    assert_eq!(compare_all(&mut judge, &guests), NOTHING);
    let decisions = feed_at(&mut judge, other, &failed(), 1, Instant::now());
    assert_eq!(reported_details(&decisions), ["STOPPED_FAILED"]);
}

/// Covers MW5.
#[tokio::test]
async fn a_death_that_was_seen_twice_is_reported_once() {
    let mut judge = judge(Rules::default());
    feed(&mut judge, &[life(Lifecycle::Defined, 0), started()]);
    assert_eq!(
        compare_all(&mut judge, &[listed(ONE, DomainState::Shutoff, shutoff::CRASHED)]),
        ["STOPPED_FAILED"]
    );
    // The event of the same death waited while all guests were compared.
    assert_eq!(feed(&mut judge, &[failed()]), NOTHING);
    assert_eq!(
        feed(&mut judge, &[started(), failed()]),
        ["STOPPED_FAILED"],
        "the next one"
    );
}

/// Covers MW11.
#[tokio::test]
async fn a_failure_whose_report_was_interrupted_is_reported_again_as_the_same() {
    let mut before = judge(Rules::default());
    feed(&mut before, &[life(Lifecycle::Defined, 0), started()]);
    let first = feed_at(&mut before, ONE, &failed(), 77, Instant::now());
    // The process dies here: the disk has the state from before the report.
    let disk = before.take_changed().unwrap().clone();
    let mut after = Judge::new(Rules::default(), disk, false);
    let again = after.compare(
        &[listed(ONE, DomainState::Shutoff, shutoff::CRASHED)],
        99,
        Instant::now(),
    );
    let (Decision::Send(first), Decision::Send(again)) = (&first[0], &again[0]) else {
        panic!("{first:?} {again:?}");
    };
    assert_eq!((first.micros, again.micros), (77, 77));
    // A guest that was started meanwhile is not reported.
    let mut alive = Judge::new(Rules::default(), before.inventory.clone(), false);
    let decisions = alive.compare(&[listed(ONE, DomainState::Running, 1)], 99, Instant::now());
    assert_eq!(decisions, [Decision::Withdraw(ONE)]);
}

#[tokio::test]
async fn a_start_overtakes_what_was_told_before() {
    let mut judge = judge(Rules::default());
    let decisions = feed_at(&mut judge, ONE, &started(), 1, Instant::now());
    assert_eq!(decisions, [Decision::Withdraw(ONE)]);
    // A guest whose memory starts to arrive does not run here yet.
    let arrives = life(Lifecycle::Started, lifecycle::STARTED_MIGRATED);
    assert_eq!(feed_at(&mut judge, ONE, &arrives, 1, Instant::now()), []);
}

#[tokio::test]
async fn guests_that_are_not_novas_are_not_reported() {
    let other = |nova_only| {
        let mut judge = judge(Rules {
            nova_only,
            ..Rules::default()
        });
        let guest_event = GuestEvent {
            uuid: ONE,
            name: "a-pet",
            what: &started(),
            micros: 1,
        };
        judge.meet(&guest_event, false);
        feed(&mut judge, &[started(), failed()])
    };
    assert_eq!(other(true), NOTHING);
    assert_eq!(other(false), ["STOPPED_FAILED"]);
}

#[tokio::test]
async fn a_start_that_fails_is_no_death() {
    let mut judge = judge(Rules::default());
    let defined = life(Lifecycle::Defined, 0);
    assert_eq!(
        feed(&mut judge, &[defined, failed()]),
        NOTHING,
        "Nova knows it from its own call"
    );
}

#[tokio::test]
async fn guests_that_are_gone_are_forgotten() {
    let mut judge = judge(Rules::default());
    for number in 0..1000 {
        let uuid = Uuid::from_u128(number);
        for what in [
            life(Lifecycle::Defined, 0),
            started(),
            life(Lifecycle::Stopped, 1),
            life(Lifecycle::Undefined, 0),
        ] {
            feed_at(&mut judge, uuid, &what, 1, Instant::now());
        }
    }
    assert!(
        judge.inventory.guests.is_empty(),
        "{}",
        judge.inventory.guests.len()
    );
}

/// An event of a guest and its monitor.
#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    Kill,
    Stop,
    Panic,
    ArriveAndFail,
    /// libvirtd stops: no events until it is back.
    Unreachable,
    /// libvirtd is back.
    Back,
}

/// The point at which the monitor is killed in a step, after it has written its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    No,
    BeforeReport,
    AfterReport,
}

/// The real state of a guest, and its reports.
#[expect(clippy::struct_excessive_bools, reason = "they are what the world is like")]
struct World {
    judge: Judge,
    up: bool,
    reason: i32,
    deaths: usize,
    unreachable: bool,
    /// True if it died in this gap and was not polled since.
    unseen: bool,
    /// True if it was dead at the start of the gap: another death in the gap cannot be distinguished from the first.
    dead_before: bool,
    /// Times of the reports: the API treats equal ones as duplicates.
    reported_details: std::collections::BTreeSet<i64>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let now = Instant::from_std(std::time::Instant::now());
        let mut judge = judge(Rules::default());
        judge.compare(&[listed(ONE, DomainState::Shutoff, shutoff::SHUTDOWN)], 0, now);
        Self {
            judge,
            up: false,
            reason: shutoff::SHUTDOWN,
            deaths: 0,
            unreachable: false,
            unseen: false,
            dead_before: false,
            reported_details: std::collections::BTreeSet::new(),
            now,
        }
    }

    fn happen(&mut self, step: Step) -> Vec<DomainEventKind> {
        match step {
            Step::Start if !self.up => {
                self.up = true;
                if self.unseen {
                    // Its death was not observed, and it runs.
                    self.deaths -= 1;
                    self.unseen = false;
                }
                vec![started()]
            }
            Step::Kill | Step::Panic if self.up => {
                (self.up, self.reason) = (false, shutoff::CRASHED);
                self.deaths += 1;
                self.unseen = self.unreachable;
                if matches!(step, Step::Kill) {
                    vec![failed()]
                } else {
                    vec![
                        life(Lifecycle::Crashed, 0),
                        life(Lifecycle::Stopped, lifecycle::STOPPED_CRASHED),
                    ]
                }
            }
            Step::Stop if self.up => {
                (self.up, self.reason) = (false, shutoff::DESTROYED);
                vec![life(Lifecycle::Stopped, lifecycle::STOPPED_DESTROYED)]
            }
            Step::ArriveAndFail if !self.up && !self.unreachable => {
                self.reason = shutoff::FAILED;
                vec![life(Lifecycle::Started, lifecycle::STARTED_MIGRATED), failed()]
            }
            Step::Unreachable if !self.unreachable => {
                self.unreachable = true;
                self.dead_before = !self.up && matches!(self.reason, shutoff::CRASHED | shutoff::FAILED);
                vec![]
            }
            Step::Start
            | Step::Kill
            | Step::Panic
            | Step::Stop
            | Step::ArriveAndFail
            | Step::Unreachable
            | Step::Back => vec![],
        }
    }

    fn report(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            if let Decision::Send(report) = decision {
                self.reported_details.insert(report.micros);
            }
        }
    }

    fn compare_all(&mut self, micros: i64) -> Vec<Decision> {
        if self.unseen && self.dead_before {
            self.deaths -= 1;
        }
        (self.unreachable, self.unseen, self.dead_before) = (false, false, false);
        let state = if self.up {
            DomainState::Running
        } else {
            DomainState::Shutoff
        };
        self.judge
            .compare(&[listed(ONE, state, self.reason)], micros, self.now)
    }

    fn step(&mut self, step: Step, kill: Kill, micros: i64) {
        let events = self.happen(step);
        let decisions = if matches!(step, Step::Back) && self.unreachable {
            self.compare_all(micros)
        } else if self.unreachable {
            vec![]
        } else {
            let now = self.now;
            let judge = &mut self.judge;
            events
                .iter()
                .flat_map(|what| feed_at(judge, ONE, what, micros, now))
                .collect()
        };
        let disk = self.judge.inventory.clone();
        if kill != Kill::BeforeReport {
            self.report(&decisions);
        }
        if kill == Kill::No {
            self.judge.done(ONE);
            return;
        }
        self.judge = Judge::new(Rules::default(), disk, false);
        if !self.unreachable {
            let decisions = self.compare_all(micros);
            self.report(&decisions);
            self.judge.done(ONE);
        }
    }
}

fn any_step() -> impl Strategy<Value = (Step, Kill)> {
    let step = prop_oneof![
        4 => Just(Step::Start),
        4 => Just(Step::Kill),
        1 => Just(Step::Stop),
        1 => Just(Step::Panic),
        1 => Just(Step::ArriveAndFail),
        1 => Just(Step::Unreachable),
        2 => Just(Step::Back),
    ];
    let kill = prop_oneof![8 => Just(Kill::No), 1 => Just(Kill::BeforeReport), 1 => Just(Kill::AfterReport)];
    (step, kill)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// In any order of events each death is reported once, and no running guest as dead. Two kinds of deaths cannot
    /// be detected: one in a gap, if the guest was started again before the next poll, and one in a gap that began
    /// with the guest dead.
    /// Covers MW5.
    #[test]
    fn each_death_is_reported_once(steps in proptest::collection::vec(any_step(), 1..40)) {
        let mut world = World::new();
        for ((step, kill), micros) in steps.into_iter().zip(1_i64..) {
            world.step(step, kill, micros);
        }
        let expected = world.deaths - usize::from(world.unseen);
        prop_assert_eq!(world.reported_details.len(), expected);
    }
}

/// A guest that was paused when it was migrated, and that its owner resumes here.
/// Covers F5.
#[tokio::test]
async fn the_death_of_a_guest_that_came_paused_and_was_resumed_is_reported() {
    let arrives = life(Lifecycle::Started, lifecycle::STARTED_MIGRATED);
    let resumed = life(Lifecycle::Resumed, lifecycle::RESUMED_UNPAUSED);
    let mut judge = judge(Rules::default());
    assert_eq!(
        feed(&mut judge, &[arrives, resumed, failed()]),
        ["STOPPED_FAILED"]
    );
}

/// Covers F12.
#[tokio::test]
async fn a_pause_while_unwatched_is_reported_once() {
    use DomainState::{Paused, Running};
    let on = || Rules {
        watchdog_pause: true,
        io_error_pause: true,
        io_error_interval: Duration::ZERO,
        coalesce: Duration::ZERO,
        ..Rules::default()
    };
    for (reason, event_names, live) in [
        (paused::IO_ERROR, "IO_ERROR_REPORT", DomainEventKind::IoError(1)),
        (paused::WATCHDOG, "STOPPED_FAILED", DomainEventKind::Watchdog(1)),
    ] {
        let halted = || [listed(ONE, Paused, reason)];
        let mut judge = judge(on());
        feed(&mut judge, &[started(), life(Lifecycle::Defined, 0)]);
        assert_eq!(compare_all(&mut judge, &halted()), [event_names]);
        assert_eq!(compare_all(&mut judge, &halted()), NOTHING, "{event_names}: once");
        // The state on disk records the report.
        let text = serde_json::to_string(judge.take_changed().unwrap()).unwrap();
        let mut judge = Judge::new(on(), serde_json::from_str(&text).unwrap(), false);
        assert_eq!(
            compare_all(&mut judge, &halted()),
            NOTHING,
            "{event_names}: after a restart"
        );
        compare_all(&mut judge, &[listed(ONE, Running, 1)]);
        assert_eq!(
            compare_all(&mut judge, &halted()),
            [event_names],
            "{event_names}: again"
        );
        feed(&mut judge, &[life(Lifecycle::Resumed, 0)]);
        assert_eq!(feed(&mut judge, &[live]), [event_names], "{event_names}: heard");
        assert_eq!(
            compare_all(&mut judge, &halted()),
            NOTHING,
            "{event_names}: and then seen"
        );
        // Without the options nothing is reported, nor any state found on a host that was never watched.
        let mut quiet = Judge::new(Rules::default(), Inventory::new("boot"), false);
        assert_eq!(compare_all(&mut quiet, &halted()), NOTHING);
        let mut blank = Judge::new(on(), Inventory::new("boot"), true);
        assert_eq!(compare_all(&mut blank, &halted()), NOTHING);
        assert_eq!(compare_all(&mut blank, &halted()), NOTHING);
    }
}
