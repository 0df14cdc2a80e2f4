//! Proofs that a host is off: the one thing an evacuation cannot be commanded without.
//!
//! A [`Proof`] has no public constructor. It comes into being in two ways only: from two readings of a power controller
//! (`Proof::from_readings`), or, in mode `external`, from a notification's word (`Proof::from_word`); both are private to
//! this crate, and so is reading one back from the journal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::power::{Power, PowerReading};
use crate::{Elapsed, NotificationId};

/// A reading of a power controller with the moment, in the recovery's own time, at which it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedReading {
    /// When the question was sent: what it says is at least as young as this.
    pub started: Elapsed,
    /// What the device said.
    pub reading: PowerReading,
}

/// What a proof rests on, and so how it stays valid (R17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Two readings of a device said "off". Valid while the latest one is young enough.
    Device {
        /// The first of the two.
        first: DatedReading,
        /// The latest.
        latest: DatedReading,
    },
    /// Somebody else's word. Valid while the host's heartbeat stands still.
    Word {
        /// The notification that said so.
        notification: NotificationId,
        /// When Nova's record of the host was last seen standing still.
        still_at: Elapsed,
    },
}

/// Somebody who can be named has made sure that the host is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    basis: Basis,
    since: Elapsed,
    /// When this owner last saw it confirmed. Never stored: a recovery's own time stands still while nobody owns it, so an
    /// age measured across a take-over would be too young.
    confirmed: Option<Elapsed>,
}

impl Proof {
    /// Two readings that said "off", the second asked for at least `gap` after the first: a single reading may fall into
    /// the moment in which a machine restarts.
    pub(crate) fn from_readings(first: &DatedReading, latest: &DatedReading, gap: Duration) -> Option<Self> {
        let both_off = first.reading.power == Power::Off && latest.reading.power == Power::Off;
        let apart = latest.started > first.started && latest.started.since(first.started) >= gap;
        (both_off && apart).then(|| Self {
            basis: Basis::Device {
                first: first.clone(),
                latest: latest.clone(),
            },
            since: latest.started,
            confirmed: Some(latest.started),
        })
    }

    /// A notification's word, once Nova does not hear the host either (R16).
    pub(crate) fn from_word(notification: NotificationId, now: Elapsed) -> Self {
        Self {
            basis: Basis::Word {
                notification,
                still_at: now,
            },
            since: now,
            confirmed: Some(now),
        }
    }

    /// What it rests on.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// When it came to be, in the recovery's own time.
    pub fn since(&self) -> Elapsed {
        self.since
    }

    /// Whether an evacuation may be asked for on it now (R17).
    pub fn is_fresh(&self, now: Elapsed, limit: Duration) -> bool {
        self.confirmed.is_some_and(|seen| now.since(seen) <= limit)
    }

    /// A new owner trusts it only after a look of its own.
    pub(crate) fn forget(&mut self) {
        self.confirmed = None;
    }

    /// Whether its owner of today has seen it confirmed.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed.is_some()
    }

    /// Whether it is a notification's word.
    pub(crate) fn is_word(&self) -> bool {
        matches!(self.basis, Basis::Word { .. })
    }

    /// Whether it must be looked at again so that it does not run out while there is work left.
    pub(crate) fn wants_renewal(&self, now: Elapsed, limit: Duration) -> bool {
        !self.is_fresh(now, limit / 2)
    }

    /// Takes a later reading of "off" into account.
    pub(crate) fn renew_by_reading(&mut self, reading: &DatedReading) {
        if let Basis::Device { latest, .. } = &mut self.basis
            && reading.reading.power == Power::Off
            && (reading.started > latest.started || self.confirmed.is_none())
        {
            *latest = reading.clone();
            self.confirmed = Some(reading.started);
        }
    }

    /// Takes note that Nova's record still stands still.
    pub(crate) fn renew_by_stillness(&mut self, at: Elapsed) {
        if let Basis::Word { still_at, .. } = &mut self.basis
            && (at > *still_at || self.confirmed.is_none())
        {
            *still_at = at;
            self.confirmed = Some(at);
        }
    }

    /// One sentence for people.
    pub fn sentence(&self, host: &str) -> String {
        match &self.basis {
            Basis::Device { latest, .. } => format!(
                "{host} is off: {} said \"{}\" twice in a row, last asked {} after the recovery began",
                latest.reading.device,
                latest.reading.raw,
                seconds(latest.started),
            ),
            Basis::Word { notification, .. } => format!(
                "{host} is off by the word of notification {notification} (host_status NORMAL), and Nova does not hear it"
            ),
        }
    }
}

fn seconds(at: Elapsed) -> String {
    format!("{:.1} s", at.as_duration().as_secs_f64())
}

/// How a proof is kept in the journal. Private to the crate, so that nobody outside can read one into being.
pub(crate) mod stored {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Basis, DatedReading, Proof};
    use crate::{Elapsed, NotificationId};

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "basis", rename_all = "snake_case")]
    enum Row {
        Device {
            first: DatedReading,
            latest: DatedReading,
            since: Elapsed,
        },
        Word {
            notification: NotificationId,
            still_at: Elapsed,
            since: Elapsed,
        },
    }

    #[expect(
        clippy::ref_option,
        reason = "serde's `with` hands over a reference to the field"
    )]
    pub(crate) fn serialize<S: Serializer>(proof: &Option<Proof>, to: S) -> Result<S::Ok, S::Error> {
        let row = proof.as_ref().map(|proof| match proof.basis.clone() {
            Basis::Device { first, latest } => Row::Device {
                first,
                latest,
                since: proof.since,
            },
            Basis::Word {
                notification,
                still_at,
            } => Row::Word {
                notification,
                still_at,
                since: proof.since,
            },
        });
        row.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Proof>, D::Error> {
        Ok(Option::<Row>::deserialize(from)?.map(|row| match row {
            Row::Device { first, latest, since } => Proof {
                basis: Basis::Device { first, latest },
                since,
                confirmed: None,
            },
            Row::Word {
                notification,
                still_at,
                since,
            } => Proof {
                basis: Basis::Word {
                    notification,
                    still_at,
                },
                since,
                confirmed: None,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn reading(at_ms: u64, power: Power) -> DatedReading {
        let reading = PowerReading {
            power,
            raw: "off".into(),
            device: "maas".into(),
            at: Timestamp::from_micros(0),
        };
        DatedReading {
            started: Elapsed::from_millis(at_ms),
            reading,
        }
    }

    #[test]
    fn two_readings_of_off_far_enough_apart_are_a_proof_and_nothing_less_is() {
        let gap = Duration::from_secs(3);
        let cases = [
            (
                "off, off 3 s later",
                reading(0, Power::Off),
                reading(3_000, Power::Off),
                true,
            ),
            (
                "off, off too soon",
                reading(0, Power::Off),
                reading(2_999, Power::Off),
                false,
            ),
            (
                "the same reading twice",
                reading(5_000, Power::Off),
                reading(5_000, Power::Off),
                false,
            ),
            (
                "in the wrong order",
                reading(9_000, Power::Off),
                reading(0, Power::Off),
                false,
            ),
            (
                "on, then off",
                reading(0, Power::On),
                reading(3_000, Power::Off),
                false,
            ),
            (
                "off, then unknown",
                reading(0, Power::Off),
                reading(3_000, Power::Unknown),
                false,
            ),
            (
                "unknown is not off",
                reading(0, Power::Unknown),
                reading(3_000, Power::Unknown),
                false,
            ),
        ];
        for (name, first, second, wanted) in cases {
            assert_eq!(
                Proof::from_readings(&first, &second, gap).is_some(),
                wanted,
                "{name}"
            );
        }
    }

    #[test]
    fn r17_a_device_proof_ages_and_only_a_later_off_renews_it() {
        let limit = Duration::from_secs(30);
        let mut proof = Proof::from_readings(
            &reading(0, Power::Off),
            &reading(3_000, Power::Off),
            Duration::from_secs(3),
        )
        .unwrap();
        assert!(proof.is_fresh(Elapsed::from_millis(33_000), limit));
        assert!(!proof.is_fresh(Elapsed::from_millis(33_001), limit));
        proof.renew_by_reading(&reading(20_000, Power::On));
        proof.renew_by_reading(&reading(21_000, Power::Unknown));
        proof.renew_by_stillness(Elapsed::from_millis(22_000));
        assert!(
            !proof.is_fresh(Elapsed::from_millis(33_001), limit),
            "nothing of these renews it"
        );
        proof.renew_by_reading(&reading(20_000, Power::Off));
        assert!(proof.is_fresh(Elapsed::from_millis(50_000), limit));
    }
}
