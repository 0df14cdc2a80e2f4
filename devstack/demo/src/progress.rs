//! State of a recovery in the API, and of the instances in the ledger.

use std::collections::BTreeMap;

use serde_json::Value;
use tachi_domain::Wait;
use uuid::Uuid;

/// One notification and its vmoves, as the API shows them.
pub(super) struct DemoNotification {
    pub(super) status: String,
    pub(super) message: Option<String>,
    /// The reason why its recovery waits.
    pub(super) wait: Option<Wait>,
    pub(super) tasks: Vec<(String, String)>,
    pub(super) vmoves: Vec<(String, String, Option<String>, Option<String>)>,
}

impl DemoNotification {
    pub(super) fn is_on_hold(&self) -> bool {
        self.wait.as_ref().is_some_and(|wait| wait.what.is_on_hold())
    }

    pub(super) fn read(notification: &Value, vmoves: &Value, wait: Option<Wait>) -> Self {
        let notification = &notification["notification"];
        let text_of = |value: &Value| value.as_str().map(str::to_owned);
        let mut tasks = Vec::new();
        for task in notification["recovery_workflow_details"]
            .as_array()
            .into_iter()
            .flatten()
        {
            for detail in task["progress_details"].as_array().into_iter().flatten() {
                tasks.push((
                    text_of(&task["name"]).unwrap_or_default(),
                    text_of(&detail["message"]).unwrap_or_default(),
                ));
            }
        }
        let vmoves = vmoves["vmoves"].as_array().into_iter().flatten();
        Self {
            status: text_of(&notification["status"]).unwrap_or_default(),
            message: text_of(&notification["message"]),
            wait,
            tasks,
            vmoves: vmoves
                .map(|vmove| {
                    (
                        text_of(&vmove["instance_uuid"]).unwrap_or_default(),
                        text_of(&vmove["status"]).unwrap_or_default(),
                        text_of(&vmove["dest_host"]),
                        text_of(&vmove["message"]),
                    )
                })
                .collect(),
        }
    }
}

/// The state of the notifications and instances at one moment.
pub(super) struct DemoSnapshot {
    pub(super) notifications: Vec<DemoNotification>,
    /// Instances of the failed hosts that run on another host: the host, and the seconds until then.
    pub(super) back: BTreeMap<Uuid, (String, f64)>,
}

impl DemoSnapshot {
    /// True if the recoveries have ended or wait for an operator.
    pub(super) fn is_finished(&self) -> bool {
        self.notifications.iter().all(|notification| {
            matches!(notification.status.as_str(), "finished" | "failed" | "ignored")
                || notification.is_on_hold()
        })
    }
}
