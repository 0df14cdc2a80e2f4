//! Levels of fence devices, with the real adapters against the region's MAAS and its outlets.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tachi_domain::NotificationId;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::policy::{FencingMode, Policy};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::{FactStore as _, OperatorJournal as _};
use tachi_engine::watcher::kind::COMMAND_TESTS;
use tachi_fence::Topology;
use tachi_sandbox::{PowerCommand, PowerQuery};
use tachi_testkit::{FakeHttp, Reply};
use uuid::Uuid;

use super::support::{Harness, quick_policy, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(60);

/// Configures the machine's BMC through MAAS, then its outlet, which works.
fn two_levels(harness: &Harness) -> String {
    let key = harness.folder.path().join("maas.key");
    let device = |name: &str, url: &str| {
        format!(
            "[[device]]\nname = \"{name}\"\ntype = \"maas\"\nendpoint = \"{url}\"\ncredential = \"file:{}\"\ntimeout = 4\npoll \
             = 0.3\n",
            key.display()
        )
    };
    let urls = harness.sandbox.urls();
    format!("{}{}", device("bmc", &urls.maas), device("pdu", &urls.outlets))
}

fn topology(harness: &Harness) -> Topology {
    Topology::parse("test", &two_levels(harness)).unwrap()
}

async fn history(harness: &Harness, notification: NotificationId) -> String {
    let rows = harness.store.operator_journal().recoveries(true).await.unwrap();
    let row = rows.iter().find(|row| row.notification == notification).unwrap();
    let history = harness
        .store
        .operator_journal()
        .history(row.id)
        .await
        .unwrap()
        .unwrap();
    let lines = history.steps.iter().map(|step| step.text.clone());
    lines.collect::<Vec<_>>().join("\n")
}

/// Covers ROW3.
#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_lies_or_is_dead_makes_way_for_the_next_and_nothing_runs_twice() {
    type Break = fn(&Harness);
    let cases: [(&str, Break); 3] = [
        ("it accepts and does nothing", |harness| {
            harness
                .sandbox
                .region()
                .faults()
                .maas_command(HOST, PowerCommand::Ignored)
                .unwrap();
        }),
        ("it is unreachable", |harness| {
            let region = harness.sandbox.region();
            region
                .faults()
                .maas_query(HOST, PowerQuery::Fails { status: 503 })
                .unwrap();
        }),
        ("it refuses", |harness| {
            let region = harness.sandbox.region();
            region
                .faults()
                .maas_query(HOST, PowerQuery::Fails { status: 403 })
                .unwrap();
        }),
    ];
    for (name, breaks) in cases {
        let harness = Harness::set(quick_region(4)).await;
        harness.protect().await;
        let servers = harness.boot(HOST, 6);
        breaks(&harness);
        // Its guests run on, and only the outlet can stop them.
        harness.sandbox.region().faults().link_loss(HOST).unwrap();
        let notification = harness.report(HOST).await;
        let engine = harness
            .engine_fenced(harness.journal(), quick_policy(), topology(&harness))
            .await;
        harness.until_finished(notification, LIMIT).await;
        harness.assert_each_exactly_once(&servers, HOST);
        let printed = history(&harness, notification).await;
        assert!(printed.contains("Next is level 2 (pdu)"), "{name}: {printed}");
        assert!(printed.contains("is off, by level 2"), "{name}: {printed}");
        engine.stop().await;
    }
}

/// Covers ROW7.
#[tokio::test(flavor = "multi_thread")]
async fn with_every_level_dead_the_recovery_is_on_hold_and_continues_when_one_is_repaired() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let region = harness.sandbox.region();
    region.faults().link_loss(HOST).unwrap();
    region
        .faults()
        .maas_query(HOST, PowerQuery::Fails { status: 503 })
        .unwrap();
    let notification = harness.report(HOST).await;
    let policy = Policy {
        fence_retry: Duration::from_secs(2),
        ..quick_policy()
    };
    let maas =
        tachi_fence::MaasOptions::new(harness.sandbox.urls().maas, harness.sandbox.maas_api_key().into());
    let engine = harness
        .engine_fenced(harness.journal(), policy, Topology::of_maas(maas))
        .await;
    until("it to be held", LIMIT, async || {
        let (status, message) = harness.status(notification).await;
        status == NotificationStatus::Running
            && message.is_some_and(|text| text.starts_with("on hold: ") && text.contains("retries every 2 s"))
    })
    .await;
    assert_eq!(harness.sandbox.region().requests().count("#evacuate"), 0);
    harness
        .sandbox
        .region()
        .faults()
        .maas_query(HOST, PowerQuery::Truth)
        .unwrap();
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    engine.stop().await;
}

/// Covers I7.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_gets_its_power_back_after_its_recovery_if_this_had_switched_it_off() {
    for (hung, name) in [
        (true, "its kernel hung"),
        (false, "it had lost its power by itself"),
    ] {
        let harness = Harness::set(quick_region(4)).await;
        harness.protect().await;
        let servers = harness.boot(HOST, 3);
        let region = harness.sandbox.region();
        if hung {
            region.faults().link_loss(HOST).unwrap();
        } else {
            region.faults().power_loss(HOST).unwrap();
        }
        let notification = harness.report(HOST).await;
        let policy = Policy {
            power_on_after_recovery: true,
            enable_after_return: Some(Duration::from_secs(1)),
            ..quick_policy()
        };
        let engine = harness
            .engine_fenced(harness.journal(), policy, topology(&harness))
            .await;
        harness.until_finished(notification, LIMIT).await;
        if hung {
            region.faults().link_restore(HOST).unwrap();
        } else {
            let polls_before = region.requests().count("os-services");
            until("the engine to look for its return", LIMIT, async || {
                region.requests().count("os-services") >= polls_before + 4
            })
            .await;
            assert!(!region.host(HOST).unwrap().power, "{name}");
            region.faults().power_on(HOST).unwrap();
        }
        until("the host to be back in service", LIMIT, async || {
            let host = region.host(HOST).unwrap();
            host.power && host.enabled && !host.forced_down
        })
        .await;
        let printed = history(&harness, notification).await;
        assert_eq!(
            printed.contains(&format!("powering on {HOST}")),
            hung,
            "{name}: {printed}"
        );
        harness.assert_each_exactly_once(&servers, HOST);
        engine.stop().await;
    }
}

/// Covers R17.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_confirms_off_a_host_whose_devices_cannot_be_read() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, 3);
    let region = harness.sandbox.region();
    // Its BMC has died with it.
    region.faults().power_loss(HOST).unwrap();
    region
        .faults()
        .maas_query(HOST, PowerQuery::Fails { status: 503 })
        .unwrap();
    let notification = harness.report(HOST).await;
    let maas =
        tachi_fence::MaasOptions::new(harness.sandbox.urls().maas, harness.sandbox.maas_api_key().into());
    let engine = harness
        .engine_fenced(harness.journal(), quick_policy(), Topology::of_maas(maas))
        .await;
    let is_on_hold_for = async |arguments: &str| {
        let (_, message) = harness.status(notification).await;
        message.is_some_and(|text| text.starts_with("on hold: ") && text.contains(arguments))
    };
    until("it to be held", LIMIT, async || is_on_hold_for("503").await).await;
    let recovery = harness.store.operator_journal().recoveries(false).await.unwrap()[0]
        .id
        .to_string();
    let conf = harness.conf();
    let vouch = |host: &str| {
        let args = [
            "recovery",
            "vouch",
            &recovery,
            "--off",
            host,
            "--reason",
            "cords pulled",
            "--config-file",
            conf.to_str().unwrap(),
        ];
        tokio::task::block_in_place(|| Harness::command(&args))
    };
    let (code, _, err) = vouch("compute-002");
    assert!(
        code == 1 && err.contains("is of host compute-001"),
        "{code} {err}"
    );
    // A device that reads "on" contradicts it.
    let on = PowerQuery::Says { state: "on".into() };
    region.faults().maas_query(HOST, on).unwrap();
    assert_eq!(vouch(HOST).0, 0);
    until("the word to be gainsaid", LIMIT, async || {
        is_on_hold_for("confirmed that it is off").await
    })
    .await;
    assert_eq!(region.requests().count("#evacuate"), 0);
    region
        .faults()
        .maas_query(HOST, PowerQuery::Fails { status: 503 })
        .unwrap();
    assert_eq!(vouch(HOST).0, 0);
    harness.until_finished(notification, LIMIT).await;
    harness.assert_each_exactly_once(&servers, HOST);
    assert_eq!(region.requests().count("POST /MAAS"), 0, "nothing was ordered");
    let printed = history(&harness, notification).await;
    assert!(
        printed.contains("is off, as ") && printed.contains("cords pulled"),
        "{printed}"
    );
    let args = [
        "recovery",
        "show",
        &recovery,
        "-f",
        "json",
        "--config-file",
        conf.to_str().unwrap(),
    ];
    let (_, out, _) = tokio::task::block_in_place(|| Harness::command(&args));
    let shown: Value = serde_json::from_str(&out).unwrap();
    let proof = &shown["proofs"][0];
    assert_eq!(proof["number"], 1);
    assert_eq!(proof["kind"], "operator");
    let instances = shown["instances"].as_array().unwrap();
    assert!(
        instances.iter().all(|instance| instance["proof"] == 1),
        "{instances:?}"
    );
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_switches_nothing_off_and_evacuates_nothing() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    harness.boot(HOST, 2);
    harness.sandbox.region().faults().link_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    let policy = Policy {
        fencing: FencingMode::DryRun,
        ..quick_policy()
    };
    let engine = harness
        .engine_fenced(harness.journal(), policy, topology(&harness))
        .await;
    until("it to be held", LIMIT, async || {
        let (_, message) = harness.status(notification).await;
        message.is_some_and(|text| {
            text.starts_with("on hold: dry-run: ") && text.contains("level 1 (bmc) would now")
        })
    })
    .await;
    let requests = harness.sandbox.region().requests();
    assert_eq!(requests.count("POST /MAAS"), 0, "{:?}", requests.counts());
    assert_eq!(requests.count("#evacuate"), 0);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fence_check_reads_a_thousand_hosts_through_one_maas_with_sixteen_connections_within_a_minute() {
    const HOSTS: u32 = 1000;
    const DELAY: Duration = Duration::from_millis(100);
    let harness = Harness::set(quick_region(usize::try_from(HOSTS).unwrap())).await;
    harness.protect().await;
    let region = harness.sandbox.region();
    for host in region.hosts() {
        region.faults().maas_query_delay(&host.name, DELAY).unwrap();
    }
    let conf = harness.conf();
    let began = Instant::now();
    let args = [
        "fence",
        "check",
        "--all",
        "-f",
        "json",
        "--config-file",
        conf.to_str().unwrap(),
    ];
    let (code, out, err) = tokio::task::block_in_place(|| Harness::command(&args));
    let took = began.elapsed();
    let printed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &printed["faults"]), (0, &Value::from(0)), "{err}");
    assert_eq!(
        printed["devices"].as_array().unwrap().len(),
        usize::try_from(HOSTS).unwrap()
    );
    assert!(
        printed["devices"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["power"] == "on")
    );
    println!(
        "fence check --all: {HOSTS} hosts through one MAAS in {:.1} s",
        took.as_secs_f64()
    );
    // Sixteen concurrent queries cannot be faster.
    assert!(took >= DELAY * HOSTS / 16, "more than sixteen at once: {took:?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
    // A device that does not answer is a fault, and sets the exit code.
    region
        .faults()
        .maas_query(HOST, PowerQuery::Fails { status: 503 })
        .unwrap();
    let args = ["fence", "test", HOST, "--config-file", conf.to_str().unwrap()];
    let (code, out, _) = tokio::task::block_in_place(|| Harness::command(&args));
    assert!(code == 1 && out.contains("503"), "{code} {out}");
}

/// A Redfish service whose only system supports no `ForceOff`.
async fn redfish_without_force_off() -> FakeHttp {
    const SYSTEM: &str = "/redfish/v1/Systems/blade9";
    let system: Value =
        serde_json::from_str(include_str!("../../clients/fence/tests/cases/no-forceoff.json")).unwrap();
    FakeHttp::start(move |request, _| match request.line().as_str() {
        "GET /redfish/v1/" => Reply::Json(200, json!({"Systems": {"@odata.id": "/redfish/v1/Systems"}})),
        "GET /redfish/v1/Systems" => Reply::Json(200, json!({"Members": [{"@odata.id": SYSTEM}]})),
        line if line == format!("GET {SYSTEM}") => Reply::Json(200, system.clone()),
        _ => Reply::Json(404, json!({})),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_would_refuse_a_power_off_is_a_warning_of_fence_check_and_a_fault_of_fence_test() {
    use std::os::unix::fs::PermissionsExt as _;

    const OBSTACLE: &str = "power-off would fail: ";
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let service = redfish_without_force_off().await;
    let file = harness.folder.path().join("fencing.toml");
    let text = format!(
        "[[device]]\nname = \"bmc\"\ntype = \"redfish\"\nendpoint = \"{}\"\nusername = \"u\"\ncredential = \"file:{}\"\n\
         [[hosts]]\nmatch = \"{HOST}\"\nlevels = [[\"bmc\"]]\n",
        service.url,
        harness.folder.path().join("maas.key").display()
    );
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let conf = std::fs::read_to_string(harness.conf()).unwrap();
    let conf = conf.lines().filter(|line| !line.starts_with("maas_"));
    let conf = conf.collect::<Vec<_>>().join("\n");
    std::fs::write(
        harness.conf(),
        format!("{conf}\n[fencing]\ndevices_file = {}\n", file.display()),
    )
    .unwrap();
    for (verb, code, faults) in [("check", 0, 0), ("test", 1, 1)] {
        let (ended, out, err) = run(&harness, &["fence", verb, HOST, "-f", "json"]);
        let shown: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{verb}: {out}{err}"));
        assert_eq!((ended, &shown["faults"]), (code, &json!(faults)), "{verb}: {out}");
        let row = &shown["devices"][0];
        assert_eq!(row["power"], "on", "{verb}: {out}");
        let place = if code == 0 {
            &row["warnings"][0]
        } else {
            &row["fault"]
        };
        assert!(
            place.as_str().is_some_and(|text| text.contains(OBSTACLE)),
            "{verb}: {out}"
        );
        // The stored result is that of an engine: the device has failed.
        let stored = harness.store.facts().facts(Some(COMMAND_TESTS)).await.unwrap();
        let tests: Value = serde_json::from_str(&stored[0].value).unwrap();
        let fault = tests[0]["fault"].as_str();
        assert!(
            fault.is_some_and(|text| text.contains(OBSTACLE)),
            "{verb}: {tests}"
        );
    }
    let sent = service.requests();
    assert!(
        sent.iter().all(|request| request.method != "POST"),
        "a test switches nothing"
    );
}

/// Covers R5, R17.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_recovery_blocks_a_power_on_behind_reports_of_single_instances() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    harness.boot(HOST, 1);
    let region = harness.sandbox.region();
    region.faults().power_loss(HOST).unwrap();
    region
        .faults()
        .maas_query(HOST, PowerQuery::Fails { status: 503 })
        .unwrap();
    let maas =
        tachi_fence::MaasOptions::new(harness.sandbox.urls().maas, harness.sandbox.maas_api_key().into());
    let engine = harness
        .engine_fenced(harness.journal(), quick_policy(), Topology::of_maas(maas))
        .await;
    harness.report(HOST).await;
    for _ in 0..6 {
        harness.report_instance(HOST, Uuid::new_v4()).await;
    }
    let open = async || harness.store.operator_journal().recoveries(false).await.unwrap();
    until("the instances' recoveries to end", LIMIT, async || {
        open().await.len() == 1
    })
    .await;
    let last = open().await;
    assert_eq!((last[0].kind, last[0].life), (RecoveryKind::Host, Life::Open));
    let (code, _, err) = run(&harness, &["fence", "on", HOST, "--reason", "x", "--yes"]);
    assert!(code == 1 && err.contains("is open"), "{code} {err}");
    let (_, shown, _) = run(&harness, &["host", "return", HOST]);
    assert!(
        shown.contains("is open") && shown.contains("keep the host off"),
        "{shown}"
    );
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_powers_a_host_off_and_on_and_not_on_while_it_is_being_recovered() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    harness.boot(HOST, 1);
    let conf = harness.conf();
    let fence = |verb: &str, more: &[&str]| {
        let mut args = vec!["fence", verb, HOST, "--config-file", conf.to_str().unwrap()];
        args.extend(["--reason", "x"]);
        args.extend(more);
        tokio::task::block_in_place(|| Harness::command(&args))
    };
    let (code, _, err) = fence("off", &[]);
    assert!(
        code == 2 && err.contains("without confirmation: add --yes"),
        "no confirmation is possible: {code} {err}"
    );
    assert_eq!(harness.sandbox.region().requests().count("POST /MAAS"), 0);
    let (code, _, err) = fence("on", &["--yes"]);
    assert!(
        code == 1 && err.contains("not off"),
        "a host that runs is not switched on: {code} {err}"
    );
    let (code, out, err) = fence("off", &["--yes"]);
    assert!(code == 0 && out.contains("is off"), "{code} {out} {err}");
    // An open recovery blocks the power-on.
    let notification = harness.report(HOST).await;
    let (code, _, err) = fence("on", &["--yes"]);
    assert!(code == 1 && err.contains("is open"), "{code} {err}");
    // MAAS would accept the name in another case, under which no recovery is found.
    for more in [&["--yes"][..], &["--yes", "--any-machine"]] {
        let mut args = vec!["fence", "on", "COMPUTE-001", "--reason", "x"];
        args.extend(more);
        let (code, _, err) = run(&harness, &args);
        assert!(code == 1 && err.contains("no host has the name"), "{code} {err}");
    }
    let engine = harness
        .engine_fenced(harness.journal(), quick_policy(), topology(&harness))
        .await;
    harness.until_finished(notification, LIMIT).await;
    engine.stop().await;
    // It was found off and the recovery sent no command, so it may be powered on.
    let (code, out, err) = fence("on", &["--yes"]);
    assert!(code == 0 && out.contains("power-on"), "{code} {out} {err}");
}
