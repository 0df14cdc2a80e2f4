//! The store fulfils the contract of a journal.

use std::time::Duration;

use tachi_contract::{
    Answer, Found, HOSTS, Operation, Outcome, RESERVED_HOST, Target, View, host_name, scenarios, server,
};
use tachi_domain::entity::Segment;
use tachi_domain::entity::host::HostAttributes;
use tachi_domain::entity::notification::{NewNotification, NotificationType};
use tachi_domain::entity::segment::SegmentChange;
use tachi_domain::recovery::RecoveryKind;
use tachi_domain::{ApprovedWait, Elapsed, HostId, RecoveryId};
use tachi_engine::ports::journal::{Claim, RowVersion};
use tachi_engine::ports::operator::{MoveFilter, RecoveryFilter, RecoveryState};
use tachi_engine::ports::plans::{NewPlan, PlanOutcome, Plans as _};
use tachi_engine::ports::{
    FreezeLine, FreezeOutcome, FreezeTerms, Freezes as _, Hosts as _, Journal as _, NewFreeze,
    OperatorJournal as _, Reports as _, Segments as _,
};

use crate::testing::{Bench, new_host, new_segment, notification};
use crate::{Role, Store};

struct Harness {
    bench: Bench,
    /// The store of the API.
    api: Store,
    /// The store of engines and operators.
    engine: Store,
    segment: Segment,
    hosts: Vec<HostId>,
    recoveries: Vec<RecoveryId>,
    freezes: Vec<i64>,
}

impl Harness {
    /// Creates the fixture with the users of API and engine if the database has users; otherwise the owner of the
    /// schema does both.
    async fn new(granted: bool) -> Self {
        let bench = Bench::new().await;
        let (mut api, mut engine) = (bench.store.clone(), bench.store.clone());
        if granted {
            api = bench.as_user(Role::Api).await.unwrap_or(api);
            engine = bench.as_user(Role::Engine).await.unwrap_or(engine);
            api.migrate().await.unwrap();
            engine.migrate().await.unwrap();
        }
        let segment = api.registry().create_segment(&new_segment("s1")).await.unwrap();
        let mut hosts = Vec::new();
        for host in 0..HOSTS {
            let mut new = new_host(&host_name(host));
            new.reserved = host == RESERVED_HOST;
            hosts.push(api.registry().create_host(segment.id, &new).await.unwrap().id);
        }
        Self {
            bench,
            api,
            engine,
            segment,
            hosts,
            recoveries: Vec::new(),
            freezes: Vec::new(),
        }
    }

    /// Returns the claim as known to an owner who has lost this number of commits and heartbeats.
    async fn known(&self, recovery: usize, epoch: u64, owner: usize, lost: (u64, u64)) -> Claim {
        let journal = self.engine.journal();
        let row = journal.claim_of(self.recoveries[recovery], epoch).await;
        Claim {
            owner: format!("engine-{owner}"),
            seq: row.seq + lost.0,
            beat: row.beat + lost.1,
            ..row
        }
    }

    fn host(&self, id: HostId) -> usize {
        self.hosts.iter().position(|host| *host == id).unwrap()
    }

    async fn freeze(&mut self, what: Target, minutes: u32) {
        let new = NewFreeze {
            scope: what.scope(),
            target: self.target(what),
            name: match what {
                Target::Host(host) => host_name(host),
                Target::Region | Target::Segment | Target::Instance(_) => String::new(),
            },
            by: "operator".into(),
            terms: FreezeTerms {
                lasts: Duration::from_secs(u64::from(minutes) * 60),
                reason: "contract".into(),
                unless_worse: true,
            },
        };
        let made = self.engine.freezes().freeze(&new).await.unwrap();
        let FreezeOutcome::Started { line, .. } = made else {
            panic!("{made:?}");
        };
        self.freezes.push(line.freeze.number);
    }

    fn target(&self, what: Target) -> String {
        match what {
            Target::Region => String::new(),
            Target::Segment => self.segment.id.to_string(),
            Target::Host(host) => self.hosts[host].to_string(),
            Target::Instance(number) => server(number).to_string(),
        }
    }

    async fn reported(&mut self, new: &NewNotification) -> Answer {
        if self
            .api
            .registry()
            .accept_notification(new, 180, self.bench.clock_wall())
            .await
            .is_err()
        {
            return Answer::NotOpened;
        }
        self.recoveries.push(self.bench.newest().await);
        Answer::Opened(self.recoveries.len() - 1)
    }

    async fn host_stopped(&mut self, host: usize, off: bool) -> Answer {
        let status = if off { "NORMAL" } else { "UNKNOWN" };
        let payload = [
            ("event", "STOPPED"),
            ("cluster_status", "OFFLINE"),
            ("host_status", status),
        ];
        let now = self.bench.clock_wall();
        let new = notification(NotificationType::ComputeHost, &host_name(host), now, &payload);
        self.reported(&new).await
    }

    async fn instance_failed(&mut self, host: usize, number: u32) -> Answer {
        let id = server(number).to_string();
        let payload = [
            ("event", "LIFECYCLE"),
            ("vir_domain_event", "STOPPED_FAILED"),
            ("instance_uuid", id.as_str()),
        ];
        let now = self.bench.clock_wall();
        let new = notification(NotificationType::Vm, &host_name(host), now, &payload);
        self.reported(&new).await
    }

    async fn drain(&mut self, host: usize) -> Answer {
        let new = NewPlan {
            kind: RecoveryKind::Drain,
            host: self.hosts[host],
            payload: [("event", "DRAIN"), ("by", "operator")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        };
        match self.engine.plans().plan(&new).await.unwrap() {
            PlanOutcome::Started { recovery, .. } => {
                self.recoveries.push(recovery);
                Answer::Opened(self.recoveries.len() - 1)
            }
            PlanOutcome::Busy(..) | PlanOutcome::Reserved(_) => Answer::NotOpened,
            PlanOutcome::Unknown => panic!("host {host} is registered"),
        }
    }

    async fn views(&self) -> Answer {
        let views = self.engine.journal().unsettled().await.unwrap();
        let views = views.into_iter().map(|view| View {
            recovery: self.recoveries.iter().position(|id| *id == view.id).unwrap(),
            epoch: view.epoch,
            beat: view.beat,
            owned: view.owner.is_some(),
            life: view.life,
        });
        Answer::Views(views.collect())
    }

    async fn waits(&self) -> Answer {
        let filter = RecoveryFilter {
            state: Some(RecoveryState::OnHold),
            ..RecoveryFilter::default()
        };
        let mut on_hold = Vec::new();
        for row in self
            .engine
            .operator_journal()
            .find_recoveries(&filter)
            .await
            .unwrap()
        {
            let recovery = self.recoveries.iter().position(|id| *id == row.id).unwrap();
            let wait = row.wait.unwrap();
            on_hold.push((recovery, wait.what, wait.on.into_iter().collect()));
        }
        let lines = self
            .engine
            .operator_journal()
            .moves(MoveFilter::NeedsPerson)
            .await
            .unwrap();
        let servers = lines
            .into_iter()
            .map(|line| (tachi_contract::number(line.server), line.wait.unwrap().what));
        Answer::Waits {
            held: on_hold,
            servers: servers.collect(),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation of the script")]
    async fn apply(&mut self, operation: &Operation) -> Answer {
        let store = self.engine.clone();
        let (journal, api) = (store.journal(), self.api.registry());
        let now = self.bench.clock_wall();
        match operation {
            Operation::Pass(seconds) => self.bench.clock.set_wall_on(i64::from(*seconds)),
            Operation::Report { host, off } => return self.host_stopped(*host, *off).await,
            Operation::ReportInstance { host, server: number } => {
                return self.instance_failed(*host, *number).await;
            }
            Operation::Drain { host } => return self.drain(*host).await,
            Operation::Unsettled => return self.views().await,
            Operation::Claim {
                recovery,
                seen,
                owner,
            } => {
                let owner = format!("engine-{owner}");
                let claimed = journal
                    .claim_at(self.recoveries[*recovery], *seen, &owner)
                    .await
                    .unwrap();
                return Answer::Claimed(claimed.map(|claimed| Box::new(Found::from(claimed))));
            }
            Operation::Commit {
                recovery,
                epoch,
                draft,
            } => {
                let write = draft.write(*recovery, |host| self.hosts[host], &self.freezes, now);
                let committed = journal
                    .commit_at(self.recoveries[*recovery], *epoch, &write)
                    .await
                    .unwrap();
                return Answer::Committed(Outcome::of(committed, |id| self.host(id)));
            }
            Operation::RenewLease {
                recovery,
                epoch,
                millis,
            } => {
                let elapsed = Elapsed::from_millis(*millis);
                let beaten = journal
                    .beat_at(self.recoveries[*recovery], *epoch, elapsed)
                    .await
                    .unwrap();
                return Answer::Committed(Outcome::of(beaten, |id| self.host(id)));
            }
            Operation::CommitPast {
                recovery,
                epoch,
                owner,
                lost,
                draft,
            } => {
                let write = draft.write(*recovery, |host| self.hosts[host], &self.freezes, now);
                let known = self.known(*recovery, *epoch, *owner, (*lost, 0)).await;
                let committed = journal.commit(&known, &write).await.unwrap();
                return Answer::Committed(Outcome::of(committed, |id| self.host(id)));
            }
            Operation::BeatPast {
                recovery,
                epoch,
                owner,
                lost,
            } => {
                let known = self.known(*recovery, *epoch, *owner, *lost).await;
                let beaten = journal.beat(&known, Elapsed::from_millis(5)).await.unwrap();
                return Answer::Committed(Outcome::of(beaten, |id| self.host(id)));
            }
            Operation::MarkRewound { recovery, lost } => {
                let id = self.recoveries[*recovery];
                let views = journal.unsettled().await.unwrap();
                let view = views.iter().find(|view| view.id == id).unwrap();
                let known = RowVersion {
                    epoch: view.epoch,
                    seq: view.seq + lost,
                };
                journal.mark_rewound(view, known).await.unwrap();
            }
            Operation::Release { recovery, epoch } => {
                journal
                    .release_at(self.recoveries[*recovery], *epoch)
                    .await
                    .unwrap();
            }
            Operation::Submit { recovery, word } => {
                store
                    .operator_journal()
                    .submit(
                        self.recoveries[*recovery],
                        *word,
                        &ApprovedWait::Current,
                        "operator",
                    )
                    .await
                    .unwrap();
            }
            Operation::Segment { enabled } => {
                let change = SegmentChange {
                    enabled: Some(*enabled),
                    ..SegmentChange::default()
                };
                api.update_segment(self.segment.id, &change).await.unwrap();
            }
            Operation::Maintenance { host } => {
                let change = HostAttributes {
                    on_maintenance: Some(true),
                    ..HostAttributes::default()
                };
                let host = self.hosts[*host];
                api.update_host(self.segment.id, host, &change).await.unwrap();
            }
            Operation::Freeze { what, minutes } => self.freeze(*what, *minutes).await,
            Operation::Thaw { what } => {
                let target = self.target(*what);
                let is_it = |line: &&FreezeLine| line.freeze.scope == what.scope() && line.target == target;
                let table = store.freezes();
                let listed = table.freezes().await.unwrap();
                if let Some(line) = listed.iter().find(is_it) {
                    table.thaw(line.freeze.number, "operator").await.unwrap();
                }
            }
            Operation::ProvenOff => {
                let names = journal.proven_off().await.unwrap();
                return Answer::Hosts(
                    (0..HOSTS)
                        .filter(|host| names.contains(&host_name(*host)))
                        .collect(),
                );
            }
            Operation::Waits => return self.waits().await,
            Operation::WrittenOff { host } => {
                let found = journal.written_off(&host_name(*host)).await.unwrap();
                return Answer::Servers(found.into_keys().map(tachi_contract::number).collect());
            }
        }
        Answer::Done
    }
}

/// Covers R1, R2, R6, R10, R12, R19, R20, R22, R24.
#[tokio::test]
async fn the_store_answers_as_every_journal_must() {
    answers_as_it_must(false).await;
}

/// Skipped on `SQLite`, which has no users.
/// Covers T2.
#[tokio::test]
async fn the_store_does_all_its_work_with_the_grants_of_api_and_engine() {
    if std::env::var("TACHI_TEST_DATABASE").is_ok_and(|kind| !kind.is_empty() && kind != "sqlite") {
        answers_as_it_must(true).await;
    }
}

async fn answers_as_it_must(granted: bool) {
    let mut wrong = Vec::new();
    for scenario in scenarios() {
        let mut harness = Harness::new(granted).await;
        let mut answers = Vec::new();
        for line in &scenario.lines {
            answers.push(harness.apply(&line.operation).await);
        }
        wrong.extend(scenario.differences(&answers));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
