//! The version of what is stored of a recovery.
//!
//! A version that added something reads what the one before wrote: new fields have a default. What a *newer* program
//! wrote is refused, for it may mean what this one knows nothing of.
//!
//! Who changes the shape of a stored state raises `CURRENT`. `testdata/vN` holds what version N writes, with each key filled
//! somewhere, and a test fails when this program writes other keys than those of its own version.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The shape this program writes. 0 is what was written before there were versions.
const CURRENT: u32 = 5;

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
mod tests;
