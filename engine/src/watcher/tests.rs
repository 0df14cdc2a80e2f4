//! The polling engine, the cost of its polls, and the stored facts.

use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::forecast::{Group, Provider};
use tachi_domain::nova::{
    Actor, InstanceTraits, PowerState, Rest, Server, ServerAction, Service, StopReason, VmState,
};
use tachi_domain::reserved::Aggregate;
use tachi_domain::{ServerId, ServiceId};
use uuid::Uuid;

use super::*;
use crate::ports::engine_registry::{Backlog, EngineHeartbeat, EngineRow};
use crate::ports::{CallError, ProviderLine, ServerPage};

mod cells;
mod first_listing;
mod guard_previews;
mod reasons;
mod successor;

const PAGE: usize = 1_000;
const START: i64 = 1_700_000_000_000_000;

/// A database, a Nova, and a clock.
#[derive(Default)]
struct World {
    seconds: Mutex<i64>,
    turn: Mutex<u64>,
    kept: Mutex<BTreeMap<(String, String), Fact>>,
    engines: Mutex<Vec<String>>,
    servers: Mutex<Vec<(Server, i64)>>,
    pages: Mutex<u32>,
    is_away: Mutex<bool>,
    /// True if the cell of host `a` is down.
    cell_down: Mutex<bool>,
    /// True if Nova lists servers of a cell that is down by their ids.
    lists_unknown: Mutex<bool>,
    /// True if writes take effect and return an error.
    lies: Mutex<bool>,
    gone: Mutex<HashSet<ServerId>>,
    tests: Mutex<Option<Vec<DeviceTest>>>,
    tested: tokio::sync::Notify,
    moves: Mutex<bool>,
    /// The answer of the guards.
    holds: Mutex<Option<Vec<WouldHold>>>,
    /// What the guards were given of Nova.
    previewed: Mutex<Vec<Option<NovaView>>>,
    /// True if the capacity of hosts cannot be read.
    rooms_fail: Mutex<bool>,
    /// The number of requests of each kind.
    orders: Mutex<BTreeMap<ServerId, Vec<ServerAction>>>,
    /// The instances whose recovery has failed.
    failed: Mutex<BTreeMap<ServerId, Timestamp>>,
    boots: Mutex<BTreeMap<String, Timestamp>>,
    /// True if no failed recovery can be removed.
    forget_fails: Mutex<bool>,
    /// The instances that were read.
    reason_reads: Mutex<Vec<ServerId>>,
}

impl World {
    fn pass(&self, seconds: i64) {
        *self.seconds.lock().unwrap() += seconds;
    }

    fn boot(&self, host: &str, number: u128) -> ServerId {
        let id = ServerId(Uuid::from_u128(number));
        let server = Server {
            id,
            name: format!("vm-{number}"),
            host: Some(host.into()),
            vm_state: VmState::Active,
            task_state: None,
            power_state: PowerState::Running,
            locked: false,
            locked_reason: None,
            metadata: BTreeMap::new(),
            volume_backed: true,
            launched: true,
            fault: None,
            about: InstanceTraits::default(),
            needs: None,
            updated: None,
        };
        self.servers
            .lock()
            .unwrap()
            .push((server, *self.seconds.lock().unwrap()));
        id
    }

    fn change(&self, id: ServerId, observed: bool, change: impl Fn(&mut Server)) {
        let now = *self.seconds.lock().unwrap();
        for (server, changed) in self.servers.lock().unwrap().iter_mut() {
            if server.id == id {
                change(server);
                if observed {
                    *changed = now;
                }
            }
        }
    }

    fn on(&self, host: &str) -> Option<String> {
        let key = (kind::INSTANCES.to_owned(), host.to_owned());
        self.kept.lock().unwrap().get(&key).map(|fact| fact.value.clone())
    }

    fn watcher(self: &Arc<Self>, name: &str) -> Watcher {
        let (_, rules) = watch::channel(Policy::default());
        Watcher::new(Sources {
            facts: self.clone(),
            engine_registry: self.clone(),
            inventory: self.clone(),
            failed: self.clone(),
            rooms: self.clone(),
            cloud: CloudCache::new(self.clone()),
            clock: self.clone(),
            policy: rules,
            tests: self.clone(),
            moves: self.clone(),
            preview: self.clone(),
            name: name.into(),
        })
    }

    /// Polls Nova's services, then makes a round.
    async fn round(&self, watcher: &mut Watcher) -> bool {
        self.poll(&watcher.sources.cloud);
        watcher.round().await.unwrap()
    }

    fn poll(&self, cloud: &CloudCache) {
        let answer = if *self.is_away.lock().unwrap() {
            Err(CallError::refused("refused"))
        } else {
            let service = Service {
                id: ServiceId(Uuid::nil()),
                host: "a".into(),
                enabled: true,
                disabled_reason: None,
                up: true,
                forced_down: false,
                last_heartbeat: None,
                nova_now: None,
            };
            let is_down = *self.cell_down.lock().unwrap();
            Ok(crate::ports::Services {
                computes: [("a".to_owned(), Some(service).filter(|_| !is_down))].into(),
                ..crate::ports::Services::default()
            })
        };
        cloud.note(answer);
    }
}

#[async_trait]
impl Preview for World {
    async fn would_hold(&self, nova: Option<NovaView>) -> Option<Holds> {
        self.previewed.lock().unwrap().push(nova);
        let hosts = self.holds.lock().unwrap().clone()?;
        let together = vec![JointLoss {
            host: "a".to_owned(),
            domain: None,
            hosts: 2,
            why: vec!["G4 segment: a storm".to_owned()],
        }];
        Some(Holds { hosts, together })
    }
}

impl Moves for World {
    fn are_under_way(&self) -> bool {
        *self.moves.lock().unwrap()
    }
}

#[async_trait]
impl crate::ports::Rooms for World {
    async fn providers(&self) -> Result<Vec<ProviderLine>, CallError> {
        if *self.rooms_fail.lock().unwrap() {
            return Err(CallError::refused("refused"));
        }
        Ok(vec![ProviderLine {
            id: "node".into(),
            generation: 1,
        }])
    }
    async fn nodes(&self) -> Result<BTreeMap<String, String>, CallError> {
        Ok([("node".to_owned(), "a".to_owned())].into())
    }
    async fn provider(&self, _: &str) -> Result<Option<(u64, Provider)>, CallError> {
        Ok(Some((1, Provider::default())))
    }
    async fn all_aggregates(&self) -> Result<Vec<Aggregate>, CallError> {
        Ok(vec![Aggregate {
            id: 7,
            name: "rack".into(),
            zone: None,
            hosts: ["a".to_owned()].into(),
            metadata: BTreeMap::new(),
        }])
    }
    async fn groups(&self) -> Result<Vec<Group>, CallError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Tests for World {
    fn last(&self) -> Option<Vec<DeviceTest>> {
        self.tests.lock().unwrap().clone()
    }
    fn resume(&self, kept: Vec<DeviceTest>) {
        *self.tests.lock().unwrap() = Some(kept);
    }
    async fn changed(&self) {
        self.tested.notified().await;
    }
}

impl Clock for World {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(START).minus_seconds(-*self.seconds.lock().unwrap())
    }
    fn boot(&self) -> Duration {
        Duration::from_secs(u64::try_from(*self.seconds.lock().unwrap()).unwrap())
    }
}

#[async_trait]
impl FailedInstances for World {
    async fn failed_instances(&self) -> Result<BTreeMap<ServerId, Timestamp>, JournalError> {
        Ok(self.failed.lock().unwrap().clone())
    }
    async fn host_boots(&self) -> Result<BTreeMap<String, Timestamp>, JournalError> {
        Ok(self.boots.lock().unwrap().clone())
    }
    async fn forget_instances(&self, gone: &BTreeMap<ServerId, Timestamp>) -> Result<(), JournalError> {
        if *self.forget_fails.lock().unwrap() {
            return Err(JournalError::new("removing instances", "gone"));
        }
        self.failed
            .lock()
            .unwrap()
            .retain(|id, at| gone.get(id) < Some(at));
        Ok(())
    }
}

#[async_trait]
impl FactStore for World {
    async fn take_round(&self) -> Result<u64, JournalError> {
        Ok(*self.turn.lock().unwrap())
    }
    async fn write_facts(&self, turn: u64, round: &Round) -> Result<bool, JournalError> {
        let mut now = self.turn.lock().unwrap();
        if *now != turn {
            return Ok(false);
        }
        *now += 1;
        let mut kept = self.kept.lock().unwrap();
        for fact in &round.put {
            kept.insert((fact.kind.clone(), fact.subject.clone()), fact.clone());
        }
        for (kind, subject) in &round.discard {
            kept.remove(&((*kind).to_owned(), subject.clone()));
        }
        if *self.lies.lock().unwrap() {
            return Err(JournalError::new("writing", "the answer is lost"));
        }
        Ok(true)
    }
    async fn put_facts(&self, _: &[Fact]) -> Result<(), JournalError> {
        unreachable!("a watcher writes only in its turn")
    }
    async fn remove_facts(&self, _: &[Fact]) -> Result<(), JournalError> {
        unreachable!("a watcher removes only in its turn")
    }
    async fn facts(&self, kind: Option<&str>) -> Result<Vec<Fact>, JournalError> {
        let kept = self.kept.lock().unwrap();
        let all = kept
            .values()
            .filter(|fact| kind.is_none_or(|kind| fact.kind == kind));
        Ok(all.cloned().collect())
    }
}

#[async_trait]
impl EngineRegistry for World {
    async fn heartbeat(&self, _: &EngineHeartbeat) -> Result<(), JournalError> {
        Ok(())
    }
    async fn deregister(&self, _: &str) -> Result<(), JournalError> {
        Ok(())
    }
    async fn engines(&self) -> Result<Vec<EngineRow>, JournalError> {
        let names = self.engines.lock().unwrap().clone();
        let line = |name| EngineRow {
            heartbeat: EngineHeartbeat {
                name,
                version: "1".into(),
                started_at: Timestamp::from_micros(START),
                facts: BTreeMap::new(),
            },
            seen_at: self.wall(),
            beat: 1,
        };
        Ok(names.into_iter().map(line).collect())
    }
    async fn backlog(&self) -> Result<Backlog, JournalError> {
        Ok(Backlog::default())
    }
}

#[async_trait]
impl Inventory for World {
    async fn servers(
        &self,
        after: Option<ServerId>,
        changed_since: Option<Timestamp>,
    ) -> Result<ServerPage, CallError> {
        *self.pages.lock().unwrap() += 1;
        let all = self.servers.lock().unwrap();
        let from = match after {
            None => 0,
            Some(after) if self.gone.lock().unwrap().contains(&after) => {
                return Err(CallError {
                    fault: Fault {
                        class: FaultClass::Permanent,
                        status: Some(400),
                        maybe_done: false,
                        text: "marker not found".into(),
                    },
                    source: None,
                });
            }
            Some(after) => all.iter().position(|(server, _)| server.id == after).unwrap() + 1,
        };
        let since = changed_since.map_or(i64::MIN, |since| {
            since.micros_since(Timestamp::from_micros(START)) / 1_000_000
        });
        let fits = |(server, changed): &&(Server, i64)| {
            *changed >= since && (changed_since.is_some() || server.vm_state != VmState::Deleted)
        };
        let mut page: Vec<Server> = all[from..]
            .iter()
            .filter(fits)
            .take(PAGE + 1)
            .map(|(server, _)| server.clone())
            .collect();
        let more = page.len() > PAGE;
        page.truncate(PAGE);
        let next = page.last().filter(|_| more).map(|server| server.id);
        let updated = all.iter().map(|(server, changed)| {
            let at = Timestamp::from_micros(START + changed * 1_000_000);
            (server.id, at)
        });
        let is_down = *self.cell_down.lock().unwrap();
        let of_down_cell = |server: &Server| is_down && server.host.as_deref() == Some("a");
        let (unknown, servers): (Vec<_>, Vec<_>) = page.into_iter().partition(of_down_cell);
        let lists_unknown = *self.lists_unknown.lock().unwrap();
        Ok(ServerPage {
            updated: updated.collect(),
            servers,
            unknown: unknown
                .into_iter()
                .filter(|_| lists_unknown)
                .map(|server| server.id)
                .collect(),
            next,
        })
    }

    async fn orders(&self, server: ServerId) -> Result<Option<Vec<ServerAction>>, CallError> {
        self.reason_reads.lock().unwrap().push(server);
        Ok(self.orders.lock().unwrap().get(&server).cloned())
    }
}

#[tokio::test]
async fn fifty_thousand_instances_cost_three_pages_per_round() {
    let world = Arc::new(World::default());
    for number in 0..50_000 {
        world.boot(&format!("compute-{:04}", number % 1_000), number);
    }
    world.pass(600);
    let mut watcher = world.watcher("one");
    let mut rounds = 0;
    while !watcher.roster.is_complete() {
        let before = *world.pages.lock().unwrap();
        assert!(world.round(&mut watcher).await);
        // Includes the request for the services, which every engine sends.
        assert!(*world.pages.lock().unwrap() - before <= 2);
        world.pass(15);
        rounds += 1;
    }
    assert_eq!(
        rounds, 26,
        "25 for all instances, one for what has changed meanwhile"
    );
    let facts = watcher.watched().instances.unwrap();
    assert_eq!(
        facts.value.on.values().map(|all| all.len()).sum::<usize>(),
        50_000
    );
    let started_at = std::time::Instant::now();
    for _ in 0..20 {
        let before = *world.pages.lock().unwrap();
        assert!(world.round(&mut watcher).await);
        assert_eq!(
            *world.pages.lock().unwrap() - before,
            2,
            "changes, and a page of the walk"
        );
        world.pass(15);
    }
    println!(
        "{:?} a round, with the fake Nova's part",
        started_at.elapsed() / 20
    );
    let now = world.wall();
    assert!(
        watcher
            .watched()
            .instances
            .unwrap()
            .is_fresh(now.minus_seconds(15))
    );
}

#[tokio::test]
async fn a_region_of_one_page_costs_one_page_per_round() {
    let world = Arc::new(World::default());
    for number in 0..999 {
        world.boot("a", number);
    }
    world.pass(600);
    let mut watcher = world.watcher("one");
    let mut round = async |pages: u32| {
        let before = *world.pages.lock().unwrap();
        assert!(world.round(&mut watcher).await);
        assert_eq!(*world.pages.lock().unwrap() - before, pages);
        let instances = watcher.watched().instances.unwrap();
        assert!(instances.is_fresh(world.wall()), "all of it is of this round");
        world.pass(15);
        instances.value.on.values().map(|all| all.len()).sum::<usize>()
    };
    for _ in 0..3 {
        assert_eq!(round(1).await, PAGE - 1);
    }
    // More instances than fit on a page: from now on changes are requested separately.
    for number in 0..2 {
        world.boot("b", 1_000 + number);
    }
    assert_eq!(round(2).await, PAGE + 1, "the rest is found in the same round");
    assert_eq!(round(2).await, PAGE + 1);
    // Back to a single page.
    for number in 0..2 {
        let id = ServerId(Uuid::from_u128(1_000 + number));
        world.change(id, true, |server| server.vm_state = VmState::Deleted);
    }
    for _ in 0..2 {
        round(2).await;
    }
    assert_eq!(round(1).await, PAGE - 1);
}

/// A list of all instances costs Nova a second of processor time that evacuations need.
#[tokio::test]
async fn fresh_data_is_not_polled_while_instances_are_moved() {
    let world = Arc::new(World::default());
    world.boot("a", 1);
    let mut watcher = world.watcher("one");
    let set = |moves| *world.moves.lock().unwrap() = moves;
    let pages_of = async |watcher: &mut Watcher, seconds: i64| {
        world.pass(seconds);
        let before = *world.pages.lock().unwrap();
        assert!(world.round(watcher).await, "this engine keeps the turn");
        *world.pages.lock().unwrap() - before
    };
    set(true);
    assert_eq!(pages_of(&mut watcher, 0).await, 1, "nothing is known yet");
    assert_eq!(pages_of(&mut watcher, 19).await, 0);
    assert_eq!(pages_of(&mut watcher, 19).await, 1, "facts count for 45 s");
    let is_fresh = |watcher: &Watcher| watcher.watched().instances.unwrap().is_fresh(world.wall());
    for pause in [11, 15, 19, 11, 15, 19] {
        pages_of(&mut watcher, pause).await;
        world.pass(10);
        assert!(is_fresh(&watcher));
        world.pass(-10);
    }
    set(false);
    assert_eq!(pages_of(&mut watcher, 1).await, 1);
}

#[tokio::test]
async fn changes_appear_in_the_next_round_and_unlisted_ones_in_the_next_walk() {
    let world = Arc::new(World::default());
    let (one, two) = (world.boot("a", 1), world.boot("a", 2));
    world.pass(600);
    let mut watcher = world.watcher("one");
    world.round(&mut watcher).await;
    assert!(world.on("a").unwrap().contains("vm-2"));
    world.pass(15);
    world.change(one, true, |server| server.host = Some("b".into()));
    world.round(&mut watcher).await;
    assert!(!world.on("a").unwrap().contains("vm-1"));
    assert!(world.on("b").unwrap().contains("vm-1"));
    world.pass(300);
    world.change(two, false, |server| server.task_state = Some("migrating".into()));
    world.round(&mut watcher).await;
    assert!(world.on("a").unwrap().contains("\"moving\":true"));
    world.pass(15);
    world.change(two, true, |server| server.vm_state = VmState::Deleted);
    world.round(&mut watcher).await;
    assert_eq!(
        world.on("a"),
        None,
        "the row of a host without instances is deleted"
    );
    // An instance that disappears without a recorded deletion.
    world.pass(600);
    world.servers.lock().unwrap().clear();
    world.round(&mut watcher).await;
    assert_eq!(world.on("b"), None);
}

#[tokio::test]
async fn data_becomes_stale_while_nova_is_down() {
    let world = Arc::new(World::default());
    world.boot("a", 1);
    let mut watcher = world.watcher("one");
    assert!(world.round(&mut watcher).await);
    *world.is_away.lock().unwrap() = true;
    let pages = *world.pages.lock().unwrap();
    world.pass(60);
    assert!(world.round(&mut watcher).await, "this engine keeps the turn");
    let facts = CloudSnapshot::from_stored(&world.facts(None).await.unwrap());
    let now = world.wall();
    assert!(!facts.computes.unwrap().is_fresh(now));
    let instances = facts.instances.unwrap();
    assert!(!instances.is_fresh(now));
    assert_eq!(instances.value.on.len(), 1, "what was known is still known");
    assert_eq!(*world.pages.lock().unwrap(), pages, "nothing is asked in vain");
}

#[tokio::test]
async fn one_engine_polls_and_another_continues_from_its_data() {
    let world = Arc::new(World::default());
    world.boot("a", 1);
    *world.engines.lock().unwrap() = vec!["one".into(), "two".into()];
    let (mut one, mut two) = (world.watcher("one"), world.watcher("two"));
    assert!(world.round(&mut one).await);
    assert!(!world.round(&mut two).await);
    for _ in 0..4 {
        world.pass(15);
        assert!(world.round(&mut one).await);
        assert!(!world.round(&mut two).await);
    }
    // The engine was killed: its turn no longer changes, and its row stays in the registry.
    world.pass(15);
    assert!(!world.round(&mut two).await);
    world.pass(15);
    assert!(!world.round(&mut two).await);
    world.pass(15);
    let pages = *world.pages.lock().unwrap();
    assert!(world.round(&mut two).await);
    assert!(two.roster.is_complete(), "it continues from the stored list");
    assert!(*world.pages.lock().unwrap() - pages <= 2);
    // The engine was only slow: another engine has the turn now.
    world.pass(15);
    assert!(!world.round(&mut one).await);
    assert!(!world.round(&mut one).await);
    // The turn of an engine that has deregistered is taken over at once.
    world.engines.lock().unwrap().retain(|name| name == "one");
    assert!(world.round(&mut one).await);
}

#[tokio::test]
async fn a_list_with_a_deleted_marker_restarts() {
    let world = Arc::new(World::default());
    for number in 0..3_500 {
        world.boot("a", number);
    }
    let mut watcher = world.watcher("one");
    world.round(&mut watcher).await;
    world.gone.lock().unwrap().extend(watcher.roster.next_marker());
    world.round(&mut watcher).await;
    assert!(!watcher.roster.is_complete());
    for _ in 0..3 {
        world.gone.lock().unwrap().clear();
        world.round(&mut watcher).await;
    }
    assert!(watcher.roster.is_complete());
    let facts = watcher.watched().instances.unwrap();
    assert_eq!(facts.value.on["a"].len(), 3_500);
}

#[tokio::test]
async fn a_written_round_that_was_reported_as_failed_is_continued() {
    let world = Arc::new(World::default());
    let first = world.boot("a", 1);
    let (mut watcher, mut other) = (world.watcher("one"), world.watcher("two"));
    world.engines.lock().unwrap().push("one".into());
    *world.lies.lock().unwrap() = true;
    world.poll(&watcher.sources.cloud);
    assert!(watcher.round().await.is_err());
    *world.lies.lock().unwrap() = false;
    world.pass(15);
    assert!(!world.round(&mut other).await, "whose turn it is was written");
    let second = world.boot("a", 2);
    assert!(world.round(&mut watcher).await);
    let kept = world.on("a").unwrap();
    for id in [first, second] {
        assert!(kept.contains(&id.to_string()), "{kept}");
    }
}

fn test_of(host: &str, fault: Option<&str>) -> DeviceTest {
    DeviceTest {
        host: host.into(),
        level: 1,
        device: "bmc".into(),
        target: "bmc".into(),
        as_of: Timestamp::from_micros(START),
        counts_for: 660,
        power: None,
        fault: fault.map(str::to_owned),
        failures: 0,
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_device_is_stored_before_the_next_poll_of_nova() {
    let world = Arc::new(World::default());
    world.boot("a", 1);
    *world.tests.lock().unwrap() = Some(vec![test_of("a", None)]);
    let watcher = world.watcher("one");
    let (cloud, stop, observed) = (
        watcher.sources.cloud.clone(),
        CancellationToken::new(),
        Arc::new(RecordingObserver::default()),
    );
    let running = tokio::spawn(watcher.run(stop.clone(), observed.clone()));
    let kept = || {
        let key = (kind::TESTS.to_owned(), String::new());
        let kept = world.kept.lock().unwrap();
        kept.get(&key).is_some_and(|fact| fact.value.contains("it hangs"))
    };
    // No engine has the turn yet, so nothing is stored.
    *world.tests.lock().unwrap() = Some(vec![test_of("a", Some("it hangs"))]);
    world.tested.notify_one();
    sleep(Duration::from_secs(3)).await;
    assert!(!kept());
    *world.tests.lock().unwrap() = Some(vec![test_of("a", None)]);
    while observed.0.lock().unwrap().is_empty() {
        world.poll(&cloud);
        tokio::task::yield_now().await;
    }
    *world.tests.lock().unwrap() = Some(vec![test_of("a", Some("it hangs"))]);
    world.tested.notify_one();
    sleep(GATHER_TIME * 2).await;
    assert!(kept());
    assert_eq!(*observed.0.lock().unwrap(), ["seen", "seen"]);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_new_poller_continues_from_the_stored_tests() {
    let world = Arc::new(World::default());
    *world.tests.lock().unwrap() = Some(vec![test_of("a", Some("it hangs"))]);
    let (mut one, mut two) = (world.watcher("one"), world.watcher("two"));
    assert!(world.round(&mut one).await);
    *world.tests.lock().unwrap() = None;
    assert!(world.round(&mut two).await, "the other engine has deregistered");
    let resumed = world.tests.lock().unwrap().clone();
    assert_eq!(resumed, Some(vec![test_of("a", Some("it hangs"))]));
}

/// Records the calls, in order.
#[derive(Default)]
struct RecordingObserver(Mutex<Vec<&'static str>>);

#[async_trait]
impl RoundObserver for RecordingObserver {
    async fn observe(&self, _: CloudSnapshot) {
        self.0.lock().unwrap().push("seen");
    }
    async fn other_engine_polls(&self) {
        self.0.lock().unwrap().push("not ours");
    }
    async fn store_failed(&self) {
        self.0.lock().unwrap().push("not kept");
    }
}

#[tokio::test]
async fn observers_are_notified_of_an_unstored_round() {
    let world = Arc::new(World::default());
    world.boot("a", 1);
    let watcher = world.watcher("one");
    let (cloud, stop, observed) = (
        watcher.sources.cloud.clone(),
        CancellationToken::new(),
        Arc::new(RecordingObserver::default()),
    );
    let running = tokio::spawn(watcher.run(stop.clone(), observed.clone()));
    for (lies, expected) in [(false, "seen"), (true, "not kept"), (false, "seen")] {
        *world.lies.lock().unwrap() = lies;
        while observed.0.lock().unwrap().last() != Some(&expected) {
            world.poll(&cloud);
            tokio::task::yield_now().await;
        }
    }
    stop.cancel();
    running.await.unwrap();
    let mut observed = observed.0.lock().unwrap().clone();
    observed.dedup();
    assert_eq!(observed, ["seen", "not kept", "seen"]);
}

impl World {
    /// Makes Nova show the instance stopped, with these actions, the latest first.
    fn stop(&self, id: ServerId, orders: &[(&str, Actor)]) {
        self.change(id, true, |server| {
            server.vm_state = VmState::Stopped;
            server.power_state = PowerState::Shutdown;
        });
        self.record(id, orders);
    }

    fn record(&self, id: ServerId, orders: &[(&str, Actor)]) {
        let order = |(action, by): &(&str, Actor)| ServerAction {
            action: (*action).to_owned(),
            by: *by,
            at: None,
        };
        let orders = orders.iter().map(order).collect();
        self.orders.lock().unwrap().insert(id, orders);
    }
}

fn rest(watcher: &Watcher, id: ServerId) -> Option<Rest> {
    let on = watcher.watched().instances.unwrap().value.on;
    let found = on
        .values()
        .flat_map(|all| all.iter())
        .find(|instance| instance.id == id);
    found.unwrap().rest.clone()
}
