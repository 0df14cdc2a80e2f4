//! What recoveries of a host have given up of Nova's evacuation records.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use tachi_domain::ServerId;
use tachi_domain::host_recovery::{GIVEN_UP_BY_LATEST, WrittenOff, given_up, may_run};
use tachi_domain::recovery::RecoveryKind;

use crate::entity::{recovery, recovery_move};
use crate::error::Stop;

pub(super) async fn of_host(
    db: &impl ConnectionTrait,
    name: &str,
) -> Result<BTreeMap<ServerId, Vec<WrittenOff>>, Stop> {
    let recoveries: Vec<i64> = recovery::Entity::find()
        .select_only()
        .column(recovery::Column::Id)
        .filter(recovery::Column::HostName.eq(name))
        .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
        .order_by_desc(recovery::Column::Id)
        .limit(u64::from(GIVEN_UP_BY_LATEST))
        .into_tuple()
        .all(db)
        .await?;
    if recoveries.is_empty() {
        return Ok(BTreeMap::new());
    }
    let states: Vec<String> = recovery_move::Entity::find()
        .select_only()
        .column(recovery_move::Column::State)
        .filter(recovery_move::Column::RecoveryId.is_in(recoveries))
        // Hardly any has: the rest need not be carried here.
        .filter(recovery_move::Column::State.contains("\"written_off\":[{"))
        .order_by_asc(recovery_move::Column::RecoveryId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(given_up(states.iter().map(String::as_str)))
}

/// So many names in one question: databases take no more than some thousands of values in one.
const AT_ONCE: usize = 500;

/// Where these instances may run by what recoveries of any host have left.
pub(super) async fn may_run_of(
    db: &impl ConnectionTrait,
    servers: &BTreeSet<ServerId>,
) -> Result<BTreeMap<ServerId, BTreeSet<String>>, Stop> {
    let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let mut found = BTreeMap::new();
    for names in names.chunks(AT_ONCE) {
        let doubtful: Vec<String> = recovery_move::Entity::find()
            .select_only()
            .column(recovery_move::Column::InstanceUuid)
            .filter(recovery_move::Column::InstanceUuid.is_in(names))
            // Hardly any has.
            .filter(recovery_move::Column::State.contains("\"may_run\":[\""))
            .into_tuple()
            .all(db)
            .await?;
        if doubtful.is_empty() {
            continue;
        }
        // A later recovery may have found out.
        let states: Vec<String> = recovery_move::Entity::find()
            .select_only()
            .column(recovery_move::Column::State)
            .filter(recovery_move::Column::InstanceUuid.is_in(doubtful))
            .order_by_asc(recovery_move::Column::RecoveryId)
            .into_tuple()
            .all(db)
            .await?;
        found.extend(may_run(states.iter().map(String::as_str)));
    }
    Ok(found)
}
