//! Parser of fence agents' output. Agents of the common library print a sentence for each kind of failure; the exit
//! code is always the same.

use tachi_domain::fault::FaultClass;
use tachi_domain::power::Power;

/// Sentences of permanent failures, in lower case.
const PERMANENT_FAILURES: &[&str] = &[
    "you have to enter",
    "you have to set",
    "you have to provide",
    "unrecognised action",
    "does not have the correct privileges",
    "unauthorized",
    "401 client error",
    "authentication failure",
    "invalid credentials",
    "plug not found",
    "unknown plug",
];

/// Classifies a failure as far as the agent's output shows it. "Unable to connect/login" covers both a wrong password
/// and a lost packet, so it is retried as often as the level allows.
pub(super) fn class(output: &str) -> FaultClass {
    let text = output.to_ascii_lowercase();
    if PERMANENT_FAILURES.iter().any(|part| text.contains(part)) {
        FaultClass::Permanent
    } else {
        FaultClass::Transient
    }
}

/// Returns the power of the last `Status:` line, if there is one.
pub(super) fn status(stdout: &str) -> Option<Power> {
    let value = stdout.lines().rev().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("status").then(|| value.trim())
    })?;
    Some(if value.eq_ignore_ascii_case("on") {
        Power::On
    } else if value.eq_ignore_ascii_case("off") {
        Power::Off
    } else {
        Power::Unknown
    })
}

/// Returns the lines that describe the failure.
pub(super) fn without_noise(output: &str) -> String {
    let noise = |line: &&str| {
        let lower = line.to_ascii_lowercase();
        // A library complains that there is no home directory, and about TLS verification that was switched off on
        // purpose.
        lower.contains("parse error: ignoring unknown option") || lower.contains("insecurerequestwarning")
    };
    output
        .lines()
        .filter(|line| !noise(line))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permanent_failures_are_distinguished_from_transient_ones() {
        for (text, expected) in [
            (
                "ERROR: Failed: You have to enter fence address",
                FaultClass::Permanent,
            ),
            (
                "Failed: The user does not have the correct privileges to do the requested action.",
                FaultClass::Permanent,
            ),
            ("Failed: Unrecognised action 'x'", FaultClass::Permanent),
            ("Failed: Timed out waiting to power OFF", FaultClass::Transient),
            ("Unable to connect/login to fencing device", FaultClass::Transient),
            ("Connection timed out", FaultClass::Transient),
            ("", FaultClass::Transient),
        ] {
            assert_eq!(class(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_last_status_counts() {
        for (text, expected) in [
            ("Status: ON\n", Some(Power::On)),
            ("status: off\r\n", Some(Power::Off)),
            ("Status: ON\nStatus: OFF\n", Some(Power::Off)),
            ("Status: error\n", Some(Power::Unknown)),
            ("Success\n", None),
            ("", None),
        ] {
            assert_eq!(status(text), expected, "{text:?}");
        }
    }
}
