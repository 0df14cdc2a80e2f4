//! The host that a recovery is about and its segment, read in every transaction of it: in one statement.

use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};

use crate::entity::{host, segment};
use crate::error::Stop;

/// A host, deleted or not, and its segment.
pub(super) struct Place {
    pub(super) host: host::Model,
    /// `None` if nothing is left of it.
    pub(super) segment: Option<segment::Model>,
}

/// `None` if nothing is left of the host.
pub(super) async fn of(db: &impl ConnectionTrait, host: &str) -> Result<Option<Place>, Stop> {
    let found = host::Entity::find()
        .filter(host::Column::Uuid.eq(host))
        .find_also_related(segment::Entity)
        .one(db)
        .await?;
    Ok(found.map(|(host, segment)| Place { host, segment }))
}
