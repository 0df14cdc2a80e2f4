//! A registry of one notification.

use async_trait::async_trait;
use tachi_domain::entity::host::{HostChange, HostFilter, NewHost};
use tachi_domain::entity::notification::{
    NewNotification, NotificationFilter, NotificationStatus, NotificationType,
};
use tachi_domain::entity::segment::{NewSegment, SegmentChange, SegmentFilter};
use tachi_domain::entity::vmove::VmoveFilter;
use tachi_domain::entity::{Host, Notification, Segment, Stamps, TaskProgress, Vmove};
use tachi_domain::{HostId, NotificationId, SegmentId, Timestamp, VmoveId};
use tachi_engine::ports::registry::{BootHold, Page};
use tachi_engine::ports::{Registry, RegistryError};

pub(crate) const ID: &str = "6e8ee0de-0d0a-4fb4-a2b5-c8b4b9f0a4ee";

pub(crate) struct OneNotification;

#[async_trait]
impl Registry for OneNotification {
    async fn get_notification(&self, id: NotificationId) -> Result<Option<Notification>, RegistryError> {
        let at = Timestamp::from_micros(1_551_966_868_000_000);
        Ok((id.to_string() == ID).then(|| Notification {
            row: 1,
            id,
            kind: NotificationType::ComputeHost,
            generated_time: at,
            source_host: ID.parse().unwrap(),
            segment: None,
            payload: [].into(),
            status: NotificationStatus::Running,
            message: None,
            reporter: None,
            stamps: Stamps {
                created_at: at,
                updated_at: None,
            },
        }))
    }

    async fn progress(&self, _: NotificationId) -> Result<Vec<TaskProgress>, RegistryError> {
        Ok(vec![TaskProgress {
            name: "EvacuateInstancesTask".to_owned(),
            progress: 0.5,
            state: "RUNNING".to_owned(),
            details: Vec::new(),
        }])
    }

    async fn list_segments(&self, _: &Page<SegmentFilter>) -> Result<Vec<Segment>, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn get_segment(&self, _: SegmentId) -> Result<Option<Segment>, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn create_segment(&self, _: &NewSegment) -> Result<Segment, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn update_segment(&self, _: SegmentId, _: &SegmentChange) -> Result<Segment, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn delete_segment(&self, _: SegmentId) -> Result<(), RegistryError> {
        unreachable!("nobody asks")
    }

    async fn list_hosts(&self, _: SegmentId, _: &Page<HostFilter>) -> Result<Vec<Host>, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn get_host(&self, _: SegmentId, _: HostId) -> Result<Option<Host>, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn create_host(&self, _: &NewHost) -> Result<Host, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn changeable_host(&self, _: SegmentId, _: HostId, _: &HostChange) -> Result<Host, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn update_host(&self, _: SegmentId, _: HostId, _: &HostChange) -> Result<Host, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn delete_host(&self, _: SegmentId, _: HostId) -> Result<(), RegistryError> {
        unreachable!("nobody asks")
    }

    async fn list_notifications(
        &self,
        _: &Page<NotificationFilter>,
    ) -> Result<Vec<Notification>, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn accept_notification(
        &self,
        _: &NewNotification,
        _: u32,
        _: Timestamp,
    ) -> Result<Notification, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn list_vmoves(
        &self,
        _: NotificationId,
        _: &Page<VmoveFilter>,
    ) -> Result<Vec<Vmove>, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn get_vmove(&self, _: NotificationId, _: VmoveId) -> Result<Option<Vmove>, RegistryError> {
        unreachable!("nobody asks")
    }

    async fn boot_hold(&self, _: &str) -> Result<Option<BootHold>, RegistryError> {
        unreachable!("nobody asks")
    }
}
