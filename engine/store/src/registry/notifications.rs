//! Queries of notifications.

use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use tachi_domain::NotificationId;
use tachi_domain::entity::Notification;
use tachi_domain::entity::notification::{NotificationFilter, NotificationStatus};
use tachi_engine::ports::registry::Page;

use crate::convert;
use crate::entity::notification;
use crate::error::Stop;
use crate::list::{PageQuery, nothing};
use crate::time::to_column;

pub(super) async fn list(
    db: &impl ConnectionTrait,
    page: &Page<NotificationFilter>,
) -> Result<Vec<Notification>, Stop> {
    let filter = &page.filter;
    let mut select = notification::Entity::find();
    if let Some(status) = &filter.status {
        // No row can contain an unknown value, and PostgreSQL would refuse the comparison.
        select = match NotificationStatus::from_value(status) {
            Some(status) => select.filter(notification::Column::Status.eq(status.as_str())),
            None => select.filter(nothing()),
        };
    }
    if let Some(kind) = &filter.kind {
        select = select.filter(notification::Column::Kind.eq(kind));
    }
    if let Some(host) = &filter.source_host {
        select = select.filter(notification::Column::SourceHostUuid.eq(host));
    }
    if let Some(since) = filter.generated_since {
        select = select.filter(notification::Column::GeneratedTime.gte(to_column(since)?));
    }
    if let Some(row) = filter.row {
        select = select.filter(notification::Column::Id.eq(row));
    }
    let cut = PageQuery::<notification::Entity> {
        id: notification::Column::Id,
        deleted: notification::Column::Deleted,
        sort: &page.sort,
        marker: page.marker,
        limit: page.limit,
    };
    let rows = cut.read(db, select).await?;
    Ok(rows
        .into_iter()
        .map(convert::notification)
        .collect::<Result<_, _>>()?)
}

pub(super) async fn get(db: &impl ConnectionTrait, id: NotificationId) -> Result<Option<Notification>, Stop> {
    let row = notification::Entity::find()
        .filter(notification::Column::NotificationUuid.eq(id.to_string()))
        .filter(notification::Column::Deleted.eq(0))
        .one(db)
        .await?;
    Ok(row.map(convert::notification).transpose()?)
}
