//! Invariants read from the machines and the journal, never from an engine's memory.

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::host_recovery::{End, HostRecovery, Move, MoveStep};
use tachi_domain::nova::{Actor, MigrationType, PowerState, VmState};
use tachi_domain::recovery::{Life, OperatorCommand, RecoveryKind};

use crate::calls::index_of;
use crate::journal::RecIx;
use crate::mishap::Mishap;
use crate::nova::ServerIx;
use crate::weather::Failure;
use crate::world::{HOSTS, World};

impl World {
    /// Checks that no instance runs in two places.
    pub(crate) fn check_never_two(&mut self) {
        for server in 0..self.nova.servers.len() {
            // Damage that only operators can prevent is counted and is no violation.
            if self.slipped.contains(&server) || self.report_ledger.trusted_normals.contains(&server) {
                continue;
            }
            let places: Vec<usize> = (0..HOSTS)
                .filter(|host| self.machines[*host].runs(server))
                .collect();
            if places.len() > 1 {
                return self.violate(format!("vm-{server} runs on hosts {places:?}"));
            }
        }
    }

    pub(crate) fn moves_of(&self, rec: RecIx) -> Vec<Move> {
        self.journal.recs[rec]
            .moves
            .values()
            .map(|row| serde_json::from_str(&row.state).unwrap())
            .collect()
    }

    /// Checks that no recovery ends as `ignored` after a report with a real failure joined it (R19).
    pub(crate) fn check_late_normal(&mut self, rec: RecIx, lacks_normal: bool) {
        let row = &self.journal.recs[rec];
        let is_forbidden = row
            .message
            .as_deref()
            .is_some_and(|text| text.contains("the segment is disabled"));
        if lacks_normal && row.status == NotificationStatus::Ignored && row.joined && !is_forbidden {
            self.violate(format!(
                "recovery {rec} was ignored although a report with NORMAL had joined it (R19)"
            ));
        }
    }

    /// Checks terminal statuses: every move is done, and with `finished` no instance is lost.
    pub(crate) fn check_terminal(&mut self, rec: RecIx, status: NotificationStatus) {
        let moves = self.moves_of(rec);
        if let Some(open) = moves.iter().find(|instance| !instance.is_finished()) {
            let text = format!(
                "notification of {rec} is {status}, and {} is {:?}",
                open.name, open.step
            );
            return self.violate(text);
        }
        let persons = moves
            .iter()
            .any(|instance| instance.step == MoveStep::Done(End::Person));
        if persons && status == NotificationStatus::Finished {
            self.violate(format!(
                "notification of {rec} is finished with instances that need an operator"
            ));
        }
    }

    /// True if no awaited event is left.
    pub(crate) fn is_done(&self) -> bool {
        !self.chaos()
            && self.now > self.weather.chaos_end + 200_000
            && (!self.journal.recs.is_empty() || self.nobody_reports_it())
            && self.journal.recs.iter().all(|row| row.life == Life::Closed)
            // A guard that holds a host for ever shows as "still not settled".
            && self.held_at_boot.is_empty()
    }

    /// True if the monitors, which check before a report, found the host back.
    fn nobody_reports_it(&self) -> bool {
        self.weather.liars.is_some() && self.machines[0].beats()
    }

    /// True if a recovery has ended with a request to an operator.
    pub(crate) fn is_left_to_operator(&self, server: ServerIx) -> bool {
        let left_to_operator = |instance: &Move| {
            index_of(instance.server) == server
                && matches!(instance.step, MoveStep::Done(End::Person | End::Left))
        };
        (0..self.journal.recs.len()).any(|rec| self.moves_of(rec).iter().any(left_to_operator))
    }

    /// True if an operator ended the recovery of this mark and the message warned of leftover locks.
    fn may_be_locked(&self, mark: &str) -> bool {
        let warning = format!("may be locked ({mark})");
        let ended = self.journal.recs.iter().filter_map(|rec| rec.message.as_deref());
        ended.into_iter().any(|message| message.contains(&warning))
    }

    pub(crate) fn check_end(&mut self) {
        for server in 0..self.nova.servers.len() {
            let row = self.nova.servers[server].clone();
            if !row.exists {
                continue;
            }
            let locked = row.locked.as_deref().filter(|reason| reason.starts_with("tachi"));
            // The reason continues with the state in which the instance was found.
            let mark = locked.and_then(|reason| reason.split(" found ").next());
            if mark.is_some_and(|mark| !self.may_be_locked(mark)) {
                return self.violate(format!("vm-{server} is left locked by us"));
            }
            // An abort after the power-off makes the operator responsible; the message says so.
            let rejected = self.journal.given.iter().any(|(of, _)| {
                let rec = &self.journal.recs[*of];
                rec.host == row.host && rec.commands.contains(&OperatorCommand::Reject)
            });
            let at_home = !self.ever_failed.contains(&row.host) && !rejected && !self.was_silenced(row.host);
            if at_home
                && row.launched
                && row.vm_state == VmState::Active
                && !self.restarted.contains(&server)
                && !self.machines[row.host].runs(server)
                && !self.is_left_to_operator(server)
                && !self.arrivals.lost.iter().any(|(lost, _)| *lost == server)
            {
                return self.violate(format!(
                    "vm-{server} should run on host {} and does not",
                    row.host
                ));
            }
        }
        for rec in 0..self.journal.recs.len() {
            let host = self.journal.recs[rec].host;
            let forced = self.nova.services[host].forced_down;
            if forced && self.machines[host].beats() && !self.report_ledger.unmarked.contains(&host) {
                return self.violate(format!("forced_down of host {host} was never cleared (R22)"));
            }
            self.check_states(rec);
            self.check_writes(rec);
            self.check_asked(rec);
            self.check_left_for_disk(rec);
        }
        self.check_excluded();
        self.check_reserve();
        self.check_held();
        self.check_arrivals();
        let registered = self.nova.services[0].registered > 0 || self.nova.services[0].gone;
        if self.weather.foreign
            && !registered
            && self.nova.services[0].reason.as_deref() != Some("disk is being replaced")
        {
            self.violate("another client's disable reason was overwritten (R23)".into());
        }
        // A report that matches Nova's heartbeat outage must be believed (G3).
        let borne_out = self.mishaps.count(Mishap::NovaDeaf) > 0;
        let healthy = self.weather.failure == Failure::FalseAlarm && self.ever_failed.is_empty();
        // With liars the power-off itself is checked instead.
        let healthy = healthy && self.weather.faults.compute_down.is_none();
        if healthy && !borne_out && self.weather.liars.is_none() && !self.jobs.is_empty() {
            self.violate("instances of a healthy host were evacuated".into());
        }
    }

    /// Checks that every moved instance has its original state or a note with the reason.
    fn check_states(&mut self, rec: RecIx) {
        for instance in self.moves_of(rec) {
            let server = usize::try_from(instance.server.0.as_u128() - 0x5e7).unwrap();
            let row = &self.nova.servers[server];
            let again = self
                .nova
                .migrations
                .iter()
                .filter(|row| row.server == server && row.kind == MigrationType::Evacuation)
                .any(|row| row.source != self.journal.recs[rec].host);
            // Or the database lost the original state (R33).
            let noted = instance
                .note
                .as_deref()
                .is_some_and(|note| note.contains("moved, but") || note.contains("is not known"));
            let resumed = self.ever_failed.contains(&row.host);
            // An instance that an earlier recovery left in `error` returns to `error`.
            let left_before = (0..rec).any(|earlier| {
                self.moves_of(earlier)
                    .iter()
                    .any(|other| other.server == instance.server && other.step == MoveStep::Done(End::Person))
            });
            // Or Nova found it shut down before the move: INSTANCE_DOWN names it.
            let found = row.actions.last() == Some(&("stop", Actor::Nova));
            let known = found || self.restarted.contains(&server) || self.slipped.contains(&server);
            if instance.step != MoveStep::Done(End::Moved)
                || known
                || !row.exists
                || again
                || noted
                || resumed
                || left_before
            {
                continue;
            }
            let (was, power) = &self.was[server];
            let expected = match was {
                VmState::Rescued => VmState::Stopped,
                other => other.clone(),
            };
            if row.vm_state != expected {
                let text = format!(
                    "vm-{server} was {was} and is {}, and no note shows why",
                    row.vm_state
                );
                return self.violate(text);
            }
            let stopped = expected == VmState::Error && *power != PowerState::Running;
            if stopped && self.machines[row.host].runs(server) {
                return self.violate(format!("vm-{server} was in error and off, and runs"));
            }
        }
    }

    /// Checks that lists are read once per tick of 500 ms, with few more, for any number of instances (R13).
    /// The loss of a local disk must be noted (R14).
    fn check_asked(&mut self, rec: RecIx) {
        let row = &self.journal.recs[rec];
        let open_for = self.now - row.opened;
        if row.lists > 20 + open_for / 550 {
            let lists = row.lists;
            return self.violate(format!(
                "the lists of recovery {rec} were read {lists} times in {open_for} ms (R13)"
            ));
        }
        let is_noted = |instance: &Move| {
            let note = instance.note.as_deref();
            note.is_some_and(|note| note.contains("local disk discarded"))
        };
        let silent = self.moves_of(rec).into_iter().find(|instance| {
            instance.image_backed && instance.step == MoveStep::Done(End::Moved) && !is_noted(instance)
        });
        if let Some(instance) = silent {
            self.violate(format!(
                "{} has lost its local disk and no note shows it (R14)",
                instance.name
            ));
        }
    }

    /// Checks that an ordinary move takes three transactions and that messages do not flap (R7).
    fn check_writes(&mut self, rec: RecIx) {
        let harmless = [
            Mishap::RebuildSlow,
            Mishap::ReportLate,
            Mishap::ReportAgain,
            Mishap::AnswerTwice,
            Mishap::LateThread,
            Mishap::PowerFlickers,
            Mishap::ClockJump,
            Mishap::WakeLost,
            Mishap::WakeLate,
            Mishap::WakeTwice,
        ];
        let calm = self.stats.not_sent == 0
            && Mishap::ALL
                .iter()
                .all(|what| harmless.contains(what) || self.mishaps.count(*what) == 0);
        let row = &self.journal.recs[rec];
        let messages = row.messages;
        if messages > 400 {
            return self.violate(format!("the notification of {rec} was written {messages} times"));
        }
        // Each retry elsewhere is another transaction.
        let one_way = self.journal.reserve.method == RecoveryMethod::Auto;
        if !calm || !one_way {
            return;
        }
        for instance in self.moves_of(rec) {
            let server = usize::try_from(instance.server.0.as_u128() - 0x5e7).unwrap();
            let ordinary = matches!(self.was[server].0, VmState::Active | VmState::Stopped);
            // The plan's row is part of a batch.
            let writes = self.journal.recs[rec].writes[&instance.server].saturating_sub(1);
            if ordinary && instance.step == MoveStep::Done(End::Moved) && writes > 3 && instance.failures == 0
            {
                let text = format!("vm-{server} took {writes} transactions (R7)");
                return self.violate(text);
            }
        }
    }

    /// Returns the result of the seed in a form that does not depend on the types' structure.
    pub(crate) fn outcome(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:?} {:?} {:?} {} {:?} {}",
            self.violation,
            self.slip_harm,
            self.stats,
            self.slips,
            self.slipped,
            self.mishaps.line()
        )];
        for (rec, row) in self.journal.recs.iter().enumerate() {
            lines.push(format!(
                "{} {} {} {:?} {:?} {} {}",
                row.kind, row.host, row.status, row.life, row.message, row.epoch, row.messages
            ));
            for instance in self.moves_of(rec) {
                lines.push(format!(
                    "{} {:?} {:?} {:?}",
                    instance.name,
                    instance.status(),
                    instance.dest,
                    instance.note
                ));
            }
        }
        for server in &self.nova.servers {
            lines.push(format!("{} {}", server.host, server.vm_state));
        }
        lines
    }

    pub(crate) fn last_messages(&self) -> Vec<String> {
        self.journal
            .recs
            .iter()
            .enumerate()
            .map(|(rec, row)| {
                let moves: Vec<String> = row
                    .moves
                    .values()
                    .map(|instance| instance.state.clone())
                    .collect();
                let stage = row
                    .head
                    .as_ref()
                    .filter(|_| row.kind == RecoveryKind::Host)
                    .map(|head| HostRecovery::restore(head, &moves).unwrap())
                    .map(|state| {
                        format!(
                            "{:?} hold {:?} rejected {:?} service {:?} fence {:?}",
                            state.stage, state.hold, state.rejected, state.service, state.fence
                        )
                    });
                let steps: Vec<String> = self
                    .moves_of(rec)
                    .iter()
                    .map(|instance| {
                        format!(
                            "{} {:?} lock {:?} loose {:?} {:?}",
                            instance.name,
                            instance.step,
                            instance.lock,
                            instance.unanswered_lock,
                            instance.note
                        )
                    })
                    .collect();
                format!(
                    "recovery {rec} ({}): {} {:?} {:?} {stage:?} {steps:#?}",
                    row.kind, row.status, row.life, row.message
                )
            })
            .collect()
    }
}
