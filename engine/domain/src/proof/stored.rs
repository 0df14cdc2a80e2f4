//! The form of a proof in the journal. Private to the crate, so that no other crate can create a proof by reading one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Basis, DatedReading, Pair, Proof};
use crate::elapsed::Elapsed;
use crate::evidence::GivenEvidence;
use crate::id::NotificationId;

#[derive(Serialize, Deserialize)]
#[serde(tag = "basis", rename_all = "snake_case")]
enum Row {
    Device {
        first: DatedReading,
        latest: DatedReading,
        since: Elapsed,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<Pair>,
        #[serde(default = "first_level")]
        level: u32,
    },
    #[serde(rename = "word")]
    Claim {
        notification: NotificationId,
        still_at: Elapsed,
        since: Elapsed,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Box<GivenEvidence>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<String>,
    },
}

/// Returns the default level: a version that knew only one device per host wrote no level.
fn first_level() -> u32 {
    1
}

#[expect(
    clippy::ref_option,
    reason = "serde's `with` hands over a reference to the field"
)]
pub(crate) fn serialize<S: Serializer>(proof: &Option<Proof>, to: S) -> Result<S::Ok, S::Error> {
    let row = proof.as_ref().map(|proof| match proof.basis.clone() {
        Basis::Device {
            first,
            latest,
            others,
            level,
        } => Row::Device {
            first,
            latest,
            since: proof.since,
            others,
            level,
        },
        Basis::Claim {
            notification,
            still_at,
            evidence,
            person,
        } => Row::Claim {
            notification,
            still_at,
            since: proof.since,
            evidence,
            person,
        },
    });
    row.serialize(to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Proof>, D::Error> {
    Ok(Option::<Row>::deserialize(from)?.map(|row| match row {
        Row::Device {
            first,
            latest,
            since,
            others,
            level,
        } => Proof {
            confirmed: vec![None; 1 + others.len()],
            basis: Basis::Device {
                first,
                latest,
                others,
                level,
            },
            since,
        },
        Row::Claim {
            notification,
            still_at,
            since,
            evidence,
            person,
        } => Proof {
            basis: Basis::Claim {
                notification,
                still_at,
                evidence,
                person,
            },
            since,
            confirmed: vec![None],
        },
    }))
}
