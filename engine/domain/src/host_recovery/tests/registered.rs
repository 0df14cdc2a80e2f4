//! A host that has registered itself in Nova again, under another id.

use uuid::Uuid;

use super::bed::{Bed, evacuation, fault};
use crate::fault::FaultClass;
use crate::host_recovery::{HoldKind, Stage};
use crate::id::ServiceId;
use crate::power::Power;
use crate::recovery::{Command, InCell, Inventory, Observation, ServerCall};

#[test]
fn a_service_that_is_not_there_any_more_is_looked_for_again() {
    let mut bed = Bed::engine().proven();
    assert!(bed.updates().is_some());
    let gone = fault(Some(404), FaultClass::Permanent, false);
    bed.see(Observation::ServiceUpdated(Err(gone)));
    bed.tick(1_000);
    assert!(bed.updates().is_none());
    bed.service.id = ServiceId(Uuid::from_u128(6));
    bed.service();
    if bed.updates().is_none() {
        bed.power(Power::Off);
    }
    let anew = |command: &Command| matches!(command, Command::UpdateService { id, .. } if id.0 == Uuid::from_u128(6));
    assert!(bed.wants(anew), "at once: {:?}", bed.commands);
}

/// A list that Nova answers, and which shows no service.
fn unlisted(bed: &mut Bed) {
    bed.see(Observation::Inventory(Ok(Inventory {
        migrations: vec![],
        servers: vec![],
        in_cell: InCell::NotAsked,
        service: None,
        written_off: [].into(),
        may_run: [].into(),
    })));
}

#[test]
fn a_recovery_ends_without_its_last_look_once_the_service_is_deleted() {
    let mut bed = Bed::engine().asked();
    bed.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    bed.answer(1, ServerCall::Unlock, Ok(()));
    unlisted(&mut bed);
    assert_eq!(bed.state.stage, Stage::Moving);
    for _ in 0..4 {
        bed.tick(6_000).see(Observation::Service(Ok(None)));
        unlisted(&mut bed);
    }
    assert!(
        matches!(bed.state.stage, Stage::Returning | Stage::Over),
        "{:?}",
        bed.state.stage
    );
}

#[test]
fn a_host_whose_service_is_deleted_before_it_is_listed_waits_for_an_operator() {
    let mut bed = Bed::engine().proven();
    bed.forced_down();
    for _ in 0..4 {
        bed.tick(6_000).see(Observation::Service(Ok(None)));
        unlisted(&mut bed);
    }
    assert_eq!(bed.state.stage, Stage::Listing);
    assert_eq!(
        bed.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Fence)
    );
}
