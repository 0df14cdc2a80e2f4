//! How many hosts are out, for the storm guards (R24).

use std::collections::BTreeSet;

use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use tachi_domain::HostId;
use tachi_domain::recovery::{Life, RecoveryKind, Storm};

use crate::entity::{host, recovery};
use crate::error::Stop;

pub(super) async fn count(db: &impl ConnectionTrait, asked: HostId) -> Result<Storm, Stop> {
    let asked = asked.to_string();
    let under_recovery: Vec<String> = recovery::Entity::find()
        .select_only()
        .column(recovery::Column::HostUuid)
        .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
        .filter(recovery::Column::Life.eq(Life::Open.as_str()))
        .filter(recovery::Column::OpenKey.is_not_null())
        .into_tuple()
        .all(db)
        .await?;
    let under_recovery: BTreeSet<String> = under_recovery.into_iter().collect();
    // The host that is asked about is counted even if it has been deleted meanwhile.
    let hosts = host::Entity::find()
        .filter(host::Column::Deleted.eq(0).or(host::Column::Uuid.eq(&asked)))
        .all(db)
        .await?;
    let segment = hosts
        .iter()
        .find(|host| host.uuid == asked)
        .map(|host| host.failover_segment_id.clone());
    let mut storm = Storm {
        segment_hosts: 0,
        segment_out: 0,
        all_hosts: 0,
        all_out: 0,
    };
    for host in hosts {
        let out =
            host.uuid == asked || host.on_maintenance.unwrap_or(false) || under_recovery.contains(&host.uuid);
        storm.all_hosts += 1;
        storm.all_out += u64::from(out);
        if segment.as_ref() == Some(&host.failover_segment_id) {
            storm.segment_hosts += 1;
            storm.segment_out += u64::from(out);
        }
    }
    Ok(storm)
}
