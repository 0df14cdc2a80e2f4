//! The instances of a recovery: the vmove that the API shows, and the move behind it.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _, QueryTrait as _,
    Set,
};
use tachi_domain::entity::vmove::VmoveType;
use tachi_domain::{RecoveryId, ServerId, Timestamp};
use tachi_engine::ports::journal::MoveWrite;

use super::claim;
use super::commit::BATCH;
use super::vmoves;
use crate::batches::batches;
use crate::convert::Cell;
use crate::entity::{recovery, recovery_move, vmove};
use crate::error::Stop;
use crate::transaction::Tx;
use crate::waits::{WaitColumns, json};

/// Returns the instances of these moves that have an open move in another recovery.
pub(super) async fn taken(
    db: &impl ConnectionTrait,
    id: RecoveryId,
    moves: &[MoveWrite],
) -> Result<Vec<ServerId>, Stop> {
    let open: Vec<String> = moves
        .iter()
        .filter(|instance| instance.open)
        .map(|instance| instance.server.to_string())
        .collect();
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let row = claim::without_state(db, &id.to_string()).await?;
    let mut taken = Vec::new();
    for batch in batches(&open) {
        let open_keys: Vec<String> = recovery_move::Entity::find()
            .select_only()
            .column(recovery_move::Column::OpenKey)
            .filter(recovery_move::Column::OpenKey.is_in(batch))
            .filter(recovery_move::Column::RecoveryId.ne(row.id))
            .into_tuple()
            .all(db)
            .await?;
        for key in open_keys {
            let cell = Cell {
                table: "recovery_move",
                row: &key,
                column: "open_key",
            };
            taken.push(cell.id(&key)?);
        }
    }
    Ok(taken)
}

/// Inserts new moves in batches, and overwrites the others.
///
/// An upsert would not do: `MariaDB`'s would treat a conflict on the open key as one on the id, and overwrite the other
/// recovery's move.
pub(super) async fn write(
    tx: &Tx,
    row: &recovery::Model,
    moves: &[MoveWrite],
    now: Timestamp,
) -> Result<(), Stop> {
    if moves.is_empty() {
        return Ok(());
    }
    let known: Vec<String> = recovery_move::Entity::find()
        .select_only()
        .column(recovery_move::Column::VmoveUuid)
        .filter(recovery_move::Column::RecoveryId.eq(row.id))
        .into_tuple()
        .all(tx)
        .await?;
    let known: BTreeSet<String> = known.into_iter().collect();
    let (old, new): (Vec<_>, Vec<_>) = moves
        .iter()
        .partition(|instance| known.contains(&instance.vmove.id.to_string()));
    for batch in new.chunks(BATCH) {
        insert(tx, row, batch, now).await?;
    }
    // Moves that end come first, because they release their instance for one that starts.
    for instance in old
        .iter()
        .filter(|instance| !instance.open)
        .chain(old.iter().filter(|instance| instance.open))
    {
        update(tx, instance, now).await?;
    }
    Ok(())
}

async fn insert(tx: &Tx, row: &recovery::Model, moves: &[&MoveWrite], now: Timestamp) -> Result<(), Stop> {
    let mut shown = Vec::with_capacity(moves.len());
    let mut behind = Vec::with_capacity(moves.len());
    for instance in moves {
        shown.push(vmoves::inserted(
            row,
            instance.server,
            &instance.vmove,
            VmoveType::Evacuation,
            now,
        )?);
        let facts = Facts::of(instance)?;
        behind.push(recovery_move::ActiveModel {
            vmove_uuid: Set(instance.vmove.id.to_string()),
            recovery_id: Set(row.id),
            instance_uuid: Set(instance.server.to_string()),
            open_key: Set(open_key(instance)),
            rank: Set(i64::from(instance.rank)),
            state: Set(instance.state.clone()),
            waits_for: Set(facts.wait.what),
            waits_on: Set(facts.wait.on),
            waits_since: Set(facts.wait.since),
            written_off: Set(Some(facts.written_off)),
            may_run: Set(Some(facts.may_run)),
            seen_to: Set(None),
        });
    }
    tx.execute(&vmove::Entity::insert_many(shown).into_query())
        .await?;
    tx.execute(&recovery_move::Entity::insert_many(behind).into_query())
        .await?;
    Ok(())
}

async fn update(tx: &Tx, instance: &MoveWrite, now: Timestamp) -> Result<(), Stop> {
    let (uuid, source) = (instance.vmove.id.to_string(), instance.vmove.source_host.as_str());
    vmoves::updated(&instance.vmove, now)?
        .col_expr(vmove::Column::SourceHost, Expr::value(source))
        .exec(tx)
        .await?;
    let facts = Facts::of(instance)?;
    recovery_move::Entity::update_many()
        .col_expr(recovery_move::Column::WaitsFor, Expr::value(facts.wait.what))
        .col_expr(recovery_move::Column::WaitsOn, Expr::value(facts.wait.on))
        .col_expr(recovery_move::Column::WaitsSince, Expr::value(facts.wait.since))
        .col_expr(recovery_move::Column::WrittenOff, Expr::value(facts.written_off))
        .col_expr(recovery_move::Column::MayRun, Expr::value(facts.may_run))
        .col_expr(recovery_move::Column::OpenKey, Expr::value(open_key(instance)))
        .col_expr(recovery_move::Column::Rank, Expr::value(i64::from(instance.rank)))
        .col_expr(recovery_move::Column::State, Expr::value(instance.state.as_str()))
        .filter(recovery_move::Column::VmoveUuid.eq(&uuid))
        .exec(tx)
        .await?;
    Ok(())
}

fn open_key(instance: &MoveWrite) -> Option<String> {
    instance.open.then(|| instance.server.to_string())
}

/// The data of a move that is stored in separate columns.
struct Facts {
    wait: WaitColumns,
    written_off: String,
    may_run: String,
}

impl Facts {
    fn of(instance: &MoveWrite) -> Result<Self, Stop> {
        let wait = instance.wait.as_ref().map(WaitColumns::of).transpose()?;
        Ok(Self {
            wait: wait.unwrap_or_default(),
            written_off: json(&instance.written_off)?,
            may_run: json(&instance.may_run)?,
        })
    }
}
