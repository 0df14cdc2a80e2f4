//! Which fencing devices can have turned a node off, and whether they really can.

use crate::cib::Device;
use crate::{Cib, Rules};

/// Parameters that list the nodes a device is for, besides Pacemaker's own.
const LISTS: [&str; 4] = ["pcmk_host_list", "hostlist", "hostnames", "hostname"];

/// Why a success for this node proves nothing: a device that turns nothing off may have reported it.
pub(crate) fn null_device(cib: &Cib, node: &str, rules: &Rules) -> Option<String> {
    let is_null = |device: &Device| rules.null_agents.contains(&device.agent);
    let levels: Vec<_> = cib
        .levels
        .iter()
        .filter(|level| level.target.as_deref().is_none_or(|target| target == node))
        .collect();
    let named = levels.iter().any(|level| level.target.is_some());
    for level in &levels {
        // All devices of a level must succeed: one real device among them is enough.
        let devices: Vec<_> = cib
            .devices
            .iter()
            .filter(|device| level.devices.contains(&device.id))
            .collect();
        if !devices.is_empty() && devices.iter().all(|device| is_null(device)) {
            let all: Vec<_> = devices
                .iter()
                .map(|device| format!("{} ({})", device.id, device.agent))
                .collect();
            return Some(format!(
                "a fencing level of it consists of {} only",
                all.join(", ")
            ));
        }
    }
    if named {
        return None;
    }
    let device = cib
        .devices
        .iter()
        .find(|device| is_null(device) && covers(device, node))?;
    Some(format!(
        "it may have been reported by {} ({})",
        device.id, device.agent
    ))
}

/// The device that fenced this node, if there is only one that can.
pub(crate) fn only_device<'c>(cib: &'c Cib, node: &str) -> Option<&'c Device> {
    let mut devices = cib.devices.iter().filter(|device| covers(device, node));
    devices.next().filter(|_| devices.next().is_none())
}

/// Whether Pacemaker may ask this device to fence this node. A device that says nothing is for every node it cares to
/// list.
pub(crate) fn covers(device: &Device, node: &str) -> bool {
    let parameter = |name: &str| {
        device
            .parameters
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.trim().is_empty())
    };
    if parameter("pcmk_host_check").is_some_and(|check| check.eq_ignore_ascii_case("none")) {
        return true;
    }
    let mut silent = true;
    if let Some(map) = parameter("pcmk_host_map") {
        silent = false;
        if words(map).any(|pair| pair.split([':', '=']).next() == Some(node)) {
            return true;
        }
    }
    for list in LISTS.iter().filter_map(|name| parameter(name)) {
        silent = false;
        if words(list).any(|name| name == node) {
            return true;
        }
    }
    silent
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', ';', '\t', '\n'])
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    fn device(id: &str, agent: &str, parameters: &[(&str, &str)]) -> Device {
        Device {
            id: id.to_owned(),
            agent: agent.to_owned(),
            parameters: parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn which_nodes_a_device_is_for() {
        for (name, parameters, expected) in [
            ("nothing said", &[][..], true),
            ("in the list", &[("pcmk_host_list", "cmp1 cmp2")], true),
            ("list with commas", &[("pcmk_host_list", "cmp2,cmp1")], true),
            ("not in the list", &[("pcmk_host_list", "ctl1 ctl2")], false),
            ("a name that begins alike", &[("pcmk_host_list", "cmp10")], false),
            ("in the map", &[("pcmk_host_map", "cmp1:1;cmp2:2")], true),
            ("not in the map", &[("pcmk_host_map", "ctl1:1;ctl2:2")], false),
            ("the charm's list", &[("hostnames", "cmp1 cmp2")], true),
            ("empty list", &[("pcmk_host_list", " ")], true),
            (
                "list that is not checked",
                &[("pcmk_host_list", "ctl1"), ("pcmk_host_check", "none")],
                true,
            ),
        ] {
            assert_eq!(
                covers(&device("d", "fence_x", parameters), "cmp1"),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn a_device_that_turns_nothing_off_proves_nothing() {
        let rules = Rules::default();
        let real = device("st-maas", "external/maas", &[("hostnames", "cmp1 cmp2")]);
        let null_for = |nodes: &str| device("st-null", "null", &[("hostlist", nodes)]);
        let level = |target: Option<&str>, devices: &[&str]| Level {
            target: target.map(str::to_owned),
            devices: devices.iter().map(|id| (*id).to_owned()).collect(),
        };
        for (name, devices, levels, proves) in [
            (
                "the charm's cluster",
                vec![real.clone(), null_for("ctl1 ctl2 ctl3")],
                vec![],
                true,
            ),
            (
                "null for this node too",
                vec![real.clone(), null_for("ctl1 cmp1")],
                vec![],
                false,
            ),
            (
                "null for all",
                vec![device("dummy", "fence_dummy", &[])],
                vec![],
                false,
            ),
            (
                "null together with a real one",
                vec![real.clone(), null_for("cmp1")],
                vec![level(Some("cmp1"), &["st-maas", "st-null"])],
                true,
            ),
            (
                "null as second choice",
                vec![real.clone(), null_for("cmp1")],
                vec![
                    level(Some("cmp1"), &["st-maas"]),
                    level(Some("cmp1"), &["st-null"]),
                ],
                false,
            ),
            (
                "levels of another node",
                vec![real.clone(), null_for("ctl1")],
                vec![level(Some("cmp2"), &["st-null"])],
                true,
            ),
            (
                "a level by pattern",
                vec![real.clone(), null_for("ctl1")],
                vec![level(None, &["st-null"])],
                false,
            ),
            ("no device known", vec![], vec![], true),
        ] {
            let cib = Cib {
                devices,
                levels,
                ..Cib::default()
            };
            assert_eq!(null_device(&cib, "cmp1", &rules).is_none(), proves, "{name}");
        }
    }
}
