use super::*;

fn cib(configuration: &str) -> Cib {
    Cib::parse(&format!(
        r#"<cib have-quorum="1"><configuration>{configuration}</configuration><status/></cib>"#
    ))
    .unwrap()
}

fn resources(resources: &str) -> Cib {
    cib(&format!("<resources>{resources}</resources>"))
}

fn devices(cib: &Cib) -> Vec<(&str, &str, Option<&str>, bool)> {
    let all = cib.devices.iter().map(|device| {
        let list = device.parameters.get("pcmk_host_list").map(String::as_str);
        (
            device.id.as_str(),
            device.agent.as_str(),
            list,
            device.unclear.is_some(),
        )
    });
    all.collect()
}

#[test]
fn how_soon_a_remote_is_missed_is_its_monitors_interval_and_time() {
    let monitor_interval = |op: &str| {
        let text = format!(
            r#"<group id="g"><primitive id="cmp1" class="ocf" provider="pacemaker" type="remote">
            <operations>{op}</operations></primitive></group><primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2">
            <operations><op name="monitor" interval="5s"/></operations></primitive>"#
        );
        let cib = resources(&text);
        assert_eq!(cib.connections, ["cmp1"]);
        cib.remotes.get("cmp1").map(Duration::as_millis)
    };
    for (op, expected) in [
        (
            r#"<op name="monitor" interval="30s" timeout="15"/>"#,
            Some(45_000),
        ),
        (r#"<op name="monitor" interval="1m"/>"#, Some(80_000)),
        (
            r#"<op name="monitor" interval="500ms" timeout="1s"/>"#,
            Some(1_500),
        ),
        (r#"<op name="monitor" interval="0"/>"#, None),
        (r#"<op name="monitor" interval="soon"/>"#, None),
        (r#"<op name="start" interval="9" timeout="60"/>"#, None),
        ("", None),
    ] {
        assert_eq!(monitor_interval(op), expected, "{op}");
    }
}

/// Covers F3.
#[test]
fn devices_are_seen_wherever_they_are_written() {
    let list = r#"<instance_attributes id="i"><nvpair id="n" name="pcmk_host_list" value="hyp7"/></instance_attributes>"#;
    let scsi = format!(r#"<primitive id="f1" class="stonith" type="fence_scsi">{list}</primitive>"#);
    for (name, text) in [
        ("alone", scsi.clone()),
        ("in a group", format!(r#"<group id="g">{scsi}</group>"#)),
        ("in a clone", format!(r#"<clone id="c">{scsi}</clone>"#)),
        (
            "in a group of a clone",
            format!(r#"<clone id="c"><group id="g">{scsi}</group></clone>"#),
        ),
        (
            "from a template",
            format!(
                r#"<template id="t" class="stonith" type="fence_scsi">{list}</template><primitive id="f1" template="t"/>"#
            ),
        ),
        (
            "from a template, with its own list",
            format!(
                r#"<template id="t" class="stonith" type="fence_scsi"/><primitive id="f1" template="t">{list}</primitive>"#
            ),
        ),
        (
            "with the set of another",
            format!(
                r#"<primitive id="other" class="ocf" type="Dummy">{list}</primitive>
                <primitive id="f1" class="stonith" type="fence_scsi"><instance_attributes id-ref="i"/></primitive>"#
            ),
        ),
        (
            "with a pair of another",
            format!(
                r#"<primitive id="other" class="ocf" type="Dummy">{list}</primitive><primitive id="f1" class="stonith"
                type="fence_scsi"><instance_attributes id="j"><nvpair id-ref="n"/></instance_attributes></primitive>"#
            ),
        ),
    ] {
        let cib = resources(&text);
        assert_eq!(
            devices(&cib),
            [("f1", "fence_scsi", Some("hyp7"), false)],
            "{name}"
        );
    }
}

/// Covers F3.
#[test]
fn a_device_inherits_what_is_set_around_it() {
    let set = |id: &str, pairs: &[(&str, &str)]| {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!(r#"<nvpair id="{id}-{name}" name="{name}" value="{value}"/>"#))
            .collect();
        format!(
            r#"<instance_attributes id="{id}">{}</instance_attributes>"#,
            pairs.concat()
        )
    };
    let primitive = |inside: &str| {
        format!(r#"<primitive id="f1" class="stonith" type="fence_ipmilan">{inside}</primitive>"#)
    };
    let monitor = [("pcmk_off_action", "monitor")];
    let off = [("pcmk_off_action", "off")];
    let group = |outer: &str, inner: &str| format!(r#"<group id="g">{outer}{inner}</group>"#);
    for (name, text, expected) in [
        (
            "of its group",
            group(&set("g", &monitor), &primitive("")),
            Some("monitor"),
        ),
        (
            "of its clone",
            format!(r#"<clone id="c">{}{}</clone>"#, set("c", &monitor), primitive("")),
            Some("monitor"),
        ),
        (
            "its own first",
            group(&set("g", &monitor), &primitive(&set("i", &off))),
            Some("off"),
        ),
        (
            "the group's before the clone's",
            format!(
                r#"<clone id="c">{}{}</clone>"#,
                set("c", &off),
                group(&set("g", &monitor), &primitive(""))
            ),
            Some("monitor"),
        ),
        (
            "of a group beside it",
            group(&set("g", &monitor), "") + &primitive(""),
            None,
        ),
    ] {
        let cib = resources(&text);
        let device = cib.devices.first().unwrap();
        let action = device.parameters.get("pcmk_off_action").map(String::as_str);
        assert_eq!((action, device.unclear.as_deref()), (expected, None), "{name}");
    }
    let rule = r#"<instance_attributes id="r"><rule id="u" score="1"/></instance_attributes>"#;
    let unclear = resources(&group(rule, &primitive("")));
    assert!(unclear.devices.iter().all(|device| device.unclear.is_some()));
}

/// Covers F3.
#[test]
fn a_watchdogs_device_that_the_fencer_ignores_is_disabled() {
    let have = r#"<nvpair id="h" name="have-watchdog" value="true"/>"#;
    let waits = r#"<nvpair id="t" name="stonith-watchdog-timeout" value="10"/>"#;
    for (name, options, id, agent, disabled) in [
        (
            "as the fencer wants it",
            [have, waits],
            "watchdog",
            "fence_watchdog",
            false,
        ),
        ("under another id", [have, waits], "wd", "fence_watchdog", true),
        ("with another agent", [have, waits], "watchdog", "fence_apc", true),
        (
            "without a timeout",
            [have, ""],
            "watchdog",
            "fence_watchdog",
            true,
        ),
        (
            "without watchdogs",
            ["", waits],
            "watchdog",
            "fence_watchdog",
            true,
        ),
        ("another device", ["", ""], "apc", "fence_apc", false),
    ] {
        let options = options.concat();
        let cib = cib(&format!(
            r#"<crm_config><cluster_property_set id="o">{options}</cluster_property_set></crm_config>
            <resources><primitive id="{id}" class="stonith" type="{agent}"/></resources>"#
        ));
        let found: Vec<_> = cib.devices.iter().map(|device| device.disabled).collect();
        assert_eq!(found, [disabled], "{name}");
    }
}

/// Covers F3.
#[test]
fn what_cannot_be_read_is_unclear() {
    let device = |inside: &str| {
        format!(r#"<primitive id="f1" class="stonith" type="fence_ipmilan">{inside}</primitive>"#)
    };
    let set =
        |id: &str, inside: &str| format!(r#"<instance_attributes id="{id}">{inside}</instance_attributes>"#);
    let pair = |value: &str| format!(r#"<nvpair id="n{value}" name="pcmk_host_list" value="{value}"/>"#);
    for (name, text) in [
        (
            "a rule",
            device(&set("i", &format!(r#"<rule id="r" score="1"/>{}"#, pair("hyp7")))),
        ),
        (
            "a set that is not there",
            device(r#"<instance_attributes id-ref="gone"/>"#),
        ),
        (
            "a pair that is not there",
            device(&set("i", r#"<nvpair id-ref="gone"/>"#)),
        ),
        (
            "a template that is not there",
            r#"<primitive id="f1" template="gone"/>"#.to_owned(),
        ),
    ] {
        let cib = resources(&text);
        assert!(
            cib.devices.first().is_some_and(|device| device.unclear.is_some()),
            "{name}: {cib:?}"
        );
    }
    // Pacemaker takes one of them, so the device is judged with each.
    let two = resources(&device(&(set("i", &pair("hyp7")) + &set("j", &pair("hyp8")))));
    let two = two.devices.first().unwrap();
    let each: Vec<_> = two
        .each()
        .into_iter()
        .filter_map(|device| device.parameters.get("pcmk_host_list").cloned())
        .collect();
    assert_eq!(
        (each, two.unclear.as_deref()),
        (vec!["hyp7".to_owned(), "hyp8".to_owned()], None)
    );
    let twice = resources(&device(&(set("i", &pair("hyp7")) + &set("j", &pair("hyp7")))));
    assert_eq!(
        devices(&twice),
        [("f1", "fence_ipmilan", Some("hyp7"), false)],
        "the same value twice"
    );
}

#[test]
fn who_is_stopped_by_an_operator() {
    let role = |role: &str| {
        format!(
            r#"<meta_attributes id="m{role}"><nvpair id="r{role}" name="target-role" value="{role}"/></meta_attributes>"#
        )
    };
    let remote = |inside: &str| {
        format!(r#"<primitive id="cmp1" class="ocf" provider="pacemaker" type="remote">{inside}</primitive>"#)
    };
    for (name, text, stopped) in [
        ("itself", remote(&role("Stopped")), true),
        ("in small letters", remote(&role("stopped")), true),
        ("not at all", remote(""), false),
        (
            "its group",
            format!(r#"<group id="g">{}{}</group>"#, role("Stopped"), remote("")),
            true,
        ),
        (
            "its group, but not it",
            format!(
                r#"<group id="g">{}{}</group>"#,
                role("Stopped"),
                remote(&role("Started"))
            ),
            false,
        ),
        (
            "its template",
            format!(
                r#"<template id="t" class="ocf" provider="pacemaker" type="remote">{}</template><primitive id="cmp1" template="t"/>"#,
                role("Stopped")
            ),
            true,
        ),
    ] {
        assert_eq!(
            resources(&text).stopped.contains(&"cmp1".to_owned()),
            stopped,
            "{name}"
        );
    }
    let device = resources(&format!(
        r#"<primitive id="f1" class="stonith" type="fence_apc">{}</primitive>"#,
        role("Stopped")
    ));
    assert!(device.devices.iter().all(|device| device.disabled));
}

#[test]
fn options_of_the_cluster() {
    let options = |pairs: &[(&str, &str)]| {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!(r#"<nvpair id="{name}" name="{name}" value="{value}"/>"#))
            .collect();
        let pairs = pairs.concat();
        cib(&format!(
            r#"<crm_config><cluster_property_set id="o">{pairs}</cluster_property_set></crm_config>"#
        ))
    };
    let have = ("have-watchdog", "true");
    for (pairs, watchdog) in [
        (&[have, ("stonith-watchdog-timeout", "10s")][..], true),
        (&[have, ("fencing-watchdog-timeout", "10")], true),
        (&[have, ("stonith-watchdog-timeout", "-1")], true),
        (&[have, ("stonith-watchdog-timeout", "0")], false),
        (&[have, ("stonith-watchdog-timeout", "0s")], false),
        (&[have], false),
        (&[("stonith-watchdog-timeout", "10s")], false),
        (
            &[("have-watchdog", "false"), ("stonith-watchdog-timeout", "10s")],
            false,
        ),
    ] {
        assert_eq!(options(pairs).watchdog, watchdog, "{pairs:?}");
    }
    assert_eq!(
        options(&[("cluster-name", "az1")]).cluster.as_deref(),
        Some("az1")
    );
    for (action, expected) in [("off", "off"), ("poweroff", "off"), ("reboot", "reboot")] {
        assert_eq!(options(&[("stonith-action", action)]).fences_by, expected);
    }
    assert_eq!(options(&[]).fences_by, "reboot");
    for (pairs, maintenance, is_fencing_disabled) in [
        (&[][..], false, false),
        (&[("maintenance-mode", "true")], true, false),
        (&[("stonith-enabled", "false")], false, true),
        (
            &[("fencing-enabled", "true"), ("stonith-enabled", "false")],
            false,
            false,
        ),
    ] {
        let read = options(pairs);
        assert_eq!(
            (read.maintenance, read.is_fencing_disabled),
            (maintenance, is_fencing_disabled),
            "{pairs:?}"
        );
    }
}

/// Covers F3.
#[test]
fn notes_are_found_in_any_case_and_never_twice() {
    let text = r#"<cib have-quorum="1"><status><node_state uname="HYP7" in_ccm="false"/></status></cib>"#;
    assert!(Cib::parse(text).unwrap().note("hyp7").is_some());
    let twice =
        r#"<cib have-quorum="1"><status><node_state uname="HYP7"/><node_state uname="hyp7"/></status></cib>"#;
    assert!(Cib::parse(twice).is_err());
}

/// Covers F3.
#[test]
fn levels_and_attributes_of_nodes() {
    let cib = cib(
        r#"<nodes><node id="1" uname="ctl1"><instance_attributes id="a"><nvpair id="b" name="rack" value="7"/>
        </instance_attributes></node></nodes><fencing-topology>
        <fencing-level id="1" target="cmp1" index="1" devices="a, b"/>
        <fencing-level id="2" target-pattern="^cmp" index="1" devices="c"/>
        <fencing-level id="3" target-attribute="rack" target-value="7" index="1" devices="d"/>
        <fencing-level id="4" index="1" devices="e"/>
        <fencing-level id="5" target="cmp1" index="0" devices="f"/>
        <fencing-level id="6" target="cmp1" index="10" devices="f"/>
        <fencing-level id="7" target="cmp1" devices="f"/>
        <fencing-level id="8" target="cmp1" index="2" devices="g"/>
        <fencing-level id="9" target="cmp1" index="1" devices="h"/></fencing-topology>"#,
    );
    let targets: Vec<_> = cib.levels.iter().map(|level| level.target.clone()).collect();
    assert_eq!(
        targets,
        [
            Target::Name("cmp1".to_owned()),
            Target::Pattern("^cmp".to_owned()),
            Target::Attribute {
                name: "rack".to_owned(),
                value: "7".to_owned()
            },
            Target::Unreadable,
            Target::Name("cmp1".to_owned()),
            Target::Name("cmp1".to_owned()),
        ]
    );
    // The fencer may have added the second of two equal levels to the first, or replaced it.
    assert_eq!(cib.levels[0].devices, ["a", "b"]);
    assert_eq!(cib.levels[4].devices, ["g"]);
    assert_eq!(cib.levels[5].devices, ["h"]);
    assert_eq!(cib.attributes["ctl1"], [("rack".to_owned(), "7".to_owned())]);
}
