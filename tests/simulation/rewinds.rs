//! Claims on rows that are older than their owner's memory (R33), as in the store.

use tachi_domain::recovery::Life;
use tachi_driver::RowVersion;
use tachi_driver::journal::{Claim, PeerClaim, WriteOutcome};

use crate::journal::{Journal, Rec};
use crate::storms::index_of_recovery;

/// True if the row still belongs to this claim, whatever was written under it.
pub(crate) fn holds(row: &Rec, claim: &Claim) -> bool {
    let is_ours = row.owner.as_ref() == Some(&claim.owner) || crate::mutate::mutated("seq");
    row.epoch == claim.epoch && is_ours
}

/// Returns the reason why the row does not match the owner's version, as in the store.
pub(crate) fn missed(row: &mut Rec, claim: &Claim) -> WriteOutcome {
    let is_ours = row.owner.as_ref() == Some(&claim.owner);
    if (row.epoch, row.seq, is_ours) == (claim.epoch, claim.seq, true) {
        return WriteOutcome::Rewound;
    }
    let is_newer = row.epoch > claim.epoch || (row.epoch == claim.epoch && is_ours && row.seq > claim.seq);
    if is_newer || row.life == Life::Closed {
        return WriteOutcome::Lost;
    }
    let known = RowVersion {
        epoch: claim.epoch,
        seq: claim.seq,
    };
    mark(row, known);
    WriteOutcome::Rewound
}

fn mark(row: &mut Rec, known: RowVersion) {
    row.epoch = row.epoch.max(known.epoch) + 1;
    row.seq = row.seq.max(known.seq) + 1;
    row.owner = None;
    row.rewound = !crate::mutate::mutated("rewind");
}

impl Journal {
    /// Releases a claim. Returns true if the row still belonged to it.
    pub(crate) fn release(&mut self, claim: &Claim) -> bool {
        let row = &mut self.recs[index_of_recovery(claim.id)];
        let ours = holds(row, claim) && row.seq == claim.seq;
        if ours {
            row.seq += 1;
            row.owner = None;
        } else {
            let _ = missed(row, claim);
        }
        ours
    }

    /// Marks a row that is older than an engine's version of it.
    pub(crate) fn mark_rewound(&mut self, claim: &PeerClaim, known: RowVersion) {
        let row = &mut self.recs[index_of_recovery(claim.id)];
        let as_seen = (row.epoch, row.seq) == (claim.epoch, claim.seq);
        if as_seen && (row.epoch < known.epoch || row.seq < known.seq) {
            mark(row, known);
        }
    }
}
