//! Operators' freezes. Their times are compared with the database's clock, because engines and commands may run on any
//! machine.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, Set,
};
use tachi_domain::Timestamp;
use tachi_domain::freeze::{Freeze, FreezeScope};
use tachi_domain::recovery::FreezeOrder;
use tachi_engine::ports::freezes::ENDED_FREEZE_RETENTION;
use tachi_engine::ports::{
    FreezeEvent, FreezeLine, FreezeOutcome, FreezeTerms, Freezes, JournalError, NewFreeze,
};
use tracing::instrument;

use crate::convert::Cell;
use crate::database::Database;
use crate::entity::freeze::{ActiveModel, Column, Entity, Model};
use crate::entity::recovery;
use crate::error::{Failure, Stop};
use crate::journal::before;
use crate::transaction::{Transaction, Tx, TxOutcome};
use crate::{clock, lock};

/// The lock for freezing and thawing: two operators who freeze the same target do so one after the other.
const LOCK: &str = "freezes";

/// The end of the key of a drain's freeze.
const DRAINED: &str = ":drained";

/// The reason that is recorded for a freeze that has expired.
const EXPIRED: &str = "expired";

/// The freezes for people, and for the engine that maintains them. Separate from the journal, which reads them in every
/// transaction.
#[derive(Clone)]
pub struct FreezeTable {
    db: Database,
}

impl FreezeTable {
    pub(crate) fn of(db: &Database) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl Freezes for FreezeTable {
    #[instrument(name = "store::freeze", level = "debug", skip_all, fields(scope = %new.scope))]
    async fn freeze(&self, new: &NewFreeze) -> Result<FreezeOutcome, JournalError> {
        let now = self.db.now();
        let frozen = self.db.write(&Begin { new, now }).await;
        frozen.map_err(|stop| stop.journal("writing a freeze"))
    }

    #[instrument(name = "store::thaw", level = "debug", skip_all, fields(number))]
    async fn thaw(&self, number: i64, by: &str) -> Result<Option<FreezeLine>, JournalError> {
        let thaw = Thaw {
            number,
            by,
            now: self.db.now(),
        };
        let thawed = self.db.write(&thaw).await;
        thawed.map_err(|stop| stop.journal("ending a freeze"))
    }

    #[instrument(name = "store::freezes", level = "debug", skip_all)]
    async fn freezes(&self) -> Result<Vec<FreezeLine>, JournalError> {
        let listed = list(&self.db).await;
        listed.map_err(|stop| stop.journal("listing freezes"))
    }

    #[instrument(name = "store::tend_freezes", level = "debug", skip_all)]
    async fn take_freeze_events(&self, soon: Duration) -> Result<Vec<FreezeEvent>, JournalError> {
        let now = self.db.now();
        let tended = self.db.write(&TakeFreezeEvents { soon, now }).await;
        tended.map_err(|stop| stop.journal("updating expired freezes"))
    }
}

fn key(scope: FreezeScope, target: &str) -> String {
    format!("{scope}:{target}")
}

pub(crate) fn freeze(row: &Model) -> Result<Freeze, Failure> {
    let place = row.id.to_string();
    let cell = Cell {
        table: "tachi_freeze",
        row: &place,
        column: "scope",
    };
    Ok(Freeze {
        number: row.id,
        scope: cell.parse(&row.scope, FreezeScope::from_value)?,
        name: row.name.clone(),
        until: Timestamp::from_micros(row.until_at),
        by: row.said_by.clone(),
        reason: row.reason.clone(),
        unless_worse: row.unless_worse,
    })
}

/// Converts a row to a line at `now`. A clock that was set back never extends a freeze beyond its original length.
fn line(row: &Model, now: Timestamp) -> Result<FreezeLine, Failure> {
    let span =
        |from: i64| Duration::from_micros(u64::try_from(row.until_at.saturating_sub(from)).unwrap_or(0));
    Ok(FreezeLine {
        freeze: freeze(row)?,
        target: row.target.clone(),
        since: Timestamp::from_micros(row.since),
        left: span(now.micros()).min(span(row.since)),
        by_drain: row.open_key.as_deref().is_some_and(|key| key.ends_with(DRAINED)),
    })
}

async fn list(db: &Database) -> Result<Vec<FreezeLine>, Stop> {
    let reader = db.reader();
    let now = clock::now(reader, db.now()).await?;
    let rows = Entity::find()
        .filter(Column::OpenKey.is_not_null())
        .filter(Column::UntilAt.gt(now.micros()))
        .order_by_asc(Column::UntilAt)
        .order_by_asc(Column::Id)
        .all(reader)
        .await?;
    let lines = rows.iter().map(|row| line(row, now));
    Ok(lines.collect::<Result<_, _>>()?)
}

/// Ends freezes. Those that have ended already stay unchanged.
async fn end(tx: &Tx, ids: &[i64], by: &str, at: Timestamp) -> Result<u64, Stop> {
    let ended = Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(at.micros()))
        .col_expr(Column::EndedBy, Expr::value(by))
        .col_expr(Column::OpenKey, Expr::value(None::<String>))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .filter(Column::OpenKey.is_not_null())
        .exec(tx)
        .await?;
    Ok(ended.rows_affected)
}

/// Ends the freezes that were set to end when the situation gets worse.
pub(crate) async fn worse(tx: &Tx, ids: &[i64], own: Timestamp) -> Result<(), Stop> {
    if !ids.is_empty() {
        lock::take(tx, [LOCK.to_owned()]).await?;
        let now = clock::now(tx, own).await?;
        end(tx, ids, "a second host is out", now).await?;
    }
    Ok(())
}

async fn of_key(tx: &Tx, key: &str) -> Result<Option<Model>, Stop> {
    Ok(Entity::find().filter(Column::OpenKey.eq(key)).one(tx).await?)
}

struct Begin<'a> {
    new: &'a NewFreeze,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Begin<'_> {
    type Output = FreezeOutcome;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<FreezeOutcome>, Stop> {
        let key = key(self.new.scope, &self.new.target);
        let freezing = begin(tx, self.new, key, self.now).await?;
        Ok(match freezing {
            FreezeOutcome::Started { .. } => TxOutcome::Keep(freezing),
            FreezeOutcome::Longer(_) => TxOutcome::Undo(freezing),
        })
    }
}

/// Writes a freeze, unless the existing one lasts longer or ends under fewer conditions.
async fn begin(tx: &Tx, new: &NewFreeze, key: String, own: Timestamp) -> Result<FreezeOutcome, Stop> {
    lock::take(tx, [LOCK.to_owned()]).await?;
    let now = clock::now(tx, own).await?;
    let until = now.plus(new.terms.lasts);
    let before = of_key(tx, &key).await?;
    let in_force = before.as_ref().filter(|row| row.until_at > now.micros());
    let in_force = in_force.map(|row| line(row, now)).transpose()?;
    if let Some(old) = &in_force
        && (old.freeze.until > until || (new.terms.unless_worse && !old.freeze.unless_worse))
    {
        return Ok(FreezeOutcome::Longer(old.clone()));
    }
    if let Some(before) = before {
        // The old freeze may have expired before.
        let until = Timestamp::from_micros(before.until_at);
        end(tx, &[before.id], &new.by, std::cmp::min(until, now)).await?;
    }
    let row = ActiveModel {
        scope: Set(new.scope.as_str().to_owned()),
        target: Set(new.target.clone()),
        name: Set(new.name.clone()),
        since: Set(now.micros()),
        until_at: Set(until.micros()),
        said_by: Set(new.by.clone()),
        reason: Set(new.terms.reason.clone()),
        unless_worse: Set(new.terms.unless_worse),
        noticed: Set(false),
        open_key: Set(Some(key)),
        ..Default::default()
    };
    let row = row.insert(tx).await?;
    Ok(FreezeOutcome::Started {
        line: line(&row, now)?,
        before: in_force,
    })
}

/// Freezes a drained host, in the transaction that ends the drain. An earlier drain's freeze that lasts longer stays.
///
/// A freeze that an operator has set stays beside it, and each of the two expires by itself: the operator's may end early, and the end of the
/// drain must not end work that others have announced.
pub(crate) async fn of_drained(
    tx: &Tx,
    row: &recovery::Model,
    order: &FreezeOrder,
    own: Timestamp,
) -> Result<(), Stop> {
    let new = NewFreeze {
        scope: FreezeScope::Host,
        target: row.host_uuid.clone(),
        name: row.host_name.clone(),
        by: order.by.clone(),
        terms: FreezeTerms {
            lasts: order.lasts,
            reason: order.reason.clone(),
            unless_worse: false,
        },
    };
    let its = format!("{}{DRAINED}", key(new.scope, &new.target));
    begin(tx, &new, its, own).await.map(|_| ())
}

struct Thaw<'a> {
    number: i64,
    by: &'a str,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Thaw<'_> {
    type Output = Option<FreezeLine>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Option<FreezeLine>>, Stop> {
        lock::take(tx, [LOCK.to_owned()]).await?;
        let now = clock::now(tx, self.now).await?;
        // An expired freeze is not thawed, so that its expiry is reported.
        let in_force = |row: &Model| row.open_key.is_some() && row.until_at > now.micros();
        let row = Entity::find_by_id(self.number).one(tx).await?;
        let Some(row) = row.filter(in_force) else {
            return Ok(TxOutcome::Undo(None));
        };
        end(tx, &[row.id], self.by, now).await?;
        Ok(TxOutcome::Keep(Some(line(&row, now)?)))
    }
}

struct TakeFreezeEvents {
    soon: Duration,
    now: Timestamp,
}

#[async_trait]
impl Transaction for TakeFreezeEvents {
    type Output = Vec<FreezeEvent>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Vec<FreezeEvent>>, Stop> {
        let now = clock::now(tx, self.now).await?;
        let rows = Entity::find()
            .filter(Column::OpenKey.is_not_null())
            .filter(Column::UntilAt.lte(now.plus(self.soon).micros()))
            .order_by_asc(Column::UntilAt)
            .all(tx)
            .await?;
        let mut events = Vec::new();
        for row in rows {
            let frozen = line(&row, now)?;
            if row.until_at <= now.micros() {
                let until = Timestamp::from_micros(row.until_at);
                if end(tx, &[row.id], EXPIRED, until).await? == 1 {
                    events.push(FreezeEvent::Ended(frozen));
                }
            } else if !row.noticed {
                let noticed = Entity::update_many()
                    .col_expr(Column::Noticed, Expr::value(true))
                    .filter(Column::Id.eq(row.id))
                    .filter(Column::Noticed.eq(false))
                    .filter(Column::OpenKey.is_not_null())
                    .exec(tx)
                    .await?;
                if noticed.rows_affected == 1 {
                    events.push(FreezeEvent::EndsSoon(frozen));
                }
            }
        }
        let forgotten = Entity::delete_many()
            .filter(Column::EndedAt.lt(before(now, ENDED_FREEZE_RETENTION)))
            .exec(tx)
            .await?;
        if events.is_empty() && forgotten.rows_affected == 0 {
            return Ok(TxOutcome::Undo(events));
        }
        Ok(TxOutcome::Keep(events))
    }
}

#[cfg(test)]
mod tests;
