use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::entity::{Host, Segment, Stamps};
use tachi_domain::freeze::Freeze;
use tachi_domain::policy::{BareNormal, FencingMode};
use tachi_domain::{HostId, SegmentId, Timestamp};
use tachi_engine::ports::engine_registry::{Backlog, EngineHeartbeat};
use tachi_engine::ports::operator::{HostView, SegmentView};
use tachi_engine::ports::{AuditError, AuditSink, FreezeEvent, JournalError};
use tachi_engine::situation::{CloudSnapshot, ConfiguredFacts, Tables};
use uuid::Uuid;

use super::*;
use crate::forecast::Forecasts;
use crate::snapshot::Fencing;

const NOW: Timestamp = Timestamp::from_micros(1_795_155_308_000_000);

fn engine(name: &str, kept: bool, ago: i64) -> EngineRow {
    let facts = if kept {
        BTreeMap::from([(FREEZES_FACT.to_owned(), "1".to_owned())])
    } else {
        BTreeMap::new()
    };
    EngineRow {
        heartbeat: EngineHeartbeat {
            name: name.to_owned(),
            version: "1".to_owned(),
            started_at: NOW,
            facts,
        },
        seen_at: NOW.minus_seconds(ago),
        beat: 1,
    }
}

/// Returns a region with the hosts `a` and `b` of segment `all` and an engine that supports freezes, without data from
/// Nova.
pub(crate) fn fine() -> RegionSnapshot {
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
    let host = |(number, name): (u128, &str)| HostView {
        host: Host {
            row: 1,
            id: HostId(Uuid::from_u128(number)),
            name: name.to_owned(),
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
    let tables = Tables {
        segments: vec![SegmentView {
            hosts: [(0x11, "a"), (0x12, "b")].map(host).into(),
            segment: segment.clone(),
        }],
        recoveries: Vec::new(),
        waiting: Vec::new(),
        moves: Vec::new(),
        engines: vec![engine("e1", true, 1)],
        backlog: Backlog::default(),
        muted_reporters: Vec::new(),
        failed: BTreeMap::new(),
        machines: Vec::new(),
        freezes: Vec::new(),
        monitors: Vec::new(),
        local_disks: std::sync::Arc::default(),
        acknowledged: Vec::new(),
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
    let watched = CloudSnapshot::default();
    RegionSnapshot::judged(
        NOW,
        fencing,
        crate::SnapshotSource {
            region: None,
            database: "sqlite".to_owned(),
        },
        tables,
        watched,
        configured,
        &Forecasts::default(),
    )
}

/// A table of freezes and an audit log that record their writes in order.
#[derive(Default)]
struct MemoryAudit {
    frozen: Mutex<Vec<FreezeLine>>,
    done: Mutex<Vec<String>>,
    full: AtomicBool,
    broken: AtomicBool,
}

impl MemoryAudit {
    fn freeze_operator(&self, by: &str) -> FreezeOperator<'_> {
        FreezeOperator {
            freezes: self,
            operator: AuditedOperator {
                audit: self,
                by: by.to_owned(),
                request: None,
            },
        }
    }

    fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.done.lock().unwrap())
    }

    fn pass(&self, time: Duration) {
        for line in self.frozen.lock().unwrap().iter_mut() {
            line.left = line.left.saturating_sub(time);
        }
    }
}

#[async_trait]
impl Freezes for MemoryAudit {
    async fn freeze(&self, new: &NewFreeze) -> Result<FreezeOutcome, JournalError> {
        self.done.lock().unwrap().push("freeze".to_owned());
        if self.broken.load(Ordering::SeqCst) {
            return Err(JournalError::new("writing a freeze", "gone"));
        }
        let mut all = self.frozen.lock().unwrap();
        let before = all.pop();
        if let Some(old) = before.as_ref().filter(|old| old.left > new.terms.lasts) {
            let old = old.clone();
            all.push(old.clone());
            return Ok(FreezeOutcome::Longer(old));
        }
        let line = FreezeLine {
            freeze: Freeze {
                number: 7,
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
        self.done.lock().unwrap().push("thaw".to_owned());
        let mut all = self.frozen.lock().unwrap();
        let at = all.iter().position(|line| line.freeze.number == number);
        Ok(at.map(|at| all.remove(at)))
    }

    async fn freezes(&self) -> Result<Vec<FreezeLine>, JournalError> {
        Ok(self.frozen.lock().unwrap().clone())
    }

    async fn take_freeze_events(&self, _: Duration) -> Result<Vec<FreezeEvent>, JournalError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl AuditSink for MemoryAudit {
    async fn write(&self, entry: AuditEntry) -> Result<(), AuditError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(AuditError {
                log: "audit.log".to_owned(),
                source: "no space".into(),
            });
        }
        let line = format!("{:?} {:?} {:?}", entry.action, entry.phase, entry.result);
        self.done.lock().unwrap().push(line);
        Ok(())
    }

    fn note(&self, _: AuditEntry) {}
}

fn freeze_request(lasts: Duration) -> FreezeRequest {
    FreezeRequest {
        scope: FreezeScope::Host,
        name: "a".to_owned(),
        terms: FreezeTerms {
            lasts,
            reason: "firmware".to_owned(),
            unless_worse: false,
        },
        force: false,
    }
}

async fn freeze(
    freeze_operator: &FreezeOperator<'_>,
    freeze_request: &FreezeRequest,
) -> Result<InForce, ActionError> {
    let snapshot = fine();
    let what = FreezeTarget::find(freeze_request.scope, &freeze_request.name, &snapshot)?;
    let freeze_request = freeze_request.clone().validate("--force").unwrap();
    freeze_operator.freeze(&what, &freeze_request, &snapshot).await
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_repeated_freeze_is_not_written_again_and_a_different_one_is() {
    let paper = MemoryAudit::default();
    let alice = paper.freeze_operator("alice");
    assert!(!freeze(&alice, &freeze_request(HOUR)).await.unwrap().already);
    assert_eq!(
        paper.done(),
        ["Freeze Intent None", "freeze", "Freeze Outcome Some(Ok)"]
    );
    // The response was lost, and the operator repeats the request.
    paper.pass(Duration::from_secs(59));
    let again = freeze(&alice, &freeze_request(HOUR)).await.unwrap();
    assert!(again.already && again.before.is_none());
    assert_eq!(paper.done(), [] as [&str; 0], "nor audited");

    let longer = freeze_request(HOUR + Duration::from_mins(1));
    let mut late = longer.clone();
    late.terms.reason = "cables".to_owned();
    for (name, freeze_operator, expected) in [
        (
            "somebody else",
            paper.freeze_operator("bob"),
            freeze_request(HOUR),
        ),
        ("for longer", paper.freeze_operator("bob"), longer),
        ("why", paper.freeze_operator("bob"), late.clone()),
    ] {
        let written = freeze(&freeze_operator, &expected).await.unwrap();
        assert!(!written.already && written.before.is_some(), "{name}");
        assert_eq!(paper.done().len(), 3, "{name}");
    }
    // The same request much later extends the freeze.
    paper.pass(Duration::from_secs(61));
    let bob = paper.freeze_operator("bob");
    assert!(!freeze(&bob, &late).await.unwrap().already);
    paper.done();

    let shorter = freeze(&alice, &freeze_request(Duration::from_mins(5)))
        .await
        .unwrap_err();
    assert!(
        matches!(&shorter, ActionError::Refused(why) if why.contains("which covers more than this")),
        "{shorter:?}"
    );
    assert_eq!(paper.done()[2], "Freeze Outcome Some(Permanent)");
    paper.broken.store(true, Ordering::SeqCst);
    let lost = freeze(&alice, &freeze_request(HOUR * 3)).await.unwrap_err();
    assert!(matches!(lost, ActionError::Failed(_)), "{lost:?}");
    assert_eq!(paper.done()[2], "Freeze Outcome Some(Transient)");
}

#[tokio::test]
async fn without_an_audit_entry_nothing_is_frozen_or_thawed() {
    let paper = MemoryAudit::default();
    let alice = paper.freeze_operator("alice");
    paper.full.store(true, Ordering::SeqCst);
    let refused = freeze(&alice, &freeze_request(HOUR)).await.unwrap_err();
    assert!(matches!(refused, ActionError::Unaudited { .. }), "{refused:?}");
    assert_eq!(paper.done(), [] as [&str; 0]);
    paper.full.store(false, Ordering::SeqCst);
    let made = FreezeView::from(&freeze(&alice, &freeze_request(HOUR)).await.unwrap().line);
    paper.done();
    paper.full.store(true, Ordering::SeqCst);
    let refused = alice.thaw(&made).await.unwrap_err();
    assert!(matches!(refused, ActionError::Unaudited { .. }), "{refused:?}");
    assert_eq!(paper.done(), [] as [&str; 0]);
    paper.full.store(false, Ordering::SeqCst);
    assert_eq!(alice.thaw(&made).await.unwrap().0.number, made.number);
    let gone = alice.thaw(&made).await.unwrap_err();
    assert!(
        matches!(&gone, ActionError::Unknown(why) if why.contains("has ended meanwhile")),
        "{gone:?}"
    );
}

#[tokio::test]
async fn an_older_engine_blocks_a_freeze_and_a_dead_one_causes_a_warning() {
    let paper = MemoryAudit::default();
    let alice = paper.freeze_operator("alice");
    let mut snapshot = fine();
    let what = FreezeTarget::find(FreezeScope::Host, "a", &snapshot).unwrap();
    snapshot.tables.engines.push(engine("old", false, 1));
    let refused = alice
        .freeze(&what, &freeze_request(HOUR), &snapshot)
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("old (version 1) would ignore the freeze"),
        "{refused}"
    );
    assert_eq!(paper.done(), [] as [&str; 0]);
    snapshot.tables.engines[1] = engine("old", false, 3_600);
    let written = alice
        .freeze(&what, &freeze_request(HOUR), &snapshot)
        .await
        .unwrap();
    let view = render_frozen(&written, &what, &WaitResult::default(), &snapshot);
    assert_eq!(view.notes.len(), 1, "{view:?}");
    assert!(
        view.notes[0].contains("engine old of an older version"),
        "{view:?}"
    );
    assert_eq!(
        (view.unprotected, view.heard),
        (None, true),
        "nobody has listed them"
    );
}

#[test]
fn how_long_and_why_are_bounded() {
    let long = "x".repeat(MAX_REASON_BYTES + 1);
    let of = |seconds: u64, force, reason: &str| {
        let mut request = freeze_request(Duration::from_secs(seconds));
        request.force = force;
        request.terms.reason = reason.to_owned();
        request
            .validate("FORCE")
            .map(|freeze_request| freeze_request.terms.reason)
    };
    assert_eq!(of(60, false, " firmware ").as_deref(), Ok("firmware"));
    assert!(of(86_400, false, "x").is_ok());
    assert!(of(30 * 86_400, true, "x").is_ok());
    for (seconds, force, part) in [
        (59, true, "too short"),
        (0, false, "too short"),
        (86_401, false, "the maximum is 24h, or add FORCE"),
        (30 * 86_400 + 1, true, "the maximum is 30d"),
        (u64::MAX, true, "the maximum is 30d"),
    ] {
        let Err(InvalidFreeze::Lasts(why)) = of(seconds, force, "x") else {
            panic!("{seconds} {force}");
        };
        assert!(why.contains(part), "{why}");
    }
    for reason in ["", "  ", "two\nlines", "\u{1b}[2J", long.as_str()] {
        assert!(
            matches!(of(60, false, reason), Err(InvalidFreeze::Reason(_))),
            "{reason:?}"
        );
    }
}
