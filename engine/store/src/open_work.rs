//! What is open in the tables that Masakari has too: to be read before they are taken over as well as after.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use tachi_domain::entity::notification::NotificationStatus;

use crate::Store;
use crate::convert::Cell;
use crate::entity::{host, notification};
use crate::error::{Stop, StoreError};
use crate::plans::NO_REPORT;

/// So many of the newest notifications are looked at for who has reported them.
const NEWEST: u64 = 1000;

/// What Masakari's tables show of work that is not done. Only columns that every revision has are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenWork {
    /// Notifications that have not ended, by their status.
    pub notifications: BTreeMap<String, usize>,
    /// The names of the hosts that are kept empty for the instances of others.
    pub reserved: Vec<String>,
}

/// Who has made the newest reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reporters {
    /// How many an API of Masakari has accepted, which writes down nobody.
    pub unknown: usize,
    /// Names of those that are bound to no host, administrators included.
    pub unbound: BTreeSet<String>,
    /// How many hosts have reported for themselves.
    pub bound: usize,
}

impl Store {
    /// What is open, at any revision of Masakari's.
    ///
    /// # Errors
    ///
    /// `Database`, also if the tables are not there.
    pub async fn open_work(&self) -> Result<OpenWork, StoreError> {
        let read = async {
            let open = [
                NotificationStatus::New,
                NotificationStatus::Running,
                NotificationStatus::Error,
            ];
            let statuses: Vec<String> = notification::Entity::find()
                .select_only()
                .column(notification::Column::Status)
                .filter(notification::Column::Deleted.eq(0))
                .filter(notification::Column::Status.is_in(open.map(NotificationStatus::as_str)))
                .into_tuple()
                .all(self.db.reader())
                .await?;
            let reserved = host::Entity::find()
                .select_only()
                .column(host::Column::Name)
                .filter(host::Column::Deleted.eq(0))
                .filter(host::Column::Reserved.eq(true))
                .order_by_asc(host::Column::Name)
                .into_tuple()
                .all(self.db.reader())
                .await?;
            let mut notifications = BTreeMap::new();
            for status in statuses {
                *notifications.entry(status).or_default() += 1;
            }
            Ok(OpenWork {
                notifications,
                reserved,
            })
        };
        read.await
            .map_err(|stop: Stop| stop.store("reading what is open"))
    }

    /// Who has made the newest reports, once the tables are ours.
    ///
    /// # Errors
    ///
    /// `Database`.
    pub async fn reporters(&self) -> Result<Reporters, StoreError> {
        let key = notification::Column::RepeatKey;
        let read = async {
            let rows: Vec<Option<String>> = notification::Entity::find()
                .select_only()
                .column(notification::Column::Reporter)
                .filter(notification::Column::Deleted.eq(0))
                // A drain or a giveback is a person's plan, and has no reporter.
                .filter(Condition::any().add(key.is_null()).add(key.ne(NO_REPORT)))
                .order_by_desc(notification::Column::Id)
                .limit(NEWEST)
                .into_tuple()
                .all(self.db.reader())
                .await?;
            let mut found = Reporters::default();
            let mut bound = BTreeSet::new();
            for row in rows {
                let Some(text) = row else {
                    found.unknown += 1;
                    continue;
                };
                let cell = Cell {
                    table: "notifications",
                    row: "of the newest",
                    column: "reporter",
                };
                let reporter = cell.reporter(&text)?;
                if let Some(host) = reporter.host {
                    bound.insert(host);
                } else {
                    let name = reporter.application_credential.or(reporter.user_name);
                    found.unbound.insert(name.unwrap_or(reporter.user_id));
                }
            }
            found.bound = bound.len();
            Ok(found)
        };
        read.await
            .map_err(|stop: Stop| stop.store("reading who has reported"))
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ActiveModelTrait as _, Set};

    use std::collections::BTreeMap;

    use tachi_domain::recovery::RecoveryKind;
    use tachi_engine::ports::Plans as _;
    use tachi_engine::ports::plans::NewPlan;

    use super::*;
    use crate::testing::Bench;

    #[tokio::test]
    async fn what_is_open_and_who_has_reported_it() {
        let bench = Bench::new().await;
        assert_eq!(bench.store.open_work().await.unwrap(), OpenWork::default());
        let segment = bench.segment("s1").await;
        for name in ["cmp1", "cmp2", "spare"] {
            let made = bench.host(&segment, name).await;
            if name == "spare" {
                let row = host::ActiveModel {
                    id: Set(made.row),
                    reserved: Set(Some(true)),
                    ..Default::default()
                };
                row.update(bench.store.db.reader()).await.unwrap();
            } else {
                bench.stopped(&made).await;
            }
        }
        let open = bench.store.open_work().await.unwrap();
        assert_eq!(open.reserved, ["spare"]);
        assert_eq!(open.notifications.values().sum::<usize>(), 2, "{open:?}");
        let found = bench.store.reporters().await.unwrap();
        assert_eq!(found.unknown, 2, "a row without a name is one of Masakari's API");
        for (id, text) in [
            (
                1,
                r#"{"user_id": "u1", "user_name": "masakari-monitors", "control": true}"#,
            ),
            (
                2,
                r#"{"user_id": "u2", "application_credential": "masakari-monitor-cmp2", "host": "cmp2"}"#,
            ),
        ] {
            let row = notification::ActiveModel {
                id: Set(id),
                reporter: Set(Some(text.to_owned())),
                ..Default::default()
            };
            row.update(bench.store.db.reader()).await.unwrap();
        }
        // A drain is no report.
        let spare = bench.host(&segment, "other").await;
        let plan = NewPlan {
            kind: RecoveryKind::Drain,
            host: spare.id,
            payload: BTreeMap::from([("event".to_owned(), "DRAIN".to_owned())]),
        };
        bench.store.plans().plan(&plan).await.unwrap();
        let found = bench.store.reporters().await.unwrap();
        assert_eq!((found.unknown, found.bound), (0, 1));
        assert!(found.unbound.contains("masakari-monitors"), "{found:?}");
    }
}
