//! Operators' plans for running hosts.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Set,
};
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::{Life, RecoveryKind, open_key};
use tachi_domain::{Timestamp, WaitsFor};
use tachi_engine::ports::JournalError;
use tachi_engine::ports::plans::{MovedAway, NewPlan, PlanOutcome, Plans};
use tracing::instrument;
use uuid::Uuid;

use crate::batches::batches;
use crate::convert::{self, Cell, recovery_cell};
use crate::database::Database;
use crate::entity::{host, notification, recovery, vmove};
use crate::error::Stop;
use crate::journal::reservations;
use crate::lock;
use crate::registry::accepted::{FirstReport, holder, recovery_row};
use crate::time::{from_column, to_column};
use crate::transaction::{Transaction, Tx, TxOutcome};

#[derive(Clone)]
pub struct PlanTables {
    db: Database,
}

impl PlanTables {
    pub(crate) fn of(db: &Database) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl Plans for PlanTables {
    #[instrument(name = "store::plan", level = "debug", skip_all, fields(kind = %new.kind))]
    async fn plan(&self, new: &NewPlan) -> Result<PlanOutcome, JournalError> {
        let now = self.db.now();
        let planned = self.db.write(&Begin { new, now }).await;
        planned.map_err(|stop| stop.journal("storing a plan"))
    }

    #[instrument(name = "store::moved_away", level = "debug", skip_all, fields(host))]
    async fn moved_away(&self, host: &str) -> Result<Vec<MovedAway>, JournalError> {
        let listed = moved_away(&self.db, host).await;
        listed.map_err(|stop| stop.journal("listing the instances that were moved away from a host"))
    }
}

/// The repeat key of plans: no report is a repetition of a plan.
pub(crate) const NO_REPORT: i64 = 0;

struct Begin<'a> {
    new: &'a NewPlan,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Begin<'_> {
    type Output = PlanOutcome;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<PlanOutcome>, Stop> {
        let new = self.new;
        // The lock orders this with the acceptance of reports about the host.
        lock::take(tx, [new.host.to_string()]).await?;
        let found = host::Entity::find()
            .filter(host::Column::Uuid.eq(new.host.to_string()))
            .filter(host::Column::Deleted.eq(0))
            .one(tx)
            .await?;
        let Some(host) = found else {
            return Ok(TxOutcome::Undo(PlanOutcome::Unknown));
        };
        let key = open_key(new.kind, new.host, &new.payload);
        let mut at_work = host_recovery(tx, &host).await?;
        if let Some(key) = at_work.is_none().then_some(key.as_ref()).flatten() {
            at_work = holder(tx, key).await?;
        }
        if let Some(row) = at_work {
            let id = recovery_cell(&row, "uuid").id(&row.uuid)?;
            return Ok(TxOutcome::Undo(PlanOutcome::Busy(
                id,
                convert::recovery_kind(&row)?,
            )));
        }
        if new.kind == RecoveryKind::Drain
            && let Some(row) = reservations::holder(tx, &host.uuid).await?
        {
            let id = recovery_cell(&row, "uuid").id(&row.uuid)?;
            return Ok(TxOutcome::Undo(PlanOutcome::Reserved(id)));
        }
        let payload = serde_json::Value::from_iter(new.payload.clone());
        let row = notification::ActiveModel {
            notification_uuid: Set(Uuid::new_v4().to_string()),
            generated_time: Set(to_column(self.now)?),
            source_host_uuid: Set(host.uuid.clone()),
            kind: Set(NotificationType::ComputeHost.as_str().to_owned()),
            payload: Set(Some(payload.to_string())),
            // An engine of Masakari processes notifications that are new or in error, and could not handle this one.
            status: Set(NotificationStatus::Running.as_str().to_owned()),
            failover_segment_uuid: Set(Some(host.failover_segment_id.clone())),
            created_at: Set(Some(to_column(self.now.whole_seconds())?)),
            deleted: Set(Some(0)),
            repeat_key: Set(Some(NO_REPORT)),
            ..Default::default()
        };
        let row = row.insert(tx).await?;
        let opened = recovery_row(
            &host,
            &row.notification_uuid,
            new.kind,
            key,
            FirstReport::default(),
            self.now,
        );
        // No report writes this column, and the API's user may not. An engine refuses a plan without it.
        let by = new.payload.get("by").cloned().unwrap_or_default();
        let opened = recovery::ActiveModel {
            word_by: Set(Some(by)),
            word_at: Set(Some(self.now.micros())),
            ..opened
        };
        let opened = opened.insert(tx).await?;
        Ok(TxOutcome::Keep(PlanOutcome::Started {
            recovery: recovery_cell(&opened, "uuid").id(&opened.uuid)?,
            notification: recovery_cell(&opened, "notification_uuid").id(&opened.notification_uuid)?,
        }))
    }
}

/// Returns the host's own recovery, if it is open or watches for the host's return. One that only starts the excluded instances of a host
/// that is back does not count.
async fn host_recovery(tx: &Tx, host: &host::Model) -> Result<Option<recovery::Model>, Stop> {
    let at_work = recovery::Column::Life
        .eq(Life::Open.as_str())
        .and(recovery::Column::OpenKey.is_not_null());
    let is_back = recovery::Column::WaitsFor.eq(WaitsFor::Start.as_str());
    let watching = Condition::all()
        .add(recovery::Column::Life.eq(Life::Watching.as_str()))
        .add(recovery::Column::WaitsFor.is_null().or(is_back.not()));
    let theirs = Condition::any().add(at_work).add(watching);
    Ok(recovery::Entity::find()
        .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
        .filter(recovery::Column::HostUuid.eq(&host.uuid))
        .filter(theirs)
        .order_by_desc(recovery::Column::Id)
        .one(tx)
        .await?)
}

async fn moved_away(db: &Database, host: &str) -> Result<Vec<MovedAway>, Stop> {
    let reader = db.reader();
    let succeeded = vmove::Column::Status.eq(VmoveStatus::Succeeded.as_str());
    let rows = vmove::Entity::find()
        .filter(vmove::Column::SourceHost.eq(host))
        .filter(succeeded)
        .filter(vmove::Column::Deleted.eq(0))
        .order_by_asc(vmove::Column::Id)
        .all(reader)
        .await?;
    // Keeps the last vmove of each instance.
    let rows: BTreeMap<String, vmove::Model> = rows
        .into_iter()
        .map(|row| (row.instance_uuid.clone(), row))
        .collect();
    let mut rows: Vec<vmove::Model> = rows.into_values().collect();
    let mut youngest: BTreeMap<String, i64> = BTreeMap::new();
    let mut recoveries: BTreeMap<String, recovery::Model> = BTreeMap::new();
    let all: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row.instance_uuid.as_str(), row.notification_uuid.as_str()))
        .collect();
    for batch in batches(&all) {
        let last: Vec<(String, i64)> = vmove::Entity::find()
            .select_only()
            .column(vmove::Column::InstanceUuid)
            .column_as(vmove::Column::Id.max(), "last")
            .filter(vmove::Column::InstanceUuid.is_in(batch.iter().map(|(instance, _)| *instance)))
            // Vmoves that left the instance in its place do not count.
            .filter(
                vmove::Column::Status
                    .is_not_in([VmoveStatus::Ignored.as_str(), VmoveStatus::Failed.as_str()]),
            )
            .group_by(vmove::Column::InstanceUuid)
            .into_tuple()
            .all(reader)
            .await?;
        youngest.extend(last);
        let found = recovery::Entity::find()
            .filter(
                recovery::Column::NotificationUuid.is_in(batch.iter().map(|(_, notification)| *notification)),
            )
            .all(reader)
            .await?;
        recoveries.extend(found.into_iter().map(|row| (row.notification_uuid.clone(), row)));
    }
    rows.retain(|row| youngest.get(&row.instance_uuid) == Some(&row.id));
    rows.sort_by(|one, other| one.instance_name.cmp(&other.instance_name));
    let mut listed = Vec::with_capacity(rows.len());
    for row in rows {
        let known = recoveries.get(&row.notification_uuid);
        let Some((recovery, dest)) = known
            .filter(|recovery| recovery.life != Life::Open.as_str())
            .zip(row.dest_host)
        else {
            continue;
        };
        let cell = Cell {
            table: "vmoves",
            row: &row.uuid,
            column: "instance_uuid",
        };
        listed.push(MovedAway {
            server: cell.id(&row.instance_uuid)?,
            name: row.instance_name,
            dest,
            recovery: recovery_cell(recovery, "uuid").id(&recovery.uuid)?,
            at: row.end_time.map(from_column),
        });
    }
    Ok(listed)
}

#[cfg(test)]
mod tests;
