//! Whether nova-compute of the host may start, as far as one recovery of it is concerned: what the boot guard is told.

use super::super::{HostRecovery, Stage, Vouch};
use crate::elapsed::Elapsed;
use crate::recovery::Life;
use crate::timestamp::Timestamp;
use crate::words::words;

words! {
    /// What a host that is held at its boot waits for.
    BootHeldFor {
        /// A recovery of it, which is at work on it or has been.
        Recovery = "recovery",
        /// A power-off that has been ordered and may still take effect (R5).
        PowerOff = "power_off",
        /// A person who empties its queue on Nova's message broker (R12).
        Queue = "queue",
    }
}

impl HostRecovery {
    /// What has to come first, if anything has. `now` is as old as the recovery is, and `clock` the database's.
    pub fn holds_boot(&self, life: Life, now: Elapsed, clock: Timestamp) -> Option<BootHeldFor> {
        let may_come = self.fence.off.is_some() || !self.fence.is_quiet(now, &self.policy);
        match life {
            // What has neither touched the host nor believed that it is off holds nobody: a host that only seems dead goes on.
            // A person has said that it is off, and that is being looked into: it must not be switched on meanwhile.
            Life::Open
                if self
                    .vouch
                    .as_ref()
                    .is_some_and(|vouch| Vouch::lasts(vouch.said, clock)) =>
            {
                Some(BootHeldFor::Recovery)
            }
            Life::Open if self.is_untouched() && self.proof.is_none() => {
                may_come.then_some(BootHeldFor::PowerOff)
            }
            Life::Open => Some(BootHeldFor::Recovery),
            // What has come late is being moved.
            Life::Watching if self.stage == Stage::Moving => Some(BootHeldFor::Recovery),
            Life::Watching if may_come => Some(BootHeldFor::PowerOff),
            Life::Watching => Some(BootHeldFor::Queue),
            Life::Closed => may_come.then_some(BootHeldFor::PowerOff),
        }
    }
}
