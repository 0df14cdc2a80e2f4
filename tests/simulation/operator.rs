//! Operators: they act during the chaos phase and clean up afterwards.

use std::collections::BTreeSet;

use tachi_domain::WaitsFor;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::host_recovery::{HoldKind, HostRecovery, MoveStep};
use tachi_domain::nova::MigrationType;
use tachi_domain::recovery::{Life, OperatorCommand, RecoveryKind, ResolutionKind};

use crate::calls::index_of;
use crate::journal::{Rec, RecIx};
use crate::machines::Bmc;
use crate::mishap::Mishap;
use crate::nova::{HostIx, host_name};
use crate::reserve::index_named;
use crate::world::{Event, HOSTS, World, note};

impl World {
    pub(crate) fn operate(&mut self) {
        if self.chaos() {
            if self.rng.percent(self.weather.meddling) {
                self.interfere();
            }
        } else {
            self.clear_up();
        }
        self.note_expired();
        self.freeze_or_thaw();
        self.check_real_pace();
        self.after(5_000, Event::Operator);
    }

    fn interfere(&mut self) {
        self.stats.operator_actions += 1;
        if self.journal.recs.is_empty() {
            return;
        }
        let rec = self.rng.below(self.journal.recs.len());
        match self.rng.between(0, 5) {
            0 | 1 => {
                self.mishap(Mishap::SegmentDisabled);
                self.journal.segment_enabled = !self.journal.segment_enabled;
            }
            2 if self.journal.off_maintenance(0) => {}
            2 => {
                self.mishap(Mishap::HostEdited);
                self.journal.maintenance.insert(0);
            }
            3 | 4 if rec < self.journal.recs.len() => {
                let host = self.journal.recs[rec].host;
                if !self.machines[host].powered && self.rng.percent(30) {
                    self.confirm_off(rec);
                } else {
                    self.mishap(Mishap::Approved);
                    self.journal.submit(rec, OperatorCommand::Approve, self.now);
                }
            }
            5 if rec < self.journal.recs.len() && self.rng.percent(30) => {
                self.mishap(Mishap::Rejected);
                self.journal.submit(rec, OperatorCommand::Reject, self.now);
            }
            _ => {}
        }
        note!(
            self,
            "operator: enabled {}, maintenance {:?}",
            self.journal.segment_enabled,
            self.journal.maintenance
        );
    }

    /// Confirms the host off after checking that it has no power.
    fn confirm_off(&mut self, rec: RecIx) {
        self.mishap(Mishap::Vouched);
        self.journal.submit(rec, OperatorCommand::HostIsOff, self.now);
    }

    fn clear_up(&mut self) {
        self.weather.more.queue_kept = false;
        self.journal.segment_enabled = true;
        for host in 0..HOSTS {
            if self.machines[host].beats() {
                self.journal.off_maintenance(host);
            }
            self.journal.maintenance.remove(&host);
        }
        for rec in 0..self.journal.recs.len() {
            let row = &self.journal.recs[rec];
            if row.life == Life::Open && row.status == NotificationStatus::Running && row.message.is_some() {
                self.acknowledge(rec);
            }
        }
        self.reinstall(0);
        // Monitors report hosts again that are dead and have no recovery.
        for host in self.ever_failed.clone() {
            let seen_to =
                self.journal.recs.iter().any(|row| {
                    row.kind == RecoveryKind::Host && row.host == host && row.life != Life::Closed
                });
            if !seen_to && !self.machines[host].beats() && !self.booted.contains(&host) {
                self.notify(host);
            }
        }
        if self.now < self.weather.chaos_end + 100_000 {
            return;
        }
        if self.journal.recs.iter().any(|row| row.life == Life::Open) {
            return self.repair_first();
        }
        // Every move is done: dead hosts are repaired and powered on, and isolated hosts are reconnected.
        for host in 0..HOSTS {
            if !self.machines[host].powered {
                self.boot(host);
            } else if !self.machines[host].compute && !self.booted.contains(&host) {
                self.machines[host].power_off();
                self.boot(host);
            } else if self.machines[host].beats()
                && self.nova.services[host].forced_down
                && self.now > self.weather.chaos_end + 400_000
            {
                // An instance evacuated after its nova-compute had started needs another start.
                let life = self.machines[host].life;
                self.compute_start(host, life);
            } else if !self.machines[host].network {
                self.machines[host].network = true;
                self.failed.remove(&host);
            }
        }
    }

    /// Reinstalls a host whose service record is deleted.
    fn reinstall(&mut self, host: HostIx) {
        if self.nova.services[host].gone && self.now > self.weather.chaos_end + 60_000 {
            self.boot(host);
        }
    }

    /// Repairs a host when recoveries are open and no host is left. Without a host nothing fits, and without a
    /// heartbeat nothing shows that Nova's messages get through.
    fn repair_first(&mut self) {
        if (0..HOSTS).any(|host| self.machines[host].beats()) {
            return;
        }
        let worked_at = |rec: &Rec| rec.kind == RecoveryKind::Host && rec.life == Life::Open;
        let recs = self.journal.recs.iter().filter(|rec| worked_at(rec));
        let hosts: BTreeSet<HostIx> = recs.map(|rec| rec.host).collect();
        for host in (0..HOSTS).filter(|host| !hosts.contains(host)) {
            self.boot(host);
        }
    }

    fn acknowledge(&mut self, rec: RecIx) {
        let row = &self.journal.recs[rec];
        if row.kind == RecoveryKind::Process
            && row.message.as_deref().is_some_and(|text| text.contains("G12"))
        {
            return self.journal.submit(rec, OperatorCommand::Approve, self.now);
        }
        if row.kind.is_planned() && self.rng.percent(5) {
            self.mishap(Mishap::DrainAborted);
            return self.journal.submit(rec, OperatorCommand::Reject, self.now);
        }
        if row.kind != RecoveryKind::Host {
            return;
        }
        let Some(state) = self.state_of(rec) else { return };
        self.handle_host(rec, &state);
        self.states.insert(rec, (self.journal.recs[rec].version, state));
    }

    /// Returns a recovery's state; parses it again only if it has changed.
    fn state_of(&mut self, rec: RecIx) -> Option<HostRecovery> {
        let row = &self.journal.recs[rec];
        let kept = self.states.remove(&rec);
        if let Some((_, state)) = kept.filter(|(version, _)| *version == row.version) {
            return Some(state);
        }
        let moves: Vec<String> = row.moves.values().map(|one| one.state.clone()).collect();
        let head = row.head.as_ref()?;
        Some(HostRecovery::restore(head, &moves).unwrap())
    }

    fn handle_host(&mut self, rec: RecIx, state: &HostRecovery) {
        let row = &self.journal.recs[rec];
        let host = row.host;
        let message = row.message.clone();
        // The operator corrects its address and cabling.
        if message
            .as_deref()
            .is_some_and(|text| text.contains("answers for another machine"))
        {
            self.machines[host].bmc = Bmc::Truth;
        }
        if let Some(request) = message
            .clone()
            .filter(|text| text.contains("must be reported and confirmed off"))
        {
            // Includes hosts whose own recovery was aborted and is only watched since.
            let dead = |host: &usize| !self.machines[*host].powered && request.contains(&host_name(*host));
            for host in (0..HOSTS).filter(dead).collect::<Vec<_>>() {
                self.notify(host);
            }
        }
        let shows_wait = message
            .as_deref()
            .is_some_and(|text| text.starts_with("waiting for"));
        let waits = state.hold.is_none() && shows_wait;
        if let Some(waiting) = state.guard.waiting.as_ref().filter(|_| waits) {
            let long = state.deadline_from.since(waiting.since) > std::time::Duration::from_secs(400);
            let liftable = waiting.guards.iter().all(|guard| guard.can_be_lifted());
            match (liftable, long) {
                (true, _) if self.rng.percent(10) => {
                    self.journal.submit(rec, OperatorCommand::Approve, self.now);
                }
                (false, true) => self.journal.submit(rec, OperatorCommand::Reject, self.now),
                (true | false, _) => {}
            }
            return;
        }
        if let Some(hold) = &state.hold {
            match hold.kind {
                // The check shows that the host is up.
                HoldKind::Storm if self.weather.liars.is_some() && self.machines[host].beats() => {
                    self.journal.submit(rec, OperatorCommand::Reject, self.now);
                }
                HoldKind::Storm => self.journal.submit(rec, OperatorCommand::Approve, self.now),
                HoldKind::Fence | HoldKind::Alive | HoldKind::DryRun => {
                    self.machines[host].bmc = Bmc::Truth;
                    if self.rng.percent(70) {
                        self.failed.insert(host);
                        self.ever_failed.insert(host);
                        self.power_off(host, "as the message asks");
                        if hold.kind == HoldKind::Fence && self.rng.percent(30) {
                            // The controller is still broken, so the operator pulls the cords.
                            self.machines[host].bmc = self.weather.bmc;
                            self.confirm_off(rec);
                        } else {
                            self.journal.submit(rec, OperatorCommand::Approve, self.now);
                        }
                    } else {
                        self.journal.submit(rec, OperatorCommand::Reject, self.now);
                    }
                }
            }
        }
        self.handle_moves(rec, state);
        // The operator checks at which end the guest of an unfinished live migration runs.
        for one in state.moves.values().filter(|one| one.step == MoveStep::OnHold) {
            let server = usize::try_from(one.server.0.as_u128() - 0x5e7).unwrap();
            let mut there = false;
            for row in &mut self.nova.migrations {
                let moves = row.kind != MigrationType::Evacuation && crate::nova::unfinished(row.status);
                if row.server == server && moves {
                    let dest = row.dest.filter(|dest| self.machines[*dest].runs(server));
                    there = dest.is_some();
                    let live = row.kind == MigrationType::LiveMigration;
                    row.status = match there {
                        true if live => "completed",
                        true => "confirmed",
                        false => "error",
                    };
                    if let Some(dest) = dest {
                        self.nova.servers[server].host = dest;
                    }
                }
            }
            if let Some(dest) = self.switched_to(server) {
                there = self.machines[dest].runs(server);
                if there {
                    self.nova.servers[server].host = dest;
                    self.nova.servers[server].task_state = None;
                } else {
                    self.journal
                        .submit_failure(rec, one.server, Some(host_name(dest)));
                }
            }
            // Nova evacuates nothing from a host without a service record.
            if self.nova.services[self.nova.servers[server].host].gone {
                self.journal
                    .resolve_instance(rec, one.server, ResolutionKind::Ignore, None);
            }
            note!(
                self,
                "operator has checked vm-{server}: runs at the destination: {there}"
            );
        }
    }

    /// Returns the destination of a live migration by its record, not by Nova's view of the instance.
    fn switched_to(&self, server: usize) -> Option<usize> {
        let shown = self.nova.servers[server].host;
        let mut rows = self.nova.migrations.iter().rev();
        let last = rows.find(|row| row.server == server && row.kind == MigrationType::LiveMigration)?;
        let switched = last.status == "completed" && last.source == shown;
        last.dest.filter(|_| switched)
    }

    /// Checks a host where an instance may run, ends its guest there, prevents further work by Nova, and
    /// records that.
    fn handle_moves(&mut self, rec: RecIx, state: &HostRecovery) {
        for instance in state.moves.values() {
            let server = index_of(instance.server);
            if instance.step == MoveStep::OnHold && !instance.may_run.is_empty() {
                for host in instance.may_run.iter().map(|name| index_named(name)) {
                    self.end_guest(host, server);
                    self.journal
                        .submit_failure(rec, instance.server, Some(host_name(host)));
                }
            } else if instance.waits_for() == WaitsFor::Progress {
                for job in self.jobs.iter_mut().filter(|job| job.server == server) {
                    job.over = true;
                }
                // The destination, and the hosts where the guest may run.
                let named = instance.dest.iter().chain(&instance.may_run).cloned();
                let mut named: Vec<Option<String>> = named.map(Some).collect();
                if named.is_empty() {
                    named.push(None);
                }
                for host in named {
                    if let Some(host) = host.as_deref().map(index_named) {
                        self.end_guest(host, server);
                    }
                    self.mishap(Mishap::FailureConfirmed);
                    self.journal.submit_failure(rec, instance.server, host);
                }
            }
        }
    }

    fn end_guest(&mut self, host: usize, server: usize) {
        if self.nova.servers[server].host != host && self.machines[host].guests.remove(&server).is_some() {
            note!(self, "operator ends the guest of vm-{server} on host {host}");
        }
        self.mishap(Mishap::FailureConfirmed);
    }
}
