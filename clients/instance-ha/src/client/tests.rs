use super::*;
use crate::error::Service;
use crate::fake::Fake;
use crate::lookup::{RegisteredHost, Registration};
use tachi_keystone::{Credentials, ResourceRef, Scope};

const BODY: &str = r#"{"notification": {}}"#;

fn options(url: &str) -> Options {
    let credentials = Credentials::Password {
        user: ResourceRef::name("masakari", None),
        password: "pw-in-answer".into(),
        scope: Scope::Project(ResourceRef::name("service", None)),
    };
    let mut options = Options::new(url, credentials);
    options.keystone.region = tachi_keystone::Region::Named("RegionOne".to_owned());
    options.keystone.timeout = Duration::from_secs(2);
    options
}

fn lines(fake: &Fake) -> Vec<String> {
    fake.requests().into_iter().map(|request| request.line).collect()
}

#[tokio::test]
async fn a_notification_goes_out_as_upstream_sends_it() {
    let fake = Fake::start().await;
    let client = Client::new(options(&fake.url)).unwrap();
    fake.then(
        "202 Accepted",
        "",
        r#"{"notification": {"notification_uuid": "n-1"}}"#,
    );
    let accepted = client.notify(BODY, None).await.unwrap();
    assert_eq!(
        accepted,
        Answer::Accepted {
            uuid: Some("n-1".into())
        }
    );
    let requests = fake.requests();
    assert_eq!(requests[1].line, "POST /v1/project/notifications");
    assert_eq!(requests[1].body, BODY);
    assert_eq!(requests[1].header("x-auth-token"), Some("token-1"));
    assert_eq!(requests[1].header("content-type"), Some("application/json"));
    // The server applies its smallest microversion, as upstream does.
    assert_eq!(requests[1].header("openstack-api-version"), None);
    assert_eq!(requests[1].header(EVIDENCE_HEADER), None);
    client.notify(BODY, Some("e30=")).await.unwrap();
    let requests = fake.requests();
    assert_eq!(requests.len(), 1, "one token serves all");
    assert_eq!(requests[0].header(EVIDENCE_HEADER), Some("e30="));
    let wrong = client.notify(BODY, Some("a\nb")).await.unwrap_err();
    assert_eq!(wrong.class, Class::Rejected);
}

#[tokio::test]
async fn a_failure_has_the_service_its_message_and_its_reason_beside_the_text() {
    let fake = Fake::start().await;
    let client = Client::new(options(&fake.url)).unwrap();
    let unknown = r#"{"itemNotFound": {"code": 404, "message": "No host x.", "reason": "unknown_name"}}"#;
    let other = r#"{"itemNotFound": {"code": 404, "message": "unknown_name"}}"#;
    for (body, detail, reason) in [
        (unknown, "No host x.", Some("unknown_name")),
        (other, "unknown_name", None),
        ("<html>", "<html>", None),
        (r#"{"reason": 1}"#, r#"{"reason": 1}"#, None),
    ] {
        fake.then("404 Not Found", "", body);
        let failed = client.get_operator(&["x"], &[]).await.unwrap_err();
        assert_eq!(
            (failed.detail.as_str(), failed.reason.as_deref()),
            (detail, reason),
            "{body}"
        );
        assert_eq!(failed.text, format!("GET /operator/v1/x: 404: {detail}"));
        assert_eq!(failed.service, Service::Api);
    }
    let client = Client::new(options("http://127.0.0.1:9")).unwrap();
    let failed = client.get_operator(&["x"], &[]).await.unwrap_err();
    assert_eq!((failed.service, failed.status), (Service::Keystone, None));
    assert_eq!(
        failed.text,
        format!("{}: {}", tachi_keystone::Failure::REQUEST_LINE, failed.detail)
    );
}

#[tokio::test]
async fn answers_are_classified_for_retries() {
    use Class::{Barred, Broken, Busy, Rejected, Unreachable};
    let cases = [
        ("400 Bad Request", "", Rejected, None),
        ("403 Forbidden", "", Barred, None),
        ("404 Not Found", "", Barred, None),
        ("302 Found", "Location: /x\r\n", Barred, None),
        ("413 Too Large", "", Rejected, None),
        ("429 Too Many", "Retry-After: 7\r\n", Busy, Some(7)),
        ("429 Too Many", "Retry-After: 99999999\r\n", Busy, Some(300)),
        ("429 Too Many", "Retry-After: soon\r\n", Busy, None),
        ("500 Oops", "", Broken, None),
        ("502 Bad Gateway", "", Unreachable, None),
        ("503 Unavailable", "Retry-After: 3\r\n", Busy, Some(3)),
        ("504 Timeout", "", Unreachable, None),
    ];
    let fake = Fake::start().await;
    let client = Client::new(options(&fake.url)).unwrap();
    for (status, headers, class, wait) in cases {
        fake.then(
            status,
            headers,
            r#"{"badRequest": {"message": "Host with name\nx could not be found"}}"#,
        );
        let failed = client.notify(BODY, None).await.unwrap_err();
        assert_eq!(
            (failed.class, failed.retry_after.map(|wait| wait.as_secs())),
            (class, wait),
            "{status}"
        );
        assert!(
            failed.text.contains(&status[..3]) && failed.text.contains("name x could"),
            "{failed}"
        );
    }
    fake.then("409 Conflict", "", "{}");
    assert_eq!(client.notify(BODY, None).await, Ok(Answer::Ignored));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let fake = Fake::start().await;
    let client = Client::new(options(&fake.url)).unwrap();
    fake.then("401 Unauthorized", "", "{}");
    client.notify(BODY, None).await.unwrap();
    let post = "POST /v1/project/notifications";
    let token = "POST /v3/auth/tokens";
    assert_eq!(lines(&fake), [token, post, token, post]);
    fake.then("401 Unauthorized", "", "{}");
    fake.then("401 Unauthorized", "", "{}");
    let failed = client.notify(BODY, None).await.unwrap_err();
    assert_eq!(failed.class, Class::Barred);
    assert_eq!(lines(&fake), [post, token, post]);
}

/// Covers MW4.
#[tokio::test]
async fn every_wait_has_a_deadline() {
    // Accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = options(&format!("http://{}", silent.local_addr().unwrap()));
    options.keystone.timeout = Duration::from_millis(200);
    let failed = Client::new(options)
        .unwrap()
        .notify(BODY, None)
        .await
        .unwrap_err();
    assert_eq!(failed.class, Class::Unreachable);
    assert!(failed.text.contains("no answer in time"), "{failed}");
}

#[tokio::test]
async fn failures_are_reported_without_secrets() {
    let fake = Fake::start().await;
    for (status, class) in [
        (401, Class::Barred),
        (403, Class::Barred),
        (404, Class::Barred),
        (500, Class::Unreachable),
        (429, Class::Unreachable),
    ] {
        fake.keystone_answers(Some(status));
        let client = Client::new(options(&fake.url)).unwrap();
        let failed = client.notify(BODY, None).await.unwrap_err();
        // A 404 would be read as one of the API.
        let expected = Some(status).filter(|status| *status != 404);
        assert_eq!((failed.class, failed.status), (class, expected));
        assert_eq!(failed.text.contains("; check auth_url in "), status == 404);
        assert!(!failed.text.contains("pw-in-answer"), "{failed}");
    }
    fake.keystone_answers(None);
    let client = Client::new(options(&fake.url)).unwrap();
    fake.without_catalog(true);
    let failed = client.login().await.unwrap_err();
    assert_eq!(failed.class, Class::Barred);
    fake.without_catalog(false);
    // Finds a service that was added to the catalogue meanwhile.
    assert!(client.login().await.unwrap().endpoint.ends_with("/v1/project"));
    fake.then_close();
    assert_eq!(
        client.notify(BODY, None).await.unwrap_err().class,
        Class::Unreachable
    );
    client.notify(BODY, None).await.unwrap();
}

/// Covers MW27.
#[tokio::test]
async fn a_clock_that_differs_is_known() {
    let fake = Fake::start().await;
    let client = Client::new(options(&fake.url)).unwrap();
    assert_eq!(client.skew_seconds(), None);
    fake.then("202 Accepted", "Date: Thu, 01 Jan 1970 00:00:10 GMT\r\n", "{}");
    client.notify(BODY, None).await.unwrap();
    let skew = client.skew_seconds().unwrap();
    assert!(skew < -1_000_000_000, "{skew}");
}

/// Covers MW13.
#[tokio::test]
async fn a_host_is_looked_for_in_every_page_of_every_segment() {
    let fake = Fake::start().await;
    let client = Client::new(options(&fake.url)).unwrap();
    let script = |name: &str| {
        fake.then(
            "200 OK",
            "",
            r#"{"segments": [{"id": 7, "uuid": "s-1", "name": "one"}]}"#,
        );
        fake.then(
            "200 OK",
            "",
            r#"{"segments": [{"uuid": "s-2", "name": "two"}, {"uuid": "../x", "name": "bad"}]}"#,
        );
        fake.then("200 OK", "", r#"{"segments": []}"#);
        fake.then("200 OK", "", r#"{"hosts": [{"uuid": "h-1", "name": "cmp9"}]}"#);
        fake.then("200 OK", "", r#"{"hosts": []}"#);
        let host = format!(r#"{{"hosts": [{{"uuid": "h-2", "name": "{name}", "on_maintenance": true}}]}}"#);
        fake.then("200 OK", "", &host);
        fake.then("200 OK", "", r#"{"hosts": []}"#);
    };
    script("cmp1");
    let found = Registration::of("cmp1", &client.registered_hosts().await.unwrap());
    let expected = Registration::In(RegisteredHost {
        name: "cmp1".into(),
        segment: "two".into(),
        on_maintenance: true,
    });
    assert_eq!(found, expected);
    let requests = lines(&fake);
    assert!(
        requests[2].ends_with("/segments?sort_key=id&sort_dir=asc&marker=7"),
        "{requests:?}"
    );
    let fake = Fake::start().await;
    let client = Client::new(options(&fake.url)).unwrap();
    fake.then("200 OK", "", r#"{"segments": [{"uuid": "s-1", "name": "one"}]}"#);
    fake.then("200 OK", "", r#"{"segments": []}"#);
    fake.then(
        "200 OK",
        "",
        r#"{"hosts": [{"uuid": "h-1", "name": "cmp1.maas"}]}"#,
    );
    fake.then("200 OK", "", r#"{"hosts": []}"#);
    let found = Registration::of("cmp1", &client.registered_hosts().await.unwrap());
    let expected = Registration::Not {
        similar: Some("cmp1.maas".into()),
        hosts: 1,
    };
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_token_is_used_as_long_as_it_lasts_while_keystone_is_away() {
    let fake = Fake::start().await;
    // The token is renewed after 1.5 s, and stays valid a little longer.
    fake.tokens_live(2);
    let client = Client::new(options(&fake.url)).unwrap();
    client.notify(BODY, None).await.unwrap();
    fake.keystone_answers(Some(503));
    tokio::time::timeout(Duration::from_secs(20), async {
        let renewal = "POST /v3/auth/tokens";
        let mut requests = lines(&fake);
        while requests.iter().filter(|line| *line == renewal).count() < 2 {
            client.notify(BODY, None).await.unwrap();
            requests.extend(lines(&fake));
            tokio::task::yield_now().await;
        }
        // The token has expired, and there is no other.
        while client.notify(BODY, None).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

/// Covers R25.
#[tokio::test]
async fn the_boot_guard_reads_the_answer_and_takes_nothing_else_for_one() {
    let fake = Fake::start().await;
    let client = Client::new(options(&fake.url)).unwrap();
    let hold_answer = r#"{"boot_guard": {"host": "cmp-1", "hold": true, "reason": "empty it\nnow", "waits_for": "queue",
        "recovery": "r-1", "more": 1}}"#;
    fake.then("200 OK", "", hold_answer);
    let answer = client.boot_guard("cmp-1").await.unwrap();
    assert!(
        answer.hold && answer.queue_only && !answer.reason.contains('\n'),
        "{answer:?}"
    );
    assert_eq!(answer.recovery.as_deref(), Some("r-1"));
    assert_eq!(lines(&fake)[1], "GET /v1/project/boot-guard/cmp-1");
    fake.then("200 OK", "", r#"{"boot_guard": {"hold": false}}"#);
    assert!(!client.boot_guard("cmp-1").await.unwrap().hold);
    // Masakari's API, a forbidden one, a failing one, and another service.
    for (status, body, class) in [
        ("404 Not Found", "{}", Class::Barred),
        ("403 Forbidden", "{}", Class::Barred),
        ("503 Service Unavailable", "{}", Class::Unreachable),
        ("200 OK", "<html>", Class::Broken),
        ("200 OK", r#"{"boot_guard": {}}"#, Class::Broken),
    ] {
        fake.then(status, "", body);
        assert_eq!(
            client.boot_guard("cmp-1").await.unwrap_err().class,
            class,
            "{status} {body}"
        );
    }
    for name in ["..", ".", "", "a/b", "a b", "a?b"] {
        assert_eq!(
            client.boot_guard(name).await.unwrap_err().class,
            Class::Rejected,
            "{name}"
        );
    }
}
