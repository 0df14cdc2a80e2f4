//! Creating indexes.

use sea_orm_migration::prelude::{DbErr, Index, IndexCreateStatement, SchemaManager};

/// An index that speeds up and forbids nothing.
pub(crate) async fn index(
    manager: &SchemaManager<'_>,
    table: &'static str,
    name: &'static str,
    columns: &[&'static str],
) -> Result<(), DbErr> {
    manager.create_index(over(table, name, columns)).await
}

/// An index that lets each combination of values in once.
pub(crate) async fn unique(
    manager: &SchemaManager<'_>,
    table: &'static str,
    name: &'static str,
    columns: &[&'static str],
) -> Result<(), DbErr> {
    let mut index = over(table, name, columns);
    index.unique();
    manager.create_index(index).await
}

fn over(table: &'static str, name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}
