//! Memory and time for the assessment of a large region: 1,000 hosts with 50,000 instances. This test has its own
//! process, so that nothing else is measured.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::entity::{Host, Segment, Stamps};
use tachi_domain::forecast::{Capacity, Needs, Provider, Room};
use tachi_domain::policy::{BareNormal, FencingMode};
use tachi_domain::resources::Resources;
use tachi_domain::situation::{ComputeService, FindingCode, Instance, RoomsState};
use tachi_domain::{HostId, SegmentId, ServerId, Timestamp};
use tachi_engine::ports::Fact;
use tachi_engine::ports::engine_registry::{Backlog, EngineHeartbeat, EngineRow};
use tachi_engine::ports::operator::{HostView, SegmentView};
use tachi_engine::situation::{CloudSnapshot, ConfiguredFacts, Tables};
use tachi_engine::watcher::kind;
use tachi_operator::{Fencing, Forecasts, RegionSnapshot};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const HOSTS: u128 = 1_000;
const EACH: u128 = 50;

/// Returns the memory of this process, in MiB.
fn allocated() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn name(host: u128) -> String {
    format!("compute-{host:04}.example.org")
}

fn fact(kind: &str, subject: &str, value: &impl serde::Serialize) -> Fact {
    Fact {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        value: serde_json::to_string(value).unwrap(),
        as_of: NOW,
    }
}

/// Returns the facts as a watcher stores them.
fn kept() -> Vec<Fact> {
    let computes: Vec<ComputeService> = (0..HOSTS)
        .map(|host| ComputeService {
            host: name(host),
            up: true,
            enabled: true,
            cell_down: false,
            ambiguous: false,
            drained: false,
            forced_down: false,
            since: NOW,
        })
        .collect();
    let mut all = vec![
        fact(kind::COMPUTES, "", &computes),
        fact(kind::SERVERS, "", &serde_json::json!({"complete": true})),
        fact(kind::ROOMS, "", &RoomsState::default()),
        fact(kind::AGGREGATES, "", &serde_json::json!([])),
        fact(kind::GROUPS, "", &serde_json::json!([])),
    ];
    for host in 0..HOSTS {
        let own: Vec<Instance> = (0..EACH).map(|number| instance(host * EACH + number)).collect();
        all.push(fact(kind::INSTANCES, &name(host), &own));
        let has = [
            ("VCPU", 512, 250),
            ("MEMORY_MB", 600 * 1024, 550 * 1024),
            ("DISK_GB", 40_000, 5_000),
        ];
        let has = has.map(|(class, total, used)| {
            let capacity = Capacity {
                total,
                reserved: 0,
                ratio_millis: 1_000,
                min_unit: 1,
                max_unit: total,
                step_size: 1,
                used,
            };
            (class.to_owned(), capacity)
        });
        let provider: Provider = Provider {
            has: has.into(),
            traits: Arc::new(
                (0..80)
                    .map(|number| format!("HW_CPU_X86_FEATURE_{number:03}"))
                    .collect(),
            ),
        };
        all.push(fact(kind::PROVIDER, &name(host), &provider));
    }
    all
}

/// Returns an instance of one of eight flavors and two hundred projects.
fn instance(number: u128) -> Instance {
    let size = u64::try_from(number % 8).unwrap() + 1;
    Instance {
        id: ServerId(Uuid::from_u128(number << 64 | number)),
        name: format!("customer-{}-web-{number}", number % 200).into(),
        left: None,
        moving: false,
        local_disk: None,
        marked: false,
        rest: None,
        ended_by_boot: None,
        start_blocker: None,
        needs: Some(Arc::new(Needs {
            project: format!("{:032x}", number % 200),
            resources: Resources {
                vcpus: size,
                memory_mb: 4096 * size,
                disk_gb: 20 * size,
            },
            wishes: [].into(),
            not_reckoned: None,
        })),
    }
}

/// The worst case: every instance is on the local disk of its host.
fn on_local_disk(host: u128) -> (String, BTreeSet<ServerId>) {
    let own = (host * EACH..(host + 1) * EACH).map(|number| instance(number).id);
    (name(host), own.collect())
}

fn tables() -> Tables {
    let stamps = || Stamps {
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
        stamps: stamps(),
    };
    let hosts = (0..HOSTS).map(|host| HostView {
        host: Host {
            row: 1,
            id: HostId(Uuid::from_u128(host)),
            name: name(host),
            segment: segment.clone(),
            kind: "COMPUTE".to_owned(),
            control_attributes: "SSH".to_owned(),
            reserved: false,
            on_maintenance: false,
            stamps: stamps(),
        },
        why: None,
        recovery: None,
    });
    Tables {
        segments: vec![SegmentView {
            hosts: hosts.collect(),
            segment: segment.clone(),
        }],
        recoveries: Vec::new(),
        waiting: Vec::new(),
        moves: Vec::new(),
        engines: vec![EngineRow {
            heartbeat: EngineHeartbeat {
                name: "ctl-1:1".to_owned(),
                version: "1".to_owned(),
                started_at: NOW,
                facts: [].into(),
            },
            seen_at: NOW,
            beat: 1,
        }],
        backlog: Backlog::default(),
        muted_reporters: Vec::new(),
        failed: std::collections::BTreeMap::new(),
        machines: Vec::new(),
        freezes: Vec::new(),
        monitors: Vec::new(),
        local_disks: Arc::new((0..HOSTS).map(on_local_disk).collect()),
        acknowledged: Vec::new(),
    }
}

fn snapshot_of(kept: &[Fact], forecasts: &Forecasts, now: Timestamp) -> RegionSnapshot {
    let fencing = Fencing {
        mode: FencingMode::External,
        device: None,
        bare_normal: BareNormal::Refuse,
    };
    let configured = ConfiguredFacts {
        fencing: tachi_domain::situation::Fencing::without_devices(FencingMode::External),
        local_disk: tachi_domain::policy::LocalDiskRules::default(),
    };
    let watched = CloudSnapshot::from_stored(kept);
    RegionSnapshot::judged(
        now,
        fencing,
        tachi_operator::SnapshotSource {
            region: None,
            database: "memory".to_owned(),
        },
        tables(),
        watched,
        configured,
        forecasts,
    )
}

#[test]
fn all_of_fifty_thousand_instances_weighs_so_much() {
    let kept = kept();
    let bytes: usize = kept.iter().map(|fact| fact.value.len()).sum();
    let forecasts = Forecasts::default();
    let before = allocated();
    let begun = Instant::now();
    let snapshot = snapshot_of(&kept, &forecasts, NOW);
    let (first, alone) = (begun.elapsed(), allocated() - before);
    let segment = &snapshot.forecast.segments[0];
    assert_eq!(segment.hosts.len(), 1_000);
    assert_eq!(snapshot.situation.counts.unwrap().included(), 50_000);
    let mut found = snapshot.situation.findings.iter();
    let found = found
        .find(|finding| finding.code == FindingCode::LocalDisk)
        .unwrap();
    assert_eq!((found.subjects.len(), found.instances), (1_000, 50_000));
    assert_eq!(segment.worst.as_ref().unwrap().room, Room::Enough);
    // The next snapshot is made while the last one is still in use. The forecast is the same.
    let begun = Instant::now();
    let next = snapshot_of(&kept, &forecasts, NOW);
    let (again, both) = (begun.elapsed(), allocated() - before);
    assert!(std::sync::Arc::ptr_eq(&snapshot.forecast, &next.forecast));
    println!(
        "{} MiB of facts; a look holds {alone} MiB, two {both} MiB; {first:?}, and {again:?} with the forecast of before",
        bytes >> 20
    );
    assert!(alone <= 32, "{alone} MiB");
    assert!(both <= 56, "{both} MiB");
    drop((snapshot, next));
    // Unchanged data becomes stale, and a forecast from fresh data is not used again.
    let old = snapshot_of(&kept, &forecasts, NOW.minus_seconds(-61));
    assert!(old.forecast.trouble.is_some());
    assert_eq!(old.situation.counts.unwrap().protected, 0);
}
