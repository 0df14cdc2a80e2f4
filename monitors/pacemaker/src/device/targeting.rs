//! The check that the machine that a device turned off is the node's.

use tachi_agents::{Targeting, first_plug_only, is_set, is_set_by_no, targeting};

use super::covers::{aliases, mapped_to, names};
use super::same_node;
use crate::cib::Device;
use crate::names::same_machine;

/// Agents that write a message for a node's own watchdog into a slot of a shared disk.
const SLOTS: [&str; 2] = ["external/sbd", "fence_sbd"];

/// Returns the reason why the machine may have been another one. `alone` is true if the device is configured for this
/// node only.
pub(super) fn doubt(device: &Device, node: &str, alone: bool) -> Option<String> {
    let parameter = |name: &str| {
        let value = device.parameters.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("dynamic"))
    };
    // cluster-glue's interface has one argument, the node's name.
    let argument = parameter("pcmk_host_argument").filter(|_| device.agent.starts_with("fence_"));
    if SLOTS.contains(&device.agent.as_str()) {
        let plug = ["plug", "port"].iter().find_map(|name| parameter(name));
        let plug = plug.filter(|_| device.agent.starts_with("fence_"));
        return slot(device, node, argument, plug);
    }
    // An operator's declaration for the agent covers this too.
    let targeting = targeting(&device.agent, &device.parameters)?;
    let address = |name: &str| ["ip", "ipaddr"].contains(&name);
    let known = match (targeting, argument) {
        (Targeting::List, _) => return None,
        (Targeting::Plug | Targeting::Machine, None | Some("plug" | "port")) => true,
        (Targeting::Plug, Some(name)) => name == "uuid",
        (Targeting::Machine, Some(name)) => name.eq_ignore_ascii_case("none") || address(name),
    };
    if let Some(name) = argument.filter(|_| !known) {
        return Some(format!(
            "which gets the host by pcmk_host_argument={name}: the machine that it turns off is not known"
        ));
    }
    if targeting == Targeting::Machine && is_set_by_no(&device.parameters, "port_as_ip") {
        return Some(
            "which takes the address from the plug, although port_as_ip is no: remove the parameter, or set it to 1"
                .to_owned(),
        );
    }
    // Agents that have a `uuid` prefer it to the plug.
    let plug = ["plug", "port", "uuid"]
        .iter()
        .any(|name| parameter(name).is_some());
    if first_plug_only(&device.agent) && outlets(device, node).len() > 1 {
        return Some("which switches only the first of several outlets".to_owned());
    }
    let by_name = match targeting {
        Targeting::Plug | Targeting::List => !plug,
        Targeting::Machine => {
            let fixed = parameter("ip").or(parameter("ipaddr")).is_some();
            (is_set(&device.parameters, "port_as_ip") && !plug) || (argument.is_some_and(address) && !fixed)
        }
    };
    if by_name {
        return shared(device, node);
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

/// Returns the reason why the message was in another node's slot: each node's watchdog reads the one of its own name.
fn slot(device: &Device, node: &str, argument: Option<&str>, plug: Option<&str>) -> Option<String> {
    let takes_plug = argument.is_none_or(|name| ["plug", "port"].contains(&name));
    let slot = match plug {
        Some(plug) => Some(plug),
        None if takes_plug => Some(mapped_to(device, node).unwrap_or(node)),
        None => None,
    };
    match slot {
        Some(slot) if same_machine(slot, node) => None,
        Some(slot) => Some(format!("which writes to the slot of {slot}, not of this node")),
        None => {
            Some("which does not get the node's name, so the slot that it writes to is not known".to_owned())
        }
    }
}

/// Returns the reason if another device has the same power controller, and with it the same machine, for another host.
pub(super) fn same_controller(devices: &[Device], device: &Device, node: &str) -> Option<String> {
    let targeting = targeting(&device.agent, &device.parameters)?;
    let place = controller(device)?;
    let own = outlets(device, node);
    let others = devices
        .iter()
        .filter(|other| other.id != device.id && !other.disabled);
    let mut others = others.filter(|other| controller(other).as_ref() == Some(&place));
    others.find_map(|other| {
        let mapped = aliases(other).map(|(name, _)| name);
        let mut names = mapped
            .chain(names(other))
            .filter(|name| !same_machine(name, node));
        let name = names.find(|name| match targeting {
            Targeting::Machine => true,
            Targeting::Plug => outlets(other, name).iter().any(|outlet| own.contains(outlet)),
            Targeting::List => false,
        })?;
        Some(format!(
            "whose machine device {} (agent {}) turns off for {name} too",
            other.id, other.agent
        ))
    })
}

/// Returns what identifies the power controller of a device: the agent, and its address.
fn controller(device: &Device) -> Option<Vec<String>> {
    let parameter = |names: &[&str]| {
        let value = names.iter().find_map(|name| device.parameters.get(*name));
        value.map(|value| value.trim().to_ascii_lowercase())
    };
    let address = parameter(&["ip", "ipaddr"]).filter(|address| !address.is_empty())?;
    let more = [
        &["ipport"][..],
        &["systems_uri", "systems-uri"],
        &["target"],
        &["switch"],
    ];
    let mut place = vec![device.agent.clone(), address];
    place.extend(more.map(|names| parameter(names).unwrap_or_default()));
    Some(place)
}

/// Splits the outlets of a plug, as the agents' library does.
fn split(device: &Device, port: &str) -> Vec<String> {
    let separators = ["plug_separator", "plug-separator"];
    let separator = separators.iter().find_map(|name| device.parameters.get(*name));
    let separator = separator.map(|text| text.trim()).filter(|text| !text.is_empty());
    port.split(separator.unwrap_or(","))
        .map(|port| port.trim().to_ascii_lowercase())
        .collect()
}

/// Returns the outlets that the device switches for this node.
fn outlets(device: &Device, node: &str) -> Vec<String> {
    let fixed = ["plug", "port", "uuid"]
        .iter()
        .find_map(|name| device.parameters.get(*name));
    let fixed = fixed.map(|value| value.trim());
    let fixed = fixed.filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("dynamic"));
    let port = fixed.or_else(|| mapped_to(device, node));
    split(device, port.unwrap_or(node))
}

/// Returns the reason if the device has the node's name at it, or one of its outlets, for another machine too.
fn shared(device: &Device, node: &str) -> Option<String> {
    let same = |name: &str| same_machine(name, node);
    let ports = |port: &str| split(device, port);
    let mapped = |name: &str| aliases(device).any(|(node, _)| same_node(node, name));
    let plain = names(device).into_iter().filter(|name| !mapped(name));
    let all: Vec<_> = aliases(device).chain(plain.map(|name| (name, name))).collect();
    let own = all.iter().filter(|(name, _)| same(name));
    let mut own: Vec<_> = own.flat_map(|(_, port)| ports(port)).collect();
    if own.is_empty() {
        own = ports(node);
    }
    let (name, port) = all
        .iter()
        .filter(|(name, _)| !same(name))
        .find(|(_, port)| ports(port).iter().any(|port| own.contains(port)))?;
    Some(format!("which turns off {port} for {name} too"))
}
