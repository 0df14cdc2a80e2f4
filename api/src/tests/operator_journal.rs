//! An in-memory region with recoveries that accept actions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tachi_domain::situation::MutedReporter;

use async_trait::async_trait;
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::entity::{Host, Notification, Segment, Stamps, Vmove};
use tachi_domain::freeze::Freeze;
use tachi_domain::policy::{BareNormal, FencingMode};
use tachi_domain::recovery::{
    DISMISSED_STATUS, InstanceResolution, Life, OperatorAction, OperatorCommand, OperatorRequest,
    RecoveryKind,
};
use tachi_domain::situation::{ComputeService, Instance, Instances, ReportedFailure, Severity, TimedFact};
use tachi_domain::{
    ApprovedWait, Elapsed, HostId, NotificationId, RecoveryId, Reporter, SegmentId, ServerId, Timestamp,
    Wait, WaitsFor,
};
use tachi_engine::ports::audit::{AuditAction, AuditEntry, AuditPhase};
use tachi_engine::ports::engine_registry::{Backlog, EngineHeartbeat, EngineRow};
use tachi_engine::ports::journal::PeerClaim;
use tachi_engine::ports::operator::{
    ActionOutcome, HostView, MoveCounts, MoveFilter, MoveLine, RecoveryFilter, RecoveryHistory,
    RecoveryState, RecoverySummary, RetryOutcome, SegmentView, StepLine,
};
use tachi_engine::ports::past::{Past, Span};
use tachi_engine::ports::plans::{self, MovedAway, NewPlan, PlanOutcome, Plans};
use tachi_engine::ports::{
    AuditError, AuditSink, FreezeEvent, FreezeLine, FreezeOutcome, Freezes, JournalError, NewFreeze,
    OperatorJournal, freezes,
};
use tachi_engine::situation::{CloudSnapshot, ConfiguredFacts, Tables};
use tachi_operator::{Fencing, Forecasts, JobView, RegionSnapshot, Time};
use uuid::Uuid;

use crate::RegionService;

/// The time of this state.
pub(super) const NOW: Timestamp = Timestamp::from_micros(1_795_155_308_000_000);

/// The submitted actions: recovery, action, operator.
pub(super) type SubmittedActions = Vec<(RecoveryId, String, String)>;

pub(super) struct FakeRegion {
    /// The age of the engines' data about Nova; `None` if no engine ever ran.
    pub(super) age: Mutex<Option<i64>>,
    /// Hosts that Nova shows down.
    pub(super) down: Mutex<Vec<&'static str>>,
    /// Newest first.
    pub(super) recoveries: Mutex<Vec<RecoverySummary>>,
    pub(super) moves: Mutex<Vec<MoveLine>>,
    pub(super) submitted: Mutex<SubmittedActions>,
    /// The actions that no engine has applied yet.
    pub(super) unread: Mutex<Vec<(RecoveryId, OperatorAction)>>,
    pub(super) broken: AtomicBool,
    pub(super) audited: Mutex<Vec<AuditEntry>>,
    pub(super) muted_reporters: Mutex<Vec<MutedReporter>>,
    /// True if the audit log refuses entries.
    pub(super) full: AtomicBool,
    pub(super) hosts: Mutex<Vec<&'static str>>,
    pub(super) reporters: Mutex<Vec<Reporter>>,
    pub(super) frozen: Mutex<Vec<FreezeLine>>,
    numbers: AtomicI64,
    /// Attempted writes other than actions.
    pub(super) written: Mutex<Vec<&'static str>>,
    /// True if the database denies writes to the API's user.
    pub(super) denied: AtomicBool,
    /// The plans and their instances.
    pub(super) planned: Mutex<Vec<(RecoveryId, NewPlan)>>,
    /// The recovery that holds every host as a reserved host.
    pub(super) holds: Mutex<Option<RecoveryId>>,
    /// The instances that were moved away from a host.
    pub(super) moved_instances: Mutex<Vec<MovedAway>>,
    /// The owners of recoveries in successive answers; the last answer repeats.
    pub(super) claims: Mutex<Vec<Vec<PeerClaim>>>,
    /// The results for instances.
    pub(super) moved: Mutex<Vec<Vmove>>,
    /// The instances whose own recovery has failed.
    pub(super) failed: Mutex<BTreeMap<ServerId, ReportedFailure>>,
}

impl Default for FakeRegion {
    fn default() -> Self {
        Self {
            age: Mutex::new(Some(5)),
            down: Mutex::default(),
            recoveries: Mutex::default(),
            moves: Mutex::default(),
            submitted: Mutex::default(),
            unread: Mutex::default(),
            broken: AtomicBool::default(),
            audited: Mutex::default(),
            full: AtomicBool::default(),
            hosts: Mutex::new(vec!["a", "b", "c"]),
            reporters: Mutex::default(),
            frozen: Mutex::default(),
            numbers: AtomicI64::new(6),
            written: Mutex::default(),
            denied: AtomicBool::default(),
            muted_reporters: Mutex::default(),
            planned: Mutex::default(),
            holds: Mutex::default(),
            moved_instances: Mutex::default(),
            claims: Mutex::default(),
            moved: Mutex::default(),
            failed: Mutex::default(),
        }
    }
}

pub(super) fn recovery(number: u128, host: &str) -> RecoverySummary {
    RecoverySummary {
        id: RecoveryId(Uuid::from_u128(number)),
        notification: NotificationId(Uuid::from_u128(number)),
        kind: RecoveryKind::Host,
        host: host.to_owned(),
        host_id: HostId(Uuid::from_u128(1)),
        segment: None,
        moves: MoveCounts::default(),
        life: Life::Open,
        status: "running".to_owned(),
        wait: Some(Wait::bare(WaitsFor::Approval, NOW)),
        message: None,
        owner: None,
        opened_at: NOW,
        first_reported_at: NOW,
    }
}

fn segment(hosts: &[&str]) -> SegmentView {
    let stamps = Stamps {
        created_at: NOW,
        updated_at: None,
    };
    let segment = Segment {
        row: 1,
        id: SegmentId(Uuid::from_u128(1)),
        name: "all".to_owned(),
        service_type: "COMPUTE".to_owned(),
        enabled: true,
        description: None,
        recovery_method: RecoveryMethod::Auto,
        stamps,
    };
    let host = |name: &&str| HostView {
        host: Host {
            row: 1,
            id: HostId(Uuid::from_u128(2)),
            name: (*name).to_owned(),
            segment: segment.clone(),
            kind: "COMPUTE".to_owned(),
            control_attributes: "SSH".to_owned(),
            reserved: false,
            on_maintenance: false,
            stamps,
        },
        why: None,
        recovery: None,
    };
    SegmentView {
        hosts: hosts.iter().map(host).collect(),
        segment: segment.clone(),
    }
}

/// The instance on `a`.
pub(super) const SERVER: Uuid = Uuid::from_u128(0x2950_b331 << 96);

impl FakeRegion {
    fn fails(&self) -> Result<(), JournalError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(JournalError::new("asking a broken desk", "broken"));
        }
        Ok(())
    }

    /// Every action was audited first.
    fn writes(&self, what: &'static str) -> Result<(), JournalError> {
        self.written.lock().unwrap().push(what);
        self.fails()?;
        let denied = self.denied.load(Ordering::SeqCst);
        if denied {
            return Err(JournalError::new("writing", "denied").denied(true));
        }
        Ok(())
    }

    /// The last action on a recovery.
    fn last(&self, id: RecoveryId) -> Option<(String, String, Timestamp)> {
        let submitted = self.submitted.lock().unwrap();
        let last = submitted.iter().rev().find(|(of, ..)| *of == id);
        last.map(|(_, word, by)| (word.clone(), by.clone(), NOW))
    }

    fn watched(&self) -> CloudSnapshot {
        let Some(age) = *self.age.lock().unwrap() else {
            return CloudSnapshot::default();
        };
        let as_of = NOW.minus_seconds(age);
        let compute = |name: &str| ComputeService {
            host: name.to_owned(),
            up: !self.down.lock().unwrap().contains(&name),
            enabled: true,
            cell_down: false,
            ambiguous: false,
            drained: false,
            forced_down: false,
            since: as_of,
        };
        let instance = Instance {
            id: ServerId(SERVER),
            name: "<script>alert(1)</script>".into(),
            left: None,
            moving: false,
            local_disk: None,
            marked: false,
            rest: None,
            ended_by_boot: None,
            start_blocker: None,
            needs: None,
        };
        CloudSnapshot {
            computes: Some(TimedFact {
                as_of,
                value: ["a", "b", "c"].map(compute).to_vec(),
            }),
            instances: Some(TimedFact {
                as_of,
                value: Instances {
                    complete: true,
                    listing_since: None,
                    on: [("a".to_owned(), vec![instance].into())].into(),
                },
            }),
            rooms: None,
            holds: None,
            joint_losses: None,
            tests: None,
        }
    }

    fn engines(&self) -> Vec<EngineRow> {
        let age = *self.age.lock().unwrap();
        let line = |age| EngineRow {
            heartbeat: EngineHeartbeat {
                name: "ctl-1:1:e".to_owned(),
                version: "1".to_owned(),
                started_at: NOW.minus_seconds(3_600),
                facts: [
                    ("broker".to_owned(), "ok: connected".to_owned()),
                    (freezes::FREEZES_FACT.to_owned(), "ok".to_owned()),
                    (plans::PLANS_FACT.to_owned(), "ok".to_owned()),
                ]
                .into(),
            },
            seen_at: NOW.minus_seconds(age),
            beat: 1,
        };
        age.map(line).into_iter().collect()
    }
}

#[async_trait]
impl RegionService for FakeRegion {
    async fn snapshot(&self) -> Result<Arc<RegionSnapshot>, JournalError> {
        self.fails()?;
        let tables = Tables {
            segments: vec![segment(&self.hosts.lock().unwrap())],
            recoveries: self.recoveries.lock().unwrap().clone(),
            waiting: self.moves.lock().unwrap().clone(),
            moves: Vec::new(),
            engines: self.engines(),
            backlog: Backlog::default(),
            muted_reporters: Vec::new(),
            failed: self.failed.lock().unwrap().clone(),
            machines: Vec::new(),
            freezes: Vec::new(),
            monitors: Vec::new(),
            acknowledged: Vec::new(),
            local_disks: Arc::default(),
        };
        let configured = ConfiguredFacts {
            fencing: tachi_domain::situation::Fencing::without_devices(FencingMode::External),
            local_disk: tachi_domain::policy::LocalDiskRules::default(),
        };
        let fencing = Fencing {
            mode: FencingMode::External,
            device: None,
            bare_normal: BareNormal::Refuse,
        };
        let snapshot = RegionSnapshot::judged(
            NOW,
            fencing,
            tachi_operator::SnapshotSource {
                region: None,
                database: "memory".to_owned(),
            },
            tables,
            self.watched(),
            configured,
            &Forecasts::default(),
        );
        Ok(Arc::new(snapshot))
    }

    async fn schedule(&self) -> Result<Vec<JobView>, JournalError> {
        self.fails()?;
        Ok(vec![JobView {
            job: "doctor".into(),
            when: "daily 03:00".into(),
            last_at: Some(Time(NOW)),
            took_seconds: Some(6.1),
            grade: Some(Severity::Err),
            result: "2 errors".into(),
            next_at: None,
        }])
    }
}

#[async_trait]
impl OperatorJournal for FakeRegion {
    async fn find_recoveries(&self, filter: &RecoveryFilter) -> Result<Vec<RecoverySummary>, JournalError> {
        self.fails()?;
        let all = self.recoveries.lock().unwrap().clone();
        let after = filter.before.map_or(0, |id| {
            all.iter()
                .position(|row| row.id == id)
                .map_or(all.len(), |place| place + 1)
        });
        let matching = all.into_iter().skip(after).filter(|row| {
            let state = match filter.state {
                Some(RecoveryState::OnHold) => {
                    row.life == Life::Open && row.wait.as_ref().is_some_and(|wait| wait.what.is_on_hold())
                }
                Some(RecoveryState::Life(life)) => row.life == life,
                Some(RecoveryState::Status(status)) => row.status == status.as_str(),
                Some(RecoveryState::Dismissed) => row.status == DISMISSED_STATUS,
                None => filter.closed || row.life != Life::Closed,
            };
            state
                && filter.host.as_ref().is_none_or(|host| row.host == *host)
                && filter.segment.is_none()
                && filter.instance.as_ref().is_none_or(|id| {
                    let moved = self.moved.lock().unwrap();
                    let mut own = moved.iter().filter(|one| one.notification == row.notification);
                    own.any(|one| one.instance_uuid == *id)
                })
                && filter
                    .id
                    .as_ref()
                    .is_none_or(|id| row.id.to_string().starts_with(id))
        });
        let limit = usize::try_from(filter.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        Ok(matching.take(limit).collect())
    }

    async fn recoveries_of_host(
        &self,
        id: HostId,
        name: &str,
        _: u64,
    ) -> Result<Vec<RecoverySummary>, JournalError> {
        self.fails()?;
        let mut all = self.recoveries.lock().unwrap().clone();
        all.retain(|row| row.host_id == id || row.host == name);
        Ok(all)
    }

    async fn moved(&self, notifications: &[NotificationId]) -> Result<Vec<Vmove>, JournalError> {
        self.fails()?;
        let mut all = self.moved.lock().unwrap().clone();
        all.retain(|one| notifications.contains(&one.notification));
        Ok(all)
    }

    async fn claims(&self) -> Result<Vec<PeerClaim>, JournalError> {
        self.fails()?;
        let mut claims = self.claims.lock().unwrap();
        if claims.len() > 1 {
            return Ok(claims.remove(0));
        }
        Ok(claims.first().cloned().unwrap_or_default())
    }

    async fn moves(&self, filter: MoveFilter) -> Result<Vec<MoveLine>, JournalError> {
        self.fails()?;
        let mut all = self.moves.lock().unwrap().clone();
        all.retain(|line| {
            let needs = line.wait.as_ref().is_some_and(|wait| wait.what.needs_person());
            match filter {
                MoveFilter::NeedsPerson => needs,
                MoveFilter::Unsettled => line.life != Life::Closed,
            }
        });
        Ok(all)
    }

    async fn past(&self, host: &str, span: Span) -> Result<Option<Past>, JournalError> {
        self.fails()?;
        let known = self.hosts.lock().unwrap().contains(&host);
        Ok(known.then(|| Past {
            host: host.to_owned(),
            registered: true,
            maintenance: None,
            reports: Vec::new(),
            refused: None,
            recoveries: Vec::new(),
            freezes: Vec::new(),
            more: false,
            engines: Vec::new(),
            oldest: Some(span.from),
            read_at: NOW,
        }))
    }

    async fn acknowledge(
        &self,
        id: RecoveryId,
        server: ServerId,
        by: &str,
    ) -> Result<ActionOutcome, JournalError> {
        self.fails()?;
        let mut submitted = self.submitted.lock().unwrap();
        submitted.push((id, format!("seen to {server}"), by.to_owned()));
        Ok(ActionOutcome::Submitted)
    }

    async fn history(&self, id: RecoveryId) -> Result<Option<RecoveryHistory>, JournalError> {
        self.fails()?;
        let found = self
            .recoveries
            .lock()
            .unwrap()
            .iter()
            .find(|row| row.id == id)
            .cloned();
        let planned = self.planned.lock().unwrap();
        let planned = planned.iter().find(|(of, _)| *of == id);
        let unread = self.unread.lock().unwrap();
        let unread = unread.iter().filter(|(of, _)| *of == id);
        Ok(found.map(|summary| RecoveryHistory {
            notification: planned.map(|(_, new)| order_of(&summary, new)),
            summary,
            reporters: self.reporters.lock().unwrap().clone(),
            epoch: 1,
            beat: 1,
            elapsed: Elapsed::from_millis(1_500),
            word: self.last(id),
            unread: unread.map(|(_, action)| action.clone()).collect(),
            state: Some("{\"stage\":\"begin\"}".to_owned()),
            moves: Vec::new(),
            move_words: Vec::new(),
            vmoves: Vec::new(),
            steps: vec![StepLine {
                at: NOW,
                epoch: 1,
                task: "FenceHostTask".to_owned(),
                kind: "note".to_owned(),
                server: None,
                text: "held".to_owned(),
            }],
            proofs: Vec::new(),
            later: None,
            has_reserve: false,
        }))
    }

    async fn region(&self) -> Result<Vec<SegmentView>, JournalError> {
        self.fails()?;
        let mut all = segment(&self.hosts.lock().unwrap());
        let recoveries = self.recoveries.lock().unwrap();
        for view in &mut all.hosts {
            let is_own =
                |row: &&RecoverySummary| row.host == view.host.name && row.kind == RecoveryKind::Host;
            let own = recoveries.iter().find(is_own);
            view.recovery = own.map(|row| (row.id, row.life));
        }
        Ok(vec![all])
    }

    async fn retry(&self, _: RecoveryId, _: &str) -> Result<RetryOutcome, JournalError> {
        self.writes("retry")?;
        Ok(RetryOutcome::Refused("the desk of tests begins none".into()))
    }

    async fn steps(&self, _: RecoveryId) -> Result<Vec<StepLine>, JournalError> {
        Ok(Vec::new())
    }

    async fn submit(
        &self,
        id: RecoveryId,
        word: OperatorCommand,
        wait: &ApprovedWait,
        by: &str,
    ) -> Result<ActionOutcome, JournalError> {
        self.fails()?;
        let found = self
            .recoveries
            .lock()
            .unwrap()
            .iter()
            .find(|row| row.id == id)
            .cloned();
        match found {
            None => Ok(ActionOutcome::Unknown),
            Some(row) if row.life != Life::Open => Ok(ActionOutcome::NotOpen),
            Some(row) if word == OperatorCommand::Approve && !wait.is_for(row.wait.as_ref()) => {
                Ok(ActionOutcome::OtherWait(row.wait))
            }
            Some(row) => {
                let action = OperatorAction {
                    id: 1,
                    request: OperatorRequest {
                        number: 1,
                        word,
                        by: by.to_owned(),
                        at: NOW,
                    },
                    hold: row.wait,
                    is_late: false,
                };
                self.unread.lock().unwrap().push((id, action));
                let mut submitted = self.submitted.lock().unwrap();
                submitted.push((id, word.as_str().to_owned(), by.to_owned()));
                Ok(ActionOutcome::Submitted)
            }
        }
    }

    async fn recovery_of_instance(&self, _: ServerId) -> Result<Option<RecoveryId>, JournalError> {
        self.fails()?;
        Ok(self.recoveries.lock().unwrap().first().map(|row| row.id))
    }

    async fn dismiss_failure(
        &self,
        id: RecoveryId,
        server: ServerId,
        _: Timestamp,
        by: &str,
    ) -> Result<ActionOutcome, JournalError> {
        self.fails()?;
        let mut submitted = self.submitted.lock().unwrap();
        submitted.push((id, format!("{server} runs"), by.to_owned()));
        Ok(ActionOutcome::Submitted)
    }

    async fn resolve_instance(
        &self,
        id: RecoveryId,
        word: &InstanceResolution,
    ) -> Result<ActionOutcome, JournalError> {
        self.fails()?;
        let on = word.on.as_deref().unwrap_or("-");
        let mut submitted = self.submitted.lock().unwrap();
        submitted.push((id, format!("{} {} {on}", word.server, word.word), word.by.clone()));
        Ok(ActionOutcome::Submitted)
    }

    async fn reported_failures(&self) -> Result<BTreeMap<ServerId, ReportedFailure>, JournalError> {
        self.fails()?;
        Ok(self.failed.lock().unwrap().clone())
    }

    async fn muted_reporters(&self) -> Result<Vec<MutedReporter>, JournalError> {
        self.fails()?;
        Ok(self.muted_reporters.lock().unwrap().clone())
    }

    async fn unmute_reporter(&self, number: i64) -> Result<Option<MutedReporter>, JournalError> {
        self.writes("lift")?;
        let mut all = self.muted_reporters.lock().unwrap();
        let at = all.iter().position(|one| one.number == number);
        Ok(at.map(|at| all.remove(at)))
    }
}

#[async_trait]
impl Freezes for FakeRegion {
    async fn freeze(&self, new: &NewFreeze) -> Result<FreezeOutcome, JournalError> {
        self.writes("freeze")?;
        let mut all = self.frozen.lock().unwrap();
        let is_it = |line: &FreezeLine| line.freeze.scope == new.scope && line.target == new.target;
        let before = all.iter().position(is_it);
        if let Some(at) = before.filter(|at| all[*at].left > new.terms.lasts) {
            return Ok(FreezeOutcome::Longer(all[at].clone()));
        }
        let before = before.map(|at| all.remove(at));
        let line = FreezeLine {
            freeze: Freeze {
                number: self.numbers.fetch_add(1, Ordering::SeqCst) + 1,
                scope: new.scope,
                name: new.name.clone(),
                until: NOW.plus(new.terms.lasts),
                by: new.by.clone(),
                reason: new.terms.reason.clone(),
                unless_worse: new.terms.unless_worse,
            },
            target: new.target.clone(),
            since: NOW,
            left: new.terms.lasts,
            by_drain: false,
        };
        all.push(line.clone());
        Ok(FreezeOutcome::Started { line, before })
    }

    async fn thaw(&self, number: i64, _: &str) -> Result<Option<FreezeLine>, JournalError> {
        self.writes("thaw")?;
        let mut all = self.frozen.lock().unwrap();
        let at = all.iter().position(|line| line.freeze.number == number);
        Ok(at.map(|at| all.remove(at)))
    }

    async fn freezes(&self) -> Result<Vec<FreezeLine>, JournalError> {
        self.fails()?;
        Ok(self.frozen.lock().unwrap().clone())
    }

    async fn take_freeze_events(&self, _: Duration) -> Result<Vec<FreezeEvent>, JournalError> {
        Ok(Vec::new())
    }
}

/// The row with the requested action.
fn order_of(summary: &RecoverySummary, new: &NewPlan) -> Notification {
    Notification {
        row: 1,
        id: summary.notification,
        kind: NotificationType::ComputeHost,
        generated_time: NOW,
        source_host: new.host,
        segment: None,
        payload: new.payload.clone(),
        status: NotificationStatus::Running,
        message: None,
        reporter: None,
        stamps: Stamps {
            created_at: NOW,
            updated_at: None,
        },
    }
}

#[async_trait]
impl Plans for FakeRegion {
    async fn plan(&self, new: &NewPlan) -> Result<PlanOutcome, JournalError> {
        self.writes("plan")?;
        let mut recoveries = self.recoveries.lock().unwrap();
        let busy = recoveries
            .iter()
            .find(|row| row.life == Life::Open && row.kind.is_planned());
        if let Some(row) = busy {
            return Ok(PlanOutcome::Busy(row.id, row.kind));
        }
        if let Some(id) = *self.holds.lock().unwrap() {
            return Ok(PlanOutcome::Reserved(id));
        }
        let mut planned = self.planned.lock().unwrap();
        let mut row = recovery(100 + planned.len() as u128, "a");
        row.kind = new.kind;
        planned.push((row.id, new.clone()));
        let (recovery, notification) = (row.id, row.notification);
        recoveries.push(row);
        Ok(PlanOutcome::Started {
            recovery,
            notification,
        })
    }

    async fn moved_away(&self, _: &str) -> Result<Vec<MovedAway>, JournalError> {
        self.fails()?;
        Ok(self.moved_instances.lock().unwrap().clone())
    }
}

#[async_trait]
impl AuditSink for FakeRegion {
    async fn write(&self, entry: AuditEntry) -> Result<(), AuditError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(AuditError {
                log: "audit.log".to_owned(),
                source: "no space left on device".into(),
            });
        }
        // Reports of failures are stored in the registry.
        let counts = |entry: &AuditEntry| {
            entry.phase == AuditPhase::Intent
                && (entry.action != AuditAction::Word || entry.recovery.is_some())
        };
        if counts(&entry) {
            let already = self.submitted.lock().unwrap().len() + self.written.lock().unwrap().len();
            let audited = self.audited.lock().unwrap();
            let intents = audited.iter().filter(|one| counts(one)).count();
            assert_eq!(intents, already, "it is written down first");
        }
        self.audited.lock().unwrap().push(entry);
        Ok(())
    }

    fn note(&self, entry: AuditEntry) {
        self.audited.lock().unwrap().push(entry);
    }
}
