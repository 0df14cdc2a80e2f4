//! Scenarios of writes that a database failover has lost (R33).

use crate::scenarios::{Script, fresh, view};
use crate::{Answer, Draft, Found, NO_COMMANDS, Operation, Outcome};

impl Script {
    fn commit_past(&mut self, epoch: u64, owner: usize, lost: u64, outcome: Outcome) {
        let operation = Operation::CommitPast {
            recovery: 0,
            epoch,
            owner,
            lost,
            draft: Box::new(Draft {
                millis: 99,
                ..Draft::default()
            }),
        };
        self.line(operation, Answer::Committed(outcome));
    }

    fn beat_past(&mut self, epoch: u64, owner: usize, lost: (u64, u64), outcome: Outcome) {
        let operation = Operation::BeatPast {
            recovery: 0,
            epoch,
            owner,
            lost,
        };
        self.line(operation, Answer::Committed(outcome));
    }

    fn mark(&mut self, lost: u64) {
        self.line(Operation::MarkRewound { recovery: 0, lost }, Answer::Done);
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as scripts write it")]
fn found(epoch: u64, rewound: bool) -> Option<Found> {
    Some(Found {
        epoch,
        rewound,
        millis: 5,
        ..fresh()
    })
}

fn five() -> Draft {
    Draft {
        millis: 5,
        ..Draft::default()
    }
}

/// Keeps the mark until an owner has waited, and skips every epoch and sequence number that was ever used.
pub(crate) fn by_its_owner(script: &mut Script) {
    script.opened(0, 0);
    script.written(0, five());
    // Nothing was lost.
    script.commit_past(1, 0, 0, Outcome::Written(NO_COMMANDS));
    script.written(0, five());
    // Its claim was lost, and another engine has claimed the same epoch.
    script.commit_past(1, 7, 0, Outcome::Rewound);
    script.views(vec![view(2, 4, false)]);
    script.commit(0, 1, five(), Outcome::Lost);
    script.claim(0, 2, found(3, true));
    script.commit(0, 3, five(), Outcome::Written(NO_COMMANDS));
    script.claim(0, 3, found(4, true));
    let over = Draft {
        rewind_done: true,
        ..five()
    };
    script.commit(0, 4, over, Outcome::Written(NO_COMMANDS));
    script.claim(0, 4, found(5, false));
    // Two commits of its own were lost.
    script.commit_past(5, 4, 2, Outcome::Rewound);
    script.claim(0, 6, found(7, true));
    // The row has an older claim than the lost one.
    script.commit_past(9, 6, 0, Outcome::Rewound);
    script.views(vec![view(10, 10, false)]);
    script.claim(0, 10, found(11, true));
    // Lease renewals show it too. If only renewals were lost, no wait is necessary, and the row still has the claim.
    script.beat_past(11, 10, (0, 0), Outcome::Written(NO_COMMANDS));
    script.beat_past(11, 10, (0, 3), Outcome::Rewound);
    script.views(vec![view(11, 12, true)]);
    script.beat_past(11, 10, (1, 1), Outcome::Rewound);
    script.views(vec![view(12, 12, false)]);
}

pub(crate) fn by_another(script: &mut Script) {
    script.opened(0, 0);
    script.written(0, five());
    script.mark(0);
    script.views(vec![view(1, 2, true)]);
    script.mark(3);
    script.views(vec![view(2, 2, false)]);
    script.claim(0, 2, found(3, true));
}
