//! The rate limit of reports (R18).

use serde_json::json;

use super::bench::{Bench, TestResponse, fault, notification};
use crate::{Options, Policy};

async fn report(bench: &Bench, token: &str, host: &str, hour: u8) -> TestResponse {
    let payload = json!({"event": "STOPPED", "process_name": "nova-compute"});
    let time = format!("2026-01-01T{hour:02}:00:00");
    let body = notification("PROCESS", host, &time, &payload).to_string();
    let headers = [("x-auth-token", token), ("content-type", "application/json")];
    bench.raw("POST", "/v1/notifications", &headers, body).await
}

/// Covers R18.
#[tokio::test]
async fn the_report_limit_applies_to_monitors_and_not_to_administrators() {
    let text = "os_masakari_api:notifications:create: rule:admin_api or role:masakari_monitor";
    let policy = Policy::with_text(text).unwrap();
    let bench = Bench::with(|options| Options {
        policy,
        notifications_per_segment: 2,
        ..options
    });
    for segment in ["one", "two"] {
        let made = bench.segment(segment).await;
        for host in ["a", "b", "c"] {
            bench.host(&made, &format!("{segment}-{host}")).await;
        }
    }
    // An administrator's report reveals the segment of each host, and does not count against the limit.
    for host in ["one-a", "one-b", "one-c", "two-a"] {
        assert_eq!(report(&bench, "admin", host, 1).await.status, 202);
    }
    let monitor = "masakari_monitor";
    for (host, status) in [("one-a", 202), ("one-b", 202), ("two-a", 202)] {
        let got = report(&bench, monitor, host, 5).await;
        assert_eq!(got.status, status, "{host}: {}", got.text);
    }
    bench
        .registry
        .broken
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let got = report(&bench, monitor, "one-c", 5).await;
    let text = "Too many notifications for one segment; try again in 61 s.";
    assert_eq!(
        got.fault(),
        fault(429, "overLimit", text),
        "the database is not asked"
    );
    assert_eq!(got.header("retry-after"), Some("61"));
    bench
        .registry
        .broken
        .store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(report(&bench, "admin", "one-c", 5).await.status, 202);
    bench.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(report(&bench, monitor, "one-c", 9).await.status, 202);
}
