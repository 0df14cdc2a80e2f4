//! Statements that the grants of `tachi db grants` forbid. `journal/contract.rs` runs all work of a store with these
//! grants. `SQLite` has no users.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::monitor::{Boot, HeartbeatUse, MonitorHeartbeat, MonitorKind};
use tachi_domain::recovery::Life;
use tachi_engine::ports::journal::{HostWrite, Write, WriteOutcome};
use tachi_engine::ports::operator::RetryOutcome;
use tachi_engine::ports::{
    EngineRegistry as _, Monitors as _, Notifications as _, OperatorJournal as _, ReceivedHeartbeat,
    Reports as _, Segments as _,
};
use tokio::time::Instant;

use crate::testing::{Bench, all, new_segment, stopped};
use crate::{Role, Store};

/// Returns the database's error if it refuses a statement for lack of a privilege.
async fn refusal(store: &Store, sql: &str) -> Option<String> {
    let error = store
        .db
        .writer()
        .db
        .execute_unprepared(sql)
        .await
        .err()?
        .to_string();
    let of_grants = error.contains("denied") || error.contains("must be owner");
    of_grants.then_some(error)
}

/// Covers T2.
#[tokio::test]
async fn a_statement_outside_a_users_grants_is_refused() {
    let bench = Bench::new().await;
    let Some(api) = bench.as_user(Role::Api).await else {
        return;
    };
    let engine = bench.as_user(Role::Engine).await.unwrap();
    let reader = bench.as_user(Role::Reader).await.unwrap();
    let cases = [
        (
            "the API calls no host off",
            &api,
            "UPDATE recovery SET proven_off = TRUE",
        ),
        (
            "nor says an operator's word",
            &api,
            "UPDATE recovery SET word = 'approve'",
        ),
        (
            "nor claims",
            &api,
            "UPDATE recovery SET owner = 'me', epoch = epoch + 1",
        ),
        (
            "nor begins a recovery whose host is off already",
            &api,
            "INSERT INTO recovery (uuid, notification_uuid, kind, host_uuid, host_name, life, opened_at, proven_off) \
             VALUES ('a', 'b', 'host', 'c', 'cmp1', 'open', 1, TRUE)",
        ),
        (
            "nor one that an engine seems to have decided on",
            &api,
            "INSERT INTO recovery (uuid, notification_uuid, kind, host_uuid, host_name, life, opened_at, state) \
             VALUES ('a', 'b', 'host', 'c', 'cmp1', 'open', 1, '{}')",
        ),
        (
            "nor a plan that an operator seems to have asked for",
            &api,
            "INSERT INTO recovery (uuid, notification_uuid, kind, host_uuid, host_name, life, opened_at, word_by) \
             VALUES ('a', 'b', 'drain', 'c', 'cmp1', 'open', 1, 'me')",
        ),
        (
            "nor one with a word about an instance",
            &api,
            "INSERT INTO recovery (uuid, notification_uuid, kind, host_uuid, host_name, life, opened_at, move_words) \
             VALUES ('a', 'b', 'host', 'c', 'cmp1', 'open', 1, '[]')",
        ),
        (
            "nor invents a proof",
            &api,
            "INSERT INTO recovery_proof (recovery_id, epoch, kind, read_by, read_from, evidence, at) VALUES (1, 1, 'device', 'me', 'x', '{}', 1)",
        ),
        ("nor lifts a reporter", &api, "DELETE FROM reporter_aside"),
        (
            "nor ends a notification",
            &api,
            "UPDATE notifications SET status = 'finished'",
        ),
        (
            "the engine rewrites no proof",
            &engine,
            "UPDATE recovery_proof SET evidence = '{}'",
        ),
        ("and forgets none", &engine, "DELETE FROM recovery_proof"),
        ("nor its story", &engine, "DELETE FROM recovery_step"),
        ("renames no host", &engine, "UPDATE hosts SET name = 'other'"),
        (
            "and opens no segment",
            &engine,
            "UPDATE failover_segments SET enabled = TRUE",
        ),
        (
            "nobody changes the schema",
            &engine,
            "ALTER TABLE recovery ADD COLUMN more INT",
        ),
        ("nor makes tables", &api, "CREATE TABLE more (a INT)"),
        ("nor throws them away", &engine, "DROP TABLE recovery"),
        (
            "who reads writes nothing",
            &reader,
            "UPDATE tachi_lock SET seq = 0",
        ),
        ("not even a lock", &reader, "DELETE FROM tachi_meta"),
    ];
    for (name, store, sql) in cases {
        assert!(refusal(store, sql).await.is_some(), "{name}: {sql}");
    }
}

/// Earlier versions allowed the API to insert whole rows of recoveries.
/// Covers T2.
#[tokio::test]
async fn a_grant_that_was_too_wide_is_revoked_when_grants_are_written_again() {
    let bench = Bench::new().await;
    let Some((api, given)) = bench.granted(Role::Api).await else {
        return;
    };
    let insert = "INSERT INTO recovery (uuid, notification_uuid, kind, host_uuid, host_name, life, opened_at, proven_off) \
                  VALUES ('a', 'b', 'host', 'c', 'cmp1', 'open', 1, TRUE)";
    let taken = given
        .iter()
        .find(|statement| statement.starts_with("REVOKE"))
        .unwrap();
    let wide = taken.replace("REVOKE", "GRANT").replace(" FROM ", " TO ");
    bench.store.grant(&[wide]).await.unwrap();
    assert_eq!(refusal(&api, insert).await, None, "the test's own wide grant");
    bench.store.grant(&given).await.unwrap();
    assert!(refusal(&api, insert).await.is_some());
    let insert = insert
        .replace(", proven_off", "")
        .replace(", TRUE", "")
        .replace("'a'", "'b'");
    assert_eq!(refusal(&api, &insert).await, None);
}

/// Covers T2.
#[tokio::test]
async fn a_reader_sees_all_that_commands_show_and_writes_nothing() {
    let bench = Bench::new().await;
    let Some(reader) = bench.as_user(Role::Reader).await else {
        return;
    };
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    let claimed = bench.claim_newest("engine").await;
    assert_eq!(reader.operator_journal().recoveries(true).await.unwrap().len(), 1);
    assert!(
        reader
            .operator_journal()
            .history(claimed.id)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(reader.operator_journal().region().await.unwrap().len(), 1);
    assert!(reader.engine_registry().engines().await.unwrap().is_empty());
    assert!(
        reader
            .operator_journal()
            .muted_reporters()
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        reader.registry().list_notifications(&all()).await.unwrap().len(),
        1
    );
    assert_eq!(reader.engine_registry().backlog().await.unwrap().new, 0);
    assert!(reader.pending().await.unwrap().is_empty());
    let new = stopped("cmp1", bench.clock_wall());
    assert!(
        reader
            .registry()
            .accept_notification(&new, 180, bench.clock_wall())
            .await
            .is_err()
    );
    assert!(
        reader
            .registry()
            .create_segment(&new_segment("s2"))
            .await
            .is_err()
    );
    assert!(
        reader
            .journal()
            .claim_at(claimed.id, claimed.epoch, "me")
            .await
            .is_err()
    );
}

/// Covers T2.
#[tokio::test]
async fn an_old_schema_is_reported_to_a_user_who_may_not_migrate_it() {
    let bench = Bench::new().await;
    let Some(api) = bench.as_user(Role::Api).await else {
        return;
    };
    let newest = bench.store.version().await.unwrap().unwrap();
    let delete = format!("DELETE FROM tachi_migrations WHERE version = '{newest}'");
    bench
        .store
        .db
        .writer()
        .db
        .execute_unprepared(&delete)
        .await
        .unwrap();
    let error = api.migrate().await.unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("tachi db sync") && why.contains(&newest), "{why}");
}

/// Operators' requests to the API, with the API's database user: it removes a monitor, and neither starts another
/// attempt nor unmutes a reporter.
/// Covers T2.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one sequence of events")]
async fn the_api_removes_monitors_and_leaves_actions_that_start_work_to_a_controller() {
    let bench = Bench::new().await;
    let Some(api) = bench.as_user(Role::Api).await else {
        return;
    };
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    let claimed = bench.claim_newest("engine").await;
    let write = Write {
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Failed, None)),
        host: Some(HostWrite {
            host: host.id,
            why: MaintenanceReason::Recovery,
        }),
        ..Write::default()
    };
    let journal = bench.store.journal();
    let written = journal
        .commit_at(claimed.id, claimed.epoch, &write)
        .await
        .unwrap();
    assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
    let steps = bench
        .store
        .operator_journal()
        .steps(claimed.id)
        .await
        .unwrap()
        .len();
    let error = api
        .operator_journal()
        .retry(claimed.id, "alice")
        .await
        .unwrap_err();
    assert!(error.denied, "{error:?}");
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
    assert_eq!(
        bench
            .store
            .operator_journal()
            .steps(claimed.id)
            .await
            .unwrap()
            .len(),
        steps
    );
    let insert = "INSERT INTO reporter_aside (voice, reporter, since, why, aside, unheard) VALUES ('v', '{\"user_id\": \"u\"}', 1, 'why', \
                  TRUE, 0)";
    bench
        .store
        .db
        .writer()
        .db
        .execute_unprepared(insert)
        .await
        .unwrap();
    let listed = api.operator_journal().muted_reporters().await.unwrap();
    let error = api
        .operator_journal()
        .unmute_reporter(listed[0].number)
        .await
        .unwrap_err();
    assert!(error.denied, "{error:?}");
    assert_eq!(
        bench.store.operator_journal().muted_reporters().await.unwrap(),
        listed
    );
    let heartbeat = MonitorHeartbeat {
        host: "cmp1".to_owned(),
        kind: MonitorKind::Host,
        version: "1".to_owned(),
        troubles: std::collections::BTreeMap::new(),
        watches: std::collections::BTreeSet::new(),
        watching: true,
        guests: None,
        notice: None,
        planes: None,
        processes_down: std::collections::BTreeMap::new(),
        boot: Some(Boot {
            id: "boot".to_owned(),
            up: Duration::from_secs(9),
        }),
        local_disks: Some([tachi_domain::ServerId(uuid::Uuid::from_u128(1))].into()),
        shut_down: std::collections::BTreeSet::new(),
        heartbeat_use: HeartbeatUse::Counts,
    };
    let received = ReceivedHeartbeat {
        heartbeat,
        received: Instant::now(),
    };
    api.monitors().store_heartbeats(&[received]).await.unwrap();
    assert!(
        api.monitors()
            .forget_monitor("cmp1", MonitorKind::Host)
            .await
            .unwrap()
    );
    // Commands on a controller use the engine's user.
    let engine = bench.as_user(Role::Engine).await.unwrap();
    let unmuted = engine
        .operator_journal()
        .unmute_reporter(listed[0].number)
        .await
        .unwrap();
    assert_eq!(unmuted.as_ref(), listed.first());
    let begun = engine.operator_journal().retry(claimed.id, "alice").await;
    assert!(matches!(begun, Ok(RetryOutcome::Started { .. })), "{begun:?}");
}
