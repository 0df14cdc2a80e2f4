//! A registry of one notification.

use async_trait::async_trait;
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::entity::{Notification, Stamps, TaskProgress};
use tachi_domain::{NotificationId, Timestamp};
use tachi_engine::ports::{Progress, RegistryError};

pub(crate) const ID: &str = "6e8ee0de-0d0a-4fb4-a2b5-c8b4b9f0a4ee";

pub(crate) struct OneNotification;

#[async_trait]
impl Progress for OneNotification {
    async fn progress_of(
        &self,
        id: NotificationId,
    ) -> Result<Option<(Notification, Vec<TaskProgress>)>, RegistryError> {
        if id.to_string() != ID {
            return Ok(None);
        }
        let at = Timestamp::from_micros(1_551_966_868_000_000);
        let notification = Notification {
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
        };
        let task = TaskProgress {
            name: "EvacuateInstancesTask".to_owned(),
            progress: 0.5,
            state: "RUNNING".to_owned(),
            details: Vec::new(),
        };
        Ok(Some((notification, vec![task])))
    }
}
