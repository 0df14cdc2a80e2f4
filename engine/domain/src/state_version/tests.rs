use super::*;
use crate::host_recovery::HostRecovery;
use crate::process_recovery::ProcessRecovery;
use crate::vm_recovery::VmRecovery;

/// What was stored of one recovery of each kind.
struct Recorded {
    /// The version in it; `None` before there were versions.
    version: Option<u32>,
    host: &'static str,
    moves: &'static str,
    vm: &'static str,
    process: &'static str,
}

macro_rules! recorded {
    ($version:expr, $folder:literal) => {
        Recorded {
            version: $version,
            host: include_str!(concat!("../../testdata/", $folder, "/host.json")),
            moves: include_str!(concat!("../../testdata/", $folder, "/moves.json")),
            vm: include_str!(concat!("../../testdata/", $folder, "/vm.json")),
            process: include_str!(concat!("../../testdata/", $folder, "/process.json")),
        }
    };
}

/// Recorded from programs of their time: the last that wrote each version, and the first of 2 too, which had fewer fields.
const RECORDED: [Recorded; 4] = [
    recorded!(None, "unversioned"),
    recorded!(Some(1), "v1"),
    recorded!(Some(2), "v2-first"),
    recorded!(Some(2), "v2"),
];

fn rows(moves: &str) -> Vec<String> {
    let rows: Vec<serde_json::Value> = serde_json::from_str(moves).unwrap();
    rows.iter().map(ToString::to_string).collect()
}

/// What is read no more, because a take-over forgets it anyway, or is read and written in another place.
const RETIRED: [&str; 5] = [
    "host.fence.first_off",
    "host.fence.first_order",
    "host.fence.not_off",
    "host.fence.faults",
    "host.fence.off",
];

/// Everything of `old` that is not retired is in `new` as it was; `new` may have more.
fn assert_kept(old: &serde_json::Value, new: &serde_json::Value, at: &str) {
    match (old, new) {
        (serde_json::Value::Object(old), serde_json::Value::Object(new)) => {
            for (key, value) in old {
                let at = format!("{at}.{key}");
                if key == "version" || RETIRED.contains(&at.as_str()) {
                    continue;
                }
                assert_kept(value, new.get(key).unwrap_or_else(|| panic!("{at} is gone")), &at);
            }
        }
        _ => assert_eq!(old, new, "{at}"),
    }
}

fn assert_upgraded(old: &str, new: &str, what: &str) {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_kept(&read(old), &read(new), what);
    assert_eq!(read(new)["version"], CURRENT, "{what}");
}

#[test]
fn every_version_that_there_was_is_recorded() {
    let versions: Vec<Option<u32>> = RECORDED.iter().map(|recorded| recorded.version).collect();
    let before = std::iter::once(None).chain((1..CURRENT).map(Some));
    for version in before {
        assert!(
            versions.contains(&version),
            "record states of version {version:?}"
        );
    }
    for recorded in RECORDED {
        for text in [recorded.host, recorded.vm, recorded.process] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let version = value.get("version").and_then(serde_json::Value::as_u64);
            assert_eq!(version, recorded.version.map(u64::from));
        }
    }
}

#[test]
fn what_any_version_wrote_is_read_and_written_anew() {
    for recorded in RECORDED {
        let what = |kind: &str| format!("{kind} of version {:?}", recorded.version);
        let moves = rows(recorded.moves);
        let host = HostRecovery::restore(recorded.host, &moves).unwrap();
        assert_eq!(host.moves.len(), moves.len());
        assert_upgraded(recorded.host, &host.head().unwrap(), "host");
        for text in &moves {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let server = value["server"].as_str().unwrap();
            let new = host.moves.values().find(|one| one.server.to_string() == server);
            assert_upgraded(text, &new.unwrap().to_json().unwrap(), &what("a move"));
        }
        let vm = VmRecovery::restore(recorded.vm).unwrap();
        assert_upgraded(recorded.vm, &vm.head().unwrap(), &what("vm"));
        let process = ProcessRecovery::restore(recorded.process).unwrap();
        assert_upgraded(recorded.process, &process.head().unwrap(), &what("process"));
    }
}

#[test]
fn what_a_newer_program_wrote_is_refused_and_says_so() {
    let newer = |text: &str| {
        let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
        value["version"] = (CURRENT + 1).into();
        value.to_string()
    };
    let [old, ..] = RECORDED;
    let refused = [
        HostRecovery::restore(&newer(old.host), &[]).map(|_| ()),
        HostRecovery::restore(old.host, &[newer(&rows(old.moves)[0])]).map(|_| ()),
        VmRecovery::restore(&newer(old.vm)).map(|_| ()),
        ProcessRecovery::restore(&newer(old.process)).map(|_| ()),
    ];
    for (number, result) in refused.into_iter().enumerate() {
        let text = result.unwrap_err().to_string();
        assert!(text.contains("newer program"), "{number}: {text}");
    }
}
