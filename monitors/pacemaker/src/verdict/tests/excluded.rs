use super::*;

/// `crm_mon --exclude` leaves parts out. What is not printed is read from the CIB, or unknown.
/// Covers F3.
#[test]
fn what_the_output_leaves_out_is_not_taken_for_disabled_or_removed() {
    let judge = |options: &str, resources: &str, configuration: &str, event: &str| {
        let mon = CrmMon::parse(&format!(
            r#"<pacemaker-result><pacemakerd state="running"/><summary>
            <current_dc present="true" name="ctl1" with_quorum="true"/>{options}</summary>
            <nodes><node name="cmp1" type="remote" online="false" unclean="false" {NODE_XML}/></nodes>{resources}
            <fence_history>{event}</fence_history><status code="0"/></pacemaker-result>"#
        ));
        let fenced = if event.is_empty() {
            0
        } else {
            second(time("2026-11-20 07:09:30Z"))
        };
        let cib = Cib::parse(&format!(
            r#"<cib have-quorum="1"><configuration><resources>
            <primitive id="st" class="stonith" type="fence_apc"/>{configuration}</configuration><status>
            <node_state uname="cmp1" in_ccm="false" node_fenced="{fenced}"/></status></cib>"#
        ));
        let snapshot = Snapshot::new(mon.unwrap(), Some(cib.unwrap())).taken(time("2026-11-20 07:10:00Z"));
        let judged = verdict(&gone().history(), &snapshot, &Rules::default());
        judged["cmp1"].verdict
    };
    let set = |name: &str, value: &str| {
        format!(
            r#"</resources><crm_config><cluster_property_set id="o"><nvpair id="n" name="{name}" value="{value}"/>
            </cluster_property_set></crm_config>"#
        )
    };
    let remote = r#"<primitive id="cmp1" class="ocf" provider="pacemaker" type="remote"/></resources>"#;
    let off =
        r#"<fence_event action="off" target="cmp1" status="success" completed="2026-11-20 07:09:30Z"/>"#;
    let stated = r#"<cluster_options stonith-enabled="true" maintenance-mode="false"/>"#;
    let none = "<resources/>";
    let plain = "</resources>";
    for (name, options, resources, configuration, event, expected) in [
        ("everything", stated, none, remote, off, Verdict::Fenced),
        ("no options", "", none, remote, off, Verdict::Fenced),
        (
            "fencing is not stated",
            r#"<cluster_options maintenance-mode="false"/>"#,
            none,
            remote,
            off,
            Verdict::Fenced,
        ),
        (
            "fencing under its new name",
            r#"<cluster_options fencing-enabled="false" maintenance-mode="false"/>"#,
            none,
            remote,
            off,
            Verdict::Lost,
        ),
        (
            "disabled in the CIB",
            "",
            none,
            &set("stonith-enabled", "false"),
            off,
            Verdict::Lost,
        ),
        (
            "maintenance in the CIB",
            "",
            none,
            &set("maintenance-mode", "true"),
            off,
            Verdict::Blind,
        ),
        ("removed", stated, none, plain, "", Verdict::Planned),
        ("removed, by the CIB", stated, "", plain, "", Verdict::Planned),
        ("no resources", stated, "", remote, "", Verdict::Lost),
        ("no resources, fenced", stated, "", remote, off, Verdict::Fenced),
        (
            "an inactive one is not listed",
            stated,
            none,
            remote,
            "",
            Verdict::Lost,
        ),
    ] {
        assert_eq!(
            judge(options, resources, configuration, event),
            expected,
            "{name}"
        );
    }
    let silent = CrmMon::parse(
        r#"<crm_mon><summary><current_dc present="true" with_quorum="true"/></summary><nodes/></crm_mon>"#,
    );
    let reason = blindness(&Snapshot::new(silent.unwrap(), None), &Rules::default());
    assert!(reason.is_some_and(|reason| reason.contains("maintenance")));
}
