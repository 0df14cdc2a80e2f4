use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use tachi_instance_ha::{GeneratedTime, HostEvent, HostStatus, Notification};
use tachi_spool::{Limits, Spool};

use super::*;
use crate::reporter::{ReportError, Reporter, SpoolWriter};
use crate::settings::tests::settings;

/// An API with scripted answers, which then accepts.
#[derive(Default)]
struct Api {
    script: Mutex<VecDeque<Result<Answer, CallFailure>>>,
    /// The answer after the end of the script; accepts if `None`.
    always: Mutex<Option<CallFailure>>,
    /// By subject.
    never: Mutex<Option<(String, CallFailure)>>,
    requests: Mutex<Vec<(String, Instant)>>,
    took: Mutex<Vec<String>>,
    /// Duration of an answer.
    slow: Mutex<Duration>,
}

#[async_trait]
impl Post for Api {
    async fn post(&self, record: &Record) -> Result<Answer, CallFailure> {
        self.requests
            .lock()
            .unwrap()
            .push((record.body.clone(), Instant::now()));
        let slow = *self.slow.lock().unwrap();
        tokio::time::sleep(slow).await;
        if let Some((subject, failed)) = &*self.never.lock().unwrap()
            && *subject == record.subject
        {
            return Err(failed.clone());
        }
        let scripted = self.script.lock().unwrap().pop_front();
        let answer = match (scripted, &*self.always.lock().unwrap()) {
            (Some(answer), _) => answer,
            (None, Some(failed)) => Err(failed.clone()),
            (None, None) => Ok(Answer::Accepted { uuid: None }),
        };
        if answer.is_ok() {
            self.took.lock().unwrap().push(record.body.clone());
        }
        answer
    }

    async fn warm(&self) -> Result<(), CallFailure> {
        Ok(())
    }

    fn skew_seconds(&self) -> Option<i64> {
        None
    }
}

fn failed(class: Class) -> CallFailure {
    CallFailure::new(class, "no")
}

struct Rig {
    api: Arc<Api>,
    reporter: Reporter,
    stop: CancellationToken,
    store: Store,
    health: Health,
    delivery_task: tokio::task::JoinHandle<()>,
    keeper: tokio::task::JoinHandle<()>,
}

impl Rig {
    fn start(folder: &std::path::Path, api: &Arc<Api>, options: &str) -> Self {
        let settings = settings(&format!("[monitor]\nretry_min = 1\nretry_max = 16\n{options}"));
        let (spool, _) = Spool::open(folder, settings.delivery.limits).unwrap();
        let (store, fresh) = (Store::new(spool), Arc::new(Notify::new()));
        let (health, clock) = (Health::default(), Clock::new());
        let (keeper, reporter) =
            SpoolWriter::new(store.clone(), Arc::clone(&fresh), health.clone(), clock.clone());
        let stop = CancellationToken::new();
        let delivery_task = DeliveryTask {
            store: store.clone(),
            post: Arc::clone(api) as Arc<dyn Post>,
            fresh,
            health: health.clone(),
            clock,
            settings: settings.delivery,
            jitter: || 1.0,
        };
        let keeper = tokio::spawn(keeper.run());
        let delivery_task = tokio::spawn(delivery_task.run(stop.clone()));
        Self {
            api: Arc::clone(api),
            reporter,
            stop,
            store,
            health,
            delivery_task,
            keeper,
        }
    }

    async fn until(&self, what: &str, done: impl Fn(&Api) -> bool) {
        let looking = async {
            while !done(&self.api) {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(7200), looking)
            .await
            .unwrap_or_else(|_| panic!("waited for {what}"));
    }

    async fn empty(&self) {
        let looking = async {
            while !self.store.with(|spool| spool.is_empty()).await {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(7200), looking)
            .await
            .unwrap();
    }

    fn took(&self) -> Vec<String> {
        self.api.took.lock().unwrap().clone()
    }

    fn requests(&self) -> usize {
        self.api.requests.lock().unwrap().len()
    }

    /// Ends the delivery like SIGKILL, without a shutdown.
    async fn kill(self) {
        self.delivery_task.abort();
        self.keeper.abort();
        let _ = (self.delivery_task.await, self.keeper.await);
        // Work on another thread completes by itself.
        while !self.store.is_alone() {
            tokio::task::yield_now().await;
        }
    }
}

fn host(name: &str, event: HostEvent) -> Notification {
    Notification::host(
        name,
        event,
        None,
        HostStatus::Normal,
        GeneratedTime::from_micros(1_000_000),
    )
}

fn stopped(name: &str) -> Notification {
    host(name, HostEvent::Stopped)
}

fn api() -> Arc<Api> {
    Arc::new(Api::default())
}

/// Covers MW3.
#[tokio::test(start_paused = true)]
async fn an_api_away_for_an_hour_costs_no_report_and_no_order() {
    let folder = tempfile::tempdir().unwrap();
    let api = api();
    *api.always.lock().unwrap() = Some(failed(Class::Unreachable));
    let rig = Rig::start(folder.path(), &api, "");
    for name in ["a", "b", "c"] {
        rig.reporter.report(&stopped(name)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(rig.took().is_empty());
    assert!(!rig.health.condition().healthy);
    // 1, 2, 4, 8, then every 16 s: not more often, and never by more than one report.
    let requests = rig.requests();
    assert!((200..=240).contains(&requests), "{requests}");
    *api.always.lock().unwrap() = None;
    let back = Instant::now();
    rig.until("three", |api| api.took.lock().unwrap().len() == 3)
        .await;
    assert!(Instant::now() - back <= Duration::from_secs(17));
    let bodies: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| stopped(name).body().to_owned())
        .collect();
    assert_eq!(
        rig.took(),
        bodies,
        "the same bodies, with the time they were generated at"
    );
    rig.empty().await;
    rig.health.tick();
    assert!(rig.health.condition().healthy);
}

/// Covers MW3.
#[tokio::test(start_paused = true)]
async fn killed_while_the_api_is_away_it_delivers_once_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let api = api();
    *api.always.lock().unwrap() = Some(failed(Class::Unreachable));
    let rig = Rig::start(folder.path(), &api, "");
    rig.reporter.report(&stopped("a")).await.unwrap();
    rig.until("a try", |api| !api.requests.lock().unwrap().is_empty())
        .await;
    rig.kill().await;
    *api.always.lock().unwrap() = None;
    let rig = Rig::start(folder.path(), &api, "");
    rig.empty().await;
    assert_eq!(rig.took().len(), 1);
    rig.kill().await;
    let rig = Rig::start(folder.path(), &api, "");
    rig.empty().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.took().len(), 1);
}

/// Covers MW3.
#[tokio::test(start_paused = true)]
async fn what_happened_since_overtakes_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let api = api();
    *api.always.lock().unwrap() = Some(failed(Class::Barred));
    let rig = Rig::start(folder.path(), &api, "");
    rig.reporter.report(&stopped("a")).await.unwrap();
    rig.reporter.report(&stopped("b")).await.unwrap();
    let started = host("a", HostEvent::Started);
    assert_eq!(
        rig.reporter
            .report_replacing(&started, "it is back")
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        rig.reporter
            .withdraw("COMPUTE_HOST/none", "nothing")
            .await
            .unwrap(),
        0
    );
    *api.always.lock().unwrap() = None;
    rig.empty().await;
    assert_eq!(rig.took(), [stopped("b").body(), started.body()]);
}

/// Covers MW13.
#[tokio::test(start_paused = true)]
async fn a_rejected_report_is_tried_for_a_while_and_holds_up_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let api = api();
    *api.never.lock().unwrap() = Some(("COMPUTE_HOST/a".to_owned(), failed(Class::Rejected)));
    let rig = Rig::start(folder.path(), &api, "rejected_max_age = 0\n");
    rig.reporter.report(&stopped("a")).await.unwrap();
    rig.reporter.report(&stopped("b")).await.unwrap();
    rig.empty().await;
    assert_eq!(
        rig.took(),
        [stopped("b").body()],
        "the other one was dropped at once, as configured"
    );
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), &api, "");
    rig.reporter.report(&stopped("a")).await.unwrap();
    rig.reporter.report(&stopped("c")).await.unwrap();
    rig.until("c", |api| api.took.lock().unwrap().len() == 2).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    // The host is registered now.
    *api.never.lock().unwrap() = None;
    rig.empty().await;
    assert_eq!(rig.took().last().unwrap(), stopped("a").body());
}

#[tokio::test(start_paused = true)]
async fn a_report_the_api_fails_over_holds_up_only_its_own_kind() {
    let folder = tempfile::tempdir().unwrap();
    let api = api();
    *api.never.lock().unwrap() = Some(("COMPUTE_HOST/a".to_owned(), failed(Class::Broken)));
    let rig = Rig::start(folder.path(), &api, "");
    rig.reporter.report(&stopped("a")).await.unwrap();
    rig.reporter.report(&host("a", HostEvent::Started)).await.unwrap();
    rig.reporter.report(&stopped("b")).await.unwrap();
    rig.until("b", |api| api.took.lock().unwrap().len() == 1).await;
    *api.never.lock().unwrap() = None;
    rig.empty().await;
    let expected = [stopped("b"), stopped("a"), host("a", HostEvent::Started)];
    assert_eq!(rig.took(), expected.map(|n| n.body().to_owned()));
}

/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn a_report_that_is_known_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let api = api();
    api.script.lock().unwrap().push_back(Ok(Answer::Ignored));
    let rig = Rig::start(folder.path(), &api, "");
    rig.reporter.report(&stopped("a")).await.unwrap();
    rig.empty().await;
    assert_eq!(rig.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_retry_time_of_the_api_is_respected() {
    let folder = tempfile::tempdir().unwrap();
    let api = api();
    let busy = CallFailure {
        retry_after: Some(Duration::from_secs(100)),
        ..failed(Class::Busy)
    };
    api.script.lock().unwrap().push_back(Err(busy));
    let rig = Rig::start(folder.path(), &api, "");
    let at = GeneratedTime::from_micros(1);
    let vm = Notification::vm("cmp1", "LIFECYCLE", "u", "STOPPED_FAILED", at);
    rig.reporter.report(&vm).await.unwrap();
    rig.empty().await;
    let requests = rig.api.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].1 - requests[0].1 >= Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn stopping_delivers_what_waits_and_keeps_what_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let api = api();
    let rig = Rig::start(folder.path(), &api, "");
    for name in ["a", "b", "c"] {
        rig.reporter.report(&stopped(name)).await.unwrap();
    }
    rig.stop.cancel();
    rig.delivery_task.await.unwrap();
    assert_eq!(api.took.lock().unwrap().len(), 3);
    let folder = tempfile::tempdir().unwrap();
    *api.always.lock().unwrap() = Some(failed(Class::Unreachable));
    let rig = Rig::start(folder.path(), &api, "");
    rig.reporter.report(&stopped("d")).await.unwrap();
    let begin = Instant::now();
    rig.stop.cancel();
    rig.delivery_task.await.unwrap();
    assert!(Instant::now() - begin < Duration::from_secs(6));
    assert_eq!(rig.store.with(|spool| spool.len()).await, 1);
}

/// Covers MW4.
#[tokio::test(start_paused = true)]
async fn a_slow_api_is_no_stuck_loop_and_does_not_delay_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let api = api();
    *api.slow.lock().unwrap() = Duration::from_secs(300);
    let rig = Rig::start(folder.path(), &api, "");
    rig.reporter.report(&stopped("a")).await.unwrap();
    rig.until("a try", |api| !api.requests.lock().unwrap().is_empty())
        .await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    rig.health.tick();
    assert!(rig.health.condition().healthy, "{:?}", rig.health.condition());
    let begin = Instant::now();
    rig.stop.cancel();
    rig.delivery_task.await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
    let left = rig.store.with(|spool| spool.len()).await;
    let requests = rig.api.requests.lock().unwrap().clone();
    let took = rig.api.took.lock().unwrap().len();
    assert_eq!(
        (left, took),
        (1, 0),
        "kept for the next start; asked {requests:?}, began {begin:?}"
    );
}

/// Covers MW11.
#[tokio::test(start_paused = true)]
async fn a_full_spool_is_reported_and_takes_again_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let api = api();
    *api.always.lock().unwrap() = Some(failed(Class::Unreachable));
    let rig = Rig::start(folder.path(), &api, "spool_max_records = 16\n");
    for number in 0..16 {
        rig.reporter.report(&stopped(&number.to_string())).await.unwrap();
    }
    let refused = rig.reporter.report(&stopped("more")).await;
    assert!(matches!(refused, Err(ReportError::NotStored(_))), "{refused:?}");
    assert!(rig.health.condition().line().contains("spool: the spool is full"));
    *api.always.lock().unwrap() = None;
    rig.empty().await;
    rig.reporter.report(&stopped("more")).await.unwrap();
    rig.empty().await;
    assert_eq!(rig.took().len(), 17);
    assert!(rig.health.condition().healthy);
}

#[tokio::test]
async fn an_old_report_is_dropped_with_a_log_line() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (mut spool, _) = Spool::open(folder.path(), Limits::default()).unwrap();
        let mut at = Clock::new().stamp();
        let entry = |name: &str| tachi_spool::Entry {
            subject: name.to_owned(),
            body: name.to_owned(),
            header: None,
            minor: false,
        };
        at.boot = "an earlier start".to_owned();
        spool.put(vec![entry("young")], &at).unwrap();
        at.wall -= 86_400_000_001;
        spool.put(vec![entry("old")], &at).unwrap();
    }
    let api = api();
    let rig = Rig::start(folder.path(), &api, "");
    rig.empty().await;
    assert_eq!(rig.took(), ["young"]);
}

/// The API answers reports of instances with a pause of five minutes, and then a host dies.
/// Covers F11.
#[tokio::test(start_paused = true)]
async fn reports_of_hosts_have_a_lane_and_a_longest_wait_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let api = Arc::new(Api::default());
    let busy = |seconds| CallFailure {
        retry_after: Some(Duration::from_secs(seconds)),
        ..failed(Class::Busy)
    };
    let vm = Notification::vm(
        "cmp1",
        "LIFECYCLE",
        "u",
        "STOPPED_FAILED",
        GeneratedTime::from_micros(1),
    );
    *api.never.lock().unwrap() = Some((vm.subject().to_owned(), busy(300)));
    let rig = Rig::start(folder.path(), &api, "");
    rig.reporter.report(&vm).await.unwrap();
    rig.until("the instance's to be refused", |api| {
        !api.requests.lock().unwrap().is_empty()
    })
    .await;
    let begun = Instant::now();
    rig.reporter.report(&stopped("cmp1")).await.unwrap();
    rig.until("the host's to be taken", |api| {
        !api.took.lock().unwrap().is_empty()
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // The report of the host gets a short pause, with jitter.
    api.script.lock().unwrap().push_back(Err(busy(300)));
    let begun = Instant::now();
    rig.reporter.report(&stopped("cmp2")).await.unwrap();
    rig.until("the other host's to be taken", |api| {
        api.took.lock().unwrap().len() == 2
    })
    .await;
    let waited = begun.elapsed();
    assert!(
        waited >= MAX_HOST_REPORT_PAUSE && waited < MAX_HOST_REPORT_PAUSE * 2,
        "{waited:?}"
    );
    *api.never.lock().unwrap() = None;
    rig.until("the instance's to be taken", |api| {
        api.took.lock().unwrap().len() == 3
    })
    .await;
    let requests = api.requests.lock().unwrap();
    let of_vm: Vec<Instant> = requests
        .iter()
        .filter(|(body, _)| body == vm.body())
        .map(|(_, at)| *at)
        .collect();
    let waited = of_vm[1] - of_vm[0];
    assert!(waited > Duration::from_secs(300), "spread: {waited:?}");
}

/// Covers F11.
#[tokio::test(start_paused = true)]
async fn reports_of_hosts_go_before_a_thousand_of_instances() {
    let folder = tempfile::tempdir().unwrap();
    let api = Arc::new(Api::default());
    *api.slow.lock().unwrap() = Duration::from_secs(1);
    let rig = Rig::start(folder.path(), &api, "");
    for number in 0..1000 {
        let at = GeneratedTime::from_micros(number);
        let vm = Notification::vm("cmp1", "LIFECYCLE", &number.to_string(), "STOPPED_FAILED", at);
        rig.reporter.report(&vm).await.unwrap();
    }
    rig.reporter.report(&stopped("cmp1")).await.unwrap();
    rig.until("the host's to be taken", |api| {
        api.took
            .lock()
            .unwrap()
            .iter()
            .any(|body| body.contains("COMPUTE_HOST"))
    })
    .await;
    let before = api.took.lock().unwrap().len();
    assert!(before < 1000, "{before} went before");
}

/// A death while the disk is full and the API is reachable.
/// Covers F4.
#[tokio::test(start_paused = true)]
async fn a_report_that_the_disk_refuses_is_delivered_from_memory_once() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("spool");
    std::fs::write(&folder, "in the way").unwrap();
    let api = api();
    let rig = Rig::start(&folder, &api, "");
    for name in ["cmp1", "cmp2"] {
        let refused = rig.reporter.report_replacing(&stopped(name), "newer").await;
        assert!(matches!(refused, Err(ReportError::NotStored(_))), "{refused:?}");
    }
    rig.until("both to be taken", |api| api.took.lock().unwrap().len() == 2)
        .await;
    assert!(rig.health.problem("spool").is_some());
    // The monitors repeat it until it is stored; a delivered report counts as stored.
    for name in ["cmp1", "cmp2"] {
        rig.reporter
            .report_replacing(&stopped(name), "newer")
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(rig.requests(), 2, "each once, and not again and again");
    std::fs::remove_file(&folder).unwrap();
    rig.reporter.report(&stopped("cmp3")).await.unwrap();
    assert_eq!(rig.health.problem("spool"), None);
    rig.until("the third to be taken", |api| api.took.lock().unwrap().len() == 3)
        .await;
}

/// Covers F4.
#[tokio::test(start_paused = true)]
async fn what_is_held_in_memory_is_overtaken_like_everything() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("spool");
    std::fs::write(&folder, "in the way").unwrap();
    let api = api();
    *api.always.lock().unwrap() = Some(failed(Class::Unreachable));
    let rig = Rig::start(&folder, &api, "");
    rig.reporter.report(&stopped("cmp1")).await.unwrap_err();
    let back = Notification::host(
        "cmp1",
        HostEvent::Started,
        None,
        HostStatus::Normal,
        GeneratedTime::from_micros(9),
    );
    for _ in 0..3 {
        rig.reporter
            .report_replacing(&back, "it is back")
            .await
            .unwrap_err();
    }
    let left = rig
        .store
        .with(|spool| spool.iter().map(|record| record.body.clone()).collect::<Vec<_>>())
        .await;
    assert_eq!(left, [back.body()]);
}
