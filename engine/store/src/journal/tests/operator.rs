//! Operators' actions and changes during the writes of a recovery.

use super::*;

/// Covers R20.
#[tokio::test]
async fn an_operators_change_is_in_the_next_pulse() {
    let (bench, host) = one_down().await;
    let claimed = bench.claim_newest("engine").await;
    let disable = SegmentChange {
        enabled: Some(false),
        ..SegmentChange::default()
    };
    bench
        .store
        .registry()
        .update_segment(host.segment.id, &disable)
        .await
        .unwrap();
    let operator_state = written(&bench, &claimed, &Write::default()).await;
    assert_eq!(
        operator_state,
        OperatorState {
            segment_enabled: false,
            ..OperatorState::DEFAULT
        }
    );

    let put = HostAttributes {
        on_maintenance: Some(true),
        ..HostAttributes::default()
    };
    bench
        .store
        .registry()
        .update_host(host.segment.id, host.id, &put)
        .await
        .unwrap();
    assert_eq!(
        bench
            .store
            .operator_journal()
            .submit(
                claimed.id,
                OperatorCommand::Approve,
                &tachi_domain::ApprovedWait::Current,
                "alice"
            )
            .await
            .unwrap(),
        ActionOutcome::Submitted
    );
    bench.clock.set_wall_on(3);
    assert_eq!(
        bench
            .store
            .operator_journal()
            .submit(
                claimed.id,
                OperatorCommand::Reject,
                &tachi_domain::ApprovedWait::Current,
                "bob"
            )
            .await
            .unwrap(),
        ActionOutcome::Submitted
    );
    let beaten = bench
        .store
        .journal()
        .beat_at(claimed.id, claimed.epoch, Elapsed::ZERO)
        .await
        .unwrap();
    let WriteOutcome::Written(operator_state) = beaten else {
        panic!("{beaten:?}");
    };
    assert!(operator_state.operator_maintenance);
    let action = operator_state.word.unwrap();
    assert_eq!(
        (action.number, action.word, action.by.as_str()),
        (2, OperatorCommand::Reject, "bob")
    );
    assert_eq!(action.at, bench.clock_wall());
}

/// Covers R20.
#[tokio::test]
async fn writes_of_a_recovery_never_undo_an_operator_action() {
    use MaintenanceReason::{Operator, Process, Recovery};
    // The recorded reason, the written reason, and the reason recorded afterwards.
    let cases = [
        (None, Recovery, Recovery),
        (None, Process, Process),
        (Some(Process), Recovery, Recovery),
        (Some(Recovery), Process, Recovery),
        (Some(Operator), Recovery, Operator),
        (Some(Operator), Process, Operator),
        (Some(Recovery), Operator, Operator),
    ];
    for (before, wrote, after) in cases {
        let (bench, host) = one_down().await;
        let claimed = bench.claim_newest("engine").await;
        for why in before.into_iter().chain([wrote]) {
            let write = Write {
                host: Some(HostWrite { host: host.id, why }),
                ..Write::default()
            };
            let operator_state = written(&bench, &claimed, &write).await;
            assert_eq!(
                operator_state.operator_maintenance,
                why == Operator || before == Some(Operator)
            );
        }
        let state = host_state::Entity::find()
            .one(bench.store.db.reader())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(state.why, after.as_str(), "{before:?}, {wrote}");
        let shown = bench
            .store
            .registry()
            .get_host(host.segment.id, host.id)
            .await
            .unwrap()
            .unwrap();
        assert!(shown.on_maintenance);
        assert!(shown.stamps.updated_at.is_some());
    }
}

#[tokio::test]
async fn a_deleted_segment_counts_as_disabled_and_a_deleted_host_is_still_read() {
    let (bench, host) = one_down().await;
    let claimed = bench.claim_newest("engine").await;
    let end = Write {
        life: Some(Life::Watching),
        notification: Some((NotificationStatus::Finished, None)),
        ..Write::default()
    };
    written(&bench, &claimed, &end).await;
    bench
        .store
        .registry()
        .delete_segment(host.segment.id)
        .await
        .unwrap();
    let again = bench.claim_newest("engine2").await;
    assert!(!again.operator_state.segment_enabled);
    assert_eq!(again.life, Life::Watching);
    assert_eq!(again.host.map(|host| host.name).as_deref(), Some("cmp1"));
}
