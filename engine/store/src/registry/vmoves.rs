//! Queries of vmoves.

use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::VmoveFilter;
use tachi_domain::{NotificationId, VmoveId};
use tachi_engine::ports::registry::Page;

use crate::convert;
use crate::entity::vmove;
use crate::error::Stop;
use crate::list::PageQuery;

pub(super) async fn list(
    db: &impl ConnectionTrait,
    notification: NotificationId,
    page: &Page<VmoveFilter>,
) -> Result<Vec<Vmove>, Stop> {
    let mut select =
        vmove::Entity::find().filter(vmove::Column::NotificationUuid.eq(notification.to_string()));
    if let Some(status) = &page.filter.status {
        select = select.filter(vmove::Column::Status.eq(status));
    }
    if let Some(kind) = &page.filter.kind {
        select = select.filter(vmove::Column::Kind.eq(kind));
    }
    if let Some(row) = page.filter.row {
        select = select.filter(vmove::Column::Id.eq(row));
    }
    let cut = PageQuery::<vmove::Entity> {
        id: vmove::Column::Id,
        deleted: vmove::Column::Deleted,
        sort: &page.sort,
        marker: page.marker,
        limit: page.limit,
    };
    let rows = cut.read(db, select).await?;
    Ok(rows.into_iter().map(convert::vmove).collect::<Result<_, _>>()?)
}

pub(super) async fn get(
    db: &impl ConnectionTrait,
    notification: NotificationId,
    id: VmoveId,
) -> Result<Option<Vmove>, Stop> {
    let row = vmove::Entity::find()
        .filter(vmove::Column::Uuid.eq(id.to_string()))
        .filter(vmove::Column::NotificationUuid.eq(notification.to_string()))
        .filter(vmove::Column::Deleted.eq(0))
        .one(db)
        .await?;
    Ok(row.map(convert::vmove).transpose()?)
}
