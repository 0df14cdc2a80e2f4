use std::os::unix::fs::PermissionsExt as _;

use tachi_domain::policy::FencingMode;
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

struct Harness {
    folder: tempfile::TempDir,
}

impl Harness {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let harness = Self { folder };
        std::fs::write(harness.password(), "s3cret").unwrap();
        std::fs::set_permissions(harness.password(), std::fs::Permissions::from_mode(0o400)).unwrap();
        harness.write(&device("one", &harness.password()));
        harness
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
    let harness = Harness::new();
    let mut devices = harness.devices().unwrap();
    let fact = fact(devices.how(), &harness.settings().fencing, FencingMode::Engine);
    assert_eq!(names(&devices), ["one"]);
    assert!(
        fact().starts_with("ok: engine, through the devices of"),
        "{}",
        fact()
    );
    devices.check_file();
    harness.write(&device("two", &harness.password()));
    devices.check_file();
    assert_eq!(names(&devices), ["two"]);
    harness.write("[[device]]\nname = 3\n");
    devices.check_file();
    assert_eq!(names(&devices), ["two"], "the old one stays in force");
    assert!(
        fact().contains("has problems") && fact().contains("line 1: device: type is missing"),
        "{}",
        fact()
    );
    std::fs::remove_file(harness.file()).unwrap();
    devices.check_file();
    assert_eq!(
        names(&devices),
        ["two"],
        "a file that is gone switches nothing off"
    );
    assert!(!fact().starts_with("ok"), "{}", fact());
    harness.write(&device("three", &harness.password()));
    devices.check_file();
    assert_eq!(names(&devices), ["three"]);
    assert!(fact().starts_with("ok"), "{}", fact());
}

/// Covers I10.
#[test]
fn a_recovery_under_way_keeps_its_device_when_the_file_changes() {
    let harness = Harness::new();
    let mut devices = harness.devices().unwrap();
    let fencers = devices.fencers();
    let target = fencers.levels("c1").remove(0).devices.remove(0).target;
    harness.write(&device("one", &harness.password()).replace("{host}-bmc", "{host}-other"));
    devices.check_file();
    let now = fencers.levels("c1").remove(0).devices.remove(0).target;
    assert_eq!(
        (target.endpoint.as_str(), now.endpoint.as_str()),
        ("c1-bmc", "c1-other")
    );
}

#[test]
fn a_process_does_not_start_on_a_file_that_is_broken_or_could_be_changed_by_others() {
    let harness = Harness::new();
    harness.write("[[device]]\nname = \"x\"\n\n[[hosts]]\nmatch = 3\n");
    let message = harness.devices().err().unwrap().chain();
    assert!(
        message.contains("line 1: device \"x\": type is missing") && message.contains("line 5"),
        "{message}"
    );
    harness.write(&device("one", &harness.password()));
    std::fs::set_permissions(harness.file(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let message = harness.devices().err().unwrap().chain();
    assert!(message.contains("could be changed by others"), "{message}");
}

#[test]
fn a_number_for_self_tests_is_kept_by_all_engines() {
    let read = |text: &str| {
        let settings = Settings::parse("test", &format!("[fencing]\n{text}")).unwrap();
        let pauses = settings.fencing.self_test;
        pauses.map(|pauses| (pauses.watching.as_secs(), pauses.beside.as_secs()))
    };
    assert_eq!(read(""), Some((40, 300)));
    assert_eq!(read("self_test_interval = 40"), Some((40, 40)));
    assert_eq!(read("self_test_interval = 900"), Some((900, 900)));
    assert_eq!(read("self_test_interval = 0"), None);
}
