//! The in-use rule: while a notification of one of its hosts is processed, a segment and its hosts must not be changed.

use sea_orm::sea_query::Query;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};
use tachi_domain::entity::notification::NotificationStatus;

use crate::entity::{host, notification};

/// True if a notification of one of the segment's hosts is open.
pub(super) async fn in_use(db: &impl ConnectionTrait, segment: &str) -> Result<bool, DbErr> {
    let open = NotificationStatus::ALL
        .iter()
        .filter(|status| status.is_open())
        .map(|status| status.as_str());
    let hosts = Query::select()
        .column(host::Column::Uuid)
        .from(host::Entity)
        .and_where(host::Column::FailoverSegmentId.eq(segment))
        .and_where(host::Column::Deleted.eq(0))
        .take();
    let found = notification::Entity::find()
        .filter(notification::Column::Deleted.eq(0))
        .filter(notification::Column::Status.is_in(open))
        .filter(notification::Column::SourceHostUuid.in_subquery(hosts))
        .limit(1)
        .one(db)
        .await?;
    Ok(found.is_some())
}
