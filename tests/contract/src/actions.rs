//! Changes and actions of operators (R20, R32).

use tachi_domain::recovery::OperatorCommand;

use crate::scenarios::Script;
use crate::{Answer, Draft, NO_COMMANDS, Operation, OperatorView, Outcome};

pub(crate) fn operators(script: &mut Script) {
    script.opened(0, 0);
    script.line(Operation::Segment { enabled: false }, Answer::Done);
    let mut said = OperatorView {
        enabled: false,
        ..NO_COMMANDS
    };
    script.refused(0, Draft::default(), Outcome::Written(said.clone()));
    script.line(Operation::Segment { enabled: true }, Answer::Done);
    for (word, number) in [
        (OperatorCommand::Approve, 1),
        (OperatorCommand::Reject, 2),
        (OperatorCommand::HostIsOff, 3),
    ] {
        script.line(Operation::Submit { recovery: 0, word }, Answer::Done);
        said.word = Some((number, word));
        said.actions.push(word);
        said.enabled = true;
        script.beat(0, 1, 1, Outcome::Written(said.clone()));
    }
    // Each action is read separately, and none replaces another.
    said.actions = vec![OperatorCommand::Approve, OperatorCommand::HostIsOff];
    let processed = |numbers: &[i64]| Draft {
        millis: 1,
        processed: numbers.to_vec(),
        ..Draft::default()
    };
    script.commit(0, 1, processed(&[2]), Outcome::Written(said.clone()));
    script.beat(0, 1, 1, Outcome::Written(said.clone()));
    script.commit(0, 0, processed(&[1]), Outcome::Lost);
    said.actions = Vec::new();
    script.commit(0, 1, processed(&[1, 3]), Outcome::Written(said.clone()));
    script.opened(1, 1);
    script.line(Operation::Maintenance { host: 0 }, Answer::Done);
    said.maintenance = true;
    script.beat(0, 1, 1, Outcome::Written(said));
    script.beat(1, 1, 1, Outcome::Written(NO_COMMANDS));
}
