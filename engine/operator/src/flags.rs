//! What is the matter with a host or an instance, in a letter each.

use std::collections::BTreeSet;

use tachi_domain::recovery::Life;
use tachi_domain::situation::Code;

use crate::{HostView, RegisteredView, SituationView};

/// `R` under recovery, `F` frozen, `M` on maintenance or moving, `P` waits for an operator, `N` not meant to be recovered.
pub fn flags(set: [bool; 5]) -> String {
    let letters = set.iter().zip("RFMPN".chars());
    letters
        .map(|(is_set, letter)| if *is_set { letter } else { '.' })
        .collect()
}

/// Who waits for an operator, looked up once for all hosts.
pub struct Flags<'a> {
    waiting: BTreeSet<&'a str>,
}

impl<'a> Flags<'a> {
    /// Of all of a region.
    pub fn of(seen: &'a SituationView) -> Self {
        let needs = &seen.needs_person;
        let recoveries = needs.recoveries.iter().map(|one| one.host.as_str());
        Self {
            waiting: recoveries
                .chain(needs.instances.iter().map(|one| one.host.as_str()))
                .collect(),
        }
    }

    /// A host's, by how it is registered if it is.
    pub fn host(&self, host: &HostView, registered: Option<&RegisteredView>) -> String {
        flags([
            registered.is_some_and(|one| matches!(one.life, Some(Life::Open | Life::Watching))),
            host.reasons.contains(&Code::Frozen),
            registered.is_some_and(|one| one.on_maintenance),
            self.waiting.contains(host.name.as_str()),
            host.segment.is_none() || host.reasons.contains(&Code::SegmentDisabled),
        ])
    }
}
