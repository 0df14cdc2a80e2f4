//! The segment's recovery method: the ways to choose a destination, and the change from one to the next.
//!
//! | method | first | then |
//! |---|---|---|
//! | `auto` | wherever Nova's scheduler puts it | |
//! | `reserved_host` | on a reserved host | |
//! | `auto_priority` | wherever Nova's scheduler puts it | on a reserved host |
//! | `rh_priority` | on a reserved host | wherever Nova's scheduler puts it |
//!
//! The host is fenced and disabled once, by any method. The second way is taken per instance, and only if another host could
//! avoid its failure.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::entity::segment::RecoveryMethod;
use crate::policy::Policy;
use crate::reserved::Resources;

/// The way in which the destination of an instance is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementTarget {
    /// Nova's scheduler chooses the host.
    #[default]
    Scheduler,
    /// A reserved host is named.
    Reserved,
}

/// The chance that an evacuation to another host succeeds after a failed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryElsewhere {
    /// Nova's scheduler found no host: another request by the same way is of little use.
    NoHost,
    /// The destination has rejected it.
    OtherHost,
    /// The instance broke while it was being built: the cause may be the host, or its image, volume or network.
    MayHelp,
    /// Nova refuses to evacuate this instance at all.
    No,
}

/// The limits to Nova's failures of an instance, after which it needs an operator.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryPolicy {
    /// The number of attempts by each way.
    pub attempts: u32,
    /// The minimum time for retries after the first failure. It applies only where Nova's scheduler chooses, because with reserved
    /// hosts each attempt may take another one out of reserve; and where Nova refuses, which takes none.
    pub retry_for: Duration,
}

impl RetryPolicy {
    /// Returns the limits of the policy.
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            attempts: policy.attempts,
            retry_for: policy.retry_for,
        }
    }
}

/// The failures so far by the current way.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailureCount {
    /// The number of times that Nova has failed it.
    pub times: u32,
    /// The time since the first of them.
    pub lasts: Duration,
}

/// The next step after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// The same way is tried again.
    Again,
    /// The other way is tried, from the beginning.
    OtherWay,
    /// No further try: the instance needs an operator.
    GiveUp,
}

/// The way of an instance to its destination, and the alternative.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementPlan {
    /// The current way.
    pub way: PlacementTarget,
    /// The way to take after that one has failed.
    pub then: Option<PlacementTarget>,
    /// The host that the last request named.
    pub target: Option<String>,
    /// Reserved hosts that could not take it.
    pub tried: BTreeSet<String>,
    /// The resources that it needs; `None` if Nova does not show them.
    pub needs: Option<Resources>,
}

impl PlacementPlan {
    /// Returns the route before the first request.
    pub(super) fn new(method: RecoveryMethod, needs: Option<Resources>) -> Self {
        let (way, then) = match method {
            RecoveryMethod::Auto => (PlacementTarget::Scheduler, None),
            RecoveryMethod::ReservedHost => (PlacementTarget::Reserved, None),
            RecoveryMethod::AutoPriority => (PlacementTarget::Scheduler, Some(PlacementTarget::Reserved)),
            RecoveryMethod::RhPriority => (PlacementTarget::Reserved, Some(PlacementTarget::Scheduler)),
        };
        Self {
            way,
            then,
            needs,
            ..Self::default()
        }
    }

    /// Changes to the other way, if there is one left.
    pub(super) fn switch_target(&mut self) -> NextStep {
        let Some(way) = self.then.take() else {
            return NextStep::GiveUp;
        };
        self.way = way;
        self.target = None;
        NextStep::OtherWay
    }

    /// Records that the host that the request named could not take it.
    pub(super) fn exclude_target(&mut self) {
        if self.way == PlacementTarget::Reserved {
            self.tried.extend(self.target.take());
        }
    }

    /// Decides the next step after the evacuation has failed again by this way.
    pub(super) fn after_failure(
        &mut self,
        retry_elsewhere: RetryElsewhere,
        failing: FailureCount,
        patience: RetryPolicy,
    ) -> NextStep {
        let spent = failing.times >= patience.attempts;
        let costs_no_host = self.way == PlacementTarget::Scheduler || retry_elsewhere == RetryElsewhere::No;
        let may_pass = costs_no_host && failing.lasts < patience.retry_for;
        if self.way == PlacementTarget::Reserved
            && matches!(
                retry_elsewhere,
                RetryElsewhere::NoHost | RetryElsewhere::OtherHost
            )
        {
            self.exclude_target();
        }
        match (self.way, retry_elsewhere) {
            (PlacementTarget::Scheduler, RetryElsewhere::NoHost) if self.then.is_some() => {
                self.switch_target()
            }
            _ if !spent => NextStep::Again,
            // A scheduler that sees no host because the broker is down sees all of them a minute later. An API server whose database
            // lags behind refuses what it would accept some seconds later.
            _ if may_pass
                && (self.then.is_none()
                    || matches!(retry_elsewhere, RetryElsewhere::MayHelp | RetryElsewhere::No)) =>
            {
                NextStep::Again
            }
            // A failure that no host can avoid uses nothing but its own attempts. If Nova has chosen a host each time, no host in
            // reserve is spent on an instance that has broken on all of them.
            (_, RetryElsewhere::No) | (PlacementTarget::Scheduler, RetryElsewhere::MayHelp) => {
                NextStep::GiveUp
            }
            (
                PlacementTarget::Scheduler | PlacementTarget::Reserved,
                RetryElsewhere::NoHost | RetryElsewhere::OtherHost,
            )
            | (PlacementTarget::Reserved, RetryElsewhere::MayHelp) => self.switch_target(),
        }
    }
}

#[cfg(test)]
mod tests;
