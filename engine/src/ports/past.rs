//! What is kept of a host and a time that has passed.

use tachi_domain::entity::Notification;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::freeze::Freeze;
use tachi_domain::{RecoveryId, Timestamp};

use super::operator::{RecoverySummary, StepLine};
use super::roll::EngineLine;

/// So many reports, recoveries and freezes are told of, and so many steps of each recovery.
pub const MOST: u64 = 100;

/// A time that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first moment.
    pub from: Timestamp,
    /// Its last.
    pub to: Timestamp,
}

impl Span {
    /// Whether that moment is in it.
    pub fn has(&self, at: Timestamp) -> bool {
        (self.from..=self.to).contains(&at)
    }
}

/// A report that came then, or says that its reporter noticed it then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastReport {
    /// As it is now.
    pub notification: Notification,
    /// When it was accepted, to the second.
    pub accepted_at: Timestamp,
    /// What it began, if anything.
    pub recovery: Option<RecoveryId>,
}

/// A recovery that was open then, or that one of the reports began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRecovery {
    /// As it is now.
    pub summary: RecoverySummary,
    /// The last word said about it, by whom and when.
    pub word: Option<(String, String, Timestamp)>,
    /// The last line of its story before that time.
    pub before: Option<StepLine>,
    /// Its story of that time, oldest first.
    pub steps: Vec<StepLine>,
    /// There are more.
    pub more_steps: bool,
}

/// A freeze that was in force then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastFreeze {
    /// What, until when, who, why.
    pub freeze: Freeze,
    /// When it was said.
    pub since: Timestamp,
    /// When somebody wrote that it has ended, and who.
    pub ended: Option<(Timestamp, String)>,
}

/// What is kept of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The host's name.
    pub host: String,
    /// Whether it is registered now.
    pub registered: bool,
    /// Why it is on maintenance now, and when its row was changed last.
    pub maintenance: Option<(MaintenanceReason, Option<Timestamp>)>,
    /// In the order they came.
    pub reports: Vec<PastReport>,
    /// In the order they were opened.
    pub recoveries: Vec<PastRecovery>,
    /// In the order they were said.
    pub freezes: Vec<PastFreeze>,
    /// Of one of the three there is more.
    pub more: bool,
    /// Who is on the roll now.
    pub engines: Vec<EngineLine>,
    /// When the oldest report that is kept, of whatever host, was accepted.
    pub oldest: Option<Timestamp>,
    /// When all of it was read.
    pub read_at: Timestamp,
}
