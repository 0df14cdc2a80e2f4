//! Changes and actions of operators (R20, R32).

use tachi_domain::recovery::OperatorCommand;

use crate::scenarios::Script;
use crate::{Answer, Draft, NO_COMMANDS, Operation, OperatorView, Outcome};

pub(crate) fn operators(script: &mut Script) {
    script.opened(0, 0);
    script.line(Operation::Segment { enabled: false }, Answer::Done);
    let mut operator_view = OperatorView {
        enabled: false,
        ..NO_COMMANDS
    };
    script.refused(0, Draft::default(), Outcome::Written(operator_view.clone()));
    script.line(Operation::Segment { enabled: true }, Answer::Done);
    for (word, number) in [
        (OperatorCommand::Approve, 1),
        (OperatorCommand::Reject, 2),
        (OperatorCommand::HostIsOff, 3),
    ] {
        script.line(Operation::Submit { recovery: 0, word }, Answer::Done);
        operator_view.word = Some((number, word));
        operator_view.actions.push(word);
        operator_view.enabled = true;
        script.beat(0, 1, 1, Outcome::Written(operator_view.clone()));
    }
    // Each action is read separately, and none replaces another.
    operator_view.actions = vec![OperatorCommand::Approve, OperatorCommand::HostIsOff];
    let processed = |numbers: &[i64]| Draft {
        millis: 1,
        processed: numbers.to_vec(),
        ..Draft::default()
    };
    script.commit(0, 1, processed(&[2]), Outcome::Written(operator_view.clone()));
    script.beat(0, 1, 1, Outcome::Written(operator_view.clone()));
    script.commit(0, 0, processed(&[1]), Outcome::Lost);
    operator_view.actions = Vec::new();
    script.commit(0, 1, processed(&[1, 3]), Outcome::Written(operator_view.clone()));
    script.opened(1, 1);
    script.line(Operation::Maintenance { host: 0 }, Answer::Done);
    operator_view.maintenance = true;
    script.beat(0, 1, 1, Outcome::Written(operator_view));
    script.beat(1, 1, 1, Outcome::Written(NO_COMMANDS));
}
