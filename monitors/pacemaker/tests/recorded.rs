//! The recorded cluster states, each judged as the truth table demands.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use tachi_pacemaker::{
    Cib, CrmMon, Device, FenceStatus, History, Kind, NodeState, Rules, Snapshot, Verdict, parse_time, verdict,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

fn read(name: &str) -> Option<String> {
    std::fs::read_to_string(folder().join(name)).ok()
}

/// One row of the truth table.
struct Row {
    file: String,
    node: String,
    power: String,
    last_up: String,
    in_ccm: bool,
    node_fenced: Option<i64>,
    verdict: String,
}

fn rows() -> Vec<Row> {
    let table = read("truth.tsv").unwrap();
    table
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<_> = line.split('\t').collect();
            let [file, node, power, _, last_up, in_ccm, node_fenced, verdict] = cells.as_slice() else {
                panic!("not a row: {line}");
            };
            Row {
                file: (*file).to_owned(),
                node: (*node).to_owned(),
                power: (*power).to_owned(),
                last_up: (*last_up).to_owned(),
                in_ccm: *in_ccm == "true",
                node_fenced: node_fenced.parse().ok(),
                verdict: (*verdict).to_owned(),
            }
        })
        .collect()
}

/// The state of a file, with the CIB's notes taken from the table where the CIB was not recorded.
fn snapshot(file: &str, rows: &[Row], with_cib: bool) -> Snapshot {
    let mon = CrmMon::parse(&read(&format!("{file}.xml")).unwrap()).unwrap();
    let recorded = read(&format!("{file}.cib.xml")).map(|text| Cib::parse(&text).unwrap());
    let noted = || {
        let nodes = rows.iter().filter(|row| row.file == file).map(|row| {
            let remote = mon
                .nodes
                .iter()
                .any(|node| node.name == row.node && node.kind == Kind::Remote);
            let state = NodeState {
                in_ccm: Some(row.in_ccm),
                crmd: (!remote).then_some(row.in_ccm),
                node_fenced: row.node_fenced,
            };
            (row.node.clone(), state)
        });
        Cib {
            quorate: mon.quorate,
            nodes: nodes.collect(),
            devices: vec![Device {
                id: "st-fixture".to_owned(),
                agent: "fence_fixture".to_owned(),
                ..Device::default()
            }],
            ..Cib::default()
        }
    };
    let cib = with_cib.then(|| recorded.unwrap_or_else(noted));
    Snapshot::new(mon, cib)
}

fn history(file: &str, rows: &[Row]) -> History {
    rows.iter()
        .filter(|row| row.file == file)
        .fold(History::default(), |history, row| {
            history.with_last_up(&row.node, parse_time(&row.last_up).unwrap())
        })
}

fn judged(file: &str, rows: &[Row], with_cib: bool) -> BTreeMap<String, (String, String)> {
    let rules = Rules {
        need_cib: with_cib,
        power_agents: ["fence_fixture", "fence_nsnode"].map(str::to_owned).to_vec(),
        ..Rules::default()
    };
    verdict(&history(file, rows), &snapshot(file, rows, with_cib), &rules)
        .into_iter()
        .map(|(name, judgement)| (name, (judgement.verdict.as_str().to_owned(), judgement.reason)))
        .collect()
}

/// Covers MW1.
#[test]
fn every_recorded_state_is_judged_as_it_was() {
    let rows = rows();
    assert_eq!(rows.len(), 46, "rows of the table");
    let mut wrong = Vec::new();
    for row in &rows {
        let judged = judged(&row.file, &rows, true);
        let (verdict, reason) = &judged[&row.node];
        if *verdict != row.verdict {
            wrong.push(format!(
                "{} {}: {verdict} instead of {}: {reason}",
                row.file, row.node, row.verdict
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_a_cib_nothing_that_runs_is_called_fenced() {
    let rows = rows();
    for row in &rows {
        let judged = judged(&row.file, &rows, false);
        let (verdict, reason) = &judged[&row.node];
        if row.power == "on" {
            assert_ne!(verdict, "fenced", "{} {}: {reason}", row.file, row.node);
        }
        // Only `in_ccm` distinguishes a connection that is being moved from one that is up.
        if row.verdict != "keep" {
            assert_eq!(*verdict, row.verdict, "{} {}: {reason}", row.file, row.node);
        }
    }
}

/// Covers MW10.
#[test]
fn nothing_that_runs_is_called_fenced_whenever_it_was_last_up() {
    // Whatever the bridge believes about last-up, as long as it is not older than the truth.
    let rows = rows();
    for row in rows.iter().filter(|row| row.power == "on") {
        for later in [0, 1, 10, 100, 10_000] {
            let up = parse_time(&row.last_up).unwrap() + chrono::TimeDelta::seconds(later);
            let history = History::default().with_last_up(&row.node, up);
            let judged = verdict(&history, &snapshot(&row.file, &rows, true), &Rules::default());
            assert_ne!(
                judged[&row.node].verdict,
                Verdict::Fenced,
                "{} {} +{later}",
                row.file,
                row.node
            );
        }
    }
}

#[test]
fn every_recording_is_in_the_table_and_is_read_whole() {
    let rows = rows();
    let mut files = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".xml") else {
            continue;
        };
        let text = read(&name).unwrap();
        if let Some(stem) = stem.strip_suffix(".cib") {
            assert!(!Cib::parse(&text).unwrap().nodes.is_empty(), "{stem}");
            continue;
        }
        files += 1;
        let mon = CrmMon::parse(&text).unwrap();
        assert_eq!(mon.fences.len(), text.matches("<fence_event ").count(), "{stem}");
        assert_eq!(mon.resources.len(), text.matches("<resource ").count(), "{stem}");
        let succeeded = mon
            .fences
            .iter()
            .filter(|fence| fence.status == FenceStatus::Success)
            .count();
        assert_eq!(succeeded, text.matches(r#"status="success""#).count(), "{stem}");
        assert!(mon.at.is_some(), "{stem}");
        assert_eq!(mon.history, text.contains("<fence_history"), "{stem}");
        assert!(rows.iter().any(|row| row.file == stem), "{stem}");
    }
    assert_eq!(files, 22);
}
