//! Operators' actions as rows. Each is read until an engine has marked it as processed in its own transaction.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use tachi_domain::Timestamp;
use tachi_domain::recovery::action::APPROVAL_LIFETIME;
use tachi_domain::recovery::{OperatorAction, OperatorCommand, OperatorRequest};

use crate::clock;
use crate::convert::Cell;
use crate::entity::action::{Column, Entity, Model};
use crate::entity::recovery;
use crate::error::Stop;
use crate::transaction::Tx;

/// Returns the actions that no engine has processed, oldest first. Most recoveries have no action, and then no query is
/// needed.
pub(crate) async fn unread(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    own: Timestamp,
) -> Result<Vec<OperatorAction>, Stop> {
    if row.word_number == 0 {
        return Ok(Vec::new());
    }
    let rows = Entity::find()
        .filter(Column::RecoveryId.eq(row.id))
        .filter(Column::HeardAt.is_null())
        .order_by_asc(Column::Id)
        .all(db)
        .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let now = clock::now(db, own).await?;
    rows.iter().map(|row| action(row, now)).collect()
}

fn action(row: &Model, now: Timestamp) -> Result<OperatorAction, Stop> {
    let id = row.id.to_string();
    let cell = |column| Cell {
        table: "tachi_action",
        row: &id,
        column,
    };
    let lasts = i64::try_from(APPROVAL_LIFETIME.as_micros()).unwrap_or(i64::MAX);
    Ok(OperatorAction {
        id: row.id,
        request: OperatorRequest {
            number: cell("number").count(row.number)?,
            word: cell("word").parse(&row.word, OperatorCommand::from_value)?,
            by: row.said_by.clone(),
            at: Timestamp::from_micros(row.at),
        },
        hold: row
            .given_for
            .as_deref()
            .map(|text| cell("given_for").json(text))
            .transpose()?,
        is_late: now.micros().saturating_sub(row.at) > lasts,
    })
}

/// Marks the actions that this transaction's owner has processed.
pub(super) async fn mark(
    tx: &Tx,
    row: &recovery::Model,
    applied: &[i64],
    now: Timestamp,
) -> Result<(), Stop> {
    if applied.is_empty() {
        return Ok(());
    }
    Entity::update_many()
        .col_expr(Column::HeardAt, Expr::value(now.micros()))
        .col_expr(Column::HeardEpoch, Expr::value(row.epoch))
        .filter(Column::RecoveryId.eq(row.id))
        .filter(Column::Id.is_in(applied.iter().copied()))
        .exec(tx)
        .await?;
    Ok(())
}
