//! Reports and wake-ups, failures of single instances and processes, calls by users, and returns of hosts at
//! the worst moments.

use tachi_domain::nova::{PowerState, VmState};
use tachi_domain::policy::FencingMode;
use tachi_domain::recovery::{Life, RecoveryKind};

use crate::journal::RecIx;
use crate::mishap::Mishap;
use crate::more_weather::ReturnMoment;
use crate::nova::{HostIx, ServerIx};
use crate::weather::Failure;
use crate::world::{Event, World, note};

impl World {
    /// Schedules the timed events of the second half of the weather.
    pub(crate) fn plan_more(&mut self) {
        let more = self.weather.more.clone();
        if let Some((at, seconds)) = more.clock_jump {
            let engine = self.rng.below(self.weather.engines);
            self.at(at, Event::Jump { engine, seconds });
        }
        if let Some(at) = more.vm_fails {
            self.at(at, Event::VmFails);
        }
        if let Some(at) = more.process_fails {
            self.at(at, Event::ProcessFails);
        }
        if more.user_calls {
            for _ in 0..4 {
                let at = self.rng.between(1_000, self.weather.chaos_end);
                self.at(at, Event::UserCall);
            }
        }
    }

    /// Reports a host as a monitor does. The API joins the report to an open recovery, or opens one and wakes
    /// the engines.
    pub(crate) fn notify(&mut self, host: HostIx) {
        if self.chaos()
            && let Some(after) = self.weather.more.report_again
        {
            let still = !self.machines[host].beats() || self.weather.failure == Failure::FalseAlarm;
            if still {
                self.after(after, Event::Notify { host });
            }
        }
        let before = self
            .journal
            .recs
            .iter()
            .any(|row| row.kind == RecoveryKind::Host && row.host == host);
        let external = self.weather.mode == FencingMode::External;
        let reported = if external && self.weather.more.unknown_first && !before {
            self.mishap(Mishap::ReportUnknown);
            "UNKNOWN"
        } else {
            self.weather.reported
        };
        if before {
            self.mishap(Mishap::ReportAgain);
        }
        let fenced = (external && reported == "UNKNOWN").then(|| {
            // External fencing is complete by then.
            let most = if self.rng.percent(50) { 150 } else { 2_500 };
            self.rng.between(1, most)
        });
        // A late report shows the state at the time of the observation.
        let late = self.weather.more.late_report.filter(|_| host == 0 && !before);
        let mut observed_at = self.now.saturating_sub(late.unwrap_or(0));
        if external && before && self.machines[host].powered {
            // No confirmation is possible for a running host: this report waited in a spool.
            observed_at = self.machines[host].on_since.saturating_sub(1);
        }
        let accepted = self.report_seen(RecoveryKind::Host, host, None, reported, observed_at);
        // A refused report is repeated only by a reporter that still sees the failure.
        if let Some(soon) = fenced.filter(|_| accepted) {
            self.after(soon, Event::Notify { host });
        }
    }

    fn report(&mut self, kind: RecoveryKind, host: HostIx, server: Option<ServerIx>, reported: &'static str) {
        self.report_seen(kind, host, server, reported, self.now);
    }

    fn report_seen(
        &mut self,
        kind: RecoveryKind,
        host: HostIx,
        server: Option<ServerIx>,
        reported: &'static str,
        observed_at: u64,
    ) -> bool {
        if self.weather.liars.is_some() {
            return self.send_report(kind, host, server, reported, observed_at);
        }
        let times = (observed_at, self.now);
        let Some(rec) = self.journal.open(kind, host, server, reported, times) else {
            return false;
        };
        note!(
            self,
            "host {host} is reported ({kind} {server:?} {reported}): recovery {rec}"
        );
        self.check_one_open(host);
        self.wake();
        true
    }

    /// Wakes the engines. Wake-ups shorten the delay; correctness does not depend on them.
    pub(crate) fn wake(&mut self) {
        for engine in 0..self.engines.len() {
            let life = self.engines[engine].life;
            let soon = self.rng.between(1, 50);
            let bad = self.chaos() && self.weather.more.bad_wakes;
            match if bad { self.rng.between(0, 3) } else { 3 } {
                0 => self.mishap(Mishap::WakeLost),
                1 => {
                    self.mishap(Mishap::WakeLate);
                    let late = self.rng.between(1_000, 20_000);
                    self.after(late, Event::Wakeup { engine, life });
                }
                2 => {
                    self.mishap(Mishap::WakeTwice);
                    self.after(soon, Event::Wakeup { engine, life });
                    self.after(soon * 2, Event::Wakeup { engine, life });
                }
                _ => self.after(soon, Event::Wakeup { engine, life }),
            }
        }
    }

    /// Kills a guest's process on a host that is up, or about to die.
    pub(crate) fn vm_fails(&mut self) {
        let all = self.nova.servers.len();
        let first = self.rng.below(all);
        let victim = (0..all).map(|step| (first + step) % all).find(|server| {
            let row = &self.nova.servers[*server];
            row.exists
                && row.vm_state == VmState::Active
                && self.machines[row.host].runs(*server)
                && self.machines[row.host].beats()
        });
        let Some(server) = victim else { return };
        let host = self.nova.servers[server].host;
        note!(self, "vm-{server} fails on host {host}");
        self.mishap(Mishap::VmReport);
        self.machines[host].guests.insert(server, false);
        self.nova.servers[server].power_state = PowerState::Shutdown;
        self.restarted.insert(server);
        self.report(RecoveryKind::Vm, host, Some(server), "");
    }

    /// Reports that nova-compute has stopped on a host, which may later die for other reasons.
    pub(crate) fn process_fails(&mut self) {
        let host = self.rng.below(2);
        // A disable reason of someone else has its own test.
        if !self.machines[host].beats() {
            return;
        }
        self.mishap(Mishap::ProcessReport);
        self.report(RecoveryKind::Process, host, None, "");
    }

    /// Applies a start or stop by a VM recovery or a user to the guest.
    pub(crate) fn apply_guest_call(&mut self, server: ServerIx, host: HostIx, life: u32, runs: bool) {
        let machine = &self.machines[host];
        let there = machine.beats() && machine.life == life && machine.guests.contains_key(&server);
        let row = &self.nova.servers[server];
        if !there || !row.exists || row.host != host {
            return;
        }
        if runs && self.start_fails() {
            note!(self, "vm-{server} does not start on host {host}");
            self.nova.servers[server].task_state = None;
            return;
        }
        self.machines[host].guests.insert(server, runs);
        let row = &mut self.nova.servers[server];
        row.task_state = None;
        row.vm_state = if runs { VmState::Active } else { VmState::Stopped };
        row.power_state = if runs {
            PowerState::Running
        } else {
            PowerState::Shutdown
        };
        self.guests_changed = true;
    }

    /// Reboots an instance for a user, as users do when it does not answer. Nova casts the reboot to the host,
    /// dead or not; a lock prevents it.
    pub(crate) fn user_call(&mut self) {
        let server = self.rng.below(self.weather.servers);
        if self.rng.percent(30) {
            return self.owner_locks(server);
        }
        let row = &self.nova.servers[server];
        let host = row.host;
        if !row.exists || row.locked.is_some() || row.task_state.is_some() || self.machines[host].beats() {
            return;
        }
        let being_moved = self.journal.recs.iter().any(|rec| {
            rec.is_open_for_host()
                && rec.host == host
                && rec
                    .moves
                    .get(&crate::nova::server_id(server))
                    .is_some_and(|move_row| {
                        move_row.open
                            && move_row.state.contains("\"at\":\"asked\"")
                            && move_row.state.contains("\"lock\":\"ours\"")
                    })
        });
        if being_moved {
            return self.violate(format!(
                "Nova accepts a user's call for vm-{server} during its move (R12)"
            ));
        }
        note!(
            self,
            "a user's call for vm-{server} waits in the queue of dead host {host}"
        );
        self.mishap(Mishap::CastQueued);
        self.queued.push((host, server));
    }

    /// Runs the calls in a host's queue when its nova-compute starts, unless the queue was purged (R12).
    pub(crate) fn run_queue(&mut self, host: HostIx) {
        let waiting: Vec<ServerIx> = self
            .queued
            .iter()
            .filter(|(on, _)| *on == host)
            .map(|(_, server)| *server)
            .collect();
        self.queued.retain(|(on, _)| *on != host);
        if !self.weather.more.queue_kept {
            return;
        }
        for server in waiting {
            self.mishap(Mishap::CastRun);
            note!(self, "host {host} runs a call for vm-{server} from its queue");
            // It does not check whether the instance is still here.
            self.slipped.insert(server);
            self.machines[host].guests.insert(server, true);
            // Nova gets the new state of an instance that is here.
            let row = &mut self.nova.servers[server];
            if row.exists && row.host == host {
                row.task_state = None;
                row.vm_state = VmState::Active;
                row.power_state = PowerState::Running;
            }
        }
        self.guests_changed = true;
    }

    /// Powers the failed host on at the worst moment.
    pub(crate) fn worst_moment(&mut self, which: ReturnMoment) {
        if self.return_triggered || !self.chaos() || self.weather.more.return_moment != Some(which) {
            return;
        }
        self.return_triggered = true;
        self.mishap(match which {
            ReturnMoment::Proof => Mishap::BackAtProof,
            ReturnMoment::ForcedDown => Mishap::BackAtForcedDown,
            ReturnMoment::Evacuate => Mishap::BackAtEvacuate,
            ReturnMoment::Moved => Mishap::BackAtMoved,
        });
        let soon = self.rng.between(0, 1_500);
        self.after(soon, Event::Boot { host: 0 });
    }

    /// Schedules the death of the first suitable destination, at a delay after the start of its build.
    pub(crate) fn destination_may_die(&mut self, dest: HostIx) {
        let Some(after) = self.weather.more.dest_dies else {
            return;
        };
        if self.dest_died || !self.chaos() || !self.ever_failed.contains(&0) {
            return;
        }
        self.dest_died = true;
        self.mishap(Mishap::DestinationDies);
        self.after(after, Event::Fail { host: dest });
        let delay = self.rng.between(500, 30_000);
        self.after(after + delay, Event::Notify { host: dest });
    }

    /// Measures the time from an owner's death to the claim by an engine that was alive throughout.
    pub(crate) fn measure_takeover(&mut self, engine: usize, rec: RecIx, epoch: u64) {
        let Some((was, died)) = self.journal.recs[rec].died.take() else {
            return;
        };
        // Stopped engines and database outages are excused.
        let hindered = self.weather.stopped > 0
            || !self.weather.pauses.is_empty()
            || self.weather.database > 0
            || self.weather.more.outage.is_some();
        let steady = self.engines[engine].life == 0 && was != engine && epoch > 1 && !hindered;
        if steady && self.journal.recs[rec].life == Life::Open {
            let took = self.now - died;
            self.stats.slowest_takeover = self.stats.slowest_takeover.max(took);
        }
    }
}
