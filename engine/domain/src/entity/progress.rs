//! The progress of the tasks of a recovery, as `recovery_workflow_details` shows it.

use crate::timestamp::Timestamp;

/// One task of a recovery.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskProgress {
    /// Masakari's task class name, such as `EvacuateInstancesTask`.
    pub name: String,
    /// The progress, 0.0 to 1.0.
    pub progress: f64,
    /// `RUNNING`, `SUCCESS` or `FAILURE`; `IGNORE` for a task that the end of its recovery has cut short.
    pub state: String,
    /// The task's events, oldest first.
    pub details: Vec<ProgressDetail>,
}

/// One event of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressDetail {
    pub at: Timestamp,
    /// The task's progress at that time, 0.0 to 1.0.
    pub progress: f64,
    pub message: String,
}
