use std::os::unix::fs::PermissionsExt as _;

use tachi_engine::SystemClock;
use tachi_engine::ports::Fencer as _;

use super::*;

fn device(name: &str, password: &std::path::Path) -> String {
    format!(
        "[[device]]\nname = \"{name}\"\ntype = \"ipmi\"\nendpoint = \"{{host}}-bmc\"\nusername = \"u\"\ncredential = \
         \"file:{}\"\n",
        password.display()
    )
}

struct Bed {
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bed = Self { folder };
        std::fs::write(bed.password(), "s3cret").unwrap();
        std::fs::set_permissions(bed.password(), std::fs::Permissions::from_mode(0o400)).unwrap();
        bed.write(&device("one", &bed.password()));
        bed
    }

    fn password(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("fencing.toml")
    }

    /// Writes as editors do: a new file, moved over the old one.
    fn write(&self, text: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    fn settings(&self) -> Settings {
        let conf = format!("[fencing]\ndevices_file = {}\n", self.file().display());
        Settings::parse("test", &conf).unwrap()
    }

    fn devices(&self) -> Result<Devices, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Devices::open(&self.settings(), &clock)
    }
}

fn names(devices: &Devices) -> Vec<String> {
    let levels = devices.fencers().levels("c1");
    levels
        .iter()
        .map(|level| level.devices[0].target.device.clone())
        .collect()
}

#[test]
fn a_changed_file_is_taken_and_a_broken_one_is_not_and_says_so() {
    let bed = Bed::new();
    let mut devices = bed.devices().unwrap();
    let fact = devices.how().fact(&bed.settings().fencing, FencingMode::Engine);
    assert_eq!(names(&devices), ["one"]);
    assert!(
        fact().starts_with("ok: engine, through the devices of"),
        "{}",
        fact()
    );
    devices.look();
    bed.write(&device("two", &bed.password()));
    devices.look();
    assert_eq!(names(&devices), ["two"]);
    bed.write("[[device]]\nname = 3\n");
    devices.look();
    assert_eq!(names(&devices), ["two"], "the old one stays in force");
    assert!(
        fact().contains("has problems") && fact().contains("line 1: device: type is missing"),
        "{}",
        fact()
    );
    std::fs::remove_file(bed.file()).unwrap();
    devices.look();
    assert_eq!(
        names(&devices),
        ["two"],
        "a file that is gone switches nothing off"
    );
    assert!(!fact().starts_with("ok"), "{}", fact());
    bed.write(&device("three", &bed.password()));
    devices.look();
    assert_eq!(names(&devices), ["three"]);
    assert!(fact().starts_with("ok"), "{}", fact());
}

#[test]
fn i10_a_recovery_under_way_keeps_its_device_when_the_file_changes() {
    let bed = Bed::new();
    let mut devices = bed.devices().unwrap();
    let fencers = devices.fencers();
    let target = fencers.levels("c1").remove(0).devices.remove(0).target;
    bed.write(&device("one", &bed.password()).replace("{host}-bmc", "{host}-other"));
    devices.look();
    let now = fencers.levels("c1").remove(0).devices.remove(0).target;
    assert_eq!(
        (target.endpoint.as_str(), now.endpoint.as_str()),
        ("c1-bmc", "c1-other")
    );
}

#[test]
fn a_process_does_not_start_on_a_file_that_is_broken_or_could_be_changed_by_others() {
    let bed = Bed::new();
    bed.write("[[device]]\nname = \"x\"\n\n[[hosts]]\nmatch = 3\n");
    let told = bed.devices().err().unwrap().chain();
    assert!(
        told.contains("line 1: device \"x\": type is missing") && told.contains("line 5"),
        "{told}"
    );
    bed.write(&device("one", &bed.password()));
    std::fs::set_permissions(bed.file(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let told = bed.devices().err().unwrap().chain();
    assert!(told.contains("could be changed by others"), "{told}");
}

fn report(host: &str, fault: Option<&str>) -> Report {
    Report {
        host: host.into(),
        level: 1,
        device: "bmc".into(),
        kind: "ipmi".into(),
        target: None,
        power: None,
        raw: String::new(),
        machine: None,
        alarm: None,
        latency: Duration::ZERO,
        fault: fault.map(str::to_owned),
        warnings: Vec::new(),
    }
}

#[test]
fn one_failed_self_test_is_not_told_and_two_are_until_it_works_again() {
    let how = How::default();
    let round = |faults: usize| -> Vec<Report> {
        (0..6)
            .map(|host| report(&format!("c{host}"), (host < faults).then_some("no route")))
            .collect()
    };
    how.tested(&round(5), true);
    assert_eq!(how.trouble(), None);
    how.tested(&round(5), true);
    let told = how.trouble().unwrap();
    assert!(
        told.contains("c0 by bmc (no route)") && told.ends_with("and 2 more"),
        "{told}"
    );
    how.tested(&round(0), true);
    assert_eq!(how.trouble(), None);
    how.tested(&round(1), true);
    assert_eq!(how.trouble(), None, "counted from the beginning again");
}

#[test]
fn operator_row4_what_has_failed_is_tested_again_by_itself_and_the_rest_stays_as_it_was() {
    let how = How::default();
    how.tested(
        &[
            report("c1", Some("hangs")),
            report("c2", Some("refused")),
            report("c3", None),
        ],
        true,
    );
    assert_eq!(how.trouble(), None, "one failure may be a device that is busy");
    assert_eq!(how.failing_hosts().into_iter().collect::<Vec<_>>(), ["c1", "c2"]);
    how.tested(
        &[report("c1", Some("hangs")), report("c2", Some("refused"))],
        false,
    );
    assert!(how.trouble().unwrap().contains("c1"));
    how.tested(&[report("c1", None)], false);
    let trouble = how.trouble().unwrap();
    assert!(!trouble.contains("c1") && trouble.contains("c2"), "{trouble}");
    // A host that is in no round any more is no trouble any more.
    how.tested(&[report("c3", None)], true);
    assert_eq!(how.trouble(), None);
}

#[test]
fn the_last_self_test_of_each_device_is_kept_with_its_time() {
    let how = How::default();
    let tests = how.tests();
    let every = Duration::from_mins(5);
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    assert_eq!(tests(), None, "none was made yet");
    let round = |reports: &[Report], all, seconds| {
        how.tested(reports, all);
        how.keep(reports, all, at(seconds), every);
    };
    round(&[report("c1", Some("hangs")), report("c2", None)], true, 1);
    round(&[report("c1", Some("hangs"))], false, 31);
    let kept = tests().unwrap();
    let told: Vec<_> = kept
        .iter()
        .map(|one| (one.host.as_str(), one.as_of, one.failures, one.fault.as_deref()))
        .collect();
    assert_eq!(told, [("c1", at(31), 2, Some("hangs")), ("c2", at(1), 0, None)]);
    assert_eq!(kept[0].counts_for, 660);
    round(&[report("c2", None)], true, 301);
    assert_eq!(tests().unwrap().len(), 1, "a host that is in no round any more");
}
