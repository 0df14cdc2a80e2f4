//! The interface of all kinds of recoveries for the driver and the engine.

mod kinds;
mod open;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::guard::{Guard, process};
use tachi_domain::host_recovery::{HostRecovery, Move, Reservation};
use tachi_domain::pace::{Demand, EvacuationProgress};
use tachi_domain::planned::{PlannedMove, PlannedState};
use tachi_domain::policy::Policy;
use tachi_domain::recovery::{Decision, DecisionTime, Observation};
use tachi_domain::{HostId, ServerId, Wait, WaitsFor};

pub use open::{Unusable, open};

/// Maximum interval between two checks of a recovery without a due time. Half of the policy's tick applies if it is
/// shorter.
const MAX_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The part that each kind of recovery implements. Methods that only some kinds need have defaults.
pub trait Recovery: Debug + Send + Sync {
    /// Decides on everything that was observed.
    fn decide(&mut self, observations: Vec<Observation>, now: DecisionTime) -> Decision;

    /// Returns the head of the state, for the journal.
    ///
    /// # Errors
    ///
    /// The head cannot be serialized; never in practice.
    fn head(&self) -> Result<String, serde_json::Error>;

    fn host(&self) -> &str;

    fn policy(&self) -> &Policy;

    /// Returns the name of the stage as it is journalled.
    fn stage(&self) -> String;

    /// True if nothing is left to do.
    fn is_finished(&self) -> bool;

    /// Returns the blocker as of the last decision; `None` if there was no decision yet.
    fn wait(&self) -> Option<&Wait>;

    /// Returns the reason of the wait if it is more specific than [`WaitsFor::sentence`].
    fn why(&self, _what: WaitsFor) -> Option<&str> {
        None
    }

    /// Returns the time until the next decision without an observation.
    fn next_poll(&self, _now: DecisionTime) -> Duration {
        MAX_CHECK_INTERVAL
            .min(self.policy().tick / 2)
            .max(Duration::from_millis(5))
    }

    /// Returns the demand for permits from the engine, and the progress of evacuations since the previous demand.
    fn demand(&mut self) -> Option<(Demand, EvacuationProgress)> {
        None
    }

    /// Returns the recovery if it is one of a host.
    fn of_host(&self) -> Option<&HostRecovery> {
        None
    }

    /// Returns the recovery if it is a plan for a running host.
    fn plan(&self) -> Option<&PlannedState> {
        None
    }
}

/// The methods that all kinds share.
impl dyn Recovery + '_ {
    fn moves(&self) -> impl Iterator<Item = &Move> {
        self.of_host().into_iter().flat_map(|state| state.moves.values())
    }

    pub fn one_move(&self, server: ServerId) -> Option<&Move> {
        self.of_host()?.moves.get(&server)
    }

    pub fn planned_move(&self, server: ServerId) -> Option<&PlannedMove> {
        self.plan()?.moves.get(&server)
    }

    /// Returns the status of each instance as the API shows it.
    pub fn move_statuses(&self) -> BTreeMap<ServerId, VmoveStatus> {
        self.moves()
            .map(|instance| (instance.server, instance.status()))
            .collect()
    }

    /// Returns the instances that have been requested from Nova already.
    pub fn requested_instances(&self) -> BTreeSet<ServerId> {
        let requested = self.moves().filter(|instance| instance.asked_at.is_some());
        requested.map(|instance| instance.server).collect()
    }

    /// Returns the number of instances that Nova may be rebuilding.
    pub fn in_flight(&self) -> usize {
        self.moves().filter(|instance| instance.is_in_flight()).count()
    }

    /// Returns the instances whose move is done.
    pub fn done_moves(&self) -> impl Iterator<Item = ServerId> {
        self.moves()
            .filter(|instance| instance.is_finished())
            .map(|instance| instance.server)
    }

    /// Returns a reserved host that the recovery holds or held.
    pub fn reservation(&self, host: HostId) -> Option<&Reservation> {
        self.of_host()?.reserve.taken(host)
    }

    /// True if other recoveries may treat the host as confirmed off; `None` for kinds that prove nothing.
    pub fn is_proven_off(&self) -> Option<bool> {
        self.of_host().map(HostRecovery::is_proven_off)
    }

    /// True if a joining report could add no information.
    pub fn has_normal_report(&self) -> bool {
        self.of_host().is_none_or(HostRecovery::has_normal_report)
    }

    /// True if a joining report could add no evidence.
    pub fn has_heard_evidence(&self) -> bool {
        self.of_host().is_none_or(HostRecovery::came_with_evidence)
    }

    /// Returns the host's id; `None` for kinds other than host recoveries.
    pub fn host_id(&self) -> Option<HostId> {
        self.of_host().map(|state| state.host_id)
    }

    fn waits_for(&self) -> WaitsFor {
        self.wait().map_or(WaitsFor::Nothing, |wait| wait.what)
    }

    /// True if the recovery is on hold and needs an operator.
    pub fn is_on_hold(&self) -> bool {
        self.waits_for().is_on_hold()
    }

    /// True if the recovery waits for its guards, which may take long.
    pub fn is_guarded(&self) -> bool {
        self.waits_for() == WaitsFor::Guards
    }

    /// Returns the reason why the recovery is on hold, for people; `None` if it is not.
    pub fn hold_reason(&self) -> Option<&str> {
        self.is_on_hold().then(|| self.text())
    }

    /// Returns the reason why the recovery waits for its guards, for people; `None` if it does not.
    pub fn guarded(&self) -> Option<&str> {
        self.is_guarded().then(|| self.text())
    }

    fn text(&self) -> &str {
        let what = self.waits_for();
        self.why(what).unwrap_or(what.sentence())
    }

    /// Returns two lists of metric labels: the reasons for the hold, and the guards for which the recovery waits.
    pub fn held_by(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let Some(wait) = self.wait() else {
            return (Vec::new(), Vec::new());
        };
        let guards = || {
            let known = Guard::ALL
                .iter()
                .map(|guard| guard.as_str())
                .chain([process::GUARD]);
            known.filter(|guard| wait.on.contains(*guard)).collect()
        };
        let what = wait.what;
        if what == WaitsFor::Frozen {
            return (Vec::new(), vec![what.as_str()]);
        }
        if what == WaitsFor::Guards {
            return (Vec::new(), guards());
        }
        if what == WaitsFor::Approval && !wait.on.is_empty() {
            return (guards(), Vec::new());
        }
        // A record of an older version may lack the guards.
        let label = if what == WaitsFor::Approval {
            "storm"
        } else {
            what.as_str()
        };
        let holds = what.is_on_hold().then_some(label);
        (holds.into_iter().collect(), Vec::new())
    }
}

#[cfg(test)]
pub(crate) mod tests;
