//! The first commands of a new user: `serve --sandbox` and `demo --board`, by the real binary.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::support::{Harness, until};

const LIMIT: Duration = Duration::from_secs(90);

/// A program that runs until it is stopped, and its output.
struct RunningProgram {
    child: Child,
    printed: Arc<Mutex<Vec<String>>>,
    logged: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

impl RunningProgram {
    fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tachi"));
        command.args(args).current_dir(folder.path());
        command.env_remove("OS_CLOUD").env_remove("OS_CLIENT_CONFIG_FILE");
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (printed, logged) = (collect(child.stdout.take()), collect(child.stderr.take()));
        Self {
            child,
            printed,
            logged,
            folder,
        }
    }

    fn line(&self, part: &str) -> Option<String> {
        let printed = self.printed.lock().unwrap();
        printed.iter().find(|line| line.contains(part)).cloned()
    }

    async fn until_printed(&self, part: &str) -> String {
        until(&format!("{part:?} to be said"), LIMIT, async || {
            self.line(part).is_some()
        })
        .await;
        self.line(part).unwrap()
    }

    /// Stops it like Ctrl-C; returns its exit code.
    async fn stop(&mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < LIMIT, "it does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects the lines of a stream while the program runs.
fn collect(stream: Option<impl Read + Send + 'static>) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (from, to) = (stream.unwrap(), lines.clone());
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            to.lock().unwrap().push(line);
        }
    });
    lines
}

fn address(line: &str) -> String {
    let found = line.split_whitespace().find(|word| word.starts_with("http://"));
    found.unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// Runs `tachi` in this folder. Returns its exit code, and all that it has printed.
fn typed_in(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_tachi"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let out = [ran.stdout, ran.stderr].concat();
    (ran.status.code(), String::from_utf8_lossy(&out).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_operator_a_sandbox_that_is_served_is_protected_and_its_board_is_there() {
    let mut cloud = RunningProgram::start(&["serve", "--sandbox", "--hosts", "3", "--state-dir", "state"]);
    cloud.until_printed("ready;").await;
    let printed = cloud.until_printed("board").await;
    assert!(printed.contains("(user admin, password "), "{printed}");
    let board = address(&printed);
    let answer = reqwest::get(&board).await.unwrap();
    assert_eq!(answer.status(), 200, "{board}");
    // It accepts actions, but not from foreign pages.
    let client = reqwest::Client::builder().timeout(LIMIT).build().unwrap();
    let answer = client.post(format!("{board}words")).send().await.unwrap();
    assert_eq!(answer.status(), 403, "{board}words");
    let conf = cloud.folder.path().join("state/tachi.conf");
    let conf = conf.to_str().unwrap();
    let status = || {
        let (code, out, note) = Harness::command(&["status", "-f", "json", "--config-file", conf]);
        assert_eq!(code, 0, "{note}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let status_view = status();
    assert_eq!(status_view["segments"][0]["name"], "nova", "{status_view}");
    assert_eq!(
        status_view["segments"][0]["hosts"].as_array().unwrap().len(),
        3,
        "{status_view}"
    );
    // With the printed options, from the folder where it was started.
    let args = cloud.until_printed("tachi status ").await;
    let args: Vec<&str> = args.split_whitespace().skip(2).collect();
    assert_eq!(args, ["status", "--os-cloud", "tachi-sandbox"]);
    let (_, out) = typed_in(cloud.folder.path(), &args);
    assert!(out.contains("\nnova     auto    3/3 "), "{out}");
    until("all instances to be protected", LIMIT, async || {
        status()["instances"]["protected"] == 20
    })
    .await;
    let rows_of = |args: &[&str]| {
        let args: Vec<&str> = args
            .iter()
            .chain(&["-f", "json", "--config-file", conf])
            .copied()
            .collect();
        let (code, out, note) = Harness::command(&args);
        assert_eq!(code, 0, "{args:?}: {note}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let jobs = rows_of(&["jobs", "list"]);
    assert_eq!(jobs.as_array().unwrap().len(), 4, "{jobs}");
    until("each host's monitors to sign", LIMIT, async || {
        let monitors = rows_of(&["monitor", "list"]);
        let monitors = monitors.as_array().unwrap();
        monitors.len() == 9 && monitors.iter().all(|monitor| monitor["grade"] == "ok")
    })
    .await;
    // As printed: a host fails without a report by the test, and its instances are back.
    let typed = cloud.until_printed("fail a host").await;
    let command = typed.strip_prefix("fail a host tachi ").unwrap();
    let (command, _) = command.split_once(';').unwrap();
    assert_eq!(command, "demo kill compute-001", "{typed}");
    for fault in ["cut", "break-bmc", "heal"] {
        assert!(typed.contains(fault), "{typed}");
    }
    // The curl of Ubuntu 22.04 has no --json, and nobody should need it.
    assert!(cloud.line("curl").is_none(), "{:?}", cloud.line("curl"));
    let demo = |args: &str| typed_in(cloud.folder.path(), &args.split(' ').collect::<Vec<_>>());
    let (code, out) = demo(command);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.starts_with("compute-001 has lost power\n"), "{out}");
    let (code, out) = demo("demo kill compute-900");
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("no simulated host is named compute-900"), "{out}");
    until("the host to be reported and recovered", LIMIT, async || {
        let all = rows_of(&["recovery", "list", "--all"]);
        let status_view = status();
        all[0]["host"] == "compute-001" && status_view["instances"]["protected"] == 20
    })
    .await;
    for (args, part) in [
        (
            "demo heal compute-001",
            "works again and is starting: its queue is empty",
        ),
        (
            "demo break-bmc compute-002",
            "the power controller (bmc) of compute-002 fails",
        ),
        ("demo cut compute-002", "compute-002 is cut off from the network"),
        ("demo heal compute-002", "works again"),
    ] {
        let (code, out) = demo(args);
        assert_eq!(code, Some(0), "{args}: {out}");
        assert!(out.contains(part), "{args}: {out}");
    }
    assert_eq!(cloud.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_a_bare_sandbox_is_left_as_it_is() {
    let mut cloud = RunningProgram::start(&[
        "serve",
        "--sandbox",
        "--bare",
        "--hosts",
        "2",
        "--state-dir",
        "state",
    ]);
    cloud.until_printed("ready;").await;
    let conf = cloud.folder.path().join("state/tachi.conf");
    let (code, out, note) =
        Harness::command(&["status", "-f", "json", "--config-file", conf.to_str().unwrap()]);
    assert_eq!(code, 0, "{note}");
    let status_view: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        status_view["segments"].as_array().unwrap().len(),
        0,
        "{status_view}"
    );
    // The log on the terminal has no line for each request: two a second are those of the board alone.
    let api = address(&cloud.until_printed("instance-ha").await);
    let answer = reqwest::get(format!("{api}/segments")).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(cloud.stop().await, Some(0));
    let logged = cloud.logged.lock().unwrap();
    assert!(
        logged.iter().all(|line| !line.contains("/segments")),
        "{logged:#?}"
    );
    assert!(!logged.is_empty(), "the log is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_the_demo_can_be_watched_in_a_browser_until_it_is_stopped() {
    let mut demo = RunningProgram::start(&["demo", "--board", "--hosts", "3", "--instances", "3"]);
    let board = address(&demo.until_printed("board ").await);
    let login = demo.until_printed("log in as user admin").await;
    assert!(
        login.contains("password ") && login.contains("project admin"),
        "{login}"
    );
    let answer = reqwest::get(&board).await.unwrap();
    assert_eq!(answer.status(), 200, "{board}");
    demo.until_printed("none lost, none ran twice").await;
    demo.until_printed("stop with Ctrl-C").await;
    let answer = reqwest::get(&board).await.unwrap();
    assert_eq!(answer.status(), 200, "it continues: {board}");
    assert_eq!(demo.stop().await, Some(0));
}
