mod regions;

use std::io::Write;
use std::sync::atomic::AtomicUsize;

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::*;
use crate::Nova;
use crate::fake::{Fake, KeystoneMode, PASSWORD, RecordedRequest, Reply, version_document};
use crate::fault::ErrorScope;
use tachi_engine::ports::{Compute as _, ServerCalls as _};
use tachi_keystone::{ApplicationCredential, Credentials, Region};

fn server_id() -> tachi_domain::ServerId {
    "11111111-2222-3333-4444-555555555555".parse().unwrap()
}

fn read(place: RequestPath<'static>) -> Call<'static> {
    Call {
        service: Service::Compute,
        method: Method::GET,
        place,
        query: &[],
        version: Some(ApiVersion(2, 53)),
        subject: None,
        body: None,
        effect: Effect::Read,
        about: ErrorScope::Object,
        // The clock of the tests begins here.
        started_at: tachi_testkit::BOOTED,
    }
}

const THINGS: RequestPath<'static> = RequestPath::Path(&["things"]);

fn is_thing(recorded: &RecordedRequest) -> bool {
    recorded.path.starts_with("/v2.1/things")
}

async fn things() -> Fake {
    Fake::start(|recorded| {
        if is_thing(recorded) {
            Reply::Json(200, json!({}))
        } else {
            Reply::Unscripted
        }
    })
    .await
}

#[tokio::test]
async fn a_request_carries_token_microversion_and_ids() {
    let fake = things().await;
    let session = fake.session().await;
    session.call(&read(THINGS)).await.unwrap();
    session.call(&read(THINGS)).await.unwrap();
    let calls = fake.calls();
    assert_eq!(calls[0].header("x-auth-token"), "token-1");
    assert_eq!(calls[0].header("openstack-api-version"), "compute 2.53");
    assert_eq!(calls[0].header("x-openstack-nova-api-version"), "");
    assert!(calls[0].header("user-agent").starts_with("tachi/"));
    let ids: Vec<&str> = calls
        .iter()
        .map(|call| call.header("x-openstack-request-id"))
        .collect();
    assert!(
        ids.iter().all(|id| id.starts_with("req-") && id.len() == 40),
        "{ids:?}"
    );
    assert_ne!(ids[0], ids[1], "each sending has its own id");
    assert_eq!(fake.token_requests(), 1);
}

#[tokio::test]
async fn a_request_made_for_another_carries_its_id() {
    let fake = things().await;
    let session = fake.session().await;
    let id: Arc<str> = Arc::from("req-6128798e-1111-4222-8333-0123456789ab");
    tachi_engine::correlation::under(Arc::clone(&id), session.call(&read(THINGS)))
        .await
        .unwrap();
    assert_eq!(fake.calls()[0].header("x-openstack-request-id"), &*id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_renewed_once_for_all_calls_that_meet_it() {
    let fake = things().await;
    let session = fake.session().await;
    session.call(&read(THINGS)).await.unwrap();
    fake.revoke();
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.call(&read(THINGS)).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(
        fake.token_requests(),
        2,
        "one at the start and one after the revocation"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_token_is_asked_for_once_by_all() {
    let fake = things().await;
    let session = fake.session().await;
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.call(&read(THINGS)).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(fake.token_requests(), 1);
}

#[tokio::test]
async fn a_call_is_replayed_once_only() {
    let fake = things().await;
    fake.keystone(KeystoneMode::Useless);
    let error = fake.session().await.call(&read(THINGS)).await.err().unwrap();
    assert_eq!(
        (error.fault.status, error.fault.class),
        (Some(401), FaultClass::Fatal)
    );
    assert_eq!(fake.calls().len(), 2);
    assert_eq!(fake.token_requests(), 2);
    assert!(!error.fault.text.contains("token-"), "{error}");
}

#[tokio::test]
async fn what_keystone_refuses_has_its_class() {
    let cases = [
        (300, FaultClass::Fatal),
        (400, FaultClass::Fatal),
        (401, FaultClass::Fatal),
        (403, FaultClass::Fatal),
        (404, FaultClass::Fatal),
        (409, FaultClass::Fatal),
        (429, FaultClass::Transient),
        (500, FaultClass::Transient),
        (502, FaultClass::Transient),
        (503, FaultClass::Transient),
    ];
    let fake = things().await;
    for (status, class) in cases {
        fake.keystone(KeystoneMode::Status(status));
        let mut call = read(THINGS);
        call.effect = Effect::Once;
        let error = fake.session().await.call(&call).await.err().unwrap();
        assert_eq!((error.fault.status, error.fault.class), (Some(status), class));
        assert!(
            !error.fault.maybe_done,
            "{status}: the call itself was never sent"
        );
        assert!(!error.fault.text.contains(PASSWORD), "{error}");
        assert!(error.fault.text.contains("keystone"), "{error}");
    }
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn a_failed_renewal_is_shared_by_all_calls_that_wait_for_it() {
    let fake = Fake::start(|_| Reply::Unscripted).await;
    fake.keystone(KeystoneMode::Status(503));
    let session = fake.session().await;
    let calls = (0..32).map(|_| async { session.call(&read(THINGS)).await });
    let outcomes = futures_util::future::join_all(calls).await;
    assert!(outcomes.iter().all(|outcome| {
        outcome
            .as_ref()
            .is_err_and(|e| e.fault.class == FaultClass::Transient)
    }));
    assert_eq!(fake.token_requests(), 1);
    assert!(session.call(&read(THINGS)).await.is_err());
    assert_eq!(fake.token_requests(), 2, "a later call requests a token again");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_for_all_calls_that_wait() {
    let fake = Fake::start(|_| Reply::Unscripted).await;
    fake.keystone(KeystoneMode::Status(401));
    let session = fake.session().await;
    let outcomes =
        futures_util::future::join_all((0..32).map(|_| async { session.call(&read(THINGS)).await })).await;
    assert!(outcomes.iter().all(|outcome| {
        outcome
            .as_ref()
            .is_err_and(|e| e.fault.class == FaultClass::Fatal)
    }));
    assert_eq!(fake.token_requests(), 1);

    fake.clock.advance(Duration::from_secs(4));
    assert!(session.call(&read(THINGS)).await.is_err());
    assert_eq!(fake.token_requests(), 1, "nor soon after");
    fake.clock.advance(Duration::from_secs(1));
    assert!(session.call(&read(THINGS)).await.is_err());
    assert_eq!(fake.token_requests(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_used_while_keystone_is_down() {
    let fake = things().await;
    let session = fake.session().await;
    let call = || async {
        session
            .call(&read(THINGS))
            .await
            .map(|_| ())
            .map_err(|e| e.fault.class)
    };
    assert_eq!(call().await, Ok(()));
    fake.clock.advance(Duration::from_secs(2900));
    assert_eq!(call().await, Ok(()));
    assert_eq!(fake.token_requests(), 1, "not before its time");

    fake.clock.advance(Duration::from_secs(200));
    fake.keystone(KeystoneMode::Status(503));
    assert_eq!(call().await, Ok(()));
    assert_eq!(call().await, Ok(()));
    assert_eq!(
        fake.token_requests(),
        2,
        "a failed early renewal is not tried with every call"
    );

    fake.clock.advance(Duration::from_secs(31));
    fake.keystone(KeystoneMode::Good(3600));
    assert_eq!(call().await, Ok(()));
    assert_eq!(fake.token_requests(), 3);

    fake.clock.advance(Duration::from_hours(2));
    fake.keystone(KeystoneMode::Status(503));
    assert_eq!(
        call().await,
        Err(FaultClass::Transient),
        "a token that has ended is of no use"
    );
}

#[tokio::test]
async fn tokens_that_live_shorter_than_ten_minutes_are_used_too() {
    let fake = things().await;
    fake.keystone(KeystoneMode::Good(120));
    let session = fake.session().await;
    for _ in 0..5 {
        session.call(&read(THINGS)).await.unwrap();
    }
    assert_eq!(fake.token_requests(), 1);
}

#[tokio::test]
async fn a_write_that_was_prepared_for_too_long_does_not_leave() {
    let clock = Arc::new(Mutex::new(None::<Arc<tachi_testkit::ManualClock>>));
    let in_script = Arc::clone(&clock);
    let fake = Fake::start(move |recorded| {
        if recorded.path == "/v3/auth/tokens" {
            in_script
                .lock()
                .unwrap()
                .iter()
                .for_each(|clock| clock.advance(Duration::from_millis(501)));
        }
        if is_thing(recorded) {
            Reply::Json(200, json!({}))
        } else {
            Reply::Unscripted
        }
    })
    .await;
    *clock.lock().unwrap() = Some(Arc::clone(&fake.clock));
    for (effect, leaves) in [
        (Effect::Once, false),
        (Effect::Idempotent, false),
        (Effect::Read, true),
    ] {
        let session = fake.session().await;
        let mut call = read(THINGS);
        (call.effect, call.started_at) = (effect, session.now());
        let before = fake.calls().len();
        let outcome = session.call(&call).await;
        assert_eq!(fake.calls().len() - before, usize::from(leaves), "{effect:?}");
        if let Err(error) = outcome {
            assert_eq!(
                (error.fault.class, error.fault.maybe_done),
                (FaultClass::Transient, false)
            );
            // The token is cached now, so the next attempt is sent at once.
            call.started_at = session.now();
            session.call(&call).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_deadline_and_may_have_been_done() {
    let fake = Fake::start(|recorded| {
        if is_thing(recorded) {
            Reply::Hang
        } else {
            Reply::Unscripted
        }
    })
    .await;
    let session = fake
        .session_with(|options| options.keystone.timeout = Duration::from_millis(200))
        .await;
    for (effect, maybe_done) in [
        (Effect::Read, false),
        (Effect::Idempotent, true),
        (Effect::Once, true),
    ] {
        let mut call = read(THINGS);
        call.effect = effect;
        let error = session.call(&call).await.err().unwrap();
        assert_eq!(
            (error.fault.class, error.fault.status),
            (FaultClass::Transient, None),
            "{effect:?}"
        );
        assert_eq!(error.fault.maybe_done, maybe_done, "{effect:?}");
    }
}

#[tokio::test]
async fn a_call_that_waits_for_keystone_was_not_done() {
    let fake = things().await;
    fake.keystone(KeystoneMode::Hang);
    let session = fake
        .session_with(|options| options.keystone.timeout = Duration::from_millis(200))
        .await;
    let mut call = read(THINGS);
    call.effect = Effect::Once;
    let error = session.call(&call).await.err().unwrap();
    assert_eq!(
        (error.fault.class, error.fault.maybe_done),
        (FaultClass::Transient, false)
    );
}

/// A server that closes the connection after it has read a request.
async fn closing_server() -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v2.1", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            stream.shutdown().await.unwrap();
        }
    });
    (url, task)
}

#[tokio::test]
async fn a_connection_lost_after_sending_may_have_been_done_and_a_refused_one_not() {
    let fake = things().await;
    let (closing, task) = closing_server().await;
    let refusing = format!("http://127.0.0.1:{}/v2.1", tachi_testkit::free_port());
    for (endpoint, lost) in [(closing, true), (refusing, false)] {
        let session = fake
            .session_with(|options| options.compute_endpoint = Some(endpoint.clone()))
            .await;
        for effect in [Effect::Read, Effect::Idempotent, Effect::Once] {
            let mut call = read(THINGS);
            call.effect = effect;
            let error = session.call(&call).await.err().unwrap();
            assert_eq!(
                (error.fault.class, error.fault.status),
                (FaultClass::Transient, None),
                "{error}"
            );
            assert_eq!(
                error.fault.maybe_done,
                lost && effect.writes(),
                "{endpoint} {effect:?}: {error}"
            );
            assert!(error.source.is_some());
        }
    }
    task.abort();
}

#[tokio::test]
async fn an_incomplete_answer_is_an_error_unless_its_body_is_unused() {
    let fake = Fake::start(|recorded| {
        if is_thing(recorded) {
            Reply::Broken(200)
        } else {
            Reply::Unscripted
        }
    })
    .await;
    let session = fake.session().await;
    for (effect, expected) in [
        (Effect::Read, Some(false)),
        (Effect::Idempotent, Some(true)),
        (Effect::Once, None),
    ] {
        let mut call = read(THINGS);
        call.effect = effect;
        let got = session
            .call(&call)
            .await
            .err()
            .map(|error| error.fault.maybe_done);
        assert_eq!(got, expected, "{effect:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other_service = things().await;
    let target = format!("{}/v2.1/things", other_service.url);
    let fake = Fake::start(move |recorded| {
        if is_thing(recorded) {
            Reply::Raw(302, vec![("location", target.clone())], String::new())
        } else {
            Reply::Unscripted
        }
    })
    .await;
    let error = fake.session().await.call(&read(THINGS)).await.err().unwrap();
    assert_eq!(
        (error.fault.status, error.fault.class),
        (Some(302), FaultClass::Fatal)
    );
    assert!(error.fault.text.contains(&other_service.url), "{error}");
    assert!(other_service.recorded().is_empty(), "the token went nowhere else");
}

#[tokio::test]
async fn retry_after_holds_further_calls_back() {
    let count = AtomicUsize::new(0);
    let fake = Fake::start(move |recorded| {
        if !is_thing(recorded) {
            return Reply::Unscripted;
        }
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Raw(429, vec![("retry-after", "7".to_owned())], "slow down".to_owned()),
            _ => Reply::Json(200, json!({})),
        }
    })
    .await;
    let session = fake.session().await;
    let error = session.call(&read(THINGS)).await.err().unwrap();
    assert_eq!(
        (error.fault.status, error.fault.class),
        (Some(429), FaultClass::Transient)
    );
    assert!(error.fault.text.contains("retry after 7 s"), "{error}");
    fake.clock.advance(Duration::from_secs(6));
    let mut write = read(THINGS);
    (write.effect, write.started_at) = (Effect::Once, session.now() + Duration::from_secs(1));
    let too_early = session.call(&write).await.err().unwrap();
    assert_eq!(
        (too_early.fault.class, too_early.fault.maybe_done),
        (FaultClass::Transient, false)
    );
    assert_eq!(fake.calls().len(), 1);
    fake.clock.advance(Duration::from_secs(1));
    session.call(&write).await.unwrap();
}

#[tokio::test]
async fn a_refusal_keeps_novas_message() {
    let fake = Fake::start(|recorded| {
        if is_thing(recorded) {
            Reply::Json(
                409,
                json!({"conflictingRequest": {"code": 409, "message": "in task_state\nspawning"}}),
            )
        } else {
            Reply::Unscripted
        }
    })
    .await;
    let error = fake.session().await.call(&read(THINGS)).await.err().unwrap();
    let expected = "nova: GET /things returned 409 Conflict: in task_state spawning (req-of-the-fake)";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.fault.class, FaultClass::Conflict);
}

#[tokio::test]
async fn an_endpoint_that_is_not_in_the_catalogue_is_named() {
    let fake = things().await;
    let session = fake
        .session_with(|options| options.keystone.region = Region::Named("two".to_owned()))
        .await;
    let error = session.call(&read(THINGS)).await.err().unwrap();
    assert_eq!(error.fault.class, FaultClass::Fatal);
    assert!(
        error
            .fault
            .text
            .contains("in region two; it has: compute:nova (public@one)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_moved_endpoint_is_found_with_the_next_token() {
    let fake = things().await;
    let session = fake.session().await;
    session.call(&read(THINGS)).await.unwrap();
    let first = session.os(1).endpoint_filters().clone();
    fake.revoke();
    session.call(&read(THINGS)).await.unwrap();
    assert_eq!(
        session.inner.os.lock().unwrap().0,
        2,
        "the cache belongs to the second token"
    );
    assert_eq!(session.os(2).endpoint_filters(), &first, "and the filters stay");
}

#[tokio::test]
async fn odd_path_segments_stay_one_segment() {
    let fake = Fake::start(|_| Reply::Json(200, json!({}))).await;
    let session = fake.session().await;
    for (segment, expected) in [
        ("a/b", "/v2.1/things/a%2Fb"),
        ("a?b=c#d", "/v2.1/things/a%3Fb=c%23d"),
        ("a b", "/v2.1/things/a%20b"),
        ("ü", "/v2.1/things/%C3%BC"),
        ("100%", "/v2.1/things/100%25"),
    ] {
        let path = ["things", segment];
        let mut call = read(THINGS);
        call.place = RequestPath::Path(&path);
        session.call(&call).await.unwrap();
        assert_eq!(fake.calls().last().unwrap().path, expected);
    }
}

#[tokio::test]
async fn a_session_can_be_made_while_keystone_is_down() {
    let options = Options::new(
        "http://127.0.0.1:9",
        Credentials::ApplicationCredential {
            credential: ApplicationCredential::Id("a".into()),
            secret: PASSWORD.into(),
        },
    );
    let clock: Arc<dyn Clock> = Arc::new(tachi_testkit::ManualClock::default());
    let session = Session::new(options, clock).await.unwrap();
    let mut call = read(THINGS);
    call.effect = Effect::Once;
    let error = session.call(&call).await.err().unwrap();
    assert_eq!(
        (error.fault.class, error.fault.maybe_done),
        (FaultClass::Transient, false)
    );
    assert!(error.fault.text.contains("refused"), "{error}");
}

#[tokio::test]
async fn wrong_addresses_stop_the_start() {
    let clock: Arc<dyn Clock> = Arc::new(tachi_testkit::ManualClock::default());
    for (auth_url, endpoint) in [
        ("nowhere", None),
        ("http://127.0.0.1:9", Some("unix:/run/nova")),
        ("http://127.0.0.1:9", Some("http://u:hunter2@nova/v2.1")),
    ] {
        let mut options = Options::new(
            auth_url,
            Credentials::ApplicationCredential {
                credential: ApplicationCredential::Id("a".into()),
                secret: "b".into(),
            },
        );
        options.compute_endpoint = endpoint.map(ToOwned::to_owned);
        let error = Session::new(options, Arc::clone(&clock))
            .await
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_of_any_level_holds_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let _guard = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish()
        .set_default();
    let fake = Fake::start(|recorded| match recorded.path.as_str() {
        "/v2.1/" => Reply::Json(200, version_document("2.1", "2.96")),
        _ => Reply::Json(
            500,
            json!({"message": format!("you sent {}", recorded.header("x-auth-token"))}),
        ),
    })
    .await;
    let session = fake.session().await;
    let nova = Nova::new(session.clone());
    fake.keystone(KeystoneMode::Status(401));
    nova.evacuate(server_id(), None).await.unwrap_err();
    fake.keystone(KeystoneMode::Good(3600));
    fake.clock.advance(Duration::from_secs(5));
    nova.service("c1").await.unwrap_err();
    fake.revoke();
    nova.evacuate(server_id(), None).await.unwrap_err();
    session
        .validate_token("subject-of-the-fixture")
        .await
        .unwrap_err();
    tracing::info!("{session:?} {nova:?} {:?}", fake.options());
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("nova::evacuate"), "the log was captured");
    assert!(text.contains("you sent ***"), "what Nova said was captured");
    for secret in [
        "token-1",
        "token-2",
        "token-3",
        "token-4",
        "subject-of-the-fixture",
        PASSWORD,
    ] {
        assert!(!text.contains(secret), "{secret} in the log");
    }
}

#[tokio::test]
async fn a_users_token_is_explained() {
    let fake = Fake::start(
        |recorded| match (recorded.path.as_str(), recorded.header("x-subject-token")) {
            ("/v3/auth/tokens", "good") => Reply::Json(
                200,
                json!({"token": {
                    "user": {"id": "u1", "name": "alice", "domain": {"id": "default", "name": "Default"}},
                    "project": {"id": "p1", "name": "web", "domain": {"id": "d2", "name": "Two"}},
                    "roles": [{"id": "r1", "name": "member"}, {"id": "r2", "name": "reader"}],
                    "expires_at": "2023-11-14T22:13:20.000000Z",
                }}),
            ),
            ("/v3/auth/tokens", "system") => Reply::Json(
                200,
                json!({"token": {
                    "user": {"id": "u1", "name": "alice", "domain": {"id": "default", "name": "Default"}},
                    "system": {"all": true},
                    "is_admin_project": false,
                    "roles": [{"id": "r1", "name": "admin"}],
                    "expires_at": "2023-11-14T22:13:20.000000Z",
                }}),
            ),
            ("/v3/auth/tokens", "limited") => Reply::Json(
                200,
                json!({"token": {
                    "user": {"id": "u1", "name": "alice", "domain": {"id": "default", "name": "Default"}},
                    "application_credential": {"id": "a1", "name": "ac", "restricted": true, "access_rules": [
                        {"id": "x", "service": "instance-ha", "method": "GET", "path": "/v1/**"},
                    ]},
                    "expires_at": "2023-11-14T22:13:20.000000Z",
                }}),
            ),
            ("/v3/auth/tokens", "broken") => Reply::Json(503, json!({})),
            _ => Reply::Json(404, json!({"error": {"message": "Could not find token"}})),
        },
    )
    .await;
    let session = fake.session().await;
    let info = session.validate_token("good").await.unwrap().unwrap();
    assert_eq!((info.user.id.as_str(), info.user.name.as_str()), ("u1", "alice"));
    assert_eq!(info.user_domain.id, "default");
    assert_eq!(info.project.map(|p| p.id).as_deref(), Some("p1"));
    assert_eq!(info.project_domain.map(|d| d.id).as_deref(), Some("d2"));
    assert_eq!(info.roles, ["member", "reader"]);
    assert_eq!(info.expires_at.micros(), 1_700_000_000_000_000);
    assert!(info.is_admin_project && info.domain.is_none() && info.system_scope.is_none());
    assert_eq!(info.access_rules, None, "good for everything");

    let info = session.validate_expired_token("system").await.unwrap().unwrap();
    assert_eq!(info.system_scope.as_deref(), Some("all"));
    assert!(info.project.is_none() && info.project_domain.is_none() && !info.is_admin_project);
    assert!(
        fake.calls().iter().all(|call| call.path == "/v3/auth/tokens"),
        "tokens are checked at keystone only"
    );
    let queries: Vec<String> = fake
        .recorded()
        .into_iter()
        .filter(|s| s.method == Method::GET)
        .map(|s| s.query)
        .collect();
    assert_eq!(queries, ["nocatalog=true", "nocatalog=true&allow_expired=1"]);

    let has_header = fake
        .recorded()
        .into_iter()
        .filter(|recorded| recorded.method == Method::GET)
        .all(|recorded| recorded.header("openstack-identity-access-rules") == "1.0");
    assert!(
        has_header,
        "Keystone hides limited tokens from those who do not look at access rules"
    );
    let info = session.validate_token("limited").await.unwrap().unwrap();
    let rule = crate::AccessRule {
        service: "instance-ha".into(),
        method: "GET".into(),
        path: "/v1/**".into(),
    };
    assert_eq!(info.access_rules, Some(vec![rule]));

    assert_eq!(session.validate_token("bad").await.unwrap(), None);
    let error = session.validate_token("broken").await.unwrap_err();
    assert_eq!(error.fault.class, FaultClass::Transient);

    let requests_before = fake.recorded().len();
    for hostile in ["", "a\r\nX-Roles: admin", "\u{0}", &"x".repeat(10_000)] {
        assert_eq!(
            session.validate_token(hostile).await.unwrap(),
            None,
            "{hostile:?}"
        );
    }
    assert_eq!(
        fake.recorded().len(),
        requests_before,
        "what cannot be a token is not sent"
    );
}
