//! A transaction of a purge: it finds some rows, and removes or counts them with their dependent rows.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait as _, EntityTrait, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::Life;
use tachi_domain::{Timestamp, WaitsFor};

use super::PurgeCounts;
use crate::entity::{
    action, host, host_reservation, host_state, instance_restart, notification, recovery, recovery_move,
    recovery_proof, recovery_step, refusal, segment, vmove,
};
use crate::error::Stop;
use crate::time::to_column;
use crate::transaction::{Transaction, Tx, TxOutcome};

/// Limit of ids that one transaction searches.
const MAX_IDS_PER_WINDOW: i64 = 5000;

/// The kinds of batches, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Finished notifications, with vmoves and recoveries.
    Notifications,
    /// Recoveries whose notification no longer exists, because `masakari-manage` does not know of recoveries.
    StrayRecoveries,
    /// Vmoves whose notification no longer exists, which `masakari-manage` leaves behind, and deleted ones.
    StrayVmoves,
    /// Deleted hosts.
    Hosts,
    /// Deleted segments without hosts.
    Segments,
    /// Rejected reports.
    Refusals,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::Notifications,
        Self::StrayRecoveries,
        Self::StrayVmoves,
        Self::Hosts,
        Self::Segments,
        Self::Refusals,
    ];

    /// True if rows of this kind count against the limit, as for `masakari-manage`.
    pub(super) const fn is_counted(self) -> bool {
        matches!(self, Self::Notifications | Self::Hosts | Self::Segments)
    }
}

pub(super) struct Batch {
    pub(super) kind: Kind,
    pub(super) before: Timestamp,
    pub(super) dry_run: bool,
    /// The batch covers only rows with higher ids.
    pub(super) after: i64,
    pub(super) limit: u64,
}

#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) purged: PurgeCounts,
    /// The number of rows found.
    pub(super) found: u64,
    /// The highest id found; `None` if there was none.
    pub(super) last: Option<i64>,
}

#[async_trait]
impl Transaction for Batch {
    type Output = Done;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Done>, Stop> {
        let mut done = Done::default();
        match self.kind {
            Kind::Notifications => self.notifications(tx, &mut done).await?,
            Kind::StrayRecoveries => self.stray_recoveries(tx, &mut done).await?,
            Kind::StrayVmoves => self.stray_vmoves(tx, &mut done).await?,
            Kind::Hosts => self.hosts(tx, &mut done).await?,
            Kind::Segments => self.segments(tx, &mut done).await?,
            Kind::Refusals => self.refusals(tx, &mut done).await?,
        }
        Ok(if self.dry_run {
            TxOutcome::Undo(done)
        } else {
            TxOutcome::Keep(done)
        })
    }
}

impl Batch {
    /// Returns the last id to search. The search of a transaction has to be bounded, as well as its result.
    fn end(&self) -> i64 {
        self.after.saturating_add(MAX_IDS_PER_WINDOW)
    }

    /// Sets the start of the next window after one with fewer rows than the limit, as long as there are rows.
    fn next_window(&self, done: &mut Done, newest: i64) {
        if done.found < self.limit {
            done.last = (self.end() < newest).then(|| self.end());
        }
    }

    async fn notifications(&self, tx: &Tx, done: &mut Done) -> Result<(), Stop> {
        let over = NotificationStatus::ALL
            .iter()
            .filter(|status| !status.is_open())
            .map(|status| status.as_str());
        let rows: Vec<(i64, String)> = notification::Entity::find()
            .select_only()
            .columns([notification::Column::Id, notification::Column::NotificationUuid])
            .filter(notification::Column::Id.gt(self.after))
            .filter(notification::Column::Id.lte(self.end()))
            .filter(notification::Column::Status.is_in(over))
            .filter(notification::Column::UpdatedAt.lt(to_column(self.before)?))
            .filter(
                notification::Column::NotificationUuid
                    .not_in_subquery(unsettled(recovery::Column::NotificationUuid)),
            )
            .filter(
                notification::Column::NotificationUuid
                    .not_in_subquery(in_doubt(recovery::Column::NotificationUuid)),
            )
            .order_by_asc(notification::Column::Id)
            .limit(self.limit)
            .into_tuple()
            .all(tx)
            .await?;
        let newest = newest::<notification::Entity>(tx, notification::Column::Id).await?;
        let (ids, uuids) = found(done, rows);
        self.next_window(done, newest);
        if ids.is_empty() {
            return Ok(());
        }
        let recoveries: Vec<i64> = recovery::Entity::find()
            .select_only()
            .column(recovery::Column::Id)
            .filter(recovery::Column::NotificationUuid.is_in(&uuids))
            .into_tuple()
            .all(tx)
            .await?;
        self.recoveries(tx, done, &recoveries).await?;
        self.remove::<vmove::Entity>(tx, done, vmove::Column::NotificationUuid.is_in(&uuids))
            .await?;
        self.remove::<notification::Entity>(tx, done, notification::Column::Id.is_in(ids))
            .await
    }

    /// Removes closed recoveries with everything written about them. The reason for a host's maintenance stays valid
    /// without its recovery.
    async fn recoveries(&self, tx: &Tx, done: &mut Done, ids: &[i64]) -> Result<(), Stop> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = || ids.iter().copied();
        if !self.dry_run {
            host_state::Entity::update_many()
                .col_expr(host_state::Column::RecoveryId, Expr::value(None::<i64>))
                .filter(host_state::Column::RecoveryId.is_in(ids()))
                .exec(tx)
                .await?;
        }
        self.remove::<recovery_step::Entity>(tx, done, recovery_step::Column::RecoveryId.is_in(ids()))
            .await?;
        self.remove::<action::Entity>(tx, done, action::Column::RecoveryId.is_in(ids()))
            .await?;
        self.remove::<recovery_proof::Entity>(tx, done, recovery_proof::Column::RecoveryId.is_in(ids()))
            .await?;
        self.remove::<host_reservation::Entity>(tx, done, host_reservation::Column::RecoveryId.is_in(ids()))
            .await?;
        self.remove::<recovery_move::Entity>(tx, done, recovery_move::Column::RecoveryId.is_in(ids()))
            .await?;
        self.remove::<instance_restart::Entity>(tx, done, instance_restart::Column::RecoveryId.is_in(ids()))
            .await?;
        self.remove::<recovery::Entity>(tx, done, recovery::Column::Id.is_in(ids()))
            .await
    }

    async fn stray_recoveries(&self, tx: &Tx, done: &mut Done) -> Result<(), Stop> {
        let rows: Vec<(i64, String)> = recovery::Entity::find()
            .select_only()
            .columns([recovery::Column::Id, recovery::Column::Uuid])
            .filter(recovery::Column::Id.gt(self.after))
            .filter(recovery::Column::Life.eq(Life::Closed.as_str()))
            .filter(recovery::Column::OpenedAt.lt(self.before.micros()))
            .filter(recovery::Column::Id.not_in_subquery(in_doubt(recovery::Column::Id)))
            .filter(
                Expr::exists(notification_of((
                    recovery::Entity,
                    recovery::Column::NotificationUuid,
                )))
                .not(),
            )
            .order_by_asc(recovery::Column::Id)
            .limit(self.limit)
            .into_tuple()
            .all(tx)
            .await?;
        let (ids, _) = found(done, rows);
        self.recoveries(tx, done, &ids).await
    }

    async fn stray_vmoves(&self, tx: &Tx, done: &mut Done) -> Result<(), Stop> {
        let before = to_column(self.before)?;
        let stray = vmove::Column::CreatedAt
            .lt(before)
            .and(Expr::exists(notification_of((vmove::Entity, vmove::Column::NotificationUuid))).not());
        let rows: Vec<(i64, String)> = vmove::Entity::find()
            .select_only()
            .columns([vmove::Column::Id, vmove::Column::Uuid])
            .filter(vmove::Column::Id.gt(self.after))
            .filter(vmove::Column::Id.lte(self.end()))
            .filter(vmove::Column::DeletedAt.lt(before).or(stray))
            .order_by_asc(vmove::Column::Id)
            .limit(self.limit)
            .into_tuple()
            .all(tx)
            .await?;
        let newest = newest::<vmove::Entity>(tx, vmove::Column::Id).await?;
        let (ids, _) = found(done, rows);
        self.next_window(done, newest);
        self.remove::<vmove::Entity>(tx, done, vmove::Column::Id.is_in(ids))
            .await
    }

    async fn hosts(&self, tx: &Tx, done: &mut Done) -> Result<(), Stop> {
        let rows: Vec<(i64, String)> = host::Entity::find()
            .select_only()
            .columns([host::Column::Id, host::Column::Uuid])
            .filter(host::Column::Id.gt(self.after))
            .filter(host::Column::Deleted.ne(0))
            .filter(host::Column::DeletedAt.lt(to_column(self.before)?))
            .filter(host::Column::Uuid.not_in_subquery(unsettled(recovery::Column::HostUuid)))
            .order_by_asc(host::Column::Id)
            .limit(self.limit)
            .into_tuple()
            .all(tx)
            .await?;
        let (ids, uuids) = found(done, rows);
        self.remove::<host_state::Entity>(tx, done, host_state::Column::HostUuid.is_in(uuids))
            .await?;
        self.remove::<host::Entity>(tx, done, host::Column::Id.is_in(ids))
            .await
    }

    async fn segments(&self, tx: &Tx, done: &mut Done) -> Result<(), Stop> {
        let before = to_column(self.before)?;
        let mut hosts = Query::select();
        hosts.expr(Expr::value(1)).from(host::Entity).and_where(
            Expr::col((host::Entity, host::Column::FailoverSegmentId))
                .equals((segment::Entity, segment::Column::Uuid)),
        );
        if self.dry_run {
            // Hosts that would have been removed by now do not count.
            let goes = host::Column::Deleted
                .ne(0)
                .and(host::Column::DeletedAt.is_not_null())
                .and(host::Column::DeletedAt.lt(before))
                .and(host::Column::Uuid.not_in_subquery(unsettled(recovery::Column::HostUuid)));
            hosts.and_where(goes.not());
        }
        let rows: Vec<(i64, String)> = segment::Entity::find()
            .select_only()
            .columns([segment::Column::Id, segment::Column::Uuid])
            .filter(segment::Column::Id.gt(self.after))
            .filter(segment::Column::Deleted.ne(0))
            .filter(segment::Column::DeletedAt.lt(before))
            .filter(Expr::exists(hosts).not())
            .order_by_asc(segment::Column::Id)
            .limit(self.limit)
            .into_tuple()
            .all(tx)
            .await?;
        let (ids, _) = found(done, rows);
        self.remove::<segment::Entity>(tx, done, segment::Column::Id.is_in(ids))
            .await
    }

    /// Removes the rejections of one ten-minute slot, whose number is bounded.
    async fn refusals(&self, tx: &Tx, done: &mut Done) -> Result<(), Stop> {
        let slot: Option<i64> = refusal::Entity::find()
            .select_only()
            .column(refusal::Column::Slot)
            .filter(refusal::Column::Slot.gt(self.after))
            .filter(refusal::Column::Slot.lt(self.before.micros()))
            .order_by_asc(refusal::Column::Slot)
            .limit(1)
            .into_tuple()
            .one(tx)
            .await?;
        let Some(slot) = slot else { return Ok(()) };
        (done.found, done.last) = (1, Some(slot));
        self.remove::<refusal::Entity>(tx, done, refusal::Column::Slot.eq(slot))
            .await
    }

    /// Removes or counts rows.
    async fn remove<E>(
        &self,
        tx: &Tx,
        done: &mut Done,
        which: sea_orm::sea_query::SimpleExpr,
    ) -> Result<(), Stop>
    where
        E: EntityTrait,
        E::Model: Sync,
    {
        let rows = if self.dry_run {
            E::find().filter(which).count(tx).await?
        } else {
            let mut delete = Query::delete();
            delete.from_table(E::default()).and_where(which);
            tx.execute(&delete).await?.rows_affected()
        };
        done.purged.add(E::default().table_name(), rows);
        Ok(())
    }
}

/// Returns the highest id of a table; 0 if it is empty.
async fn newest<E: EntityTrait>(tx: &Tx, id: E::Column) -> Result<i64, Stop> {
    let newest: Option<i64> = E::find()
        .select_only()
        .column(id)
        .order_by_desc(id)
        .limit(1)
        .into_tuple()
        .one(tx)
        .await?;
    Ok(newest.unwrap_or(0))
}

/// Records the rows found, and returns their ids and UUIDs separately.
fn found(done: &mut Done, rows: Vec<(i64, String)>) -> (Vec<i64>, Vec<String>) {
    done.found = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    done.last = rows.last().map(|(id, _)| *id);
    rows.into_iter().unzip()
}

/// Selects a column of the recoveries that are not closed.
fn unsettled(column: recovery::Column) -> SelectStatement {
    Query::select()
        .column(column)
        .from(recovery::Entity)
        .and_where(recovery::Column::Life.ne(Life::Closed.as_str()))
        .take()
}

/// Selects a column of the recoveries that have moved an instance which was given up, and which nobody has acknowledged. It may
/// still run where one of them has left it, and a later one says where it does not.
fn in_doubt(column: recovery::Column) -> SelectStatement {
    let given_up = Query::select()
        .column(recovery_move::Column::InstanceUuid)
        .from(recovery_move::Entity)
        .and_where(recovery_move::Column::WaitsFor.eq(WaitsFor::GivenUp.as_str()))
        .and_where(recovery_move::Column::SeenTo.is_null())
        .take();
    let theirs = Query::select()
        .column(recovery_move::Column::RecoveryId)
        .from(recovery_move::Entity)
        .and_where(recovery_move::Column::InstanceUuid.in_subquery(given_up))
        .take();
    Query::select()
        .column(column)
        .from(recovery::Entity)
        .and_where(recovery::Column::Id.in_subquery(theirs))
        .take()
}

/// Selects the notification that a column refers to.
fn notification_of<E: EntityTrait, C: ColumnTrait>((entity, column): (E, C)) -> SelectStatement {
    Query::select()
        .expr(Expr::value(1))
        .from(notification::Entity)
        .and_where(
            Expr::col((notification::Entity, notification::Column::NotificationUuid))
                .equals((entity, column)),
        )
        .take()
}
