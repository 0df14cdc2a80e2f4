//! The parts of a cloud: devices, instances, records, faults.

use super::*;
use crate::cadence::StandingHeartbeat;
use crate::host_recovery::SilenceTrack;

/// Returns a device of a level.
pub(in crate::host_recovery::tests) fn device(name: &str) -> Device {
    Device {
        target: target(name),
        limit: None,
        poll: None,
        call: None,
        attempts: 2,
    }
}

pub(in crate::host_recovery::tests) fn target(name: &str) -> Target {
    Target {
        device: name.into(),
        kind: "ipmi".into(),
        endpoint: format!("{name}.example"),
        plug: None,
    }
}

/// Returns the levels with these devices, in their order.
pub(in crate::host_recovery::tests) fn levels(names: &[&[&str]]) -> Vec<Level> {
    let level = |(number, names): (u32, &&[&str])| Level {
        number,
        devices: names.iter().map(|name| device(name)).collect(),
    };
    (1..).zip(names).map(level).collect()
}

const NOVA: i64 = 1_700_000_000_000_000;

pub(in crate::host_recovery::tests) fn id(server: u128) -> ServerId {
    ServerId(Uuid::from_u128(server))
}

pub(in crate::host_recovery::tests) fn nova_time(millis: u64) -> Timestamp {
    Timestamp::from_micros(NOVA + i64::try_from(millis).unwrap() * 1_000)
}

pub(in crate::host_recovery::tests) fn server(number: u128) -> Server {
    Server {
        id: id(number),
        name: format!("vm-{number}"),
        host: Some(HOST.into()),
        vm_state: VmState::Active,
        task_state: None,
        power_state: PowerState::Running,
        locked: false,
        locked_reason: None,
        metadata: BTreeMap::new(),
        volume_backed: true,
        launched: true,
        fault: None,
        about: InstanceTraits::default(),
        needs: None,
        updated: None,
    }
}

pub(in crate::host_recovery::tests) fn tagged(number: u128) -> Server {
    Server {
        metadata: [("HA_Enabled".to_owned(), "True".to_owned())].into(),
        ..server(number)
    }
}

pub(in crate::host_recovery::tests) fn evacuation(
    record: u64,
    number: u128,
    status: &str,
    dest: Option<&str>,
) -> Migration {
    Migration {
        id: MigrationId(record),
        server: id(number),
        kind: MigrationType::Evacuation,
        status: status.into(),
        source: Some(HOST.into()),
        dest: dest.map(Into::into),
        created_at: Some(nova_time(0)),
        updated_at: None,
    }
}

pub(in crate::host_recovery::tests) fn fault(
    status: Option<u16>,
    class: FaultClass,
    maybe_done: bool,
) -> Fault {
    Fault {
        class,
        status,
        maybe_done,
        text: format!("nova: {status:?}"),
    }
}

pub(in crate::host_recovery::tests) fn timeout() -> Fault {
    fault(None, FaultClass::Transient, true)
}

pub(in crate::host_recovery::tests) fn unavailable() -> Fault {
    fault(Some(429), FaultClass::Transient, false)
}

impl Harness {
    /// Leaves all further scans without an answer.
    pub(in crate::host_recovery::tests) fn nobody_looks_around(&mut self) {
        self.region = None;
    }

    /// Sets the current heartbeat as observed since it was sent.
    pub(super) fn watch(&mut self, service: &Service) {
        if !self.watched {
            return;
        }
        let age = service.heartbeat_age_micros().unwrap_or_default();
        self.state.guard.silence = SilenceTrack::default();
        self.state.service.watched_until = Elapsed::ZERO;
        self.state.service.watched = Some(StandingHeartbeat {
            stamp: service.heartbeat(),
            stood: Duration::from_micros(u64::try_from(age).unwrap_or_default()),
            deaf_ago: None,
        });
    }
}

impl super::Harness {
    /// Returns the service's record in Nova's answer.
    pub(super) fn seen_now(&self) -> Service {
        let nova_now = Some(nova_time(self.at + 100_000));
        let service = self.service.clone();
        Service { nova_now, ..service }
    }
}

/// Returns the wall-clock time at an elapsed time of a bench.
pub(in crate::host_recovery::tests) fn wall(at: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(at).unwrap() * 1_000)
}
