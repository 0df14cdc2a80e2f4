use super::*;

/// Covers F3.
#[test]
fn the_watchdog_of_a_node_can_have_done_it() {
    let cib = |watchdog, devices| Cib {
        devices,
        watchdog,
        ..Cib::default()
    };
    let named = |list| device("watchdog", "fence_watchdog", &[("pcmk_host_list", list)]);
    let remote = |devices| Cib {
        connections: vec!["CMP1".to_owned()],
        ..cib(true, devices)
    };
    for (name, cib, proves) in [
        ("none", cib(false, vec![]), false),
        ("of all nodes", cib(true, vec![]), true),
        ("of this one", cib(true, vec![named("cmp1")]), true),
        ("of others", cib(true, vec![named("ctl1")]), false),
        ("of all nodes, and this one is remote", remote(vec![]), false),
        ("of this one, which is remote", remote(vec![named("cmp1")]), true),
        (
            "of a list that is not known",
            remote(vec![device("watchdog", "fence_watchdog", &[])]),
            false,
        ),
        (
            "or the storage",
            cib(true, vec![device("disk", "fence_scsi", &[])]),
            false,
        ),
    ] {
        let doubt = proof_gap(&cib, "cmp1", "off", &rules());
        assert_eq!(doubt.is_none(), proves, "{name}: {doubt:?}");
    }
}

/// A copied address is the usual mistake.
/// Covers F3.
#[test]
fn one_power_controller_in_two_devices_for_two_hosts_proves_nothing() {
    let bmc = |id, address, port, host| {
        let parameters = [("ip", address), ("ipport", port), ("pcmk_host_list", host)];
        device(id, "fence_ipmilan", &parameters)
    };
    let pdu = |id, map| device(id, "fence_apc", &[("ip", "10.0.0.9"), ("pcmk_host_map", map)]);
    for (name, first, second, proves) in [
        (
            "one address",
            bmc("a", "10.0.0.8", "623", "cmp1"),
            bmc("b", "10.0.0.8", "623", "cmp2"),
            false,
        ),
        (
            "one address in another case",
            bmc("a", "bmc.example", "623", "cmp1"),
            bmc("b", "BMC.example", "623", "cmp2"),
            false,
        ),
        (
            "one address, another port",
            bmc("a", "10.0.0.8", "6230", "cmp1"),
            bmc("b", "10.0.0.8", "6231", "cmp2"),
            true,
        ),
        (
            "one host twice",
            bmc("a", "10.0.0.8", "623", "cmp1"),
            bmc("b", "10.0.0.8", "623", "cmp1.example"),
            true,
        ),
        ("one outlet", pdu("a", "cmp1:3"), pdu("b", "cmp2:3"), false),
        ("an outlet each", pdu("a", "cmp1:3"), pdu("b", "cmp2:4"), true),
    ] {
        let found = doubt(vec![first, second], vec![], "off");
        assert_eq!(found.is_none(), proves, "{name}: {found:?}");
    }
}
