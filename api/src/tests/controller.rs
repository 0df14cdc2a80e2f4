//! Data of a controller over the API: read permission, refusals with reasons, no changes.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Value, json};
use tachi_operator::{
    AuditRequest, AuditView, FromNovaSegmentView, FromNovaView, ReturnCheckView, ReturnStepView, ReturnView,
};

use super::bench::{Bench, TestResponse, fault};
use crate::{Controller, QueryError};

const PATHS: &[&str] = &[
    "/operator/v1/audit",
    "/operator/v1/hosts/a/return",
    "/operator/v1/from-nova",
];

/// A machine with three log entries, and a Nova.
#[derive(Default)]
pub(super) struct Machine {
    pub(super) requests: Mutex<Vec<AuditRequest>>,
    pub(super) unavailable: Mutex<bool>,
}

impl Machine {
    fn answers(&self) -> Result<(), QueryError> {
        if *self.unavailable.lock().unwrap() {
            return Err(QueryError::Unavailable {
                service: "Nova",
                what: "listing Nova's services",
                source: "secret: connection refused by 10.0.0.1".into(),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Controller for Machine {
    async fn audit(&self, wish: AuditRequest) -> Result<AuditView, QueryError> {
        self.answers()?;
        let after = match wish.marker.as_deref() {
            None => 0,
            Some("m2") => 2,
            Some(other) => return Err(QueryError::Marker(other.to_owned())),
        };
        let line = |seq: usize| json!({"seq": seq, "host": "a", "text": "\u{1b}[2J<script>"});
        let lines = (0..3).skip(after).take(wish.limit);
        let lines = lines.map(|seq| line(seq).as_object().unwrap().clone()).collect();
        self.requests.lock().unwrap().push(wish);
        Ok(AuditView {
            machine: "ctl-1".to_owned(),
            logs: vec!["/var/log/masakari/fencing-audit.jsonl".to_owned()],
            lines,
            unread: Vec::new(),
            marker: (after == 0).then(|| "m2".to_owned()),
        })
    }

    async fn host_return(&self, host: &str) -> Result<ReturnView, QueryError> {
        self.answers()?;
        match host {
            "a" => Ok(ReturnView {
                host: host.to_owned(),
                segment: "s1".to_owned(),
                ready: false,
                checks: vec![ReturnCheckView {
                    verdict: "ASK".to_owned(),
                    text: "Nova's migrations cannot be read: 503".to_owned(),
                }],
                steps: vec![ReturnStepView {
                    done: None,
                    text: "switch it on".to_owned(),
                    commands: vec!["virsh list --all".to_owned()],
                }],
            }),
            "twins" => Err(QueryError::Refused("two hosts are called twins".to_owned())),
            _ => Err(QueryError::Unknown(format!("no host is called {host:?}"))),
        }
    }

    async fn proposal(&self, by: &str, default_zone: Option<&str>) -> Result<FromNovaView, QueryError> {
        self.answers()?;
        if by == "rack" {
            return Err(QueryError::Refused(
                "nothing says which host is in which rack".to_owned(),
            ));
        }
        Ok(FromNovaView {
            segments: vec![FromNovaSegmentView {
                name: default_zone.unwrap_or(by).to_owned(),
                segment: None,
                hosts: vec!["b".to_owned()],
            }],
            stay: 1,
            left: Vec::new(),
            without_level: None,
        })
    }
}

async fn by(bench: &Bench, token: &str, path: &str) -> TestResponse {
    bench.raw("GET", path, &[("x-auth-token", token)], "").await
}

#[tokio::test]
async fn operator_api_controller_data_needs_the_read_rule_and_503_is_no_answer() {
    let bench = Bench::new();
    for path in PATHS {
        for (token, status) in [
            ("service-reader", 200),
            ("admin", 200),
            ("reader", 403),
            ("masakari_monitor", 403),
            ("masakari-monitor-a", 403),
            ("nobody", 401),
        ] {
            assert_eq!(by(&bench, token, path).await.status, status, "{token} {path}");
        }
    }
    *bench.machine.unavailable.lock().unwrap() = true;
    for path in PATHS {
        let (status, _, answer) = bench.get(path).await.fault();
        assert_eq!(status, 503, "{path}");
        // Internal details appear in the log only.
        assert!(
            answer.starts_with("Nova is temporarily") && !answer.contains("10.0.0.1"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn operator_api_the_audit_log_is_paged() {
    let bench = Bench::new();
    let answer = bench.get("/operator/v1/audit?limit=2").await.root("audit");
    assert_eq!(
        (
            &answer["machine"],
            &answer["marker"],
            answer["lines"].as_array().unwrap().len()
        ),
        (&json!("ctl-1"), &json!("m2"), 2)
    );
    let last = bench
        .get("/operator/v1/audit?limit=2&marker=m2&host=a&recovery=E241")
        .await
        .root("audit");
    assert_eq!(
        (&last["marker"], &last["lines"][0]["seq"]),
        (&Value::Null, &json!(2))
    );
    let request = bench.machine.requests.lock().unwrap().last().unwrap().clone();
    assert_eq!(
        request,
        AuditRequest {
            host: Some("a".into()),
            recovery: Some("e241".into()),
            marker: Some("m2".into()),
            limit: 2,
        }
    );
    for query in ["limit=x", "limit=-1", "marker=..%2F", "marker="] {
        let got = bench.get(&format!("/operator/v1/audit?{query}")).await;
        assert_eq!(got.status, 400, "{query}: {}", got.text);
    }
}

#[tokio::test]
async fn operator_api_host_returns_and_imports_are_previewed_or_refused_with_a_reason() {
    let bench = Bench::new();
    let answer = bench.get("/operator/v1/hosts/a/return").await.root("return");
    assert_eq!(
        (
            &answer["ready"],
            &answer["checks"][0]["verdict"],
            &answer["steps"][0]["done"]
        ),
        (&json!(false), &json!("ASK"), &Value::Null)
    );
    let got = bench.get("/operator/v1/hosts/%3Cb%3E/return").await.fault();
    assert_eq!(got, fault(404, "itemNotFound", "no host is called \"<b>\""));
    assert_eq!(bench.get("/operator/v1/hosts/twins/return").await.status, 409);

    let answer = bench.get("/operator/v1/from-nova").await.root("from_nova");
    assert_eq!(answer["segments"][0]["name"], "zone");
    let answer = bench
        .get("/operator/v1/from-nova?by=aggregate&default_zone=az9")
        .await
        .root("from_nova");
    assert_eq!(answer["segments"][0]["name"], "az9");
    assert_eq!(bench.get("/operator/v1/from-nova?by=rack").await.status, 409);
    let (status, _, answer) = bench.get("/operator/v1/from-nova?by=%27").await.fault();
    assert_eq!(status, 400);
    assert!(answer.contains("is not one of zone, aggregate, rack"), "{answer}");
}
