//! A Nova API server whose database lags, and task states left by a dead host. Draws come from a separate
//! generator, so that additions do not change other faults.

use crate::mishap::Mishap;
use crate::nova::{HostIx, Refusal, ServerIx};
use crate::rng::Rng;
use crate::world::{World, note};

/// Task states that a dying host leaves.
const TASKS: [&str; 4] = [
    "powering-off",
    "rebooting_hard",
    "image_uploading",
    "updating_password",
];

#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals {
    /// Period in which evacuations are refused, from and to.
    pub lagging: Option<(u64, u64)>,
    /// True if Nova lacks the fix of LP#1978983 and evacuates no instance with a task state.
    pub strict: bool,
    /// Percent of a host's instances that have a task state when it dies.
    pub tasks: u64,
}

impl Refusals {
    pub(crate) fn draw(seed: u64, chaos_end: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed_0007);
        let from = rng.between(5_000, 90_000);
        let to = from + rng.between(2_000, 100_000);
        let lagging = rng.percent(10);
        let strict = rng.percent(25);
        let tasks = rng.between(10, 60);
        Self {
            lagging: lagging.then_some((from, to.min(chaos_end))),
            strict,
            tasks: if rng.percent(25) { tasks } else { 0 },
        }
    }
}

impl World {
    /// Returns the API's reason to refuse an evacuation before it checks the host.
    pub(crate) fn refusal(&mut self, server: ServerIx) -> Result<(), Refusal> {
        let lagging = self.weather.refusals.lagging;
        if lagging.is_some_and(|(from, to)| self.now >= from && self.now < to) {
            self.mishap(Mishap::ApiLags);
            return Err(if self.rng.percent(50) { 400 } else { 409 });
        }
        if self.weather.refusals.strict && self.nova.servers[server].task_state.is_some() {
            self.mishap(Mishap::TaskStays);
            return Err(409);
        }
        Ok(())
    }

    /// Sets a task state on an instance of a dying host.
    pub(crate) fn leave_tasks(&mut self, host: HostIx) {
        for server in 0..self.nova.servers.len() {
            let row = &self.nova.servers[server];
            let free = row.exists && row.launched && row.host == host && row.task_state.is_none();
            if free && self.weather.refusals.tasks > 0 && self.rng.percent(self.weather.refusals.tasks) {
                let task = TASKS[self.rng.below(TASKS.len())];
                self.nova.servers[server].task_state = Some(task);
                note!(self, "host {host} dies during {task} of vm-{server}");
            }
        }
    }
}
