//! A look at all hosts, for the guards (R24): once for all recoveries of the engine, however many there are.
//!
//! What the database dates, it dates by the clock of whoever wrote it. How old that is, is measured once, when it is seen for
//! the first time, and from then on by this machine's boot-time clock: a wall clock that jumps afterwards changes nothing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tachi_domain::Timestamp;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::guard::{Dated, NovaView, Region};
use tachi_domain::policy::Policy;
use tachi_domain::reserved::Aggregate;
use tokio::sync::watch;

use crate::engine::Ports;
use crate::lists::Shared;
use crate::ports::journal::Happened;
use crate::ports::{CallError, NoSurroundings, Surroundings};

/// Between the beginnings of two looks at least.
const APART: Duration = Duration::from_millis(500);

/// Aggregates and schedulers do not change every second.
const SLOW: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Around {
    ports: Ports,
    surroundings: Mutex<Arc<dyn Surroundings>>,
    policy: watch::Receiver<Policy>,
    region: Shared<Region>,
    ages: Mutex<Ages>,
    slow: Mutex<Option<(Duration, Vec<Aggregate>, bool)>>,
}

/// What is dated.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Start,
    Order,
    Proof,
}

/// How old each thing was when it was seen first, and when that was on the boot-time clock.
#[derive(Default)]
struct Ages(HashMap<(Kind, i64), (Duration, Duration)>);

impl Ages {
    fn age(&mut self, what: (Kind, i64), at: Timestamp, wall: Timestamp, boot: Duration) -> Duration {
        // What is younger than now by a clock that differs has just happened.
        let age = Duration::from_micros(u64::try_from(wall.micros_since(at)).unwrap_or_default());
        let (first, since) = *self.0.entry(what).or_insert((age, boot));
        first + boot.saturating_sub(since)
    }

    fn keep(&mut self, seen: &HashSet<(Kind, i64)>) {
        self.0
            .retain(|what, _| what.0 == Kind::Start || seen.contains(what));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is inside is replaced or added to as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Around {
    pub(crate) fn new(ports: Ports, policy: watch::Receiver<Policy>) -> Self {
        Self {
            ports,
            surroundings: Mutex::new(Arc::new(NoSurroundings)),
            policy,
            region: Shared::new(APART),
            ages: Mutex::default(),
            slow: Mutex::default(),
        }
    }

    pub(crate) fn set_surroundings(&self, surroundings: Arc<dyn Surroundings>) {
        *lock(&self.surroundings) = surroundings;
    }

    /// Sets down the cluster's first start, if this is it. Until that is done no look succeeds.
    pub(crate) async fn note_start(&self) -> bool {
        if lock(&self.ages).0.contains_key(&(Kind::Start, 0)) {
            return true;
        }
        match self.ports.journal.first_start().await {
            Ok(at) => {
                let (wall, boot) = (self.ports.clock.wall(), self.ports.clock.boot());
                lock(&self.ages).age((Kind::Start, 0), at, wall, boot);
                true
            }
            Err(error) => {
                let source = error.source.to_string();
                tracing::warn!(%error, source, "the first start is not set down: trying again");
                false
            }
        }
    }

    /// All hosts, looked at after this call.
    pub(crate) async fn look(&self) -> Result<Arc<Region>, Fault> {
        self.region.get(self.read()).await
    }

    async fn read(&self) -> Result<Region, CallError> {
        if !self.note_start().await {
            return Err(unknown("the first start is not set down".into()));
        }
        let lately = {
            let rules = &self.policy.borrow().guards;
            rules.window.max(rules.flap_window)
        };
        let surroundings = lock(&self.surroundings).clone();
        let standing = async {
            let standing = self.ports.journal.standing(lately).await;
            standing.map_err(|error| unknown(format!("{error}: {}", error.source)))
        };
        let (standing, nova, witnesses) = tokio::join!(standing, self.read_nova(), surroundings.witnesses());
        let standing = standing?;
        let mut names: BTreeSet<String> = standing.hosts.iter().map(|host| host.name.clone()).collect();
        if let Ok(nova) = &nova {
            names.extend(nova.services.keys().cloned());
        }
        let (wall, boot) = (self.ports.clock.wall(), self.ports.clock.boot());
        let mut ages = lock(&self.ages);
        let mut seen = HashSet::new();
        let mut dated = |kind, happened: &[Happened]| -> Vec<Dated> {
            let date = |one: &Happened| {
                seen.insert((kind, one.row));
                Dated {
                    host: one.host,
                    recovery: one.recovery,
                    age: ages.age((kind, one.row), one.at, wall, boot),
                }
            };
            happened.iter().map(date).collect()
        };
        let orders = dated(Kind::Order, &standing.orders);
        let proofs = dated(Kind::Proof, &standing.proofs);
        ages.keep(&seen);
        Ok(Region {
            running_for: ages.age((Kind::Start, 0), wall, wall, boot),
            hosts: standing.hosts,
            orders,
            proofs,
            nova: nova.map_err(|error| error.fault.text),
            witnesses,
            domains: surroundings.domains(&names),
        })
    }

    async fn read_nova(&self) -> Result<NovaView, CallError> {
        let services = self.ports.compute.services().await?.into_iter().collect();
        let boot = self.ports.clock.boot();
        let known = lock(&self.slow)
            .clone()
            .filter(|(read, ..)| boot.saturating_sub(*read) < SLOW);
        let (aggregates, scheduler_up) = if let Some((_, aggregates, scheduler_up)) = known {
            (aggregates, scheduler_up)
        } else {
            let compute = &self.ports.compute;
            let (aggregates, scheduler_up) = tokio::try_join!(compute.aggregates(), compute.scheduler_up())?;
            // One that is down is looked at again at once.
            if scheduler_up {
                *lock(&self.slow) = Some((boot, aggregates.clone(), scheduler_up));
            }
            (aggregates, scheduler_up)
        };
        Ok(NovaView {
            services,
            scheduler_up,
            aggregates,
        })
    }
}

fn unknown(text: String) -> CallError {
    let fault = Fault {
        class: FaultClass::Transient,
        status: None,
        maybe_done: false,
        text,
    };
    CallError { fault, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row10_a_wall_clock_that_jumps_changes_no_age_that_was_measured_before() {
        let mut ages = Ages::default();
        let wall = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let boot = Duration::from_secs;
        let what = (Kind::Order, 7);
        assert_eq!(ages.age(what, wall(1_000), wall(1_010), boot(50)), boot(10));
        for (name, now) in [("an hour ahead", 4_620), ("an hour back", -2_580)] {
            assert_eq!(
                ages.age(what, wall(1_000), wall(now), boot(60)),
                boot(20),
                "{name}"
            );
        }
        let future = (Kind::Proof, 1);
        assert_eq!(
            ages.age(future, wall(2_000), wall(1_000), boot(60)),
            Duration::ZERO,
            "what was written by a clock that is ahead has just happened"
        );
        assert_eq!(ages.age(future, wall(2_000), wall(1_000), boot(90)), boot(30));
        ages.keep(&HashSet::from([what]));
        assert_eq!(ages.0.len(), 1, "what is not shown any more is forgotten");
    }
}
