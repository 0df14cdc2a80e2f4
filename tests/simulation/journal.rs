//! The database: recoveries with epochs and beats, written transaction by transaction.

use std::collections::{BTreeMap, BTreeSet};

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::{Life, OperatorWord, Pulse, Storm, Word};
use tachi_domain::{Elapsed, ServerId, Timestamp};

use crate::nova::{HostIx, host_name};

pub(crate) type RecIx = usize;

#[derive(Clone, Debug)]
pub(crate) struct MoveRow {
    pub state: String,
    pub open: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Rec {
    pub host: HostIx,
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
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    Written,
    Lost,
    MovesTaken(Vec<ServerId>),
    HostUnderRecovery,
}

#[derive(Debug)]
pub(crate) struct Journal {
    pub recs: Vec<Rec>,
    pub segment_enabled: bool,
    pub maintenance: BTreeSet<HostIx>,
    /// Without it two owners write: a mutation that must be caught.
    pub checks_epoch: bool,
    pub hosts: usize,
}

impl Journal {
    /// A recovery for `host`, unless one is open (R6).
    pub(crate) fn open(&mut self, host: HostIx) -> Option<RecIx> {
        if self
            .recs
            .iter()
            .any(|rec| rec.host == host && rec.life == Life::Open)
        {
            return None;
        }
        self.recs.push(Rec {
            host,
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
        }
    }

    pub(crate) fn say(&mut self, rec: RecIx, word: Word) {
        let number = self.recs[rec].word.as_ref().map_or(0, |said| said.number) + 1;
        self.recs[rec].word = Some(OperatorWord {
            number,
            word,
            by: "operator".into(),
            at: Timestamp::from_micros(0),
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

    pub(crate) fn beat(&mut self, rec: RecIx, epoch: u64, elapsed: Elapsed) -> Committed {
        let row = &mut self.recs[rec];
        if self.checks_epoch && row.epoch != epoch {
            return Committed::Lost;
        }
        row.beat += 1;
        row.elapsed = elapsed;
        Committed::Written
    }

    pub(crate) fn commit(&mut self, rec: RecIx, epoch: u64, write: &Write) -> Committed {
        if self.checks_epoch && self.recs[rec].epoch != epoch {
            return Committed::Lost;
        }
        if let Some(host) = &write.unless_host_recovery
            && self
                .recs
                .iter()
                .any(|row| row.life == Life::Open && host_name(row.host) == *host)
        {
            return Committed::HostUnderRecovery;
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
        let row = &mut self.recs[rec];
        row.beat += 1;
        row.elapsed = write.elapsed;
        if let Some(head) = &write.head {
            row.head = Some(head.clone());
        }
        for (server, one) in &write.moves {
            row.moves.insert(*server, one.clone());
            *row.writes.entry(*server).or_default() += 1;
        }
        if let Some((status, message)) = &write.notification {
            row.status = *status;
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

    fn open_elsewhere(&self, rec: RecIx, server: ServerId) -> bool {
        self.recs
            .iter()
            .enumerate()
            .any(|(ix, row)| ix != rec && row.moves.get(&server).is_some_and(|one| one.open))
    }

    pub(crate) fn storm(&self) -> Storm {
        let out = self.recs.iter().filter(|row| row.life != Life::Closed).count();
        let (hosts, out) = (u64::try_from(self.hosts).unwrap(), u64::try_from(out).unwrap());
        Storm {
            segment_hosts: hosts,
            segment_out: out,
            all_hosts: hosts * 2,
            all_out: out,
        }
    }

    pub(crate) fn proven_off(&self) -> BTreeSet<String> {
        self.recs
            .iter()
            .filter(|row| row.proven_off && row.life != Life::Closed)
            .map(|row| host_name(row.host))
            .collect()
    }
}
