//! The fence devices of the hosts: a power controller, and in some runs the outlet as a second level.

use std::time::Duration;

use tachi_domain::level::{Device, Level, Target};
use tachi_domain::machine_id::{MachineId, Mark};

use crate::nova::HostIx;

/// The outlet's name.
const OUTLET: &str = "outlet";

/// The levels of a host, as its fencing file would have them.
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

/// What a controller says that names the machine of this host; no host has the number after the last.
pub(crate) fn machine(host: HostIx) -> MachineId {
    let serial = format!("SIM{host}");
    MachineId::of([(Mark::Serial, serial.as_str())]).unwrap()
}

pub(crate) fn is_outlet(target: &Target) -> bool {
    target.device == OUTLET
}
