//! Taking up what Masakari left open: notifications that are `new`, `running` or `error` and have no recovery.
//!
//! They are there after a database was taken over, and again whenever somebody went back to Masakari for a while. An engine
//! does it before it begins to claim, because only then is it certain that Masakari's own engine is gone. What becomes of
//! one is decided by [`fate`]; `docs/adr/0009-taking-up-open-notifications.md` says why.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::OffWord;
use tachi_domain::recovery::{RecoveryKind, kind_of, open_key};
use tachi_domain::{HostId, Timestamp};
use tracing::instrument;

use crate::convert::{self, Cell};
use crate::database::Database;
use crate::entity::{host, host_state, notification, recovery, vmove};
use crate::error::Stop;
use crate::lock;
use crate::registry::{accepted, maintenance};
use crate::time::{from_column, to_column};
use crate::work::{Tx, Verdict, Work};
use crate::{Store, StoreError};

/// Of an instance that Masakari had begun to move when it was interrupted.
const MAY_BE_LOCKED: &str = "Masakari's engine was interrupted and may have left the instance locked: look at locked and locked_reason \
                             (openstack server show); if it is locked without a reason, and not by its owner, say openstack server unlock";

/// What became of the notifications that Masakari had left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adopted {
    /// A recovery was opened, as if they had just been accepted.
    pub opened: u64,
    /// They are about what another open recovery is about, and are `ignored`.
    pub joined: u64,
    /// Nothing can be done about them any more, and they are `failed`.
    pub failed: u64,
}

impl Store {
    /// How many notifications are open and have no recovery. Writes nothing.
    ///
    /// # Errors
    ///
    /// `Database`.
    pub async fn left_open(&self) -> Result<usize, StoreError> {
        let found = orphans(&self.db, false).await;
        found
            .map(|rows| rows.len())
            .map_err(|stop| stop.store("looking for notifications that Masakari left open"))
    }

    /// Takes up what Masakari left open. Several engines may do so at once.
    ///
    /// `expiry` is Masakari's `notifications_expired_interval`: what was generated longer ago is not begun any more.
    ///
    /// # Errors
    ///
    /// `Database`. What was taken up before that stays so.
    #[instrument(name = "store::adopt", level = "debug", skip_all)]
    pub async fn adopt(&self, expiry: Duration) -> Result<Adopted, StoreError> {
        let adopted = self.adopt_all(expiry, false).await;
        adopted.map_err(|stop| stop.store("taking up a notification that Masakari left open"))
    }

    /// Takes up what an API of Masakari has accepted: only what is `new`. Whatever else has no recovery of ours is some
    /// other engine's, and it is only certain when an engine of ours starts that there is none any more. Cheap when there
    /// is nothing.
    ///
    /// # Errors
    ///
    /// As for [`Store::adopt`].
    #[instrument(name = "store::adopt_new", level = "debug", skip_all)]
    pub async fn adopt_new(&self, expiry: Duration) -> Result<Adopted, StoreError> {
        let adopted = self.adopt_all(expiry, true).await;
        adopted.map_err(|stop| stop.store("taking up a notification that an API of Masakari has accepted"))
    }

    async fn adopt_all(&self, expiry: Duration, only_new: bool) -> Result<Adopted, Stop> {
        let mut adopted = Adopted::default();
        for row in orphans(&self.db, only_new).await? {
            let adopt = Adopt {
                id: row.id,
                host_uuid: &row.source_host_uuid,
                only_new,
                expiry,
                now: self.db.now(),
            };
            let notification = &row.notification_uuid;
            match self.db.write(&adopt).await? {
                None => {}
                Some(Fate::Open { .. }) => {
                    adopted.opened += 1;
                    tracing::info!(%notification, "taken up from Masakari");
                    if row.status == NotificationStatus::Running.as_str() {
                        tracing::warn!(
                            %notification,
                            "Masakari's engine was interrupted in it: the messages of its vmoves name the instances that it may have \
                             left locked"
                        );
                    }
                }
                Some(Fate::Join { message }) => {
                    adopted.joined += 1;
                    tracing::info!(%notification, message, "left by Masakari, ignored");
                }
                Some(Fate::Fail { message }) => {
                    adopted.failed += 1;
                    tracing::warn!(%notification, message, "left by Masakari, failed");
                }
            }
        }
        Ok(adopted)
    }
}

/// Newest first: the newest notification of a host is the one whose word counts.
async fn orphans(db: &Database, only_new: bool) -> Result<Vec<notification::Model>, Stop> {
    let open = NotificationStatus::ALL
        .iter()
        .filter(|status| wanted(**status, only_new))
        .map(|status| status.as_str());
    let recovered = Query::select()
        .column(recovery::Column::NotificationUuid)
        .from(recovery::Entity)
        .take();
    Ok(notification::Entity::find()
        .filter(notification::Column::Deleted.eq(0))
        .filter(notification::Column::Status.is_in(open))
        .filter(notification::Column::NotificationUuid.not_in_subquery(recovered))
        .order_by_desc(notification::Column::GeneratedTime)
        .order_by_desc(notification::Column::Id)
        .all(db.reader())
        .await?)
}

fn wanted(status: NotificationStatus, only_new: bool) -> bool {
    status.is_open() && (!only_new || status == NotificationStatus::New)
}

/// What becomes of a notification.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It gets a recovery.
    Open { kind: RecoveryKind, key: Option<String> },
    /// Another recovery does its work.
    Join { message: String },
    /// Nothing is done.
    Fail { message: String },
}

/// What is known of a notification and around it.
struct Known<'a> {
    row: &'a notification::Model,
    /// Its host, unless it was deleted.
    host: Option<HostId>,
    payload: Option<BTreeMap<String, String>>,
    expiry: Duration,
    now: Timestamp,
}

/// Decides, except for whether somebody else holds the key.
///
/// A host whose recovery was cut off is looked at again whatever the status, because its instances may be anywhere; that
/// recovery begins by looking, and so repeats nothing. Masakari itself never repeats what was `running`: an instance may
/// have been restarted and a service mended by hand long ago, and doing it again would only harm.
fn fate(known: &Known<'_>) -> Fate {
    let fail = |message: String| Fate::Fail { message };
    let row = known.row;
    let Some(kind) = NotificationType::from_word(&row.kind).map(kind_of) else {
        return fail(format!("left open by Masakari; its type {} is unknown", row.kind));
    };
    let Some(payload) = &known.payload else {
        return fail("left open by Masakari; its payload cannot be read".to_owned());
    };
    let Some(host) = known.host else {
        return fail("left open by Masakari; its host is not registered any more".to_owned());
    };
    // By our own clock if the row has its time: a reporter's may be wrong by days (EW15).
    let since = row.created_at.unwrap_or(row.generated_time);
    let age = known.now.micros_since(from_column(since));
    if u128::try_from(age).is_ok_and(|age| age > known.expiry.as_micros()) {
        return fail(format!(
            "left {} by Masakari; received more than notifications_expired_interval ({} s) before it was taken over",
            row.status,
            known.expiry.as_secs()
        ));
    }
    if kind != RecoveryKind::Host && row.status == NotificationStatus::Running.as_str() {
        return fail(
            "Masakari's engine ended while it worked on this, and nobody knows how far it came: please check"
                .to_owned(),
        );
    }
    Fate::Open {
        kind,
        key: open_key(kind, host, payload),
    }
}

struct Adopt<'a> {
    id: i64,
    host_uuid: &'a str,
    only_new: bool,
    expiry: Duration,
    now: Timestamp,
}

#[async_trait]
impl Work for Adopt<'_> {
    /// `None`: another engine was faster, or it is over.
    type Output = Option<Fate>;

    async fn run(&self, tx: &Tx) -> Result<Verdict<Option<Fate>>, Stop> {
        // Taken as when a notification is accepted, so that two engines take one up after the other.
        lock::take(tx, [self.host_uuid.to_owned()]).await?;
        let host = host::Entity::find()
            .filter(host::Column::Uuid.eq(self.host_uuid))
            .one(tx)
            .await?;
        let Some(row) = self.still_open(tx).await? else {
            return Ok(Verdict::Undo(None));
        };
        let live = host.filter(|host| host.deleted.unwrap_or(0) == 0);
        let cell = |column| Cell {
            table: "notifications",
            row: &row.notification_uuid,
            column,
        };
        let known = Known {
            row: &row,
            host: live
                .as_ref()
                .map(|host| cell("source_host_uuid").id(&host.uuid))
                .transpose()?,
            payload: convert::payload(cell("payload"), row.payload.as_deref()).ok(),
            expiry: self.expiry,
            now: self.now,
        };
        let mut fate = fate(&known);
        if let Fate::Open { key: Some(key), .. } = &fate
            && let Some(holder) = accepted::holder(tx, key).await?
        {
            let read = convert::notification(row.clone()).ok();
            if let Some(word) = read.as_ref().and_then(OffWord::of) {
                accepted::join(tx, &holder, word).await?;
            }
            fate = Fate::Join {
                message: format!(
                    "left {} by Masakari; the recovery of notification {} does its work",
                    row.status, holder.notification_uuid
                ),
            };
        }
        self.carry_out(tx, &row, live.as_ref(), &fate).await?;
        Ok(Verdict::Keep(Some(fate)))
    }
}

impl Adopt<'_> {
    async fn still_open(&self, tx: &Tx) -> Result<Option<notification::Model>, Stop> {
        let found = notification::Entity::find_by_id(self.id).one(tx).await?;
        let Some(row) = found else { return Ok(None) };
        let open = NotificationStatus::from_word(&row.status).is_some_and(|is| wanted(is, self.only_new));
        let taken = recovery::Entity::find()
            .filter(recovery::Column::NotificationUuid.eq(&row.notification_uuid))
            .one(tx)
            .await?;
        Ok((open && taken.is_none()).then_some(row))
    }

    async fn carry_out(
        &self,
        tx: &Tx,
        row: &notification::Model,
        host: Option<&host::Model>,
        fate: &Fate,
    ) -> Result<(), Stop> {
        let (status, message, moves) = match (fate, host) {
            (Fate::Open { kind, key }, Some(host)) => {
                accepted::open(
                    tx,
                    host,
                    row,
                    *kind,
                    key.clone(),
                    accepted::Heard::default(),
                    self.now,
                )
                .await?;
                self.reason(tx, host, row, *kind).await?;
                let message = format!("taken up from Masakari, which had left it {}", row.status);
                (NotificationStatus::New, message, VmoveStatus::Ignored)
            }
            (Fate::Open { .. }, None) => return Ok(()),
            (Fate::Join { message }, _) => {
                (NotificationStatus::Ignored, message.clone(), VmoveStatus::Ignored)
            }
            (Fate::Fail { message }, host) => {
                // The next report about this host is not to be refused as if an operator had said so.
                if let (Some(host), Some(NotificationType::ComputeHost)) =
                    (host, NotificationType::from_word(&row.kind))
                {
                    self.reason(tx, host, row, RecoveryKind::Host).await?;
                }
                (NotificationStatus::Failed, message.clone(), VmoveStatus::Failed)
            }
        };
        self.close_moves(tx, row, moves).await?;
        notification::Entity::update_many()
            .col_expr(
                notification::Column::Status,
                notification::Column::Status.save_as(Expr::value(status.as_str())),
            )
            .col_expr(notification::Column::Message, Expr::value(message))
            .col_expr(
                notification::Column::UpdatedAt,
                Expr::value(to_column(self.now.whole_seconds())?),
            )
            .filter(notification::Column::Id.eq(row.id))
            .exec(tx)
            .await?;
        Ok(())
    }

    /// Masakari's engine puts a host on maintenance before it does anything else, and no operator can while a
    /// notification is open: so it was not an operator (R19).
    async fn reason(
        &self,
        tx: &Tx,
        host: &host::Model,
        row: &notification::Model,
        kind: RecoveryKind,
    ) -> Result<(), Stop> {
        let why = match kind {
            RecoveryKind::Host => MaintenanceReason::Recovery,
            RecoveryKind::Process => MaintenanceReason::Process,
            RecoveryKind::Vm | RecoveryKind::Drain | RecoveryKind::Giveback => return Ok(()),
        };
        let known = host_state::Entity::find_by_id(host.uuid.clone()).one(tx).await?;
        if host.on_maintenance.unwrap_or(false) && known.is_none() {
            let recovery = recovery::Entity::find()
                .filter(recovery::Column::NotificationUuid.eq(&row.notification_uuid))
                .one(tx)
                .await?;
            maintenance::record(tx, &host.uuid, why, recovery.map(|recovery| recovery.id)).await?;
        }
        Ok(())
    }

    /// Nobody works on its vmoves any more; the recovery makes its own. Masakari locks an instance before it moves it and unlocks it
    /// as the last thing it does: an engine that was interrupted may have left any of those locked that it had begun. Its locks have
    /// no reason, so that nobody can tell them from an owner's: they are named.
    async fn close_moves(&self, tx: &Tx, row: &notification::Model, to: VmoveStatus) -> Result<(), Stop> {
        let interrupted = row.status == NotificationStatus::Running.as_str();
        let moves = vmove::Entity::find()
            .filter(vmove::Column::NotificationUuid.eq(&row.notification_uuid))
            .all(tx)
            .await?;
        for one in moves {
            let status = one.status.as_deref().and_then(VmoveStatus::from_word);
            let open = matches!(status, Some(VmoveStatus::Pending | VmoveStatus::Ongoing));
            let may_be_locked = interrupted
                && matches!(
                    status,
                    Some(VmoveStatus::Ongoing | VmoveStatus::Succeeded | VmoveStatus::Failed)
                );
            if !open && !may_be_locked {
                continue;
            }
            let before = one.message.as_deref().filter(|_| !open);
            let said = [
                open.then_some("Masakari did not finish this move"),
                before.filter(|text| !text.is_empty()),
                may_be_locked.then_some(MAY_BE_LOCKED),
            ];
            let said: Vec<&str> = said.into_iter().flatten().collect();
            let status = if open {
                Some(to.as_str().to_owned())
            } else {
                one.status.clone()
            };
            vmove::Entity::update_many()
                .col_expr(vmove::Column::Status, Expr::value(status))
                .col_expr(vmove::Column::Message, Expr::value(said.join("; ")))
                .col_expr(
                    vmove::Column::UpdatedAt,
                    Expr::value(to_column(self.now.whole_seconds())?),
                )
                .filter(vmove::Column::Id.eq(one.id))
                .exec(tx)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
