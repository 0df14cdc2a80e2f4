//! A host, as it is judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tachi_domain::situation::{Code, HostSituation, Protection};
use utoipa::ToSchema;

use crate::schema;
use crate::seen::Seen;
use crate::situation::CountsView;

/// A host, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HostSeen)]
pub struct HostView {
    /// Its name.
    pub name: String,
    /// Its segment.
    #[schema(required)]
    pub segment: Option<String>,
    /// Kept empty for the instances of another.
    pub reserved: bool,
    /// What would become of its instances if it died now.
    #[schema(schema_with = schema::protection)]
    pub protection: Protection,
    /// Why.
    #[schema(schema_with = schema::codes)]
    pub reasons: Vec<Code>,
    /// Whether Nova hears it; null if that is not known.
    #[schema(required)]
    pub up: Option<bool>,
    /// Its instances; null while nobody has listed them.
    #[schema(required)]
    pub instances: Option<CountsView>,
    /// Its fence levels as they were tested last, in the order in which they are tried; empty if none is known to have been.
    #[serde(default)]
    pub levels: Vec<LevelSeenView>,
}

/// A fence level of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FenceLevelSeen)]
pub struct LevelSeenView {
    /// Its number: the lowest is tried first.
    pub level: u32,
    /// Whether each of its devices works, and was tested lately enough to count.
    pub good: bool,
}

impl HostView {
    /// Every host.
    pub fn all(seen: &Seen) -> Vec<Self> {
        let mut levels: BTreeMap<&str, BTreeMap<u32, bool>> = BTreeMap::new();
        for test in &seen.tests {
            let of_host = levels.entry(&test.host).or_default();
            // One that fails spoils its level: only together do they cut the host off.
            *of_host.entry(test.level).or_insert(true) &= test.is_good(seen.now);
        }
        let mut view =
            |host: &HostSituation| Self::of(host, levels.remove(host.name.as_str()).unwrap_or_default());
        seen.situation.hosts.iter().map(&mut view).collect()
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
