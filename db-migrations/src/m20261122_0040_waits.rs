//! Blockers of recoveries and moves, and abandoned Nova records, in separate columns. The store fills them in for
//! rows that older versions have finished; an engine writes them for open ones with its first decision.

use sea_orm_migration::prelude::*;

use crate::columns::{long_text, text_or_null};
use crate::indexes::Plain;
use crate::inspect::columns;
use crate::statement::alter;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: [Plain; 2] = [
    Plain {
        table: "recovery",
        name: "tachi_recovery_waits_idx",
        columns: &["waits_for"],
    },
    Plain {
        table: "recovery_move",
        name: "tachi_move_waits_idx",
        columns: &["waits_for"],
    },
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let backend = db.get_database_backend();
        for table in ["recovery", "recovery_move"] {
            let found = columns(db, table).await?;
            let mut new_columns = vec![
                ("waits_for", text_or_null("waits_for", 32)),
                ("waits_on", long_text(backend, "waits_on")),
                (
                    "waits_since",
                    ColumnDef::new("waits_since").big_integer().to_owned(),
                ),
            ];
            if table == "recovery_move" {
                new_columns.push(("written_off", long_text(backend, "written_off")));
                new_columns.push(("may_run", long_text(backend, "may_run")));
                new_columns.push(("seen_to", long_text(backend, "seen_to")));
            }
            for (name, column) in new_columns {
                if found.iter().any(|there| there == name) {
                    continue;
                }
                let mut change = Table::alter();
                change.table(table).add_column(column);
                alter(db, &change).await?;
            }
        }
        for index in INDEXES {
            index.create(db).await?;
        }
        Ok(())
    }
}
