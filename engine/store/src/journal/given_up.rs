//! Nova's evacuation records that recoveries of a host have given up, and the hosts on which instances may still run.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::Condition;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select,
};
use serde::de::DeserializeOwned;
use tachi_domain::recovery::given_up::{
    MAX_GIVEN_UP_RECOVERIES, WrittenOff, given_up, may_run, may_run_in, written_off_in,
};
use tachi_domain::recovery::{Elsewhere, Life, RecoveryKind};
use tachi_domain::{ServerId, WaitsFor};

use crate::batches::batches;
use crate::convert::Cell;
use crate::entity::{recovery, recovery_move};
use crate::error::{Failure, Stop};

/// A move: its instance, the requested column, and its state, for rows of an older version without that column.
type StoredMove = (String, Option<String>, Option<String>);

fn read<T: DeserializeOwned + Default>(
    (server, value, state): StoredMove,
    column: &'static str,
    in_state: fn(&str) -> Option<T>,
) -> Result<(ServerId, T), Failure> {
    let cell = |column| Cell {
        table: "recovery_move",
        row: &server,
        column,
    };
    let value = match value {
        Some(text) => cell(column).json(&text)?,
        // A state that cannot be parsed counts as empty.
        None => state.as_deref().and_then(in_state).unwrap_or_default(),
    };
    Ok((cell("instance_uuid").id(&server)?, value))
}

/// Selects non-empty lists, and those that have to be read from the state.
fn may_have(column: recovery_move::Column) -> Condition {
    Condition::any().add(column.ne("[]")).add(column.is_null())
}

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
        .limit(u64::from(MAX_GIVEN_UP_RECOVERIES))
        .into_tuple()
        .all(db)
        .await?;
    if recoveries.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<StoredMove> = recovery_move::Entity::find()
        .select_only()
        .column(recovery_move::Column::InstanceUuid)
        .column(recovery_move::Column::WrittenOff)
        .column(recovery_move::Column::State)
        .filter(recovery_move::Column::RecoveryId.is_in(recoveries))
        // Few moves have such records, so only those are read.
        .filter(may_have(recovery_move::Column::WrittenOff))
        .order_by_asc(recovery_move::Column::RecoveryId)
        .into_tuple()
        .all(db)
        .await?;
    let stored = rows
        .into_iter()
        .map(|row| read(row, "written_off", written_off_in));
    Ok(given_up(stored.collect::<Result<Vec<_>, _>>()?))
}

/// Returns the hosts on which these instances may run, according to the recoveries of all hosts.
pub(super) async fn may_run_of(
    db: &impl ConnectionTrait,
    servers: &BTreeSet<ServerId>,
) -> Result<BTreeMap<ServerId, BTreeSet<String>>, Stop> {
    let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let mut found = BTreeMap::new();
    for names in batches(&names) {
        let doubtful: Vec<String> = recovery_move::Entity::find()
            .select_only()
            .column(recovery_move::Column::InstanceUuid)
            .filter(recovery_move::Column::InstanceUuid.is_in(names))
            // Few moves have such hosts.
            .filter(may_have(recovery_move::Column::MayRun))
            .into_tuple()
            .all(db)
            .await?;
        if doubtful.is_empty() {
            continue;
        }
        // A later recovery may have resolved it.
        let rows: Vec<StoredMove> = recovery_move::Entity::find()
            .select_only()
            .column(recovery_move::Column::InstanceUuid)
            .column(recovery_move::Column::MayRun)
            .column(recovery_move::Column::State)
            .filter(recovery_move::Column::InstanceUuid.is_in(doubtful))
            .order_by_asc(recovery_move::Column::RecoveryId)
            .into_tuple()
            .all(db)
            .await?;
        let stored = rows.into_iter().map(|row| read(row, "may_run", may_run_in));
        found.extend(may_run(stored.collect::<Result<Vec<_>, _>>()?));
    }
    Ok(found)
}

/// Selects the moves of an instance, the newest first.
fn moves_of(server: ServerId) -> Select<recovery_move::Entity> {
    recovery_move::Entity::find()
        .filter(recovery_move::Column::InstanceUuid.eq(server.to_string()))
        .order_by_desc(recovery_move::Column::RecoveryId)
}

/// Returns the other hosts on which an instance may run according to the newest recovery that has moved it, unless an
/// operator has acknowledged it. A finished recovery has either resolved it or given the instance up.
pub(super) async fn other_hosts(
    db: &impl ConnectionTrait,
    condition: &Elsewhere,
) -> Result<BTreeSet<String>, Stop> {
    let youngest = moves_of(condition.server).one(db).await?;
    let Some(row) = youngest.filter(|row| row.seen_to.is_none()) else {
        return Ok(BTreeSet::new());
    };
    let given_up = row.waits_for.as_deref() == Some(WaitsFor::GivenUp.as_str());
    let stored = (row.instance_uuid, row.may_run, Some(row.state));
    let (_, mut hosts) = read(stored, "may_run", may_run_in)?;
    hosts.remove(&condition.host);
    if hosts.is_empty() || given_up {
        return Ok(hosts);
    }
    let open = recovery::Entity::find_by_id(row.recovery_id)
        .filter(recovery::Column::Life.eq(Life::Open.as_str()))
        .count(db)
        .await?;
    Ok(if open == 0 { BTreeSet::new() } else { hosts })
}

#[cfg(test)]
mod tests;
