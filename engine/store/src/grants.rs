//! The privileges of a server's database users, table by table.
//!
//! An attacker who controls the API can neither claim that a host is off nor act as an engine. One who controls an
//! engine can change no segment and rewrite no proof. The schema belongs to a third user, who runs `tachi db sync`.

use crate::{ServerKind, ServerOptions, Store, StoreError, mariadb, postgres};

/// A user of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `tachi api`.
    Api,
    /// `tachi engine`, and the operators' commands that change data.
    Engine,
    /// Commands that only read.
    Reader,
}

/// The columns of a table that may be written.
#[derive(Clone, Copy)]
enum Columns {
    None,
    Only(&'static [&'static str]),
    All,
}

/// A role's privileges on a table, apart from reading it.
struct Right {
    table: &'static str,
    insert: Columns,
    update: Columns,
    delete: bool,
    /// True if the table's ids come from a sequence.
    numbered: bool,
}

const fn right(table: &'static str, insert: Columns, update: Columns, delete: bool, numbered: bool) -> Right {
    Right {
        table,
        insert,
        update,
        delete,
        numbered,
    }
}

/// All tables. Every role may read all of them: none contains a secret, and the version of the schema can be detected
/// only with all of them.
const TABLES: [&str; 28] = [
    "failover_segments",
    "hosts",
    "notifications",
    "vmoves",
    "recovery",
    "recovery_move",
    "recovery_step",
    "recovery_proof",
    "tachi_action",
    "host_state",
    "host_reservation",
    "instance_restart",
    "tachi_failed_instance",
    "fence_order",
    "fence_machine",
    "reporter_doubt",
    "reporter_aside",
    "tachi_engine",
    "fact",
    "tachi_freeze",
    "tachi_monitor",
    "tachi_local_disk",
    "tachi_job",
    "tachi_refusal",
    "tachi_lock",
    "tachi_meta",
    tachi_migrations::TABLE,
    "masakari_alembic_version",
];

/// The columns of a recovery that a report sets when it opens one.
const OPENED: [&str; 13] = [
    "uuid",
    "notification_uuid",
    "kind",
    "host_uuid",
    "host_name",
    "life",
    "open_key",
    "opened_at",
    "first_reported_at",
    "off_word",
    "reporters",
    "waits_for",
    "waits_since",
];

const API: [Right; 10] = [
    right("failover_segments", Columns::All, Columns::All, false, true),
    right("hosts", Columns::All, Columns::All, false, true),
    right("notifications", Columns::All, Columns::None, false, true),
    // The data with which reports open a recovery and extend it. It excludes the decisions of engines and the actions
    // of operators, even for a recovery that an attacker invents.
    right(
        "recovery",
        Columns::Only(&OPENED),
        Columns::Only(&["off_word", "joined_normal", "reporters"]),
        false,
        true,
    ),
    right("host_state", Columns::All, Columns::All, true, false),
    right(
        "reporter_aside",
        Columns::None,
        Columns::Only(&["unheard"]),
        false,
        true,
    ),
    // The API may write anything into a monitor's row anyway. Operators delete monitors that were decommissioned.
    right("tachi_monitor", Columns::All, Columns::All, true, false),
    // The API alone writes it; engines only read it.
    right("tachi_local_disk", Columns::All, Columns::All, false, false),
    // Only people read this table, and an attacker who controls the API could just as well not record the rejections.
    right("tachi_refusal", Columns::All, Columns::All, true, false),
    right("tachi_lock", Columns::All, Columns::All, false, false),
];

const ENGINE: [Right; 23] = [
    right("notifications", Columns::All, Columns::All, false, true),
    right(
        "hosts",
        Columns::None,
        Columns::Only(&["reserved", "on_maintenance", "updated_at"]),
        false,
        true,
    ),
    right("vmoves", Columns::All, Columns::All, false, true),
    right("recovery", Columns::All, Columns::All, false, true),
    right("recovery_move", Columns::All, Columns::All, false, false),
    // Observations, decisions and proofs are only ever added.
    right("recovery_step", Columns::All, Columns::None, false, true),
    right("recovery_proof", Columns::All, Columns::None, false, true),
    // Operators' actions, and the marks that they were processed.
    right("tachi_action", Columns::All, Columns::All, false, true),
    right("host_state", Columns::All, Columns::All, true, false),
    right("host_reservation", Columns::All, Columns::All, false, true),
    right("instance_restart", Columns::All, Columns::None, false, false),
    // A later recovery that succeeds removes the row.
    right("tachi_failed_instance", Columns::All, Columns::All, true, false),
    right("fence_order", Columns::All, Columns::None, true, true),
    right("fence_machine", Columns::All, Columns::All, true, true),
    right("reporter_doubt", Columns::All, Columns::None, true, true),
    right("reporter_aside", Columns::All, Columns::All, true, true),
    right("tachi_engine", Columns::All, Columns::All, true, false),
    right("fact", Columns::All, Columns::All, true, false),
    right("tachi_freeze", Columns::All, Columns::All, true, true),
    // Operators delete monitors that were decommissioned.
    right("tachi_monitor", Columns::None, Columns::None, true, false),
    right("tachi_job", Columns::All, Columns::All, false, false),
    right("tachi_lock", Columns::All, Columns::All, false, false),
    right("tachi_meta", Columns::All, Columns::None, false, false),
];

impl Role {
    fn rights(self) -> &'static [Right] {
        match self {
            Self::Api => &API,
            Self::Engine => &ENGINE,
            Self::Reader => &[],
        }
    }
}

/// Returns the statements that give `user` exactly the privileges of a role. On `MariaDB` a user belongs to a `host`
/// (`%` for any), and `database` is the one with the tables; `PostgreSQL` uses neither here.
pub fn grants(kind: ServerKind, role: Role, user: &str, host: &str, database: &str) -> Vec<String> {
    let name = |text: &str| match kind {
        ServerKind::MariaDb => format!("`{}`", text.replace('`', "``")),
        ServerKind::Postgres => format!("\"{}\"", text.replace('"', "\"\"")),
    };
    let whom = match kind {
        ServerKind::MariaDb => format!("{}@{}", name(user), name(host)),
        ServerKind::Postgres => name(user),
    };
    let place = |table: &str| match kind {
        ServerKind::MariaDb => format!("{}.{}", name(database), name(table)),
        ServerKind::Postgres => name(table),
    };
    let privilege = |privilege: &str, columns| match columns {
        Columns::None => None,
        Columns::All => Some(privilege.to_owned()),
        Columns::Only(columns) => {
            let columns: Vec<String> = columns.iter().map(|column| name(column)).collect();
            Some(format!("{privilege} ({})", columns.join(", ")))
        }
    };
    let mut statements = Vec::new();
    for table in TABLES {
        let mut privileges = vec!["SELECT".to_owned()];
        let right = role.rights().iter().find(|right| right.table == table);
        if let Some(right) = right {
            privileges.extend(privilege("INSERT", right.insert));
            privileges.extend(privilege("UPDATE", right.update));
            privileges.extend(right.delete.then(|| "DELETE".to_owned()));
            if matches!(right.insert, Columns::Only(_)) {
                // Until 0.10 the privilege covered the whole row. MariaDB revokes only from a user who has some
                // privilege on the table.
                statements.push(format!("GRANT SELECT ON {} TO {whom}", place(table)));
                statements.push(format!("REVOKE INSERT ON {} FROM {whom}", place(table)));
            }
        }
        statements.push(format!(
            "GRANT {} ON {} TO {whom}",
            privileges.join(", "),
            place(table)
        ));
        let numbers = right.is_some_and(|right| right.numbered && !matches!(right.insert, Columns::None));
        if kind == ServerKind::Postgres && numbers {
            let sequence = name(&format!("{table}_id_seq"));
            statements.push(format!("GRANT USAGE ON SEQUENCE {sequence} TO {whom}"));
        }
    }
    statements
}

impl ServerOptions {
    /// Returns the name of the database, if the address contains one.
    pub fn database(&self) -> Option<String> {
        let place = match self.kind {
            ServerKind::MariaDb => mariadb::place(self),
            ServerKind::Postgres => postgres::place(self),
        };
        place?.1
    }
}

impl Store {
    /// Executes statements of [`grants`] as the owner of the schema.
    ///
    /// # Errors
    ///
    /// `Database` for the first statement that was refused. Those before it are in force, and executing them again
    /// changes nothing.
    pub async fn grant(&self, statements: &[String]) -> Result<(), StoreError> {
        use sea_orm::ConnectionTrait as _;
        for statement in statements {
            let given = self.db.writer().db.execute_unprepared(statement).await;
            given.map_err(|error| crate::error::Stop::from(error).store("granting privileges to a user"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

    use super::*;
    use crate::testing::Bench;

    /// A table that a migration adds and that is missing here would stop the services of deployments with two users.
    /// Covers T2.
    #[tokio::test]
    async fn the_grants_know_every_table_of_the_schema_and_no_other() {
        let bench = Bench::new().await;
        if bench.store.db.writer().db.get_database_backend() != DbBackend::Sqlite {
            return;
        }
        let sql =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name";
        let rows = bench
            .store
            .db
            .writer()
            .db
            .query_all_raw(Statement::from_string(DbBackend::Sqlite, sql));
        let mut there: Vec<String> = Vec::new();
        for row in rows.await.unwrap() {
            there.push(row.try_get("", "name").unwrap());
        }
        let mut known = TABLES.to_vec();
        known.sort_unstable();
        assert_eq!(there, known);
    }

    #[test]
    fn grants_name_every_table_once_and_no_name_breaks_out() {
        for kind in [ServerKind::MariaDb, ServerKind::Postgres] {
            for role in [Role::Api, Role::Engine, Role::Reader] {
                let statements = grants(kind, role, "a`\"; DROP", "%", "masakari");
                let (taken, statements): (Vec<_>, Vec<_>) = statements
                    .into_iter()
                    .partition(|statement| statement.starts_with("REVOKE"));
                let of_tables = statements
                    .iter()
                    .filter(|statement| !statement.contains("SEQUENCE"));
                // A privilege on some columns requires a revoke of the whole one, from a user who has a privilege on
                // the table.
                assert_eq!(of_tables.count(), TABLES.len() + taken.len());
                assert_eq!(taken.len(), usize::from(role == Role::Api));
                for statement in &statements {
                    let quoted = match kind {
                        ServerKind::MariaDb => "TO `a``\"; DROP`@`%`",
                        ServerKind::Postgres => "TO \"a`\"\"; DROP\"",
                    };
                    assert!(statement.ends_with(quoted), "{statement}");
                }
                let writes = statements.iter().filter(|statement| {
                    ["INSERT", "UPDATE", "DELETE"]
                        .iter()
                        .any(|privilege| statement.contains(privilege))
                });
                assert_eq!(writes.count(), role.rights().len());
            }
        }
    }
}
