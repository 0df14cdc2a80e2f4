use super::escape::code;
use super::*;

const HISTORY: &str = include_str!("golden/story.json");

fn history() -> RecoveryHistoryView {
    serde_json::from_str(HISTORY).unwrap()
}

/// Compares a report with its stored form; `WRITE_GOLDEN=1` replaces that.
fn assert_golden(name: &str, rendered: &str) {
    let path = format!("{}/src/report/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(&path, rendered).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(rendered, golden, "{path}");
}

#[test]
fn a_time_of_some_milliseconds_before_the_report_is_none() {
    for (after, expected) in [
        (Some(-0.001), "+0.0 s"),
        (Some(-0.1), "-0.1 s"),
        (Some(26.14), "+26.1 s"),
        (None, ""),
    ] {
        let milestone = Milestone {
            what: "noticed",
            at: None,
            after,
            by: String::new(),
        };
        assert_eq!(milestone.after(), expected);
    }
}

#[test]
fn the_same_story_makes_the_same_report() {
    let history = history();
    let report = RecoveryReport::of(&history);
    let version = |text: String| text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    assert_golden("recovery.md", &version(report.markdown().unwrap()));
    assert_golden("recovery.html", &version(report.html().unwrap()));
    assert_eq!(
        RecoveryReport::of(&history).html().unwrap(),
        report.html().unwrap()
    );
}

#[test]
fn milestones_are_listed_reached_or_not() {
    let mut history = history();
    let rendered = |history: &RecoveryHistoryView| {
        let all = moments(history).into_iter();
        all.map(|milestone| (milestone.what, milestone.after))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        rendered(&history),
        [
            ("noticed, by the report", Some(-1.9)),
            ("recovery opened", Some(0.0)),
            ("confirmed off", Some(3.0)),
            ("disabled and forced down in Nova", Some(3.01)),
            ("first instance back", Some(5.5)),
            ("last instance back", Some(6.0)),
        ]
    );
    let opened = history.summary.opened_at.0;
    history.summary.first_reported_at = Some(crate::when::Time(opened.minus_seconds(60)));
    assert_eq!(
        title(&history),
        "Host compute-003, reported 2026-11-21 23:31:24.000 UTC"
    );
    history.summary.first_reported_at = None;
    history.proofs.clear();
    history.steps.clear();
    history.instances.clear();
    let none = rendered(&history);
    assert!(none.iter().skip(2).all(|(_, after)| after.is_none()), "{none:?}");
}

#[test]
fn every_instance_that_is_not_what_it_was_is_listed_with_what_to_type() {
    let history = history();
    let report = RecoveryReport::of(&history);
    let names: Vec<_> = report.left.iter().map(|entry| entry.name).collect();
    assert_eq!(names[..2], ["paused-1", "ha-9"]);
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(report.left[1].commands, history.instances[2].commands);
    assert!(report.left[2].how.contains("carol"), "{:?}", report.left[2]);
    assert_eq!(
        report.sentence,
        "2 of 5 instances are back, the last 6.0 s after the first report; 1 waiting for an operator; 1 acknowledged by an operator; \
         1 left where it was. Its host is not back yet."
    );
    for status in VmoveStatus::ALL {
        let mut instance = history.instances[0].clone();
        instance.status = Some(*status);
        instance.down_seconds = None;
        assert_eq!(
            left(RecoveryKind::Host, &instance).is_none(),
            *status == VmoveStatus::Succeeded,
            "{status}"
        );
    }
    // A state that another version has written does not hide an instance.
    let mut odd = history.instances[0].clone();
    odd.status = None;
    assert!(left(RecoveryKind::Host, &odd).is_some());
}

/// A recovery that was aborted or failed before it listed an instance.
#[test]
fn a_failure_without_an_instance_is_left_to_do_with_its_commands() {
    let mut history = history();
    history.instances.clear();
    history.summary.moves = tachi_engine::ports::operator::MoveCounts::default().into();
    history.summary.life = Life::Closed;
    history.summary.message = Some("aborted by alice".to_owned());
    let id = history.summary.recovery;
    let retry = format!("tachi recovery retry {id}");
    for (kind, commands) in [
        (RecoveryKind::Host, vec![retry.clone()]),
        (RecoveryKind::Vm, vec!["tachi show web-1".to_owned(), retry]),
    ] {
        history.summary.kind = kind;
        if let Some(reported) = &mut history.reported
            && kind == RecoveryKind::Vm
        {
            let instance = ("instance_uuid".to_owned(), "web-1".to_owned());
            reported.payload.extend([instance]);
        }
        let report = RecoveryReport::of(&history);
        assert!(!report.nothing_is_left(), "{kind}");
        assert_eq!(report.after_failure(), commands);
        for text in [report.markdown().unwrap(), report.html().unwrap()] {
            assert!(
                text.contains("it ended without a result: aborted by alice"),
                "{text}"
            );
            assert!(commands.iter().all(|command| text.contains(command)), "{text}");
            assert!(!text.contains("Nothing."), "{text}");
        }
    }
    history.summary.kind = RecoveryKind::Host;
    for (still_down, expected) in [
        (
            None,
            "the number of instances that are down on compute-003 is unknown",
        ),
        (
            Some(vec!["ha-1 (id-1)".to_owned(), "ha-2 (id-2)".to_owned()]),
            "2 instances are still down on compute-003: ha-1 (id-1), ha-2 (id-2)",
        ),
        (Some(Vec::new()), ""),
    ] {
        history.still_down = still_down;
        let report = RecoveryReport::of(&history);
        let page = report.html().unwrap();
        assert!(page.contains(expected), "{page}");
        assert_eq!(page.contains("None was listed."), !expected.is_empty(), "{page}");
        assert_eq!(
            report.markdown().unwrap().contains("still down"),
            expected.contains("still")
        );
    }
    assert_eq!(RecoveryReport::of(&history).sentence, "No instance was moved.");
    for status in ["finished", DISMISSED_STATUS, "ignored"] {
        history.summary.status = status.to_owned();
        assert!(RecoveryReport::of(&history).nothing_is_left(), "{status}");
    }
}

/// A start is refused for an instance that is active, in error or resized, and R12 forbids it on a host that is being recovered. None of
/// these ends shows in the recovery alone.
/// Covers R12.
#[test]
fn no_failure_of_an_instance_proposes_a_start_that_its_state_may_refuse() {
    for message in [
        "not stopped within 180 s",
        "the instance is in error, and its restart was refused",
        "not set active within 60 s; it is resized",
        "compute-003 is being recovered: left to that recovery; it had been asked to stop for its restart, and is not started from here",
    ] {
        let mut history = history();
        history.instances.clear();
        history.summary.moves = tachi_engine::ports::operator::MoveCounts::default().into();
        (history.summary.kind, history.summary.life) = (RecoveryKind::Vm, Life::Closed);
        history.summary.message = Some(message.to_owned());
        let instance = ("instance_uuid".to_owned(), "web-1".to_owned());
        history.reported.as_mut().unwrap().payload.extend([instance]);
        let report = RecoveryReport::of(&history);
        assert_eq!(report.after_failure()[0], "tachi show web-1", "{message}");
        for text in [report.markdown().unwrap(), report.html().unwrap()] {
            assert!(!text.contains("server start"), "{message}: {text}");
        }
    }
}

/// Covers R36.
#[test]
fn the_report_of_an_instance_names_it_and_what_is_left_while_it_is_down() {
    let mut history = history();
    history.instances.truncate(1);
    let one = &mut history.instances[0];
    (one.name, one.id) = ("ha-1".to_owned(), "web-1".to_owned());
    (one.status, one.message) = (Some(VmoveStatus::Ongoing), None);
    history.summary.moves = tachi_engine::ports::operator::MoveCounts::default().into();
    history.summary.kind = RecoveryKind::Vm;
    for (life, status, expected) in [
        (Life::Open, VmoveStatus::Ongoing, "ha-1 (web-1) is not back yet"),
        (Life::Closed, VmoveStatus::Failed, "ha-1 (web-1) is not back"),
    ] {
        history.summary.life = life;
        history.instances[0].status = Some(status);
        let report = RecoveryReport::of(&history);
        assert!(
            report.title.starts_with("Instance ha-1 on compute-003"),
            "{}",
            report.title
        );
        let page = report.markdown().unwrap();
        assert!(page.contains(expected), "{page}");
        let html = report.html().unwrap();
        for page in [page, html] {
            assert!(!page.contains("Nothing."), "{page}");
            assert!(!page.contains("--waiting"), "{page}");
        }
    }
    // An older API names no instance.
    history.instances.clear();
    history.summary.life = Life::Open;
    let page = RecoveryReport::of(&history).markdown().unwrap();
    assert!(
        page.contains("An instance on") && !page.contains("Nothing."),
        "{page}"
    );
}

/// The first attempt goes on to propose a retry that would be another power-off.
#[test]
fn an_attempt_that_was_repeated_names_the_later_one_and_no_retry() {
    let mut history = history();
    let later = "e241c4a2-0000-4000-8000-000000000002";
    history.later = Some(later.parse().unwrap());
    history.instances[2].commands = vec!["tachi recovery retry x".to_owned()];
    for closed in [false, true] {
        if closed {
            history.instances.clear();
            history.summary.life = Life::Closed;
        }
        let report = RecoveryReport::of(&history);
        for text in [report.markdown().unwrap(), report.html().unwrap()] {
            assert!(!text.contains("recovery retry"), "{text}");
            assert!(text.contains(&format!("tachi recovery report {later}")), "{text}");
            assert!(!text.contains("Nothing."), "{text}");
        }
    }
}

#[test]
fn a_reserved_host_that_was_used_up_is_left_to_do_until_the_segment_has_one() {
    let mut history = history();
    history.instances.clear();
    history.summary.life = Life::Closed;
    history.summary.status = "finished".to_owned();
    assert!(RecoveryReport::of(&history).nothing_is_left());
    history.reserve_used = vec!["spare-1".to_owned()];
    let report = RecoveryReport::of(&history);
    let (text, commands) = report.reserve_used().unwrap();
    assert!(
        text.starts_with("the segment has no reserved host: its reserved host was used up")
            && text.contains("spare-1"),
        "{text}"
    );
    for page in [report.markdown().unwrap(), report.html().unwrap()] {
        assert!(!page.contains("Nothing."), "{page}");
        assert!(commands.iter().all(|command| page.contains(command)), "{page}");
    }
}

#[test]
fn an_excluded_instance_that_was_started_on_return_is_back() {
    let excluded = |one: &InstanceView| one.status == Some(VmoveStatus::Ignored) && one.seen_to.is_none();
    let started: fn(&mut InstanceView) = |one| one.down_seconds = Some(900.0);
    let moved: fn(&mut InstanceView) = |one| one.moved_by = Some(tachi_domain::RecoveryId(uuid::Uuid::nil()));
    // An older API counts such an instance as ignored.
    for (how, is_counted) in [(started, false), (started, true), (moved, false), (moved, true)] {
        let mut history = history();
        let before = RecoveryReport::of(&history).left.len();
        let one = history.instances.iter_mut().find(|one| excluded(one)).unwrap();
        how(one);
        let name = one.name.clone();
        if is_counted {
            history.summary.moves.ignored -= 1;
            history.summary.moves.succeeded += 1;
        }
        let report = RecoveryReport::of(&history);
        assert_eq!(report.left.len(), before - 1);
        assert!(report.left.iter().all(|one| one.name != name));
        assert!(
            report.sentence.starts_with("3 of 5 instances are back"),
            "{}",
            report.sentence
        );
        assert!(!report.sentence.contains("left where"), "{}", report.sentence);
    }
}

#[test]
fn names_chosen_by_others_stay_text() {
    let mut history = history();
    let evil = history.instances[3].name.clone();
    history.summary.host.clone_from(&evil);
    history.summary.message = Some(evil.clone());
    history.instances[2].commands = vec![format!("tachi instance resolve {evil}")];
    for step in &mut history.steps {
        step.text.clone_from(&evil);
    }
    let report = RecoveryReport::of(&history);
    let page = report.html().unwrap();
    for bad in ["<script", "\u{1b}", "\u{202e}", "\n# ERR", "src=", "href="] {
        assert!(!page.contains(bad), "{bad:?}");
    }
    assert!(page.contains("&#60;script&#62;"), "{page}");
    let text = report.markdown().unwrap();
    for bad in ["\u{1b}", "\u{202e}", "\n# ERR"] {
        assert!(!text.contains(bad), "{bad:?}: {text}");
    }
    // No text becomes a tag, not even in code and in a program that ignores backslashes.
    assert!(!text.contains(['<', '>']), "{text}");
    assert!(text.contains("&lt;script&gt;"), "{text}");
    // Outside of code, no text becomes a cell, a link or a picture.
    let outside = text.lines().filter(|line| !line.trim_start().starts_with("- `"));
    let outside: String = outside.collect::<String>().replace("\\[", "");
    for bad in ["http://", "[x]", "|[x](", "www.evil"] {
        assert!(!outside.contains(bad), "{bad:?}: {outside}");
    }
    for line in text.lines().filter(|line| line.starts_with('|')) {
        assert!(line.ends_with('|'), "{line}");
    }
    assert_eq!(code("a `` b"), "``` a `` b ```");
    assert_eq!(code("a"), "`a`");
    assert_eq!(code("thaw '<b>&'"), "thaw '&lt;b&gt;&amp;'");
}

#[test]
fn a_story_of_an_older_api_makes_a_report_too() {
    let mut old: Value = serde_json::from_str(HISTORY).unwrap();
    old.as_object_mut().unwrap().remove("instance_words");
    for instance in old["instances"].as_array_mut().unwrap() {
        let instance = instance.as_object_mut().unwrap();
        for new in [
            "ha_enabled",
            "down_seconds",
            "failures",
            "waits",
            "commands",
            "seen_to",
        ] {
            instance.remove(new);
        }
    }
    let old: RecoveryHistoryView = serde_json::from_value(old).unwrap();
    let report = RecoveryReport::of(&old);
    assert_eq!(report.left.len(), 4);
    assert!(
        report.sentence.contains("1 waiting for an operator"),
        "{}",
        report.sentence
    );
    assert!(report.markdown().unwrap().contains("no valid host"));
}
