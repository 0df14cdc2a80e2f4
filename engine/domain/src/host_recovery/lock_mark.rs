//! The reason in the lock on an instance: whose lock it is, and the state of the instance before anything was done to it.
//!
//! A recovery sets some instances to `error` before it evacuates them, and a failed evacuation does so too. If the database then
//! loses its latest commits, the lock is the only record of the original state.

use super::OriginalState;
use crate::id::{RecoveryId, ServerId};
use crate::nova::{PowerState, Server, VmState};
use crate::recovery::mark;

/// The start of every lock reason of Tachi.
const PREFIX: &str = "tachi ";
const STATE: &str = " found ";
const POWER: &str = ", power ";

/// Returns the reason for the lock of `recovery` on an instance in this state.
pub(super) fn lock_reason(recovery: RecoveryId, was: &OriginalState) -> String {
    let power = match was.power_state {
        PowerState::Running => "on",
        PowerState::Shutdown => "off",
        PowerState::Halted | PowerState::Other => "unknown",
    };
    format!("{}{STATE}{}{POWER}{power}", mark(recovery), was.vm_state)
}

/// True if any recovery has set the lock.
pub(crate) fn is_locked_by_tachi(server: &Server) -> bool {
    reason(server).starts_with(PREFIX)
}

/// True if the recovery with this mark has set the lock.
pub(super) fn is_locked_by(server: &Server, mark: &str) -> bool {
    reason(server)
        .strip_prefix(mark)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(STATE))
}

/// Returns the server in its original state, if a recovery has put it into `error`.
pub(super) fn in_original_state(server: &Server) -> Server {
    let mut server = server.clone();
    if server.vm_state == VmState::Error
        && let Some(was) = original_state(reason(&server))
    {
        server.vm_state = was.vm_state;
        server.power_state = was.power_state;
    }
    server
}

/// Returns the servers whose lock carries their original state.
pub(super) fn with_original_state(servers: &[Server]) -> impl Iterator<Item = ServerId> {
    let stated = |server: &&Server| original_state(reason(server)).is_some();
    servers.iter().filter(stated).map(|server| server.id)
}

fn reason(server: &Server) -> &str {
    let reason = server.locked_reason.as_deref().filter(|_| server.locked);
    reason.unwrap_or_default()
}

fn original_state(reason: &str) -> Option<OriginalState> {
    let (_, state) = reason.strip_prefix(PREFIX)?.split_once(STATE)?;
    let (vm_state, power) = state.rsplit_once(POWER)?;
    let power_state = match power {
        "on" => PowerState::Running,
        "off" => PowerState::Shutdown,
        "unknown" => PowerState::Other,
        _ => return None,
    };
    Some(OriginalState {
        vm_state: VmState::from_nova(vm_state),
        power_state,
    })
}
