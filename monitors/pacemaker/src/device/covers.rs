//! The nodes that a device covers, by the fencer's rules.

use tachi_agents::{Aim, Effect, effect};

use super::same_node;
use crate::cib::Device;

/// The fencer's use of a device for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    No,
    /// The device decides, by its own list or status.
    Maybe,
    Yes,
}

/// Parameters in which agents of cluster-glue list their nodes.
const LISTS: [&str; 3] = ["hostlist", "hostnames", "hostname"];

/// Returns whether Pacemaker may use this device to fence this node.
pub(crate) fn coverage(device: &Device, node: &str) -> Coverage {
    if device.unclear.is_some() {
        return Coverage::Maybe;
    }
    let list = device.parameters.get("pcmk_host_list");
    let map = device.parameters.get("pcmk_host_map");
    let check = device
        .parameters
        .get("pcmk_host_check")
        .map(|check| check.trim().to_ascii_lowercase());
    let kind = match check.as_deref() {
        Some(check) => check,
        None if list.is_some() || map.is_some() => "static-list",
        None => "dynamic-list",
    };
    let sure = |yes: bool| if yes { Coverage::Yes } else { Coverage::No };
    match kind {
        "none" => Coverage::Yes,
        "static-list" => {
            let (listed, mapped) = (list.map(String::as_str), map.map(String::as_str));
            if listed.is_some_and(|list| list.trim().is_empty()) && mapped.is_none() {
                return Coverage::Maybe;
            }
            // The fencer counts the names at the device among the nodes.
            let pairs = || {
                mapped
                    .into_iter()
                    .flat_map(pairs)
                    .flat_map(|(name, port)| [name, port])
            };
            sure(
                listed
                    .into_iter()
                    .flat_map(words)
                    .chain(pairs())
                    .any(|name| same_node(name, node)),
            )
        }
        "dynamic-list" => match own_list(device) {
            Some(list) => {
                let alias = mapped_to(device, node).unwrap_or(node);
                sure(list.into_iter().any(|name| same_node(name, alias)))
            }
            None => Coverage::Maybe,
        },
        _ => Coverage::Maybe,
    }
}

/// Returns the list of nodes of a cluster-glue agent.
fn own_list(device: &Device) -> Option<Vec<&str>> {
    if !matches!(effect(&device.agent), Effect::Power(Aim::List)) && device.agent.starts_with("fence_") {
        return None;
    }
    let lists = LISTS.iter().filter_map(|name| device.parameters.get(*name));
    let names: Vec<_> = lists.flat_map(|list| words(list)).collect();
    (!names.is_empty()).then_some(names)
}

/// Returns the node's name at the device.
fn mapped_to<'d>(device: &'d Device, node: &str) -> Option<&'d str> {
    let map = device.parameters.get("pcmk_host_map")?;
    pairs(map)
        .find(|(name, _)| same_node(name, node))
        .map(|(_, port)| port)
}

/// Returns the nodes that the cluster's configuration names for a device.
pub(super) fn names(device: &Device) -> Vec<&str> {
    let parameter = |name: &str| device.parameters.get(name).map(String::as_str);
    let mapped = parameter("pcmk_host_map")
        .into_iter()
        .flat_map(pairs)
        .map(|(name, _)| name);
    parameter("pcmk_host_list")
        .into_iter()
        .flat_map(words)
        .chain(mapped)
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', ';', '\t', '\n', '\r'])
        .flat_map(|word| word.split("\\n"))
        .filter(|word| !word.is_empty())
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.split([';', ' ', '\t', '\n', '\r', ',']);
    pairs.filter_map(|pair| pair.split_once([':', '=']))
}
