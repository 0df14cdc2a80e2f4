//! Adoption of notifications that Masakari left open: those that are `new`, `running` or `error` and have no recovery.
//!
//! They exist after a database was taken over, and again whenever operators returned to Masakari for a while. An engine
//! adopts them before it starts to claim, because only then is it certain that Masakari's own engine is gone. [`fate`]
//! decides on each of them; `docs/adr/0009-taking-up-open-notifications.md` gives the reasons.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::OffClaim;
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
use crate::transaction::{Transaction, Tx, TxOutcome};
use crate::{Store, StoreError};

/// Message for an instance that Masakari had started to move when it was interrupted.
const MAY_BE_LOCKED: &str = "Masakari's engine was interrupted and may have left the instance locked: check locked and locked_reason \
    (openstack server show); if it is locked without a reason, and not by its owner, unlock it with openstack server unlock";

/// The numbers of adopted notifications, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdoptionReport {
    /// Notifications for which a recovery was opened, as if they had just been accepted.
    pub opened: u64,
    /// Notifications about the subject of another open recovery, now `ignored`.
    pub joined: u64,
    /// Notifications that are too old or cannot be handled, now `failed`.
    pub failed: u64,
}

impl Store {
    /// Counts the open notifications without a recovery. Writes nothing.
    ///
    /// # Errors
    ///
    /// `Database`.
    pub async fn count_left_open(&self) -> Result<usize, StoreError> {
        let found = orphans(&self.db, false).await;
        found
            .map(|rows| rows.len())
            .map_err(|stop| stop.store("counting the notifications that Masakari left open"))
    }

    /// Adopts the notifications that Masakari left open. Several engines may do so at once.
    ///
    /// `expiry` is Masakari's `notifications_expired_interval`: older notifications are not started any more.
    ///
    /// # Errors
    ///
    /// `Database`. The notifications adopted before the error stay adopted.
    #[instrument(name = "store::adopt", level = "debug", skip_all)]
    pub async fn adopt(&self, expiry: Duration) -> Result<AdoptionReport, StoreError> {
        let adopted = self.adopt_all(expiry, false).await;
        adopted.map_err(|stop| stop.store("adopting a notification that Masakari left open"))
    }

    /// Adopts the notifications that an API of Masakari has accepted: only those that are `new`. The others without one
    /// of our recoveries belong to another engine, and only at the start of one of our engines is it certain that none
    /// is left. Cheap if there are none.
    ///
    /// # Errors
    ///
    /// The same as for [`Store::adopt`].
    #[instrument(name = "store::adopt_new", level = "debug", skip_all)]
    pub async fn adopt_new(&self, expiry: Duration) -> Result<AdoptionReport, StoreError> {
        let adopted = self.adopt_all(expiry, true).await;
        adopted.map_err(|stop| stop.store("adopting a notification that an API of Masakari has accepted"))
    }

    async fn adopt_all(&self, expiry: Duration, only_new: bool) -> Result<AdoptionReport, Stop> {
        let mut adopted = AdoptionReport::default();
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
                Some(AdoptionOutcome::Open { .. }) => {
                    adopted.opened += 1;
                    tracing::info!(%notification, "adopted a notification of Masakari");
                    if row.status == NotificationStatus::Running.as_str() {
                        tracing::warn!(
                            %notification,
                            "Masakari's engine was interrupted during a notification; the messages of its vmoves name the instances \
                             that may still be locked"
                        );
                    }
                }
                Some(AdoptionOutcome::Join { message }) => {
                    adopted.joined += 1;
                    tracing::info!(%notification, why = %message, "ignored a notification of Masakari");
                }
                Some(AdoptionOutcome::Fail { message }) => {
                    adopted.failed += 1;
                    tracing::warn!(%notification, why = %message, "marked a notification of Masakari as failed");
                }
            }
        }
        Ok(adopted)
    }
}

/// Finds the notifications to adopt, the newest first, because the newest notification of a host decides.
async fn orphans(db: &Database, only_new: bool) -> Result<Vec<notification::Model>, Stop> {
    let open = NotificationStatus::ALL
        .iter()
        .filter(|status| is_adoptable(**status, only_new))
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

fn is_adoptable(status: NotificationStatus, only_new: bool) -> bool {
    status.is_open() && (!only_new || status == NotificationStatus::New)
}

/// The decision on a notification.
#[derive(Debug, PartialEq, Eq)]
enum AdoptionOutcome {
    /// Open a recovery.
    Open { kind: RecoveryKind, key: Option<String> },
    /// Leave the work to another recovery.
    Join { message: String },
    /// Do nothing, and mark it as failed.
    Fail { message: String },
}

/// The facts for the decision on a notification.
struct AdoptionFacts<'a> {
    row: &'a notification::Model,
    /// The notification's host, unless it was deleted.
    host: Option<HostId>,
    payload: Option<BTreeMap<String, String>>,
    expiry: Duration,
    now: Timestamp,
}

/// Decides on a notification, without checking for another holder of the key.
///
/// A host whose recovery was interrupted is recovered again regardless of the status, because its instances may be
/// anywhere. That recovery starts by reading the current state, so it repeats nothing. Other kinds that were `running`
/// are never repeated, as in Masakari: the instance may have been restarted and the service repaired by hand long ago,
/// and a repetition would do harm.
fn adoption_outcome(known: &AdoptionFacts<'_>) -> AdoptionOutcome {
    let fail = |message: String| AdoptionOutcome::Fail { message };
    let row = known.row;
    let Some(kind) = NotificationType::from_value(&row.kind).map(kind_of) else {
        return fail(format!("left open by Masakari; its type {} is unknown", row.kind));
    };
    let Some(payload) = &known.payload else {
        return fail("left open by Masakari; its payload cannot be read".to_owned());
    };
    let Some(host) = known.host else {
        return fail("left open by Masakari; its host is no longer registered".to_owned());
    };
    // The age is taken from our own clock if the row has that time: a reporter's clock may be wrong by days.
    let since = row.created_at.unwrap_or(row.generated_time);
    let age = known.now.micros_since(from_column(since));
    if u128::try_from(age).is_ok_and(|age| age > known.expiry.as_micros()) {
        return fail(format!(
            "left {} by Masakari; received more than notifications_expired_interval ({} s) before it was adopted",
            row.status,
            known.expiry.as_secs()
        ));
    }
    if kind != RecoveryKind::Host && row.status == NotificationStatus::Running.as_str() {
        return fail(
            "Masakari's engine ended while it worked on this, so the outcome is unknown: check the host and its instances"
                .to_owned(),
        );
    }
    AdoptionOutcome::Open {
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
impl Transaction for Adopt<'_> {
    /// `None` if another engine was faster, or the notification is not open any more.
    type Output = Option<AdoptionOutcome>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Option<AdoptionOutcome>>, Stop> {
        // Takes the same lock as the acceptance of a notification, so that two engines adopt one after the other.
        lock::take(tx, [self.host_uuid.to_owned()]).await?;
        let host = host::Entity::find()
            .filter(host::Column::Uuid.eq(self.host_uuid))
            .one(tx)
            .await?;
        let Some(row) = self.still_open(tx).await? else {
            return Ok(TxOutcome::Undo(None));
        };
        let live = host.filter(|host| host.deleted.unwrap_or(0) == 0);
        let cell = |column| Cell {
            table: "notifications",
            row: &row.notification_uuid,
            column,
        };
        let known = AdoptionFacts {
            row: &row,
            host: live
                .as_ref()
                .map(|host| cell("source_host_uuid").id(&host.uuid))
                .transpose()?,
            payload: convert::payload(cell("payload"), row.payload.as_deref()).ok(),
            expiry: self.expiry,
            now: self.now,
        };
        let mut adoption_outcome = adoption_outcome(&known);
        if let AdoptionOutcome::Open { key: Some(key), .. } = &adoption_outcome
            && let Some(holder) = accepted::holder(tx, key).await?
        {
            let read = convert::notification(row.clone()).ok();
            if let Some(off_claim) = read.as_ref().and_then(OffClaim::of) {
                accepted::join(tx, &holder, off_claim).await?;
            }
            adoption_outcome = AdoptionOutcome::Join {
                message: format!(
                    "left {} by Masakari; the recovery of notification {} does its work",
                    row.status, holder.notification_uuid
                ),
            };
        }
        self.carry_out(tx, &row, live.as_ref(), &adoption_outcome).await?;
        Ok(TxOutcome::Keep(Some(adoption_outcome)))
    }
}

impl Adopt<'_> {
    async fn still_open(&self, tx: &Tx) -> Result<Option<notification::Model>, Stop> {
        let found = notification::Entity::find_by_id(self.id).one(tx).await?;
        let Some(row) = found else { return Ok(None) };
        let open =
            NotificationStatus::from_value(&row.status).is_some_and(|is| is_adoptable(is, self.only_new));
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
        adoption_outcome: &AdoptionOutcome,
    ) -> Result<(), Stop> {
        let (status, message, moves) = match (adoption_outcome, host) {
            (AdoptionOutcome::Open { kind, key }, Some(host)) => {
                accepted::open(
                    tx,
                    host,
                    row,
                    *kind,
                    key.clone(),
                    accepted::FirstReport::default(),
                    self.now,
                )
                .await?;
                self.reason(tx, host, row, *kind).await?;
                let message = format!("adopted from Masakari, which had left it {}", row.status);
                (NotificationStatus::New, message, VmoveStatus::Ignored)
            }
            (AdoptionOutcome::Open { .. }, None) => return Ok(()),
            (AdoptionOutcome::Join { message }, _) => {
                (NotificationStatus::Ignored, message.clone(), VmoveStatus::Ignored)
            }
            (AdoptionOutcome::Fail { message }, host) => {
                // Without a reason, the next report about this host would be refused as if an operator had put it in
                // maintenance.
                if let (Some(host), Some(NotificationType::ComputeHost)) =
                    (host, NotificationType::from_value(&row.kind))
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

    /// Records why the host is in maintenance. Masakari's engine puts a host in maintenance first, and no
    /// operator can while a notification is open, so it was not an operator.
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

    /// Closes the vmoves of a notification: Masakari does not work on them any more, and the recovery creates its own.
    ///
    /// Masakari locks an instance before it moves it, and unlocks it last. So an interrupted engine may have left any
    /// started instance locked. Its locks have no reason and cannot be distinguished from an owner's lock, so the
    /// message names these instances.
    async fn close_moves(&self, tx: &Tx, row: &notification::Model, to: VmoveStatus) -> Result<(), Stop> {
        let interrupted = row.status == NotificationStatus::Running.as_str();
        let moves = vmove::Entity::find()
            .filter(vmove::Column::NotificationUuid.eq(&row.notification_uuid))
            .all(tx)
            .await?;
        for instance_move in moves {
            let status = instance_move.status.as_deref().and_then(VmoveStatus::from_value);
            let open = matches!(status, Some(VmoveStatus::Pending | VmoveStatus::Ongoing));
            let may_be_locked = interrupted
                && matches!(
                    status,
                    Some(VmoveStatus::Ongoing | VmoveStatus::Succeeded | VmoveStatus::Failed)
                );
            if !open && !may_be_locked {
                continue;
            }
            let before = instance_move.message.as_deref().filter(|_| !open);
            let parts = [
                open.then_some("Masakari did not finish this move"),
                before.filter(|text| !text.is_empty()),
                may_be_locked.then_some(MAY_BE_LOCKED),
            ];
            let parts: Vec<&str> = parts.into_iter().flatten().collect();
            let status = if open {
                Some(to.as_str().to_owned())
            } else {
                instance_move.status.clone()
            };
            vmove::Entity::update_many()
                .col_expr(vmove::Column::Status, Expr::value(status))
                .col_expr(vmove::Column::Message, Expr::value(parts.join("; ")))
                .col_expr(
                    vmove::Column::UpdatedAt,
                    Expr::value(to_column(self.now.whole_seconds())?),
                )
                .filter(vmove::Column::Id.eq(instance_move.id))
                .exec(tx)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
