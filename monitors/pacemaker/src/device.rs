//! Which fencing devices can have turned a node off, and whether they really can.

use crate::agents::{Effect, effect};
use crate::cib::Device;
use crate::{Cib, Rules};

/// Parameters that list the nodes a device is for, besides Pacemaker's own.
const LISTS: [&str; 4] = ["pcmk_host_list", "hostlist", "hostnames", "hostname"];

/// Why a fencing of this node proves nothing: a device that does not switch its power may do it.
pub fn unproven(cib: &Cib, node: &str, rules: &Rules) -> Option<String> {
    let why_not = |device: &Device| {
        let effect = if rules.null_agents.contains(&device.agent) {
            Effect::Nothing
        } else if rules.power_agents.contains(&device.agent) {
            Effect::Power
        } else {
            effect(&device.agent)
        };
        Some(match effect {
            Effect::Power => return None,
            Effect::Unknown if rules.believe_agents => return None,
            Effect::Fabric => "which cuts a host off from its storage or network: its guests may run on",
            Effect::Nothing => "which turns nothing off",
            Effect::Unknown => {
                "of which it is not known that it switches a host's power: if it does, add it to [host] power_fence_agents"
            }
        })
    };
    let named = |device: &Device, why: &str| format!("{} ({}), {why}", device.id, device.agent);
    let levels: Vec<_> = cib
        .levels
        .iter()
        .filter(|level| level.target.as_deref().is_none_or(|target| target == node))
        .collect();
    for level in &levels {
        // All devices of a level must succeed: one that switches the power among them is enough.
        let devices: Vec<_> = cib
            .devices
            .iter()
            .filter(|device| level.devices.contains(&device.id))
            .collect();
        let all: Option<Vec<String>> = devices
            .iter()
            .map(|device| Some(named(device, why_not(device)?)))
            .collect();
        if let Some(all) = all.filter(|all| !all.is_empty()) {
            return Some(format!(
                "a fencing level of it consists only of {}",
                all.join("; ")
            ));
        }
    }
    if levels.iter().any(|level| level.target.is_some()) {
        return None;
    }
    cib.devices
        .iter()
        .filter(|device| covers(device, node))
        .find_map(|device| Some(named(device, why_not(device)?)))
        .map(|device| format!("it may have been reported by {device}"))
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
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn f3_a_device_that_does_not_switch_power_proves_nothing() {
        let rules = Rules {
            power_agents: vec!["fence_theirs".to_owned()],
            ..Rules::default()
        };
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
            (
                "storage alone",
                vec![device("st-scsi", "fence_scsi", &[])],
                vec![],
                false,
            ),
            (
                "storage beside power, and either may have been it",
                vec![real.clone(), device("st-scsi", "fence_scsi", &[])],
                vec![],
                false,
            ),
            (
                "power and storage together",
                vec![real.clone(), device("st-scsi", "fence_scsi", &[])],
                vec![level(Some("cmp1"), &["st-maas", "st-scsi"])],
                true,
            ),
            (
                "Nova told, or power",
                vec![real.clone(), device("st-nova", "fence_compute", &[])],
                vec![
                    level(Some("cmp1"), &["st-maas", "st-nova"]),
                    level(Some("cmp1"), &["st-nova"]),
                ],
                false,
            ),
            (
                "storage of another node",
                vec![
                    real.clone(),
                    device("st-scsi", "fence_scsi", &[("pcmk_host_list", "ctl1")]),
                ],
                vec![],
                true,
            ),
            (
                "an agent that nobody knows",
                vec![device("st-ours", "fence_ours", &[])],
                vec![],
                false,
            ),
            (
                "one that the operator knows",
                vec![device("st-theirs", "fence_theirs", &[])],
                vec![],
                true,
            ),
        ] {
            let cib = Cib {
                devices,
                levels,
                ..Cib::default()
            };
            let doubt = unproven(&cib, "cmp1", &rules);
            assert_eq!(doubt.is_none(), proves, "{name}: {doubt:?}");
        }
    }
}
