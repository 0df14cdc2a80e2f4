//! Lists of instances, and operators' acknowledgements of them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _, Set,
};
use tachi_domain::entity::Vmove;
use tachi_domain::recovery::Life;
use tachi_domain::{NotificationId, RecoveryId, ServerId, Timestamp, WaitsFor};
use tachi_engine::ports::operator::{ActionOutcome, MoveFilter, MoveLine, acknowledgement_text};

use crate::batches::batches;
use crate::convert::{self, Cell, recovery_cell};
use crate::database::Database;
use crate::entity::{recovery, recovery_move, recovery_step, vmove};
use crate::error::{Failure, Stop};
use crate::transaction::{Transaction, Tx, TxOutcome};
use crate::waits::WaitColumns;

pub(super) async fn moves(db: &Database, filter: MoveFilter) -> Result<Vec<MoveLine>, Stop> {
    let (rows, recoveries) = match filter {
        MoveFilter::Unsettled => unsettled(db).await?,
        MoveFilter::NeedsPerson => needing_person(db).await?,
    };
    let mut shown = BTreeMap::new();
    let ids: Vec<&str> = rows.iter().map(|row| row.vmove_uuid.as_str()).collect();
    for ids in batches(&ids) {
        let found = vmove::Entity::find()
            .filter(vmove::Column::Uuid.is_in(ids))
            .all(db.reader())
            .await?;
        shown.extend(found.into_iter().map(|row| (row.uuid.clone(), row)));
    }
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(recovery) = recoveries.get(&row.recovery_id) {
            let place = (row.recovery_id, row.rank);
            let shown = shown.remove(&row.vmove_uuid);
            lines.push((place, line(row, recovery, shown)?));
        }
    }
    lines.sort_by_key(|(place, _)| *place);
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// Returns the vmoves of these notifications.
pub(super) async fn moved(db: &Database, notifications: &[NotificationId]) -> Result<Vec<Vmove>, Stop> {
    let mut all = Vec::new();
    for batch in batches(notifications) {
        let found = vmove::Entity::find()
            .filter(vmove::Column::NotificationUuid.is_in(batch.iter().map(ToString::to_string)))
            .filter(vmove::Column::Deleted.eq(0))
            .all(db.reader())
            .await?;
        for row in found {
            all.push(convert::vmove(row)?);
        }
    }
    Ok(all)
}

fn line(
    row: recovery_move::Model,
    recovery: &recovery::Model,
    shown: Option<vmove::Model>,
) -> Result<MoveLine, Failure> {
    let cell = |column| Cell {
        table: "recovery_move",
        row: &row.vmove_uuid,
        column,
    };
    let wait = WaitColumns {
        what: row.waits_for.clone(),
        on: row.waits_on.clone(),
        since: row.waits_since,
    };
    let may_run: Option<BTreeSet<String>> = row
        .may_run
        .as_deref()
        .map(|text| cell("may_run").json(text))
        .transpose()?;
    Ok(MoveLine {
        recovery: recovery_cell(recovery, "uuid").id(&recovery.uuid)?,
        host: recovery.host_name.clone(),
        life: convert::life(recovery)?,
        opened_at: Timestamp::from_micros(recovery.opened_at),
        server: cell("instance_uuid").id(&row.instance_uuid)?,
        rank: row.rank,
        // An acknowledged instance waits for nothing.
        wait: wait
            .read("recovery_move", &row.vmove_uuid)?
            .filter(|_| row.seen_to.is_none()),
        may_run: may_run.unwrap_or_default(),
        name: shown
            .as_ref()
            .map(|row| row.instance_name.clone())
            .unwrap_or_default(),
        dest: shown.as_ref().and_then(|row| row.dest_host.clone()),
        message: shown.and_then(|row| row.message),
        state: row.state,
    })
}

type Found = (Vec<recovery_move::Model>, BTreeMap<i64, recovery::Model>);

async fn unsettled(db: &Database) -> Result<Found, Stop> {
    let recoveries = recovery::Entity::find()
        .filter(recovery::Column::Life.ne(Life::Closed.as_str()))
        .all(db.reader())
        .await?;
    let recoveries: BTreeMap<i64, recovery::Model> =
        recoveries.into_iter().map(|row| (row.id, row)).collect();
    let ids: Vec<i64> = recoveries.keys().copied().collect();
    let mut rows = Vec::new();
    for batch in batches(&ids) {
        let moves = recovery_move::Entity::find()
            .filter(recovery_move::Column::RecoveryId.is_in(batch))
            .all(db.reader())
            .await?;
        rows.extend(moves);
    }
    Ok((rows, recoveries))
}

async fn needing_person(db: &Database) -> Result<Found, Stop> {
    let wait_states = WaitsFor::ALL.iter().filter(|what| what.needs_person());
    let mut rows = recovery_move::Entity::find()
        .filter(recovery_move::Column::WaitsFor.is_in(wait_states.map(|what| what.as_str())))
        .filter(recovery_move::Column::SeenTo.is_null())
        .all(db.reader())
        .await?;
    let (mut recoveries, mut newest) = (BTreeMap::new(), BTreeMap::new());
    let all: Vec<(i64, &str)> = rows
        .iter()
        .map(|row| (row.recovery_id, row.instance_uuid.as_str()))
        .collect();
    for batch in batches(&all) {
        let found = recovery::Entity::find()
            .filter(recovery::Column::Id.is_in(batch.iter().map(|(recovery, _)| *recovery)))
            .all(db.reader())
            .await?;
        recoveries.extend(found.into_iter().map(|row| (row.id, row)));
        let last: Vec<(String, i64)> = recovery_move::Entity::find()
            .select_only()
            .column(recovery_move::Column::InstanceUuid)
            .column_as(recovery_move::Column::RecoveryId.max(), "last")
            .filter(recovery_move::Column::InstanceUuid.is_in(batch.iter().map(|(_, instance)| *instance)))
            .group_by(recovery_move::Column::InstanceUuid)
            .into_tuple()
            .all(db.reader())
            .await?;
        newest.extend(last);
    }
    let given_up = Some(WaitsFor::GivenUp.as_str());
    rows.retain(|row| {
        let is_closed = |id| {
            let recovery: Option<&recovery::Model> = recoveries.get(id);
            recovery.is_none_or(|row| row.life == Life::Closed.as_str())
        };
        // A later recovery of the instance supersedes this one. A closed recovery accepts no action, so of those only
        // instances that were given up count.
        newest.get(&row.instance_uuid) == Some(&row.recovery_id)
            && (row.waits_for.as_deref() == given_up || !is_closed(&row.recovery_id))
    });
    Ok((rows, recoveries))
}

pub(super) struct Acknowledge<'a> {
    pub(super) id: RecoveryId,
    pub(super) server: ServerId,
    pub(super) by: &'a str,
    pub(super) at: Timestamp,
}

#[async_trait]
impl Transaction for Acknowledge<'_> {
    type Output = ActionOutcome;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<ActionOutcome>, Stop> {
        let found = recovery::Entity::find()
            .filter(recovery::Column::Uuid.eq(self.id.to_string()))
            .one(tx)
            .await?;
        let Some(row) = found else {
            return Ok(TxOutcome::Undo(ActionOutcome::Unknown));
        };
        let server = self.server.to_string();
        let seen_to = recovery_move::Entity::update_many()
            .col_expr(recovery_move::Column::SeenTo, Expr::value(self.by))
            .filter(recovery_move::Column::RecoveryId.eq(row.id))
            .filter(recovery_move::Column::InstanceUuid.eq(&server))
            .filter(recovery_move::Column::WaitsFor.eq(WaitsFor::GivenUp.as_str()))
            .filter(recovery_move::Column::SeenTo.is_null())
            .exec(tx)
            .await?;
        if seen_to.rows_affected == 0 {
            return Ok(TxOutcome::Undo(ActionOutcome::NotOpen));
        }
        let step = recovery_step::ActiveModel {
            recovery_id: Set(row.id),
            epoch: Set(row.epoch),
            task: Set("EvacuateInstancesTask".to_owned()),
            instance_uuid: Set(Some(server)),
            kind: Set("note".to_owned()),
            progress: Set(1.0),
            failed: Set(false),
            text: Set(acknowledgement_text(self.by)),
            at: Set(self.at.micros()),
            ..Default::default()
        };
        step.insert(tx).await?;
        Ok(TxOutcome::Keep(ActionOutcome::Submitted))
    }
}
