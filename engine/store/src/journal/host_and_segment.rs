//! The hosts of recoveries, with their segments, read in every transaction of a recovery: with one statement, and a
//! second one for hosts in maintenance.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use tachi_domain::entity::host::MaintenanceReason;

use crate::entity::{host, segment};
use crate::error::Stop;
use crate::registry::maintenance;

/// A host, deleted or not, and its segment.
pub(super) struct HostAndSegment {
    pub(super) host: host::Model,
    /// `None` if the segment's row no longer exists.
    pub(super) segment: Option<segment::Model>,
    /// `None` if the host is not in maintenance.
    pub(super) maintenance: Option<MaintenanceReason>,
}

/// Reads one host; `None` if its row no longer exists.
pub(super) async fn of(db: &impl ConnectionTrait, host: &str) -> Result<Option<HostAndSegment>, Stop> {
    Ok(of_all(db, &[host]).await?.remove(host))
}

/// Reads hosts by their ids. Hosts without a row are missing from the result.
pub(super) async fn of_all(
    db: &impl ConnectionTrait,
    hosts: &[&str],
) -> Result<BTreeMap<String, HostAndSegment>, Stop> {
    let found = host::Entity::find()
        .filter(host::Column::Uuid.is_in(hosts.iter().copied()))
        .find_also_related(segment::Entity)
        .all(db)
        .await?;
    let reasons = maintenance::reasons(db, found.iter().map(|(host, _)| host)).await?;
    let places = found.into_iter().map(|(host, segment)| {
        let maintenance = reasons.get(&host.uuid).copied();
        let place = HostAndSegment {
            host,
            segment,
            maintenance,
        };
        (place.host.uuid.clone(), place)
    });
    Ok(places.collect())
}
