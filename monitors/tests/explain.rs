//! `tachi-monitor host explain` on every recorded state of a cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pacemaker/tests/recorded")
}

fn explain(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tachi-monitor"))
        .args(["host", "explain"])
        .args(words)
        .output()
        .unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The rows of the truth table, by file: (node, last up, verdict).
fn truth() -> BTreeMap<String, Vec<(String, String, String)>> {
    let table = std::fs::read_to_string(recorded().join("truth.tsv")).unwrap();
    let mut files: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let cells: Vec<_> = line.split('\t').map(str::to_owned).collect();
        let row = (cells[1].clone(), cells[4].clone(), cells[7].clone());
        files.entry(cells[0].clone()).or_default().push(row);
    }
    files
}

#[test]
fn mw01_every_recorded_state_is_explained_as_it_was() {
    for (file, rows) in truth() {
        let mon = recorded().join(format!("{file}.xml"));
        let cib = recorded().join(format!("{file}.cib.xml"));
        let mut words = vec![
            "-f".to_owned(),
            "json".to_owned(),
            "--crm-mon".to_owned(),
            mon.to_str().unwrap().to_owned(),
        ];
        if cib.exists() {
            words.extend(["--cib".to_owned(), cib.to_str().unwrap().to_owned()]);
        }
        for (node, last_up, _) in &rows {
            words.extend(["--last-up".to_owned(), format!("{node}={last_up}")]);
        }
        let output = explain(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(
            output.status.success(),
            "{file}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = json(&output);
        for (node, _, verdict) in rows {
            let judged = &said["nodes"][&node];
            assert_eq!(judged["verdict"], verdict, "{file} {node}: {judged}");
            assert!(
                judged["reason"].as_str().is_some_and(|reason| !reason.is_empty()),
                "{file} {node}"
            );
        }
    }
}

#[test]
fn what_cannot_be_read_is_blind_and_exits_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mon.xml");
    for text in [
        &b""[..],
        b"<crm_mon><nodes>",
        b"\xff\xfe",
        b"Connection to cluster failed",
    ] {
        std::fs::write(&file, text).unwrap();
        let output = explain(&[
            "-f",
            "json",
            "--crm-mon",
            file.to_str().unwrap(),
            "--last-up",
            "cmp1=2026-11-20T07:06:43Z",
        ]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(json(&output)["nodes"]["cmp1"]["verdict"], "blind");
        assert!(!output.stderr.is_empty());
    }
    let nowhere = explain(&["--crm-mon", "/nowhere/mon.xml"]);
    assert_eq!(nowhere.status.code(), Some(1));
}

#[test]
fn wrong_words_are_usage() {
    for words in [
        &[][..],
        &["--crm-mon", "x", "--last-up", "cmp1"],
        &["--crm-mon", "x", "--last-up", "cmp1=soon"],
        &["--crm-mon", "x", "-f", "xml"],
    ] {
        assert_eq!(explain(words).status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn a_table_for_people() {
    let mon = recorded().join("004-cmp2-fenced-after-failures.xml");
    let cib = recorded().join("004-cmp2-fenced-after-failures.cib.xml");
    let up = "cmp2=2026-11-20T07:06:43Z";
    let output = explain(&[
        "--crm-mon",
        mon.to_str().unwrap(),
        "--cib",
        cib.to_str().unwrap(),
        "--last-up",
        up,
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("cmp2  fenced   off succeeded at 2026-11-20T07:06:56Z through ctl3, last up at 2026-11-20T07:06:43Z"), "{text}");
    assert!(text.contains("cmp1  up"), "{text}");
}

#[test]
fn the_alert_agent_ends_at_once_whatever_happens() {
    for kind in ["fencing", "node", "resource", ""] {
        let output = Command::new(env!("CARGO_BIN_EXE_tachi-monitor"))
            .args(["host", "alert"])
            .env("CRM_alert_kind", kind)
            .env("CRM_alert_recipient", "/nowhere/alert.sock")
            .output()
            .unwrap();
        assert!(output.status.success(), "{kind}");
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{kind}");
    }
}
