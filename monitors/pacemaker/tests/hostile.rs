//! Untrusted XML: an answer or an error, never a panic, and never a false proof.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use proptest::prelude::*;
use tachi_pacemaker::{Cib, CrmMon, History, Rules, Snapshot, Verdict, parse_time, verdict};

const FENCED: &str = include_str!("recorded/004-cmp2-fenced-after-failures.xml");
const FENCED_CIB: &str = include_str!("recorded/004-cmp2-fenced-after-failures.cib.xml");
const CUT: &str = include_str!("recorded/003-cmp2-cut-fence-failing-and-pending.xml");
const CUT_CIB: &str = include_str!("recorded/003-cmp2-cut-fence-failing-and-pending.cib.xml");

#[test]
fn what_is_refused() {
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let node = r#"<node name="a" type="member" online="true"/>"#;
    for (name, text) in [
        ("nothing", String::new()),
        ("blanks", "  \n ".to_owned()),
        ("no XML", "Connection to cluster failed: Transport endpoint is not connected".to_owned()),
        ("another document", "<html/>".to_owned()),
        ("cut off", FENCED[..FENCED.len() / 2].to_owned()),
        ("cut off at an element's end", FENCED.split("</nodes>").next().unwrap().to_owned()),
        ("two documents", format!("{FENCED}{FENCED}")),
        ("no list of nodes", "<crm_mon><summary/></crm_mon>".to_owned()),
        ("a node twice", format!("<crm_mon><nodes>{node}{node}</nodes></crm_mon>")),
        ("a node without a name", r#"<crm_mon><nodes><node type="member"/></nodes></crm_mon>"#.to_owned()),
        ("an attribute twice", r#"<crm_mon><nodes><node name="a" name="b" type="member"/></nodes></crm_mon>"#.to_owned()),
        ("an error of the tool", r#"<pacemaker-result><nodes/><status code="102" message="Not connected"/></pacemaker-result>"#.to_owned()),
        ("nested without end", deep),
        ("entities of its own", r#"<!DOCTYPE a [<!ENTITY b "c">]><crm_mon><nodes/></crm_mon>"#.to_owned()),
        ("unknown entity", r#"<crm_mon><nodes><node name="&lol;" type="member"/></nodes></crm_mon>"#.to_owned()),
        ("a time that is none", r#"<crm_mon><nodes/><fence_history><fence_event action="off" target="a" status="success" completed="soon"/></fence_history></crm_mon>"#.to_owned()),
    ] {
        assert!(CrmMon::parse(&text).is_err(), "{name}");
    }
    for (name, text) in [
        ("another document", FENCED.to_owned()),
        ("cut off", FENCED_CIB[..FENCED_CIB.len() - 20].to_owned()),
        (
            "a note twice",
            r#"<cib><status><node_state uname="a"/><node_state uname="a"/></status></cib>"#.to_owned(),
        ),
    ] {
        assert!(Cib::parse(&text).is_err(), "{name}");
    }
}

#[test]
fn names_may_be_anything() {
    let mon = CrmMon::parse(
        "<crm_mon><nodes><node name=\"a&lt;b&#10;\u{1F980}\" type=\"member\" online=\"true\"/></nodes></crm_mon>",
    )
    .unwrap();
    assert_eq!(mon.nodes.first().unwrap().name, "a<b\n\u{1F980}");
}

fn judge(mon: &str, cib: &str) -> Option<Verdict> {
    let snapshot = Snapshot::new(CrmMon::parse(mon).ok()?, Cib::parse(cib).ok());
    let history = History::default().with_last_up("cmp2", parse_time("2026-11-20T07:06:43Z").unwrap());
    let rules = Rules {
        need_cib: true,
        power_agents: ["fence_fixture", "fence_nsnode"].map(str::to_owned).to_vec(),
        ..Rules::default()
    };
    verdict(&history, &snapshot, &rules)
        .get("cmp2")
        .map(|judgement| judgement.verdict)
}

#[test]
fn the_two_states_that_mutations_start_from() {
    assert_eq!(judge(FENCED, FENCED_CIB), Some(Verdict::Fenced));
    assert_eq!(judge(CUT, CUT_CIB), Some(Verdict::Lost));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(text in ".{0,400}") {
        let _ = CrmMon::parse(&text);
        let _ = Cib::parse(&text);
    }

    #[test]
    fn tags_in_any_order_are_survived(parts in prop::collection::vec(prop::sample::select(vec![
        "<crm_mon>", "</crm_mon>", "<nodes>", "</nodes>", "<node name=\"a\" type=\"remote\" online=\"1\"/>", "<resources>",
        "</resources>", "<resource id=\"a\"/>", "<group>", "</group>", "<fence_history>", "</fence_history>",
        "<fence_event action=\"off\" target=\"a\" status=\"success\" completed=\"1\"/>", "<cib have-quorum=\"1\">", "</cib>",
        "<status>", "</status>", "<node_state uname=\"a\"/>", "<![CDATA[", "]]>", "<!--", "-->", "&amp;", "\0",
    ]), 0..30)) {
        let text = parts.concat();
        let mon = CrmMon::parse(&text);
        let cib = Cib::parse(&text);
        if let Ok(mon) = mon {
            let _ = verdict(&History::default(), &Snapshot::new(mon, cib.ok()), &Rules::default());
        }
    }

    /// A truncated output is an error, never half an answer.
    #[test]
    fn any_truncation_is_an_error(cut in 0..FENCED.trim_end().len()) {
        if let Some(text) = FENCED.get(..cut) {
            prop_assert!(CrmMon::parse(text).is_err());
        }
    }

    /// One flipped letter may make the truth unreadable, but not turn a running host into a proven one.
    /// Covers MW1.
    #[test]
    fn no_single_flip_fences_the_running(at in 0..CUT.len(), to in "[ -~]", in_cib in any::<bool>()) {
        let flip = |text: &str| -> Option<String> {
            let at = at % text.len();
            Some(format!("{}{to}{}", text.get(..at)?, text.get(at + 1..)?))
        };
        let (mon, cib) = if in_cib { (Some(CUT.to_owned()), flip(CUT_CIB)) } else { (flip(CUT), Some(CUT_CIB.to_owned())) };
        if let (Some(mon), Some(cib)) = (mon, cib) {
            prop_assert_ne!(judge(&mon, &cib), Some(Verdict::Fenced));
        }
    }
}
