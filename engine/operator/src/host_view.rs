//! Assessment of one host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tachi_domain::situation::{FindingCode, HostSituation, Protection};
use utoipa::ToSchema;

use crate::schema;
use crate::situation::CountsView;
use crate::snapshot::RegionSnapshot;

/// A host and its assessment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostSeen)]
pub struct HostView {
    /// The host's name.
    pub name: String,
    /// The name of the host's segment; null if the host is in none.
    #[schema(required)]
    pub segment: Option<String>,
    /// True if the host is kept empty for the instances of another host.
    pub reserved: bool,
    /// The fate of the host's instances if the host failed now.
    #[schema(schema_with = schema::protection)]
    pub protection: Protection,
    /// The reasons for that assessment; empty if the host is protected.
    #[schema(schema_with = schema::codes)]
    pub reasons: Vec<FindingCode>,
    /// True if the host is up in Nova; null if unknown.
    #[schema(required)]
    pub up: Option<bool>,
    /// The number of the host's instances by what would become of them; null if no engine has listed them yet.
    #[schema(required)]
    pub instances: Option<CountsView>,
    /// The host's fence levels with their last test, in the order in which they are tried; empty if no test is known.
    #[serde(default)]
    pub levels: Vec<LevelSeenView>,
}

/// A fence level of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FenceLevelSeen)]
pub struct LevelSeenView {
    /// The number of the level; the lowest is tried first.
    pub level: u32,
    /// True if every device of the level works and its last test is recent enough to count.
    pub good: bool,
}

impl HostView {
    /// Assesses every host.
    pub fn all(snapshot: &RegionSnapshot) -> Vec<Self> {
        let mut levels: BTreeMap<&str, BTreeMap<u32, bool>> = BTreeMap::new();
        for test in &snapshot.tests {
            let of_host = levels.entry(&test.host).or_default();
            // One failing device fails its level: only together do the devices cut off the host.
            *of_host.entry(test.level).or_insert(true) &= test.is_good(snapshot.now);
        }
        let mut view =
            |host: &HostSituation| Self::of(host, levels.remove(host.name.as_str()).unwrap_or_default());
        snapshot.situation.hosts.iter().map(&mut view).collect()
    }

    fn of(host: &HostSituation, levels: BTreeMap<u32, bool>) -> Self {
        Self {
            levels: levels
                .into_iter()
                .map(|(level, good)| LevelSeenView { level, good })
                .collect(),
            name: host.name.clone(),
            segment: host.segment.clone(),
            reserved: host.reserved,
            protection: host.protection,
            reasons: host.reasons.iter().copied().collect(),
            up: host.up,
            instances: host.counts.map(CountsView::from),
        }
    }
}
