//! The registry: segments, hosts, notifications, vmoves.

pub(crate) mod accept;
mod boot_hold;
mod hosts;
mod in_use;
pub(crate) mod maintenance;
mod notifications;
mod progress;
mod segments;
mod vmoves;

use std::sync::Arc;

use async_trait::async_trait;
use tachi_domain::entity::host::{HostAttributes, HostFilter, NewHost};
use tachi_domain::entity::notification::{NewNotification, NotificationFilter};
use tachi_domain::entity::segment::{NewSegment, SegmentChange, SegmentFilter};
use tachi_domain::entity::vmove::VmoveFilter;
use tachi_domain::entity::{Host, Notification, Segment, TaskProgress, Vmove};
use tachi_domain::{HostId, NotificationId, SegmentId, Timestamp, VmoveId};
use tachi_engine::ports::registry::{BootHold, Page};
use tachi_engine::ports::{
    BootHolds, Hosts, Notifications, PoolUsage, Registry, RegistryError, Reports, Segments,
};
use tracing::instrument;

pub(crate) use accept as accepted;
pub(crate) use accept::free_moves;

use self::accept::together::AcceptQueue;
use crate::database::Database;
use crate::reporters;

/// The registry of a database: segments, hosts, notifications and vmoves.
#[derive(Clone)]
pub struct RegistryTables {
    pub(crate) db: Database,
    /// The notifications that wait to be accepted.
    pub(crate) waiting: Arc<AcceptQueue>,
    /// The muted reporters.
    pub(crate) muted_reporters: Arc<reporters::MutedReporters>,
}

impl RegistryTables {
    pub(crate) fn of(db: &Database) -> Self {
        Self {
            db: db.clone(),
            waiting: Arc::default(),
            muted_reporters: Arc::default(),
        }
    }
}

#[async_trait]
impl Segments for RegistryTables {
    #[instrument(name = "store::list_segments", level = "debug", skip_all)]
    async fn list_segments(&self, page: &Page<SegmentFilter>) -> Result<Vec<Segment>, RegistryError> {
        let listed = segments::list(self.db.reader(), page).await;
        listed.map_err(|stop| stop.registry("listing segments"))
    }

    #[instrument(name = "store::get_segment", level = "debug", skip_all, fields(segment = %id))]
    async fn get_segment(&self, id: SegmentId) -> Result<Option<Segment>, RegistryError> {
        let found = segments::get(self.db.reader(), id).await;
        found.map_err(|stop| stop.registry("reading a segment"))
    }

    #[instrument(name = "store::create_segment", level = "debug", skip_all)]
    async fn create_segment(&self, new: &NewSegment) -> Result<Segment, RegistryError> {
        let now = self.db.now();
        let created = self.db.write(&segments::Create { new, now }).await;
        created.map_err(|stop| stop.registry("creating a segment"))
    }

    #[instrument(name = "store::update_segment", level = "debug", skip_all, fields(segment = %id))]
    async fn update_segment(&self, id: SegmentId, change: &SegmentChange) -> Result<Segment, RegistryError> {
        let now = self.db.now();
        let updated = self.db.write(&segments::Update { id, change, now }).await;
        updated.map_err(|stop| stop.registry("updating a segment"))
    }

    #[instrument(name = "store::delete_segment", level = "debug", skip_all, fields(segment = %id))]
    async fn delete_segment(&self, id: SegmentId) -> Result<(), RegistryError> {
        let now = self.db.now();
        let deleted = self.db.write(&segments::Delete { id, now }).await;
        deleted.map_err(|stop| stop.registry("deleting a segment"))
    }
}

#[async_trait]
impl Hosts for RegistryTables {
    #[instrument(name = "store::list_hosts", level = "debug", skip_all, fields(%segment))]
    async fn list_hosts(
        &self,
        segment: SegmentId,
        page: &Page<HostFilter>,
    ) -> Result<Vec<Host>, RegistryError> {
        let listed = hosts::list(self.db.reader(), segment, page).await;
        listed.map_err(|stop| stop.registry("listing hosts"))
    }

    #[instrument(name = "store::get_host", level = "debug", skip_all, fields(%segment, host = %id))]
    async fn get_host(&self, segment: SegmentId, id: HostId) -> Result<Option<Host>, RegistryError> {
        let found = hosts::get(self.db.reader(), segment, id).await;
        found.map_err(|stop| stop.registry("reading a host"))
    }

    #[instrument(name = "store::create_host", level = "debug", skip_all, fields(host = new.name))]
    async fn create_host(&self, segment: SegmentId, new: &NewHost) -> Result<Host, RegistryError> {
        let now = self.db.now();
        let created = self.db.write(&hosts::Create { segment, new, now }).await;
        created.map_err(|stop| stop.registry("creating a host"))
    }

    #[instrument(name = "store::changeable_host", level = "debug", skip_all, fields(%segment, host = %id))]
    async fn changeable_host(
        &self,
        segment: SegmentId,
        id: HostId,
        change: &HostAttributes,
    ) -> Result<Host, RegistryError> {
        let found = hosts::changeable(self.db.reader(), segment, id, change).await;
        found.map_err(|stop| stop.registry("reading a host before it is changed"))
    }

    #[instrument(name = "store::update_host", level = "debug", skip_all, fields(%segment, host = %id))]
    async fn update_host(
        &self,
        segment: SegmentId,
        id: HostId,
        change: &HostAttributes,
    ) -> Result<Host, RegistryError> {
        let update = hosts::Update {
            segment,
            id,
            change,
            now: self.db.now(),
        };
        let updated = self.db.write(&update).await;
        updated.map_err(|stop| stop.registry("updating a host"))
    }

    #[instrument(name = "store::delete_host", level = "debug", skip_all, fields(%segment, host = %id))]
    async fn delete_host(&self, segment: SegmentId, id: HostId) -> Result<(), RegistryError> {
        let now = self.db.now();
        let deleted = self.db.write(&hosts::Delete { segment, id, now }).await;
        deleted.map_err(|stop| stop.registry("deleting a host"))
    }
}

#[async_trait]
impl Notifications for RegistryTables {
    #[instrument(name = "store::list_notifications", level = "debug", skip_all)]
    async fn list_notifications(
        &self,
        page: &Page<NotificationFilter>,
    ) -> Result<Vec<Notification>, RegistryError> {
        let listed = notifications::list(self.db.reader(), page).await;
        listed.map_err(|stop| stop.registry("listing notifications"))
    }

    #[instrument(name = "store::get_notification", level = "debug", skip_all, fields(notification = %id))]
    async fn get_notification(&self, id: NotificationId) -> Result<Option<Notification>, RegistryError> {
        let found = notifications::get(self.db.reader(), id).await;
        found.map_err(|stop| stop.registry("reading a notification"))
    }

    #[instrument(name = "store::list_vmoves", level = "debug", skip_all, fields(%notification))]
    async fn list_vmoves(
        &self,
        notification: NotificationId,
        page: &Page<VmoveFilter>,
    ) -> Result<Vec<Vmove>, RegistryError> {
        let listed = vmoves::list(self.db.reader(), notification, page).await;
        listed.map_err(|stop| stop.registry("listing vmoves"))
    }

    #[instrument(name = "store::get_vmove", level = "debug", skip_all, fields(%notification, vmove = %id))]
    async fn get_vmove(
        &self,
        notification: NotificationId,
        id: VmoveId,
    ) -> Result<Option<Vmove>, RegistryError> {
        let found = vmoves::get(self.db.reader(), notification, id).await;
        found.map_err(|stop| stop.registry("reading a vmove"))
    }

    #[instrument(name = "store::progress", level = "debug", skip_all, fields(%notification))]
    async fn progress(&self, notification: NotificationId) -> Result<Vec<TaskProgress>, RegistryError> {
        let read = progress::read(self.db.reader(), notification).await;
        read.map_err(|stop| stop.registry("reading a recovery's progress"))
    }
}

#[async_trait]
impl Reports for RegistryTables {
    #[instrument(name = "store::accept_notification", level = "debug", skip_all, fields(host = new.hostname))]
    async fn accept_notification(
        &self,
        new: &NewNotification,
        window_seconds: u32,
        now: Timestamp,
    ) -> Result<Notification, RegistryError> {
        accept::together::accept(self, new, window_seconds, now).await
    }
}

#[async_trait]
impl BootHolds for RegistryTables {
    #[instrument(name = "store::boot_hold", level = "debug", skip_all, fields(host))]
    async fn boot_hold(&self, host: &str) -> Result<Option<BootHold>, RegistryError> {
        let found = boot_hold::hold(self.db.reader(), host, self.db.now()).await;
        found.map_err(|stop| stop.registry("reading the recoveries of a host that boots"))
    }
}

impl Registry for RegistryTables {
    fn pool(&self) -> Option<PoolUsage> {
        self.db.reader().usage()
    }
}
