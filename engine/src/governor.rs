//! One pace for all recoveries of an engine (see [`tachi_domain::pace`]).
//!
//! Every driver has a [`Seat`]. After each decision it tells what its recovery could do with, before anything of the decision
//! is carried out, and is told through a channel what it may begin and how often it is worth its while to look. The windows move
//! by what the calls come to and by what the looks show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tachi_domain::RecoveryId;
use tachi_domain::pace::{
    ALONE, Aimd, Bounds, Demand, Echo, LookResult, Model, Party, Permits, Sight, allot, pause,
};
use tokio::sync::watch;
use tokio::time::Instant;

/// How fast an engine may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceOptions {
    /// Evacuations under way at once.
    pub in_flight: Bounds,
    /// Those of them that no destination has taken up yet.
    pub queued: Bounds,
    /// Other calls about instances at once; every recovery may make one in any case.
    pub calls: Bounds,
    /// So much of a queue, in time, at most a quarter of what Nova may ever have in front of it.
    pub take_up_patience: Duration,
    /// Nova may take so long to answer a call before it is asked for fewer.
    pub call_patience: Duration,
    /// Between two looks of a recovery, where nothing is known yet.
    pub tick: Duration,
}

impl Default for PaceOptions {
    fn default() -> Self {
        let bounds = |min, start, max| Bounds { min, start, max };
        Self {
            in_flight: bounds(8, 64, 1_000),
            queued: bounds(2, 4, 256),
            calls: bounds(4, 8, 64),
            take_up_patience: Duration::from_secs(2),
            call_patience: Duration::from_secs(1),
            tick: Duration::from_millis(500),
        }
    }
}

/// Shared by the drivers of an engine.
#[derive(Clone)]
pub(crate) struct Governor {
    begun: Instant,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    in_flight: Aimd,
    queued: Model,
    calls: Aimd,
    tick: Duration,
    /// The window was too small for what there was to do when it was last divided.
    full: bool,
    members: BTreeMap<RecoveryId, Member>,
    /// So many recoveries list or move instances that what can be read for all of them together is (R13).
    many: bool,
    told: bool,
}

struct Member {
    demand: Demand,
    waits_since: Duration,
    permits: watch::Sender<Permits>,
}

/// What an engine's pace is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) in_flight: u32,
    pub(crate) queued: u32,
    pub(crate) calls: u32,
}

impl Governor {
    pub(crate) fn new(options: &PaceOptions) -> Self {
        let inner = Inner {
            in_flight: Aimd::new(options.in_flight, options.call_patience),
            queued: Model::new(options.queued, options.take_up_patience),
            calls: Aimd::new(options.calls, options.call_patience),
            tick: options.tick,
            full: false,
            members: BTreeMap::new(),
            many: false,
            told: false,
        };
        Self {
            begun: Instant::now(),
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// A place for one recovery, until it is dropped.
    pub(crate) fn join(&self, id: RecoveryId) -> Seat {
        let now = self.now();
        let mut inner = self.lock();
        let (permits, given) = watch::channel(Permits {
            evacuations: 0,
            calls: 1,
            pause: inner.tick,
        });
        inner.members.insert(
            id,
            Member {
                demand: Demand::default(),
                waits_since: now,
                permits,
            },
        );
        inner.divide(now);
        drop(inner);
        Seat {
            governor: self.clone(),
            id,
            given,
        }
    }

    /// What came of a call about an instance.
    pub(crate) fn heard(&self, evacuation: bool, echo: Echo) {
        let now = self.now();
        let mut inner = self.lock();
        let before = inner.windows();
        inner.calls.hear(echo, true, now);
        if evacuation {
            // That the call was answered says little: Nova answers before it begins. Growth is left to what is taken up.
            inner.in_flight.hear(echo, false, now);
            match echo {
                Echo::Answered(_) => {}
                Echo::PushedBack(_) | Echo::Failed => inner.queued.refused(now),
            }
        }
        if inner.windows() != before {
            inner.divide(now);
        }
    }

    /// How long nothing new is to be begun yet, if so.
    pub(crate) fn quiet_for(&self) -> Option<Duration> {
        let now = self.now();
        let until = self.lock().quiet_until();
        (until > now).then(|| until.saturating_sub(now))
    }

    /// The quiet time is over.
    pub(crate) fn resume(&self) {
        let now = self.now();
        self.lock().divide(now);
    }

    #[cfg(test)]
    pub(crate) fn windows(&self) -> Windows {
        self.lock().windows()
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half-way; what is inside are numbers that are made anew all the time.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A recovery's place.
pub(crate) struct Seat {
    governor: Governor,
    id: RecoveryId,
    given: watch::Receiver<Permits>,
}

impl Seat {
    /// Tells what the recovery could do with, and what it has seen since.
    pub(crate) fn tell(&self, demand: Demand, sight: &Sight) {
        let now = self.governor.now();
        let mut inner = self.governor.lock();
        let (waiting, full) = (inner.queued_now(), inner.full);
        for _ in &sight.taken {
            // Whatever the rebuild takes, a destination had room for one more.
            inner.in_flight.hear(Echo::Answered(Duration::ZERO), full, now);
        }
        let Some(member) = inner.members.get(&self.id) else {
            return;
        };
        let looked = sight.looked && member.demand.queued > 0;
        if member.demand == demand && !looked {
            return;
        }
        if looked {
            let seen = LookResult {
                taken: &sight.taken,
                dry: demand.queued == 0,
                busy: waiting,
                full,
                pause: inner.pause(),
            };
            inner.queued.looked(seen, now);
        }
        inner.put(self.id, demand, now);
        if waiting == 0 && inner.queued_now() > 0 {
            inner.queued.begun(now);
        }
        inner.divide(now);
    }

    /// Waits until something else may be begun than before.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any point.
    pub(crate) async fn changed(&mut self) -> Permits {
        if self.given.changed().await.is_err() {
            // The governor lives as long as this seat; without it nothing would ever change.
            std::future::pending::<()>().await;
        }
        *self.given.borrow_and_update()
    }

    /// What may be begun.
    pub(crate) fn permits(&mut self) -> Permits {
        *self.given.borrow_and_update()
    }

    /// Whether lists are read for many recoveries together.
    pub(crate) fn lists_are_shared(&self) -> bool {
        self.governor.lock().many
    }

    /// See [`Governor::heard`].
    pub(crate) fn governor(&self) -> &Governor {
        &self.governor
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let now = self.governor.now();
        let mut inner = self.governor.lock();
        inner.members.remove(&self.id);
        inner.divide(now);
    }
}

impl Inner {
    fn windows(&self) -> Windows {
        Windows {
            in_flight: self.in_flight.window(),
            queued: self.queued.window(),
            calls: self.calls.window(),
        }
    }

    fn quiet_until(&self) -> Duration {
        self.calls.quiet_until()
    }

    fn sum(&self, of: fn(&Demand) -> u32) -> u32 {
        self.members
            .values()
            .fold(0, |sum: u32, member| sum.saturating_add(of(&member.demand)))
    }

    /// Evacuations that nobody is known to have taken up.
    fn queued_now(&self) -> u32 {
        self.sum(|demand| demand.queued)
    }

    /// The time between two looks of a recovery.
    fn pause(&self) -> Duration {
        let looking = self.members.values().filter(|member| member.demand.in_flight > 0);
        let looking = u32::try_from(looking.count()).unwrap_or(u32::MAX);
        let waits = self.full || self.queued_now() > 0;
        let in_flight = self.sum(|demand| demand.in_flight);
        pause(&self.queued, self.tick, in_flight, looking, waits)
    }

    fn put(&mut self, id: RecoveryId, demand: Demand, now: Duration) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let begun = demand.asked != member.demand.asked;
        let became_idle = demand.in_flight == 0 && member.demand.in_flight > 0;
        if begun || became_idle {
            member.waits_since = now;
        }
        member.demand = demand;
    }

    /// Divides what is free, and tells everybody for whom something has changed.
    fn divide(&mut self, now: Duration) {
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
        let parties: Vec<Party<'_>> = self
            .members
            .values()
            .map(|member| Party {
                busy: member.demand.in_flight,
                waits_since: member.waits_since,
                ready: &member.demand.ready,
            })
            .collect();
        let given = self
            .members
            .values()
            .fold(0_u64, |sum, member| sum.wrapping_add(member.demand.asked));
        let shares = allot(free, windows.queued.min(windows.in_flight), given, &parties);
        let wanted: u64 = parties
            .iter()
            .flat_map(|party| party.ready)
            .map(|(_, count)| u64::from(*count))
            .sum();
        self.full = !quiet && wanted > u64::from(free);
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
        self.many = active > ALONE;
        for (member, share) in self.members.values().zip(shares) {
            let permits = Permits {
                evacuations: member.demand.asked.saturating_add(u64::from(share)),
                calls,
                pause,
            };
            member.permits.send_if_modified(|before| {
                // Who wants nothing need not be woken for a number.
                let matters = before.evacuations != permits.evacuations
                    || (before.calls != permits.calls && member.demand.calls)
                    || (before.pause.abs_diff(permits.pause) >= self.tick / 2 && member.demand.in_flight > 0);
                *before = permits;
                matters
            });
        }
        if quiet && !self.told {
            tracing::warn!("Nova asks for patience: nothing new is begun for a while");
        }
        self.told = quiet;
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::pace::{TakenUp, Urgency};
    use uuid::Uuid;

    use super::*;

    const LOW: Urgency = Urgency {
        tagged: false,
        priority: 0,
    };
    const HIGH: Urgency = Urgency {
        tagged: true,
        priority: 0,
    };

    fn governor() -> Governor {
        let bounds = |min, start, max| Bounds { min, start, max };
        Governor::new(&PaceOptions {
            queued: bounds(4, 24, 256),
            calls: bounds(4, 32, 64),
            ..PaceOptions::default()
        })
    }

    /// A look that has shown so many to be taken up, after so long each.
    fn taken(count: usize, least: u64, most: u64) -> Sight {
        let wait = TakenUp {
            least: Duration::from_millis(least),
            most: Duration::from_millis(most),
        };
        Sight {
            looked: true,
            taken: vec![wait; count],
        }
    }

    fn seats(governor: &Governor, count: u128) -> Vec<Seat> {
        (0..count)
            .map(|n| governor.join(RecoveryId(Uuid::from_u128(n))))
            .collect()
    }

    fn wants(asked: u64, in_flight: u32, queued: u32, ready: u32) -> Demand {
        Demand {
            asked,
            in_flight,
            queued,
            ready: vec![(LOW, ready)],
            calls: true,
            active: true,
        }
    }

    fn given(seats: &mut [Seat]) -> Vec<u64> {
        seats.iter_mut().map(|seat| seat.permits().evacuations).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_may_begin_is_what_is_free_and_is_not_given_twice() {
        let governor = governor();
        let mut seats = seats(&governor, 2);
        assert_eq!(given(&mut seats), [0, 0], "nothing is wanted yet");
        seats[0].tell(wants(0, 0, 0, 40), &Sight::default());
        assert_eq!(given(&mut seats), [24, 0]);
        seats[0].tell(wants(24, 24, 24, 16), &Sight::default());
        seats[1].tell(wants(0, 0, 0, 40), &Sight::default());
        assert_eq!(given(&mut seats), [24, 0], "all of the window is used");
        // Eight are taken up: their places go to the one that has nothing.
        seats[0].tell(wants(24, 24, 16, 16), &Sight::default());
        assert_eq!(given(&mut seats), [24, 8]);
        drop(seats.remove(0));
        assert_eq!(given(&mut seats), [24], "what it had is free for the others");
    }

    #[tokio::test(start_paused = true)]
    async fn urgent_moves_go_first_whosever_they_are() {
        let governor = governor();
        let mut seats = seats(&governor, 3);
        let urgent = Demand {
            ready: vec![(HIGH, 30)],
            ..wants(0, 0, 0, 0)
        };
        seats[0].tell(wants(0, 0, 0, 40), &Sight::default());
        seats[1].tell(urgent, &Sight::default());
        seats[2].tell(wants(0, 0, 0, 40), &Sight::default());
        assert_eq!(given(&mut seats), [1, 22, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_nova_that_asks_for_patience_gets_it_and_then_half_as_much() {
        let governor = governor();
        let mut seats = seats(&governor, 1);
        governor.heard(true, Echo::PushedBack(Some(Duration::from_secs(7))));
        seats[0].tell(wants(0, 0, 0, 40), &Sight::default());
        assert_eq!(seats[0].permits().evacuations, 0);
        assert_eq!(seats[0].permits().calls, 0);
        let quiet = governor.quiet_for().unwrap();
        assert!(quiet > Duration::from_secs(6), "{quiet:?}");
        tokio::time::advance(Duration::from_secs(8)).await;
        assert_eq!(governor.quiet_for(), None);
        governor.resume();
        assert_eq!(seats[0].permits().evacuations, 12);
        assert_eq!(
            governor.windows(),
            Windows {
                in_flight: 32,
                queued: 12,
                calls: 16
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn lists_are_shared_above_eight_recoveries_and_each_may_make_a_call() {
        let governor = governor();
        let mut many = seats(&governor, 9);
        for seat in &many[..8] {
            seat.tell(wants(0, 0, 0, 1), &Sight::default());
        }
        assert!(!many[0].lists_are_shared());
        many[8].tell(wants(0, 0, 0, 1), &Sight::default());
        assert!(many[0].lists_are_shared());
        assert_eq!(many[0].permits().calls, 32 / 9);
        let more = (100..200).map(|n| governor.join(RecoveryId(Uuid::from_u128(n))));
        let more: Vec<Seat> = more.collect();
        for seat in &more {
            seat.tell(wants(0, 0, 0, 1), &Sight::default());
        }
        assert_eq!(many[0].permits().calls, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn quick_take_ups_widen_the_window_and_slow_ones_narrow_it() {
        let governor = governor();
        let seats = seats(&governor, 1);
        seats[0].tell(wants(24, 24, 24, 500), &Sight::default());
        tokio::time::advance(Duration::from_millis(150)).await;
        seats[0].tell(wants(24, 24, 0, 500), &taken(24, 0, 150));
        assert!(governor.windows().queued >= 96, "{:?}", governor.windows());
        seats[0].tell(wants(120, 120, 96, 400), &Sight::default());
        tokio::time::advance(Duration::from_secs(20)).await;
        seats[0].tell(wants(120, 96, 72, 400), &taken(24, 19_000, 20_000));
        assert!(governor.windows().queued < 24, "{:?}", governor.windows());
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_close_together_until_the_pace_is_known() {
        let governor = governor();
        let mut seats = seats(&governor, 1);
        seats[0].tell(wants(24, 24, 24, 500), &Sight::default());
        assert_eq!(seats[0].permits().pause, Duration::from_millis(100));
        seats[0].tell(wants(24, 24, 24, 500), &taken(0, 0, 0));
        assert_eq!(seats[0].permits().pause, Duration::from_millis(200));
        for _ in 0..4 {
            seats[0].tell(wants(24, 24, 24, 500), &taken(0, 0, 0));
        }
        assert_eq!(
            seats[0].permits().pause,
            Duration::from_millis(500),
            "as the rules say"
        );
    }
}
