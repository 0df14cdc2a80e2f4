//! A transaction of a claimed recovery.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _,
    QueryTrait as _, Set,
};
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::{FreezeOrder, Life, OffClaim, RecoveryKind};
use tachi_domain::{ServerId, Timestamp};
use tachi_engine::ports::journal::{Claim, HostWrite, ProofWrite, StepWrite, Write, WriteOutcome};
use tokio::time::Instant;

use super::{
    actions, claim, failed_instances, given_up, host_and_segment, moves, operator_state, orders, planned,
    reservations, restarts, rewind,
};
use crate::convert::{self, signed};
use crate::entity::{host, notification, recovery, recovery_proof, recovery_step};
use crate::error::Stop;
use crate::registry::{free_moves, maintenance};
use crate::time::to_column;
use crate::transaction::{Transaction, Tx, TxOutcome};
use crate::waits::WaitColumns;
use crate::{clock, freezes, lock};

/// Limit of rows per statement. `SQLite` permits 32,766 parameters, and 500 rows of the widest table use a quarter of
/// them.
pub(super) const BATCH: usize = 500;

pub(super) struct Commit<'a> {
    pub(super) claim: &'a Claim,
    pub(super) write: &'a Write,
    pub(super) now: Timestamp,
    /// The start of the write, including its waits.
    pub(super) begun: Instant,
}

#[async_trait]
impl Transaction for Commit<'_> {
    type Output = WriteOutcome;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<WriteOutcome>, Stop> {
        // The write that checks the claim comes first.
        if !self.check_claim(tx).await? {
            return rewind::why_missing(tx, self.claim).await;
        }
        let write = self.write;
        let row = claim::without_state(tx, &self.claim.id.to_string()).await?;
        let mut hosts: Vec<&str> = write.unless_host_recovery.as_deref().into_iter().collect();
        if convert::recovery_kind(&row)?.is_planned() {
            // A planned recovery must not take instances from a host that is being recovered, either.
            hosts.extend(
                write
                    .unless_elsewhere
                    .as_ref()
                    .map(|condition| condition.host.as_str()),
            );
        }
        if !hosts.is_empty() && self.is_one_recovered(tx, &row, &hosts).await? {
            return Ok(TxOutcome::Undo(WriteOutcome::HostUnderRecovery));
        }
        if let Some(order) = &write.freeze {
            let servers = instances_recovered(tx, &row, order).await?;
            if !servers.is_empty() {
                return Ok(TxOutcome::Undo(WriteOutcome::InstancesUnderRecovery(servers)));
            }
        }
        // This follows the host's lock: a recovery of the host that finishes first has stored its results.
        if let Some(condition) = &write.unless_elsewhere {
            let hosts = given_up::other_hosts(tx, condition).await?;
            if !hosts.is_empty() {
                return Ok(TxOutcome::Undo(WriteOutcome::MayRunOn(hosts)));
            }
        }
        let brings_evidence =
            |off_claim: Option<OffClaim>| off_claim.is_some_and(|off_claim| off_claim.evidence.is_some());
        if write.unless_joined && row.joined_normal
            || write.unless_evidence && brings_evidence(operator_state::stored_off_claim(&row)?)
        {
            return Ok(TxOutcome::Undo(WriteOutcome::Joined));
        }
        let taken = moves::taken(tx, self.claim.id, &write.moves).await?;
        if !taken.is_empty() {
            return Ok(TxOutcome::Undo(WriteOutcome::MovesTaken(taken)));
        }
        let refused = reservations::refused(tx, &row, &write.reservations, self.now).await?;
        if !refused.is_empty() {
            return Ok(TxOutcome::Undo(WriteOutcome::ReserveTaken(refused)));
        }
        if !orders::are_within_limits(tx, &row, write, self.now).await? {
            return Ok(TxOutcome::Undo(WriteOutcome::TooManyOrders));
        }
        actions::mark(tx, &row, &write.processed_action_ids, self.now).await?;
        moves::write(tx, &row, &write.moves, self.now).await?;
        reservations::write(tx, &row, &write.reservations, self.now).await?;
        steps(tx, &row, &write.steps).await?;
        proofs(tx, &row, &write.proofs, self.now).await?;
        if let Some((status, message)) = &write.notification {
            self.notification(tx, &row, *status, message.as_deref()).await?;
        }
        if write.running_again {
            running_again(tx, &row).await?;
        }
        if let Some(server) = write.restarted {
            restarts::add(tx, &row, server, self.now).await?;
        }
        if let Some(change) = write.host {
            self.host(tx, &row, change).await?;
        }
        if let Some(host) = write.host_back {
            lock::take(tx, [host.to_string()]).await?;
            let at = to_column(self.now.whole_seconds())?;
            maintenance::take_back(tx, &host.to_string(), row.id, at).await?;
        }
        if write.life == Some(Life::Closed) {
            self.free(tx, &row).await?;
        }
        planned::write(tx, &row, &write.planned, self.now).await?;
        if let Some(order) = &write.freeze {
            freezes::of_drained(tx, &row, order, self.now).await?;
        }
        freezes::worse(tx, &write.worse, self.now).await?;
        // This follows all writes about the host.
        let mut operator_state = if write.life == Some(Life::Closed) && !write.unless_frozen.is_conditional()
        {
            operator_state::last(&row)?
        } else {
            let place = host_and_segment::of(tx, &row.host_uuid).await?;
            operator_state::read(tx, &row, place.as_ref(), self.now).await?
        };
        operator_state.clock = clock::server_time(tx).await?;
        let latest = write.latest.map(|latest| latest.plus(self.begun.elapsed()));
        if operator_state
            .clock
            .zip(latest)
            .is_some_and(|(shown, latest)| shown > latest)
        {
            return Ok(TxOutcome::Undo(WriteOutcome::TooLate));
        }
        if write.unless_frozen.is_blocked_by(&operator_state.frozen) {
            return Ok(TxOutcome::Undo(WriteOutcome::Frozen(operator_state)));
        }
        Ok(TxOutcome::Keep(WriteOutcome::Written(operator_state)))
    }
}

impl Commit<'_> {
    /// Executes the counted update with which every transaction starts. `false` if the claim is no longer held.
    async fn check_claim(&self, tx: &Tx) -> Result<bool, Stop> {
        let write = self.write;
        let mut update = recovery::Entity::update_many()
            .col_expr(
                recovery::Column::Seq,
                Expr::value(signed("seq", self.claim.seq + 1)?),
            )
            .col_expr(
                recovery::Column::Beat,
                Expr::value(signed("beat", self.claim.beat + 1)?),
            )
            .col_expr(
                recovery::Column::ElapsedMs,
                Expr::value(signed("elapsed time", write.elapsed.millis())?),
            );
        if let Some(state) = &write.state {
            update = update.col_expr(recovery::Column::State, Expr::value(state.as_str()));
        }
        if let Some(wait) = &write.wait {
            let columns = WaitColumns::of(wait)?;
            update = update
                .col_expr(recovery::Column::WaitsFor, Expr::value(columns.what))
                .col_expr(recovery::Column::WaitsOn, Expr::value(columns.on))
                .col_expr(recovery::Column::WaitsSince, Expr::value(columns.since));
        }
        if let Some(life) = write.life {
            update = update.col_expr(recovery::Column::Life, Expr::value(life.as_str()));
            if life != Life::Open {
                update = update.col_expr(recovery::Column::OpenKey, Expr::value(None::<String>));
            }
        }
        if let Some(proven_off) = write.proven_off {
            update = update.col_expr(recovery::Column::ProvenOff, Expr::value(proven_off));
        }
        if write.dismissed {
            update = update.col_expr(recovery::Column::Dismissed, Expr::value(true));
        }
        if write.rewind_done {
            update = update.col_expr(recovery::Column::Rewound, Expr::value(false));
        }
        let updated = update
            .filter(claim::current_claim(self.claim)?)
            .filter(recovery::Column::Seq.eq(signed("seq", self.claim.seq)?))
            .exec(tx)
            .await?;
        Ok(updated.rows_affected == 1)
    }

    /// True if another recovery is open for a host of these names. Takes the hosts' locks, as the acceptance of a
    /// notification does, so that neither can miss the other.
    async fn is_one_recovered(&self, tx: &Tx, row: &recovery::Model, names: &[&str]) -> Result<bool, Stop> {
        let hosts = host::Entity::find()
            .filter(host::Column::Name.is_in(names.iter().copied()))
            .filter(host::Column::Deleted.eq(0))
            .all(tx)
            .await?;
        lock::take(tx, hosts.into_iter().map(|host| host.uuid)).await?;
        let open = recovery::Column::Life
            .eq(Life::Open.as_str())
            .and(recovery::Column::OpenKey.is_not_null());
        // A recovery that watches the host's return gives way to a newer one that does. The changes of the newer one to
        // Nova's record look like heartbeats to the older one.
        let newer = recovery::Column::Life
            .eq(Life::Watching.as_str())
            .and(recovery::Column::Id.gt(row.id));
        let theirs = if row.kind == RecoveryKind::Host.as_str() {
            open.or(newer)
        } else {
            open
        };
        let found = recovery::Entity::find()
            .filter(theirs)
            .filter(recovery::Column::HostName.is_in(names.iter().copied()))
            .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
            .filter(recovery::Column::Uuid.ne(self.claim.id.to_string()))
            .limit(1)
            .one(tx)
            .await?;
        Ok(found.is_some())
    }

    /// Releases everything that the recovery has taken, and stores how that of an instance has ended. A process recovery takes nothing,
    /// and an instance recovery no reserved host.
    async fn free(&self, tx: &Tx, row: &recovery::Model) -> Result<(), Stop> {
        match convert::recovery_kind(row)? {
            RecoveryKind::Process | RecoveryKind::Drain | RecoveryKind::Giveback => Ok(()),
            RecoveryKind::Vm => {
                if let Some((status, message)) = &self.write.notification {
                    let end = failed_instances::End {
                        status: *status,
                        message: message.as_deref(),
                        unrepaired: self.write.unrepaired,
                    };
                    failed_instances::ended(tx, row, &end, self.now).await?;
                }
                free_moves(tx, row.id).await
            }
            RecoveryKind::Host => {
                free_moves(tx, row.id).await?;
                reservations::free(tx, row.id, self.now).await
            }
        }
    }

    async fn notification(
        &self,
        tx: &Tx,
        row: &recovery::Model,
        status: NotificationStatus,
        message: Option<&str>,
    ) -> Result<(), Stop> {
        notification::Entity::update_many()
            .col_expr(
                notification::Column::Status,
                notification::Column::Status.save_as(Expr::value(status.as_str())),
            )
            .col_expr(
                notification::Column::Message,
                Expr::value(message.map(str::to_owned)),
            )
            .col_expr(
                notification::Column::UpdatedAt,
                Expr::value(to_column(self.now.whole_seconds())?),
            )
            .filter(notification::Column::NotificationUuid.eq(&row.notification_uuid))
            .exec(tx)
            .await?;
        Ok(())
    }

    async fn host(&self, tx: &Tx, row: &recovery::Model, change: HostWrite) -> Result<(), Stop> {
        // An operator's concurrent change to the host must not get lost between the read and the write.
        lock::take(tx, [change.host.to_string()]).await?;
        let found = host::Entity::find()
            .filter(host::Column::Uuid.eq(change.host.to_string()))
            .filter(host::Column::Deleted.eq(0))
            .one(tx)
            .await?;
        // A host that has been deleted meanwhile is not changed.
        if let Some(host) = found {
            let at = to_column(self.now.whole_seconds())?;
            maintenance::put(tx, &host, change.why, row.id, at).await?;
        }
        Ok(())
    }
}

/// Returns the instances whose recoveries are open, and that were reported on the host or are listed there now: an instance that has moved
/// since its report is started where it is. A recovery that starts after this write learns of the freeze before it acts.
async fn instances_recovered(
    tx: &Tx,
    row: &recovery::Model,
    order: &FreezeOrder,
) -> Result<Vec<ServerId>, Stop> {
    let open = |of: SimpleExpr| {
        recovery::Entity::find()
            .select_only()
            .column(recovery::Column::OpenKey)
            .filter(recovery::Column::Kind.eq(RecoveryKind::Vm.as_str()))
            .filter(recovery::Column::Life.eq(Life::Open.as_str()))
            .filter(of)
            .into_tuple::<Option<String>>()
            .all(tx)
    };
    let mut keys = open(recovery::Column::HostUuid.eq(&row.host_uuid)).await?;
    let left: Vec<String> = order.left.iter().map(|server| format!("vm:{server}")).collect();
    for batch in left.chunks(BATCH) {
        keys.extend(open(recovery::Column::OpenKey.is_in(batch.iter().map(String::as_str))).await?);
    }
    let servers = keys
        .iter()
        .filter_map(|key| key.as_deref()?.strip_prefix("vm:")?.parse().ok());
    let servers: BTreeSet<ServerId> = servers.collect();
    Ok(servers.into_iter().collect())
}

/// Records that the reported subject runs again.
async fn running_again(tx: &Tx, row: &recovery::Model) -> Result<(), Stop> {
    notification::Entity::update_many()
        .col_expr(notification::Column::RunningAgain, Expr::value(true))
        .filter(notification::Column::NotificationUuid.eq(&row.notification_uuid))
        .exec(tx)
        .await?;
    Ok(())
}

async fn steps(tx: &Tx, row: &recovery::Model, steps: &[StepWrite]) -> Result<(), Stop> {
    for batch in steps.chunks(BATCH) {
        let rows = batch
            .iter()
            .map(|StepWrite { step, at }| recovery_step::ActiveModel {
                recovery_id: Set(row.id),
                epoch: Set(row.epoch),
                task: Set(step.task.name().to_owned()),
                instance_uuid: Set(step.server.map(|server| server.to_string())),
                kind: Set(step.kind.as_str().to_owned()),
                progress: Set(step.progress),
                failed: Set(step.failed),
                text: Set(step.text.clone()),
                at: Set(at.micros()),
                ..Default::default()
            });
        let insert = recovery_step::Entity::insert_many(rows);
        tx.execute(&insert.into_query()).await?;
    }
    Ok(())
}

async fn proofs(tx: &Tx, row: &recovery::Model, proofs: &[ProofWrite], now: Timestamp) -> Result<(), Stop> {
    if proofs.is_empty() {
        return Ok(());
    }
    // The guards of all engines depend on its age.
    let now = clock::now(tx, now).await?;
    for batch in proofs.chunks(BATCH) {
        let rows = batch.iter().map(|proof| recovery_proof::ActiveModel {
            recovery_id: Set(row.id),
            epoch: Set(row.epoch),
            kind: Set(proof.kind.clone()),
            read_by: Set(proof.by.clone()),
            read_from: Set(proof.from.clone()),
            evidence: Set(proof.evidence.clone()),
            at: Set(now.micros()),
            ..Default::default()
        });
        let insert = recovery_proof::Entity::insert_many(rows);
        tx.execute(&insert.into_query()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
