//! State of a host or an instance as one letter per flag.

use std::collections::BTreeSet;

use tachi_domain::recovery::Life;
use tachi_domain::situation::FindingCode;

use crate::{HostView, RegisteredView, SituationView};

/// Renders `R` under recovery, `F` frozen, `M` in maintenance or moving, `P` waits for an operator, `N` excluded from recovery; `.` if
/// unset.
pub fn flags(set: [bool; 5]) -> String {
    let letters = set.iter().zip("RFMPN".chars());
    letters
        .map(|(is_set, letter)| if *is_set { letter } else { '.' })
        .collect()
}

/// The hosts that wait for an operator, collected once for all hosts.
pub struct Flags<'a> {
    waiting: BTreeSet<&'a str>,
}

impl<'a> Flags<'a> {
    /// Collects the waiting hosts of a region.
    pub fn of(situation: &'a SituationView) -> Self {
        let needs = &situation.needs_person;
        let recoveries = needs.recoveries.iter().map(|recovery| recovery.host.as_str());
        Self {
            waiting: recoveries
                .chain(needs.instances.iter().map(|instance| instance.host.as_str()))
                .collect(),
        }
    }

    /// Renders the flags of one host; `registered` is its entry in a segment, if it has one.
    pub fn host(&self, host: &HostView, registered: Option<&RegisteredView>) -> String {
        flags([
            registered.is_some_and(|registered_host| {
                matches!(registered_host.life, Some(Life::Open | Life::Watching))
            }),
            host.reasons.contains(&FindingCode::Frozen),
            registered.is_some_and(|registered_host| registered_host.on_maintenance),
            self.waiting.contains(host.name.as_str()),
            host.segment.is_none() || host.reasons.contains(&FindingCode::SegmentDisabled),
        ])
    }
}
