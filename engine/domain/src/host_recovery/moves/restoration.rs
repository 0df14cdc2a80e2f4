//! The state that each instance is brought back to: the table.
//!
//! Nova evacuates instances in `vm_state` `active`, `stopped` and `error`; below microversion 2.95 it leaves the first running,
//! the second stopped, and makes the third run. All others have to be set to `error` first, and so run afterwards.
//!
//! | was | becomes | because |
//! |---|---|---|
//! | active | active | |
//! | stopped | stopped | Nova does it; checked |
//! | error | error again; stopped before that unless its last power state was running | the owner has not repaired it |
//! | paused | paused | its memory is lost, it has booted again |
//! | suspended | suspended | the same |
//! | rescued | stopped | its own disk was not to be booted; rescue it again |
//! | shelved | stopped | its snapshot is in Glance; shelve it again |
//! | resized | active, or stopped if it was shut down | the unconfirmed resize is lost with the host |
//! | anything else | stopped | safe |

use super::super::OriginalState;
use crate::nova::{PowerState, Server, VmState};
use crate::recovery::Restoration;

/// The step that is left for a moved instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Rest {
    /// No step: the instance is in its original state.
    Done,
    /// This restoration is left.
    Do(Restoration),
    /// Nova is working on it.
    Wait,
}

/// True if Nova requires a reset to `error` before it evacuates an instance in this state.
pub(in super::super) fn needs_preparation(state: &VmState) -> bool {
    !matches!(state, VmState::Active | VmState::Stopped | VmState::Error)
}

/// True if it has to be checked after the move at all.
pub(in super::super) fn needs_check(was: &OriginalState) -> bool {
    !(was.vm_state == VmState::Active
        || (was.vm_state == VmState::Resized && was.power_state != PowerState::Shutdown))
}

/// True if two evacuations have conflicted: the second finds the server moved, gives up, and leaves it in `error` with a task
/// that is never finished.
pub(in super::super) fn is_stuck(now: &Server) -> bool {
    now.vm_state == VmState::Error && now.task_state.is_some()
}

/// Returns the step that is left, by the current state.
pub(in super::super) fn rest(was: &OriginalState, now: &Server) -> Rest {
    let end = target(was);
    if is_stuck(now) && end != VmState::Error {
        return Rest::Do(Restoration::MarkActive);
    }
    if now.task_state.is_some() {
        return Rest::Wait;
    }
    if now.vm_state == end || !needs_check(was) {
        return Rest::Done;
    }
    let running = now.vm_state == VmState::Active;
    if end == VmState::Error {
        return if running && was.power_state != PowerState::Running {
            Rest::Do(Restoration::Stop)
        } else {
            Rest::Do(Restoration::MarkError)
        };
    }
    if !running {
        // It is neither in its target state nor running: no restoration is left that it could take.
        return Rest::Done;
    }
    Rest::Do(match end {
        VmState::Paused => Restoration::Pause,
        VmState::Suspended => Restoration::Suspend,
        VmState::Active
        | VmState::Stopped
        | VmState::Error
        | VmState::Rescued
        | VmState::Resized
        | VmState::Shelved
        | VmState::ShelvedOffloaded
        | VmState::Building
        | VmState::Deleted
        | VmState::Other(_) => Restoration::Stop,
    })
}

/// Returns the state that it is brought back to.
pub(in super::super) fn target(was: &OriginalState) -> VmState {
    match &was.vm_state {
        VmState::Active => VmState::Active,
        VmState::Error => VmState::Error,
        VmState::Paused => VmState::Paused,
        VmState::Suspended => VmState::Suspended,
        VmState::Resized if was.power_state != PowerState::Shutdown => VmState::Active,
        VmState::Stopped
        | VmState::Resized
        | VmState::Rescued
        | VmState::Shelved
        | VmState::ShelvedOffloaded
        | VmState::Building
        | VmState::Deleted
        | VmState::Other(_) => VmState::Stopped,
    }
}

/// Returns a remark for its owner about its state after the move.
pub(in super::super) fn remark(was: &OriginalState) -> Option<&'static str> {
    match &was.vm_state {
        VmState::Active | VmState::Stopped | VmState::Error => None,
        VmState::Paused => Some("was paused: rebooted and paused again; its memory is lost"),
        VmState::Suspended => Some("was suspended: rebooted and suspended again; its memory is lost"),
        VmState::Rescued => Some("was in rescue mode: left stopped, rescue it again"),
        VmState::Shelved => Some("was shelved: left stopped, shelve it again"),
        VmState::Resized => Some("its unconfirmed resize or migration is lost with the host"),
        VmState::ShelvedOffloaded | VmState::Building | VmState::Deleted | VmState::Other(_) => {
            Some("was in a state that cannot be restored: left stopped")
        }
    }
}
