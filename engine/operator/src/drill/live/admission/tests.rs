use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::entity::{Host, Segment, Stamps};
use tachi_domain::freeze::{Freeze, FreezeScope};
use tachi_domain::{NotificationId, RecoveryId, SegmentId, ServiceId, Timestamp};
use tachi_engine::dry_run::{Answer, DryRun};
use tachi_engine::ports::operator::MoveCounts;
use uuid::Uuid;

use super::*;
use crate::drill::GradedAnswer;

const STAMPS: Stamps = Stamps {
    created_at: Timestamp::from_micros(0),
    updated_at: None,
};

fn host_view(name: &str, why: Option<MaintenanceReason>) -> HostView {
    HostView {
        host: Host {
            row: 1,
            id: HostId(Uuid::from_u128(1)),
            name: name.into(),
            segment: Segment {
                row: 1,
                id: SegmentId(Uuid::from_u128(2)),
                name: "all".into(),
                service_type: "COMPUTE".into(),
                enabled: true,
                description: None,
                recovery_method: RecoveryMethod::Auto,
                stamps: STAMPS,
            },
            kind: "COMPUTE".into(),
            control_attributes: "SSH".into(),
            reserved: false,
            on_maintenance: why.is_some(),
            stamps: STAMPS,
        },
        why,
        recovery: None,
    }
}

fn recovery_of(host: &str, segment: SegmentId) -> RecoverySummary {
    RecoverySummary {
        id: RecoveryId(Uuid::from_u128(9)),
        notification: NotificationId(Uuid::from_u128(8)),
        kind: RecoveryKind::Host,
        host: host.into(),
        host_id: HostId(Uuid::from_u128(3)),
        segment: Some(segment),
        moves: MoveCounts::default(),
        life: Life::Open,
        status: "running".into(),
        wait: None,
        message: None,
        owner: None,
        opened_at: Timestamp::from_micros(1),
        first_reported_at: Timestamp::from_micros(1),
    }
}

/// Everything that a look may find, owned.
struct Found {
    mode: FencingMode,
    view: HostView,
    shadow: Shadow,
    frozen: Vec<FreezeLine>,
    open: Vec<RecoverySummary>,
    headroom: Option<u64>,
    room: Option<Room>,
    service: Option<Service>,
    servers: Vec<String>,
}

impl Found {
    fn blockers(&self) -> Vec<String> {
        blockers(&HostSnapshot {
            mode: self.mode,
            view: &self.view,
            shadow: &self.shadow,
            frozen: &self.frozen,
            open: &self.open,
            headroom: self.headroom,
            room: self.room,
            service: self.service.as_ref(),
            servers: &self.servers,
        })
    }
}

fn answered(grade: Severity) -> GradedAnswer {
    let answer = Answer {
        what: "engines".into(),
        took: std::time::Duration::ZERO,
        outcome: Ok("1 at work".into()),
    };
    GradedAnswer { answer, grade }
}

/// A host that may be drilled.
fn good() -> Found {
    let view = host_view("c1", None);
    Found {
        mode: FencingMode::Engine,
        shadow: Shadow {
            host: "c1".into(),
            took: std::time::Duration::ZERO,
            answers: vec![answered(Severity::Ok)],
            dry_run: DryRun::default(),
        },
        view,
        frozen: Vec::new(),
        open: Vec::new(),
        headroom: Some(1),
        room: Some(Room::Enough),
        service: Some(Service {
            id: ServiceId(Uuid::from_u128(4)),
            host: "c1".into(),
            enabled: true,
            disabled_reason: None,
            up: true,
            forced_down: false,
            last_heartbeat: None,
            nova_now: None,
        }),
        servers: Vec::new(),
    }
}

fn frozen(scope: FreezeScope, target: String) -> FreezeLine {
    FreezeLine {
        freeze: Freeze {
            number: 1,
            scope,
            name: "it".into(),
            until: Timestamp::from_micros(1),
            by: "ada".into(),
            reason: "firmware".into(),
            unless_worse: false,
        },
        target,
        since: Timestamp::from_micros(0),
        left: std::time::Duration::from_secs(60),
        by_drain: false,
    }
}

fn disabled(reason: &str) -> impl Fn(&mut Found) {
    let reason = reason.to_owned();
    move |found| {
        let service = found.service.as_mut().unwrap();
        (service.enabled, service.disabled_reason) = (false, Some(reason.clone()));
    }
}

type Change = Box<dyn Fn(&mut Found)>;

#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[test]
fn a_host_is_drilled_live_only_where_nothing_at_all_speaks_against_it() {
    assert_eq!(good().blockers(), Vec::<String>::new());
    let mut drained = good();
    disabled("firmware (drained by ada) [tachi drain 1]")(&mut drained);
    assert_eq!(drained.blockers(), Vec::<String>::new(), "a drain has emptied it");

    let cases: Vec<(&str, Change, &str)> = vec![
        (
            "nobody is fenced",
            Box::new(|f| f.mode = FencingMode::DryRun),
            "mode is not `engine`",
        ),
        (
            "not ready",
            Box::new(|f| f.shadow.answers.push(answered(Severity::Warn))),
            "shadow drill found a problem",
        ),
        (
            "nobody was asked",
            Box::new(|f| f.shadow.answers.clear()),
            "shadow drill found a problem",
        ),
        (
            "segment off",
            Box::new(|f| f.view.host.segment.enabled = false),
            "is disabled",
        ),
        (
            "maintenance",
            Box::new(|f| f.view = host_view("c1", Some(MaintenanceReason::Operator))),
            "in maintenance",
        ),
        (
            "region frozen",
            Box::new(|f| f.frozen.push(frozen(FreezeScope::Region, String::new()))),
            "tachi thaw",
        ),
        (
            "host frozen",
            Box::new(|f| {
                f.frozen
                    .push(frozen(FreezeScope::Host, f.view.host.id.to_string()));
            }),
            "tachi thaw",
        ),
        (
            "segment frozen",
            Box::new(|f| {
                f.frozen
                    .push(frozen(FreezeScope::Segment, f.view.host.segment.id.to_string()));
            }),
            "tachi thaw",
        ),
        (
            "another host of the segment is being recovered",
            Box::new(|f| {
                f.open.push(recovery_of("c2", f.view.host.segment.id));
            }),
            "of c2 is running",
        ),
        (
            "still watched",
            Box::new(|f| f.view.recovery = Some((RecoveryId(Uuid::from_u128(5)), Life::Watching))),
            "waits for its return",
        ),
        (
            "no headroom",
            Box::new(|f| f.headroom = Some(0)),
            "tolerates no host failure",
        ),
        (
            "headroom unknown",
            Box::new(|f| f.headroom = None),
            "unknown if there is room",
        ),
        ("no room", Box::new(|f| f.room = Some(Room::Short)), "no room"),
        (
            "room unknown",
            Box::new(|f| f.room = Some(Room::Unknown)),
            "no room",
        ),
        ("no service", Box::new(|f| f.service = None), "no nova-compute"),
        (
            "down",
            Box::new(|f| f.service.as_mut().unwrap().up = false),
            "shows it down",
        ),
        (
            "disabled by somebody",
            Box::new(disabled("disk errors")),
            "disabled (disk errors), and not by Tachi",
        ),
        (
            "disabled by a recovery",
            Box::new(disabled("failed [tachi 9]")),
            "and not by Tachi",
        ),
        (
            "not empty",
            Box::new(|f| f.servers.push("db-1".into())),
            "instance db-1 is on it",
        ),
    ];
    for (case, change, part) in cases {
        let mut found = good();
        change(&mut found);
        let why = found.blockers().join("; ");
        assert!(why.contains(part), "{case}: {why:?}");
    }
    let mut other_host = good();
    other_host
        .frozen
        .push(frozen(FreezeScope::Host, "another".into()));
    assert_eq!(
        other_host.blockers(),
        Vec::<String>::new(),
        "another host's freeze"
    );
}
