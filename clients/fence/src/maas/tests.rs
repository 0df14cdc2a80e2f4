use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use serde_json::{Value, json};
use tachi_engine::ports::Fencer as _;
use tachi_testkit::{FakeHttp, ManualClock, Reply};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::*;
use crate::device::Device;
use crate::{Fencers, Topology};

mod self_test;

/// Reads a host by its name, as if its plug were cached.
struct Fencer;

impl Fencer {
    async fn read_power(maas: &Maas, host: &str) -> Result<PowerReading, CallError> {
        maas.read_power(&maas.plug(host)?).await
    }

    async fn power_off(maas: &Maas, host: &str, reason: &str) -> Result<(), CallError> {
        maas.power_off(&maas.plug(host)?, reason).await
    }
}

const KEY: &str = "consumer-of-the-fixture:token-of-the-fixture:s3cret-of-the-fixture";
const NOW: i64 = 1_700_000_000;

#[derive(Clone, Debug)]
struct SeenRequest {
    line: String,
    body: String,
    authorization: String,
}

type Answer = Box<dyn Fn() -> Reply + Send + Sync>;

/// A MAAS with one machine, `c1`, unless the script differs.
struct Fake {
    url: String,
    clock: Arc<ManualClock>,
    recorded: Arc<Mutex<Vec<SeenRequest>>>,
    _server: FakeHttp,
}

fn machine(id: &str, name: &str) -> Value {
    json!({"system_id": id, "hostname": name, "fqdn": format!("{name}.maas"), "power_type": "ipmi",
        "power_state": "off", "status_name": "Deployed"})
}

fn usual(recorded: &SeenRequest) -> Reply {
    match recorded.line.as_str() {
        "GET machines/?hostname=c1" => Reply::Json(200, json!([machine("abc", "c1")])),
        "GET machines/abc/" | "POST machines/abc/?op=power_off" => Reply::Json(200, machine("abc", "c1")),
        "GET machines/abc/?op=query_power_state" => Reply::Json(200, json!({"state": "on"})),
        "GET users/?op=whoami" => Reply::Json(200, json!({"username": "tachi", "is_superuser": true})),
        _ => Reply::With(404, Vec::new(), "Not Found".into()),
    }
}

impl Fake {
    async fn start(script: impl Fn(&SeenRequest) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let recorded: Arc<Mutex<Vec<SeenRequest>>> = Arc::default();
        let log = Arc::clone(&recorded);
        let server = FakeHttp::start(move |request, _| {
            let recorded = SeenRequest {
                line: request.line().replacen("/MAAS/api/2.0/", "", 1),
                body: request.text(),
                authorization: request.header("authorization").to_owned(),
            };
            log.lock().unwrap().push(recorded.clone());
            script(&recorded).unwrap_or_else(|| usual(&recorded))
        });
        let server = server.await;
        Self {
            url: format!("{}/MAAS", server.url),
            clock: Arc::default(),
            recorded,
            _server: server,
        }
    }

    fn maas_with(&self, change: impl FnOnce(&mut MaasOptions)) -> Maas {
        let mut options = MaasOptions::new(&self.url, KEY.into());
        // Reading the system's authorities takes longer than the test.
        options.ca_file = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/ca.pem").into());
        change(&mut options);
        Maas::new(options, Arc::clone(&self.clock) as Arc<dyn Clock>).unwrap()
    }

    fn maas(&self) -> Maas {
        self.maas_with(|_| ())
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn lines(&self) -> Vec<String> {
        self.recorded
            .lock()
            .unwrap()
            .iter()
            .map(|recorded| recorded.line.clone())
            .collect()
    }
}

fn answering(
    line: &'static str,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> impl Fn(&SeenRequest) -> Option<Reply> {
    move |recorded| (recorded.line == line).then(&reply)
}

const QUERY: &str = "GET machines/abc/?op=query_power_state";
const FIND: &str = "GET machines/?hostname=c1";
const SHOW: &str = "GET machines/abc/";
const OFF: &str = "POST machines/abc/?op=power_off";

/// Covers I6.
#[tokio::test]
async fn power_is_read_from_the_device_and_never_from_the_cache() {
    // (the controller's state, the expected power)
    for (state, expected) in [
        ("on", Power::On),
        ("off", Power::Off),
        ("unknown", Power::Unknown),
        ("error", Power::Unknown),
        ("OFF", Power::Unknown),
        ("", Power::Unknown),
    ] {
        let fake = Fake::start(answering(QUERY, move || {
            Reply::Json(200, json!({"state": state}))
        }))
        .await;
        let reading = Fencer::read_power(&fake.maas(), "c1.maas").await.unwrap();
        assert_eq!((reading.power, reading.raw.as_str()), (expected, state));
        assert_eq!(reading.device, format!("maas:{} system abc", fake.url));
        assert_eq!(reading.at, fake.clock.wall());
        assert_eq!(fake.lines(), [FIND, QUERY]);
    }
}

#[tokio::test]
async fn a_system_id_is_cached_but_an_off_counts_only_with_a_recent_check() {
    let state = Arc::new(Mutex::new("on"));
    let shown_state = Arc::clone(&state);
    let fake = Fake::start(answering(QUERY, move || {
        let state = *shown_state.lock().unwrap();
        Reply::Json(200, json!({"state": state}))
    }))
    .await;
    let maas = fake.maas();
    Fencer::read_power(&maas, "c1").await.unwrap();
    fake.advance(100);
    Fencer::read_power(&maas, "c1").await.unwrap();
    assert_eq!(fake.lines(), [FIND, QUERY, QUERY]);
    *state.lock().unwrap() = "off";
    assert_eq!(Fencer::read_power(&maas, "c1").await.unwrap().power, Power::Off);
    assert_eq!(fake.lines()[3..], [QUERY, FIND]);
    fake.advance(5);
    assert_eq!(Fencer::read_power(&maas, "c1").await.unwrap().power, Power::Off);
    assert_eq!(fake.lines()[5..], [QUERY], "looked at 5 s ago");
    fake.advance(3600);
    Fencer::read_power(&maas, "c1").await.unwrap();
    assert_eq!(fake.lines()[6..], [FIND, QUERY], "forgotten after an hour");
}

#[tokio::test]
async fn the_off_of_a_machine_that_lost_the_name_proves_nothing() {
    let finds = AtomicUsize::new(0);
    let fake = Fake::start(move |recorded| match recorded.line.as_str() {
        FIND if finds.fetch_add(1, Ordering::SeqCst) > 0 => {
            Some(Reply::Json(200, json!([machine("new", "c1")])))
        }
        QUERY => Some(Reply::Json(200, json!({"state": "off"}))),
        "GET machines/new/?op=query_power_state" => Some(Reply::Json(200, json!({"state": "on"}))),
        _ => None,
    })
    .await;
    let maas = fake.maas();
    assert_eq!(Fencer::read_power(&maas, "c1").await.unwrap().power, Power::Off);
    fake.advance(60);
    let error = Fencer::read_power(&maas, "c1").await.unwrap_err();
    assert_eq!(error.fault.class, FaultClass::Transient);
    assert!(
        error.fault.text.contains("machine new for host c1, not abc"),
        "{error}"
    );
    assert_eq!(
        Fencer::read_power(&maas, "c1").await.unwrap().power,
        Power::On,
        "the new machine is asked from then on"
    );
}

#[tokio::test]
async fn a_machine_that_is_gone_is_looked_up_again() {
    let finds = AtomicUsize::new(0);
    let fake = Fake::start(move |recorded| match recorded.line.as_str() {
        FIND if finds.fetch_add(1, Ordering::SeqCst) > 0 => {
            Some(Reply::Json(200, json!([machine("new", "c1")])))
        }
        QUERY => Some(Reply::With(404, Vec::new(), "Not Found".into())),
        "GET machines/new/?op=query_power_state" => Some(Reply::Json(200, json!({"state": "on"}))),
        _ => None,
    })
    .await;
    assert_eq!(
        Fencer::read_power(&fake.maas(), "c1").await.unwrap().power,
        Power::On
    );
    assert_eq!(
        fake.lines(),
        [FIND, QUERY, FIND, "GET machines/new/?op=query_power_state"]
    );
}

#[tokio::test]
async fn power_off_is_hard_and_looks_first() {
    let fake = Fake::start(|_| None).await;
    let maas = fake.maas();
    Fencer::read_power(&maas, "c1").await.unwrap();
    let reason = format!("tachi recovery r1 & more: {}", "é".repeat(300));
    Fencer::power_off(&maas, "c1", &reason).await.unwrap();
    assert_eq!(
        fake.lines(),
        [FIND, QUERY, FIND, OFF],
        "looked up again in spite of the cache"
    );
    let body = fake.recorded.lock().unwrap().last().unwrap().body.clone();
    let form = reqwest::Url::parse(&format!("http://x/?{body}")).unwrap();
    let pairs: Vec<(String, String)> = form.query_pairs().into_owned().collect();
    assert_eq!(pairs[0], ("stop_mode".to_owned(), "hard".to_owned()));
    assert_eq!(pairs[1].0, "comment");
    assert!(pairs[1].1.starts_with("tachi recovery r1 & more: é"));
    assert_eq!(pairs[1].1.chars().count(), MAX_COMMENT_CHARS);
}

#[tokio::test]
async fn a_given_system_id_is_used_without_asking_for_the_name() {
    let fake = Fake::start(|_| None).await;
    let given = BTreeMap::from([("nova-host-7".to_owned(), "abc".to_owned())]);
    let maas = fake.maas_with(|options| options.system_ids = given);
    Fencer::read_power(&maas, "nova-host-7").await.unwrap();
    Fencer::power_off(&maas, "nova-host-7", "r").await.unwrap();
    assert_eq!(fake.lines(), [SHOW, QUERY, SHOW, OFF]);
}

#[tokio::test]
async fn a_power_off_that_maas_cannot_do_is_not_taken_for_done() {
    let reply = |status, body: &'static str| move || Reply::With(status, Vec::new(), body.into());
    let wrong = || Reply::Json(200, machine("other", "c1"));
    // (case, answer, class and maybe_done)
    let cases: Vec<(&str, Answer, (FaultClass, bool))> = vec![
        (
            "null",
            Box::new(reply(200, "null")),
            (FaultClass::Permanent, false),
        ),
        ("empty", Box::new(reply(200, "")), (FaultClass::Permanent, false)),
        (
            "not JSON",
            Box::new(reply(200, "<html>")),
            (FaultClass::Transient, true),
        ),
        ("another machine", Box::new(wrong), (FaultClass::Permanent, true)),
        ("400", Box::new(reply(400, "bad")), (FaultClass::Permanent, false)),
        ("401", Box::new(reply(401, "no")), (FaultClass::Permanent, false)),
        (
            "403",
            Box::new(reply(403, "not yours")),
            (FaultClass::Permanent, false),
        ),
        (
            "404",
            Box::new(reply(404, "gone")),
            (FaultClass::Permanent, false),
        ),
        ("408", Box::new(reply(408, "slow")), (FaultClass::Transient, true)),
        (
            "409",
            Box::new(reply(409, "state")),
            (FaultClass::Permanent, false),
        ),
        (
            "429",
            Box::new(reply(429, "slow down")),
            (FaultClass::Transient, false),
        ),
        ("500", Box::new(reply(500, "oops")), (FaultClass::Transient, true)),
        (
            "502",
            Box::new(reply(502, "proxy")),
            (FaultClass::Transient, true),
        ),
        (
            "503",
            Box::new(reply(503, "no rack")),
            (FaultClass::Transient, true),
        ),
        (
            "504",
            Box::new(reply(504, "no BMC")),
            (FaultClass::Transient, true),
        ),
        (
            "a redirect",
            Box::new(reply(302, "")),
            (FaultClass::Permanent, false),
        ),
    ];
    for (case, answer, expected) in cases {
        let fake = Fake::start(answering(OFF, answer)).await;
        let fault = Fencer::power_off(&fake.maas(), "c1", "r")
            .await
            .unwrap_err()
            .fault;
        assert_eq!(
            (fault.class, fault.maybe_done),
            expected,
            "{case}: {}",
            fault.text
        );
        assert_eq!(
            fake.lines().iter().filter(|line| *line == OFF).count(),
            1,
            "{case}: sent once"
        );
    }
}

#[tokio::test]
async fn hosts_that_maas_cannot_switch_are_refused_before_any_command() {
    let manual = || {
        let mut one = machine("abc", "c1");
        one["power_type"] = json!("manual");
        Reply::Json(200, json!([one]))
    };
    let two = || Reply::Json(200, json!([machine("abc", "c1"), machine("def", "c1")]));
    let odd = || Reply::Json(200, json!([machine("../x", "c1")]));
    let other = || Reply::Json(200, json!([machine("abc", "c10")]));
    let cases: Vec<(&str, Answer)> = vec![
        ("has the power type", Box::new(manual)),
        ("2 machines", Box::new(two)),
        ("as a system id", Box::new(odd)),
        ("no machine", Box::new(other)),
        ("no machine", Box::new(|| Reply::Json(200, json!([])))),
    ];
    for (part, answer) in cases {
        let fake = Fake::start(answering(FIND, answer)).await;
        let maas = fake.maas();
        for error in [
            Fencer::read_power(&maas, "c1").await.unwrap_err(),
            Fencer::power_off(&maas, "c1", "r").await.unwrap_err(),
        ] {
            assert_eq!(
                (error.fault.class, error.fault.maybe_done),
                (FaultClass::Permanent, false),
                "{error}"
            );
            assert!(error.fault.text.contains(part), "{error}");
        }
        assert_eq!(fake.lines(), [FIND, FIND], "{part}");
    }
}

#[tokio::test]
async fn hostile_host_names_stay_inside_their_query_value() {
    let fake = Fake::start(|recorded| {
        recorded
            .line
            .starts_with("GET machines/?")
            .then(|| Reply::Json(200, json!([])))
    })
    .await;
    let maas = fake.maas();
    for (host, expected) in [
        ("a/b", "GET machines/?hostname=a%2Fb"),
        ("a?op=x", "GET machines/?hostname=a%3Fop%3Dx"),
        ("a&op=power_off", "GET machines/?hostname=a%26op%3Dpower_off"),
        ("ü", "GET machines/?hostname=%C3%BC"),
    ] {
        Fencer::read_power(&maas, host).await.unwrap_err();
        assert_eq!(fake.lines().last().unwrap(), expected);
    }
}

#[tokio::test]
async fn each_request_has_a_nonce_of_its_own_and_the_time() {
    let fake = Fake::start(|_| None).await;
    let maas = fake.maas();
    for _ in 0..5 {
        Fencer::read_power(&maas, "c1").await.unwrap();
    }
    assert_eq!(maas.whoami().await.unwrap(), "tachi");
    let headers: Vec<String> = fake
        .recorded
        .lock()
        .unwrap()
        .iter()
        .map(|recorded| recorded.authorization.clone())
        .collect();
    let nonces: std::collections::HashSet<&str> = headers
        .iter()
        .map(|header| {
            header
                .split("oauth_nonce=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(nonces.len(), headers.len());
    assert!(
        headers
            .iter()
            .all(|header| header.contains(&format!("oauth_timestamp=\"{NOW}\"")))
    );
    assert!(
        headers
            .iter()
            .all(|header| header.contains("oauth_signature=\"%26s3cret-of-the-fixture\""))
    );
}

/// Covers ROW10.
#[tokio::test]
async fn a_refused_key_is_distinguished_from_a_wrong_clock() {
    // (MAAS's date, the expected message): the clock here is at 22:13:20
    for (date, expected) in [
        ("Tue, 14 Nov 2023 22:13:20 GMT", "check maas_api_key"),
        ("Tue, 14 Nov 2023 22:12:20 GMT", "check maas_api_key"),
        (
            "Tue, 14 Nov 2023 22:03:20 GMT",
            "this clock is 600 s ahead of MAAS's",
        ),
        (
            "Tue, 14 Nov 2023 22:23:20 GMT",
            "this clock is 600 s behind MAAS's",
        ),
    ] {
        let headers = vec![("date", date.to_owned())];
        let fake = Fake::start(answering(FIND, move || {
            Reply::With(401, headers.clone(), "Authorization Error".into())
        }))
        .await;
        let error = Fencer::read_power(&fake.maas(), "c1").await.unwrap_err();
        assert_eq!(
            (error.fault.status, error.fault.class),
            (Some(401), FaultClass::Permanent)
        );
        assert!(error.fault.text.contains(expected), "{date}: {error}");
    }
}

/// Covers ROW14.
#[tokio::test]
async fn a_lost_power_off_may_still_take_effect_and_a_lost_reading_not() {
    let fake =
        Fake::start(|recorded| matches!(recorded.line.as_str(), OFF | QUERY).then_some(Reply::Hang)).await;
    let maas = fake.maas_with(|options| {
        options.timeout = Duration::from_millis(200);
        options.query_timeout = Duration::from_millis(200);
    });
    let off = Fencer::power_off(&maas, "c1", "r").await.unwrap_err().fault;
    assert_eq!(
        (off.class, off.maybe_done),
        (FaultClass::Transient, true),
        "{}",
        off.text
    );
    let read = Fencer::read_power(&maas, "c1").await.unwrap_err().fault;
    assert_eq!(
        (read.class, read.maybe_done),
        (FaultClass::Transient, false),
        "{}",
        read.text
    );
}

/// Covers ROW6.
#[tokio::test]
async fn a_refused_connection_did_nothing() {
    let url = format!("http://127.0.0.1:{}/MAAS", tachi_testkit::free_port());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let maas = Maas::new(MaasOptions::new(url, KEY.into()), clock).unwrap();
    let fault = Fencer::power_off(&maas, "c1", "r").await.unwrap_err().fault;
    assert_eq!(
        (fault.class, fault.maybe_done, fault.status),
        (FaultClass::Transient, false, None)
    );
    assert!(fault.text.contains("refused"), "{}", fault.text);
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_allowed() {
    let semaphore = Arc::new(tokio::sync::Semaphore::new(0));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/MAAS", listener.local_addr().unwrap());
    let (shared_semaphore, in_now, in_most) = (Arc::clone(&semaphore), Arc::clone(&now), Arc::clone(&most));
    let router = Router::new().fallback(move || {
        let (semaphore, now, most) = (
            Arc::clone(&shared_semaphore),
            Arc::clone(&in_now),
            Arc::clone(&in_most),
        );
        async move {
            let under_way = now.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(under_way, Ordering::SeqCst);
            semaphore.acquire().await.unwrap().forget();
            now.fetch_sub(1, Ordering::SeqCst);
            axum::Json(json!({"username": "tachi"}))
        }
    });
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut options = MaasOptions::new(url, KEY.into());
    options.concurrency = 3;
    let maas = Arc::new(Maas::new(options, Arc::new(ManualClock::default())).unwrap());
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let maas = Arc::clone(&maas);
            tokio::spawn(async move { maas.whoami().await })
        })
        .collect();
    while now.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    semaphore.add_permits(12);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
    server.abort();
}

#[test]
fn wrong_options_stop_the_start() {
    let make = |change: fn(&mut MaasOptions)| {
        let mut options = MaasOptions::new("https://maas.example/MAAS", KEY.into());
        change(&mut options);
        Maas::new(options, Arc::new(ManualClock::default())).map(|_| ())
    };
    assert!(make(|_| ()).is_ok());
    assert!(matches!(
        make(|o| o.url = "http://maas.example/MAAS".into()),
        Err(SetupError::Url { .. })
    ));
    assert!(make(|o| (o.url, o.allow_http) = ("http://maas.example/MAAS".into(), true)).is_ok());
    assert!(matches!(
        make(|o| o.api_key = "a:b".into()),
        Err(SetupError::ApiKey)
    ));
    assert!(matches!(
        make(|o| o.ca_file = Some("/nonexistent/ca".into())),
        Err(SetupError::Authorities { .. })
    ));
    let given = make(|o| o.system_ids = BTreeMap::from([("c1".to_owned(), "../x".to_owned())]));
    assert!(matches!(given, Err(SetupError::SystemId { .. })));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Captures the log of this thread until the guard is dropped.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish()
            .set_default()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn a_maas_without_tls_is_logged_once_per_address() {
    let log = Log::default();
    let _guard = log.listen();
    // Addresses that no other test uses: the set of known addresses belongs to the process.
    for url in [
        "http://once-1.example/MAAS",
        "http://once-1.example/MAAS",
        "http://once-2.example/MAAS",
        "http://once-1.example/MAAS/",
        "https://once-3.example/MAAS",
    ] {
        let mut options = MaasOptions::new(url, KEY.into());
        options.allow_http = true;
        Maas::new(options, Arc::new(ManualClock::default())).unwrap();
    }
    let text = log.text();
    let warnings: Vec<&str> = text.lines().filter(|line| line.contains("without TLS")).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("once-1") && warnings[1].contains("once-2"),
        "{warnings:?}"
    );
}

/// Covers I9.
#[tokio::test]
async fn power_commands_are_audited_and_the_key_is_not() {
    let log = Log::default();
    let _guard = log.listen();
    let calls = AtomicUsize::new(0);
    let fake = Fake::start(move |recorded| {
        let refused = recorded.line == OFF && calls.fetch_add(1, Ordering::SeqCst) == 1;
        refused.then_some(Reply::With(
            403,
            Vec::new(),
            "s3cret-of-the-fixture may not".into(),
        ))
    })
    .await;
    let options = MaasOptions::new(&fake.url, KEY.into());
    let shown = format!("{:?} {options:?}", fake.maas());
    let fencers = Fencers::new(
        Topology::of_maas(options),
        Arc::clone(&fake.clock) as Arc<dyn Clock>,
    );
    let target = fencers.levels("c1").remove(0).devices.remove(0).target;
    fencers.read_power("c1", &target).await.unwrap();
    fencers.power_off("c1", &target, "recovery r1").await.unwrap();
    let error = fencers.power_off("c1", &target, "recovery r1").await.unwrap_err();
    tracing::info!("{shown} {error:?} {fencers:?}");
    let text = log.text();
    let audit: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("tachi::audit"))
        .collect();
    let parts = ["sending", "accepted", "sending", "failed"];
    assert_eq!(audit.len(), parts.len(), "{audit:?}");
    for (line, part) in audit.iter().zip(parts) {
        assert!(
            line.contains(part) && line.contains("INFO") && line.contains("c1"),
            "{line}"
        );
    }
    assert!(audit[0].contains("recovery r1") && audit[3].contains("*** may not"));
    for secret in ["s3cret-of-the-fixture", "token-of-the-fixture"] {
        assert!(!text.contains(secret), "{secret} in the log");
    }
}

fn plug(at_device: Option<&str>) -> Plug {
    Plug::new("c1", at_device.map(ToOwned::to_owned)).unwrap()
}

#[tokio::test]
async fn power_on_is_asked_only_of_a_machine_that_is_off() {
    const ON: &str = "POST machines/abc/?op=power_on";
    for (state, expected) in [("off", true), ("on", false), ("unknown", false), ("error", false)] {
        let fake = Fake::start(move |recorded| match recorded.line.as_str() {
            QUERY => Some(Reply::Json(200, json!({"state": state}))),
            ON => Some(Reply::Json(200, machine("abc", "c1"))),
            _ => None,
        })
        .await;
        let outcome = fake.maas().power_on(&plug(None), "back to service").await;
        assert_eq!(outcome.is_ok(), expected, "{state}: {outcome:?}");
        assert_eq!(fake.lines().contains(&ON.to_owned()), expected, "{state}");
        if expected {
            let body = fake.recorded.lock().unwrap().last().unwrap().body.clone();
            assert_eq!(body, "comment=back+to+service");
        }
    }
}

#[tokio::test]
async fn a_plug_may_name_the_system_id() {
    let fake = Fake::start(|_| None).await;
    let maas = fake.maas();
    let named = Plug::new("nova-host-7", Some("abc".into())).unwrap();
    Device::read_power(&maas, &named).await.unwrap();
    Device::power_off(&maas, &named, "r").await.unwrap();
    assert_eq!(fake.lines(), [SHOW, QUERY, SHOW, OFF]);
    for hostile in ["../users", "abc/../def", "abc?op=power_on", "abc%2f"] {
        let error = Device::power_off(&maas, &plug(Some(hostile)), "r")
            .await
            .unwrap_err();
        assert_eq!(error.fault.class, FaultClass::Permanent, "{error}");
    }
    assert_eq!(fake.lines().len(), 4, "nothing was asked for those");
}

/// Covers R4.
#[tokio::test]
async fn a_process_stopped_before_the_command_sends_none() {
    for (hours, sent) in [(0, true), (1, false)] {
        let clock = Arc::<ManualClock>::default();
        let hand = Arc::clone(&clock);
        let script = move |recorded: &SeenRequest| {
            if recorded.line == FIND {
                hand.advance(Duration::from_hours(hours));
            }
            None
        };
        let fake = Fake {
            clock,
            ..Fake::start(script).await
        };
        let maas = fake.maas();
        let outcome = maas.power_off(&plug(None), "r").await;
        assert_eq!(outcome.is_ok(), sent, "{outcome:?}");
        assert_eq!(fake.lines().iter().any(|line| line == OFF), sent);
        assert!(outcome.err().is_none_or(|error| !error.fault.maybe_done));
    }
}
