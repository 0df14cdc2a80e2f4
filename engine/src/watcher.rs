//! One engine at a time polls the cloud and stores the results for all readers: commands, the API, metrics. Readers need
//! no access to Nova, and can show the age of each fact.
//!
//! The polling engine owns the turn, a number in the database that each round increments. Another engine takes it over
//! if the owner has left the registry, or if the number has not changed for `TURN_TIMEOUT` by its own clock. No
//! decision depends on these facts.

mod boots;
mod failed;
pub mod kind;
mod preview;
mod reasons;
mod rooms;
mod roster;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tachi_domain::Timestamp;
use tachi_domain::guard::{JointLoss, NovaView, WouldHold};
use tachi_domain::nova::Service;
use tachi_domain::policy::Policy;
use tachi_domain::recovery;
use tachi_domain::situation::{ComputeService, DeviceTest, TimedFact};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cloud::{CloudCache, CloudView};
use crate::ports::{Clock, EngineRegistry, Fact, FactStore, FailedInstances, Inventory, JournalError, Round};
use crate::situation::CloudSnapshot;
pub use preview::{Holds, Preview};
use rooms::Rooms;
use roster::{PageRequest, Roster};

/// Time after which an unchanged turn is taken over: two rounds.
const TURN_TIMEOUT: Duration = Duration::from_secs(31);

/// Time to gather changed test results: a hundred devices may fail in the same second.
const GATHER_TIME: Duration = Duration::from_secs(1);

/// Maximum age, in seconds, of facts with which a round may skip polling while a recovery evacuates. Facts are valid for
/// 45 s, and the next round starts within 19 s.
const MAX_SKIP_AGE_SECONDS: i64 = 20;

/// Maximum age of Nova's services with which the guards are evaluated beforehand. A round starts right after a poll and may take some
/// seconds.
const MAX_SHARED_AGE: Duration = Duration::from_secs(10);

/// Limit of such queries within a round, so that the reason of a recent stop is published together with it.
const MAX_REASONS_PER_ROUND: usize = 5;

/// Limit of pages of changes per round, so that a round does not outlast its interval.
const MAX_CHANGE_PAGES: usize = 5;

/// Maximum age, in seconds, of a list of another engine from which to resume.
const MAX_RESUME_AGE_SECONDS: i64 = 3_600;

/// The progress of the list of instances.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ListingProgress {
    /// True if all were listed once.
    pub complete: bool,
    /// The start of the first listing while it is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// The ports that a watcher needs.
#[derive(Clone)]
pub struct Sources {
    pub facts: Arc<dyn FactStore>,
    /// The registry of engines, which shows if the owner of the turn still runs.
    pub engine_registry: Arc<dyn EngineRegistry>,
    pub inventory: Arc<dyn Inventory>,
    /// The instances whose failure no recovery has repaired.
    pub failed: Arc<dyn FailedInstances>,
    /// The capacity of hosts.
    pub rooms: Arc<dyn crate::ports::Rooms>,
    pub cloud: CloudCache,
    pub clock: Arc<dyn Clock>,
    /// The rules that decide which instances are included in HA.
    pub policy: watch::Receiver<Policy>,
    pub tests: Arc<dyn Tests>,
    /// The handle that shows if instances are being moved.
    pub moves: Arc<dyn Moves>,
    pub preview: Arc<dyn Preview>,
    pub name: String,
}

/// The moves of this engine's recoveries.
pub trait Moves: Send + Sync {
    /// True if Nova is processing evacuations for them.
    fn are_under_way(&self) -> bool;
}

/// The tests of fence devices made by this engine.
#[async_trait]
pub trait Tests: Send + Sync {
    /// Returns the latest test of each device; `None` if none was made.
    fn last(&self) -> Option<Vec<DeviceTest>>;

    /// Restores the results that another engine has stored. They are valid until this engine has made a newer test.
    fn resume(&self, kept: Vec<DeviceTest>);

    /// Waits until the result of a test changes. May be dropped at any time.
    async fn changed(&self);
}

/// An observer of the rounds.
#[async_trait]
pub trait RoundObserver: Send + Sync {
    /// Called when this engine polls, with its observations.
    async fn observe(&self, watched: CloudSnapshot);

    /// Called when another engine polls.
    async fn other_engine_polls(&self);

    /// Called when a round could not be stored, so that the earlier observations become stale.
    async fn store_failed(&self);
}

/// The engine's poller of the cloud.
pub struct Watcher {
    sources: Sources,
    turn: WatchTurn,
    roster: Roster,
    rooms: Rooms,
    computes: Option<TimedFact<Vec<ComputeService>>>,
    holds: Option<TimedFact<Vec<WouldHold>>>,
    joint_losses: Option<TimedFact<Vec<JointLoss>>>,
    /// Boot time until which the queries for stop reasons pause.
    reasons_due_at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WatchTurn {
    Ours(u64),
    /// The turn as it was seen, and the boot time since which it has not changed.
    Others(u64, Duration),
    Unknown,
}

impl Watcher {
    /// Creates a watcher that has not polled yet.
    pub fn new(sources: Sources) -> Self {
        Self {
            sources,
            turn: WatchTurn::Unknown,
            roster: Roster::default(),
            rooms: Rooms::default(),
            computes: None,
            holds: None,
            joint_losses: None,
            reasons_due_at: Duration::ZERO,
        }
    }

    /// Polls until `stop`. Calls to the observer may be dropped at any time.
    pub async fn run(mut self, stop: CancellationToken, observer: Arc<dyn RoundObserver>) {
        let mut problem = false;
        let (cloud, tests) = (self.sources.cloud.clone(), self.sources.tests.clone());
        loop {
            let mut polled = pin!(cloud.polled());
            loop {
                let changed = async {
                    tests.changed().await;
                    sleep(GATHER_TIME).await;
                };
                // All branches only wait, or read.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = &mut polled => break,
                    () = changed => {}
                    () = self.query_reasons() => {}
                }
                // Results that could not be stored now are stored in the next round.
                let stored = tokio::select! {
                    () = stop.cancelled() => return,
                    stored = self.tests_changed() => stored,
                };
                if stored {
                    observer.observe(self.watched()).await;
                }
            }
            // A dropped round has written everything or nothing, and its state is not used again.
            let round = tokio::select! {
                () = stop.cancelled() => return,
                round = self.round() => round,
            };
            match round {
                Ok(true) => observer.observe(self.watched()).await,
                Ok(false) => observer.other_engine_polls().await,
                Err(error) => {
                    if !problem {
                        let source = error.source.to_string();
                        tracing::warn!(%error, source, "failed to store the region snapshot; operators see stale data");
                    }
                    problem = true;
                    observer.store_failed().await;
                    continue;
                }
            }
            problem = false;
        }
    }

    /// Makes one round. Returns true if the turn is ours and the round is written.
    async fn round(&mut self) -> Result<bool, JournalError> {
        let Some(turn) = self.start_round().await? else {
            return Ok(false);
        };
        let now = self.sources.clock.wall();
        self.computes = services(&self.sources.cloud.view(), now, self.computes.take());
        let current = self.computes.as_ref().filter(|known| known.is_fresh(now));
        let polled = current.is_some();
        if let Some(known) = current {
            let down = known.value.iter().filter(|service| service.is_in_down_cell());
            self.roster
                .note_cells(down.map(|service| service.host.clone()).collect());
        }
        // A list of all instances would compete with evacuations for Nova's processors.
        if polled && !(self.sources.moves.are_under_way() && self.can_wait(now)) {
            self.list().await;
            self.read_failed(now).await;
            for _ in 0..MAX_REASONS_PER_ROUND {
                if !self.query_reason().await {
                    break;
                }
            }
            self.rooms.poll(self.sources.rooms.as_ref(), now).await;
        }
        if polled && let Some(value) = self.sources.preview.would_hold(self.nova_read(now)).await {
            self.holds = Some(TimedFact {
                as_of: now,
                value: value.hosts,
            });
            self.joint_losses = Some(TimedFact {
                as_of: now,
                value: value.together,
            });
        }
        let mut round = Round::default();
        let mut put = |kind: &str, subject: &str, value: serde_json::Value, as_of| {
            round.put.push(Fact {
                kind: kind.to_owned(),
                subject: subject.to_owned(),
                value: value.to_string(),
                as_of,
            });
        };
        put(
            kind::WATCHER,
            "",
            serde_json::json!({"by": self.sources.name}),
            now,
        );
        if let Some(computes) = &self.computes {
            put(kind::COMPUTES, "", as_json(&computes.value), computes.as_of);
        }
        if let Some(holds) = &self.holds {
            put(kind::HOLDS, "", as_json(&holds.value), holds.as_of);
        }
        if let Some(known) = &self.joint_losses {
            put(kind::JOINT_LOSSES, "", as_json(&known.value), known.as_of);
        }
        if let Some(as_of) = self.listed_at(now) {
            let listed = ListingProgress {
                complete: self.roster.is_complete(),
                since: self.roster.listing_since(),
            };
            put(kind::SERVERS, "", as_json(&listed), as_of);
        }
        if let Some(tests) = self.sources.tests.last() {
            put(kind::TESTS, "", as_json(&tests), now);
        }
        let mut discard = Vec::new();
        let changed = self.roster.take_changed();
        for (host, all) in &changed {
            if all.is_empty() {
                discard.push((kind::INSTANCES, host.clone()));
            } else {
                put(kind::INSTANCES, host, as_json(all.as_ref()), now);
            }
        }
        if let Some(rooms) = self.rooms.snapshot() {
            put(kind::ROOMS, "", as_json(&rooms.value.state), rooms.as_of);
            put(
                kind::AGGREGATES,
                "",
                as_json(&rooms.value.aggregates),
                rooms.as_of,
            );
            put(kind::GROUPS, "", as_json(&rooms.value.groups), rooms.as_of);
        }
        for (host, provider) in self.rooms.take_changed() {
            match provider {
                Some(provider) => put(kind::PROVIDER, &host, as_json(provider.as_ref()), now),
                None => discard.push((kind::PROVIDER, host)),
            }
        }
        round.discard.append(&mut discard);
        self.write(turn, &round).await
    }

    /// Returns what the poll before this round, and the round itself, have read of Nova; `None` if one of them has failed.
    fn nova_read(&self, now: Timestamp) -> Option<NovaView> {
        let view = self.sources.cloud.view();
        let aggregates = self.rooms.aggregates_of(now)?;
        let is_recent = view.problem.is_none() && view.age.is_some_and(|age| age <= MAX_SHARED_AGE);
        is_recent.then(|| NovaView {
            services: view.services,
            scheduler_up: view.scheduler_up,
            aggregates: aggregates.to_vec(),
        })
    }

    /// True if the data is fresh enough to stay valid until after the next round.
    fn can_wait(&self, now: Timestamp) -> bool {
        let is_recent =
            |at: Timestamp| (0..=MAX_SKIP_AGE_SECONDS).contains(&(now.micros_since(at) / 1_000_000));
        self.roster.is_complete()
            && self.roster.known_up_to().is_some_and(is_recent)
            && self.rooms.known_as_of().is_some_and(is_recent)
    }

    /// Stores the device tests at once if the turn is ours. Returns true if they are stored.
    async fn tests_changed(&mut self) -> bool {
        let (WatchTurn::Ours(turn), Some(tests)) = (self.turn, self.sources.tests.last()) else {
            return false;
        };
        let mut round = Round::default();
        round.put.push(Fact {
            kind: kind::TESTS.to_owned(),
            subject: String::new(),
            value: as_json(&tests).to_string(),
            as_of: self.sources.clock.wall(),
        });
        self.write(turn, &round).await.unwrap_or(false)
    }

    /// Writes a round. Returns true if the turn was ours and the round is written.
    async fn write(&mut self, turn: u64, round: &Round) -> Result<bool, JournalError> {
        match self.sources.facts.write_facts(turn, round).await {
            Ok(true) => {
                self.turn = WatchTurn::Ours(turn.saturating_add(1));
                Ok(true)
            }
            Ok(false) => {
                self.turn = WatchTurn::Unknown;
                Ok(false)
            }
            Err(error) => {
                // The round may have been written. The next round reads the owner of the turn and resumes from the stored
                // facts.
                self.turn = WatchTurn::Unknown;
                Err(error)
            }
        }
    }

    /// Returns the time at which all known data of instances was current: now during the first listing.
    fn listed_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.roster.is_complete() {
            self.roster.known_up_to()
        } else {
            self.computes
                .as_ref()
                .filter(|known| known.is_fresh(now))
                .map(|known| known.as_of)
        }
    }

    /// Returns the turn if it is ours or can be taken over.
    async fn start_round(&mut self) -> Result<Option<u64>, JournalError> {
        if let WatchTurn::Ours(turn) = self.turn {
            return Ok(Some(turn));
        }
        let boot = self.sources.clock.boot();
        let turn = self.sources.facts.take_round().await?;
        let free = match self.turn {
            _ if turn == 0 => true,
            WatchTurn::Others(before, since) if before == turn => {
                boot.saturating_sub(since) >= TURN_TIMEOUT || self.has_left().await?
            }
            WatchTurn::Others(..) | WatchTurn::Unknown | WatchTurn::Ours(_) => {
                self.turn = WatchTurn::Others(turn, boot);
                self.has_left().await?
            }
        };
        if !free {
            return Ok(None);
        }
        self.resume().await?;
        Ok(Some(turn))
    }

    /// True if the last poller has left the registry, or is this engine under its own name.
    async fn has_left(&self) -> Result<bool, JournalError> {
        let by = self.sources.facts.facts(Some(kind::WATCHER)).await?;
        let by = by.first().and_then(|fact| {
            let value: serde_json::Value = serde_json::from_str(&fact.value).ok()?;
            Some(value.get("by")?.as_str()?.to_owned())
        });
        let engines = self.sources.engine_registry.engines().await?;
        Ok(by.is_some_and(|by| {
            by == self.sources.name || !engines.iter().any(|line| line.heartbeat.name == by)
        }))
    }

    /// Resumes from the facts that the previous poller stored, if they are fresh enough.
    async fn resume(&mut self) -> Result<(), JournalError> {
        let stored = CloudSnapshot::from_stored(&self.sources.facts.facts(None).await?);
        let now = self.sources.clock.wall();
        self.computes = stored.computes;
        self.holds = stored.holds;
        self.joint_losses = stored.joint_losses;
        if let Some(tests) = stored.tests {
            self.sources.tests.resume(tests);
        }
        let rooms = stored.rooms.map(|known| known.value.providers);
        self.rooms = Rooms::resume(rooms.into_iter().flatten().map(|(host, _)| host));
        self.roster = match stored.instances {
            Some(known) => {
                let age = now.micros_since(known.as_of) / 1_000_000;
                let hosts: Vec<String> = known.value.on.keys().cloned().collect();
                if (0..MAX_RESUME_AGE_SECONDS).contains(&age) {
                    Roster::resume(known.value, known.as_of)
                } else {
                    // The stored rows of hosts that no longer exist have to be deleted too.
                    let mut roster = Roster::default();
                    roster.mark_changed(hosts);
                    roster
                }
            }
            None => Roster::default(),
        };
        Ok(())
    }

    /// Reads at most two pages from Nova.
    async fn list(&mut self) {
        let first = self.roster.first();
        if self.read(first).await
            && let Some(second) = self.roster.second(first)
        {
            self.read(second).await;
        }
    }

    /// Reads a page, or all pages of changes up to a limit. With only one page per round, the data of a region where
    /// thousands of instances have just changed would be stale for minutes. Returns true if Nova answered.
    async fn read(&mut self, ask: PageRequest) -> bool {
        let mut answered = self.ask(ask).await;
        for _ in 1..MAX_CHANGE_PAGES {
            let more = self
                .roster
                .more_changes()
                .filter(|_| matches!(ask, PageRequest::Changes(..)));
            match more {
                Some(more) if answered => answered = self.ask(more).await,
                Some(_) | None => break,
            }
        }
        answered
    }

    async fn ask(&mut self, ask: PageRequest) -> bool {
        let requested_at = self.sources.clock.wall();
        let (after, since) = match ask {
            PageRequest::Changes(since, after) => (after, Some(since)),
            PageRequest::Walk(after) => (after, None),
        };
        match self.sources.inventory.servers(after, since).await {
            Ok(page) => {
                let policy = self.sources.policy.borrow().clone();
                self.roster.take(ask, requested_at, page, &policy);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "failed to read a page of instances");
                if after.is_some() && error.fault.status == Some(400) {
                    self.roster.restart_list(ask);
                }
                false
            }
        }
    }

    fn watched(&self) -> CloudSnapshot {
        let now = self.sources.clock.wall();
        CloudSnapshot {
            computes: self.computes.clone(),
            instances: self.listed_at(now).map(|as_of| TimedFact {
                as_of,
                value: self.roster.instances(),
            }),
            tests: self.sources.tests.last(),
            rooms: self.rooms.snapshot(),
            holds: self.holds.clone(),
            joint_losses: self.joint_losses.clone(),
        }
    }
}

fn as_json(value: &impl Serialize) -> serde_json::Value {
    // Cannot fail for plain data with string keys.
    serde_json::to_value(value).unwrap_or(serde_json::Value::Null)
}

/// Returns Nova's services as last read, each with the time of its last change. While Nova does not answer, the data
/// stays and becomes stale.
fn services(
    view: &CloudView,
    now: Timestamp,
    before: Option<TimedFact<Vec<ComputeService>>>,
) -> Option<TimedFact<Vec<ComputeService>>> {
    let Some(age) = view.age.filter(|_| view.problem.is_none()) else {
        return before;
    };
    let known: BTreeMap<&str, &ComputeService> = before
        .iter()
        .flat_map(|known| &known.value)
        .map(|service| (service.host.as_str(), service))
        .collect();
    let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
    let as_of = now.minus_seconds(age);
    let value = view.services.iter().map(|(host, service)| {
        let mut compute = ComputeService {
            host: host.clone(),
            up: service.as_ref().is_some_and(|service| service.up),
            enabled: service.as_ref().is_some_and(|service| service.enabled),
            cell_down: service.is_none(),
            ambiguous: view.ambiguous.contains(host),
            drained: service.as_ref().is_some_and(is_drained),
            forced_down: service.as_ref().is_some_and(Service::is_forced_down_alive),
            since: as_of,
        };
        if let Some(known) = known.get(host.as_str())
            && (known.up, known.enabled, known.cell_down) == (compute.up, compute.enabled, compute.cell_down)
        {
            compute.since = known.since;
        }
        compute
    });
    Some(TimedFact {
        as_of,
        value: value.collect(),
    })
}

/// True if a drain has disabled the service, and it was not enabled since.
fn is_drained(service: &Service) -> bool {
    let reason = service.disabled_reason.as_deref().unwrap_or_default();
    !service.enabled && recovery::is_drained(reason)
}

#[cfg(test)]
mod tests;
