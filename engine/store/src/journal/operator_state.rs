//! The data that an operator may have changed, read in every transaction of a recovery.

use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use tachi_domain::Timestamp;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::freeze::FreezeStatus;
use tachi_domain::recovery::OffClaim;
use tachi_domain::recovery::{InstanceResolution, OperatorCommand, OperatorRequest, OperatorState};

use super::host_and_segment::HostAndSegment;
use super::{actions, frozen};
use crate::clock;
use crate::convert::{self, recovery_cell};
use crate::entity::{notification, recovery, segment};
use crate::error::Stop;

/// Reads the pulse. `place` is the recovery's host, and `own` this machine's time.
pub(super) async fn read(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    place: Option<&HostAndSegment>,
    own: Timestamp,
) -> Result<OperatorState, Stop> {
    let frozen = frozen::of(db, row, place.map(|place| &place.host), own).await?;
    with(db, row, place, frozen, own).await
}

/// Returns the pulse of a recovery that ends with this write and needs no further data: it contains only the data of
/// its row.
pub(super) fn last(row: &recovery::Model) -> Result<OperatorState, Stop> {
    Ok(OperatorState {
        segment_enabled: true,
        operator_maintenance: false,
        word: word(row)?,
        actions: Vec::new(),
        joined_normal: row.joined_normal,
        off_claim: stored_off_claim(row)?,
        move_words: move_words(row)?,
        frozen: FreezeStatus::NONE,
        clock: None,
    })
}

/// Reads the pulse if the freezes are known already.
pub(super) async fn with(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    place: Option<&HostAndSegment>,
    frozen: FreezeStatus,
    own: Timestamp,
) -> Result<OperatorState, Stop> {
    let maintenance = place.and_then(|place| place.maintenance);
    Ok(OperatorState {
        segment_enabled: segment_enabled(db, row, place).await?,
        operator_maintenance: maintenance == Some(MaintenanceReason::Operator),
        word: word(row)?,
        actions: actions::unread(db, row, own).await?,
        joined_normal: row.joined_normal,
        off_claim: stored_off_claim(row)?,
        move_words: dated_resolutions(db, row, own).await?,
        frozen,
        clock: None,
    })
}

/// True if the segment is enabled. A deleted or missing segment counts as disabled.
async fn segment_enabled(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    place: Option<&HostAndSegment>,
) -> Result<bool, Stop> {
    if let Some(place) = place {
        let there = place
            .segment
            .as_ref()
            .filter(|segment| segment.deleted == Some(0));
        return Ok(there.is_some_and(convert::is_enabled));
    }
    let notification = notification::Entity::find()
        .filter(notification::Column::NotificationUuid.eq(&row.notification_uuid))
        .one(db)
        .await?;
    let Some(uuid) = notification.and_then(|notification| notification.failover_segment_uuid) else {
        return Ok(false);
    };
    let segment = segment::Entity::find()
        .filter(segment::Column::Uuid.eq(uuid))
        .filter(segment::Column::Deleted.eq(0))
        .one(db)
        .await?;
    Ok(segment.as_ref().is_some_and(convert::is_enabled))
}

/// Returns the fencing claim of the recovery's reports.
pub(crate) fn stored_off_claim(row: &recovery::Model) -> Result<Option<OffClaim>, Stop> {
    let read = |text: &String| recovery_cell(row, "off_word").off_claim(text);
    Ok(row.off_word.as_ref().map(read).transpose()?)
}

/// Returns the operators' resolutions for single instances.
pub(crate) fn move_words(row: &recovery::Model) -> Result<Vec<InstanceResolution>, Stop> {
    let Some(text) = &row.move_words else {
        return Ok(Vec::new());
    };
    Ok(recovery_cell(row, "move_words").move_words(text)?)
}

/// Returns the same as they are read now, by the database's clock.
async fn dated_resolutions(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    own: Timestamp,
) -> Result<Vec<InstanceResolution>, Stop> {
    let resolutions = move_words(row)?;
    if resolutions.iter().all(|resolution| resolution.at.is_none()) {
        return Ok(resolutions);
    }
    let now = clock::now(db, own).await?;
    let dated = resolutions.into_iter().map(|resolution| resolution.read_at(now));
    Ok(dated.collect())
}

fn word(row: &recovery::Model) -> Result<Option<OperatorRequest>, Stop> {
    let Some(text) = &row.word else {
        return Ok(None);
    };
    Ok(Some(OperatorRequest {
        number: recovery_cell(row, "word_number").count(row.word_number)?,
        word: recovery_cell(row, "word").parse(text, OperatorCommand::from_value)?,
        by: row.word_by.clone().unwrap_or_default(),
        at: Timestamp::from_micros(row.word_at.unwrap_or_default()),
    }))
}
