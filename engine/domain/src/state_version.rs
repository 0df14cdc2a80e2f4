//! The version of a recovery's stored state.
//!
//! A version that added fields can read the state of the version before: new fields have a default. State that a *newer*
//! program wrote is refused, because it may mean something that this one does not know.
//!
//! A change to the shape of a stored state has to raise `CURRENT`. `testdata/vN` holds the state that version N writes, with
//! each key filled somewhere, and a test fails when this program writes other keys than those of its own version.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version of the shape that this program writes. 0 is the shape from before there were versions.
const CURRENT: u32 = 8;

/// The version field of every stored state. It is written as this program's own version, whichever was read.
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
