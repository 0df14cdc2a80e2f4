//! The open work in the tables that Masakari has, too. It can be read before and after the database is taken over.

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

/// Limit of notifications, the newest ones, whose reporters are read.
const MAX_NOTIFICATIONS: u64 = 1000;

/// The unfinished work in Masakari's tables. Only columns of every revision are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenWork {
    /// The numbers of unfinished notifications by status.
    pub notifications: BTreeMap<String, usize>,
    /// The names of the reserved hosts.
    pub reserved: Vec<String>,
}

/// The reporters of the newest notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reporters {
    /// The number of notifications that an API of Masakari accepted, which records no reporter.
    pub unknown: usize,
    /// The names of reporters that are bound to no host, including administrators.
    pub unbound: BTreeSet<String>,
    /// The number of hosts that have reported for themselves.
    pub bound: usize,
}

impl Store {
    /// Reads the open work, at any revision of Masakari.
    ///
    /// # Errors
    ///
    /// `Database`, also if the tables are missing.
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
            .map_err(|stop: Stop| stop.store("reading the open work"))
    }

    /// Reads the reporters of the newest notifications, once the database has been taken over.
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
                // A drain or giveback is planned by an operator, and has no reporter.
                .filter(Condition::any().add(key.is_null()).add(key.ne(NO_REPORT)))
                .order_by_desc(notification::Column::Id)
                .limit(MAX_NOTIFICATIONS)
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
            .map_err(|stop: Stop| stop.store("reading the reporters"))
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
    async fn open_notifications_and_their_reporters_are_counted() {
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
        // A drain is not a report.
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
