use tachi_domain::entity::Host;
use tachi_domain::entity::host::{HostAttributes, NewHost};
use tachi_domain::entity::notification::NotificationType::{self, ComputeHost, Process, Vm};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::journal::{ClaimedRecovery, HostWrite, Write, WriteOutcome};
use tachi_engine::ports::{Hosts as _, Journal as _, Notifications as _, OperatorJournal as _, Reports as _};
use tokio::task::JoinSet;

use super::*;
use crate::entity::host_state;
use crate::testing::{Bench, all, new_host, notification, stopped};

const VM1: &str = "6c2b9d7e-0b0e-4f52-9c61-000000000001";

fn vm(hostname: &str, at: Timestamp, instance: &str, event: &str) -> NewNotification {
    let payload = [
        ("instance_uuid", instance),
        ("event", event),
        ("vir_domain_event", "STOPPED_FAILED"),
    ];
    notification(Vm, hostname, at, &payload)
}

/// Ends a claimed recovery.
async fn end(bench: &Bench, claimed: &ClaimedRecovery, status: NotificationStatus, life: Life) {
    let write = Write {
        life: Some(life),
        notification: Some((status, None)),
        ..Write::default()
    };
    let written = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &write)
        .await
        .unwrap();
    assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
}

/// Puts the host in maintenance as a recovery does.
async fn put(bench: &Bench, claimed: &ClaimedRecovery, host: &Host, why: MaintenanceReason) {
    let write = Write {
        host: Some(HostWrite { host: host.id, why }),
        ..Write::default()
    };
    let written = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &write)
        .await
        .unwrap();
    assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
}

#[tokio::test]
async fn a_notification_becomes_a_row_and_a_recovery() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    let accepted = bench.stopped(&host).await;
    assert_eq!(accepted.status, NotificationStatus::New);
    assert_eq!(accepted.source_host, host.id);
    assert_eq!(accepted.segment, Some(segment.id));
    assert_eq!(accepted.generated_time, bench.clock_wall());
    assert_eq!(accepted.stamps.created_at, bench.clock_wall().whole_seconds());
    assert_eq!(accepted.payload["event"], "STOPPED");
    let recoveries = bench.store.operator_journal().recoveries(false).await.unwrap();
    assert_eq!(recoveries.len(), 1);
    assert_eq!(recoveries[0].notification, accepted.id);
    assert_eq!(recoveries[0].kind, RecoveryKind::Host);
    assert_eq!(recoveries[0].host, "cmp1");
    assert_eq!(recoveries[0].life, Life::Open);
    assert_eq!(recoveries[0].owner, None);
    assert_eq!(recoveries[0].opened_at, bench.clock_wall());
    let views = bench.store.journal().unsettled().await.unwrap();
    assert_eq!((views[0].epoch, views[0].beat), (0, 0));
}

#[tokio::test]
async fn an_unknown_host_is_refused_and_leaves_nothing() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench
        .store
        .registry()
        .delete_host(segment.id, host.id)
        .await
        .unwrap();
    for name in ["nobody", "cmp1"] {
        let refused = bench
            .accept(&stopped(name, bench.clock_wall()))
            .await
            .unwrap_err();
        assert!(
            matches!(&refused, RegistryError::UnknownHostName { name: named } if named == name),
            "{refused:?}"
        );
    }
    assert_eq!(
        bench.store.registry().list_notifications(&all()).await.unwrap(),
        []
    );
    assert_eq!(bench.store.operator_journal().recoveries(true).await.unwrap(), []);
}

/// Covers T3, R19.
#[tokio::test]
async fn maintenance_refuses_by_its_reason() {
    // Reason; whether a stopped host is refused. An instance's failure is refused unless only a process has failed; everything
    // else is refused whatever the reason.
    let cases = [
        ("operator", Some(MaintenanceReason::Operator), true),
        ("recovery", Some(MaintenanceReason::Recovery), false),
        ("process", Some(MaintenanceReason::Process), false),
        ("adopted row without a reason", None, true),
    ];
    for (case, why, refused) in cases {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = NewHost {
            on_maintenance: true,
            ..new_host("cmp1")
        };
        let host = bench
            .store
            .registry()
            .create_host(segment.id, &host)
            .await
            .unwrap();
        let state = host.id.to_string();
        match why {
            Some(why) => maintenance::record(bench.store.db.writer(), &state, why, None)
                .await
                .unwrap(),
            None => maintenance::delete_states(bench.store.db.writer(), [state])
                .await
                .unwrap(),
        }
        let now = bench.clock_wall();
        let others = [
            notification(ComputeHost, "cmp1", now, &[("event", "STARTED")]),
            notification(
                Process,
                "cmp1",
                now,
                &[("event", "STOPPED"), ("process_name", "libvirtd")],
            ),
            vm("cmp1", now, VM1, "LIFECYCLE"),
        ];
        let of_a_process = why == Some(MaintenanceReason::Process);
        for other in others {
            if of_a_process && other.kind == Vm {
                bench.accept(&other).await.unwrap();
                continue;
            }
            let error = bench.accept(&other).await.unwrap_err();
            let right = matches!(&error, RegistryError::OnMaintenance { name } if name == "cmp1");
            assert!(right, "{case}, {}: {error:?}", other.kind);
        }
        match bench.accept(&stopped("cmp1", now)).await {
            Ok(_) => assert!(!refused, "{case}: was accepted"),
            Err(error) => assert!(
                refused && matches!(error, RegistryError::OnMaintenance { .. }),
                "{case}"
            ),
        }
    }
}

#[tokio::test]
async fn maintenance_comes_before_duplicates() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
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
    let error = bench
        .accept(&stopped("cmp1", bench.clock_wall()))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::OnMaintenance { .. }), "{error:?}");
}

/// Covers R19.
#[tokio::test]
async fn a_host_under_recovery_is_a_duplicate_however_late() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    let claimed = bench.claim_newest("engine").await;
    put(&bench, &claimed, &host, MaintenanceReason::Recovery).await;
    bench.clock.set_wall_on(100_000);
    let other = notification(ComputeHost, "cmp1", bench.clock_wall(), &[("event", "STOPPED")]);
    let error = bench.accept(&other).await.unwrap_err();
    assert!(matches!(error, RegistryError::Duplicate), "{error:?}");
}

/// Covers R19.
#[tokio::test]
async fn the_result_of_the_last_attempt_decides() {
    use NotificationStatus::{Failed, Finished, Ignored};
    // The first one's result, the seconds until it is repeated, and true if the repetition is accepted.
    let cases = [
        ("failed, at once", Failed, 0, true),
        ("finished, at once", Finished, 0, false),
        ("finished, at the window's end", Finished, 180, false),
        ("finished, after the window", Finished, 181, true),
        ("ignored, within the window", Ignored, 179, false),
        ("ignored, after the window", Ignored, 181, true),
    ];
    for (case, status, seconds, accepted) in cases {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine").await;
        put(&bench, &claimed, &host, MaintenanceReason::Recovery).await;
        end(&bench, &claimed, status, Life::Closed).await;
        bench.clock.set_wall_on(seconds);
        let repeated = bench.accept(&stopped("cmp1", bench.clock_wall())).await;
        match repeated {
            Ok(_) => assert!(accepted, "{case}"),
            Err(error) => assert!(
                !accepted && matches!(error, RegistryError::Duplicate),
                "{case}: {error:?}"
            ),
        }
    }
}

#[tokio::test]
async fn the_duplicate_rule_is_masakaris() {
    let (vm1, vm2) = (VM1, "6c2b9d7e-0b0e-4f52-9c61-000000000002");
    // Seconds the second was generated after the first; the second; whether it is a duplicate.
    let cases: Vec<(&str, i64, &str, &str, bool)> = vec![
        ("equal", 0, vm1, "LIFECYCLE", true),
        ("at the window's end", 180, vm1, "LIFECYCLE", true),
        ("after the window", 181, vm1, "LIFECYCLE", false),
        ("older than the one that is there", -1000, vm1, "LIFECYCLE", true),
        ("another payload", 0, vm1, "IO_ERROR", false),
        ("another instance", 0, vm2, "LIFECYCLE", false),
    ];
    for (case, after, instance, event, duplicate) in cases {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        bench.host(&segment, "cmp1").await;
        let at = bench.clock_wall();
        bench.accept(&vm("cmp1", at, vm1, "LIFECYCLE")).await.unwrap();
        let claimed = bench.claim_newest("engine").await;
        // Whatever the result of the first, even `failed`: only a stopped host is requested again that way.
        end(&bench, &claimed, NotificationStatus::Failed, Life::Closed).await;
        let at = Timestamp::from_micros(at.micros() + after * 1_000_000);
        // No report counts as newer than its arrival.
        bench.clock.set_wall_on(after.max(0));
        match bench.accept(&vm("cmp1", at, instance, event)).await {
            Ok(_) => assert!(!duplicate, "{case}"),
            Err(error) => assert!(
                duplicate && matches!(error, RegistryError::Duplicate),
                "{case}: {error:?}"
            ),
        }
    }
}

/// Covers R6.
#[tokio::test]
async fn one_open_recovery_per_instance_and_none_shared_by_started_hosts() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    bench.host(&segment, "cmp1").await;
    let now = bench.clock_wall();
    // A report without a recovery blocks no other, and no other blocks it.
    bench.accept(&vm("cmp1", now, VM1, "REBOOT")).await.unwrap();
    bench.accept(&vm("cmp1", now, VM1, "LIFECYCLE")).await.unwrap();
    bench.accept(&vm("cmp1", now, VM1, "WATCHDOG")).await.unwrap();
    let error = bench
        .accept(&vm("cmp1", now, &VM1.to_uppercase(), "QEMU_GUEST_AGENT_ERROR"))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Duplicate), "{error:?}");
    let started = |status: &str| {
        notification(
            ComputeHost,
            "cmp1",
            now,
            &[("event", "STARTED"), ("host_status", status)],
        )
    };
    bench.accept(&started("NORMAL")).await.unwrap();
    bench.accept(&started("UNKNOWN")).await.unwrap();
    bench.accept(&stopped("cmp1", now)).await.unwrap();
    let process =
        |name: &str| notification(NotificationType::Process, "cmp1", now, &[("process_name", name)]);
    bench.accept(&process("libvirtd")).await.unwrap();
    bench.accept(&process("nova-compute")).await.unwrap();
    assert_eq!(
        bench
            .store
            .operator_journal()
            .recoveries(false)
            .await
            .unwrap()
            .len(),
        8
    );
}

#[tokio::test]
async fn the_database_itself_refuses_a_second_holder_of_an_open_key() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    let row = recovery::Entity::find()
        .one(bench.store.db.reader())
        .await
        .unwrap()
        .unwrap();
    let mut second = recovery::ActiveModel::from(row);
    second.id = sea_orm::NotSet;
    second.uuid = Set(Uuid::new_v4().to_string());
    let error = second.insert(bench.store.db.writer()).await.unwrap_err();
    assert!(is_unique_violation(&error), "{error}");
}

/// Covers R22.
#[tokio::test]
async fn a_new_stop_leaves_the_recovery_that_watches_the_host_to_its_end() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    let watching = bench.claim_newest("engine1").await;
    put(&bench, &watching, &host, MaintenanceReason::Recovery).await;
    end(&bench, &watching, NotificationStatus::Finished, Life::Watching).await;

    // A report that the host has started does not end the watch.
    let taken_off = HostAttributes {
        on_maintenance: Some(false),
        ..HostAttributes::default()
    };
    bench
        .store
        .registry()
        .update_host(segment.id, host.id, &taken_off)
        .await
        .unwrap();
    let started = notification(ComputeHost, "cmp1", bench.clock_wall(), &[("event", "STARTED")]);
    bench.accept(&started).await.unwrap();
    let still = bench
        .store
        .journal()
        .beat_at(watching.id, watching.epoch, watching.elapsed)
        .await
        .unwrap();
    assert!(matches!(still, WriteOutcome::Written(_)), "{still:?}");

    // The new recovery may end without effect, and then only this one returns the host to service.
    bench.clock.set_wall_on(1000);
    bench.stopped(&host).await;
    let still = bench
        .store
        .journal()
        .beat_at(watching.id, watching.epoch, watching.elapsed)
        .await
        .unwrap();
    assert!(matches!(still, WriteOutcome::Written(_)), "{still:?}");
    assert_ne!(bench.newest().await, watching.id, "a recovery of its own");
    let unsettled = bench.store.journal().unsettled().await.unwrap();
    let watched = unsettled.iter().find(|view| view.id == watching.id);
    assert_eq!(watched.map(|view| view.life), Some(Life::Watching));
}

/// Covers R6.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_equal_posts_make_one_notification() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    bench.host(&segment, "cmp1").await;
    let at = bench.clock_wall();
    // Two processes with separate connections to one file.
    let stores = [bench.store.clone(), bench.another().await];
    let mut posts = JoinSet::new();
    for number in 0..50 {
        let store = stores[number % 2].clone();
        posts.spawn(async move {
            store
                .registry()
                .accept_notification(&stopped("cmp1", at), 180, at)
                .await
        });
    }
    let mut accepted = 0;
    while let Some(post) = posts.join_next().await {
        match post.unwrap() {
            Ok(_) => accepted += 1,
            Err(error) => assert!(matches!(error, RegistryError::Duplicate), "{error:?}"),
        }
    }
    assert_eq!(accepted, 1);
    assert_eq!(
        bench
            .store
            .registry()
            .list_notifications(&all())
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        bench
            .store
            .operator_journal()
            .recoveries(true)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_different_posts_at_once_are_all_accepted() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    for number in 0..50 {
        bench.host(&segment, &format!("cmp{number}")).await;
    }
    let at = bench.clock_wall();
    let stores = [bench.store.clone(), bench.another().await];
    let mut posts = JoinSet::new();
    for number in 0..50 {
        let store = stores[number % 2].clone();
        posts.spawn(async move {
            let new = stopped(&format!("cmp{number}"), at);
            store.registry().accept_notification(&new, 180, at).await
        });
    }
    while let Some(post) = posts.join_next().await {
        post.unwrap().unwrap();
    }
    assert_eq!(bench.store.journal().unsettled().await.unwrap().len(), 50);
}

#[tokio::test]
async fn masakaris_rows_count_whatever_the_order_of_their_keys() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    let row = notification::ActiveModel {
        notification_uuid: Set(Uuid::new_v4().to_string()),
        generated_time: Set(to_column(bench.clock_wall()).unwrap()),
        source_host_uuid: Set(host.id.to_string()),
        kind: Set("COMPUTE_HOST".to_owned()),
        payload: Set(Some(
            "{\"host_status\": \"NORMAL\", \"event\": \"STOPPED\"}".to_owned(),
        )),
        status: Set("finished".to_owned()),
        deleted: Set(Some(0)),
        ..Default::default()
    };
    row.insert(bench.store.db.writer()).await.unwrap();
    let error = bench
        .accept(&stopped("cmp1", bench.clock_wall()))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Duplicate), "{error:?}");
    let listed = bench.store.registry().list_notifications(&all()).await.unwrap();
    assert_eq!(listed[0].segment, None);
    assert!(
        host_state::Entity::find()
            .all(bench.store.db.reader())
            .await
            .unwrap()
            .is_empty()
    );
}

/// Covers EW15.
#[tokio::test]
async fn a_report_is_taken_up_at_once_however_wrong_its_reporters_clock_is() {
    for (case, seconds) in [("two days behind", 172_800), ("two days ahead", -172_800)] {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        bench.host(&segment, "cmp1").await;
        let at = bench.clock_wall().minus_seconds(seconds);
        bench.accept(&stopped("cmp1", at)).await.unwrap();
        let claimed = bench.claim_newest("engine").await;
        assert_eq!(claimed.opened_at, bench.clock_wall(), "{case}");
        assert_eq!(claimed.notification.status, NotificationStatus::Running, "{case}");
    }
}
