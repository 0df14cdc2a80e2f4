//! Segments.

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, Set,
};
use tachi_domain::entity::Segment;
use tachi_domain::entity::segment::{NewSegment, RecoveryMethod, SegmentChange, SegmentFilter};
use tachi_domain::{SegmentId, Timestamp};
use tachi_engine::ports::RegistryError;
use tachi_engine::ports::registry::Page;
use uuid::Uuid;

use super::in_use::in_use;
use super::maintenance;
use crate::convert;
use crate::entity::{host, segment};
use crate::error::{Stop, is_unique_violation};
use crate::list::{Cut, nothing};
use crate::lock;
use crate::time::to_column;
use crate::transaction::{Transaction, Tx, TxOutcome};

pub(super) async fn list(
    db: &impl ConnectionTrait,
    page: &Page<SegmentFilter>,
) -> Result<Vec<Segment>, Stop> {
    let mut select = segment::Entity::find();
    if let Some(method) = &page.filter.recovery_method {
        // No row can contain an unknown value, and PostgreSQL would refuse the comparison.
        select = match RecoveryMethod::from_word(method) {
            Some(method) => select.filter(segment::Column::RecoveryMethod.eq(method.as_str())),
            None => select.filter(nothing()),
        };
    }
    if let Some(service) = &page.filter.service_type {
        select = select.filter(segment::Column::ServiceType.eq(service));
    }
    if let Some(enabled) = page.filter.enabled {
        select = select.filter(segment::Column::Enabled.eq(enabled));
    }
    if let Some(row) = page.filter.row {
        select = select.filter(segment::Column::Id.eq(row));
    }
    let cut = Cut::<segment::Entity> {
        id: segment::Column::Id,
        deleted: segment::Column::Deleted,
        sort: &page.sort,
        marker: page.marker,
        limit: page.limit,
    };
    let rows = cut.read(db, select).await?;
    Ok(rows.into_iter().map(convert::segment).collect::<Result<_, _>>()?)
}

/// Reads the row of a segment that is not deleted.
pub(super) async fn row(db: &impl ConnectionTrait, id: SegmentId) -> Result<Option<segment::Model>, Stop> {
    let found = segment::Entity::find()
        .filter(segment::Column::Uuid.eq(id.to_string()))
        .filter(segment::Column::Deleted.eq(0))
        .one(db)
        .await?;
    Ok(found)
}

pub(super) async fn get(db: &impl ConnectionTrait, id: SegmentId) -> Result<Option<Segment>, Stop> {
    Ok(row(db, id).await?.map(convert::segment).transpose()?)
}

pub(super) struct Create<'a> {
    pub(super) new: &'a NewSegment,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Create<'_> {
    type Output = Segment;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Segment>, Stop> {
        free_name(tx, &self.new.name, None).await?;
        let row = segment::ActiveModel {
            uuid: Set(Uuid::new_v4().to_string()),
            name: Set(self.new.name.clone()),
            service_type: Set(self.new.service_type.clone()),
            enabled: Set(Some(self.new.enabled)),
            description: Set(self.new.description.clone()),
            recovery_method: Set(self.new.recovery_method.as_str().to_owned()),
            created_at: Set(Some(to_column(self.now.whole_seconds())?)),
            deleted: Set(Some(0)),
            ..Default::default()
        };
        let row = row
            .insert(tx)
            .await
            .map_err(|error| taken(error, &self.new.name))?;
        Ok(TxOutcome::Keep(convert::segment(row)?))
    }
}

pub(super) struct Update<'a> {
    pub(super) id: SegmentId,
    pub(super) change: &'a SegmentChange,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Update<'_> {
    type Output = Segment;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Segment>, Stop> {
        let change = self.change;
        if !only_enables(change) {
            lock::take_segment(tx, &self.id.to_string()).await?;
        }
        let Some(old) = row(tx, self.id).await? else {
            return Err(RegistryError::SegmentNotFound { segment: self.id }.into());
        };
        if !only_enables(change) && in_use(tx, &old.uuid).await? {
            return Err(RegistryError::InUse.into());
        }
        if let Some(name) = &change.name {
            free_name(tx, name, Some(old.id)).await?;
        }
        let name = change.name.clone().unwrap_or_else(|| old.name.clone());
        let mut new = segment::ActiveModel::from(old);
        if let Some(name) = &change.name {
            new.name = Set(name.clone());
        }
        if let Some(service) = &change.service_type {
            new.service_type = Set(service.clone());
        }
        if let Some(enabled) = change.enabled {
            new.enabled = Set(Some(enabled));
        }
        if let Some(description) = &change.description {
            new.description = Set(description.clone());
        }
        if let Some(method) = change.recovery_method {
            new.recovery_method = Set(method.as_str().to_owned());
        }
        new.updated_at = Set(Some(to_column(self.now.whole_seconds())?));
        let row = new.update(tx).await.map_err(|error| taken(error, &name))?;
        Ok(TxOutcome::Keep(convert::segment(row)?))
    }
}

/// True if a change affects `enabled` alone, which is permitted at any time.
fn only_enables(change: &SegmentChange) -> bool {
    let without = SegmentChange {
        enabled: None,
        ..change.clone()
    };
    change.enabled.is_some() && without == SegmentChange::default()
}

pub(super) struct Delete {
    pub(super) id: SegmentId,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Transaction for Delete {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        lock::take_segment(tx, &self.id.to_string()).await?;
        let Some(old) = row(tx, self.id).await? else {
            return Err(RegistryError::SegmentNotFound { segment: self.id }.into());
        };
        if in_use(tx, &old.uuid).await? {
            return Err(RegistryError::InUse.into());
        }
        let at = to_column(self.now)?;
        let hosts = host::Entity::find()
            .filter(host::Column::FailoverSegmentId.eq(&old.uuid))
            .filter(host::Column::Deleted.eq(0))
            .all(tx)
            .await?;
        maintenance::forget(tx, hosts.into_iter().map(|host| host.uuid)).await?;
        host::Entity::update_many()
            .col_expr(host::Column::Deleted, Expr::col(host::Column::Id))
            .col_expr(host::Column::DeletedAt, Expr::value(at))
            .filter(host::Column::FailoverSegmentId.eq(&old.uuid))
            .filter(host::Column::Deleted.eq(0))
            .exec(tx)
            .await?;
        segment::Entity::update_many()
            .col_expr(segment::Column::Deleted, Expr::col(segment::Column::Id))
            .col_expr(segment::Column::DeletedAt, Expr::value(at))
            .filter(segment::Column::Id.eq(old.id))
            .exec(tx)
            .await?;
        Ok(TxOutcome::Keep(()))
    }
}

/// Refuses a name that another segment has. The database decides which names are equal.
async fn free_name(db: &impl ConnectionTrait, name: &str, but: Option<i64>) -> Result<(), Stop> {
    let mut select = segment::Entity::find()
        .filter(segment::Column::Name.eq(name))
        .filter(segment::Column::Deleted.eq(0));
    if let Some(but) = but {
        select = select.filter(segment::Column::Id.ne(but));
    }
    if select.one(db).await?.is_some() {
        return Err(RegistryError::SegmentExists {
            name: name.to_owned(),
        }
        .into());
    }
    Ok(())
}

fn taken(error: sea_orm::DbErr, name: &str) -> Stop {
    if is_unique_violation(&error) {
        RegistryError::SegmentExists {
            name: name.to_owned(),
        }
        .into()
    } else {
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use tachi_engine::ports::{Hosts as _, Segments as _};

    use super::*;
    use crate::testing::{Bench, all, new_segment};

    #[tokio::test]
    async fn a_segment_is_created_changed_and_deleted() {
        let bench = Bench::new().await;
        let created = bench.segment("s1").await;
        assert_eq!(created.row, 1);
        assert_eq!(created.stamps.created_at, bench.clock_wall().whole_seconds());
        assert_eq!(created.stamps.updated_at, None);
        assert_eq!(
            bench.store.registry().get_segment(created.id).await.unwrap(),
            Some(created.clone())
        );

        bench.clock.set_wall_on(5);
        let change = SegmentChange {
            description: Some(Some("rack 1".to_owned())),
            recovery_method: Some(RecoveryMethod::RhPriority),
            ..SegmentChange::default()
        };
        let updated = bench
            .store
            .registry()
            .update_segment(created.id, &change)
            .await
            .unwrap();
        assert_eq!(updated.description.as_deref(), Some("rack 1"));
        assert_eq!(updated.recovery_method, RecoveryMethod::RhPriority);
        assert_eq!(updated.name, "s1");
        assert_eq!(
            updated.stamps.updated_at,
            Some(bench.clock_wall().whole_seconds())
        );

        let host = bench.host(&updated, "cmp1").await;
        bench.store.registry().delete_segment(created.id).await.unwrap();
        assert_eq!(
            bench.store.registry().get_segment(created.id).await.unwrap(),
            None
        );
        assert_eq!(
            bench
                .store
                .registry()
                .get_host(created.id, host.id)
                .await
                .unwrap(),
            None
        );
        let gone = bench
            .store
            .registry()
            .delete_segment(created.id)
            .await
            .unwrap_err();
        assert!(matches!(gone, RegistryError::SegmentNotFound { .. }), "{gone:?}");

        let again = bench.segment("s1").await;
        assert_eq!(again.row, 2, "ids are never used again");
        bench.host(&again, "cmp1").await;
    }

    #[tokio::test]
    async fn names_are_unique_among_segments_that_are_there() {
        let bench = Bench::new().await;
        let one = bench.segment("s1").await;
        bench.segment("s2").await;
        let twice = bench
            .store
            .registry()
            .create_segment(&new_segment("s1"))
            .await
            .unwrap_err();
        assert!(
            matches!(&twice, RegistryError::SegmentExists { name } if name == "s1"),
            "{twice:?}"
        );
        let rename = |name: &str| SegmentChange {
            name: Some(name.to_owned()),
            ..SegmentChange::default()
        };
        let taken = bench
            .store
            .registry()
            .update_segment(one.id, &rename("s2"))
            .await
            .unwrap_err();
        assert!(
            matches!(&taken, RegistryError::SegmentExists { name } if name == "s2"),
            "{taken:?}"
        );
        let own = bench
            .store
            .registry()
            .update_segment(one.id, &rename("s1"))
            .await
            .unwrap();
        assert_eq!(own.name, "s1");
    }

    #[tokio::test]
    async fn the_database_itself_refuses_a_second_of_the_same_name() {
        let bench = Bench::new().await;
        bench.segment("s1").await;
        let row = segment::ActiveModel {
            uuid: Set(Uuid::new_v4().to_string()),
            name: Set("s1".to_owned()),
            service_type: Set("COMPUTE".to_owned()),
            recovery_method: Set("auto".to_owned()),
            deleted: Set(Some(0)),
            ..Default::default()
        };
        let error = row.insert(bench.store.db.writer()).await.unwrap_err();
        let stop = taken(error, "s1");
        assert!(
            matches!(stop, Stop::Refused(RegistryError::SegmentExists { .. })),
            "{stop:?}"
        );
    }

    #[tokio::test]
    async fn in_use_only_enabled_may_change() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let enabled = SegmentChange {
            enabled: Some(false),
            ..SegmentChange::default()
        };
        let more = SegmentChange {
            name: Some("s2".to_owned()),
            ..enabled.clone()
        };
        let refused = bench
            .store
            .registry()
            .update_segment(segment.id, &more)
            .await
            .unwrap_err();
        assert!(matches!(refused, RegistryError::InUse), "{refused:?}");
        let refused = bench
            .store
            .registry()
            .delete_segment(segment.id)
            .await
            .unwrap_err();
        assert!(matches!(refused, RegistryError::InUse), "{refused:?}");
        let updated = bench
            .store
            .registry()
            .update_segment(segment.id, &enabled)
            .await
            .unwrap();
        assert!(!updated.enabled);
        let other = bench.segment("free").await;
        bench.store.registry().delete_segment(other.id).await.unwrap();
    }

    #[tokio::test]
    async fn lists_are_filtered() {
        let bench = Bench::new().await;
        bench.segment("s1").await;
        let off = NewSegment {
            enabled: false,
            service_type: "STORAGE".to_owned(),
            recovery_method: RecoveryMethod::ReservedHost,
            ..new_segment("s2")
        };
        bench.store.registry().create_segment(&off).await.unwrap();
        let none = SegmentFilter::default;
        let cases: Vec<(&str, SegmentFilter, &[&str])> = vec![
            ("all, newest first", none(), &["s2", "s1"]),
            (
                "enabled",
                SegmentFilter {
                    enabled: Some(true),
                    ..none()
                },
                &["s1"],
            ),
            (
                "disabled",
                SegmentFilter {
                    enabled: Some(false),
                    ..none()
                },
                &["s2"],
            ),
            (
                "service",
                SegmentFilter {
                    service_type: Some("STORAGE".to_owned()),
                    ..none()
                },
                &["s2"],
            ),
            (
                "method",
                SegmentFilter {
                    recovery_method: Some("auto".to_owned()),
                    ..none()
                },
                &["s1"],
            ),
            (
                "unknown method",
                SegmentFilter {
                    recovery_method: Some("x".to_owned()),
                    ..none()
                },
                &[],
            ),
        ];
        for (case, filter, names) in cases {
            let page = Page { filter, ..all() };
            let listed = bench.store.registry().list_segments(&page).await.unwrap();
            let listed: Vec<_> = listed.iter().map(|segment| segment.name.as_str()).collect();
            assert_eq!(listed, names, "{case}");
        }
    }
}
