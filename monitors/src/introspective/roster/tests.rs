use super::*;

fn domain(number: u8, id: i32) -> Domain {
    Domain {
        name: format!("instance-{number}"),
        uuid: Uuid::from_u128(u128::from(number)),
        id,
    }
}

fn uuid(number: u8) -> Uuid {
    domain(number, 0).uuid
}

fn polled_ids(roster: &mut Roster, running: &[(u8, i32)]) -> Vec<i32> {
    let running = running.iter().map(|(number, id)| domain(*number, *id)).collect();
    roster
        .round(running)
        .iter()
        .map(|target| target.domain.id)
        .collect()
}

/// Runs one round with one guest; true if it is reported.
fn round(roster: &mut Roster, id: i32, answers: bool) -> Transition {
    polled_ids(roster, &[(1, id)]);
    let turn = roster.answered(uuid(1), answers, 3);
    if turn == Transition::Report {
        roster.report_intent(uuid(1), 7);
        roster.reported(uuid(1));
    }
    turn
}

#[test]
fn guests_without_a_socket_are_rechecked_from_time_to_time() {
    let mut roster = Roster::default();
    assert_eq!(polled_ids(&mut roster, &[(1, 1)]), [1]);
    roster.record_socket(uuid(1), false);
    let rounds: Vec<bool> = (0..7)
        .map(|_| !polled_ids(&mut roster, &[(1, 1)]).is_empty())
        .collect();
    assert_eq!(rounds, [false, false, false, false, false, false, true]);
}

#[test]
fn silent_guests_are_polled_first() {
    let mut roster = Roster::default();
    let all = [(1, 1), (2, 2), (3, 3)];
    polled_ids(&mut roster, &all);
    for number in 2..=3 {
        roster.answered(uuid(number), true, 3);
    }
    polled_ids(&mut roster, &all);
    roster.answered(uuid(3), false, 3);
    assert_eq!(polled_ids(&mut roster, &all), [3, 2, 1]);
}

#[test]
fn a_new_run_and_a_reset_restart_the_count() {
    let mut roster = Roster::default();
    round(&mut roster, 1, true);
    for _ in 0..4 {
        assert_eq!(round(&mut roster, 1, false), Transition::Nothing);
    }
    // The guest was restarted before the fifth: there is no report for a long time.
    for _ in 0..20 {
        assert_eq!(round(&mut roster, 2, false), Transition::Nothing);
    }
    round(&mut roster, 2, true);
    for _ in 0..4 {
        round(&mut roster, 2, false);
    }
    polled_ids(&mut roster, &[(1, 2)]);
    roster.reset(uuid(1));
    assert_eq!(
        roster.answered(uuid(1), false, 3),
        Transition::Nothing,
        "polled before the reset"
    );
    assert_eq!(round(&mut roster, 2, false), Transition::Nothing);
}

/// Covers MW7.
#[test]
fn received_heartbeats_outlive_the_monitor() {
    let restart = |roster: &mut Roster, boot| {
        let saved_states = roster.take_changed("a").unwrap();
        let text = serde_json::to_string(&saved_states).unwrap();
        Roster::new(serde_json::from_str(&text).unwrap(), boot)
    };
    let reported_after =
        |roster: &mut Roster, id| (1..9).find(|_| round(roster, id, false) == Transition::Report);
    let mut first = Roster::default();
    round(&mut first, 1, true);
    // The guest hangs while the monitor is restarted: it is reported in time.
    let mut second = restart(&mut first, "a");
    assert_eq!(reported_after(&mut second, 1), Some(5));
    second.report_intent(uuid(1), 77);
    let mut third = restart(&mut second, "a");
    assert_eq!(reported_after(&mut third, 1), None, "reported already");
    assert_eq!(third.interrupted(), [(uuid(1), 77)], "or not yet");
    third.reported(uuid(1));
    assert_eq!(third.interrupted(), []);

    round(&mut first, 1, true);
    round(&mut first, 1, false);
    assert_eq!(
        reported_after(&mut restart(&mut first, "b"), 1),
        None,
        "the machine has been rebooted since"
    );
    round(&mut first, 1, true);
    assert_eq!(
        reported_after(&mut restart(&mut first, "a"), 2),
        None,
        "another run"
    );
}

/// Covers F1.
#[test]
fn how_many_are_too_many_at_once() {
    for (name, answering, silent, reported, later, expected) in [
        ("one of one", 1, 1, 0, 0, false),
        ("one of two", 2, 1, 0, 0, false),
        ("both of two", 2, 2, 0, 0, true),
        ("two of three", 3, 2, 0, 0, true),
        ("three of many", 30, 3, 0, 0, false),
        ("four of many", 30, 4, 0, 0, true),
        ("one after the other", 30, 2, 2, 0, true),
        (
            "of which some were reported long ago",
            30,
            2,
            2,
            STORM_ROUNDS,
            false,
        ),
        ("no guest", 0, 0, 0, 0, false),
    ] {
        let mut roster = Roster::default();
        let all: Vec<(u8, i32)> = (1..=answering)
            .map(|number| (number, i32::from(number)))
            .collect();
        polled_ids(&mut roster, &all);
        for number in 1..=answering {
            roster.answered(uuid(number), true, 3);
        }
        for number in 1..=reported {
            roster.report_intent(uuid(number), 7);
            roster.reported(uuid(number));
        }
        for _ in 0..later {
            polled_ids(&mut roster, &all);
        }
        for number in reported + 1..=reported + silent {
            roster.answered(uuid(number), false, 3);
        }
        assert_eq!(roster.silence_storm(3).is_some(), expected, "{name}");
    }
}

#[test]
fn guests_that_are_gone_are_forgotten() {
    let mut roster = Roster::default();
    let hundred: Vec<(u8, i32)> = (1..=100).map(|number| (number, i32::from(number))).collect();
    polled_ids(&mut roster, &hundred);
    roster.answered(uuid(7), true, 3);
    assert_eq!(roster.answering(), 1);
    polled_ids(&mut roster, &[]);
    assert!(roster.guests.is_empty());
    assert_eq!(roster.answering(), 0);
    assert_eq!(roster.answered(uuid(7), false, 0), Transition::Nothing);
}
