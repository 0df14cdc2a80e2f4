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
//! cure its failure.

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
    /// Nova's scheduler found no host: a request by the same way again is of little use.
    NoHost,
    /// The destination has rejected it.
    OtherHost,
    /// The instance broke while it was being built: the cause may be the host, or its image, volume or network.
    Perhaps,
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
    /// The time since the first failure.
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
    pub(super) fn ctx(&mut self) -> NextStep {
        let Some(way) = self.then.take() else {
            return NextStep::GiveUp;
        };
        self.way = way;
        self.target = None;
        NextStep::OtherWay
    }

    /// Records that the host that the request named could not take it.
    pub(super) fn cross_out_target(&mut self) {
        if self.way == PlacementTarget::Reserved {
            self.tried.extend(self.target.take());
        }
    }

    /// Decides the next step after the evacuation has failed again by this way.
    pub(super) fn after_failure(
        &mut self,
        cure: RetryElsewhere,
        failing: FailureCount,
        patience: RetryPolicy,
    ) -> NextStep {
        let spent = failing.times >= patience.attempts;
        let costs_no_host = self.way == PlacementTarget::Scheduler || cure == RetryElsewhere::No;
        let may_pass = costs_no_host && failing.lasts < patience.retry_for;
        if self.way == PlacementTarget::Reserved
            && matches!(cure, RetryElsewhere::NoHost | RetryElsewhere::OtherHost)
        {
            self.cross_out_target();
        }
        match (self.way, cure) {
            (PlacementTarget::Scheduler, RetryElsewhere::NoHost) if self.then.is_some() => self.ctx(),
            _ if !spent => NextStep::Again,
            // A scheduler that sees no host because the broker is down sees all of them a minute later. An API server whose database
            // lags behind refuses what it would accept some seconds later.
            _ if may_pass
                && (self.then.is_none() || matches!(cure, RetryElsewhere::Perhaps | RetryElsewhere::No)) =>
            {
                NextStep::Again
            }
            // A failure that no host can cure uses nothing but its own attempts. If Nova has chosen a host each time, no host in
            // reserve is spent on an instance that has broken on all of them.
            (_, RetryElsewhere::No) | (PlacementTarget::Scheduler, RetryElsewhere::Perhaps) => {
                NextStep::GiveUp
            }
            (
                PlacementTarget::Scheduler | PlacementTarget::Reserved,
                RetryElsewhere::NoHost | RetryElsewhere::OtherHost,
            )
            | (PlacementTarget::Reserved, RetryElsewhere::Perhaps) => self.ctx(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_its_ways() {
        use PlacementTarget::{Reserved, Scheduler};
        let cases = [
            (RecoveryMethod::Auto, Scheduler, None),
            (RecoveryMethod::ReservedHost, Reserved, None),
            (RecoveryMethod::AutoPriority, Scheduler, Some(Reserved)),
            (RecoveryMethod::RhPriority, Reserved, Some(Scheduler)),
        ];
        for (method, way, then) in cases {
            let route = PlacementPlan::new(method, None);
            assert_eq!((route.way, route.then), (way, then), "{method}");
        }
    }

    /// Covers EW23.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn only_a_failure_of_the_host_takes_the_other_way() {
        use RecoveryMethod::{Auto, AutoPriority, ReservedHost, RhPriority};
        let cases = [
            (
                "auto has no other way",
                Auto,
                RetryElsewhere::NoHost,
                1,
                NextStep::Again,
            ),
            (
                "auto gives up in the end",
                Auto,
                RetryElsewhere::NoHost,
                3,
                NextStep::GiveUp,
            ),
            (
                "no valid host, at once",
                AutoPriority,
                RetryElsewhere::NoHost,
                1,
                NextStep::OtherWay,
            ),
            (
                "a late claim, again first",
                AutoPriority,
                RetryElsewhere::OtherHost,
                1,
                NextStep::Again,
            ),
            (
                "a late claim, in the end",
                AutoPriority,
                RetryElsewhere::OtherHost,
                3,
                NextStep::OtherWay,
            ),
            (
                "a broken rebuild, again",
                AutoPriority,
                RetryElsewhere::Perhaps,
                2,
                NextStep::Again,
            ),
            (
                "a broken rebuild spends no host",
                AutoPriority,
                RetryElsewhere::Perhaps,
                3,
                NextStep::GiveUp,
            ),
            (
                "refused, looked at again",
                AutoPriority,
                RetryElsewhere::No,
                1,
                NextStep::Again,
            ),
            (
                "refused for good",
                AutoPriority,
                RetryElsewhere::No,
                3,
                NextStep::GiveUp,
            ),
            (
                "refused for good on a reserved host",
                RhPriority,
                RetryElsewhere::No,
                3,
                NextStep::GiveUp,
            ),
            (
                "full, so another one",
                ReservedHost,
                RetryElsewhere::OtherHost,
                1,
                NextStep::Again,
            ),
            (
                "full three times",
                ReservedHost,
                RetryElsewhere::OtherHost,
                3,
                NextStep::GiveUp,
            ),
            (
                "full three times, then the scheduler",
                RhPriority,
                RetryElsewhere::NoHost,
                3,
                NextStep::OtherWay,
            ),
            (
                "broken on the reserved host, then the scheduler",
                RhPriority,
                RetryElsewhere::Perhaps,
                3,
                NextStep::OtherWay,
            ),
        ];
        for (name, method, cure, failures, next) in cases {
            let mut route = PlacementPlan::new(method, None);
            assert_eq!(
                route.after_failure(cure, failed(failures, 0), patience(0)),
                next,
                "{name}"
            );
        }
    }

    fn failed(times: u32, seconds: u64) -> FailureCount {
        FailureCount {
            times,
            lasts: Duration::from_secs(seconds),
        }
    }

    fn patience(seconds: u64) -> RetryPolicy {
        RetryPolicy {
            attempts: 3,
            retry_for: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_transient_failure_is_retried_until_its_time_limit() {
        use RecoveryMethod::{Auto, AutoPriority, ReservedHost, RhPriority};
        let cases = [
            (
                "no host for want of a broker",
                Auto,
                RetryElsewhere::NoHost,
                NextStep::Again,
                NextStep::GiveUp,
            ),
            (
                "broken for want of a broker",
                Auto,
                RetryElsewhere::Perhaps,
                NextStep::Again,
                NextStep::GiveUp,
            ),
            (
                "full",
                Auto,
                RetryElsewhere::OtherHost,
                NextStep::Again,
                NextStep::GiveUp,
            ),
            (
                "refused for good",
                Auto,
                RetryElsewhere::No,
                NextStep::Again,
                NextStep::GiveUp,
            ),
            (
                "refused for good, with another way left",
                RhPriority,
                RetryElsewhere::No,
                NextStep::Again,
                NextStep::GiveUp,
            ),
            (
                "the other way at once",
                AutoPriority,
                RetryElsewhere::OtherHost,
                NextStep::OtherWay,
                NextStep::OtherWay,
            ),
            (
                "broken: no host is spent on it",
                AutoPriority,
                RetryElsewhere::Perhaps,
                NextStep::Again,
                NextStep::GiveUp,
            ),
            (
                "no further host out of reserve",
                ReservedHost,
                RetryElsewhere::NoHost,
                NextStep::GiveUp,
                NextStep::GiveUp,
            ),
            (
                "the scheduler after three",
                RhPriority,
                RetryElsewhere::NoHost,
                NextStep::OtherWay,
                NextStep::OtherWay,
            ),
        ];
        for (name, method, cure, before, after) in cases {
            for (seconds, next) in [(179, before), (180, after)] {
                let mut route = PlacementPlan::new(method, None);
                let got = route.after_failure(cure, failed(7, seconds), patience(180));
                assert_eq!(got, next, "{name} after {seconds} s");
            }
            let mut route = PlacementPlan::new(method, None);
            let first = route.after_failure(cure, failed(2, 500), patience(180));
            let turned = (method, cure) == (AutoPriority, RetryElsewhere::NoHost);
            assert_eq!(
                first,
                if turned {
                    NextStep::OtherWay
                } else {
                    NextStep::Again
                },
                "{name}: attempts come first"
            );
        }
    }

    #[test]
    fn no_instance_alternates_forever() {
        for method in [RecoveryMethod::AutoPriority, RecoveryMethod::RhPriority] {
            let mut route = PlacementPlan::new(method, None);
            assert_eq!(route.ctx(), NextStep::OtherWay);
            assert_eq!(route.ctx(), NextStep::GiveUp, "{method}");
        }
    }
}
