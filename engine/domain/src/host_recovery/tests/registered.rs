//! A host that has registered itself in Nova again, under another id.

use uuid::Uuid;

use super::bed::{Bed, fault};
use crate::fault::FaultClass;
use crate::id::ServiceId;
use crate::power::Power;
use crate::recovery::{Command, Observation};

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
