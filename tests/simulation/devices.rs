//! Fence devices of the hosts: a power controller and, in some runs, the outlet as a second level.

use std::time::Duration;

use tachi_domain::level::{Device, Level, Target};
use tachi_domain::machine_id::{MachineId, Mark};

use crate::nova::HostIx;

const OUTLET: &str = "outlet";

/// Returns the fencing levels of a host, as in its fencing file.
pub(crate) fn levels(host: HostIx, outlets: bool) -> Vec<Level> {
    let device = |name: &str, limit: Option<u64>| Device {
        target: Target {
            device: name.into(),
            kind: "exec".into(),
            endpoint: format!("{name}-{host}"),
            plug: None,
        },
        limit: limit.map(Duration::from_secs),
        poll: None,
        call: None,
        attempts: 2,
    };
    let mut devices = vec![device("bmc", outlets.then_some(30))];
    if outlets {
        devices.push(device(OUTLET, Some(60)));
    }
    let level = |(number, device)| Level {
        number,
        devices: vec![device],
    };
    (1..).zip(devices).map(level).collect()
}

/// Returns the machine ID that a controller of this host reports. IDs after the last host belong to no host.
pub(crate) fn machine(host: HostIx) -> MachineId {
    let serial = format!("SIM{host}");
    MachineId::of([(Mark::Serial, serial.as_str())]).unwrap()
}

pub(crate) fn is_outlet(target: &Target) -> bool {
    target.device == OUTLET
}
