use tachi_domain::entity::Stamps;
use tachi_domain::forecast::{Needs, Provider, Requirement};
use tachi_domain::nova::{Rest, StartBlocker, StopReason};
use tachi_domain::resources::Resources;
use tachi_domain::situation::RoomsState;
use tachi_domain::{HostId, RecoveryId, VmoveId};
use uuid::Uuid;

use super::*;
use crate::ports::Fact;
use crate::ports::operator::MoveCounts;
use crate::watcher::kind;

const LISTED: i64 = 1_700_000_000_000_000;

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_micros(LISTED + seconds * 1_000_000)
}

fn id(number: u128) -> ServerId {
    ServerId(Uuid::from_u128(number))
}

fn moved(number: u128, recovery: u128, status: VmoveStatus, over: Option<i64>) -> Vmove {
    Vmove {
        row: 1,
        id: VmoveId(Uuid::from_u128(number)),
        notification: NotificationId(Uuid::from_u128(recovery)),
        instance_uuid: id(number).to_string(),
        instance_name: format!("vm-{number}"),
        source_host: Some("a".to_owned()),
        dest_host: over.map(|_| "b".to_owned()),
        start_time: None,
        end_time: over.map(after),
        kind: None,
        status: Some(status),
        message: None,
        stamps: Stamps {
            created_at: after(0),
            updated_at: None,
        },
    }
}

fn recovery(number: u128, kind: RecoveryKind, life: Life, opened: i64) -> RecoverySummary {
    RecoverySummary {
        id: RecoveryId(Uuid::from_u128(number)),
        notification: NotificationId(Uuid::from_u128(number)),
        kind,
        host: "a".to_owned(),
        host_id: HostId(Uuid::from_u128(1)),
        segment: None,
        moves: MoveCounts::default(),
        life,
        status: "running".to_owned(),
        wait: None,
        message: None,
        owner: None,
        opened_at: after(opened),
        first_reported_at: after(opened),
    }
}

fn tables() -> Tables {
    Tables {
        segments: Vec::new(),
        recoveries: Vec::new(),
        waiting: Vec::new(),
        moves: Vec::new(),
        engines: Vec::new(),
        backlog: Backlog::default(),
        muted_reporters: Vec::new(),
        failed: std::collections::BTreeMap::new(),
        machines: Vec::new(),
        freezes: Vec::new(),
        monitors: Vec::new(),
        local_disks: Arc::default(),
        acknowledged: Vec::new(),
    }
}

#[test]
fn operator_later_moves_in_the_journal_update_the_list() {
    let tables = Tables {
        moves: vec![
            moved(1, 9, VmoveStatus::Succeeded, Some(3)),
            // The list is newer than the move: a user has moved the instance since.
            moved(2, 9, VmoveStatus::Succeeded, Some(-3)),
            moved(3, 9, VmoveStatus::Failed, Some(3)),
            moved(4, 9, VmoveStatus::Ongoing, None),
        ],
        ..tables()
    };
    let instance = |number| Instance {
        id: id(number),
        name: format!("vm-{number}").into(),
        left: None,
        moving: true,
        local_disk: None,
        marked: false,
        rest: None,
        ended_by_boot: None,
        start_blocker: None,
        needs: None,
    };
    let known = TimedFact {
        as_of: after(0),
        value: Instances {
            complete: true,
            listing_since: None,
            on: [("a".to_owned(), Arc::new([1, 2, 3, 4].map(instance).to_vec()))].into(),
        },
    };
    let on = tables.after_moves(known).value.on;
    let ids = |host: &str| on[host].iter().map(|instance| instance.id).collect::<Vec<_>>();
    assert_eq!(ids("a"), [2, 3, 4].map(id));
    assert_eq!(ids("b"), [id(1)]);
    assert!(!on["b"][0].moving, "its evacuation is finished");
}

#[test]
fn operator_unfinished_moves_of_open_recoveries_are_away() {
    let mut tables = Tables {
        recoveries: vec![
            recovery(9, RecoveryKind::Host, Life::Open, -5_000),
            recovery(8, RecoveryKind::Host, Life::Watching, -60),
            recovery(7, RecoveryKind::Host, Life::Watching, -5_000),
            recovery(6, RecoveryKind::Drain, Life::Open, -60),
        ],
        ..tables()
    };
    let read: Vec<u128> = recent_recoveries(&tables.recoveries, after(0))
        .iter()
        .map(|one| one.0.as_u128())
        .collect();
    assert_eq!(
        read,
        [9, 8],
        "drained instances run, and old moves are in Nova's list"
    );
    tables.moves = vec![
        moved(1, 9, VmoveStatus::Pending, None),
        moved(2, 9, VmoveStatus::Ongoing, None),
        moved(3, 9, VmoveStatus::Succeeded, Some(-1)),
        moved(4, 9, VmoveStatus::Failed, Some(-1)),
        moved(5, 8, VmoveStatus::Ongoing, None),
    ];
    assert_eq!(tables.displaced_instances(), [1, 2].map(id).into());
}

fn fact(kind: &str, subject: &str, value: &impl serde::Serialize) -> Fact {
    Fact {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        value: serde_json::to_string(value).unwrap(),
        as_of: after(0),
    }
}

#[test]
fn operator_stored_facts_are_read_back_and_shared() {
    let needs = |vcpus| {
        Some(Arc::new(Needs {
            project: "p \"q\"".to_owned(),
            resources: Resources {
                vcpus,
                memory_mb: 4096,
                disk_gb: 20,
            },
            wishes: [Requirement::Trait("T".to_owned())].into(),
            not_reckoned: Some("hw:numa_nodes=2".to_owned()),
        }))
    };
    let instance = |number, needs| Instance {
        id: id(number),
        name: "a \"name\" of ü".into(),
        left: Some("because".to_owned()),
        moving: true,
        local_disk: None,
        marked: true,
        rest: Some(Rest {
            why: StopReason::Due,
            since: after(-9),
            busy: true,
            stopped: true,
            may_run: false,
            observed: Some(after(-8)),
            judged: Some(after(-8)),
        }),
        ended_by_boot: Some(after(-7)),
        start_blocker: Some(StartBlocker::Resize),
        needs,
    };
    let provider = || Provider {
        has: [].into(),
        traits: Arc::new(["A".to_owned(), "B".to_owned()].into()),
    };
    let on_a = vec![instance(1, needs(1)), instance(2, needs(2)), instance(3, None)];
    let on_b = vec![instance(4, needs(1))];
    let mut kept = vec![
        fact(kind::SERVERS, "", &serde_json::json!({"complete": true})),
        fact(kind::INSTANCES, "a", &on_a),
        fact(kind::INSTANCES, "b", &on_b),
        fact(kind::ROOMS, "", &RoomsState::default()),
        fact(kind::AGGREGATES, "", &serde_json::json!([])),
        fact(kind::GROUPS, "", &serde_json::json!([])),
        fact(kind::PROVIDER, "a", &provider()),
        fact(kind::PROVIDER, "b", &provider()),
    ];
    let read = CloudSnapshot::from_stored(&kept);
    let on = read.instances.unwrap().value.on;
    assert_eq!((&*on["a"], &*on["b"]), (&on_a, &on_b));
    let of = |host: &str| on[host][0].needs.clone().unwrap();
    assert!(Arc::ptr_eq(&of("a"), &of("b")));
    let rooms = read.rooms.unwrap().value.providers;
    assert_eq!((&*rooms["a"], &*rooms["b"]), (&provider(), &provider()));
    assert!(Arc::ptr_eq(&rooms["a"].traits, &rooms["b"].traits));
    for (place, from, to) in [(1, "\"vcpus\":2", "\"vcpus\":-2"), (6, "[\"A\"", "[7")] {
        let whole = kept[place].value.clone();
        kept[place].value = whole.replace(from, to);
        assert_ne!(kept[place].value, whole);
        let read = CloudSnapshot::from_stored(&kept);
        assert_eq!(
            read.instances.is_some(),
            place == 6,
            "a partly read fact does not count"
        );
        assert_eq!(
            read.rooms.is_some(),
            place == 1,
            "a partly read fact does not count"
        );
        kept[place].value = whole;
    }
}

#[test]
fn the_later_of_two_tests_of_a_device_counts() {
    let test = |host: &str, seconds, fault: Option<&str>| DeviceTest {
        host: host.into(),
        level: 1,
        device: "bmc".into(),
        target: format!("bmc/{host}"),
        as_of: after(seconds),
        counts_for: 60,
        power: None,
        fault: fault.map(str::to_owned),
        failures: u32::from(fault.is_some()),
    };
    let none: Vec<ComputeService> = Vec::new();
    let kept = [
        fact(kind::COMPUTES, "", &none),
        fact(
            kind::TESTS,
            "",
            &[
                test("a", -20, None),
                test("b", -20, Some("hangs")),
                test("c", -20, Some("hangs")),
            ],
        ),
        fact(kind::COMMAND_TESTS, "a", &[test("a", -30, Some("refused"))]),
        fact(kind::COMMAND_TESTS, "b", &[test("b", -10, None)]),
        fact(kind::COMMAND_TESTS, "c", &[test("c", -10, Some("refused"))]),
        fact(kind::COMMAND_TESTS, "d", &[test("d", -10, None)]),
        // An expired test may be about a device that was replaced.
        fact(kind::COMMAND_TESTS, "e", &[test("e", -100, None)]),
    ];
    let tests = CloudSnapshot::from_stored(&kept).tests.unwrap();
    let read = tests
        .iter()
        .map(|test| (&*test.host, test.fault.as_deref(), test.failures));
    let expected = [
        ("a", None, 0),
        ("b", None, 0),
        ("c", Some("refused"), 2),
        ("d", None, 0),
    ];
    assert_eq!(read.collect::<Vec<_>>(), expected);
}
