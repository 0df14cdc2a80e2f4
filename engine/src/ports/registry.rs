//! What the API keeps: segments, hosts, notifications, vmoves.

use async_trait::async_trait;
use tachi_domain::entity::host::{HostChange, HostFilter, NewHost};
use tachi_domain::entity::notification::{NewNotification, NotificationFilter};
use tachi_domain::entity::segment::{NewSegment, SegmentChange, SegmentFilter};
use tachi_domain::entity::vmove::VmoveFilter;
use tachi_domain::entity::{Host, Notification, Segment, TaskProgress, Vmove};
use tachi_domain::host_recovery::BootHeldFor;
use tachi_domain::{HostId, NotificationId, RecoveryId, SegmentId, Timestamp, VmoveId};

/// One column to sort by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// A name out of the entity's `SORT_KEYS`.
    pub column: String,
    /// Largest first.
    pub descending: bool,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<F> {
    /// Which rows.
    pub filter: F,
    /// In which order; the caller has appended the tie-breakers.
    pub sort: Vec<SortKey>,
    /// Start after the row with this integer id.
    pub marker: Option<i64>,
    /// At most so many.
    pub limit: u64,
}

/// Why nova-compute of a host may not start just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootHold {
    /// What has to come first.
    pub waits_for: BootHeldFor,
    /// The recovery that says so.
    pub recovery: RecoveryId,
}

/// Connections to the database at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUsage {
    /// In use by a transaction.
    pub in_use: u32,
    /// Open and waiting.
    pub idle: u32,
    /// The most there may be.
    pub max: u32,
}

/// Why a request could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The list's marker is no row.
    #[error("marker {marker} could not be found")]
    MarkerNotFound {
        /// The integer id asked for.
        marker: i64,
    },
    /// No such segment.
    #[error("no segment {segment}")]
    SegmentNotFound {
        /// The id asked for.
        segment: SegmentId,
    },
    /// No such host in that segment.
    #[error("no host {host} in segment {segment}")]
    HostNotFound {
        /// Which host.
        host: HostId,
        /// In which segment.
        segment: SegmentId,
    },
    /// The name is taken by another segment.
    #[error("a segment is already called {name}")]
    SegmentExists {
        /// The name.
        name: String,
    },
    /// The name is taken by another host, in whatever segment.
    #[error("a host is already called {name}")]
    HostExists {
        /// The name.
        name: String,
    },
    /// A notification of a host of the segment is being worked on.
    #[error("the segment is in use to process notifications")]
    InUse,
    /// A notification names a host nobody registered.
    #[error("no host is called {name}")]
    UnknownHostName {
        /// The name.
        name: String,
    },
    /// The notification's host is on maintenance.
    #[error("host {name} is on maintenance")]
    OnMaintenance {
        /// The host's name.
        name: String,
    },
    /// The notification repeats one, or the host is already being recovered.
    #[error("the notification is a duplicate")]
    Duplicate,
    /// The database cannot be reached, is going down, or is too busy: worth another try later. Unless its very commit
    /// got no answer, nothing was written.
    #[error("{operation}; the database is not available")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// What the database, or the way to it, said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database failed; nothing is known to be written.
    #[error("{operation}")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RegistryError {
    /// Whether the registry has said no. Otherwise nobody knows: it may have been done.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unavailable { .. } | Self::Database { .. })
    }
}

/// The failover segments. Every change is one transaction. Where `Database` is named as an error, `Unavailable` is one too.
#[async_trait]
pub trait Segments: Send + Sync {
    /// Segments that are not deleted.
    ///
    /// # Errors
    ///
    /// `MarkerNotFound`, `Database`.
    async fn list_segments(&self, page: &Page<SegmentFilter>) -> Result<Vec<Segment>, RegistryError>;

    /// One segment; `None` if there is none or it is deleted.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn get_segment(&self, id: SegmentId) -> Result<Option<Segment>, RegistryError>;

    /// Adds a segment.
    ///
    /// # Errors
    ///
    /// `SegmentExists`, `Database`.
    async fn create_segment(&self, new: &NewSegment) -> Result<Segment, RegistryError>;

    /// Changes a segment. While a notification of one of its hosts is open only `enabled` may change (R20).
    ///
    /// # Errors
    ///
    /// `SegmentNotFound`, `InUse`, `SegmentExists`, `Database`; checked in this order.
    async fn update_segment(&self, id: SegmentId, change: &SegmentChange) -> Result<Segment, RegistryError>;

    /// Deletes a segment and its hosts.
    ///
    /// # Errors
    ///
    /// `SegmentNotFound`, `InUse`, `Database`.
    async fn delete_segment(&self, id: SegmentId) -> Result<(), RegistryError>;
}

/// The hosts of segments.
#[async_trait]
pub trait Hosts: Send + Sync {
    /// Hosts of a segment that are not deleted.
    ///
    /// # Errors
    ///
    /// `SegmentNotFound`, `MarkerNotFound`, `Database`.
    async fn list_hosts(
        &self,
        segment: SegmentId,
        page: &Page<HostFilter>,
    ) -> Result<Vec<Host>, RegistryError>;

    /// One host of a segment.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn get_host(&self, segment: SegmentId, id: HostId) -> Result<Option<Host>, RegistryError>;

    /// Adds a host.
    ///
    /// # Errors
    ///
    /// `SegmentNotFound`, `HostExists`, `Database`.
    async fn create_host(&self, new: &NewHost) -> Result<Host, RegistryError>;

    /// The host as it is, if [`update_host`](Hosts::update_host) would let `change` through just now. It is asked
    /// before anybody else is asked about the change; what counts is what `update_host` says.
    ///
    /// # Errors
    ///
    /// `HostNotFound`, `InUse`, `Database`; checked in this order.
    async fn changeable_host(
        &self,
        segment: SegmentId,
        id: HostId,
        change: &HostChange,
    ) -> Result<Host, RegistryError>;

    /// Changes a host by an operator's word. While a notification of the segment is open only
    /// `on_maintenance=True` alone is let through (R20). `on_maintenance` true records the operator as the reason,
    /// false clears every reason (R19).
    ///
    /// # Errors
    ///
    /// `HostNotFound`, `InUse`, `HostExists`, `Database`; checked in this order.
    async fn update_host(
        &self,
        segment: SegmentId,
        id: HostId,
        change: &HostChange,
    ) -> Result<Host, RegistryError>;

    /// Deletes a host.
    ///
    /// # Errors
    ///
    /// `HostNotFound`, `InUse`, `Database`.
    async fn delete_host(&self, segment: SegmentId, id: HostId) -> Result<(), RegistryError>;
}

/// What was reported, and what came of it.
#[async_trait]
pub trait Notifications: Send + Sync {
    /// Notifications.
    ///
    /// # Errors
    ///
    /// `MarkerNotFound`, `Database`.
    async fn list_notifications(
        &self,
        page: &Page<NotificationFilter>,
    ) -> Result<Vec<Notification>, RegistryError>;

    /// One notification.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn get_notification(&self, id: NotificationId) -> Result<Option<Notification>, RegistryError>;

    /// The vmoves of a notification.
    ///
    /// # Errors
    ///
    /// `MarkerNotFound`, `Database`.
    async fn list_vmoves(
        &self,
        notification: NotificationId,
        page: &Page<VmoveFilter>,
    ) -> Result<Vec<Vmove>, RegistryError>;

    /// One vmove of a notification.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn get_vmove(
        &self,
        notification: NotificationId,
        id: VmoveId,
    ) -> Result<Option<Vmove>, RegistryError>;

    /// How far the tasks of a notification's recovery are, in workflow order; empty if nothing is recorded.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn progress(&self, notification: NotificationId) -> Result<Vec<TaskProgress>, RegistryError>;
}

/// What takes reports.
#[async_trait]
pub trait Reports: Send + Sync {
    /// Accepts a notification: looks the host up, checks maintenance (R19) and duplicates, inserts the row as `new`
    /// together with its recovery, all in one transaction. The row is the queue.
    ///
    /// `window_seconds` is `duplicate_notification_detection_interval`.
    ///
    /// # Errors
    ///
    /// `UnknownHostName`, `OnMaintenance`, `Duplicate`, `Database`; checked in this order.
    async fn accept_notification(
        &self,
        new: &NewNotification,
        window_seconds: u32,
        now: Timestamp,
    ) -> Result<Notification, RegistryError>;
}

/// What nova-compute of a host asks before it starts (R25).
#[async_trait]
pub trait BootHolds: Send + Sync {
    /// Whether nova-compute of the host of this name has to wait (R12, R25); `None` if not, and for a host that nobody knows.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn boot_hold(&self, host: &str) -> Result<Option<BootHold>, RegistryError>;
}

/// All of it, which one database keeps.
pub trait Registry: Segments + Hosts + Notifications + Reports + BootHolds {
    /// How the connections to the database are used, for metrics; `None` if there is no pool.
    fn pool(&self) -> Option<PoolUsage> {
        None
    }
}

/// How far the recovery of a notification is, for whoever asks over the broker.
#[async_trait]
pub trait Progress: Send + Sync {
    /// The notification, and its tasks in workflow order; `None` if there is no such notification.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn progress_of(
        &self,
        id: NotificationId,
    ) -> Result<Option<(Notification, Vec<TaskProgress>)>, RegistryError>;
}

#[async_trait]
impl<T: Notifications> Progress for T {
    async fn progress_of(
        &self,
        id: NotificationId,
    ) -> Result<Option<(Notification, Vec<TaskProgress>)>, RegistryError> {
        let Some(notification) = self.get_notification(id).await? else {
            return Ok(None);
        };
        Ok(Some((notification, self.progress(id).await?)))
    }
}
