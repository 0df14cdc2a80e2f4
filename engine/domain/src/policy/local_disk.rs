//! The treatment of instances whose disk is on their host alone.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::nova::Server;

/// The longest wait: as long as a recovery may take that nothing blocks.
pub const MAX_DISK_WAIT: Duration = Duration::from_hours(24);

/// Number of characters of a value that a remark repeats.
const MAX_ECHOED_CHARS: usize = 40;

/// The treatment of an instance whose disk is on its failed host alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LocalDisk {
    /// Evacuate it like others: rebuilt from its image, without the disk.
    #[default]
    Evacuate,
    /// Evacuate it if the host is not back within this time.
    Wait(Duration),
    /// Leave it on the host.
    Leave,
}

/// The error for a text that is no such treatment.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not evacuate, leave or wait:TIME, with a time such as 90s, 30m or 2h, up to 24h")]
pub struct InvalidLocalDisk(String);

impl FromStr for LocalDisk {
    type Err = InvalidLocalDisk;

    fn from_str(text: &str) -> Result<Self, InvalidLocalDisk> {
        let is_too_long = |treatment: &Self| matches!(treatment, Self::Wait(time) if *time > MAX_DISK_WAIT);
        let read = Self::parse(text).filter(|treatment| !is_too_long(treatment));
        read.ok_or_else(|| InvalidLocalDisk(text.to_owned()))
    }
}

impl LocalDisk {
    /// Reads a treatment, however long its wait is.
    fn parse(text: &str) -> Option<Self> {
        let value = text.trim().to_ascii_lowercase();
        match value.as_str() {
            "evacuate" => Some(Self::Evacuate),
            "leave" => Some(Self::Leave),
            other => other
                .strip_prefix("wait:")
                .and_then(duration)
                .filter(|time| !time.is_zero())
                .map(Self::Wait),
        }
    }
}

/// Reads a number with a unit; seconds without one.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let unit = match text.strip_prefix(digits)? {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(unit)?))
}

impl fmt::Display for LocalDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evacuate => f.write_str("evacuate"),
            Self::Leave => f.write_str("leave"),
            Self::Wait(time) => match time.as_secs() {
                seconds if seconds % 3_600 == 0 => write!(f, "wait:{}h", seconds / 3_600),
                seconds if seconds % 60 == 0 => write!(f, "wait:{}m", seconds / 60),
                seconds => write!(f, "wait:{seconds}s"),
            },
        }
    }
}

impl TryFrom<String> for LocalDisk {
    type Error = InvalidLocalDisk;

    fn try_from(text: String) -> Result<Self, InvalidLocalDisk> {
        text.parse()
    }
}

impl From<LocalDisk> for String {
    fn from(treatment: LocalDisk) -> Self {
        treatment.to_string()
    }
}

/// The rules by which each instance has a treatment: its own metadata, else its segment's, else the region's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalDiskRules {
    /// The treatment where nothing else is set. In a recovery's copy it is that of the host's segment.
    pub usual: LocalDisk,
    /// The treatments of segments, by name or id.
    #[serde(skip)]
    pub segments: BTreeMap<String, LocalDisk>,
    /// The metadata key of an instance's own treatment; empty for none.
    pub key: String,
}

impl Default for LocalDiskRules {
    fn default() -> Self {
        Self {
            usual: LocalDisk::Evacuate,
            segments: BTreeMap::new(),
            key: "HA_Local_Disk".into(),
        }
    }
}

impl LocalDiskRules {
    /// Returns these rules for the hosts of one segment, which has this name and id.
    #[must_use]
    pub fn of_segment(self, name: &str, id: &str) -> Self {
        Self {
            usual: self.usual_in(name, id),
            segments: BTreeMap::new(),
            key: self.key,
        }
    }

    /// Returns the treatment in the segment of this name and id of instances that have none of their own.
    pub fn usual_in(&self, name: &str, id: &str) -> LocalDisk {
        let own = self.segments.get(name).or_else(|| self.segments.get(id));
        own.copied().unwrap_or(self.usual)
    }

    /// Returns the treatment of an instance that is on a local disk, and a remark if its own value is cut or ignored. A wait that
    /// its owner has set lasts no longer than `longest`, and a value that is not valid is ignored.
    pub fn of(&self, server: &Server, longest: Duration) -> (LocalDisk, Option<String>) {
        let Some(text) = server.metadata.get(&self.key) else {
            return (self.usual, None);
        };
        let shown: String = text.chars().take(MAX_ECHOED_CHARS).collect();
        match LocalDisk::parse(text) {
            Some(LocalDisk::Wait(time)) if time > longest => {
                let wait = LocalDisk::Wait(longest);
                let remark = format!("its {} is {shown:?}, above the limit: {wait} applies", self.key);
                (wait, Some(remark))
            }
            Some(own) => (own, None),
            None => {
                let remark = format!("its {} is {shown:?}, which is not valid: it is ignored", self.key);
                (self.usual, Some(remark))
            }
        }
    }

    /// Returns the treatment that an instance's own metadata sets, if it can be read.
    pub fn own(&self, server: &Server, longest: Duration) -> Option<LocalDisk> {
        let own = server
            .metadata
            .get(&self.key)
            .and_then(|text| LocalDisk::parse(text))?;
        Some(match own {
            LocalDisk::Wait(time) => LocalDisk::Wait(time.min(longest)),
            LocalDisk::Evacuate | LocalDisk::Leave => own,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_treatment_is_read_and_written() {
        let wait = |seconds| LocalDisk::Wait(Duration::from_secs(seconds));
        for (text, expected, written) in [
            ("evacuate", LocalDisk::Evacuate, "evacuate"),
            (" Leave ", LocalDisk::Leave, "leave"),
            ("wait:2h", wait(7_200), "wait:2h"),
            ("wait:120m", wait(7_200), "wait:2h"),
            ("wait:90", wait(90), "wait:90s"),
            ("wait:90m", wait(5_400), "wait:90m"),
            ("wait:24h", wait(86_400), "wait:24h"),
        ] {
            let read: LocalDisk = text.parse().unwrap();
            assert_eq!((read, read.to_string().as_str()), (expected, written), "{text:?}");
        }
        for text in [
            "", "wait", "wait:", "wait:0", "wait:25h", "wait:2x", "wait:h", "wait:-1", "stay",
        ] {
            assert!(text.parse::<LocalDisk>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_segment_is_named_by_its_name_or_its_id() {
        let rules = LocalDiskRules {
            segments: [("s1".to_owned(), LocalDisk::Leave)].into(),
            ..LocalDiskRules::default()
        };
        for (name, id, usual) in [
            ("s1", "a", LocalDisk::Leave),
            ("a", "s1", LocalDisk::Leave),
            ("s2", "b", LocalDisk::Evacuate),
        ] {
            assert_eq!(rules.clone().of_segment(name, id).usual, usual, "{name} {id}");
        }
    }
}
