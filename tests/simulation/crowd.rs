//! Faults with operators: two act at the same moment without seeing each other's action, or one retries a
//! failed recovery.

use std::collections::BTreeMap;

use tachi_contract::Target;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::host_recovery::own_stamp_in;
use tachi_domain::policy::FencingMode;
use tachi_domain::recovery::{Life, OperatorCommand, RecoveryKind};

use crate::guards::MAX_HEARTBEAT_AGE;
use crate::journal::{Journal, RecIx, RepeatedReport, Report, ReportResult};
use crate::mishap::Mishap;
use crate::mutate::mutated;
use crate::nova::HostIx;
use crate::rng::Rng;
use crate::weather::{Failure, Weather};
use crate::world::{Event, HOSTS, World, note};

/// Maximum delay of the second operator's action after the first, in ms.
const MAX_ACTION_DELAY: u64 = 800;

/// An operator's action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Approve,
    Abort,
    /// Confirms the host off, after checking it.
    Confirm,
    Freeze,
    Thaw,
    Drain,
}

const ACTS: [Act; 7] = [
    Act::Approve,
    Act::Approve,
    Act::Abort,
    Act::Confirm,
    Act::Freeze,
    Act::Thaw,
    Act::Drain,
];

#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    at: u64,
    acts: [Act; 2],
    apart: u64,
}

/// A false report of a running host, whose recovery fails. Later its nova-compute is down, as in an upgrade,
/// and an operator retries that recovery.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    pub host: HostIx,
    reported: u64,
    again: u64,
    from: u64,
    until: u64,
}

impl Retry {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let reported = rng.between(1_000, 10_000);
        // The recovery ends after two minutes of heartbeats in Nova.
        let from = reported + rng.between(100_000, 200_000);
        Self {
            host: 1 + rng.below(HOSTS - 2),
            reported,
            from,
            again: from + rng.between(0, 30_000),
            until: from + rng.between(30_000, 400_000),
        }
    }

    pub(crate) const fn compute_down(&self) -> (HostIx, u64, u64) {
        (self.host, self.from, self.until)
    }
}

impl Weather {
    pub(crate) fn draw_retry(&mut self, mut rng: Rng) {
        let retry = Retry::draw(&mut rng);
        self.faults.compute_down = Some(retry.compute_down());
        self.faults.retry = Some(retry);
        // In this mode a false report has no effect. Where the engine fences, it mostly powers the host off.
        if rng.percent(70) && self.liars.is_none() {
            self.mode = FencingMode::External;
            self.failure = Failure::Plug;
            self.reported = "NORMAL";
            self.resume_guests = false;
            self.storms.deaf = None;
        }
    }
}

/// Time of the last abort of each recovery by one of the two operators.
#[derive(Debug, Default)]
pub(crate) struct Aborts {
    aborted: BTreeMap<RecIx, u64>,
}

impl Aborts {
    /// Drops the actions after `known`: the database lost them, so no engine can read them.
    pub(crate) fn forget_since(&mut self, known: u64) {
        self.aborted.retain(|_, aborted_at| *aborted_at <= known);
    }
}

impl Crowd {
    pub(crate) fn draw(rng: &mut Rng, chaos_end: u64) -> Self {
        let first = ACTS[rng.below(ACTS.len())];
        let mut second = first;
        while second == first {
            second = ACTS[rng.below(ACTS.len())];
        }
        // The documented guarantee covers this pair.
        let acts = if rng.percent(40) {
            [Act::Abort, Act::Approve]
        } else {
            [first, second]
        };
        let turned = rng.percent(50);
        Self {
            at: rng.between(5_000, chaos_end),
            acts: if turned { [acts[1], acts[0]] } else { acts },
            apart: rng.between(0, MAX_ACTION_DELAY),
        }
    }
}

impl Journal {
    /// Retries a failed recovery as the store does. The duplicate window does not apply, evidence keeps its
    /// date, and without evidence the retry makes no off claim (R31).
    pub(crate) fn retry(&mut self, rec: RecIx, now: u64) -> Option<RecIx> {
        let failed = &self.recs[rec];
        let claim = failed.off_claim.as_ref();
        let evidence = claim.and_then(|claim| claim.evidence.clone());
        let claims = evidence.is_some() || mutated("retry");
        let again = RepeatedReport {
            of: rec,
            own_stamp: failed.head.as_deref().and_then(own_stamp_in),
        };
        let report = Report {
            evidence,
            again: (!mutated("retry")).then_some(again),
            ..Report::plain(
                failed.kind,
                failed.host,
                failed.server,
                if claims { failed.reported } else { "UNKNOWN" },
                (now, now),
            )
        };
        match self.accept_within(report, 0) {
            ReportResult::Opened(rec) => Some(rec),
            ReportResult::Joined(_) | ReportResult::Duplicate | ReportResult::OnMaintenance(_) => None,
        }
    }
}

impl World {
    pub(crate) fn plan_operators(&mut self) {
        for crowd in self.weather.faults.crowd.clone() {
            self.at(crowd.at, Event::TwoAct(crowd));
        }
        if let Some(retry) = self.weather.faults.retry.clone() {
            self.at(retry.reported, Event::FalselyReported { host: retry.host });
            self.at(retry.again, Event::Retries { host: retry.host });
        }
        if let Some((host, from, until)) = self.weather.faults.compute_down {
            self.at(from, Event::Silence { host, stops: true });
            self.at(until, Event::Silence { host, stops: false });
        }
    }

    pub(crate) fn two_act(&mut self, crowd: Crowd) {
        if self.weather.faults.crowd.is_empty() || !self.chaos() {
            return;
        }
        let open = |row: &crate::journal::Rec| row.life == Life::Open && row.kind == RecoveryKind::Host;
        // The most recent one: its host was healthy a moment ago.
        let Some(rec) = self.journal.recs.iter().rposition(open) else {
            return self.after(2_000, Event::TwoAct(crowd));
        };
        note!(self, "two operators act on recovery {rec}: {:?}", crowd.acts);
        self.mishap(Mishap::TwoOperators);
        let [first, second] = crowd.acts;
        self.acts(rec, first);
        self.after(crowd.apart, Event::Acts { rec, act: second });
    }

    pub(crate) fn acts(&mut self, rec: RecIx, act: Act) {
        let host = self.journal.recs[rec].host;
        if self.journal.recs[rec].life == Life::Closed {
            return;
        }
        note!(self, "an operator acts on recovery {rec}: {act:?}");
        match act {
            Act::Approve => self.journal.submit(rec, OperatorCommand::Approve, self.now),
            Act::Abort => {
                self.journal.submit(rec, OperatorCommand::Reject, self.now);
                self.aborts.aborted.insert(rec, self.now);
            }
            Act::Confirm if self.machines[host].powered => {}
            Act::Confirm => self.journal.submit(rec, OperatorCommand::HostIsOff, self.now),
            Act::Freeze => {
                self.mishap(Mishap::Frozen);
                self.journal
                    .freezes
                    .freeze(Target::Host(host), 1, false, self.now);
            }
            Act::Thaw => self.journal.freezes.thaw(Target::Host(host), self.now),
            Act::Drain => self.drain(host),
        }
    }

    /// Checks, before a power-off or an evacuation, that no known abort is outstanding. An approval counts if
    /// its operator could have seen the abort.
    pub(crate) fn check_aborted(&mut self, rec: RecIx, what: &str) {
        let Some(aborted) = self.aborts.aborted.get(&rec).copied() else {
            return;
        };
        let approved = self.journal.recs[rec].approved;
        let knew = approved.is_some_and(|at| at > aborted + MAX_ACTION_DELAY + MAX_HEARTBEAT_AGE);
        if self.now > aborted + MAX_HEARTBEAT_AGE && !knew {
            let host = self.journal.recs[rec].host;
            self.violate(format!(
                "host {host} is {what} although an operator has aborted recovery {rec} {} ms ago (R32)",
                self.now - aborted
            ));
        }
    }

    /// Reports a running host once.
    pub(crate) fn falsely_reported(&mut self, host: HostIx) {
        if self.weather.faults.retry.is_none() || !self.machines[host].beats() {
            return;
        }
        let reported = self.weather.reported;
        let observed_at = (self.now, self.now);
        if let Some(rec) = self
            .journal
            .open(RecoveryKind::Host, host, None, reported, observed_at)
        {
            note!(self, "host {host} is running and reported: recovery {rec}");
            self.wake();
        }
    }

    pub(crate) fn retries(&mut self, host: HostIx) {
        if self.weather.faults.retry.is_none() {
            return;
        }
        let failed = |row: &crate::journal::Rec| {
            row.kind == RecoveryKind::Host
                && row.life == Life::Closed
                && row.status == NotificationStatus::Failed
                && row.event == "STOPPED"
                && row.host == host
        };
        let Some(rec) = self.journal.recs.iter().rposition(failed) else {
            if self.machines[host].compute {
                return;
            }
            return self.after(5_000, Event::Retries { host });
        };
        if let Some(new) = self.journal.retry(rec, self.now) {
            note!(self, "an operator retries recovery {rec}: recovery {new}");
            self.mishap(Mishap::Retried);
            self.check_one_open(self.journal.recs[new].host);
            self.wake();
        }
    }
}
