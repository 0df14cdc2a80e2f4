//! The nodes that a device covers, by the fencer's rules.

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
const LISTS: [&str; 4] = ["hostlist", "hostnames", "hostname", "nodename"];

/// Returns whether Pacemaker may use this device to fence this node.
pub(crate) fn coverage(device: &Device, node: &str) -> Coverage {
    if !device.several.is_empty() {
        let each = device.each();
        let mut each = each.iter().map(|device| coverage(device, node));
        let first = each.next().unwrap_or(Coverage::Maybe);
        return if each.all(|other| other == first) {
            first
        } else {
            Coverage::Maybe
        };
    }
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
                    .flat_map(names_in)
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

/// Returns the list of nodes of a cluster-glue agent; `None` if it is not in the configuration.
fn own_list(device: &Device) -> Option<Vec<&str>> {
    if device.agent.starts_with("fence_") {
        return None;
    }
    let lists = LISTS.iter().filter_map(|name| device.parameters.get(*name));
    let names: Vec<_> = lists.flat_map(|list| names_in(list)).collect();
    // external/rackpdu reads the names from its outlets then.
    (!names.is_empty() && !names.contains(&"AUTO")).then_some(names)
}

/// Returns the node's name at the device.
pub(super) fn mapped_to<'d>(device: &'d Device, node: &str) -> Option<&'d str> {
    let mut aliases = aliases(device);
    aliases
        .find(|(name, _)| same_node(name, node))
        .map(|(_, port)| port)
}

/// Returns the pairs of node and name at the device.
pub(super) fn aliases(device: &Device) -> impl Iterator<Item = (&str, &str)> {
    let map = device.parameters.get("pcmk_host_map");
    map.into_iter().flat_map(|map| pairs(map))
}

/// Returns the nodes that the cluster's configuration names for a device.
pub(super) fn names(device: &Device) -> Vec<&str> {
    let list = device.parameters.get("pcmk_host_list");
    list.into_iter()
        .flat_map(|list| names_in(list))
        .chain(aliases(device).map(|(name, _)| name))
        .chain(own_list(device).into_iter().flatten())
        .collect()
}

/// Splits a list of nodes as the fencer does: it ends a name at a character that it does not expect in one, and skips an
/// entry that begins with one.
fn names_in(text: &str) -> Vec<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut found = Vec::new();
    let lines = text.split('\n').flat_map(|line| line.split("\\n"));
    for line in lines.filter(|line| !line.contains("invalid") && !line.contains("variable")) {
        let entries = line.split(|c: char| c.is_ascii_whitespace() || c == ',' || c == ';');
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let name = entry.split(|c| !plain(c)).next().unwrap_or_default();
            let state = ["on", "off"].iter().any(|state| name.eq_ignore_ascii_case(state));
            if !name.is_empty() && !state {
                found.push(name);
            }
        }
    }
    found
}

/// Splits a map. A comma belongs to the port, which may be several outlets.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.split([';', ' ', '\t', '\n', '\r']);
    let pairs = pairs.filter_map(|pair| pair.split_once([':', '=']));
    pairs.filter(|(name, port)| !name.is_empty() && !port.is_empty())
}
