//! Claims of recoveries, several in one transaction, and their release.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IdenStatic as _, Iterable as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use tachi_domain::entity::Host;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::freeze::FreezeStatus;
use tachi_domain::recovery::{Life, OperatorState, RecoveryKind};
use tachi_domain::{Elapsed, Timestamp};
use tachi_engine::ports::journal::{Claim, ClaimedRecovery, PeerClaim};

use super::host_and_segment::{self, HostAndSegment};
use super::{frozen, operator_state, restarts, rewind};
use crate::batches::padded;
use crate::clock;
use crate::convert::{self, recovery_cell, signed};
use crate::database::Database;
use crate::entity::{notification, recovery, recovery_move};
use crate::error::{Failure, Stop};
use crate::time::to_column;
use crate::transaction::{Transaction, Tx, TxOutcome, roll_back};

/// Claims recoveries in one transaction and reads them.
///
/// A recovery is claimed if it is unchanged: with the epoch, sequence and owner of `claims`. It is read only after
/// the claims are committed, in one snapshot on the same connection. If another engine claims it in between, the
/// data read may be newer than the claim; then every write of this owner is refused. The results have the order of
/// `claims`: `None` if another engine was faster.
pub(super) async fn claim_all(
    db: &Database,
    claims: &[PeerClaim],
    owner: &str,
) -> Result<Vec<Result<Option<ClaimedRecovery>, Stop>>, Stop> {
    let now = db.now();
    let taken = db.write_journal(&Take { claims, owner, now }).await?;
    if taken.is_empty() {
        return Ok(claims.iter().map(|_| Ok(None)).collect());
    }
    let snapshot = db.snapshot().await?;
    let claimed = read_all(&snapshot, (claims, owner), &taken, now).await;
    roll_back(snapshot).await;
    claimed
}

async fn read_all(
    snapshot: &Tx,
    (claims, owner): (&[PeerClaim], &str),
    taken: &BTreeSet<String>,
    now: Timestamp,
) -> Result<Vec<Result<Option<ClaimedRecovery>, Stop>>, Stop> {
    let mut reading = Reading::of(snapshot, taken, now).await?;
    let mut claimed = Vec::with_capacity(claims.len());
    for view in claims {
        claimed.push(if taken.contains(&view.id.to_string()) {
            reading.claimed(view, owner).await.map(Some)
        } else {
            Ok(None)
        });
    }
    Ok(claimed)
}

struct Take<'a> {
    claims: &'a [PeerClaim],
    owner: &'a str,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Take<'_> {
    /// The ids of the claimed recoveries.
    type Output = BTreeSet<String>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<BTreeSet<String>>, Stop> {
        let mut targets = Vec::with_capacity(self.claims.len());
        let mut next = Vec::with_capacity(self.claims.len());
        for view in self.claims {
            targets.push(as_seen(view)?);
            next.push((view.id.to_string(), signed("epoch", view.epoch + 1)?));
        }
        let taken = recovery::Entity::update_many()
            .col_expr(recovery::Column::Epoch, Expr::col(recovery::Column::Epoch).add(1))
            .col_expr(recovery::Column::Seq, Expr::col(recovery::Column::Seq).add(1))
            .col_expr(recovery::Column::Beat, Expr::col(recovery::Column::Beat).add(1))
            .col_expr(recovery::Column::Owner, Expr::value(self.owner))
            .filter(any_of(&targets))
            .filter(recovery::Column::Life.ne(Life::Closed.as_str()))
            .exec(tx)
            .await?;
        if taken.rows_affected == 0 {
            return Ok(TxOutcome::Undo(BTreeSet::new()));
        }
        let rows = all_without_state()
            .filter(at_epochs(&next))
            .filter(recovery::Column::Owner.eq(self.owner))
            .all(tx)
            .await?;
        // An earlier claim of ours whose response was lost may not have been visible on this node before, and then
        // looks like one made here. In that case the transaction claims nothing, and the next read shows the true
        // state.
        if rows.len() as u64 != taken.rows_affected {
            let row = rows.first().map_or_else(String::new, |row| row.uuid.clone());
            return Err(Failure::Stale { row }.into());
        }
        let waiting = [
            NotificationStatus::New.as_str(),
            NotificationStatus::Error.as_str(),
        ];
        let notifications: Vec<_> = rows.iter().map(|row| row.notification_uuid.as_str()).collect();
        notification::Entity::update_many()
            .col_expr(
                notification::Column::Status,
                notification::Column::Status.save_as(Expr::value(NotificationStatus::Running.as_str())),
            )
            .col_expr(
                notification::Column::UpdatedAt,
                Expr::value(to_column(self.now.whole_seconds())?),
            )
            .filter(notification::Column::NotificationUuid.is_in(padded(&notifications)))
            .filter(notification::Column::Status.is_in(waiting))
            .exec(tx)
            .await?;
        Ok(TxOutcome::Keep(rows.into_iter().map(|row| row.uuid).collect()))
    }
}

/// A recovery and the condition for its row.
type ClaimTarget = (String, Condition);

/// Returns the condition for a row that is unchanged.
fn as_seen(view: &PeerClaim) -> Result<ClaimTarget, Failure> {
    let uuid = view.id.to_string();
    let owner = view.owner.as_deref().map_or_else(
        || recovery::Column::Owner.is_null(),
        |owner| recovery::Column::Owner.eq(owner),
    );
    let row = Condition::all()
        .add(recovery::Column::Uuid.eq(&uuid))
        .add(recovery::Column::Epoch.eq(signed("epoch", view.epoch)?))
        .add(recovery::Column::Seq.eq(signed("seq", view.seq)?))
        .add(owner);
    Ok((uuid, row))
}

/// Returns the condition for the row of a claim that is still held.
pub(super) fn current_claim(claim: &Claim) -> Result<Condition, Failure> {
    Ok(Condition::all()
        .add(recovery::Column::Uuid.eq(claim.id.to_string()))
        .add(recovery::Column::Epoch.eq(signed("epoch", claim.epoch)?))
        .add(recovery::Column::Owner.eq(&claim.owner)))
}

/// Selects the rows that meet one of the conditions.
pub(super) fn any_of(targets: &[ClaimTarget]) -> Condition {
    let targets = padded(targets);
    let each = targets
        .iter()
        .fold(Condition::any(), |each, (_, row)| each.add(row.clone()));
    // Forces the use of the index, whatever the planner concludes from the many conditions.
    let ids = targets.iter().map(|(uuid, _)| uuid);
    Condition::all().add(recovery::Column::Uuid.is_in(ids)).add(each)
}

/// Selects the rows of recoveries at the given epochs.
pub(super) fn at_epochs(claims: &[(String, i64)]) -> Condition {
    let mut each = Condition::any();
    let claims = padded(claims);
    for (uuid, epoch) in &claims {
        let this = recovery::Column::Uuid.eq(uuid);
        each = each.add(this.and(recovery::Column::Epoch.eq(*epoch)));
    }
    // Forces the use of the index, whatever the planner concludes from the many pairs.
    let ids = claims.iter().map(|(uuid, _)| uuid);
    Condition::all().add(recovery::Column::Uuid.is_in(ids)).add(each)
}

/// Reads the row of an existing recovery without its state, which grows with the number of the host's instances and is
/// rarely needed.
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

/// The data of several claims, read for all of them at once.
struct Reading<'a> {
    tx: &'a Tx,
    now: Timestamp,
    rows: BTreeMap<String, recovery::Model>,
    notifications: BTreeMap<String, notification::Model>,
    places: BTreeMap<String, HostAndSegment>,
    /// The states of a recovery's moves, by the recovery's number.
    moves: BTreeMap<i64, Vec<String>>,
    /// True if there is any freeze that could affect one of the recoveries.
    freezes: bool,
    /// The database's time, if the database is on another machine.
    clock: Option<Timestamp>,
}

impl<'a> Reading<'a> {
    async fn of(tx: &'a Tx, taken: &BTreeSet<String>, now: Timestamp) -> Result<Self, Stop> {
        let ids: Vec<&String> = taken.iter().collect();
        let rows = recovery::Entity::find()
            .filter(recovery::Column::Uuid.is_in(padded(&ids)))
            .all(tx)
            .await?;
        let uuids: Vec<&str> = rows.iter().map(|row| row.notification_uuid.as_str()).collect();
        let notifications = notification::Entity::find()
            .filter(notification::Column::NotificationUuid.is_in(padded(&uuids)))
            .all(tx)
            .await?;
        let hosts: Vec<&str> = rows.iter().map(|row| row.host_uuid.as_str()).collect();
        let opened = rows.iter().map(|row| row.opened_at).min();
        Ok(Self {
            tx,
            now,
            notifications: notifications
                .into_iter()
                .map(|row| (row.notification_uuid.clone(), row))
                .collect(),
            places: host_and_segment::of_all(tx, &padded(&hosts)).await?,
            moves: moves(tx, &rows).await?,
            freezes: match opened {
                Some(opened) => frozen::anything(tx, opened).await?,
                None => false,
            },
            clock: clock::server_time(tx).await?,
            rows: rows.into_iter().map(|row| (row.uuid.clone(), row)).collect(),
        })
    }

    async fn claimed(&mut self, view: &PeerClaim, owner: &str) -> Result<ClaimedRecovery, Stop> {
        let (id, epoch) = (view.id, view.epoch + 1);
        let uuid = id.to_string();
        let row = self
            .rows
            .remove(&uuid)
            .ok_or_else(|| dangling("recovery", &uuid))?;
        // A snapshot that includes the claim includes all writes under earlier claims. If the connection was replaced
        // in between by one to a node that lags behind, this check detects it.
        if row.epoch < signed("epoch", epoch)? {
            return Err(Failure::Stale { row: row.uuid }.into());
        }
        let notification = self
            .notifications
            .get(&row.notification_uuid)
            .ok_or_else(|| dangling("notifications", &row.notification_uuid))?;
        let notification = convert::notification(notification.clone())?;
        let instance = notification
            .payload
            .get("instance_uuid")
            .and_then(|text| text.parse().ok());
        let place = self.places.get(&row.host_uuid);
        let operator_state = if self.freezes {
            operator_state::read(self.tx, &row, place, self.now).await?
        } else {
            operator_state::with(self.tx, &row, place, FreezeStatus::NONE, self.now).await?
        };
        Ok(ClaimedRecovery {
            id,
            epoch,
            owner: owner.to_owned(),
            seq: view.seq + 1,
            beat: view.beat + 1,
            rewound: row.rewound,
            kind: convert::recovery_kind(&row)?,
            life: convert::life(&row)?,
            notification,
            requested_by: row.word_by.clone(),
            host: place.map(host_of).transpose()?,
            elapsed: Elapsed::from_millis(recovery_cell(&row, "elapsed_ms").count(row.elapsed_ms)?),
            moves: self.moves.remove(&row.id).unwrap_or_default(),
            opened_at: Timestamp::from_micros(row.opened_at),
            first_reported_at: Timestamp::from_micros(row.first_reported_at.unwrap_or(row.opened_at)),
            operator_state: OperatorState {
                clock: self.clock,
                ..operator_state
            },
            restarts: restarts::ages(self.tx, &row, instance, self.now).await?,
            state: row.state,
        })
    }
}

/// Reads the states of these recoveries' moves. A process recovery has none, and a planned one stores its own.
async fn moves(db: &Tx, rows: &[recovery::Model]) -> Result<BTreeMap<i64, Vec<String>>, Stop> {
    let kinds = [RecoveryKind::Host, RecoveryKind::Vm].map(RecoveryKind::as_str);
    let has_moves = |row: &&recovery::Model| kinds.contains(&row.kind.as_str());
    let ids: Vec<i64> = rows.iter().filter(has_moves).map(|row| row.id).collect();
    let mut moves: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    if ids.is_empty() {
        return Ok(moves);
    }
    let found: Vec<(i64, String)> = recovery_move::Entity::find()
        .select_only()
        .columns([recovery_move::Column::RecoveryId, recovery_move::Column::State])
        .filter(recovery_move::Column::RecoveryId.is_in(padded(&ids)))
        .order_by_asc(recovery_move::Column::Rank)
        .order_by_asc(recovery_move::Column::VmoveUuid)
        .into_tuple()
        .all(db)
        .await?;
    for (recovery, state) in found {
        moves.entry(recovery).or_default().push(state);
    }
    Ok(moves)
}

fn host_of(place: &HostAndSegment) -> Result<Host, Stop> {
    let HostAndSegment { host, segment, .. } = place;
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

/// Releases a claim. The epoch stays, so the next claim increments it like any other.
pub(super) struct Release<'a> {
    pub(super) claim: &'a Claim,
}

#[async_trait]
impl Transaction for Release<'_> {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        let seq = signed("seq", self.claim.seq)?;
        let released = recovery::Entity::update_many()
            .col_expr(recovery::Column::Seq, Expr::value(seq + 1))
            .col_expr(recovery::Column::Owner, Expr::value(None::<String>))
            .filter(current_claim(self.claim)?)
            .filter(recovery::Column::Seq.eq(seq))
            .exec(tx)
            .await?;
        if released.rows_affected == 0 {
            return Ok(match rewind::why_missing(tx, self.claim).await? {
                TxOutcome::Keep(_) => TxOutcome::Keep(()),
                TxOutcome::Undo(_) => TxOutcome::Undo(()),
            });
        }
        Ok(TxOutcome::Keep(()))
    }
}

#[cfg(test)]
mod tests;
