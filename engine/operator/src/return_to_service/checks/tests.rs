use std::time::Duration;

use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::entity::{Host, Segment, Stamps, Vmove};
use tachi_domain::freeze::{Freeze, FreezeScope};
use tachi_domain::nova::{Migration, PowerState, Server, Service, VmState};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::{
    HostId, MigrationId, NotificationId, RecoveryId, SegmentId, ServerId, ServiceId, Timestamp, VmoveId,
};
use tachi_engine::ports::FreezeLine;
use tachi_engine::ports::operator::{HostView, MoveCounts, RecoverySummary};
use uuid::Uuid;

use super::*;

fn stamps() -> Stamps {
    Stamps {
        created_at: Timestamp::from_micros(1),
        updated_at: None,
    }
}

pub(in super::super) fn evacuation(status: &str) -> Migration {
    Migration {
        id: MigrationId(1),
        server: ServerId(Uuid::from_u128(3)),
        kind: MigrationType::Evacuation,
        status: status.into(),
        source: Some("cmp1".into()),
        dest: Some("cmp2".into()),
        created_at: None,
        updated_at: None,
    }
}

pub(in super::super) fn server(task: Option<&str>) -> Server {
    Server {
        id: ServerId(Uuid::from_u128(3)),
        name: "vm\u{1b}1".into(),
        host: Some("cmp1".into()),
        vm_state: VmState::Active,
        task_state: task.map(Into::into),
        power_state: PowerState::Running,
        locked: false,
        locked_reason: None,
        metadata: std::collections::BTreeMap::new(),
        volume_backed: true,
        launched: true,
        fault: None,
        about: tachi_domain::nova::InstanceTraits::default(),
        needs: None,
        updated: None,
    }
}

/// A live migration that was begun at one second, and an evacuation of its instance that was asked for at another.
fn overtaken(facts: &mut ReturnFacts, begun: i64, requested_at: i64) {
    let mut other = evacuation("running");
    other.kind = MigrationType::LiveMigration;
    other.created_at = Some(Timestamp::from_micros(begun * 1_000_000));
    facts.moved = vec![Vmove {
        row: 1,
        id: VmoveId(Uuid::from_u128(5)),
        notification: NotificationId(Uuid::from_u128(8)),
        instance_uuid: other.server.to_string(),
        instance_name: "vm1".into(),
        source_host: Some("cmp1".into()),
        dest_host: Some("cmp3".into()),
        start_time: Some(Timestamp::from_micros(requested_at * 1_000_000)),
        end_time: None,
        kind: None,
        status: Some(VmoveStatus::Succeeded),
        message: None,
        stamps: stamps(),
    }];
    facts.migrations = Ok(vec![other]);
}

fn open() -> RecoverySummary {
    RecoverySummary {
        id: RecoveryId(Uuid::from_u128(9)),
        notification: NotificationId(Uuid::from_u128(8)),
        kind: RecoveryKind::Host,
        host: "cmp1".into(),
        host_id: HostId(Uuid::from_u128(1)),
        segment: None,
        moves: MoveCounts {
            pending: 1,
            ..MoveCounts::default()
        },
        life: Life::Open,
        status: "running".into(),
        wait: None,
        message: None,
        owner: None,
        opened_at: Timestamp::from_micros(1),
        first_reported_at: Timestamp::from_micros(1),
    }
}

/// A host that is back and was never enabled again.
pub(in super::super) fn back() -> ReturnFacts {
    ReturnFacts {
        view: HostView {
            host: Host {
                row: 1,
                id: HostId(Uuid::from_u128(1)),
                name: "cmp1".into(),
                segment: Segment {
                    row: 1,
                    id: SegmentId(Uuid::from_u128(2)),
                    name: "all".into(),
                    service_type: "COMPUTE".into(),
                    enabled: true,
                    description: None,
                    recovery_method: RecoveryMethod::Auto,
                    stamps: stamps(),
                },
                kind: "COMPUTE".into(),
                control_attributes: "SSH".into(),
                reserved: false,
                on_maintenance: true,
                stamps: stamps(),
            },
            why: Some(MaintenanceReason::Recovery),
            recovery: None,
        },
        open: None,
        watched: false,
        engine_runs: true,
        vmoves: Vec::new(),
        moved: Vec::new(),
        freezes: Vec::new(),
        waiting: Vec::new(),
        service: Ok(Some(Service {
            id: ServiceId(Uuid::from_u128(4)),
            host: "cmp1".into(),
            enabled: false,
            disabled_reason: Some("Masakari detected host failed. [tachi 9]".into()),
            up: true,
            forced_down: false,
            last_heartbeat: None,
            nova_now: None,
        })),
        migrations: Ok(vec![evacuation("completed")]),
        servers: Ok(Vec::new()),
    }
}

/// A freeze of the host.
fn frozen() -> FreezeLine {
    FreezeLine {
        freeze: Freeze {
            number: 1,
            scope: FreezeScope::Host,
            name: "cmp1".into(),
            until: Timestamp::from_micros(3_600_000_000),
            by: "alice".into(),
            reason: "firmware".into(),
            unless_worse: false,
        },
        target: String::new(),
        since: Timestamp::from_micros(0),
        left: Duration::from_secs(3_600),
        by_drain: false,
    }
}

/// Covers R12, R23.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn blockers_of_a_return_are_shown() {
    use CheckResult::{Bad, Note, Unknown};
    type Change = fn(&mut ReturnFacts);
    let cases: &[(&str, Change, CheckResult, &str)] = &[
        ("back", |_| {}, Note, "disabled by a recovery"),
        (
            "a recovery is open",
            |f| f.open = Some(open()),
            Bad,
            "is open (0/1 instances back",
        ),
        (
            "an evacuation is under way",
            |f| f.migrations = Ok(vec![evacuation("pre-migrating")]),
            Bad,
            "keep the host off",
        ),
        (
            "an evacuation is not closed",
            |f| f.migrations = Ok(vec![evacuation("done")]),
            Bad,
            "done and not closed",
        ),
        (
            "two of one instance are not closed",
            |f| {
                let mut younger = evacuation("done");
                younger.id = MigrationId(2);
                f.migrations = Ok(vec![evacuation("done"), younger]);
            },
            Bad,
            "until it has started 2 times",
        ),
        (
            "one was never picked up, and its instance has moved",
            |f| {
                let mut lost = evacuation("accepted");
                (lost.id, lost.dest) = (MigrationId(2), None);
                f.migrations = Ok(vec![evacuation("completed"), lost]);
            },
            Note,
            "were never picked up",
        ),
        (
            "a live migration is unfinished",
            |f| {
                let mut other = evacuation("running");
                other.kind = MigrationType::LiveMigration;
                f.migrations = Ok(vec![other]);
            },
            Bad,
            "may run on two hosts",
        ),
        (
            "one never ended, and its instance was recovered elsewhere since",
            |f| overtaken(f, 1, 2),
            Note,
            "never ended, of instances that have been recovered elsewhere",
        ),
        (
            "one was begun after the recovery",
            |f| overtaken(f, 2, 1),
            Bad,
            "may run on two hosts",
        ),
        (
            "one never ended, and its instance is here again",
            |f| {
                overtaken(f, 1, 2);
                f.servers = Ok(vec![server(None)]);
            },
            Bad,
            "may run on two hosts",
        ),
        (
            "forced down, and watched",
            |f| {
                f.watched = true;
                set(f, |service| service.forced_down = true);
            },
            Bad,
            "an engine clears it",
        ),
        (
            "forced down, and nobody watches",
            |f| set(f, |service| service.forced_down = true),
            Bad,
            "clear it by hand",
        ),
        (
            "watched, and no engine",
            |f| {
                f.watched = true;
                f.engine_runs = false;
            },
            Bad,
            "start one",
        ),
        ("not up", |f| set(f, |service| service.up = false), Bad, "not up"),
        (
            "unknown to Nova",
            |f| f.service = Ok(None),
            Bad,
            "has no compute service",
        ),
        (
            "Nova does not answer for it",
            |f| f.service = Err("503".into()),
            Unknown,
            "503",
        ),
        (
            "nor for its migrations",
            |f| f.migrations = Err("503".into()),
            Unknown,
            "503",
        ),
        (
            "nor for its instances",
            |f| f.servers = Err("503".into()),
            Unknown,
            "503",
        ),
        (
            "a task waits in its queue",
            |f| f.servers = Ok(vec![server(Some("powering-on"))]),
            Bad,
            "1 instance that Nova keeps on the host has a task under way",
        ),
        (
            "an instance was left",
            |f| f.servers = Ok(vec![server(None)]),
            Note,
            "1 instance is still on the host as Nova sees it: vm 1 (",
        ),
        (
            "an operator's maintenance",
            |f| f.view.why = Some(MaintenanceReason::Operator),
            Bad,
            "--on_maintenance False all cmp1",
        ),
        (
            "nobody's maintenance",
            |f| f.view.why = None,
            Bad,
            "set by an operator",
        ),
        (
            "frozen",
            |f| f.freezes.push(frozen()),
            Bad,
            "tachi thaw host cmp1` ends it",
        ),
        (
            "frozen by its drain",
            |f| {
                f.freezes.push(FreezeLine {
                    by_drain: true,
                    ..frozen()
                });
            },
            Bad,
            "`tachi host undrain cmp1 --reason TEXT` ends it",
        ),
        (
            "frozen by its drain, and disabled by others",
            |f| {
                f.freezes.push(FreezeLine {
                    by_drain: true,
                    ..frozen()
                });
                set(f, |service| service.disabled_reason = Some("bad RAM".into()));
            },
            Bad,
            "`tachi thaw host cmp1` ends it",
        ),
        (
            "an instance waits",
            |f| f.waiting = vec!["vm1 (3)".into()],
            Bad,
            "1 instance waits for an operator: vm1 (3)",
        ),
        (
            "watched, and an engine runs",
            |f| f.watched = true,
            Bad,
            "an engine waits for the host",
        ),
        (
            "somebody else has disabled it",
            |f| set(f, |service| service.disabled_reason = Some("disk errors".into())),
            Bad,
            "the service was not disabled by Tachi (disk errors)",
        ),
        (
            "or without a reason",
            |f| set(f, |service| service.disabled_reason = None),
            Bad,
            "no reason given",
        ),
    ];
    for (name, change, verdict, part) in cases {
        let mut facts = back();
        change(&mut facts);
        let results = checks(&facts);
        let found = results.iter().find(|check| check.text.contains(part));
        assert_eq!(
            found.map(|check| check.verdict),
            Some(*verdict),
            "{name}: {results:?}"
        );
        let is_blocked = results.iter().any(Check::is_blocker);
        assert_eq!(
            is_blocked,
            matches!(verdict, Bad | Unknown),
            "{name}: {results:?}"
        );
    }
}

fn set(facts: &mut ReturnFacts, change: impl FnOnce(&mut Service)) {
    if let Ok(Some(service)) = &mut facts.service {
        change(service);
    }
}

#[test]
fn long_lists_are_counted() {
    let text = names((0..12).map(|number| format!("vm{number}")));
    assert!(text.ends_with("vm9, and 2 more"), "{text}");
}

/// A drain that could not move everything leaves a host whose nova-compute has run all the time.
/// Covers R36.
#[test]
fn a_task_blocks_only_the_return_of_a_host_that_was_recovered() {
    for (why, migrations, expected) in [
        (None, vec![], CheckResult::Note),
        (Some(MaintenanceReason::Recovery), vec![], CheckResult::Bad),
        (None, vec![evacuation("completed")], CheckResult::Bad),
    ] {
        let mut facts = back();
        facts.view.why = why;
        facts.migrations = Ok(migrations);
        facts.servers = Ok(vec![server(Some("deleting"))]);
        let all = checks(&facts);
        let task = all
            .iter()
            .find(|one| one.text.contains("a task under way"))
            .unwrap();
        assert_eq!(task.verdict, expected, "{why:?}: {}", task.text);
        assert_eq!(task.text.contains("queue"), expected == CheckResult::Bad);
    }
}
