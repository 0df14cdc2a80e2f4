use tachi_domain::policy::Policy;
use tachi_domain::recovery::{Life, OperatorState, RecoveryKind};
use tachi_domain::{Elapsed, RecoveryId, Timestamp};
use tachi_testkit::rows;
use uuid::Uuid;

use super::{Unusable, open};
use crate::journal::ClaimedRecovery;

pub(crate) fn claimed(kind: RecoveryKind) -> ClaimedRecovery {
    let at = Timestamp::from_micros(0);
    ClaimedRecovery {
        id: RecoveryId(Uuid::from_u128(4)),
        epoch: 1,
        owner: "engine".to_owned(),
        seq: 1,
        beat: 1,
        rewound: false,
        kind,
        life: Life::Open,
        notification: rows::stopped(at),
        requested_by: Some("alice".to_owned()),
        host: Some(rows::host(at)),
        elapsed: Elapsed::ZERO,
        state: None,
        moves: Vec::new(),
        opened_at: at,
        first_reported_at: at,
        operator_state: OperatorState::DEFAULT,
        restarts: Vec::new(),
    }
}

/// Covers EW12.
#[test]
fn a_host_whose_row_is_gone_ends_what_was_not_begun_with_its_reason() {
    for &kind in RecoveryKind::ALL {
        let gone = ClaimedRecovery {
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

/// Covers T2.
#[test]
fn a_plan_that_no_operator_has_asked_for_ends_with_its_reason() {
    for &kind in RecoveryKind::ALL {
        let invented = ClaimedRecovery {
            requested_by: None,
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

/// Covers EW12.
#[test]
fn a_started_recovery_continues_without_the_hosts_row() {
    for &kind in RecoveryKind::ALL {
        let begun = open(&claimed(kind), &Policy::default()).ok().unwrap();
        let gone = ClaimedRecovery {
            host: None,
            state: Some(begun.head().unwrap()),
            ..claimed(kind)
        };
        let again = open(&gone, &Policy::default()).ok().unwrap();
        assert_eq!(again.host(), "compute-1", "{kind}: it knows the host by itself");
    }
}
