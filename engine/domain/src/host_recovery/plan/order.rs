//! In which order the instances of the host are moved.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::super::HostRecovery;
use crate::ServerId;
use crate::nova::Server;

impl HostRecovery {
    /// Marked ones first (EW13), then by priority, then the oldest. Those of which Nova does not show when they were made
    /// stay as in its list, behind the others.
    ///
    /// Owners set priorities, so they count within a project, and projects take turns: the first instance of each, then the
    /// second of each. Otherwise a project that gives all of its instances the highest would put everybody else's last.
    pub(in super::super) fn in_order(&self, servers: &mut [&Server]) {
        let age = |server: &Server| (server.about.created.is_none(), server.about.created);
        servers.sort_by_key(|server| {
            (
                !self.policy.marks(server),
                Reverse(self.priority(server)),
                age(server),
            )
        });
        if self.policy.priority_across_projects {
            return;
        }
        let mut next: BTreeMap<(bool, &str), u32> = BTreeMap::new();
        let turns: BTreeMap<ServerId, u32> = servers
            .iter()
            .map(|server| {
                let turn = next
                    .entry((self.policy.marks(server), &server.about.project))
                    .or_default();
                *turn += 1;
                (server.id, *turn)
            })
            .collect();
        servers.sort_by_key(|server| (!self.policy.marks(server), turns.get(&server.id), age(server)));
    }

    /// What its owner has written; anything that is no whole number of bearable size is as good as nothing.
    pub(in super::super) fn priority(&self, server: &Server) -> i32 {
        server
            .metadata
            .get(&self.policy.priority_key)
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0)
    }
}
