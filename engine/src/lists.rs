//! Lists that are read once for many recoveries.
//!
//! While few recoveries are open, each reads the records of its own host. Above that, the evacuation records of all
//! hosts are read together, newest first, and each recovery gets those of its host. Service records are shared in the
//! same way. Finished records are cached, so that a read goes back no further than the oldest unfinished record. The
//! records are a hint: they show a recovery which data to read from Nova.
//!
//! A read serves every caller whose request came before its start; a caller during a read waits for the next one. A
//! result is therefore never older than the request, even with many callers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::guard::Region;
use tachi_domain::nova::{Migration, Service};
use tachi_domain::recovery::Messaging;
use tachi_domain::{MigrationId, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::engine::Ports;
use crate::ports::{self, CallError};
use crate::region_scan::RegionScan;

/// Shortest time between the starts of two reads of evacuation records.
const MIN_RECORDS_INTERVAL: Duration = Duration::from_millis(400);

/// Shortest time between the starts of two reads of service records.
const MIN_SERVICES_INTERVAL: Duration = Duration::from_millis(250);

/// Time to gather requests: a recovery requests its host's service and a scan of all hosts at the same moment.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// Largest clock difference between Nova's API servers: records are ordered by creation time on those clocks.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_mins(1);

/// Lifetime of the cache when no caller reads.
const CACHE_LIFETIME: Duration = Duration::from_mins(1);

pub(crate) struct Records {
    /// The start of the read, on the boot clock.
    pub(crate) started: Duration,
    by_host: HashMap<String, Vec<Migration>>,
}

impl Records {
    /// Returns the records with `host` as source, newest first.
    pub(crate) fn of(&self, host: &str) -> Vec<Migration> {
        self.by_host.get(host).cloned().unwrap_or_default()
    }
}

/// Lists shared by the calls of an engine.
#[derive(Clone)]
pub(crate) struct SharedLists {
    ports: Ports,
    records: Arc<SharedReading<Records>>,
    services: Arc<Services>,
    memory: Arc<Mutex<Memory>>,
    region_scan: Arc<RegionScan>,
}

pub(crate) struct Services {
    ports: Ports,
    all: SharedReading<ports::Services>,
}

impl Services {
    pub(crate) fn new(ports: Ports) -> Self {
        Self {
            ports,
            all: SharedReading::new(MIN_SERVICES_INTERVAL).gathering(GATHER_TIME),
        }
    }

    /// Returns all service records, read after this call.
    pub(crate) async fn all(&self) -> Result<Arc<ports::Services>, Fault> {
        self.all.get(self.ports.compute.services()).await
    }
}

/// One list that is read once for all callers.
pub(crate) struct SharedReading<T> {
    /// Locked during a read, so that later callers wait for the next one.
    turn: Mutex<()>,
    latest: std::sync::Mutex<Option<Latest<T>>>,
    apart: Duration,
    /// Time that a read waits for simultaneous requests.
    gather: Duration,
}

struct Latest<T> {
    /// The start of the read.
    started_at: Instant,
    outcome: Result<Arc<T>, Fault>,
}

impl<T> SharedReading<T> {
    pub(crate) fn new(apart: Duration) -> Self {
        Self {
            turn: Mutex::new(()),
            latest: std::sync::Mutex::new(None),
            apart,
            gather: Duration::ZERO,
        }
    }

    fn gathering(self, gather: Duration) -> Self {
        Self { gather, ..self }
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, Option<Latest<T>>> {
        // A poisoned lock is harmless: the content is replaced as a whole.
        self.latest
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns the result of a read that started after this call.
    pub(crate) async fn get(
        &self,
        read: impl Future<Output = Result<T, CallError>>,
    ) -> Result<Arc<T>, Fault> {
        let requested_at = Instant::now();
        let _turn = self.turn.lock().await;
        let mut begins = requested_at + self.gather;
        let last = self.latest().as_ref().map(|latest| {
            let fresh = (latest.started_at > requested_at).then(|| latest.outcome.clone());
            (latest.started_at, fresh)
        });
        if let Some((started_at, fresh)) = last {
            if let Some(outcome) = fresh {
                return outcome;
            }
            begins = begins.max(started_at + self.apart);
        }
        tokio::time::sleep_until(begins).await;
        let started_at = Instant::now();
        let outcome = read.await.map(Arc::new).map_err(|error| {
            tracing::debug!(fault = %error.fault, "failed to read a shared list");
            error.fault
        });
        *self.latest() = Some(Latest {
            started_at,
            outcome: outcome.clone(),
        });
        outcome
    }
}

impl SharedLists {
    pub(crate) fn new(ports: Ports, services: Arc<Services>, region_scan: Arc<RegionScan>) -> Self {
        Self {
            region_scan,
            ports,
            records: Arc::new(SharedReading::new(MIN_RECORDS_INTERVAL)),
            services,
            memory: Arc::default(),
        }
    }

    /// Returns evacuation records read after this call; records older than `since` may be missing.
    pub(crate) async fn records(&self, since: Option<Timestamp>) -> Result<Arc<Records>, Fault> {
        self.memory.lock().await.reach_back_to(since);
        self.records.get(self.read_records()).await
    }

    /// Returns the service record of `host`, from a list of all read after this call.
    pub(crate) async fn service(&self, host: &str) -> Result<Option<Service>, Fault> {
        let services = self.services.all().await?;
        if let Some(fault) = services.ambiguous.get(host) {
            return Err(fault.clone());
        }
        match services.computes.get(host) {
            None => Ok(None),
            Some(Some(service)) => Ok(Some(service.clone())),
            Some(None) => Err(Fault {
                class: FaultClass::Transient,
                status: None,
                maybe_done: false,
                text: format!("nova cannot reach the cell of host {host}: the cell is down"),
            }),
        }
    }

    /// Returns the state of Nova's messaging, from a list read after this call.
    pub(crate) async fn messaging(&self) -> Result<Messaging, Fault> {
        let services = self.services.all().await?;
        let computes = services.computes.values().flatten();
        Ok(Messaging::of(services.conductors_up, computes))
    }

    /// Returns all hosts, as scanned after this call.
    pub(crate) async fn region_scan(&self) -> Result<Arc<Region>, Fault> {
        self.region_scan.scan().await
    }

    async fn read_records(&self) -> Result<Records, CallError> {
        let started = self.ports.clock.boot();
        let mut memory = self.memory.lock().await;
        memory.expire(started);
        let fresh = self.ports.compute.evacuations(memory.cut()).await?;
        memory.merge(fresh);
        let mut by_host: HashMap<String, Vec<Migration>> = HashMap::new();
        for record in memory.records.values().rev() {
            if let Some(source) = &record.source {
                by_host.entry(source.clone()).or_default().push(record.clone());
            }
        }
        Ok(Records { started, by_host })
    }
}

/// The range of time that a set of records covers.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    Nothing,
    Since(Timestamp),
    Everything,
}

impl Reach {
    fn of(since: Option<Timestamp>) -> Self {
        since.map_or(Self::Everything, Self::Since)
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => Self::Everything,
            (Self::Nothing, reach) | (reach, Self::Nothing) => reach,
            (Self::Since(one), Self::Since(another)) => Self::Since(one.min(another)),
        }
    }

    fn covers(self, other: Self) -> bool {
        self != Self::Nothing && self.or(other) == self
    }

    /// Returns the start of the range; `None` for everything.
    fn time(self) -> Option<Timestamp> {
        match self {
            Self::Since(time) => Some(time),
            Self::Nothing | Self::Everything => None,
        }
    }
}

/// The records read so far.
#[derive(Default)]
struct Memory {
    records: BTreeMap<MigrationId, Migration>,
    /// The range that [`Self::records`] covers.
    complete: Reach,
    /// The range that callers want.
    reach: Reach,
    newest: Option<Timestamp>,
    /// The start of the latest read, on the boot clock.
    read_at: Duration,
}

impl Memory {
    fn expire(&mut self, now: Duration) {
        if now.saturating_sub(self.read_at) > CACHE_LIFETIME {
            *self = Self {
                reach: self.reach,
                ..Self::default()
            };
        }
        self.read_at = now;
    }

    fn reach_back_to(&mut self, since: Option<Timestamp>) {
        self.reach = self.reach.or(Reach::of(since));
    }

    fn reaches_back_to(&self, since: Option<Timestamp>) -> bool {
        self.complete.covers(Reach::of(since))
    }

    /// Returns the time from which records have to be read: everything that may be new or changed since the last read.
    fn cut(&self) -> Option<Timestamp> {
        let until = self.reach.time();
        if !self.reaches_back_to(until) {
            return until;
        }
        let margin = i64::try_from(MAX_CLOCK_DIFFERENCE.as_micros()).unwrap_or(i64::MAX);
        let new = self.newest?.micros().saturating_sub(margin);
        let mut cut = new;
        for record in self
            .records
            .values()
            .filter(|record| !record.status.is_finished())
        {
            cut = cut.min(record.created_at?.micros());
        }
        // The start never precedes the range that callers want.
        Some(Timestamp::from_micros(cut).max(until.unwrap_or(Timestamp::from_micros(cut))))
    }

    fn merge(&mut self, fresh: Vec<Migration>) {
        let cut = self.cut();
        // An unfinished record that the new list lacks was deleted together with its instance.
        let within = |record: &Migration| match (cut, record.created_at) {
            (None, _) | (_, None) => true,
            (Some(cut), Some(made)) => made >= cut.whole_seconds(),
        };
        self.records.retain(|_, record| !within(record));
        for record in fresh {
            self.newest = self.newest.max(record.created_at);
            self.records.insert(record.id, record);
        }
        let until = self.reach.time();
        if !self.reaches_back_to(until) {
            self.complete = Reach::of(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::ServerId;
    use tachi_domain::nova::MigrationType;
    use uuid::Uuid;

    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_micros(minutes * MINUTE)
    }

    fn record(id: u64, minutes: i64, status: &str) -> Migration {
        Migration {
            id: MigrationId(id),
            server: ServerId(Uuid::from_u128(u128::from(id))),
            kind: MigrationType::Evacuation,
            status: status.into(),
            source: Some("a".into()),
            dest: None,
            created_at: Some(at(minutes)),
            updated_at: None,
        }
    }

    fn read(memory: &mut Memory, records: Vec<Migration>) {
        memory.merge(records);
    }

    #[test]
    fn a_read_goes_back_to_unfinished_or_possibly_new_records_only() {
        let mut memory = Memory::default();
        memory.reach_back_to(Some(at(10)));
        assert_eq!(memory.cut(), Some(at(10)), "no record is cached yet");
        read(
            &mut memory,
            vec![
                record(3, 30, "done"),
                record(2, 20, "accepted"),
                record(1, 12, "done"),
            ],
        );
        assert_eq!(memory.cut(), Some(at(20)), "one is unfinished");
        read(&mut memory, vec![record(3, 30, "done"), record(2, 20, "failed")]);
        assert_eq!(memory.cut(), Some(at(29)), "clocks may be a minute apart");
        let kept: Vec<u64> = memory.records.keys().map(|id| id.0).collect();
        assert_eq!(kept, [1, 2, 3], "finished records are cached");
        memory.reach_back_to(Some(at(5)));
        assert_eq!(memory.cut(), Some(at(5)), "a caller wants older records");
        read(
            &mut memory,
            vec![
                record(3, 30, "done"),
                record(2, 20, "failed"),
                record(1, 12, "done"),
            ],
        );
        assert_eq!(memory.cut(), Some(at(29)));
        memory.reach_back_to(None);
        assert_eq!(memory.cut(), None);
    }

    #[test]
    fn a_deleted_record_is_dropped_and_the_cache_expires() {
        let mut memory = Memory::default();
        memory.reach_back_to(Some(at(10)));
        memory.expire(Duration::from_secs(100));
        read(
            &mut memory,
            vec![record(2, 20, "accepted"), record(1, 12, "done")],
        );
        read(&mut memory, vec![]);
        let kept: Vec<u64> = memory.records.keys().map(|id| id.0).collect();
        assert_eq!(kept, [1]);
        memory.expire(Duration::from_secs(161));
        assert!(memory.records.is_empty());
        assert_eq!(memory.cut(), Some(at(10)), "the wanted range is read again");
    }

    #[tokio::test(start_paused = true)]
    async fn callers_during_a_read_share_the_next_one() {
        let shared = Arc::new(SharedReading::<usize>::new(Duration::from_millis(400)));
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let read = || {
            let count = count.clone();
            async move {
                let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, CallError>(number)
            }
        };
        let first = shared.get(read());
        let later = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let (one, two, three) = tokio::join!(shared.get(read()), shared.get(read()), shared.get(read()));
            [one, two, three].map(|outcome| *outcome.unwrap())
        };
        let started_at = Instant::now();
        let (first, later) = tokio::join!(first, later);
        assert_eq!(*first.unwrap(), 0);
        assert_eq!(later, [1, 1, 1]);
        assert_eq!(
            started_at.elapsed(),
            Duration::from_millis(500),
            "reads start 400 ms apart"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn simultaneous_callers_share_a_read() {
        let shared = SharedReading::<usize>::new(Duration::from_millis(400)).gathering(GATHER_TIME);
        let later = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            shared.get(async { Ok(2) }).await
        };
        let (first, later) = tokio::join!(shared.get(async { Ok(1) }), later);
        assert_eq!((*first.unwrap(), *later.unwrap()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_read_is_returned_to_its_callers_and_repeated_for_later_ones() {
        let shared = SharedReading::<usize>::new(Duration::from_millis(400));
        let failed = shared.get(async { Err(CallError::refused("no")) }).await;
        assert_eq!(failed.unwrap_err().text, "no");
        assert_eq!(*shared.get(async { Ok(7) }).await.unwrap(), 7);
    }
}
