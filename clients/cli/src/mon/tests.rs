//! Keys and answers in, frames out.

use std::time::{Duration, Instant};

use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::monitor::MonitorKind;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::{Protection, Severity};
use tachi_domain::{HostId, NotificationId, RecoveryId, Timestamp, Wait, WaitsFor};
use tachi_engine::ports::operator::{MoveCounts, RecoverySummary};
use tachi_operator::downtime::DowntimeView;
use tachi_operator::{CountsView, LevelSeenView, MonitorView, RecoveryHistoryView, SituationView, Time};
use uuid::Uuid;

use super::super::status::common::tests::{fine, host, judged};
use super::dialogue::{Dialogue, Stage};
use super::feed::{FeedAnswer, More, Subject};
use super::state::{Event, Key, Mon, MonAction, Options};
use super::{Keys, draw, pressed};

const NOW: i64 = 1_700_000_000_000_000;
const ON_HOLD: RecoveryId = RecoveryId(Uuid::from_u128(0xe241_0000_0000_0000_0000_0000_0000_0009));

/// Four hosts: two are fine, one is in maintenance, one under recovery, which is on hold.
pub(super) fn region() -> SituationView {
    let mut snapshot = fine();
    let hosts = &mut snapshot.tables.segments[0].hosts;
    *hosts = vec![
        host("compute-001", false, None),
        host("compute-002", false, Some(MaintenanceReason::Operator)),
        host("compute-003", false, Some(MaintenanceReason::Recovery)),
        host("compute-004", false, None),
    ];
    hosts[2].recovery = Some((ON_HOLD, Life::Open));
    snapshot.tables.recoveries.push(RecoverySummary {
        id: ON_HOLD,
        notification: NotificationId(Uuid::from_u128(8)),
        kind: RecoveryKind::Host,
        host: "compute-003".into(),
        host_id: HostId(Uuid::from_u128(1)),
        segment: None,
        moves: MoveCounts {
            pending: 2,
            ongoing: 1,
            succeeded: 1,
            ..MoveCounts::default()
        },
        life: Life::Open,
        status: "running".into(),
        wait: Some(Wait::bare(
            WaitsFor::Alive,
            Timestamp::from_micros(NOW - 9_000_000),
        )),
        message: Some("any message".into()),
        owner: Some("e1".into()),
        opened_at: Timestamp::from_micros(NOW - 60_000_000),
        first_reported_at: Timestamp::from_micros(NOW - 60_000_000),
    });
    snapshot.situation = judged(&snapshot.tables);
    SituationView::from(&snapshot)
}

fn answer_event(situation: SituationView) -> Event {
    Event::Answer(Box::new(Ok(FeedAnswer {
        subject: Subject::Region,
        now: Timestamp::from_micros(NOW),
        situation,
        more: More::Newest(None),
    })))
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn mon() -> Mon {
    let mut mon = Mon::new(Options::default());
    mon.on(answer_event(region()), at(1));
    mon
}

fn press(mon: &mut Mon, keys: &str) -> Option<MonAction> {
    let now = mon.now;
    let mut last = None;
    for letter in keys.chars() {
        let key = match letter {
            '\n' => Key::Enter,
            '\u{1b}' => Key::Esc,
            '↓' => Key::Down,
            '↑' => Key::Up,
            '\t' => Key::Tab,
            letter => Key::Char(letter),
        };
        last = mon.on(Event::Key(key), now);
    }
    last
}

fn frame(mon: &mut Mon, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw::draw(mon, frame.buffer_mut()))
        .unwrap();
    draw::text(terminal.backend().buffer())
}

fn history() -> RecoveryHistoryView {
    let second = |seconds: i64| Time(Timestamp::from_micros(NOW - 60_000_000 + seconds * 1_000_000));
    let summary = serde_json::json!({
        "recovery": ON_HOLD, "notification": NotificationId(Uuid::from_u128(8)), "kind": "host", "host": "compute-003",
        "host_id": HostId(Uuid::from_u128(1)), "segment": null, "life": "open", "status": "running", "waits": null,
        "message": null, "owner": "e1", "opened_at": second(0),
        "moves": {"total": 3, "pending": 1, "ongoing": 1, "succeeded": 1, "failed": 0, "ignored": 0},
    });
    let moved = |name: &str, status: &str, requested: Option<i64>, over: Option<i64>| {
        serde_json::json!({
            "id": Uuid::from_u128(7), "name": name, "status": status, "from": "compute-003",
            "to": over.map(|_| "compute-001"), "message": null, "proof": null,
            "asked_at": requested.map(second), "over_at": over.map(second),
        })
    };
    let rest = serde_json::json!({
        "claim": 1, "downtime": DowntimeView::of(&[]), "elapsed_seconds": 60, "waits_for": "2 instances to be moved",
        "reported": null, "reporters": [], "word": null, "state": {"stage": "moving"}, "proofs": [], "instances": [],
        "steps": [
            {"at": second(1), "claim": 1, "task": "", "kind": "note", "instance": null, "text": "the host is confirmed off"},
            {"at": second(3), "claim": 1, "task": "", "kind": "intent", "instance": null, "text": "evacuate web-1"},
        ],
    });
    let mut all = summary;
    all.as_object_mut()
        .unwrap()
        .extend(rest.as_object().unwrap().clone());
    all["instances"] = serde_json::json!([
        moved("web-1", "succeeded", Some(3), Some(20)),
        moved("db-1", "ongoing", Some(10), None),
        moved("job-1", "pending", None, None),
    ]);
    serde_json::from_value(all).unwrap()
}

#[test]
fn the_overview_is_drawn_in_three_sizes_and_without_colours() {
    for (width, height) in [(80, 24), (120, 40), (200, 50)] {
        insta::assert_snapshot!(
            format!("overview_{width}x{height}"),
            frame(&mut mon(), width, height)
        );
    }
}

/// Of a dead host the engine, its power, and the progress of its recovery are read on a terminal of 60 columns, too.
#[test]
fn a_narrow_terminal_shows_fencing_and_the_progress_of_a_recovery() {
    let narrow = frame(&mut mon(), 60, 24);
    let dead = narrow
        .lines()
        .find(|line| line.starts_with(">compute-003"))
        .unwrap();
    assert!(dead.contains(" 1/4 ✗ e241 on hold"), "{narrow}");
    let head = narrow.lines().find(|line| line.contains("fencing")).unwrap();
    assert_eq!(
        head.find("fencing").map(|at| dead.chars().nth(at)),
        Some(Some('·')),
        "{narrow}"
    );
}

/// Of the segments the one of which the fewest hosts may be lost.
#[test]
fn headroom_stands_in_the_head_and_beside_its_segment_once_it_is_known() {
    let mut mon = mon();
    let bare = frame(&mut mon, 120, 40);
    assert!(!bare.contains("N+"), "{bare}");
    let mut situation = region();
    situation.not_assessed.clear();
    let mut other = situation.segments[0].clone();
    (other.name, other.headroom, other.headroom_exact) = ("other".into(), Some(3), false);
    other.hosts.clear();
    situation.segments[0].headroom = Some(0);
    situation.segments.push(other);
    mon.on(answer_event(situation.clone()), at(2));
    let zero = frame(&mut mon, 120, 40);
    assert!(zero.contains("● engines 1/1  · all N+0  ● broker"), "{zero}");
    assert!(
        zero.contains("3 of 4 hosts in service, N+0, no instances"),
        "{zero}"
    );
    situation.segments[0].headroom = None;
    mon.on(answer_event(situation), at(3));
    let unknown = frame(&mut mon, 120, 40);
    assert!(
        unknown.contains("● engines 1/1  ? all N+?  ● broker"),
        "{unknown}"
    );
}

#[test]
fn a_recovery_is_opened_with_a_bar_for_each_instance() {
    let mut mon = mon();
    let deed = press(&mut mon, "\n");
    assert_eq!(deed, Some(MonAction::Show(Subject::Recovery(ON_HOLD))));
    assert!(frame(&mut mon, 80, 24).contains("loading"));
    // The answer to what was asked before belongs to no page.
    mon.on(answer_event(region()), at(2));
    assert!(mon.page.is_none());
    mon.on(
        Event::Answer(Box::new(Ok(FeedAnswer {
            subject: Subject::Recovery(ON_HOLD),
            now: Timestamp::from_micros(NOW),
            situation: region(),
            more: More::Recovery(Some(history())),
        }))),
        at(2),
    );
    insta::assert_snapshot!("recovery_100x30", frame(&mut mon, 100, 30));
    // Nothing of a line is cut on a narrow terminal.
    let narrow = frame(&mut mon, 60, 30);
    assert!(narrow.contains("·| 17.0 s -> compute-001\n"), "{narrow}");
    // Back, one stands where one was.
    assert_eq!(press(&mut mon, "\u{1b}"), Some(MonAction::Show(Subject::Region)));
    assert_eq!(mon.host().as_deref(), Some("compute-003"));
}

#[test]
fn the_worst_host_stands_first() {
    let mut situation = region();
    situation.hosts[3].up = Some(false);
    let mut mon = Mon::new(Options::default());
    mon.on(answer_event(situation), at(1));
    let names: Vec<&str> = mon.rows().iter().map(|(_, host)| host.name.as_str()).collect();
    // On hold, silent, in maintenance, fine.
    assert_eq!(
        names,
        ["compute-003", "compute-004", "compute-002", "compute-001"]
    );
}

#[test]
fn a_finding_is_chosen_and_opened_in_full() {
    let mut mon = mon();
    press(&mut mon, "\t↓");
    let shown = frame(&mut mon, 120, 40);
    assert!(shown.contains(">! HOST_ON_MAINTENANCE"), "{shown}");
    assert!(
        !shown.contains(">compute"),
        "one thing is chosen at a time: {shown}"
    );
    let deed = press(&mut mon, "\n");
    let subject = Subject::Finding("HOST_ON_MAINTENANCE compute-002".to_owned());
    assert_eq!(deed, Some(MonAction::Show(subject.clone())));
    let mut answer = FeedAnswer {
        subject,
        now: Timestamp::from_micros(NOW),
        situation: region(),
        more: More::Newest(None),
    };
    mon.on(Event::Answer(Box::new(Ok(answer.clone()))), at(2));
    let shown = frame(&mut mon, 120, 40);
    for text in ["compute-002", "docs/findings/host-on-maintenance.md", "->"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    answer.situation.findings.clear();
    mon.on(Event::Answer(Box::new(Ok(answer))), at(3));
    assert!(frame(&mut mon, 120, 40).contains("this finding is resolved"));
    press(&mut mon, "\u{1b}\t");
    assert!(frame(&mut mon, 120, 40).contains(">compute-003"));
}

#[test]
fn old_facts_are_never_shown_as_good() {
    let mut mon = mon();
    let young = frame(&mut mon, 120, 40);
    assert!(
        young.contains("● up") && young.contains("seen 0 s ago"),
        "{young}"
    );
    assert!(!young.contains("NO ANSWER"), "{young}");
    mon.on(
        Event::Answer(Box::new(Err("the database was asked\u{1b}[2J".into()))),
        at(3),
    );
    let failed = frame(&mut mon, 120, 40);
    assert!(
        failed.contains("✗ NO ANSWER for 2 s") && failed.contains("asked\\u{1b}[2J"),
        "{failed}"
    );
    mon.on(Event::Tick, at(6));
    let old = frame(&mut mon, 120, 40);
    assert!(!old.contains('●') && old.contains("? was up"), "{old}");
    // A question that hangs is no answer either.
    mon.on(answer_event(region()), at(7));
    assert!(frame(&mut mon, 120, 40).contains('●'));
    mon.on(Event::Tick, at(12));
    let hung = frame(&mut mon, 120, 40);
    assert!(
        hung.contains("NO ANSWER for 5 s") && !hung.contains('●'),
        "{hung}"
    );
}

#[test]
fn an_action_shows_its_command_and_runs_just_that() {
    let mut mon = mon();
    assert_eq!(press(&mut mon, "↓↓f"), None);
    let shown = frame(&mut mon, 120, 40);
    assert!(
        shown.contains("tachi freeze host --for=2h --reason= -- compute-001"),
        "{shown}"
    );
    // A reason has to be written, and nothing runs before.
    assert_eq!(press(&mut mon, "\n\n"), None);
    assert!(frame(&mut mon, 120, 40).contains("✗ reason: required"));
    let deed = press(&mut mon, "new firmware\n");
    let expected = [
        "freeze",
        "host",
        "--for=2h",
        "--reason=new firmware",
        "--",
        "compute-001",
    ];
    assert_eq!(deed, Some(MonAction::Run(expected.map(str::to_owned).to_vec())));
    // While it runs no key begins a second one.
    assert_eq!(press(&mut mon, "\n\nq\u{1b}"), None);
    assert_eq!(mon.dialogue.as_ref().unwrap().stage, Stage::Running);
    mon.on(
        Event::Ran(vec!["compute-001 is frozen".into(), "● done".into()]),
        at(2),
    );
    assert!(frame(&mut mon, 120, 40).contains("compute-001 is frozen"));
    press(&mut mon, "\n");
    assert!(mon.dialogue.is_none());
}

#[test]
fn what_may_cut_power_wants_the_name_of_the_host() {
    let mut mon = mon();
    press(&mut mon, "↓a");
    assert_eq!(mon.hint.as_deref(), Some("no recovery of this host is open"));
    press(&mut mon, "↑a");
    insta::assert_snapshot!("approve_80x24", frame(&mut mon, 80, 24));
    assert_eq!(press(&mut mon, "compute-001\nit is off\n"), None);
    assert!(frame(&mut mon, 80, 24).contains("does not match compute-003"));
    for _ in 0..11 {
        mon.on(Event::Key(Key::Backspace), at(1));
    }
    let deed = press(&mut mon, "compute-003\n\n");
    let id = ON_HOLD.to_string();
    let waits = r#"--waits={"for":"alive","on":[],"since":"2023-11-14T22:13:11.000Z"}"#;
    let expected = ["recovery", "approve", &id, "--yes", "--reason=it is off", waits].map(str::to_owned);
    assert_eq!(deed, Some(MonAction::Run(expected.to_vec())));

    let none = Dialogue::approve(ON_HOLD, "compute-003", None, None, &[]);
    assert!(none.command().contains(&"--waits=null".to_owned()));
    assert!(!none.what.contains("Why it waits"));

    // What vouches is left to the command line.
    let mut mon = self::mon();
    press(&mut mon, "v");
    let shown = frame(&mut mon, 120, 40);
    assert!(
        shown.contains("tachi recovery confirm-off compute-003"),
        "{shown}"
    );
    assert_eq!(press(&mut mon, "compute-003\n"), None);
    assert!(mon.dialogue.is_none());
}

#[test]
fn a_drain_shows_its_command_and_wants_the_name_of_the_host() {
    let mut mon = mon();
    assert_eq!(press(&mut mon, "↓↓d"), None);
    let shown = frame(&mut mon, 120, 40);
    assert!(
        shown.contains("tachi host drain --for=2h --reason= --yes --no-follow -- compute-001"),
        "{shown}"
    );
    assert_eq!(press(&mut mon, "\nfirmware\ncompute-002\n"), None);
    assert!(frame(&mut mon, 120, 40).contains("does not match compute-001"));
    for _ in 0..11 {
        mon.on(Event::Key(Key::Backspace), at(1));
    }
    let deed = press(&mut mon, "compute-001\n");
    let expected = "host drain --for=2h --reason=firmware --yes --no-follow -- compute-001";
    let expected = expected.split(' ').map(str::to_owned).collect();
    assert_eq!(deed, Some(MonAction::Run(expected)));
}

#[test]
fn a_command_is_typed_and_what_it_says_is_shown() {
    let mut mon = mon();
    assert_eq!(press(&mut mon, ":fence off compute-001\n"), None);
    let refused = frame(&mut mon, 120, 40);
    assert!(refused.contains("fence off: not available here"), "{refused}");
    press(&mut mon, "\u{1b}:show 'a b'");
    assert!(frame(&mut mon, 120, 40).contains("tachi show 'a b'"));
    let deed = press(&mut mon, "\n");
    let expected = ["show", "a b"].map(str::to_owned);
    assert_eq!(deed, Some(MonAction::Run(expected.to_vec())));
    mon.on(Event::Ran(vec!["no host is called so".into()]), at(2));
    assert!(frame(&mut mon, 120, 40).contains("no host is called so"));

    let mut only = Mon::new(Options {
        read_only: true,
        ..Options::default()
    });
    only.on(answer_event(region()), at(1));
    assert_eq!(press(&mut only, ":freeze host a --for 1h\n"), None);
    assert!(frame(&mut only, 120, 40).contains("started with --read-only"));
}

#[test]
fn monitors_and_each_fence_level_have_a_column_where_there_is_room() {
    let mut situation = region();
    let level = |level, good| LevelSeenView { level, good };
    situation.hosts[0].levels = vec![level(1, true), level(2, false)];
    situation.hosts[1].levels = vec![level(2, true)];
    let monitor = |grade| MonitorView {
        host: "compute-001".into(),
        kind: MonitorKind::ALL[0],
        grade,
        signed_at: Time(Timestamp::from_micros(NOW)),
        version: "1".into(),
        trouble: String::new(),
        watches: 3,
        guests: None,
        notice: None,
        heartbeat_use: tachi_domain::monitor::HeartbeatUse::Unknown,
    };
    situation.monitors = vec![monitor(Severity::Ok), monitor(Severity::Err)];
    let mut mon = Mon::new(Options::default());
    mon.on(answer_event(situation), at(1));
    let shown = frame(&mut mon, 120, 40);
    let line = |name: &str| {
        let found = shown.lines().find(|line| line.contains(name));
        found.unwrap().to_owned()
    };
    assert!(line("flags nova").contains("monitors  L1  L2"), "{shown}");
    assert!(line(" compute-001").contains("✗ 1/2     ●   ✗"), "{shown}");
    assert!(line(" compute-002 ..M").contains("? none        ●"), "{shown}");
    let narrow = frame(&mut mon, 80, 24);
    assert!(!narrow.contains("monitors") && !narrow.contains("L1"), "{narrow}");
}

#[test]
fn commands_ask_where_mon_asks_and_a_name_is_never_an_option() {
    let mut situation = region();
    let evil = "--force; rm 'x'";
    situation.hosts[0].name = evil.into();
    situation.segments[0].hosts[0].name = evil.into();
    let mut mon = Mon::new(Options {
        source: vec!["--config-file=/etc/my tachi.conf".into()],
        ..Options::default()
    });
    mon.on(answer_event(situation), at(1));
    press(&mut mon, "↓↓f");
    let typed = mon.dialogue.as_ref().unwrap().typed();
    assert_eq!(
        typed,
        r"tachi freeze host --for=2h --reason= '--config-file=/etc/my tachi.conf' -- '--force; rm '\''x'\'''"
    );
    // Over an API too.
    let mut remote = Mon::new(Options {
        source: vec!["--os-cloud=a".into()],
        ..Options::default()
    });
    remote.on(answer_event(region()), at(1));
    press(&mut remote, "↓↓f");
    let typed = remote.dialogue.as_ref().unwrap().typed();
    assert_eq!(
        typed,
        "tachi freeze host --for=2h --reason= --os-cloud=a -- compute-001"
    );
}

#[test]
fn read_only_offers_nothing_that_changes_anything() {
    let mut mon = Mon::new(Options {
        read_only: true,
        ..Options::default()
    });
    mon.on(answer_event(region()), at(1));
    for keys in ["f", "d", "↓↓a", "x", "v"] {
        assert_eq!(press(&mut mon, keys), None);
        assert!(mon.dialogue.is_none() && mon.hint.is_some(), "{keys}");
    }
    press(&mut mon, "?");
    let shown = frame(&mut mon, 120, 40);
    assert!(
        shown.contains("READ-ONLY") && !shown.contains("freeze the host"),
        "{shown}"
    );
}

/// A reader is stuck once its terminal is gone; the process ends nevertheless.
#[test]
fn the_end_does_not_wait_for_a_reader_that_is_stuck() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let keys = Keys::read_by(move |_| {
        let _ = released.recv();
    });
    drop(keys);
    drop(release);
}

#[test]
fn a_filter_leaves_hosts_with_all_its_words() {
    let mut mon = mon();
    press(&mut mon, "/ALL hold\n");
    let shown = frame(&mut mon, 120, 40);
    assert!(shown.contains("filter \"ALL hold\": 1 host"), "{shown}");
    let head = shown.lines().find(|line| line.contains("fencing     monitors"));
    assert!(
        head.unwrap().contains("inst  state"),
        "the head is whole: {shown}"
    );
    assert_eq!(mon.host().as_deref(), Some("compute-003"));
    // Every word that the row shows is found, also those of the finding and of the other columns.
    for words in ["/set by an operator\n", "/host_on_maintenance external\n"] {
        press(&mut mon, &format!("\u{1b}{words}"));
        assert_eq!(mon.host().as_deref(), Some("compute-002"), "{words}");
        assert_eq!(mon.rows().len(), 1, "{words}");
    }
    press(&mut mon, "\u{1b}/nobody\n");
    assert_eq!(mon.host(), None);
    assert!(frame(&mut mon, 120, 40).contains("no host contains these words"));
    // Nothing is chosen, and no key acts on anything.
    for keys in ["f", "a", "\n", "e", "↓", "h"] {
        assert_eq!(press(&mut mon, keys), None, "{keys}");
        assert!(mon.dialogue.is_none());
    }
    press(&mut mon, "\u{1b}");
    assert_eq!(mon.rows().len(), 4);
}

#[test]
fn hostile_names_and_small_terminals_break_nothing() {
    let mut situation = region();
    let names = [
        "evil\u{1b}[2J\r\nERR",
        "\u{202e}<script>",
        "日本語のホスト名はとても長い名前です",
        "e\u{301}\u{200d}👨‍👩‍👧",
    ];
    for (place, name) in names.iter().enumerate() {
        situation.hosts[place].name = (*name).to_owned();
        situation.segments[0].hosts[place].name = (*name).to_owned();
    }
    situation.segments[0].name = "S\u{9b}31m\n".into();
    situation.findings[0].text = "x\u{7}\n".repeat(200);
    let mut mon = Mon::new(Options {
        colours: true,
        ..Options::default()
    });
    mon.on(answer_event(situation), at(1));
    for (width, height) in [
        (80, 24),
        (120, 40),
        (40, 8),
        (41, 9),
        (39, 8),
        (1, 1),
        (2, 50),
        (200, 3),
    ] {
        for keys in ["", "?", "?f", "\u{1b}/x", "\u{1b}"] {
            press(&mut mon, keys);
            let shown = frame(&mut mon, width, height);
            assert_eq!(shown.lines().count(), usize::from(height));
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        }
    }
    let shown = frame(&mut mon, 120, 40);
    assert!(
        shown.contains("evil\\u{1b}[2J") && shown.contains("\\u{202e}<script>"),
        "{shown}"
    );
    // What is wide does not push the columns after it.
    let column = |needle: &str| {
        let line = shown.lines().find(|line| line.contains(needle)).unwrap();
        let place = line.find("● up").unwrap();
        textwrap::core::display_width(&line[..place])
    };
    assert_eq!(column("日本語"), column("evil"));
}

#[test]
fn a_thousand_hosts_are_scrolled_and_drawn_fast() {
    let mut situation = region();
    let (judged, registered) = (situation.hosts[0].clone(), situation.segments[0].hosts[0].clone());
    situation.hosts.clear();
    situation.segments[0].hosts.clear();
    for number in 0..1_000 {
        let name = format!("compute-{number:04}");
        let mut host = judged.clone();
        host.name.clone_from(&name);
        situation.hosts.push(host);
        let mut host = registered.clone();
        host.name = name;
        situation.segments[0].hosts.push(host);
    }
    let mut mon = Mon::new(Options {
        colours: true,
        ..Options::default()
    });
    mon.on(answer_event(situation), at(1));
    // The quickest of some: the machine is busy with other tests.
    let drawn = |mon: &mut Mon| {
        let quickest = (0..8).map(|_| {
            let began = Instant::now();
            frame(mon, 200, 50);
            began.elapsed()
        });
        quickest.min().unwrap()
    };
    let mut slowest = Duration::ZERO;
    for keys in ["", "↓", "↓↓↓"] {
        press(&mut mon, keys);
        slowest = slowest.max(drawn(&mut mon));
    }
    mon.on(Event::Key(Key::End), at(1));
    slowest = slowest.max(drawn(&mut mon));
    let shown = frame(&mut mon, 200, 50);
    assert!(shown.contains(">compute-0999"), "{shown}");
    assert!(slowest < Duration::from_millis(50), "a frame takes {slowest:?}");
    mon.on(Event::Key(Key::Home), at(1));
    assert!(frame(&mut mon, 80, 24).contains(">compute-0000"));
}

#[test]
fn the_chosen_host_is_always_on_the_screen() {
    let mut situation = region();
    let (judged, registered) = (situation.hosts[0].clone(), situation.segments[0].clone());
    situation.hosts.clear();
    situation.segments.clear();
    for number in 0..40 {
        let mut segment = registered.clone();
        segment.name = format!("S{number}");
        let name = format!("host-{number:02}");
        let mut host = judged.clone();
        host.name.clone_from(&name);
        situation.hosts.push(host);
        segment.hosts.truncate(1);
        segment.hosts[0].name = name;
        situation.segments.push(segment);
    }
    let mut mon = Mon::new(Options::default());
    mon.on(answer_event(situation), at(1));
    for number in 0..40 {
        let shown = frame(&mut mon, 80, 24);
        assert!(shown.contains(&format!(">host-{number:02}")), "{number}: {shown}");
        press(&mut mon, "↓");
    }
    for number in (0..39).rev() {
        mon.on(Event::Key(Key::Up), at(1));
        let shown = frame(&mut mon, 80, 24);
        assert!(shown.contains(&format!(">host-{number:02}")), "{number}: {shown}");
    }
}

#[test]
fn signs_and_words_tell_what_colours_tell() {
    let plainly = frame(&mut mon(), 120, 40);
    let mut coloured = Mon::new(Options {
        colours: true,
        ..Options::default()
    });
    coloured.on(answer_event(region()), at(1));
    assert_eq!(plainly, frame(&mut coloured, 120, 40));
    let mut situation = region();
    situation.grade = Severity::Ok;
    situation.hosts[0].protection = Protection::Protected;
    situation.hosts[0].reasons.clear();
    situation.instances = Some(CountsView {
        protected: 4,
        degraded: 0,
        unknown: 0,
        unprotected: 0,
        down: 0,
        not_meant: 1,
    });
    let mut mon = Mon::new(Options::default());
    mon.on(answer_event(situation), at(1));
    let shown = frame(&mut mon, 120, 40);
    assert!(shown.contains("OK  4 of 4 protected; 1 excluded"), "{shown}");
    assert!(shown.contains("● protected"), "{shown}");
}

#[test]
fn ctrl_c_ends_and_other_control_keys_do_nothing() {
    use super::{Input, InputEvent, KeyCode, KeyModifiers};
    use ratatui_crossterm::crossterm::event::KeyEvent;
    let key = |code, modifiers| pressed(&Input::Key(KeyEvent::new(code, modifiers)));
    assert!(matches!(
        key(KeyCode::Char('c'), KeyModifiers::CONTROL),
        InputEvent::Stop
    ));
    assert!(matches!(
        key(KeyCode::Char('f'), KeyModifiers::CONTROL),
        InputEvent::Other
    ));
    assert!(matches!(
        key(KeyCode::Char('q'), KeyModifiers::NONE),
        InputEvent::Key(Key::Char('q'))
    ));
}
