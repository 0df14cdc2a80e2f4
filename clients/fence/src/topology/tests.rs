use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A file with a secret in it, and its name as the devices' file writes it.
fn secret(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    format!("file:{}", path.display())
}

fn folder() -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let password = secret(&folder, "password", "s3cret-of-the-test");
    let key = secret(&folder, "key", "con:tok:s3cret-key");
    (folder, password, key)
}

fn parse(text: &str) -> Result<Topology, Vec<String>> {
    Topology::parse("test", text).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// Levels of a host, as `device endpoint plug`.
fn shown(topology: &Topology, host: &str) -> Vec<Vec<String>> {
    let level = |level: Level| {
        let one = |device: LevelDevice| {
            let target = device.target;
            format!(
                "{} {} {}",
                target.device,
                target.endpoint,
                target.plug.unwrap_or_else(|| "-".into())
            )
        };
        level.devices.into_iter().map(one).collect()
    };
    topology.resolve(host).levels().into_iter().map(level).collect()
}

fn a_thousand(password: &str, key: &str) -> String {
    format!(
        r#"
[[device]]
name = "bmc"
type = "ipmi"
endpoint = "{{host}}-bmc.mgmt.example:623"
username = "fencer"
credential = "{password}"
endpoints = {{ "compute-9" = "10.9.9.9" }}

[[device]]
name = "maas"
type = "maas"
endpoint = "https://maas.example:5443/MAAS"
credential = "{key}"

[[device]]
name = "pdu-a"
type = "exec"
agent = "fence_apc"
endpoint = "pdu-a-{{1}}.mgmt.example"
plug = "{{2}}"

[[device]]
name = "pdu-b"
type = "exec"
agent = "fence_apc"
endpoint = "pdu-b-{{1}}.mgmt.example"
plug = "{{2}}"

[[hosts]]
match = "compute-*"
levels = [["bmc"], ["maas"]]

[[hosts]]
match = '/r(\d+)-c(\d+)/'
levels = [["bmc"], ["pdu-a", "pdu-b"]]
"#
    )
}

#[test]
fn a_thousand_hosts_are_a_few_lines() {
    let (_folder, password, key) = folder();
    let topology = parse(&a_thousand(&password, &key)).unwrap();
    for (host, levels) in [
        (
            "compute-1",
            vec![
                vec!["bmc compute-1-bmc.mgmt.example:623 -"],
                vec!["maas https://maas.example:5443/MAAS -"],
            ],
        ),
        (
            "compute-9",
            vec![
                vec!["bmc 10.9.9.9 -"],
                vec!["maas https://maas.example:5443/MAAS -"],
            ],
        ),
        (
            "r7-c12",
            vec![
                vec!["bmc r7-c12-bmc.mgmt.example:623 -"],
                vec!["pdu-a pdu-a-7.mgmt.example 12", "pdu-b pdu-b-7.mgmt.example 12"],
            ],
        ),
        ("storage-1", vec![]),
    ] {
        assert_eq!(shown(&topology, host), levels, "{host}");
    }
    for number in 0..1000 {
        assert_eq!(topology.resolve(&format!("compute-{number}")).levels().len(), 2);
    }
    let levels = topology.resolve("compute-1").levels();
    assert_eq!(levels[0].devices[0].limit, Some(Duration::from_secs(30)));
    assert_eq!(levels[1].devices[0].limit, Some(Duration::from_secs(150)));
}

#[test]
fn a_hostile_host_name_reaches_no_address_and_no_plug() {
    let (_folder, password, key) = folder();
    let topology = parse(&a_thousand(&password, &key)).unwrap();
    for host in [
        "compute-1@evil.example/",
        "compute-1:1",
        "compute-/../../x",
        "compute-1\nplug=2",
        "-compute-1",
        "compute-{host}",
        "compute-1 compute-2",
        "",
    ] {
        let resolved = topology.resolve(host);
        assert!(resolved.levels.is_empty(), "{host:?}");
        assert_eq!(resolved.notes.len(), 1, "{host:?}");
    }
}

#[test]
fn a_level_that_lacks_one_of_its_devices_is_not_used_at_all() {
    let (_folder, password, _) = folder();
    let text = format!(
        r#"
[[device]]
name = "bmc"
type = "ipmi"
endpoint = "{{host}}.bmc"
username = "u"
credential = "{password}"
out_of_service = true

[[device]]
name = "a"
type = "exec"
agent = "fence_apc"
plugs = {{ "c1" = "1", "c2" = "2" }}

[[device]]
name = "b"
type = "exec"
agent = "fence_apc"
plugs = {{ "c1" = "1" }}

[[hosts]]
match = ["c*"]
levels = [["bmc"], ["a", "b"], ["a"]]
"#
    );
    let topology = parse(&text).unwrap();
    assert_eq!(
        shown(&topology, "c1"),
        [vec!["a  1".to_owned(), "b  1".into()], vec!["a  1".into()]]
    );
    let resolved = topology.resolve("c2");
    assert_eq!(shown(&topology, "c2"), [["a  2"]]);
    assert_eq!(resolved.levels()[0].number, 3, "numbers are those of the file");
    let notes: Vec<String> = resolved
        .notes
        .iter()
        .map(|(n, why)| format!("{n}: {why}"))
        .collect();
    assert_eq!(
        notes,
        [
            "1: device bmc is out of service",
            "2: device b has no plug for host c2"
        ]
    );
}

#[test]
fn without_rules_every_device_is_a_level_for_every_host() {
    let (_folder, password, key) = folder();
    let text = format!(
        r#"
[[device]]
name = "bmc"
type = "ipmi"
endpoint = "{{short}}.bmc.example"
username = "u"
credential = "{password}"
[[device]]
name = "maas"
type = "maas"
endpoint = "https://maas/MAAS"
credential = "{key}"
"#
    );
    let topology = parse(&text).unwrap();
    assert_eq!(
        shown(&topology, "c1.dc.example"),
        [["bmc c1.bmc.example -"], ["maas https://maas/MAAS -"]]
    );
}

#[test]
fn maas_of_the_configuration_is_a_file_with_one_maas() {
    let options = MaasOptions::new("https://maas/MAAS", "a:b:c".to_owned().into());
    let topology = Topology::of_maas(options);
    assert_eq!(shown(&topology, "any.host"), [["maas https://maas/MAAS -"]]);
    let level = topology.resolve("h").levels().remove(0);
    assert_eq!(level.devices[0].limit, None, "as long as power_off_limit says");
}

#[test]
fn all_problems_are_reported_at_once_with_their_lines() {
    let (_folder, password, _) = folder();
    let text = format!(
        r#"colour = "red"
[[device]]
name = "bmc"
type = "ipmi"
endpoint = "{{host}}-bmc"
username = "-P"
credential = "{password}"
timeout = "long"

[[device]]
name = "bmc"
type = "ipmy"

[[device]]
name = "fixed"
type = "ipmi"
endpoint = "10.0.0.1"
username = "u"
credential = "{password}"
pasword = "x"

[[device]]
name = "plain"
type = "redfish"
endpoint = "http://bmc.example"
username = "u"
credential = "secret123"

[[hosts]]
match = "compute-[12]"
levels = [["bmc"], ["nobody"], []]

[[hosts]]
match = "c-*"
levels = [["fixed"]]
"#
    );
    let problems = parse(&text).unwrap_err();
    for part in [
        "line 1: unknown table colour",
        "line 5: device \"bmc\": \"-P\" is not an IPMI user",
        "line 8: device \"bmc\": timeout must be a number of seconds",
        "line 12: device \"bmc\": \"ipmy\" is not a kind of device",
        "line 20: device \"fixed\": unknown field pasword",
        "device \"plain\": credential",
        "line 30: hosts: \"compute-[12]\" contains '['",
        "line 31: hosts: unknown device \"nobody\"",
        "a level has no device",
        "device \"fixed\" is the same machine for every host",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(part)),
            "{part}: {problems:#?}"
        );
    }
    assert!(!problems.concat().contains("secret123"), "I9: {problems:#?}");
}

#[test]
fn what_would_switch_off_the_wrong_machine_is_refused() {
    let (_folder, password, _) = folder();
    let device = |more: &str, rule: &str| {
        format!(
            "[[device]]\nname = \"d\"\ntype = \"ipmi\"\nusername = \"u\"\ncredential = \"{password}\"\n{more}\n{rule}"
        )
    };
    let rule = |host: &str| format!("[[hosts]]\nmatch = \"{host}\"\nlevels = [[\"d\"]]\n");
    for (name, text, good) in [
        (
            "one machine for all",
            device("endpoint = \"10.0.0.1\"", &rule("c*")),
            false,
        ),
        (
            "one machine for two, written in two ways",
            device("endpoints = { c1 = \"bmc1\", c2 = \"BMC1:623\" }", &rule("c*")),
            false,
        ),
        (
            "two ports of one address",
            device(
                "endpoints = { c1 = \"bmc1:6230\", c2 = \"bmc1:6231\" }",
                &rule("c*"),
            ),
            true,
        ),
        (
            "one machine for all, without rules",
            device("endpoint = \"10.0.0.1\"", ""),
            false,
        ),
        (
            "one machine for one",
            device("endpoint = \"10.0.0.1\"", &rule("c1")),
            true,
        ),
        (
            "two hosts with one BMC",
            device(
                "endpoints = { c1 = \"10.0.0.1\", c2 = \"10.0.0.1\" }",
                &rule("c*"),
            ),
            false,
        ),
        (
            "a plug of a BMC, which has none",
            device("endpoint = \"10.0.0.1\"\nplug = \"{host}\"", &rule("c*")),
            false,
        ),
        (
            "a capture that nothing catches",
            device("endpoint = \"10.0.0.{1}\"", &rule("c1")),
            false,
        ),
        (
            "a capture that the pattern has",
            device("endpoint = \"10.0.0.{1}\"", &rule("c*")),
            true,
        ),
        (
            "a capture without rules",
            device("endpoint = \"10.0.0.{1}\"", ""),
            false,
        ),
        ("no address at all", device("", &rule("c1")), false),
        (
            "an address with a user",
            device("endpoint = \"root@10.0.0.1\"", &rule("c1")),
            false,
        ),
        (
            "an address with a path",
            device("endpoint = \"10.0.0.1/{host}\"", &rule("c1")),
            false,
        ),
        ("an option", device("endpoint = \"-Hevil\"", &rule("c1")), false),
    ] {
        let parsed = parse(&text);
        assert_eq!(parsed.is_ok(), good, "{name}: {:?}", parsed.err());
    }
}

#[test]
fn two_hosts_with_one_plug_are_refused() {
    let bare = "[[device]]\nname = \"d\"\ntype = \"exec\"\nagent = \"fence_apc\"\nparameters = { ip = \"10.0.0.1\" }\n";
    assert!(parse(bare).is_err(), "an agent that is told nothing of the host");
    for (plugs, good) in [
        ("{ c1 = \"1\", c2 = \"1\" }", false),
        ("{ c1 = \"1\", c2 = \"2\" }", true),
        ("{ c1 = \"1,2\", c2 = \"2, 3\" }", false),
        ("{ c1 = \"1,2\", c2 = \"3,4\" }", true),
        ("{ c1 = \"Rack1\", c2 = \"rack1\" }", false),
    ] {
        let text =
            format!("[[device]]\nname = \"d\"\ntype = \"exec\"\nagent = \"fence_apc\"\nplugs = {plugs}\n");
        assert_eq!(parse(&text).is_ok(), good, "{plugs}: {:?}", parse(&text).err());
    }
}

/// Covers F3.
#[test]
fn an_agent_that_switches_the_first_of_several_outlets_gets_one() {
    for (agent, plug, good) in [
        ("fence_eaton_snmp", "1,2", false),
        ("fence_eaton_snmp", "1", true),
        ("fence_apc", "1,2", true),
    ] {
        let text = format!(
            "[[device]]\nname = \"d\"\ntype = \"exec\"\nagent = \"{agent}\"\nparameters = {{ ip = \"10.0.0.1\" }}\nplugs = {{ c1 = \"{plug}\" }}\n"
        );
        let parsed = parse(&text);
        assert_eq!(parsed.is_ok(), good, "{agent} {plug}: {:?}", parsed.err());
    }
}

#[test]
fn broken_toml_and_an_empty_file_are_reported() {
    for (text, part) in [
        ("", "there is no device"),
        ("[[device]\nname = 1", "line 1"),
        ("[[device]]\nname = \n[x", "line 2"),
        ("[device]\nname = \"x\"", "must be written [[device]]"),
        ("device = 3", "must be written [[device]]"),
    ] {
        let problems = parse(text).unwrap_err();
        assert!(
            problems.iter().any(|problem| problem.contains(part)),
            "{text:?}: {problems:?}"
        );
    }
}

/// Covers I9.
#[test]
fn no_secret_shows_in_what_is_read_or_refused() {
    let (_folder, password, key) = folder();
    let text = a_thousand(&password, &key);
    let shown = format!("{:?}", parse(&text).unwrap());
    let refused = parse(&text.replace("type = \"maas\"", "type = \"mass\"")).unwrap_err();
    for secret in ["s3cret-of-the-test", "s3cret-key"] {
        assert!(
            !shown.contains(secret) && !refused.concat().contains(secret),
            "{secret}"
        );
    }
}

#[test]
fn parameters_of_an_agent_carry_no_secret_and_no_action() {
    let (_folder, password, _) = folder();
    for (parameters, good) in [
        ("parameters = { ip = \"10.0.0.1\" }", true),
        ("parameters = { password = \"x\" }", false),
        ("parameters = { passwd = \"x\" }", false),
        ("parameters = { action = \"on\" }", false),
        ("parameters = { ip = \"a\\nb=c\" }", false),
        ("parameters = { port = \"7\" }", false),
        ("parameters = { uuid = \"0a1b\" }", false),
        ("parameters = { nodename = \"c1\" }", false),
        ("parameters = { ip = \"a\", ipaddr = \"b\" }", false),
        (
            "parameters = { command_prompt = \"a\", cmd-prompt = \"b\" }",
            false,
        ),
        ("parameters = { login = \"a\" }\nusername = \"a\"", false),
        ("parameters = { login = \"a\" }", true),
        ("parameters = { vmid = \"7\" }\nplug_parameter = \"vmid\"", false),
        ("parameters = { ssl = \"1\" }\nendpoint = \"pdu.example\"", true),
        ("parameters = { ip = \"b1\" }\nendpoint = \"pdu.example\"", false),
        (
            "parameters = { ipaddr = \"b1\" }\nendpoints = { c1 = \"pdu.example\" }",
            false,
        ),
        (
            "parameters = { ipport = \"22\" }\nendpoint = \"pdu.example\"",
            false,
        ),
    ] {
        let text = format!(
            "[[device]]\nname = \"d\"\ntype = \"exec\"\nagent = \"fence_apc\"\nplug = \"{{host}}\"\n\
             secrets = {{ password = \"{password}\" }}\n{parameters}\n"
        );
        assert_eq!(
            parse(&text).is_ok(),
            good,
            "{parameters}: {:?}",
            parse(&text).err()
        );
    }
}

/// An off of an agent that cuts storage or network is no proof, regardless of its exit code.
/// Covers F3.
#[test]
fn an_agent_that_does_not_switch_power_is_refused_without_an_operators_exception() {
    let file = |agent: &str, more: &str| {
        format!(
            "[[device]]\nname = \"d\"\ntype = \"exec\"\nagent = \"{agent}\"\nplug = \"{{host}}\"\n{more}\n"
        )
    };
    for (agent, more, part) in [
        (
            "fence_scsi",
            "parameters = { devices = \"/dev/disk/by-id/lun4\" }",
            "storage",
        ),
        ("/opt/agents/fence_scsi", "", "storage"),
        ("fence_dummy", "", "does not switch the power off"),
        ("fence_kdump", "", "does not switch the power off"),
        ("fence_aws_vpc_net", "", "network"),
        ("fence_sbd", "", "watchdog"),
        ("fence_ours", "", "not known"),
        (
            "fence_azure_arm",
            "parameters = { network-fencing = \"1\" }",
            "network",
        ),
        (
            "fence_bladecenter",
            "parameters = { missing_as_off = \"1\" }",
            "missing_as_off",
        ),
        ("fence_xvm", "", "missing machine"),
        ("fence_virsh", "", "every state that it does not know"),
        ("fence_apc_snmp", "", "every state that it does not know"),
        (
            "fence_ipdu",
            "parameters = { snmp_version = \"3\" }",
            "snmp_version=1",
        ),
        ("fence_ipdu", "", "outlet that does not exist"),
        ("fence_ironic", "", "remembered power state"),
    ] {
        let problems = parse(&file(agent, more)).unwrap_err();
        let text = problems.concat();
        for part in [part, "line 4", "proves_off = true"] {
            assert!(text.contains(part), "{agent}: {part}: {text}");
        }
        let vouched = parse(&file(agent, &format!("proves_off = true\n{more}"))).unwrap();
        let warnings = vouched.warnings();
        assert_eq!(warnings.len(), 1, "{agent}: {warnings:?}");
        assert!(
            warnings.concat().contains(agent.rsplit('/').next().unwrap()),
            "{warnings:?}"
        );
    }
    for agent in ["fence_apc", "fence_redfish", "/usr/sbin/fence_eaton_snmp"] {
        let more = if agent == "fence_redfish" {
            "endpoint = \"{host}-bmc.example\""
        } else {
            ""
        };
        let good = parse(&file(agent, more)).unwrap();
        assert_eq!(good.warnings(), Vec::<String>::new(), "{agent}");
    }
    let vouched = parse(&file("fence_apc", "proves_off = true")).unwrap();
    assert_eq!(vouched.warnings(), Vec::<String>::new(), "nothing to vouch for");
}

/// Such an agent accepts a plug but ignores it, so every host would switch off the same machine.
/// Covers F3.
#[test]
fn an_agent_of_one_machine_is_not_given_to_many_hosts_by_its_plug() {
    let file = |more: &str| {
        format!(
            "[[device]]\nname = \"d\"\ntype = \"exec\"\nagent = \"fence_ipmilan\"\n{more}\n[[hosts]]\nmatch = \
             \"c*\"\nlevels = [[\"d\"]]\n"
        )
    };
    for (more, good) in [
        ("endpoint = \"{host}.bmc\"", true),
        ("endpoint = \"10.0.0.7\"\nplug = \"{host}\"", false),
        (
            "endpoint = \"10.0.0.7\"\nplugs = { c1 = \"1\", c2 = \"2\" }",
            false,
        ),
        ("endpoints = { c1 = \"10.0.0.7\", c2 = \"10.0.0.8\" }", true),
        ("plug = \"{host}.bmc\"\nparameters = { port_as_ip = \"1\" }", true),
        // The agent takes the address from the plug here too.
        (
            "endpoint = \"{host}.bmc\"\nparameters = { port_as_ip = \"0\" }",
            false,
        ),
        (
            "endpoint = \"{host}.bmc\"\nparameters = { \"port-as-ip\" = \"no\" }",
            false,
        ),
    ] {
        let parsed = parse(&file(more));
        assert_eq!(parsed.is_ok(), good, "{more}: {:?}", parsed.err());
    }
    let no = parse(&file(
        "endpoint = \"{host}.bmc\"\nparameters = { port_as_ip = \"0\" }",
    ))
    .unwrap_err();
    assert!(no.concat().contains("port_as_ip"), "{no:?}");
    // An iDRAC has one machine; a chassis has one for each plug.
    for (version, good) in [("DRAC 5", false), ("DRAC CMC", true)] {
        let more = format!(
            "endpoint = \"10.0.0.7\"\nplug = \"{{host}}\"\nparameters = {{ drac_version = \"{version}\" }}"
        );
        let text = file(&more).replace("fence_ipmilan", "fence_drac5");
        assert_eq!(parse(&text).is_ok(), good, "{version}");
    }
}
