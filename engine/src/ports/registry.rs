//! The entities that the API stores: segments, hosts, notifications, vmoves.

use async_trait::async_trait;
use tachi_domain::entity::host::{HostAttributes, HostFilter, NewHost};
use tachi_domain::entity::notification::{NewNotification, NotificationFilter};
use tachi_domain::entity::segment::{NewSegment, SegmentChange, SegmentFilter};
use tachi_domain::entity::vmove::VmoveFilter;
use tachi_domain::entity::{Host, Notification, Segment, TaskProgress, Vmove};
use tachi_domain::host_recovery::BootHeldFor;
use tachi_domain::{HostId, NotificationId, RecoveryId, SegmentId, Timestamp, VmoveId};

/// A column to sort by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// A name out of the entity's `SORT_KEYS`.
    pub column: String,
    /// True to sort the largest first.
    pub descending: bool,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<F> {
    pub filter: F,
    /// The sort order; the caller has appended the tie-breakers.
    pub sort: Vec<SortKey>,
    /// Start after the row with this integer id.
    pub marker: Option<i64>,
    pub limit: u64,
}

/// The reason why nova-compute of a host must not start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootHold {
    /// The event for which the start has to wait.
    pub waits_for: BootHeldFor,
    /// The recovery that blocks the start.
    pub recovery: RecoveryId,
}

/// The usage of the database's connection pool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUsage {
    pub in_use: u32,
    /// Open and waiting.
    pub idle: u32,
    /// The limit of connections.
    pub max: u32,
}

/// The reason why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The list's marker does not exist.
    #[error("marker {marker} could not be found")]
    MarkerNotFound { marker: i64 },
    /// No such segment.
    #[error("no segment {segment}")]
    SegmentNotFound { segment: SegmentId },
    /// No such host in that segment.
    #[error("no host {host} in segment {segment}")]
    HostNotFound { host: HostId, segment: SegmentId },
    /// The name is taken by another segment.
    #[error("a segment is already called {name}")]
    SegmentExists { name: String },
    /// The name is taken by another host, in any segment.
    #[error("a host is already called {name}")]
    HostExists { name: String },
    /// A notification of a host in the segment is open.
    #[error("the segment is in use to process notifications")]
    InUse,
    /// A notification names an unregistered host.
    #[error("no host is called {name}")]
    UnknownHostName { name: String },
    /// The notification's host is in maintenance.
    #[error("host {name} is in maintenance")]
    OnMaintenance { name: String },
    /// The notification repeats one, or the host is already being recovered.
    #[error("the notification is a duplicate")]
    Duplicate,
    /// The database cannot be reached, is shutting down, or is too busy: worth another attempt later. Nothing was
    /// written, unless the commit itself got no answer.
    #[error("{operation}; the database is not available")]
    Unavailable {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database failed; whether anything was written is unknown.
    #[error("{operation}")]
    Database {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RegistryError {
    /// True if the registry refused the request. After any other error, the request may have been carried out.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unavailable { .. } | Self::Database { .. })
    }
}

/// The failover segments. Every change is one transaction. Where `Database` is listed as an error, `Unavailable` is
/// possible too.
#[async_trait]
pub trait Segments: Send + Sync {
    /// Returns segments that are not deleted.
    ///
    /// # Errors
    ///
    /// `MarkerNotFound`, `Database`.
    async fn list_segments(&self, page: &Page<SegmentFilter>) -> Result<Vec<Segment>, RegistryError>;

    /// Returns one segment; `None` if there is none or it is deleted.
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

    /// Changes a segment. While a notification of one of its hosts is open only `enabled` may change.
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
    /// Returns the hosts of a segment that are not deleted.
    ///
    /// # Errors
    ///
    /// `SegmentNotFound`, `MarkerNotFound`, `Database`.
    async fn list_hosts(
        &self,
        segment: SegmentId,
        page: &Page<HostFilter>,
    ) -> Result<Vec<Host>, RegistryError>;

    /// Returns one host of a segment.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn get_host(&self, segment: SegmentId, id: HostId) -> Result<Option<Host>, RegistryError>;

    /// Adds a host to a segment.
    ///
    /// # Errors
    ///
    /// `SegmentNotFound`, `HostExists`, `Database`.
    async fn create_host(&self, segment: SegmentId, new: &NewHost) -> Result<Host, RegistryError>;

    /// Returns the host if [`update_host`](Hosts::update_host) would accept `change` now. A check before requests to
    /// other services; `update_host` makes the decision.
    ///
    /// # Errors
    ///
    /// `HostNotFound`, `InUse`, `Database`; checked in this order.
    async fn changeable_host(
        &self,
        segment: SegmentId,
        id: HostId,
        change: &HostAttributes,
    ) -> Result<Host, RegistryError>;

    /// Changes a host on behalf of an operator. While a notification of the segment is open only `on_maintenance=True`
    /// alone is accepted. `on_maintenance` true records the operator as the reason, false clears every reason.
    ///
    /// # Errors
    ///
    /// `HostNotFound`, `InUse`, `HostExists`, `Database`; checked in this order.
    async fn update_host(
        &self,
        segment: SegmentId,
        id: HostId,
        change: &HostAttributes,
    ) -> Result<Host, RegistryError>;

    /// Deletes a host.
    ///
    /// # Errors
    ///
    /// `HostNotFound`, `InUse`, `Database`.
    async fn delete_host(&self, segment: SegmentId, id: HostId) -> Result<(), RegistryError>;
}

/// The reports and their progress.
#[async_trait]
pub trait Notifications: Send + Sync {
    /// Returns notifications.
    ///
    /// # Errors
    ///
    /// `MarkerNotFound`, `Database`.
    async fn list_notifications(
        &self,
        page: &Page<NotificationFilter>,
    ) -> Result<Vec<Notification>, RegistryError>;

    /// Returns one notification.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn get_notification(&self, id: NotificationId) -> Result<Option<Notification>, RegistryError>;

    /// Returns the vmoves of a notification.
    ///
    /// # Errors
    ///
    /// `MarkerNotFound`, `Database`.
    async fn list_vmoves(
        &self,
        notification: NotificationId,
        page: &Page<VmoveFilter>,
    ) -> Result<Vec<Vmove>, RegistryError>;

    /// Returns one vmove of a notification.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn get_vmove(
        &self,
        notification: NotificationId,
        id: VmoveId,
    ) -> Result<Option<Vmove>, RegistryError>;

    /// Returns the progress of the tasks of a notification's recovery, in workflow order; empty if nothing is recorded.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn progress(&self, notification: NotificationId) -> Result<Vec<TaskProgress>, RegistryError>;
}

/// The entry point for reports.
#[async_trait]
pub trait Reports: Send + Sync {
    /// Accepts a notification: looks the host up, checks maintenance and duplicates, inserts the row as `new`
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

/// Holds on the start of nova-compute, which a host's boot guard queries.
#[async_trait]
pub trait BootHolds: Send + Sync {
    /// Returns the reason why nova-compute of the host of this name has to wait; `None` if it may start, or
    /// if the host is not registered.
    ///
    /// # Errors
    ///
    /// `Database`.
    async fn boot_hold(&self, host: &str) -> Result<Option<BootHold>, RegistryError>;
}

/// All ports of the registry, which one database implements.
pub trait Registry: Segments + Hosts + Notifications + Reports + BootHolds {
    /// Returns the usage of the connection pool, for metrics; `None` if there is no pool.
    fn pool(&self) -> Option<PoolUsage> {
        None
    }
}

/// The progress of a notification's recovery, for queries over the broker.
#[async_trait]
pub trait Progress: Send + Sync {
    /// Returns the notification and its tasks in workflow order; `None` if there is no such notification.
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
