//! A person has seen to it that the host is off, and says so: the way out when no device can say it.
//!
//! The word is believed as one in mode `external` is: only while Nova does not hear the host, and as long as its heartbeat
//! stands still (R17). Every level is asked once more before: a device that says "on" gainsays it, and one that says "off" is
//! the better proof.

use serde::{Deserialize, Serialize};

use super::super::{HostRecovery, Stage};
use super::CONTRADICTED_LIMIT;
use crate::guard::Moment;
use crate::policy::FencingMode;
use crate::proof::Proof;
use crate::recovery::{Command, Now, OperatorWord, Record, StepKind, Task};
use crate::{Elapsed, Timestamp};

/// The word of a person, until it is believed or gainsaid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouch {
    /// Who, and why.
    pub by: String,
    /// When it was said.
    pub said: Timestamp,
    /// When it was heard.
    pub heard: Elapsed,
}

impl HostRecovery {
    pub(in super::super) fn heard_vouch(&mut self, said: &OperatorWord, now: Now, record: &mut Record) {
        let why_not = match (self.stage, self.policy.fencing) {
            (Stage::Begin | Stage::Fencing, FencingMode::Engine | FencingMode::External) => None,
            (Stage::Begin | Stage::Fencing, FencingMode::DryRun) => {
                Some("in mode dry-run nothing is evacuated")
            }
            _ => Some("the host is proven off"),
        };
        if let Some(why_not) = why_not {
            let text = format!(
                "{} vouches for the host's being off: nothing changes, {why_not}",
                said.by
            );
            return record.step(Task::Fence, StepKind::Note, 0.0, text);
        }
        self.vouch = Some(Vouch {
            by: said.by.clone(),
            said: said.at,
            heard: now.elapsed,
        });
        // Nova is asked after the word, as the devices are.
        self.service.seen = None;
        self.fence.begin_again(now.elapsed, &self.policy);
    }

    /// Asks every level once, and then believes the word unless Nova hears the host.
    pub(in super::super) fn act_vouched(
        &mut self,
        vouch: &Vouch,
        now: Now,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if !self.fence.want_levels(now, commands) {
            return;
        }
        self.fence.read_devices(now, commands);
        if !self.fence.level_cannot_tell() {
            return;
        }
        if self.fence.goes_on_to_next(now.elapsed) {
            self.fence.posts.clear();
            record.head = true;
            return self.fence.read_devices(now, commands);
        }
        if !self.service.is_silent(now.elapsed) {
            let heard = self.service.heard(now.elapsed);
            if let Some(heard) = heard.filter(|_| now.elapsed.since(vouch.heard) >= CONTRADICTED_LIMIT) {
                self.gainsaid(&heard, now, record);
            }
            return;
        }
        if let Some(heard) = self.outlived(vouch.said) {
            return self.gainsaid(&heard, now, record);
        }
        if !self.fence.ordered && !self.guards_are_content(Moment::Proof, now, record) {
            return;
        }
        let proof = Proof::from_person(self.notification, &vouch.by, now.elapsed);
        self.proven(proof, now, record);
    }

    /// Something shows that the host is not off: devices go on being tried, as before the word.
    pub(in super::super) fn gainsaid(&mut self, why: &str, now: Now, record: &mut Record) {
        let Some(vouch) = self.vouch.take() else {
            return;
        };
        record.head = true;
        self.fence.retry_at = Some(now.elapsed.plus(self.policy.fence_retry));
        let why = format!("{} vouches for its being off, but {why}", vouch.by);
        self.hold_fence(&why, now, record);
    }
}
