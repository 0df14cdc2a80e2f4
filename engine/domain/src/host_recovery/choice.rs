//! Which instances of the host are moved, in which order, and why the others are left.

use std::cmp::Reverse;

use super::HostRecovery;
use crate::nova::{Server, VmState};
use crate::policy::{is_truthy, owning_service};

impl HostRecovery {
    /// Marked ones first (EW13), then by priority, then the oldest. Those of which Nova does not show when they were made
    /// stay as in its list, behind the others.
    pub(super) fn in_order(&self, servers: &mut [&Server]) {
        servers.sort_by_key(|server| {
            let created = server.about.created;
            (
                !self.is_tagged(server),
                Reverse(self.priority(server)),
                created.is_none(),
                created,
            )
        });
    }

    pub(super) fn is_tagged(&self, server: &Server) -> bool {
        server
            .metadata
            .get(&self.policy.ha_key)
            .is_some_and(|value| is_truthy(value))
    }

    /// What its owner has written; anything that is no whole number of bearable size is as good as nothing.
    pub(super) fn priority(&self, server: &Server) -> i32 {
        server
            .metadata
            .get(&self.policy.priority_key)
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0)
    }

    pub(super) fn left_by_policy(&self, server: &Server) -> Option<String> {
        if server.task_state.as_deref() == Some("deleting") || server.vm_state == VmState::Deleted {
            return Some("it is being deleted".into());
        }
        if let Some(why) = self.policy.leave.why(server) {
            return Some(why);
        }
        let tagged = self.is_tagged(server);
        // Whoever marks such an instance knows what it is; a name alone does not outweigh that.
        if let Some(service) = owning_service(server).filter(|_| !tagged)
            && !self.policy.evacuate_service_instances
        {
            return Some(format!(
                "it is {service}'s, which replaces it by itself, and evacuate_service_instances is off"
            ));
        }
        if !tagged && !self.policy.evacuate_all {
            return Some(format!(
                "it is not marked {}=True and evacuate_all_instances is off",
                self.policy.ha_key
            ));
        }
        if server.vm_state == VmState::Error && self.policy.ignore_error_state {
            return Some("it is in vm_state error and ignore_instances_in_error_state is on".into());
        }
        if !server.launched || server.vm_state == VmState::Building {
            return Some(
                "it was never launched, and Nova evacuates no such instance: delete and create it again"
                    .into(),
            );
        }
        if !server.volume_backed && !self.policy.evacuate_image_backed {
            return Some(
                "it does not boot from a volume and evacuate_image_backed_on_local_disk is off: its disk is on the host"
                    .into(),
            );
        }
        None
    }
}
