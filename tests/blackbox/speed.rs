//! Load on Nova, Keystone and the database, and the start times of recoveries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tachi_domain::guard::{GuardPolicy, MutingPolicy};
use tachi_domain::policy::Policy;
use tachi_domain::recovery::WrittenOff;
use tachi_domain::situation::MutedReporter;
use tachi_domain::{Elapsed, HostId, RecoveryId, ServerId};
use tachi_engine::ports::journal::{
    Claim, ClaimedRecovery, HostRecords, LeaseRenewal, PeerClaim, RowVersion, Write, WriteOutcome,
};
use tachi_engine::ports::reserve::ReserveRow;
use tachi_engine::ports::{Journal, JournalError};
use tachi_sandbox::{ApiEffect, ApiFault, RegionSettings};
use tachi_store::Store;

use super::support::{Harness, quick_guards, quick_policy, quick_region, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

/// Rules that let many hosts fail at once (R24).
fn stormy() -> Policy {
    Policy {
        segment_percent: 100,
        global_percent: 100,
        tick: Duration::from_millis(500),
        heartbeat_poll: Duration::from_secs(5),
        guards: GuardPolicy {
            fences: 0,
            cliff_percent: 100,
            ..quick_guards()
        },
        ..quick_policy()
    }
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("compute-{number:03}")).collect()
}

/// Counts the writes of each instance after its plan.
struct CountingJournal {
    store: Arc<Store>,
    /// For each instance, its row in each transaction that wrote it.
    written: Mutex<BTreeMap<ServerId, Vec<String>>>,
    beats: Mutex<Vec<usize>>,
}

impl CountingJournal {
    fn over(store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self {
            store,
            written: Mutex::default(),
            beats: Mutex::default(),
        })
    }
}

#[async_trait]
impl Journal for CountingJournal {
    async fn unsettled(&self) -> Result<Vec<PeerClaim>, JournalError> {
        self.store.journal().unsettled().await
    }

    async fn claim(&self, seen: &PeerClaim, owner: &str) -> Result<Option<ClaimedRecovery>, JournalError> {
        self.store.journal().claim(seen, owner).await
    }

    async fn beat(&self, claim: &Claim, elapsed: Elapsed) -> Result<WriteOutcome, JournalError> {
        self.store.journal().beat(claim, elapsed).await
    }

    async fn renew_all(&self, beats: &[LeaseRenewal]) -> Vec<Result<WriteOutcome, JournalError>> {
        self.beats.lock().unwrap().push(beats.len());
        self.store.journal().renew_all(beats).await
    }

    async fn commit(&self, claim: &Claim, write: &Write) -> Result<WriteOutcome, JournalError> {
        for one in &write.moves {
            let shown = format!("{} {}", one.vmove.status.as_str(), one.state);
            self.written
                .lock()
                .unwrap()
                .entry(one.server)
                .or_default()
                .push(shown);
        }
        self.store.journal().commit(claim, write).await
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

/// Covers R7.
#[tokio::test(flavor = "multi_thread")]
async fn each_moved_instance_is_written_three_times_after_its_plan() {
    let harness = Harness::set(quick_region(5)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 12);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let journal = CountingJournal::over(harness.store.clone());
    let engine = harness.engine(journal.clone(), quick_policy()).await;
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
    let written = journal.written.lock().unwrap().clone();
    assert_eq!(written.len(), servers.len());
    for (server, shown) in written {
        let mut short: Vec<&str> = shown
            .iter()
            .map(|shown| match shown {
                shown if shown.starts_with("pending") => "planned",
                shown if shown.contains("\"answered\":false") => "intent",
                shown if shown.contains("\"answered\":true") => "accepted",
                shown if shown.starts_with("succeeded") => "terminal",
                shown => panic!("{server}: {shown}"),
            })
            .collect();
        // On a busy machine a call may come too late after its intent, which is journalled again then (R4).
        short.dedup();
        // A move that Nova has finished before the next transaction could be written needs one transaction less.
        let whole = ["planned", "intent", "accepted", "terminal"];
        let quick = ["planned", "intent", "terminal"];
        assert!(short == whole || short == quick, "{server}: {short:?}");
    }
}

/// Covers EW28.
#[tokio::test(flavor = "multi_thread")]
async fn one_login_is_enough_for_a_whole_recovery() {
    let harness = Harness::set(quick_region(5)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 30);
    let requests = harness.sandbox.region().requests();
    requests.clear();
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
    assert_eq!(
        requests.count("POST /identity/v3/auth/tokens"),
        1,
        "{:?}",
        requests.counts()
    );
    let each = requests.count("/compute/v2.1/servers/{id}");
    assert!(each <= 3 * 30, "lock, evacuate, unlock: {:?}", requests.counts());
}

/// Covers R13, EW29.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_recoveries_take_the_lists_once_for_all_of_them() {
    const HOSTS: usize = 20;
    let region = RegionSettings {
        rebuild_time: Duration::from_secs(12),
        ..quick_region(HOSTS + 8)
    };
    let harness = Harness::set(region).await;
    harness.protect().await;
    let hosts = names(HOSTS);
    let mut servers = Vec::new();
    for host in &hosts {
        servers.extend(harness.boot(host, 4));
        harness.sandbox.region().faults().power_loss(host).unwrap();
    }
    let mut notifications = Vec::new();
    for host in &hosts {
        notifications.push(harness.report(host).await);
    }
    let journal = CountingJournal::over(harness.store.clone());
    let engine = harness.engine(journal.clone(), stormy()).await;
    let requests = harness.sandbox.region().requests();
    until("all to be requested", LIMIT, async || {
        requests.count("#evacuate") >= 80
    })
    .await;
    requests.clear();
    let began = Instant::now();
    let ticks = Duration::from_secs(5);
    until("ten ticks to pass", LIMIT, async || began.elapsed() >= ticks).await;
    let counts = requests.counts();
    let seconds = began.elapsed().as_secs_f64();
    let of = |part: &str| f64::from(u32::try_from(requests.count(part)).unwrap());
    assert!(of("os-migrations") >= 2.0, "{counts:?}");
    let hosts_once = f64::from(u32::try_from(HOSTS).unwrap());
    // On a busy machine the first are back by now, and each end causes a poll.
    let ended = of("#unlock");
    // Each recovery looks at its own lists every ten seconds; everything else is asked once for all. By themselves they
    // would take 200 of either.
    let own = hosts_once + ended;
    assert!(
        of("os-migrations") <= seconds / 0.4 + 2.0 + own,
        "{seconds}: {counts:?}"
    );
    assert!(of("servers/detail") <= own, "{seconds}: {counts:?}");
    assert!(
        of("os-services") <= seconds / 0.25 + 2.0 + 2.0 * own,
        "{seconds}: {counts:?}"
    );
    assert!(of("GET /compute/v2.1/servers/{") <= ended + 4.0, "{counts:?}");
    let region = harness.sandbox.region();
    until("the last to be back", LIMIT, async || {
        region.lost(&servers).is_empty()
    })
    .await;
    for notification in notifications {
        harness.until_finished(notification, LIMIT).await;
    }
    assert_eq!(requests.count("#evacuate"), 0, "none was requested twice");
    for host in &hosts {
        assert!(region.host(host).unwrap().servers == 0, "{host}");
    }
    assert_eq!(region.double_runs(), 0);
    engine.stop().await;
    let beats = journal.beats.lock().unwrap().clone();
    assert!(
        beats.iter().any(|together| *together > 1),
        "beats that come together go in one transaction: {beats:?}"
    );
}

/// Covers EW31.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_waiting_notifications_are_begun_side_by_side() {
    const HOSTS: usize = 20;
    let region = RegionSettings {
        rebuild_time: Duration::from_secs(4),
        ..quick_region(HOSTS + 8)
    };
    let harness = Harness::set(region).await;
    harness.protect().await;
    let mut servers = Vec::new();
    for host in names(HOSTS) {
        servers.extend(harness.boot(&host, 1));
        harness.sandbox.region().faults().power_loss(&host).unwrap();
        harness.report(&host).await;
    }
    let engine = harness.engine(harness.journal(), stormy()).await;
    let requests = harness.sandbox.region().requests();
    let region = harness.sandbox.region();
    until("all twenty to be requested", LIMIT, async || {
        requests.count("#evacuate") >= 20
    })
    .await;
    let sent: Vec<f64> = requests
        .journal()
        .iter()
        .filter(|entry| entry.route.ends_with("#evacuate"))
        .map(|entry| entry.at_seconds)
        .collect();
    let took = sent.last().unwrap() - sent[0];
    assert!(
        took < 30.0,
        "{took} s; one after the other they need 76 s for the rebuilds alone"
    );
    until("the last to be back", LIMIT, async || {
        region.lost(&servers).is_empty()
    })
    .await;
    engine.stop().await;
}

/// Covers EW30.
#[tokio::test(flavor = "multi_thread")]
async fn slow_a_nova_that_never_answers_holds_up_no_claim_and_no_other_work() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 4);
    let region = harness.sandbox.region();
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    until("an evacuation", LIMIT, async || {
        region.requests().count("#evacuate") >= 1
    })
    .await;
    region
        .api_faults()
        .add(ApiFault::always("/compute/v2.1/", ApiEffect::Hang));
    let beat = async || harness.store.journal().unsettled().await.unwrap()[0].beat;
    let before = beat().await;
    until(
        "the claim to be kept through many calls' time",
        LIMIT,
        async || beat().await >= before + 5,
    )
    .await;
    assert_eq!(
        harness.store.journal().unsettled().await.unwrap()[0].epoch,
        1,
        "no take-over was necessary"
    );
    region.api_faults().clear();
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers EW32.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_read_however_small_nova_makes_them() {
    let region = RegionSettings {
        max_limit: 2,
        ..quick_region(4)
    };
    let harness = Harness::set(region).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 5);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nova_that_asks_for_patience_is_left_alone_for_so_long() {
    let harness = Harness::set(quick_region(5)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 40);
    let region = harness.sandbox.region();
    let busy = ApiEffect::Status {
        status: 429,
        retry_after: Some(3),
    };
    region.api_faults().add(ApiFault::next(1, "#evacuate", busy));
    region.faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let engine = harness.engine(harness.journal(), quick_policy()).await;
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
    let journal = region.requests().journal();
    let sent: Vec<_> = journal
        .iter()
        .filter(|entry| entry.route.ends_with("#evacuate"))
        .collect();
    let throttled_at = sent.iter().find(|entry| entry.status == 429).unwrap().at_seconds;
    // Requests in flight are not held back.
    let meanwhile = sent
        .iter()
        .filter(|entry| (throttled_at + 0.7..throttled_at + 2.9).contains(&entry.at_seconds))
        .count();
    assert_eq!(
        meanwhile,
        0,
        "requested at {:?}",
        sent.iter()
            .map(|entry| entry.at_seconds - throttled_at)
            .collect::<Vec<_>>()
    );
    assert!(
        sent.iter().any(|entry| entry.at_seconds > throttled_at + 2.9),
        "and continues after that"
    );
}
