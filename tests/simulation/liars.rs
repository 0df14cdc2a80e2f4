//! Reporters that send any report about any host with any claim: compromised hypervisors, monitors bound to no
//! host, and a control node's monitor. The API's own domain code decides what reaches the journal. Draws come
//! from a separate generator, so that additions do not change other faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tachi_domain::Reporter;
use tachi_domain::binding::{BindingMode, BindingOptions};
use tachi_domain::entity::notification::{NewNotification, NotificationType};
use tachi_domain::evidence::{EvidenceKind, FenceAction, FenceEvidence, GivenEvidence, claims_off};
use tachi_domain::policy::{BareNormal, FencingMode};
use tachi_domain::recovery::RecoveryKind;

use crate::journal::{RecIx, Report, ReportResult};
use crate::mishap::Mishap;
use crate::nova::{HostIx, ServerIx, host_name, stamp};
use crate::rng::Rng;
use crate::weather::{Failure, Weather};
use crate::world::{Event, HOSTS, World, note};

/// Average number of seeds per affected seed.
const PERCENT: u64 = 30;

/// Masakari's wait before it acts on a report.
pub(crate) const WAIT: Duration = Duration::from_mins(3);

/// A reporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReportSource {
    /// A monitor with the credentials of this hypervisor.
    Compute(HostIx),
    /// A monitor that is bound to no host, as Masakari's are.
    Unbound(usize),
    /// A monitor of a control node.
    Control(usize),
}

impl ReportSource {
    fn reporter(self) -> Reporter {
        let name = match self {
            Self::Compute(host) => BindingOptions::PATTERN.replace("{host}", &host_name(host)),
            Self::Unbound(number) => format!("masakari-{number}"),
            Self::Control(number) => format!("controller-{number}"),
        };
        Reporter {
            user_id: format!("id of {name}"),
            user_name: Some(name),
            ..Reporter::default()
        }
    }

    /// True if the policy accepts its reports that a host is off.
    const fn is_admitted(self) -> bool {
        matches!(self, Self::Control(_))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Liars {
    pub binding: BindingOptions,
    pub who: Vec<ReportSource>,
    /// Maximum interval between two false reports, in ms.
    every: u64,
    /// Time for which false reports continue after the chaos phase, in ms.
    after: u64,
    /// Outage of a hypervisor's nova-compute caused by an attacker, from and to; its guests run.
    pub silenced: Option<(HostIx, u64, u64)>,
    /// True if honest reports come with evidence.
    evidence: bool,
    /// True if hypervisors report each other and no control node reports.
    only_computes: bool,
}

impl Weather {
    /// Adds lying reporters in some seeds.
    pub(crate) fn draw_liars(&mut self, seed: u64, calm: bool) {
        let mut rng = Rng::new(seed ^ 0x5eed_0021);
        let drawn = rng.percent(PERCENT) && !calm;
        let refuse = rng.percent(50);
        let mut who = Vec::new();
        for _ in 0..rng.between(1, 3) {
            who.push(match rng.between(0, 9) {
                0..=5 => ReportSource::Compute(rng.below(HOSTS)),
                6 | 7 => ReportSource::Unbound(rng.below(2)),
                _ => ReportSource::Control(1),
            });
        }
        let from = rng.between(1_000, 60_000);
        let until = from + rng.between(20_000, 420_000);
        let silenced = (rng.between(0, 3), from, until);
        let external = self.mode == FencingMode::External;
        let mode = if rng.percent(50) {
            BindingMode::Enforce
        } else {
            BindingMode::Warn
        };
        let liars = Liars {
            binding: BindingOptions {
                mode,
                ..BindingOptions::default()
            },
            who,
            every: rng.between(500, 30_000),
            after: rng.between(0, 120_000),
            silenced: rng
                .percent(25)
                .then_some((usize::try_from(silenced.0).unwrap() + 1, from, until)),
            evidence: rng.percent(50) || (external && refuse),
            only_computes: !external && rng.percent(30),
        };
        if !drawn {
            return;
        }
        if external {
            self.bare_normal = if refuse {
                BareNormal::Refuse
            } else {
                BareNormal::Wait(WAIT)
            };
        }
        self.liars = Some(liars);
    }
}

impl Liars {
    /// Returns reporters of which a control node reports NORMAL of a host whose nova-compute is down.
    pub(crate) fn of_bare_normals(rng: &mut Rng, silenced: (HostIx, u64, u64)) -> Self {
        Self {
            binding: BindingOptions::default(),
            who: vec![ReportSource::Control(1)],
            every: rng.between(20_000, 60_000),
            after: 0,
            silenced: Some(silenced),
            evidence: true,
            only_computes: false,
        }
    }
}

/// One report, as sent.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub kind: RecoveryKind,
    pub event: &'static str,
    pub host: HostIx,
    pub server: Option<ServerIx>,
    pub status: &'static str,
    pub observed_at: u64,
    pub evidence: bool,
}

/// The reports and the true states, kept by the world and not by any engine.
#[derive(Debug, Default)]
pub(crate) struct ReportLedger {
    /// Every report that a host has stopped, whatever its result.
    pub claims_made: Vec<(HostIx, ReportSource, u64)>,
    /// Time of each host's last heartbeat, and end of the silence before that.
    beat: BTreeMap<HostIx, u64>,
    silent_until: BTreeMap<HostIx, u64>,
    /// Hosts' first heartbeats after a silence of Masakari's wait.
    woke: BTreeMap<HostIx, u64>,
    /// Time since which each host has been dead.
    died: BTreeMap<HostIx, u64>,
    /// Recoveries that received a report of a real failure, and its time.
    pub real: BTreeMap<RecIx, u64>,
    /// Instances evacuated from a running host after a control node's bare NORMAL and a silence of Masakari's
    /// wait; see docs/design/guarantees.md.
    pub trusted_normals: BTreeSet<ServerIx>,
    /// Instances on the host of each recovery when it was confirmed off.
    pub victims: BTreeMap<RecIx, BTreeSet<ServerIx>>,
    /// Hosts forced down without our mark at a failover of the database.
    pub unmarked: BTreeSet<HostIx>,
    /// Recoveries that have reported `finished` at least once.
    pub finished: BTreeSet<RecIx>,
}

/// Age from which a heartbeat is stale (R16), in ms.
const STALE_AGE: u64 = 15_000;

/// Validity of an engine's observation of Nova, including the delay until it acts, in ms.
const OBSERVATION_VALIDITY: u64 = 45_000;

/// Maximum time from the last fault to the result of a reported real failure, in ms.
const MAX_RESULT_TIME: u64 = 600_000;

impl ReportLedger {
    /// Records a heartbeat that Nova received.
    pub(crate) fn note_heartbeat(&mut self, host: HostIx, before: u64, now: u64) {
        if now.saturating_sub(before) > STALE_AGE {
            self.silent_until.insert(host, now);
        }
        let last = self.beat.insert(host, now).unwrap_or_default();
        if u128::from(now - last) >= WAIT.as_millis() {
            self.woke.insert(host, now);
        }
    }

    pub(crate) fn dies(&mut self, host: HostIx, now: u64) {
        self.died.entry(host).or_insert(now);
    }

    pub(crate) fn lives(&mut self, host: HostIx) {
        self.died.remove(&host);
    }

    fn had_heartbeats_throughout(&self, host: HostIx, now: u64) -> bool {
        let beat = self.beat.get(&host).copied().unwrap_or_default();
        let since = self.silent_until.get(&host).copied().unwrap_or_default();
        now - beat <= STALE_AGE && (since == 0 || now - since > OBSERVATION_VALIDITY)
    }
}

impl World {
    pub(crate) fn plan_lies(&mut self) {
        let Some(liars) = &self.weather.liars else { return };
        let (first, silenced) = (liars.every, liars.silenced);
        self.at(first, Event::Lie);
        if let Some((host, from, until)) = silenced {
            self.at(from, Event::Silence { host, stops: true });
            self.at(until, Event::Silence { host, stops: false });
        }
    }

    /// Sends an unverified or false report.
    pub(crate) fn lie(&mut self) {
        let Some(liars) = self.weather.liars.clone() else {
            return;
        };
        let who = liars.who[self.rng.below(liars.who.len())];
        let any = self.rng.below(HOSTS);
        let (kind, host, server) = match (self.rng.between(0, 9), who) {
            (0..=6, _) => (RecoveryKind::Host, any, None),
            (7 | 8, ReportSource::Compute(own)) if self.rng.percent(70) => (RecoveryKind::Vm, own, Some(())),
            (7 | 8, _) => (RecoveryKind::Vm, any, Some(())),
            (_, ReportSource::Compute(own)) if self.rng.percent(50) => (RecoveryKind::Process, own, None),
            _ => (RecoveryKind::Process, any, None),
        };
        let server = server.map(|()| self.rng.below(self.nova.servers.len()));
        let observed_at = match self.rng.between(0, 3) {
            0 => self.now.saturating_sub(self.rng.between(0, 600_000)),
            1 => self.now + self.rng.between(1, 4_000_000_000),
            _ => self.now,
        };
        let claim = Claim {
            kind,
            event: if self.rng.percent(90) {
                "STOPPED"
            } else {
                "STARTED"
            },
            host,
            server,
            status: if self.rng.percent(60) { "NORMAL" } else { "UNKNOWN" },
            observed_at,
            // Evidence of a control node is trusted: docs/design/guarantees.md.
            evidence: !who.is_admitted() && self.rng.percent(50),
        };
        self.mishap(Mishap::Lie);
        self.claims(who, &claim);
        if self.now < self.weather.chaos_end + liars.after {
            let soon = self.rng.between(100, liars.every);
            self.after(soon, Event::Lie);
        }
    }

    /// Stops or starts nova-compute of a hypervisor for an attacker.
    pub(crate) fn silence(&mut self, host: HostIx, stops: bool) {
        if self.weather.liars.is_none() && self.weather.faults.compute_down.is_none() {
            return;
        }
        if stops && self.machines[host].beats() {
            self.mishap(Mishap::Silenced);
            if self.weather.faults.monitors {
                self.mishap(Mishap::BeatsAlone);
            }
            note!(self, "an attacker stops nova-compute of host {host}");
            self.machines[host].compute = false;
        } else if !stops && self.machines[host].powered && !self.machines[host].compute {
            let life = self.machines[host].life;
            self.compute_start(host, life);
        }
    }

    /// True if its nova-compute should be stopped; operators repair that, with or without guests.
    pub(crate) fn was_silenced(&self, host: HostIx) -> bool {
        let silenced = self.weather.liars.as_ref().and_then(|liars| liars.silenced);
        let down = self.weather.faults.compute_down;
        silenced.into_iter().chain(down).any(|(which, ..)| which == host)
    }

    /// Passes a report through the API. Returns its result, or `None` if it was refused.
    pub(crate) fn claims(&mut self, who: ReportSource, claim: &Claim) -> Option<ReportResult> {
        let liars = self.weather.liars.as_ref()?;
        let name = claim
            .server
            .map(|server| crate::nova::server_id(server).to_string());
        let (kind, payload): (_, Vec<(&str, &str)>) = match claim.kind {
            RecoveryKind::Host => (
                NotificationType::ComputeHost,
                vec![("event", claim.event), ("host_status", claim.status)],
            ),
            RecoveryKind::Vm => (
                NotificationType::Vm,
                vec![("instance_uuid", name.as_deref().unwrap_or_default())],
            ),
            RecoveryKind::Process | RecoveryKind::Drain | RecoveryKind::Giveback => {
                (NotificationType::Process, vec![("event", "STOPPED")])
            }
        };
        let mut new = NewNotification {
            kind,
            hostname: host_name(claim.host),
            generated_time: stamp(claim.observed_at),
            payload: payload
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            evidence: None,
            reporter: None,
        };
        let judged = liars
            .binding
            .judge(who.reporter(), || who.is_admitted(), &mut new);
        if claim.kind == RecoveryKind::Host && claim.event == "STOPPED" {
            self.report_ledger.claims_made.push((claim.host, who, self.now));
        }
        if let Err(why) = judged {
            note!(
                self,
                "{who:?} may not report {} of host {}: {why}",
                claim.kind,
                claim.host
            );
            self.mishap(Mishap::ReportRefused);
            return None;
        }
        let reporter = new.reporter.map(|reporter| *reporter)?;
        if reporter.discarded_status.is_some() {
            self.mishap(Mishap::NormalDiscarded);
        }
        let off = claims_off(&new.payload);
        // As in the API: evidence about other hosts is dropped.
        let given = claim.evidence && off && reporter.control;
        let report = Report {
            kind: claim.kind,
            host: claim.host,
            server: claim.server,
            event: if claim.kind == RecoveryKind::Host {
                claim.event
            } else {
                "STOPPED"
            },
            reported: match claim.kind {
                RecoveryKind::Host if off => "NORMAL",
                RecoveryKind::Host => "UNKNOWN",
                RecoveryKind::Vm | RecoveryKind::Process | RecoveryKind::Drain | RecoveryKind::Giveback => "",
            },
            observed_at: claim.observed_at,
            now: self.now,
            reporter: Some(reporter),
            evidence: given.then(|| Box::new(self.evidence(claim))),
            again: None,
        };
        let accepted = self.journal.accept(report);
        note!(self, "{who:?} reports {claim:?}: {accepted:?}");
        if matches!(accepted, ReportResult::Opened(_)) {
            if let Some(server) = claim.server {
                self.restarted.insert(server);
            }
            self.check_one_open(claim.host);
            self.wake();
        }
        Some(accepted)
    }

    fn evidence(&self, claim: &Claim) -> GivenEvidence {
        let observed_at = stamp(claim.observed_at);
        let evidence = FenceEvidence {
            kind: EvidenceKind::PacemakerFence,
            cluster: Some("cluster".into()),
            target: host_name(claim.host),
            host: host_name(claim.host),
            action: FenceAction::Off,
            completed_at: observed_at,
            observed_at,
            reporter: "controller-0".into(),
            device: None,
            agent: None,
            delegate: None,
            origin: None,
            last_up_at: None,
        };
        GivenEvidence {
            evidence,
            by: "controller-0".into(),
            generated: observed_at,
            arrived: stamp(self.now),
        }
    }

    /// Sends a true report of a monitor; returns true if it was accepted.
    pub(crate) fn send_report(
        &mut self,
        kind: RecoveryKind,
        host: HostIx,
        server: Option<ServerIx>,
        reported: &'static str,
        observed_at: u64,
    ) -> bool {
        let Some(liars) = self.weather.liars.clone() else {
            return false;
        };
        // Monitors that check first report no running host, unless the seed tests false alarms.
        let lives = self.machines[host].beats() && self.weather.failure != Failure::FalseAlarm;
        if kind == RecoveryKind::Host && lives && self.weather.mode == FencingMode::Engine {
            return false;
        }
        let other = (0..HOSTS)
            .rev()
            .find(|other| *other != host && self.machines[*other].powered);
        let who = match (kind, other) {
            (RecoveryKind::Host, Some(other)) if liars.only_computes => ReportSource::Compute(other),
            (RecoveryKind::Host, _) => ReportSource::Control(0),
            _ => ReportSource::Compute(host),
        };
        let is_off = !self.machines[host].powered || self.weather.mode == FencingMode::External;
        let claim = Claim {
            kind,
            event: "STOPPED",
            host,
            server,
            status: reported,
            observed_at,
            evidence: liars.evidence && is_off && self.weather.failure != Failure::FalseAlarm,
        };
        let accepted = self.claims(who, &claim);
        if kind == RecoveryKind::Host {
            self.check_not_muted(&claim, accepted);
        }
        matches!(accepted, Some(ReportResult::Opened(_)))
    }

    /// True if such a report suffices for a recovery.
    fn suffices(&self, claim: &Claim) -> bool {
        self.weather.mode == FencingMode::Engine
            || (claim.status == "NORMAL"
                && (claim.evidence || self.weather.bare_normal != BareNormal::Refuse))
    }

    /// Checks that every reported real failure has a recovery.
    fn check_not_muted(&mut self, claim: &Claim, accepted: Option<ReportResult>) {
        let host = claim.host;
        let Some(died) = self.report_ledger.died.get(&host).copied() else {
            return;
        };
        // A report about a host on maintenance joins nothing.
        let on_maintenance = matches!(accepted, Some(ReportResult::OnMaintenance(_)));
        if !self.suffices(claim) || claim.observed_at < died || on_maintenance {
            return;
        }
        let open = self
            .journal
            .recs
            .iter()
            .position(|row| row.is_open_for_host() && row.host == host);
        if let Some(rec) = open {
            self.report_ledger.real.entry(rec).or_insert(self.now);
            return;
        }
        let no = [
            "segment HA is disabled",
            "the segment is disabled",
            "set by an operator",
            "hook",
        ];
        let seen_to = self.journal.recs.iter().enumerate().any(|(rec, row)| {
            let of_it = row.kind == RecoveryKind::Host && row.host == host;
            let text = row.message.as_deref().unwrap_or_default();
            let by_operator = !row.commands.is_empty() || no.iter().any(|no| text.contains(no));
            // A host that fails again within the window is reported again after it (R19).
            let proven = self.journal.proofs.iter().any(|(of, _)| *of == rec);
            of_it && row.ended.is_some() && (proven || by_operator)
        });
        if accepted == Some(ReportResult::Duplicate) && !seen_to {
            self.violate(format!(
                "host {host} has been dead for {} s, and its report is rejected as a duplicate",
                (self.now - died) / 1_000
            ));
        }
    }

    /// Checks that a recovery with a report of a real failure does not end without action.
    pub(crate) fn check_real_end(&mut self, rec: RecIx) {
        let Some(reported) = self.report_ledger.real.remove(&rec) else {
            return;
        };
        let row = &self.journal.recs[rec];
        let host = row.host;
        let dead = self
            .report_ledger
            .died
            .get(&host)
            .is_some_and(|died| *died <= reported);
        let denied = [
            "it is not confirmed off: nothing was done",
            "it is not down, and nothing was done",
            "so no report claims",
            "NORMAL without evidence that",
        ];
        let text = row.message.clone().unwrap_or_default();
        if dead && denied.iter().any(|denied| text.contains(denied)) {
            self.violate(format!(
                "host {host} is dead and was reported, but recovery {rec} ends: {text}"
            ));
        }
    }

    /// Checks that each real failure leads in bounded time to a proof, an end, or a request to an operator.
    pub(crate) fn check_real_pace(&mut self) {
        let down = self.weather.more.nova_down.map_or(0, |(_, to)| to);
        let calm = self.weather.chaos_end.max(down);
        let slow = self.report_ledger.real.iter().find_map(|(rec, reported)| {
            let row = &self.journal.recs[*rec];
            let proven = self.journal.proofs.iter().any(|(of, _)| of == rec);
            let waits = row.is_open_for_host() && !proven && row.message.is_none();
            (waits && self.now > calm.max(*reported) + MAX_RESULT_TIME).then_some(*rec)
        });
        if let Some(rec) = slow {
            self.violate(format!(
                "recovery {rec} of a dead host makes no progress and gives no reason"
            ));
        }
    }

    /// Checks power-offs of hosts that are up in Nova and whose guests run. They need two independent reporters,
    /// one of them a control node, or evidence; hypervisors alone never suffice (G3).
    pub(crate) fn check_corroborated(&mut self, rec: RecIx, host: HostIx) {
        let machine = &self.machines[host];
        let runs = machine.beats() && machine.guests.values().any(|runs| *runs);
        let row = &self.journal.recs[rec];
        let evidence = row
            .off_claim
            .as_ref()
            .is_some_and(|claim| claim.evidence.is_some());
        if self.weather.liars.is_none()
            || !runs
            || evidence
            || !self.report_ledger.had_heartbeats_throughout(host, self.now)
        {
            return;
        }
        let rack = self.weather.storms.rack;
        let beside = |other: HostIx| other == host || (other < rack && host < rack);
        let voices: BTreeSet<ReportSource> = self
            .report_ledger
            .claims_made
            .iter()
            .filter(|(of, who, at)| {
                let outside = !matches!(who, ReportSource::Compute(own) if beside(*own));
                *of == host && *at >= row.opened && outside
            })
            .map(|(_, who, _)| *who)
            .filter(|who| !matches!(who, ReportSource::Unbound(_)))
            .collect();
        let control = voices.iter().any(|who| matches!(who, ReportSource::Control(_)));
        if voices.len() < 2 || !control {
            self.violate(format!(
                "host {host} is ordered off while it is up in Nova and its guests run, on reports of {voices:?} (G3)"
            ));
        }
    }

    /// True if a known limit of docs/design/guarantees.md applies: a control node's NORMAL without evidence,
    /// and a silence of Masakari's wait. A heartbeat that has only just arrived is not yet noticed.
    pub(crate) fn is_trusted_normal(&self, rec: RecIx, host: HostIx) -> bool {
        let row = &self.journal.recs[rec];
        let bare = row.reported == "NORMAL" || row.joined;
        let control =
            self.report_ledger.claims_made.iter().any(|(of, who, _)| {
                *of == host && matches!(who, ReportSource::Control(number) if *number != 0)
            });
        // An operator may report it by mistake.
        let falsely = self.weather.faults.retry.as_ref();
        let control = control || falsely.is_some_and(|retry| retry.host == host);
        let beat = self.report_ledger.beat.get(&host).copied().unwrap_or_default();
        let silent = u128::from(self.now - beat) >= WAIT.as_millis();
        let woke = self.report_ledger.woke.get(&host);
        let was_silent = woke.is_some_and(|woke| self.now - woke <= OBSERVATION_VALIDITY);
        self.weather.mode == FencingMode::External
            && !self.is_contradicted(host, row.opened)
            && self.weather.bare_normal == BareNormal::Wait(WAIT)
            && bare
            && control
            && (silent || was_silent)
    }

    /// Checks that a reporter bound to one host moves no instance of another.
    pub(crate) fn check_own(&mut self, rec: RecIx, server: ServerIx) {
        let row = &self.journal.recs[rec];
        let Some(own) = row.reporter.as_ref().and_then(|who| who.host.clone()) else {
            return;
        };
        let at = self.nova.servers[server].host;
        let was_moved = self.journal.instance_moves.iter().any(|(of, _)| *of == rec);
        if row.kind == RecoveryKind::Vm && host_name(at) != own && !was_moved {
            self.violate(format!(
                "vm-{server} on host {at} is restarted on a report of {own}"
            ));
        }
    }

    /// Checks that reports of processes disable no more hosts than the guard allows.
    pub(crate) fn check_processes(&mut self) {
        let unapproved = self.journal.put.values().filter(|(why, rec)| {
            *why == tachi_domain::entity::host::MaintenanceReason::Process
                && self.journal.recs[*rec].commands.is_empty()
        });
        let count = unapproved.count();
        if self.weather.liars.is_some() && count > 1 {
            self.violate(format!(
                "{count} of {HOSTS} hosts are out of use for reports of processes"
            ));
        }
    }
}
