//! The answer of one recovery to the boot guard: whether nova-compute of the host may start.

use super::super::{HostRecovery, OffConfirmation, Stage};
use crate::elapsed::Elapsed;
use crate::recovery::Life;
use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;

string_enum! {
    /// The reason why a host is held at its boot.
    BootHeldFor {
        /// A recovery that works on the host, or has worked on it.
        Recovery = "recovery",
        /// A power-off that has been ordered and may still take effect.
        PowerOff = "power_off",
        /// An operator who has to empty its queue on Nova's message broker.
        Queue = "queue",
    }
}

impl HostRecovery {
    /// Returns the reason to hold the host's boot, if there is one. `now` is the age of the recovery, and `clock` the database's time.
    pub fn holds_boot(&self, life: Life, now: Elapsed, clock: Timestamp) -> Option<BootHeldFor> {
        let may_take_effect =
            self.fence.off.is_some() || !self.fence.has_no_pending_orders(now, &self.policy);
        match life {
            // An operator has confirmed that it is off, and that is being checked: it must not be switched on meanwhile. Otherwise a
            // recovery that has neither touched the host nor accepted that it is off holds no boot: a host that only seems dead continues.
            Life::Open
                if self.confirmation.as_ref().is_some_and(|confirmation| {
                    OffConfirmation::is_in_time(confirmation.given_at, clock)
                }) =>
            {
                Some(BootHeldFor::Recovery)
            }
            Life::Open if self.is_untouched() && self.proof.is_none() => {
                may_take_effect.then_some(BootHeldFor::PowerOff)
            }
            Life::Open => Some(BootHeldFor::Recovery),
            // An instance that has come late is being moved.
            Life::Watching if self.stage == Stage::Moving => Some(BootHeldFor::Recovery),
            Life::Watching if may_take_effect => Some(BootHeldFor::PowerOff),
            // The host has returned: its queue was emptied.
            Life::Watching if self.stage == Stage::Starting => None,
            Life::Watching => Some(BootHeldFor::Queue),
            Life::Closed => may_take_effect.then_some(BootHeldFor::PowerOff),
        }
    }
}
