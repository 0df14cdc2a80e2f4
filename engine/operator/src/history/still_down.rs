//! The instances that are down on a host whose recovery ended before it had listed them.

use tachi_domain::count;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::Protection;

use super::RecoveryHistoryView;
use crate::host_instances::HostedView;
use crate::snapshot::RegionSnapshot;

impl RecoveryHistoryView {
    /// True if the recovery of a host has failed before it listed an instance, and there is no later attempt.
    pub fn ended_unlisted(&self) -> bool {
        self.summary.kind == RecoveryKind::Host
            && self.summary.life == Life::Closed
            && self.summary.status == NotificationStatus::Failed.as_str()
            && self.instances.is_empty()
            && self.later.is_none()
    }

    /// Describes these instances, with the command that lists them; `None` if there is none.
    pub(crate) fn still_down_text(&self) -> Option<(String, String)> {
        if !self.ended_unlisted() {
            return None;
        }
        let host = &self.summary.host;
        let text = match self.still_down.as_deref() {
            Some([]) => return None,
            Some(names) => {
                let count = count(names.len(), "instance is", "instances are");
                format!("{count} still down on {host}: {}", names.join(", "))
            }
            None => format!("the number of instances that are down on {host} is unknown"),
        };
        Some((text, format!("tachi instance list --host {host}")))
    }

    /// Adds the instances that are down on the host of such a recovery, as engines have read them.
    #[must_use]
    pub fn with_still_down(mut self, snapshot: &RegionSnapshot) -> Self {
        let host = &self.summary.host;
        let hosts = &snapshot.situation.hosts;
        let is_known = hosts.iter().any(|one| one.name == *host && one.up.is_some());
        let is_listed = snapshot.facts.instances.as_ref();
        let is_listed = is_listed.is_some_and(|known| known.value.complete && known.is_fresh(snapshot.now));
        if is_known && is_listed {
            self.still_down = HostedView::on(snapshot, host).map(|all| {
                all.into_iter()
                    .filter(|one| one.protection == Protection::Down)
                    .map(|one| format!("{} ({})", one.name, one.id))
                    .collect()
            });
        }
        self
    }
}
