use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::host_recovery::HostRecovery;
use crate::planned::PlannedState;
use crate::process_recovery::ProcessRecovery;
use crate::vm_recovery::VmRecovery;

/// Stored states of recoveries, by kind.
struct StoredRecoveries {
    /// The version in the state; `None` before states had versions.
    version: Option<u32>,
    host: &'static str,
    moves: &'static str,
    vm: &'static str,
    process: &'static str,
    /// Empty before version 3.
    planned: &'static str,
}

macro_rules! recorded {
    ($version:expr, $folder:literal) => {
        StoredRecoveries {
            planned: "[]",
            ..recorded!($version, $folder, "vm.json")
        }
    };
    ($version:expr, $folder:literal, $planned:literal) => {
        StoredRecoveries {
            version: $version,
            host: include_str!(concat!("../../testdata/", $folder, "/host.json")),
            moves: include_str!(concat!("../../testdata/", $folder, "/moves.json")),
            vm: include_str!(concat!("../../testdata/", $folder, "/vm.json")),
            process: include_str!(concat!("../../testdata/", $folder, "/process.json")),
            planned: include_str!(concat!("../../testdata/", $folder, "/", $planned)),
        }
    };
}

/// Recorded from earlier programs: the last that wrote each version, and also the first of version 2, which had
/// fewer fields. In the current version each key is filled in at least one row.
const RECORDED_STATES: [StoredRecoveries; 10] = [
    recorded!(None, "unversioned"),
    recorded!(Some(1), "v1"),
    recorded!(Some(2), "v2-first"),
    recorded!(Some(2), "v2"),
    recorded!(Some(3), "v3", "planned.json"),
    recorded!(Some(4), "v4", "planned.json"),
    recorded!(Some(5), "v5", "planned.json"),
    recorded!(Some(6), "v6", "planned.json"),
    recorded!(Some(7), "v7", "planned.json"),
    recorded!(Some(8), "v8", "planned.json"),
];

/// Splits a state, or a list of states, into rows.
fn rows(text: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(text).unwrap();
    match value.as_array() {
        Some(rows) => rows.iter().map(ToString::to_string).collect(),
        None => vec![value.to_string()],
    }
}

impl StoredRecoveries {
    /// Returns each row by its kind, with the row that this program writes for it.
    fn written_anew(&self) -> Vec<(&'static str, String, String)> {
        let moves = rows(self.moves);
        let mut all = Vec::new();
        for row in rows(self.host) {
            // Several rows of one instance, which no recovery has.
            for one in &moves {
                let state = HostRecovery::restore(&row, std::slice::from_ref(one)).unwrap();
                let one_move = state.moves.values().next().unwrap();
                all.push(("move", one.clone(), one_move.to_json().unwrap()));
            }
            let state = HostRecovery::restore(&row, &[]).unwrap();
            all.push(("host", row, state.head().unwrap()));
        }
        for row in rows(self.vm) {
            let new = VmRecovery::restore(&row).unwrap().head().unwrap();
            all.push(("vm", row, new));
        }
        for row in rows(self.process) {
            let new = ProcessRecovery::restore(&row).unwrap().head().unwrap();
            all.push(("process", row, new));
        }
        for row in rows(self.planned) {
            let new = PlannedState::restore(&row).unwrap().head().unwrap();
            all.push(("planned", row, new));
        }
        all
    }
}

/// Keys that are no longer read: a takeover discards them, or they moved elsewhere.
const RETIRED_FIELDS: [&str; 5] = [
    "host.fence.first_off",
    "host.fence.first_order",
    "host.fence.not_off",
    "host.fence.faults",
    "host.fence.off",
];

/// Asserts that `new` has everything of `old` that is not retired, unchanged; `new` may have more.
fn assert_kept(old: &Value, new: &Value, at: &str) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let at = format!("{at}.{key}");
                if key == "version" || RETIRED_FIELDS.contains(&at.as_str()) {
                    continue;
                }
                assert_kept(value, new.get(key).unwrap_or_else(|| panic!("{at} is gone")), &at);
            }
        }
        _ => assert_eq!(old, new, "{at}"),
    }
}

fn assert_upgraded(old: &str, new: &str, what: &str) {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_kept(&read(old), &read(new), what);
    assert_eq!(read(new)["version"], CURRENT, "{what}");
}

#[test]
fn every_version_that_there_was_is_recorded() {
    let versions: Vec<Option<u32>> = RECORDED_STATES.iter().map(|recorded| recorded.version).collect();
    let all = std::iter::once(None).chain((1..=CURRENT).map(Some));
    for version in all {
        assert!(
            versions.contains(&version),
            "record states of version {version:?}"
        );
    }
    for recorded in RECORDED_STATES {
        for (kind, row, _) in recorded.written_anew() {
            let value: Value = serde_json::from_str(&row).unwrap();
            let version = value.get("version").and_then(Value::as_u64);
            assert_eq!(version, recorded.version.map(u64::from), "{kind}");
        }
    }
}

#[test]
fn every_versions_state_is_read_and_written_again() {
    for recorded in RECORDED_STATES {
        for (kind, old, new) in recorded.written_anew() {
            assert_upgraded(&old, &new, kind);
        }
    }
}

/// True for keys that are names and not fields.
fn is_name(key: &str) -> bool {
    key.len() == 36 || key.starts_with("compute-") || key.contains('.')
}

/// Collects each key of `value` by its path; true if it has a value.
fn keys(value: &Value, at: &str, found: &mut BTreeMap<String, bool>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let at = format!("{at}.{}", if is_name(key) { "*" } else { key });
                let empty = match value {
                    Value::Null => true,
                    Value::Array(rows) => rows.is_empty(),
                    Value::Object(fields) => fields.is_empty(),
                    Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
                };
                *found.entry(at.clone()).or_default() |= !empty;
                keys(value, &at, found);
            }
        }
        Value::Array(rows) => rows.iter().for_each(|row| keys(row, &format!("{at}[]"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Keys that no row fills: enum values without content, plain lists and numbers, and hooks of flows, which
/// `host_auto` fills.
const EMPTY: [&str; 28] = [
    "move.step.left",
    "move.step.moved",
    "move.step.person",
    "move.route.needs",
    "move.unlock_loose",
    "host.fence.orders[].call",
    "host.power_on.last_word",
    "planned.moves.*.percent",
    "process.guarded.waits",
    "process.hooks.runs",
    "vm.hooks.runs",
    "policy.flows.host_auto.main[].target.exec.args",
    "policy.flows.host_auto.post[].target.exec.args",
    "policy.flows.host_auto.pre[].target.exec.args",
    "policy.flows.host_reserved.main",
    "policy.flows.host_reserved.post",
    "policy.flows.host_reserved.pre",
    "policy.flows.instance.main",
    "policy.flows.instance.post",
    "policy.flows.instance.pre",
    "policy.flows.process.main",
    "policy.flows.process.post",
    "policy.flows.process.pre",
    "policy.leave.flavor_properties",
    "policy.leave.image_properties",
    "policy.leave.images",
    "policy.leave.metadata",
    "policy.leave.projects",
];

#[test]
fn a_state_of_another_shape_has_another_version() {
    let [.., current] = RECORDED_STATES;
    let (mut kept, mut written) = (BTreeMap::new(), BTreeMap::new());
    for (kind, old, new) in current.written_anew() {
        keys(&serde_json::from_str(&old).unwrap(), kind, &mut kept);
        keys(&serde_json::from_str(&new).unwrap(), kind, &mut written);
    }
    let [kept_keys, written_keys] =
        [&kept, &written].map(|found| found.keys().map(String::as_str).collect::<BTreeSet<_>>());
    let changed: Vec<&&str> = kept_keys.symmetric_difference(&written_keys).collect();
    assert!(
        changed.is_empty(),
        "{changed:?} came or went: raise CURRENT to {} and record states of it in testdata",
        CURRENT + 1
    );
    for (key, filled) in &kept {
        let of_policy = key.find("policy.").map_or(key.as_str(), |from| &key[from..]);
        assert!(
            *filled || EMPTY.contains(&of_policy),
            "{key} is empty in every row of version {CURRENT}: what is in it could change unseen"
        );
    }
}

#[test]
fn the_state_of_a_newer_version_is_refused() {
    let newer = |text: &str| {
        let mut value: Value = serde_json::from_str(&rows(text)[0]).unwrap();
        value["version"] = (CURRENT + 1).into();
        value.to_string()
    };
    let [.., now] = RECORDED_STATES;
    let refused = [
        HostRecovery::restore(&newer(now.host), &[]).map(|_| ()),
        HostRecovery::restore(&rows(now.host)[0], &[newer(now.moves)]).map(|_| ()),
        VmRecovery::restore(&newer(now.vm)).map(|_| ()),
        ProcessRecovery::restore(&newer(now.process)).map(|_| ()),
        PlannedState::restore(&newer(now.planned)).map(|_| ()),
    ];
    for (number, result) in refused.into_iter().enumerate() {
        let text = result.unwrap_err().to_string();
        assert!(text.contains("newer program"), "{number}: {text}");
    }
}
