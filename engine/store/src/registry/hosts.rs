//! Hosts.

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, Set,
};
use tachi_domain::entity::Host;
use tachi_domain::entity::host::{HostChange, HostFilter, MaintenanceReason, NewHost};
use tachi_domain::{HostId, SegmentId, Timestamp};
use tachi_engine::ports::RegistryError;
use tachi_engine::ports::registry::Page;
use uuid::Uuid;

use super::in_use::in_use;
use super::{maintenance, segments};
use crate::convert;
use crate::entity::host;
use crate::error::{Failure, Stop, is_unique_violation};
use crate::list::Cut;
use crate::lock;
use crate::time::to_column;
use crate::work::{Tx, Verdict, Work};

pub(super) async fn list(
    db: &impl ConnectionTrait,
    segment: SegmentId,
    page: &Page<HostFilter>,
) -> Result<Vec<Host>, Stop> {
    let parent = segments::get(db, segment)
        .await?
        .ok_or(RegistryError::SegmentNotFound { segment })?;
    let filter = &page.filter;
    let mut select = host::Entity::find().filter(host::Column::FailoverSegmentId.eq(segment.to_string()));
    if let Some(kind) = &filter.kind {
        select = select.filter(host::Column::Kind.eq(kind));
    }
    if let Some(name) = &filter.name {
        select = select.filter(host::Column::Name.eq(name));
    }
    if let Some(attributes) = &filter.control_attributes {
        select = select.filter(host::Column::ControlAttributes.eq(attributes));
    }
    if let Some(on_maintenance) = filter.on_maintenance {
        select = select.filter(host::Column::OnMaintenance.eq(on_maintenance));
    }
    if let Some(reserved) = filter.reserved {
        select = select.filter(host::Column::Reserved.eq(reserved));
    }
    if let Some(row) = filter.row {
        select = select.filter(host::Column::Id.eq(row));
    }
    let cut = Cut::<host::Entity> {
        id: host::Column::Id,
        deleted: host::Column::Deleted,
        sort: &page.sort,
        marker: page.marker,
        limit: page.limit,
    };
    let rows = cut.read(db, select).await?;
    let hosts = rows.into_iter().map(|row| convert::host(row, parent.clone()));
    Ok(hosts.collect::<Result<_, _>>()?)
}

/// The row of a host of that segment that is not deleted.
async fn row(db: &impl ConnectionTrait, segment: SegmentId, id: HostId) -> Result<Option<host::Model>, Stop> {
    let found = host::Entity::find()
        .filter(host::Column::Uuid.eq(id.to_string()))
        .filter(host::Column::FailoverSegmentId.eq(segment.to_string()))
        .filter(host::Column::Deleted.eq(0))
        .one(db)
        .await?;
    Ok(found)
}

pub(super) async fn get(
    db: &impl ConnectionTrait,
    segment: SegmentId,
    id: HostId,
) -> Result<Option<Host>, Stop> {
    match row(db, segment, id).await? {
        Some(row) => with_segment(db, segment, row).await.map(Some),
        None => Ok(None),
    }
}

/// The host, if an operator may make that change to it just now.
pub(super) async fn changeable(
    db: &impl ConnectionTrait,
    segment: SegmentId,
    id: HostId,
    change: &HostChange,
) -> Result<Host, Stop> {
    let row = existing(db, segment, id).await?;
    refuse_in_use(db, &row, change).await?;
    with_segment(db, segment, row).await
}

/// Of a segment in use only maintenance may be put (R20).
async fn refuse_in_use(
    db: &impl ConnectionTrait,
    row: &host::Model,
    change: &HostChange,
) -> Result<(), Stop> {
    if !change.only_sets_maintenance() && in_use(db, &row.failover_segment_id).await? {
        return Err(RegistryError::InUse.into());
    }
    Ok(())
}

async fn with_segment(db: &impl ConnectionTrait, segment: SegmentId, row: host::Model) -> Result<Host, Stop> {
    let parent = segments::get(db, segment)
        .await?
        .ok_or_else(|| Failure::Dangling {
            table: "failover_segments",
            row: segment.to_string(),
        })?;
    Ok(convert::host(row, parent)?)
}

pub(super) struct Create<'a> {
    pub(super) new: &'a NewHost,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Work for Create<'_> {
    type Output = Host;

    async fn run(&self, tx: &Tx) -> Result<Verdict<Host>, Stop> {
        let new = self.new;
        lock::take(tx, [new.segment.to_string()]).await?;
        let segment = segments::get(tx, new.segment)
            .await?
            .ok_or(RegistryError::SegmentNotFound { segment: new.segment })?;
        free_name(tx, &new.name, None).await?;
        let row = host::ActiveModel {
            uuid: Set(Uuid::new_v4().to_string()),
            name: Set(new.name.clone()),
            kind: Set(new.kind.clone()),
            control_attributes: Set(new.control_attributes.clone()),
            reserved: Set(Some(new.reserved)),
            on_maintenance: Set(Some(new.on_maintenance)),
            failover_segment_id: Set(new.segment.to_string()),
            created_at: Set(Some(to_column(self.now.whole_seconds())?)),
            deleted: Set(Some(0)),
            ..Default::default()
        };
        let row = row.insert(tx).await.map_err(|error| taken(error, &new.name))?;
        if new.on_maintenance {
            maintenance::record(tx, &row.uuid, MaintenanceReason::Operator, None).await?;
        }
        Ok(Verdict::Keep(convert::host(row, segment)?))
    }
}

pub(super) struct Update<'a> {
    pub(super) segment: SegmentId,
    pub(super) id: HostId,
    pub(super) change: &'a HostChange,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Work for Update<'_> {
    type Output = Host;

    async fn run(&self, tx: &Tx) -> Result<Verdict<Host>, Stop> {
        let change = self.change;
        if change.only_sets_maintenance() {
            lock::take(tx, [self.id.to_string()]).await?;
        } else {
            lock::take_segment(tx, &self.segment.to_string()).await?;
        }
        let old = existing(tx, self.segment, self.id).await?;
        refuse_in_use(tx, &old, change).await?;
        if let Some(name) = &change.name {
            free_name(tx, name, Some(old.id)).await?;
        }
        match change.on_maintenance {
            Some(true) => maintenance::record(tx, &old.uuid, MaintenanceReason::Operator, None).await?,
            Some(false) => maintenance::forget(tx, [old.uuid.clone()]).await?,
            None => {}
        }
        let name = change.name.clone().unwrap_or_else(|| old.name.clone());
        let mut new = host::ActiveModel::from(old);
        if let Some(name) = &change.name {
            new.name = Set(name.clone());
        }
        if let Some(kind) = &change.kind {
            new.kind = Set(kind.clone());
        }
        if let Some(attributes) = &change.control_attributes {
            new.control_attributes = Set(attributes.clone());
        }
        if let Some(reserved) = change.reserved {
            new.reserved = Set(Some(reserved));
        }
        if let Some(on_maintenance) = change.on_maintenance {
            new.on_maintenance = Set(Some(on_maintenance));
        }
        new.updated_at = Set(Some(to_column(self.now.whole_seconds())?));
        let row = new.update(tx).await.map_err(|error| taken(error, &name))?;
        Ok(Verdict::Keep(with_segment(tx, self.segment, row).await?))
    }
}

pub(super) struct Delete {
    pub(super) segment: SegmentId,
    pub(super) id: HostId,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Work for Delete {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<Verdict<()>, Stop> {
        lock::take_segment(tx, &self.segment.to_string()).await?;
        let old = existing(tx, self.segment, self.id).await?;
        if in_use(tx, &old.failover_segment_id).await? {
            return Err(RegistryError::InUse.into());
        }
        host::Entity::update_many()
            .col_expr(host::Column::Deleted, Expr::col(host::Column::Id))
            .col_expr(host::Column::DeletedAt, Expr::value(to_column(self.now)?))
            .filter(host::Column::Id.eq(old.id))
            .exec(tx)
            .await?;
        maintenance::forget(tx, [old.uuid]).await?;
        Ok(Verdict::Keep(()))
    }
}

async fn existing(db: &impl ConnectionTrait, segment: SegmentId, id: HostId) -> Result<host::Model, Stop> {
    row(db, segment, id)
        .await?
        .ok_or_else(|| RegistryError::HostNotFound { host: id, segment }.into())
}

/// Refuses a name that another host has, in whatever segment.
async fn free_name(db: &impl ConnectionTrait, name: &str, but: Option<i64>) -> Result<(), Stop> {
    let mut select = host::Entity::find()
        .filter(host::Column::Name.eq(name))
        .filter(host::Column::Deleted.eq(0));
    if let Some(but) = but {
        select = select.filter(host::Column::Id.ne(but));
    }
    if select.one(db).await?.is_some() {
        return Err(RegistryError::HostExists {
            name: name.to_owned(),
        }
        .into());
    }
    Ok(())
}

fn taken(error: sea_orm::DbErr, name: &str) -> Stop {
    if is_unique_violation(&error) {
        RegistryError::HostExists {
            name: name.to_owned(),
        }
        .into()
    } else {
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::EntityTrait as _;
    use tachi_engine::ports::Registry as _;

    use super::*;
    use crate::entity::host_state;
    use crate::testing::{Bench, all, new_host};

    async fn why(bench: &Bench, id: HostId) -> Option<String> {
        let row = host_state::Entity::find_by_id(id.to_string())
            .one(bench.store.db.reader())
            .await
            .unwrap();
        row.map(|row| row.why)
    }

    fn maintenance_set(to: bool) -> HostChange {
        HostChange {
            on_maintenance: Some(to),
            ..HostChange::default()
        }
    }

    #[tokio::test]
    async fn a_host_is_created_changed_and_deleted() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        assert_eq!(host.segment, segment);
        assert_eq!(
            bench
                .store
                .registry()
                .get_host(segment.id, host.id)
                .await
                .unwrap(),
            Some(host.clone())
        );
        let change = HostChange {
            reserved: Some(true),
            control_attributes: Some("IPMI".to_owned()),
            ..HostChange::default()
        };
        let updated = bench
            .store
            .registry()
            .update_host(segment.id, host.id, &change)
            .await
            .unwrap();
        assert!(updated.reserved);
        assert_eq!(updated.control_attributes, "IPMI");
        assert_eq!(updated.kind, "COMPUTE");
        assert!(updated.stamps.updated_at.is_some());
        bench
            .store
            .registry()
            .delete_host(segment.id, host.id)
            .await
            .unwrap();
        assert_eq!(
            bench
                .store
                .registry()
                .get_host(segment.id, host.id)
                .await
                .unwrap(),
            None
        );
        let gone = bench
            .store
            .registry()
            .delete_host(segment.id, host.id)
            .await
            .unwrap_err();
        assert!(matches!(gone, RegistryError::HostNotFound { .. }), "{gone:?}");
        assert_eq!(
            bench.host(&segment, "cmp1").await.row,
            2,
            "the name is free again, the id is not"
        );
    }

    #[tokio::test]
    async fn names_are_unique_over_all_segments() {
        let bench = Bench::new().await;
        let (one, other) = (bench.segment("s1").await, bench.segment("s2").await);
        bench.host(&one, "cmp1").await;
        let cmp2 = bench.host(&other, "cmp2").await;
        let twice = bench
            .store
            .registry()
            .create_host(&new_host(&other, "cmp1"))
            .await
            .unwrap_err();
        assert!(
            matches!(&twice, RegistryError::HostExists { name } if name == "cmp1"),
            "{twice:?}"
        );
        let rename = HostChange {
            name: Some("cmp1".to_owned()),
            ..HostChange::default()
        };
        let taken = bench
            .store
            .registry()
            .update_host(other.id, cmp2.id, &rename)
            .await
            .unwrap_err();
        assert!(matches!(taken, RegistryError::HostExists { .. }), "{taken:?}");
        let elsewhere = bench
            .store
            .registry()
            .update_host(one.id, cmp2.id, &rename)
            .await
            .unwrap_err();
        assert!(
            matches!(elsewhere, RegistryError::HostNotFound { .. }),
            "{elsewhere:?}"
        );
    }

    #[tokio::test]
    async fn an_operators_maintenance_is_recorded_and_cleared() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        assert_eq!(why(&bench, host.id).await, None);
        for (case, to, reason) in [
            ("put", true, Some("operator")),
            ("put again", true, Some("operator")),
            ("taken off", false, None),
        ] {
            let updated = bench
                .store
                .registry()
                .update_host(segment.id, host.id, &maintenance_set(to))
                .await
                .unwrap();
            assert_eq!(updated.on_maintenance, to, "{case}");
            assert_eq!(why(&bench, host.id).await.as_deref(), reason, "{case}");
        }
        let born = NewHost {
            on_maintenance: true,
            ..new_host(&segment, "cmp2")
        };
        let born = bench.store.registry().create_host(&born).await.unwrap();
        assert_eq!(why(&bench, born.id).await.as_deref(), Some("operator"));
        bench
            .store
            .registry()
            .delete_host(segment.id, born.id)
            .await
            .unwrap();
        assert_eq!(why(&bench, born.id).await, None, "deleted");
    }

    #[tokio::test]
    async fn in_use_only_maintenance_may_be_put() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let sibling = bench.host(&segment, "cmp2").await;
        bench.stopped(&host).await;
        let reserve = HostChange {
            reserved: Some(true),
            ..maintenance_set(true)
        };
        for (case, change) in [("with more", reserve), ("taking off", maintenance_set(false))] {
            let refused = bench
                .store
                .registry()
                .update_host(segment.id, sibling.id, &change)
                .await
                .unwrap_err();
            assert!(matches!(refused, RegistryError::InUse), "{case}: {refused:?}");
            let refused = bench
                .store
                .registry()
                .changeable_host(segment.id, sibling.id, &change)
                .await
                .unwrap_err();
            assert!(
                matches!(refused, RegistryError::InUse),
                "{case}, asked: {refused:?}"
            );
        }
        let asked = bench
            .store
            .registry()
            .changeable_host(segment.id, sibling.id, &maintenance_set(true))
            .await
            .unwrap();
        assert_eq!(asked, sibling, "asking changes nothing");
        let refused = bench
            .store
            .registry()
            .delete_host(segment.id, sibling.id)
            .await
            .unwrap_err();
        assert!(matches!(refused, RegistryError::InUse), "{refused:?}");
        let put = bench
            .store
            .registry()
            .update_host(segment.id, host.id, &maintenance_set(true))
            .await
            .unwrap();
        assert!(put.on_maintenance);
        bench.host(&segment, "cmp3").await;
    }

    #[tokio::test]
    async fn lists_are_filtered_and_kept_to_their_segment() {
        let bench = Bench::new().await;
        let (one, other) = (bench.segment("s1").await, bench.segment("s2").await);
        bench.host(&one, "cmp1").await;
        let odd = NewHost {
            reserved: true,
            on_maintenance: true,
            kind: "KVM".to_owned(),
            control_attributes: "IPMI".to_owned(),
            ..new_host(&one, "cmp2")
        };
        bench.store.registry().create_host(&odd).await.unwrap();
        bench.host(&other, "cmp3").await;
        let none = HostFilter::default;
        let text = |text: &str| Some(text.to_owned());
        let cases: Vec<(&str, HostFilter, &[&str])> = vec![
            ("all", none(), &["cmp2", "cmp1"]),
            (
                "type",
                HostFilter {
                    kind: text("KVM"),
                    ..none()
                },
                &["cmp2"],
            ),
            (
                "name",
                HostFilter {
                    name: text("cmp1"),
                    ..none()
                },
                &["cmp1"],
            ),
            (
                "attributes",
                HostFilter {
                    control_attributes: text("SSH"),
                    ..none()
                },
                &["cmp1"],
            ),
            (
                "on maintenance",
                HostFilter {
                    on_maintenance: Some(true),
                    ..none()
                },
                &["cmp2"],
            ),
            (
                "not reserved",
                HostFilter {
                    reserved: Some(false),
                    ..none()
                },
                &["cmp1"],
            ),
            (
                "row",
                HostFilter {
                    row: Some(1),
                    ..none()
                },
                &["cmp1"],
            ),
            (
                "row of another segment",
                HostFilter {
                    row: Some(3),
                    ..none()
                },
                &[],
            ),
            (
                "of another segment",
                HostFilter {
                    name: text("cmp3"),
                    ..none()
                },
                &[],
            ),
        ];
        for (case, filter, names) in cases {
            let page = Page { filter, ..all() };
            let listed = bench.store.registry().list_hosts(one.id, &page).await.unwrap();
            let listed: Vec<_> = listed.iter().map(|host| host.name.as_str()).collect();
            assert_eq!(listed, names, "{case}");
        }
        bench.store.registry().delete_segment(other.id).await.unwrap();
        let gone = bench
            .store
            .registry()
            .list_hosts(other.id, &all())
            .await
            .unwrap_err();
        assert!(matches!(gone, RegistryError::SegmentNotFound { .. }), "{gone:?}");
    }
}
