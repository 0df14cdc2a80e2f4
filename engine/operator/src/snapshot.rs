//! Snapshot of a region: everything that was read at one moment, and its assessment.

use std::sync::Arc;

use tachi_domain::policy::{BareNormal, FencingMode};
use tachi_domain::recovery::Life;
use tachi_domain::situation::{
    DeviceTest, Facts, Forecast, MAX_FACT_AGE, MAX_ROOM_FACT_AGE, Situation, assess_with,
};
use tachi_domain::{ServerId, Timestamp, WaitsFor};
use tachi_engine::ports::engine_registry::EngineRow;
use tachi_engine::ports::operator::{MoveLine, RecoverySummary};
use tachi_engine::situation::{CloudSnapshot, ConfiguredFacts, Tables};

use crate::forecast::Forecasts;
use crate::waits;

/// True if the engine has sent a heartbeat recently.
pub fn is_alive(line: &EngineRow, now: Timestamp) -> bool {
    tachi_domain::situation::is_alive(line.seen_at, now)
}

#[derive(Clone, Debug)]
pub struct Fencing {
    /// The source whose proof counts that a host is off.
    pub mode: FencingMode,
    /// The power controllers, if any are configured.
    pub device: Option<String>,
    /// The value of a bare NORMAL, that is one without evidence, in mode `external`.
    pub bare_normal: BareNormal,
}

impl Fencing {
    /// Describes the configuration in one line.
    pub fn line(&self) -> String {
        match (self.mode, &self.device) {
            (FencingMode::Engine, Some(device)) => {
                format!("engine: hosts are read and powered off through {device}")
            }
            (FencingMode::Engine, None) => {
                "engine, but no fence device is configured: no host can be confirmed off".into()
            }
            (FencingMode::DryRun, _) => {
                "dry-run: recoveries show what they would do, without power-off and evacuation".into()
            }
            (FencingMode::External, _) => {
                let bare = match self.bare_normal {
                    BareNormal::Refuse => "without evidence it is refused".to_owned(),
                    BareNormal::Wait(time) => format!(
                        "without evidence it counts after {} s of silence, as with Masakari: a host that keeps running without its \
                         nova-compute is then evacuated, too; configure fence devices, or set [fencing] normal_without_evidence = refuse",
                        time.as_secs()
                    ),
                };
                format!(
                    "external: a notification's host_status NORMAL counts as proof by an external system; {bare}"
                )
            }
        }
    }
}

/// The age of one kind of data from the cloud, and the time for which it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// The kind of data, such as `tests`.
    pub kind: &'static str,
    /// The time of the data; `None` if it was never read.
    pub as_of: Option<Timestamp>,
    /// The time for which it counts, in seconds.
    pub counts_for: u64,
}

/// The source of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSource {
    /// The region, if the configuration names it.
    pub region: Option<String>,
    /// The database, without its password.
    pub database: String,
}

/// A snapshot of a region.
#[derive(Clone, Debug)]
pub struct RegionSnapshot {
    /// When the snapshot was taken.
    pub now: Timestamp,
    pub fencing: Fencing,
    /// The source of the snapshot.
    pub place: SnapshotSource,
    /// The contents of Tachi's own tables.
    pub tables: Tables,
    /// When an engine last read Nova's compute services.
    pub looked_at: Option<Timestamp>,
    /// The age of each kind of data from the cloud.
    pub ages: Vec<Age>,
    /// The last test of each fence device.
    pub tests: Vec<DeviceTest>,
    /// The facts that are assessed.
    pub facts: Facts,
    /// The forecast of capacity for the instances of failed hosts.
    pub forecast: Arc<Forecast>,
    /// The assessment.
    pub situation: Situation,
}

impl RegionSnapshot {
    /// Assesses what was read.
    pub fn judged(
        now: Timestamp,
        fencing: Fencing,
        place: SnapshotSource,
        tables: Tables,
        watched: CloudSnapshot,
        configured: ConfiguredFacts,
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

    /// True if the instance of a recovery still waits. One that was given up does not once it was deleted, or runs on another host.
    pub fn still_waits(&self, line: &MoveLine) -> bool {
        !self.situation.resolved.contains(&line.server)
    }

    /// Returns the commands with which an operator can end the wait of an instance now. A retry starts no instance on a host that is back:
    /// one that was given up is started there by hand.
    pub fn commands_of(&self, line: &MoveLine) -> Vec<String> {
        let all = waits::to_end_move(line);
        let Some(start) = self.start_on_its_host(line) else {
            return all;
        };
        let others = all.into_iter().filter(|way| !way.contains(" recovery retry "));
        std::iter::once(start).chain(others).collect()
    }

    /// Returns the command that starts a given-up instance on the host that failed, once that is back and Nova shows the instance there.
    fn start_on_its_host(&self, line: &MoveLine) -> Option<String> {
        let wait = line.wait.as_ref().filter(|wait| wait.what == WaitsFor::GivenUp)?;
        let mut hosts = self.situation.hosts.iter();
        let is_up = hosts.any(|host| host.name == line.host && host.up == Some(true));
        let mut recoveries = self.facts.recoveries.iter();
        let is_recovered = recoveries.any(|one| one.host == line.host && one.life == Life::Open);
        if !is_up || is_recovered || line.life == Life::Open || !line.may_run.is_empty() {
            return None;
        }
        let known = self.facts.instances.as_ref();
        known.filter(|known| known.is_fresh(self.now) && wait.since < known.as_of)?;
        self.start_command(&line.host, line.server)
    }

    /// Returns the command that starts an instance on a host that is up, or that ends what Nova refuses that for.
    pub(crate) fn start_command(&self, host: &str, server: ServerId) -> Option<String> {
        let known = self.facts.instances.as_ref()?;
        let mut on_host = known.value.on.get(host)?.iter();
        on_host
            .find(|one| one.id == server)
            .map(tachi_domain::situation::Instance::start_command)
    }

    /// Returns the instances that need an operator. Every view and count shows this list.
    pub fn waiting(&self) -> impl Iterator<Item = &MoveLine> {
        self.tables.waiting.iter().filter(|line| self.still_waits(line))
    }

    /// Returns the recoveries that are on hold.
    pub fn on_hold(&self) -> impl Iterator<Item = &RecoverySummary> {
        let open = self.tables.recoveries.iter().filter(|row| row.life == Life::Open);
        open.filter(|row| waits::what(row.wait.as_ref()).is_on_hold())
    }
}

fn ages(watched: &CloudSnapshot) -> Vec<Age> {
    let of_nova = |kind, as_of| Age {
        kind,
        as_of,
        counts_for: MAX_FACT_AGE.as_secs(),
    };
    let rooms = watched.rooms.as_ref().map(|known| Age {
        kind: "rooms",
        as_of: Some(known.as_of),
        counts_for: MAX_ROOM_FACT_AGE.as_secs(),
    });
    let tests = watched.tests.iter().flatten();
    let oldest = tests.min_by_key(|test| test.as_of.micros() + i64::from(test.counts_for) * 1_000_000);
    let mut ages = vec![
        of_nova("computes", watched.computes.as_ref().map(|known| known.as_of)),
        of_nova("instances", watched.instances.as_ref().map(|known| known.as_of)),
        Age {
            kind: "tests",
            as_of: oldest.map(|test| test.as_of),
            counts_for: oldest.map_or(MAX_FACT_AGE.as_secs(), |test| u64::from(test.counts_for)),
        },
    ];
    ages.extend(rooms);
    ages
}

#[cfg(test)]
mod tests {
    use tachi_domain::situation::{ComputeService, Instance, Instances, TimedFact};
    use tachi_domain::{RecoveryId, Wait};
    use uuid::Uuid;

    use super::*;
    use crate::freezes::tests::fine;
    use crate::situation::SituationView;

    fn given_up(snapshot: &RegionSnapshot) -> MoveLine {
        MoveLine {
            recovery: RecoveryId(Uuid::from_u128(1)),
            host: "a".into(),
            life: Life::Closed,
            opened_at: snapshot.now,
            server: ServerId(Uuid::from_u128(2)),
            name: "web".into(),
            rank: 0,
            dest: None,
            wait: Some(Wait {
                what: WaitsFor::GivenUp,
                on: [].into(),
                since: snapshot.now.minus_seconds(60),
            }),
            may_run: [].into(),
            message: None,
            state: "{}".into(),
        }
    }

    /// Covers R36.
    #[test]
    fn an_instance_that_was_given_up_is_started_on_its_host_once_that_is_back() {
        let mut snapshot = fine();
        let line = given_up(&snapshot);
        let id = line.server;
        let retry = format!("tachi recovery retry {}", line.recovery);
        assert_eq!(snapshot.commands_of(&line)[0], retry);
        let service = |up| ComputeService {
            host: "a".to_owned(),
            up,
            enabled: true,
            cell_down: false,
            ambiguous: false,
            drained: false,
            forced_down: false,
            since: snapshot.now,
        };
        let (up, down) = (service(true), service(false));
        let instance = Instance {
            id,
            name: "web".into(),
            left: None,
            moving: false,
            local_disk: None,
            marked: true,
            rest: None,
            ended_by_boot: None,
            start_blocker: None,
            needs: None,
        };
        let as_of = snapshot.now;
        snapshot.facts.instances = Some(TimedFact {
            as_of,
            value: Instances {
                complete: true,
                on: [("a".to_owned(), Arc::new(vec![instance]))].into(),
                ..Instances::default()
            },
        });
        for (compute, expected) in [
            (down, retry),
            (up, format!("openstack server reboot --hard {id}")),
        ] {
            snapshot.facts.computes = Some(TimedFact {
                as_of,
                value: vec![compute],
            });
            snapshot.situation = assess_with(&snapshot.facts, &snapshot.forecast, as_of);
            let commands = snapshot.commands_of(&line);
            assert_eq!(commands[0], expected);
            let retries = commands
                .iter()
                .filter(|way| way.contains("recovery retry"))
                .count();
            assert_eq!(retries, usize::from(expected.contains("retry")));
        }
        // It may still run on the other host of its migration.
        let doubtful = MoveLine {
            may_run: ["b".to_owned()].into(),
            ..line
        };
        assert!(snapshot.commands_of(&doubtful)[0].contains("recovery retry"));
    }

    /// The findings and the lists must name the same instances.
    /// Covers R36.
    #[test]
    fn an_instance_that_was_given_up_and_deleted_needs_no_operator_in_any_list() {
        let mut snapshot = fine();
        let line = given_up(&snapshot);
        let server = line.server;
        snapshot.tables.waiting.push(line);
        let listed = |snapshot: &RegionSnapshot| {
            let view = SituationView::from(snapshot);
            (snapshot.waiting().count(), view.needs_person.instances.len())
        };
        assert_eq!(listed(&snapshot), (1, 1));
        snapshot.situation.resolved.insert(server);
        assert_eq!(listed(&snapshot), (0, 0));
    }
}
