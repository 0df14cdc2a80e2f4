//! A claim of a recovery whose latest writes were lost by a failover of the database.
//!
//! Earlier owners may have made calls that are no longer in the journal. Until these can no longer take effect, the new
//! owner only keeps the claim, without a call or a decision. Then it reads the lists again. The mark stays in the row
//! until then, so that the next owner also waits if this one dies.

use std::time::Duration;

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::policy::Policy;
use tachi_domain::recovery::{LOST_CALLS_MESSAGE, Life, Record, Step, StepKind, Task};

use crate::sweeper::OWNER_TIMEOUT;

/// The progress of such a claim.
#[derive(Debug)]
pub(crate) struct Rewind {
    /// The end of the wait, by the boot-time clock.
    quiet_until: Duration,
    is_open: bool,
    is_reported: bool,
    is_learnt: bool,
}

impl Rewind {
    /// Starts the wait, counted from when the claim was sent. It includes the time for which another owner of the lost
    /// epoch may still make calls.
    pub(crate) fn new(life: Life, policy: &Policy, claim_sent: Duration) -> Self {
        Self {
            quiet_until: claim_sent.saturating_add(OWNER_TIMEOUT + policy.late_effect_window()),
            is_open: life == Life::Open,
            is_reported: false,
            is_learnt: false,
        }
    }

    /// True if a call that the journal lost may still take effect.
    pub(crate) fn is_quiet(&self, boot: Duration) -> bool {
        boot < self.quiet_until
    }

    /// Returns the message for operators the first time, and an empty record later.
    pub(crate) fn take_record(&mut self) -> Record {
        let mut record = Record::default();
        if std::mem::replace(&mut self.is_reported, true) {
            return record;
        }
        record.steps.push(Step {
            task: Task::Prepare,
            kind: StepKind::Note,
            server: None,
            progress: 0.0,
            failed: false,
            text: LOST_CALLS_MESSAGE.to_owned(),
        });
        if self.is_open {
            record.notification = Some((NotificationStatus::Running, Some(LOST_CALLS_MESSAGE.to_owned())));
        }
        record
    }

    /// True the first time only. The recovery has to observe the rewind once.
    pub(crate) fn ends(&mut self) -> bool {
        !std::mem::replace(&mut self.is_learnt, true)
    }
}
