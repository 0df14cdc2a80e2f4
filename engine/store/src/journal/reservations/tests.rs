use std::sync::Arc;
use std::time::Duration;

use sea_orm::PaginatorTrait as _;
use tachi_domain::RecoveryId;
use tachi_domain::entity::host::{HostAttributes, MaintenanceReason, NewHost};
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::{Host, Segment};
use tachi_domain::freeze::FreezeScope;
use tachi_engine::ports::journal::{ClaimedRecovery, HostWrite, Write, WriteOutcome};
use tachi_engine::ports::{
    FreezeTerms, Freezes as _, Hosts as _, Journal as _, NewFreeze, Notifications as _,
};
use tokio::sync::Barrier;

use super::*;
use crate::PurgeOptions;
use crate::testing::{Bench, new_host};

/// Creates a segment with a failed host, `others` further failed hosts and this number of reserved hosts.
async fn stage(others: usize, reserved: usize) -> (Bench, Segment, Vec<ClaimedRecovery>, Vec<Host>) {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let mut spares = Vec::new();
    for number in 0..reserved {
        let new = NewHost {
            reserved: true,
            ..new_host(&format!("rh{number}"))
        };
        spares.push(
            bench
                .store
                .registry()
                .create_host(segment.id, &new)
                .await
                .unwrap(),
        );
    }
    let mut hosts = Vec::new();
    for number in 0..=others {
        hosts.push(bench.host(&segment, &format!("cmp{number}")).await);
    }
    let mut claimed = Vec::new();
    for host in &hosts {
        bench.stopped(host).await;
        claimed.push(bench.claim_newest("engine").await);
    }
    (bench, segment, claimed, spares)
}

fn reservation(host: &Host, state: ReservationState) -> ReservationWrite {
    ReservationWrite {
        host: host.id,
        name: host.name.clone(),
        state,
        was_enabled: false,
        was_reason: Some("kept in reserve".to_owned()),
        aggregates: vec!["rack".to_owned()],
        at: Timestamp::from_micros(7),
    }
}

fn write_of(host: &Host, state: ReservationState) -> Write {
    Write {
        reservations: vec![reservation(host, state)],
        ..Write::default()
    }
}

async fn commit(bench: &Bench, claimed: &ClaimedRecovery, write: &Write) -> WriteOutcome {
    bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, write)
        .await
        .unwrap()
}

async fn is_reserved(bench: &Bench, segment: &Segment, host: &Host) -> bool {
    let found = bench
        .store
        .registry()
        .get_host(segment.id, host.id)
        .await
        .unwrap();
    found.unwrap().reserved
}

async fn rows(bench: &Bench) -> Vec<(String, Option<String>)> {
    host_reservation::Entity::find()
        .order_by_asc(host_reservation::Column::Id)
        .all(bench.store.db.reader())
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.state, row.open_key))
        .collect()
}

/// Covers R6.
#[tokio::test]
async fn a_reserved_host_goes_to_one_recovery_and_comes_back_as_it_was() {
    let (bench, segment, claimed, spares) = stage(1, 1).await;
    let spare = &spares[0];
    let mine = write_of(spare, ReservationState::Reserved);
    assert!(matches!(
        commit(&bench, &claimed[0], &mine).await,
        WriteOutcome::Written(_)
    ));
    assert!(
        is_reserved(&bench, &segment, spare).await,
        "nothing runs there yet"
    );
    // Repeated, as after a lost response.
    assert!(matches!(
        commit(&bench, &claimed[0], &mine).await,
        WriteOutcome::Written(_)
    ));
    assert_eq!(
        commit(&bench, &claimed[1], &mine).await,
        WriteOutcome::ReserveTaken(vec![spare.id])
    );
    let reserve = bench
        .store
        .journal()
        .reserve(claimed[1].host.as_ref().unwrap().id)
        .await
        .unwrap();
    assert_eq!(reserve.len(), 1);
    assert!(reserve[0].busy);
    let consumed = write_of(spare, ReservationState::Consumed);
    assert!(matches!(
        commit(&bench, &claimed[0], &consumed).await,
        WriteOutcome::Written(_)
    ));
    assert!(!is_reserved(&bench, &segment, spare).await);
    let reserve = bench
        .store
        .journal()
        .reserve(claimed[1].host.as_ref().unwrap().id)
        .await
        .unwrap();
    assert!(reserve[0].busy, "it may yet be given back: {reserve:?}");
    let back = write_of(spare, ReservationState::GivenBack);
    assert!(matches!(
        commit(&bench, &claimed[0], &back).await,
        WriteOutcome::Written(_)
    ));
    assert!(is_reserved(&bench, &segment, spare).await);
    assert_eq!(rows(&bench).await, [("given_back".to_owned(), None)]);
    // The released host goes to the other recovery, which consumes it.
    assert!(matches!(
        commit(&bench, &claimed[1], &mine).await,
        WriteOutcome::Written(_)
    ));
    let used = write_of(spare, ReservationState::Used);
    assert!(matches!(
        commit(&bench, &claimed[1], &used).await,
        WriteOutcome::Written(_)
    ));
    assert!(!is_reserved(&bench, &segment, spare).await);
    assert_eq!(
        commit(&bench, &claimed[0], &mine).await,
        WriteOutcome::ReserveTaken(vec![spare.id])
    );
    assert!(
        bench
            .store
            .journal()
            .reserve(claimed[0].host.as_ref().unwrap().id)
            .await
            .unwrap()
            .is_empty()
    );
}

/// Covers R1.
#[tokio::test]
async fn a_refused_reservation_writes_nothing_else_and_one_of_a_lost_claim_nothing_at_all() {
    let (bench, segment, claimed, spares) = stage(1, 2).await;
    let _ = commit(
        &bench,
        &claimed[0],
        &write_of(&spares[0], ReservationState::Reserved),
    )
    .await;
    let both = Write {
        reservations: spares
            .iter()
            .map(|spare| reservation(spare, ReservationState::Reserved))
            .collect(),
        notification: Some((NotificationStatus::Running, Some("told".to_owned()))),
        ..Write::default()
    };
    let refused = commit(&bench, &claimed[1], &both).await;
    assert_eq!(refused, WriteOutcome::ReserveTaken(vec![spares[0].id]));
    assert_eq!(rows(&bench).await.len(), 1);
    let notification = bench
        .store
        .registry()
        .get_notification(claimed[1].notification.id)
        .await
        .unwrap();
    assert_eq!(notification.unwrap().message, None);
    let stale = bench
        .store
        .journal()
        .commit_at(
            claimed[1].id,
            claimed[1].epoch - 1,
            &write_of(&spares[1], ReservationState::Consumed),
        )
        .await
        .unwrap();
    assert_eq!(stale, WriteOutcome::Lost);
    assert!(is_reserved(&bench, &segment, &spares[1]).await);
}

/// Covers R6.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_recoveries_at_once_never_get_the_same_reserved_host() {
    let (bench, segment, claimed, _) = stage(1, 0).await;
    let stores = [bench.store.clone(), bench.another().await];
    for round in 0..20 {
        // Hosts cannot be registered while the segment is in use, so the row is inserted directly.
        let new = host::ActiveModel {
            uuid: Set(HostId(uuid::Uuid::new_v4()).to_string()),
            name: Set(format!("rh{round}")),
            reserved: Set(Some(true)),
            kind: Set("COMPUTE".to_owned()),
            control_attributes: Set("SSH".to_owned()),
            on_maintenance: Set(Some(false)),
            failover_segment_id: Set(segment.id.to_string()),
            deleted: Set(Some(0)),
            ..Default::default()
        };
        let insert = host::Entity::insert(new).into_query();
        bench.store.db.writer().execute(&insert).await.unwrap();
        let name = format!("rh{round}");
        let row = host::Entity::find()
            .filter(host::Column::Name.eq(&name))
            .one(bench.store.db.reader())
            .await
            .unwrap()
            .unwrap();
        let write = Write {
            reservations: vec![ReservationWrite {
                host: row.uuid.parse().unwrap(),
                name,
                state: ReservationState::Reserved,
                was_enabled: true,
                was_reason: None,
                aggregates: Vec::new(),
                at: Timestamp::from_micros(1),
            }],
            ..Write::default()
        };
        let barrier = Arc::new(Barrier::new(2));
        let tasks: Vec<_> = (0..2)
            .map(|at: usize| {
                let (store, barrier, write) = (stores[at].clone(), barrier.clone(), write.clone());
                let (id, epoch): (RecoveryId, u64) = (claimed[at].id, claimed[at].epoch);
                tokio::spawn(async move {
                    barrier.wait().await;
                    store.journal().commit_at(id, epoch, &write).await.unwrap()
                })
            })
            .collect();
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        let got = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, WriteOutcome::Written(_)))
            .count();
        let refused = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, WriteOutcome::ReserveTaken(_)))
            .count();
        assert_eq!((got, refused), (1, 1), "round {round}: {outcomes:?}");
    }
}

#[tokio::test]
async fn a_host_on_maintenance_not_reserved_or_under_recovery_is_not_taken() {
    let (bench, segment, claimed, spares) = stage(0, 2).await;
    let maintenance = HostAttributes {
        on_maintenance: Some(true),
        ..HostAttributes::default()
    };
    bench
        .store
        .registry()
        .update_host(segment.id, spares[0].id, &maintenance)
        .await
        .unwrap();
    bench.stopped(&spares[1]).await;
    let source = claimed[0].host.clone().unwrap();
    let reserve = bench.store.journal().reserve(source.id).await.unwrap();
    let names: Vec<_> = reserve.iter().map(|row| (row.name.as_str(), row.busy)).collect();
    assert_eq!(
        names,
        [("rh1", true)],
        "one is in maintenance, the other has failed itself"
    );
    for host in [&spares[0], &spares[1], &source] {
        let outcome = commit(&bench, &claimed[0], &write_of(host, ReservationState::Reserved)).await;
        assert_eq!(
            outcome,
            WriteOutcome::ReserveTaken(vec![host.id]),
            "{}",
            host.name
        );
    }
}

/// An operator works on it.
#[tokio::test]
async fn a_reserved_host_that_is_frozen_is_not_taken() {
    let (bench, _, claimed, spares) = stage(0, 2).await;
    let (table, spare) = (bench.store.freezes(), &spares[0]);
    let new = NewFreeze {
        scope: FreezeScope::Host,
        target: spare.id.to_string(),
        name: spare.name.clone(),
        by: "alice".into(),
        terms: FreezeTerms {
            lasts: Duration::from_hours(1),
            reason: "firmware".into(),
            unless_worse: false,
        },
    };
    table.freeze(&new).await.unwrap();
    let source = claimed[0].host.clone().unwrap();
    let busy = async || {
        let reserve = bench.store.journal().reserve(source.id).await.unwrap();
        reserve.into_iter().map(|row| row.busy).collect::<Vec<_>>()
    };
    assert_eq!(busy().await, [true, false]);
    let write = write_of(spare, ReservationState::Reserved);
    assert_eq!(
        commit(&bench, &claimed[0], &write).await,
        WriteOutcome::ReserveTaken(vec![spare.id])
    );
    bench.clock.set_wall_on(3_600);
    assert_eq!(busy().await, [false, false], "the freeze has expired");
    assert!(matches!(
        commit(&bench, &claimed[0], &write).await,
        WriteOutcome::Written(_)
    ));
}

#[tokio::test]
async fn a_recovery_that_is_closed_holds_nothing_and_is_purged_with_its_reservations() {
    let (bench, segment, claimed, spares) = stage(0, 2).await;
    let _ = commit(
        &bench,
        &claimed[0],
        &write_of(&spares[0], ReservationState::Reserved),
    )
    .await;
    let _ = commit(
        &bench,
        &claimed[0],
        &write_of(&spares[1], ReservationState::Reserved),
    )
    .await;
    let _ = commit(
        &bench,
        &claimed[0],
        &write_of(&spares[1], ReservationState::Consumed),
    )
    .await;
    let over = Write {
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Failed, None)),
        ..Write::default()
    };
    assert!(matches!(
        commit(&bench, &claimed[0], &over).await,
        WriteOutcome::Written(_)
    ));
    assert_eq!(
        rows(&bench).await,
        [("given_back".to_owned(), None), ("used".to_owned(), None)]
    );
    assert!(is_reserved(&bench, &segment, &spares[0]).await);
    assert!(!is_reserved(&bench, &segment, &spares[1]).await);
    bench.clock.set_wall_on(86_400);
    let purged = bench
        .store
        .purge(&PurgeOptions::before(bench.clock_wall()), |_| ())
        .await
        .unwrap();
    assert_eq!(purged.of("host_reservation"), 2);
    let left = host_reservation::Entity::find()
        .count(bench.store.db.reader())
        .await
        .unwrap();
    assert_eq!(left, 0);
}

/// Covers R22.
#[tokio::test]
async fn a_host_that_is_back_is_out_of_maintenance_only_if_this_recovery_has_put_it_there() {
    for (case, operator, expected) in [("ours", false, false), ("an operator's", true, true)] {
        let (bench, segment, claimed, _) = stage(0, 0).await;
        let host = claimed[0].host.clone().unwrap();
        let on = Write {
            host: Some(HostWrite {
                host: host.id,
                why: MaintenanceReason::Recovery,
            }),
            ..Write::default()
        };
        assert!(matches!(
            commit(&bench, &claimed[0], &on).await,
            WriteOutcome::Written(_)
        ));
        if operator {
            let change = HostAttributes {
                on_maintenance: Some(true),
                ..HostAttributes::default()
            };
            bench
                .store
                .registry()
                .update_host(segment.id, host.id, &change)
                .await
                .unwrap();
        }
        let back = Write {
            host_back: Some(host.id),
            ..Write::default()
        };
        assert!(matches!(
            commit(&bench, &claimed[0], &back).await,
            WriteOutcome::Written(_)
        ));
        let reserve = bench
            .store
            .registry()
            .get_host(segment.id, host.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(reserve.on_maintenance, expected, "{case}");
    }
}
