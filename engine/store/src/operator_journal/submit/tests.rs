use std::collections::BTreeMap;

use tachi_domain::recovery::{OperatorAction, OperatorState};
use tachi_domain::{Elapsed, Wait, WaitsFor};
use tachi_engine::ports::engine_registry::EngineHeartbeat;
use tachi_engine::ports::journal::{Write, WriteOutcome};
use tachi_engine::ports::{EngineRegistry as _, OperatorJournal as _};

use super::*;
use crate::testing::Bench;

async fn claimed(bench: &Bench) -> tachi_engine::ports::journal::ClaimedRecovery {
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    bench.claim_newest("engine").await
}

async fn submit_action(bench: &Bench, id: RecoveryId, command: OperatorCommand, by: &str) -> ActionOutcome {
    bench
        .store
        .operator_journal()
        .submit(id, command, &ApprovedWait::Current, by)
        .await
        .unwrap()
}

fn operator_state(committed: WriteOutcome) -> OperatorState {
    let WriteOutcome::Written(operator_state) = committed else {
        panic!("{committed:?}");
    };
    operator_state
}

fn commands(operator_state: &OperatorState) -> Vec<(OperatorCommand, &str)> {
    let command_of = |action: &'_ OperatorAction| action.request.word;
    operator_state
        .actions
        .iter()
        .map(|action| (command_of(action), action.request.by.as_str()))
        .collect()
}

/// Covers R32.
#[tokio::test]
async fn actions_of_two_operators_both_apply_and_each_is_marked_in_the_engines_own_transaction() {
    let bench = Bench::new().await;
    let owner = claimed(&bench).await;
    let journal = bench.store.journal();
    let wait = Wait::bare(WaitsFor::Approval, bench.clock_wall());
    let write = Write {
        wait: Some(wait.clone()),
        ..Write::default()
    };
    let _ = journal.commit_at(owner.id, owner.epoch, &write).await.unwrap();
    assert_eq!(
        submit_action(&bench, owner.id, OperatorCommand::Reject, "ada").await,
        ActionOutcome::Submitted
    );
    assert_eq!(
        submit_action(&bench, owner.id, OperatorCommand::Approve, "bob").await,
        ActionOutcome::Submitted
    );
    let beaten = operator_state(
        journal
            .beat_at(owner.id, owner.epoch, Elapsed::ZERO)
            .await
            .unwrap(),
    );
    assert_eq!(
        commands(&beaten),
        [
            (OperatorCommand::Reject, "ada"),
            (OperatorCommand::Approve, "bob")
        ]
    );
    assert!(
        beaten
            .actions
            .iter()
            .all(|action| action.hold.as_ref() == Some(&wait) && !action.is_late)
    );
    // Every new owner reads them until one owner has marked them.
    let next = bench.claim_newest("other").await;
    assert_eq!(next.operator_state.actions, beaten.actions);
    let applied = Write {
        processed_action_ids: vec![beaten.actions[0].id],
        ..Write::default()
    };
    let lost = journal.commit_at(owner.id, owner.epoch, &applied).await.unwrap();
    assert_eq!(lost, WriteOutcome::Lost);
    let left = operator_state(journal.commit_at(next.id, next.epoch, &applied).await.unwrap());
    assert_eq!(
        commands(&left),
        [(OperatorCommand::Approve, "bob")],
        "marked by the owner alone"
    );
    let history = bench
        .store
        .operator_journal()
        .history(owner.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        history.unread, left.actions,
        "the history shows actions that no engine has read"
    );
}

/// Covers R32.
#[tokio::test]
async fn an_action_that_is_read_late_is_marked() {
    let bench = Bench::new().await;
    let owner = claimed(&bench).await;
    submit_action(&bench, owner.id, OperatorCommand::Approve, "ada").await;
    for (seconds, is_late) in [(119, false), (2, true)] {
        bench.clock.set_wall_on(seconds);
        let next = bench.claim_newest("engine").await;
        assert_eq!(next.operator_state.actions[0].is_late, is_late);
    }
}

/// Covers R32.
#[tokio::test]
async fn an_engine_that_reads_no_rows_is_named_and_only_an_abort_is_written() {
    let bench = Bench::new().await;
    let owner = claimed(&bench).await;
    let sign = async |facts: BTreeMap<String, String>| {
        let heartbeat = EngineHeartbeat {
            name: "c1:7:x".to_owned(),
            version: "0.1".to_owned(),
            started_at: bench.clock_wall(),
            facts,
        };
        bench.store.engine_registry().heartbeat(&heartbeat).await.unwrap();
    };
    sign(BTreeMap::new()).await;
    for command in [OperatorCommand::Approve, OperatorCommand::HostIsOff] {
        let outcome = submit_action(&bench, owner.id, command, "ada").await;
        assert_eq!(outcome, ActionOutcome::OlderEngine("c1:7:x (0.1)".to_owned()));
    }
    assert_eq!(
        submit_action(&bench, owner.id, OperatorCommand::Reject, "ada").await,
        ActionOutcome::Submitted
    );
    let next = bench.claim_newest("engine").await;
    // An abort is written as a row and, for the older engine, to the column.
    assert_eq!(commands(&next.operator_state), [(OperatorCommand::Reject, "ada")]);
    assert_eq!(next.operator_state.word.unwrap().word, OperatorCommand::Reject);
    sign([(READS_ACTIONS.to_owned(), "ok".to_owned())].into()).await;
    assert_eq!(
        submit_action(&bench, owner.id, OperatorCommand::Approve, "ada").await,
        ActionOutcome::Submitted
    );
    // An engine without a heartbeat for a minute does not count.
    sign(BTreeMap::new()).await;
    bench.clock.set_wall_on(61);
    assert_eq!(
        submit_action(&bench, owner.id, OperatorCommand::Approve, "ada").await,
        ActionOutcome::Submitted
    );
}

/// Covers R32.
#[tokio::test]
async fn an_approval_of_another_wait_than_the_operator_was_shown_is_not_written() {
    let bench = Bench::new().await;
    let owner = claimed(&bench).await;
    let journal = bench.store.journal();
    let since = |micros: i64| Timestamp::from_micros(1_700_000_000_000_000 + micros);
    let wait = |on: &[&str], at| Wait {
        on: on.iter().map(|&guard| guard.to_owned()).collect(),
        ..Wait::bare(WaitsFor::Approval, since(at))
    };
    let now = wait(&["rate", "segment"], 999);
    let write = Write {
        wait: Some(now.clone()),
        ..Write::default()
    };
    let _ = journal.commit_at(owner.id, owner.epoch, &write).await.unwrap();
    let other = || ActionOutcome::OtherWait(Some(now.clone()));
    let wait_of_fence = Wait::bare(WaitsFor::Fence, since(999));
    for (name, shown, expected) in [
        ("another", Some(wait_of_fence), other()),
        ("none", None, other()),
        ("an earlier one", Some(wait(&["rate", "segment"], -1)), other()),
        ("one guard less", Some(wait(&["rate"], 999)), other()),
        ("the same", Some(now.clone()), ActionOutcome::Submitted),
        (
            "in milliseconds",
            Some(wait(&["rate", "segment"], 0)),
            ActionOutcome::Submitted,
        ),
        (
            "one more guard",
            Some(wait(&["global", "rate", "segment"], 999)),
            ActionOutcome::Submitted,
        ),
    ] {
        let shown = ApprovedWait::Snapshot(shown);
        let operator_journal = bench.store.operator_journal();
        let outcome = operator_journal
            .submit(owner.id, OperatorCommand::Approve, &shown, "ada")
            .await;
        assert_eq!(outcome.unwrap(), expected, "{name}");
        let rows = bench
            .store
            .operator_journal()
            .history(owner.id)
            .await
            .unwrap()
            .unwrap()
            .unread;
        assert!(rows.iter().all(|row| row.hold.as_ref() == Some(&now)), "{name}");
        let outcome = operator_journal
            .submit(owner.id, OperatorCommand::Reject, &shown, "ada")
            .await;
        assert_eq!(
            outcome.unwrap(),
            ActionOutcome::Submitted,
            "an abort is written, {name}"
        );
    }
    let rows = bench
        .store
        .operator_journal()
        .history(owner.id)
        .await
        .unwrap()
        .unwrap()
        .unread;
    let approvals = rows
        .iter()
        .filter(|row| row.request.word == OperatorCommand::Approve);
    assert_eq!(approvals.count(), 3);
}
