//! The database: recoveries with epochs and beats, written transaction by transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::evidence::OffWord;
use tachi_domain::guard::Guard;
use tachi_domain::host_recovery::{GIVEN_UP_BY_LATEST, HostRecovery, WaitsFor, WrittenOff, given_up};
use tachi_domain::recovery::{FenceOrder, Life, OperatorWord, Pulse, RecoveryKind, Word};
use tachi_domain::{Elapsed, HostId, ServerId};

use crate::nova::{HostIx, ServerIx, host_name, stamp};
use crate::reserve::{Reservation, Reserve};

pub(crate) type RecIx = usize;

/// `duplicate_notification_detection_interval`.
const DUPLICATE_WINDOW: u64 = 180_000;

#[derive(Clone, Debug)]
pub(crate) struct MoveRow {
    pub state: String,
    pub open: bool,
}

/// Head and moves of a recovery as they were.
type Before = (Option<String>, BTreeMap<ServerId, MoveRow>);

#[derive(Clone, Debug)]
pub(crate) struct Rec {
    pub kind: RecoveryKind,
    pub host: HostIx,
    /// The instance a VM recovery is about.
    pub server: Option<ServerIx>,
    /// `host_status` of the notification.
    pub reported: &'static str,
    /// When its reporter saw what it reports.
    pub seen: u64,
    /// When its notification was accepted.
    pub opened: u64,
    /// When it was claimed first.
    pub claimed: Option<u64>,
    /// The guards that have held it, made it wait, or warned.
    pub guards: BTreeSet<Guard>,
    /// When its notification ended.
    pub ended: Option<u64>,
    /// How often its lists were read.
    pub lists: u64,
    pub epoch: u64,
    pub beat: u64,
    pub owner: Option<usize>,
    pub life: Life,
    pub elapsed: Elapsed,
    pub head: Option<String>,
    pub moves: BTreeMap<ServerId, MoveRow>,
    pub status: NotificationStatus,
    pub message: Option<String>,
    pub word: Option<OperatorWord>,
    /// Every word that was said.
    pub words: Vec<Word>,
    /// A further report has said that the host is off, and when it saw that.
    pub joined: Option<OffWord>,
    /// Which owner has died, and when.
    pub died: Option<(usize, u64)>,
    /// What a standby that lags behind still shows.
    before: Option<Box<Before>>,
    pub proven_off: bool,
    /// Transactions per move, for R7.
    pub writes: BTreeMap<ServerId, u32>,
    /// Writes of the notification's row.
    pub messages: u32,
}

/// One transaction.
#[derive(Debug, Default)]
pub(crate) struct Write {
    pub elapsed: Elapsed,
    pub head: Option<String>,
    pub life: Option<Life>,
    pub moves: Vec<(ServerId, MoveRow)>,
    pub notification: Option<(NotificationStatus, Option<String>)>,
    pub proven_off: Option<bool>,
    pub unless_host_recovery: Option<String>,
    pub reservations: Vec<Reservation>,
    pub order: Option<FenceOrder>,
    /// A host was proven off.
    pub proven: bool,
    pub unless_joined: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    Written,
    Lost,
    MovesTaken(Vec<ServerId>),
    HostUnderRecovery,
    Joined,
    ReserveTaken(Vec<HostId>),
    TooManyOrders,
}

#[derive(Debug)]
pub(crate) struct Journal {
    pub recs: Vec<Rec>,
    pub segment_enabled: bool,
    /// Since when the segment is disabled, and since when host 0 is on maintenance.
    pub disabled_since: Option<u64>,
    pub maintenance_since: Option<u64>,
    pub maintenance: BTreeSet<HostIx>,
    /// Without it two owners write: a mutation that must be caught.
    pub checks_epoch: bool,
    pub reserve: Reserve,
    /// Which recoveries have ordered their host off, and when.
    pub orders: Vec<(RecIx, u64)>,
    /// How long before the run others were ordered off.
    pub ordered_before: Vec<u64>,
    /// Which recoveries have proven their host off, and when.
    pub proofs: Vec<(RecIx, u64)>,
}

impl Rec {
    pub(crate) fn is_open_for_host(&self) -> bool {
        self.kind == RecoveryKind::Host && self.life == Life::Open
    }
}

impl Journal {
    /// Whether nova-compute of `host` has to wait for what its recoveries have begun (R25). A queue that only a person can empty
    /// does not count.
    pub(crate) fn holds_boot(&self, host: HostIx, now: u64) -> bool {
        self.recs.iter().any(|rec| {
            let of_it = rec.kind == RecoveryKind::Host && rec.host == host;
            let Some(head) = rec.head.as_deref().filter(|_| of_it) else {
                return false;
            };
            let over = rec.ended.filter(|_| rec.life == Life::Closed);
            let since = over.map_or(0, |ended| now.saturating_sub(ended));
            let elapsed = rec.elapsed.plus(Duration::from_millis(since));
            let waits_for = HostRecovery::restore(head, &[])
                .unwrap()
                .holds_boot(rec.life, elapsed);
            waits_for.is_some_and(|what| what != WaitsFor::Queue)
        })
    }

    /// A recovery for `host` or one of its instances, unless one is open (R6): that one hears what the report says more (R19).
    /// Failed processes are none of the things that must not be seen to twice.
    pub(crate) fn open(
        &mut self,
        kind: RecoveryKind,
        host: HostIx,
        server: Option<ServerIx>,
        reported: &'static str,
        (seen, now): (u64, u64),
    ) -> Option<RecIx> {
        let same = |rec: &Rec| {
            rec.life == Life::Open
                && match kind {
                    RecoveryKind::Host => rec.kind == kind && rec.host == host,
                    RecoveryKind::Vm => rec.kind == kind && rec.server == server,
                    RecoveryKind::Process => false,
                }
        };
        if !crate::mutate::mutated("join")
            && let Some(open) = self.recs.iter_mut().find(|rec| same(rec))
        {
            if kind == RecoveryKind::Host && reported == "NORMAL" {
                let word = OffWord {
                    dated: stamp(seen.min(now)),
                    evidence: None,
                };
                open.joined = Some(match open.joined.take() {
                    Some(known) => known.with(word),
                    None => word,
                });
            }
            return None;
        }
        // As the API has it: the same report, of a time less than a window before this one's or after it, and it has not failed.
        let repeated = |rec: &Rec| {
            kind == RecoveryKind::Host
                && rec.kind == kind
                && rec.host == host
                && rec.reported == reported
                && rec.status != NotificationStatus::Failed
                && rec.seen + DUPLICATE_WINDOW >= seen
        };
        if self.recs.iter().any(repeated) {
            return None;
        }
        self.recs.push(Rec {
            kind,
            host,
            server,
            reported,
            seen,
            opened: now,
            claimed: None,
            guards: BTreeSet::new(),
            ended: None,
            lists: 0,
            epoch: 0,
            beat: 0,
            owner: None,
            life: Life::Open,
            elapsed: Elapsed::ZERO,
            head: None,
            moves: BTreeMap::new(),
            status: NotificationStatus::New,
            message: None,
            word: None,
            words: Vec::new(),
            joined: None,
            died: None,
            before: None,
            proven_off: false,
            writes: BTreeMap::new(),
            messages: 0,
        });
        Some(self.recs.len() - 1)
    }

    pub(crate) fn pulse(&self, rec: RecIx) -> Pulse {
        Pulse {
            segment_enabled: self.segment_enabled,
            operator_maintenance: self.maintenance.contains(&self.recs[rec].host),
            word: self.recs[rec].word.clone(),
            joined_normal: self.recs[rec].joined.is_some(),
            off_word: self.recs[rec].joined.clone(),
        }
    }

    pub(crate) fn say(&mut self, rec: RecIx, word: Word, now: u64) {
        self.recs[rec].words.push(word);
        let number = self.recs[rec].word.as_ref().map_or(0, |said| said.number) + 1;
        self.recs[rec].word = Some(OperatorWord {
            number,
            word,
            by: "operator".into(),
            at: stamp(now),
        });
    }

    pub(crate) fn claim(&mut self, rec: RecIx, seen_epoch: u64, owner: usize) -> Option<u64> {
        let row = &mut self.recs[rec];
        if row.epoch != seen_epoch || row.life == Life::Closed {
            return None;
        }
        row.epoch += 1;
        row.beat += 1;
        row.owner = Some(owner);
        if row.status == NotificationStatus::New {
            row.status = NotificationStatus::Running;
        }
        Some(row.epoch)
    }

    /// What a new owner reads: the primary, after its claim has been committed (R1).
    pub(crate) fn read(&self, rec: RecIx) -> (Option<String>, Vec<String>) {
        let row = &self.recs[rec];
        let states =
            |moves: &BTreeMap<ServerId, MoveRow>| moves.values().map(|one| one.state.clone()).collect();
        match &row.before {
            Some(before) => (before.0.clone(), states(&before.1)),
            None => (row.head.clone(), states(&row.moves)),
        }
    }

    pub(crate) fn beat(&mut self, rec: RecIx, epoch: u64, elapsed: Elapsed) -> Committed {
        let row = &mut self.recs[rec];
        if self.checks_epoch && row.epoch != epoch {
            return Committed::Lost;
        }
        row.beat += 1;
        row.elapsed = elapsed;
        Committed::Written
    }

    /// Another host recovery has this host: it is open, or it watches the host's return and is younger than a writer that does.
    fn host_is_recovered(&self, writer: RecIx, host: &str) -> bool {
        let watches = self.recs[writer].kind == RecoveryKind::Host;
        self.recs.iter().enumerate().any(|(rec, row)| {
            let younger = rec > writer && row.kind == RecoveryKind::Host && row.life == Life::Watching;
            host_name(row.host) == *host && (row.is_open_for_host() || (watches && younger))
        })
    }

    pub(crate) fn commit(&mut self, rec: RecIx, epoch: u64, write: &Write, now: u64) -> Committed {
        if self.checks_epoch && self.recs[rec].epoch != epoch {
            return Committed::Lost;
        }
        if let Some(host) = &write.unless_host_recovery
            && self.host_is_recovered(rec, host)
            && !crate::mutate::mutated("exclusion")
        {
            return Committed::HostUnderRecovery;
        }
        if write.unless_joined && self.recs[rec].joined.is_some() && !crate::mutate::mutated("joined") {
            return Committed::Joined;
        }
        let taken: Vec<ServerId> = write
            .moves
            .iter()
            .filter(|(server, row)| row.open && self.open_elsewhere(rec, *server))
            .map(|(server, _)| *server)
            .collect();
        if !taken.is_empty() {
            return Committed::MovesTaken(taken);
        }
        let refused = self.refused_reservations(rec, &write.reservations);
        if !refused.is_empty() {
            return Committed::ReserveTaken(refused);
        }
        if let Some(order) = write.order {
            if self.too_many_orders(rec, order, now) {
                return Committed::TooManyOrders;
            }
            self.orders.push((rec, now));
        }
        if write.proven {
            self.proofs.push((rec, now));
        }
        self.reserve_hosts(rec, &write.reservations);
        let row = &mut self.recs[rec];
        if crate::mutate::mutated("standby") {
            row.before = Some(Box::new((row.head.clone(), row.moves.clone())));
        }
        row.beat += 1;
        row.elapsed = write.elapsed;
        if let Some(head) = &write.head {
            row.head = Some(head.clone());
        }
        for (server, one) in &write.moves {
            let intent = one.state.contains("\"at\":\"asked\"") && one.state.contains("\"answered\":false");
            let skipped = (intent && crate::mutate::mutated("intent-write"))
                || (!one.open && crate::mutate::mutated("terminal-write"));
            if skipped {
                continue;
            }
            row.moves.insert(*server, one.clone());
            *row.writes.entry(*server).or_default() += 1;
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
        Committed::Written
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
                .any(|(ix, row)| ix != rec && row.moves.get(&server).is_some_and(|one| one.open))
    }

    /// What recoveries of `host` have given up of Nova's records.
    pub(crate) fn written_off(&self, host: HostIx) -> BTreeMap<ServerId, Vec<WrittenOff>> {
        let recs = self
            .recs
            .iter()
            .filter(|row| row.kind == RecoveryKind::Host && row.host == host);
        let recs: Vec<&Rec> = recs.collect();
        let latest = recs.len().saturating_sub(GIVEN_UP_BY_LATEST.into());
        given_up(
            recs[latest..]
                .iter()
                .flat_map(|row| row.moves.values().map(|one| one.state.as_str())),
        )
    }

    pub(crate) fn proven_off(&self) -> BTreeSet<String> {
        self.recs
            .iter()
            .filter(|row| row.kind == RecoveryKind::Host && row.proven_off && row.life != Life::Closed)
            .map(|row| host_name(row.host))
            .collect()
    }
}
