//! The windows, and the division of their free capacity among the recoveries.

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_domain::RecoveryId;
use tachi_domain::pace::{
    Aimd, Demand, MAX_UNSHARED_RECOVERIES, Model, Permits, RecoveryDemand, allot, pause,
};
use tokio::sync::watch;

/// State shared by all recoveries of an engine.
pub(super) struct SharedWindows {
    pub(super) in_flight: Aimd,
    pub(super) queued: Model,
    pub(super) calls: Aimd,
    pub(super) tick: Duration,
    /// True if the demand exceeded the window at the last division.
    pub(super) full: bool,
    pub(super) members: BTreeMap<RecoveryId, Member>,
    /// True if enough recoveries list or move instances to share lists.
    pub(super) are_lists_shared: bool,
    pub(super) is_reported: bool,
}

pub(super) struct Member {
    pub(super) demand: Demand,
    pub(super) waits_since: Duration,
    pub(super) permits: watch::Sender<Permits>,
}

/// The current windows of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) in_flight: u32,
    pub(crate) queued: u32,
    pub(crate) calls: u32,
}

impl SharedWindows {
    pub(super) fn windows(&self) -> Windows {
        Windows {
            in_flight: self.in_flight.window(),
            queued: self.queued.window(),
            calls: self.calls.window(),
        }
    }

    pub(super) fn quiet_until(&self) -> Duration {
        self.calls.quiet_until()
    }

    pub(super) fn sum(&self, of: fn(&Demand) -> u32) -> u32 {
        self.members
            .values()
            .fold(0, |sum: u32, member| sum.saturating_add(of(&member.demand)))
    }

    /// Returns the number of evacuations that no destination is known to have started.
    pub(super) fn queued_now(&self) -> u32 {
        self.sum(|demand| demand.queued)
    }

    /// Returns the time between two polls of a recovery.
    pub(super) fn pause(&self) -> Duration {
        let looking = self.members.values().filter(|member| member.demand.in_flight > 0);
        let looking = u32::try_from(looking.count()).unwrap_or(u32::MAX);
        let waits = self.full || self.queued_now() > 0;
        let in_flight = self.sum(|demand| demand.in_flight);
        pause(&self.queued, self.tick, in_flight, looking, waits)
    }

    pub(super) fn put(&mut self, id: RecoveryId, demand: Demand, now: Duration) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let has_new_requests = demand.requested != member.demand.requested;
        let became_idle = demand.in_flight == 0 && member.demand.in_flight > 0;
        if has_new_requests || became_idle {
            member.waits_since = now;
        }
        member.demand = demand;
    }

    /// Divides the free capacity and notifies each recovery whose share has changed.
    pub(super) fn divide(&mut self, now: Duration) {
        let windows = self.windows();
        let quiet = self.quiet_until() > now;
        let free = if quiet {
            0
        } else {
            let flight = windows
                .in_flight
                .saturating_sub(self.sum(|demand| demand.in_flight));
            flight.min(windows.queued.saturating_sub(self.queued_now()))
        };
        let parties: Vec<RecoveryDemand<'_>> = self
            .members
            .values()
            .map(|member| RecoveryDemand {
                busy: member.demand.in_flight,
                waits_since: member.waits_since,
                ready: &member.demand.ready,
            })
            .collect();
        let given = self
            .members
            .values()
            .fold(0_u64, |sum, member| sum.wrapping_add(member.demand.requested));
        let shares = allot(free, windows.queued.min(windows.in_flight), given, &parties);
        let demanded: u64 = parties
            .iter()
            .flat_map(|party| party.ready)
            .map(|(_, count)| u64::from(*count))
            .sum();
        self.full = !quiet && demanded > u64::from(free);
        let pause = self.pause();
        let callers = self.members.values().filter(|member| member.demand.calls).count();
        let calls = match u32::try_from(callers.max(1)) {
            _ if quiet => 0,
            Ok(callers) => (windows.calls / callers).max(1),
            Err(_) => 1,
        };
        let active = self
            .members
            .values()
            .filter(|member| member.demand.active)
            .count();
        self.are_lists_shared = active > MAX_UNSHARED_RECOVERIES;
        for (member, share) in self.members.values().zip(shares) {
            let permits = Permits {
                evacuations: member.demand.requested.saturating_add(u64::from(share)),
                calls,
                pause,
            };
            member.permits.send_if_modified(|before| {
                // A recovery without demand is not woken for a changed limit.
                let matters = before.evacuations != permits.evacuations
                    || (before.calls != permits.calls && member.demand.calls)
                    || (before.pause.abs_diff(permits.pause) >= self.tick / 2 && member.demand.in_flight > 0);
                *before = permits;
                matters
            });
        }
        if quiet && !self.is_reported {
            tracing::warn!("Nova has requested a pause; starting no new work until it ends");
        }
        self.is_reported = quiet;
    }
}
