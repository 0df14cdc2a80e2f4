//! The proof that a host is off, and its basis. No evacuation can be commanded without one.
//!
//! A [`Proof`] has no public constructor. It is created in two ways only: from two readings of power controllers
//! (`Proof::from_level`), or from a claim (`Proof::from_claim`). The claim is a notification's in mode `external`, and an
//! operator's in mode `engine`. Both functions are private to this crate, and so is reading a proof from the journal.

pub(crate) mod stored;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::elapsed::Elapsed;
use crate::evidence::GivenEvidence;
use crate::id::NotificationId;
use crate::power::{Power, PowerReading};

/// A reading of a power controller, with the elapsed time of the recovery at which it was requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedReading {
    /// The time of the request: the reading is at least as fresh as this.
    pub started: Elapsed,
    pub reading: PowerReading,
}

/// Two readings of "off" of one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    pub first: DatedReading,
    pub latest: DatedReading,
}

impl Pair {
    /// Returns a pair if the second reading was requested at least `gap` after the first: a single reading may fall into the
    /// moment in which a machine restarts.
    fn of(first: &DatedReading, latest: &DatedReading, gap: Duration) -> Option<Self> {
        let both_off = first.reading.power == Power::Off && latest.reading.power == Power::Off;
        let apart = latest.started > first.started && latest.started.since(first.started) >= gap;
        (both_off && apart && first.reading.same_machine(&latest.reading)).then(|| Self {
            first: first.clone(),
            latest: latest.clone(),
        })
    }
}

/// The basis of a proof, which decides how the proof stays valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Two readings of a device returned "off", and so did two of every other device of its level. Valid while the latest
    /// one of each is fresh enough.
    Device {
        /// The first of the two.
        first: DatedReading,
        latest: DatedReading,
        /// The other devices of the level.
        others: Vec<Pair>,
        /// The level's number.
        level: u32,
    },
    /// A claim of another system or an operator. Valid while the host's heartbeat does not change.
    Claim {
        /// The notification with the claim.
        notification: NotificationId,
        /// The last time that Nova's record of the host was seen unchanged.
        still_at: Elapsed,
        /// The reporter's evidence of the fencing.
        evidence: Option<Box<GivenEvidence>>,
        /// The operator who made the claim, with the reason; `None` if it is the notification's.
        person: Option<String>,
    },
}

/// A confirmation that the host is off, from a source that can be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    basis: Basis,
    since: Elapsed,
    /// The time at which this owner last saw the confirmation of each device. Never stored: a recovery's elapsed time stops
    /// while no engine owns it, so an age across a take-over would look too fresh.
    confirmed: Vec<Option<Elapsed>>,
}

impl Proof {
    /// Creates a proof from two readings of "off" of every device of a level, in the order of its devices.
    pub(crate) fn from_level(
        level: u32,
        readings: &[(&DatedReading, &DatedReading)],
        gap: Duration,
    ) -> Option<Self> {
        let pairs: Option<Vec<Pair>> = readings
            .iter()
            .map(|(first, latest)| Pair::of(first, latest, gap))
            .collect();
        let mut pairs = pairs?.into_iter();
        let Pair { first, latest } = pairs.next()?;
        let others: Vec<Pair> = pairs.collect();
        let confirmed: Vec<Elapsed> = std::iter::once(latest.started)
            .chain(others.iter().map(|pair| pair.latest.started))
            .collect();
        Some(Self {
            since: confirmed.iter().copied().max()?,
            confirmed: confirmed.into_iter().map(Some).collect(),
            basis: Basis::Device {
                first,
                latest,
                others,
                level,
            },
        })
    }

    /// Creates a proof from a notification's claim, once Nova gets no heartbeat from the host either.
    pub(crate) fn from_claim(
        notification: NotificationId,
        evidence: Option<&GivenEvidence>,
        now: Elapsed,
    ) -> Self {
        Self {
            basis: Basis::Claim {
                notification,
                still_at: now,
                evidence: evidence.cloned().map(Box::new),
                person: None,
            },
            since: now,
            confirmed: vec![Some(now)],
        }
    }

    /// Creates a proof from an operator's claim, once Nova gets no heartbeat from the host either.
    pub(crate) fn from_person(notification: NotificationId, person: &str, now: Elapsed) -> Self {
        let mut proof = Self::from_claim(notification, None, now);
        if let Basis::Claim { person: by, .. } = &mut proof.basis {
            *by = Some(person.to_owned());
        }
        proof
    }

    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// Returns the elapsed time of the recovery at which the proof was created.
    pub fn since(&self) -> Elapsed {
        self.since
    }

    /// Returns the time at which all first readings were complete; the time of creation for a proof without readings.
    pub(crate) fn first_read(&self) -> Elapsed {
        match &self.basis {
            Basis::Device { first, others, .. } => {
                let others = others.iter().map(|pair| pair.first.started);
                others.fold(first.started, Elapsed::max)
            }
            Basis::Claim { .. } => self.since,
        }
    }

    /// True if an evacuation may be requested on this proof now.
    pub fn is_fresh(&self, now: Elapsed, limit: Duration) -> bool {
        let fresh = |read_at: &Option<Elapsed>| read_at.is_some_and(|read_at| now.since(read_at) <= limit);
        !self.confirmed.is_empty() && self.confirmed.iter().all(fresh)
    }

    /// Discards the confirmations: a new owner trusts the proof only after a check of its own.
    pub(crate) fn clear_confirmations(&mut self) {
        self.confirmed.fill(None);
    }

    /// True if the current owner has seen it confirmed.
    pub(crate) fn is_confirmed(&self) -> bool {
        !self.confirmed.is_empty() && self.confirmed.iter().all(Option::is_some)
    }

    /// True if the proof is a claim.
    pub(crate) fn is_claim(&self) -> bool {
        matches!(self.basis, Basis::Claim { .. })
    }

    /// True if the proof shows that nothing runs on the host: a device's readings, a cluster's evidence or an
    /// operator's claim do. A bare NORMAL does not.
    pub(crate) fn shows_absence(&self) -> bool {
        match &self.basis {
            Basis::Device { .. } => true,
            Basis::Claim { evidence, person, .. } => evidence.is_some() || person.is_some(),
        }
    }

    /// True if the proof must be checked again, so that it does not expire while there is work left.
    pub(crate) fn needs_renewal(&self, now: Elapsed, limit: Duration) -> bool {
        !self.is_fresh(now, limit / 2)
    }

    /// Applies a later reading of "off" of this device of the level.
    pub(crate) fn renew_by_reading(&mut self, device: usize, reading: &DatedReading) {
        let Basis::Device { latest, others, .. } = &mut self.basis else {
            return;
        };
        let latest = match device.checked_sub(1) {
            None => Some(latest),
            Some(other) => others.get_mut(other).map(|pair| &mut pair.latest),
        };
        if let (Some(latest), Some(confirmed)) = (latest, self.confirmed.get_mut(device))
            && reading.reading.power == Power::Off
            && reading.reading.same_machine(&latest.reading)
            && (reading.started > latest.started || confirmed.is_none())
        {
            *latest = reading.clone();
            *confirmed = Some(reading.started);
        }
    }

    /// Records that Nova's record of the host is still unchanged.
    pub(crate) fn renew_by_stillness(&mut self, at: Elapsed) {
        let unseen = self.confirmed.iter().any(Option::is_none);
        if let Basis::Claim { still_at, .. } = &mut self.basis
            && (at > *still_at || unseen)
        {
            *still_at = at;
            self.confirmed = vec![Some(at)];
        }
    }

    /// Returns the devices' answers, as a part of a sentence; empty for a claim.
    pub(crate) fn summary(&self) -> String {
        match &self.basis {
            Basis::Device { latest, others, .. } => readings_text(latest, others),
            Basis::Claim { .. } => String::new(),
        }
    }

    /// Returns the proof as a sentence for people.
    pub fn sentence(&self, host: &str) -> String {
        match &self.basis {
            Basis::Device {
                latest,
                others,
                level,
                ..
            } => {
                let evidence = readings_text(latest, others);
                let by = if *level > 1 {
                    format!(", by level {level}")
                } else {
                    String::new()
                };
                format!(
                    "{host} is off{by}: {} twice, confirmed {} after the recovery started",
                    evidence,
                    seconds(latest.started),
                )
            }
            Basis::Claim {
                person: Some(person), ..
            } => format!("{host} is off, as {person} confirmed; it has no current heartbeat in Nova"),
            Basis::Claim {
                notification,
                evidence,
                ..
            } => {
                let fenced = evidence.as_ref().map(|given| given.evidence.sentence());
                let fenced = fenced.map_or_else(String::new, |fenced| format!(": {fenced}"));
                format!(
                    "{host} is off according to notification {notification} (host_status NORMAL){fenced}; it has no current heartbeat in Nova"
                )
            }
        }
    }
}

fn readings_text(latest: &DatedReading, others: &[Pair]) -> String {
    let all = std::iter::once(latest).chain(others.iter().map(|pair| &pair.latest));
    let readings: Vec<String> = all
        .map(|one| format!("{} read \"{}\"", one.reading.device, one.reading.raw))
        .collect();
    readings.join(" and ")
}

fn seconds(at: Elapsed) -> String {
    format!("{:.1} s", at.as_duration().as_secs_f64())
}

#[cfg(test)]
mod tests;
