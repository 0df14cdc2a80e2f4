//! Invariants at the moment of a call, read from the machines, Nova and the journal.

use std::time::Duration;

use tachi_domain::policy::FencingMode;
use tachi_domain::recovery::{Command, OperatorCommand};
use tachi_driver::journal::Write;

use crate::journal::RecIx;
use crate::mishap::Mishap;
use crate::nova::{HostIx, ServerIx};
use crate::world::{Owner, World};

/// Maximum age of a power reading at an evacuation (R17), and of the call beyond that (R4), in ms.
const MAX_READING_AGE: u64 = 31_000;

/// Maximum age of a heartbeat at a call (R2), and of its intent beyond that (R4), in ms.
pub(crate) const MAX_HEARTBEAT_AGE: u64 = 4_000;

/// Maximum time from the commit of an intent to its call (R4).
const MAX_INTENT_AGE: Duration = Duration::from_millis(500);

/// Maximum time from the send of the last committed heartbeat to a call (R2).
const BEAT: Duration = Duration::from_secs(3);

/// A sweep interval and the duration of a sweep, in ms.
const SWEEP_TIME: u64 = 2_100;

impl World {
    /// Checks that a host has at most one open recovery (R6).
    pub(crate) fn check_one_open(&mut self, host: HostIx) {
        let open = self
            .journal
            .recs
            .iter()
            .filter(|row| row.is_open_for_host() && row.host == host)
            .count();
        if open > 1 {
            self.violate(format!("{open} recoveries of host {host} are open at once (R6)"));
        }
    }

    /// Checks that no row stays in `new` for long (R21). Only dead or stopped engines and database outages are
    /// excused.
    pub(crate) fn check_waited(&mut self, rec: RecIx) {
        let row = &mut self.journal.recs[rec];
        let first = row.claimed.is_none();
        row.claimed.get_or_insert(self.now);
        let waited = self.now - row.opened;
        let excused = self.stats.crashes > 0
            || self.weather.more.outage.is_some()
            || self.weather.database > 0
            || [
                Mishap::Stopped,
                Mishap::StoppedAfterCommit,
                Mishap::StoppedAtPut,
                Mishap::Suspended,
                Mishap::StoppedAtLag,
                Mishap::OrderUnsent,
                Mishap::FailsOver,
            ]
            .iter()
            .any(|stopped| self.mishaps.count(*stopped) > 0);
        if first && !excused && waited > SWEEP_TIME {
            self.violate(format!(
                "recovery {rec} was open for {waited} ms before an engine claimed it (R21)"
            ));
        }
    }

    /// Checks a call right before its first byte.
    pub(crate) fn check_call(&mut self, owner: Owner, command: &Command, late: Duration) {
        if command.is_write() && late > MAX_INTENT_AGE {
            self.violate(format!(
                "{} is called {} ms after its intent was durable (R4)",
                command.name(),
                late.as_millis()
            ));
        }
        let host = self.journal.recs[owner.rec].host;
        self.check_frozen(owner, host, command);
        match command {
            Command::Evacuate(evacuation) => {
                let server = crate::calls::index_of(evacuation.server());
                self.check_local_disk(owner.rec, host, server);
                self.check_evacuate(owner, host, server);
            }
            Command::PowerOff { .. } => {
                self.check_abort_respected(host, "powered off");
                self.check_aborted(owner.rec, "powered off");
                if self.journal.given.iter().all(|(of, _)| *of != owner.rec) {
                    self.violate(format!(
                        "host {host} is powered off, and no order is recorded (R24)"
                    ));
                }
            }
            Command::PowerOn { .. } => self.check_power_on(host),
            Command::Migrate(server) => {
                self.check_own(owner.rec, crate::calls::index_of(*server));
                if self.journal.instance_moves.iter().all(|(of, _)| *of != owner.rec) {
                    self.violate(format!(
                        "an instance is moved by recovery {}, and no move is recorded (ADR 0137)",
                        owner.rec
                    ));
                }
            }
            Command::Stop(server) | Command::Start(server) | Command::ConfirmMigration(server) => {
                self.check_own(owner.rec, crate::calls::index_of(*server));
            }
            Command::ReadLists { .. } | Command::ReadEvacuations { .. } | Command::ReadServerIds => {
                self.journal.recs[owner.rec].lists += 1;
            }
            _ => {}
        }
    }

    /// Checks right before the first byte that the owner's last committed heartbeat and the intent are recent,
    /// however late the commit's result arrived.
    pub(crate) fn check_beat(&mut self, command: &Command, age: Duration, intent: Duration) {
        if command.is_write() && intent > BEAT {
            let (name, age) = (command.name(), intent.as_millis());
            self.violate(format!(
                "{name} is called {age} ms after its intent was sent (R4)"
            ));
        }
        if age > BEAT {
            let (name, age) = (command.name(), age.as_millis());
            self.violate(format!(
                "{name} is called {age} ms after the owner's last heartbeat (R2)"
            ));
        }
    }

    /// Checks that no host is powered on during an evacuation (I7).
    fn check_power_on(&mut self, host: HostIx) {
        let of_it = |job: &&crate::world::Job| {
            let record = job
                .record
                .and_then(|id| self.nova.migrations.iter().find(|row| row.id == id));
            let alive = job.dest.is_some_and(|(dest, life)| {
                let machine = &self.machines[dest];
                machine.powered && machine.life == life
            });
            !job.over && alive && record.is_some_and(|row| row.source == host)
        };
        if let Some(job) = self.jobs.iter().find(of_it) {
            let server = job.server;
            self.violate(format!(
                "host {host} is powered on while server {server} is being rebuilt (I7)"
            ));
        }
    }

    /// Checks that an instance has one open move across all recoveries (R6).
    pub(crate) fn check_one_move(&mut self, write: &Write) {
        let twice = write
            .moves
            .iter()
            .filter(|row| row.open)
            .map(|row| row.server)
            .find(|server| {
                let open =
                    |row: &&crate::journal::Rec| row.moves.get(server).is_some_and(|move_row| move_row.open);
                self.journal.recs.iter().filter(open).count() > 1
            });
        if let Some(server) = twice {
            self.violate(format!("{server} is being moved by two recoveries (R6)"));
        }
    }

    /// Checks the fencing proof: the host is off, or was at the last reading.
    fn check_evacuate(&mut self, owner: Owner, host: HostIx, server: ServerIx) {
        self.check_abort_respected(host, "evacuated");
        self.check_aborted(owner.rec, "evacuated");
        self.check_reported(owner, host);
        let machine = &self.machines[host];
        let up_for = self.now - machine.on_since;
        let is_claim = self.weather.mode == FencingMode::External
            || self.journal.recs[owner.rec]
                .commands
                .contains(&OperatorCommand::HostIsOff);
        // A confirmation counts while the heartbeat does not change. A returning host needs this long until its
        // first heartbeat is noticed. It sends none while the boot guard holds its nova-compute.
        let allowed = if is_claim {
            MAX_READING_AGE + 90_000
        } else {
            MAX_READING_AGE
        };
        let runs_nothing = !machine.guests.values().any(|runs| *runs);
        let is_held = is_claim && self.weather.resume_guests && !machine.compute && runs_nothing;
        let powered = machine.powered;
        // R26: nothing has contradicted the confirmation, which counts for ten minutes. After an outage of Nova it is not acted on before
        // the host has been silent for a minute.
        let commands = &self.journal.recs[owner.rec].commands;
        let is_unseen =
            commands.contains(&OperatorCommand::HostIsOff) && !machine.beats() && up_for <= 600_000;
        if powered && (is_unseen || self.is_trusted_normal(owner.rec, host)) {
            self.report_ledger.trusted_normals.insert(server);
        } else if powered && up_for > allowed && !is_held {
            return self.violate(format!(
                "vm-{server} is evacuated from host {host}, which has been on for {} s (R17)",
                up_for / 1_000
            ));
        }
        let service = &self.nova.services[host];
        // The last reading may be of the record before this one.
        let is_new = service.registered > 0 && self.now - service.registered_at <= MAX_READING_AGE;
        if !service.forced_down && !is_new {
            return self.violate(format!(
                "vm-{server} is evacuated from host {host} before it is forced down"
            ));
        }
        let row = &self.nova.servers[server];
        if row.exists && row.locked.is_none() && !self.lock_refused(owner, server) {
            self.violate(format!("vm-{server} is evacuated and not locked (R12)"));
        }
    }

    fn lock_refused(&self, owner: Owner, server: ServerIx) -> bool {
        self.journal.recs[owner.rec]
            .moves
            .get(&crate::nova::server_id(server))
            .is_some_and(|move_row| move_row.state.contains("could not be locked"))
    }

    /// Checks that in mode external a report without evidence or confirmation starts no action (R15).
    fn check_reported(&mut self, owner: Owner, host: HostIx) {
        let external = self.weather.mode == FencingMode::External;
        let rec = &self.journal.recs[owner.rec];
        let confirmed = rec.commands.contains(&OperatorCommand::HostIsOff);
        if external && rec.reported == "UNKNOWN" && !rec.joined && !confirmed {
            self.violate(format!("host {host} is evacuated on a report with UNKNOWN (R15)"));
        }
    }

    pub(crate) fn note_operators_no(&mut self) {
        let now = self.now;
        let journal = &mut self.journal;
        let since = |applies: bool, before: Option<u64>| applies.then(|| before.unwrap_or(now));
        journal.disabled_since = since(!journal.segment_enabled, journal.disabled_since);
        journal.maintenance_since = since(journal.maintenance.contains(&0), journal.maintenance_since);
    }

    /// Checks that an operator's abort takes effect with the next heartbeat (R20, EW7).
    fn check_abort_respected(&mut self, host: HostIx, what: &str) {
        let maintenance = self.journal.maintenance_since.filter(|_| host == 0);
        let since = [self.journal.disabled_since, maintenance];
        if since
            .into_iter()
            .flatten()
            .any(|since| self.now - since > MAX_HEARTBEAT_AGE)
        {
            self.violate(format!(
                "host {host} is {what} although an operator has aborted (R20)"
            ));
        }
    }
}
