//! Reporters: the one of each notification, and all of each recovery, whose guards count them. NULL in rows of
//! Masakari's own API or an older version.

use sea_orm_migration::prelude::*;

use crate::columns::long_text;
use crate::inspect::columns;
use crate::statement::alter;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const ADDED: [(&str, &str); 2] = [("notifications", "reporter"), ("recovery", "reporters")];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for (table, name) in ADDED {
            let found = columns(db, table).await?;
            if found.iter().any(|there| there == name) {
                continue;
            }
            let mut column = long_text(db.get_database_backend(), name);
            let mut change = Table::alter();
            change.table(table).add_column(&mut column);
            alter(db, &change).await?;
        }
        Ok(())
    }
}
