//! Capacity forecast, as the API shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tachi_domain::Timestamp;
use tachi_domain::forecast::{Landing, Outcome, Room, SegmentForecast};
use tachi_domain::guard::JointLoss;
use tachi_domain::situation::{
    Facts, Forecast, Segment, forecast_loss, forecast_region, is_fresh_for_room, possible_destinations,
};
use utoipa::ToSchema;

use crate::schema;
use crate::snapshot::RegionSnapshot;
use crate::when::Time;

/// A forecast of the capacity for the instances of failed hosts. It is conservative: it may miss capacity, but does not promise any that
/// is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Forecast)]
pub struct ForecastView {
    /// When the forecast was made.
    pub at: Time,
    /// The time of the oldest data that the forecast uses; null if part of it was never read.
    #[schema(required)]
    pub as_of: Option<Time>,
    /// The reason why nothing is known, for people; null if the forecast is valid.
    #[schema(required)]
    pub trouble: Option<String>,
    /// The number of hosts whose resources are unknown; the forecast counts on no capacity there.
    pub unread: u64,
    /// The forecast for each enabled segment.
    pub segments: Vec<SegmentForecastView>,
    /// The guards' answer to the loss of each failure domain of the segments.
    #[serde(default)]
    #[schema(required)]
    pub domains: Vec<DomainView>,
    /// The forecast for the loss of the hosts that the query names; null if it names none.
    #[schema(required)]
    pub lost: Option<OutcomeView>,
    /// The hosts that each instance of the lost hosts could move to, marked instances first, as they are moved.
    #[serde(default)]
    #[schema(required)]
    pub landing: Vec<LandingView>,
    /// The findings because of which nothing of the lost hosts would be recovered, for people: a freeze, maintenance, a disabled segment,
    /// or fencing that is stopped or a dry run.
    #[serde(default)]
    #[schema(required)]
    pub blocked: Vec<String>,
}

/// The hosts that an instance could move to if its host failed and nothing else moved. The forecast does not predict which of them Nova
/// chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Landing)]
pub struct LandingView {
    /// The instance's id in Nova.
    pub id: String,
    /// The instance's name.
    pub name: String,
    /// The host that the instance is on.
    pub from: String,
    /// True if the owner has marked the instance for high availability: such instances are moved first.
    pub ha_enabled: bool,
    /// The number of hosts with capacity for the instance; null if it requests something that the forecast does not model.
    #[schema(required)]
    pub fits: Option<u64>,
    /// The number of hosts that Nova may choose from.
    pub of: u64,
    /// The names of up to ten hosts with capacity.
    pub hosts: Vec<String>,
    /// The request of the instance that the forecast does not model; null if there is none.
    #[schema(required)]
    pub not_reckoned: Option<String>,
}

impl From<(bool, Landing)> for LandingView {
    fn from((marked, mut landing): (bool, Landing)) -> Self {
        let fits = landing
            .not_reckoned
            .is_none()
            .then_some(landing.hosts.len() as u64);
        landing.hosts.truncate(MAX_LANDING_HOSTS);
        Self {
            id: landing.id.to_string(),
            name: landing.name,
            from: landing.from,
            ha_enabled: marked,
            fits,
            of: landing.of as u64,
            hosts: landing.hosts,
            not_reckoned: landing.not_reckoned,
        }
    }
}

/// The maximum number of hosts with capacity that are listed for an instance.
const MAX_LANDING_HOSTS: usize = 10;

/// The capacity forecast for a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SegmentForecast)]
pub struct SegmentForecastView {
    /// The segment's name.
    pub segment: String,
    /// The number of hosts that may fail together, whichever they are, without a shortage of capacity and without a hold by the guards;
    /// null if unknown.
    #[schema(required)]
    pub headroom: Option<u64>,
    /// True if one more failure causes a shortage by this forecast. False if there are too many combinations of hosts to check each: more
    /// hosts may fail than `headroom`.
    pub exact: bool,
    /// The forecast for the loss of each host alone.
    pub hosts: Vec<OutcomeView>,
    /// The host whose loss has the worst forecast; null if there is none.
    #[schema(required)]
    pub worst: Option<OutcomeView>,
    /// The number of hosts whose failure at once would put the recoveries on hold, whichever they are, beside those that are out already;
    /// null if no number of them would, or no engine has asked the guards. A single host may be held, too: see `held` of each host.
    #[serde(default)]
    #[schema(required)]
    pub held_from: Option<u64>,
    /// The guards that would hold them, each with its reason, for people.
    #[serde(default)]
    #[schema(required)]
    pub held_why: Vec<String>,
    /// The number of hosts that may fail together without a shortage of capacity, guards aside; null if unknown.
    #[serde(default)]
    #[schema(required)]
    pub room_headroom: Option<u64>,
}

/// The forecast for the instances of hosts that fail together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ForecastOutcome)]
pub struct OutcomeView {
    /// The names of the hosts.
    pub lost: Vec<String>,
    /// The number of instances that have to move.
    pub instances: u64,
    /// `enough`: all fit, wherever Nova places them. `tight`: they fit only if Nova places them well. `short`: no way to place all of them
    /// was found. `unknown`: too little is known.
    #[schema(schema_with = schema::room)]
    pub room: Room,
    /// The instance, or the host, that causes a result other than `enough`; null if there is none.
    #[schema(required)]
    pub instance: Option<String>,
    /// The missing capacity or information, for people; null if there is none.
    #[schema(required)]
    pub short_of: Option<String>,
    /// The guards that would put the recovery on hold, each with its reason, for people; empty if none would, or no engine has asked them.
    #[serde(default)]
    #[schema(required)]
    pub held: Vec<String>,
}

/// The guards' answer to the loss of a whole failure domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DomainForecast)]
pub struct DomainView {
    /// The name of the failure domain, such as `rack:r7`.
    pub domain: String,
    /// The number of its hosts that run.
    pub hosts: u64,
    /// The guards that would put the recoveries on hold, each with its reason, for people; empty if none would.
    pub held: Vec<String>,
}

impl From<&Outcome> for OutcomeView {
    fn from(outcome: &Outcome) -> Self {
        let short = outcome.short_of.clone();
        let (instance, short_of) = short.map(|short| (short.instance, short.text)).unzip();
        Self {
            lost: outcome.lost.clone(),
            instances: outcome.instances as u64,
            room: outcome.room,
            instance,
            short_of,
            held: Vec::new(),
        }
    }
}

impl OutcomeView {
    /// Describes the result in a few words.
    pub fn then(&self) -> String {
        let instance = self.instance.as_deref().unwrap_or_default();
        let text = self.short_of.as_deref().unwrap_or_default();
        match self.room {
            Room::Enough if self.instances == 0 => "no instance has to move".to_owned(),
            Room::Enough if self.instances == 1 => "its instance fits".to_owned(),
            Room::Enough => format!("all {} instances fit", self.instances),
            Room::Tight | Room::Unknown => format!("{instance}: {text}"),
            Room::Short => format!("{instance} lacks {text}"),
        }
    }
}

impl From<&SegmentForecast> for SegmentForecastView {
    fn from(forecast: &SegmentForecast) -> Self {
        Self {
            segment: forecast.segment.clone(),
            headroom: forecast.headroom.map(|headroom| headroom.hosts as u64),
            exact: forecast.headroom.is_none_or(|headroom| headroom.exact),
            hosts: forecast.hosts.iter().map(OutcomeView::from).collect(),
            worst: forecast.worst.as_ref().map(OutcomeView::from),
            held_from: None,
            held_why: Vec::new(),
            room_headroom: forecast.headroom.map(|headroom| headroom.hosts as u64),
        }
    }
}

/// The reason why there is no forecast, with a message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForecastError {
    /// No such segment or host exists.
    Unknown(String),
    /// The hosts belong to several segments.
    OfSeveral(String),
}

impl ForecastError {
    pub fn into_text(self) -> String {
        match self {
            Self::Unknown(text) | Self::OfSeveral(text) => text,
        }
    }
}

/// The maximum number of segments that an error message lists.
const MAX_NAMED_SEGMENTS: usize = 5;

fn no_such_segment(name: &str, segments: &[Segment]) -> ForecastError {
    if segments.is_empty() {
        return ForecastError::Unknown(format!(
            "no segment is named {name:?}: there is none yet: tachi setup import"
        ));
    }
    let some = segments
        .iter()
        .take(MAX_NAMED_SEGMENTS)
        .map(|one| one.name.as_str());
    let more = match segments.len().saturating_sub(MAX_NAMED_SEGMENTS) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let some = some.collect::<Vec<_>>().join(", ");
    ForecastError::Unknown(format!("no segment is named {name:?}; available: {some}{more}"))
}

impl ForecastView {
    /// Returns the forecast for all segments or for one, and for the loss of some hosts of one segment.
    ///
    /// # Errors
    ///
    /// There is no such segment or host, or the hosts belong to several segments; with a message for people.
    pub fn of(
        snapshot: &RegionSnapshot,
        segment: Option<&str>,
        lose: &[&str],
    ) -> Result<Self, ForecastError> {
        let segments = &snapshot.facts.segments;
        if let Some(name) = segment
            && !segments.iter().any(|segment| segment.name == name)
        {
            return Err(no_such_segment(name, segments));
        }
        let mut home = None;
        for host in lose {
            let found = segments
                .iter()
                .find(|segment| segment.hosts.iter().any(|own| own.name == *host))
                .ok_or_else(|| {
                    ForecastError::Unknown(format!("no segment has a host named {host:?}: tachi host list"))
                })?;
            if **home.get_or_insert(&found.name) != found.name {
                return Err(ForecastError::OfSeveral(format!(
                    "{host:?} is in another segment than {:?}: name hosts of one segment",
                    lose.first().unwrap_or(host)
                )));
            }
        }
        let forecast = &snapshot.forecast;
        let only = segment.or(home.map(String::as_str));
        let segments = forecast.segments.iter();
        let segments = segments.filter(|segment| only.is_none_or(|name| name == segment.segment));
        let outcome = (!lose.is_empty()).then(|| forecast_loss(&snapshot.facts, snapshot.now, lose));
        let answers = GuardAnswers::of(&snapshot.facts);
        // Without lost hosts, and while the data is stale, this is empty.
        let landing = possible_destinations(&snapshot.facts, snapshot.now, lose);
        Ok(Self {
            at: Time(snapshot.now),
            as_of: forecast.as_of.map(Time),
            trouble: forecast.trouble.as_ref().map(|failure| failure.text.clone()),
            unread: forecast.unread,
            segments: segments
                .map(|segment| answers.of_segment(segment, guard_limit(snapshot, &segment.segment)))
                .collect(),
            domains: answers.domains(only),
            lost: outcome.as_ref().map(|outcome| answers.of_outcome(outcome)),
            landing: landing.into_iter().map(LandingView::from).collect(),
            blocked: lose
                .iter()
                .flat_map(|host| snapshot.situation.recovery_blockers(host))
                .map(|finding| format!("{}: {}", finding.code, finding.text))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
        })
    }
}

/// Returns the number of hosts of the segment that the guards let fail together, as it was assessed.
fn guard_limit(snapshot: &RegionSnapshot, segment: &str) -> Option<u64> {
    let mut segments = snapshot.situation.segments.iter();
    segments.find(|one| one.name == segment)?.guard_limit
}

/// The recoveries that the guards would hold, as an engine has asked them: by the code that will decide then.
pub(crate) struct GuardAnswers<'a> {
    facts: &'a Facts,
    alone: BTreeMap<&'a str, &'a [String]>,
}

impl<'a> GuardAnswers<'a> {
    pub(crate) fn of(facts: &'a Facts) -> Self {
        let holds = facts.holds.iter().flat_map(|known| &known.value);
        Self {
            facts,
            alone: holds
                .map(|hold| (hold.host.as_str(), hold.why.as_slice()))
                .collect(),
        }
    }

    fn segment_of(&self, host: &str) -> Option<&'a Segment> {
        let mut all = self.facts.segments.iter();
        all.find(|segment| segment.hosts.iter().any(|one| one.name == host))
    }

    fn together(&self) -> impl Iterator<Item = &'a JointLoss> {
        self.facts.joint_losses.iter().flat_map(|known| &known.value)
    }

    /// Returns the smallest loss that would be held in a segment.
    fn first_in(&self, segment: &str) -> Option<&'a JointLoss> {
        let is_of = |host: &str| {
            self.segment_of(host)
                .is_some_and(|of_host| of_host.name == segment)
        };
        self.together()
            .find(|one| one.domain.is_none() && is_of(&one.host))
    }

    pub(crate) fn of_outcome(&self, outcome: &Outcome) -> OutcomeView {
        let mut view = OutcomeView::from(outcome);
        let mut why: BTreeSet<&String> = BTreeSet::new();
        for host in &outcome.lost {
            why.extend(self.alone.get(host.as_str()).copied().unwrap_or_default());
        }
        if outcome.lost.len() > 1
            && let Some(first) = outcome.lost.first()
            && let Some(loss) = self
                .segment_of(first)
                .and_then(|segment| self.first_in(&segment.name))
            && outcome.lost.len() as u64 >= loss.hosts
        {
            why.extend(&loss.why);
        }
        view.held = why.into_iter().cloned().collect();
        view
    }

    /// `limit`: the number of hosts that the guards let fail together.
    fn of_segment(&self, forecast: &SegmentForecast, limit: Option<u64>) -> SegmentForecastView {
        let mut view = SegmentForecastView::from(forecast);
        view.hosts = forecast.hosts.iter().map(|one| self.of_outcome(one)).collect();
        view.worst = forecast.worst.as_ref().map(|one| self.of_outcome(one));
        let headroom = forecast.headroom.map(|room| room.within(limit));
        view.headroom = headroom.map(|headroom| headroom.hosts as u64);
        view.exact = headroom.is_none_or(|headroom| headroom.exact);
        if let Some(loss) = self.first_in(&forecast.segment) {
            view.held_from = Some(loss.hosts);
            view.held_why.clone_from(&loss.why);
        }
        view
    }

    /// Returns the failure domains that have hosts in the segment, or in any.
    fn domains(&self, segment: Option<&str>) -> Vec<DomainView> {
        let is_wanted = |host: &str| {
            segment.is_none_or(|name| self.segment_of(host).is_some_and(|segment| segment.name == name))
        };
        let all = self.together().filter(|one| is_wanted(&one.host));
        let view = |one: &JointLoss| {
            Some(DomainView {
                domain: one.domain.clone()?,
                hosts: one.hosts,
                held: one.why.clone(),
            })
        };
        all.filter_map(view).collect()
    }
}

/// Renders the headroom as a table cell: `?` if it is unknown, `3+` if more hosts may fail, `1 (room 4)` if the guards allow fewer than the
/// room does.
pub fn headroom(hosts: Option<u64>, exact: bool, room: Option<u64>) -> String {
    match hosts {
        None => "?".to_owned(),
        Some(hosts) if room.is_some_and(|room| room > hosts) => {
            format!("{hosts} (room {})", room.unwrap_or_default())
        }
        Some(hosts) if exact => hosts.to_string(),
        Some(hosts) => format!("{hosts}+"),
    }
}

/// A cached forecast, made again only when its input has changed.
#[derive(Default)]
pub struct Forecasts(Mutex<Option<(Basis, Arc<Forecast>)>>);

/// The parts of a forecast's input that decide if it has to be made again.
#[derive(PartialEq)]
struct Basis {
    segments: Vec<Segment>,
    /// When Nova and Placement were read, and true if that data is still fresh enough.
    versions: [Option<(Timestamp, bool)>; 3],
}

impl Basis {
    fn of(facts: &Facts, now: Timestamp) -> Self {
        let of = |as_of: Timestamp| (as_of, is_fresh_for_room(as_of, now));
        Self {
            segments: facts.segments.clone(),
            versions: [
                facts.computes.as_ref().map(|known| of(known.as_of)),
                facts.instances.as_ref().map(|known| of(known.as_of)),
                facts.rooms.as_ref().map(|known| of(known.as_of)),
            ],
        }
    }
}

impl Forecasts {
    /// Returns the forecast from these facts at `now`, from the cache if possible.
    pub fn of(&self, facts: &Facts, now: Timestamp) -> Arc<Forecast> {
        let basis = Basis::of(facts, now);
        // A panic cannot leave the value half-written: it is only read, or replaced as a whole.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, forecast)) = last.as_ref()
            && *before == basis
        {
            return Arc::clone(forecast);
        }
        let forecast = Arc::new(forecast_region(facts, now));
        *last = Some((basis, Arc::clone(&forecast)));
        forecast
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::forecast::Headroom;

    use super::*;
    use crate::freezes::tests::fine;

    #[test]
    fn the_forecast_has_the_limit_of_the_guards_that_status_shows() {
        let mut snapshot = fine();
        snapshot.forecast = Arc::new(Forecast {
            segments: vec![SegmentForecast {
                segment: "all".to_owned(),
                hosts: Vec::new(),
                worst: None,
                headroom: Some(Headroom {
                    hosts: 4,
                    exact: false,
                }),
            }],
            ..Forecast::clone(&snapshot.forecast)
        });
        let view = |limit| {
            snapshot.situation.segments[0].guard_limit = limit;
            let forecast = ForecastView::of(&snapshot, None, &[]).unwrap();
            let segment = &forecast.segments[0];
            (segment.headroom, segment.exact, segment.room_headroom)
        };
        let views = [None, Some(1)].map(view);
        assert_eq!(views, [(Some(4), false, Some(4)), (Some(1), true, Some(4))]);
    }

    #[test]
    fn headroom_is_rendered_as_a_table_cell() {
        let texts = [
            (None, true, None),
            (Some(0), true, Some(0)),
            (Some(12), true, None),
            (Some(3), false, Some(3)),
            (Some(1), true, Some(4)),
        ];
        let texts = texts.map(|(hosts, exact, room)| headroom(hosts, exact, room));
        assert_eq!(texts, ["?", "0", "12", "3+", "1 (room 4)"]);
    }
}
