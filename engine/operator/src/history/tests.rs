use serde_json::json;
use tachi_domain::entity::Stamps;

use super::*;

#[test]
fn what_is_still_to_be_moved_is_told_of_none_one_and_many() {
    let counts = |pending, ongoing| MoveCounts {
        pending,
        ongoing,
        succeeded: 7,
        ..MoveCounts::default()
    };
    for (counts, expected) in [
        (counts(0, 0), "its last steps: every instance is moved or stays"),
        (counts(1, 0), "1 instance to be moved"),
        (counts(0, 1), "1 instance to be moved, which is in progress"),
        (counts(1, 1), "2 instances to be moved, 1 of them under way"),
        (counts(3, 0), "3 instances to be moved, 0 of them under way"),
    ] {
        assert_eq!(to_be_moved(counts), expected);
    }
}

#[test]
fn progress_tells_what_there_is_and_nothing_else() {
    let counts = |pending, ongoing, succeeded, failed, ignored| MoveCounts {
        pending,
        ongoing,
        succeeded,
        failed,
        ignored,
    };
    for (counts, expected) in [
        (counts(0, 0, 0, 0, 0), None),
        (
            counts(25, 3, 12, 0, 0),
            Some("12/40 instances back, 3 in flight, 25 to come"),
        ),
        (counts(0, 0, 40, 0, 0), Some("40/40 instances back")),
        (
            counts(0, 0, 1, 1, 2),
            Some("1/4 instances back, 2 left where they were, 1 needs an operator"),
        ),
    ] {
        assert_eq!(progress(counts).as_deref(), expected);
    }
}

#[test]
fn a_stage_is_read_however_it_is_written() {
    for (state, expected) in [
        (json!({"stage": "moving"}), Some("moving")),
        (json!({"stage": {"at": "waiting", "since": 3}}), Some("waiting")),
        (json!({"stage": {"stopping": {"since": 3}}}), Some("stopping")),
        (json!({"stage": 7}), None),
        (json!({}), None),
        (Value::Null, None),
    ] {
        assert_eq!(stage(&state).as_deref(), expected, "{state}");
    }
}

const AT: Timestamp = Timestamp::from_micros(1_795_155_308_000_000);
const SERVER: &str = "00000000-0000-4000-8000-000000000001";

fn history(kind: RecoveryKind, status: &str, state: &Value) -> RecoveryHistory {
    let id = "e241c4a2-0000-4000-8000-000000000001";
    let step = |seconds: i64, task: Task| StepLine {
        at: AT.minus_seconds(-seconds),
        epoch: 1,
        task: task.name().to_owned(),
        kind: StepKind::Outcome.as_str().to_owned(),
        server: (kind == RecoveryKind::Host).then(|| SERVER.to_owned()),
        text: "Started instance".to_owned(),
    };
    RecoveryHistory {
        summary: RecoverySummary {
            id: id.parse().unwrap(),
            notification: id.parse().unwrap(),
            kind,
            host: "compute-001".to_owned(),
            host_id: id.parse().unwrap(),
            segment: None,
            moves: MoveCounts::default(),
            life: Life::Closed,
            status: status.to_owned(),
            wait: None,
            message: None,
            owner: None,
            opened_at: AT,
            first_reported_at: AT.minus_seconds(60),
        },
        notification: None,
        reporters: Vec::new(),
        epoch: 1,
        beat: 1,
        elapsed: tachi_domain::Elapsed::ZERO,
        word: None,
        unread: Vec::new(),
        state: Some(state.to_string()),
        moves: Vec::new(),
        move_words: Vec::new(),
        vmoves: Vec::new(),
        steps: vec![step(3, Task::StopInstance), step(9, Task::StartInstance)],
        proofs: Vec::new(),
        later: None,
        has_reserve: false,
    }
}

#[test]
fn an_instance_that_was_restarted_has_a_downtime_from_the_first_report() {
    for (status, active, expected) in [
        ("finished", true, Some(69.0)),
        // It was stopped by its owner, or is not marked.
        ("finished", false, None),
        ("failed", true, None),
    ] {
        let history = history(RecoveryKind::Vm, status, &json!({"active": active}));
        let view = RecoveryHistoryView::from(&history);
        assert_eq!(view.downtime.all.last, expected, "{status}, {active}");
    }
}

/// Covers R36.
#[test]
fn the_instance_of_a_recovery_without_moves_is_its_one_row() {
    let state =
        json!({"name": "web", "tagged": true, "active": true, "host": "compute-002", "server": SERVER});
    for (life, status, expected) in [
        (Life::Open, "running", VmoveStatus::Ongoing),
        (Life::Closed, "finished", VmoveStatus::Succeeded),
        (Life::Closed, "failed", VmoveStatus::Failed),
        (Life::Closed, "ignored", VmoveStatus::Ignored),
    ] {
        let mut history = history(RecoveryKind::Vm, status, &state);
        history.summary.life = life;
        history.summary.message = Some("restarted 3 times recently".to_owned());
        let view = RecoveryHistoryView::from(&history);
        let [one] = &view.instances[..] else {
            panic!("{status}: {:?}", view.instances);
        };
        assert_eq!((one.name.as_str(), one.id.as_str()), ("web", SERVER));
        assert_eq!(
            (one.status, one.ha_enabled),
            (Some(expected), Some(true)),
            "{status}"
        );
        let is_back = expected == VmoveStatus::Succeeded;
        assert_eq!(one.down_seconds, is_back.then_some(69.0), "{status}");
        assert_eq!(one.to.as_deref(), is_back.then_some("compute-002"));
        assert_eq!(one.message.is_none(), is_back, "{status}");
        assert_eq!(view.downtime.ha_enabled.back, usize::from(is_back), "{status}");
        let show = format!("tachi show {SERVER}");
        let commands = match expected {
            VmoveStatus::Failed => vec![show, format!("tachi recovery retry {}", history.summary.id)],
            VmoveStatus::Ignored => vec![show],
            VmoveStatus::Pending | VmoveStatus::Ongoing | VmoveStatus::Succeeded => Vec::new(),
        };
        assert_eq!(one.commands, commands, "{status}");
    }
    // A state that an older version wrote has no name; without a notification and a state, the instance is unknown.
    let mut old = history(RecoveryKind::Vm, "failed", &json!({"server": SERVER}));
    assert_eq!(RecoveryHistoryView::from(&old).instances[0].name, SERVER);
    old.state = None;
    assert!(RecoveryHistoryView::from(&old).instances.is_empty());
}

#[test]
fn an_excluded_instance_counts_as_back_once_it_was_started_on_return() {
    for (end, expected) in [("started", Some(69.0)), ("not_started", None)] {
        let mut history = history(RecoveryKind::Host, "finished", &json!({}));
        let id = SERVER.parse().unwrap();
        history.vmoves.push(Vmove {
            row: 1,
            id,
            notification: history.summary.notification,
            instance_uuid: SERVER.to_owned(),
            instance_name: "web".to_owned(),
            source_host: Some("compute-001".to_owned()),
            dest_host: None,
            start_time: None,
            end_time: Some(AT),
            kind: None,
            status: Some(VmoveStatus::Ignored),
            message: None,
            stamps: Stamps {
                created_at: AT,
                updated_at: None,
            },
        });
        history.moves.push(HistoryMove {
            vmove: SERVER.to_owned(),
            wait: None,
            seen_to: None,
            moved_by: None,
            state: json!({"start": {"tries": 1, "end": end}}).to_string(),
        });
        let view = RecoveryHistoryView::from(&history);
        assert_eq!(view.instances[0].down_seconds, expected, "{end}");
        assert_eq!(view.downtime.all.last, expected, "{end}");
    }
}

#[test]
fn a_reserved_host_is_named_while_something_runs_on_it_and_the_segment_has_no_other() {
    let taken = |consumed: bool, step: Value| json!({"reserve": {"hosts": [{"name": "spare-1", "step": step, "consumed": consumed}]}});
    for (state, has_reserve, expected) in [
        (taken(true, json!({"over": "used"})), false, &["spare-1"][..]),
        (taken(true, json!("ready")), false, &["spare-1"]),
        (taken(true, json!({"over": "used"})), true, &[]),
        (taken(true, json!({"over": "given_back"})), false, &[]),
        (taken(false, json!({"over": "given_back"})), false, &[]),
        (json!({}), false, &[]),
    ] {
        let mut history = history(RecoveryKind::Host, "finished", &state);
        history.has_reserve = has_reserve;
        assert_eq!(
            RecoveryHistoryView::from(&history).reserve_used,
            expected,
            "{state}"
        );
    }
}

#[test]
fn foreign_text_stays_on_its_line() {
    assert_eq!(one_line("a\nb\u{1b}[2Jc"), "a b [2Jc");
}
