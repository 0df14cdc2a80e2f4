//! Compares the reports' claims that the host is off with later heartbeats in Nova.

use super::super::monitor_heartbeats::OffReport;
use super::super::service::ServiceTrack;
use crate::evidence::{GivenEvidence, time_text};
use crate::recovery::{OffClaim, Record, StepKind, Task};
use crate::timestamp::Timestamp;

/// Maximum difference between the clocks of reporters, clusters and Nova, in seconds. A host that was fenced, has returned and
/// has gone silent again within that time would be taken for still fenced; no host starts so quickly.
const MAX_CLOCK_SKEW_SECONDS: i64 = 60;

/// True if a heartbeat contradicts a claim of that date.
pub fn contradicts_claim(heartbeat: Timestamp, dated: Timestamp) -> bool {
    heartbeat.minus_seconds(MAX_CLOCK_SKEW_SECONDS) > dated
}

/// Merges a claim into the known one, if it adds anything.
pub(in super::super) fn apply_off_claim(known: &mut Option<OffClaim>, claim: &OffClaim, record: &mut Record) {
    let together = match known.clone() {
        Some(known) => known.with(claim.clone()),
        None => claim.clone(),
    };
    if known.as_ref() == Some(&together) {
        return;
    }
    record.head = true;
    let evidence = known.as_ref().and_then(|claim| claim.evidence.as_deref());
    if let Some(given) = together.evidence.as_deref()
        && evidence != Some(given)
    {
        let text = format!("a report by {}: {}", given.by, given.evidence.sentence());
        record.step(Task::Fence, StepKind::Note, 0.0, text);
    }
    *known = Some(together);
}

/// Merges an operator's confirmation on which a proof rests. It is about the host as it was at that moment.
pub(in super::super) fn confirmed_off(known: &mut Option<OffClaim>, at: Timestamp) {
    let now = OffClaim {
        dated: at,
        arrived: Some(at),
        evidence: None,
    };
    *known = Some(match known.take() {
        Some(known) => known.with(now),
        None => now,
    });
}

/// The claims of reports, and the last heartbeat in Nova.
#[derive(Clone, Copy)]
pub(in super::super) struct OffClaims<'a> {
    off_claim: Option<&'a OffClaim>,
    /// The time of an operator's confirmation, for as long as it is pending.
    confirmed_at: Option<Timestamp>,
    reported_at: Option<Timestamp>,
    heartbeat: Option<Timestamp>,
}

impl<'a> OffClaims<'a> {
    pub(in super::super) fn new(
        off_claim: Option<&'a OffClaim>,
        confirmed_at: Option<Timestamp>,
        reported_at: Option<Timestamp>,
        service: &ServiceTrack,
    ) -> Self {
        Self {
            off_claim,
            confirmed_at,
            reported_at,
            heartbeat: service.last_own_heartbeat(),
        }
    }

    /// Returns the reason why the claims of the reports are outdated, if the host was up in Nova after them. Claims in a recovery
    /// that an older version has started have no date.
    pub(in super::super) fn contradicting_heartbeat(&self) -> Option<String> {
        self.heartbeat_after(self.dated()?)
    }

    /// Returns the time that the claims are about.
    fn dated(&self) -> Option<Timestamp> {
        let reported = match self.off_claim {
            Some(claim) if claim.evidence.is_some() => Some(claim.dated),
            Some(claim) => Some(self.reported_at.map_or(claim.dated, |at| at.max(claim.dated))),
            None => self.reported_at,
        };
        reported.max(self.confirmed_at)
    }

    /// Returns them as one claim. A claim repeated without evidence counts as arrived with the first report: repetition does not
    /// make it more recent.
    pub(in super::super) fn claim(&self) -> Option<OffReport> {
        let claim = self.off_claim.filter(|claim| claim.evidence.is_some());
        Some(OffReport::Claim {
            arrived: claim.and_then(|claim| claim.arrived),
            dated: self.dated()?,
        })
    }

    /// Returns evidence of fencing that no later heartbeat contradicts; `None` before Nova has shown a heartbeat.
    pub(in super::super) fn uncontradicted_evidence(&self) -> Option<&'a GivenEvidence> {
        self.heartbeat?;
        self.evidence()
            .filter(|given| self.heartbeat_after(given.dated()).is_none())
    }

    pub(in super::super) fn evidence(&self) -> Option<&'a GivenEvidence> {
        self.off_claim?.evidence.as_deref()
    }

    pub(in super::super) fn heartbeat_after(&self, dated: Timestamp) -> Option<String> {
        let heartbeat = self.heartbeat?;
        contradicts_claim(heartbeat, dated).then(|| {
            format!(
                "its heartbeat in Nova at {} is later than {}, the time of the report",
                time_text(heartbeat),
                time_text(dated)
            )
        })
    }
}
