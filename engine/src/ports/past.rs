//! The stored history of a host for a past time span.

use tachi_domain::entity::Notification;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::freeze::Freeze;
use tachi_domain::{RecoveryId, Timestamp};

use super::engine_registry::EngineRow;
use super::operator::{RecoverySummary, StepLine};
use super::refusals::RefusalCount;

/// Limit of reports, recoveries and freezes in the history, and of steps of each recovery.
pub const MAX_ITEMS: u64 = 100;

/// A past time span, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Span {
    /// True if the span includes `at`.
    pub fn has(&self, at: Timestamp) -> bool {
        (self.from..=self.to).contains(&at)
    }
}

/// A report that arrived in the span, or whose reporter detected the failure in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastReport {
    /// The notification as it is now.
    pub notification: Notification,
    /// The time of acceptance, to the second.
    pub accepted_at: Timestamp,
    /// The recovery that it started.
    pub recovery: Option<RecoveryId>,
}

/// A recovery that was open in the span, or that one of the reports started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRecovery {
    /// The recovery as it is now.
    pub summary: RecoverySummary,
    /// The last operator action: the action, the operator and the time.
    pub word: Option<(String, String, Timestamp)>,
    /// The last line of its history before the span.
    pub before: Option<StepLine>,
    /// Steps within the span, oldest first.
    pub steps: Vec<StepLine>,
    /// True if there are more steps.
    pub more_steps: bool,
}

/// A freeze that was in force in the span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastFreeze {
    /// The freeze with its target, end, author and reason.
    pub freeze: Freeze,
    /// The start of the freeze.
    pub since: Timestamp,
    /// The time and the author of its end, if written.
    pub ended: Option<(Timestamp, String)>,
}

/// All rejected reports of the span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedReports {
    /// The reports of this host, summed over the processes that counted them, and ordered by their first one.
    pub refusals: Vec<RefusalCount>,
    /// The number of reports of hosts whose names are not stored, because there were too many.
    pub of_others: u64,
    /// The start of the counts.
    pub counted_since: Option<Timestamp>,
}

/// The stored history of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    pub host: String,
    /// True if the host is registered now.
    pub registered: bool,
    /// The reason for its current maintenance, and the time of its row's last change.
    pub maintenance: Option<(MaintenanceReason, Option<Timestamp>)>,
    /// The reports, in the order of their arrival.
    pub reports: Vec<PastReport>,
    /// The rejected reports; `None` if our database user may not read them.
    pub refused: Option<RefusedReports>,
    /// The recoveries, in the order in which they were opened.
    pub recoveries: Vec<PastRecovery>,
    /// The freezes, in the order of their start.
    pub freezes: Vec<PastFreeze>,
    /// True if one of these lists is truncated.
    pub more: bool,
    /// The engines in the registry now.
    pub engines: Vec<EngineRow>,
    /// The time of acceptance of the oldest report kept for any host.
    pub oldest: Option<Timestamp>,
    /// The time of the read.
    pub read_at: Timestamp,
}
