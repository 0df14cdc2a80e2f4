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

fn explain(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tachi-monitor"))
        .args(["host", "explain"])
        .args(arguments)
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

/// Covers MW1.
#[test]
fn every_recorded_state_is_explained_as_it_was() {
    for (file, rows) in truth() {
        let mon = recorded().join(format!("{file}.xml"));
        let cib = recorded().join(format!("{file}.cib.xml"));
        let mut arguments = vec![
            "-f".to_owned(),
            "json".to_owned(),
            // The agents of the recorded clusters.
            "--power-agent".to_owned(),
            "fence_fixture".to_owned(),
            "--power-agent".to_owned(),
            "fence_nsnode".to_owned(),
            "--crm-mon".to_owned(),
            mon.to_str().unwrap().to_owned(),
        ];
        if cib.exists() {
            arguments.extend(["--cib".to_owned(), cib.to_str().unwrap().to_owned()]);
        }
        for (node, last_up, _) in &rows {
            arguments.extend(["--last-up".to_owned(), format!("{node}={last_up}")]);
        }
        let output = explain(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(
            output.status.success(),
            "{file}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let document = json(&output);
        for (node, _, verdict) in rows {
            let judged = &document["nodes"][&node];
            assert_eq!(judged["verdict"], verdict, "{file} {node}: {judged}");
            assert!(
                judged["reason"].as_str().is_some_and(|reason| !reason.is_empty()),
                "{file} {node}"
            );
        }
    }
}

/// The verdict on `node`, and why.
fn judged(mon: &str, cib: &str, node: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (mon_file, cib_file) = (folder.path().join("mon.xml"), folder.path().join("cib.xml"));
    std::fs::write(&mon_file, mon).unwrap();
    std::fs::write(&cib_file, cib).unwrap();
    let up = format!("{node}=2026-10-04T09:14:00Z");
    let files = [mon_file.to_str().unwrap(), cib_file.to_str().unwrap()];
    let output = explain(&[
        "-f",
        "json",
        "--crm-mon",
        files[0],
        "--cib",
        files[1],
        "--last-up",
        &up,
    ]);
    let document = json(&output);
    let judged = &document["nodes"][node.to_lowercase()];
    let text = |name: &str| {
        judged[name]
            .as_str()
            .unwrap_or_else(|| panic!("{document}"))
            .to_owned()
    };
    (text("verdict"), text("reason"))
}

fn state(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/states");
    std::fs::read_to_string(folder.join(format!("{name}.xml"))).unwrap()
}

/// States that a cluster can be in, and what a hurried reader makes of them.
/// Covers F3.
#[test]
fn states_that_look_like_something_else() {
    for (mon, cib, expected, reason) in [
        ("mon-fenced", "cib-power", "fenced", "off succeeded"),
        ("mon-fenced", "cib-template-scsi", "lost", "fence_scsi"),
        ("mon-fenced", "cib-casing", "lost", "fence_scsi"),
        ("mon-fenced", "cib-none", "lost", "no fencing device of the CIB"),
        ("mon-fenced", "cib-vpc-net", "lost", "fence_aws_vpc_net"),
        ("mon-history-absent", "cib-power", "lost", "fenc"),
        ("mon-history-absent", "cib-unnoted", "lost", "membership"),
        ("mon-connection-failed", "cib-unnoted", "lost", "membership"),
        ("mon-connection-on-unclean", "cib-unnoted", "keep", "held by ber2"),
        ("mon-no-summary", "cib-power", "blind", "does not state"),
    ] {
        let (verdict, why) = judged(&state(mon), &state(cib), "hyp7");
        assert_eq!(verdict, expected, "{mon} {cib}: {why}");
        assert!(why.contains(reason), "{mon} {cib}: {why}");
    }
    let (verdict, why) = judged(&state("mon-bundle"), &state("cib-none"), "mq-bundle-0");
    assert_eq!(verdict, "keep", "{why}");
}

/// One thing changed in a state in which "fenced" is right.
/// Covers F3.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_takes_a_proof_its_worth() {
    const LIST: &str = r#"<nvpair id="f21" name="pcmk_host_list" value="hyp7"/>"#;
    const HYP8: &str = r#"<nvpair id="f21" name="pcmk_host_list" value="hyp8"/>"#;
    let reboot = state("mon-fenced").replace(r#"action="off""#, r#"action="reboot""#);
    let with = |options: &[(&str, &str)], list: &str| {
        #[expect(clippy::format_collect, reason = "a few options of a test")]
        let more: String = options
            .iter()
            .map(|(name, value)| format!(r#"<nvpair id="x-{name}" name="{name}" value="{value}"/>"#))
            .collect();
        state("cib-power").replace(LIST, &format!("{list}{more}"))
    };
    let watchdog = |device: &str| {
        let waits = r#"value="true"/><nvpair id="w1" name="have-watchdog" value="true"/>
            <nvpair id="w2" name="stonith-watchdog-timeout" value="10s"/>"#;
        state("cib-none")
            .replace(r#"value="true"/>"#, waits)
            .replace("</resources>", &format!("{device}</resources>"))
    };
    for (name, mon, cib, expected) in [
        ("off", state("mon-fenced"), with(&[], LIST), "fenced"),
        ("reboot", reboot.clone(), with(&[], LIST), "fenced"),
        ("cycle, off", state("mon-fenced"), with(&[("method", "cycle")], LIST), "fenced"),
        ("cycle, reboot", reboot.clone(), with(&[("method", "cycle")], LIST), "lost"),
        ("onoff, reboot", reboot.clone(), with(&[("method", "onoff")], LIST), "fenced"),
        (
            "cycle, reboot that is an off",
            reboot.clone(),
            with(&[("method", "cycle"), ("pcmk_reboot_action", "off")], LIST),
            "fenced",
        ),
        ("a reboot that only reads the status", reboot.clone(), with(&[("pcmk_reboot_action", "status")], LIST), "lost"),
        ("a reboot that is an off", reboot, with(&[("pcmk_reboot_action", "off")], LIST), "fenced"),
        ("an off that only reads the status", state("mon-fenced"), with(&[("pcmk_off_action", "monitor")], LIST), "lost"),
        ("an off that is an on", state("mon-fenced"), with(&[("pcmk_off_action", "on")], LIST), "lost"),
        (
            "the device of another host, with no check by the fencer",
            state("mon-fenced"),
            with(&[("pcmk_host_check", "none")], HYP8),
            "lost",
        ),
        ("the device of another host", state("mon-fenced"), with(&[], HYP8), "lost"),
        (
            "a host that is named by an unknown argument",
            state("mon-fenced"),
            with(&[("pcmk_host_argument", "domain")], LIST),
            "lost",
        ),
        (
            "a name in the map",
            state("mon-fenced"),
            with(&[("pcmk_host_map", "HYP7:blade7")], ""),
            "fenced",
        ),
        (
            "an unknown agent",
            state("mon-fenced"),
            state("cib-power").replace("fence_ipmilan", "fence_ours"),
            "lost",
        ),
        (
            "a human's confirmation",
            state("mon-fenced").replace(r#"delegate="ber1""#, r#"delegate="a human""#),
            state("cib-none"),
            "fenced",
        ),
        (
            "a watchdog, which a remote node may not have",
            state("mon-fenced"),
            watchdog(""),
            "lost",
        ),
        (
            "the watchdog of a remote node",
            state("mon-fenced"),
            watchdog(
                r#"<primitive id="watchdog" class="stonith" type="fence_watchdog"><instance_attributes id="wi">
                <nvpair id="wl" name="pcmk_host_list" value="hyp7"/></instance_attributes></primitive>"#,
            ),
            "fenced",
        ),
        (
            "an event about the name in another case",
            state("mon-fenced").replace(r#"target="hyp7""#, r#"target="HYP7""#),
            with(&[], LIST),
            "fenced",
        ),
        (
            "a success before a failure about the name in another case",
            state("mon-fenced").replace(
                "</fence_history>",
                r#"<fence_event action="off" target="HYP7" status="failed" completed="2026-10-04 09:15:30Z"/></fence_history>"#,
            ),
            with(&[], LIST),
            "lost",
        ),
        (
            "a history that could not be had",
            state("mon-connection-failed")
                .replace(r#"role="Started""#, r#"role="Stopped""#)
                .replace(r#"failed="true""#, r#"failed="false""#)
                .replace(r#"<fence_history status="0">"#, r#"<fence_history status="107">"#),
            state("cib-power").replace(r#"node_fenced="1791105320""#, r#"node_fenced="0""#),
            "lost",
        ),
        (
            "nothing fenced, and stopped in order",
            state("mon-connection-failed")
                .replace(r#"role="Started""#, r#"role="Stopped""#)
                .replace(r#"failed="true""#, r#"failed="false""#),
            state("cib-power").replace(r#"node_fenced="1791105320""#, r#"node_fenced="0""#),
            "planned",
        ),
    ] {
        let (verdict, why) = judged(&mon, &cib, "hyp7");
        assert_eq!(verdict, expected, "{name}: {why}");
        // Names of nodes are compared as Pacemaker compares them, here too.
        assert_eq!(judged(&mon, &cib, "HYP7").0, expected, "{name}: {why}");
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
    for arguments in [
        &[][..],
        &["--crm-mon", "x", "--last-up", "cmp1"],
        &["--crm-mon", "x", "--last-up", "cmp1=soon"],
        &["--crm-mon", "x", "-f", "xml"],
    ] {
        assert_eq!(explain(arguments).status.code(), Some(2), "{arguments:?}");
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
        "--power-agent",
        "fence_fixture",
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
