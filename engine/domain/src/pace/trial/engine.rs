//! Engines as a Nova sees them: they know the result of a poll, and nothing between two polls.

use std::time::Duration;

use super::nova::{Kind, Nova};
use crate::pace::{Aimd, Bounds, Model, NovaFeedback, PollCost, PollResult, StartSample, pause};

const TICK: Duration = Duration::from_millis(500);

/// The seconds from the report to the first call: proof, lists, locks.
const PREPARATION_SECONDS: f64 = 1.0;

/// The pace of an engine.
#[derive(Clone)]
pub(super) enum Pace {
    /// A window that starts as a guess.
    Guess { queued: Aimd, in_flight: Aimd },
    /// A window that learns.
    Model { queued: Model, in_flight: Aimd },
    /// Everything at once, as a script would do.
    Loop,
}

/// Returns the former pace: a window that starts at `queued`, and grows by one for each pick-up until that takes too long.
pub(super) fn guess(queued: u32) -> Pace {
    let bounds = |min, start, max| Bounds { min, start, max };
    Pace::Guess {
        queued: Aimd::new(bounds(4, queued, 256), Duration::from_secs(2)),
        in_flight: Aimd::new(bounds(8, 64, 1_000), Duration::from_secs(1)),
    }
}

pub(super) fn learner() -> Pace {
    let bounds = |min, start, max| Bounds { min, start, max };
    Pace::Model {
        queued: Model::new(bounds(2, 4, 256), Duration::from_secs(2)),
        in_flight: Aimd::new(bounds(8, 64, 1_000), Duration::from_secs(1)),
    }
}

impl Pace {
    fn windows(&self) -> (u32, u32) {
        match self {
            Self::Guess { queued, in_flight } => (queued.window(), in_flight.window()),
            Self::Model { queued, in_flight } => (queued.window(), in_flight.window()),
            Self::Loop => (u32::MAX, u32::MAX),
        }
    }
}

/// A dead host.
struct Host {
    waiting: usize,
    /// The job, the time of its request, and whether it has been seen picked up or back.
    requested: Vec<(usize, f64, bool, bool)>,
    next_poll: f64,
    /// The start and the end of a poll in progress.
    poll: Option<(f64, f64)>,
    polled: Option<f64>,
    cost: PollCost,
}

impl Host {
    fn queued(&self) -> usize {
        self.requested.iter().filter(|(_, _, taken, _)| !taken).count()
    }

    fn in_flight(&self) -> usize {
        self.requested.iter().filter(|(_, _, _, back)| !back).count()
    }
}

struct Engine {
    pace: Pace,
    hosts: Vec<Host>,
    turn: usize,
}

/// The result of a trial.
#[derive(Default)]
pub(super) struct Trajectory {
    /// The times at which the instances were back, in the order of their requests.
    pub(super) back: Vec<f64>,
    /// The number of poll requests: one for the records, and one for the ids if an evacuation is done.
    pub(super) polls: usize,
    /// The windows of all engines together, the queue in front of Nova, and the number of instances that are back, by time.
    pub(super) trace: Vec<(f64, u32, usize, usize)>,
}

pub(super) struct Trial {
    pub(super) kind: Kind,
    pub(super) engines: usize,
    pub(super) hosts: usize,
    pub(super) each: usize,
    pub(super) seed: u64,
}

fn duration(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.max(0.0))
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}

impl Trial {
    pub(super) fn run(&self, pace: &Pace) -> Trajectory {
        let mut nova = Nova::new(self.kind, self.seed);
        let mut course = Trajectory::default();
        let host = |at: usize| Host {
            waiting: self.each,
            requested: Vec::new(),
            // The hosts are not all polled at the same moment.
            next_poll: f64::from(small(at)) * 0.037,
            poll: None,
            polled: None,
            cost: PollCost::default(),
        };
        let mut engines: Vec<Engine> = (0..self.engines)
            .map(|engine| Engine {
                pace: pace.clone(),
                hosts: (0..self.hosts)
                    .filter(|at| at % self.engines == engine)
                    .map(host)
                    .collect(),
                turn: 0,
            })
            .collect();
        let all = self.hosts * self.each;
        let mut traced = 0.0;
        while nova.jobs.iter().filter(|job| job.back.is_some()).count() < all {
            assert!(
                nova.now < 3_000.0,
                "it does not end: {} of {all}",
                nova.jobs.len()
            );
            nova.step();
            for engine in &mut engines {
                engine.step(&mut nova, &mut course);
            }
            if nova.now >= traced {
                traced += 0.05;
                let window = engines
                    .iter()
                    .map(|recovery| u64::from(recovery.pace.windows().0))
                    .sum::<u64>()
                    .min(10_000);
                let queued = nova.jobs.iter().filter(|job| job.taken_up.is_none()).count();
                let back = nova.jobs.iter().filter(|job| job.back.is_some()).count();
                course
                    .trace
                    .push((nova.now, u32::try_from(window).unwrap(), queued, back));
            }
        }
        course.back = nova.jobs.iter().map(|job| job.back.unwrap()).collect();
        course
    }
}

impl Engine {
    fn step(&mut self, nova: &mut Nova, course: &mut Trajectory) {
        if nova.now < PREPARATION_SECONDS {
            return;
        }
        self.request(nova);
        for at in 0..self.hosts.len() {
            if let Some((since, until)) = self.hosts[at].poll {
                if nova.now >= until {
                    self.observe(at, since, nova, course);
                    self.request(nova);
                }
            } else if nova.now >= self.hosts[at].next_poll && self.hosts[at].in_flight() > 0 {
                course.polls += 1;
                self.hosts[at].poll = Some((nova.now, nova.now + nova.poll_duration()));
            }
        }
    }

    fn total(&self, of: fn(&Host) -> usize) -> u32 {
        small(self.hosts.iter().map(of).sum())
    }

    fn request(&mut self, nova: &mut Nova) {
        let (window, flight) = self.pace.windows();
        let mut queued = self.total(Host::queued);
        let mut in_flight = self.total(Host::in_flight);
        let now = duration(nova.now);
        while queued < window && in_flight < flight {
            let hosts = self.hosts.len();
            let Some(at) = (0..hosts)
                .map(|n| (self.turn + n) % hosts)
                .find(|at| self.hosts[*at].waiting > 0)
            else {
                return;
            };
            self.turn = at + 1;
            if queued == 0
                && let Pace::Model { queued, .. } = &mut self.pace
            {
                queued.begun(now);
            }
            let first = self.hosts[at].in_flight() == 0;
            let job = nova.evacuate();
            self.hosts[at].requested.push((job, nova.now, false, false));
            self.hosts[at].waiting -= 1;
            if first {
                let pause = self.pause();
                self.hosts[at].next_poll = self.hosts[at].next_poll.max(nova.now + pause);
            }
            queued += 1;
            in_flight += 1;
        }
    }

    fn pause(&self) -> f64 {
        match &self.pace {
            Pace::Guess { .. } | Pace::Loop => TICK.as_secs_f64(),
            Pace::Model { queued, .. } => {
                let open = self.hosts.iter().filter(|host| host.in_flight() > 0).count();
                let waits = self
                    .hosts
                    .iter()
                    .any(|host| host.waiting > 0 || host.queued() > 0);
                pause(queued, TICK, self.total(Host::in_flight), small(open), waits).as_secs_f64()
            }
        }
    }

    fn observe(&mut self, at: usize, since: f64, nova: &Nova, course: &mut Trajectory) {
        let full = self.hosts.iter().any(|host| host.waiting > 0);
        let floor = self.pause();
        let before_it = self.total(Host::queued);
        let host = &mut self.hosts[at];
        let before = host.polled.replace(since);
        host.poll = None;
        let took = duration(nova.now - since);
        let pause = match self.pace {
            Pace::Model { .. } => host.cost.pause_after(took),
            Pace::Guess { .. } | Pace::Loop => took.max((took * 15).min(Duration::from_secs(2))),
        };
        host.next_poll = nova.now + floor.max(pause.as_secs_f64());
        let mut taken = Vec::new();
        let mut any_done = false;
        for (job, requested_at, was_taken, was_back) in &mut host.requested {
            let job = &nova.jobs[*job];
            if *requested_at > since {
                continue;
            }
            let wait = StartSample {
                least: duration(before.map_or(0.0, |before| before - *requested_at)),
                most: duration(nova.now - *requested_at),
            };
            if job.taken_up.is_some() && !*was_taken {
                *was_taken = true;
                taken.push(wait);
            }
            if job.back.is_some() && !*was_back {
                *was_back = true;
                any_done = true;
            }
        }
        course.polls += usize::from(any_done);
        let is_queue_empty = host.queued() == 0;
        let now = duration(nova.now);
        match &mut self.pace {
            Pace::Guess { queued, in_flight } => {
                for wait in &taken {
                    queued.observe(NovaFeedback::Answered(wait.least), full, now);
                    in_flight.observe(NovaFeedback::Answered(Duration::ZERO), full, now);
                }
            }
            Pace::Model { queued, in_flight } => {
                let poll = PollResult {
                    taken: &taken,
                    is_queue_empty,
                    full,
                    busy: before_it,
                    pause: duration(floor),
                };
                queued.polled(poll, now);
                for _ in &taken {
                    in_flight.observe(NovaFeedback::Answered(Duration::ZERO), full, now);
                }
            }
            Pace::Loop => {}
        }
    }
}
