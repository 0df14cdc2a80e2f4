//! Adoption of databases in every initial state, on every kind of database.

use sea_orm_migration::sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};

use super::crash;
use super::servers::{Bench, benches};
use crate::inspect::{columns, has_index, tables};
use crate::{Migrator, Origin, Report, Revision, SyncError, sync};
use sea_orm_migration::prelude::MigratorTrait as _;

/// Runs Masakari's own migrations on an empty database, up to `revision`, and inserts rows.
async fn masakari(db: &DatabaseConnection, revision: Revision) {
    let backend = db.get_database_backend();
    let (id, enum_method, enum_status) = match backend {
        DbBackend::MySql => (
            "INTEGER NOT NULL AUTO_INCREMENT",
            "ENUM('auto','reserved_host','auto_priority','rh_priority')",
            "ENUM('new','running','error','failed','ignored','finished')",
        ),
        DbBackend::Postgres => ("SERIAL NOT NULL", "recovery_methods", "notification_status"),
        DbBackend::Sqlite | _ => ("INTEGER NOT NULL", "VARCHAR(13)", "VARCHAR(8)"),
    };
    let time = if backend == DbBackend::Postgres {
        "TIMESTAMP WITHOUT TIME ZONE"
    } else {
        "DATETIME"
    };
    let common = format!("created_at {time}, updated_at {time}, deleted_at {time}, deleted INTEGER, id {id}");
    let q = |name: &str| crate::statement::quoted(backend, name);
    let mut script = Vec::new();
    if backend == DbBackend::Postgres {
        script.push(
            "CREATE TYPE recovery_methods AS ENUM ('auto', 'reserved_host', 'auto_priority', 'rh_priority')"
                .to_owned(),
        );
        script.push(
            "CREATE TYPE notification_status AS ENUM ('new', 'running', 'error', 'failed', 'ignored', 'finished')"
                .to_owned(),
        );
    }
    script.extend([
        format!(
            "CREATE TABLE failover_segments ({common}, uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, \
             service_type VARCHAR(255) NOT NULL, description TEXT, recovery_method {enum_method} NOT NULL, \
             enabled BOOLEAN, PRIMARY KEY (id), CONSTRAINT uniq_segment0name0deleted UNIQUE (name, deleted), \
             CONSTRAINT uniq_segments0uuid UNIQUE (uuid))"
        ),
        "CREATE INDEX segments_service_type_idx ON failover_segments (service_type)".to_owned(),
        format!(
            "CREATE TABLE notifications ({common}, notification_uuid VARCHAR(36) NOT NULL, generated_time {time} NOT \
             NULL, source_host_uuid VARCHAR(36) NOT NULL, {} VARCHAR(36) NOT NULL, payload TEXT, status {enum_status} \
             NOT NULL, PRIMARY KEY (id), CONSTRAINT uniq_notification0uuid UNIQUE (notification_uuid))",
            q("type")
        ),
        format!(
            "CREATE TABLE hosts ({common}, uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, reserved BOOLEAN, {} \
             VARCHAR(255) NOT NULL, control_attributes TEXT NOT NULL, failover_segment_id VARCHAR(36) NOT NULL, \
             on_maintenance BOOLEAN, PRIMARY KEY (id), FOREIGN KEY (failover_segment_id) REFERENCES failover_segments (uuid), \
             CONSTRAINT uniq_host0name0deleted UNIQUE (name, deleted), CONSTRAINT uniq_host0uuid UNIQUE (uuid))",
            q("type")
        ),
        "CREATE TABLE masakari_alembic_version (version_num VARCHAR(32) NOT NULL, \
         CONSTRAINT masakari_alembic_version_pkc PRIMARY KEY (version_num))"
            .to_owned(),
        format!("INSERT INTO masakari_alembic_version VALUES ('{revision}')"),
        "INSERT INTO failover_segments (created_at, deleted, uuid, name, service_type, enabled, recovery_method) \
         VALUES ('2026-01-01 00:00:00', 0, 'u-segment', 'Säule 京', 'COMPUTE', NULL, 'auto')"
            .to_owned(),
        format!(
            "INSERT INTO hosts (created_at, deleted, uuid, name, reserved, {}, control_attributes, \
             failover_segment_id, on_maintenance) \
             VALUES ('2026-01-01 00:00:00', 0, 'u-host', 'cmp1', NULL, 'COMPUTE', 'SSH', 'u-segment', NULL)",
            q("type")
        ),
    ]);
    for (uuid, host) in [("u-one", "u-host"), ("u-two", "u-purged-host")] {
        script.push(format!(
            "INSERT INTO notifications (created_at, deleted, notification_uuid, generated_time, source_host_uuid, {}, \
             payload, status) VALUES ('2026-01-01 00:00:00', 0, '{uuid}', '2026-01-01 00:00:00', '{host}', \
             'COMPUTE_HOST', '{{}}', 'finished')",
            q("type")
        ));
    }
    if revision >= Revision::Vmoves {
        script.push(format!(
            "CREATE TABLE vmoves ({common}, uuid VARCHAR(36) NOT NULL, notification_uuid VARCHAR(36) NOT NULL, \
             instance_uuid VARCHAR(36) NOT NULL, instance_name VARCHAR(255) NOT NULL, source_host VARCHAR(255), \
             dest_host VARCHAR(255), start_time {time}, end_time {time}, {} VARCHAR(36), status VARCHAR(255), \
             message TEXT, PRIMARY KEY (id), CONSTRAINT uniq_vmove0uuid UNIQUE (uuid))",
            q("type")
        ));
        script.push(
            "INSERT INTO vmoves (deleted, uuid, notification_uuid, instance_uuid, instance_name) \
             VALUES (0, 'u-vmove', 'u-one', 'u-instance', 'größe')"
                .to_owned(),
        );
    }
    if revision >= Revision::Messages {
        script.push("ALTER TABLE notifications ADD COLUMN failover_segment_uuid VARCHAR(36)".to_owned());
        script.push("ALTER TABLE notifications ADD COLUMN message TEXT".to_owned());
    }
    for sql in script {
        db.execute_unprepared(&sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

async fn texts(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    crate::statement::texts(db, sql).await.unwrap()
}

/// Returns our tables' definitions from the database's catalogue, in a comparable form.
async fn schema(db: &DatabaseConnection) -> Vec<String> {
    let sql = match db.get_database_backend() {
        DbBackend::MySql => {
            "SELECT CAST(CONCAT_WS(' ', table_name, column_name, column_type, is_nullable, collation_name) AS CHAR) \
             FROM information_schema.columns WHERE table_schema = DATABASE() \
             AND table_name NOT IN ('masakari_alembic_version', 'tachi_migrations') \
             UNION ALL SELECT CAST(CONCAT_WS(' ', table_name, engine, row_format) AS CHAR) \
             FROM information_schema.tables WHERE table_schema = DATABASE() \
             UNION ALL SELECT CAST(CONCAT_WS(' ', table_name, constraint_name, column_name, referenced_table_name) AS CHAR) \
             FROM information_schema.key_column_usage WHERE table_schema = DATABASE() \
             UNION ALL SELECT CAST(CONCAT_WS(' ', table_name, index_name, seq_in_index, column_name, non_unique) AS CHAR) \
             FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name <> 'failover_segment_id' \
             AND index_name NOT LIKE '%\\_ibfk\\_%' ORDER BY 1"
        }
        DbBackend::Postgres => {
            "SELECT CAST(concat_ws(' ', table_name, column_name, udt_name, is_nullable) AS text) \
             FROM information_schema.columns WHERE table_schema = 'public' \
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
             UNION ALL SELECT CAST(concat_ws(' ', conrelid::regclass, conname, contype) AS text) FROM pg_constraint \
             WHERE connamespace = 'public'::regnamespace \
             UNION ALL SELECT CAST(concat_ws(' ', seqrelid::regclass, seqtypid::regtype) AS text) FROM pg_sequence ORDER BY 1"
        }
        DbBackend::Sqlite | _ => {
            "SELECT m.name || ' ' || p.name || ' ' || p.\"notnull\" FROM sqlite_master m, pragma_table_info(m.name) p \
              WHERE m.type = 'table' AND p.name <> 'id' AND m.name NOT LIKE 'sqlite%' \
              UNION ALL SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite%' ORDER BY 1"
        }
    };
    texts(db, sql).await
}

/// Returns all rows of Masakari's tables.
async fn rows(db: &DatabaseConnection) -> Vec<String> {
    let text = |column: &str| format!("CAST({column} AS CHAR(80))");
    let sql = format!(
        "SELECT CONCAT_WS('|', {}, name, {}, deleted) FROM failover_segments \
         UNION ALL SELECT CONCAT_WS('|', {}, uuid, name, failover_segment_id) FROM hosts \
         UNION ALL SELECT CONCAT_WS('|', {}, notification_uuid, {}, payload, status) FROM notifications ORDER BY 1",
        text("id"),
        text("created_at"),
        text("id"),
        text("id"),
        text("generated_time"),
    );
    let sql = if db.get_database_backend() == DbBackend::Sqlite {
        // SQLite has no CONCAT_WS before 3.44. The compared values are never NULL.
        "SELECT id || '|' || name || '|' || created_at || '|' || deleted FROM failover_segments \
         UNION ALL SELECT id || '|' || uuid || '|' || name || '|' || failover_segment_id FROM hosts \
         UNION ALL SELECT id || '|' || notification_uuid || '|' || generated_time || '|' || payload || '|' || status \
         FROM notifications ORDER BY 1"
            .to_owned()
    } else if db.get_database_backend() == DbBackend::Postgres {
        sql.replace("CAST(id AS CHAR(80))", "id")
            .replace("CAST(created_at AS CHAR(80))", "created_at")
            .replace("CAST(generated_time AS CHAR(80))", "generated_time")
    } else {
        sql
    };
    texts(db, &sql)
        .await
        .into_iter()
        .map(|row| row.trim_end_matches(".000000").replace(".000000|", "|"))
        .collect()
}

const REVISIONS: [Revision; 3] = [Revision::Initial, Revision::Vmoves, Revision::Messages];

async fn all_is_well(db: &DatabaseConnection, case: &str) {
    assert_eq!(crate::pending(db).await.unwrap(), Vec::<String>::new(), "{case}");
    let note = texts(db, "SELECT version_num FROM masakari_alembic_version").await;
    assert_eq!(note, [Revision::HEAD.id()], "{case}");
    for (table, index) in [
        ("notifications", "tachi_notification_list_idx"),
        ("vmoves", "tachi_vmove_list_idx"),
        ("recovery_proof", "tachi_proof_recovery_idx"),
        ("host_reservation", "tachi_reservation_recovery_idx"),
        ("hosts", "hosts_type_idx"),
    ] {
        assert!(has_index(db, table, index).await.unwrap(), "{case}: {index}");
    }
}

#[tokio::test]
async fn an_empty_database_gets_everything_and_a_second_time_nothing() {
    for bench in benches().await {
        let db = bench.connect().await;
        let case = format!("{:?}", bench.backend);
        let report = sync(&db).await.unwrap();
        assert_eq!(report.origin, Origin::default(), "{case}");
        assert_eq!(report.applied.len(), Migrator::migrations().len(), "{case}");
        assert!(!report.taken_over(), "{case}");
        all_is_well(&db, &case).await;
        let before = schema(&db).await;
        let report = sync(&db).await.unwrap();
        assert!(report.applied.is_empty(), "{case}");
        assert_eq!(report.origin.masakari, Some(Revision::HEAD), "{case}");
        assert_eq!(report.origin.tachi, crate::version(&db).await.unwrap(), "{case}");
        assert_eq!(schema(&db).await, before, "{case}");
        db.close().await.unwrap();
        bench.remove().await;
    }
}

/// Covers EW21.
#[tokio::test]
async fn each_revision_of_masakari_becomes_what_an_empty_database_becomes() {
    for revision in REVISIONS {
        for (bench, fresh) in benches().await.into_iter().zip(benches().await) {
            let case = format!("{revision} on {:?}", bench.backend);
            let (db, new) = (bench.connect().await, fresh.connect().await);
            sync(&new).await.unwrap();
            masakari(&db, revision).await;
            let before = rows(&db).await;
            let report = sync(&db).await.unwrap();
            assert!(report.taken_over(), "{case}");
            assert_eq!(report.origin.masakari, Some(revision), "{case}");
            assert_eq!(report.row_counts.notifications, 2, "{case}");
            assert_eq!(
                report.row_counts.vmoves,
                i64::from(revision >= Revision::Vmoves),
                "{case}"
            );
            assert_eq!(rows(&db).await, before, "{case}");
            assert_eq!(schema(&db).await, schema(&new).await, "{case}");
            all_is_well(&db, &case).await;
            filled_in(&db, &report, &case).await;
            for (bench, db) in [(bench, db), (fresh, new)] {
                db.close().await.unwrap();
                bench.remove().await;
            }
        }
    }
}

/// Checks values that Masakari left NULL: a notification's segment comes from its host, if there is one.
async fn filled_in(db: &DatabaseConnection, report: &Report, case: &str) {
    let segments =
        "SELECT COALESCE(failover_segment_uuid, '-') FROM notifications ORDER BY notification_uuid";
    assert_eq!(texts(db, segments).await, ["u-segment", "-"], "{case}");
    for (table, column, expected) in [
        ("failover_segments", "enabled", true),
        ("hosts", "reserved", false),
        ("hosts", "on_maintenance", false),
    ] {
        let sql = format!("SELECT {column} FROM {table}");
        let statement = Statement::from_string(db.get_database_backend(), sql);
        let row = db.query_one_raw(statement).await.unwrap().unwrap();
        let value: Option<bool> = row.try_get_by_index(0).unwrap();
        assert_eq!(value, Some(expected), "{case}: {column}");
    }
    assert_eq!(report.filled.total(), 4, "{case}: {:?}", report.filled);
    assert_eq!(sync(db).await.unwrap().filled.total(), 0, "{case}");
}

#[tokio::test]
async fn a_return_to_masakari_and_back_is_filled_in_again() {
    for bench in benches().await {
        let db = bench.connect().await;
        masakari(&db, Revision::Messages).await;
        sync(&db).await.unwrap();
        db.execute_unprepared("UPDATE hosts SET reserved = NULL")
            .await
            .unwrap();
        assert_eq!(sync(&db).await.unwrap().filled.hosts_reserved, 1);
        db.close().await.unwrap();
        bench.remove().await;
    }
}

/// Covers C17.
#[tokio::test]
async fn maintenance_of_a_host_recovered_by_masakari_is_no_operators_decision() {
    let at = |minute: u32| format!("'2026-01-01 00:{minute:02}:00'");
    for bench in benches().await {
        let db = bench.connect().await;
        masakari(&db, Revision::Messages).await;
        let column = crate::statement::quoted(db.get_database_backend(), "type");
        // Name, last change, and the notification's type, status, creation and end.
        let hosts = [
            ("recovered", 5, "COMPUTE_HOST", "finished", 4, 9),
            ("by-an-operator", 20, "COMPUTE_HOST", "finished", 4, 9),
            ("failed", 5, "COMPUTE_HOST", "failed", 4, 9),
            ("process", 5, "PROCESS", "finished", 4, 9),
            ("instance", 5, "VM", "finished", 4, 9),
        ];
        for (name, changed, kind, status, came, over) in hosts {
            for sql in [
                format!(
                    "INSERT INTO hosts (created_at, updated_at, deleted, uuid, name, reserved, {column}, \
                     control_attributes, failover_segment_id, on_maintenance) VALUES ({}, {}, 0, '{name}', '{name}', \
                     FALSE, 'COMPUTE', 'SSH', 'u-segment', TRUE)",
                    at(0),
                    at(changed)
                ),
                format!(
                    "INSERT INTO notifications (created_at, updated_at, deleted, notification_uuid, generated_time, \
                     source_host_uuid, {column}, payload, status) VALUES ({}, {}, 0, 'n-{name}', {}, '{name}', '{kind}', \
                     '{{}}', '{status}')",
                    at(came),
                    at(over),
                    at(came)
                ),
            ] {
                db.execute_unprepared(&sql).await.unwrap();
            }
        }
        let report = sync(&db).await.unwrap();
        assert_eq!(report.filled.hosts_recovered, 2);
        let known = "SELECT why FROM host_state ORDER BY host_uuid";
        assert_eq!(texts(&db, known).await, ["process", "recovery"]);
        assert_eq!(
            sync(&db).await.unwrap().filled.hosts_recovered,
            0,
            "a second time nothing"
        );
        db.close().await.unwrap();
        bench.remove().await;
    }
}

#[tokio::test]
async fn slow_after_a_crash_while_creating_the_next_try_finishes() {
    crash_everywhere(None).await;
}

#[tokio::test]
async fn slow_after_a_crash_while_taking_over_the_next_try_finishes() {
    crash_everywhere(Some(Revision::Initial)).await;
}

/// Crashes a migration after each statement on `MariaDB`. The other databases roll back completely, so a few crashes
/// are enough there.
async fn crash_everywhere(masakaris: Option<Revision>) {
    let old = "ALTER DATABASE CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci";
    let today = "ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci";
    for (bench, fresh) in benches().await.into_iter().zip(benches().await) {
        let new = fresh.connect().await;
        sync(&new).await.unwrap();
        let expected_schema = schema(&new).await;
        new.close().await.unwrap();
        let step = if bench.backend == DbBackend::MySql { 1 } else { 7 };
        for at in (0..200).step_by(step) {
            let case = format!("{masakaris:?} on {:?} after {at}", bench.backend);
            let db = bench.connect().await;
            if let Some(revision) = masakaris {
                let on_maria = bench.backend == DbBackend::MySql;
                db.execute_unprepared(if on_maria { old } else { "SELECT 1" })
                    .await
                    .unwrap();
                masakari(&db, revision).await;
                db.execute_unprepared(if on_maria { today } else { "SELECT 1" })
                    .await
                    .unwrap();
            }
            let crashed = crash::after(at, sync(&db)).await.is_err();
            // Another process, because the crashed one has lost its connection.
            db.close().await.unwrap();
            let db = bench.connect().await;
            let report = sync(&db).await.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(report.row_counts.hosts, i64::from(masakaris.is_some()), "{case}");
            all_is_well(&db, &case).await;
            assert_eq!(schema(&db).await, expected_schema, "{case}");
            db.close().await.unwrap();
            bench.empty().await;
            if !crashed {
                assert!(at > 14, "only {at} statements");
                break;
            }
        }
        bench.remove().await;
        fresh.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_processes_may_take_over_at_the_same_time() {
    for bench in benches().await {
        let case = format!("{:?}", bench.backend);
        let db = bench.connect().await;
        masakari(&db, Revision::Vmoves).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let db = bench.connect().await;
            tasks.spawn(async move {
                let report = sync(&db).await;
                db.close().await.unwrap();
                report
            });
        }
        let mut taken_over = 0;
        while let Some(report) = tasks.join_next().await {
            let report = report.unwrap().unwrap_or_else(|error| {
                panic!("{case}: {error}: {:?}", std::error::Error::source(&error));
            });
            taken_over += u32::from(report.taken_over());
        }
        assert_eq!(taken_over, 1, "{case}");
        all_is_well(&db, &case).await;
        db.close().await.unwrap();
        bench.remove().await;
    }
}

async fn refused(bench: &Bench, statements: &[&str]) -> (String, bool) {
    let db = bench.connect().await;
    for sql in statements {
        db.execute_unprepared(sql).await.unwrap();
    }
    let before = (tables(&db).await.unwrap(), columns(&db, "hosts").await.unwrap());
    let error = sync(&db).await.unwrap_err();
    let ours = matches!(error, SyncError::Unknown { .. } | SyncError::Newer { .. });
    assert!(ours, "{error:?}");
    let after = (tables(&db).await.unwrap(), columns(&db, "hosts").await.unwrap());
    db.close().await.unwrap();
    (error.to_string(), before == after)
}

#[tokio::test]
async fn an_unknown_database_is_left_unchanged() {
    let cases: &[(&str, &[&str], &str)] = &[
        (
            "a third party's",
            &["CREATE TABLE instances (id INT)", "CREATE TABLE cells (id INT)"],
            "2 tables that are not Masakari's (cells, instances)",
        ),
        (
            "hosts of somebody else",
            &[
                "CREATE TABLE hosts (id INT, name VARCHAR(9))",
                "CREATE TABLE masakari_alembic_version (version_num VARCHAR(32))",
            ],
            "no revision in masakari_alembic_version or migrate_version",
        ),
        (
            "a revision of the future",
            &[
                "CREATE TABLE masakari_alembic_version (version_num VARCHAR(32))",
                "INSERT INTO masakari_alembic_version VALUES ('feedc0ffee00')",
            ],
            "feedc0ffee00",
        ),
        (
            "several revisions",
            &[
                "CREATE TABLE masakari_alembic_version (version_num VARCHAR(32))",
                "INSERT INTO masakari_alembic_version VALUES ('8f848eb45d03'), ('8bdf5929c5a6')",
            ],
            "several revisions",
        ),
        (
            "too old",
            &[
                "CREATE TABLE migrate_version (version INT)",
                "INSERT INTO migrate_version VALUES (6)",
            ],
            "too old",
        ),
        (
            "a fork",
            &[
                "CREATE TABLE migrate_version (version INT)",
                "INSERT INTO migrate_version VALUES (9)",
            ],
            "no Masakari release",
        ),
        (
            "half a dump",
            &[
                "CREATE TABLE masakari_alembic_version (version_num VARCHAR(32))",
                "INSERT INTO masakari_alembic_version VALUES ('8f848eb45d03')",
            ],
            "no table failover_segments",
        ),
        (
            "another's recovery",
            &["CREATE TABLE recovery (id INT)"],
            "no tachi_migrations",
        ),
        (
            "a later version's",
            &[
                "CREATE TABLE tachi_migrations (version VARCHAR(255), applied_at BIGINT)",
                "INSERT INTO tachi_migrations VALUES ('m20991231_0001_later', 0)",
            ],
            "m20991231_0001_later",
        ),
        (
            "a table that lost columns",
            &[
                "CREATE TABLE tachi_migrations (version VARCHAR(255), applied_at BIGINT)",
                "CREATE TABLE hosts (id INT, uuid VARCHAR(36))",
            ],
            "hosts is not Masakari's: it has no column created_at",
        ),
    ];
    for (case, statements, expected) in cases {
        for bench in benches().await {
            let (text, untouched) = refused(&bench, statements).await;
            assert!(text.contains(expected), "{case} on {:?}: {text}", bench.backend);
            assert!(untouched, "{case} on {:?}", bench.backend);
            bench.remove().await;
        }
    }
}

#[tokio::test]
async fn tables_of_the_workflow_library_are_accepted() {
    for bench in benches().await {
        let db = bench.connect().await;
        db.execute_unprepared("CREATE TABLE logbooks (id INT)")
            .await
            .unwrap();
        sync(&db).await.unwrap();
        assert!(tables(&db).await.unwrap().contains(&"logbooks".to_owned()));
        db.close().await.unwrap();
        bench.remove().await;
    }
}

#[tokio::test]
async fn versions_before_alembic_are_understood() {
    for (version, revision) in [(7, Revision::Initial), (8, Revision::Vmoves)] {
        for bench in benches().await {
            let db = bench.connect().await;
            masakari(&db, revision).await;
            for sql in [
                "DROP TABLE masakari_alembic_version".to_owned(),
                "CREATE TABLE migrate_version (version INT)".to_owned(),
                format!("INSERT INTO migrate_version VALUES ({version})"),
            ] {
                db.execute_unprepared(&sql).await.unwrap();
            }
            let report = sync(&db).await.unwrap();
            assert_eq!(report.origin.masakari, Some(revision));
            all_is_well(&db, "legacy").await;
            db.close().await.unwrap();
            bench.remove().await;
        }
    }
}

#[tokio::test]
async fn a_database_of_old_character_sets_takes_any_name_afterwards() {
    for bench in benches()
        .await
        .into_iter()
        .filter(|bench| bench.backend == DbBackend::MySql)
    {
        let db = bench.connect().await;
        db.execute_unprepared("ALTER DATABASE CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_ci")
            .await
            .unwrap();
        masakari(&db, Revision::Initial).await;
        // The server was upgraded in between, and creates tables differently now.
        db.execute_unprepared("ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            .await
            .unwrap();
        sync(&db).await.unwrap();
        let collations = texts(
            &db,
            "SELECT DISTINCT CAST(collation_name AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() \
             AND collation_name IS NOT NULL AND table_name NOT IN ('tachi_migrations', 'masakari_alembic_version')",
        )
        .await;
        assert_eq!(collations, ["utf8mb4_unicode_ci"]);
        let long = "🚀".repeat(40_000);
        db.execute_unprepared(&format!("UPDATE notifications SET message = '{long}'"))
            .await
            .unwrap();
        let joined = "SELECT COUNT(*) FROM recovery r JOIN notifications n ON n.notification_uuid = r.notification_uuid";
        assert_eq!(crate::statement::number(&db, joined).await.unwrap(), 0);
        db.close().await.unwrap();
        bench.remove().await;
    }
}
