use sea_orm::{ActiveModelTrait as _, ConnectionTrait as _, EntityTrait as _, Set};
use tachi_domain::entity::Host;
use tachi_domain::recovery::Life;
use tachi_engine::ports::{
    Hosts as _, Journal as _, Notifications as _, OperatorJournal as _, RegistryError,
};
use uuid::Uuid;

use super::*;
use crate::testing::{Bench, START, stopped};

const HOUR: i64 = 3600;
const EXPIRY: Duration = Duration::from_secs(86_400);

/// Inserts a row as Masakari's API leaves it.
async fn left(bench: &Bench, host: &Host, kind: &str, status: &str, hours_ago: i64, payload: &str) -> String {
    let at = to_column(Timestamp::from_micros(START).minus_seconds(hours_ago * HOUR)).unwrap();
    let uuid = Uuid::new_v4().to_string();
    let row = notification::ActiveModel {
        notification_uuid: Set(uuid.clone()),
        generated_time: Set(at),
        source_host_uuid: Set(host.id.to_string()),
        kind: Set(kind.to_owned()),
        payload: Set(Some(payload.to_owned())),
        status: Set(status.to_owned()),
        failover_segment_uuid: Set(Some(host.segment.id.to_string())),
        created_at: Set(Some(at)),
        deleted: Set(Some(0)),
        ..Default::default()
    };
    row.insert(bench.store.db.writer()).await.unwrap();
    uuid
}

async fn status_of(bench: &Bench, uuid: &str) -> (String, String) {
    let id = Uuid::parse_str(uuid).unwrap().into();
    let row = bench
        .store
        .registry()
        .get_notification(id)
        .await
        .unwrap()
        .unwrap();
    (row.status.as_str().to_owned(), row.message.unwrap_or_default())
}

const STOPPED: &str = r#"{"event": "STOPPED", "host_status": "NORMAL"}"#;
const VM: &str = r#"{"event": "LIFECYCLE", "instance_uuid": "00000000-0000-0000-0000-000000000001"}"#;
const PROCESS: &str = r#"{"event": "STOPPED", "process_name": "nova-compute"}"#;

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a table of cases")]
async fn open_notifications_are_adopted_by_type_and_status() {
    let cases = [
        (
            "a new host",
            "COMPUTE_HOST",
            "new",
            0,
            STOPPED,
            "new",
            "left it new",
        ),
        (
            "a host in mid-recovery",
            "COMPUTE_HOST",
            "running",
            5,
            STOPPED,
            "new",
            "left it running",
        ),
        (
            "a host between attempts",
            "COMPUTE_HOST",
            "error",
            1,
            STOPPED,
            "new",
            "left it error",
        ),
        (
            "a host of last week",
            "COMPUTE_HOST",
            "running",
            170,
            STOPPED,
            "failed",
            "86400 s",
        ),
        (
            "from a clock that is ahead",
            "COMPUTE_HOST",
            "new",
            -2,
            STOPPED,
            "new",
            "left it new",
        ),
        ("a new instance", "VM", "new", 0, VM, "new", "left it new"),
        (
            "an instance between attempts",
            "VM",
            "error",
            1,
            VM,
            "new",
            "left it error",
        ),
        (
            "an instance in between",
            "VM",
            "running",
            1,
            VM,
            "failed",
            "check the host and its instances",
        ),
        (
            "a process between attempts",
            "PROCESS",
            "error",
            1,
            PROCESS,
            "new",
            "left it error",
        ),
        (
            "a process in between",
            "PROCESS",
            "running",
            1,
            PROCESS,
            "failed",
            "check the host and its instances",
        ),
        ("an unknown type", "SUN", "new", 0, STOPPED, "failed", "SUN"),
        ("an unreadable payload", "VM", "new", 0, "{", "failed", "payload"),
    ];
    for (case, kind, before, hours, payload, after, expected) in cases {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let uuid = left(&bench, &host, kind, before, hours, payload).await;
        assert_eq!(bench.store.count_left_open().await.unwrap(), 1, "{case}");
        let adopted = bench.store.adopt(EXPIRY).await.unwrap();
        assert_eq!(
            (adopted.opened, adopted.failed),
            (u64::from(after == "new"), u64::from(after == "failed")),
            "{case}"
        );
        if kind == "SUN" || payload == "{" {
            // The API cannot show such a row either. Its status is enough here.
            let row = notification::Entity::find()
                .one(bench.store.db.reader())
                .await
                .unwrap()
                .unwrap();
            assert_eq!(row.status, after, "{case}");
            assert!(row.message.unwrap().contains(expected), "{case}");
        } else {
            let (status, message) = status_of(&bench, &uuid).await;
            assert_eq!(status, after, "{case}");
            assert!(message.contains(expected), "{case}: {message}");
        }
        assert_eq!(bench.store.count_left_open().await.unwrap(), 0, "{case}");
        assert_eq!(
            bench.store.adopt(EXPIRY).await.unwrap(),
            AdoptionReport::default(),
            "{case}: once"
        );
        let open = bench.store.operator_journal().recoveries(true).await.unwrap();
        assert_eq!(open.len(), usize::from(after == "new"), "{case}");
        if after == "new" {
            let claimed = bench.claim_newest("engine").await;
            assert_eq!(claimed.notification.id.to_string(), uuid, "{case}");
            assert_eq!(status_of(&bench, &uuid).await.0, "running", "{case}");
        }
    }
}

/// Covers R6.
#[tokio::test]
async fn a_host_gets_one_recovery_by_the_newest_report() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    let older = left(&bench, &host, "COMPUTE_HOST", "running", 3, STOPPED).await;
    let newest = left(&bench, &host, "COMPUTE_HOST", "new", 1, STOPPED).await;
    let adopted = bench.store.adopt(EXPIRY).await.unwrap();
    assert_eq!((adopted.opened, adopted.joined, adopted.failed), (1, 1, 0));
    let (status, message) = status_of(&bench, &older).await;
    assert_eq!(status, "ignored");
    assert!(message.contains(&newest), "{message}");
    let recoveries = bench.store.operator_journal().recoveries(false).await.unwrap();
    assert_eq!(recoveries.len(), 1);
    assert_eq!(recoveries[0].notification.to_string(), newest);
    assert_eq!(recoveries[0].life, Life::Open);
}

#[tokio::test]
async fn notifications_accepted_meanwhile_are_joined() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    let ours = bench.stopped(&host).await;
    let theirs = left(&bench, &host, "COMPUTE_HOST", "error", 2, STOPPED).await;
    assert_eq!(bench.store.adopt(EXPIRY).await.unwrap().joined, 1);
    assert_eq!(status_of(&bench, &theirs).await.0, "ignored");
    assert_eq!(status_of(&bench, &ours.id.to_string()).await.0, "new");
}

#[tokio::test]
async fn a_report_about_a_deleted_host_fails() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench
        .store
        .registry()
        .delete_host(segment.id, host.id)
        .await
        .unwrap();
    let uuid = left(&bench, &host, "COMPUTE_HOST", "running", 1, STOPPED).await;
    assert_eq!(bench.store.adopt(EXPIRY).await.unwrap().failed, 1);
    let (status, message) = status_of(&bench, &uuid).await;
    assert_eq!(status, "failed");
    assert!(message.contains("no longer registered"), "{message}");
}

/// Covers R19.
#[tokio::test]
async fn maintenance_set_by_masakari_is_no_operators_decision() {
    for (case, hours) in [("taken up", 1), ("too old", 100)] {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let (host, operators) = (
            bench.host(&segment, "cmp1").await,
            bench.host(&segment, "cmp2").await,
        );
        left(&bench, &host, "COMPUTE_HOST", "running", hours, STOPPED).await;
        bench
            .store
            .db
            .writer()
            .execute_unprepared("UPDATE hosts SET on_maintenance = TRUE")
            .await
            .unwrap();
        bench.store.adopt(EXPIRY).await.unwrap();
        if hours == 1 {
            let claimed = bench.claim_newest("engine").await;
            assert!(!claimed.operator_state.operator_maintenance, "{case}");
        } else {
            bench.stopped(&host).await;
        }
        let refused = bench.accept(&stopped(&operators.name, bench.clock_wall())).await;
        assert!(
            matches!(refused, Err(RegistryError::OnMaintenance { .. })),
            "{case}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn abandoned_moves_are_closed() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    let uuid = left(&bench, &host, "COMPUTE_HOST", "running", 1, STOPPED).await;
    for (number, status) in ["pending", "ongoing", "succeeded"].into_iter().enumerate() {
        let row = vmove::ActiveModel {
            uuid: Set(Uuid::from_u128(number as u128).to_string()),
            notification_uuid: Set(uuid.clone()),
            instance_uuid: Set(Uuid::nil().to_string()),
            instance_name: Set("vm".to_owned()),
            status: Set(Some(status.to_owned())),
            deleted: Set(Some(0)),
            ..Default::default()
        };
        row.insert(bench.store.db.writer()).await.unwrap();
    }
    bench.store.adopt(EXPIRY).await.unwrap();
    let rows = vmove::Entity::find()
        .order_by_asc(vmove::Column::Id)
        .all(bench.store.db.reader())
        .await
        .unwrap();
    let statuses: Vec<_> = rows.iter().map(|row| row.status.as_deref().unwrap()).collect();
    assert_eq!(statuses, ["ignored", "ignored", "succeeded"]);
}

/// Covers C16.
#[tokio::test]
async fn instances_that_an_interrupted_masakari_may_have_left_locked_are_named() {
    // Status of the notification and of the vmove, with its message; the vmove's status after the adoption; true if
    // the message names the instance.
    let cases = [
        ("running", "pending", None, "ignored", false),
        ("running", "ongoing", None, "ignored", true),
        ("running", "succeeded", None, "succeeded", true),
        ("running", "failed", Some("no valid host"), "failed", true),
        ("running", "ignored", None, "ignored", false),
        // An engine that gave up in order has removed its locks.
        ("error", "succeeded", None, "succeeded", false),
        ("error", "ongoing", None, "ignored", false),
    ];
    for (of_all, status, message, then, named) in cases {
        let case = format!("{status} of {of_all}");
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let uuid = left(&bench, &host, "COMPUTE_HOST", of_all, 1, STOPPED).await;
        let row = vmove::ActiveModel {
            uuid: Set(Uuid::nil().to_string()),
            notification_uuid: Set(uuid.clone()),
            instance_uuid: Set(Uuid::nil().to_string()),
            instance_name: Set("vm".to_owned()),
            status: Set(Some(status.to_owned())),
            message: Set(message.map(str::to_owned)),
            deleted: Set(Some(0)),
            ..Default::default()
        };
        row.insert(bench.store.db.writer()).await.unwrap();
        bench.store.adopt(EXPIRY).await.unwrap();
        let row = vmove::Entity::find()
            .one(bench.store.db.reader())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.status.as_deref(), Some(then), "{case}");
        let text = row.message.unwrap_or_default();
        assert_eq!(text.contains("openstack server unlock"), named, "{case}: {text}");
        assert!(
            text.contains(message.unwrap_or_default()),
            "{case}: what it said stays: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engines_that_start_at_once_take_each_up_once() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    for number in 0..8 {
        let host = bench.host(&segment, &format!("cmp{number}")).await;
        left(&bench, &host, "COMPUTE_HOST", "error", 1, STOPPED).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = bench.another().await;
        tasks.spawn(async move { store.adopt(EXPIRY).await.unwrap().opened });
    }
    let mut opened = 0;
    while let Some(of_one) = tasks.join_next().await {
        opened += of_one.unwrap();
    }
    assert_eq!(opened, 8);
    assert_eq!(
        bench
            .store
            .operator_journal()
            .recoveries(true)
            .await
            .unwrap()
            .len(),
        8
    );
    assert_eq!(bench.store.journal().unsettled().await.unwrap().len(), 8);
}

#[tokio::test]
async fn beside_an_engine_only_what_is_new_is_taken_up_and_only_once() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let mut rows = Vec::new();
    for status in ["new", "running", "error", "finished"] {
        let host = bench.host(&segment, status).await;
        rows.push((
            status,
            left(&bench, &host, "COMPUTE_HOST", status, 0, STOPPED).await,
        ));
    }
    // One of our own notifications has a recovery already.
    let host = bench.host(&segment, "ours").await;
    bench.stopped(&host).await;
    assert_eq!(bench.store.adopt_new(EXPIRY).await.unwrap().opened, 1);
    assert_eq!(
        bench.store.adopt_new(EXPIRY).await.unwrap(),
        AdoptionReport::default()
    );
    for (status, uuid) in rows {
        assert_eq!(status_of(&bench, &uuid).await.0, status, "{status}");
    }
    assert_eq!(
        bench
            .store
            .operator_journal()
            .recoveries(true)
            .await
            .unwrap()
            .len(),
        2
    );
}

/// Covers EW15.
#[tokio::test]
async fn ages_are_counted_from_when_a_report_came_and_not_by_its_reporters_clock() {
    // Hours since it arrived, hours since its reporter generated it, and true if it is adopted.
    let cases = [
        ("a clock two days behind", 1, 49, true),
        ("a clock two days ahead", 1, -47, true),
        ("too old, with a clock two days ahead", 30, -18, false),
    ];
    for (case, came, generated, taken_up) in cases {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let uuid = left(&bench, &host, "COMPUTE_HOST", "new", came, STOPPED).await;
        let at = to_column(Timestamp::from_micros(START).minus_seconds(generated * HOUR)).unwrap();
        notification::Entity::update_many()
            .col_expr(notification::Column::GeneratedTime, Expr::value(at))
            .filter(notification::Column::NotificationUuid.eq(&uuid))
            .exec(bench.store.db.writer())
            .await
            .unwrap();
        let adopted = bench.store.adopt(EXPIRY).await.unwrap();
        assert_eq!(adopted.opened == 1, taken_up, "{case}: {adopted:?}");
    }
}
