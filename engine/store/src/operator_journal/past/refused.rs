//! Rejected reports of a past period.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use tachi_domain::Timestamp;
use tachi_domain::entity::notification::NotificationType;
use tachi_domain::refusal::RefusalReason;
use tachi_engine::ports::past::{MAX_ITEMS, RefusedReports, Span};
use tachi_engine::ports::refusals::{RefusalCount, SLOT_LENGTH};

use crate::convert::Cell;
use crate::database::Database;
use crate::entity::refusal::{Column, Entity, Model};
use crate::error::{Failure, Stop};

/// The migration that created the table.
const TABLE_MIGRATION: &str = "m20261124_0010_refusals";

/// Limit of rows to read. Equal rejections are merged, but each process counts them separately for each ten minutes.
const MAX_ROWS: u64 = 10 * MAX_ITEMS;

/// Returns the rejections about this host; the boolean is true if there are more. `None` if our user may not read them
/// because its grants are of an earlier version.
pub(super) async fn refused(
    db: &Database,
    host: &str,
    span: Span,
) -> Result<(Option<RefusedReports>, bool), Stop> {
    match rows(db, host, span).await {
        Ok((rows, others)) => {
            let (refusals, more) = together(rows)?;
            let refused = RefusedReports {
                refusals,
                of_others: others,
                counted_since: counted_since(db).await?,
            };
            Ok((Some(refused), more))
        }
        Err(Stop::Failed(failure)) if failure.is_denied() => Ok((None, false)),
        Err(stop) => Err(stop),
    }
}

async fn rows(db: &Database, host: &str, span: Span) -> Result<(Vec<Model>, u64), Stop> {
    use Column::{FirstAt, Host, LastAt, Number, Slot, Writer};
    let slot = i64::try_from(SLOT_LENGTH.as_micros()).unwrap_or(i64::MAX);
    let then = Entity::find()
        .filter(Slot.between(span.from.micros().saturating_sub(slot), span.to.micros()))
        .filter(LastAt.gte(span.from.micros()))
        .filter(FirstAt.lte(span.to.micros()));
    let named = then
        .clone()
        .filter(Host.eq(host))
        // An empty name counts rejections without a host.
        .filter(Host.ne(""))
        .order_by_asc(Slot)
        .order_by_asc(Writer)
        .order_by_asc(Number)
        .limit(MAX_ROWS + 1)
        .all(db.reader())
        .await?;
    let others: Vec<i64> = then
        .filter(Host.eq(""))
        .select_only()
        .column(Column::Times)
        .limit(MAX_ROWS)
        .into_tuple()
        .all(db.reader())
        .await?;
    let others = others.iter().filter_map(|times| u64::try_from(*times).ok()).sum();
    Ok((named, others))
}

/// Merges equal rejections.
fn together(rows: Vec<Model>) -> Result<(Vec<RefusalCount>, bool), Failure> {
    let (most, most_rows) = (to_usize(MAX_ITEMS), to_usize(MAX_ROWS));
    let mut more = rows.len() > most_rows;
    let mut all: BTreeMap<(NotificationType, String, RefusalReason), RefusalCount> = BTreeMap::new();
    for row in rows.into_iter().take(most_rows) {
        let cell = |column| Cell {
            table: "tachi_refusal",
            row: &row.writer,
            column,
        };
        let kind = cell("kind").parse(&row.kind, NotificationType::from_value)?;
        let reason = cell("reason").parse(&row.reason, RefusalReason::from_value)?;
        let times = cell("times").count(row.times)?;
        let (first_at, last_at) = (
            Timestamp::from_micros(row.first_at),
            Timestamp::from_micros(row.last_at),
        );
        let refusal = all
            .entry((kind, row.reporter.clone(), reason))
            .or_insert_with(|| RefusalCount {
                kind,
                reporter: row.reporter,
                reason,
                times: 0,
                first_at,
                last_at,
            });
        refusal.times = refusal.times.saturating_add(times);
        refusal.first_at = refusal.first_at.min(first_at);
        refusal.last_at = refusal.last_at.max(last_at);
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|refusal| refusal.first_at);
    more |= all.len() > most;
    all.truncate(most);
    Ok((all, more))
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Returns the time at which the table was created.
async fn counted_since(db: &Database) -> Result<Option<Timestamp>, Stop> {
    let query = Query::select()
        .column(Alias::new("applied_at"))
        .from(Alias::new(tachi_migrations::TABLE))
        .and_where(Expr::col(Alias::new("version")).eq(TABLE_MIGRATION))
        .to_owned();
    let row = db.reader().query_one(&query).await?;
    let seconds: Option<i64> = row.map(|row| row.try_get("", "applied_at")).transpose()?;
    Ok(seconds.map(|seconds| Timestamp::from_micros(seconds.saturating_mul(1_000_000))))
}
