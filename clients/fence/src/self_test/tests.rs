use tachi_domain::Timestamp;
use tachi_engine::ports::device_report::Alarm;
use tachi_engine::watcher::Tests as _;

use super::*;

fn report(host: &str, fault: Option<&str>) -> Report {
    Report {
        host: host.into(),
        level: 1,
        device: "bmc".into(),
        kind: "ipmi".into(),
        target: None,
        power: None,
        raw: String::new(),
        machine: None,
        alarm: None,
        latency: Duration::ZERO,
        fault: fault.map(str::to_owned),
        warnings: Vec::new(),
        obstacle: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

#[test]
fn one_failed_self_test_is_not_told_and_two_are_until_it_works_again() {
    let how = FencingState::default();
    let round = |faults: usize| -> Vec<Report> {
        (0..6)
            .map(|host| report(&format!("c{host}"), (host < faults).then_some("no route")))
            .collect()
    };
    how.keep(&round(5), at(0));
    assert_eq!(how.problem(), None);
    how.keep(&round(5), at(1));
    let message = how.problem().unwrap();
    assert!(
        message.contains("c0 by bmc (no route)") && message.ends_with("and 2 more"),
        "{message}"
    );
    how.keep(&round(0), at(2));
    assert_eq!(how.problem(), None);
    how.keep(&round(1), at(3));
    assert_eq!(how.problem(), None, "counted from the beginning again");
    let foreign = Report {
        alarm: Some(Alarm::ForeignMachine),
        ..report("c5", Some("another machine"))
    };
    how.keep(&[foreign], at(4));
    assert!(
        how.problem().unwrap().contains("c5"),
        "an alarm is reported at once"
    );
}

#[test]
fn what_has_failed_is_tested_again_by_itself_and_the_rest_stays_as_it_was() {
    let how = FencingState::default();
    let all = [
        report("c1", Some("hangs")),
        report("c2", Some("refused")),
        report("c3", None),
    ];
    how.keep(&all, at(0));
    assert_eq!(how.problem(), None, "one failure may be a device that is busy");
    assert_eq!(how.failing_hosts().into_iter().collect::<Vec<_>>(), ["c1", "c2"]);
    how.keep(&all[..2], at(30));
    assert!(how.problem().unwrap().contains("c1"));
    how.keep(&[report("c1", None)], at(60));
    let problem = how.problem().unwrap();
    assert!(!problem.contains("c1") && problem.contains("c2"), "{problem}");
    // A host that is registered no more is no trouble any more.
    how.only([report("c3", None)].iter());
    assert_eq!(how.problem(), None);
    assert_eq!(how.last().unwrap().len(), 1);
}

#[test]
fn a_device_that_does_not_answer_is_a_failure_before_its_time_is_over() {
    let how = FencingState::default();
    how.keep(&[report("c1", None)], at(0));
    let last = || how.last().unwrap().remove(0);
    how.late(&report("c1", None), at(40), Duration::from_secs(10));
    assert_eq!(
        (last().fault.as_deref(), last().failures, last().as_of),
        (Some("the device has not answered for 10 s"), 0, at(40))
    );
    assert_eq!(how.failing_hosts().len(), 1, "it is tested again soon");
    how.keep(&[report("c1", Some("hangs"))], at(105));
    assert_eq!((last().fault.as_deref(), last().failures), (Some("hangs"), 1));
    how.late(&report("c1", None), at(145), Duration::from_secs(10));
    assert_eq!(last().fault.as_deref(), Some("hangs"), "nothing new");
    how.keep(&[report("c1", Some("hangs"))], at(210));
    assert_eq!(last().failures, 2);
    how.keep(&[report("c1", None)], at(240));
    assert_eq!((last().fault, last().failures), (None, 0));
}

#[tokio::test]
async fn who_watches_hears_of_what_is_new_and_of_nothing_else() {
    let how = FencingState::default();
    let has_changed = async || {
        let waits = tokio::time::timeout(Duration::from_millis(1), how.changed());
        waits.await.is_ok()
    };
    for (name, fault, expected) in [
        ("the first test", None, true),
        ("the same", None, false),
        ("a failure", Some("hangs"), true),
        ("the second, which is no accident", Some("hangs"), true),
        ("the third", Some("hangs"), false),
        ("it works again", None, true),
    ] {
        how.keep(&[report("c1", fault)], at(0));
        assert_eq!(has_changed().await, expected, "{name}");
    }
}

#[test]
fn who_takes_the_turn_keeps_what_is_younger() {
    let how = FencingState::default();
    let other = FencingState::default();
    other.keep(
        &[report("c1", Some("hangs")), report("c2", Some("hangs"))],
        at(50),
    );
    how.keep(&[report("c1", None)], at(20));
    how.keep(&[report("c2", None)], at(60));
    let kept = other.last().unwrap();
    how.resume(kept.clone());
    assert_eq!(
        how.failing_hosts().len(),
        0,
        "who tests nothing takes nothing over"
    );
    how.tests_every(PAUSES);
    how.resume(kept);
    assert_eq!(how.failing_hosts().into_iter().collect::<Vec<_>>(), ["c1"]);
}

const PAUSES: Pauses = Pauses {
    watching: Duration::from_secs(40),
    beside: Duration::from_secs(300),
};

#[test]
fn a_self_test_counts_until_devices_had_time_for_two_more_of_the_rarest() {
    let how = FencingState::default();
    assert_eq!(how.last(), None, "none was made yet");
    how.tests_every(PAUSES);
    how.keep(&[report("c1", None)], at(1));
    let kept = how.last().unwrap();
    assert_eq!((kept[0].as_of, kept[0].counts_for), (at(1), 660));
}
