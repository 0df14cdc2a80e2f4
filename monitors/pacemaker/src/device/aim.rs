//! The check that the machine that a device turned off is the node's.

use tachi_agents::{Aim, Effect, effect, is_set};

use super::covers::names;
use crate::cib::Device;
use crate::names::same_machine;

/// Returns the reason why the machine may have been another one. `alone` is true if the device is configured for this
/// node only.
pub(super) fn doubt(device: &Device, node: &str, alone: bool) -> Option<String> {
    // An operator's declaration for the agent covers this too.
    let Effect::Power(aim) = effect(&device.agent) else {
        return None;
    };
    let parameter = |name: &str| {
        let value = device.parameters.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("dynamic"))
    };
    let argument = parameter("pcmk_host_argument");
    let address = |name: &str| ["ip", "ipaddr"].contains(&name);
    let known = match (aim, argument) {
        (Aim::List, _) => return None,
        (Aim::Plug | Aim::Machine, None | Some("plug" | "port")) => true,
        (Aim::Plug, Some(name)) => name == "uuid",
        (Aim::Machine, Some(name)) => name.eq_ignore_ascii_case("none") || address(name),
    };
    if let Some(name) = argument.filter(|_| !known) {
        return Some(format!(
            "which gets the host by pcmk_host_argument={name}: the machine that it turns off is not known"
        ));
    }
    let plug = parameter("plug").or(parameter("port")).is_some();
    let by_name = match aim {
        Aim::Plug | Aim::List => !plug,
        Aim::Machine => {
            let fixed = parameter("ip").or(parameter("ipaddr")).is_some();
            (is_set(&device.parameters, "port_as_ip") && !plug) || (argument.is_some_and(address) && !fixed)
        }
    };
    if by_name {
        return None;
    }
    let names = names(device);
    if names.is_empty() {
        return (!alone).then(|| "which turns off one machine, and its host is unknown".to_owned());
    }
    let others: Vec<_> = names
        .into_iter()
        .filter(|name| !same_machine(name, node))
        .collect();
    (!others.is_empty()).then(|| {
        format!(
            "which turns off one machine, and is for other hosts too: {}",
            others.join(", ")
        )
    })
}
