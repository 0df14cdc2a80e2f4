//! Claiming a recovery and letting go of it.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, IdenStatic as _, Iterable as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select,
};
use tachi_domain::entity::Host;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::{Life, Pulse, RecoveryKind};
use tachi_domain::{Elapsed, RecoveryId, Timestamp};
use tachi_engine::ports::journal::Claimed;

use super::place::{self, Place};
use super::{pulse, restarts};
use crate::clock;
use crate::convert::{self, recovery_cell, signed};
use crate::database::Database;
use crate::entity::{notification, recovery, recovery_move};
use crate::error::{Failure, Stop};
use crate::time::to_column;
use crate::work::{Tx, Verdict, Work, roll_back};

/// Claims, and reads only after the claim is committed, in one snapshot on the same connection (R1). If yet another
/// engine claims in between, what is read may be newer than the claim; then every write of this owner is lost.
pub(super) async fn claim(
    db: &Database,
    id: RecoveryId,
    seen_epoch: u64,
    owner: &str,
) -> Result<Option<Claimed>, Stop> {
    let take = Take {
        id,
        seen_epoch,
        owner,
        now: db.now(),
    };
    if !db.write_journal(&take).await? {
        return Ok(None);
    }
    let snapshot = db.snapshot().await?;
    let claimed = read(&snapshot, id, seen_epoch + 1, take.now).await;
    roll_back(snapshot).await;
    claimed.map(Some)
}

struct Take<'a> {
    id: RecoveryId,
    seen_epoch: u64,
    owner: &'a str,
    now: Timestamp,
}

#[async_trait]
impl Work for Take<'_> {
    type Output = bool;

    async fn run(&self, tx: &Tx) -> Result<Verdict<bool>, Stop> {
        let id = self.id.to_string();
        let taken = recovery::Entity::update_many()
            .col_expr(recovery::Column::Epoch, Expr::col(recovery::Column::Epoch).add(1))
            .col_expr(recovery::Column::Seq, Expr::col(recovery::Column::Seq).add(1))
            .col_expr(recovery::Column::Beat, Expr::col(recovery::Column::Beat).add(1))
            .col_expr(recovery::Column::Owner, Expr::value(self.owner))
            .filter(recovery::Column::Uuid.eq(&id))
            .filter(recovery::Column::Epoch.eq(signed("epoch", self.seen_epoch)?))
            .filter(recovery::Column::Life.ne(Life::Closed.as_str()))
            .exec(tx)
            .await?;
        if taken.rows_affected != 1 {
            return Ok(Verdict::Undo(false));
        }
        let row = without_state(tx, &id).await?;
        let waiting = [
            NotificationStatus::New.as_str(),
            NotificationStatus::Error.as_str(),
        ];
        notification::Entity::update_many()
            .col_expr(
                notification::Column::Status,
                notification::Column::Status.save_as(Expr::value(NotificationStatus::Running.as_str())),
            )
            .col_expr(
                notification::Column::UpdatedAt,
                Expr::value(to_column(self.now.whole_seconds())?),
            )
            .filter(notification::Column::NotificationUuid.eq(&row.notification_uuid))
            .filter(notification::Column::Status.is_in(waiting))
            .exec(tx)
            .await?;
        Ok(Verdict::Keep(true))
    }
}

/// The row of a recovery that must be there.
pub(super) async fn row(db: &impl ConnectionTrait, uuid: &str) -> Result<recovery::Model, Stop> {
    let found = recovery::Entity::find()
        .filter(recovery::Column::Uuid.eq(uuid))
        .one(db)
        .await?;
    Ok(found.ok_or_else(|| dangling("recovery", uuid))?)
}

/// The same without its state, which grows with the instances of a host: most have no use for it.
pub(super) async fn without_state(db: &impl ConnectionTrait, uuid: &str) -> Result<recovery::Model, Stop> {
    let found = all_without_state()
        .filter(recovery::Column::Uuid.eq(uuid))
        .one(db)
        .await?;
    Ok(found.ok_or_else(|| dangling("recovery", uuid))?)
}

pub(super) fn all_without_state() -> Select<recovery::Entity> {
    let read = recovery::Column::iter().filter(|column| !matches!(column, recovery::Column::State));
    recovery::Entity::find()
        .select_only()
        .columns(read)
        .expr_as(Expr::cust("NULL"), recovery::Column::State.as_str())
}

async fn read(db: &Tx, id: RecoveryId, epoch: u64, now: Timestamp) -> Result<Claimed, Stop> {
    let row = row(db, &id.to_string()).await?;
    // A snapshot that shows the claim shows all that was written under the claims before it. If the connection was
    // replaced in between, by one to a node that lags behind, this is where it shows.
    if row.epoch < signed("epoch", epoch)? {
        return Err(Failure::Stale { row: row.uuid }.into());
    }
    let notification = notification::Entity::find()
        .filter(notification::Column::NotificationUuid.eq(&row.notification_uuid))
        .one(db)
        .await?
        .ok_or_else(|| dangling("notifications", &row.notification_uuid))?;
    let notification = convert::notification(notification)?;
    let instance = notification
        .payload
        .get("instance_uuid")
        .and_then(|text| text.parse().ok());
    let kind = convert::recovery_kind(&row)?;
    let place = place::of(db, &row.host_uuid).await?;
    Ok(Claimed {
        id,
        epoch,
        kind,
        life: convert::life(&row)?,
        notification,
        host: place.as_ref().map(host_of).transpose()?,
        elapsed: Elapsed::from_millis(recovery_cell(&row, "elapsed_ms").count(row.elapsed_ms)?),
        moves: moves(db, &row, kind).await?,
        opened_at: Timestamp::from_micros(row.opened_at),
        pulse: Pulse {
            clock: clock::elsewhere(db).await?,
            ..pulse::read(db, &row, place.as_ref(), now).await?
        },
        restarts: restarts::before(db, &row, instance, now).await?,
        state: row.state,
    })
}

/// What is known of its moves; a process has none.
async fn moves(db: &Tx, row: &recovery::Model, kind: RecoveryKind) -> Result<Vec<String>, Stop> {
    if kind == RecoveryKind::Process {
        return Ok(Vec::new());
    }
    let moves = recovery_move::Entity::find()
        .select_only()
        .column(recovery_move::Column::State)
        .filter(recovery_move::Column::RecoveryId.eq(row.id))
        .order_by_asc(recovery_move::Column::Rank)
        .order_by_asc(recovery_move::Column::VmoveUuid)
        .into_tuple()
        .all(db)
        .await?;
    Ok(moves)
}

fn host_of(place: &Place) -> Result<Host, Stop> {
    let Place { host, segment, .. } = place;
    let segment = segment
        .clone()
        .ok_or_else(|| dangling("failover_segments", &host.failover_segment_id))?;
    Ok(convert::host(host.clone(), convert::segment(segment)?)?)
}

fn dangling(table: &'static str, row: &str) -> Failure {
    Failure::Dangling {
        table,
        row: row.to_owned(),
    }
}

/// Lets go of a claim. The epoch stays, so the next claim is counted as any other.
pub(super) struct Release {
    pub(super) id: RecoveryId,
    pub(super) epoch: u64,
}

#[async_trait]
impl Work for Release {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<Verdict<()>, Stop> {
        recovery::Entity::update_many()
            .col_expr(recovery::Column::Seq, Expr::col(recovery::Column::Seq).add(1))
            .col_expr(recovery::Column::Owner, Expr::value(None::<String>))
            .filter(recovery::Column::Uuid.eq(self.id.to_string()))
            .filter(recovery::Column::Epoch.eq(signed("epoch", self.epoch)?))
            .exec(tx)
            .await?;
        Ok(Verdict::Keep(()))
    }
}
