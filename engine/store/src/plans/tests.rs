use std::collections::BTreeSet;
use std::time::Duration;

use tachi_domain::entity::vmove::{VmoveState, VmoveStatus};
use tachi_domain::planned::PlannedOrder;
use tachi_domain::recovery::{Elsewhere, FreezeOrder};
use tachi_domain::{HostId, ServerId, VmoveId};
use tachi_engine::ports::journal::{PlannedWrite, Write, WriteOutcome};
use tachi_engine::ports::operator::RetryOutcome;
use tachi_engine::ports::{Freezes as _, OperatorJournal as _};

use super::*;
use crate::testing::Bench;

fn plan(kind: RecoveryKind, host: HostId) -> NewPlan {
    NewPlan {
        kind,
        host,
        payload: PlannedOrder::read(&BTreeMap::new()).payload(kind),
    }
}

/// Covers T2.
#[tokio::test]
async fn a_plan_keeps_who_has_asked_for_it_where_a_report_writes_nothing() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let (one, other) = (
        bench.host(&segment, "cmp1").await,
        bench.host(&segment, "cmp2").await,
    );
    let mut new = plan(RecoveryKind::Drain, one.id);
    new.payload.insert("by".into(), "alice".into());
    bench.store.plans().plan(&new).await.unwrap();
    assert_eq!(
        bench.claim_newest("engine").await.requested_by.as_deref(),
        Some("alice")
    );
    bench.stopped(&other).await;
    assert_eq!(bench.claim_newest("engine").await.requested_by, None);
}

fn moved(server: u128, from: &str, to: &str) -> PlannedWrite {
    PlannedWrite {
        server: ServerId(Uuid::from_u128(server)),
        vmove: VmoveState {
            id: VmoveId(Uuid::new_v4()),
            name: format!("vm-{server}"),
            source_host: from.into(),
            dest_host: Some(to.into()),
            start_time: None,
            end_time: None,
            status: VmoveStatus::Succeeded,
            message: None,
        },
    }
}

/// Ends the newest recovery with these instances, and freezes its host if `freeze` is set.
async fn end(bench: &Bench, planned: Vec<PlannedWrite>, freeze: Option<FreezeOrder>) {
    let claimed = bench.claim_newest("engine").await;
    assert!(claimed.moves.is_empty(), "a planned instance has no move");
    let write = Write {
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Finished, None)),
        planned,
        freeze,
        ..Write::default()
    };
    let written = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &write)
        .await;
    assert!(matches!(written.unwrap(), WriteOutcome::Written(_)));
}

#[tokio::test]
async fn a_host_has_one_plan_at_a_time_and_none_during_its_recovery() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let (one, other) = (
        bench.host(&segment, "cmp1").await,
        bench.host(&segment, "cmp2").await,
    );
    let plans = bench.store.plans();
    let begun = plans.plan(&plan(RecoveryKind::Drain, one.id)).await.unwrap();
    let PlanOutcome::Started { recovery, .. } = begun else {
        panic!("{begun:?}");
    };
    let busy = PlanOutcome::Busy(recovery, RecoveryKind::Drain);
    let again = plans.plan(&plan(RecoveryKind::Giveback, one.id)).await.unwrap();
    assert_eq!(again, busy);
    // A plan does not block a report of its host, and the resulting recovery blocks further plans.
    bench.stopped(&one).await;
    let beside = plans.plan(&plan(RecoveryKind::Drain, one.id)).await.unwrap();
    assert!(
        matches!(beside, PlanOutcome::Busy(_, RecoveryKind::Host)),
        "{beside:?}"
    );
    let nobody = plans
        .plan(&plan(RecoveryKind::Drain, HostId(Uuid::nil())))
        .await
        .unwrap();
    assert_eq!(nobody, PlanOutcome::Unknown);
    let free = plans.plan(&plan(RecoveryKind::Giveback, other.id)).await.unwrap();
    assert!(matches!(free, PlanOutcome::Started { .. }), "{free:?}");
}

#[tokio::test]
async fn a_drain_is_shown_with_its_instances_freezes_its_host_as_it_ends_and_is_not_repeated() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    let begun = bench
        .store
        .plans()
        .plan(&plan(RecoveryKind::Drain, host.id))
        .await
        .unwrap();
    let PlanOutcome::Started { recovery, .. } = begun else {
        panic!("{begun:?}");
    };
    let freeze = FreezeOrder {
        lasts: Duration::from_hours(1),
        by: "alice".into(),
        reason: "firmware".into(),
        left: BTreeSet::new(),
    };
    end(&bench, vec![moved(1, "cmp1", "cmp2")], Some(freeze)).await;
    let frozen = bench.store.freezes().freezes().await.unwrap();
    assert_eq!(frozen.len(), 1);
    assert_eq!(
        (frozen[0].freeze.name.as_str(), frozen[0].freeze.by.as_str()),
        ("cmp1", "alice")
    );
    let history = bench
        .store
        .operator_journal()
        .history(recovery)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((history.vmoves.len(), history.moves.len()), (1, 0));
    assert_eq!(history.summary.moves.succeeded, 1);
    let again = bench
        .store
        .operator_journal()
        .retry(recovery, "bob")
        .await
        .unwrap();
    assert!(matches!(again, RetryOutcome::NotFailed(_)), "{again:?}");
}

#[tokio::test]
async fn instances_not_moved_since_can_be_given_back() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let (one, two) = (
        bench.host(&segment, "cmp1").await,
        bench.host(&segment, "cmp2").await,
    );
    let plans = bench.store.plans();
    let drain = |host| plan(RecoveryKind::Drain, host);
    assert!(plans.moved_away("cmp1").await.unwrap().is_empty());
    let _ = plans.plan(&drain(one.id)).await.unwrap();
    end(
        &bench,
        vec![moved(1, "cmp1", "cmp2"), moved(2, "cmp1", "cmp2")],
        None,
    )
    .await;
    let _ = plans.plan(&drain(two.id)).await.unwrap();
    let mut stayed = moved(2, "cmp2", "cmp3");
    stayed.vmove.status = VmoveStatus::Failed;
    end(&bench, vec![moved(1, "cmp2", "cmp3"), stayed], None).await;
    let names = |listed: &[MovedAway]| -> Vec<String> {
        listed
            .iter()
            .map(|one| format!("{} {}", one.name, one.dest))
            .collect()
    };
    assert_eq!(names(&plans.moved_away("cmp1").await.unwrap()), ["vm-2 cmp2"]);
    assert_eq!(names(&plans.moved_away("cmp2").await.unwrap()), ["vm-1 cmp3"]);
}

/// Covers R12.
#[tokio::test]
async fn no_intent_about_an_instance_is_written_while_its_host_is_recovered() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let (one, two) = (
        bench.host(&segment, "cmp1").await,
        bench.host(&segment, "cmp2").await,
    );
    let giveback = plan(RecoveryKind::Giveback, one.id);
    let _ = bench.store.plans().plan(&giveback).await.unwrap();
    let claimed = bench.claim_newest("engine").await;
    let intent = Write {
        unless_host_recovery: Some("cmp1".into()),
        unless_elsewhere: Some(Elsewhere {
            server: ServerId(Uuid::from_u128(1)),
            host: "cmp2".into(),
        }),
        planned: vec![moved(1, "cmp2", "cmp1")],
        ..Write::default()
    };
    let commit_intent = async || {
        let journal = bench.store.journal();
        journal
            .commit_at(claimed.id, claimed.epoch, &intent)
            .await
            .unwrap()
    };
    assert!(matches!(commit_intent().await, WriteOutcome::Written(_)));
    bench.stopped(&two).await;
    assert_eq!(commit_intent().await, WriteOutcome::HostUnderRecovery);
}
