//! Rows of a reported host.

use tachi_domain::entity::notification::{Notification, NotificationStatus, NotificationType};
use tachi_domain::entity::segment::{RecoveryMethod, Segment};
use tachi_domain::entity::{Host, Stamps};
use tachi_domain::recovery::{Life, OperatorState, RecoveryKind};
use tachi_domain::{Elapsed, HostId, NotificationId, RecoveryId, SegmentId, Timestamp};
use tachi_driver::journal::ClaimedRecovery;
use uuid::Uuid;

const fn stamps(at: Timestamp) -> Stamps {
    Stamps {
        created_at: at,
        updated_at: None,
    }
}

/// Returns the segment `racks`, whose recovery method leaves the choice of hosts to Nova.
pub fn segment(at: Timestamp) -> Segment {
    Segment {
        row: 1,
        id: SegmentId(Uuid::from_u128(1)),
        name: "racks".into(),
        service_type: "COMPUTE".into(),
        enabled: true,
        description: None,
        recovery_method: RecoveryMethod::Auto,
        stamps: stamps(at),
    }
}

/// Returns the host `compute-1` of that segment.
pub fn host(at: Timestamp) -> Host {
    Host {
        row: 2,
        id: HostId(Uuid::from_u128(2)),
        name: "compute-1".into(),
        segment: segment(at),
        kind: "COMPUTE".into(),
        control_attributes: "SSH".into(),
        reserved: false,
        on_maintenance: false,
        stamps: stamps(at),
    }
}

/// Returns a running notification that the host stopped.
pub fn stopped(at: Timestamp) -> Notification {
    let payload = [("event", "STOPPED"), ("host_status", "NORMAL")];
    Notification {
        row: 4,
        id: NotificationId(Uuid::from_u128(4)),
        kind: NotificationType::ComputeHost,
        generated_time: at,
        source_host: host(at).id,
        segment: None,
        payload: payload.map(|(key, value)| (key.into(), value.into())).into(),
        status: NotificationStatus::Running,
        message: None,
        reporter: None,
        stamps: stamps(at),
    }
}

/// Returns its recovery, claimed and not started.
pub fn claimed(kind: RecoveryKind, at: Timestamp) -> ClaimedRecovery {
    ClaimedRecovery {
        id: RecoveryId(Uuid::from_u128(3)),
        epoch: 1,
        owner: "engine".to_owned(),
        seq: 1,
        beat: 1,
        rewound: false,
        kind,
        life: Life::Open,
        notification: stopped(at),
        requested_by: None,
        host: Some(host(at)),
        elapsed: Elapsed::ZERO,
        state: None,
        moves: Vec::new(),
        opened_at: at,
        first_reported_at: at,
        operator_state: OperatorState::DEFAULT,
        restarts: Vec::new(),
    }
}
