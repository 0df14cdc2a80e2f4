//! Everything at one moment.

use std::sync::Arc;

use tachi_domain::Timestamp;
use tachi_domain::policy::{BareNormal, FencingMode};
use tachi_domain::recovery::Life;
use tachi_domain::situation::{DeviceTest, FRESH, Facts, Forecast, ROOM_COUNTS_FOR, Situation, assess_with};
use tachi_engine::ports::operator::RecoverySummary;
use tachi_engine::ports::roll::EngineLine;
use tachi_engine::situation::{Configured, Tables, Watched};

use crate::forecast::Forecasts;
use crate::waits;

/// Whether an engine has signed lately.
pub fn is_alive(line: &EngineLine, now: Timestamp) -> bool {
    tachi_domain::situation::is_alive(line.seen_at, now)
}

/// How hosts are proven off.
#[derive(Clone, Debug)]
pub struct Fencing {
    /// Whose word counts.
    pub mode: FencingMode,
    /// The power controller, if one is configured.
    pub device: Option<String>,
    /// What NORMAL is worth without evidence.
    pub bare_normal: BareNormal,
}

impl Fencing {
    /// In a line.
    pub fn line(&self) -> String {
        match (self.mode, &self.device) {
            (FencingMode::Engine, Some(device)) => {
                format!("engine: the power of hosts is read and cut through {device}")
            }
            (FencingMode::Engine, None) => {
                "engine, but no power controller is configured: nothing can be proven off".into()
            }
            (FencingMode::DryRun, _) => {
                "dry-run: what would be done is said, nothing is switched off and nothing recovered".into()
            }
            (FencingMode::External, _) => {
                let bare = match self.bare_normal {
                    BareNormal::Refuse => "without evidence it is refused".to_owned(),
                    BareNormal::Wait(time) => format!(
                        "without evidence it counts after {} s of silence, as with Masakari: a host that runs on without its \
                         nova-compute is then evacuated all the same; configure fence devices, or set [fencing] \
                         normal_without_evidence = refuse",
                        time.as_secs()
                    ),
                };
                format!(
                    "external: a notification's host_status NORMAL is taken for somebody else's proof; {bare}"
                )
            }
        }
    }
}

/// When something was so that was seen of the cloud, and for how long it says something good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// What was looked at, such as `tests`.
    pub kind: &'static str,
    /// When; `None` if nobody has gathered it.
    pub as_of: Option<Timestamp>,
    /// In seconds.
    pub counts_for: u64,
}

/// Where something was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The region, if the configuration names it.
    pub region: Option<String>,
    /// The database, without passwords.
    pub database: String,
}

/// All that was read at that moment.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was read.
    pub now: Timestamp,
    /// How hosts are proven off.
    pub fencing: Fencing,
    /// Where it was read.
    pub place: Place,
    /// What is in our own tables.
    pub tables: Tables,
    /// When an engine has looked at Nova last.
    pub looked_at: Option<Timestamp>,
    /// How old each kind of fact is.
    pub ages: Vec<Age>,
    /// What each fence device said when it was tested last.
    pub tests: Vec<DeviceTest>,
    /// All of it that is judged.
    pub facts: Facts,
    /// Whether there is room for what hosts lose.
    pub forecast: Arc<Forecast>,
    /// What is to be said of all of it.
    pub situation: Situation,
}

impl Seen {
    /// Judges what was read.
    pub fn judged(
        now: Timestamp,
        fencing: Fencing,
        place: Place,
        tables: Tables,
        watched: Watched,
        configured: Configured,
        forecasts: &Forecasts,
    ) -> Self {
        let ages = ages(&watched);
        let looked_at = watched.computes.as_ref().map(|known| known.as_of);
        let tests = watched.tests.clone().unwrap_or_default();
        let facts = tables.facts(watched, configured);
        let forecast = forecasts.of(&facts, now);
        Self {
            now,
            fencing,
            place,
            looked_at,
            ages,
            tests,
            situation: assess_with(&facts, &forecast, now),
            forecast,
            facts,
            tables,
        }
    }

    /// The recoveries that wait for an operator.
    pub fn held(&self) -> impl Iterator<Item = &RecoverySummary> {
        let open = self.tables.recoveries.iter().filter(|row| row.life == Life::Open);
        open.filter(|row| waits::what(row.wait.as_ref()).is_held())
    }
}

fn ages(watched: &Watched) -> Vec<Age> {
    let of_nova = |kind, as_of| Age {
        kind,
        as_of,
        counts_for: FRESH.as_secs(),
    };
    let rooms = watched.rooms.as_ref().map(|known| Age {
        kind: "rooms",
        as_of: Some(known.as_of),
        counts_for: ROOM_COUNTS_FOR.as_secs(),
    });
    let tests = watched.tests.iter().flatten();
    let oldest = tests.min_by_key(|test| test.as_of.micros() + i64::from(test.counts_for) * 1_000_000);
    let mut ages = vec![
        of_nova("computes", watched.computes.as_ref().map(|known| known.as_of)),
        of_nova("instances", watched.instances.as_ref().map(|known| known.as_of)),
        Age {
            kind: "tests",
            as_of: oldest.map(|test| test.as_of),
            counts_for: oldest.map_or(FRESH.as_secs(), |test| u64::from(test.counts_for)),
        },
    ];
    ages.extend(rooms);
    ages
}
