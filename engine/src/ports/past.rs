//! What is kept of a host and a time that has passed.

use tachi_domain::entity::Notification;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationType;
use tachi_domain::freeze::Freeze;
use tachi_domain::refusal::RefusalReason;
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

/// Reports of then that were not accepted and are alike, whichever process has counted them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRefusals {
    /// What was reported.
    pub kind: NotificationType,
    /// Who reported; empty if that is not kept.
    pub reporter: String,
    /// Why it was refused.
    pub reason: RefusalReason,
    /// How many.
    pub times: u64,
    /// The first.
    pub first_at: Timestamp,
    /// The last.
    pub last_at: Timestamp,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Those of this host, by their first.
    pub told: Vec<PastRefusals>,
    /// How many there were of hosts whose names are not kept, because there were too many.
    pub of_others: u64,
    /// Since when they are counted.
    pub counted_since: Option<Timestamp>,
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
    /// Those that were not accepted; `None` if our user may not read that.
    pub refused: Option<Refused>,
    /// In the order they were opened.
    pub recoveries: Vec<PastRecovery>,
    /// In the order they were said.
    pub freezes: Vec<PastFreeze>,
    /// Of one of these there is more.
    pub more: bool,
    /// Who is on the roll now.
    pub engines: Vec<EngineLine>,
    /// When the oldest report that is kept, of whatever host, was accepted.
    pub oldest: Option<Timestamp>,
    /// When all of it was read.
    pub read_at: Timestamp,
}
