//! How far the tasks of a recovery are, as `recovery_workflow_details` shows it.

use crate::timestamp::Timestamp;

/// One task of a recovery.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskProgress {
    /// Masakari's task class name, such as `EvacuateInstancesTask`.
    pub name: String,
    /// 0.0 to 1.0.
    pub progress: f64,
    /// `RUNNING`, `SUCCESS` or `FAILURE`; `IGNORE` for one that the end of its recovery has cut short.
    pub state: String,
    /// What happened, oldest first.
    pub details: Vec<ProgressDetail>,
}

/// One line of a task's story.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressDetail {
    /// When.
    pub at: Timestamp,
    /// The task's progress then, 0.0 to 1.0.
    pub progress: f64,
    /// What happened.
    pub message: String,
}
