use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, Set,
};
use tachi_domain::entity::Host;
use tachi_domain::entity::host::{HostAttributes, HostFilter, MaintenanceReason, NewHost};
use tachi_domain::{HostId, SegmentId, Timestamp};
use tachi_engine::ports::RegistryError;
use tachi_engine::ports::registry::Page;
use uuid::Uuid;

use super::in_use::in_use;
use super::{maintenance, segments};
use crate::convert;
use crate::entity::host;
use crate::error::{Failure, Stop, is_unique_violation};
use crate::list::PageQuery;
use crate::lock;
use crate::time::to_column;
use crate::transaction::{Transaction, Tx, TxOutcome};

pub(super) async fn list(
    db: &impl ConnectionTrait,
    segment: SegmentId,
    page: &Page<HostFilter>,
) -> Result<Vec<Host>, Stop> {
    let parent = segments::get(db, segment)
        .await?
        .ok_or(RegistryError::SegmentNotFound { segment })?;
    let filter = &page.filter.attributes;
    let mut select = host::Entity::find().filter(host::Column::FailoverSegmentId.eq(segment.to_string()));
    if let Some(kind) = &filter.kind {
        select = select.filter(host::Column::Kind.eq(kind));
    }
    if let Some(name) = &filter.name {
        select = select.filter(host::Column::Name.eq(name));
    }
    if let Some(attributes) = &filter.control_attributes {
        select = select.filter(host::Column::ControlAttributes.eq(attributes));
    }
    if let Some(on_maintenance) = filter.on_maintenance {
        select = select.filter(host::Column::OnMaintenance.eq(on_maintenance));
    }
    if let Some(reserved) = filter.reserved {
        select = select.filter(host::Column::Reserved.eq(reserved));
    }
    if let Some(row) = page.filter.row {
        select = select.filter(host::Column::Id.eq(row));
    }
    let cut = PageQuery::<host::Entity> {
        id: host::Column::Id,
        deleted: host::Column::Deleted,
        sort: &page.sort,
        marker: page.marker,
        limit: page.limit,
    };
    let rows = cut.read(db, select).await?;
    let hosts = rows.into_iter().map(|row| convert::host(row, parent.clone()));
    Ok(hosts.collect::<Result<_, _>>()?)
}

/// Reads the row of a host in that segment that is not deleted.
async fn row(db: &impl ConnectionTrait, segment: SegmentId, id: HostId) -> Result<Option<host::Model>, Stop> {
    let found = host::Entity::find()
        .filter(host::Column::Uuid.eq(id.to_string()))
        .filter(host::Column::FailoverSegmentId.eq(segment.to_string()))
        .filter(host::Column::Deleted.eq(0))
        .one(db)
        .await?;
    Ok(found)
}

pub(super) async fn get(
    db: &impl ConnectionTrait,
    segment: SegmentId,
    id: HostId,
) -> Result<Option<Host>, Stop> {
    match row(db, segment, id).await? {
        Some(row) => with_segment(db, segment, row).await.map(Some),
        None => Ok(None),
    }
}

/// Returns the host if an operator may currently make that change to it.
pub(super) async fn changeable(
    db: &impl ConnectionTrait,
    segment: SegmentId,
    id: HostId,
    change: &HostAttributes,
) -> Result<Host, Stop> {
    let row = existing(db, segment, id).await?;
    refuse_in_use(db, &row, change).await?;
    with_segment(db, segment, row).await
}

/// Refuses every change but maintenance while the segment is in use.
async fn refuse_in_use(
    db: &impl ConnectionTrait,
    row: &host::Model,
    change: &HostAttributes,
) -> Result<(), Stop> {
    if !change.only_sets_maintenance() && in_use(db, &row.failover_segment_id).await? {
        return Err(RegistryError::InUse.into());
    }
    Ok(())
}

async fn with_segment(db: &impl ConnectionTrait, segment: SegmentId, row: host::Model) -> Result<Host, Stop> {
    let parent = segments::get(db, segment)
        .await?
        .ok_or_else(|| Failure::Dangling {
            table: "failover_segments",
            row: segment.to_string(),
        })?;
    Ok(convert::host(row, parent)?)
}

pub(super) struct Create<'a> {
    pub(super) segment: SegmentId,
    pub(super) new: &'a NewHost,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Create<'_> {
    type Output = Host;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Host>, Stop> {
        let (id, new) = (self.segment, self.new);
        lock::take(tx, [id.to_string()]).await?;
        let segment = segments::get(tx, id)
            .await?
            .ok_or(RegistryError::SegmentNotFound { segment: id })?;
        free_name(tx, &new.name, None).await?;
        let row = host::ActiveModel {
            uuid: Set(Uuid::new_v4().to_string()),
            name: Set(new.name.clone()),
            kind: Set(new.kind.clone()),
            control_attributes: Set(new.control_attributes.clone()),
            reserved: Set(Some(new.reserved)),
            on_maintenance: Set(Some(new.on_maintenance)),
            failover_segment_id: Set(id.to_string()),
            created_at: Set(Some(to_column(self.now.whole_seconds())?)),
            deleted: Set(Some(0)),
            ..Default::default()
        };
        let row = row.insert(tx).await.map_err(|error| taken(error, &new.name))?;
        if new.on_maintenance {
            maintenance::record(tx, &row.uuid, MaintenanceReason::Operator, None).await?;
        }
        Ok(TxOutcome::Keep(convert::host(row, segment)?))
    }
}

pub(super) struct Update<'a> {
    pub(super) segment: SegmentId,
    pub(super) id: HostId,
    pub(super) change: &'a HostAttributes,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Update<'_> {
    type Output = Host;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Host>, Stop> {
        let change = self.change;
        if change.only_sets_maintenance() {
            lock::take(tx, [self.id.to_string()]).await?;
        } else {
            lock::take_segment(tx, &self.segment.to_string()).await?;
        }
        let old = existing(tx, self.segment, self.id).await?;
        refuse_in_use(tx, &old, change).await?;
        if let Some(name) = &change.name {
            free_name(tx, name, Some(old.id)).await?;
        }
        match change.on_maintenance {
            Some(true) => maintenance::record(tx, &old.uuid, MaintenanceReason::Operator, None).await?,
            Some(false) => maintenance::delete_states(tx, [old.uuid.clone()]).await?,
            None => {}
        }
        let name = change.name.clone().unwrap_or_else(|| old.name.clone());
        let mut new = host::ActiveModel::from(old);
        if let Some(name) = &change.name {
            new.name = Set(name.clone());
        }
        if let Some(kind) = &change.kind {
            new.kind = Set(kind.clone());
        }
        if let Some(attributes) = &change.control_attributes {
            new.control_attributes = Set(attributes.clone());
        }
        if let Some(reserved) = change.reserved {
            new.reserved = Set(Some(reserved));
        }
        if let Some(on_maintenance) = change.on_maintenance {
            new.on_maintenance = Set(Some(on_maintenance));
        }
        new.updated_at = Set(Some(to_column(self.now.whole_seconds())?));
        let row = new.update(tx).await.map_err(|error| taken(error, &name))?;
        Ok(TxOutcome::Keep(with_segment(tx, self.segment, row).await?))
    }
}

pub(super) struct Delete {
    pub(super) segment: SegmentId,
    pub(super) id: HostId,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Delete {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        lock::take_segment(tx, &self.segment.to_string()).await?;
        let old = existing(tx, self.segment, self.id).await?;
        if in_use(tx, &old.failover_segment_id).await? {
            return Err(RegistryError::InUse.into());
        }
        host::Entity::update_many()
            .col_expr(host::Column::Deleted, Expr::col(host::Column::Id))
            .col_expr(host::Column::DeletedAt, Expr::value(to_column(self.now)?))
            .filter(host::Column::Id.eq(old.id))
            .exec(tx)
            .await?;
        maintenance::delete_states(tx, [old.uuid]).await?;
        Ok(TxOutcome::Keep(()))
    }
}

async fn existing(db: &impl ConnectionTrait, segment: SegmentId, id: HostId) -> Result<host::Model, Stop> {
    row(db, segment, id)
        .await?
        .ok_or_else(|| RegistryError::HostNotFound { host: id, segment }.into())
}

/// Refuses a name that another host in any segment has.
async fn free_name(db: &impl ConnectionTrait, name: &str, but: Option<i64>) -> Result<(), Stop> {
    let mut select = host::Entity::find()
        .filter(host::Column::Name.eq(name))
        .filter(host::Column::Deleted.eq(0));
    if let Some(but) = but {
        select = select.filter(host::Column::Id.ne(but));
    }
    if select.one(db).await?.is_some() {
        return Err(RegistryError::HostExists {
            name: name.to_owned(),
        }
        .into());
    }
    Ok(())
}

fn taken(error: sea_orm::DbErr, name: &str) -> Stop {
    if is_unique_violation(&error) {
        RegistryError::HostExists {
            name: name.to_owned(),
        }
        .into()
    } else {
        error.into()
    }
}

#[cfg(test)]
mod tests;
