//! Parser of `ipmitool`'s output. The tool has no error codes. Its texts are parsed only here, and all of them were
//! observed with version 1.8.19.

use tachi_domain::fault::FaultClass;
use tachi_domain::power::Power;

/// The cause of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FailureCause {
    pub(super) class: FaultClass,
    /// True if the BMC had opened the session, so that it may have received the command.
    pub(super) in_session: bool,
    /// Advice for the operator.
    pub(super) advice: Option<&'static str>,
}

/// Error texts of a refused session: (text, class, advice).
const REFUSALS: &[(&str, FaultClass, &str)] = &[
    ("hmac is invalid", FaultClass::Permanent, "the password is wrong"),
    (
        "integrity check value is invalid",
        FaultClass::Permanent,
        "the password is wrong",
    ),
    ("unauthorized name", FaultClass::Permanent, "unknown user"),
    (
        "invalid role",
        FaultClass::Permanent,
        "the user lacks this privilege level",
    ),
    (
        "unauthorized role",
        FaultClass::Permanent,
        "the user lacks this privilege level",
    ),
    (
        "invalid authentication algorithm",
        FaultClass::Permanent,
        "the BMC does not support this cipher suite: set cipher_suite",
    ),
    (
        "invalid integrity algorithm",
        FaultClass::Permanent,
        "the BMC does not support this cipher suite: set cipher_suite",
    ),
    (
        "invalid confidentiality algorithm",
        FaultClass::Permanent,
        "the BMC does not support this cipher suite: set cipher_suite",
    ),
    (
        "no matching cipher suite",
        FaultClass::Permanent,
        "the BMC does not support this cipher suite: set cipher_suite",
    ),
    (
        "set session privilege level to",
        FaultClass::Permanent,
        "the user lacks this privilege level",
    ),
    (
        "insufficient resources to create a session",
        FaultClass::Transient,
        "the BMC has no session left",
    ),
    (
        "address lookup for",
        FaultClass::Transient,
        "the host name cannot be resolved",
    ),
    (
        "get auth capabilities error",
        FaultClass::Transient,
        "the BMC does not answer",
    ),
];

/// Classifies standard error after a failure.
pub(super) fn failure_cause(stderr: &str) -> FailureCause {
    let text = stderr.to_ascii_lowercase();
    let in_session = !text.contains("unable to establish");
    if let Some((_, class, advice)) = REFUSALS.iter().find(|(part, _, _)| text.contains(part)) {
        return FailureCause {
            class: *class,
            in_session: in_session && *class == FaultClass::Transient,
            advice: Some(advice),
        };
    }
    // Within a session, the line about the command contains the BMC's completion code. Other lines are about queries
    // that ipmitool adds.
    let about_power = text.lines().filter(|line| line.contains("chassis power"));
    for line in about_power {
        if line.contains("insufficient privilege") {
            return FailureCause {
                class: FaultClass::Permanent,
                in_session,
                advice: Some("the user lacks the privilege to switch the power"),
            };
        }
        if line.contains("invalid command") {
            return FailureCause {
                class: FaultClass::Permanent,
                in_session,
                advice: Some("the BMC does not support this command"),
            };
        }
    }
    FailureCause {
        class: FaultClass::Transient,
        in_session,
        advice: None,
    }
}

/// Returns the lines that describe the failure.
pub(super) fn without_noise(stderr: &str) -> String {
    let noise = [
        "loading iana",
        "iana pen registry",
        "get hpm.x capabilities",
        "running get vso capabilities",
        "discovered ipmb",
        "invalid completion code received: insufficient privilege level",
        "unable to get channel cipher suites",
    ];
    let lines = stderr.lines().filter(|line| {
        let lower = line.to_ascii_lowercase();
        !noise.iter().any(|part| lower.contains(part))
    });
    lines.collect::<Vec<_>>().join("; ")
}

/// Parses the power from a status. Output with two such lines gives no reading.
pub(super) fn power(stdout: &str) -> Power {
    let mut found = Vec::new();
    for line in stdout.lines() {
        match line.trim().to_ascii_lowercase().as_str() {
            "chassis power is on" => found.push(Power::On),
            "chassis power is off" => found.push(Power::Off),
            _ => {}
        }
    }
    match found.as_slice() {
        [one] => *one,
        _ => Power::Unknown,
    }
}

/// Returns the bytes of the response to a raw command as one string of hexadecimal digits.
pub(super) fn bytes(stdout: &str) -> String {
    stdout.split_whitespace().collect()
}

/// True if the BMC has responded to a raw command without the requested value: it does not support the command, refuses
/// it, or has no value. Busy (0xc0) and timeout (0xc3) are transient and do not count.
pub(super) fn has_no_value(stderr: &str) -> bool {
    let code = |line: &str| Some(line.split_once("rsp=0x")?.1.get(..2)?.to_ascii_lowercase());
    let mut codes = stderr.lines().filter_map(code);
    codes.any(|code| code != "c0" && code != "c3")
}

/// Returns the line that contains the power.
pub(super) fn line_about_power(stdout: &str) -> String {
    let is_status = |line: &&str| line.to_ascii_lowercase().contains("chassis power is");
    stdout
        .lines()
        .find(is_status)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers I6.
    #[test]
    fn only_unambiguous_texts_are_on_or_off() {
        for (sample, expected) in [
            ("Chassis Power is on\n", Power::On),
            ("Chassis Power is off\n", Power::Off),
            ("noise\r\n  chassis power is OFF \r\n", Power::Off),
            ("Chassis Power is \n", Power::Unknown),
            ("Chassis Power is offline\n", Power::Unknown),
            ("Chassis Power is not off\n", Power::Unknown),
            ("Chassis Power is on\nChassis Power is off\n", Power::Unknown),
            ("Chassis Power is off\nChassis Power is off\n", Power::Unknown),
            ("", Power::Unknown),
            ("off", Power::Unknown),
        ] {
            assert_eq!(power(sample), expected, "{sample:?}");
        }
    }

    #[test]
    fn every_text_has_its_class() {
        const LOST: &str = "Error: Unable to establish IPMI v2 / RMCP+ session\n";
        const NOISE: &str = "Get HPM.x Capabilities request failed, compcode = d4\n\
            Invalid completion code received: Insufficient privilege level\n";
        let (permanent, transient) = (FaultClass::Permanent, FaultClass::Transient);
        for (case, sample, class, in_session) in [
            (
                "row 5: password",
                format!("> RAKP 2 HMAC is invalid\n{LOST}"),
                permanent,
                false,
            ),
            (
                "row 5: user",
                format!("RAKP 2 message indicates an error : unauthorized name\n{LOST}"),
                permanent,
                false,
            ),
            (
                "cipher suite",
                format!(
                    "Error in open session response message : invalid authentication algorithm\n\n{LOST}"
                ),
                permanent,
                false,
            ),
            (
                "row 6: no answer",
                format!(
                    "Get Auth Capabilities error\nError issuing Get Channel Authentication Capabilities request\n{LOST}"
                ),
                transient,
                false,
            ),
            (
                "no address",
                format!("Address lookup for no-such-host.invalid failed\nCould not open socket!\n{LOST}"),
                transient,
                false,
            ),
            (
                "no session left",
                format!(
                    "RAKP 2 message indicates an error : insufficient resources to create a session\n{LOST}"
                ),
                transient,
                false,
            ),
            (
                "level too low",
                format!(
                    "{NOISE}Set Chassis Power Control to Down/Off failed: Insufficient privilege level\n"
                ),
                permanent,
                true,
            ),
            (
                "busy",
                format!("{NOISE}Set Chassis Power Control to Down/Off failed: Node busy\n"),
                transient,
                true,
            ),
            ("nothing", String::new(), transient, true),
        ] {
            let failure_cause = failure_cause(&sample);
            assert_eq!(
                (failure_cause.class, failure_cause.in_session),
                (class, in_session),
                "{case}"
            );
        }
    }

    #[test]
    fn noise_is_left_out() {
        let sample = "Loading IANA PEN Registry...\n> RAKP 2 HMAC is invalid\nError: x\n";
        assert_eq!(without_noise(sample), "> RAKP 2 HMAC is invalid; Error: x");
    }
}
