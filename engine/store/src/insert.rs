//! Inserts of several rows that return them as stored.

use sea_orm::{ColumnTrait as _, DbErr, Iden as _};
use sea_orm::{
    ConnectionTrait as _, DbBackend, EntityTrait as _, FromQueryResult as _, Iterable as _, QueryFilter as _,
    QueryTrait as _,
};

use crate::entity::notification;
use crate::transaction::Tx;

/// Inserts notifications and returns their rows in any order, with the ids from the database and the times in its
/// precision. Uses one round trip if the database supports it.
pub(crate) async fn notifications(
    tx: &Tx,
    rows: Vec<notification::ActiveModel>,
) -> Result<Vec<notification::Model>, DbErr> {
    let uuids: Vec<String> = rows
        .iter()
        .filter_map(|row| row.notification_uuid.try_as_ref().cloned())
        .collect();
    let insert = notification::Entity::insert_many(rows);
    if tx.get_database_backend() == DbBackend::Postgres {
        return insert.exec_with_returning(tx).await;
    }
    if tx.returns_inserted_rows() {
        // The query builder supports no RETURNING for MySQL, which lacks it; MariaDB supports it.
        let mut statement = tx.get_database_backend().build(&insert.into_query());
        let columns: Vec<String> = notification::Column::iter()
            .map(|column| column.to_string())
            .collect();
        statement.sql.push_str(" RETURNING ");
        statement.sql.push_str(&columns.join(", "));
        let rows = tx.query_all_raw(statement).await?;
        return rows
            .iter()
            .map(|row| notification::Model::from_query_result(row, ""))
            .collect();
    }
    insert.exec_without_returning(tx).await?;
    notification::Entity::find()
        .filter(notification::Column::NotificationUuid.is_in(uuids))
        .all(tx)
        .await
}
