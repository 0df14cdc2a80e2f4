//! Plan of the segments that hosts belong to.

use std::collections::{BTreeMap, BTreeSet};

use tachi_cli::arguments::{Method, SegmentRule};
use tachi_domain::SegmentId;
use tachi_domain::reserved::Aggregate;
use tachi_engine::ports::operator::SegmentView;
use tachi_operator::{FromNovaLeftView, FromNovaSegmentView, FromNovaView};

/// A segment, and the hosts to be put into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedSegment {
    pub(super) name: String,
    /// The existing segment; `None` if it is to be created.
    pub(super) id: Option<SegmentId>,
    pub(super) hosts: Vec<String>,
}

/// The objects to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) segments: Vec<PlannedSegment>,
    /// Number of hosts that are in a segment already.
    stay: usize,
    /// Hosts that are left out, and why.
    left: Vec<(String, String)>,
}

impl Plan {
    pub(super) fn of(
        by: SegmentRule,
        default_zone: &str,
        hosts: &BTreeSet<String>,
        aggregates: &[Aggregate],
        region: &[SegmentView],
    ) -> Self {
        let registered: BTreeSet<&str> = region
            .iter()
            .flat_map(|view| &view.hosts)
            .map(|view| view.host.name.as_str())
            .collect();
        let mut hosts_by_segment: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut left = Vec::new();
        for host in hosts.iter().filter(|host| !registered.contains(host.as_str())) {
            match place(by, default_zone, host, aggregates) {
                Ok(segment) => hosts_by_segment.entry(segment).or_default().push(host.clone()),
                Err(why) => left.push((host.clone(), why)),
            }
        }
        let id = |name: &str| {
            let found = region.iter().find(|view| view.segment.name == name);
            found.map(|view| view.segment.id)
        };
        Self {
            segments: hosts_by_segment
                .into_iter()
                .map(|(name, hosts)| PlannedSegment {
                    id: id(&name),
                    name,
                    hosts,
                })
                .collect(),
            stay: hosts
                .iter()
                .filter(|host| registered.contains(host.as_str()))
                .count(),
            left,
        }
    }

    /// True if the plan puts hosts into existing segments only, and at least one.
    pub(super) fn adds_only(&self) -> bool {
        !self.is_empty() && self.segments.iter().all(|segment| segment.id.is_some())
    }

    /// Returns the number of hosts that are put into a segment.
    pub(super) fn places(&self) -> usize {
        self.segments.iter().map(|segment| segment.hosts.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(super) fn view(&self, without_level: Option<String>) -> FromNovaView {
        let left = self.left.iter();
        FromNovaView {
            segments: self
                .segments
                .iter()
                .map(|segment| FromNovaSegmentView {
                    name: segment.name.clone(),
                    segment: segment.id,
                    hosts: segment.hosts.clone(),
                })
                .collect(),
            stay: u64::try_from(self.stay).unwrap_or(u64::MAX),
            left: left
                .map(|(host, why)| FromNovaLeftView {
                    host: host.clone(),
                    why: why.clone(),
                })
                .collect(),
            without_level,
        }
    }
}

/// Renders the plan as lines.
pub(super) fn lines(view: &FromNovaView, method: Method) -> Vec<String> {
    let mut lines = Vec::new();
    for segment in &view.segments {
        lines.push(match segment.segment {
            Some(_) => format!("segment {}", segment.name),
            None => format!("segment {} ({})  + new", segment.name, method.as_str()),
        });
        lines.extend(segment.hosts.iter().map(|host| format!("  {host}  + add")));
    }
    if view.stay > 0 {
        lines.push(format!("in a segment already, and left there: {}", view.stay));
    }
    let left = view.left.iter();
    lines.extend(left.map(|one| format!("{} is left out: {}", one.host, one.why)));
    lines.extend(view.without_level.clone());
    lines
}

/// Returns the name of the host's segment.
fn place(
    by: SegmentRule,
    default_zone: &str,
    host: &str,
    aggregates: &[Aggregate],
) -> Result<String, String> {
    let its = aggregates
        .iter()
        .filter(|aggregate| aggregate.hosts.contains(host));
    let names: BTreeSet<&str> = match by {
        SegmentRule::Zone => its.filter_map(|one| one.zone.as_deref()).collect(),
        SegmentRule::Aggregate | SegmentRule::Rack => its.map(|one| one.name.as_str()).collect(),
    };
    let names: Vec<&str> = names.into_iter().collect();
    match (names.as_slice(), by) {
        ([one], _) => Ok((*one).to_owned()),
        ([], SegmentRule::Zone) => Ok(default_zone.to_owned()),
        ([], SegmentRule::Aggregate) => Err("it is in no aggregate".to_owned()),
        ([], SegmentRule::Rack) => Err("no line of storm_failure_domains_file names its rack".to_owned()),
        (several, _) => Err(format!("it is in several: {}", several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aggregate(name: &str, zone: Option<&str>, hosts: &[&str]) -> Aggregate {
        Aggregate {
            id: 1,
            name: name.to_owned(),
            zone: zone.map(str::to_owned),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            metadata: BTreeMap::new(),
        }
    }

    #[test]
    fn each_host_is_put_into_the_one_segment_of_its_zone_or_aggregate() {
        let hosts = BTreeSet::from(["a", "b", "c", "d"].map(str::to_owned));
        let aggregates = [
            aggregate("rack-1", Some("az1"), &["a", "b"]),
            aggregate("ssd", None, &["b", "c"]),
        ];
        let of = |by| {
            let plan = Plan::of(by, "nova", &hosts, &aggregates, &[]);
            let segments = plan.segments.into_iter();
            let segments = segments.map(|segment| (segment.name, segment.hosts.join(" ")));
            (segments.collect::<Vec<_>>(), plan.left)
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            of(SegmentRule::Zone),
            (vec![pair("az1", "a b"), pair("nova", "c d")], vec![])
        );
        assert_eq!(
            of(SegmentRule::Aggregate),
            (
                vec![pair("rack-1", "a"), pair("ssd", "c")],
                vec![
                    pair("b", "it is in several: rack-1, ssd"),
                    pair("d", "it is in no aggregate")
                ]
            )
        );
    }
}
