//! Heartbeats of the host's own monitors (R15): two that come after a claim that the host is off contradict it.
//!
//! Nova's heartbeat ends with nova-compute, while guests run on; a monitor beside them shows that the host runs. The margins outlast
//! what a proxy may hold back: whatever was sent before the host died has been received by then, or is dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::service::CONTRADICTED_LIMIT;
use super::turn::Turn;
use super::{Hold, HoldKind};
use crate::elapsed::Elapsed;
use crate::evidence::time_text;
use crate::monitor::{BootHeartbeats, Heartbeat};
use crate::proof::{Basis, Proof};
use crate::recovery::{OperatorWord, StepKind, Task, Word};
use crate::timestamp::Timestamp;

/// A heartbeat that is received this soon after a claim arrived may have been sent before it.
const AFTER_ARRIVAL: Duration = Duration::from_secs(20);

/// The same for the date that it claims: a proxy may hold a request for a minute.
const AFTER_DATE: Duration = Duration::from_secs(80);

/// How far the boot-time counters of two heartbeats must be apart.
const APART: Duration = Duration::from_secs(8);

/// Without a heartbeat for this long the boot in which the host was reported has ended.
const QUIET: Duration = Duration::from_secs(100);

/// A monitor whose last heartbeat is younger than this goes on sending.
const GOES_ON: Duration = Duration::from_secs(30);

/// An operator's action this soon after the hold may have been sent before it was shown.
const SHOWN_AFTER: Duration = Duration::from_secs(3);

/// What must not be forgotten of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonitorHeartbeats {
    /// A boot of the host was known when it was reported.
    pub known: bool,
    /// Whose claims they have contradicted.
    pub contradicted: BTreeSet<Claimant>,
    /// Since when.
    pub shown: Option<Elapsed>,
    /// An operator who was shown them says that the host is off all the same.
    pub overridden: bool,
}

/// Who claims that the host is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claimant {
    /// A report, or a person.
    Word,
    /// The devices of the level of this number.
    Level(u32),
}

/// Something that says that the host is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// A report, or a person.
    Word {
        /// When it was accepted; `None` if that is the report that opened the recovery.
        arrived: Option<Timestamp>,
        /// The date that it claims.
        dated: Timestamp,
    },
    /// A reading of a device.
    Reading {
        /// When it was asked for.
        at: Elapsed,
        /// The number of its level.
        level: u32,
    },
}

impl Claim {
    /// That of a proof; `word` if it rests on one.
    pub(super) fn of(proof: &Proof, word: Option<Self>) -> Option<Self> {
        match proof.basis() {
            Basis::Device { level, .. } => Some(Self::Reading {
                at: proof.first_read(),
                level: *level,
            }),
            Basis::Word { .. } => word,
        }
    }

    fn claimant(&self) -> Claimant {
        match self {
            Self::Word { .. } => Claimant::Word,
            Self::Reading { level, .. } => Claimant::Level(*level),
        }
    }
}

/// What the heartbeats say of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Silent,
    /// Some have come since, and whether they contradict it cannot be told yet.
    Undecided(String),
    /// The host runs.
    Contradicted(String),
}

/// The heartbeats as the last look showed them, and when that was asked for; `None` if there was none.
pub(super) type Shown<'a> = Option<(Elapsed, &'a BootHeartbeats)>;

/// The same.
struct Seen<'a> {
    asked: Elapsed,
    heartbeats: &'a BootHeartbeats,
}

impl Seen<'_> {
    /// When one was received, in the recovery's own time; zero if that was before it began.
    fn received(&self, beat: &Heartbeat) -> Duration {
        self.asked.as_duration().saturating_sub(beat.age)
    }

    fn is_after_arrival(&self, beat: &Heartbeat, claim: &Claim) -> bool {
        match claim {
            Claim::Word { arrived, .. } => arrived
                .or(self.heartbeats.reported)
                .is_some_and(|arrived| is_later(beat.received, arrived, AFTER_ARRIVAL)),
            Claim::Reading { at, .. } => self.received(beat) > at.as_duration() + AFTER_ARRIVAL,
        }
    }

    fn is_after_date(&self, beat: &Heartbeat, claim: &Claim) -> bool {
        match claim {
            Claim::Word { dated, .. } => is_later(beat.received, *dated, AFTER_DATE),
            Claim::Reading { at, .. } => self.received(beat) > at.as_duration() + AFTER_DATE,
        }
    }

    /// Two of one monitor that contradict the claim, in words.
    fn contradicts(&self, claim: &Claim) -> Option<String> {
        self.heartbeats.monitors.iter().find_map(|(kind, beats)| {
            let counts =
                |beat: &&Heartbeat| self.is_after_arrival(beat, claim) && self.is_after_date(beat, claim);
            let first = beats.iter().find(counts)?;
            let last = beats.iter().rfind(counts)?;
            (last.up.saturating_sub(first.up) >= APART).then(|| {
                format!(
                    "its {kind} monitor sent heartbeats at {} and {}, so it runs",
                    time_text(first.received),
                    time_text(last.received)
                )
            })
        })
    }

    /// The latest heartbeat and how long ago it was received, unless that is too long ago.
    fn latest(&self, now: Elapsed) -> Option<(&Heartbeat, Duration)> {
        let all = self.heartbeats.monitors.values().flatten();
        let latest = all.min_by_key(|beat| beat.age)?;
        let ago = latest.age + now.since(self.asked);
        (ago < QUIET).then_some((latest, ago))
    }
}

fn is_later(received: Timestamp, than: Timestamp, by: Duration) -> bool {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    received.micros_since(than) > by
}

impl MonitorHeartbeats {
    /// A look has shown them.
    pub(super) fn looked(&mut self, shown: Shown<'_>) {
        self.known |= shown.is_some_and(|(_, heartbeats)| heartbeats.reported.is_some());
    }

    /// What they say of a claim that is looked into since `since`. One that was contradicted is not made true by being repeated: not
    /// before they have ended.
    pub(super) fn judge(
        &mut self,
        claim: &Claim,
        since: Elapsed,
        shown: Shown<'_>,
        turn: &Turn<'_>,
    ) -> Verdict {
        if self.overridden || !self.known {
            return Verdict::Silent;
        }
        let Some((asked, heartbeats)) = shown else {
            return Verdict::Silent;
        };
        let seen = Seen { asked, heartbeats };
        let now = turn.now.elapsed;
        let latest = seen.latest(now);
        let undecided = match claim {
            Claim::Word { .. } => latest.is_some_and(|(beat, _)| seen.is_after_arrival(beat, claim)),
            Claim::Reading { .. } => false,
        };
        let again = self.contradicted.contains(&claim.claimant());
        let long = undecided && now.since(since) >= CONTRADICTED_LIMIT;
        let lasting = latest.filter(|(_, ago)| again || long && *ago < GOES_ON);
        let lasting = lasting.map(|(beat, _)| {
            let at = time_text(beat.received);
            format!("its monitors went on sending heartbeats, the last at {at}, so it ran then")
        });
        if let Some(why) = seen.contradicts(claim).or(lasting) {
            self.shown.get_or_insert(now);
            self.contradicted.insert(claim.claimant());
            return Verdict::Contradicted(why);
        }
        if undecided {
            let host = turn.host;
            return Verdict::Undecided(format!(
                "host {host} is said to be off, and its monitors have sent heartbeats since: waiting until they end"
            ));
        }
        Verdict::Silent
    }

    /// What an operator does about a hold that shows them.
    pub(super) fn heard(&mut self, said: &OperatorWord, turn: &mut Turn<'_>) {
        let now = turn.now.elapsed;
        let shown = self.shown.is_some_and(|shown| now.since(shown) >= SHOWN_AFTER);
        let lists_them = |hold: &Hold| matches!(hold.kind, HoldKind::Fence | HoldKind::Alive);
        if !shown || !turn.hold.as_ref().is_some_and(lists_them) {
            return;
        }
        match said.word {
            Word::Approve => {
                self.shown = None;
                self.contradicted.clear();
            }
            Word::HostIsOff => {
                self.overridden = true;
                let text = format!("the heartbeats of its monitors are overridden by {}", said.by);
                turn.record.step(Task::Fence, StepKind::Note, 0.0, text);
            }
            Word::Reject => {}
        }
    }
}
