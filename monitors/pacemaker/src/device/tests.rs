mod controllers;
mod values;

use super::*;

fn device(id: &str, agent: &str, parameters: &[(&str, &str)]) -> Device {
    Device {
        id: id.to_owned(),
        agent: agent.to_owned(),
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Device::default()
    }
}

fn level(target: Target, devices: &[&str]) -> Level {
    Level {
        target,
        index: 1,
        devices: devices.iter().map(|id| (*id).to_owned()).collect(),
    }
}

fn on(node: &str) -> Target {
    Target::Name(node.to_owned())
}

fn rules() -> Rules {
    Rules {
        power_agents: vec!["fence_theirs".to_owned(), "external/ipmi".to_owned()],
        null_agents: vec!["fence_lies".to_owned()],
        ..Rules::default()
    }
}

fn doubt(devices: Vec<Device>, levels: Vec<Level>, action: &str) -> Option<String> {
    let cib = Cib {
        devices,
        levels,
        ..Cib::default()
    };
    proof_gap(&cib, "cmp1", action, &rules())
}

/// Covers F3.
#[test]
fn which_nodes_a_device_is_for() {
    use Coverage::{Maybe, No, Yes};
    for (name, parameters, expected) in [
        ("no parameter", &[][..], Maybe),
        ("in the list", &[("pcmk_host_list", "cmp1 cmp2")], Yes),
        (
            "an entry with more than a name",
            &[("pcmk_host_list", "cmp1:1")],
            Yes,
        ),
        // The fencer skips such an entry alone.
        (
            "after an entry that is no name",
            &[("pcmk_host_list", "ctl1,/dev/x,cmp1")],
            Yes,
        ),
        ("itself no name", &[("pcmk_host_list", "\"ctl1 \"cmp1")], No),
        (
            "a line that is a complaint",
            &[("pcmk_host_list", "invalid cmp1\nctl1")],
            No,
        ),
        ("list with commas", &[("pcmk_host_list", "cmp2,cmp1")], Yes),
        ("in another case", &[("pcmk_host_list", "CMP1")], Yes),
        ("not in the list", &[("pcmk_host_list", "ctl1 ctl2")], No),
        ("a name that begins alike", &[("pcmk_host_list", "cmp10")], No),
        ("in the map", &[("pcmk_host_map", "cmp1:1;cmp2:2")], Yes),
        ("in the map, in another case", &[("pcmk_host_map", "Cmp1=1")], Yes),
        ("a name at the device", &[("pcmk_host_map", "a:cmp1")], Yes),
        ("two outlets in the map", &[("pcmk_host_map", "ctl1:1,cmp1")], No),
        ("a pair without a port", &[("pcmk_host_map", "cmp1:;ctl1:1")], No),
        ("not in the map", &[("pcmk_host_map", "ctl1:1;ctl2:2")], No),
        ("empty list", &[("pcmk_host_list", " ")], Maybe),
        (
            "list that is not checked",
            &[("pcmk_host_list", "ctl1"), ("pcmk_host_check", "none")],
            Yes,
        ),
        (
            "the device decides",
            &[("pcmk_host_list", "ctl1"), ("pcmk_host_check", "dynamic-list")],
            Maybe,
        ),
        (
            "its status decides",
            &[("pcmk_host_list", "ctl1"), ("pcmk_host_check", "status")],
            Maybe,
        ),
        (
            "a check of tomorrow",
            &[("pcmk_host_list", "ctl1"), ("pcmk_host_check", "oracle")],
            Maybe,
        ),
    ] {
        assert_eq!(
            coverage(&device("d", "fence_x", parameters), "cmp1"),
            expected,
            "{name}"
        );
    }
    let glue = |list| device("d", "external/maas", &[("hostnames", list)]);
    assert_eq!(coverage(&glue("cmp1 cmp2"), "cmp1"), Yes, "the charm's list");
    assert_eq!(coverage(&glue("CMP1"), "cmp1"), Yes);
    assert_eq!(coverage(&glue("ctl1"), "cmp1"), No);
    assert_eq!(coverage(&glue("ctl1:a cmp1:b"), "cmp1"), Yes, "with domains");
    let outlets = device("d", "external/rackpdu", &[("hostlist", "AUTO")]);
    assert_eq!(coverage(&outlets, "cmp1"), Maybe, "the device's own list");
    assert_eq!(
        coverage(&device("d", "fence_x", &[("hostname", "ctl1")]), "cmp1"),
        Maybe,
        "no list of that agent"
    );
}

/// Covers F3.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_device_that_does_not_switch_power_proves_nothing() {
    let real = device("st-maas", "external/maas", &[("hostnames", "cmp1 cmp2")]);
    let null_for = |nodes: &str| device("st-null", "null", &[("hostlist", nodes)]);
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
            vec![level(on("cmp1"), &["st-maas", "st-null"])],
            true,
        ),
        (
            "null as second choice",
            vec![real.clone(), null_for("cmp1")],
            vec![level(on("cmp1"), &["st-maas"]), level(on("CMP1"), &["st-null"])],
            true,
        ),
        (
            "null as second choice, under the very name",
            vec![real.clone(), null_for("cmp1")],
            vec![level(on("cmp1"), &["st-maas"]), level(on("cmp1"), &["st-null"])],
            false,
        ),
        (
            "a level under the name in another case",
            vec![real.clone(), null_for("cmp1")],
            vec![level(on("CMP1"), &["st-null"])],
            false,
        ),
        (
            "levels of another node",
            vec![real.clone(), null_for("ctl1")],
            vec![level(on("cmp2"), &["st-null"])],
            true,
        ),
        ("no device", vec![], vec![], false),
        (
            "no device for this node",
            vec![device("d", "fence_ipmilan", &[("pcmk_host_list", "cmp2")])],
            vec![],
            false,
        ),
        (
            "a disabled device",
            vec![Device {
                disabled: true,
                ..real.clone()
            }],
            vec![],
            false,
        ),
        (
            "a level of a device that is not there",
            vec![real.clone()],
            vec![level(on("cmp1"), &["st-gone"])],
            false,
        ),
        (
            "a level of a device for another node",
            vec![
                device("d", "fence_ipmilan", &[("pcmk_host_list", "cmp2")]),
                real.clone(),
            ],
            vec![level(on("cmp1"), &["d"])],
            false,
        ),
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
            vec![level(on("cmp1"), &["st-maas", "st-scsi"])],
            true,
        ),
        (
            "reported to Nova, or power",
            vec![real.clone(), device("st-nova", "fence_compute", &[])],
            vec![
                level(on("cmp1"), &["st-maas", "st-nova"]),
                level(on("cmp1"), &["st-nova"]),
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
            "an unknown agent",
            vec![device("st-ours", "fence_ours", &[])],
            vec![],
            false,
        ),
        (
            "one that the operator has declared",
            vec![device("st-theirs", "fence_theirs", &[])],
            vec![],
            true,
        ),
        (
            "a known one that the operator has declared as null",
            vec![device("d", "fence_lies", &[])],
            vec![],
            false,
        ),
        (
            "what cannot be read",
            vec![Device {
                unclear: Some("has attributes that depend on a rule".to_owned()),
                ..real.clone()
            }],
            vec![],
            false,
        ),
    ] {
        let doubt = doubt(devices, levels, "off");
        assert_eq!(doubt.is_none(), proves, "{name}: {doubt:?}");
    }
}

/// Covers F3.
#[test]
fn the_action_that_the_agent_was_asked_for_counts() {
    let host = ("pcmk_host_list", "cmp1");
    for (action, option, proves) in [
        ("off", ("pcmk_off_action", "monitor"), false),
        ("off", ("pcmk_off_action", "on"), false),
        ("off", ("pcmk_off_action", "reboot"), true),
        ("off", ("pcmk_off_action", ""), false),
        ("off", ("pcmk_reboot_action", "status"), true),
        ("off", ("pcmk_on_action", "off"), true),
        ("off", ("method", "cycle"), true),
        ("reboot", ("pcmk_off_action", "monitor"), true),
        ("reboot", ("pcmk_reboot_action", "status"), false),
        ("reboot", ("pcmk_reboot_action", "off"), true),
        ("reboot", ("method", "cycle"), false),
        ("reboot", ("method", "onoff"), true),
        ("off", ("option", "monitor"), false),
        ("off", ("missing_as_off", "1"), false),
        ("off", ("unknown_are_stopped", "1"), false),
    ] {
        let one = || vec![device("d", "fence_ipmilan", &[host, option])];
        let alone = doubt(one(), vec![], action);
        assert_eq!(alone.is_none(), proves, "{action} {option:?}: {alone:?}");
        // In a level it is the same.
        let leveled = doubt(one(), vec![level(on("cmp1"), &["d"])], action);
        assert_eq!(leveled.is_none(), proves, "{action} {option:?}: {leveled:?}");
    }
    let cycle = device(
        "d",
        "fence_ipmilan",
        &[host, ("method", "cycle"), ("pcmk_reboot_action", "off")],
    );
    assert_eq!(doubt(vec![cycle], vec![], "reboot"), None);
    // A level of two outlets turns both off and then on, whatever a reboot is made of.
    let outlet = |id: &str, option| device(id, "fence_apc", &[("pcmk_host_map", "cmp1:3"), option]);
    let both = [level(on("cmp1"), &["a", "b"])];
    let two = |option| vec![outlet("a", option), outlet("b", option)];
    assert_eq!(doubt(two(("method", "cycle")), both.to_vec(), "reboot"), None);
    assert!(doubt(two(("pcmk_off_action", "status")), both.to_vec(), "reboot").is_some());
}

/// Covers F3.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn the_machine_that_was_turned_off_is_the_hosts() {
    let list = |names| ("pcmk_host_list", names);
    for (name, agent, parameters, proves) in [
        ("a BMC", "fence_ipmilan", &[list("cmp1"), ("ip", "b1")][..], true),
        (
            "a BMC, in another case",
            "fence_ipmilan",
            &[list("CMP1"), ("ip", "b1")],
            true,
        ),
        (
            "a BMC, by both of its host's names",
            "fence_ipmilan",
            &[list("cmp1 cmp1.example")],
            true,
        ),
        (
            "one BMC for two hosts",
            "fence_ipmilan",
            &[list("cmp1 cmp2"), ("ip", "b1")],
            false,
        ),
        (
            "the BMC of another host, and nothing checked",
            "fence_ipmilan",
            &[list("ctl1"), ("pcmk_host_check", "none"), ("ip", "b1")],
            false,
        ),
        (
            "addresses by the map",
            "fence_ipmilan",
            &[("pcmk_host_map", "cmp1:b1;cmp2:b2"), ("port_as_ip", "1")],
            true,
        ),
        (
            "another address by the map than the one that is set",
            "fence_ipmilan",
            &[("pcmk_host_map", "cmp1:b9"), ("ip", "b1"), ("port_as_ip", "0")],
            false,
        ),
        (
            "addresses by the argument",
            "fence_ipmilan",
            &[("pcmk_host_map", "cmp1:b1;cmp2:b2"), ("pcmk_host_argument", "ip")],
            true,
        ),
        (
            "an argument that changes nothing",
            "fence_ipmilan",
            &[list("cmp1 cmp2"), ("pcmk_host_argument", "ip"), ("ip", "b1")],
            false,
        ),
        (
            "no argument is passed, none is needed",
            "fence_ipmilan",
            &[list("cmp1"), ("pcmk_host_argument", "none")],
            true,
        ),
        (
            "named by an unknown argument",
            "fence_ipmilan",
            &[list("cmp1"), ("pcmk_host_argument", "domain")],
            false,
        ),
        (
            "an outlet each",
            "fence_apc",
            &[("pcmk_host_map", "cmp1:1;cmp2:2")],
            true,
        ),
        (
            "two outlets of an agent that switches both",
            "fence_apc",
            &[("pcmk_host_map", "cmp1:1,2;cmp2:3")],
            true,
        ),
        (
            "two outlets of an agent that switches the first",
            "fence_eaton_snmp",
            &[("pcmk_host_map", "cmp1:1,2;cmp2:3")],
            false,
        ),
        (
            "the same, fixed",
            "fence_ipdu",
            &[list("cmp1"), ("plug", "1,2"), ("snmp_version", "1")],
            false,
        ),
        (
            "one outlet in the map for two hosts",
            "fence_apc",
            &[("pcmk_host_map", "cmp1:3;cmp2:3")],
            false,
        ),
        (
            "one of two outlets for another host too",
            "fence_apc",
            &[("pcmk_host_map", "cmp1:1,3;cmp2:3")],
            false,
        ),
        (
            "one of two outlets for another host too, by another separator",
            "fence_apc",
            &[("pcmk_host_map", "cmp1:1+3;cmp2:3"), ("plug_separator", "+")],
            false,
        ),
        (
            "one outlet for both names of a host",
            "fence_apc",
            &[("pcmk_host_map", "cmp1:3;cmp1.example:3;cmp2:4")],
            true,
        ),
        (
            "the host's own name for another host",
            "fence_apc",
            &[list("cmp1"), ("pcmk_host_map", "cmp2:cmp1")],
            false,
        ),
        (
            "another host's name as this one's port",
            "fence_apc",
            &[list("cmp1 cmp2"), ("pcmk_host_map", "cmp1:cmp2")],
            false,
        ),
        (
            "one address in the map for two hosts",
            "fence_ipmilan",
            &[("pcmk_host_map", "cmp1:b1;cmp2:B1"), ("port_as_ip", "1")],
            false,
        ),
        (
            "an iDRAC, which ignores the plug",
            "fence_drac5",
            &[("pcmk_host_map", "cmp1:1;cmp2:2"), ("ip", "b1")],
            false,
        ),
        (
            "the blades of a chassis",
            "fence_drac5",
            &[
                ("pcmk_host_map", "cmp1:1;cmp2:2"),
                ("drac_version", "DRAC CMC"),
                ("ip", "b1"),
            ],
            true,
        ),
        (
            "one virtual machine for two hosts",
            "fence_openstack",
            &[list("cmp1 cmp2"), ("uuid", "0a1b")],
            false,
        ),
        (
            "one BMC of a plugin for two hosts",
            "external/ipmi",
            &[("hostname", "cmp1 cmp2"), ("ipaddr", "b1")],
            false,
        ),
        (
            "a plugin's BMC of another host",
            "external/ipmi",
            &[
                ("hostname", "ctl1"),
                ("pcmk_host_check", "none"),
                ("ipaddr", "b1"),
            ],
            false,
        ),
        (
            "a plugin's BMC",
            "external/ipmi",
            &[
                ("hostname", "cmp1"),
                ("pcmk_host_argument", "x"),
                ("ipaddr", "b1"),
            ],
            true,
        ),
        ("one outlet", "fence_apc", &[list("cmp1"), ("port", "3")], true),
        (
            "one outlet for two hosts",
            "fence_apc",
            &[list("cmp1 cmp2"), ("port", "3")],
            false,
        ),
        (
            "a configured port",
            "fence_apc",
            &[list("cmp1 cmp2"), ("port", "dynamic")],
            true,
        ),
        (
            "named by nodename, which it ignores",
            "fence_apc",
            &[list("cmp1"), ("pcmk_host_argument", "nodename")],
            false,
        ),
        (
            "no argument",
            "fence_apc",
            &[list("cmp1"), ("pcmk_host_argument", "none")],
            false,
        ),
        (
            "a virtual machine by its uuid",
            "fence_openstack",
            &[list("cmp1 cmp2"), ("pcmk_host_argument", "uuid")],
            true,
        ),
    ] {
        let doubt = doubt(
            vec![
                device("d", agent, parameters),
                device("e", "fence_apc", &[list("x")]),
            ],
            vec![],
            "off",
        );
        assert_eq!(doubt.is_none(), proves, "{name}: {doubt:?}");
    }
    let bare = |id| device(id, "fence_ipmilan", &[("ip", "b1")]);
    // A cluster with one power controller and several hosts turns off the same machine for each of them.
    assert!(doubt(vec![bare("d")], vec![], "off").is_some(), "the only device");
    assert!(
        doubt(vec![bare("d"), bare("e")], vec![], "off").is_some(),
        "either may have been it"
    );
    assert_eq!(
        doubt(vec![bare("d"), bare("e")], vec![level(on("cmp1"), &["d"])], "off"),
        None,
        "a level names its host"
    );
    for (name, other, proves) in [
        ("another host's level too", on("cmp2"), false),
        ("a pattern's too", Target::Pattern("^cmp".to_owned()), false),
        ("this host's, in another case", on("CMP1"), true),
    ] {
        let levels = vec![level(on("cmp1"), &["d"]), level(other, &["d"])];
        let reason = doubt(vec![bare("d")], levels, "off");
        assert_eq!(reason.is_none(), proves, "{name}: {reason:?}");
    }
}

/// Covers F3.
#[test]
fn each_of_two_equal_levels_proves_by_itself() {
    let host = ("pcmk_host_list", "cmp1");
    let devices = || {
        vec![
            device("bmc", "fence_ipmilan", &[host]),
            device("pdu", "fence_apc", &[host]),
            device("odd", "fence_apc", &[host, ("pcmk_off_action", "status")]),
            device("disk", "fence_scsi", &[host]),
        ]
    };
    for (name, second, action, proves) in [
        ("two devices that prove", "pdu", "off", true),
        ("one of them does not", "disk", "off", false),
        (
            "in a level of several its reboot is an off",
            "odd",
            "reboot",
            false,
        ),
    ] {
        let levels = vec![level(on("cmp1"), &["bmc"]), level(on("cmp1"), &[second])];
        let reason = doubt(devices(), levels, action);
        assert_eq!(reason.is_none(), proves, "{name}: {reason:?}");
    }
    let alone = doubt(devices(), vec![level(on("cmp1"), &["odd"])], "reboot");
    assert_eq!(alone, None, "its reboot proves in a level of its own");
}

/// Covers F3.
#[test]
fn the_slot_that_was_written_is_the_nodes() {
    let list = ("pcmk_host_list", "cmp1");
    let none = ("pcmk_host_argument", "none");
    for (name, agent, parameters, proves) in [
        ("its name", "fence_sbd", &[list][..], true),
        ("no list", "fence_sbd", &[], true),
        (
            "the list of all nodes",
            "fence_sbd",
            &[("pcmk_host_list", "cmp1 cmp2")],
            true,
        ),
        (
            "its full name",
            "fence_sbd",
            &[("pcmk_host_map", "cmp1:cmp1.example")],
            true,
        ),
        (
            "another's in the map",
            "fence_sbd",
            &[("pcmk_host_map", "cmp1:cmp2")],
            false,
        ),
        (
            "a plug of its own",
            "fence_sbd",
            &[list, ("plug", "CMP1"), none],
            true,
        ),
        ("another's plug", "fence_sbd", &[list, ("plug", "cmp2")], false),
        ("another's port", "fence_sbd", &[list, ("port", "cmp2")], false),
        (
            "a plug that is passed",
            "fence_sbd",
            &[list, ("plug", "dynamic")],
            true,
        ),
        (
            "another's plug, and nothing told",
            "fence_sbd",
            &[list, none, ("plug", "ctl1")],
            false,
        ),
        ("nothing told", "fence_sbd", &[list, none], false),
        (
            "told as something else",
            "fence_sbd",
            &[list, ("pcmk_host_argument", "nodename")],
            false,
        ),
        ("a plugin's", "external/sbd", &[list], true),
        (
            "a plugin's, another's in the map",
            "external/sbd",
            &[("pcmk_host_map", "cmp1:cmp2")],
            false,
        ),
    ] {
        let devices = vec![
            device("d", agent, parameters),
            device("e", "fence_apc", &[("pcmk_host_list", "x")]),
        ];
        let reason = doubt(devices, vec![], "off");
        assert_eq!(reason.is_none(), proves, "{name}: {reason:?}");
    }
}

/// Covers F3.
#[test]
fn a_device_with_two_values_is_judged_with_each() {
    let two = |name: &str, values: [&str; 2]| {
        let mut device = device("d", "fence_ipmilan", &[("pcmk_host_list", "cmp1"), ("ip", "b1")]);
        let [first, _] = values;
        device.parameters.insert(name.to_owned(), first.to_owned());
        device
            .several
            .insert(name.to_owned(), values.map(str::to_owned).into());
        device
    };
    for (name, odd, action, proves) in [
        ("what changes nothing", two("lanplus", ["0", "1"]), "off", true),
        (
            "its host or another",
            two("pcmk_host_list", ["cmp1", "cmp2"]),
            "off",
            false,
        ),
        (
            "an off or a reading",
            two("pcmk_off_action", ["off", "status"]),
            "off",
            false,
        ),
        (
            "an off or a cycle",
            two("method", ["cycle", "onoff"]),
            "reboot",
            false,
        ),
        (
            "the same, of an action that is not used",
            two("method", ["cycle", "onoff"]),
            "off",
            true,
        ),
        (
            "of others alone",
            two("pcmk_host_list", ["cmp2", "cmp3"]),
            "off",
            true,
        ),
    ] {
        let real = device("e", "external/maas", &[("hostnames", "cmp1")]);
        let reason = doubt(vec![odd, real], vec![], action);
        assert_eq!(reason.is_none(), proves, "{name}: {reason:?}");
    }
    let mut wild = device("d", "fence_apc", &[("pcmk_host_list", "cmp1")]);
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        let values = ["0", "1"].map(str::to_owned).into();
        wild.several.insert(name.to_owned(), values);
    }
    let reason = doubt(vec![wild], vec![], "off").unwrap();
    assert!(reason.contains("several values"), "{reason}");
}

/// Covers F3.
#[test]
fn levels_by_pattern_and_by_attribute_are_for_the_nodes_they_match() {
    let devices = || {
        vec![
            device("power", "external/maas", &[]),
            device("disk", "fence_scsi", &[("pcmk_host_list", "ctl1")]),
        ]
    };
    let attribute = |name: &str, value: &str| Target::Attribute {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let pattern = |text: &str| Target::Pattern(text.to_owned());
    for (name, target, proves) in [
        ("a pattern that matches", pattern("^cmp[0-9]+$"), false),
        ("a pattern for others", pattern("^ctl[0-9]+$"), true),
        ("in another case, which counts here", pattern("^CMP"), true),
        (
            "a pattern that means something else here",
            pattern(r"cmp\d"),
            false,
        ),
        ("a pattern that cannot be read", pattern("cmp("), false),
        ("an escaped dot", pattern(r"x\.y"), true),
        ("an attribute of it", attribute("rack", "7"), false),
        ("an attribute of others", attribute("rack", "8"), true),
        ("nothing known", Target::Unreadable, false),
    ] {
        let cib = Cib {
            devices: devices(),
            levels: vec![level(target, &["disk"])],
            attributes: [("cmp1".to_owned(), vec![("rack".to_owned(), "7".to_owned())])].into(),
            ..Cib::default()
        };
        let doubt = proof_gap(&cib, "cmp1", "off", &rules());
        assert_eq!(doubt.is_none(), proves, "{name}: {doubt:?}");
    }
    // A level that may not be the node's does not affect the others.
    let cib = Cib {
        devices: vec![
            device("power", "external/maas", &[]),
            device("disk", "fence_scsi", &[]),
        ],
        levels: vec![level(pattern(r"cmp\d"), &["power"])],
        ..Cib::default()
    };
    assert!(proof_gap(&cib, "cmp1", "off", &rules()).is_some());
}
