//! The identity of the machine that a power controller switches, as the controller reports it. A BMC that was moved to
//! another address, or cabled to another machine, answers as quickly and reliably as the right one.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An identifier of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// The GUID of IPMI.
    Guid,
    /// The UUID of the hardware, as Redfish and MAAS report it.
    Uuid,
    /// The serial number of Redfish.
    Serial,
    /// The system id of MAAS.
    System,
}

impl Mark {
    const ALL: [Self; 4] = [Self::Guid, Self::Uuid, Self::Serial, Self::System];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Guid => "guid",
            Self::Uuid => "uuid",
            Self::Serial => "serial",
            Self::System => "system",
        }
    }
}

/// The maximum length of a serial number or system id, in characters. A longer one is ignored.
const MAX_MARK_LENGTH: usize = 64;

/// UUIDs that vendors ship in thousands of machines, or that boards without a written UUID have. Each is recognised in all
/// byte orders in which firmware shows it.
const VENDOR_DEFAULT_UUIDS: [u128; 6] = [
    0x0300_0200_0400_0500_0006_0007_0008_0009,
    0x1234_5678_1234_5678_90ab_cdde_efaa_bbcc,
    0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
    0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
    0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
    0x4c4c_4544_0000_2010_8020_80c0_4f20_2020,
];

/// Placeholders for a missing serial number, in lower case.
const SERIAL_PLACEHOLDERS: [&str; 14] = [
    "none",
    "n/a",
    "na",
    "null",
    "unknown",
    "default",
    "default_string",
    "not_specified",
    "not_available",
    "system_serial_number",
    "chassis_serial_number",
    "base_board_serial_number",
    "invalid",
    "to_be_filled_by_o.e.m.",
];

/// A machine's identity as reported by a power controller: one mark or more, such as `uuid=4c4c4544-... serial=ABC123`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineId(BTreeMap<Mark, String>);

impl MachineId {
    /// Returns the identity from the usable marks; `None` if there is none. Not usable are all zeros, all ones, values that
    /// vendors ship in many machines, and texts for a missing value.
    pub fn of<'a>(marks: impl IntoIterator<Item = (Mark, &'a str)>) -> Option<Self> {
        let good = |(mark, text)| Some((mark, tidy(mark, text)?));
        let marks: BTreeMap<Mark, String> = marks.into_iter().filter_map(good).collect();
        (!marks.is_empty()).then_some(Self(marks))
    }

    /// True if both are the same machine: they share a mark, and differ in none.
    pub fn is(&self, other: &Self) -> bool {
        let mut common = self
            .0
            .iter()
            .filter_map(|(mark, text)| Some((text, other.0.get(mark)?)));
        let mut any = false;
        common.all(|(ours, theirs)| {
            any = true;
            ours == theirs
        }) && any
    }
}

/// Returns the normal form in which a mark is compared.
fn tidy(mark: Mark, text: &str) -> Option<String> {
    match mark {
        Mark::Guid | Mark::Uuid => uuid(text),
        Mark::Serial | Mark::System => name(text),
    }
}

fn uuid(text: &str) -> Option<String> {
    let hex: String = text
        .trim()
        .chars()
        .filter(|c| !matches!(c, '-' | '{' | '}'))
        .collect();
    if hex.len() != 32 || !hex.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let value = u128::from_str_radix(&hex, 16).ok()?;
    let bytes = value.to_be_bytes();
    let same = bytes.iter().all(|byte| Some(byte) == bytes.first());
    let shipped = |known: &u128| {
        let forms = [*known, mixed(*known)];
        forms
            .iter()
            .any(|form| value == *form || value == form.swap_bytes())
    };
    if same || VENDOR_DEFAULT_UUIDS.iter().any(shipped) {
        return None;
    }
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_ascii_lowercase();
    let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
    Some(parts.join("-"))
}

/// Returns the UUID with the bytes of its first three fields reversed, as SMBIOS writes them.
fn mixed(uuid: u128) -> u128 {
    let mut bytes = uuid.to_be_bytes();
    let (first, rest) = bytes.split_at_mut(4);
    let (second, rest) = rest.split_at_mut(2);
    let (third, _) = rest.split_at_mut(2);
    first.reverse();
    second.reverse();
    third.reverse();
    u128::from_be_bytes(bytes)
}

fn name(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let text = parts.join("_");
    let lower = text.to_ascii_lowercase();
    let mut letters = lower.chars();
    let first = letters.next()?;
    let same = letters.all(|c| c == first);
    let strange = text.chars().any(|c| c.is_control() || c == '=');
    let none = same
        || is_run(&lower)
        || strange
        || text.chars().count() > MAX_MARK_LENGTH
        || SERIAL_PLACEHOLDERS.contains(&lower.as_str());
    (!none).then_some(text)
}

/// The minimum length of a run: a shorter text may be one by chance.
const MIN_RUN_LENGTH: usize = 6;

/// True for a text whose characters count up or down, such as `01234567890123456789ab`: vendors ship these in thousands of
/// machines.
fn is_run(text: &str) -> bool {
    let follows = |one: u8, next: u8| match one {
        b'9' => matches!(next, b'0' | b'a'),
        b'f' => matches!(next, b'g' | b'0'),
        b'z' => next == b'0',
        _ => one.checked_add(1) == Some(next),
    };
    let bytes = text.as_bytes();
    let mut pairs = bytes
        .windows(2)
        .filter_map(|pair| Some((*pair.first()?, *pair.last()?)));
    let mut back = pairs.clone();
    bytes.len() >= MIN_RUN_LENGTH
        && (pairs.all(|(one, next)| follows(one, next)) || back.all(|(one, next)| follows(next, one)))
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (mark, text)) in self.0.iter().enumerate() {
            let between = if index > 0 { " " } else { "" };
            write!(f, "{between}{}={text}", mark.as_str())?;
        }
        Ok(())
    }
}

/// The error for a text that is not a machine's identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} does not identify a machine")]
pub struct InvalidMachineId {
    pub text: String,
}

impl FromStr for MachineId {
    type Err = InvalidMachineId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || InvalidMachineId {
            text: text.to_owned(),
        };
        let mut marks = BTreeMap::new();
        for part in text.split(' ') {
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            let mark = Mark::ALL.into_iter().find(|mark| mark.as_str() == key);
            marks.insert(mark.ok_or_else(wrong)?, value.to_owned());
        }
        Ok(Self(marks))
    }
}

impl TryFrom<String> for MachineId {
    type Error = InvalidMachineId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MachineId> for String {
    fn from(id: MachineId) -> Self {
        id.to_string()
    }
}

/// The known machine behind a device of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownMachine {
    /// The machine's expected identity, learnt or set by an operator.
    pub expected: Option<MachineId>,
    /// True if an operator has confirmed it.
    pub confirmed: bool,
    /// Other hosts with a device whose known machine is the one that answers now.
    pub elsewhere: Vec<String>,
}

/// The reason why a device's answers do not count for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Another machine answers.
    Other,
    /// The device no longer reports an identity.
    NoneAnymore,
    /// The same machine answers for other hosts.
    Shared,
}

impl KnownMachine {
    /// Checks that the answering machine is the host's, as far as that is known. Devices that never reported an identity, or
    /// whose machine is not known yet, pass like devices without identity: their answers count once the host has no
    /// heartbeat in Nova.
    ///
    /// # Errors
    ///
    /// Fails if the machine is, or may be, another host's.
    pub fn judge(&self, answers: Option<&MachineId>) -> Result<(), Mismatch> {
        match (&self.expected, answers) {
            (None, None) => return Ok(()),
            (Some(_), None) => return Err(Mismatch::NoneAnymore),
            (Some(expected), Some(answers)) if !expected.is(answers) => return Err(Mismatch::Other),
            (_, Some(_)) => {}
        }
        if self.elsewhere.is_empty() || self.confirmed {
            Ok(())
        } else {
            Err(Mismatch::Shared)
        }
    }

    /// Renders the mismatch for people, with the remedy.
    pub fn sentence(
        &self,
        doubt: &Mismatch,
        host: &str,
        device: &str,
        answers: Option<&MachineId>,
    ) -> String {
        let expected = self
            .expected
            .as_ref()
            .map_or_else(|| "none".to_owned(), ToString::to_string);
        let answers = answers.map_or_else(|| "none".to_owned(), ToString::to_string);
        let what = match doubt {
            Mismatch::Other => {
                format!(
                    "device {device} of host {host} answers for another machine: expected {expected}, {answers} answers"
                )
            }
            Mismatch::NoneAnymore => {
                format!(
                    "device {device} of host {host} no longer identifies its machine: expected {expected}"
                )
            }
            Mismatch::Shared => format!(
                "device {device} of host {host} answers for the machine of {} too: {answers}",
                self.elsewhere.join(", ")
            ),
        };
        format!(
            "{what}. Its answers are ignored: check the controller's address and cabling; if it is the host's machine, run \
             `tachi fence trust {host}`"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guid(text: &str) -> Option<String> {
        MachineId::of([(Mark::Guid, text)]).map(|id| id.to_string())
    }

    /// Covers T9.
    #[test]
    fn placeholders_are_not_identities() {
        let shown = "guid=a1234567-89ab-cdef-a123-456789abcdef";
        for good in [
            "a123456789abcdefa123456789abcdef",
            "{A1234567-89AB-CDEF-A123-456789ABCDEF}",
        ] {
            assert_eq!(guid(good).as_deref(), Some(shown), "{good}");
        }
        for bad in [
            "",
            "off",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "20202020-2020-2020-2020-202020202020",
            "03000200-0400-0500-0006-000700080009",
            "09000800-0700-0600-0005-000400020003",
            "09000800-0700-0600-0500-040003000200",
            "00020003-0004-0005-0006-000700080009",
            "a123456789abcdefa123456789abcde",
            "a123456789abcdefa123456789abcdeg",
        ] {
            assert_eq!(guid(bad), None, "{bad:?}");
        }
        let serial = |text| MachineId::of([(Mark::Serial, text)]).map(|id| id.to_string());
        assert_eq!(serial(" AB 12 ").as_deref(), Some("serial=AB_12"));
        // A few letters count up by chance, and most of a number may.
        for good in ["12", "ABC", "0123456780", "CZ123456789", "123456X"] {
            assert!(serial(good).is_some(), "{good:?}");
        }
        let long = "ab".repeat(33);
        for bad in [
            "",
            " ",
            "Default string",
            "To be filled by O.E.M.",
            "0000000",
            "0123456789",
            "1234567890",
            "01234567890123456789AB",
            "0123456789ABCDEF",
            "ABCDEFGH",
            "9876543210",
            "Chassis Serial Number",
            "a\u{7}b",
            "a=b",
            &long,
        ] {
            assert_eq!(serial(bad), None, "{bad:?}");
        }
        assert_eq!(MachineId::of([]), None);
    }

    /// Covers T9.
    #[test]
    fn machines_are_distinguished_by_the_identities_that_both_have() {
        let id = |text: &str| text.parse::<MachineId>().unwrap();
        let (one, serial) = (id("uuid=a serial=1"), id("serial=1"));
        for (other, same) in [
            ("uuid=a serial=1", true),
            ("uuid=a", true),
            ("uuid=b serial=1", false),
            ("uuid=a serial=2", false),
            ("system=4y3h7n", false),
        ] {
            assert_eq!(one.is(&id(other)), same, "{other}");
            assert_eq!(id(other).is(&one), same, "{other}");
        }
        assert!(!serial.is(&id("uuid=a")), "nothing in common");
        for text in ["", "uuid", "colour=red", "uuid=a  serial=1"] {
            assert!(text.parse::<MachineId>().is_err(), "{text:?}");
        }
        let read: MachineId = serde_json::from_str("\"uuid=a serial=1\"").unwrap();
        assert_eq!(read, one);
    }

    /// Covers T9.
    #[test]
    fn only_the_expected_machine_is_accepted() {
        let id = |text: &str| text.parse::<MachineId>().unwrap();
        let known = |expected: Option<&str>, confirmed, elsewhere: &[&str]| KnownMachine {
            expected: expected.map(id),
            confirmed,
            elsewhere: elsewhere.iter().map(|&host| host.to_owned()).collect(),
        };
        for (case, known, answers, verdict) in [
            ("none and none", known(None, false, &[]), None, Ok(())),
            ("not learnt yet", known(None, false, &[]), Some("guid=a"), Ok(())),
            (
                "the same",
                known(Some("guid=a"), false, &[]),
                Some("guid=a"),
                Ok(()),
            ),
            (
                "another",
                known(Some("guid=a"), false, &[]),
                Some("guid=b"),
                Err(Mismatch::Other),
            ),
            (
                "not the confirmed one",
                known(Some("guid=a"), true, &[]),
                Some("guid=b"),
                Err(Mismatch::Other),
            ),
            (
                "none any more",
                known(Some("guid=a"), true, &[]),
                None,
                Err(Mismatch::NoneAnymore),
            ),
            (
                "another host's",
                known(None, false, &["c2"]),
                Some("guid=b"),
                Err(Mismatch::Shared),
            ),
            (
                "of two hosts",
                known(Some("guid=a"), false, &["c2"]),
                Some("guid=a"),
                Err(Mismatch::Shared),
            ),
            (
                "of two, by a person",
                known(Some("guid=a"), true, &["c2"]),
                Some("guid=a"),
                Ok(()),
            ),
        ] {
            let answers = answers.map(id);
            assert_eq!(known.judge(answers.as_ref()), verdict, "{case}");
        }
        let foreign = known(Some("guid=a"), false, &[]);
        let sentence = foreign.sentence(&Mismatch::Other, "c1", "bmc", Some(&id("guid=b")));
        for part in [
            "bmc",
            "c1",
            "expected guid=a",
            "guid=b answers",
            "tachi fence trust c1",
        ] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
    }
}
