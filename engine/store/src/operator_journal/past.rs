//! The stored data about a host in a past period. Every list is bounded, because a host may have been reported ten
//! thousand times in that period.

mod refused;

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::recovery::Life;
use tachi_domain::{RecoveryId, Timestamp};
use tachi_engine::ports::operator::StepLine;
use tachi_engine::ports::past::{MAX_ITEMS, Past, PastFreeze, PastRecovery, PastReport, Span};

use super::{find, step_line};
use crate::convert::{self, Cell};
use crate::database::Database;
use crate::entity::{freeze, host, host_state, notification, recovery, recovery_step};
use crate::error::{Failure, Stop};
use crate::time::{from_column, to_column};
use crate::{engine_registry, freezes};

pub(super) async fn past(db: &Database, name: &str, span: Span) -> Result<Option<Past>, Stop> {
    let found = PastHost::find(db, name).await?;
    let is_known = found.is_some();
    let place = found.unwrap_or_else(|| PastHost::unknown(name));
    let (refused, more_refused) = refused::refused(db, &place.name, span).await?;
    let is_reported = refused
        .as_ref()
        .is_some_and(|refused| !refused.refusals.is_empty());
    if !is_known && !is_reported {
        return Ok(None);
    }
    let (rows, more_reports) = reports(db, &place, span).await?;
    let (recoveries, more_recoveries) = recoveries(db, &place, &rows, span).await?;
    let (freezes, more_freezes) = frozen(db, &place, &rows, span).await?;
    let mut reports = Vec::new();
    for row in rows {
        let of =
            |recovery: &&PastRecovery| recovery.summary.notification.to_string() == row.notification_uuid;
        let recovery = recoveries.iter().find(of).map(|recovery| recovery.summary.id);
        reports.push(PastReport {
            accepted_at: from_column(row.created_at.unwrap_or(row.generated_time)),
            notification: convert::notification(row)?,
            recovery,
        });
    }
    reports.sort_by_key(|report| (report.accepted_at, report.notification.row));
    Ok(Some(Past {
        registered: place.registered.is_some(),
        maintenance: place.maintenance(db).await?,
        reports,
        refused,
        recoveries,
        freezes,
        more: more_reports || more_refused || more_recoveries || more_freezes,
        engines: engine_registry::engines(db).await?,
        oldest: oldest(db).await?,
        read_at: db.now(),
        host: place.name,
    }))
}

/// A host of which any data is left.
struct PastHost {
    name: String,
    /// The host's row, if it is registered now.
    registered: Option<host::Model>,
    /// All ids that the host ever had.
    ids: Vec<String>,
    /// The segments to which the host belongs or belonged.
    segments: BTreeSet<String>,
}

impl PastHost {
    /// Creates a host of which only reports are known.
    fn unknown(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            registered: None,
            ids: Vec::new(),
            segments: BTreeSet::new(),
        }
    }

    async fn find(db: &Database, name: &str) -> Result<Option<Self>, Stop> {
        let reader = db.reader();
        let of_name = |name: &str| host::Entity::find().filter(host::Column::Name.eq(name));
        let mut rows = of_name(name).all(reader).await?;
        if rows.is_empty() {
            let of_id = host::Entity::find().filter(host::Column::Uuid.eq(name));
            if let Some(row) = of_id.one(reader).await? {
                rows = of_name(&row.name).all(reader).await?;
            }
        }
        // The host's row may have been purged before its recoveries.
        let known = rows.first().map_or(name, |row| row.name.as_str()).to_owned();
        let recovered: Vec<String> = recovery::Entity::find()
            .select_only()
            .column(recovery::Column::HostUuid)
            .filter(recovery::Column::HostName.eq(&known))
            .distinct()
            .into_tuple()
            .all(reader)
            .await?;
        let ids: BTreeSet<String> = rows.iter().map(|row| row.uuid.clone()).chain(recovered).collect();
        if ids.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            segments: rows.iter().map(|row| row.failover_segment_id.clone()).collect(),
            registered: rows.into_iter().find(|row| row.deleted == Some(0)),
            ids: ids.into_iter().collect(),
            name: known,
        }))
    }

    async fn maintenance(
        &self,
        db: &Database,
    ) -> Result<Option<(MaintenanceReason, Option<Timestamp>)>, Stop> {
        let out = self
            .registered
            .as_ref()
            .filter(|row| row.on_maintenance == Some(true));
        let Some(row) = out else { return Ok(None) };
        let state = host_state::Entity::find_by_id(row.uuid.clone())
            .one(db.reader())
            .await?;
        let cell = Cell {
            table: "host_state",
            row: &row.uuid,
            column: "why",
        };
        let why = state.map(|state| cell.parse(&state.why, MaintenanceReason::from_value));
        let why = why.transpose()?.unwrap_or(MaintenanceReason::Operator);
        Ok(Some((why, row.updated_at.map(from_column))))
    }
}

/// Cuts a list at [`MAX_ITEMS`]; the boolean is true if it was longer.
fn bounded<T>(mut rows: Vec<T>) -> (Vec<T>, bool) {
    let most = usize::try_from(MAX_ITEMS).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    (rows, more)
}

async fn reports(
    db: &Database,
    place: &PastHost,
    span: Span,
) -> Result<(Vec<notification::Model>, bool), Stop> {
    use notification::Column::{CreatedAt, GeneratedTime, Id, SourceHostUuid};
    let (from, to) = (to_column(span.from)?, to_column(span.to)?);
    // A late report counts for the time at which it was generated, too.
    let then = CreatedAt.between(from, to).or(GeneratedTime.between(from, to));
    let rows = notification::Entity::find()
        .filter(SourceHostUuid.is_in(place.ids.iter().map(String::as_str)))
        .filter(then)
        .order_by_asc(Id)
        .limit(MAX_ITEMS + 1)
        .all(db.reader())
        .await?;
    Ok(bounded(rows))
}

/// Selects the recoveries that were opened or active in the period, or that one of the reports started.
fn recoveries_of(place: &PastHost, reports: &[notification::Model], span: Span) -> Select<recovery::Entity> {
    use recovery::Column::{HostName, Id, Life as InLife, NotificationUuid, OpenedAt};
    let written = Query::select()
        .expr(Expr::value(1))
        .from(recovery_step::Entity)
        .and_where(
            Expr::col((recovery_step::Entity, recovery_step::Column::RecoveryId))
                .equals((recovery::Entity, recovery::Column::Id)),
        )
        .and_where(recovery_step::Column::At.gte(span.from.micros()))
        .to_owned();
    let lasted = Condition::any()
        .add(OpenedAt.gte(span.from.micros()))
        .add(InLife.ne(Life::Closed.as_str()))
        .add(Expr::exists(written));
    let then = Condition::all().add(OpenedAt.lte(span.to.micros())).add(lasted);
    let begun = reports.iter().map(|row| row.notification_uuid.as_str());
    recovery::Entity::find()
        .filter(HostName.eq(&place.name))
        .filter(Condition::any().add(then).add(NotificationUuid.is_in(begun)))
        .order_by_desc(Id)
}

async fn recoveries(
    db: &Database,
    place: &PastHost,
    reports: &[notification::Model],
    span: Span,
) -> Result<(Vec<PastRecovery>, bool), Stop> {
    use recovery::Column::{Id, Uuid, Word, WordAt, WordBy};
    type Head = (i64, String, Option<String>, Option<String>, Option<i64>);
    let heads: Vec<Head> = recoveries_of(place, reports, span)
        .select_only()
        .columns([Id, Uuid, Word, WordBy, WordAt])
        .limit(MAX_ITEMS + 1)
        .into_tuple()
        .all(db.reader())
        .await?;
    let (heads, more) = bounded(heads);
    let ids = heads.iter().map(|(id, ..)| *id);
    let rows = find::rows(recovery::Entity::find().filter(Id.is_in(ids)));
    let summaries = find::summaries(db, rows.all(db.reader()).await?).await?;
    let mut by_id: BTreeMap<RecoveryId, _> = summaries
        .into_iter()
        .map(|summary| (summary.id, summary))
        .collect();
    let mut moves = Vec::new();
    for (id, uuid, word, by, at) in heads.into_iter().rev() {
        let cell = Cell {
            table: "recovery",
            row: &uuid,
            column: "uuid",
        };
        // A recovery that has just been purged is omitted.
        let Some(summary) = by_id.remove(&cell.id(&uuid)?) else {
            continue;
        };
        let at = Timestamp::from_micros(at.unwrap_or_default());
        let (steps, more_steps) = steps(db, id, span).await?;
        moves.push(PastRecovery {
            summary,
            word: word.map(|word| (word, by.unwrap_or_default(), at)),
            before: before(db, id, span).await?,
            steps,
            more_steps,
        });
    }
    Ok((moves, more))
}

async fn steps(db: &Database, recovery: i64, span: Span) -> Result<(Vec<StepLine>, bool), Stop> {
    use recovery_step::Column::{At, Id, RecoveryId};
    let rows = recovery_step::Entity::find()
        .filter(RecoveryId.eq(recovery))
        .filter(At.between(span.from.micros(), span.to.micros()))
        .order_by_asc(Id)
        .limit(MAX_ITEMS + 1)
        .all(db.reader())
        .await?;
    let (rows, more) = bounded(rows);
    let lines: Result<Vec<StepLine>, Failure> = rows.into_iter().map(step_line).collect();
    Ok((lines?, more))
}

async fn before(db: &Database, recovery: i64, span: Span) -> Result<Option<StepLine>, Stop> {
    use recovery_step::Column::{At, Id, RecoveryId};
    let row = recovery_step::Entity::find()
        .filter(RecoveryId.eq(recovery))
        .filter(At.lt(span.from.micros()))
        .order_by_desc(Id)
        .one(db.reader())
        .await?;
    Ok(row.map(step_line).transpose()?)
}

/// Returns the freezes of the host, its segment, the region, or an instance that was reported.
async fn frozen(
    db: &Database,
    place: &PastHost,
    reports: &[notification::Model],
    span: Span,
) -> Result<(Vec<PastFreeze>, bool), Stop> {
    use freeze::Column::{EndedAt, Id, Scope, Since, Target, UntilAt};
    let mut instances = BTreeSet::new();
    for row in reports.iter().cloned() {
        let notification = convert::notification(row)?;
        instances.extend(notification.payload.get("instance_uuid").cloned());
    }
    let segments: BTreeSet<&str> = place.segments.iter().map(String::as_str).collect();
    let moved = reports
        .iter()
        .filter_map(|row| row.failover_segment_uuid.as_deref());
    let segments: BTreeSet<&str> = segments.into_iter().chain(moved).collect();
    let of = |scope: FreezeScope| Condition::all().add(Scope.eq(scope.as_str()));
    let condition = Condition::any()
        .add(of(FreezeScope::Region))
        .add(of(FreezeScope::Segment).add(Target.is_in(segments)))
        .add(of(FreezeScope::Host).add(Target.is_in(place.ids.iter().map(String::as_str))))
        .add(of(FreezeScope::Instance).add(Target.is_in(instances)));
    let from = span.from.micros();
    let rows = freeze::Entity::find()
        .filter(condition)
        .filter(Since.lte(span.to.micros()))
        .filter(UntilAt.gte(from))
        .filter(EndedAt.is_null().or(EndedAt.gte(from)))
        .order_by_asc(Id)
        .limit(MAX_ITEMS + 1)
        .all(db.reader())
        .await?;
    let (rows, more) = bounded(rows);
    let shown = rows.iter().map(|row| {
        let ended = row.ended_at.zip(row.ended_by.clone());
        Ok::<_, Failure>(PastFreeze {
            freeze: freezes::freeze(row)?,
            since: Timestamp::from_micros(row.since),
            ended: ended.map(|(at, by)| (Timestamp::from_micros(at), by)),
        })
    });
    Ok((shown.collect::<Result<_, _>>()?, more))
}

/// Returns the time of the oldest notification. Older ones have been purged or never existed.
async fn oldest(db: &Database) -> Result<Option<Timestamp>, Stop> {
    let at: Option<Option<chrono::NaiveDateTime>> = notification::Entity::find()
        .select_only()
        .column(notification::Column::CreatedAt)
        .filter(notification::Column::Deleted.eq(0))
        .filter(notification::Column::CreatedAt.is_not_null())
        .order_by_asc(notification::Column::CreatedAt)
        .limit(1)
        .into_tuple()
        .one(db.reader())
        .await?;
    Ok(at.flatten().map(from_column))
}

#[cfg(test)]
mod tests;
