//! In which order the instances of the host are moved.

use std::cmp::Reverse;

use super::HostRecovery;
use crate::nova::Server;

impl HostRecovery {
    /// Marked ones first (EW13), then by priority, then the oldest. Those of which Nova does not show when they were made
    /// stay as in its list, behind the others.
    pub(super) fn in_order(&self, servers: &mut [&Server]) {
        servers.sort_by_key(|server| {
            let created = server.about.created;
            (
                !self.policy.marks(server),
                Reverse(self.priority(server)),
                created.is_none(),
                created,
            )
        });
    }

    /// What its owner has written; anything that is no whole number of bearable size is as good as nothing.
    pub(super) fn priority(&self, server: &Server) -> i32 {
        server
            .metadata
            .get(&self.policy.priority_key)
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0)
    }
}
