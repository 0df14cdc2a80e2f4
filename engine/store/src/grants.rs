//! What the users of a server's database need, table by table. Whoever breaks the API can then neither say that a host is off nor
//! give an engine's word, and whoever breaks an engine can change no segment and rewrite no proof. The schema belongs to a third
//! one, who runs `tachi db sync`.

use crate::{ServerKind, ServerOptions, Store, StoreError, mariadb, postgres};

/// Who uses the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `tachi api`.
    Api,
    /// `tachi engine`, and the commands of operators that say or change something.
    Engine,
    /// Commands that only look.
    Reader,
}

/// Which columns of a table may be changed.
#[derive(Clone, Copy)]
enum Columns {
    None,
    Only(&'static [&'static str]),
    All,
}

/// What a role may do to a table beside reading it.
struct Right {
    table: &'static str,
    insert: bool,
    update: Columns,
    delete: bool,
    /// Its ids come from a sequence.
    numbered: bool,
}

const fn right(table: &'static str, insert: bool, update: Columns, delete: bool, numbered: bool) -> Right {
    Right {
        table,
        insert,
        update,
        delete,
        numbered,
    }
}

/// All tables. Everybody reads all of them: none holds a secret, and what the schema is can be told only from all.
const TABLES: [&str; 24] = [
    "failover_segments",
    "hosts",
    "notifications",
    "vmoves",
    "recovery",
    "recovery_move",
    "recovery_step",
    "recovery_proof",
    "host_state",
    "host_reservation",
    "instance_restart",
    "fence_order",
    "fence_machine",
    "reporter_doubt",
    "reporter_aside",
    "tachi_engine",
    "fact",
    "tachi_freeze",
    "tachi_monitor",
    "tachi_job",
    "tachi_lock",
    "tachi_meta",
    tachi_migrations::TABLE,
    "masakari_alembic_version",
];

const API: [Right; 8] = [
    right("failover_segments", true, Columns::All, false, true),
    right("hosts", true, Columns::All, false, true),
    right("notifications", true, Columns::None, false, true),
    // A report that says more than the one that opened the recovery; nothing of what its engine has decided.
    right(
        "recovery",
        true,
        Columns::Only(&["off_word", "joined_normal", "reporters"]),
        false,
        true,
    ),
    right("host_state", true, Columns::All, true, false),
    right("reporter_aside", false, Columns::Only(&["unheard"]), false, true),
    right("tachi_monitor", true, Columns::All, false, false),
    right("tachi_lock", true, Columns::All, false, false),
];

const ENGINE: [Right; 21] = [
    right("notifications", true, Columns::All, false, true),
    right(
        "hosts",
        false,
        Columns::Only(&["reserved", "on_maintenance", "updated_at"]),
        false,
        true,
    ),
    right("vmoves", true, Columns::All, false, true),
    right("recovery", true, Columns::All, false, true),
    right("recovery_move", true, Columns::All, false, false),
    // What was seen, decided and proven is only ever added to.
    right("recovery_step", true, Columns::None, false, true),
    right("recovery_proof", true, Columns::None, false, true),
    right("host_state", true, Columns::All, true, false),
    right("host_reservation", true, Columns::All, false, true),
    right("instance_restart", true, Columns::None, false, false),
    right("fence_order", true, Columns::None, true, true),
    right("fence_machine", true, Columns::All, true, true),
    right("reporter_doubt", true, Columns::None, true, true),
    right("reporter_aside", true, Columns::All, true, true),
    right("tachi_engine", true, Columns::All, true, false),
    right("fact", true, Columns::All, true, false),
    right("tachi_freeze", true, Columns::All, true, true),
    // A person has it forget a monitor that was taken away.
    right("tachi_monitor", false, Columns::None, true, false),
    right("tachi_job", true, Columns::All, false, false),
    right("tachi_lock", true, Columns::All, false, false),
    right("tachi_meta", true, Columns::None, false, false),
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

/// The statements that give `user` what a role needs, and no more. On `MariaDB` the user is one of a `host` (`%` for any), and
/// `database` is whose tables are meant; `PostgreSQL` knows neither here.
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
    let mut statements = Vec::new();
    for table in TABLES {
        let mut words = vec!["SELECT".to_owned()];
        let right = role.rights().iter().find(|right| right.table == table);
        if let Some(right) = right {
            words.extend(right.insert.then(|| "INSERT".to_owned()));
            match right.update {
                Columns::None => {}
                Columns::All => words.push("UPDATE".into()),
                Columns::Only(columns) => {
                    let columns: Vec<String> = columns.iter().map(|column| name(column)).collect();
                    words.push(format!("UPDATE ({})", columns.join(", ")));
                }
            }
            words.extend(right.delete.then(|| "DELETE".to_owned()));
        }
        statements.push(format!(
            "GRANT {} ON {} TO {whom}",
            words.join(", "),
            place(table)
        ));
        let numbers = right.is_some_and(|right| right.insert && right.numbered);
        if kind == ServerKind::Postgres && numbers {
            let sequence = name(&format!("{table}_id_seq"));
            statements.push(format!("GRANT USAGE ON SEQUENCE {sequence} TO {whom}"));
        }
    }
    statements
}

impl ServerOptions {
    /// The name of the database, if the address has one.
    pub fn database(&self) -> Option<String> {
        let place = match self.kind {
            ServerKind::MariaDb => mariadb::place(self),
            ServerKind::Postgres => postgres::place(self),
        };
        place?.1
    }
}

impl Store {
    /// Carries out statements of [`grants`], as the owner of the schema.
    ///
    /// # Errors
    ///
    /// `Database`: the first that was refused; those before it are in force, and giving them again changes nothing.
    pub async fn grant(&self, statements: &[String]) -> Result<(), StoreError> {
        use sea_orm::ConnectionTrait as _;
        for statement in statements {
            let given = self.db.writer().db.execute_unprepared(statement).await;
            given.map_err(|error| crate::error::Stop::from(error).store("giving a user its grants"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

    use super::*;
    use crate::testing::Bench;

    /// A table that a migration adds and that is not here would stop the services of whoever uses two users.
    #[tokio::test]
    async fn t2_the_grants_know_every_table_of_the_schema_and_no_other() {
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
                let of_tables = statements.iter().filter(|one| !one.contains("SEQUENCE"));
                assert_eq!(of_tables.count(), TABLES.len());
                for statement in &statements {
                    let quoted = match kind {
                        ServerKind::MariaDb => "TO `a``\"; DROP`@`%`",
                        ServerKind::Postgres => "TO \"a`\"\"; DROP\"",
                    };
                    assert!(statement.ends_with(quoted), "{statement}");
                }
                let writes = statements.iter().filter(|one| {
                    ["INSERT", "UPDATE", "DELETE"]
                        .iter()
                        .any(|word| one.contains(word))
                });
                assert_eq!(writes.count(), role.rights().len());
            }
        }
    }
}
