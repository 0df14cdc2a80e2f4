//! Creation of indexes.

use sea_orm_migration::prelude::{ConnectionTrait, DbErr, Index, IndexCreateStatement};
use sea_orm_migration::sea_orm::DbBackend;

use crate::inspect::has_index;
use crate::statement::{change, quoted};

/// An index without constraints, for speed only. It is created unless it exists.
pub(crate) struct Plain {
    pub(crate) table: &'static str,
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [&'static str],
}

impl Plain {
    pub(crate) async fn create(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        if has_index(db, self.table, self.name).await? {
            return Ok(());
        }
        let backend = db.get_database_backend();
        // Lists sort NULL first, so the indexes behind them have to, too. The other databases always do.
        let of_a_list = backend == DbBackend::Postgres && self.columns.contains(&"created_at");
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let name = quoted(backend, column);
                if of_a_list && matches!(*column, "created_at" | "id") {
                    format!("{name} ASC NULLS FIRST")
                } else {
                    name
                }
            })
            .collect();
        let sql = format!(
            "CREATE INDEX {} ON {} ({})",
            quoted(backend, self.name),
            quoted(backend, self.table),
            columns.join(", ")
        );
        change(db, &sql).await.map(|_| ())
    }
}

/// Returns the constraint that makes each combination of values unique when the table is created.
pub(crate) fn unique(name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).unique();
    for column in columns {
        index.col(*column);
    }
    index
}
