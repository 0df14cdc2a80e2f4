//! The rows of `os-services`.

use crate::model::{HostIx, Refusal, State};
use crate::region_time::RegionTime;

/// A change of a compute service, by `PUT /os-services/{uuid}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ServiceChange {
    pub(crate) status: Option<ServiceStatus>,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) forced_down: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceStatus {
    Enabled,
    Disabled,
}

impl State {
    /// True if Nova considers this host's nova-compute up.
    pub(crate) fn service_up(&self, ix: HostIx) -> bool {
        let host = &self.world.hosts[ix];
        !host.forced_down
            && self.is_heartbeat_fresh(
                host.heartbeat
                    .last(self.world.now, self.world.settings.report_interval),
            )
    }

    /// True if a heartbeat is recent enough.
    pub(crate) fn is_heartbeat_fresh(&self, last: RegionTime) -> bool {
        self.world.now.since(last) <= self.world.settings.service_down_time
    }

    /// Returns `updated_at`: the last write of the row, by a heartbeat or by an effective change through the API.
    pub(crate) fn service_updated(&self, ix: HostIx) -> RegionTime {
        let host = &self.world.hosts[ix];
        host.heartbeat
            .last(self.world.now, self.world.settings.report_interval)
            .max(host.edited)
    }

    /// Returns a server's `host_status`.
    pub(crate) fn host_status(&self, host: Option<HostIx>) -> &'static str {
        let Some(ix) = host else { return "" };
        let row = &self.world.hosts[ix];
        if row.forced_down {
            "DOWN"
        } else if row.disabled {
            "MAINTENANCE"
        } else if self.service_up(ix) {
            "UP"
        } else {
            "UNKNOWN"
        }
    }

    /// Changes the row of a compute service. Nothing is changed when any part is refused.
    pub(crate) fn update_service(&mut self, ix: HostIx, change: &ServiceChange) -> Result<(), Refusal> {
        let enabling = change.status == Some(ServiceStatus::Enabled);
        if enabling && change.disabled_reason.is_some() {
            return Err(Refusal::bad_request(
                "Specifying 'disabled_reason' with status 'enabled' is invalid.",
            ));
        }
        if change.forced_down == Some(false)
            && self
                .world
                .migrations
                .has_done_evacuations(&self.world.hosts[ix].name)
        {
            let name = &self.world.hosts[ix].name;
            return Err(Refusal::bad_request(format!(
                "Unable to force up host {name} as `done` evacuation migration records remain associated with the \
                 host. Ensure the compute service has been restarted, allowing these records to move to `completed` \
                 before retrying this request."
            )));
        }
        if change.status.is_none() && change.forced_down.is_none() {
            return Err(Refusal::bad_request(
                "No updates were requested. Fields 'status' or 'forced_down' should be specified.",
            ));
        }
        let now = self.world.now;
        let host = &mut self.world.hosts[ix];
        let (disabled, reason) = match change.status {
            Some(status) => (status == ServiceStatus::Disabled, change.disabled_reason.clone()),
            None => (host.disabled, host.disabled_reason.clone()),
        };
        let forced_down = change.forced_down.unwrap_or(host.forced_down);
        // Nova saves only differences, and a save without any does not change `updated_at`.
        if (disabled, &reason, forced_down) != (host.disabled, &host.disabled_reason, host.forced_down) {
            host.disabled = disabled;
            host.disabled_reason = reason;
            host.forced_down = forced_down;
            host.edited = now;
        }
        Ok(())
    }
}
