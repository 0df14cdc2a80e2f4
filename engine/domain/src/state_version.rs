//! The version of what is stored of a recovery.
//!
//! A version that added something reads what the one before wrote: new fields have a default. What a *newer* program
//! wrote is refused, for it may mean what this one knows nothing of.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The shape this program writes. 0 is what was written before there were versions.
const CURRENT: u32 = 2;

/// Stands in every stored state. It is written as this program's own version, whichever was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateVersion;

impl Serialize for StateVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CURRENT.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StateVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = u32::deserialize(deserializer)?;
        if found > CURRENT {
            let text =
                format!("it has version {found}, written by a newer program; this one knows {CURRENT}");
            return Err(serde::de::Error::custom(text));
        }
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_recovery::HostRecovery;
    use crate::process_recovery::ProcessRecovery;
    use crate::vm_recovery::VmRecovery;

    // Recorded from the last program whose states had no version.
    const HOST: &str = include_str!("../testdata/unversioned/host.json");
    const MOVES: &str = include_str!("../testdata/unversioned/moves.json");
    const VM: &str = include_str!("../testdata/unversioned/vm.json");
    const PROCESS: &str = include_str!("../testdata/unversioned/process.json");

    fn moves() -> Vec<String> {
        let rows: Vec<serde_json::Value> = serde_json::from_str(MOVES).unwrap();
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
                    if RETIRED.contains(&at.as_str()) {
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
    fn what_was_written_before_there_were_versions_is_read_and_written_anew() {
        let host = HostRecovery::restore(HOST, &moves()).unwrap();
        assert_eq!(host.moves.len(), moves().len());
        assert_upgraded(HOST, &host.head().unwrap(), "host");
        for (old, new) in moves().iter().zip(host.moves.values()) {
            assert_upgraded(old, &new.to_json().unwrap(), &new.name);
        }
        let vm = VmRecovery::restore(VM).unwrap();
        assert_upgraded(VM, &vm.head().unwrap(), "vm");
        let process = ProcessRecovery::restore(PROCESS).unwrap();
        assert_upgraded(PROCESS, &process.head().unwrap(), "process");
    }

    #[test]
    fn what_a_newer_program_wrote_is_refused_and_says_so() {
        let newer = |text: &str| {
            let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
            value["version"] = (CURRENT + 1).into();
            value.to_string()
        };
        let refused = [
            HostRecovery::restore(&newer(HOST), &[]).map(|_| ()),
            HostRecovery::restore(HOST, &[newer(&moves()[0])]).map(|_| ()),
            VmRecovery::restore(&newer(VM)).map(|_| ()),
            ProcessRecovery::restore(&newer(PROCESS)).map(|_| ()),
        ];
        for (number, result) in refused.into_iter().enumerate() {
            let text = result.unwrap_err().to_string();
            assert!(text.contains("newer program"), "{number}: {text}");
        }
    }
}
