use super::*;

fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A line of `tests/makers.tsv`: an agent's properties according to its maker.
struct Maker {
    agent: &'static str,
    off: bool,
    reboot: bool,
    lets_in: bool,
    method: &'static str,
    targeting: &'static str,
}

fn makers() -> Vec<Maker> {
    let yes = |text: &str| text == "yes";
    include_str!("../tests/makers.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| match line.split('\t').collect::<Vec<_>>().as_slice() {
            [agent, off, reboot, lets_in, method, targeting] => Maker {
                agent,
                off: yes(off),
                reboot: yes(reboot),
                lets_in: yes(lets_in),
                method,
                targeting,
            },
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Covers F3.
#[test]
fn the_table_agrees_with_the_makers_metadata() {
    let makers = makers();
    assert!(makers.len() > 90);
    for maker in &makers {
        let effect = effect(maker.agent);
        let name = maker.agent;
        if let Effect::Power(targeting) = effect {
            assert!(
                maker.off && maker.reboot,
                "{name} cannot do what it is listed for"
            );
            assert!(!maker.lets_in, "{name} lets a node in again: it cuts hosts off");
            let cycles = maker.method == "cycle";
            assert_eq!(cycles, table::CYCLE_BY_DEFAULT.contains(&name), "{name}: method");
            // It has port_as_ip, but still selects one of many machines by plug.
            let named = name == "fence_powerman";
            let expected = if maker.targeting == "own" && !named {
                Targeting::Machine
            } else {
                Targeting::Plug
            };
            assert_eq!(targeting, expected, "{name}");
        }
        if maker.lets_in {
            assert!(matches!(effect, Effect::NotPower(_)), "{name}");
        }
        // cluster-glue's plugins are judged by their own names, so its wrapper stays unknown.
        assert_eq!(effect == Effect::Unknown, name == "fence_legacy", "{name}");
    }
}

/// Covers F3.
#[test]
fn each_agent_is_in_the_table_once() {
    let mut all: Vec<&str> = [table::PLUG_AGENTS, table::MACHINE_AGENTS, table::WATCHDOG].concat();
    all.extend(table::GLUE_AGENTS.iter().map(|(agent, ..)| *agent));
    all.extend(
        table::NON_POWER_AGENTS
            .iter()
            .flat_map(|(_, agents)| agents.iter()),
    );
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

/// Covers F3.
#[test]
fn every_row_of_the_table_is_judged_accordingly() {
    let none = BTreeMap::new();
    let needs_option = |agent: &str| table::SNMP_AGENTS.contains(&(agent, false));
    for agent in [table::PLUG_AGENTS, table::MACHINE_AGENTS, table::WATCHDOG].concat() {
        let judged = judge(agent, "off", &none, false);
        assert_eq!(judged.is_err(), needs_option(agent), "{agent}");
        let cycles = table::CYCLE_BY_DEFAULT.contains(&agent) || needs_option(agent);
        assert_eq!(judge(agent, "reboot", &none, false).is_err(), cycles, "{agent}");
    }
    for (agent, _, confirmed) in table::GLUE_AGENTS {
        for action in ["off", "reboot"] {
            let judged = judge(agent, action, &none, false);
            let expected = if confirmed.contains(&action) {
                Ok(())
            } else {
                Err(NoProofReason::Accepted(action.to_owned()))
            };
            assert_eq!(judged, expected, "{agent} {action}");
        }
    }
    for (what, agents) in table::NON_POWER_AGENTS {
        for agent in *agents {
            for action in ["off", "reboot", "status"] {
                assert_eq!(
                    judge(agent, action, &none, false),
                    Err(NoProofReason::NotPower(what)),
                    "{agent}"
                );
            }
        }
    }
}

/// Covers F3.
#[test]
fn agent_options_and_action_decide_if_the_power_is_off() {
    type TestCase<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], bool);
    let cases: &[TestCase<'_>] = &[
        ("fence_ipmilan", "off", &[], true),
        ("fence_ipmilan", "OFF", &[], true),
        ("fence_ipmilan", "reboot", &[], true),
        ("fence_ipmilan", "reboot", &[("method", "onoff")], true),
        ("fence_ipmilan", "reboot", &[("method", "OnOff")], true),
        ("fence_ipmilan", "reboot", &[("method", "cycle")], false),
        ("fence_ipmilan", "reboot", &[("method", "Cycle")], false),
        ("fence_ipmilan", "reboot", &[("method", "tomorrow")], false),
        ("fence_ipmilan", "off", &[("method", "cycle")], true),
        ("fence_ipmilan", "status", &[], false),
        ("fence_ipmilan", "monitor", &[], false),
        ("fence_ipmilan", "on", &[], false),
        ("fence_ipmilan", "diag", &[], false),
        ("fence_ipmilan", "", &[], false),
        ("fence_ipmilan", "off", &[("action", "off")], true),
        ("fence_ipmilan", "off", &[("action", "monitor")], false),
        ("fence_ipmilan", "off", &[("option", "status")], false),
        ("fence_gce", "reboot", &[], false),
        ("fence_gce", "reboot", &[("method", "onoff")], true),
        ("fence_gce", "off", &[], true),
        ("fence_gce", "off", &[("earlyexit", "1")], false),
        ("fence_gce", "off", &[("earlyexit", "0")], true),
        ("fence_gce", "off", &[("warntimeout", "30")], false),
        ("fence_azure_arm", "off", &[], true),
        ("fence_azure_arm", "off", &[("network-fencing", "1")], false),
        ("fence_azure_arm", "off", &[("network_fencing", "0")], false),
        ("fence_bladecenter", "off", &[("missing_as_off", "1")], false),
        ("fence_bladecenter", "off", &[("missing-as-off", "true")], false),
        ("fence_vmware", "off", &[], false),
        ("fence_ilo_ssh", "off", &[], false),
        ("fence_ilo5_ssh", "reboot", &[], false),
        ("fence_ilo_mp", "off", &[], false),
        ("fence_wti", "off", &[], false),
        ("fence_nutanix_ahv", "off", &[], false),
        ("fence_ovm", "off", &[], false),
        ("fence_vbox", "off", &[], false),
        ("fence_vmware_rest", "off", &[], false),
        ("fence_vmware_soap", "reboot", &[], false),
        ("fence_vmware_vcloud", "off", &[], false),
        // It takes a machine for off only if it is halted.
        ("fence_xenapi", "off", &[], true),
        ("fence_apc_snmp", "off", &[("snmp_version", "1")], false),
        ("fence_cyberpower_ssh", "off", &[], false),
        ("fence_ironic", "off", &[], false),
        // Their devices have two states.
        ("fence_ilo", "off", &[], true),
        ("fence_ilo5", "off", &[], true),
        ("fence_ipdu", "off", &[], false),
        ("fence_ipdu", "off", &[("snmp_version", "1")], true),
        ("fence_eaton_snmp", "off", &[("snmp_version", "3")], true),
        ("fence_virsh", "off", &[], false),
        ("fence_emerson", "off", &[("snmp_version", "1")], false),
        ("fence_intelmodular", "off", &[("snmp_version", "1")], false),
        ("fence_ibmblade", "off", &[], false),
        ("fence_tripplite_snmp", "off", &[], false),
        ("fence_xvm", "off", &[], true),
        ("external/ipmi", "off", &[], false),
        ("external/ipmi", "reboot", &[], false),
        ("external/vcenter", "off", &[], false),
        ("external/libvirt", "off", &[], false),
        ("external/libvirt", "reboot", &[], true),
        ("external/libvirt", "reboot", &[("reset_method", "reboot")], false),
        ("external/maas", "off", &[("unknown_are_stopped", "1")], false),
        ("fence_sbd", "reboot", &[], true),
        ("fence_sbd", "reboot", &[("method", "cycle")], true),
        ("fence_sbd", "status", &[], false),
        ("fence_scsi", "off", &[], false),
        ("fence_aws_vpc_net", "off", &[], false),
        ("fence_ours", "off", &[], false),
        ("fence_ipmilan2", "off", &[], false),
        ("", "off", &[], false),
    ];
    for (agent, action, given, proves) in cases {
        let judged = judge(agent, action, &options(given), false);
        assert_eq!(judged.is_ok(), *proves, "{agent} {action} {given:?}: {judged:?}");
    }
}

/// Covers F3.
#[test]
fn an_operators_exception_covers_the_agent_and_not_its_options() {
    for (agent, given, action, proves) in [
        ("fence_ours", &[][..], "off", true),
        ("fence_scsi", &[], "off", true),
        ("fence_ipdu", &[], "off", true),
        ("fence_vmware", &[], "off", true),
        ("fence_vmware", &[("vmware_type", "server1")], "off", false),
        ("external/ipmi", &[], "off", true),
        ("external/ipmi", &[], "reboot", false),
        ("fence_ours", &[("method", "cycle")], "reboot", false),
        ("fence_ours", &[("network_fencing", "1")], "off", false),
        ("fence_ours", &[], "monitor", false),
    ] {
        let judged = judge(agent, action, &options(given), true);
        assert_eq!(judged.is_ok(), proves, "{agent} {action} {given:?}: {judged:?}");
    }
}

#[test]
fn reasons_complete_a_sentence_after_the_agents_name() {
    for (doubt, text) in [
        (
            NoProofReason::NotPower("does not switch the power off"),
            "which does not switch the power off",
        ),
        (
            NoProofReason::Unknown,
            "an agent that is not known to switch the power of a host",
        ),
        (
            NoProofReason::Action("on".to_owned()),
            "which runs the action \"on\", not off",
        ),
        (
            NoProofReason::Accepted("off".to_owned()),
            "which reports off as done when the device has accepted it: nothing confirms that the power was off",
        ),
        (
            NoProofReason::Option {
                name: "missing_as_off=1".to_owned(),
                why: "treats a missing machine as off",
            },
            "which, with missing_as_off=1, treats a missing machine as off",
        ),
    ] {
        assert_eq!(doubt.to_string(), text);
    }
}

#[test]
fn flags_are_read_as_the_agents_library_reads_them() {
    for (given, set) in [
        (("port_as_ip", "1"), true),
        (("port-as-ip", "True"), true),
        // It asks whether the flag is there.
        (("port_as_ip", "0"), true),
        (("port_as_ip", "No"), true),
        // It ignores every other word.
        (("port_as_ip", "2"), false),
        (("port_as_ip", ""), false),
        (("port", "1"), false),
    ] {
        assert_eq!(is_set(&options(&[given]), "port_as_ip"), set, "{given:?}");
        let by_no = ["0", "No"].contains(&given.1);
        assert_eq!(is_set_by_no(&options(&[given]), "port_as_ip"), by_no, "{given:?}");
    }
}

/// Covers F3.
#[test]
fn a_reading_proves_less_than_an_off() {
    for (agent, given, proves) in [
        ("fence_ipmilan", &[][..], true),
        ("fence_xvm", &[], false),
        ("fence_virt", &[], false),
        ("fence_sbd", &[], false),
        ("fence_ipdu", &[("snmp_version", "1")], true),
        ("fence_ipdu", &[("snmp-version", "3")], false),
        ("fence_ours", &[], false),
    ] {
        let judged = judge_reading(agent, &options(given));
        assert_eq!(judged.is_ok(), proves, "{agent} {given:?}: {judged:?}");
    }
}

/// Covers F3.
#[test]
fn an_agent_that_ignores_its_plug_switches_one_machine() {
    for (agent, given, expected) in [
        ("fence_drac5", &[][..], Some(Targeting::Machine)),
        (
            "fence_drac5",
            &[("drac_version", "DRAC 5")],
            Some(Targeting::Machine),
        ),
        (
            "fence_drac5",
            &[("drac-version", "DRAC CMC")],
            Some(Targeting::Plug),
        ),
        ("fence_apc", &[], Some(Targeting::Plug)),
        ("external/ipmi", &[], Some(Targeting::Machine)),
        ("external/maas", &[], Some(Targeting::List)),
        ("fence_scsi", &[], None),
    ] {
        assert_eq!(targeting(agent, &options(given)), expected, "{agent} {given:?}");
    }
}

#[test]
fn names_of_one_option_are_recognized() {
    for (name, expected) in [
        ("ipaddr", "ip"),
        ("IP", "ip"),
        ("port", "plug"),
        ("uuid", "plug"),
        ("command-prompt", "command_prompt"),
        ("ipport", "ipport"),
    ] {
        assert_eq!(canonical(name), expected, "{name}");
    }
}
