//! A Nova of queues: conductors that share processors or handle one evacuation after another, and destinations that rebuild.

/// The seconds between two steps.
const STEP: f64 = 0.004;

/// The behaviour of a Nova.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// The processors that all jobs share: each working job has an equal part, and at most one.
    pub(super) processors: f64,
    /// The cost of each further evacuation in progress for the others, as a fraction of the work.
    pub(super) friction: f64,
    /// The number of evacuations that are picked up in parallel; the others wait in order.
    pub(super) workers: usize,
    /// The time until an evacuation is picked up: seconds of waiting for other things than processors, and of processor
    /// time.
    pub(super) take_up: (f64, f64),
    /// The time from the pick-up until the instance is back.
    pub(super) rebuild: (f64, f64),
    /// The relative spread of each wait and each piece of work: 0 for none, 0.6 for 0.4 to 1.6 times.
    pub(super) spread: f64,
    /// The processor time of a poll.
    pub(super) poll: f64,
    /// The time from which everything takes longer, and the factor.
    pub(super) slows: Option<(f64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Queued,
    TakeUp { wait: f64, work: f64 },
    Rebuild { wait: f64, work: f64 },
    Back,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    stage: Stage,
    pub(super) taken_up: Option<f64>,
    pub(super) back: Option<f64>,
}

pub(super) struct Nova {
    pub(super) kind: Kind,
    pub(super) now: f64,
    pub(super) jobs: Vec<Job>,
    open: Vec<usize>,
    seed: u64,
}

impl Nova {
    pub(super) fn new(kind: Kind, seed: u64) -> Self {
        Self {
            kind,
            now: 0.0,
            jobs: Vec::new(),
            open: Vec::new(),
            seed: seed.wrapping_mul(2_654_435_761).wrapping_add(1),
        }
    }

    /// Returns a number from 0 to 1.
    fn chance(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        f64::from(u32::try_from(self.seed >> 32).unwrap()) / f64::from(u32::MAX)
    }

    fn draw_around(&mut self, seconds: f64) -> f64 {
        let spread = self.kind.spread;
        seconds * (1.0 - spread + 2.0 * spread * self.chance())
    }

    pub(super) fn evacuate(&mut self) -> usize {
        self.jobs.push(Job {
            stage: Stage::Queued,
            taken_up: None,
            back: None,
        });
        self.open.push(self.jobs.len() - 1);
        self.jobs.len() - 1
    }

    fn slowness(&self) -> f64 {
        match self.kind.slows {
            Some((at, times)) if self.now >= at => times,
            _ => 1.0,
        }
    }

    fn is_working(stage: Stage) -> bool {
        matches!(stage, Stage::TakeUp { wait, .. } | Stage::Rebuild { wait, .. } if wait <= 0.0)
    }

    fn working(&self) -> f64 {
        let count = self
            .open
            .iter()
            .filter(|at| Self::is_working(self.jobs[**at].stage))
            .count();
        f64::from(u32::try_from(count).unwrap())
    }

    /// Returns the current time for the answer to a poll.
    pub(super) fn poll_duration(&self) -> f64 {
        self.kind.poll * self.slowness() * ((self.working() + 1.0) / self.kind.processors).max(1.0)
    }

    pub(super) fn step(&mut self) {
        let mut left = STEP / self.slowness();
        // One job may end and the next may start within a step.
        while left > 1e-9 {
            self.begin();
            let working = self.working();
            let others = (working - 1.0).max(0.0);
            let share =
                (self.kind.processors / working.max(1.0)).min(1.0) / (1.0 + self.kind.friction * others);
            let ends = self.open.iter().filter_map(|at| match self.jobs[*at].stage {
                Stage::TakeUp { wait, work } | Stage::Rebuild { wait, work } => {
                    Some(if wait > 0.0 { wait } else { work / share })
                }
                Stage::Queued | Stage::Back => None,
            });
            let part = ends.fold(left, f64::min).max(1e-9);
            left -= part;
            self.now += part * self.slowness();
            for at in self.open.clone() {
                self.advance(at, part, share);
            }
            self.open.retain(|at| self.jobs[*at].back.is_none());
        }
    }

    fn begin(&mut self) {
        let busy = |job: &Job| matches!(job.stage, Stage::TakeUp { .. });
        let mut free = self.kind.workers - self.open.iter().filter(|at| busy(&self.jobs[**at])).count();
        for at in self.open.clone() {
            if free == 0 {
                return;
            }
            if self.jobs[at].stage == Stage::Queued {
                let (wait, work) = self.kind.take_up;
                let (wait, work) = (self.draw_around(wait), self.draw_around(work));
                self.jobs[at].stage = Stage::TakeUp { wait, work };
                free -= 1;
            }
        }
    }

    fn advance(&mut self, at: usize, part: f64, share: f64) {
        let less = |wait: f64, work: f64| {
            if wait > 0.0 {
                (wait - part, work)
            } else {
                (0.0, work - part * share)
            }
        };
        match self.jobs[at].stage {
            Stage::TakeUp { wait, work } => {
                let (wait, work) = less(wait, work);
                self.jobs[at].stage = Stage::TakeUp { wait, work };
                if wait <= 1e-9 && work <= 1e-9 {
                    let (wait, work) = self.kind.rebuild;
                    let (wait, work) = (self.draw_around(wait), self.draw_around(work));
                    self.jobs[at].stage = Stage::Rebuild { wait, work };
                    self.jobs[at].taken_up = Some(self.now);
                }
            }
            Stage::Rebuild { wait, work } => {
                let (wait, work) = less(wait, work);
                self.jobs[at].stage = Stage::Rebuild { wait, work };
                if wait <= 1e-9 && work <= 1e-9 {
                    self.jobs[at].stage = Stage::Back;
                    self.jobs[at].back = Some(self.now);
                }
            }
            Stage::Queued | Stage::Back => {}
        }
    }
}
