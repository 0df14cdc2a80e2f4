//! Decisions on events and lists of guests. Pure: [`super::watch`] carries them out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tachi_libvirt::{DomainEventKind, DomainState, Lifecycle, lifecycle, paused, shutoff};
use tokio::time::Instant;
use uuid::Uuid;

use crate::instance::inventory::{Guest, GuestState, Inventory, OwnShutdown};
use crate::instance::texts::{EventNames, event_names};

/// The rules for reports.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Rules {
    /// True to report all events that upstream reports, including those that its engine always ignores.
    pub(crate) all_events: bool,
    /// True to report only Nova's instances.
    pub(crate) nova_only: bool,
    /// True to report a guest that panicked as dead.
    pub(crate) panics: bool,
    /// True to report a guest that its watchdog paused as dead.
    pub(crate) watchdog_pause: bool,
    /// True to report a guest that a disk fault paused like one that got the error.
    pub(crate) io_error_pause: bool,
    /// Time in which equal reports about one guest are sent once.
    pub(crate) coalesce: Duration,
    /// Time in which disk faults of a running guest are reported once.
    pub(crate) io_error_interval: Duration,
    /// Time until a guest that panicked and is kept is reported.
    pub(crate) panic_wait: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            all_events: false,
            nova_only: true,
            panics: true,
            watchdog_pause: false,
            io_error_pause: false,
            coalesce: Duration::from_secs(2),
            io_error_interval: Duration::from_secs(180),
            panic_wait: Duration::from_secs(5),
        }
    }
}

/// An event of a guest.
#[derive(Debug, Clone)]
pub(crate) struct GuestEvent<'a> {
    pub(crate) uuid: Uuid,
    pub(crate) name: &'a str,
    pub(crate) what: &'a DomainEventKind,
    /// The time when the event was read, in microseconds since the epoch.
    pub(crate) micros: i64,
}

/// A guest in the list of all guests.
#[derive(Debug, Clone)]
pub(crate) struct GuestListing {
    /// The guest's UUID, which is Nova's id of the instance.
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    /// True if its definition is persistent.
    pub(crate) persistent: bool,
    /// True for one of Nova's instances.
    pub(crate) nova: bool,
    pub(crate) state: DomainState,
    /// libvirt's reason for the state.
    pub(crate) reason: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// The UUID of the instance.
    pub(crate) uuid: Uuid,
    /// The names of the event in the report.
    pub(crate) event_names: EventNames,
    /// The time of the observation, in microseconds since the epoch.
    pub(crate) micros: i64,
    /// The evidence, for the log.
    pub(crate) because: &'static str,
}

/// A decision about a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Send this report.
    Send(Report),
    /// The guest runs again: undelivered reports about it are obsolete.
    Withdraw(Uuid),
    /// No report about this guest, for this reason.
    Skip(Uuid, &'static str),
}

/// The decision maker, with the earlier states of the guests.
#[derive(Debug)]
pub(crate) struct Judge {
    rules: Rules,
    inventory: Inventory,
    /// True if there was no inventory: the states found are initial ones.
    blank: bool,
    /// True if the inventory has changed since it was last written.
    changed: bool,
    reported: HashMap<(Uuid, EventNames), Instant>,
    panicked: BTreeMap<Uuid, Instant>,
}

impl Judge {
    pub(crate) fn new(rules: Rules, inventory: Inventory, blank: bool) -> Self {
        Self {
            rules,
            inventory,
            blank,
            changed: blank,
            reported: HashMap::new(),
            panicked: BTreeMap::new(),
        }
    }

    /// True if the guest is known.
    pub(crate) fn knows(&self, uuid: Uuid) -> bool {
        self.inventory.guests.contains_key(&uuid)
    }

    /// True if the guest is one of Nova's instances; `None` for an unknown guest.
    pub(crate) fn is_nova(&self, uuid: Uuid) -> Option<bool> {
        self.inventory.guests.get(&uuid).map(|guest| guest.nova)
    }

    /// Returns Nova's instances whose guests have shut themselves down, and were not started since.
    pub(crate) fn shut_down(&self) -> BTreeSet<Uuid> {
        let is_done = |guest: &Guest| guest.nova && guest.own_shutdown == Some(OwnShutdown::Done);
        let all = self.inventory.guests.iter();
        all.filter(|(_, guest)| is_done(guest))
            .map(|(uuid, _)| *uuid)
            .collect()
    }

    /// Returns the inventory if it has changed since the last call.
    pub(crate) fn take_changed(&mut self) -> Option<&Inventory> {
        std::mem::take(&mut self.changed).then_some(&self.inventory)
    }

    /// Marks the inventory as not written, so that it is written again.
    pub(crate) fn not_written(&mut self) {
        self.changed = true;
    }

    /// Adds an unknown guest by its first event. The guest counts as running, unless the event is about its definition.
    pub(crate) fn meet(&mut self, guest_event: &GuestEvent<'_>, nova: bool) {
        let is_definition = matches!(
            guest_event.what,
            DomainEventKind::Lifecycle(Lifecycle::Defined | Lifecycle::Undefined, _)
        );
        let guest = Guest {
            name: guest_event.name.to_owned(),
            nova,
            persistent: false,
            life: if is_definition {
                GuestState::Down
            } else {
                GuestState::Up
            },
            halted: false,
            own_shutdown: None,
        };
        self.inventory.guests.entry(guest_event.uuid).or_insert(guest);
        self.changed = true;
    }

    /// Decides on an event.
    pub(crate) fn event(&mut self, guest_event: &GuestEvent<'_>, now: Instant) -> Vec<Decision> {
        if !self.knows(guest_event.uuid) {
            self.meet(guest_event, true);
        }
        let mut decisions = Vec::new();
        if let DomainEventKind::Lifecycle(event, detail) = guest_event.what {
            decisions = self.lifecycle(guest_event, *event, *detail, now);
        } else if matches!(
            guest_event.what,
            DomainEventKind::IoError(1) | DomainEventKind::Watchdog(1)
        ) && let Some(guest) = self.inventory.guests.get_mut(&guest_event.uuid)
        {
            self.changed |= !guest.halted;
            guest.halted = true;
        }
        if !decisions
            .iter()
            .any(|decision| matches!(decision, Decision::Send(_)))
        {
            decisions.extend(self.plain(guest_event));
        }
        decisions
            .into_iter()
            .map(|decision| self.filter(decision, now))
            .collect()
    }

    /// Decides on events that need no state.
    fn plain(&self, guest_event: &GuestEvent<'_>) -> Option<Decision> {
        let report = |event_names, because| {
            Some(Decision::Send(Report {
                uuid: guest_event.uuid,
                event_names,
                micros: guest_event.micros,
                because,
            }))
        };
        if *guest_event.what == DomainEventKind::IoError(1) && self.rules.io_error_pause {
            return report(EventNames::IO_ERROR, "its disk failed and it is paused");
        }
        if *guest_event.what == DomainEventKind::Watchdog(1) && self.rules.watchdog_pause {
            return report(EventNames::FAILED, "its watchdog paused it");
        }
        match event_names(guest_event.what) {
            // The guest's state decides about this event.
            Some(event_names) if event_names == EventNames::FAILED => None,
            Some(event_names) => report(event_names, "libvirt reports it"),
            None => None,
        }
    }

    fn lifecycle(
        &mut self,
        guest_event: &GuestEvent<'_>,
        event: Lifecycle,
        detail: i32,
        now: Instant,
    ) -> Vec<Decision> {
        let Some(guest) = self.inventory.guests.get_mut(&guest_event.uuid) else {
            return Vec::new();
        };
        let before = guest.clone();
        let mut decisions = Vec::new();
        if matches!(
            event,
            Lifecycle::Started | Lifecycle::Resumed | Lifecycle::Stopped
        ) {
            guest.halted = false;
        }
        match (event, detail) {
            (Lifecycle::Defined, _) => guest.persistent = true,
            (Lifecycle::Undefined, _) => guest.persistent = false,
            (Lifecycle::Started, lifecycle::STARTED_MIGRATED) => guest.life = GuestState::Incoming,
            (Lifecycle::Started, _) => {
                guest.life = GuestState::Up;
                decisions.push(Decision::Withdraw(guest_event.uuid));
            }
            // A guest that arrives paused is resumed by its owner, which libvirt refuses while the memory still arrives.
            (
                Lifecycle::Resumed,
                lifecycle::RESUMED_UNPAUSED | lifecycle::RESUMED_MIGRATED | lifecycle::RESUMED_POSTCOPY,
            ) if guest.life == GuestState::Incoming => {
                guest.life = GuestState::Up;
                decisions.push(Decision::Withdraw(guest_event.uuid));
            }
            (Lifecycle::Resumed, _) if guest.life == GuestState::Panicked => guest.life = GuestState::Up,
            (Lifecycle::Crashed, _) if guest.life == GuestState::Up => guest.life = GuestState::Panicked,
            (Lifecycle::Stopped, lifecycle::STOPPED_FAILED) => {
                decisions.push(died(guest, guest_event, "its process is gone"));
            }
            (Lifecycle::Stopped, lifecycle::STOPPED_CRASHED) if self.rules.panics => {
                decisions.push(died(guest, guest_event, "it panicked"));
            }
            (Lifecycle::Stopped, lifecycle::STOPPED_CRASHED) => guest.life = GuestState::Dead,
            (Lifecycle::Stopped, _) => guest.life = GuestState::Down,
            (
                Lifecycle::Resumed
                | Lifecycle::Crashed
                | Lifecycle::Suspended
                | Lifecycle::Shutdown
                | Lifecycle::PmSuspended
                | Lifecycle::Other(_),
                _,
            ) => {}
        }
        guest.own_shutdown = own_shutdown(before.own_shutdown, event, detail);
        if guest.life == GuestState::Panicked && before.life != GuestState::Panicked && self.rules.panics {
            self.panicked
                .insert(guest_event.uuid, now + self.rules.panic_wait);
        } else if guest.life != GuestState::Panicked {
            self.panicked.remove(&guest_event.uuid);
        }
        self.changed |= *guest != before;
        self.remove(guest_event.uuid);
        decisions
    }

    /// Removes a guest that has ended and has no persistent definition.
    fn remove(&mut self, uuid: Uuid) {
        let gone =
            |guest: &Guest| !guest.persistent && matches!(guest.life, GuestState::Dead | GuestState::Down);
        if self.inventory.guests.get(&uuid).is_some_and(gone) {
            self.inventory.guests.remove(&uuid);
            self.changed = true;
        }
    }

    /// Applies the rules that omit reports.
    fn filter(&mut self, decision: Decision, now: Instant) -> Decision {
        let Decision::Send(report) = decision else {
            return decision;
        };
        let skip = self.skip_reason(&report, now);
        let Some(why) = skip else {
            self.reported.insert((report.uuid, report.event_names), now);
            return Decision::Send(report);
        };
        if report.event_names == EventNames::FAILED {
            self.done(report.uuid);
        }
        Decision::Skip(report.uuid, why)
    }

    fn skip_reason(&mut self, report: &Report, now: Instant) -> Option<&'static str> {
        if self.rules.nova_only && self.is_nova(report.uuid) == Some(false) {
            return Some("not_nova");
        }
        if !self.rules.all_events && !report.event_names.has_effect() {
            return Some("noise");
        }
        // A death is reported once by the guest's state, and a guest may die twice in a second.
        if report.event_names == EventNames::FAILED {
            return None;
        }
        let quiet = if report.event_names == EventNames::IO_ERROR {
            self.rules.io_error_interval.max(self.rules.coalesce)
        } else {
            self.rules.coalesce
        };
        let longest = self.rules.io_error_interval.max(self.rules.coalesce);
        self.reported.retain(|_, at| now.duration_since(*at) < longest);
        let last = self.reported.get(&(report.uuid, report.event_names))?;
        (now.duration_since(*last) < quiet).then_some("repeated")
    }

    /// Records that the report of a death is stored: it is not repeated.
    pub(crate) fn done(&mut self, uuid: Uuid) {
        if let Some(guest) = self.inventory.guests.get_mut(&uuid)
            && matches!(guest.life, GuestState::Dying { .. })
        {
            guest.life = GuestState::Dead;
            self.changed = true;
        }
        self.remove(uuid);
    }

    /// Returns the guests that panicked and stayed in that state long enough to check them.
    pub(crate) fn panicked(&mut self, now: Instant) -> Vec<Uuid> {
        let due: Vec<Uuid> = self
            .panicked
            .iter()
            .filter(|(_, due)| **due <= now)
            .map(|(uuid, _)| *uuid)
            .collect();
        for uuid in &due {
            self.panicked.remove(uuid);
        }
        due
    }

    /// Decides on a guest that panicked and that libvirt keeps: no other program handles it.
    pub(crate) fn still_panicked(&mut self, uuid: Uuid, micros: i64, now: Instant) -> Option<Decision> {
        let guest = self.inventory.guests.get_mut(&uuid)?;
        if guest.life != GuestState::Panicked {
            return None;
        }
        guest.life = GuestState::Dying { died_at: micros };
        self.changed = true;
        let decision = report_death(uuid, micros, "it panicked and libvirt keeps it");
        Some(self.filter(decision, now))
    }

    /// Compares all guests with the earlier state. Reports each death meanwhile once.
    pub(crate) fn compare(&mut self, listed: &[GuestListing], micros: i64, now: Instant) -> Vec<Decision> {
        let before = std::mem::take(&mut self.inventory.guests);
        let mut decisions = Vec::new();
        for guest in listed {
            let old = before.get(&guest.uuid);
            let (life, decision) = self.judge_listed(guest, old, micros);
            if life == GuestState::Panicked {
                self.panicked.insert(guest.uuid, now + self.rules.panic_wait);
            }
            decisions.extend(decision);
            let halt = self.halt(guest);
            if let Some((event_names, because)) = halt
                && !self.blank
                && !old.is_some_and(|old| old.halted)
            {
                decisions.push(Decision::Send(Report {
                    uuid: guest.uuid,
                    event_names,
                    micros,
                    because,
                }));
            }
            let new = Guest {
                name: guest.name.clone(),
                nova: guest.nova,
                persistent: guest.persistent,
                life,
                halted: halt.is_some(),
                own_shutdown: old.and_then(|old| own_shutdown_listed(old, guest)),
            };
            self.inventory.guests.insert(guest.uuid, new);
        }
        for (uuid, guest) in before {
            if self.knows(uuid) {
                continue;
            }
            let death = match guest.life {
                GuestState::Dying { died_at } => {
                    Some((died_at, "it died, and it is unknown if that was reported"))
                }
                // A missing guest with a persistent definition was moved or deleted on purpose, with its definition.
                GuestState::Up | GuestState::Panicked if !guest.persistent => {
                    Some((micros, "it disappeared without an event"))
                }
                GuestState::Up
                | GuestState::Panicked
                | GuestState::Incoming
                | GuestState::Dead
                | GuestState::Down => None,
            };
            if let Some((died_at, because)) = death {
                decisions.push(report_death(uuid, died_at, because));
                let life = GuestState::Dying { died_at };
                self.inventory.guests.insert(uuid, Guest { life, ..guest });
            }
        }
        self.blank = false;
        self.changed = true;
        decisions
            .into_iter()
            .map(|decision| self.filter(decision, now))
            .collect()
    }

    /// Returns the report for a paused guest, if it is paused by a fault that is to be reported.
    fn halt(&self, guest: &GuestListing) -> Option<(EventNames, &'static str)> {
        match (guest.state, guest.reason) {
            (DomainState::Paused, paused::IO_ERROR) if self.rules.io_error_pause => Some((
                EventNames::IO_ERROR,
                "its disk failed while libvirtd was unreachable, and it is paused",
            )),
            (DomainState::Paused, paused::WATCHDOG) if self.rules.watchdog_pause => Some((
                EventNames::FAILED,
                "its watchdog paused it while libvirtd was unreachable",
            )),
            _ => None,
        }
    }

    fn judge_listed(
        &self,
        guest: &GuestListing,
        old: Option<&Guest>,
        micros: i64,
    ) -> (GuestState, Option<Decision>) {
        let old_life = old.map(|old| old.life);
        let died_at = match old_life {
            Some(GuestState::Dying { died_at }) => died_at,
            _ => micros,
        };
        let dying = |because| {
            (
                GuestState::Dying { died_at },
                Some(report_death(guest.uuid, died_at, because)),
            )
        };
        match guest.state {
            DomainState::Shutoff => {
                let by_force = matches!(guest.reason, shutoff::CRASHED | shutoff::FAILED | shutoff::DAEMON);
                let quiet = if by_force {
                    GuestState::Dead
                } else {
                    GuestState::Down
                };
                match old_life {
                    Some(GuestState::Dying { .. }) => {
                        dying("it died, and it is unknown if that was reported")
                    }
                    Some(GuestState::Up | GuestState::Panicked) if by_force => {
                        dying("it died while libvirtd was unreachable")
                    }
                    Some(GuestState::Down) if by_force => {
                        dying("it started and died while libvirtd was unreachable")
                    }
                    None if by_force && !self.blank => {
                        dying("it started and died while libvirtd was unreachable")
                    }
                    // libvirtd loses the reasons when it is restarted twice. The guest may have been stopped on
                    // purpose.
                    Some(GuestState::Up | GuestState::Panicked) if guest.reason == shutoff::UNKNOWN => {
                        (quiet, Some(Decision::Skip(guest.uuid, "unexplained")))
                    }
                    Some(_) | None => (quiet, None),
                }
            }
            DomainState::Crashed => match old_life {
                Some(GuestState::Dying { .. }) => dying("it died, and it is unknown if that was reported"),
                Some(GuestState::Dead) => (GuestState::Dead, None),
                None if self.blank => (GuestState::Dead, None),
                Some(_) | None if self.rules.panics => (GuestState::Panicked, None),
                Some(_) | None => (GuestState::Dead, None),
            },
            DomainState::Paused if paused_for_arrival(guest.reason, old_life) => (GuestState::Incoming, None),
            // libvirt gives no state: nothing has changed as far as known.
            DomainState::None => match old_life {
                Some(GuestState::Dying { .. }) => dying("it died, and it is unknown if that was reported"),
                Some(life) => (life, None),
                None => (GuestState::Up, None),
            },
            DomainState::Running
            | DomainState::Blocked
            | DomainState::Paused
            | DomainState::ShuttingDown
            | DomainState::PmSuspended
            | DomainState::Other(_) => match old_life {
                Some(GuestState::Dying { .. }) => (GuestState::Up, Some(Decision::Withdraw(guest.uuid))),
                _ => (GuestState::Up, None),
            },
        }
    }
}

/// Returns the guest's own shutdown after an event.
const fn own_shutdown(before: Option<OwnShutdown>, event: Lifecycle, detail: i32) -> Option<OwnShutdown> {
    match (event, detail, before) {
        (Lifecycle::Shutdown, lifecycle::SHUTDOWN_GUEST, _) => Some(OwnShutdown::Requested),
        (Lifecycle::Stopped, lifecycle::STOPPED_SHUTDOWN, Some(OwnShutdown::Requested)) => {
            Some(OwnShutdown::Done)
        }
        (Lifecycle::Started | Lifecycle::Stopped | Lifecycle::Shutdown, _, _) => None,
        (
            Lifecycle::Defined
            | Lifecycle::Undefined
            | Lifecycle::Suspended
            | Lifecycle::Resumed
            | Lifecycle::PmSuspended
            | Lifecycle::Crashed
            | Lifecycle::Other(_),
            _,
            before,
        ) => before,
    }
}

/// Returns the guest's own shutdown after an interruption, in which its end may have been missed.
fn own_shutdown_listed(old: &Guest, guest: &GuestListing) -> Option<OwnShutdown> {
    let is_down = guest.state == DomainState::Shutoff && guest.reason == shutoff::SHUTDOWN;
    old.own_shutdown.filter(|_| is_down).map(|_| OwnShutdown::Done)
}

/// True if a guest is paused because its memory is still arriving. A guest that is about to leave this host looks the
/// same, but it was up before.
fn paused_for_arrival(reason: i32, old: Option<GuestState>) -> bool {
    matches!(reason, paused::MIGRATION | paused::POSTCOPY | paused::STARTING_UP)
        && !matches!(old, Some(GuestState::Up))
}

/// Records a death, unless the guest did not die or its death is known.
fn died(guest: &mut Guest, guest_event: &GuestEvent<'_>, because: &'static str) -> Decision {
    match guest.life {
        GuestState::Up | GuestState::Panicked => {
            guest.life = GuestState::Dying {
                died_at: guest_event.micros,
            };
            report_death(guest_event.uuid, guest_event.micros, because)
        }
        GuestState::Incoming => {
            guest.life = GuestState::Dead;
            Decision::Skip(guest_event.uuid, "migration")
        }
        // The guest could not start, and the caller of the start got the error.
        GuestState::Down => {
            guest.life = GuestState::Dead;
            Decision::Skip(guest_event.uuid, "known")
        }
        GuestState::Dying { .. } | GuestState::Dead => Decision::Skip(guest_event.uuid, "known"),
    }
}

fn report_death(uuid: Uuid, micros: i64, because: &'static str) -> Decision {
    Decision::Send(Report {
        uuid,
        event_names: EventNames::FAILED,
        micros,
        because,
    })
}

#[cfg(test)]
mod tests;
