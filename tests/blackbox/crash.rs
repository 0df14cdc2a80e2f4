//! An engine dies at any point of its journal, and the next one continues.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::guard::MutingPolicy;
use tachi_domain::recovery::WrittenOff;
use tachi_domain::situation::MutedReporter;
use tachi_domain::{Elapsed, HostId, RecoveryId, ServerId};
use tachi_engine::ports::journal::{
    Claim, ClaimedRecovery, HostRecords, PeerClaim, RowVersion, Write, WriteOutcome,
};
use tachi_engine::ports::reserve::ReserveRow;
use tachi_engine::ports::{Journal, JournalError};
use tachi_store::Store;
use tokio_util::sync::CancellationToken;

use super::support::{Harness, quick_policy, quick_region};

const HOST: &str = "compute-001";
const INSTANCES: usize = 3;

/// The moment in a commit at which the engine dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrashPoint {
    /// Nothing is written.
    Before,
    /// Everything is written, and no call was made.
    After,
    /// Everything is written, the calls start, and their answers are lost.
    Acting,
}

/// A journal whose owner dies at its n-th commit.
pub(super) struct CrashingJournal {
    store: Arc<Store>,
    commits: AtomicUsize,
    at: usize,
    crash_point: CrashPoint,
    dead: CancellationToken,
}

impl CrashingJournal {
    /// Creates the journal; the token signals the engine's death.
    pub(super) fn new(harness: &Harness, at: usize, crash_point: CrashPoint) -> (Self, CancellationToken) {
        let dead = CancellationToken::new();
        let journal = Self {
            store: harness.store.clone(),
            commits: AtomicUsize::new(0),
            at,
            crash_point,
            dead: dead.clone(),
        };
        (journal, dead)
    }

    async fn die<T>(&self) -> T {
        self.dead.cancel();
        std::future::pending().await
    }
}

#[async_trait]
impl Journal for CrashingJournal {
    async fn unsettled(&self) -> Result<Vec<PeerClaim>, JournalError> {
        self.store.journal().unsettled().await
    }

    async fn claim(&self, seen: &PeerClaim, owner: &str) -> Result<Option<ClaimedRecovery>, JournalError> {
        self.store.journal().claim(seen, owner).await
    }

    async fn beat(&self, claim: &Claim, elapsed: Elapsed) -> Result<WriteOutcome, JournalError> {
        self.store.journal().beat(claim, elapsed).await
    }

    async fn commit(&self, claim: &Claim, write: &Write) -> Result<WriteOutcome, JournalError> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let dying = number == self.at;
        if dying && self.crash_point == CrashPoint::Before {
            return self.die().await;
        }
        // The engine that dies while it acts does so at the commit after the fatal one, before writing it.
        if number == self.at + 1 && self.crash_point == CrashPoint::Acting {
            return self.die().await;
        }
        let outcome = self.store.journal().commit(claim, write).await;
        if dying && self.crash_point == CrashPoint::After {
            return self.die().await;
        }
        outcome
    }

    async fn release(&self, claim: &Claim) -> Result<(), JournalError> {
        self.store.journal().release(claim).await
    }

    async fn mark_rewound(&self, seen: &PeerClaim, known: RowVersion) -> Result<bool, JournalError> {
        self.store.journal().mark_rewound(seen, known).await
    }

    async fn first_start(&self) -> Result<Duration, JournalError> {
        self.store.journal().first_start().await
    }

    async fn host_records(&self, lately: Duration) -> Result<HostRecords, JournalError> {
        self.store.journal().host_records(lately).await
    }

    async fn proven_off(&self) -> Result<BTreeSet<String>, JournalError> {
        self.store.journal().proven_off().await
    }

    async fn written_off(&self, host: &str) -> Result<BTreeMap<ServerId, Vec<WrittenOff>>, JournalError> {
        self.store.journal().written_off(host).await
    }

    async fn may_run(
        &self,
        servers: &BTreeSet<ServerId>,
    ) -> Result<BTreeMap<ServerId, BTreeSet<String>>, JournalError> {
        self.store.journal().may_run(servers).await
    }

    async fn local_disks(&self, host: &str) -> Result<BTreeSet<ServerId>, JournalError> {
        self.store.journal().local_disks(host).await
    }

    async fn contradicted(
        &self,
        id: RecoveryId,
        rules: MutingPolicy,
    ) -> Result<Vec<MutedReporter>, JournalError> {
        self.store.journal().contradicted(id, rules).await
    }

    async fn reserve(&self, host: HostId) -> Result<Vec<ReserveRow>, JournalError> {
        self.store.journal().reserve(host).await
    }
}

/// Lets an engine die at its `at`-th commit and another one finish. Returns false if there were fewer commits.
async fn die_at(at: usize, crash_point: CrashPoint, method: RecoveryMethod) -> bool {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect_by(method, reserve_of(method)).await;
    let servers = harness.boot(HOST, INSTANCES);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let (journal, dead) = CrashingJournal::new(&harness, at, crash_point);
    let first = harness.engine(Arc::new(journal), quick_policy()).await;
    let died = tokio::select! {
        () = dead.cancelled() => true,
        () = harness.until_finished(notification, Duration::from_secs(60)) => dead.is_cancelled(),
    };
    first.kill().await;
    let second = harness.engine(harness.journal(), quick_policy()).await;
    harness
        .until_finished(notification, Duration::from_secs(60))
        .await;
    second.stop().await;
    harness.assert_each_exactly_once(&servers, HOST);
    for spare in reserve_of(method) {
        let shown = harness.sandbox.region().host(spare).unwrap();
        assert_eq!(
            shown.enabled,
            shown.servers > 0,
            "{spare} is in reserve or in use"
        );
    }
    died
}

/// Returns the reserved hosts for methods that use them.
fn reserve_of(method: RecoveryMethod) -> &'static [&'static str] {
    match method {
        RecoveryMethod::Auto => &[],
        RecoveryMethod::ReservedHost | RecoveryMethod::AutoPriority | RecoveryMethod::RhPriority => {
            &["compute-003", "compute-004"]
        }
    }
}

/// Lets an engine die at each commit of a whole recovery, or at each third one, drawn from the commit under test (`TACHI_SAMPLE`).
/// The future returns false if there were fewer commits.
pub(super) async fn die_at_commits<F: Future<Output = bool>>(die_at: impl Fn(usize) -> F) {
    const CONCURRENT_RUNS: usize = 6;
    const SAMPLED: usize = 3;
    let sample = std::env::var("TACHI_SAMPLE").ok();
    let drawn = sample.and_then(|sample| usize::from_str_radix(sample.get(..6)?, 16).ok());
    let (first, step) = drawn.map_or((0, 1), |drawn| (drawn % SAMPLED, SAMPLED));
    println!(
        "commits {first}, {}, {} and so on",
        first + step,
        first + 2 * step
    );
    let mut commits = (first..).step_by(step);
    let mut deaths = 0;
    loop {
        let round = commits.by_ref().take(CONCURRENT_RUNS).map(&die_at);
        let died = join_all(round).await.into_iter().filter(|died| *died).count();
        deaths += died;
        if died < CONCURRENT_RUNS {
            break;
        }
    }
    assert!(deaths > 6 / step, "{deaths} commits are too few");
}

async fn die_at_every_commit(crash_point: CrashPoint, method: RecoveryMethod) {
    die_at_commits(|at| die_at(at, crash_point, method)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_before_any_commit_is_followed_by_one_that_recovers_each_instance_once() {
    die_at_every_commit(CrashPoint::Before, RecoveryMethod::Auto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_after_any_commit_is_followed_by_one_that_recovers_each_instance_once() {
    die_at_every_commit(CrashPoint::After, RecoveryMethod::Auto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_while_it_acts_is_followed_by_one_that_recovers_each_instance_once() {
    die_at_every_commit(CrashPoint::Acting, RecoveryMethod::Auto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_after_it_took_a_reserved_host_leaves_none_taken_and_none_half_ready() {
    die_at_every_commit(CrashPoint::After, RecoveryMethod::ReservedHost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_an_engine_that_dies_while_it_takes_a_reserved_host_leaves_none_taken_and_none_half_ready() {
    die_at_every_commit(CrashPoint::Acting, RecoveryMethod::ReservedHost).await;
}
