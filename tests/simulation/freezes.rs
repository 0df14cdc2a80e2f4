//! The operators' freezes in the journal.

use tachi_contract::Target;
use tachi_domain::freeze::{Freeze, FreezeStatus};
use tachi_domain::recovery::RecoveryKind;

use crate::journal::Rec;
use crate::nova::{HostIx, ServerIx, host_name, server_id, stamp};

/// A freeze; its number is its position, from 1.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub what: Target,
    pub since: u64,
    pub until: u64,
    pub ended: Option<u64>,
    pub unless_worse: bool,
    /// True if a drain has set it.
    pub by_drain: bool,
}

impl Row {
    pub(crate) fn in_force(&self, now: u64) -> bool {
        self.ended.is_none() && self.until > now
    }

    fn freeze(&self, number: i64) -> Freeze {
        Freeze {
            number,
            scope: self.what.scope(),
            name: match self.what {
                Target::Host(host) => host_name(host),
                Target::Region | Target::Segment | Target::Instance(_) => String::new(),
            },
            until: stamp(self.until),
            by: "operator".into(),
            reason: "simulated".into(),
            unless_worse: self.unless_worse,
        }
    }

    /// True if the freeze covers this recovery's host or instance.
    fn covers(&self, rec: &Rec) -> bool {
        match self.what {
            Target::Region | Target::Segment => true,
            Target::Host(host) => host == rec.host,
            Target::Instance(server) => {
                rec.kind == RecoveryKind::Vm && rec.server == usize::try_from(server).ok()
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Freezes {
    pub rows: Vec<Row>,
    /// The time at which a failover last lost a thaw.
    pub thaw_lost: Option<u64>,
}

impl Freezes {
    pub(crate) fn freeze(&mut self, what: Target, minutes: u32, unless_worse: bool, now: u64) {
        self.begin(what, minutes, (unless_worse, false), now);
    }

    /// Starts a freeze in place of one of the same kind.
    fn begin(&mut self, what: Target, minutes: u32, (unless_worse, by_drain): (bool, bool), now: u64) {
        self.end(|row| row.what == what && row.by_drain == by_drain, now);
        self.rows.push(Row {
            what,
            since: now,
            until: now + u64::from(minutes) * 60_000,
            ended: None,
            unless_worse,
            by_drain,
        });
    }

    /// Freezes a drained host, beside an operator's freeze. An earlier drain's freeze that lasts longer stays.
    pub(crate) fn of_drained(&mut self, host: HostIx, minutes: u32, now: u64) {
        let what = Target::Host(host);
        let until = now + u64::from(minutes) * 60_000;
        let longer = |row: &Row| row.what == what && row.by_drain && row.in_force(now) && row.until > until;
        if !self.rows.iter().any(longer) {
            self.begin(what, minutes, (false, true), now);
        }
    }

    pub(crate) fn thaw(&mut self, what: Target, now: u64) {
        self.end(|row| row.what == what, now);
    }

    /// Starts the freezes again whose thaw a failover has lost: before it, nobody could know of them.
    pub(crate) fn goes_back(&mut self, lost: &Self, now: u64) {
        for (row, was) in self.rows.iter_mut().zip(&lost.rows) {
            if row.in_force(now) && !was.in_force(now) {
                row.since = now;
                self.thaw_lost = Some(now);
            }
        }
    }

    fn end(&mut self, which: impl Fn(&Row) -> bool, now: u64) {
        for row in &mut self.rows {
            if which(row) && row.in_force(now) {
                row.ended = Some(now);
            }
        }
    }

    /// Ends the freezes with these numbers that are still in force.
    pub(crate) fn worse(&mut self, numbers: &[i64], now: u64) {
        for number in numbers {
            let row = usize::try_from(number - 1)
                .ok()
                .and_then(|at| self.rows.get_mut(at));
            if let Some(row) = row.filter(|row| row.in_force(now)) {
                row.ended = Some(now);
            }
        }
    }

    /// Returns the start of a host's or an instance's unbroken freeze.
    pub(crate) fn since(&self, host: HostIx, server: Option<ServerIx>, now: u64) -> Option<u64> {
        let about = |what: Target| match what {
            Target::Region | Target::Segment => server.is_none(),
            Target::Host(frozen) => server.is_none() && frozen == host,
            Target::Instance(frozen) => server == usize::try_from(frozen).ok(),
        };
        let rows = self.rows.iter();
        let rows = rows.filter(|row| about(row.what) && row.in_force(now));
        rows.map(|row| row.since).min()
    }

    /// True if this host itself, not only its segment, is frozen.
    pub(crate) fn is_frozen_itself(&self, host: HostIx, now: u64) -> bool {
        self.rows
            .iter()
            .any(|row| row.what == Target::Host(host) && row.in_force(now))
    }

    pub(crate) fn of(&self, rec: &Rec, now: u64) -> FreezeStatus {
        let mut frozen = FreezeStatus::NONE;
        for (row, number) in self.rows.iter().zip(1..) {
            if !row.in_force(now) {
                if row.covers(rec) && row.ended.unwrap_or(row.until) >= rec.opened {
                    frozen.thawed = number;
                }
                continue;
            }
            let freeze = row.freeze(number);
            match row.what {
                Target::Instance(server) => {
                    let server = server_id(usize::try_from(server).unwrap());
                    frozen.instances.insert(server, freeze);
                }
                Target::Host(_) if !row.covers(rec) => {
                    if rec.kind == RecoveryKind::Vm {
                        frozen.hosts.insert(freeze.name.clone(), freeze);
                    }
                }
                Target::Region | Target::Segment | Target::Host(_) => frozen.over.push(freeze),
            }
        }
        frozen
    }
}

/// True if the state shows a started action.
pub(crate) fn touched(kind: RecoveryKind, head: &str) -> bool {
    match kind {
        RecoveryKind::Host => head.contains("\"ordered\":true") || head.contains("\"put\":{"),
        RecoveryKind::Process => !head.contains("\"asked\":null"),
        RecoveryKind::Drain => !head.contains("\"disabling\":null"),
        RecoveryKind::Vm | RecoveryKind::Giveback => false,
    }
}
