//! A small region without findings, and changes to it.

use super::*;

pub(in super::super) fn ago(seconds: i64) -> Timestamp {
    NOW.minus_seconds(seconds)
}

pub(in super::super) fn engine(name: &str, seconds: i64, parts: &[(&str, bool, &str)]) -> Engine {
    Engine {
        name: name.into(),
        started_at: ago(3_600),
        seen_at: ago(seconds),
        supports_freezes: true,
        parts: parts
            .iter()
            .map(|(part, is_working, text)| {
                let part_of = EnginePart {
                    is_working: *is_working,
                    text: (*text).into(),
                };
                ((*part).to_owned(), part_of)
            })
            .collect(),
    }
}

pub(in super::super) fn host(name: &str) -> Host {
    Host {
        name: name.into(),
        reserved: false,
        maintenance: None,
        recovery: None,
    }
}

pub(in super::super) fn compute(name: &str) -> ComputeService {
    ComputeService {
        host: name.into(),
        up: true,
        enabled: true,
        cell_down: false,
        ambiguous: false,
        drained: false,
        forced_down: false,
        since: ago(900),
    }
}

pub(in super::super) fn test(host: &str, device: &str) -> DeviceTest {
    DeviceTest {
        host: host.into(),
        level: 1,
        device: device.into(),
        target: device.into(),
        as_of: ago(60),
        counts_for: 660,
        power: None,
        fault: None,
        failures: 0,
    }
}

pub(in super::super) fn instance(number: u128) -> Instance {
    Instance {
        id: ServerId(Uuid::from_u128(number)),
        name: format!("vm-{number}").into(),
        left: None,
        moving: false,
        local_disk: None,
        marked: false,
        rest: None,
        ended_by_boot: None,
        start_blocker: None,
        needs: None,
    }
}

/// Makes the first instance shut down.
pub(in super::super) fn rest(facts: &mut Facts, why: StopReason, seconds: i64) {
    let on = &mut facts.instances.as_mut().unwrap().value.on;
    let first = &mut Arc::make_mut(on.get_mut("a").unwrap())[0];
    first.rest = Some(Rest {
        why,
        since: ago(seconds),
        busy: false,
        stopped: true,
        may_run: false,
        observed: None,
        judged: Some(ago(seconds)),
    });
}

pub(in super::super) fn ice(scope: FreezeScope, name: &str) -> ActiveFreeze {
    ActiveFreeze {
        freeze: Freeze {
            number: 1,
            scope,
            name: name.into(),
            until: Timestamp::from_micros(NOW.micros() + 3_600_000_000),
            by: "alice".into(),
            reason: "firmware".into(),
            unless_worse: false,
        },
        server: (scope == FreezeScope::Instance).then(|| instance(1).id),
        since: ago(60),
        by_drain: false,
    }
}

pub(in super::super) fn recovery(host: &str, wait: WaitsFor) -> Recovery {
    Recovery {
        id: RecoveryId(Uuid::from_u128(9)),
        kind: RecoveryKind::Host,
        host: host.into(),
        life: Life::Open,
        wait: Some(Wait::bare(wait, ago(90))),
        instances: 2,
        back: 1,
        message: None,
    }
}

/// Returns three hosts with two instances each, an engine and a controller, without findings.
pub(in super::super) fn fine() -> Facts {
    let names = ["a", "b", "c"];
    let on = names.iter().enumerate().map(|(place, name)| {
        let first = place as u128 * 2 + 1;
        (
            (*name).to_owned(),
            Arc::new(vec![instance(first), instance(first + 1)]),
        )
    });
    Facts {
        engines: vec![engine(
            "ctl-1:7:x",
            4,
            &[("nova", true, "ok"), ("broker", true, "ok")],
        )],
        queue: Queue::default(),
        segments: vec![Segment {
            name: "s1".into(),
            method: RecoveryMethod::Auto,
            enabled: true,
            local_disk: crate::policy::LocalDisk::Evacuate,
            hosts: names.map(host).to_vec(),
        }],
        recoveries: Vec::new(),
        waiting: Vec::new(),
        displaced_instances: BTreeSet::new(),
        failed: BTreeMap::new(),
        muted_reporters: Vec::new(),
        freezes: Vec::new(),
        monitors: Vec::new(),
        local_disks: Arc::default(),
        acknowledged: Vec::new(),
        fencing: Fencing {
            mode: FencingMode::Engine,
            stopped: false,
            has_devices: true,
            trouble: None,
            without: Vec::new(),
            foreign: Vec::new(),
            tests: Some(names.map(|name| test(name, "bmc")).to_vec()),
        },
        computes: Some(TimedFact {
            as_of: ago(5),
            value: names.map(compute).to_vec(),
        }),
        instances: Some(TimedFact {
            as_of: ago(5),
            value: Instances {
                complete: true,
                listing_since: None,
                on: on.collect(),
            },
        }),
        rooms: None,
        holds: None,
        joint_losses: None,
    }
}

pub(in super::super) fn computes(facts: &mut Facts) -> &mut Vec<ComputeService> {
    &mut facts.computes.as_mut().unwrap().value
}

pub(in super::super) fn tests_of(facts: &mut Facts) -> &mut Vec<DeviceTest> {
    facts.fencing.tests.as_mut().unwrap()
}

pub(in super::super) fn failing(test: &mut DeviceTest, failures: u32) {
    // A device's own text may be a sentence; what follows it in a finding shows no ".;".
    test.fault = Some("timed out.".into());
    test.failures = failures;
}

pub(in super::super) fn waiting(number: u128, what: WaitsFor) -> WaitingInstance {
    WaitingInstance {
        server: ServerId(Uuid::from_u128(number)),
        name: format!("vm-{number}"),
        host: "a".into(),
        recovery: RecoveryId(Uuid::from_u128(9)),
        wait: Some(Wait {
            what,
            on: ["b".to_owned()].into(),
            since: ago(257),
        }),
        reason: None,
    }
}
