//! Which instance is evacuated first: the order in which the host's instances are moved.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::id::ServerId;
use crate::nova::Server;
use crate::policy::Policy;

/// Marked ones first (EW13), then by priority, then the oldest. Those of which Nova does not show when they were made
/// stay as in its list, behind the others.
///
/// Owners set priorities, so they count within a project, and projects take turns: the first instance of each, then the
/// second of each. Otherwise a project that gives all of its instances the highest would put everybody else's last.
pub fn in_order(policy: &Policy, servers: &mut [&Server]) {
    let age = |server: &Server| (server.about.created.is_none(), server.about.created);
    servers.sort_by_key(|server| {
        (
            !policy.marks(server),
            Reverse(priority(policy, server)),
            age(server),
        )
    });
    if policy.priority_across_projects {
        return;
    }
    let mut next: BTreeMap<(bool, &str), u32> = BTreeMap::new();
    let turns: BTreeMap<ServerId, u32> = servers
        .iter()
        .map(|server| {
            let turn = next
                .entry((policy.marks(server), &server.about.project))
                .or_default();
            *turn += 1;
            (server.id, *turn)
        })
        .collect();
    servers.sort_by_key(|server| (!policy.marks(server), turns.get(&server.id), age(server)));
}

/// What its owner has written; anything that is no whole number of bearable size is as good as nothing.
pub(super) fn priority(policy: &Policy, server: &Server) -> i32 {
    server
        .metadata
        .get(&policy.priority_key)
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}
