//! The freezes that affect a recovery, read in each of its transactions.

use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};
use tachi_domain::freeze::{FreezeScope, FreezeStatus};
use tachi_domain::recovery::RecoveryKind;
use tachi_domain::{ServerId, Timestamp};

use crate::clock;
use crate::convert::{self, Cell};
use crate::entity::freeze::{Column, Entity, Model};
use crate::entity::{host, recovery};
use crate::error::{Failure, Stop};
use crate::freezes::freeze;

/// Assumed maximum difference between two clocks, in microseconds: the machine that accepted the report dates a
/// recovery's start, and the database dates a freeze's end. A freeze that counts as ended since then, but ended before,
/// costs only one additional check.
const MAX_CLOCK_DIFFERENCE_MICROS: i64 = 5_000_000;

/// Reads the freezes that affect a recovery. `own` is this machine's time; the database's time is used if it has its
/// own.
pub(super) async fn of(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    host: Option<&host::Model>,
    own: Timestamp,
) -> Result<FreezeStatus, Stop> {
    let of_instance = convert::recovery_kind(row)? == RecoveryKind::Vm;
    let segment = host.map(|host| host.failover_segment_id.as_str());
    let name = host.map(|host| host.name.as_str());
    let is = |scope: FreezeScope| Column::Scope.eq(scope.as_str());
    let mut about = Condition::any()
        .add(is(FreezeScope::Region))
        .add(is(FreezeScope::Instance))
        .add(is(FreezeScope::Host).and(Column::Target.eq(&row.host_uuid)));
    if let Some(name) = name {
        // The host was deleted and registered again meanwhile.
        about = about.add(is(FreezeScope::Host).and(Column::Name.eq(name)));
    }
    if let Some(segment) = segment {
        about = about.add(is(FreezeScope::Segment).and(Column::Target.eq(segment)));
    }
    if of_instance {
        // The recovery may find its instance on any host.
        about = about.add(is(FreezeScope::Host)).add(is(FreezeScope::Segment));
    }
    let rows = Entity::find()
        .filter(about)
        .filter(open_or_ended_since(row.opened_at))
        .all(db)
        .await?;
    let mut frozen = FreezeStatus::NONE;
    if rows.is_empty() {
        return Ok(frozen);
    }
    let now = clock::now(db, own).await?;
    let mut hosts = Vec::new();
    for freeze_row in &rows {
        let found = freeze(freeze_row)?;
        let in_force = freeze_row.open_key.is_some() && freeze_row.until_at > now.micros();
        let own = match found.scope {
            FreezeScope::Region => true,
            FreezeScope::Segment => segment == Some(freeze_row.target.as_str()),
            FreezeScope::Host => freeze_row.target == row.host_uuid || name == Some(freeze_row.name.as_str()),
            FreezeScope::Instance => {
                of_instance && row.open_key.as_deref() == Some(&format!("vm:{}", freeze_row.target))
            }
        };
        if !in_force {
            if own && since(freeze_row, row.opened_at) {
                frozen.thawed = std::cmp::max(frozen.thawed, found.number);
            }
            continue;
        }
        match found.scope {
            FreezeScope::Instance => {
                frozen.instances.insert(instance(freeze_row)?, found);
            }
            FreezeScope::Region => frozen.over.push(found),
            FreezeScope::Segment | FreezeScope::Host if own => frozen.over.push(found),
            FreezeScope::Segment => {
                hosts.push((host::Column::FailoverSegmentId.eq(&freeze_row.target), found));
            }
            FreezeScope::Host => {
                frozen.hosts.insert(found.name.clone(), found.clone());
                hosts.push((host::Column::Uuid.eq(&freeze_row.target), found));
            }
        }
    }
    frozen.over.sort_by_key(|freeze| freeze.number);
    // By the current names of the hosts.
    for (which, freeze) in hosts {
        let hosts = host::Entity::find()
            .filter(which)
            .filter(host::Column::Deleted.eq(0))
            .all(db)
            .await?;
        for host in hosts {
            frozen.hosts.entry(host.name).or_insert_with(|| freeze.clone());
        }
    }
    Ok(frozen)
}

/// True if any freeze could affect recoveries that were all opened since then. Usually there is none.
pub(super) async fn anything(db: &impl ConnectionTrait, opened: i64) -> Result<bool, Stop> {
    let found: Option<i64> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(open_or_ended_since(opened))
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    Ok(found.is_some())
}

fn open_or_ended_since(opened: i64) -> Condition {
    Condition::any()
        .add(Column::OpenKey.is_not_null())
        .add(Column::EndedAt.gte(opened.saturating_sub(MAX_CLOCK_DIFFERENCE_MICROS)))
}

/// The hosts that are frozen themselves. A freeze of the segment does not count here: it makes no difference to a
/// recovery that has started in that segment.
pub(super) struct Hosts(Vec<Model>);

impl Hosts {
    /// Reads the freezes of hosts. `own` is this machine's time.
    pub(super) async fn read(db: &impl ConnectionTrait, own: Timestamp) -> Result<Self, Stop> {
        let mut rows = Entity::find()
            .filter(Column::Scope.eq(FreezeScope::Host.as_str()))
            .filter(Column::OpenKey.is_not_null())
            .all(db)
            .await?;
        if !rows.is_empty() {
            let now = clock::now(db, own).await?;
            rows.retain(|row| row.until_at > now.micros());
        }
        Ok(Self(rows))
    }

    /// True if the host is frozen, by its id or, if it was registered again, by its name.
    pub(super) fn has(&self, host: &host::Model) -> bool {
        let is_it = |row: &Model| row.target == host.uuid || row.name == host.name;
        self.0.iter().any(is_it)
    }
}

/// True if the freeze has ended since then, or may have.
fn since(row: &Model, opened: i64) -> bool {
    let ended = row.ended_at.unwrap_or(row.until_at);
    ended >= opened.saturating_sub(MAX_CLOCK_DIFFERENCE_MICROS)
}

fn instance(row: &Model) -> Result<ServerId, Failure> {
    let place = row.id.to_string();
    let cell = Cell {
        table: "tachi_freeze",
        row: &place,
        column: "target",
    };
    cell.id(&row.target)
}

#[cfg(test)]
mod tests;
