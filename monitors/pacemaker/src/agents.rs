//! What fence agents do. Pacemaker calls a fencing a success when the agent does; only one that switches the machine's power
//! has ended its guests.

use crate::Error;
use crate::xml::walk;

/// What a success of an agent says about the guests of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The machine was turned off or reset: nothing runs there.
    Power,
    /// The machine was cut off from its storage or network. Its guests may run on.
    Fabric,
    /// Nothing was done to the machine.
    Nothing,
    /// Nobody has said what it does.
    Unknown,
}

/// Agents that switch the power of a machine, or of the virtual machine that a node of the cluster is: those of fence-agents, of
/// cluster-glue (with `external/`), and our own. `fence_sbd` and its like have the machine's watchdog reset it.
const POWER: &[&str] = &[
    "fence_alom",
    "fence_aliyun",
    "fence_amt",
    "fence_amt_ws",
    "fence_apc",
    "fence_apc_snmp",
    "fence_aws",
    "fence_azure_arm",
    "fence_bladecenter",
    "fence_bladecenter_snmp",
    "fence_cdu",
    "fence_cisco_ucs",
    "fence_cyberpower_ssh",
    "fence_docker",
    "fence_drac",
    "fence_drac5",
    "fence_eaton_snmp",
    "fence_eaton_ssh",
    "fence_ecloud",
    "fence_emerson",
    "fence_eps",
    "fence_gce",
    "fence_hds_cb",
    "fence_hpblade",
    "fence_ibm_powervs",
    "fence_ibm_vpc",
    "fence_ibmblade",
    "fence_ibmz",
    "fence_idrac",
    "fence_ilo",
    "fence_ilo2",
    "fence_ilo3",
    "fence_ilo3_ssh",
    "fence_ilo4",
    "fence_ilo4_ssh",
    "fence_ilo5",
    "fence_ilo5_ssh",
    "fence_ilo_moonshot",
    "fence_ilo_mp",
    "fence_ilo_ssh",
    "fence_imm",
    "fence_intelmodular",
    "fence_ipdu",
    "fence_ipmilan",
    "fence_ipmilanplus",
    "fence_ironic",
    "fence_kubevirt",
    "fence_ldom",
    "fence_lindypdu",
    "fence_lpar",
    "fence_maas",
    "fence_netio",
    "fence_nutanix_ahv",
    "fence_openstack",
    "fence_ovh",
    "fence_powerman",
    "fence_pve",
    "fence_raritan",
    "fence_raritan_px3",
    "fence_rcd_serial",
    "fence_redfish",
    "fence_rhevm",
    "fence_rsa",
    "fence_rsb",
    "fence_sbd",
    "fence_skalar",
    "fence_tripplite_snmp",
    "fence_vbox",
    "fence_virsh",
    "fence_virt",
    "fence_vmware",
    "fence_vmware_rest",
    "fence_vmware_soap",
    "fence_vmware_vcloud",
    "fence_watchdog",
    "fence_wti",
    "fence_xenapi",
    "fence_xvm",
    "fence_zvm",
    "fence_zvmip",
    "apcmaster",
    "apcmastersnmp",
    "apcsmart",
    "baytech",
    "bladehpi",
    "cyclades",
    "drac3",
    "external/dracmc-telnet",
    "external/drac5",
    "external/ec2",
    "external/hetzner",
    "external/hmchttp",
    "external/ibmrsa",
    "external/ibmrsa-telnet",
    "external/ipmi",
    "external/ippower9258",
    "external/libvirt",
    "external/maas",
    "external/nut",
    "external/rackpdu",
    "external/riloe",
    "external/sbd",
    "external/vcenter",
    "external/vmware",
    "external/xen0",
    "external/xen0-ha",
    "ibmhmc",
    "ipmilan",
    "nw_rpc100s",
    "rcd_serial",
    "rps10",
    "vacm",
    "wti_mpc",
    "wti_nps",
];

/// Agents that cut a machine off from its storage or its network.
const FABRIC: &[&str] = &[
    "fence_brocade",
    "fence_cisco_mds",
    "fence_ifmib",
    "fence_mpath",
    "fence_sanbox2",
    "fence_sanbox2_ssh",
    "fence_scsi",
];

/// Agents that do nothing to the machine: they tell Nova, they look, they trust a word, they are for tests.
const NOTHING: &[&str] = &[
    "null",
    "external/null",
    "suicide",
    "meatware",
    "ssh",
    "external/ssh",
    "external/kdumpcheck",
    "fence_ack_manual",
    "fence_compute",
    "fence_crosslink",
    "fence_dummy",
    "fence_evacuate",
    "fence_heuristics_ping",
    "fence_kdump",
];

/// What this agent does, by its name in the CIB.
pub(crate) fn effect(agent: &str) -> Effect {
    if NOTHING.contains(&agent) {
        Effect::Nothing
    } else if FABRIC.contains(&agent) {
        Effect::Fabric
    } else if POWER.contains(&agent) {
        Effect::Power
    } else {
        Effect::Unknown
    }
}

/// Whether it is known what this agent does, so that its metadata need not be asked for.
pub fn is_known_agent(agent: &str) -> bool {
    effect(agent) != Effect::Unknown
}

/// Whether an agent of which nobody has said what it does switches a machine's power, by its own metadata: it can turn off and
/// reboot, and no node has to be let in again when it joins, as after having been cut off.
///
/// # Errors
///
/// If this is no metadata of an agent.
pub fn switches_power(metadata: &str) -> Result<bool, Error> {
    const WHAT: &str = "the metadata of a fence agent";
    let (mut off, mut reboot, mut lets_in) = (false, false, false);
    walk(
        WHAT,
        metadata,
        |path, element| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            match path.as_slice() {
                ["resource-agent"] => {}
                [other] => {
                    return Err(Error::Shape {
                        what: WHAT,
                        problem: format!("begins with <{}>", other.chars().take(64).collect::<String>()),
                    });
                }
                ["resource-agent", "actions", "action"] => match element.text("name")?.as_deref() {
                    Some("off") => off = true,
                    Some("reboot") => reboot = true,
                    Some("on") => lets_in |= element.flag("automatic")?,
                    _ => {}
                },
                _ => {}
            }
            Ok(())
        },
        |_| {},
    )?;
    Ok(off && reboot && !lets_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f3_an_agent_says_itself_whether_it_switches_power() {
        let metadata = |actions: &str| {
            format!(
                r#"<?xml version="1.0" ?><resource-agent name="fence_x"><parameters><parameter name="action"/></parameters>
                <actions>{actions}<action name="status"/></actions></resource-agent>"#
            )
        };
        let (off, reboot) = (r#"<action name="off"/>"#, r#"<action name="reboot"/>"#);
        for (name, actions, expected) in [
            (
                "a power switch",
                format!(r#"<action name="on" automatic="0"/>{off}{reboot}"#),
                true,
            ),
            ("one that cannot switch on", format!("{off}{reboot}"), true),
            (
                "cuts off, and lets in",
                format!(r#"<action name="on" automatic="1"/>{off}{reboot}"#),
                false,
            ),
            ("cuts off", off.to_owned(), false),
            ("looks only", String::new(), false),
        ] {
            assert_eq!(switches_power(&metadata(&actions)).unwrap(), expected, "{name}");
        }
        for text in ["", "<cib/>", "<resource-agent>", "not XML"] {
            assert!(switches_power(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn f3_each_agent_is_in_one_list() {
        let mut all: Vec<&str> = [POWER, FABRIC, NOTHING].concat();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn f3_what_agents_do() {
        for (agent, expected) in [
            ("fence_ipmilan", Effect::Power),
            ("external/ipmi", Effect::Power),
            ("external/maas", Effect::Power),
            ("fence_maas", Effect::Power),
            ("fence_scsi", Effect::Fabric),
            ("fence_mpath", Effect::Fabric),
            ("fence_compute", Effect::Nothing),
            ("fence_heuristics_ping", Effect::Nothing),
            ("fence_kdump", Effect::Nothing),
            ("null", Effect::Nothing),
            ("fence_ours", Effect::Unknown),
            ("fence_ipmilan2", Effect::Unknown),
            ("", Effect::Unknown),
        ] {
            assert_eq!(effect(agent), expected, "{agent:?}");
        }
    }
}
