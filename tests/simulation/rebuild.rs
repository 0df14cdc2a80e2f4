//! An evacuation after Nova's API has accepted it.

use tachi_domain::nova::{PowerState, VmState};

use crate::mishap::Mishap;
use crate::more_weather::ReturnMoment;
use crate::nova::{HostIx, Refusal, ServerIx, unfinished};
use crate::world::{Event, HOSTS, Job, World, note};

impl World {
    pub(crate) fn evacuate(&mut self, server: ServerIx, target: Option<HostIx>) -> Result<(), Refusal> {
        self.refusal(server)?;
        let skew = self.rng.between(0, 4_000);
        self.nova.evacuate(server, self.now, skew)?;
        self.stats.evacuations += 1;
        if self
            .jobs
            .iter()
            .any(|job| job.server == server && self.may_come_to_life(job))
        {
            self.violate(format!("two evacuations of vm-{server} are in flight"));
        }
        let before = self.jobs.iter().filter(|job| job.server == server).count();
        self.stats.evacuation_retries += u64::from(before > 0);
        let lost = self.chaos() && self.rng.percent(self.weather.cast_lost);
        self.stats.lost_casts += u64::from(lost);
        if lost {
            self.mishap(Mishap::CastLost);
        }
        self.jobs.push(Job {
            server,
            record: None,
            dest: None,
            was_stopped: self.nova.servers[server].vm_state == VmState::Stopped,
            over: lost,
            target,
        });
        if !lost {
            let delay = self.rng.between(20, 3_000);
            self.after(
                delay,
                Event::Conductor {
                    job: self.jobs.len() - 1,
                },
            );
        }
        Ok(())
    }

    /// True if an evacuation may still start the instance.
    fn may_come_to_life(&self, job: &Job) -> bool {
        !job.over
            && job
                .dest
                .is_none_or(|(host, life)| self.machines[host].powered && self.machines[host].life == life)
    }

    pub(crate) fn conductors_down(&self) -> bool {
        self.weather
            .conductor_down
            .is_some_and(|(from, to)| self.now >= from && self.now < to)
    }

    pub(crate) fn conductor(&mut self, job: usize) {
        if self.conductors_down() {
            self.mishap(Mishap::ConductorsDown);
            let delay = self.rng.between(1_000, 3_000);
            return self.after(delay, Event::Conductor { job });
        }
        let server = self.jobs[job].server;
        let source = self.nova.servers[server].host;
        let Some(row) = self
            .nova
            .migrations
            .iter_mut()
            .find(|row| row.server == server && row.status == "accepted")
        else {
            self.jobs[job].over = true;
            return;
        };
        self.jobs[job].record = Some(row.id);
        let id = row.id;
        let candidates: Vec<HostIx> = (0..HOSTS)
            .filter(|host| {
                *host != source
                    && self.jobs[job].target.is_none_or(|target| target == *host)
                    && self.nova.is_up(*host, self.now)
                    && !self.nova.services[*host].disabled
            })
            .collect();
        let fails = self.chaos() && self.rng.percent(self.weather.rebuild_fails) && self.rng.percent(30);
        if candidates.is_empty() || fails {
            self.mishap(Mishap::NoValidHost);
            self.set_status(id, "error");
            self.nova.servers[server].vm_state = VmState::Error;
            self.nova.servers[server].task_state = None;
            self.jobs[job].over = true;
            return;
        }
        let dest = candidates[self.rng.below(candidates.len())];
        self.destination_may_be_drained(dest);
        let life = self.machines[dest].life;
        let delay = self.rng.between(50, 1_500);
        self.after(delay, Event::Claim { job, dest, life });
    }

    fn set_status(&mut self, id: u64, status: &'static str) {
        if let Some(row) = self
            .nova
            .migrations
            .iter_mut()
            .find(|row| row.id == id && unfinished(row.status))
        {
            row.status = status;
        }
    }

    fn record_fails(&mut self, job: usize, error: bool) {
        self.mishap(Mishap::RebuildFails);
        let server = self.jobs[job].server;
        if let Some(id) = self.jobs[job].record {
            self.set_status(id, "failed");
        }
        if error {
            self.nova.servers[server].vm_state = VmState::Error;
        }
        self.nova.servers[server].task_state = None;
        self.jobs[job].over = true;
    }

    pub(crate) fn claim_job(&mut self, job: usize, dest: HostIx, life: u32) {
        let machine = &self.machines[dest];
        if !machine.powered || machine.life != life || !machine.compute || !machine.network {
            // The cast is in the queue of a dead host, which is purged before its nova-compute starts (R12).
            self.stats.lost_casts += 1;
            self.jobs[job].over = true;
            return;
        }
        self.jobs[job].dest = Some((dest, life));
        if self.chaos() && self.rng.percent(self.weather.rebuild_fails) && self.rng.percent(50) {
            return self.record_fails(job, false);
        }
        let server = self.jobs[job].server;
        let id = self.jobs[job].record.unwrap();
        if let Some(row) = self.nova.migrations.iter_mut().find(|row| row.id == id) {
            row.status = "pre-migrating";
            row.dest = Some(dest);
        }
        let delay = self.weather.rebuild_millis;
        if delay >= 60_000 {
            self.mishap(Mishap::RebuildSlow);
        }
        if self.chaos() && self.rng.percent(self.weather.compute_restarts) {
            note!(
                self,
                "nova-compute of host {dest} restarts during a rebuild of vm-{server}"
            );
            self.mishap(Mishap::ComputeRestarts);
            self.jobs[job].over = true;
            return;
        }
        self.after(delay, Event::Spawn { job });
        self.destination_may_die(dest);
    }

    /// Returns the destination if the build can continue there; it continues even if its results are lost.
    fn dest_of(&mut self, job: usize) -> Option<HostIx> {
        let (dest, life) = self.jobs[job].dest?;
        let machine = &self.machines[dest];
        let alive = machine.powered && machine.life == life && machine.compute && !self.jobs[job].over;
        if !alive {
            self.stats.dead_destinations += 1;
            self.jobs[job].over = true;
        }
        alive.then_some(dest)
    }

    pub(crate) fn spawn(&mut self, job: usize) {
        let Some(dest) = self.dest_of(job) else { return };
        let server = self.jobs[job].server;
        if !self.nova.servers[server].exists {
            self.jobs[job].over = true;
            return;
        }
        let reachable = self.machines[dest].network;
        if reachable && self.chaos() && self.rng.percent(self.weather.rebuild_fails) {
            return self.record_fails(job, true);
        }
        // Nova refuses a second guest of an instance on one host.
        if self.machines[dest].guests.get(&server) == Some(&true) {
            return self.record_fails(job, true);
        }
        note!(self, "vm-{server} runs on host {dest}");
        // From now on its former migration to another host is irrelevant.
        self.arrivals.lost.retain(|(lost, _)| *lost != server);
        self.machines[dest]
            .guests
            .insert(server, !self.jobs[job].was_stopped);
        self.guests_changed = true;
        if self.chaos() && self.rng.percent(self.weather.fails_after_spawn) {
            note!(
                self,
                "host {dest} cannot save vm-{server}: it runs and is recorded as failed"
            );
            self.mishap(Mishap::FailedAfterSpawn);
            return self.record_fails(job, true);
        }
        let delay = self.rng.between(100, 2_000);
        self.after(delay, Event::Switch { job });
    }

    pub(crate) fn switch(&mut self, job: usize) {
        let Some(dest) = self.dest_of(job) else { return };
        if !self.machines[dest].network {
            // Its result is lost.
            return;
        }
        let (server, stopped) = (self.jobs[job].server, self.jobs[job].was_stopped);
        let row = &mut self.nova.servers[server];
        row.host = dest;
        row.task_state = None;
        row.vm_state = if stopped {
            VmState::Stopped
        } else {
            VmState::Active
        };
        row.power_state = if stopped {
            PowerState::Shutdown
        } else {
            PowerState::Running
        };
        let delay = self.rng.between(10, 800);
        self.after(delay, Event::Finish { job });
    }

    pub(crate) fn finish_job(&mut self, job: usize) {
        if self.dest_of(job).is_some_and(|dest| self.machines[dest].network) {
            let id = self.jobs[job].record.unwrap();
            self.set_status(id, "done");
            self.jobs[job].over = true;
            self.worst_moment(ReturnMoment::Moved);
        }
    }
}
