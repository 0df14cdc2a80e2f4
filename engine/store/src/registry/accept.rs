//! Accepting a notification: all checks, its row and its recovery in one transaction. The row is the queue.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait as _, QueryFilter as _,
    Set,
};
use tachi_domain::entity::Notification;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::{NewNotification, NotificationStatus};
use tachi_domain::recovery::{Life, RecoveryKind, kind_of, open_key};
use tachi_domain::{HostId, Timestamp};
use tachi_engine::ports::RegistryError;
use uuid::Uuid;

use super::maintenance;
use crate::convert::{self, Cell};
use crate::entity::{host, notification, recovery, recovery_move};
use crate::error::{Stop, is_unique_violation};
use crate::lock;
use crate::time::{from_column, to_column};
use crate::work::{Tx, Verdict, Work};

pub(super) struct Accept<'a> {
    pub(super) new: &'a NewNotification,
    pub(super) window_seconds: u32,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Work for Accept<'_> {
    type Output = Notification;

    async fn run(&self, tx: &Tx) -> Result<Verdict<Notification>, Stop> {
        let new = self.new;
        let host = self.host(tx).await?;
        let cell = Cell {
            table: "hosts",
            row: &host.uuid,
            column: "uuid",
        };
        let host_id: HostId = cell.id(&host.uuid)?;
        let kind = kind_of(new.kind);
        let key = open_key(kind, host_id, &new.payload);
        let host_stopped = kind == RecoveryKind::Host && key.is_some();

        let refused = match maintenance::reason(tx, &host).await? {
            None => false,
            Some(MaintenanceReason::Operator) => true,
            Some(MaintenanceReason::Recovery | MaintenanceReason::Process) => !host_stopped,
        };
        if refused {
            let name = new.hostname.clone();
            return Err(RegistryError::OnMaintenance { name }.into());
        }
        if let Some(key) = &key
            && holder(tx, key).await?.is_some()
        {
            return Err(RegistryError::Duplicate.into());
        }
        if self.repeats(tx, &host, host_stopped).await? {
            return Err(RegistryError::Duplicate.into());
        }
        if host_stopped {
            close_watching(tx, &host.uuid).await?;
        }
        let row = self.insert(tx, &host).await?;
        open(tx, &host, &row, kind, key, self.now).await?;
        Ok(Verdict::Keep(convert::notification(row)?))
    }
}

impl Accept<'_> {
    /// The host, taken: notifications of one host are accepted one after the other, and none while an operator changes
    /// or deletes it.
    async fn host(&self, tx: &Tx) -> Result<host::Model, Stop> {
        loop {
            let found = self.named(tx).await?;
            lock::take(tx, [found.uuid.clone()]).await?;
            // What was seen before the lock may be gone.
            let host = self.named(tx).await?;
            if host.uuid == found.uuid {
                return Ok(host);
            }
        }
    }

    async fn named(&self, tx: &Tx) -> Result<host::Model, Stop> {
        host::Entity::find()
            .filter(host::Column::Name.eq(&self.new.hostname))
            .filter(host::Column::Deleted.eq(0))
            .one(tx)
            .await?
            .ok_or_else(|| {
                let name = self.new.hostname.clone();
                RegistryError::UnknownHostName { name }.into()
            })
    }

    /// Masakari's rule: same type, host and payload, generated less than a window before this one or at any time after
    /// it. Of a stopped host one that failed does not count: repeating it is how another attempt is asked for.
    async fn repeats(&self, tx: &Tx, host: &host::Model, host_stopped: bool) -> Result<bool, Stop> {
        let from = self
            .new
            .generated_time
            .minus_seconds(i64::from(self.window_seconds));
        // A `DATETIME` that MariaDB got from Masakari has no fraction: there one that seems to be up to a second older
        // may be of the very time.
        let loses_fractions = tx.get_database_backend() == DbBackend::MySql;
        let whole = from.whole_seconds();
        let rows = notification::Entity::find()
            .filter(notification::Column::SourceHostUuid.eq(&host.uuid))
            .filter(notification::Column::Kind.eq(self.new.kind.as_str()))
            .filter(
                notification::Column::GeneratedTime.gte(to_column(if loses_fractions {
                    whole
                } else {
                    from
                })?),
            )
            .filter(notification::Column::Deleted.eq(0))
            .all(tx)
            .await?;
        for row in rows {
            let at = from_column(row.generated_time);
            if at < from && at != at.whole_seconds() {
                continue;
            }
            if host_stopped && row.status == NotificationStatus::Failed.as_str() {
                continue;
            }
            let cell = Cell {
                table: "notifications",
                row: &row.notification_uuid,
                column: "payload",
            };
            if convert::payload(cell, row.payload.as_deref())? == self.new.payload {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn insert(&self, tx: &Tx, host: &host::Model) -> Result<notification::Model, Stop> {
        let payload = serde_json::Value::from_iter(self.new.payload.clone());
        let row = notification::ActiveModel {
            notification_uuid: Set(Uuid::new_v4().to_string()),
            generated_time: Set(to_column(self.new.generated_time)?),
            source_host_uuid: Set(host.uuid.clone()),
            kind: Set(self.new.kind.as_str().to_owned()),
            payload: Set(Some(payload.to_string())),
            status: Set(NotificationStatus::New.as_str().to_owned()),
            failover_segment_uuid: Set(Some(host.failover_segment_id.clone())),
            created_at: Set(Some(to_column(self.now.whole_seconds())?)),
            deleted: Set(Some(0)),
            ..Default::default()
        };
        Ok(row.insert(tx).await?)
    }
}

/// Opens the recovery of a notification.
pub(crate) async fn open(
    tx: &Tx,
    host: &host::Model,
    notification: &notification::Model,
    kind: RecoveryKind,
    key: Option<String>,
    now: Timestamp,
) -> Result<(), Stop> {
    let row = recovery::ActiveModel {
        uuid: Set(Uuid::new_v4().to_string()),
        notification_uuid: Set(notification.notification_uuid.clone()),
        kind: Set(kind.as_str().to_owned()),
        host_uuid: Set(host.uuid.clone()),
        host_name: Set(host.name.clone()),
        life: Set(Life::Open.as_str().to_owned()),
        open_key: Set(key),
        opened_at: Set(now.micros()),
        ..Default::default()
    };
    match row.insert(tx).await {
        Ok(_) => Ok(()),
        Err(error) if is_unique_violation(&error) => Err(RegistryError::Duplicate.into()),
        Err(error) => Err(error.into()),
    }
}

/// The recovery that holds a key.
pub(crate) async fn holder(tx: &Tx, key: &str) -> Result<Option<recovery::Model>, Stop> {
    Ok(recovery::Entity::find()
        .filter(recovery::Column::OpenKey.eq(key))
        .one(tx)
        .await?)
}

/// The host has stopped again, so nothing is left to watch. The epoch goes up with it: whoever still watches is told that
/// the recovery is not his any more.
pub(crate) async fn close_watching(tx: &impl ConnectionTrait, host: &str) -> Result<(), Stop> {
    let watching = recovery::Entity::find()
        .filter(recovery::Column::HostUuid.eq(host))
        .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
        .filter(recovery::Column::Life.eq(Life::Watching.as_str()))
        .all(tx)
        .await?;
    for row in watching {
        recovery::Entity::update_many()
            .col_expr(recovery::Column::Epoch, Expr::col(recovery::Column::Epoch).add(1))
            .col_expr(recovery::Column::Seq, Expr::col(recovery::Column::Seq).add(1))
            .col_expr(recovery::Column::Life, Expr::value(Life::Closed.as_str()))
            .col_expr(recovery::Column::OpenKey, Expr::value(None::<String>))
            .col_expr(recovery::Column::Owner, Expr::value(None::<String>))
            .filter(recovery::Column::Id.eq(row.id))
            .exec(tx)
            .await?;
        free_moves(tx, row.id).await?;
    }
    Ok(())
}

/// A closed recovery works on no instance any more.
pub(crate) async fn free_moves(tx: &impl ConnectionTrait, recovery: i64) -> Result<(), Stop> {
    recovery_move::Entity::update_many()
        .col_expr(recovery_move::Column::OpenKey, Expr::value(None::<String>))
        .filter(recovery_move::Column::RecoveryId.eq(recovery))
        .filter(recovery_move::Column::OpenKey.is_not_null())
        .exec(tx)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
