//! Each check of `tachi doctor`, by the real binary: a fault makes it fail, and it passes again after the printed remedy, if it is a
//! finding, else without the fault. Each scene has its own region.

mod heartbeats;
mod remedies;
mod scenes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::OnceCell;

use super::support::{Api, Harness, Process, until};
use remedies::{Remedy, of_check};

/// Timeout from a fault, or its end, to the doctor's result: a watcher polls every 15 s.
const LIMIT: Duration = Duration::from_secs(90);

/// Interval between two polls: scenes share two processors.
const PAUSE: Duration = Duration::from_millis(700);

/// A check, its grade when it fails, and the fault.
type Fault = (&'static str, &'static str, &'static str);

/// Every check, by its scene.
const FAULTS: &[(&str, &[Fault])] = &[
    (
        "files",
        &[
            (
                "configuration",
                "warn",
                "everybody may read the file with a password",
            ),
            ("policy-rules", "err", "the policy's file is no YAML"),
            (
                "fence-devices-file",
                "err",
                "the devices' file has an unknown field",
            ),
            (
                "policy-file-json-to-yaml-migration",
                "err",
                "the policy's file is JSON",
            ),
            ("options-without-effect", "warn", "an option that there is not"),
            ("ca-files", "warn", "a file of authorities that is not there"),
            ("reports-without-evidence", "warn", "mode external"),
            ("database-revision", "err", "a database that does not exist"),
            ("fencing", "warn", "mode dry-run"),
            ("masakaris-engine", "warn", "a broker that does not answer"),
            ("reserved-hosts", "unknown", "a database that does not exist"),
            ("reporter-binding", "warn", "reporters are bound to nothing"),
            ("fencing-stopped", "err", "[fencing] enabled = false"),
            ("fencing-dry-run", "err", "mode dry-run"),
            ("no-fence-device", "err", "mode engine without a device"),
            (
                "fence-file-unreadable",
                "err",
                "the devices' file has an unknown field",
            ),
            (
                "host-without-fence",
                "err",
                "the devices' file is for another host",
            ),
        ],
    ),
    (
        "beginning",
        &[
            ("engines", "warn", "no engine runs"),
            ("no-engine", "err", "no engine runs"),
            ("no-hosts", "err", "no segment at all"),
            (
                "host-not-in-segment",
                "err",
                "a host with an instance has left its segment",
            ),
            ("instances-not-listed", "unknown", "Nova lists no servers"),
            ("fence-not-tested", "unknown", "engines test no devices"),
            ("room-unknown", "unknown", "Placement breaks every connection"),
        ],
    ),
    (
        "region",
        &[
            (
                "host-names",
                "err",
                "a host is registered under a name that Nova does not know",
            ),
            ("host-down", "err", "nova-compute has ended"),
            (
                "fence-foreign-machine",
                "err",
                "the board of a host was exchanged",
            ),
            (
                "fence-failing",
                "err",
                "the only power controller of a host fails twice",
            ),
            (
                "no-reserved-host",
                "err",
                "the reserved host of a segment is reserved no more",
            ),
            ("host-cell-down", "unknown", "the cell of a host is away"),
            (
                "fence-level-failing",
                "warn",
                "one of two power controllers of a host fails",
            ),
            ("segment-disabled", "warn", "a segment is disabled"),
            (
                "few-hosts",
                "warn",
                "one of two hosts of a segment is in maintenance",
            ),
            (
                "host-unknown-to-nova",
                "warn",
                "a host is registered under a name that Nova does not know",
            ),
            (
                "host-on-maintenance",
                "warn",
                "an operator has put a host in maintenance",
            ),
            ("frozen", "warn", "an operator works at a host"),
            ("host-disabled", "warn", "an operator has disabled a host in Nova"),
        ],
    ),
    (
        "room",
        &[
            (
                "recovery-would-hold",
                "warn",
                "a host is not to be fenced without an operator",
            ),
            ("no-room", "warn", "two of three other hosts take nothing"),
            ("process-down", "warn", "libvirtd of a host cannot be restarted"),
            ("room-tight", "info", "one of three other hosts takes nothing"),
        ],
    ),
    (
        "recovery",
        &[
            ("open-work", "warn", "a host is being recovered"),
            (
                "move-needs-person",
                "err",
                "the host died while an instance migrated away",
            ),
            ("move-failed", "err", "Nova finds no host for an instance"),
            (
                "recovery-held",
                "err",
                "the only power controller of a dead host fails",
            ),
            ("host-not-back", "warn", "a host was recovered"),
            ("host-under-recovery", "warn", "a host is being recovered"),
        ],
    ),
    (
        "queue",
        &[
            ("queue-stalls", "err", "a report waits for half a minute"),
            (
                "reporter-doubted",
                "warn",
                "a reporter has called two living hosts dead",
            ),
        ],
    ),
    (
        "watch",
        &[
            ("nova", "err", "Nova breaks every connection"),
            ("rights-in-nova", "unknown", "Nova breaks every connection"),
            (
                "worst-case-time",
                "warn",
                "a host monitor takes ten minutes to report a host",
            ),
            ("nova-away", "err", "Nova breaks every connection"),
            ("plane-lost", "err", "a host has lost its storage network"),
            ("host-not-watched", "err", "the host monitors are silent"),
            ("guests-resume", "err", "a monitor has read so in nova.conf"),
            ("facts-old", "unknown", "the last look at Nova is a minute old"),
            ("monitor-unknown", "unknown", "no host monitor names a host"),
            ("monitor-silent", "warn", "the monitors of a host are silent"),
            ("monitor-part", "warn", "a monitor does not reach libvirt"),
            ("engine-silent", "warn", "one of two engines was killed"),
            (
                "engine-part",
                "warn",
                "one of two engines does not reach the broker",
            ),
            (
                "local-disk",
                "info",
                "a monitor has read an instance on its host's local disk",
            ),
        ],
    ),
];

fn faults() -> impl Iterator<Item = &'static Fault> {
    FAULTS.iter().flat_map(|(_, faults)| *faults)
}

/// The observed states of each check: failed, remedy applied, passed again.
#[derive(Default)]
struct CheckStates(Mutex<BTreeMap<String, BTreeSet<&'static str>>>);

impl CheckStates {
    fn note(&self, checks: &[&str], what: &'static str) {
        let mut check_states = self.0.lock().unwrap();
        for check in checks {
            check_states.entry((*check).to_owned()).or_default().insert(what);
        }
    }
}

/// A region with its doctor.
struct Scene {
    name: &'static str,
    harness: Harness,
    check_states: CheckStates,
    /// The engine that `systemctl` has started, and its unit's additional configuration.
    unit: Mutex<(String, Option<Process>)>,
    /// The API, started at its first use.
    api: OnceCell<(Process, Api)>,
}

impl Scene {
    /// Runs a command with the stage's configuration and an optional second file.
    fn run(&self, arguments: &[&str], more: Option<&Path>) -> (i32, String, String) {
        let conf = self.harness.conf();
        let mut all = arguments.to_vec();
        for file in std::iter::once(conf.as_path()).chain(more) {
            all.extend(["--config-file", file.to_str().unwrap()]);
        }
        tokio::task::block_in_place(|| Harness::command(&all))
    }

    /// Returns every check with its grade and details.
    fn grades(&self, more: Option<&Path>) -> BTreeMap<String, (String, String)> {
        let (code, output, note) = self.run(&["doctor", "-f", "json"], more);
        assert_eq!(code, 0, "{}: {note}", self.name);
        let output: Value = serde_json::from_str(&output).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let rows = output["checks"].as_array().unwrap().iter();
        rows.map(|row| (text(&row["check"]), (text(&row["grade"]), text(&row["details"]))))
            .collect()
    }

    /// Waits until each of these checks has the wanted grade.
    async fn until(&self, checks: &[&str], expected: impl Fn(&str) -> &'static str, more: Option<&Path>) {
        let began = Instant::now();
        loop {
            let grades = self.grades(more);
            let open = checks.iter().filter_map(|check| {
                let found = grades.get(*check);
                let is_so = found.is_some_and(|(grade, _)| grade == expected(check));
                (!is_so).then(|| format!("{check} is {found:?} and should be {}", expected(check)))
            });
            let open: Vec<String> = open.collect();
            if open.is_empty() {
                return;
            }
            assert!(began.elapsed() < LIMIT, "{}: {open:#?}", self.name);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until these checks fail as in the table.
    async fn fails(&self, checks: &[&str]) {
        self.fails_with(checks, None).await;
    }

    async fn fails_with(&self, checks: &[&str], more: Option<&Path>) {
        let grade = |check: &str| {
            let row = faults().find(|(name, ..)| *name == check);
            row.unwrap_or_else(|| panic!("{check} is in no table")).1
        };
        self.until(checks, grade, more).await;
        self.check_states.note(checks, "failed");
    }

    /// Waits until they pass.
    async fn good(&self, checks: &[&str]) {
        self.good_with(checks, None).await;
    }

    async fn good_with(&self, checks: &[&str], more: Option<&Path>) {
        self.until(checks, |_| "ok", more).await;
        self.check_states.note(checks, "good");
    }

    /// Returns the output of `--fix` for a check.
    fn fix(&self, arguments: &[&str]) -> String {
        let all: Vec<&str> = ["doctor", "--fix"].iter().chain(arguments).copied().collect();
        let (code, output, note) = self.run(&all, None);
        assert_eq!(code, 0, "{}, {arguments:?}: {output}{note}", self.name);
        output
    }

    /// Writes a file beside the configuration.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.harness.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Ages rows by this number of seconds.
    async fn age(&self, table: &str, column: &str, seconds: i64, which: &str) {
        use sea_orm::ConnectionTrait as _;
        let db = sea_orm::Database::connect(&self.harness.database.url)
            .await
            .unwrap();
        let micros = seconds * 1_000_000;
        let sql = format!("UPDATE {table} SET {column} = {column} - {micros} WHERE {which}");
        assert!(
            db.execute_unprepared(&sql).await.unwrap().rows_affected() > 0,
            "{sql}"
        );
    }

    /// Simulates `systemctl start masakari-engine`.
    fn start_engine(&self) {
        let mut unit = self.unit.lock().unwrap();
        let engine = self.engine("ctl-1", &unit.0);
        unit.1 = Some(engine);
    }

    /// Takes the engine that was started that way.
    fn started(&self) -> Process {
        self.unit.lock().unwrap().1.take().unwrap()
    }

    /// Changes an object through the API as an administrator, who repeats the request while a recovery in the segment or a busy database
    /// refuses it.
    async fn put(&self, path: &str, body: &Value) {
        let (_, api) = self
            .api
            .get_or_init(|| async { (self.harness.spawn("api"), self.harness.api().await) })
            .await;
        until("the change to be accepted", LIMIT, async || {
            let (code, output) = api.send(reqwest::Method::PUT, path, body).await;
            assert!([200, 409, 503].contains(&code), "{}: {path}: {output}", self.name);
            code == 200
        })
        .await;
    }

    /// Starts an engine with its own host name.
    fn engine(&self, machine: &str, more: &str) -> Process {
        let file = self.file(
            &format!("{machine}.conf"),
            &format!("[DEFAULT]\nhost = {machine}\n{more}"),
        );
        self.harness.spawn_with("engine", &[file])
    }
}

/// Checks that other tests cover: one passes only with monitors that are bound to their hosts, one needs a recovery that Nova refuses
/// (`an_instance_whose_restart_failed_is_down_in_every_view_until_it_runs`), and one fails together with `recovery-would-hold`.
const INDIRECT: [&str; 3] = ["monitor-heartbeats", "instance-down", "storm-limits"];

impl Scene {
    /// True if every check of this scene has failed, its remedy was applied, and it has passed again.
    fn has_shown_all(&self) {
        let mut listed: BTreeSet<String> = self.grades(None).into_keys().collect();
        assert!(INDIRECT.iter().all(|check| listed.remove(*check)));
        let table: BTreeSet<String> = faults().map(|(check, ..)| (*check).to_owned()).collect();
        assert_eq!(table.len(), faults().count(), "each once");
        assert_eq!(
            listed, table,
            "what the doctor looks at has a fault, and the other way round"
        );
        let check_states = self.check_states.0.lock().unwrap();
        let (_, faults) = FAULTS.iter().find(|(scene, _)| *scene == self.name).unwrap();
        for (check, ..) in *faults {
            let what: Vec<_> = check_states.get(*check).into_iter().flatten().copied().collect();
            let expected: &[&str] = match of_check(check) {
                None => &["failed", "good"],
                Some(
                    Remedy::Printed
                    | Remedy::InList(_)
                    | Remedy::ByHand(_)
                    | Remedy::CoveredBy(_)
                    | Remedy::NoFinding,
                ) => &["failed", "good", "remedy"],
            };
            assert_eq!(what, expected, "{check}");
        }
    }
}
