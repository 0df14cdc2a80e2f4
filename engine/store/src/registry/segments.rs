use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, Set,
};
use tachi_domain::entity::Segment;
use tachi_domain::entity::segment::{NewSegment, RecoveryMethod, SegmentChange, SegmentFilter};
use tachi_domain::{SegmentId, Timestamp};
use tachi_engine::ports::RegistryError;
use tachi_engine::ports::registry::Page;
use uuid::Uuid;

use super::in_use::in_use;
use super::maintenance;
use crate::convert;
use crate::entity::{host, segment};
use crate::error::{Stop, is_unique_violation};
use crate::list::{PageQuery, nothing};
use crate::lock;
use crate::time::to_column;
use crate::transaction::{Transaction, Tx, TxOutcome};

pub(super) async fn list(
    db: &impl ConnectionTrait,
    page: &Page<SegmentFilter>,
) -> Result<Vec<Segment>, Stop> {
    let mut select = segment::Entity::find();
    if let Some(method) = &page.filter.recovery_method {
        // No row can contain an unknown value, and PostgreSQL would refuse the comparison.
        select = match RecoveryMethod::from_value(method) {
            Some(method) => select.filter(segment::Column::RecoveryMethod.eq(method.as_str())),
            None => select.filter(nothing()),
        };
    }
    if let Some(service) = &page.filter.service_type {
        select = select.filter(segment::Column::ServiceType.eq(service));
    }
    if let Some(enabled) = page.filter.enabled {
        select = select.filter(segment::Column::Enabled.eq(enabled));
    }
    if let Some(row) = page.filter.row {
        select = select.filter(segment::Column::Id.eq(row));
    }
    let cut = PageQuery::<segment::Entity> {
        id: segment::Column::Id,
        deleted: segment::Column::Deleted,
        sort: &page.sort,
        marker: page.marker,
        limit: page.limit,
    };
    let rows = cut.read(db, select).await?;
    Ok(rows.into_iter().map(convert::segment).collect::<Result<_, _>>()?)
}

/// Reads the row of a segment that is not deleted.
pub(super) async fn row(db: &impl ConnectionTrait, id: SegmentId) -> Result<Option<segment::Model>, Stop> {
    let found = segment::Entity::find()
        .filter(segment::Column::Uuid.eq(id.to_string()))
        .filter(segment::Column::Deleted.eq(0))
        .one(db)
        .await?;
    Ok(found)
}

pub(super) async fn get(db: &impl ConnectionTrait, id: SegmentId) -> Result<Option<Segment>, Stop> {
    Ok(row(db, id).await?.map(convert::segment).transpose()?)
}

pub(super) struct Create<'a> {
    pub(super) new: &'a NewSegment,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Create<'_> {
    type Output = Segment;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Segment>, Stop> {
        free_name(tx, &self.new.name, None).await?;
        let row = segment::ActiveModel {
            uuid: Set(Uuid::new_v4().to_string()),
            name: Set(self.new.name.clone()),
            service_type: Set(self.new.service_type.clone()),
            enabled: Set(Some(self.new.enabled)),
            description: Set(self.new.description.clone()),
            recovery_method: Set(self.new.recovery_method.as_str().to_owned()),
            created_at: Set(Some(to_column(self.now.whole_seconds())?)),
            deleted: Set(Some(0)),
            ..Default::default()
        };
        let row = row
            .insert(tx)
            .await
            .map_err(|error| taken(error, &self.new.name))?;
        Ok(TxOutcome::Keep(convert::segment(row)?))
    }
}

pub(super) struct Update<'a> {
    pub(super) id: SegmentId,
    pub(super) change: &'a SegmentChange,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Update<'_> {
    type Output = Segment;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Segment>, Stop> {
        let change = self.change;
        if !only_enables(change) {
            lock::take_segment(tx, &self.id.to_string()).await?;
        }
        let Some(old) = row(tx, self.id).await? else {
            return Err(RegistryError::SegmentNotFound { segment: self.id }.into());
        };
        if !only_enables(change) && in_use(tx, &old.uuid).await? {
            return Err(RegistryError::InUse.into());
        }
        if let Some(name) = &change.name {
            free_name(tx, name, Some(old.id)).await?;
        }
        let name = change.name.clone().unwrap_or_else(|| old.name.clone());
        let mut new = segment::ActiveModel::from(old);
        if let Some(name) = &change.name {
            new.name = Set(name.clone());
        }
        if let Some(service) = &change.service_type {
            new.service_type = Set(service.clone());
        }
        if let Some(enabled) = change.enabled {
            new.enabled = Set(Some(enabled));
        }
        if let Some(description) = &change.description {
            new.description = Set(description.clone());
        }
        if let Some(method) = change.recovery_method {
            new.recovery_method = Set(method.as_str().to_owned());
        }
        new.updated_at = Set(Some(to_column(self.now.whole_seconds())?));
        let row = new.update(tx).await.map_err(|error| taken(error, &name))?;
        Ok(TxOutcome::Keep(convert::segment(row)?))
    }
}

/// True if a change affects `enabled` alone, which is permitted at any time.
fn only_enables(change: &SegmentChange) -> bool {
    let without = SegmentChange {
        enabled: None,
        ..change.clone()
    };
    change.enabled.is_some() && without == SegmentChange::default()
}

pub(super) struct Delete {
    pub(super) id: SegmentId,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Delete {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        lock::take_segment(tx, &self.id.to_string()).await?;
        let Some(old) = row(tx, self.id).await? else {
            return Err(RegistryError::SegmentNotFound { segment: self.id }.into());
        };
        if in_use(tx, &old.uuid).await? {
            return Err(RegistryError::InUse.into());
        }
        let at = to_column(self.now)?;
        let hosts = host::Entity::find()
            .filter(host::Column::FailoverSegmentId.eq(&old.uuid))
            .filter(host::Column::Deleted.eq(0))
            .all(tx)
            .await?;
        maintenance::delete_states(tx, hosts.into_iter().map(|host| host.uuid)).await?;
        host::Entity::update_many()
            .col_expr(host::Column::Deleted, Expr::col(host::Column::Id))
            .col_expr(host::Column::DeletedAt, Expr::value(at))
            .filter(host::Column::FailoverSegmentId.eq(&old.uuid))
            .filter(host::Column::Deleted.eq(0))
            .exec(tx)
            .await?;
        segment::Entity::update_many()
            .col_expr(segment::Column::Deleted, Expr::col(segment::Column::Id))
            .col_expr(segment::Column::DeletedAt, Expr::value(at))
            .filter(segment::Column::Id.eq(old.id))
            .exec(tx)
            .await?;
        Ok(TxOutcome::Keep(()))
    }
}

/// Refuses a name that another segment has. The database decides which names are equal.
async fn free_name(db: &impl ConnectionTrait, name: &str, but: Option<i64>) -> Result<(), Stop> {
    let mut select = segment::Entity::find()
        .filter(segment::Column::Name.eq(name))
        .filter(segment::Column::Deleted.eq(0));
    if let Some(but) = but {
        select = select.filter(segment::Column::Id.ne(but));
    }
    if select.one(db).await?.is_some() {
        return Err(RegistryError::SegmentExists {
            name: name.to_owned(),
        }
        .into());
    }
    Ok(())
}

fn taken(error: sea_orm::DbErr, name: &str) -> Stop {
    if is_unique_violation(&error) {
        RegistryError::SegmentExists {
            name: name.to_owned(),
        }
        .into()
    } else {
        error.into()
    }
}

#[cfg(test)]
mod tests;
