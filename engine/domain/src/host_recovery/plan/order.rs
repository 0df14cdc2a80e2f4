//! The order in which the host's instances are evacuated.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::id::ServerId;
use crate::nova::Server;
use crate::policy::Policy;

/// Sorts the instances: marked ones first, then by priority, then the oldest. Those of which Nova does not show the
/// creation time stay as in its list, behind the others.
///
/// Owners set priorities, so they count within a project, and projects are served round-robin: the first instance of each, then
/// the second of each. Otherwise a project that gives all of its instances the highest priority would put all others last.
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
    let rounds: BTreeMap<ServerId, u32> = servers
        .iter()
        .map(|server| {
            let round = next
                .entry((policy.marks(server), &server.about.project))
                .or_default();
            *round += 1;
            (server.id, *round)
        })
        .collect();
    servers.sort_by_key(|server| (!policy.marks(server), rounds.get(&server.id), age(server)));
}

/// Returns the priority that its owner has set; anything but a whole number of acceptable size counts as 0.
pub(super) fn priority(policy: &Policy, server: &Server) -> i32 {
    server
        .metadata
        .get(&policy.priority_key)
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}
