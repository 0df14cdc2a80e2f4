//! All segments with their hosts and the recoveries of them.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use tachi_domain::WaitsFor;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::operator::{HostView, SegmentView};

use crate::convert::{self, Cell, recovery_cell};
use crate::database::Database;
use crate::entity::{host, host_state, recovery, segment};
use crate::error::Stop;

pub(super) async fn region(db: &Database) -> Result<Vec<SegmentView>, Stop> {
    let reader = db.reader();
    let segments = segment::Entity::find()
        .filter(segment::Column::Deleted.eq(0))
        .order_by_asc(segment::Column::Name)
        .all(reader)
        .await?;
    let hosts = host::Entity::find()
        .filter(host::Column::Deleted.eq(0))
        .order_by_asc(host::Column::Name)
        .all(reader)
        .await?;
    let reasons: BTreeMap<String, String> = host_state::Entity::find()
        .all(reader)
        .await?
        .into_iter()
        .map(|row| (row.host_uuid, row.why))
        .collect();
    // Later recoveries replace earlier ones, and open ones replace watching ones.
    let mut recoveries = BTreeMap::new();
    for life in [Life::Watching, Life::Open] {
        let rows = recovery::Entity::find()
            .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
            .filter(recovery::Column::Life.eq(life.as_str()))
            .order_by_asc(recovery::Column::Id)
            .all(reader)
            .await?;
        for row in rows {
            // A recovery that only records that a host has started does not recover the host.
            if life == Life::Open && row.open_key.is_none() {
                continue;
            }
            // The host is back, and the recovery only starts its excluded instances.
            if row.waits_for.as_deref() == Some(WaitsFor::Start.as_str()) {
                continue;
            }
            let id = recovery_cell(&row, "uuid").id(&row.uuid)?;
            recoveries.insert(row.host_uuid, (id, life));
        }
    }
    let mut views = Vec::with_capacity(segments.len());
    let mut of: BTreeMap<String, Vec<host::Model>> = BTreeMap::new();
    for row in hosts {
        of.entry(row.failover_segment_id.clone()).or_default().push(row);
    }
    for row in segments {
        let uuid = row.uuid.clone();
        let segment = convert::segment(row)?;
        let mut hosts = Vec::new();
        for row in of.remove(&uuid).unwrap_or_default() {
            let why = reasons.get(&row.uuid).map(|why| {
                let cell = Cell {
                    table: "host_state",
                    row: &row.uuid,
                    column: "why",
                };
                cell.parse(why, MaintenanceReason::from_value)
            });
            let why = why.transpose()?.unwrap_or(MaintenanceReason::Operator);
            let recovery = recoveries.get(&row.uuid).copied();
            let host = convert::host(row, segment.clone())?;
            hosts.push(HostView {
                why: host.on_maintenance.then_some(why),
                recovery,
                host,
            });
        }
        views.push(SegmentView { segment, hosts });
    }
    Ok(views)
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::host::HostAttributes;
    use tachi_engine::ports::journal::{HostWrite, Write, WriteOutcome};
    use tachi_engine::ports::{Hosts as _, OperatorJournal as _};

    use super::*;
    use crate::testing::Bench;

    #[tokio::test]
    async fn hosts_are_listed_by_segment_with_the_reason_for_maintenance() {
        let bench = Bench::new().await;
        let empty = bench.segment("b-empty").await;
        let segment = bench.segment("a").await;
        let mut hosts = Vec::new();
        for name in ["fine", "dead", "mine"] {
            hosts.push(bench.host(&segment, name).await);
        }
        bench.stopped(&hosts[1]).await;
        let claimed = bench.claim_newest("engine").await;
        let write = Write {
            host: Some(HostWrite {
                host: hosts[1].id,
                why: MaintenanceReason::Recovery,
            }),
            ..Write::default()
        };
        let written = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &write)
            .await
            .unwrap();
        assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
        let change = HostAttributes {
            on_maintenance: Some(true),
            ..HostAttributes::default()
        };
        bench
            .store
            .registry()
            .update_host(segment.id, hosts[2].id, &change)
            .await
            .unwrap();
        let views = bench.store.operator_journal().region().await.unwrap();
        assert_eq!(views.len(), 2);
        let names: Vec<_> = views[0]
            .hosts
            .iter()
            .map(|view| (view.host.name.as_str(), view.why, view.recovery))
            .collect();
        let dead = Some((claimed.id, Life::Open));
        assert_eq!(
            names,
            [
                ("dead", Some(MaintenanceReason::Recovery), dead),
                ("fine", None, None),
                ("mine", Some(MaintenanceReason::Operator), None),
            ]
        );
        assert_eq!((&views[1].segment, views[1].hosts.len()), (&empty, 0));
    }
}
