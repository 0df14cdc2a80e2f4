//! What there is room for, as it is told.

use serde::{Deserialize, Serialize};
use tachi_domain::forecast::{Outcome, Room, SegmentForecast};
use tachi_domain::situation::{Segment, forecast_region};
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
}

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

impl From<Outcome> for OutcomeView {
    fn from(one: Outcome) -> Self {
        let (instance, short_of) = one.short_of.map(|short| (short.instance, short.text)).unzip();
        Self {
            lost: one.lost,
            instances: one.instances as u64,
            room: one.room,
            instance,
            short_of,
        }
    }
}

impl From<SegmentForecast> for SegmentForecastView {
    fn from(one: SegmentForecast) -> Self {
        Self {
            segment: one.segment,
            headroom: one.headroom.map(|headroom| headroom.hosts as u64),
            exact: one.headroom.is_none_or(|headroom| headroom.exact),
            hosts: one.hosts.into_iter().map(OutcomeView::from).collect(),
            worst: one.worst.map(OutcomeView::from),
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
            "no segment is called {name:?}, as there is none: tachi init from-nova"
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
        let told = forecast_region(&seen.facts, seen.now, segment.or(home.map(String::as_str)), lose);
        Ok(Self {
            at: Time(seen.now),
            as_of: told.as_of.map(Time),
            trouble: told.trouble,
            unread: told.unread,
            segments: told.segments.into_iter().map(SegmentForecastView::from).collect(),
            lost: told.lost.map(OutcomeView::from),
        })
    }
}
