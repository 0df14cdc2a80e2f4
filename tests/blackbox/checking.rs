//! Each check of `tachi doctor`: a fault that makes it fail, by the real binary, and that it is good again: by the remedy that is printed,
//! if it is a finding, else without the fault. Scenes run side by side, each in a region of its own.

mod remedies;
mod scenes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::{LocalBoxFuture, join_all};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::support::{Api, Process, Stage, until};
use remedies::{Remedy, of_check};

/// From a fault, or its end, to the doctor's word: a watcher looks every 15 s.
const LIMIT: Duration = Duration::from_secs(90);

/// Between two looks: scenes share two processors.
const PAUSE: Duration = Duration::from_millis(700);

/// Every check, what it says when it fails, and what makes it fail.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "configuration",
        "warn",
        "everybody may read the file with a password",
    ),
    ("policy-rules", "err", "the policy's file is no YAML"),
    (
        "fence-devices-file",
        "err",
        "the devices' file has a field nobody knows",
    ),
    (
        "policy-file-json-to-yaml-migration",
        "err",
        "the policy's file is JSON",
    ),
    ("options-without-effect", "warn", "an option that there is not"),
    ("ca-files", "warn", "a file of authorities that is not there"),
    ("reports-without-evidence", "warn", "mode external"),
    ("database-revision", "err", "a database that nobody has made"),
    ("fencing", "warn", "mode dry-run"),
    ("masakaris-engine", "warn", "a broker that does not answer"),
    ("open-work", "warn", "a host is being recovered"),
    ("reserved-hosts", "unknown", "a database that nobody has made"),
    ("reporter-binding", "warn", "reporters are bound to nothing"),
    ("engines", "warn", "no engine runs"),
    ("nova", "err", "Nova breaks every connection"),
    ("rights-in-nova", "unknown", "Nova breaks every connection"),
    (
        "host-names",
        "err",
        "a host is registered under a name that Nova does not know",
    ),
    (
        "worst-case-time",
        "warn",
        "a host monitor takes ten minutes to report a host",
    ),
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
    ("no-engine", "err", "no engine runs"),
    ("nova-away", "err", "Nova breaks every connection"),
    ("queue-stalls", "err", "a report waits for half a minute"),
    ("fencing-stopped", "err", "[fencing] enabled = false"),
    ("fencing-dry-run", "err", "mode dry-run"),
    ("no-fence-device", "err", "mode engine without a device"),
    (
        "fence-file-unreadable",
        "err",
        "the devices' file has a field nobody knows",
    ),
    ("no-hosts", "err", "no segment at all"),
    ("host-down", "err", "nova-compute has ended"),
    ("plane-lost", "err", "a host has lost its storage network"),
    (
        "host-not-in-segment",
        "err",
        "a host with an instance has left its segment",
    ),
    (
        "host-without-fence",
        "err",
        "the devices' file is for another host",
    ),
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
    ("host-not-watched", "err", "the host monitors are silent"),
    ("guests-resume", "err", "a monitor has read so in nova.conf"),
    ("facts-old", "unknown", "the last look at Nova is a minute old"),
    ("instances-not-listed", "unknown", "Nova lists no servers"),
    ("host-cell-down", "unknown", "the cell of a host is away"),
    ("fence-not-tested", "unknown", "engines test no devices"),
    ("monitor-unknown", "unknown", "no host monitor names a host"),
    ("room-unknown", "unknown", "Placement breaks every connection"),
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
        "recovery-would-hold",
        "warn",
        "a host is not to be fenced without an operator",
    ),
    ("no-room", "warn", "two of three other hosts take nothing"),
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
    ("frozen", "warn", "somebody works at a host"),
    ("host-not-back", "warn", "a host was recovered"),
    ("process-down", "warn", "libvirtd of a host cannot be restarted"),
    ("host-disabled", "warn", "somebody has disabled a host at Nova"),
    (
        "reporter-doubted",
        "warn",
        "a reporter has called two living hosts dead",
    ),
    ("monitor-silent", "warn", "the monitors of a host are silent"),
    ("monitor-part", "warn", "a monitor does not reach libvirt"),
    ("engine-silent", "warn", "one of two engines was killed"),
    (
        "engine-part",
        "warn",
        "one of two engines does not reach the broker",
    ),
    ("host-under-recovery", "warn", "a host is being recovered"),
    ("room-tight", "info", "one of three other hosts takes nothing"),
    (
        "local-disk",
        "info",
        "a monitor has read an instance on its host's local disk",
    ),
];

/// What was seen of each check: that it failed, that its remedy was applied, and that it was good after that.
#[derive(Default)]
struct Seen(Mutex<BTreeMap<String, BTreeSet<&'static str>>>);

impl Seen {
    fn note(&self, checks: &[&str], what: &'static str) {
        let mut seen = self.0.lock().unwrap();
        for check in checks {
            seen.entry((*check).to_owned()).or_default().insert(what);
        }
    }
}

/// A region, and what the doctor says of it.
struct Scene<'a> {
    name: &'static str,
    stage: Stage,
    seen: &'a Seen,
    /// The engine that `systemctl` has started, and what its unit's configuration says beside the stage's.
    unit: Mutex<(String, Option<Process>)>,
    /// The API, once it is asked.
    api: OnceCell<(Process, Api)>,
}

impl Scene<'_> {
    /// Runs a command with the stage's configuration, and perhaps one more file.
    fn run(&self, words: &[&str], more: Option<&Path>) -> (i32, String, String) {
        let conf = self.stage.conf();
        let mut all = words.to_vec();
        for file in std::iter::once(conf.as_path()).chain(more) {
            all.extend(["--config-file", file.to_str().unwrap()]);
        }
        tokio::task::block_in_place(|| Stage::command(&all))
    }

    /// Every check with its grade.
    fn grades(&self, more: Option<&Path>) -> BTreeMap<String, (String, String)> {
        let (code, told, note) = self.run(&["doctor", "-f", "json"], more);
        assert_eq!(code, 0, "{}: {note}", self.name);
        let told: Value = serde_json::from_str(&told).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let rows = told["checks"].as_array().unwrap().iter();
        rows.map(|row| (text(&row["check"]), (text(&row["grade"]), text(&row["details"]))))
            .collect()
    }

    /// Waits until each of these checks has the grade that `wanted` says.
    async fn until(&self, checks: &[&str], wanted: impl Fn(&str) -> &'static str, more: Option<&Path>) {
        let began = Instant::now();
        loop {
            let grades = self.grades(more);
            let open = checks.iter().filter_map(|check| {
                let found = grades.get(*check);
                let is_so = found.is_some_and(|(grade, _)| grade == wanted(check));
                (!is_so).then(|| format!("{check} is {found:?} and should be {}", wanted(check)))
            });
            let open: Vec<String> = open.collect();
            if open.is_empty() {
                return;
            }
            assert!(began.elapsed() < LIMIT, "{}: {open:#?}", self.name);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// These checks fail, as the table says.
    async fn fails(&self, checks: &[&str]) {
        self.fails_with(checks, None).await;
    }

    async fn fails_with(&self, checks: &[&str], more: Option<&Path>) {
        let grade = |check: &str| {
            let row = FAULTS.iter().find(|(name, ..)| *name == check);
            row.unwrap_or_else(|| panic!("{check} is in no table")).1
        };
        self.until(checks, grade, more).await;
        self.seen.note(checks, "failed");
    }

    /// They are good.
    async fn good(&self, checks: &[&str]) {
        self.good_with(checks, None).await;
    }

    async fn good_with(&self, checks: &[&str], more: Option<&Path>) {
        self.until(checks, |_| "ok", more).await;
        self.seen.note(checks, "good");
    }

    /// What `--fix` says of a check.
    fn fix(&self, words: &[&str]) -> String {
        let all: Vec<&str> = ["doctor", "--fix"].iter().chain(words).copied().collect();
        let (code, told, note) = self.run(&all, None);
        assert_eq!(code, 0, "{}, {words:?}: {told}{note}", self.name);
        told
    }

    /// A file beside the configuration.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.stage.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// As if so many seconds had passed since it was written.
    async fn age(&self, table: &str, column: &str, seconds: i64, which: &str) {
        use sea_orm::ConnectionTrait as _;
        let db = sea_orm::Database::connect(&self.stage.database.url)
            .await
            .unwrap();
        let micros = seconds * 1_000_000;
        let sql = format!("UPDATE {table} SET {column} = {column} - {micros} WHERE {which}");
        assert!(
            db.execute_unprepared(&sql).await.unwrap().rows_affected() > 0,
            "{sql}"
        );
    }

    /// What `systemctl start masakari-engine` does.
    fn start_engine(&self) {
        let mut unit = self.unit.lock().unwrap();
        let engine = self.engine("ctl-1", &unit.0);
        unit.1 = Some(engine);
    }

    /// The engine that was started so.
    fn started(&self) -> Process {
        self.unit.lock().unwrap().1.take().unwrap()
    }

    /// Changes something by the API, as an administrator, who types it again while a recovery in the segment refuses it, as in
    /// Masakari, or the database is busy.
    async fn put(&self, path: &str, body: &Value) {
        let (_, api) = self
            .api
            .get_or_init(|| async { (self.stage.spawn("api"), self.stage.api().await) })
            .await;
        until("the change to be accepted", LIMIT, async || {
            let (code, told) = api.send(reqwest::Method::PUT, path, body).await;
            assert!([200, 409, 503].contains(&code), "{}: {path}: {told}", self.name);
            code == 200
        })
        .await;
    }

    /// An engine on a machine of its own.
    fn engine(&self, machine: &str, more: &str) -> Process {
        let file = self.file(
            &format!("{machine}.conf"),
            &format!("[DEFAULT]\nhost = {machine}\n{more}"),
        );
        self.stage.spawn_with("engine", &[file])
    }
}

/// Their grades are tested beside them: what is good only with monitors that are bound to their hosts, which those of these scenes are
/// not, and what needs a recovery that Nova refuses (`an_instance_whose_restart_failed_is_down_in_every_view_until_it_runs`).
const ELSEWHERE: [&str; 2] = ["monitor-heartbeats", "instance-down"];

#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_each_check_fails_for_a_fault_and_is_good_without_it() {
    let seen = Seen::default();
    let scenes: [LocalBoxFuture<'_, BTreeSet<String>>; 7] = [
        Box::pin(scenes::files(&seen)),
        Box::pin(scenes::beginning(&seen)),
        Box::pin(scenes::region(&seen)),
        Box::pin(scenes::room(&seen)),
        Box::pin(scenes::recovery(&seen)),
        Box::pin(scenes::queue(&seen)),
        Box::pin(scenes::watch(&seen)),
    ];
    let mut listed = join_all(scenes).await;
    for listed in &mut listed {
        assert!(ELSEWHERE.iter().all(|check| listed.remove(*check)));
    }
    let table: BTreeSet<String> = FAULTS.iter().map(|(check, ..)| (*check).to_owned()).collect();
    assert_eq!(table.len(), FAULTS.len(), "each once");
    for listed in listed {
        assert_eq!(
            listed, table,
            "what the doctor looks at has a fault, and the other way round"
        );
    }
    let seen = seen.0.into_inner().unwrap();
    for check in &table {
        let what: Vec<_> = seen.get(check).into_iter().flatten().copied().collect();
        let expected: &[&str] = match of_check(check) {
            None => &["failed", "good"],
            Some(Remedy::Printed | Remedy::Listed(_) | Remedy::ByHand(_) | Remedy::Elsewhere(_)) => {
                &["failed", "good", "remedy"]
            }
        };
        assert_eq!(what, expected, "{check}");
    }
}
