//! Lists of recoveries.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Condition, ExprTrait as _, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, FromQueryResult, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, Select, SelectModel, Selector,
};
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::{DISMISSED_STATUS, Life, RecoveryKind};
use tachi_domain::{HostId, Timestamp, WaitsFor};
use tachi_engine::ports::operator::{MoveCounts, RecoveryFilter, RecoveryState, RecoverySummary};

use super::back;
use crate::batches::batches;
use crate::convert::Cell;
use crate::database::Database;
use crate::entity::{notification, recovery, recovery_move, segment, vmove};
use crate::error::{Failure, Stop};
use crate::waits::WaitColumns;

pub(super) async fn recoveries(db: &Database, filter: &RecoveryFilter) -> Result<Vec<RecoverySummary>, Stop> {
    let mut condition = condition(filter);
    if let Some(id) = filter.before {
        let younger = recovery::Entity::find()
            .filter(recovery::Column::Uuid.eq(id.to_string()))
            .one(db.reader())
            .await?;
        let Some(younger) = younger else {
            return Ok(Vec::new());
        };
        condition = condition.add(recovery::Column::Id.lt(younger.id));
    }
    let found = recovery::Entity::find()
        .filter(condition)
        .order_by_desc(recovery::Column::Id)
        .limit(filter.limit);
    let rows = rows(found).all(db.reader()).await?;
    summaries(db, rows).await
}

/// Returns the recoveries of a host, newest first: all that are not closed, and of each kind the last `closed` that are.
pub(super) async fn of_host(
    db: &Database,
    (id, name): (HostId, &str),
    closed: u64,
) -> Result<Vec<RecoverySummary>, Stop> {
    let all = || {
        recovery::Entity::find()
            .filter(
                Condition::any()
                    .add(recovery::Column::HostUuid.eq(id.to_string()))
                    .add(recovery::Column::HostName.eq(name)),
            )
            .order_by_desc(recovery::Column::Id)
    };
    let is_closed = || recovery::Column::Life.eq(Life::Closed.as_str());
    let mut ids: Vec<i64> = Vec::new();
    for kind in RecoveryKind::ALL {
        let last = all()
            .filter(is_closed())
            .filter(recovery::Column::Kind.eq(kind.as_str()));
        let last = last.limit(closed).select_only().column(recovery::Column::Id);
        ids.extend(last.into_tuple::<i64>().all(db.reader()).await?);
    }
    let shown = is_closed().not().or(recovery::Column::Id.is_in(ids));
    summaries(db, rows(all().filter(shown)).all(db.reader()).await?).await
}

/// The columns of a listed recovery. They exclude its state, which can be long: thousands are listed while reports are
/// processed.
#[derive(FromQueryResult)]
pub(super) struct Row {
    uuid: String,
    notification_uuid: String,
    kind: String,
    life: String,
    host_uuid: String,
    host_name: String,
    owner: Option<String>,
    opened_at: i64,
    first_reported_at: Option<i64>,
    waits_for: Option<String>,
    waits_on: Option<String>,
    waits_since: Option<i64>,
    dismissed: bool,
}

/// The data of a recovery's notification.
struct ShownStatus {
    status: String,
    message: Option<String>,
    segment: Option<String>,
}

/// Selects the columns of the recoveries that `select` finds.
pub(super) fn rows(select: Select<recovery::Entity>) -> Selector<SelectModel<Row>> {
    use recovery::Column::{
        Dismissed, FirstReportedAt, HostName, HostUuid, Kind, Life, NotificationUuid, OpenedAt, Owner, Uuid,
        WaitsFor, WaitsOn, WaitsSince,
    };
    select
        .select_only()
        .columns([
            Uuid,
            NotificationUuid,
            Kind,
            Life,
            HostUuid,
            HostName,
            Owner,
            OpenedAt,
            FirstReportedAt,
            WaitsFor,
            WaitsOn,
            WaitsSince,
            Dismissed,
        ])
        .into_model()
}

/// Adds the notification's data and the counts of instances to each row.
pub(super) async fn summaries(db: &Database, rows: Vec<Row>) -> Result<Vec<RecoverySummary>, Stop> {
    let mut shown = BTreeMap::new();
    let mut moves: BTreeMap<String, MoveCounts> = BTreeMap::new();
    let ids: Vec<&str> = rows.iter().map(|row| row.notification_uuid.as_str()).collect();
    for ids in batches(&ids) {
        let notifications: Vec<(String, String, Option<String>, Option<String>)> =
            notification::Entity::find()
                .select_only()
                .columns([
                    notification::Column::NotificationUuid,
                    notification::Column::Status,
                    notification::Column::Message,
                    notification::Column::FailoverSegmentUuid,
                ])
                .filter(notification::Column::NotificationUuid.is_in(ids.iter().copied()))
                .into_tuple()
                .all(db.reader())
                .await?;
        shown.extend(notifications.into_iter().map(|(uuid, status, message, segment)| {
            let shown = ShownStatus {
                status,
                message,
                segment,
            };
            (uuid, shown)
        }));
        count_moves(db, &ids, &mut moves).await?;
        back::count(db, &ids, &mut moves).await?;
    }
    let found_rows = rows.into_iter().map(|row| {
        let notification = shown.remove(&row.notification_uuid);
        let cell = |column| Cell {
            table: "recovery",
            row: &row.uuid,
            column,
        };
        let (status, message, segment) = match notification {
            Some(shown) if row.dismissed => (DISMISSED_STATUS.to_owned(), shown.message, shown.segment),
            Some(shown) => (shown.status, shown.message, shown.segment),
            None => ("purged".to_owned(), None, None),
        };
        Ok::<_, Failure>(RecoverySummary {
            id: cell("uuid").id(&row.uuid)?,
            notification: cell("notification_uuid").id(&row.notification_uuid)?,
            kind: cell("kind").parse(&row.kind, RecoveryKind::from_value)?,
            life: cell("life").parse(&row.life, Life::from_value)?,
            host_id: cell("host_uuid").id(&row.host_uuid)?,
            segment: segment
                .map(|id| cell("failover_segment_uuid of its notification").id(&id))
                .transpose()?,
            moves: moves.get(&row.notification_uuid).copied().unwrap_or_default(),
            wait: WaitColumns {
                what: row.waits_for,
                on: row.waits_on,
                since: row.waits_since,
            }
            .read("recovery", &row.uuid)?,
            status,
            message,
            host: row.host_name,
            owner: row.owner,
            opened_at: Timestamp::from_micros(row.opened_at),
            first_reported_at: Timestamp::from_micros(row.first_reported_at.unwrap_or(row.opened_at)),
        })
    });
    Ok(found_rows.collect::<Result<_, _>>()?)
}

async fn count_moves(
    db: &Database,
    notifications: &[&str],
    counts: &mut BTreeMap<String, MoveCounts>,
) -> Result<(), Stop> {
    // Vmoves that Masakari's engine started have no move of ours, and the history shows none of them. Planned ones have
    // none either, but count.
    let of = |column: recovery::Column| {
        let mut select = Query::select();
        select
            .column(column)
            .from(recovery::Entity)
            .and_where(recovery::Column::NotificationUuid.is_in(notifications.iter().copied()));
        select
    };
    let moved = Query::select()
        .column(recovery_move::Column::VmoveUuid)
        .from(recovery_move::Entity)
        .and_where(recovery_move::Column::RecoveryId.in_subquery(of(recovery::Column::Id)))
        .take();
    let kinds = RecoveryKind::ALL.iter().filter(|kind| kind.is_planned());
    let planned = of(recovery::Column::NotificationUuid)
        .and_where(recovery::Column::Kind.is_in(kinds.map(|kind| kind.as_str())))
        .take();
    let ours = vmove::Column::Uuid
        .in_subquery(moved)
        .or(vmove::Column::NotificationUuid.in_subquery(planned));
    let rows: Vec<(String, Option<String>, i64)> = vmove::Entity::find()
        .select_only()
        .column(vmove::Column::NotificationUuid)
        .column(vmove::Column::Status)
        .column_as(vmove::Column::Id.count(), "rows")
        .filter(vmove::Column::NotificationUuid.is_in(notifications.iter().copied()))
        .filter(vmove::Column::Deleted.eq(0))
        .filter(ours)
        .group_by(vmove::Column::NotificationUuid)
        .group_by(vmove::Column::Status)
        .into_tuple()
        .all(db.reader())
        .await?;
    for (notification, status, rows) in rows {
        let cell = |column| Cell {
            table: "vmoves",
            row: "of a recovery",
            column,
        };
        let Some(status) = status else { continue };
        let status = cell("status").parse(&status, VmoveStatus::from_value)?;
        let rows = cell("rows").count(rows)?;
        counts.entry(notification).or_default().add(status, rows);
    }
    Ok(())
}

fn condition(filter: &RecoveryFilter) -> Condition {
    let mut all = Condition::all();
    let may_be_closed = match filter.state {
        Some(RecoveryState::Life(life)) => {
            all = all.add(recovery::Column::Life.eq(life.as_str()));
            true
        }
        Some(RecoveryState::OnHold) => {
            let on_hold = WaitsFor::ALL.iter().filter(|what| what.is_on_hold());
            all = all
                .add(recovery::Column::Life.eq(Life::Open.as_str()))
                .add(recovery::Column::WaitsFor.is_in(on_hold.map(|what| what.as_str())));
            true
        }
        Some(RecoveryState::Status(status)) => {
            let showing = notifications(notification::Column::Status.eq(status.as_str()));
            all = all
                .add(recovery::Column::NotificationUuid.in_subquery(showing))
                .add(recovery::Column::Dismissed.eq(false));
            is_last(status)
        }
        Some(RecoveryState::Dismissed) => {
            all = all.add(recovery::Column::Dismissed.eq(true));
            true
        }
        None => false,
    };
    if !filter.closed && !may_be_closed {
        all = all.add(recovery::Column::Life.ne(Life::Closed.as_str()));
    }
    if let Some(id) = &filter.id {
        all = all.add(recovery::Column::Uuid.starts_with(id));
    }
    if let Some(host) = &filter.host {
        let named = recovery::Column::HostName.eq(host);
        all = all.add(named.or(recovery::Column::HostUuid.eq(host)));
    }
    if let Some(of) = &filter.segment {
        let segments = Query::select()
            .column(segment::Column::Uuid)
            .from(segment::Entity)
            .cond_where(
                Condition::any()
                    .add(segment::Column::Name.eq(of))
                    .add(segment::Column::Uuid.eq(of)),
            )
            .to_owned();
        let theirs = notifications(notification::Column::FailoverSegmentUuid.in_subquery(segments));
        all = all.add(recovery::Column::NotificationUuid.in_subquery(theirs));
    }
    if let Some(instance) = &filter.instance {
        let theirs = vmove::Entity::find()
            .select_only()
            .column(vmove::Column::NotificationUuid)
            .filter(vmove::Column::InstanceUuid.eq(instance))
            .filter(vmove::Column::Deleted.eq(0))
            .into_query();
        all = all.add(recovery::Column::NotificationUuid.in_subquery(theirs));
    }
    if let Some(since) = filter.since {
        all = all.add(recovery::Column::OpenedAt.gte(since.micros()));
    }
    all
}

/// True if a notification with this status is finished, so that its recovery is closed or watching.
fn is_last(status: NotificationStatus) -> bool {
    !status.is_open()
}

/// Returns the ids of the notifications that match a condition.
fn notifications(so: sea_orm::sea_query::SimpleExpr) -> SelectStatement {
    notification::Entity::find()
        .select_only()
        .column(notification::Column::NotificationUuid)
        .filter(so)
        .into_query()
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::notification::NotificationType;
    use tachi_domain::recovery::OperatorCommand;
    use tachi_engine::ports::OperatorJournal as _;
    use tachi_engine::ports::journal::{Write, WriteOutcome};

    use tachi_domain::Wait;

    use super::*;
    use crate::testing::{Bench, notification};

    async fn recovery_with(bench: &Bench, status: NotificationStatus, message: &str, life: Life) {
        wait(bench, status, message, life, WaitsFor::Nothing).await;
    }

    async fn wait(bench: &Bench, status: NotificationStatus, message: &str, life: Life, what: WaitsFor) {
        let claimed = bench.claim_newest("engine").await;
        let write = Write {
            wait: Some(Wait::bare(what, bench.clock_wall())),
            life: Some(life),
            notification: Some((status, Some(message.to_owned()))),
            ..Write::default()
        };
        let written = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &write)
            .await
            .unwrap();
        assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
    }

    /// Covers R5, R17.
    #[tokio::test]
    async fn younger_recoveries_of_instances_hide_no_recovery_of_their_host() {
        let bench = Bench::new().await;
        let segment = bench.segment("s").await;
        let host = bench.host(&segment, "cmp1").await;
        let other = bench.host(&segment, "cmp2").await;
        bench.stopped(&host).await;
        recovery_with(&bench, NotificationStatus::Finished, "first", Life::Closed).await;
        bench.clock.set_wall_on(3_600);
        bench.stopped(&host).await;
        recovery_with(&bench, NotificationStatus::Running, "own", Life::Watching).await;
        bench.stopped(&other).await;
        for number in 1..8 {
            let instance = uuid::Uuid::from_u128(number).to_string();
            let payload = [
                ("instance_uuid", instance.as_str()),
                ("event", "LIFECYCLE"),
                ("vir_domain_event", "STOPPED_FAILED"),
            ];
            let report = notification(NotificationType::Vm, "cmp1", bench.clock_wall(), &payload);
            bench.accept(&report).await.unwrap();
            recovery_with(&bench, NotificationStatus::Ignored, "instance", Life::Closed).await;
        }
        let found = bench
            .store
            .operator_journal()
            .recoveries_of_host(host.id, "cmp1", 5)
            .await
            .unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|row| (row.kind, row.message.as_deref().unwrap_or_default()))
            .collect();
        let mut expected = vec![(RecoveryKind::Vm, "instance"); 5];
        expected.extend([(RecoveryKind::Host, "own"), (RecoveryKind::Host, "first")]);
        assert_eq!(shown, expected);
    }

    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    #[tokio::test]
    async fn filters_let_through_what_they_name() {
        use NotificationStatus::{Failed, Finished, New, Running};
        let bench = Bench::new().await;
        for (segment, hosts) in [("s1", ["a", "b", "c"]), ("s2", ["d", "e", "f"])] {
            let segment = bench.segment(segment).await;
            for name in hosts {
                let host = bench.host(&segment, name).await;
                bench.clock.set_wall_on(60);
                bench.stopped(&host).await;
                match name {
                    "a" => recovery_with(&bench, Finished, "3 instances moved", Life::Watching).await,
                    // A finished recovery is no longer on hold.
                    "b" => {
                        let shown = "1 needs an operator";
                        wait(&bench, Failed, shown, Life::Closed, WaitsFor::Moves).await;
                    }
                    "c" => wait(&bench, Running, "too many", Life::Open, WaitsFor::Approval).await,
                    "d" => recovery_with(&bench, Running, "on hold: not at all", Life::Open).await,
                    "e" => recovery_with(&bench, Finished, "0 instances moved", Life::Closed).await,
                    _ => {}
                }
            }
        }
        let of = |state| RecoveryFilter {
            state: Some(state),
            ..RecoveryFilter::default()
        };
        let since = bench.clock_wall().minus_seconds(90);
        let d = bench.store.operator_journal().recoveries(true).await.unwrap()[2].clone();
        assert_eq!(d.host, "d");
        let cases = [
            ("none", RecoveryFilter::default(), "fdca"),
            (
                "closed too",
                RecoveryFilter {
                    closed: true,
                    ..RecoveryFilter::default()
                },
                "fedcba",
            ),
            ("held", of(RecoveryState::OnHold), "c"),
            ("open", of(RecoveryState::Life(Life::Open)), "fdc"),
            ("watching", of(RecoveryState::Life(Life::Watching)), "a"),
            ("closed", of(RecoveryState::Life(Life::Closed)), "eb"),
            ("new", of(RecoveryState::Status(New)), "f"),
            ("finished", of(RecoveryState::Status(Finished)), "ea"),
            ("failed", of(RecoveryState::Status(Failed)), "b"),
            (
                "the beginning of an id",
                RecoveryFilter {
                    id: Some(d.id.to_string()[..13].to_owned()),
                    ..RecoveryFilter::default()
                },
                "d",
            ),
            (
                "host by name",
                RecoveryFilter {
                    host: Some("c".to_owned()),
                    ..RecoveryFilter::default()
                },
                "c",
            ),
            (
                "host by id",
                RecoveryFilter {
                    host: Some(d.host_id.to_string()),
                    ..RecoveryFilter::default()
                },
                "d",
            ),
            (
                "segment by name",
                RecoveryFilter {
                    segment: Some("s1".to_owned()),
                    closed: true,
                    ..RecoveryFilter::default()
                },
                "cba",
            ),
            (
                "segment by id, and held",
                RecoveryFilter {
                    segment: d.segment.map(|id| id.to_string()),
                    state: Some(RecoveryState::Life(Life::Open)),
                    ..RecoveryFilter::default()
                },
                "fd",
            ),
            (
                "since",
                RecoveryFilter {
                    since: Some(since),
                    closed: true,
                    ..RecoveryFilter::default()
                },
                "fe",
            ),
            (
                "older than one",
                RecoveryFilter {
                    before: Some(d.id),
                    closed: true,
                    ..RecoveryFilter::default()
                },
                "cba",
            ),
            (
                "older than none there is",
                RecoveryFilter {
                    before: Some(tachi_domain::RecoveryId(uuid::Uuid::nil())),
                    closed: true,
                    ..RecoveryFilter::default()
                },
                "",
            ),
            (
                "limit",
                RecoveryFilter {
                    limit: Some(2),
                    ..RecoveryFilter::default()
                },
                "fd",
            ),
            (
                "nothing is called so",
                RecoveryFilter {
                    segment: Some("s' OR 1=1 --".to_owned()),
                    ..RecoveryFilter::default()
                },
                "",
            ),
        ];
        for (name, filter, expected) in cases {
            let found = bench
                .store
                .operator_journal()
                .find_recoveries(&filter)
                .await
                .unwrap();
            let hosts: String = found.iter().map(|row| row.host.as_str()).collect();
            assert_eq!(hosts, expected, "{name}");
        }
        let submitted = bench
            .store
            .operator_journal()
            .submit(
                d.id,
                OperatorCommand::Reject,
                &tachi_domain::ApprovedWait::Current,
                "alice",
            )
            .await
            .unwrap();
        assert_eq!(submitted, tachi_engine::ports::operator::ActionOutcome::Submitted);
    }
}
