//! Read routes for operators.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tachi_domain::recovery::Life;
use tachi_domain::{RecoveryId, ServerId, Wait, WaitsFor};
use tachi_engine::ports::operator::MoveLine;
use uuid::Uuid;

use super::bench::{Bench, TestResponse};
use super::operator_journal::{NOW, SERVER, recovery};

const SITUATION: &str = "/operator/v1/situation";

async fn codes(bench: &Bench) -> (Value, Vec<String>) {
    let situation = bench.get(SITUATION).await.root("situation");
    let findings = situation["findings"].as_array().unwrap().iter();
    let codes = findings
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect();
    (situation, codes)
}

async fn by(bench: &Bench, token: &str, path: &str) -> TestResponse {
    bench.raw("GET", path, &[("x-auth-token", token)], "").await
}

#[tokio::test]
async fn operator_api_data_has_its_age_and_stale_data_shows_nothing_as_good() {
    let bench = Bench::new();
    let (young, found) = codes(&bench).await;
    assert_eq!(young["grade"], "ok", "{found:?}");
    assert_eq!(young["instances"]["protected"], 1, "{young}");
    assert_eq!(
        young["facts"][0],
        json!({"kind": "computes", "as_of": "2026-11-20T06:15:03.000Z", "age_seconds": 5, "fresh": true})
    );
    assert_eq!(young["hosts"][0]["protection"], "protected");
    assert_eq!(young["segments"][0]["working"], 3);

    *bench.operator_journal.age.lock().unwrap() = Some(46);
    let (old, found) = codes(&bench).await;
    assert!(found.contains(&"FACTS_OLD".to_owned()), "{found:?}");
    assert_eq!(old["instances"]["protected"], 0, "{old}");
    assert_eq!(old["facts"][1]["fresh"], false);
    for host in old["hosts"].as_array().unwrap() {
        assert_ne!(host["protection"], "protected", "{host}");
    }

    *bench.operator_journal.age.lock().unwrap() = None;
    let (never, found) = codes(&bench).await;
    assert_eq!(found[0], "NO_ENGINE");
    assert_eq!(never["grade"], "err");
    assert_eq!(
        (&never["instances"], &never["looked_at"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        never["facts"][0],
        json!({"kind": "computes", "as_of": null, "age_seconds": null, "fresh": false})
    );
}

#[tokio::test]
async fn operator_api_parts_of_the_situation_have_their_own_routes() {
    let bench = Bench::new();
    *bench.operator_journal.age.lock().unwrap() = Some(46);
    let (whole, _) = codes(&bench).await;
    assert_eq!(
        bench.get("/operator/v1/findings").await.root("findings"),
        whole["findings"]
    );
    assert_eq!(
        bench.get("/operator/v1/hosts").await.root("hosts"),
        whole["hosts"]
    );
}

#[tokio::test]
async fn operator_api_the_schedule_needs_the_read_rule() {
    const PATH: &str = "/operator/v1/schedule";
    let bench = Bench::new();
    let row = json!({
        "job": "doctor", "when": "daily 03:00", "last_at": "2026-11-20T06:15:08.000Z", "took_seconds": 6.1, "grade": "err",
        "result": "2 errors", "next_at": null,
    });
    assert_eq!(bench.get(PATH).await.root("schedule"), json!([row]));
    for (token, status) in [
        ("service-reader", 200),
        ("reader", 403),
        ("masakari_monitor", 403),
        ("nobody", 401),
    ] {
        assert_eq!(by(&bench, token, PATH).await.status, status, "{token}");
    }
    bench
        .operator_journal
        .broken
        .store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(bench.get(PATH).await.status, 503);
}

#[tokio::test]
async fn operator_api_a_forecast_without_facts_promises_nothing_and_wrong_names_are_refused() {
    let bench = Bench::new();
    let answer = bench.get("/operator/v1/forecast").await.root("forecast");
    assert!(
        answer["trouble"].as_str().unwrap().contains("Placement"),
        "{answer}"
    );
    assert_eq!(answer["lost"], Value::Null);
    let segments = answer["segments"].as_array().unwrap();
    assert!(!segments.is_empty());
    for segment in segments {
        assert_eq!(segment["headroom"], Value::Null, "{segment}");
        for host in segment["hosts"].as_array().unwrap() {
            assert_eq!(host["room"], "unknown", "{host}");
        }
    }
    let answer = bench
        .get("/operator/v1/forecast?lose=a,%20b")
        .await
        .root("forecast");
    assert_eq!(answer["lost"]["lost"], json!(["a", "b"]));
    assert_eq!(answer["lost"]["room"], "unknown");
    for query in [
        "segment=none",
        "segment=",
        "lose=nobody",
        "lose=a,nobody",
        "lose=%27",
    ] {
        let (status, kind, _) = bench.get(&format!("/operator/v1/forecast?{query}")).await.fault();
        assert_eq!((status, kind.as_str()), (404, "itemNotFound"), "{query}");
    }
}

#[tokio::test]
async fn operator_api_hosts_and_instances_are_explained_by_any_of_their_names() {
    let bench = Bench::new();
    let server = SERVER.to_string();
    for path in [&server, "2950", "%3Cscript%3Ealert(1)%3C%2Fscript%3E"] {
        let got = bench
            .get(&format!("/operator/v1/instances/{path}/explanation"))
            .await;
        let answer = got.root("explanations");
        assert_eq!(
            (&answer[0]["id"], &answer[0]["protection"]),
            (&json!(server), &json!("protected")),
            "{path}"
        );
    }
    let answer = bench
        .get("/operator/v1/hosts/a/explanation")
        .await
        .root("explanations");
    assert_eq!(
        (&answer[0]["kind"], &answer[0]["name"]),
        (&json!("host"), &json!("a"))
    );
    assert_eq!(answer[0]["hosted"][0]["id"], json!(server), "{answer}");
    assert!(answer[0]["levels"].is_array(), "{answer}");
    let long = "x".repeat(3_000);
    for name in [
        "d",
        "2950",
        "%2e%2e",
        "a%2Fb",
        "%00",
        "%0a%0d",
        "%27%20OR%201=1",
        "%E2%80%AE",
        long.as_str(),
    ] {
        for path in [format!("hosts/{name}"), format!("instances/{name}-")] {
            let got = bench.get(&format!("/operator/v1/{path}/explanation")).await;
            let (status, kind, _) = got.fault();
            assert_eq!((status, kind.as_str()), (404, "itemNotFound"), "{path}");
        }
    }
    // A value that is not text is not a name.
    let got = bench.get("/operator/v1/hosts/%ff/explanation").await;
    assert_eq!(got.status, 404);
    *bench.operator_journal.age.lock().unwrap() = None;
    let (_, _, answer) = bench
        .get(&format!("/operator/v1/instances/{server}/explanation"))
        .await
        .fault();
    assert!(
        answer.contains("No engine has listed Nova's instances yet"),
        "{answer}"
    );
}

#[tokio::test]
async fn operator_api_a_past_time_span_is_shown_and_an_invalid_one_is_refused() {
    let bench = Bench::new();
    *bench.operator_journal.hosts.lock().unwrap() = vec!["a"];
    let got = bench
        .get("/operator/v1/hosts/a/past?from=2026-11-20T03:00:00Z&to=2026-11-20T03:20:00Z")
        .await;
    let past = got.root("past");
    assert_eq!(past["from"], "2026-11-20T03:00:00.000Z", "{past}");
    assert_eq!(past["to"], "2026-11-20T03:20:00.000Z");
    assert_eq!(past["reports"], json!([]));
    assert!(!past["unknown"].as_array().unwrap().is_empty(), "{past}");
    // Without times: the last 20 minutes.
    let past = bench.get("/operator/v1/hosts/a/past").await.root("past");
    assert_ne!(past["from"], past["to"]);
    for query in [
        "from=yesterday",
        "from=2026-11-20T03:00:00Z&to=2026-11-20T02:59:59Z",
        "from=2026-11-20T03:00:00Z&to=2026-11-21T03:00:01Z",
        "from=1970-01-01&to=9999-12-31",
        "to=",
    ] {
        let got = bench.get(&format!("/operator/v1/hosts/a/past?{query}")).await;
        assert_eq!(got.status, 400, "{query}");
    }
    let got = bench.get("/operator/v1/hosts/nobody/past").await;
    let (status, _, answer) = got.fault();
    assert_eq!(status, 404);
    assert_eq!(answer, "Nothing is stored about a host nobody.");
    assert_eq!(got.json()["itemNotFound"]["reason"], "no_records");
}

#[tokio::test]
async fn operator_api_a_404_has_a_reason_unless_the_path_is_unknown() {
    let bench = Bench::new();
    for (path, reason) in [
        ("/operator/v1/hosts/nobody/explanation", json!("unknown_name")),
        ("/operator/v1/instances/nobody/explanation", json!("unknown_name")),
        ("/operator/v1/hosts/nobody/failure", json!("unknown_name")),
        ("/operator/v1/hosts/nobody/drain", json!("unknown_name")),
        ("/operator/v1/hosts/nobody/return", json!("unknown_name")),
        ("/operator/v1/forecast?lose=nobody", json!("unknown_name")),
        ("/operator/v1/hosted-instances?host=nobody", json!("unknown_name")),
        ("/operator/v1/recoveries/nobody", json!("unknown_name")),
        ("/operator/v1/hosts/nobody/past", json!("no_records")),
        ("/operator/v1/nothing", Value::Null),
        ("/operator/v1/hosts/nobody/nothing", Value::Null),
        // Masakari's clients get Masakari's envelope.
        ("/v1/segments/nobody", Value::Null),
    ] {
        let got = bench.get(path).await;
        assert_eq!(got.status, 404, "{path}: {}", got.text);
        assert_eq!(got.json()["itemNotFound"]["reason"], reason, "{path}");
    }
}

#[tokio::test]
async fn operator_api_a_thousand_recoveries_come_in_pages_and_each_once() {
    let bench = Bench::new();
    let all = (0..1_000).map(|number| recovery(1_000 - number, &format!("compute-{number:04}")));
    *bench.operator_journal.recoveries.lock().unwrap() = all.collect();
    let (mut seen, mut marker, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let got = bench
            .get(&format!("/operator/v1/recoveries?limit=300{marker}"))
            .await;
        let page = got.root("recoveries");
        let page = page.as_array().unwrap();
        assert!(page.len() <= 300);
        let Some(last) = page.last() else { break };
        marker = format!("&marker={}", last["recovery"].as_str().unwrap());
        for one in page {
            assert!(seen.insert(one["recovery"].as_str().unwrap().to_owned()), "{one}");
        }
        pages += 1;
    }
    assert_eq!((seen.len(), pages), (1_000, 4));
    let most = bench
        .get("/operator/v1/recoveries?limit=99999999999999999999")
        .await;
    assert_eq!(most.root("recoveries").as_array().unwrap().len(), 1_000);
    assert_eq!(
        bench
            .get("/operator/v1/recoveries?limit=0")
            .await
            .root("recoveries"),
        json!([])
    );
    // Texts that start no id, and wildcards of the database.
    for query in ["id=x", "id=%25", "id=0000_"] {
        let got = bench.get(&format!("/operator/v1/recoveries?{query}")).await;
        assert_eq!(got.root("recoveries"), json!([]), "{query}");
    }
    let nobody = Uuid::nil();
    for query in [
        "limit=-1",
        "limit=x",
        "marker=x",
        "marker=",
        &format!("marker={nobody}"),
        "state=x",
        "state=",
        "all=x",
        "since=x",
        "host=a%00",
    ] {
        let got = bench.get(&format!("/operator/v1/recoveries?{query}")).await;
        assert_eq!(got.status, 400, "{query}: {}", got.text);
    }
}

#[tokio::test]
async fn operator_api_recoveries_are_listed_by_state_and_shown_completely() {
    let bench = Bench::new();
    let mut closed = recovery(2, "b");
    closed.life = Life::Closed;
    closed.status = "failed".to_owned();
    *bench.operator_journal.recoveries.lock().unwrap() = vec![recovery(3, "a"), closed];
    for (query, expected) in [
        ("", &["a"][..]),
        ("all=yes", &["a", "b"]),
        ("state=failed", &["b"]),
        ("state=held&host=a", &["a"]),
        ("state=held&host=b", &[]),
        ("segment=%27%3B%20DROP", &[]),
        ("id=0000", &["a"]),
        ("id=0000&all=yes", &["a", "b"]),
        ("id=00000001", &[]),
    ] {
        let got = bench
            .get(&format!("/operator/v1/recoveries?{query}"))
            .await
            .root("recoveries");
        let hosts: Vec<_> = got
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["host"].as_str().unwrap())
            .collect();
        assert_eq!(hosts, expected, "{query}");
    }
    let path = format!("/operator/v1/recoveries/{}", Uuid::from_u128(3));
    let answer = bench.get(&path).await.root("recovery");
    assert_eq!((&answer["host"], &answer["claim"]), (&json!("a"), &json!(1)));
    assert_eq!(answer["word"], Value::Null);
    assert_eq!(
        (&answer["steps"][0]["text"], &answer["instances"]),
        (&json!("held"), &json!([]))
    );
    for id in [Uuid::nil().to_string(), "x".to_owned(), "%00".to_owned()] {
        assert_eq!(
            bench.get(&format!("/operator/v1/recoveries/{id}")).await.status,
            404,
            "{id}"
        );
    }
}

#[tokio::test]
async fn operator_api_the_report_of_a_recovery_is_a_file_and_the_same_each_time() {
    let bench = Bench::new();
    let hostile = "a\"><script>alert(1)</script>";
    *bench.operator_journal.recoveries.lock().unwrap() = vec![recovery(3, hostile)];
    let id = Uuid::from_u128(3);
    let path = format!("/operator/v1/recoveries/{id}/report");
    for (query, kind, name) in [
        ("", "text/markdown; charset=utf-8", "md"),
        ("?format=md", "text/markdown; charset=utf-8", "md"),
        ("?format=html", "text/html; charset=utf-8", "html"),
    ] {
        let got = bench.get(&format!("{path}{query}")).await;
        assert_eq!(
            (got.status, got.header("content-type")),
            (200, Some(kind)),
            "{query}"
        );
        let kept = format!("attachment; filename=\"recovery-{id}.{name}\"");
        assert_eq!(got.header("content-disposition"), Some(kept.as_str()));
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
        assert!(got.text.contains("reported 2026-"), "{}", got.text);
        assert!(!got.text.contains("<script>"), "{}", got.text);
        let again = bench.get(&format!("{path}{query}")).await;
        assert_eq!(again.text, got.text);
    }
    for (requested, status) in [
        (format!("{path}?format=pdf"), 400),
        (format!("/operator/v1/recoveries/{}/report", Uuid::nil()), 404),
        ("/operator/v1/recoveries/..%2f/report?format=html".to_owned(), 404),
    ] {
        let got = bench.get(&requested).await;
        assert_eq!(got.status, status, "{requested}");
        assert_eq!(
            got.header("content-type"),
            Some("application/json; charset=UTF-8"),
            "a refusal is one as any other"
        );
    }
    for (token, status) in [
        ("service-reader", 200),
        ("reader", 403),
        ("masakari_monitor", 403),
        ("nobody", 401),
    ] {
        assert_eq!(by(&bench, token, &path).await.status, status, "{token}");
    }
}

pub(super) fn waiting(what: WaitsFor, life: Life, state: &Value) -> MoveLine {
    MoveLine {
        recovery: RecoveryId(Uuid::from_u128(3)),
        host: "a".to_owned(),
        life,
        opened_at: NOW,
        server: ServerId(SERVER),
        name: "web".to_owned(),
        rank: 0,
        dest: None,
        wait: Some(Wait {
            what,
            on: ["b".to_owned()].into(),
            since: NOW,
        }),
        may_run: ["b".to_owned()].into(),
        message: None,
        state: state.to_string(),
    }
}

/// The subjects of the document's examples exist.
pub(super) fn as_in_examples(bench: &Bench) {
    bench
        .operator_journal
        .hosts
        .lock()
        .unwrap()
        .extend(["compute-001", "compute-004"]);
    *bench.operator_journal.muted_reporters.lock().unwrap() =
        vec![super::maintenance::muted_reporter(7, "a")];
    let mut on_hold = recovery(1, "a");
    on_hold.id = "e241c4a2-1111-4222-8333-0123456789ab".parse().unwrap();
    *bench.operator_journal.recoveries.lock().unwrap() = vec![on_hold];
    let mut given_up = waiting(WaitsFor::GivenUp, Life::Open, &Value::Null);
    given_up.server = "6128798e-1111-4222-8333-0123456789ab".parse().unwrap();
    *bench.operator_journal.moves.lock().unwrap() = vec![given_up];
}

#[tokio::test]
async fn operator_api_instances_that_need_an_operator_have_commands() {
    let bench = Bench::new();
    *bench.operator_journal.moves.lock().unwrap() = vec![
        waiting(WaitsFor::Absence, Life::Open, &Value::Null),
        waiting(WaitsFor::Nothing, Life::Open, &Value::Null),
    ];
    let got = bench.get("/operator/v1/instances").await.root("instances");
    assert_eq!(got.as_array().unwrap().len(), 2);
    let got = bench
        .get("/operator/v1/instances?needs_person=true")
        .await
        .root("instances");
    assert_eq!(got.as_array().unwrap().len(), 1);
    assert_eq!(
        got[0]["commands"][0],
        format!("tachi instance resolve {SERVER} --running-on b")
    );
}

/// One request lists the instances of all hosts.
#[tokio::test]
async fn operator_api_instances_on_hosts_have_their_host_and_who_dismissed_them() {
    let bench = Bench::new();
    let path = "/operator/v1/hosted-instances";
    let got = bench.get(path).await.root("instances");
    assert_eq!(got.as_array().unwrap().len(), 1);
    assert_eq!((&got[0]["host"], &got[0]["id"]), (&json!("a"), &json!(SERVER)));
    assert_eq!(got[0]["dismissed_by"], Value::Null);
    for (query, count) in [("host=a", 1), ("host=b", 0), ("down=true", 0)] {
        let got = bench.get(&format!("{path}?{query}")).await.root("instances");
        assert_eq!(got.as_array().unwrap().len(), count, "{query}");
    }
    let got = bench.get(&format!("{path}?host=ghost")).await;
    assert_eq!(got.status, 404);
    *bench.operator_journal.down.lock().unwrap() = vec!["a"];
    let got = bench.get(&format!("{path}?down=true")).await.root("instances");
    assert_eq!(got[0]["protection"], "down");
}

#[tokio::test]
async fn operator_api_only_admins_and_readers_of_the_service_project_read() {
    let bench = Bench::new();
    for (token, status) in [
        ("admin", 200),
        ("service-reader", 200),
        // Members of any project are readers there.
        ("reader", 403),
        ("member", 403),
        ("masakari_monitor", 403),
        ("masakari-monitor-a", 403),
        // An operator who gave monitors the reader role.
        ("service-monitor", 403),
        ("service", 403),
        ("nobody", 401),
    ] {
        for path in [
            SITUATION,
            "/operator/v1/recoveries",
            "/operator/v1/hosts/a/explanation",
        ] {
            let got = by(&bench, token, path).await;
            assert_eq!(got.status, status, "{token} {path}: {}", got.text);
            if status == 403 {
                let (_, _, answer) = got.fault();
                assert!(answer.contains("os_masakari_api:operator:read"), "{answer}");
            }
        }
    }
    assert_eq!(bench.raw("GET", SITUATION, &[], "").await.status, 401);
    for path in [
        "/operator/v1",
        "/operator/v1/",
        "/operator/v1/nothing",
        "/operator/v1/hosts/a",
    ] {
        assert_eq!(by(&bench, "admin", path).await.status, 404, "{path}");
        assert_eq!(bench.raw("GET", path, &[], "").await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn operator_api_an_unavailable_database_is_no_good_state() {
    let bench = Bench::new();
    bench
        .operator_journal
        .broken
        .store(true, std::sync::atomic::Ordering::SeqCst);
    for path in [
        "situation",
        "findings",
        "hosts",
        "hosts/a/explanation",
        "instances/x/explanation",
        "instances",
        "recoveries",
        &format!("recoveries/{}", Uuid::nil()),
        &format!("recoveries/{}/report", Uuid::nil()),
    ] {
        let got = bench.get(&format!("/operator/v1/{path}")).await;
        assert_eq!(got.status, 503, "{path}: {}", got.text);
        assert_eq!(got.header("retry-after"), Some("5"));
    }
}
