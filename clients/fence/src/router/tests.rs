use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use tachi_domain::Timestamp;
use tachi_domain::fault::FaultClass;
use tachi_domain::power::Power;
use tachi_engine::ports::device_report::Report;
use tachi_testkit::ManualClock;
use tokio::time::{sleep, timeout};

use super::*;
use crate::device::{Kind, Limits, SelfTestOutcome};

/// A device that takes a second for each call, and counts concurrent calls.
#[derive(Debug, Default)]
struct Slow {
    endpoint: String,
    parallel: usize,
    now: AtomicUsize,
    most: AtomicUsize,
    offs: AtomicUsize,
    /// The reason why it would refuse a power-off.
    obstacle: Option<String>,
}

impl Slow {
    async fn call(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        sleep(Duration::from_secs(1)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Device for Slow {
    fn name(&self) -> &'static str {
        "bmc"
    }

    fn kind(&self) -> Kind {
        Kind::Ipmi
    }

    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn limits(&self) -> Limits {
        Limits {
            parallel: self.parallel,
            ..Kind::Ipmi.limits()
        }
    }

    async fn read_power(&self, plug: &Plug) -> Result<PowerReading, CallError> {
        self.call().await;
        if plug.host() == "c9" {
            return Err(CallError::refused("it knows no c9"));
        }
        Ok(PowerReading {
            power: Power::On,
            raw: "on".into(),
            device: self.endpoint.clone(),
            at: Timestamp::from_micros(0),
            machine: None,
        })
    }

    async fn power_off(&self, _plug: &Plug, _reason: &str) -> Result<(), CallError> {
        self.call().await;
        self.offs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn check(&self, plug: &Plug) -> Result<SelfTestOutcome, CallError> {
        Ok(SelfTestOutcome {
            reading: self.read_power(plug).await?,
            latency: Duration::from_secs(1),
            warnings: vec!["its clock is 7 s off".to_owned()],
            obstacle: self.obstacle.clone(),
        })
    }

    async fn power_on(&self, _plug: &Plug, _reason: &str) -> Result<(), CallError> {
        Ok(())
    }
}

struct Harness {
    folder: tempfile::TempDir,
}

impl Harness {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "s3cret").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        Self { folder }
    }

    /// A file in which every host of `match` has a BMC at this endpoint.
    fn topology(&self, hosts: &str, endpoint: &str) -> Topology {
        let text = format!(
            "[[device]]\nname = \"bmc\"\ntype = \"exec\"\nagent = \"fence_apc\"\nendpoint = \"{endpoint}\"\nplug = \
             \"{{host}}\"\ncredential = \"file:{}\"\n[[hosts]]\nmatch = \"{hosts}\"\nlevels = [[\"bmc\"]]\n",
            self.folder.path().join("password").display()
        );
        Topology::parse("test", &text).unwrap()
    }

    fn fencers(&self, endpoint: &str) -> Arc<Fencers> {
        Arc::new(Fencers::new(
            self.topology("c*", endpoint),
            Arc::<ManualClock>::default(),
        ))
    }
}

/// Replaces the device that would be created.
fn put(fencers: &Fencers, endpoint: &str) -> Arc<Slow> {
    put_wide(fencers, endpoint, 1)
}

/// A device that supports several concurrent calls.
fn put_wide(fencers: &Fencers, endpoint: &str, parallel: usize) -> Arc<Slow> {
    let slow = Arc::new(Slow {
        endpoint: endpoint.to_owned(),
        parallel,
        ..Slow::default()
    });
    let key = ("bmc".to_owned(), endpoint.to_owned());
    fencers.newest().made().insert(key, slow.clone());
    slow
}

fn target(fencers: &Fencers, host: &str) -> Target {
    fencers.levels(host).remove(0).devices.remove(0).target
}

#[tokio::test(start_paused = true)]
async fn a_bmc_gets_one_call_at_a_time_and_other_bmcs_run_in_parallel() {
    let harness = Harness::new();
    let fencers = harness.fencers("{host}.bmc");
    for host in ["c1", "c2"] {
        put(&fencers, &format!("{host}.bmc"));
    }
    let (one, two) = (target(&fencers, "c1"), target(&fencers, "c2"));
    let turn = fencers.permit("c1", &one, DeviceOperation::Read).await;
    let second = fencers.permit("c1", &one, DeviceOperation::Read);
    assert!(timeout(Duration::from_secs(9), second).await.is_err(), "it waits");
    fencers.permit("c2", &two, DeviceOperation::Read).await;
    drop(turn);
    fencers.permit("c1", &one, DeviceOperation::Read).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_power_commands_are_under_way_than_allowed_and_readings_do_not_wait_for_them() {
    let harness = Harness::new();
    let fencers = Fencers::new(
        harness.topology("c*", "{host}.bmc"),
        Arc::<ManualClock>::default(),
    )
    .max_power_commands(2);
    let mut turns = Vec::new();
    for host in ["c1", "c2", "c3"] {
        put(&fencers, &format!("{host}.bmc"));
        let target = target(&fencers, host);
        let turn = timeout(
            Duration::from_secs(9),
            fencers.permit(host, &target, DeviceOperation::Switch),
        )
        .await;
        assert_eq!(turn.is_ok(), host != "c3", "{host}");
        turns.extend(turn);
    }
    let third = target(&fencers, "c3");
    fencers.permit("c3", &third, DeviceOperation::Read).await;
    turns.pop();
    fencers.permit("c3", &third, DeviceOperation::Switch).await;
}

#[tokio::test(start_paused = true)]
async fn commands_that_wait_for_a_slow_device_do_not_delay_those_to_other_devices() {
    let harness = Harness::new();
    let fencers = Fencers::new(
        harness.topology("c*", "{host}.bmc"),
        Arc::<ManualClock>::default(),
    )
    .max_power_commands(2);
    for host in ["c1", "c2"] {
        put(&fencers, &format!("{host}.bmc"));
    }
    let (slow, other) = (target(&fencers, "c1"), target(&fencers, "c2"));
    let turn = fencers.permit("c1", &slow, DeviceOperation::Switch).await;
    let mut waiting = Box::pin(fencers.permit("c1", &slow, DeviceOperation::Switch));
    assert!(
        timeout(Duration::from_secs(9), &mut waiting).await.is_err(),
        "it waits for the device"
    );
    let moment = Duration::from_secs(1);
    let outcome = timeout(moment, fencers.permit("c2", &other, DeviceOperation::Switch)).await;
    assert!(outcome.is_ok(), "one of two commands is under way");
    drop(outcome);
    drop(turn);
    assert!(timeout(moment, waiting).await.is_ok());
}

/// Covers I10.
#[tokio::test(start_paused = true)]
async fn an_episode_keeps_its_device_when_the_file_changes_until_it_is_dropped() {
    let harness = Harness::new();
    let fencers = harness.fencers("{host}.bmc");
    let slow = put(&fencers, "c1.bmc");
    let old = target(&fencers, "c1");
    fencers.replace(harness.topology("c*", "{host}.other"));
    let other = put(&fencers, "c1.other");
    fencers.power_off("c1", &old, "r").await.unwrap();
    assert_eq!(
        (
            slow.offs.load(Ordering::SeqCst),
            other.offs.load(Ordering::SeqCst)
        ),
        (1, 0)
    );
    assert_eq!(
        target(&fencers, "c1").endpoint,
        "c1.other",
        "who begins now has the new one"
    );
    // A target of another host is rejected.
    let error = fencers.power_off("c2", &old, "r").await.unwrap_err();
    assert_eq!(error.fault.class, FaultClass::Permanent);
    for _ in 0..MAX_EARLIER_FILES {
        fencers.replace(harness.topology("c*", "{host}.other"));
    }
    let error = fencers.power_off("c1", &old, "r").await.unwrap_err();
    assert_eq!(error.fault.class, FaultClass::Permanent);
    assert!(
        error.fault.text.contains("no longer configured for host c1"),
        "{error}"
    );
    assert_eq!(slow.offs.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_tests_every_device_within_its_limits_and_reports_faults() {
    let harness = Harness::new();
    let fencers = harness.fencers("shared.bmc");
    let slow = put(&fencers, "shared.bmc");
    let hosts: Vec<String> = ["c2", "c1", "c9", "x1", "c 3"].map(str::to_owned).into();
    let mut reported = Vec::new();
    let reports = fencers
        .check(&hosts, &mut |report, done, all| {
            reported.push((report.host.clone(), done, all));
        })
        .await;
    assert_eq!(slow.most.load(Ordering::SeqCst), 1, "one call at a time");
    let shown: Vec<(&str, Option<Power>, Option<&str>)> = reports
        .iter()
        .map(|report| (report.host.as_str(), report.power, report.fault.as_deref()))
        .collect();
    assert_eq!(shown[0], ("c2", Some(Power::On), None));
    assert_eq!(shown[1], ("c1", Some(Power::On), None));
    assert_eq!(shown[2], ("c9", None, Some("it knows no c9")));
    assert!(
        shown[3].2.unwrap().contains("no fence device is configured"),
        "{shown:?}"
    );
    assert!(
        shown[4].2.unwrap().contains("is not a valid host name"),
        "{shown:?}"
    );
    assert_eq!(
        reports[0].latency,
        Duration::from_secs(1),
        "without the wait for its turn"
    );
    assert_eq!(
        reported.iter().map(|one| one.1).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    assert!(reported.iter().all(|one| one.2 == 5));
}

#[tokio::test(start_paused = true)]
async fn a_self_test_that_takes_long_is_logged_before_it_ends() {
    let harness = Harness::new();
    let fencers = harness.fencers("{host}.bmc");
    put(&fencers, "c1.bmc");
    let (_, mut pending) = fencers.plan(&["c1".to_owned()]);
    let pending = pending.remove(0);
    for (patience, expected) in [(2_000, false), (500, true)] {
        let mut reported = false;
        let started_at = tokio::time::Instant::now();
        let report = fencers
            .test(pending.clone(), Duration::from_millis(patience), |_| {
                reported = true;
                assert_eq!(started_at.elapsed(), Duration::from_millis(patience));
            })
            .await;
        assert_eq!(
            (reported, report.power),
            (expected, Some(Power::On)),
            "{patience} ms"
        );
        assert_eq!(
            started_at.elapsed(),
            Duration::from_secs(1),
            "it ends as it would"
        );
    }
}

const OBSTACLE: &str = "power-off would fail: it supports none of ForceOff";

/// A device that may be read and would refuse a power-off.
fn put_obstructed(fencers: &Fencers, endpoint: &str) {
    let slow = Slow {
        endpoint: endpoint.to_owned(),
        parallel: 1,
        obstacle: Some(OBSTACLE.to_owned()),
        ..Slow::default()
    };
    let key = ("bmc".to_owned(), endpoint.to_owned());
    fencers.newest().made().insert(key, Arc::new(slow));
}

#[tokio::test(start_paused = true)]
async fn an_obstacle_is_a_warning_of_a_check_and_the_fault_of_a_strict_report() {
    let harness = Harness::new();
    let fencers = harness.fencers("shared.bmc");
    put_obstructed(&fencers, "shared.bmc");
    let hosts = ["c1", "c9"].map(str::to_owned);
    let reports = fencers.check(&hosts, &mut |_, _, _| {}).await;
    let [checked, failed] = reports.as_slice() else {
        panic!("{reports:?}")
    };
    assert_eq!((checked.power, checked.fault.as_deref()), (Some(Power::On), None));
    assert_eq!(checked.warnings, ["its clock is 7 s off", OBSTACLE]);
    let strict = checked.clone().strict();
    assert_eq!(
        (strict.power, strict.fault.as_deref()),
        (Some(Power::On), Some(OBSTACLE))
    );
    assert_eq!(strict.warnings, ["its clock is 7 s off"], "it is shown once");
    assert_eq!(strict.clone().strict(), strict);
    // A reading that fails is the fault, whatever else is wrong.
    assert_eq!(failed.clone().strict().fault.as_deref(), Some("it knows no c9"));
    let both = Report {
        fault: Some("no route".to_owned()),
        ..checked.clone()
    };
    assert_eq!(both.strict().fault.as_deref(), Some("no route"));
}

#[tokio::test(start_paused = true)]
async fn a_self_test_fails_by_an_obstacle_in_time_and_late() {
    let harness = Harness::new();
    let fencers = harness.fencers("{host}.bmc");
    put_obstructed(&fencers, "c1.bmc");
    let (_, mut pending) = fencers.plan(&["c1".to_owned()]);
    let pending = pending.remove(0);
    for patience in [2_000, 500] {
        let test = fencers.test(pending.clone(), Duration::from_millis(patience), |_| {});
        let report = test.await;
        assert_eq!(report.fault.as_deref(), Some(OBSTACLE), "{patience} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn tests_leave_half_of_a_devices_places_to_recoveries() {
    let harness = Harness::new();
    let fencers = harness.fencers("shared.bmc");
    let wide = put_wide(&fencers, "shared.bmc", 16);
    let hosts: Vec<String> = (1..=8).map(|number| format!("c{number}")).collect();
    let (_, pending) = fencers.plan(&hosts);
    let mut tests = tokio::task::JoinSet::new();
    for report in pending.into_iter().cycle().take(40) {
        let fencers = Arc::clone(&fencers);
        tests.spawn(async move { fencers.test(report, Duration::from_mins(1), |_| {}).await });
    }
    sleep(Duration::from_millis(500)).await;
    let target = target(&fencers, "c1");
    let mut turns = Vec::new();
    for _ in 0..8 {
        let turn = timeout(
            Duration::from_millis(1),
            fencers.permit("c1", &target, DeviceOperation::Read),
        )
        .await;
        turns.push(turn.expect("a recovery waits for none of them"));
    }
    tests.join_all().await;
    assert_eq!(wide.most.load(Ordering::SeqCst), 8);
}

#[tokio::test(start_paused = true)]
async fn two_hosts_with_the_same_plug_are_a_fault() {
    let harness = Harness::new();
    let text = format!(
        "[[device]]\nname = \"bmc\"\ntype = \"exec\"\nagent = \"fence_apc\"\nendpoint = \"shared.bmc\"\nplug = \
         \"{{1}}\"\ncredential = \"file:{}\"\n[[hosts]]\nmatch = \"*-?\"\nlevels = [[\"bmc\"]]\n",
        harness.folder.path().join("password").display()
    );
    // The first capture of the pattern does not distinguish these hosts.
    let topology = Topology::parse("test", &text).unwrap();
    let fencers = Arc::new(Fencers::new(topology, Arc::<ManualClock>::default()));
    put(&fencers, "shared.bmc");
    let hosts = ["c-1".to_owned(), "c-2".to_owned()];
    let reports = fencers.check(&hosts, &mut |_, _, _| {}).await;
    let faults: Vec<_> = reports
        .iter()
        .filter_map(|report| report.fault.as_deref())
        .collect();
    assert_eq!(faults.len(), 1, "{reports:?}");
    assert!(
        faults[0].contains("host c-1 has the same device and plug"),
        "{faults:?}"
    );
}

#[tokio::test]
async fn a_manual_device_reports_that_an_operator_is_needed() {
    let text = "[[device]]\nname = \"ops\"\ntype = \"manual\"\n";
    let fencers = Fencers::new(
        Topology::parse("test", text).unwrap(),
        Arc::<ManualClock>::default(),
    );
    let target = target(&fencers, "c1");
    let error = fencers.read_power("c1", &target).await.unwrap_err();
    assert_eq!(error.fault.class, FaultClass::Permanent);
    assert!(error.fault.text.contains("is manual"), "{error}");
}

/// Covers R18.
#[tokio::test(start_paused = true)]
async fn every_one_of_many_commands_gets_its_turn() {
    for limit in [1, 4] {
        let harness = Harness::new();
        let fencers = Fencers::new(
            harness.topology("c*", "{host}.bmc"),
            Arc::<ManualClock>::default(),
        )
        .max_power_commands(limit);
        let fencers = Arc::new(fencers);
        let mut commands = tokio::task::JoinSet::new();
        for number in 0..12_u64 {
            let host = format!("c{number}");
            put(&fencers, &format!("{host}.bmc"));
            let target = target(&fencers, &host);
            let fencers = Arc::clone(&fencers);
            commands.spawn(async move {
                let turn = fencers.permit(&host, &target, DeviceOperation::Switch).await;
                sleep(Duration::from_millis(1_000 + number * 137)).await;
                drop(turn);
            });
        }
        let all = timeout(Duration::from_secs(60), commands.join_all()).await;
        assert_eq!(all.map(|done| done.len()).ok(), Some(12), "{limit} at once");
    }
}
