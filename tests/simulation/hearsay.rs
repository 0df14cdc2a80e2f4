//! Claims of operators and control nodes that cannot be verified. Either a host is off while Nova receives no heartbeats,
//! or a host is reported off while only its nova-compute is down.

use tachi_domain::policy::{BareNormal, FencingMode};
use tachi_domain::recovery::{OperatorCommand, RecoveryKind};

use crate::liars::{Claim, Liars, ReportSource, WAIT};
use crate::machines::Bmc;
use crate::mishap::Mishap;
use crate::nova::HostIx;
use crate::rng::Rng;
use crate::weather::{Failure, Weather};
use crate::world::{Event, HOSTS, World, note};

/// A confirmation during an outage of all heartbeats: its time, and the time when the host is powered on
/// again.
#[derive(Clone, Debug)]
pub(crate) struct DeafConfirmation {
    at: u64,
    approved: Option<u64>,
    boots: Option<u64>,
}

/// A report without evidence about a host whose nova-compute is down, and its repetitions.
#[derive(Clone, Debug)]
pub(crate) struct BareNormalReport {
    pub host: HostIx,
    at: u64,
    again: u64,
    times: u64,
}

impl Weather {
    pub(crate) fn draw_deaf_confirmation(&mut self, mut rng: Rng) {
        let from = rng.between(5_000, 30_000);
        let to = from + rng.between(30_000, 120_000);
        let at = from + rng.between(2_000, 25_000);
        let (approved, boots) = (rng.between(0, 8_000), rng.between(3_000, 60_000));
        self.storms.deaf = Some((from, to, false));
        // In most seeds its own heartbeat is due last.
        self.storms.late = (0..HOSTS)
            .map(|host| rng.between(0, 4_000) + if host == 0 { 5_000 } else { 0 })
            .collect();
        // No device can confirm the state, and devices that name another machine are not trusted.
        self.bmc = match rng.between(0, 2) {
            0 => Bmc::Unknown,
            1 => Bmc::Dead,
            _ => Bmc::Named,
        };
        self.more.outlets = false;
        self.more.late_report = None;
        self.failure = if rng.percent(50) {
            Failure::Hang
        } else {
            Failure::Isolated
        };
        self.faults.deaf_confirmation = Some(DeafConfirmation {
            at,
            approved: rng.percent(60).then_some(approved),
            boots: rng.percent(60).then_some(boots),
        });
    }

    pub(crate) fn draw_bare_normal_report(&mut self, mut rng: Rng) {
        let host = 1 + rng.below(HOSTS - 2);
        let from = rng.between(1_000, 60_000);
        let until = from + 200_000 + rng.between(0, 220_000);
        self.mode = FencingMode::External;
        self.failure = Failure::Plug;
        self.reported = "NORMAL";
        self.resume_guests = false;
        self.storms.deaf = None;
        self.bare_normal = BareNormal::Wait(WAIT);
        self.fails_after_spawn = rng.between(5, 30);
        self.liars = Some(Liars::of_bare_normals(&mut rng, (host, from, until)));
        self.faults.monitors |= rng.percent(50);
        self.faults.bare_normal_report = Some(BareNormalReport {
            host,
            at: from + rng.between(1_000, 30_000),
            again: rng.between(20_000, 90_000),
            times: rng.between(1, 4),
        });
    }
}

impl World {
    pub(crate) fn plan_hearsay(&mut self) {
        if let Some(fault) = self.weather.faults.deaf_confirmation.clone() {
            self.at(fault.at, Event::ConfirmsInDeafness);
        }
        if let Some(fault) = self.weather.faults.bare_normal_report.clone() {
            for time in 0..fault.times {
                self.at(fault.at + time * fault.again, Event::ReportsNormal);
            }
        }
    }

    /// Unplugs the host and confirms it off; it is plugged in again later.
    pub(crate) fn confirms_in_deafness(&mut self) {
        let Some(fault) = self.weather.faults.deaf_confirmation.clone() else {
            return;
        };
        let host: HostIx = 0;
        let mut rows = self.journal.recs.iter();
        let open = rows.position(|row| row.is_open_for_host() && row.host == host);
        let deaf = self.weather.storms.deaf;
        if !deaf.is_some_and(|(from, to, _)| self.now >= from && self.now < to) {
            return;
        }
        let Some(rec) = open else {
            return self.after(2_000, Event::ConfirmsInDeafness);
        };
        note!(
            self,
            "an operator pulls the cords of host {host} and confirms it off; Nova receives no heartbeats"
        );
        self.mishap(Mishap::VouchedInDeafness);
        self.power_off(host, "as an operator pulls its cords");
        self.failed.insert(host);
        self.ever_failed.insert(host);
        self.report_ledger.dies(host, self.now);
        self.journal.submit(rec, OperatorCommand::HostIsOff, self.now);
        if let Some(after) = fault.approved {
            self.after(after, Event::Approves { rec });
        }
        if let Some(after) = fault.boots {
            self.after(after, Event::Boot { host });
        }
    }

    pub(crate) fn approves(&mut self, rec: usize) {
        note!(self, "an operator approves recovery {rec}");
        self.journal.submit(rec, OperatorCommand::Approve, self.now);
    }

    /// Reports the host off as a control node, without evidence.
    pub(crate) fn reports_normal(&mut self) {
        let Some(fault) = self.weather.faults.bare_normal_report.clone() else {
            return;
        };
        if self.machines[fault.host].beats() {
            return;
        }
        self.mishap(Mishap::BareNormal);
        let claim = Claim {
            kind: RecoveryKind::Host,
            event: "STOPPED",
            host: fault.host,
            server: None,
            status: "NORMAL",
            observed_at: self.now,
            evidence: false,
        };
        self.claims(ReportSource::Control(1), &claim);
    }
}
