//! Heartbeats of the host's own monitors: two that arrive after a claim that the host is off contradict it.
//!
//! Nova's heartbeat ends with nova-compute, while guests run on; a monitor beside them shows that the host runs. The margins outlast
//! what a proxy may hold back: a heartbeat sent before the host died has been received by then, or is dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decision_context::DecisionContext;
use super::service::MAX_CONTRADICTED_TIME;
use super::{HoldKind, RecoveryHold};
use crate::elapsed::Elapsed;
use crate::evidence::time_text;
use crate::monitor::{BootHeartbeats, Heartbeat};
use crate::proof::{Basis, Proof};
use crate::recovery::{OperatorCommand, OperatorRequest, StepKind, Task};
use crate::timestamp::Timestamp;

/// A heartbeat that is received this soon after a claim arrived may have been sent before it.
const CLAIM_ARRIVAL_MARGIN: Duration = Duration::from_secs(20);

/// The same margin after the date that a claim gives: a proxy may hold a request for a minute.
const CLAIM_DATE_MARGIN: Duration = Duration::from_secs(80);

/// Minimum difference between the boot-time counters of two heartbeats.
const MIN_COUNTER_GAP: Duration = Duration::from_secs(8);

/// Time without a heartbeat after which the boot in which the host was reported has ended.
const BOOT_END_TIMEOUT: Duration = Duration::from_secs(100);

/// Maximum age of the last heartbeat of a monitor that still sends them.
const MAX_HEARTBEAT_AGE: Duration = Duration::from_secs(30);

/// An operator's action this soon after the hold may have been sent before the hold was shown.
const ACTION_TRANSIT_MARGIN: Duration = Duration::from_secs(3);

/// The durable state of the monitors' heartbeats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonitorHeartbeats {
    /// True if a boot of the host was known when the host was reported.
    pub known: bool,
    /// The claimants whose claims the heartbeats have contradicted.
    pub contradicted: BTreeSet<Claimant>,
    /// The time since which an operator is shown the heartbeats.
    pub shown: Option<Elapsed>,
    /// True if an operator who was shown the heartbeats has confirmed the host off nevertheless.
    pub overridden: bool,
}

/// The source of a claim that the host is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claimant {
    /// A report, or an operator.
    #[serde(rename = "word")]
    Claim,
    /// The devices of the level with this number.
    Level(u32),
}

/// A claim that the host is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OffReport {
    /// A claim by a report or an operator.
    Claim {
        /// The time at which it was accepted; `None` for the report that opened the recovery.
        arrived: Option<Timestamp>,
        /// The date that the claim gives.
        dated: Timestamp,
    },
    /// A reading of a device.
    Reading {
        /// The time at which it was requested.
        at: Elapsed,
        /// The number of its level.
        level: u32,
    },
}

impl OffReport {
    /// Returns the claim that a proof rests on; `claim` if that is a claim by a report or an operator.
    pub(super) fn of(proof: &Proof, claim: Option<Self>) -> Option<Self> {
        match proof.basis() {
            Basis::Device { level, .. } => Some(Self::Reading {
                at: proof.first_read(),
                level: *level,
            }),
            Basis::Claim { .. } => claim,
        }
    }

    fn claimant(&self) -> Claimant {
        match self {
            Self::Claim { .. } => Claimant::Claim,
            Self::Reading { level, .. } => Claimant::Level(*level),
        }
    }
}

/// The verdict of the heartbeats on a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeartbeatJudgement {
    /// They do not contradict it.
    Silent,
    /// Some have come since, and it is not known yet whether they contradict it.
    Undecided(String),
    /// They show that the host runs.
    Contradicted(String),
}

/// The heartbeats in the last scan, and the time at which it was requested; `None` if there were none.
pub(super) type HeartbeatListing<'a> = Option<(Elapsed, &'a BootHeartbeats)>;

/// The heartbeats in a scan, and the time at which it was requested.
struct SeenHeartbeats<'a> {
    requested: Elapsed,
    heartbeats: &'a BootHeartbeats,
}

impl SeenHeartbeats<'_> {
    /// Returns the time at which a heartbeat was received, in the recovery's elapsed time; zero if that was before it started.
    fn received(&self, heartbeat: &Heartbeat) -> Duration {
        self.requested.as_duration().saturating_sub(heartbeat.age)
    }

    fn is_after_arrival(&self, heartbeat: &Heartbeat, claim: &OffReport) -> bool {
        match claim {
            OffReport::Claim { arrived, .. } => arrived
                .or(self.heartbeats.reported)
                .is_some_and(|arrived| is_later(heartbeat.received, arrived, CLAIM_ARRIVAL_MARGIN)),
            OffReport::Reading { at, .. } => {
                self.received(heartbeat) > at.as_duration() + CLAIM_ARRIVAL_MARGIN
            }
        }
    }

    fn is_after_date(&self, heartbeat: &Heartbeat, claim: &OffReport) -> bool {
        match claim {
            OffReport::Claim { dated, .. } => is_later(heartbeat.received, *dated, CLAIM_DATE_MARGIN),
            OffReport::Reading { at, .. } => self.received(heartbeat) > at.as_duration() + CLAIM_DATE_MARGIN,
        }
    }

    /// Describes two heartbeats of one monitor that contradict the claim.
    fn contradicts(&self, claim: &OffReport) -> Option<String> {
        self.heartbeats.monitors.iter().find_map(|(kind, beats)| {
            let counts = |heartbeat: &&Heartbeat| {
                self.is_after_arrival(heartbeat, claim) && self.is_after_date(heartbeat, claim)
            };
            let first = beats.iter().find(counts)?;
            let last = beats.iter().rfind(counts)?;
            (last.up.saturating_sub(first.up) >= MIN_COUNTER_GAP).then(|| {
                format!(
                    "its {kind} monitor sent heartbeats at {} and {}, so the host runs",
                    time_text(first.received),
                    time_text(last.received)
                )
            })
        })
    }

    /// Returns the latest heartbeat and the time since it was received, unless that is too long.
    fn latest(&self, now: Elapsed) -> Option<(&Heartbeat, Duration)> {
        let all = self.heartbeats.monitors.values().flatten();
        let latest = all.min_by_key(|heartbeat| heartbeat.age)?;
        let ago = latest.age + now.since(self.requested);
        (ago < BOOT_END_TIMEOUT).then_some((latest, ago))
    }
}

fn is_later(received: Timestamp, than: Timestamp, by: Duration) -> bool {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    received.micros_since(than) > by
}

impl MonitorHeartbeats {
    /// Records whether a scan knows the boot in which the host was reported.
    pub(super) fn apply_listing(&mut self, shown: HeartbeatListing<'_>) {
        self.known |= shown.is_some_and(|(_, heartbeats)| heartbeats.reported.is_some());
    }

    /// Judges a claim that is checked since `since`. A contradicted claim does not become true by being repeated, unless the heartbeats
    /// have ended.
    pub(super) fn judge(
        &mut self,
        claim: &OffReport,
        since: Elapsed,
        shown: HeartbeatListing<'_>,
        ctx: &DecisionContext<'_>,
    ) -> HeartbeatJudgement {
        if self.overridden || !self.known {
            return HeartbeatJudgement::Silent;
        }
        let Some((requested_at, heartbeats)) = shown else {
            return HeartbeatJudgement::Silent;
        };
        let received = SeenHeartbeats {
            requested: requested_at,
            heartbeats,
        };
        let now = ctx.now.elapsed;
        let latest = received.latest(now);
        let undecided = match claim {
            OffReport::Claim { .. } => {
                latest.is_some_and(|(heartbeat, _)| received.is_after_arrival(heartbeat, claim))
            }
            OffReport::Reading { .. } => false,
        };
        let again = self.contradicted.contains(&claim.claimant());
        let long = undecided && now.since(since) >= MAX_CONTRADICTED_TIME;
        let lasting = latest.filter(|(_, ago)| again || long && *ago < MAX_HEARTBEAT_AGE);
        let lasting = lasting.map(|(heartbeat, _)| {
            let at = time_text(heartbeat.received);
            format!("its monitors continued to send heartbeats, the last at {at}, so the host ran then")
        });
        if let Some(why) = received.contradicts(claim).or(lasting) {
            self.shown.get_or_insert(now);
            self.contradicted.insert(claim.claimant());
            return HeartbeatJudgement::Contradicted(why);
        }
        if undecided {
            let host = ctx.host;
            return HeartbeatJudgement::Undecided(format!(
                "host {host} is reported off, but its monitors have sent heartbeats since: waiting until they end"
            ));
        }
        HeartbeatJudgement::Silent
    }

    /// Applies an operator's action on a hold that shows the heartbeats.
    pub(super) fn apply(&mut self, action: &OperatorRequest, ctx: &mut DecisionContext<'_>) {
        let now = ctx.now.elapsed;
        let shown = self
            .shown
            .is_some_and(|shown| now.since(shown) >= ACTION_TRANSIT_MARGIN);
        let lists_them = |hold: &RecoveryHold| matches!(hold.kind, HoldKind::Fence | HoldKind::Alive);
        if !shown || !ctx.hold.as_ref().is_some_and(lists_them) {
            return;
        }
        match action.word {
            OperatorCommand::Approve => {
                self.shown = None;
                self.contradicted.clear();
            }
            OperatorCommand::HostIsOff => {
                self.overridden = true;
                let text = format!("the heartbeats of its monitors are overridden by {}", action.by);
                ctx.record.step(Task::Fence, StepKind::Note, 0.0, text);
            }
            OperatorCommand::Reject => {}
        }
    }
}
