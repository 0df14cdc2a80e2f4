//! Freezes and thaws by operators at any time. No action starts for a frozen object (ADR 0051). At the end of a
//! run, the instances of a dead host run again, so freezes lose none.

use tachi_contract::Target;
use tachi_domain::recovery::{Command, RecoveryKind, ServiceUpdate};

use crate::guards::MAX_HEARTBEAT_AGE;
use crate::journal::RecIx;
use crate::mishap::Mishap;
use crate::nova::{HostIx, ServerIx};
use crate::rng::Rng;
use crate::weather::Weather;
use crate::world::{HOSTS, Owner, World, note};

/// Percent of seeds with freezes.
const PERCENT: u64 = 20;

/// Interval between two checks, in ms.
const CHECK_INTERVAL: u64 = 5_000;

/// Uses a separate generator, so that seeds without freezes do not change.
pub(crate) fn draw(seed: u64) -> Option<Rng> {
    let mut rng = Rng::new(seed ^ 0x5eed_0051);
    rng.percent(PERCENT).then_some(rng)
}

impl World {
    /// Freezes that expired since the last check while a recovery was open.
    pub(crate) fn note_expired(&mut self) {
        let ended = |row: &crate::freezes::Row| {
            row.ended.is_none() && row.until <= self.now && row.until + CHECK_INTERVAL > self.now
        };
        let of = |what: Target, host: HostIx| match what {
            Target::Region | Target::Segment => true,
            Target::Host(frozen) => frozen == host,
            Target::Instance(_) => false,
        };
        let mut rows = self.journal.freezes.rows.iter();
        let expired = rows.any(|row| {
            let mut open = self.journal.recs.iter().filter(|rec| rec.is_open_for_host());
            ended(row) && open.any(|rec| of(row.what, rec.host) && rec.opened < row.until)
        });
        if expired {
            self.mishap(Mishap::FreezeExpires);
        }
    }

    /// Acts for the operators; runs every five seconds.
    pub(crate) fn freeze_or_thaw(&mut self) {
        let Some(mut rng) = self.freezer.take() else {
            return;
        };
        let in_force: Vec<Target> = self
            .journal
            .freezes
            .rows
            .iter()
            .filter(|row| row.in_force(self.now))
            .map(|row| row.what)
            .collect();
        if self.chaos() {
            if rng.percent(15) {
                let what = draw_target(&mut rng, &self.weather);
                self.freeze(what, &mut rng);
            } else if rng.percent(15) && !in_force.is_empty() {
                self.thaw(in_force[rng.below(in_force.len())]);
            }
        } else {
            for what in in_force {
                if rng.percent(10) {
                    self.thaw(what);
                }
            }
        }
        self.freezer = Some(rng);
    }

    fn freeze(&mut self, what: Target, rng: &mut Rng) {
        let minutes = u32::try_from(rng.between(1, 5)).unwrap();
        let unless_worse = rng.percent(30);
        self.mishap(Mishap::Frozen);
        note!(
            self,
            "operator freezes {what:?} for {minutes} min, unless worse: {unless_worse}"
        );
        self.journal.freezes.freeze(what, minutes, unless_worse, self.now);
    }

    fn thaw(&mut self, what: Target) {
        self.mishap(Mishap::Thawed);
        note!(self, "operator thaws {what:?}");
        self.journal.freezes.thaw(what, self.now);
    }

    /// Freezes at the worst moment: while an order to power off is on its way to the journal.
    pub(crate) fn freeze_before_commit(&mut self, rec: RecIx, orders: bool) {
        let Some(mut rng) = self.freezer.take() else {
            return;
        };
        if orders && self.chaos() && rng.percent(30) {
            let what = Target::Host(self.journal.recs[rec].host);
            self.freeze(what, &mut rng);
        }
        self.freezer = Some(rng);
    }

    /// Checks that the journal starts no action for a frozen object, even by a write sent before the freeze.
    pub(crate) fn check_begun(&mut self, rec: RecIx, touched: bool) {
        let row = &self.journal.recs[rec];
        let host = row.host;
        let frozen = self.journal.freezes.since(host, None, self.now);
        let begins = matches!(row.kind, RecoveryKind::Host | RecoveryKind::Drain);
        let is_late = row
            .touched
            .is_some_and(|at| frozen.is_some_and(|since| at >= since));
        if begins && !touched && is_late {
            self.violate(format!("an action starts on host {host} while it is frozen"));
        }
    }

    /// Checks for a freeze right before the first byte of a call.
    pub(crate) fn check_frozen(&mut self, owner: Owner, host: HostIx, command: &Command) {
        let now = self.now;
        // The intent of a call may be older than a failover that has lost a thaw.
        let thaw_lost = self.journal.freezes.thaw_lost;
        let is_known = |since: &u64| thaw_lost != Some(*since) || now - since > MAX_HEARTBEAT_AGE;
        let row = &self.journal.recs[owner.rec];
        let touched = row.touched;
        let since = |server| self.journal.freezes.since(host, server, now).filter(is_known);
        let of_host = since(None);
        let of_server = |server: ServerIx| since(Some(server));
        let long = |since: &u64| now - since > MAX_HEARTBEAT_AGE;
        let wrong = match command {
            Command::PowerOff { .. }
            | Command::PowerOn { .. }
            | Command::UpdateService {
                update: ServiceUpdate::Enable,
                ..
            } => of_host.is_some_and(|since| long(&since)),
            Command::UpdateService {
                update:
                    ServiceUpdate::DisableAndForceDown { .. }
                    | ServiceUpdate::ForceDown
                    | ServiceUpdate::Disable { .. },
                ..
            } => of_host.is_some_and(|since| touched.is_none_or(|at| at > since)),
            Command::Evacuate(evacuation) => {
                of_server(crate::calls::index_of(evacuation.server())).is_some_and(|since| long(&since))
            }
            Command::Stop(server) => {
                let restarted = self.journal.restarts.get(&owner.rec).map(|(_, at)| *at);
                let since = of_host
                    .into_iter()
                    .chain(of_server(crate::calls::index_of(*server)));
                since
                    .min()
                    .is_some_and(|since| restarted.is_none_or(|at| at > since))
            }
            _ => false,
        };
        if wrong {
            let name = command.name();
            self.violate(format!(
                "{name} is called for host {host}, which is frozen or whose instance is"
            ));
        }
    }
}

fn draw_target(rng: &mut Rng, weather: &Weather) -> Target {
    match rng.between(0, 9) {
        // Host 0 is the first to die.
        0..=3 => Target::Host(0),
        4 | 5 => Target::Host(rng.below(HOSTS)),
        6 => Target::Segment,
        7 => Target::Region,
        _ => Target::Instance(u32::try_from(rng.below(weather.servers)).unwrap()),
    }
}
