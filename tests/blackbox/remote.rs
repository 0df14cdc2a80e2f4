//! The commands of operators away from the controller: over the API, as a user of Keystone, by the real binary.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::Value;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::when::time;
use tachi_sandbox::{Boot, Sandbox, SandboxOptions};

use super::support::{Harness, json, quick_region, run, until};

const HOST: &str = "compute-001";
const LIMIT: Duration = Duration::from_secs(90);
/// Time after which the database and the API return the same.
const SAME: Duration = Duration::from_secs(10);
pub(crate) const ADMIN: &str = "tachi-sandbox";
pub(crate) const DEMO: &str = "tachi-sandbox-demo";

/// Runs a command in a separate environment.
fn tachi(clouds: &std::path::Path, variable: Option<&str>, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tachi"));
    command
        .env_remove("OS_CLOUD")
        .env("OS_CLIENT_CONFIG_FILE", clouds);
    if let Some(cloud) = variable {
        command.env("OS_CLOUD", cloud);
    }
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Runs a command with the clouds of the stage's region.
pub(crate) fn over(harness: &Harness, cloud: &str, arguments: &[&str]) -> (i32, String, String) {
    let clouds = harness.folder.path().join("clouds.yaml");
    std::fs::write(&clouds, harness.sandbox.clouds_yaml()).unwrap();
    let mut all = arguments.to_vec();
    all.extend(["--os-cloud", cloud]);
    tachi(&clouds, None, &all)
}

/// Removes the values that depend on the time of the call.
fn timeless(text: &str) -> String {
    let ages = Regex::new(
        r#"(?m)\d+ (s|min|h) ago|\d\d:\d\d:\d\d(, |$)|queue \d+ .*|"(at|looked_at|signed_at|as_of)":"[^"]*"|"age_seconds":\d+"#,
    )
    .unwrap();
    ages.replace_all(text, "...").into_owned()
}

/// Asserts the same code and the same output from both sources, except for times; returns both outputs of standard error.
pub(crate) fn assert_same_ignoring_time(
    harness: &Harness,
    arguments: &[&str],
    code: i32,
) -> (String, [String; 2]) {
    let ask = || {
        let (local, remote) = (run(harness, arguments), over(harness, ADMIN, arguments));
        assert_eq!(
            (local.0, remote.0),
            (code, code),
            "{arguments:?}: {} {}",
            local.2,
            remote.2
        );
        ([timeless(&local.1), timeless(&remote.1)], [local.2, remote.2])
    };
    // Between the two calls an engine may have written, a longer age widens a column, and the API caches for a moment.
    let began = Instant::now();
    let (printed, stderr) = loop {
        let (printed, stderr) = ask();
        if printed[0] == printed[1] || began.elapsed() > SAME {
            break (printed, stderr);
        }
    };
    assert_eq!(printed[0], printed[1], "{arguments:?}");
    let [printed, _] = printed;
    (printed, stderr)
}

/// Asserts the same output from the database and over HTTP.
pub(crate) fn assert_same_output(harness: &Harness, arguments: &[&str]) -> String {
    let (printed, [stderr, answered]) = assert_same_ignoring_time(harness, arguments, 0);
    assert_eq!(stderr, answered, "{arguments:?}");
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_commands_print_the_same_bytes_over_http_and_from_the_database() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    let hostile = Boot::on(HOST, 1)
        .name("evil\u{1b}[2J\nERR")
        .metadata("HA_Enabled", "True");
    let evil = harness.sandbox.region().boot(&hostile).unwrap()[0].to_string();
    harness.boot(HOST, 2);
    let _api = harness.spawn("api");
    harness.api().await;
    let _engine = harness.spawn("engine");
    until("the instances to be listed", LIMIT, async || {
        json(&harness, &["status"])["instances"]["down"].is_u64()
    })
    .await;
    let printed = assert_same_output(&harness, &["show", &evil]);
    assert!(
        printed.contains("evil\\u{1b}[2J") && !printed.contains('\u{1b}') && !printed.contains("\nERR"),
        "{printed}"
    );

    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let notification = harness.report(HOST).await;
    assert_same_output(&harness, &["recovery", "list", "-f", "value"]);
    harness.until_finished(notification, LIMIT).await;
    let all = json(&harness, &["recovery", "list", "--all"]);
    let id = all[0]["recovery"].as_str().unwrap();
    for arguments in [
        &["status"][..],
        &["status", "--all-hosts"],
        &["status", HOST],
        &["status", "all"],
        &["show", HOST],
        &["show", &evil[..8]],
        &["recovery", "list", "--all", "--limit", "5", "--host", HOST],
        &["recovery", "list", "--state", "held"],
        &["recovery", "show", id],
        &["recovery", "show", &id[..8]],
        &["recovery", "show", HOST, "--follow"],
        &["recovery", "report", id],
        &["recovery", "report", HOST, "-f", "html"],
        &["recovery", "report", HOST, "-f", "json"],
        &["instance", "list", "--recovering"],
        &["instance", "list", "--waiting"],
    ] {
        let printed = assert_same_output(&harness, arguments);
        assert!(
            !printed.is_empty() && !printed.contains('\u{1b}'),
            "{arguments:?}: {printed}"
        );
        if !arguments.contains(&"--follow") && !arguments.contains(&"report") {
            let in_json: Vec<&str> = arguments.iter().copied().chain(["-f", "json"]).collect();
            assert_same_output(&harness, &in_json);
        }
    }
    assert_report(&harness, id, &evil);
    assert_past(&harness, id);
    for arguments in [
        &["show", "nobody"][..],
        &["recovery", "show", "nobody"],
        &["recovery", "report", "nobody"],
        &["status", "nobody"],
    ] {
        let ((local, _, stderr), (remote, _, answered)) =
            (run(&harness, arguments), over(&harness, ADMIN, arguments));
        assert_eq!((local, &stderr), (remote, &answered), "{arguments:?}");
        assert_eq!(local, 1, "{stderr}");
    }
    let printed = assert_same_output(&harness, &["mon", "--once"]);
    assert!(
        printed.contains("compute-001 R.M") && printed.contains("● engines 1/1 "),
        "{printed}"
    );
    assert!(printed.contains("─ last steps ─"), "{printed}");
}

/// A host's past is the same from both sources, and an unknown host is reported as such.
fn assert_past(harness: &Harness, id: &str) {
    // A span that ends now would end later in a later call.
    let half = 50;
    let at = time(SystemClock.wall().minus_seconds(half).whole_seconds());
    let within = format!("{half}s");
    let arguments = ["show", HOST, "--at", &at, "--within", &within];
    let printed = assert_same_output(harness, &arguments);
    for expected in [
        "1 report accepted, 1 recovery, no freeze",
        ": COMPUTE_HOST (",
        "    accepted; it finished",
        &format!("-> tachi recovery show {id}"),
        "compute-001 is off",
        "  ? reports without a valid token",
        "and has sent heartbeats since",
    ] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    let json = [&arguments[..], &["-f", "json"]].concat();
    assert_same_output(harness, &json);
    for (name, why) in [
        ("compute-00", "there are no records of a host"),
        ("%", "there are no records of a host"),
    ] {
        let arguments = ["show", name, "--at", &at];
        let ((local, _, stderr), (remote, _, answered)) =
            (run(harness, &arguments), over(harness, ADMIN, &arguments));
        assert_eq!((local, &stderr), (remote, &answered), "{name}");
        assert!(local == 1 && stderr.contains(why), "{stderr}");
    }
    let tomorrow = time(SystemClock.wall().minus_seconds(-86_400));
    for arguments in [["--at", &tomorrow], ["--at", "midnight"]] {
        let (code, _, stderr) = run(harness, &[&["show", HOST][..], &arguments].concat());
        assert!(code == 2 && stderr.contains("--at"), "{stderr}");
    }
}

/// The report depends on the journal alone, is the same each time, and shows foreign names as text.
fn assert_report(harness: &Harness, id: &str, evil: &str) {
    let clouds = harness.folder.path().join("clouds.yaml");
    let mut texts = Vec::new();
    for name in ["one.html", "two.html"] {
        let file = harness.folder.path().join(name);
        let arguments = ["recovery", "report", id, "-o", file.to_str().unwrap()];
        let (code, printed, note) = tachi(&clouds, Some(ADMIN), &arguments);
        assert_eq!((code, printed.as_str()), (0, ""), "{note}");
        assert!(note.contains(name), "{note}");
        texts.push(std::fs::read_to_string(file).unwrap());
    }
    assert_eq!(texts[0], texts[1]);
    let page = &texts[0];
    assert!(
        page.starts_with("<!doctype html>") && !page.contains("<script"),
        "{page}"
    );
    let shown = "evil\\u{1b}[2J\\nERR-1</td><td class=\"whole\">".to_owned() + evil;
    assert!(page.contains(&shown), "{page}");
    let (code, printed, note) = run(harness, &["recovery", "report", id]);
    assert_eq!(code, 0, "{note}");
    for expected in [
        "All 3 instances are back",
        "| confirmed off | 2",
        "| disabled and forced down in Nova | 2",
        "| last instance back | 2",
        "| marked | 3 |",
        "read \"off\"",
        "no operator has acted",
        "- fencing = engine",
    ] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    let nowhere = harness.folder.path().join("none/report.md");
    let (code, _, note) = run(
        harness,
        &["recovery", "report", id, "-o", nowhere.to_str().unwrap()],
    );
    assert_eq!(code, 1, "{note}");
    assert!(note.contains("none/report.md"), "{note}");
}

/// The lines of the API's audit log.
pub(crate) fn audited(harness: &Harness) -> Vec<Value> {
    let files = std::fs::read_dir(harness.folder.path()).unwrap();
    let files = files.map(|file| file.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("fencing-audit") && path.extension().is_some_and(|end| end == "jsonl")
    });
    let text: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_an_action_from_a_laptop_is_audited_under_keystones_user_and_refused_to_a_reader() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let api = harness.spawn("api");
    harness.api().await;
    harness.report(HOST).await;
    let all = json(&harness, &["recovery", "list"]);
    let id = all[0]["recovery"].as_str().unwrap();

    let (code, _, printed) = over(&harness, DEMO, &["status"]);
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("this user may not view this") && printed.contains("os_masakari_api:operator:read"),
        "{printed}"
    );
    // For a recovery its host is read first.
    for (arguments, why) in [
        (
            &["recovery", "abort", id, "--yes", "--reason", "x"][..],
            "os_masakari_api:operator:read",
        ),
        (
            &["instance", "resolve", "web", "--dismiss"],
            "os_masakari_api:operator:act",
        ),
    ] {
        let (code, _, printed) = over(&harness, DEMO, arguments);
        assert_eq!(code, 1, "{printed}");
        assert!(printed.contains(why), "{printed}");
    }
    // --check never passes on missing data.
    assert_eq!(over(&harness, DEMO, &["status", "--check"]).0, 3);
    assert_eq!(audited(&harness), [] as [Value; 0]);

    // Only on a controller.
    for arguments in [
        &["recovery", "vouch", id, "--off", HOST, "--reason", "x"][..],
        &["audit", "verify"],
        &["fence", "off", HOST],
    ] {
        let (code, _, printed) = over(&harness, ADMIN, arguments);
        assert_eq!(code, 2, "{arguments:?}: {printed}");
        assert!(
            printed.contains("it works only on a controller") && printed.contains("without --os-cloud"),
            "{arguments:?}: {printed}"
        );
    }

    let clouds = harness.folder.path().join("clouds.yaml");
    let abort = ["recovery", "abort", HOST, "--yes", "--reason", "wrong rack"];
    let (code, printed, note) = tachi(&clouds, Some(ADMIN), &abort);
    assert_eq!(code, 0, "{note}");
    assert!(
        printed.contains("abort of compute-001 requested by admin, Keystone user ")
            && printed.contains("(wrong rack)")
            && printed.contains("and no further move starts: tachi instance list --host compute-001"),
        "{printed}"
    );
    assert!(note.contains("no engine has sent a heartbeat recently"), "{note}");
    let lines = audited(&harness);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let by = lines[0]["operator"].as_str().unwrap();
    assert!(
        by.starts_with("admin, Keystone user ") && by.ends_with("(wrong rack)"),
        "{by}"
    );

    // A named configuration selects its database, whatever the shell has in its environment.
    let conf = harness.conf();
    let arguments = ["status", "--config-file", conf.to_str().unwrap()];
    let (code, printed, note) = tachi(&clouds, Some("nowhere"), &arguments);
    assert_eq!(code, 0, "{note}");
    assert!(printed.contains("\nall      auto "), "{printed}");

    // A refusal is the reason alone.
    let (code, _, printed) = tachi(&clouds, Some(ADMIN), &["forecast", "nosuch"]);
    let refusal = "tachi: no segment is named \"nosuch\"";
    assert!(code == 1 && printed.starts_with(refusal), "{code} {printed}");

    // The error names the source that is unreachable.
    api.kill();
    let (code, _, printed) = tachi(&clouds, Some(ADMIN), &["status"]);
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("the API of cloud \"tachi-sandbox\" cannot be reached")
            && printed.contains("On a controller"),
        "{printed}"
    );
    // So does the error of an unreachable Keystone, with its address.
    let text = std::fs::read_to_string(&clouds).unwrap();
    let edited = text.lines().map(|line| match line.split_once("auth_url: ") {
        Some((before, _)) => format!("{before}auth_url: http://127.0.0.1:9/identity/v3\n"),
        None => format!("{line}\n"),
    });
    let without_keystone = harness.folder.path().join("without-keystone.yaml");
    std::fs::write(&without_keystone, edited.collect::<String>()).unwrap();
    let (code, _, printed) = tachi(&without_keystone, Some(ADMIN), &["status"]);
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("Keystone at http://127.0.0.1:9/identity/v3 (auth_url of cloud \"tachi-sandbox\") cannot be reached: Connection refused"),
        "{printed}"
    );
    let nothing = harness.folder.path().join("nothing.conf");
    std::fs::write(&nothing, "[DEFAULT]\nstate_path = /nonexistent\n").unwrap();
    let arguments = ["status", "--config-file", nothing.to_str().unwrap()];
    let (code, _, printed) = tachi(&clouds, None, &arguments);
    assert_eq!(code, 1, "{printed}");
    let refusal = "tachi: there is no database yet at /nonexistent/tachi.sqlite: ";
    assert!(printed.starts_with(refusal), "{printed}");
    let (code, _, printed) = tachi(&clouds, Some("nowhere"), &["status"]);
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("there is no cloud \"nowhere\""), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_an_api_without_our_paths_is_named_as_one() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    // A service that answers 404 to unknown paths.
    sandbox.register_endpoint("instance-ha", "masakari", &sandbox.urls().identity);
    let folder = tempfile::tempdir().unwrap();
    let clouds = folder.path().join("clouds.yaml");
    std::fs::write(&clouds, sandbox.clouds_yaml()).unwrap();
    let id = "e241c4a2-1111-4222-8333-0123456789ab";
    for arguments in [
        &["status"][..],
        &["show", HOST],
        &["recovery", "list"],
        &["recovery", "show", id],
        &["recovery", "abort", id, "--yes", "--reason", "x"],
        &["instance", "list", "--recovering"],
        &["vmove", "recover", "web", "--retry"],
        &["freeze", "list"],
        &["freeze", "region", "--for", "1h", "--reason", "x"],
        &["thaw", "region"],
        &["host", "report-down", HOST, "--reason", "x", "--yes"],
    ] {
        let (code, printed, stderr) = tachi(&clouds, Some(ADMIN), arguments);
        assert_eq!((code, printed.as_str()), (1, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains("has no /operator/v1"), "{arguments:?}: {stderr}");
    }
}

/// A shell's cloud is the intended one. Commands without an API refuse to act elsewhere, and print what they read.
#[tokio::test]
async fn operator_api_a_command_that_asks_no_api_does_nothing_while_a_shell_names_a_cloud() {
    let none = std::path::Path::new("/nonexistent/clouds.yaml");
    let vouch = ["recovery", "vouch", "x", "--off", "h", "--reason", "x"];
    for arguments in [
        &["fence", "off", HOST, "--yes", "--reason", "x"][..],
        &["host", "return", HOST, "--do", "--reason", "x", "--yes"],
        &["setup", "import", "--apply"],
        &["db", "purge"],
        &["jobs", "run", "purge"],
        &vouch,
    ] {
        let (code, printed, stderr) = tachi(none, Some("production"), arguments);
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {stderr}");
        for part in [
            "refused: OS_CLOUD names cloud \"production\"",
            "--config-file /etc/",
        ] {
            assert!(stderr.contains(part), "{arguments:?}: {part}: {stderr}");
        }
        // An empty variable names no cloud, and a named configuration is intended.
        let (_, _, stderr) = tachi(none, Some(""), arguments);
        assert!(!stderr.contains("OS_CLOUD"), "{arguments:?}: {stderr}");
        let named = [arguments, &["--config-file", "/nonexistent/tachi.conf"]].concat();
        let (code, _, stderr) = tachi(none, Some("production"), &named);
        assert_ne!(code, 0, "{arguments:?}");
        assert!(!stderr.contains("OS_CLOUD"), "{arguments:?}: {stderr}");
    }
    for arguments in [
        &["db", "version"][..],
        &["fence", "check"],
        &["db", "purge", "--dry-run"],
        &["doctor", "--upgrade"],
        &["policy", "list"],
        &["config", "show"],
    ] {
        let (_, _, stderr) = tachi(none, Some("production"), arguments);
        assert!(
            stderr.contains("this command ignores OS_CLOUD (\"production\") and reads /etc/"),
            "{arguments:?}: {stderr}"
        );
    }
    let (code, _, stderr) = tachi(none, Some("production"), &["openapi"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stderr.contains("OS_CLOUD"), "{stderr}");
}
