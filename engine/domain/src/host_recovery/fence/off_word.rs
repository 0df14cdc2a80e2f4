//! What reports say of the host's fence, held against what Nova has heard of the host since (R16).

use super::super::HostRecovery;
use crate::Timestamp;
use crate::evidence::{GivenEvidence, OffWord, time_text};
use crate::recovery::{OperatorWord, Record, StepKind, Task};

/// How far the clocks of reporters, clusters and Nova may differ, in seconds. A host that was fenced, is back and has gone
/// silent again within that time would be taken for still fenced; none starts so quickly.
const CLOCKS_DIFFER: i64 = 60;

/// Whether a heartbeat speaks against a word of that date.
pub(in super::super) fn outlives(heard: Timestamp, dated: Timestamp) -> bool {
    heard.minus_seconds(CLOCKS_DIFFER) > dated
}

impl HostRecovery {
    /// Reports say more than is known yet.
    pub(in super::super) fn heard_off_word(&mut self, said: &OffWord, record: &mut Record) {
        let together = match self.off_word.clone() {
            Some(known) => known.with(said.clone()),
            None => said.clone(),
        };
        if self.off_word.as_ref() == Some(&together) {
            return;
        }
        record.head = true;
        if let Some(given) = together.evidence.as_deref()
            && self.evidence() != Some(given)
        {
            let text = format!("a report by {}: {}", given.by, given.evidence.sentence());
            record.step(Task::Fence, StepKind::Note, 0.0, text);
        }
        self.off_word = Some(together);
    }

    /// A person vouches for the host as it is at that moment.
    pub(in super::super) fn vouched(&mut self, said: &OperatorWord) {
        let now = OffWord {
            dated: said.at,
            evidence: None,
        };
        self.off_word = Some(match self.off_word.take() {
            Some(known) => known.with(now),
            None => now,
        });
    }

    /// Why what the reports say is true of the past only, if Nova has heard the host since. What an older version has begun
    /// is not dated.
    pub(in super::super) fn outlived_word(&self) -> Option<String> {
        let dated = match &self.off_word {
            Some(word) if word.evidence.is_some() => word.dated,
            Some(word) => self.reported_at.map_or(word.dated, |at| at.max(word.dated)),
            None => self.reported_at?,
        };
        self.outlived(dated)
    }

    /// Evidence of a fence that the host has not outlived, as far as Nova was asked.
    pub(in super::super) fn standing_evidence(&self) -> Option<&GivenEvidence> {
        self.service.last_heartbeat()?;
        self.evidence()
            .filter(|given| self.outlived(given.dated()).is_none())
    }

    /// Whether any report has brought evidence, whatever it is worth by now.
    pub fn came_with_evidence(&self) -> bool {
        self.evidence().is_some()
    }

    pub(in super::super) fn evidence(&self) -> Option<&GivenEvidence> {
        self.off_word.as_ref()?.evidence.as_deref()
    }

    pub(in super::super) fn outlived(&self, dated: Timestamp) -> Option<String> {
        let heard = self.service.last_heartbeat()?;
        outlives(heard, dated).then(|| {
            format!(
                "Nova has heard of it at {}, later than {} of which the report speaks",
                time_text(heard),
                time_text(dated)
            )
        })
    }
}
