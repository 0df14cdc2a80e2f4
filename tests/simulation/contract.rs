//! Contract test: the simulation's journal behaves as the store does.

use std::time::Duration;

use tachi_contract::{Answer, Found, Operation, Outcome, RESERVED_HOST, View, scenarios};
use tachi_domain::Elapsed;
use tachi_domain::recovery::RecoveryKind;
use tachi_driver::RowVersion;
use tachi_driver::journal::{Claim, PeerClaim};

use crate::journal::Journal;
use crate::nova::stamp;
use crate::reserve::{Reserve, Row, host_id, index_of};
use crate::storms::{index_of_recovery, recovery_id};

struct Harness {
    journal: Journal,
    now: u64,
    freezes: Vec<i64>,
}

impl Harness {
    fn new() -> Self {
        let mut reserve = Reserve::draw(0);
        let row = Row {
            reserved: true,
            ..Row::default()
        };
        reserve.rows = [(RESERVED_HOST, row)].into();
        Self {
            journal: Journal::new(reserve, Vec::new()),
            now: 0,
            freezes: Vec::new(),
        }
    }

    fn opened(
        &mut self,
        kind: RecoveryKind,
        host: usize,
        server: Option<u32>,
        reported: &'static str,
    ) -> Answer {
        let server = server.map(|server| usize::try_from(server).unwrap());
        let times = (self.now, self.now);
        let opened = self.journal.open(kind, host, server, reported, times);
        opened.map_or(Answer::NotOpened, Answer::Opened)
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn apply(&mut self, operation: &Operation) -> Answer {
        let (journal, now) = (&mut self.journal, self.now);
        match operation {
            Operation::Pass(seconds) => {
                self.now += u64::from(*seconds) * 1_000;
                journal.now = self.now;
            }
            Operation::Freeze { what, minutes } => {
                journal.freezes.freeze(*what, *minutes, true, now);
                self.freezes
                    .push(i64::try_from(journal.freezes.rows.len()).unwrap());
            }
            Operation::Thaw { what } => journal.freezes.thaw(*what, now),
            Operation::Report { host, off } => {
                let reported = if *off { "NORMAL" } else { "UNKNOWN" };
                return self.opened(RecoveryKind::Host, *host, None, reported);
            }
            Operation::ReportInstance { host, server } => {
                return self.opened(RecoveryKind::Vm, *host, Some(*server), "");
            }
            Operation::Drain { host } => {
                let opened = journal.plan(RecoveryKind::Drain, *host, now);
                return opened.map_or(Answer::NotOpened, Answer::Opened);
            }
            Operation::Unsettled => {
                let views = journal.unsettled().into_iter().map(|view| View {
                    recovery: index_of_recovery(view.id),
                    epoch: view.epoch,
                    beat: view.beat,
                    owned: view.owner.is_some(),
                    life: view.life,
                });
                return Answer::Views(views.collect());
            }
            Operation::Claim {
                recovery,
                seen,
                owner,
            } => {
                let view = PeerClaim {
                    epoch: *seen,
                    ..shown(journal, *recovery)
                };
                let claimed = journal.claim(&view, &format!("engine-{owner}"), now);
                return Answer::Claimed(claimed.map(|claimed| Box::new(Found::from(claimed))));
            }
            Operation::Commit {
                recovery,
                epoch,
                draft,
            } => {
                let write = draft.write(*recovery, host_id, &self.freezes, stamp(now));
                let claim = known(journal, *recovery, *epoch, None, (0, 0));
                let committed = journal.commit(&claim, &write, (now, Duration::ZERO));
                return Answer::Committed(Outcome::of(committed, index_of));
            }
            Operation::RenewLease {
                recovery,
                epoch,
                millis,
            } => {
                let claim = known(journal, *recovery, *epoch, None, (0, 0));
                let beaten = journal.beat(&claim, Elapsed::from_millis(*millis));
                return Answer::Committed(Outcome::of(beaten, index_of));
            }
            Operation::Release { recovery, epoch } => {
                let claim = known(journal, *recovery, *epoch, None, (0, 0));
                journal.release(&claim);
            }
            Operation::CommitPast {
                recovery,
                epoch,
                owner,
                lost,
                draft,
            } => {
                let write = draft.write(*recovery, host_id, &self.freezes, stamp(now));
                let claim = known(journal, *recovery, *epoch, Some(*owner), (*lost, 0));
                let committed = journal.commit(&claim, &write, (now, Duration::ZERO));
                return Answer::Committed(Outcome::of(committed, index_of));
            }
            Operation::BeatPast {
                recovery,
                epoch,
                owner,
                lost,
            } => {
                let claim = known(journal, *recovery, *epoch, Some(*owner), *lost);
                let beaten = journal.beat(&claim, Elapsed::from_millis(5));
                return Answer::Committed(Outcome::of(beaten, index_of));
            }
            Operation::MarkRewound { recovery, lost } => {
                let view = shown(journal, *recovery);
                let known = RowVersion {
                    epoch: view.epoch,
                    seq: view.seq + lost,
                };
                journal.mark_rewound(&view, known);
            }
            Operation::Submit { recovery, word } => journal.submit(*recovery, *word, now),
            Operation::Segment { enabled } => journal.segment_enabled = *enabled,
            Operation::Maintenance { host } => {
                journal.maintenance.insert(*host);
            }
            Operation::ProvenOff => {
                let names = journal.proven_off();
                let all = 0..tachi_contract::HOSTS;
                return Answer::Hosts(
                    all.filter(|host| names.contains(&tachi_contract::host_name(*host)))
                        .collect(),
                );
            }
            Operation::Waits => {
                let on_hold = journal.on_hold().into_iter().filter_map(|rec| {
                    let wait = journal.recs[rec].wait.clone()?;
                    Some((rec, wait.what, wait.on.into_iter().collect()))
                });
                let servers = journal.needing_operator().into_iter();
                let servers = servers.map(|(server, wait)| (tachi_contract::number(server), wait.what));
                return Answer::Waits {
                    held: on_hold.collect(),
                    servers: servers.collect(),
                };
            }
            Operation::WrittenOff { host } => {
                let servers = journal.written_off(*host).into_keys();
                return Answer::Servers(servers.map(tachi_contract::number).collect());
            }
        }
        Answer::Done
    }
}

/// Returns the claim of a recovery, open or closed.
fn shown(journal: &Journal, recovery: usize) -> PeerClaim {
    let row = &journal.recs[recovery];
    PeerClaim {
        id: recovery_id(recovery),
        epoch: row.epoch,
        seq: row.seq,
        beat: row.beat,
        owner: row.owner.clone(),
        life: row.life,
        of_host: row.kind == RecoveryKind::Host,
    }
}

/// Returns the claim as known to an owner that lost the given numbers of commits and heartbeats. `None`: the
/// last writer.
fn known(
    journal: &Journal,
    recovery: usize,
    epoch: u64,
    owner: Option<usize>,
    (commits, beats): (u64, u64),
) -> Claim {
    let row = shown(journal, recovery);
    Claim {
        id: row.id,
        epoch,
        owner: owner.map_or(row.owner.unwrap_or_default(), |owner| format!("engine-{owner}")),
        seq: row.seq + commits,
        beat: row.beat + beats,
    }
}

/// Covers R1, R2, R6, R10, R12, R19, R20, R22, R24.
#[test]
fn the_simulations_journal_answers_as_every_journal_must() {
    let mut wrong = Vec::new();
    for scenario in scenarios() {
        let mut harness = Harness::new();
        let answers: Vec<Answer> = scenario
            .lines
            .iter()
            .map(|line| harness.apply(&line.operation))
            .collect();
        wrong.extend(scenario.differences(&answers));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
