use std::collections::BTreeMap;

use tachi_domain::entity::notification::{Notification, NotificationStatus, NotificationType};
use tachi_domain::entity::segment::{RecoveryMethod, Segment};
use tachi_domain::entity::{Host, Stamps};
use tachi_domain::policy::Policy;
use tachi_domain::recovery::{Life, Pulse, RecoveryKind};
use tachi_domain::{Elapsed, HostId, NotificationId, RecoveryId, SegmentId, Timestamp};
use uuid::Uuid;

use super::{Unusable, open};
use crate::journal::Claimed;

pub(crate) fn claimed(kind: RecoveryKind) -> Claimed {
    let stamps = Stamps {
        created_at: Timestamp::from_micros(0),
        updated_at: None,
    };
    let segment = Segment {
        row: 1,
        id: SegmentId(Uuid::from_u128(1)),
        name: "one".into(),
        service_type: "COMPUTE".into(),
        enabled: true,
        description: None,
        recovery_method: RecoveryMethod::Auto,
        stamps,
    };
    let host = Host {
        row: 1,
        id: HostId(Uuid::from_u128(2)),
        name: "compute-1".into(),
        segment,
        kind: "COMPUTE".into(),
        control_attributes: "SSH".into(),
        reserved: false,
        on_maintenance: false,
        stamps,
    };
    let notification = Notification {
        row: 1,
        id: NotificationId(Uuid::from_u128(3)),
        kind: NotificationType::ComputeHost,
        generated_time: Timestamp::from_micros(0),
        source_host: host.id,
        segment: None,
        payload: BTreeMap::from([("event".to_owned(), "STOPPED".to_owned())]),
        status: NotificationStatus::Running,
        message: None,
        reporter: None,
        stamps,
    };
    Claimed {
        id: RecoveryId(Uuid::from_u128(4)),
        epoch: 1,
        kind,
        life: Life::Open,
        notification,
        asked_by: Some("alice".to_owned()),
        host: Some(host),
        elapsed: Elapsed::ZERO,
        state: None,
        moves: Vec::new(),
        opened_at: Timestamp::from_micros(0),
        pulse: Pulse {
            segment_enabled: true,
            operator_maintenance: false,
            word: None,
            joined_normal: false,
            off_word: None,
            move_words: Vec::new(),
            frozen: tachi_domain::freeze::Frozen::NOTHING,
            clock: None,
        },
        restarts: Vec::new(),
    }
}

#[test]
fn ew12_a_host_whose_row_is_gone_ends_what_was_not_begun_with_its_reason() {
    for &kind in RecoveryKind::ALL {
        let gone = Claimed {
            host: None,
            ..claimed(kind)
        };
        let Err(why) = open(&gone, &Policy::default()) else {
            panic!("{kind}: opened");
        };
        assert!(matches!(why, Unusable::NoHost), "{kind}: {why}");
        assert!(why.to_string().contains("not registered any more"), "{kind}");
    }
}

#[test]
fn t2_a_plan_that_no_operator_has_asked_for_ends_with_its_reason() {
    for &kind in RecoveryKind::ALL {
        let invented = Claimed {
            asked_by: None,
            ..claimed(kind)
        };
        let opened = open(&invented, &Policy::default());
        assert_eq!(opened.is_err(), kind.is_planned(), "{kind}");
        let Err(why) = opened else { continue };
        assert!(matches!(why, Unusable::Unasked), "{kind}: {why}");
        let write = why.write(&invented, why.to_string(), Timestamp::from_micros(0));
        assert_eq!(write.life, Some(Life::Closed), "{kind}");
    }
}

#[test]
fn ew12_a_recovery_that_has_begun_goes_on_without_the_hosts_row() {
    for &kind in RecoveryKind::ALL {
        let begun = open(&claimed(kind), &Policy::default()).ok().unwrap();
        let gone = Claimed {
            host: None,
            state: Some(begun.head().unwrap()),
            ..claimed(kind)
        };
        let again = open(&gone, &Policy::default()).ok().unwrap();
        assert_eq!(again.host(), "compute-1", "{kind}: it knows the host by itself");
    }
}
