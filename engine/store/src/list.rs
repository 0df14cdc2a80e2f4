//! One page of a list, by keyset: the rows after the marker's row in the requested order, even if rows were added or
//! removed meanwhile.
//!
//! Columns may contain NULL. It counts as the smallest value, as on `SQLite` and `MariaDB`.

use sea_orm::sea_query::{
    ColumnType, ExprTrait as _, Func, NullOrdering, Query, SelectStatement, SimpleExpr,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, IdenStatic as _, Iterable as _, Order,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use tachi_engine::ports::RegistryError;
use tachi_engine::ports::registry::SortKey;

use crate::error::{Failure, Stop};

/// The order and the section of a list.
pub(crate) struct PageQuery<'a, E: EntityTrait> {
    /// The integer primary key.
    pub(crate) id: E::Column,
    /// The column that is zero unless the row is deleted.
    pub(crate) deleted: E::Column,
    /// See `Page::sort`.
    pub(crate) sort: &'a [SortKey],
    /// See `Page::marker`.
    pub(crate) marker: Option<i64>,
    /// See `Page::limit`.
    pub(crate) limit: u64,
}

impl<E: EntityTrait> PageQuery<'_, E> {
    /// Reads the page from `select`.
    pub(crate) async fn read(
        &self,
        db: &impl ConnectionTrait,
        select: Select<E>,
    ) -> Result<Vec<E::Model>, Stop> {
        let keys = self.keys()?;
        let mut select = select.filter(self.deleted.eq(0));
        if let Some(marker) = self.marker {
            select = select.filter(self.after(db, &keys, marker).await?);
        }
        for (column, descending) in keys {
            let (order, nulls) = if descending {
                (Order::Desc, NullOrdering::Last)
            } else {
                (Order::Asc, NullOrdering::First)
            };
            select = if db.get_database_backend() == DbBackend::Postgres {
                select.order_by_with_nulls(column, order, nulls)
            } else {
                // The other databases do this by default, and stating it would prevent some planners from using the
                // index.
                select.order_by(column, order)
            };
        }
        Ok(select.limit(self.limit).all(db).await?)
    }

    /// Returns the columns; the boolean is true for descending order.
    fn keys(&self) -> Result<Vec<(E::Column, bool)>, Failure> {
        let named = |key: &SortKey| {
            let column = E::Column::iter()
                .find(|column| column.as_str() == key.column)
                .ok_or_else(|| Failure::SortKey {
                    name: key.column.clone(),
                })?;
            Ok((column, key.descending))
        };
        self.sort.iter().map(named).collect()
    }

    /// Returns the condition for all rows after the marker's row. The database itself supplies the values to compare,
    /// so that they are compared exactly as stored.
    async fn after(
        &self,
        db: &impl ConnectionTrait,
        keys: &[(E::Column, bool)],
        marker: i64,
    ) -> Result<Condition, Stop> {
        let mut found = Query::select();
        found
            .from(E::default())
            .expr_as(Func::count(self.id.into_expr_in_query()), "found")
            .and_where(self.id.eq(marker))
            .and_where(self.deleted.eq(0));
        for (number, (column, _)) in keys.iter().enumerate() {
            found.expr_as(Func::count(column.into_expr_in_query()), format!("key{number}"));
        }
        let row = db.query_one(&found).await?;
        let counted = |name: &str| match &row {
            Some(row) => row.try_get::<i64>("", name),
            None => Ok(0),
        };
        if counted("found")? == 0 {
            return Err(RegistryError::MarkerNotFound { marker }.into());
        }
        let mut after = Condition::any();
        let mut equal_so_far = Condition::all();
        for (number, (column, descending)) in keys.iter().enumerate() {
            let is_null = counted(&format!("key{number}"))? == 0;
            let column = *column;
            let ordered = ordered(db.get_database_backend(), column);
            let value = self.value_of(ordered.clone(), marker);
            let beyond = match (*descending, is_null) {
                (false, true) => Some(Condition::all().add(column.is_not_null())),
                (false, false) => Some(Condition::all().add(ordered.clone().gt(value.clone()))),
                (true, true) => None,
                (true, false) => Some(
                    Condition::any()
                        .add(ordered.clone().lt(value.clone()))
                        .add(column.is_null()),
                ),
            };
            if let Some(beyond) = beyond {
                after = after.add(Condition::all().add(equal_so_far.clone()).add(beyond));
            }
            equal_so_far = if is_null {
                equal_so_far.add(column.is_null())
            } else {
                equal_so_far.add(ordered.eq(value))
            };
        }
        Ok(after)
    }

    fn value_of(&self, column: SimpleExpr, marker: i64) -> SimpleExpr {
        let value: SelectStatement = Query::select()
            .from(E::default())
            .expr(column)
            .and_where(self.id.eq(marker))
            .take();
        SimpleExpr::SubQuery(None, Box::new(value.into()))
    }
}

/// Returns a condition that no row meets.
pub(crate) fn nothing() -> SimpleExpr {
    SimpleExpr::from(1).eq(0)
}

/// Returns the expression for comparing a column, so that comparisons agree with the sort order: `MariaDB` sorts
/// enumerations by their number, but compares their texts.
fn ordered(backend: DbBackend, column: impl ColumnTrait) -> SimpleExpr {
    let plain = column.into_expr_in_query();
    match (backend, column.def().get_column_type()) {
        (DbBackend::MySql, ColumnType::Enum { .. }) => plain.add(0),
        _ => plain,
    }
}

/// A column with the name of its table, so that it cannot be confused with a subquery's column.
trait InQuery {
    fn into_expr_in_query(self) -> SimpleExpr;
}

impl<C: ColumnTrait> InQuery for C {
    fn into_expr_in_query(self) -> SimpleExpr {
        SimpleExpr::Column(self.as_column_ref().into())
    }
}

#[cfg(test)]
mod tests;
