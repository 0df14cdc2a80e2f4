//! Unfinished tasks of the dead host.
//!
//! Nova's API sets `task_state` when it accepts an operation, and the service that carries it out clears it. A task that the host did
//! not end before it died stays set forever, and a Nova without the fix of LP#1978983 refuses to evacuate such an instance (409).
//! `os-resetState` clears it, and sets the instance to `error`, which Nova evacuates; its original state is in [`OriginalState`](super::OriginalState).
//!
//! A task is reset only after Nova has refused for it, and only if no host but the dead one can have worked on it. A task that another
//! host may have taken on (a migration, a resize) may end with a guest there. An instance that is being deleted is left to its owner.

use std::time::Duration;

use super::Move;
use crate::elapsed::Elapsed;
use crate::nova::Server;
use crate::recovery::{Record, StepKind, Task};

/// Tasks that the instance's own host carries out from beginning to end, in Nova's `compute/task_states.py`.
const HOST_TASKS: &[&str] = &[
    "image_backup",
    "image_pending_upload",
    "image_snapshot",
    "image_snapshot_pending",
    "image_uploading",
    "pausing",
    "powering-off",
    "powering-on",
    "reboot_pending",
    "reboot_pending_hard",
    "reboot_started",
    "reboot_started_hard",
    "rebooting",
    "rebooting_hard",
    "rescuing",
    "resuming",
    "shelving",
    "shelving_image_pending_upload",
    "shelving_image_uploading",
    "suspending",
    "unpausing",
    "unrescuing",
    "updating_password",
];

/// Tasks that evacuations set too, a moment before their record is made.
const EVACUATION_TASKS: &[&str] = &["rebuild_block_device_mapping", "rebuild_spawning", "rebuilding"];

impl Move {
    /// True if Nova has refused it for a task that only its dead host could end. Its lists have shown no evacuation in progress, or it
    /// would not wait. An evacuation whose record is still to come has made it within the time that a call takes to take effect.
    pub(super) fn has_stale_task(&mut self, server: &Server, now: Elapsed, settled: Duration) -> bool {
        if self.refused.is_none() {
            return false;
        }
        self.task.clone_from(&server.task_state);
        let Some(task) = server.task_state.as_deref() else {
            return false;
        };
        let waited = self.failed_first.is_some_and(|first| now.since(first) >= settled);
        HOST_TASKS.contains(&task) || (EVACUATION_TASKS.contains(&task) && waited)
    }

    /// Records that its task is reset, and why, in the event log.
    pub(super) fn log_task_reset(&self, record: &mut Record) {
        let Some(task) = &self.task else { return };
        let text = format!(
            "resetting the state of {}: its task ({task}) was in progress when its host died, and Nova refuses to evacuate it",
            self.name
        );
        record.server_step(Task::Evacuate, StepKind::Intent, self.server, 0.4, text);
    }

    /// Adds a remark why its task was not reset, and what an operator can do.
    pub(super) fn remark_task(&mut self) {
        let reset =
            |task: &&String| HOST_TASKS.contains(&task.as_str()) || EVACUATION_TASKS.contains(&task.as_str());
        if let Some(task) = self.task.as_ref().filter(|task| !reset(task)) {
            let text = format!(
                "Nova shows the task {task}, which is not reset here, because another host or the instance's owner may be using it: check that, \
                 and then run openstack server set --state error {}",
                self.server
            );
            self.remark(&text);
        }
    }
}
