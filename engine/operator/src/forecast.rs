//! What there is room for, as it is told.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tachi_domain::Timestamp;
use tachi_domain::forecast::{Landing, Outcome, Room, SegmentForecast};
use tachi_domain::situation::{
    Facts, Forecast, Segment, forecast_loss, forecast_region, is_fresh_for_room, landings,
};
use utoipa::ToSchema;

use crate::schema;
use crate::seen::Seen;
use crate::when::Time;

/// Whether the instances of hosts find a place if those die now: an estimate that says no rather than a wrong yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Forecast)]
pub struct ForecastView {
    /// When it was made.
    pub at: Time,
    /// When the oldest was so of what it is made from; null while something of it was never gathered.
    #[schema(required)]
    pub as_of: Option<Time>,
    /// Why nothing is known, if so.
    #[schema(required)]
    pub trouble: Option<String>,
    /// Of so many hosts it is not known what they have: they are counted on for nothing.
    pub unread: u64,
    /// The enabled segments.
    pub segments: Vec<SegmentForecastView>,
    /// What becomes of the hosts that were asked about.
    #[schema(required)]
    pub lost: Option<OutcomeView>,
    /// Where the instances of these hosts may land: the marked ones first, as they are moved.
    #[serde(default)]
    #[schema(required)]
    pub landing: Vec<LandingView>,
}

/// Where one instance may land if its host dies and nothing else moves. Which host Nova chooses is not foreseen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Landing)]
pub struct LandingView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The host that it is on.
    pub from: String,
    /// Its owner has marked it: it is among those that are moved first.
    pub ha_enabled: bool,
    /// So many hosts have room for it; null if it asks for what is not reckoned with.
    #[schema(required)]
    pub fits: Option<u64>,
    /// Of so many that may be chosen.
    pub of: u64,
    /// Some of those that have room, by name: ten at most.
    pub hosts: Vec<String>,
    /// What it asks for that is not reckoned with.
    #[schema(required)]
    pub not_reckoned: Option<String>,
}

impl From<(bool, Landing)> for LandingView {
    fn from((marked, mut one): (bool, Landing)) -> Self {
        let fits = one.not_reckoned.is_none().then_some(one.hosts.len() as u64);
        one.hosts.truncate(LANDINGS);
        Self {
            id: one.id.to_string(),
            name: one.name,
            from: one.from,
            ha_enabled: marked,
            fits,
            of: one.of as u64,
            hosts: one.hosts,
            not_reckoned: one.not_reckoned,
        }
    }
}

/// So many hosts are named of those that have room for an instance.
const LANDINGS: usize = 10;

/// A segment's room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SegmentForecast)]
pub struct SegmentForecastView {
    /// Its name.
    pub segment: String,
    /// So many hosts may be lost together, whichever they are; null if that is not known.
    #[schema(required)]
    pub headroom: Option<u64>,
    /// With one more lost the estimate says no. If false, there are too many sets of hosts to look at each, and more may be lost.
    pub exact: bool,
    /// Each of its hosts lost alone.
    pub hosts: Vec<OutcomeView>,
    /// The host whose loss is worst.
    #[schema(required)]
    pub worst: Option<OutcomeView>,
}

/// What becomes of the instances of hosts that are lost together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ForecastOutcome)]
pub struct OutcomeView {
    /// The hosts.
    pub lost: Vec<String>,
    /// How many instances need a place.
    pub instances: u64,
    /// `enough`: all fit, however Nova places them. `tight`: only if it places them well. `short`: no way was found. `unknown`: too
    /// little is known.
    #[schema(schema_with = schema::room)]
    pub room: Room,
    /// The instance, or the host, that it fails with.
    #[schema(required)]
    pub instance: Option<String>,
    /// What is wanting.
    #[schema(required)]
    pub short_of: Option<String>,
}

impl From<&Outcome> for OutcomeView {
    fn from(one: &Outcome) -> Self {
        let short = one.short_of.clone();
        let (instance, short_of) = short.map(|short| (short.instance, short.text)).unzip();
        Self {
            lost: one.lost.clone(),
            instances: one.instances as u64,
            room: one.room,
            instance,
            short_of,
        }
    }
}

impl OutcomeView {
    /// What becomes of its instances, or what is wanting, in a few words.
    pub fn then(&self) -> String {
        let instance = self.instance.as_deref().unwrap_or_default();
        let text = self.short_of.as_deref().unwrap_or_default();
        match self.room {
            Room::Enough if self.instances == 0 => "nothing has to move".to_owned(),
            Room::Enough if self.instances == 1 => "its instance finds a place".to_owned(),
            Room::Enough => format!("all {} instances find a place", self.instances),
            Room::Tight | Room::Unknown => format!("{instance}: {text}"),
            Room::Short => format!("{instance} lacks {text}"),
        }
    }
}

impl From<&SegmentForecast> for SegmentForecastView {
    fn from(one: &SegmentForecast) -> Self {
        Self {
            segment: one.segment.clone(),
            headroom: one.headroom.map(|headroom| headroom.hosts as u64),
            exact: one.headroom.is_none_or(|headroom| headroom.exact),
            hosts: one.hosts.iter().map(OutcomeView::from).collect(),
            worst: one.worst.as_ref().map(OutcomeView::from),
        }
    }
}

/// Why there is no forecast: what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotForecast {
    /// There is no such segment or host.
    Unknown(String),
    /// The hosts are of several segments.
    OfSeveral(String),
}

impl NotForecast {
    /// For a person.
    pub fn into_text(self) -> String {
        match self {
            Self::Unknown(text) | Self::OfSeveral(text) => text,
        }
    }
}

/// How many names a refusal lists.
const NAMED: usize = 5;

fn no_such_segment(name: &str, segments: &[Segment]) -> NotForecast {
    if segments.is_empty() {
        return NotForecast::Unknown(format!(
            "no segment is called {name:?}, as there is none: tachi setup import"
        ));
    }
    let some = segments.iter().take(NAMED).map(|one| one.name.as_str());
    let more = match segments.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let some = some.collect::<Vec<_>>().join(", ");
    NotForecast::Unknown(format!("no segment is called {name:?}; there are: {some}{more}"))
}

impl ForecastView {
    /// Of all segments or of one, and of the loss of some hosts of one segment.
    ///
    /// # Errors
    ///
    /// There is no such segment or host, or the hosts are of several segments: what to write instead.
    pub fn of(seen: &Seen, segment: Option<&str>, lose: &[&str]) -> Result<Self, NotForecast> {
        let segments = &seen.facts.segments;
        if let Some(name) = segment
            && !segments.iter().any(|one| one.name == name)
        {
            return Err(no_such_segment(name, segments));
        }
        let mut home = None;
        for host in lose {
            let found = segments
                .iter()
                .find(|one| one.hosts.iter().any(|own| own.name == *host))
                .ok_or_else(|| {
                    NotForecast::Unknown(format!(
                        "no host of a segment is called {host:?}: tachi status --all-hosts lists them"
                    ))
                })?;
            if **home.get_or_insert(&found.name) != found.name {
                return Err(NotForecast::OfSeveral(format!(
                    "{host:?} is of another segment than {:?}: ask about the hosts of one segment at a time",
                    lose.first().unwrap_or(host)
                )));
            }
        }
        let told = &seen.forecast;
        let only = segment.or(home.map(String::as_str));
        let wanted = told.segments.iter();
        let wanted = wanted.filter(|one| only.is_none_or(|name| name == one.segment));
        let outcome = (!lose.is_empty()).then(|| forecast_loss(&seen.facts, seen.now, lose));
        // Without lost hosts, or while nothing counts, nothing lands.
        let landing = landings(&seen.facts, seen.now, lose);
        Ok(Self {
            at: Time(seen.now),
            as_of: told.as_of.map(Time),
            trouble: told.trouble.as_ref().map(|trouble| trouble.text.clone()),
            unread: told.unread,
            segments: wanted.map(SegmentForecastView::from).collect(),
            lost: outcome.as_ref().map(OutcomeView::from),
            landing: landing.into_iter().map(LandingView::from).collect(),
        })
    }
}

/// How many hosts of a segment may be lost, in a table: `?` if that is not known, `3+` if it may be more.
pub fn headroom(hosts: Option<u64>, exact: bool) -> String {
    match hosts {
        None => "?".to_owned(),
        Some(hosts) if exact => hosts.to_string(),
        Some(hosts) => format!("{hosts}+"),
    }
}

/// A forecast that is made anew only when what it rests on has changed.
#[derive(Default)]
pub struct Forecasts(Mutex<Option<(Basis, Arc<Forecast>)>>);

/// What a forecast rests on.
#[derive(PartialEq)]
struct Basis {
    segments: Vec<Segment>,
    /// When Nova and Placement were looked at, and whether that still counts.
    seen: [Option<(Timestamp, bool)>; 3],
}

impl Basis {
    fn of(facts: &Facts, now: Timestamp) -> Self {
        let of = |as_of: Timestamp| (as_of, is_fresh_for_room(as_of, now));
        Self {
            segments: facts.segments.clone(),
            seen: [
                facts.computes.as_ref().map(|known| of(known.as_of)),
                facts.instances.as_ref().map(|known| of(known.as_of)),
                facts.rooms.as_ref().map(|known| of(known.as_of)),
            ],
        }
    }
}

impl Forecasts {
    /// Of these facts at `now`.
    pub fn of(&self, facts: &Facts, now: Timestamp) -> Arc<Forecast> {
        let basis = Basis::of(facts, now);
        // Who holds it only looks or puts in what is whole.
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
    use super::*;

    #[test]
    fn headroom_is_told_in_a_few_letters() {
        let told = [(None, true), (Some(0), true), (Some(12), true), (Some(3), false)];
        let told = told.map(|(hosts, exact)| headroom(hosts, exact));
        assert_eq!(told, ["?", "0", "12", "3+"]);
    }
}
