//! The scenes: each causes its faults, checks that the checks fail, and removes the faults.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

use serde_json::json;
use tachi_domain::Reporter;
use tachi_domain::entity::host::{HostAttributes, HostFilter, NewHost};
use tachi_domain::entity::notification::{NewNotification, NotificationStatus, NotificationType};
use tachi_domain::entity::segment::{NewSegment, RecoveryMethod, SegmentChange};
use tachi_domain::entity::{Host, Segment};
use tachi_domain::guard::MutingPolicy;
use tachi_domain::{HostId, SegmentId};
use tachi_engine::SystemClock;
use tachi_engine::ports::{
    Clock as _, Freezes as _, Hosts as _, Journal as _, OperatorJournal as _, Reports as _, Segments as _,
};
use tachi_sandbox::{
    ApiEffect, ApiFault, Boot, Fleet, MigrationKind, MoveFault, MoveFaultRule, PowerQuery, RegionSettings,
};

use tokio::sync::OnceCell;

use super::super::recovery::everything;
use super::super::support::{Harness, Process, quick_region, until};
use super::heartbeats::{send_heartbeat, send_heartbeats_watching};
use super::remedies::{Remedy, of_check, runs_on};
use super::{CheckStates, LIMIT, Scene};

/// Reporters are bound, so that a healthy region has no finding.
const BOUND: &str = "[api]\nreporter_binding = enforce\n";

/// A short test interval, so that scenes need not wait for the tests.
const TESTED: &str = "[fencing]\nself_test_interval = 1\n";

async fn scene(name: &'static str, region: RegionSettings, more: &str) -> Scene {
    let harness = Harness::set(region).await;
    let conf = harness.conf();
    // Existing sections are continued.
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, format!("{text}\n{BOUND}{more}")).unwrap();
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o600)).unwrap();
    Scene {
        name,
        harness,
        check_states: CheckStates::default(),
        unit: Mutex::default(),
        api: OnceCell::new(),
    }
}

async fn segment(scene: &Scene, name: &str, method: RecoveryMethod, hosts: &[(&str, bool)]) -> SegmentId {
    let registry = scene.harness.store.registry();
    let new = NewSegment {
        name: name.into(),
        service_type: "COMPUTE".into(),
        enabled: true,
        description: None,
        recovery_method: method,
    };
    let id = registry.create_segment(&new).await.unwrap().id;
    for (host, reserved) in hosts {
        register(scene, id, host, *reserved).await;
    }
    id
}

async fn register(scene: &Scene, segment: SegmentId, host: &str, reserved: bool) -> HostId {
    let new = NewHost {
        name: host.into(),
        kind: "COMPUTE".into(),
        control_attributes: "SSH".into(),
        reserved,
        on_maintenance: false,
    };
    scene
        .harness
        .store
        .registry()
        .create_host(segment, &new)
        .await
        .unwrap()
        .id
}

/// Returns the segment and the id of a registered host.
async fn registered(scene: &Scene, name: &str) -> (SegmentId, HostId) {
    let registry = scene.harness.store.registry();
    for segment in registry.list_segments(&everything()).await.unwrap() {
        let hosts = registry
            .list_hosts(segment.id, &everything::<HostFilter>())
            .await
            .unwrap();
        if let Some(host) = hosts.into_iter().find(|host| host.name == name) {
            return (segment.id, host.id);
        }
    }
    panic!("{name} is in no segment");
}

impl Scene {
    /// Returns the id of a segment, by its name or id.
    pub(super) async fn segment_id(&self, requested: &str) -> SegmentId {
        let registry = self.harness.store.registry();
        let segments = registry.list_segments(&everything()).await.unwrap();
        let is_it = |segment: &&Segment| segment.name == requested || segment.id.to_string() == requested;
        segments
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{requested}"))
            .id
    }

    /// Returns the id of a host of the segment, by its name or id.
    pub(super) async fn host_id(&self, segment: SegmentId, requested: &str) -> HostId {
        let registry = self.harness.store.registry();
        let hosts = registry
            .list_hosts(segment, &everything::<HostFilter>())
            .await
            .unwrap();
        let is_it = |host: &&Host| host.name == requested || host.id.to_string() == requested;
        hosts
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{requested}"))
            .id
    }
}

async fn change(scene: &Scene, host: &str, change: HostAttributes) {
    let (segment, id) = registered(scene, host).await;
    scene
        .harness
        .store
        .registry()
        .update_host(segment, id, &change)
        .await
        .unwrap();
}

fn maintenance(on: bool) -> HostAttributes {
    HostAttributes {
        on_maintenance: Some(on),
        ..HostAttributes::default()
    }
}

fn breaks(route: &str) -> ApiFault {
    ApiFault::always(route, ApiEffect::Break)
}

/// Replaces an engine by another, which reads Nova and MAAS's machines at its start; otherwise it reads the machines once a minute.
async fn followed(mut engine: Process, next: impl FnOnce() -> Process) -> Process {
    engine.signal(rustix::process::Signal::TERM);
    assert_eq!(engine.ended(LIMIT).await, Some(0));
    next()
}

/// Faults in files and their content, which only the doctor reads; the engine keeps running.
#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_checks_of_files() {
    let scene = scene("files", quick_region(2), "").await;
    scene.harness.protect().await;
    let _engine = scene.harness.spawn("engine");
    let folder = scene.harness.folder.path().to_owned();
    let key = folder.join("maas.key");
    let device = format!(
        "[[device]]\nname = \"bmc\"\ntype = \"maas\"\nendpoint = \"{}\"\ncredential = \"file:{}\"\n",
        scene.harness.sandbox.urls().maas,
        key.display()
    );
    let devices = |name: &str, text: &str| {
        let file = scene.file(name, text);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        format!("[fencing]\ndevices_file = {}\n", file.display())
    };
    let broken = devices("broken.toml", &format!("{device}colour = \"red\"\n"));
    let good = devices(
        "good.toml",
        &format!("{device}[[hosts]]\nmatch = \"*\"\nlevels = [[\"bmc\"]]\n"),
    );
    let other = devices(
        "other.toml",
        &format!("{device}[[hosts]]\nmatch = \"compute-002\"\nlevels = [[\"bmc\"]]\n"),
    );
    let policy = scene.file("policy.json", "{no: [yaml");
    let policy = format!("[oslo_policy]\npolicy_file = {}\n", policy.display());
    let nowhere = format!(
        "[database]\nconnection = sqlite:///{}/none.sqlite\n",
        folder.display()
    );
    let faults: [(&str, &[&str]); 10] = [
        ("[fencing]\nenabled = false\n", &["fencing-stopped"]),
        ("[fencing]\nmode = dry-run\n", &["fencing-dry-run", "fencing"]),
        ("[fencing]\nmode = external\n", &["reports-without-evidence"]),
        (&broken, &["fence-devices-file", "fence-file-unreadable"]),
        (&other, &["host-without-fence"]),
        (&policy, &["policy-rules", "policy-file-json-to-yaml-migration"]),
        ("[recovery]\nno_such_option = 1\n", &["options-without-effect"]),
        ("[keystone_authtoken]\ncafile = /nowhere/ca.pem\n", &["ca-files"]),
        ("[api]\nreporter_binding = off\n", &["reporter-binding"]),
        (
            "[DEFAULT]\ntransport_url = rabbit://guest:guest@127.0.0.1:1/\n",
            &["masakaris-engine"],
        ),
    ];
    let mut all: Vec<&str> = faults.iter().flat_map(|(_, checks)| *checks).copied().collect();
    all.extend([
        "configuration",
        "database-revision",
        "reserved-hosts",
        "no-fence-device",
    ]);
    scene.good(&all).await;
    for (number, (text, checks)) in faults.into_iter().enumerate() {
        let more = scene.file(&format!("fault-{number}.conf"), text);
        scene.fails_with(checks, Some(&more)).await;
        for check in checks.iter().filter(|check| of_check(check).is_some()) {
            if matches!(of_check(check), Some(Remedy::ByHand(_))) {
                // An operator corrects the file.
                std::fs::write(&more, good.as_str()).unwrap();
            }
            scene.apply_remedy_with(&[*check], Some(&more)).await;
            scene.good_with(&[*check], Some(&more)).await;
        }
    }
    let more = scene.file("nowhere.conf", &nowhere);
    scene
        .fails_with(&["database-revision", "reserved-hosts"], Some(&more))
        .await;
    let conf = scene.harness.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    let without = text.lines().filter(|line| !line.starts_with("maas_"));
    let without = without.collect::<Vec<_>>().join("\n");
    std::fs::write(&conf, format!("{without}\n[fencing]\nmode = engine\n")).unwrap();
    scene.fails(&["no-fence-device"]).await;
    scene.apply_remedy(&["no-fence-device"]).await;
    scene.good(&["no-fence-device"]).await;
    std::fs::write(&conf, text).unwrap();

    let permissions = || std::fs::metadata(&conf).unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o644)).unwrap();
    scene.fails(&["configuration"]).await;
    let output = scene.fix(&["configuration", "--dry-run"]);
    assert!(output.contains("would be made unreadable to others"), "{output}");
    assert_eq!(permissions(), 0o644);
    let output = scene.fix(&["configuration"]);
    assert!(output.contains("fixed: "), "{output}");
    assert_eq!(permissions(), 0o640);
    scene.good(&all).await;
    let output = scene.fix(&["configuration"]);
    assert!(output.contains("nothing to fix"), "{output}");
    scene.has_shown_all();
}

/// A new region: no host is registered, Nova lists nothing, Placement is unreachable, devices are not tested.
#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_checks_of_beginning() {
    let scene = scene("beginning", quick_region(3), "").await;
    let region = scene.harness.sandbox.region();
    scene.harness.boot("compute-003", 1);
    scene.fails(&["engines", "no-engine"]).await;
    region
        .api_faults()
        .add(breaks("GET /compute/v2.1/servers/detail"));
    region.api_faults().add(breaks("/placement"));
    "[fencing]\nself_test_interval = 0\n".clone_into(&mut scene.unit.lock().unwrap().0);
    scene.apply_remedy(&["no-engine"]).await;
    let engine = scene.started();
    until("the engine to have listed servers", LIMIT, async || {
        region.requests().count("servers/detail") > 0
    })
    .await;
    scene.fails(&["no-hosts", "instances-not-listed"]).await;
    let output = scene.fix(&["no-hosts", "--dry-run"]);
    assert!(
        output.contains("compute-003  + add") && output.contains("nothing was done"),
        "{output}"
    );
    scene.fails(&["no-hosts"]).await;
    let output = scene.fix(&["no-hosts"]);
    assert!(output.contains("fixed: 3 hosts are in segments now"), "{output}");
    region.api_faults().clear();
    region.api_faults().add(breaks("/placement"));
    scene.apply_remedy(&["instances-not-listed"]).await;
    scene
        .good(&[
            "engines",
            "no-engine",
            "no-hosts",
            "instances-not-listed",
            "host-not-in-segment",
        ])
        .await;
    let output = scene.fix(&["no-hosts"]);
    assert!(output.contains("nothing to fix"), "{output}");
    scene.fails(&["room-unknown", "fence-not-tested"]).await;

    let (of, id) = registered(&scene, "compute-003").await;
    scene.harness.store.registry().delete_host(of, id).await.unwrap();
    scene.fails(&["host-not-in-segment"]).await;
    let output = scene.fix(&["host-not-in-segment", "--dry-run"]);
    assert!(output.contains("compute-003  + add"), "{output}");
    scene.fails(&["host-not-in-segment"]).await;
    let output = scene.fix(&["host-not-in-segment"]);
    assert!(output.contains("fixed: 1 host is in segments now"), "{output}");
    scene.good(&["host-not-in-segment"]).await;
    let output = scene.fix(&["host-not-in-segment"]);
    assert!(output.contains("nothing to fix"), "{output}");

    for host in ["compute-001", "compute-002", "compute-003"] {
        let (of, id) = registered(&scene, host).await;
        scene.harness.store.registry().delete_host(of, id).await.unwrap();
    }
    scene.fails(&["no-hosts", "host-not-in-segment"]).await;
    // One command is printed for both.
    scene.apply_remedy(&["no-hosts", "host-not-in-segment"]).await;
    scene.good(&["no-hosts", "host-not-in-segment"]).await;

    region.api_faults().clear();
    scene.apply_remedy(&["room-unknown", "fence-not-tested"]).await;
    scene.good(&["room-unknown", "fence-not-tested"]).await;
    drop(engine);
    scene.has_shown_all();
}

/// Configures a BMC through MAAS and an outlet for every host except one, which has only its BMC.
fn two_devices(scene: &Scene) {
    let key = scene.harness.folder.path().join("maas.key");
    let urls = scene.harness.sandbox.urls();
    let device = |name: &str, url: &str| {
        format!(
            "[[device]]\nname = \"{name}\"\ntype = \"maas\"\nendpoint = \"{url}\"\ncredential = \"file:{}\"\n",
            key.display()
        )
    };
    let rule = |host: &str, levels: &str| format!("[[hosts]]\nmatch = \"{host}\"\nlevels = [{levels}]\n");
    let devices = [
        device("bmc", &urls.maas),
        device("pdu", &urls.outlets),
        rule("compute-005", "[\"bmc\"]"),
        rule("*", "[\"bmc\"], [\"pdu\"]"),
    ];
    let devices = scene.file("fencing.toml", &devices.concat());
    std::fs::set_permissions(&devices, std::fs::Permissions::from_mode(0o600)).unwrap();
    let conf = scene.harness.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    let text = text.lines().filter(|line| !line.starts_with("maas_"));
    let text = text.collect::<Vec<_>>().join("\n");
    std::fs::write(
        &conf,
        format!("{text}\n[fencing]\ndevices_file = {}\n", devices.display()),
    )
    .unwrap();
}

/// Creates a segment with most hosts, one with two, one with a reserved host, and one that will be disabled.
async fn four_segments(scene: &Scene) -> Vec<SegmentId> {
    let host = |number: usize| format!("compute-{number:03}");
    let of = |numbers: &[usize]| {
        numbers
            .iter()
            .map(|number| host(*number))
            .collect::<Vec<String>>()
    };
    let plain = |hosts: &'_ [String]| -> Vec<(String, bool)> {
        hosts.iter().map(|name| (name.clone(), false)).collect()
    };
    let mut segments = Vec::new();
    for (name, method, hosts) in [
        (
            "all",
            RecoveryMethod::Auto,
            plain(&of(&[1, 2, 3, 4, 5, 6, 13, 14])),
        ),
        ("two", RecoveryMethod::Auto, plain(&of(&[7, 8]))),
        (
            "kept",
            RecoveryMethod::ReservedHost,
            vec![(host(9), false), (host(10), true)],
        ),
        ("off", RecoveryMethod::Auto, plain(&of(&[11, 12]))),
    ] {
        let hosts: Vec<(&str, bool)> = hosts
            .iter()
            .map(|(name, reserved)| (name.as_str(), *reserved))
            .collect();
        segments.push(segment(scene, name, method, &hosts).await);
    }
    segments
}

/// Faults of hosts and segments in Nova, in Tachi's tables and in their power controllers.
#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_checks_of_region() {
    let scene = scene("region", quick_region(14), TESTED).await;
    two_devices(&scene);
    let segments = four_segments(&scene).await;
    let region = scene.harness.sandbox.region();
    let operator = region.operator();
    operator
        .set_service("compute-010", false, Some("kept in reserve"))
        .unwrap();
    let engine = scene.harness.spawn("engine");
    let checks = [
        "host-down",
        "host-on-maintenance",
        "frozen",
        "fence-failing",
        "fence-level-failing",
        "fence-foreign-machine",
        "few-hosts",
        "no-reserved-host",
        "segment-disabled",
        "host-unknown-to-nova",
        "host-names",
        "host-cell-down",
        "host-disabled",
    ];
    scene.good(&checks).await;
    let (code, output, note) = scene.run(&["fence", "check", "--all"], None);
    assert_eq!(code, 0, "the machine of each device is recorded: {output}{note}");

    let faults = region.faults();
    let fails = PowerQuery::Fails { status: 503 };
    faults.agent_stop("compute-001").unwrap();
    change(&scene, "compute-003", maintenance(true)).await;
    let freeze = [
        "freeze",
        "host",
        "compute-004",
        "--for",
        "1h",
        "--reason",
        "firmware",
    ];
    assert_eq!(scene.run(&freeze, None).0, 0);
    // An operator disables it for another reason, which the end of a drain must not undo.
    operator
        .set_service("compute-004", false, Some("disk errors"))
        .unwrap();
    for host in ["compute-005", "compute-006"] {
        faults.maas_query(host, fails.clone()).unwrap();
    }
    faults.maas_exchanged("compute-014", true).unwrap();
    change(&scene, "compute-007", maintenance(true)).await;
    let reserved = |reserved| HostAttributes {
        reserved: Some(reserved),
        ..HostAttributes::default()
    };
    change(&scene, "compute-010", reserved(false)).await;
    let enable = |enabled| SegmentChange {
        enabled: Some(enabled),
        ..SegmentChange::default()
    };
    let registry = scene.harness.store.registry();
    registry
        .update_segment(segments[3], &enable(false))
        .await
        .unwrap();
    let ghost = register(&scene, segments[0], "ghost-1", false).await;
    faults.cell_down("compute-013", true).unwrap();
    let _engine = followed(engine, || scene.harness.spawn("engine")).await;
    scene.fails(&checks).await;
    undrain_refuses(&scene, "compute-004").await;

    for host in ["compute-005", "compute-006"] {
        faults.maas_query(host, PowerQuery::Truth).unwrap();
    }
    registry.delete_host(segments[0], ghost).await.unwrap();
    faults.cell_down("compute-013", false).unwrap();
    scene
        .apply_remedy(
            &checks
                .into_iter()
                .filter(|check| of_check(check).is_some())
                .collect::<Vec<_>>(),
        )
        .await;
    scene.good(&checks).await;
    scene.has_shown_all();
}

/// The end of a drain is refused for a host that another operator has disabled and frozen, and the freeze stays.
async fn undrain_refuses(scene: &Scene, host: &str) {
    let (code, output, note) = scene.run(&["host", "undrain", host, "--reason", "done", "--yes"], None);
    assert_eq!(code, 1, "{output}");
    assert!(
        note.contains("nothing was done") && note.contains("disk errors"),
        "{note}"
    );
    assert!(
        note.contains("is frozen") && note.contains("(firmware)"),
        "the freeze is an operator's: {note}"
    );
    assert_eq!(scene.harness.store.freezes().freezes().await.unwrap().len(), 1);
}

/// Four hosts of 16 GiB: the first is full of one large instance and two of half its size, and another large one is on each of two others.
#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_checks_of_room() {
    let region = RegionSettings {
        fleet: Fleet {
            hosts: 4,
            ram_mb: 16_384,
            ..Fleet::default()
        },
        ..quick_region(4)
    };
    let scene = scene("room", region, "").await;
    scene.harness.protect().await;
    let region = scene.harness.sandbox.region();
    for (host, flavor, count) in [
        ("compute-001", "m1.large", 1),
        ("compute-001", "m1.medium", 2),
        ("compute-002", "m1.large", 1),
        ("compute-003", "m1.large", 1),
    ] {
        let boot = Boot {
            flavor: flavor.into(),
            ..Boot::on(host, count)
        };
        region.boot(&boot).unwrap();
    }
    let engine = scene.harness.spawn("engine");
    let checks = [
        "room-tight",
        "no-room",
        "host-disabled",
        "recovery-would-hold",
        "process-down",
    ];
    scene.good(&checks).await;
    let protects = "[fencing]\nstorm_protected_hosts = compute-002\n";
    let engine = followed(engine, || scene.engine("ctl-1", protects)).await;
    scene.fails(&["recovery-would-hold"]).await;
    scene.apply_remedy(&["recovery-would-hold"]).await;
    let _engine = followed(engine, || scene.harness.spawn("engine")).await;
    scene.good(&checks).await;
    let operator = region.operator();
    operator
        .set_service("compute-004", false, Some("disk errors"))
        .unwrap();
    scene.fails(&["room-tight", "host-disabled"]).await;
    operator
        .set_service("compute-003", false, Some("disk errors"))
        .unwrap();
    scene.fails(&["no-room"]).await;
    scene
        .apply_remedy(&["host-disabled", "no-room", "room-tight"])
        .await;
    scene.good(&checks).await;
    scene.harness.report_process("compute-004", "libvirtd").await;
    scene.fails(&["process-down"]).await;
    scene.apply_remedy(&["process-down"]).await;
    scene.good(&checks).await;
    scene.has_shown_all();
}

/// A host fails, and its recovery meets further faults.
#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_checks_of_recovery() {
    const HOST: &str = "compute-001";
    let scene = scene("recovery", quick_region(4), "[fencing]\nretry_interval = 2\n").await;
    let harness = &scene.harness;
    harness.protect().await;
    let servers = harness.boot(HOST, 2);
    let _engine = harness.spawn("engine");
    let checks = [
        "recovery-held",
        "host-under-recovery",
        "open-work",
        "move-needs-person",
        "move-failed",
        "host-not-back",
    ];
    scene.good(&checks).await;
    let faults = harness.sandbox.region().faults();
    faults
        .half_move(servers[0], "compute-002", MigrationKind::LiveMigration, false)
        .unwrap();
    faults.add_move_fault(MoveFaultRule::always(MoveFault::NoValidHost).server(servers[1]));
    faults
        .maas_query(HOST, PowerQuery::Fails { status: 503 })
        .unwrap();
    faults.link_loss(HOST).unwrap();
    let report = harness.report(HOST).await;
    scene
        .fails(&["recovery-held", "host-under-recovery", "open-work"])
        .await;
    scene
        .apply_remedy(&["host-under-recovery", "recovery-held"])
        .await;
    faults.maas_query(HOST, PowerQuery::Truth).unwrap();
    scene.fails(&["move-needs-person", "move-failed"]).await;
    // The guest was lost with its host: the operator checks and resolves it.
    let region = harness.sandbox.region();
    assert!(!runs_on(region, servers[0], "compute-002"));
    let first = servers[0].to_string();
    scene.choose(&[&first, "--not-running-on compute-002"]);
    scene.good(&["move-needs-person"]).await;
    faults.clear_faults();
    until("the recovery to end", LIMIT, async || {
        harness.status(report).await.0 == NotificationStatus::Failed
    })
    .await;
    scene.choose(&["tachi recovery retry"]);
    scene.good(&["move-failed"]).await;
    until("all to run", LIMIT, async || region.lost(&servers).is_empty()).await;
    scene
        .check_states
        .note(&["move-needs-person", "move-failed"], "remedy");
    scene.fails(&["host-not-back"]).await;
    // The operator has checked it before.
    faults.purge_queue(HOST).unwrap();
    faults.link_restore(HOST).unwrap();
    faults.power_on(HOST).unwrap();
    scene.apply_remedy(&["host-not-back"]).await;
    scene.good(&checks).await;
    scene.has_shown_all();
}

/// Reports without an engine, and a reporter with wrong claims.
#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_checks_of_queue() {
    let scene = scene("queue", quick_region(4), "").await;
    let harness = &scene.harness;
    harness.protect().await;
    let now = SystemClock.wall();
    for host in ["compute-002", "compute-003"] {
        let payload = [
            ("event", "STOPPED"),
            ("host_status", "UNKNOWN"),
            ("cluster_status", "OFFLINE"),
        ];
        let new = NewNotification {
            kind: NotificationType::ComputeHost,
            hostname: host.into(),
            generated_time: now,
            payload: payload
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            evidence: None,
            reporter: Some(
                Reporter {
                    user_id: "u1".into(),
                    user_name: Some("monitor".into()),
                    ..Reporter::default()
                }
                .into(),
            ),
        };
        harness
            .store
            .registry()
            .accept_notification(&new, 180, now)
            .await
            .unwrap();
    }
    // An engine mutes a reporter whose report Nova has contradicted for two minutes.
    let rules = MutingPolicy {
        limit: 2,
        ..MutingPolicy::default()
    };
    for row in harness.store.operator_journal().recoveries(true).await.unwrap() {
        harness.store.journal().contradicted(row.id, rules).await.unwrap();
    }
    scene.fails(&["reporter-doubted", "queue-stalls"]).await;
    let _engine = harness.spawn("engine");
    scene.apply_remedy(&["reporter-doubted", "queue-stalls"]).await;
    scene.good(&["reporter-doubted", "queue-stalls"]).await;
    scene.has_shown_all();
}

/// Silent or failing monitors and engines, and an unreachable Nova.
#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_checks_of_watch() {
    let scene = scene("watch", quick_region(4), "").await;
    let harness = &scene.harness;
    harness.protect().await;
    let _api = harness.spawn("api");
    let _engine = scene.engine("ctl-1", "");
    let api = harness.api().await;
    let of_monitors = [
        "monitor-silent",
        "monitor-part",
        "monitor-unknown",
        "host-not-watched",
        "guests-resume",
        "plane-lost",
        "worst-case-time",
    ];
    let of_engines = [
        "engine-silent",
        "engine-part",
        "nova-away",
        "nova",
        "rights-in-nova",
        "facts-old",
    ];
    scene.good(&of_engines).await;
    send_heartbeat(&api, |_, _, _| {}).await;
    scene.good(&of_monitors).await;

    send_heartbeat(&api, |host, kind, heartbeat| match (host, kind) {
        ("compute-002", "instance") => heartbeat["troubles"] = json!({"libvirt": "refused"}),
        ("compute-003", _) => heartbeat["guests_resume"] = json!("yes"),
        ("compute-001", "host") => heartbeat["planes"] = json!({"compute-004": {"storage": 30}}),
        _ => {}
    })
    .await;
    scene.fails(&["plane-lost"]).await;
    send_heartbeats_watching(&api, &["compute-001", "compute-002", "compute-003"], 600).await;
    scene
        .fails(&[
            "monitor-part",
            "monitor-unknown",
            "guests-resume",
            "worst-case-time",
        ])
        .await;
    scene
        .apply_remedy(&["monitor-part", "monitor-unknown", "guests-resume", "plane-lost"])
        .await;
    send_heartbeat(&api, |_, _, _| {}).await;
    scene.good(&of_monitors).await;
    scene
        .age("tachi_monitor", "signed_at", 60, "watching = true")
        .await;
    scene.fails(&["monitor-silent", "host-not-watched"]).await;
    scene.apply_remedy(&["monitor-silent", "host-not-watched"]).await;
    send_heartbeat(&api, |_, _, _| {}).await;
    scene.good(&of_monitors).await;

    let disk = harness.boot("compute-001", 1);
    let heartbeat = json!({"version": "test", "watching": false, "local_disks": disk});
    let own = harness.api_of_monitor("compute-001").await;
    assert_eq!(
        own.send_heartbeat_with("compute-001", "instance", heartbeat)
            .await,
        204
    );
    scene.fails(&["local-disk"]).await;
    scene.apply_remedy(&["local-disk"]).await;
    scene.good(&["local-disk"]).await;

    let beside = scene.engine("ctl-2", "transport_url = rabbit://guest:guest@127.0.0.1:1/\n");
    scene.fails(&["engine-part"]).await;
    scene.apply_remedy(&["engine-part"]).await;
    beside.kill();
    scene
        .age("tachi_engine", "seen_at", 60, "name LIKE 'ctl-2:%'")
        .await;
    scene.fails(&["engine-silent"]).await;
    scene.apply_remedy(&["engine-silent"]).await;
    let _beside = scene.engine("ctl-2", "");
    let region = harness.sandbox.region();
    region.api_faults().add(breaks("/compute/"));
    scene.fails(&["nova-away", "nova", "rights-in-nova"]).await;
    until(
        "a minute to have passed without a look at Nova",
        LIMIT,
        async || {
            scene.age("fact", "as_of", 60, "kind = 'computes'").await;
            scene.grades(None)["facts-old"].0 == "unknown"
        },
    )
    .await;
    scene.check_states.note(&["facts-old"], "failed");
    region.api_faults().clear();
    scene.apply_remedy(&["facts-old", "nova-away"]).await;
    scene.good(&of_engines).await;
    scene.has_shown_all();
}
