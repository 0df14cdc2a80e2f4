//! The segments that Nova's hosts belong to: by their availability zone, aggregate or rack. Nothing is created here.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use tachi_domain::SegmentId;
use tachi_domain::guard::matches;
use tachi_domain::reserved::Aggregate;
use tachi_engine::ports::operator::SegmentView;
use tachi_engine::ports::{CallError, JournalError, NovaCalls, OperatorJournal};

use crate::controller::{FromNovaLeftView, FromNovaSegmentView, FromNovaView};
use crate::failure::Failure;

/// Nova's own default of `default_availability_zone`.
pub const DEFAULT_ZONE: &str = "nova";

/// The unit that becomes a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentRule {
    Zone,
    Aggregate,
    Rack,
}

impl SegmentRule {
    pub const ALL: [Self; 3] = [Self::Zone, Self::Aggregate, Self::Rack];

    /// Returns the API's name of the unit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Aggregate => "aggregate",
            Self::Rack => "rack",
        }
    }
}

impl FromStr for SegmentRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|rule| rule.as_str() == text);
        let valid = Self::ALL.map(Self::as_str).join(", ");
        found.ok_or_else(|| format!("{text:?} is no unit of segments: use one of {valid}"))
    }
}

/// The reason why the hosts cannot be compared.
#[derive(Debug)]
pub enum FromNovaError {
    /// Nova has no host.
    NoHosts,
    /// Nova failed.
    Nova {
        /// The failed attempt.
        what: &'static str,
        source: CallError,
    },
    /// The database failed.
    Database(JournalError),
}

impl FromNovaError {
    /// Text for people about a Nova without hosts.
    pub const NO_HOSTS: &'static str = "Nova has no compute service: there is nothing to protect yet";
    /// The attempt at which the database fails.
    pub const READING_SEGMENTS: &'static str = "reading the segments";
}

impl From<FromNovaError> for Failure {
    fn from(error: FromNovaError) -> Self {
        match error {
            FromNovaError::NoHosts => Self::from_text(FromNovaError::NO_HOSTS),
            FromNovaError::Nova { what, source } => Self::new(what, source),
            FromNovaError::Database(source) => Self::new(FromNovaError::READING_SEGMENTS, source),
        }
    }
}

/// The racks of the configuration, each with the patterns of its hosts.
pub struct Racks(BTreeMap<String, Vec<String>>);

/// Prefix of failure domains that are racks.
const RACK: &str = "rack:";

impl Racks {
    /// Returns the racks among the failure domains; `None` if no domain is a rack.
    pub fn among(domains: BTreeMap<String, Vec<String>>) -> Option<Self> {
        let racks = domains.into_iter().filter_map(|(name, patterns)| {
            let name = name.strip_prefix(RACK)?;
            Some((name.to_owned(), patterns))
        });
        let racks: BTreeMap<_, _> = racks.collect();
        (!racks.is_empty()).then_some(Self(racks))
    }

    /// Returns the racks as aggregates of these hosts.
    fn on(&self, hosts: &BTreeSet<String>) -> Vec<Aggregate> {
        let rack = |(name, patterns): (&String, &Vec<String>)| Aggregate {
            id: 0,
            name: name.clone(),
            zone: None,
            hosts: {
                let fits = |host: &&String| patterns.iter().any(|pattern| matches(pattern, host));
                hosts.iter().filter(fits).cloned().collect()
            },
            metadata: BTreeMap::new(),
        };
        self.0.iter().map(rack).collect()
    }
}

/// The hosts and aggregates of Nova, and the existing segments.
pub struct KnownHosts {
    hosts: BTreeSet<String>,
    aggregates: Vec<Aggregate>,
    region: Vec<SegmentView>,
}

impl KnownHosts {
    /// Reads Nova and the registered segments.
    ///
    /// # Errors
    ///
    /// Nova or the database failed, or Nova has no host.
    pub async fn read(
        operator_journal: &dyn OperatorJournal,
        nova: &dyn NovaCalls,
    ) -> Result<Self, FromNovaError> {
        let unavailable = |what| move |source: CallError| FromNovaError::Nova { what, source };
        let services = nova
            .services()
            .await
            .map_err(unavailable("listing Nova's services"))?;
        let aggregates = nova.aggregates().await;
        let aggregates = aggregates.map_err(unavailable("listing Nova's aggregates"))?;
        let region = operator_journal.region().await;
        let region = region.map_err(FromNovaError::Database)?;
        let hosts: BTreeSet<String> = services.computes.into_keys().collect();
        if hosts.is_empty() {
            return Err(FromNovaError::NoHosts);
        }
        Ok(Self {
            hosts,
            aggregates,
            region,
        })
    }

    /// Returns Nova's hosts.
    pub fn hosts(&self) -> &BTreeSet<String> {
        &self.hosts
    }

    /// Replaces the aggregates by the racks, if there are any.
    #[must_use]
    pub fn by(mut self, racks: Option<Racks>) -> Self {
        if let Some(racks) = racks {
            self.aggregates = racks.on(&self.hosts);
        }
        self
    }

    /// Plans segments for the hosts that are in none.
    pub fn plan(&self, by: SegmentRule, default_zone: &str) -> SegmentPlan {
        SegmentPlan::of(by, default_zone, &self.hosts, &self.aggregates, &self.region)
    }

    /// Plans segments for hosts that are in none: by aggregate if only that leaves the segments as they are, else by zone.
    pub fn missing(&self) -> SegmentPlan {
        let by_zone = self.plan(SegmentRule::Zone, DEFAULT_ZONE);
        if by_zone.adds_only() {
            return by_zone;
        }
        let by_aggregate = self.plan(SegmentRule::Aggregate, DEFAULT_ZONE);
        if by_aggregate.adds_only() && by_aggregate.places() == by_zone.places() {
            by_aggregate
        } else {
            by_zone
        }
    }
}

/// A segment, and the hosts to be put into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSegment {
    pub name: String,
    /// The existing segment; `None` if it is to be created.
    pub id: Option<SegmentId>,
    pub hosts: Vec<String>,
}

/// The objects to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPlan {
    pub segments: Vec<PlannedSegment>,
    /// Number of hosts that are in a segment already.
    stay: usize,
    /// Hosts that are left out, and why.
    left: Vec<(String, String)>,
}

impl SegmentPlan {
    fn of(
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
    fn adds_only(&self) -> bool {
        !self.is_empty() && self.segments.iter().all(|segment| segment.id.is_some())
    }

    /// Returns the number of hosts that are put into a segment.
    fn places(&self) -> usize {
        self.segments.iter().map(|segment| segment.hosts.len()).sum()
    }

    /// True if no host is put into a segment.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Returns the plan for people and programs; `without_level` names the hosts that no fence device can switch off.
    pub fn view(&self, without_level: Option<String>) -> FromNovaView {
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

    #[test]
    fn an_unknown_unit_is_refused_with_the_valid_ones() {
        for rule in SegmentRule::ALL {
            assert_eq!(rule.as_str().parse::<SegmentRule>(), Ok(rule));
        }
        assert_eq!(
            "cell".parse::<SegmentRule>().unwrap_err(),
            "\"cell\" is no unit of segments: use one of zone, aggregate, rack"
        );
    }

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
            let plan = SegmentPlan::of(by, "nova", &hosts, &aggregates, &[]);
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
