//! The acceptance of a notification: all checks, its row and its recovery in one transaction. The row serves as the
//! queue.

mod duplicates;
pub(crate) mod together;

use std::collections::HashSet;

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Set,
};
use serde::Serialize;
use tachi_domain::entity::Notification;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::{NewNotification, NotificationStatus, NotificationType};
use tachi_domain::recovery::OffClaim;
use tachi_domain::recovery::retry::first_reported;
use tachi_domain::recovery::{Life, RecoveryKind, kind_of, open_key};
use tachi_domain::situation::{ComputeService, TimedFact};
use tachi_domain::{HostId, Reporter, Timestamp, WaitsFor};
use tachi_engine::ports::RegistryError;
use tachi_engine::watcher::kind;
use uuid::Uuid;

use super::maintenance;
use crate::batches::batches;
use crate::clock;
use crate::convert::{self, Cell};
use crate::entity::{fact, host, notification, recovery, recovery_move};
use crate::error::{Stop, is_unique_violation};
use crate::heartbeats::{self, ReportedBoot};
use crate::journal::stored_off_claim;
use crate::lock;
use crate::reporters;
use crate::time::to_column;
use crate::transaction::{Transaction, Tx, TxOutcome};

#[derive(Clone, Copy)]
pub(super) struct AcceptTransaction<'a> {
    pub(super) new: &'a NewNotification,
    pub(super) window_seconds: u32,
    pub(super) now: Timestamp,
    /// The identity of the reporter, if it is muted.
    pub(super) muted: Option<&'a str>,
}

/// The outcome of a notification.
pub(super) enum AcceptOutcome {
    /// The notification got its own row, and a recovery unless its reporter is muted.
    Opened(Notification),
    /// The additional information was added to the open recovery of its host; the reporter gets the response for a
    /// duplicate.
    Joined,
}

#[async_trait]
impl Transaction for AcceptTransaction<'_> {
    type Output = AcceptOutcome;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<AcceptOutcome>, Stop> {
        let new = self.new;
        let host = self.host(tx).await?;
        let cell = Cell {
            table: "hosts",
            row: &host.uuid,
            column: "uuid",
        };
        let host_id: HostId = cell.id(&host.uuid)?;
        let mut case = self.case(host, host_id);
        if self.muted.is_some() {
            return keep(tx, &case).await;
        }

        let maintenance = maintenance::reason(tx, &case.host).await?;
        let refused = match maintenance {
            None => false,
            Some(MaintenanceReason::Operator) => true,
            Some(MaintenanceReason::Recovery) => !case.host_stopped,
            // The host's instances keep running, so a process that has failed, or is reported to have failed, must not
            // block reports about them.
            Some(MaintenanceReason::Process) => {
                case.kind != RecoveryKind::Vm && !case.host_stopped && !case.has_started()
            }
        };
        if refused {
            let name = new.hostname.clone();
            return Err(RegistryError::OnMaintenance { name }.into());
        }
        if let Some(key) = &case.key
            && let Some(holder) = holder(tx, key).await?
        {
            let Some(more) = self.new_information(tx, &holder).await? else {
                return Err(RegistryError::Duplicate.into());
            };
            // If the recovery has ended at this very moment, the notification is accepted as a new one.
            if join(tx, &holder, more).await? {
                return Ok(TxOutcome::Keep(AcceptOutcome::Joined));
            }
        }
        let earlier = duplicates::earlier(tx, std::iter::once(&case)).await?;
        if case.is_repeated(&earlier)? {
            return Err(RegistryError::Duplicate.into());
        }
        note_boots(tx, std::iter::once(&mut case)).await?;
        let row = case.notification_row()?.insert(tx).await?;
        let mut first_report = case.first_report()?;
        if case.host_stopped && first_report.first_reported.is_none() {
            let is_recovered = maintenance == Some(MaintenanceReason::Recovery);
            first_report.first_reported = outage_since(tx, &case.host, is_recovered, self.now).await?;
        }
        open(tx, &case.host, &row, case.kind, case.key, first_report, self.now).await?;
        Ok(TxOutcome::Keep(AcceptOutcome::Opened(convert::notification(
            row,
        )?)))
    }
}

impl<'a> AcceptTransaction<'a> {
    /// Finds the host and takes its lock: notifications about a host are accepted one after the other, and none while
    /// an operator changes or deletes it.
    async fn host(&self, tx: &Tx) -> Result<host::Model, Stop> {
        loop {
            let found = self.named(tx).await?;
            lock::take(tx, [found.uuid.clone()]).await?;
            // The row read before the lock may have been replaced.
            let host = self.named(tx).await?;
            if host.uuid == found.uuid {
                return Ok(host);
            }
        }
    }

    /// Returns the information that an open recovery lacks: that its host is off, or that another reporter confirms the
    /// failure.
    async fn new_information(&self, tx: &Tx, holder: &recovery::Model) -> Result<Option<More>, Stop> {
        let off_claim = match OffClaim::reported(self.new, self.now) {
            None => None,
            Some(mut off_claim) => {
                off_claim.arrived = Some(clock::now(tx, self.now).await?);
                let known = stored_off_claim(holder)?;
                let is_new = known.is_none_or(|known| known.clone().with(off_claim.clone()) != known);
                (is_new || !holder.joined_normal).then_some(off_claim)
            }
        };
        let mut reporters = convert::reporters(holder)?;
        let reporter = self.new.reporter.as_deref().cloned();
        let joins = reporter.is_some_and(|reporter| reporter.join(&mut reporters));
        let reporters = joins.then_some(reporters);
        Ok((off_claim.is_some() || reporters.is_some()).then_some(More { off_claim, reporters }))
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

    /// Classifies the notification by its payload.
    fn case(self, host: host::Model, id: HostId) -> AcceptContext<'a> {
        let kind = kind_of(self.new.kind);
        let key = open_key(kind, id, &self.new.payload);
        AcceptContext {
            accept: self,
            host,
            kind,
            host_stopped: kind == RecoveryKind::Host && key.is_some(),
            key,
            reported_boot: None,
        }
    }
}

/// Time from the report of a host until Nova shows it as down, with some reserve.
const NOVA_DELAY_SECONDS: i64 = 120;

/// Returns the first report of the outage of a host: that of its newest recovery, if it failed and the host was not seen running since. A
/// recovery that was aborted while on hold has not put the host in maintenance; then the engine's reading of Nova has to show that
/// the host has been down all the time.
async fn outage_since(
    tx: &Tx,
    host: &host::Model,
    is_recovered: bool,
    now: Timestamp,
) -> Result<Option<Timestamp>, Stop> {
    let newest = recovery::Entity::find()
        .filter(recovery::Column::HostUuid.eq(&host.uuid))
        .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
        .order_by_desc(recovery::Column::Id)
        .one(tx)
        .await?;
    let Some(newest) = newest else {
        return Ok(None);
    };
    let failed = notification::Entity::find()
        .filter(notification::Column::NotificationUuid.eq(&newest.notification_uuid))
        .filter(notification::Column::Status.eq(NotificationStatus::Failed.as_str()))
        .one(tx)
        .await?;
    if failed.is_none_or(|row| row.running_again == Some(true)) {
        return Ok(None);
    }
    let first = Timestamp::from_micros(newest.first_reported_at.unwrap_or(newest.opened_at));
    let shown = Timestamp::from_micros(newest.opened_at).minus_seconds(-NOVA_DELAY_SECONDS);
    let goes_on = is_recovered || is_down_since(tx, &host.name, shown, now).await?;
    Ok(goes_on.then_some(first))
}

/// True if the engine's latest reading of Nova is current, and shows the host as down since this time or longer. An older one may be
/// from an outage that has ended.
async fn is_down_since(tx: &Tx, host: &str, since: Timestamp, now: Timestamp) -> Result<bool, Stop> {
    let known = fact::Entity::find()
        .filter(fact::Column::Kind.eq(kind::COMPUTES))
        .one(tx)
        .await?;
    let Some(known) = known else {
        return Ok(false);
    };
    // One that cannot be read was written by another version, and shows nothing.
    let computes = TimedFact::<Vec<ComputeService>> {
        as_of: Timestamp::from_micros(known.as_of),
        value: serde_json::from_str(&known.value).unwrap_or_default(),
    };
    let is_down = |service: &ComputeService| {
        service.host == host && !service.up && !service.cell_down && service.since <= since
    };
    Ok(computes.is_fresh(clock::now(tx, now).await?) && computes.value.iter().any(is_down))
}

/// Returns those of these hosts with a report whose recovery failed: an outage of such a host may have begun before the next report.
async fn with_failed_recovery(tx: &Tx, hosts: &[String]) -> Result<HashSet<String>, Stop> {
    let mut found = HashSet::new();
    for batch in batches(hosts) {
        let rows: Vec<String> = notification::Entity::find()
            .select_only()
            .column(notification::Column::SourceHostUuid)
            .filter(notification::Column::SourceHostUuid.is_in(batch))
            .filter(notification::Column::Kind.eq(NotificationType::ComputeHost.as_str()))
            .filter(notification::Column::Status.eq(NotificationStatus::Failed.as_str()))
            .into_tuple()
            .all(tx)
            .await?;
        found.extend(rows);
    }
    Ok(found)
}

/// Stores a report of a muted reporter without starting anything.
async fn keep(tx: &Tx, case: &AcceptContext<'_>) -> Result<TxOutcome<AcceptOutcome>, Stop> {
    let earlier = duplicates::earlier(tx, std::iter::once(case)).await?;
    if case.is_repeated(&earlier)? {
        return Err(RegistryError::Duplicate.into());
    }
    if let Some(voice) = case.accept.muted {
        reporters::count_muted_report(tx, voice).await?;
    }
    let row = case.notification_row()?.insert(tx).await?;
    Ok(TxOutcome::Keep(AcceptOutcome::Opened(convert::notification(
        row,
    )?)))
}

/// Message of a report from a muted reporter.
const MUTED_MESSAGE: &str = "its reporter is muted, so no recovery was started: tachi monitor list --muted";

/// A notification and its host.
struct AcceptContext<'a> {
    accept: AcceptTransaction<'a>,
    host: host::Model,
    kind: RecoveryKind,
    key: Option<String>,
    host_stopped: bool,
    /// The boot of a host that has stopped, if its monitors have sent it.
    reported_boot: Option<ReportedBoot>,
}

/// Records the boots in which these hosts are reported.
async fn note_boots<'a, 'b: 'a>(
    tx: &Tx,
    cases: impl Iterator<Item = &'a mut AcceptContext<'b>>,
) -> Result<(), Stop> {
    let stopped: Vec<&mut AcceptContext<'_>> = cases.filter(|case| case.host_stopped).collect();
    let names: Vec<&str> = stopped.iter().map(|case| case.host.name.as_str()).collect();
    let Some(own) = stopped.first().map(|case| case.accept.now) else {
        return Ok(());
    };
    let mut boots = heartbeats::boots(tx, &names).await?;
    if boots.is_empty() {
        return Ok(());
    }
    let at = clock::now(tx, own).await?.micros();
    for case in stopped {
        case.reported_boot = boots
            .remove(&case.host.name)
            .map(|boot_id| ReportedBoot { boot_id, at });
    }
    Ok(())
}

impl AcceptContext<'_> {
    /// True if the notification reports that a process has started again: the next report of it is a new failure.
    fn has_started(&self) -> bool {
        let event = self.accept.new.payload.get("event");
        self.kind == RecoveryKind::Process && event.is_some_and(|event| event == "STARTED")
    }

    /// Returns the data to store with the recovery: the evidence and the reporter. The rest of the fencing claim is in
    /// the notification's row.
    fn first_report(&self) -> Result<FirstReport, Stop> {
        let off_claim = OffClaim::reported(self.accept.new, self.accept.now);
        let off_claim = off_claim.filter(|off_claim| off_claim.evidence.is_some());
        let reporter = self.accept.new.reporter.as_deref();
        Ok(FirstReport {
            off_claim: off_claim.as_ref().map(json).transpose()?,
            reporters: reporter.map(|reporter| json(&[reporter])).transpose()?,
            first_reported: first_reported(&self.accept.new.payload, self.accept.now),
        })
    }

    fn notification_row(&self) -> Result<notification::ActiveModel, Stop> {
        let new = self.accept.new;
        let payload = serde_json::Value::from_iter(new.payload.clone());
        let muted = self.accept.muted.is_some();
        let reporter = new
            .reporter
            .as_deref()
            .cloned()
            .map(|reporter| Reporter { muted, ..reporter });
        let status = if muted {
            NotificationStatus::Ignored
        } else {
            NotificationStatus::New
        };
        Ok(notification::ActiveModel {
            notification_uuid: Set(Uuid::new_v4().to_string()),
            generated_time: Set(to_column(new.generated_time)?),
            source_host_uuid: Set(self.host.uuid.clone()),
            kind: Set(new.kind.as_str().to_owned()),
            payload: Set(Some(payload.to_string())),
            status: Set(status.as_str().to_owned()),
            message: Set(muted.then(|| MUTED_MESSAGE.to_owned())),
            failover_segment_uuid: Set(Some(self.host.failover_segment_id.clone())),
            created_at: Set(Some(to_column(self.accept.now.whole_seconds())?)),
            deleted: Set(Some(0)),
            repeat_key: Set(Some(self.repeat_key())),
            reporter: Set(reporter.as_ref().map(json).transpose()?),
            reported_boot: Set(self.reported_boot.as_ref().map(json).transpose()?),
            ..Default::default()
        })
    }
}

/// The data of the first report that a recovery stores.
#[derive(Default)]
pub(crate) struct FirstReport {
    off_claim: Option<String>,
    reporters: Option<String>,
    /// The time at which the first attempt was opened, if this is a later one.
    first_reported: Option<Timestamp>,
}

/// Information of a report that an open recovery lacks.
pub(crate) struct More {
    /// The claim that its host is off.
    pub(crate) off_claim: Option<OffClaim>,
    /// All reporters, including this one.
    pub(crate) reporters: Option<Vec<Reporter>>,
}

impl From<OffClaim> for More {
    fn from(off_claim: OffClaim) -> Self {
        Self {
            off_claim: Some(off_claim),
            reporters: None,
        }
    }
}

/// Opens the recovery of a notification.
pub(crate) async fn open(
    tx: &Tx,
    host: &host::Model,
    notification: &notification::Model,
    kind: RecoveryKind,
    key: Option<String>,
    first_data: FirstReport,
    now: Timestamp,
) -> Result<(), Stop> {
    let row = recovery_row(host, &notification.notification_uuid, kind, key, first_data, now);
    match row.insert(tx).await {
        Ok(_) => Ok(()),
        Err(error) if is_unique_violation(&error) => Err(RegistryError::Duplicate.into()),
        Err(error) => Err(error.into()),
    }
}

/// Builds the row of a recovery. The API's user may insert exactly the columns that are set here (`tachi db grants`).
pub(crate) fn recovery_row(
    host: &host::Model,
    notification: &str,
    kind: RecoveryKind,
    key: Option<String>,
    first_data: FirstReport,
    now: Timestamp,
) -> recovery::ActiveModel {
    recovery::ActiveModel {
        uuid: Set(Uuid::new_v4().to_string()),
        notification_uuid: Set(notification.to_owned()),
        kind: Set(kind.as_str().to_owned()),
        host_uuid: Set(host.uuid.clone()),
        host_name: Set(host.name.clone()),
        life: Set(Life::Open.as_str().to_owned()),
        open_key: Set(key),
        opened_at: Set(now.micros()),
        first_reported_at: Set(first_data.first_reported.map(Timestamp::micros)),
        off_word: Set(first_data.off_claim),
        reporters: Set(first_data.reporters),
        waits_for: Set(Some(WaitsFor::Nothing.as_str().to_owned())),
        waits_since: Set(Some(now.micros())),
        ..Default::default()
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, DbErr> {
    serde_json::to_string(value).map_err(|error| DbErr::Json(error.to_string()))
}

/// Returns the recovery that holds a key.
pub(crate) async fn holder(tx: &Tx, key: &str) -> Result<Option<recovery::Model>, Stop> {
    Ok(recovery::Entity::find()
        .filter(recovery::Column::OpenKey.eq(key))
        .one(tx)
        .await?)
}

/// Adds a report's information to an open recovery, which reads it with its next transaction. If the report claims that
/// the host is off, the recovery reads that claim before it can end for lack of it. `false` if the recovery has
/// just ended.
pub(crate) async fn join(
    tx: &impl ConnectionTrait,
    holder: &recovery::Model,
    more: impl Into<More>,
) -> Result<bool, Stop> {
    let more = more.into();
    let mut update = recovery::Entity::update_many()
        .filter(recovery::Column::Id.eq(holder.id))
        .filter(recovery::Column::OpenKey.is_not_null());
    if let Some(off_claim) = more.off_claim {
        let together = match stored_off_claim(holder)? {
            Some(known) => known.with(off_claim),
            None => off_claim,
        };
        update = update
            .col_expr(recovery::Column::OffWord, Expr::value(Some(json(&together)?)))
            .col_expr(recovery::Column::JoinedNormal, Expr::value(true));
    }
    if let Some(reporters) = more.reporters {
        update = update.col_expr(recovery::Column::Reporters, Expr::value(Some(json(&reporters)?)));
    }
    Ok(update.exec(tx).await?.rows_affected == 1)
}

/// Releases the instances of a closed recovery.
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
mod joins;
#[cfg(test)]
mod second_failures;
#[cfg(test)]
mod tests;
