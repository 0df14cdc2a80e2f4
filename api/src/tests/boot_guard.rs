//! Answers to the boot guard of a hypervisor.

use serde_json::json;
use tachi_domain::RecoveryId;
use tachi_domain::host_recovery::BootHeldFor;
use tachi_engine::ports::registry::BootHold;
use uuid::Uuid;

use super::bench::Bench;

/// Covers R12, R25.
#[tokio::test]
async fn a_host_on_boot_hold_gets_the_reason_and_the_command() {
    let bench = Bench::new();
    let recovery = RecoveryId(Uuid::from_u128(7));
    for (waits_for, waits_text, part) in [
        (BootHeldFor::Recovery, "recovery", "tachi recovery show 00000000-"),
        (BootHeldFor::PowerOff, "power_off", "ordered a power-off"),
        (BootHeldFor::Queue, "queue", "tachi host return cmp1 shows how"),
    ] {
        let hold = BootHold { waits_for, recovery };
        bench.registry.rows().boot_holds.insert("cmp1".to_owned(), hold);
        for version in ["1.0", "1.3"] {
            let got = bench
                .get_at(version, "/v1/boot-guard/cmp1")
                .await
                .root("boot_guard");
            let reason = got["reason"].as_str().unwrap();
            assert!(reason.contains(part), "{reason}");
            let expected = json!({
                "host": "cmp1", "hold": true, "reason": reason, "waits_for": waits_text, "recovery": recovery,
            });
            assert_eq!(got, expected);
        }
    }
}

/// Covers R25.
#[tokio::test]
async fn a_host_without_a_record_is_not_held() {
    let bench = Bench::new();
    for name in ["cmp-9.json", "cmp-9.xml"] {
        let got = bench.get_at("1.0", &format!("/v1/boot-guard/{name}")).await;
        assert_eq!(
            got.root("boot_guard")["host"],
            name,
            "the whole name is asked for"
        );
    }
    let got = bench.get_at("1.0", "/v1/boot-guard/cmp-9.example.org").await;
    let got = got.root("boot_guard");
    assert_eq!(
        (&got["hold"], &got["recovery"], &got["waits_for"]),
        (&json!(false), &json!(null), &json!(null))
    );
    bench
        .registry
        .broken
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let got = bench.get_at("1.0", "/v1/boot-guard/cmp1").await;
    assert_eq!(got.status, 500, "no answer is not an answer");
    let long = "x".repeat(256);
    for name in ["a%00b", "a%0Ab", &long] {
        let got = bench.get_at("1.0", &format!("/v1/boot-guard/{name}")).await;
        assert_eq!(
            got.root("boot_guard")["hold"],
            false,
            "{name}: the database is not asked"
        );
    }
}

/// Covers R25.
#[tokio::test]
async fn monitors_and_services_may_ask_and_others_may_not() {
    let bench = Bench::new();
    for (token, status) in [
        ("admin", 200),
        ("masakari_monitor", 200),
        ("service", 200),
        ("member", 403),
    ] {
        let got = bench
            .raw(
                "GET",
                "/v1/boot-guard/cmp1",
                &[("x-auth-token", token)],
                String::new(),
            )
            .await;
        assert_eq!(got.status, status, "{token}");
    }
}
