//! The selection of the instances of a failed host that are recovered.

use super::leave::owning_service;
use super::{Policy, is_truthy};
use crate::nova::{PowerState, Server, VmState};

impl Policy {
    /// True if the owner has marked the instance; marked instances come first.
    pub fn marks(&self, server: &Server) -> bool {
        server
            .metadata
            .get(&self.ha_key)
            .is_some_and(|value| is_truthy(value))
    }

    /// Returns the reason why an instance of a failed host is excluded; `None` if it is evacuated.
    pub fn leaves(&self, server: &Server) -> Option<String> {
        if server.task_state.as_deref() == Some("deleting") || server.vm_state == VmState::Deleted {
            return Some("it is being deleted".into());
        }
        if let Some(why) = self.leave.why(server) {
            return Some(why);
        }
        let tagged = self.marks(server);
        // An owner who marks such an instance knows what it is; the name alone does not outweigh that.
        if let Some(service) = owning_service(server).filter(|_| !tagged)
            && !self.evacuate_service_instances
        {
            return Some(format!(
                "it is {service}'s, which replaces it by itself, and evacuate_service_instances is off"
            ));
        }
        if !tagged && !self.evacuate_all {
            return Some(format!(
                "it is not marked {}=True and evacuate_all_instances is off",
                self.ha_key
            ));
        }
        if server.vm_state == VmState::Error && self.ignore_error_state {
            return Some("it is in vm_state error and ignore_instances_in_error_state is on".into());
        }
        if !server.launched || server.vm_state == VmState::Building {
            return Some(
                "it was never launched, and Nova evacuates no such instance: delete and create it again"
                    .into(),
            );
        }
        if !server.volume_backed && !self.evacuate_image_backed {
            return Some(
                "it does not boot from a volume and evacuate_image_backed_on_local_disk is off: its disk is on the host"
                    .into(),
            );
        }
        None
    }

    /// True if an excluded instance is started when its host has returned: it ran, and no service replaces it by itself.
    pub fn starts_on_return(&self, server: &Server) -> bool {
        let ran = server.vm_state == VmState::Active && server.power_state == PowerState::Running;
        let is_replaced = owning_service(server).is_some() && !self.marks(server);
        self.start_excluded
            && server.launched
            && ran
            && !is_replaced
            && server.task_state.as_deref() != Some("deleting")
    }
}
