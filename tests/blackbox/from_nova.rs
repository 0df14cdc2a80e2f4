//! `tachi setup import`: segments and hosts from Nova, by the real binary.

use serde_json::Value;

use super::support::{Harness, json, quick_region, run};

fn from_nova(harness: &Harness, more: &[&str]) -> String {
    let arguments: Vec<&str> = ["setup", "import"].iter().chain(more).copied().collect();
    let (code, printed, note) = run(harness, &arguments);
    assert_eq!(code, 0, "{arguments:?}: {note}");
    printed
}

fn hosts(harness: &Harness) -> Vec<String> {
    let status_view = json(harness, &["status"]);
    let segments = status_view["segments"].as_array().unwrap().iter();
    let hosts = segments.flat_map(|segment| segment["hosts"].as_array().unwrap());
    hosts
        .map(|host| host["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_init_from_nova_makes_what_is_missing_once_and_leaves_what_there_is() {
    let harness = Harness::set(quick_region(4)).await;
    for arguments in [&[][..], &["--diff"]] {
        let printed = from_nova(&harness, arguments);
        for expected in [
            "segment nova (auto)  + new",
            "  compute-004  + add",
            "nothing was created",
        ] {
            assert!(printed.contains(expected), "{expected}: {printed}");
        }
        assert!(hosts(&harness).is_empty());
    }
    let printed = from_nova(&harness, &["--apply"]);
    assert!(printed.contains("4 hosts are in their segments now"), "{printed}");
    let four = ["compute-001", "compute-002", "compute-003", "compute-004"];
    assert_eq!(hosts(&harness), four);
    let printed = from_nova(&harness, &["--apply"]);
    assert!(
        printed.contains("left there: 4") && printed.contains("nothing to do"),
        "{printed}"
    );
    assert_eq!(hosts(&harness), four);

    // As the API audits changes by people.
    let audit = harness.folder.path();
    let files = std::fs::read_dir(audit).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let text: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let made = lines.iter().filter(|line| {
        let text = line["text"].as_str().unwrap_or_default();
        text.starts_with("host created") || text.starts_with("segment created")
    });
    let who: Vec<&str> = made.map(|line| line["operator"].as_str().unwrap()).collect();
    assert_eq!(who.len(), 5, "{text}");
    assert!(who.iter().all(|who| !who.contains("Keystone")), "{who:?}");
    assert_eq!(
        lines.iter().filter(|line| line["phase"] == "intent").count(),
        1,
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_init_from_nova_adds_to_a_segment_of_that_name_and_moves_nobody() {
    let harness = Harness::set(quick_region(2)).await;
    // Both hosts, in segment `all`.
    harness.protect().await;
    let printed = from_nova(&harness, &["--apply"]);
    assert!(printed.contains("nothing to do"), "{printed}");
    assert_eq!(
        json(&harness, &["status"])["segments"].as_array().unwrap().len(),
        1
    );
    let printed = from_nova(&harness, &["--by", "aggregate"]);
    assert!(printed.contains("nothing to do"), "{printed}");

    let bare = Harness::set(quick_region(2)).await;
    let printed = from_nova(&bare, &["--by", "aggregate", "--apply"]);
    assert!(
        printed.contains("compute-001 is left out: it is in no aggregate"),
        "{printed}"
    );
    // The API's own rules refuse an invalid name, and no object is left half created.
    let (code, _, note) = run(&bare, &["setup", "import", "--default-zone", "  ", "--apply"]);
    assert_eq!(code, 1, "{note}");
    assert!(note.contains("creating segment"), "{note}");
    assert!(hosts(&bare).is_empty());
    from_nova(
        &bare,
        &["--default-zone", "az-1", "--method", "rh_priority", "--apply"],
    );
    let status_view = json(&bare, &["status"]);
    assert_eq!(status_view["segments"][0]["name"], "az-1");
}

/// Returns the hosts of the segments, by name.
fn segments(harness: &Harness) -> Vec<(String, Vec<String>)> {
    let status_view = json(harness, &["status"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = status_view["segments"].as_array().unwrap().iter();
    all.map(|one| {
        let hosts = one["hosts"].as_array().unwrap().iter();
        (
            text(&one["name"]),
            hosts.map(|host| text(&host["name"])).collect(),
        )
    })
    .collect()
}

fn of(name: &str, hosts: &[&str]) -> (String, Vec<String>) {
    (
        name.to_owned(),
        hosts.iter().map(|host| (*host).to_owned()).collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_init_from_nova_makes_a_segment_of_each_aggregate() {
    let harness = Harness::set(quick_region(4)).await;
    let operator = harness.sandbox.region().operator();
    operator
        .create_aggregate("rack-a", &["compute-001", "compute-002", "compute-003"])
        .unwrap();
    operator
        .create_aggregate("ssd", &["compute-003", "compute-004"])
        .unwrap();
    let printed = from_nova(&harness, &["--by", "aggregate", "--apply"]);
    assert!(
        printed.contains("compute-003 is left out: it is in several: rack-a, ssd"),
        "{printed}"
    );
    let made = [
        of("rack-a", &["compute-001", "compute-002"]),
        of("ssd", &["compute-004"]),
    ];
    assert_eq!(segments(&harness), made);
    let printed = from_nova(&harness, &["--by", "aggregate", "--apply"]);
    assert!(printed.contains("nothing to do"), "{printed}");
    assert_eq!(segments(&harness), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_init_from_nova_makes_a_segment_of_each_rack_of_the_file() {
    let harness = Harness::set(quick_region(4)).await;
    let conf = harness.conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    let by_rack = ["setup", "import", "--by", "rack"];
    let (code, _, stderr) = run(&harness, &by_rack);
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("storm_failure_domains_file") && stderr.contains("rack:r7 = "),
        "{stderr}"
    );

    let file = harness.folder.path().join("domains");
    let named = format!("[fencing]\nstorm_failure_domains_file = {}\n", file.display());
    std::fs::write(&conf, text.replace("[fencing]\n", &named)).unwrap();
    std::fs::write(&file, "switch:s1 = compute-00?\n").unwrap();
    let (code, _, stderr) = run(&harness, &by_rack);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("names a rack"), "{stderr}");

    std::fs::write(
        &file,
        "rack:r7 = compute-001 compute-002\nrack:r8 = compute-003\nswitch:s1 = compute-00?\n",
    )
    .unwrap();
    let printed = from_nova(&harness, &["--by", "rack", "--apply"]);
    assert!(
        printed.contains("compute-004 is left out: no line of storm_failure_domains_file names its rack"),
        "{printed}"
    );
    let made = [
        of("r7", &["compute-001", "compute-002"]),
        of("r8", &["compute-003"]),
    ];
    assert_eq!(segments(&harness), made);
    let printed = from_nova(&harness, &["--by", "rack", "--apply"]);
    assert!(printed.contains("nothing to do"), "{printed}");
    assert_eq!(segments(&harness), made);
}
