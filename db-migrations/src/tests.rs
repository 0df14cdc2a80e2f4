use std::path::Path;

use sea_orm_migration::sea_orm::{Database, DatabaseConnection, DbBackend, Statement};

use super::*;

mod adoption;
pub(crate) mod crash;
mod servers;

async fn memory() -> DatabaseConnection {
    Database::connect("sqlite::memory:").await.unwrap()
}

async fn texts(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    let rows = db
        .query_all_raw(Statement::from_string(DbBackend::Sqlite, sql))
        .await
        .unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn schema(db: &DatabaseConnection) -> Vec<String> {
    texts(
        db,
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name",
    )
    .await
}

/// Returns name, type and NOT NULL of each column, in any order.
async fn columns(db: &DatabaseConnection, table: &str) -> Vec<String> {
    let sql = format!("SELECT name || ' ' || \"notnull\" FROM pragma_table_info('{table}') ORDER BY 1");
    texts(db, &sql).await
}

/// The tables of Masakari's first migration on `SQLite`.
const FIRST_REVISION: &[&str] = &[
    "CREATE TABLE failover_segments (created_at DATETIME, updated_at DATETIME, deleted_at DATETIME, deleted INTEGER, \
     id INTEGER NOT NULL, uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, service_type VARCHAR(255) NOT NULL, \
     enabled BOOLEAN, description TEXT, recovery_method VARCHAR(13) NOT NULL, PRIMARY KEY (id), \
     CONSTRAINT uniq_segment0name0deleted UNIQUE (name, deleted), CONSTRAINT uniq_segments0uuid UNIQUE (uuid))",
    "CREATE INDEX segments_service_type_idx ON failover_segments (service_type)",
    "CREATE TABLE hosts (created_at DATETIME, updated_at DATETIME, deleted_at DATETIME, deleted INTEGER, \
     id INTEGER NOT NULL, uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, reserved BOOLEAN, \
     type VARCHAR(255) NOT NULL, control_attributes TEXT NOT NULL, failover_segment_id VARCHAR(36) NOT NULL, \
     on_maintenance BOOLEAN, PRIMARY KEY (id), FOREIGN KEY(failover_segment_id) REFERENCES failover_segments (uuid), \
     CONSTRAINT uniq_host0name0deleted UNIQUE (name, deleted), CONSTRAINT uniq_host0uuid UNIQUE (uuid))",
    "CREATE INDEX hosts_type_idx ON hosts (type)",
    "CREATE TABLE notifications (created_at DATETIME, updated_at DATETIME, deleted_at DATETIME, deleted INTEGER, \
     id INTEGER NOT NULL, notification_uuid VARCHAR(36) NOT NULL, generated_time DATETIME NOT NULL, \
     source_host_uuid VARCHAR(36) NOT NULL, type VARCHAR(36) NOT NULL, payload TEXT, status VARCHAR(8) NOT NULL, \
     PRIMARY KEY (id), CONSTRAINT uniq_notification0uuid UNIQUE (notification_uuid))",
    "CREATE TABLE masakari_alembic_version (version_num VARCHAR(32) NOT NULL)",
    "INSERT INTO masakari_alembic_version VALUES ('8f848eb45d03')",
    "INSERT INTO failover_segments (created_at, deleted, id, uuid, name, service_type, enabled, recovery_method) \
     VALUES ('2026-01-01 00:00:00.000000', 0, 7, 'u-segment', 's1', 'COMPUTE', 1, 'auto')",
    "INSERT INTO hosts (created_at, deleted, id, uuid, name, reserved, type, control_attributes, \
     failover_segment_id, on_maintenance) \
     VALUES ('2026-01-01 00:00:00.000000', 0, 9, 'u-host', 'cmp1', 0, 'COMPUTE', 'SSH', 'u-segment', 0)",
    "INSERT INTO notifications (created_at, deleted, id, notification_uuid, generated_time, source_host_uuid, type, \
     payload, status) VALUES ('2026-01-01 00:00:00.000000', 0, 11, 'u-notification', '2026-01-01 00:00:00.123456', \
     'u-host', 'COMPUTE_HOST', '{\"event\": \"STOPPED\"}', 'finished')",
];

/// The additions of its later migrations.
const LAST_REVISION: &[&str] = &[
    "CREATE TABLE vmoves (created_at DATETIME, updated_at DATETIME, deleted_at DATETIME, deleted INTEGER, \
     id INTEGER NOT NULL, uuid VARCHAR(36) NOT NULL, notification_uuid VARCHAR(36) NOT NULL, \
     instance_uuid VARCHAR(36) NOT NULL, instance_name VARCHAR(255) NOT NULL, source_host VARCHAR(255), \
     dest_host VARCHAR(255), start_time DATETIME, end_time DATETIME, type VARCHAR(36), status VARCHAR(255), \
     message TEXT, PRIMARY KEY (id), CONSTRAINT uniq_vmove0uuid UNIQUE (uuid))",
    "ALTER TABLE notifications ADD COLUMN failover_segment_uuid VARCHAR(36)",
    "ALTER TABLE notifications ADD COLUMN message TEXT",
    "UPDATE notifications SET message = 'kept', failover_segment_uuid = 'u-segment'",
];

#[tokio::test]
async fn running_twice_changes_nothing() {
    let db = memory().await;
    assert_eq!(version(&db).await.unwrap(), None);
    let all = pending(&db).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    let once = schema(&db).await;
    Migrator::up(&db, None).await.unwrap();
    assert_eq!(schema(&db).await, once);
    assert_eq!(version(&db).await.unwrap(), all.last().cloned());
    assert!(pending(&db).await.unwrap().is_empty());
    assert_eq!(
        texts(&db, "SELECT version FROM tachi_migrations ORDER BY 1").await,
        all
    );
}

#[tokio::test]
async fn migrations_one_by_one_lead_to_the_same_schema() {
    let (whole, stepwise) = (memory().await, memory().await);
    Migrator::up(&whole, None).await.unwrap();
    for name in pending(&stepwise).await.unwrap() {
        Migrator::up(&stepwise, Some(1)).await.unwrap();
        assert_eq!(version(&stepwise).await.unwrap(), Some(name));
    }
    assert_eq!(schema(&stepwise).await, schema(&whole).await);
}

#[test]
fn names_are_those_of_the_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.strip_suffix(".rs").map(str::to_owned))
        .filter(|file| file.starts_with('m'))
        .collect();
    files.sort();
    let names: Vec<String> = Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect();
    assert_eq!(names, files);
}

#[tokio::test]
async fn an_existing_masakari_database_is_taken_over_without_loss() {
    let fresh = memory().await;
    Migrator::up(&fresh, None).await.unwrap();
    for (case, revisions) in [
        ("first revision", vec![FIRST_REVISION]),
        ("last revision", vec![FIRST_REVISION, LAST_REVISION]),
    ] {
        let db = memory().await;
        for statement in revisions.iter().copied().flatten() {
            db.execute_unprepared(statement).await.unwrap();
        }
        sync(&db).await.unwrap();
        for table in ["failover_segments", "hosts", "notifications", "vmoves"] {
            let names = |columns: Vec<String>| -> Vec<String> {
                // An id that is the primary key is never NULL, whatever the schema declares.
                columns
                    .into_iter()
                    .filter(|column| !column.starts_with("id "))
                    .collect()
            };
            assert_eq!(
                names(columns(&db, table).await),
                names(columns(&fresh, table).await),
                "{case}: {table}"
            );
        }
        let kept = "SELECT s.id || s.name || h.id || h.name || n.id || n.generated_time || n.payload \
                    FROM failover_segments s, hosts h, notifications n";
        let row = "7s19cmp1112026-01-01 00:00:00.123456{\"event\": \"STOPPED\"}";
        assert_eq!(texts(&db, kept).await, [row], "{case}");
        let alembic = texts(&db, "SELECT version_num FROM masakari_alembic_version").await;
        assert_eq!(alembic, ["13adff5efb9a"], "{case}");
        let message = texts(&db, "SELECT COALESCE(message, '-') FROM notifications").await;
        let expected = if revisions.len() == 2 { "kept" } else { "-" };
        assert_eq!(message, [expected], "{case}");
    }
}

#[tokio::test]
async fn constraints_are_masakaris() {
    let db = memory().await;
    Migrator::up(&db, None).await.unwrap();
    let segment = |uuid: &str, name: &str, method: &str, deleted: u8| {
        format!(
            "INSERT INTO failover_segments (uuid, name, service_type, recovery_method, deleted) \
             VALUES ('{uuid}', '{name}', 'COMPUTE', '{method}', {deleted})"
        )
    };
    let host = |segment: &str| {
        format!(
            "INSERT INTO hosts (uuid, name, type, control_attributes, failover_segment_id) \
             VALUES ('h{segment}', 'h{segment}', 'COMPUTE', 'SSH', '{segment}')"
        )
    };
    let cases = [
        ("the first", segment("a", "s", "auto", 0), true),
        ("its name", segment("b", "s", "auto", 0), false),
        ("its name, deleted", segment("b", "s", "auto", 5), true),
        ("its uuid", segment("a", "t", "auto", 0), false),
        ("an unknown method", segment("c", "u", "magic", 0), false),
        ("a host of it", host("a"), true),
        ("a host of no segment", host("z"), false),
    ];
    for (case, sql, accepted) in cases {
        assert_eq!(db.execute_unprepared(&sql).await.is_ok(), accepted, "{case}");
    }
    let defaults = texts(&db, "SELECT reserved || on_maintenance || deleted FROM hosts").await;
    assert_eq!(defaults, ["000"]);
}

#[tokio::test]
async fn ids_are_never_used_again() {
    let db = memory().await;
    Migrator::up(&db, None).await.unwrap();
    let insert = "INSERT INTO failover_segments (uuid, name, service_type, recovery_method) \
                  VALUES ('a', 's', 'COMPUTE', 'auto')";
    for id in ["1", "2"] {
        db.execute_unprepared(insert).await.unwrap();
        assert_eq!(
            texts(&db, "SELECT CAST(id AS TEXT) FROM failover_segments").await,
            [id]
        );
        db.execute_unprepared("DELETE FROM failover_segments")
            .await
            .unwrap();
    }
}
