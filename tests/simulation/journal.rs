//! The journal's database: recoveries with epochs and heartbeats, written per transaction. `tests/contract`
//! holds the behaviour that it shares with the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::evidence::GivenEvidence;
use tachi_domain::guard::Guard;
use tachi_domain::host_recovery::{BootHeldFor, HostRecovery};
use tachi_domain::recovery::OffClaim;
use tachi_domain::recovery::given_up::{MAX_GIVEN_UP_RECOVERIES, WrittenOff, given_up, may_run};
use tachi_domain::recovery::retry::OwnStamp;
use tachi_domain::recovery::{
    Elsewhere, FenceOrder, InstanceResolution, Life, OperatorAction, OperatorCommand, OperatorRequest,
    RecoveryKind,
};
use tachi_domain::{Elapsed, Reporter, ServerId, Wait, WaitsFor};
use tachi_driver::journal::{Claim, ClaimedRecovery, PeerClaim, Write, WriteOutcome};

use crate::freezes::Freezes;
use crate::monitors::Heartbeats;
use crate::nova::{HostIx, ServerIx, host_name, server_id, stamp};
use crate::reserve::{Reserve, index_of};
use crate::rewinds::{holds, missed};
use crate::storms::{index_of_recovery, recovery_id};

pub(crate) type RecIx = usize;

/// `duplicate_notification_detection_interval`, in ms.
const DUPLICATE_WINDOW: u64 = 180_000;

#[derive(Clone, Debug)]
pub(crate) struct MoveRow {
    pub state: String,
    pub open: bool,
    pub wait: Option<Wait>,
    pub written_off: Vec<WrittenOff>,
    pub may_run: BTreeSet<String>,
}

/// A report as the API passes it on.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub kind: RecoveryKind,
    pub host: HostIx,
    pub server: Option<ServerIx>,
    pub event: &'static str,
    /// `host_status`.
    pub reported: &'static str,
    /// Time of the reporter's observation, and time of arrival.
    pub observed_at: u64,
    pub now: u64,
    pub reporter: Option<Reporter>,
    pub evidence: Option<Box<GivenEvidence>>,
    /// The failed recovery that it retries.
    pub again: Option<RepeatedReport>,
}

/// A retry as the store records it: the failed recovery, and the `updated_at` that our own change left in
/// Nova's record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RepeatedReport {
    pub of: RecIx,
    pub own_stamp: Option<OwnStamp>,
}

impl Report {
    /// Returns a report of a stopped host, or of a failed instance or process, from an unknown reporter.
    pub(crate) fn plain(
        kind: RecoveryKind,
        host: HostIx,
        server: Option<ServerIx>,
        reported: &'static str,
        (observed_at, now): (u64, u64),
    ) -> Self {
        Self {
            kind,
            host,
            server,
            event: "STOPPED",
            reported,
            observed_at,
            now,
            reporter: None,
            evidence: None,
            again: None,
        }
    }

    fn off_claim(&self) -> Option<OffClaim> {
        let claims_off = self.kind == RecoveryKind::Host && self.reported == "NORMAL";
        claims_off.then(|| OffClaim {
            arrived: Some(stamp(self.now)),
            dated: self
                .evidence
                .as_ref()
                .map_or(stamp(self.observed_at.min(self.now)), |given| given.dated()),
            evidence: self.evidence.clone(),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportResult {
    Opened(RecIx),
    /// The open recovery received the new information.
    Joined(RecIx),
    /// The open recovery, or an earlier one, has all of it already.
    Duplicate,
    OnMaintenance(MaintenanceReason),
}

/// Earlier head and moves of a recovery.
type Before = (Option<String>, BTreeMap<ServerId, MoveRow>);

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a row has them")]
pub(crate) struct Rec {
    pub kind: RecoveryKind,
    pub host: HostIx,
    /// The instance of a VM recovery.
    pub server: Option<ServerIx>,
    /// `host_status` of the notification.
    pub reported: &'static str,
    /// Time of the reporter's observation.
    pub observed_at: u64,
    /// Time when its notification was accepted.
    pub opened: u64,
    /// Time of its first claim.
    pub claimed: Option<u64>,
    /// Guards that have held or delayed it, or raised a warning.
    pub guards: BTreeSet<Guard>,
    /// Time when its notification ended.
    pub ended: Option<u64>,
    /// Number of reads of its lists.
    pub lists: u64,
    pub epoch: u64,
    pub seq: u64,
    pub beat: u64,
    pub owner: Option<String>,
    /// True if an owner's writes were lost.
    pub rewound: bool,
    pub life: Life,
    pub elapsed: Elapsed,
    pub head: Option<String>,
    pub wait: Option<Wait>,
    pub moves: BTreeMap<ServerId, MoveRow>,
    pub status: NotificationStatus,
    pub message: Option<String>,
    pub word: Option<OperatorRequest>,
    /// Operators' actions; true once an engine has read the action.
    pub actions: Vec<(OperatorAction, bool)>,
    pub move_words: Vec<InstanceResolution>,
    /// Every action so far.
    pub commands: Vec<OperatorCommand>,
    /// Off claims from joined reports, and whether a joined report claimed that the host is off.
    pub off_claim: Option<OffClaim>,
    pub joined: bool,
    /// First reporter, where known, and all reporters of the same failure.
    pub reporter: Option<Reporter>,
    pub reporters: Vec<Reporter>,
    pub event: &'static str,
    /// The failed recovery that it retries.
    pub again: Option<RepeatedReport>,
    pub running_again: bool,
    pub boot: Option<u32>,
    /// The engine that died as its owner, and the time.
    pub died: Option<(usize, u64)>,
    /// The state that a lagging standby still shows.
    before: Option<Box<Before>>,
    pub proven_off: bool,
    /// Number of transactions per move, for R7.
    pub writes: BTreeMap<ServerId, u32>,
    /// Number of writes of the notification's row.
    pub messages: u32,
    /// Time since which its state shows a started action.
    pub touched: Option<u64>,
    /// The same, in a state that the database has lost.
    pub touched_before: Option<u64>,
    pub approved: Option<u64>,
    /// True if the database has lost it.
    pub forgotten: bool,
    /// Incremented with each change of its state.
    pub version: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Journal {
    pub recs: Vec<Rec>,
    pub segment_enabled: bool,
    /// Time since which the segment is disabled; for the next field, since which host 0 is in maintenance.
    pub disabled_since: Option<u64>,
    pub maintenance_since: Option<u64>,
    pub maintenance: BTreeSet<HostIx>,
    /// Hosts put in maintenance by a recovery, with the reason and the recovery.
    pub put: BTreeMap<HostIx, (MaintenanceReason, RecIx)>,
    /// Restarts of instances: by recovery, the instance and the time.
    pub restarts: BTreeMap<RecIx, (ServerId, u64)>,
    /// The database's clock, in ms.
    pub now: u64,
    /// False in a mutation: two owners can then write, which must be caught.
    pub checks_claim: bool,
    pub reserve: Reserve,
    /// Power-off orders: the recovery and the time.
    pub orders: Vec<(RecIx, u64)>,
    /// Moves of failed instances to other hosts: the recovery and the time.
    pub instance_moves: Vec<(RecIx, u64)>,
    /// Power-off orders, including those that the database has lost since.
    pub given: Vec<(RecIx, u64)>,
    /// Lead times of other hosts' power-offs before the run, in ms.
    pub ordered_before: Vec<u64>,
    /// Fencing proofs: the recovery and the time.
    pub proofs: Vec<(RecIx, u64)>,
    pub freezes: Freezes,
    pub heartbeats: Heartbeats,
    /// Number of operators' actions.
    pub actions: i64,
    pub plans: BTreeMap<RecIx, BTreeMap<String, String>>,
}

impl Rec {
    /// True if a process recovery is open or finished.
    pub(crate) fn keeps_service_disabled(&self) -> bool {
        self.life == Life::Open || self.status == NotificationStatus::Finished
    }

    pub(crate) fn is_open_for_host(&self) -> bool {
        self.kind == RecoveryKind::Host && self.life == Life::Open && self.event == "STOPPED"
    }
}

impl Journal {
    pub(crate) fn new(reserve: Reserve, ordered_before: Vec<u64>) -> Self {
        Self {
            recs: Vec::new(),
            segment_enabled: true,
            disabled_since: None,
            maintenance_since: None,
            maintenance: BTreeSet::new(),
            put: BTreeMap::new(),
            restarts: BTreeMap::new(),
            now: 0,
            checks_claim: !crate::mutate::mutated("epoch"),
            reserve,
            orders: Vec::new(),
            instance_moves: Vec::new(),
            given: Vec::new(),
            ordered_before,
            proofs: Vec::new(),
            freezes: Freezes::default(),
            heartbeats: Heartbeats::default(),
            actions: 0,
            plans: BTreeMap::new(),
        }
    }

    /// True if nova-compute of `host` must wait for started actions of its recoveries (R25). A queue that only
    /// an operator can purge does not count.
    pub(crate) fn holds_boot(&self, host: HostIx, now: u64) -> bool {
        self.recs.iter().any(|rec| {
            let of_it = rec.kind == RecoveryKind::Host && rec.host == host;
            let Some(head) = rec.head.as_deref().filter(|_| of_it) else {
                return false;
            };
            let over = rec.ended.filter(|_| rec.life == Life::Closed);
            let since = over.map_or(0, |ended| now.saturating_sub(ended));
            let elapsed = rec.elapsed.plus(Duration::from_millis(since));
            let waits_for =
                HostRecovery::restore(head, &[])
                    .unwrap()
                    .holds_boot(rec.life, elapsed, stamp(now));
            waits_for.is_some_and(|what| what != BootHeldFor::Queue)
        })
    }

    /// Returns the reason for a host's maintenance, if any.
    pub(crate) fn maintenance_of(&self, host: HostIx) -> Option<MaintenanceReason> {
        if self.maintenance.contains(&host) {
            return Some(MaintenanceReason::Operator);
        }
        self.put.get(&host).map(|(why, _)| *why)
    }

    /// Opens a recovery for `host` or one of its instances. An open one receives the report's new information
    /// instead (R6, R19). Failed processes are not deduplicated.
    pub(crate) fn open(
        &mut self,
        kind: RecoveryKind,
        host: HostIx,
        server: Option<ServerIx>,
        reported: &'static str,
        times: (u64, u64),
    ) -> Option<RecIx> {
        match self.accept(Report::plain(kind, host, server, reported, times)) {
            ReportResult::Opened(rec) => Some(rec),
            ReportResult::Joined(_) | ReportResult::Duplicate | ReportResult::OnMaintenance(_) => None,
        }
    }

    /// Returns a host's boot number from its monitor's last heartbeat.
    fn boot_of(&self, host: HostIx) -> Option<u32> {
        Some(self.heartbeats.get(&host)?.back()?.boot)
    }

    pub(crate) fn accept(&mut self, report: Report) -> ReportResult {
        self.accept_within(report, DUPLICATE_WINDOW)
    }

    /// Accepts a report unless an equal one lies within `window` ms.
    pub(crate) fn accept_within(&mut self, report: Report, window: u64) -> ReportResult {
        let Report {
            kind, host, server, ..
        } = report;
        let stopped = kind == RecoveryKind::Host && report.event == "STOPPED";
        let why = self.maintenance_of(host);
        let refused = why.is_some_and(|why| match why {
            MaintenanceReason::Operator => true,
            MaintenanceReason::Recovery => !stopped,
            MaintenanceReason::Process => kind != RecoveryKind::Vm && !stopped,
        });
        if let Some(why) = why.filter(|_| refused) {
            return ReportResult::OnMaintenance(why);
        }
        let same = |rec: &Rec| {
            rec.life == Life::Open
                && match kind {
                    RecoveryKind::Host => {
                        rec.kind == kind && rec.host == host && rec.event == "STOPPED" && stopped
                    }
                    RecoveryKind::Vm => rec.kind == kind && rec.server == server,
                    RecoveryKind::Process | RecoveryKind::Drain | RecoveryKind::Giveback => false,
                }
        };
        if !crate::mutate::mutated("join")
            && let Some(open) = self.recs.iter().position(same)
        {
            return self.join(open, report);
        }
        // As in the API: equal reports count within one window before or after this report's time, unless their
        // recovery failed. Reports dated after their arrival do not count.
        let at = report.observed_at.min(report.now);
        let may_know_more = |rec: &Rec| {
            let both = report.reporter.as_ref().zip(rec.reporter.as_ref());
            let another = both.is_some_and(|(now, then)| !now.is_same_identity(then));
            rec.status == NotificationStatus::Ignored && (report.evidence.is_some() || another)
        };
        let repeated = |rec: &Rec| {
            !rec.forgotten
                && rec.kind == kind
                && rec.host == host
                && rec.server == server
                && (rec.event, rec.reported) == (report.event, report.reported)
                && !(stopped && rec.status == NotificationStatus::Failed)
                && !(stopped && may_know_more(rec))
                && !(rec.running_again && !rec.status.is_open() && rec.observed_at != report.observed_at)
                && rec.observed_at.min(rec.opened) + window >= at
        };
        if (kind == RecoveryKind::Host || report.reporter.is_some()) && self.recs.iter().any(repeated) {
            return ReportResult::Duplicate;
        }
        let off_claim = report.off_claim().filter(|claim| claim.evidence.is_some());
        self.recs.push(Rec {
            kind,
            host,
            server,
            reported: report.reported,
            observed_at: report.observed_at,
            opened: report.now,
            claimed: None,
            guards: BTreeSet::new(),
            ended: None,
            lists: 0,
            epoch: 0,
            seq: 0,
            beat: 0,
            owner: None,
            rewound: false,
            life: Life::Open,
            elapsed: Elapsed::ZERO,
            head: None,
            wait: None,
            moves: BTreeMap::new(),
            status: NotificationStatus::New,
            message: None,
            word: None,
            actions: Vec::new(),
            move_words: Vec::new(),
            commands: Vec::new(),
            off_claim,
            joined: false,
            reporters: report.reporter.iter().cloned().collect(),
            reporter: report.reporter,
            event: report.event,
            again: report.again,
            running_again: false,
            boot: self.boot_of(host),
            died: None,
            before: None,
            proven_off: false,
            writes: BTreeMap::new(),
            messages: 0,
            touched: None,
            touched_before: None,
            approved: None,
            forgotten: false,
            version: 0,
        });
        ReportResult::Opened(self.recs.len() - 1)
    }

    /// Adds information that the open recovery lacks: that its host is off, or another reporter of the failure.
    fn join(&mut self, rec: RecIx, report: Report) -> ReportResult {
        let claim = report.off_claim();
        let open = &mut self.recs[rec];
        let mut more = false;
        if let Some(claim) = claim {
            let together = match open.off_claim.take() {
                Some(known) => {
                    let together = known.clone().with(claim);
                    more = together != known;
                    together
                }
                None => claim,
            };
            more |= !open.joined;
            open.joined = true;
            open.off_claim = Some(together);
        }
        let spoke = report.reporter.is_some_and(|who| who.join(&mut open.reporters));
        if more || spoke {
            ReportResult::Joined(rec)
        } else {
            ReportResult::Duplicate
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.recs.iter().all(|row| row.life == Life::Closed)
    }

    /// Returns every recovery that is open or watching.
    pub(crate) fn unsettled(&self) -> Vec<PeerClaim> {
        let rows = self.recs.iter().enumerate();
        let view = |(rec, row): (RecIx, &Rec)| PeerClaim {
            id: recovery_id(rec),
            epoch: row.epoch,
            seq: row.seq,
            beat: row.beat,
            owner: row.owner.clone(),
            life: row.life,
            of_host: row.kind == RecoveryKind::Host,
        };
        rows.filter(|(_, row)| row.life != Life::Closed)
            .map(view)
            .collect()
    }

    pub(crate) fn claim(&mut self, peer: &PeerClaim, owner: &str, now: u64) -> Option<ClaimedRecovery> {
        let rec = index_of_recovery(peer.id);
        let row = &mut self.recs[rec];
        let as_seen = (row.epoch, row.seq, &row.owner) == (peer.epoch, peer.seq, &peer.owner);
        if !as_seen || row.life == Life::Closed {
            return None;
        }
        row.epoch += 1;
        row.seq += 1;
        row.beat += 1;
        row.owner = Some(owner.to_owned());
        if matches!(row.status, NotificationStatus::New | NotificationStatus::Error) {
            row.status = NotificationStatus::Running;
        }
        let row = &self.recs[rec];
        let (state, moves) = self.read(rec);
        let age = |at: u64| Duration::from_millis(now.saturating_sub(at));
        let others = self.restarts.iter().filter(|(by, _)| **by != rec);
        let same = others.filter(|(_, (server, _))| row.server.map(server_id) == Some(*server));
        let mut restarts: Vec<Duration> = same.map(|(_, (_, at))| age(*at)).collect();
        restarts.sort_unstable();
        Some(ClaimedRecovery {
            id: recovery_id(rec),
            epoch: row.epoch,
            owner: owner.to_owned(),
            seq: row.seq,
            beat: row.beat,
            rewound: row.rewound,
            kind: row.kind,
            life: row.life,
            notification: self.notification(rec),
            requested_by: row.kind.is_planned().then(|| "operator".to_owned()),
            host: Some(self.host(row.host)),
            elapsed: row.elapsed,
            state,
            moves,
            opened_at: stamp(row.opened),
            first_reported_at: stamp(row.opened),
            operator_state: self.operator_state(rec),
            restarts,
        })
    }

    /// Returns a new owner's view: the primary's, after its claim is committed (R1).
    fn read(&self, rec: RecIx) -> (Option<String>, Vec<String>) {
        let row = &self.recs[rec];
        let states =
            |moves: &BTreeMap<ServerId, MoveRow>| moves.values().map(|entry| entry.state.clone()).collect();
        match &row.before {
            Some(before) => (before.0.clone(), states(&before.1)),
            None => (row.head.clone(), states(&row.moves)),
        }
    }

    pub(crate) fn beat(&mut self, claim: &Claim, elapsed: Elapsed) -> WriteOutcome {
        let rec = index_of_recovery(claim.id);
        let row = &mut self.recs[rec];
        if self.checks_claim && !(holds(row, claim) && row.beat == claim.beat) {
            return missed(row, claim);
        }
        row.beat = claim.beat + 1;
        row.elapsed = elapsed;
        WriteOutcome::Written(self.operator_state(rec))
    }

    /// True if another recovery owns this host: it is open, or it watches the host's return and is younger than
    /// the writer.
    fn host_is_recovered(&self, writer: RecIx, host: &str) -> bool {
        let watches = self.recs[writer].kind == RecoveryKind::Host;
        self.recs.iter().enumerate().any(|(rec, row)| {
            let younger = rec > writer && row.kind == RecoveryKind::Host && row.life == Life::Watching;
            let owns = row.is_open_for_host() || watches && younger;
            rec != writer && host_name(row.host) == *host && owns
        })
    }

    /// Returns other hosts where the instance may run, by the youngest recovery that moved it. Here no operator
    /// resolves that.
    fn elsewhere(&self, rule: &Elsewhere) -> BTreeSet<String> {
        let mut rows = self.recs.iter().rev();
        let youngest = rows.find_map(|row| Some((row.life, row.moves.get(&rule.server)?)));
        let Some((life, entry)) = youngest else {
            return BTreeSet::new();
        };
        let given_up = entry
            .wait
            .as_ref()
            .is_some_and(|wait| wait.what == WaitsFor::GivenUp);
        let mut hosts = entry.may_run.clone();
        hosts.remove(&rule.host);
        if !given_up && life != Life::Open {
            hosts.clear();
        }
        hosts
    }

    /// Returns the reason to refuse the write, if any.
    fn refused(&self, rec: RecIx, write: &Write, (now, took): (u64, Duration)) -> Option<WriteOutcome> {
        if write.latest.is_some_and(|latest| stamp(now) > latest.plus(took)) {
            return Some(WriteOutcome::TooLate);
        }
        let source = write.unless_elsewhere.as_ref().map(|rule| &rule.host);
        let source = source.filter(|_| self.recs[rec].kind.is_planned());
        let mut hosts = write.unless_host_recovery.iter().chain(source);
        if hosts.any(|host| self.host_is_recovered(rec, host)) && !crate::mutate::mutated("exclusion") {
            return Some(WriteOutcome::HostUnderRecovery);
        }
        let freeze = write.freeze.as_ref();
        let servers = freeze.map(|order| self.instances_recovered(rec, order));
        if let Some(servers) = servers.filter(|servers| !servers.is_empty()) {
            return Some(WriteOutcome::InstancesUnderRecovery(servers));
        }
        let elsewhere = write.unless_elsewhere.as_ref().map(|rule| self.elsewhere(rule));
        if let Some(hosts) = elsewhere.filter(|hosts| !hosts.is_empty()) {
            return Some(WriteOutcome::MayRunOn(hosts));
        }
        let evidence = |claim: &OffClaim| claim.evidence.is_some();
        let has_unread_report = write.unless_joined && self.recs[rec].joined
            || write.unless_evidence && self.recs[rec].off_claim.as_ref().is_some_and(evidence);
        if has_unread_report && !crate::mutate::mutated("joined") {
            return Some(WriteOutcome::Joined);
        }
        let taken: Vec<ServerId> = write
            .moves
            .iter()
            .filter(|entry| entry.open && self.open_elsewhere(rec, entry.server))
            .map(|entry| entry.server)
            .collect();
        if !taken.is_empty() {
            return Some(WriteOutcome::MovesTaken(taken));
        }
        let refused = self.refused_reservations(rec, &write.reservations);
        if !refused.is_empty() {
            return Some(WriteOutcome::ReserveTaken(refused));
        }
        let operator_state = self.operator_state(rec);
        if write.unless_frozen.is_blocked_by(&operator_state.frozen) && !crate::mutate::mutated("frozen") {
            return Some(WriteOutcome::Frozen(operator_state));
        }
        None
    }

    /// Executes the transaction, `took` after its send by the sender's clock.
    pub(crate) fn commit(
        &mut self,
        claim: &Claim,
        write: &Write,
        (now, took): (u64, Duration),
    ) -> WriteOutcome {
        let rec = index_of_recovery(claim.id);
        let row = &mut self.recs[rec];
        if self.checks_claim
            && !(holds(row, claim) && (row.seq == claim.seq || crate::mutate::mutated("seq")))
        {
            return missed(row, claim);
        }
        if let Some(refused) = self.refused(rec, write, (now, took)) {
            return refused;
        }
        if let Some(order) = write.order {
            if self.too_many_orders(rec, order, now) {
                return WriteOutcome::TooManyOrders;
            }
            self.orders.push((rec, now));
            self.given.push((rec, now));
        }
        if let Some(order) = write.move_order
            && self.too_many_moves(rec, order, now)
        {
            return WriteOutcome::TooManyOrders;
        }
        if !write.proofs.is_empty() {
            self.proofs.push((rec, now));
        }
        self.reserve_hosts(rec, &write.reservations);
        let row = &mut self.recs[rec];
        if crate::mutate::mutated("standby") {
            row.before = Some(Box::new((row.head.clone(), row.moves.clone())));
        }
        row.seq = claim.seq + 1;
        row.beat = claim.beat + 1;
        row.rewound &= !write.rewind_done;
        for (action, processed) in &mut row.actions {
            *processed |= write.processed_action_ids.contains(&action.id);
        }
        row.elapsed = write.elapsed;
        row.version += u64::from(write.state.is_some() || !write.moves.is_empty());
        if let Some(head) = &write.state {
            row.head = Some(head.clone());
            let touched = crate::freezes::touched(row.kind, head);
            row.touched = touched.then(|| row.touched.or(row.touched_before).unwrap_or(now));
        }
        if let Some(wait) = &write.wait {
            row.wait = Some(wait.clone());
        }
        for one in &write.moves {
            let intent = one.state.contains("\"at\":\"asked\"") && one.state.contains("\"answered\":false");
            let skipped = (intent && crate::mutate::mutated("intent-write"))
                || (!one.open && crate::mutate::mutated("terminal-write"));
            if skipped {
                continue;
            }
            let kept = MoveRow {
                state: one.state.clone(),
                open: one.open,
                wait: one.wait.clone(),
                written_off: one.written_off.clone(),
                may_run: one.may_run.clone(),
            };
            row.moves.insert(one.server, kept);
            *row.writes.entry(one.server).or_default() += 1;
        }
        if let Some((status, message)) = &write.notification {
            row.status = *status;
            if !status.is_open() {
                row.ended = Some(now);
            }
            row.message.clone_from(message);
            row.messages += 1;
        }
        if let Some(proven) = write.proven_off {
            row.proven_off = proven;
        }
        if let Some(life) = write.life {
            row.life = life;
        }
        if write.life == Some(Life::Closed) {
            // A closed recovery has no open moves and holds nothing.
            for entry in row.moves.values_mut() {
                entry.open = false;
            }
            self.reserve.free(rec);
        }
        self.recs[rec].running_again |= write.running_again;
        if let Some(server) = write.restarted {
            self.restarts.entry(rec).or_insert((server, now));
        }
        self.change_host(rec, write);
        self.freezes.worse(&write.worse, now);
        if let Some(order) = &write.freeze {
            let minutes = u32::try_from(order.lasts.as_secs() / 60).unwrap();
            self.freezes.of_drained(self.recs[rec].host, minutes, now);
        }
        if write.life == Some(Life::Closed) && !write.unless_frozen.is_conditional() {
            return WriteOutcome::Written(self.last_operator_state(rec));
        }
        WriteOutcome::Written(self.operator_state(rec))
    }

    fn change_host(&mut self, rec: RecIx, write: &Write) {
        if let Some(change) = write.host {
            let host = index_of(change.host);
            let weaker = self.maintenance_of(host) == Some(MaintenanceReason::Recovery)
                && change.why == MaintenanceReason::Process;
            if !weaker {
                self.put.insert(host, (change.why, rec));
            }
        }
        if let Some(host) = write.host_back.map(index_of)
            && self.put.get(&host) == Some(&(MaintenanceReason::Recovery, rec))
        {
            self.put.remove(&host);
        }
    }

    fn too_many_orders(&self, rec: RecIx, order: FenceOrder, now: u64) -> bool {
        let lately = |ago: u64| std::time::Duration::from_millis(ago) < order.within;
        let others: BTreeSet<RecIx> = self
            .orders
            .iter()
            .filter(|(one, at)| *one != rec && lately(now - at))
            .map(|(one, _)| *one)
            .collect();
        let before = self
            .ordered_before
            .iter()
            .filter(|ago| lately(now + **ago))
            .count();
        let limit = order.at_most.map(|limit| usize::try_from(limit).unwrap());
        !crate::mutate::mutated("rate") && limit.is_some_and(|limit| others.len() + before >= limit)
    }

    fn open_elsewhere(&self, rec: RecIx, server: ServerId) -> bool {
        let rows = self.recs.iter().enumerate();
        !crate::mutate::mutated("move-key")
            && rows
                .into_iter()
                .any(|(ix, row)| ix != rec && row.moves.get(&server).is_some_and(|entry| entry.open))
    }

    /// Returns the records of Nova that recoveries of `host` have given up.
    pub(crate) fn written_off(&self, host: HostIx) -> BTreeMap<ServerId, Vec<WrittenOff>> {
        let recs = self
            .recs
            .iter()
            .filter(|row| row.kind == RecoveryKind::Host && row.host == host);
        let recs: Vec<&Rec> = recs.collect();
        let latest = recs.len().saturating_sub(MAX_GIVEN_UP_RECOVERIES.into());
        let moves = recs[latest..].iter().flat_map(|row| &row.moves);
        given_up(moves.map(|(server, entry)| (*server, entry.written_off.clone())))
    }

    /// Returns where instances may run, by the results of recoveries.
    pub(crate) fn may_run(&self) -> BTreeMap<ServerId, BTreeSet<String>> {
        let moves = self.recs.iter().flat_map(|row| &row.moves);
        may_run(moves.map(|(server, entry)| (*server, entry.may_run.clone())))
    }

    /// Returns the recoveries on hold.
    pub(crate) fn on_hold(&self) -> Vec<RecIx> {
        let on_hold =
            |row: &Rec| row.life == Life::Open && row.wait.as_ref().is_some_and(|it| it.what.is_on_hold());
        (0..self.recs.len())
            .filter(|rec| on_hold(&self.recs[*rec]))
            .collect()
    }

    /// Returns the instances that wait for an operator, by the youngest recovery of each, and the reason.
    pub(crate) fn needing_operator(&self) -> Vec<(ServerId, Wait)> {
        let mut youngest = BTreeMap::new();
        for row in &self.recs {
            youngest.extend(row.moves.iter().map(|(server, one)| (*server, (row.life, one))));
        }
        let waiting = youngest.into_iter().filter_map(|(server, (life, one))| {
            let wait = one.wait.clone()?;
            let counts = wait.what == WaitsFor::GivenUp || (wait.what.is_on_hold() && life != Life::Closed);
            counts.then_some((server, wait))
        });
        waiting.collect()
    }

    pub(crate) fn proven_off(&self) -> BTreeSet<String> {
        self.recs
            .iter()
            .filter(|row| row.kind == RecoveryKind::Host && row.proven_off && row.life != Life::Closed)
            .map(|row| host_name(row.host))
            .collect()
    }
}
