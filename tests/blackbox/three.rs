//! Three engines as processes of their own on one database: killed and stopped at many moments of a recovery, and a database server that
//! restarts during one.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::Signal;
use tachi_domain::RecoveryId;
use tachi_engine::ports::journal::PeerClaim;
use tachi_engine::ports::{Journal as _, OperatorJournal as _};

use super::database::OwnServer;
use super::processes::stop_between_transactions;
use super::support::{Harness, Process, quick_region, until};

const HOST: &str = "compute-001";
const INSTANCES: usize = 4;
const LIMIT: Duration = Duration::from_secs(180);

/// Maximum delay after an owner's death, on any database.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// Moments of a recovery at which its owner is stopped or killed, counted from its claim; the recovery takes about as long as all of
/// them.
const OFFSET_COUNT: u32 = 10;
const OFFSET_SPACING: Duration = Duration::from_millis(250);

/// Returns the tested moments: all of them on SQLite and in `--long`, a fifth of them on a server, chosen by the commit.
fn offsets() -> Vec<u32> {
    let sample = std::env::var("TACHI_SAMPLE").ok();
    let drawn = sample
        .filter(|_| database() != "sqlite")
        .and_then(|sample| u32::from_str_radix(sample.get(..6)?, 16).ok());
    let tried: Vec<u32> = (0..OFFSET_COUNT)
        .filter(|offset| drawn.is_none_or(|drawn| offset % 5 == drawn % 5))
        .collect();
    println!("{}: moments {tried:?} of {OFFSET_COUNT}", database());
    tried
}

fn database() -> String {
    std::env::var("TACHI_TEST_DATABASE").unwrap_or_else(|_| "sqlite".into())
}

/// Number of concurrent recoveries: more if no time is measured.
const CONCURRENT_STOPS: usize = 5;
const CONCURRENT_KILLS: usize = 2;

struct ThreeEngines {
    harness: Harness,
    engines: Vec<Process>,
    servers: Vec<uuid::Uuid>,
    notification: tachi_domain::NotificationId,
    recovery: RecoveryId,
}

impl ThreeEngines {
    async fn begin(harness: Harness) -> Self {
        harness.protect().await;
        let servers = harness.boot(HOST, INSTANCES);
        harness
            .sandbox
            .region()
            .tune(|settings| settings.rebuild_time = Duration::from_secs(1));
        let engines = (0..3).map(|_| harness.spawn("engine")).collect();
        harness.sandbox.region().faults().power_loss(HOST).unwrap();
        let notification = harness.report(HOST).await;
        let recovery = harness.store.journal().unsettled().await.unwrap()[0].id;
        let three = Self {
            harness,
            engines,
            servers,
            notification,
            recovery,
        };
        until("one of the three to claim", LIMIT, async || {
            three.view().await.is_none_or(|view| view.epoch > 0)
        })
        .await;
        three
    }

    /// Returns the recovery's claim; `None` once it has ended.
    async fn view(&self) -> Option<PeerClaim> {
        let views = self.harness.store.journal().unsettled().await.unwrap();
        views.into_iter().find(|view| view.id == self.recovery)
    }

    /// Returns the owner's index.
    fn owner(&self, view: &PeerClaim) -> Option<usize> {
        let owner = view.owner.as_deref()?;
        let is_it = |process: &Process| owner.split(':').any(|part| part == process.id().to_string());
        self.engines.iter().position(is_it)
    }

    /// Waits until another engine has claimed it, or until it has ended.
    async fn taken_over(&self, epoch: u64) {
        until("another engine to claim", LIMIT, async || {
            self.view().await.is_none_or(|view| view.epoch > epoch)
        })
        .await;
    }

    async fn steps_at(&self, epoch: u64) -> usize {
        let steps = self
            .harness
            .store
            .operator_journal()
            .steps(self.recovery)
            .await
            .unwrap();
        steps.iter().filter(|step| step.epoch == epoch).count()
    }

    /// Asserts that each instance was requested and moved once.
    async fn assert_once(&self) {
        self.harness.until_finished(self.notification, LIMIT).await;
        self.harness.assert_each_exactly_once(&self.servers, HOST);
        let evacuations = self.harness.sandbox.region().requests().count("#evacuate");
        assert_eq!(evacuations, INSTANCES as u64, "each was requested once");
    }
}

/// Stops the owner this time after its claim, until another has taken over, and continues it.
async fn stop_at(after: Duration) {
    let three = ThreeEngines::begin(Harness::set(quick_region(4)).await).await;
    tokio::time::sleep(after).await;
    let owned = three
        .view()
        .await
        .and_then(|view| Some((three.owner(&view)?, view)));
    if let Some((owner, view)) = owned {
        stop_between_transactions(&three.harness, &three.engines[owner]).await;
        three.taken_over(view.epoch).await;
        let written = three.steps_at(view.epoch).await;
        three.engines[owner].signal(Signal::CONT);
        three.assert_once().await;
        assert_eq!(
            three.steps_at(view.epoch).await,
            written,
            "an engine that was taken over has written, stopped {after:?} after its claim"
        );
    }
    three.assert_once().await;
}

/// Kills the owner this time after its claim. Returns the time until another claim; `None` if it had ended by then.
async fn kill_at(after: Duration) -> Option<Duration> {
    let mut three = ThreeEngines::begin(Harness::set(quick_region(4)).await).await;
    tokio::time::sleep(after).await;
    let view = three.view().await?;
    let owner = three.owner(&view)?;
    three.engines.swap_remove(owner).kill();
    let died = Instant::now();
    three.taken_over(view.epoch).await;
    let took = died.elapsed();
    three.assert_once().await;
    Some(took)
}

/// Covers R2, R4.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_stopped_at_any_moment_writes_and_calls_nothing_when_it_continues() {
    for round in offsets().chunks(CONCURRENT_STOPS) {
        join_all(round.iter().map(|offset| stop_at(OFFSET_SPACING * *offset))).await;
    }
}

/// Covers EW9.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_killed_at_any_moment_is_taken_over_within_five_seconds() {
    let offsets = offsets();
    let mut took = Vec::new();
    for round in offsets.chunks(CONCURRENT_KILLS) {
        let round = round.iter().map(|offset| kill_at(OFFSET_SPACING * *offset));
        took.extend(join_all(round).await.into_iter().flatten());
    }
    took.sort_unstable();
    assert!(
        took.len() * 10 >= offsets.len() * 4,
        "a recovery is longer than this: {took:?}"
    );
    let database = database();
    let milliseconds: Vec<u128> = took.iter().map(Duration::as_millis).collect();
    println!("{database}: milliseconds from an owner's death to the next claim: {milliseconds:?}");
    assert!(took.last() < Some(&TAKEOVER_TIMEOUT), "{milliseconds:?}");
}

/// Kills the database server this time after the claim, and starts it again later.
async fn kill_the_server_of(mut server: OwnServer, after: Duration) {
    server.until_it_answers().await;
    let harness = Harness::set_on(quick_region(4), server.place()).await;
    let three = ThreeEngines::begin(harness).await;
    tokio::time::sleep(after).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    server.start();
    server.until_it_answers().await;
    three.assert_once().await;
}

/// Covers EW9.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_a_database_server_killed_in_the_middle_costs_time_and_nothing_else() {
    let offsets = [0, 400, 900, 1_500, 2_100].map(Duration::from_millis);
    // SQLite has no server; the death of its process is tested above.
    let each = offsets.map(|after| Some(kill_the_server_of(OwnServer::make()?, after)));
    join_all(each.into_iter().flatten()).await;
}
