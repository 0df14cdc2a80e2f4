mod excluded;

use super::*;
use crate::time::second;
use crate::{Cib, CrmMon, parse_time};

const NODE_XML: &str = r#"standby="false" maintenance="false" pending="false""#;

const DEVICE: &str = r#"<configuration><resources><primitive id="st" class="stonith" type="fence_apc"/></resources></configuration>"#;

fn time(text: &str) -> Time {
    parse_time(text).unwrap()
}

/// A cluster with one remote, `cmp1`, as it is at 07:10:00.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one attribute of the text")]
struct Scene {
    online: bool,
    unclean: bool,
    role: &'static str,
    failed: bool,
    target_role: Option<&'static str>,
    managed: bool,
    in_ccm: &'static str,
    node_fenced: i64,
    events: Vec<(&'static str, &'static str, &'static str)>,
    stonith: bool,
    last_up: Option<&'static str>,
    watched: Option<&'static str>,
    device: &'static str,
    at: &'static str,
}

fn gone() -> Scene {
    Scene {
        online: false,
        unclean: false,
        role: "Stopped",
        failed: false,
        target_role: None,
        managed: true,
        in_ccm: "false",
        node_fenced: 0,
        events: Vec::new(),
        stonith: true,
        last_up: Some("2026-11-20 07:09:00Z"),
        watched: None,
        device: "fence_apc",
        at: "2026-11-20 07:10:00Z",
    }
}

fn fenced() -> Scene {
    Scene {
        node_fenced: second(time("2026-11-20 07:09:30Z")),
        events: vec![("off", "success", "2026-11-20 07:09:30Z")],
        ..gone()
    }
}

fn up() -> Scene {
    Scene {
        online: true,
        role: "Started",
        in_ccm: "true",
        ..gone()
    }
}

impl Scene {
    fn snapshot(&self) -> Snapshot {
        let events: Vec<String> = self
            .events
            .iter()
            .map(|(action, status, at)| {
                let completed = if at.is_empty() { String::new() } else { format!(r#" completed="{at}""#) };
                format!(r#"<fence_event action="{action}" target="cmp1" status="{status}" delegate="ctl1"{completed}/>"#)
            })
            .collect();
        let events = events.concat();
        let target = self
            .target_role
            .map(|role| format!(r#" target_role="{role}""#))
            .unwrap_or_default();
        let mon = format!(
            r#"<pacemaker-result><pacemakerd state="running"/><summary>
            <current_dc present="true" name="ctl1" with_quorum="true"/>
            <cluster_options stonith-enabled="{}" maintenance-mode="false"/></summary>
            <nodes><node name="cmp1" type="remote" online="{}" unclean="{}" {NODE_XML}/></nodes>
            <resources><group id="g"><resource id="cmp1" role="{}" failed="{}" managed="{}"{target}/></group></resources>
            <fence_history>{events}</fence_history><status code="0"/></pacemaker-result>"#,
            self.stonith, self.online, self.unclean, self.role, self.failed, self.managed
        );
        let cib = format!(
            r#"<cib have-quorum="1"><configuration><resources>
            <primitive id="st" class="stonith" type="{}"/></resources></configuration>
            <status><node_state uname="cmp1" in_ccm="{}" node_fenced="{}"/></status></cib>"#,
            self.device, self.in_ccm, self.node_fenced
        );
        Snapshot::new(CrmMon::parse(&mon).unwrap(), Some(Cib::parse(&cib).unwrap())).taken(time(self.at))
    }

    fn history(&self) -> History {
        let mut history = History::default();
        let past = history.nodes.entry("cmp1".to_owned()).or_default();
        past.last_up = self.last_up.map(time);
        past.watched = self.watched.is_some();
        past.known = self.watched.filter(|known| !known.is_empty()).map(time);
        history
    }

    fn judge(&self) -> Judgement {
        let rules = Rules {
            need_cib: true,
            ..Rules::default()
        };
        verdict(&self.history(), &self.snapshot(), &rules)["cmp1"].clone()
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn remotes() {
    let cases: Vec<(&str, Scene, Verdict)> = vec![
        ("up", up(), Verdict::Up),
        (
            "in_ccm as an epoch",
            Scene {
                in_ccm: "1795158300",
                ..up()
            },
            Verdict::Up,
        ),
        (
            "in_ccm as an epoch, out",
            Scene { in_ccm: "0", ..up() },
            Verdict::Keep,
        ),
        (
            "in_ccm false alone never means lost",
            Scene {
                in_ccm: "false",
                ..up()
            },
            Verdict::Keep,
        ),
        ("fenced", fenced(), Verdict::Fenced),
        (
            "fenced, online while its connection is retried",
            Scene {
                online: true,
                role: "Starting",
                ..fenced()
            },
            Verdict::Fenced,
        ),
        (
            "fenced, connection started and failed",
            Scene {
                role: "Started",
                failed: true,
                ..fenced()
            },
            Verdict::Fenced,
        ),
        (
            "pending",
            Scene {
                events: vec![("off", "pending", ""), ("off", "success", "2026-11-20 07:09:30Z")],
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "failed attempts only",
            Scene {
                events: vec![("off", "failed", "2026-11-20 07:09:30Z")],
                ..gone()
            },
            Verdict::Lost,
        ),
        (
            "failed after the success",
            Scene {
                events: vec![
                    ("off", "failed", "2026-11-20 07:09:40Z"),
                    ("off", "success", "2026-11-20 07:09:30Z"),
                ],
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "failed before the success",
            Scene {
                events: vec![
                    ("off", "success", "2026-11-20 07:09:30Z"),
                    ("off", "failed", "2026-11-20 07:09:20Z"),
                ],
                ..fenced()
            },
            Verdict::Fenced,
        ),
        (
            "turned on after the success",
            Scene {
                events: vec![
                    ("on", "success", "2026-11-20 07:09:40Z"),
                    ("off", "success", "2026-11-20 07:09:30Z"),
                ],
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "turned on before the success",
            Scene {
                events: vec![
                    ("on", "success", "2026-11-20 07:09:10Z"),
                    ("off", "success", "2026-11-20 07:09:30Z"),
                ],
                ..fenced()
            },
            Verdict::Fenced,
        ),
        (
            "a reboot",
            Scene {
                events: vec![("reboot", "success", "2026-11-20 07:09:30Z")],
                ..fenced()
            },
            Verdict::Fenced,
        ),
        (
            "only ever turned on",
            Scene {
                events: vec![("on", "success", "2026-11-20 07:09:30Z")],
                ..gone()
            },
            Verdict::Planned,
        ),
        (
            "an action of tomorrow",
            Scene {
                events: vec![("unfence", "success", "2026-11-20 07:09:30Z")],
                ..gone()
            },
            Verdict::Planned,
        ),
        (
            "a status of tomorrow is no success",
            Scene {
                events: vec![("off", "presumed", "2026-11-20 07:09:30Z")],
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "a success without a time is none",
            Scene {
                events: vec![("off", "success", "")],
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "unclean",
            Scene {
                unclean: true,
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "the CIB does not confirm",
            Scene {
                node_fenced: 0,
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "the CIB's note is of an earlier life",
            Scene {
                node_fenced: second(time("2026-11-20 07:00:00Z")),
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "fencing is disabled",
            Scene {
                stonith: false,
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "gone, and fencing is disabled",
            Scene {
                stonith: false,
                ..gone()
            },
            Verdict::Lost,
        ),
        (
            "a device that turns nothing off",
            Scene {
                device: "null",
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "success of an earlier life",
            Scene {
                last_up: Some("2026-11-20 07:09:50Z"),
                ..fenced()
            },
            Verdict::Planned,
        ),
        (
            "target-role",
            Scene {
                target_role: Some("Stopped"),
                ..gone()
            },
            Verdict::Planned,
        ),
        (
            "unmanaged",
            Scene {
                managed: false,
                ..gone()
            },
            Verdict::Planned,
        ),
        ("offline and clean", gone(), Verdict::Planned),
        (
            "planned, but fenced all the same",
            Scene {
                target_role: Some("Stopped"),
                ..fenced()
            },
            Verdict::Fenced,
        ),
        (
            "online, nothing else known",
            Scene {
                online: true,
                role: "Starting",
                ..gone()
            },
            Verdict::Keep,
        ),
        (
            "the same second, offline",
            Scene {
                last_up: Some("2026-11-20 07:09:30.900Z"),
                ..fenced()
            },
            Verdict::Fenced,
        ),
        (
            "the same second, online",
            Scene {
                last_up: Some("2026-11-20 07:09:30Z"),
                online: true,
                role: "Starting",
                ..fenced()
            },
            Verdict::Keep,
        ),
        (
            "a second older, not watched",
            Scene {
                last_up: Some("2026-11-20 07:09:31Z"),
                ..fenced()
            },
            Verdict::Planned,
        ),
        (
            "a second older, and not there when it was up",
            Scene {
                last_up: Some("2026-11-20 07:09:31Z"),
                watched: Some(""),
                ..fenced()
            },
            Verdict::Fenced,
        ),
        (
            "this machine's clock is minutes ahead, and it was not there when it was up",
            Scene {
                last_up: Some("2026-11-20 07:14:36Z"),
                watched: Some(""),
                ..fenced()
            },
            Verdict::Fenced,
        ),
        (
            "older than last up, watched, and not noted",
            Scene {
                last_up: Some("2026-11-20 07:09:36Z"),
                watched: Some(""),
                node_fenced: 0,
                ..fenced()
            },
            Verdict::Planned,
        ),
        (
            "fenced and back while not watched, then taken out",
            Scene {
                watched: Some(""),
                node_fenced: 0,
                target_role: Some("Stopped"),
                ..fenced()
            },
            Verdict::Planned,
        ),
        (
            "a later time, but in the history when it was up",
            Scene {
                watched: Some("2026-11-20 07:09:30Z"),
                ..fenced()
            },
            Verdict::Planned,
        ),
        (
            "never seen up, noted as fenced",
            Scene {
                last_up: None,
                ..fenced()
            },
            Verdict::Fenced,
        ),
        (
            "never seen up, not noted as fenced",
            Scene {
                last_up: None,
                node_fenced: 0,
                ..fenced()
            },
            Verdict::Lost,
        ),
        (
            "really back",
            Scene {
                events: fenced().events,
                ..up()
            },
            Verdict::Up,
        ),
        (
            "fenced a moment ago and the views lag",
            Scene {
                events: fenced().events,
                at: "2026-11-20 07:09:31Z",
                ..up()
            },
            Verdict::Keep,
        ),
        (
            "looks up but noted as fenced",
            Scene {
                online: true,
                role: "Started",
                in_ccm: "true",
                ..fenced()
            },
            Verdict::Fenced,
        ),
    ];
    for (name, scene, expected) in cases {
        let judged = scene.judge();
        assert_eq!(judged.verdict, expected, "{name}: {}", judged.reason);
        assert_eq!(
            judged.proof.is_some(),
            expected == Verdict::Fenced,
            "{name}: proof"
        );
    }
}

/// Covers MW9.
#[test]
fn without_quorum_no_node_is_judged() {
    let mut snapshot = fenced().snapshot();
    snapshot.mon.quorate = false;
    assert_eq!(
        verdict(&fenced().history(), &snapshot, &Rules::default())["cmp1"].verdict,
        Verdict::Blind
    );
    let mut snapshot = fenced().snapshot();
    snapshot.cib.as_mut().unwrap().quorate = false;
    assert_eq!(
        verdict(&fenced().history(), &snapshot, &Rules::default())["cmp1"].verdict,
        Verdict::Blind
    );
}

#[test]
fn states_of_pacemakerd() {
    for (state, expected) in [
        (Some("running"), Verdict::Fenced),
        (Some("remote"), Verdict::Fenced),
        (None, Verdict::Fenced),
        (Some("shutting_down"), Verdict::Blind),
        (Some("starting_daemons"), Verdict::Blind),
    ] {
        let mut snapshot = fenced().snapshot();
        snapshot.mon.pacemakerd = state.map(str::to_owned);
        let judged = verdict(&fenced().history(), &snapshot, &Rules::default());
        assert_eq!(judged["cmp1"].verdict, expected, "{state:?}");
    }
}

#[test]
fn a_bridge_needs_the_second_witness() {
    let mut snapshot = fenced().snapshot();
    snapshot.cib = None;
    let rules = Rules {
        need_cib: true,
        ..Rules::default()
    };
    assert_eq!(
        verdict(&fenced().history(), &snapshot, &rules)["cmp1"].verdict,
        Verdict::Blind
    );
    assert_eq!(
        verdict(&fenced().history(), &snapshot, &Rules::default())["cmp1"].verdict,
        Verdict::Fenced
    );
}

#[test]
fn an_operators_confirmation_is_reported_as_such() {
    let mut snapshot = fenced().snapshot();
    for fence in &mut snapshot.mon.fences {
        fence.delegate = Some("a human".to_owned());
    }
    let judged = verdict(&fenced().history(), &snapshot, &Rules::default())["cmp1"].clone();
    assert!(judged.proof.unwrap().by_operator);
    assert!(!fenced().judge().proof.unwrap().by_operator);
}

#[test]
fn a_forgotten_history_changes_nothing() {
    let mut history = fenced().history();
    history.nodes.get_mut("cmp1").unwrap().verdict = Some(Verdict::Fenced);
    let snapshot = Scene {
        events: Vec::new(),
        ..fenced()
    }
    .snapshot();
    assert_eq!(
        verdict(&history, &snapshot, &Rules::default())["cmp1"].verdict,
        Verdict::Keep
    );
}

/// A watched life: every second one snapshot, judged and remembered as a bridge does.
fn watch(mut history: History, scenes: &[Scene]) -> (History, Vec<Verdict>) {
    let rules = Rules {
        need_cib: true,
        ..Rules::default()
    };
    let mut verdicts = Vec::new();
    for scene in scenes {
        let snapshot = scene.snapshot();
        history.notice(&snapshot);
        let judged = verdict(&history, &snapshot, &rules);
        history.remember(&snapshot, &judged);
        verdicts.push(judged["cmp1"].verdict);
    }
    (history, verdicts)
}

#[test]
fn a_lagging_view_does_not_outdate_the_proof() {
    let lagging = |at| Scene {
        events: fenced().events,
        at,
        ..up()
    };
    let (_, verdicts) = watch(
        History::default(),
        &[
            Scene {
                at: "2026-11-20 07:09:29Z",
                ..up()
            },
            lagging("2026-11-20 07:09:30Z"),
            lagging("2026-11-20 07:09:32Z"),
            Scene {
                at: "2026-11-20 07:09:33Z",
                ..fenced()
            },
        ],
    );
    assert_eq!(
        verdicts,
        [Verdict::Up, Verdict::Keep, Verdict::Keep, Verdict::Fenced]
    );
}

/// Covers MW27.
#[test]
fn clocks_that_differ_by_minutes_never_fence_the_living() {
    // The bridge's clock is an hour behind the cluster's: every old success looks new.
    let behind = |at| Scene {
        events: fenced().events,
        at,
        ..up()
    };
    let (history, verdicts) = watch(
        History::default(),
        &[
            behind("2026-11-20 06:10:00Z"),
            behind("2026-11-20 07:09:36Z"),
            behind("2026-11-20 07:09:37Z"),
        ],
    );
    assert_eq!(verdicts.last(), Some(&Verdict::Up));
    let stopped = Scene {
        events: fenced().events,
        target_role: Some("Stopped"),
        at: "2026-11-20 06:10:10Z",
        ..gone()
    };
    let (_, verdicts) = watch(history, &[stopped]);
    assert_eq!(verdicts, [Verdict::Planned]);
}

#[test]
fn members() {
    let mon = |online: bool, unclean: bool, event: &str| {
        CrmMon::parse(&format!(
            r#"<crm_mon><summary><current_dc present="true" name="ctl1" with_quorum="true"/>
            <last_update time="Fri Nov 20 07:10:00 2026"/>
            <cluster_options stonith-enabled="true"/></summary><nodes>
            <node name="ctl2" type="member" online="{online}" unclean="{unclean}"/></nodes>
            <fence_history>{event}</fence_history></crm_mon>"#
        ))
        .unwrap()
    };
    let cib = |crmd: &str| {
        let text = format!(
            r#"<cib have-quorum="1">{DEVICE}<status><node_state uname="ctl2" crmd="{crmd}"/></status></cib>"#
        );
        Some(Cib::parse(&text).unwrap())
    };
    let off =
        r#"<fence_event action="off" target="ctl2" status="success" completed="2026-11-20 07:09:30Z"/>"#;
    for (name, mon, cib, last_up, expected) in [
        ("up", mon(true, false, ""), cib("online"), "", Verdict::Up),
        (
            "up since an epoch",
            mon(true, false, ""),
            cib("1795158000"),
            "",
            Verdict::Up,
        ),
        (
            "the CIB disagrees",
            mon(true, false, ""),
            cib("offline"),
            "",
            Verdict::Keep,
        ),
        (
            "fenced",
            mon(false, false, off),
            cib("offline"),
            "2026-11-20 07:09:00Z",
            Verdict::Fenced,
        ),
        (
            "fenced, 0 is offline",
            mon(false, false, off),
            cib("0"),
            "2026-11-20 07:09:00Z",
            Verdict::Fenced,
        ),
        (
            "fenced, still in the membership",
            mon(false, false, off),
            cib("online"),
            "2026-11-20 07:09:00Z",
            Verdict::Lost,
        ),
        (
            "never seen up",
            mon(false, false, off),
            cib("offline"),
            "",
            Verdict::Lost,
        ),
        (
            "stopped in order",
            mon(false, false, ""),
            cib("offline"),
            "2026-11-20 07:09:00Z",
            Verdict::Planned,
        ),
        (
            "unclean",
            mon(false, true, off),
            cib("offline"),
            "2026-11-20 07:09:00Z",
            Verdict::Lost,
        ),
    ] {
        let history = if last_up.is_empty() {
            History::default()
        } else {
            History::default().with_last_up("ctl2", time(last_up))
        };
        let judged = verdict(&history, &Snapshot::new(mon, cib), &Rules::default())["ctl2"].clone();
        assert_eq!(judged.verdict, expected, "{name}: {}", judged.reason);
    }
}

#[test]
fn a_members_fencing_that_was_first_seen_late_proves_nothing() {
    let mon = CrmMon::parse(
        r#"<crm_mon><summary><current_dc present="true" name="ctl1" with_quorum="true"/>
        <cluster_options stonith-enabled="true"/></summary><nodes>
        <node name="ctl2" type="member" online="false"/></nodes><fence_history>
        <fence_event action="off" target="ctl2" status="success" completed="2026-11-20 07:09:30Z"/></fence_history></crm_mon>"#,
    )
    .unwrap();
    for (name, read_at, expected) in [
        ("at once", "2026-11-20 07:09:31Z", Verdict::Fenced),
        ("after a restart", "2026-11-20 07:10:20Z", Verdict::Fenced),
        (
            "it may have been back and shut down since",
            "2026-11-20 07:20:00Z",
            Verdict::Lost,
        ),
    ] {
        let mut history = History::default().with_last_up("ctl2", time("2026-11-20 07:09:00Z"));
        let cib = Cib::parse(&format!(r#"<cib have-quorum="1">{DEVICE}</cib>"#)).unwrap();
        let snapshot = Snapshot::new(mon.clone(), Some(cib)).taken(time(read_at));
        history.notice(&snapshot);
        let judged = verdict(&history, &snapshot, &Rules::default())["ctl2"].clone();
        assert_eq!(judged.verdict, expected, "{name}: {}", judged.reason);
    }
}

/// Covers F9.
#[test]
fn who_left_in_order_lately_and_without_an_operators_mark_is_known() {
    for (name, scene, left) in [
        ("offline and clean", gone(), true),
        (
            "its connection was stopped by an operator",
            Scene {
                target_role: Some("Stopped"),
                ..gone()
            },
            false,
        ),
        (
            "its connection is not managed",
            Scene {
                managed: false,
                ..gone()
            },
            false,
        ),
        (
            "never seen up",
            Scene {
                last_up: None,
                ..gone()
            },
            false,
        ),
        (
            "gone for days",
            Scene {
                last_up: Some("2026-11-18 07:09:00Z"),
                ..gone()
            },
            false,
        ),
    ] {
        let judgement = scene.judge();
        assert_eq!(
            (judgement.verdict, judgement.left),
            (Verdict::Planned, left),
            "{name}: {}",
            judgement.reason
        );
    }
}
