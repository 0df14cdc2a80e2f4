//! What the driver and the engine ask of a recovery, of whatever kind.

mod kinds;
mod open;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::guard::{Guard, process};
use tachi_domain::host_recovery::{HostRecovery, Move, Taken};
use tachi_domain::pace::{Demand, Sight};
use tachi_domain::planned::{Planned, PlannedMove};
use tachi_domain::policy::Policy;
use tachi_domain::recovery::{Decision, Now, Observation};
use tachi_domain::{HostId, ServerId, Wait, WaitsFor};

pub use open::{Unusable, open};

/// How often a recovery that does not know when it is due is asked, unless its own tick is shorter.
const LOOK: Duration = Duration::from_millis(100);

/// What each kind answers for itself. What only some kinds have, the others do not name.
pub trait Recovery: Debug + Send + Sync {
    /// One decision on all that was observed.
    fn decide(&mut self, observations: Vec<Observation>, now: Now) -> Decision;

    /// The state's head, to be journalled.
    ///
    /// # Errors
    ///
    /// It cannot be serialised; never in practice.
    fn head(&self) -> Result<String, serde_json::Error>;

    /// The host's name.
    fn host(&self) -> &str;

    /// The rules it goes by.
    fn policy(&self) -> &Policy;

    /// The word for the stage it is in, as it is journalled.
    fn stage(&self) -> String;

    /// Nothing is left to be done.
    fn is_over(&self) -> bool;

    /// What it waits for, as it was decided last; `None` if nobody has decided yet.
    fn wait(&self) -> Option<&Wait>;

    /// Why it waits for that, if it can say more than [`WaitsFor::sentence`].
    fn why(&self, _what: WaitsFor) -> Option<&str> {
        None
    }

    /// In how long it has to be decided again, if nothing is observed before.
    fn next_look(&self, _now: Now) -> Duration {
        LOOK.min(self.policy().tick / 2).max(Duration::from_millis(5))
    }

    /// What it could do with of the engine's pace, and what it has seen of its evacuations since.
    fn demand(&mut self) -> Option<(Demand, Sight)> {
        None
    }

    /// If it is one of a host.
    fn of_host(&self) -> Option<&HostRecovery> {
        None
    }

    /// If it is a plan for a living host.
    fn plan(&self) -> Option<&Planned> {
        None
    }
}

/// What follows from those answers.
impl dyn Recovery + '_ {
    fn moves(&self) -> impl Iterator<Item = &Move> {
        self.of_host().into_iter().flat_map(|state| state.moves.values())
    }

    /// The move of an instance.
    pub fn one_move(&self, server: ServerId) -> Option<&Move> {
        self.of_host()?.moves.get(&server)
    }

    /// The planned move of an instance.
    pub fn planned_move(&self, server: ServerId) -> Option<&PlannedMove> {
        self.plan()?.moves.get(&server)
    }

    /// How far each instance is, as the API shows it.
    pub fn move_statuses(&self) -> BTreeMap<ServerId, VmoveStatus> {
        self.moves().map(|one| (one.server, one.status())).collect()
    }

    /// The instances that Nova has been asked for already.
    pub fn asked_for(&self) -> BTreeSet<ServerId> {
        let asked = self.moves().filter(|one| one.asked_at.is_some());
        asked.map(|one| one.server).collect()
    }

    /// How many instances Nova may be rebuilding.
    pub fn in_flight(&self) -> usize {
        self.moves().filter(|one| one.is_in_flight()).count()
    }

    /// The instances whose move is over.
    pub fn over_moves(&self) -> impl Iterator<Item = ServerId> {
        self.moves().filter(|one| one.is_over()).map(|one| one.server)
    }

    /// A reserved host that it holds, or held.
    pub fn reservation(&self, host: HostId) -> Option<&Taken> {
        self.of_host()?.reserve.taken(host)
    }

    /// Whether the host counts as proven off for others; `None` for kinds that prove nothing.
    pub fn is_proven_off(&self) -> Option<bool> {
        self.of_host().map(HostRecovery::is_proven_off)
    }

    /// Whether it knows already what a report that joins it could say.
    pub fn has_heard_normal(&self) -> bool {
        self.of_host().is_none_or(HostRecovery::has_heard_normal)
    }

    /// Whether it knows already what evidence a report that joins it could bring.
    pub fn has_heard_evidence(&self) -> bool {
        self.of_host().is_none_or(HostRecovery::came_with_evidence)
    }

    /// Whether it is told of the host's storm guards by id.
    pub fn host_id(&self) -> Option<HostId> {
        self.of_host().map(|state| state.host_id)
    }

    fn waits_for(&self) -> WaitsFor {
        self.wait().map_or(WaitsFor::Nothing, |wait| wait.what)
    }

    /// Whether it waits for an operator.
    pub fn is_held(&self) -> bool {
        self.waits_for().is_held()
    }

    /// Whether it waits for its guards, which may take long.
    pub fn is_guarded(&self) -> bool {
        self.waits_for() == WaitsFor::Guards
    }

    /// Why it is held, for people; `None` if it is not.
    pub fn held(&self) -> Option<&str> {
        self.is_held().then(|| self.told())
    }

    /// What its guards wait for, for people; `None` if they do not.
    pub fn guarded(&self) -> Option<&str> {
        self.is_guarded().then(|| self.told())
    }

    fn told(&self) -> &str {
        let what = self.waits_for();
        self.why(what).unwrap_or(what.sentence())
    }

    /// By what it is held, in the words of the metrics; and which guards it waits for.
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
        // What an older version wrote may name no guard.
        let word = if what == WaitsFor::Approval {
            "storm"
        } else {
            what.as_str()
        };
        let holds = what.is_held().then_some(word);
        (holds.into_iter().collect(), Vec::new())
    }
}

#[cfg(test)]
pub(crate) mod tests;
