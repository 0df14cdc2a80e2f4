//! Pages rendered from sample answers of the API.

use serde_json::{Value, json};

use super::*;

const EVIL: &str = "<script>document.title='broken'</script>";
const AT: &str = "2026-11-20T06:15:08.000Z";

fn view<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn outcome(host: &str, room: &str, instance: Option<&str>, short_of: Option<&str>) -> Value {
    json!({"lost": [host], "instances": 50, "room": room, "instance": instance, "short_of": short_of})
}

#[test]
fn board_lists_the_worst_hosts_of_a_full_segment_and_the_number_of_others() {
    let rooms = [
        ("short", Some(EVIL), Some("14 GiB memory")),
        (
            "tight",
            Some("vm-1"),
            Some("it fits only if the scheduler places the others well"),
        ),
        (
            "unknown",
            Some("vm-2"),
            Some("it requires hw:numa_nodes=2, which the forecast does not model"),
        ),
        ("enough", None, None),
    ];
    let hosts: Vec<Value> = (0..1_000)
        .map(|number| {
            let (room, instance, requested) = rooms[number % 4];
            outcome(&format!("compute-{number:04}"), room, instance, requested)
        })
        .collect();
    let forecast: ForecastView = view(json!({
        "at": AT, "as_of": AT, "trouble": null, "unread": 1, "lost": null, "landing": [],
        "segments": [
            {"segment": "S1", "headroom": 0, "exact": true, "hosts": hosts, "worst": hosts[0]},
            {"segment": "S2", "headroom": 3, "exact": false, "hosts": [hosts[3], hosts[7]], "worst": hosts[3]},
        ],
    }));
    let html = Forecast { view: &forecast }.render().unwrap();
    assert!(!html.contains("<script>"), "a hostile name is text");
    for text in [
        "&#60;script&#62;document.title=&#39;broken&#39;&#60;/script&#62; lacks 14 GiB memory",
        "and 650 more: tachi forecast -f json",
        "<span class=\"good\">3+</span>",
        "for the instances of 250 other hosts",
        "for the instances of each of 2 hosts",
        "1 host has no data yet",
    ] {
        assert!(html.contains(text), "{text}");
    }
    let first = html.find("✗ no room").unwrap();
    assert!(first < html.rfind("14 GiB memory").unwrap());
    assert_eq!(
        html.matches("lacks 14 GiB memory").count(),
        100,
        "the worst come first"
    );
}

#[test]
fn board_shows_the_possible_target_hosts() {
    let landing = |fits: Value, requested: Value| json!({"id": "i", "name": EVIL, "from": "a", "ha_enabled": true, "fits": fits, "of": 3, "hosts": ["b"], "not_reckoned": requested});
    let forecast: ForecastView = view(json!({
        "at": AT, "as_of": null, "trouble": null, "unread": 0, "segments": [],
        "lost": outcome("a", "tight", Some("vm-1"), Some("it fits")),
        "landing": [landing(json!(2), json!(null)), landing(json!(0), json!(null)), landing(json!(null), json!("a GPU"))],
    }));
    let html = Forecast { view: &forecast }.render().unwrap();
    for text in [
        "If a failed now: <span class=\"mark warn\">! no promise</span> vm-1: it fits",
        "2 of 3 hosts",
        "✗ none of 3 hosts",
        "? requires a GPU",
        "first (marked)",
        "No segment is enabled",
        "Its oldest data was read: never.",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
}

fn situation(hosts: usize) -> Value {
    let counts =
        json!({"protected": 50, "degraded": 0, "unknown": 0, "unprotected": 0, "down": 0, "not_meant": 0});
    let name = |number: usize| format!("compute-{number:04}");
    let host = |number: usize| {
        json!({"name": name(number), "segment": "S1", "reserved": false, "protection": "protected", "reasons": [], "up": true,
               "instances": counts, "levels": [{"level": 1, "good": true}, {"level": 2, "good": number > 0}]})
    };
    let registered = |number: usize| {
        json!({"id": "h", "name": name(number), "reserved": false, "on_maintenance": false, "why": null,
               "recovery": (number == 1).then_some("00000000-0000-0000-0000-000000000009"), "life": (number == 1).then_some("open")})
    };
    let monitor = |number: usize, grade: &str| json!({"host": name(number), "kind": "host", "grade": grade, "signed_at": AT, "version": "1", "trouble": "", "watches": 1});
    json!({
        "at": AT, "fencing": "engine", "fencing_mode": "engine", "database": "sqlite", "engines": [], "reporters_set_aside": [],
        "queue": {"new": 0, "oldest_new": null}, "recoveries": [], "needs_person": {"recoveries": [], "instances": []},
        "monitors": [monitor(0, "ok"), monitor(2, "ok")], "grade": "ok", "looked_at": AT, "facts": [], "findings": [],
        "instances": counts, "not_assessed": [],
        "segments": [{"id": "s", "name": "S1", "enabled": true, "recovery_method": "auto", "working": hosts, "headroom": 1,
                      "headroom_exact": true, "instances": counts, "hosts": (0..hosts).map(registered).collect::<Vec<_>>()}],
        "hosts": (0..hosts).map(host).collect::<Vec<_>>(),
    })
}

fn rows(html: &str) -> Vec<&str> {
    html.split("<tr data-search=").skip(1).collect()
}

/// A recovery on hold, of the host with this number.
fn on_hold(number: u32, power: &str) -> Value {
    let (id, host) = (
        format!("00000000-0000-0000-0000-{number:012}"),
        format!("compute-{number:04}"),
    );
    json!({"recovery": id, "host": host, "commands": [format!("tachi recovery approve {id}"), format!("tachi recovery abort {id}")],
           "waits": {"for": "approval", "on": ["segment"], "since": AT, "held": true, "needs_person": true, "ended_by": ["approve", "abort"]},
           "evidence": {"up": false, "since": AT, "instances": 5, "levels": [
               {"level": 1, "device": "bmc", "tested_at": AT, "good": true, "power": power, "fault": null}]}})
}

fn underway(number: u32, waits: &Value, message: &str) -> Value {
    json!({"id": format!("00000000-0000-0000-0000-{number:012}"), "host": format!("compute-{number:04}"), "kind": "host", "life": "open",
           "status": "running", "waits": waits, "message": message, "owner": null, "instances": 5, "back": 0, "in_flight": 0,
           "moves": {"total": 5, "pending": 5, "ongoing": 0, "succeeded": 0, "failed": 0, "ignored": 0}})
}

fn finding(code: &str, grade: &str, subjects: &[&str]) -> Value {
    json!({"code": code, "grade": grade, "subjects": subjects, "instances": 0, "since": null, "text": format!("text of {code}"),
           "fix": null, "page": "docs"})
}

/// Two hosts on hold with one cause, and one in recovery.
fn night() -> Value {
    let mut data = situation(4);
    data["needs_person"]["recoveries"] = json!([on_hold(2, "on"), on_hold(1, "off")]);
    data["recoveries"] = json!([
        underway(1, &on_hold(1, "off")["waits"], "on hold: 2 of 4 hosts failed"),
        underway(2, &on_hold(2, "on")["waits"], "on hold: 2 of 4 hosts failed"),
        underway(3, &json!(null), "moving"),
    ]);
    data["findings"] = json!([
        finding("RECOVERY_HELD", "err", &["compute-0001", "compute-0002"]),
        finding("FROZEN", "warn", &["compute-0000"]),
        finding("HOST_UNDER_RECOVERY", "info", &["compute-0003"]),
        finding("ROOM_TIGHT", "info", &["segment S1"]),
    ]);
    for number in 1..4_usize {
        data["hosts"][number]["up"] = json!(false);
        data["segments"][0]["hosts"][number]["life"] = json!("open");
        data["segments"][0]["hosts"][number]["recovery"] = data["recoveries"][number - 1]["id"].clone();
    }
    data
}

#[test]
fn board_groups_holds_of_one_cause_and_shows_no_subject_twice() {
    let page_view: SituationView = view(night());
    let html = NowPage::of(&page_view, &[], true).render().unwrap();
    for text in [
        "2 recoveries: <a href=\"#/host/compute-0001\">",
        "<div>2 of 4 hosts failed</div>",
        "● off",
        "✗ on",
        "level 1, <time",
        "✗ down",
        "data-label=\"Approve all\"",
        "compute-0002&#34;,&#34;about&#34;:&#34;Nova: down; power: ",
        "the engine checks again and continues: it may cut",
        "text of FROZEN",
        "<h2>Notes</h2>",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    for (text, number) in [
        ("2 of 4 hosts failed", 1),
        ("text of RECOVERY_HELD", 0),
        ("text of HOST_UNDER_RECOVERY", 0),
        ("<article", 4),
        ("data-label=\"Approve\"", 2),
    ] {
        assert_eq!(html.matches(text).count(), number, "{text}: {html}");
    }
    let place = |text: &str| html.find(text).unwrap();
    assert!(place("Needs attention") < place("text of FROZEN"));
    assert!(place("text of FROZEN") < place("<h2>Recoveries</h2>"));
    let quiet: SituationView = view(situation(2));
    let html = NowPage::of(&quiet, &[], true).render().unwrap();
    for heading in ["Needs attention", "Recoveries", "Notes"] {
        assert!(!html.contains(heading), "nothing is in {heading}");
    }
}

#[test]
fn board_shows_a_hold_of_many_hosts_with_few_names_and_one_button_at_its_head() {
    let mut data = situation(21);
    let waiting: Vec<Value> = (1..21).rev().map(|number| on_hold(number, "off")).collect();
    data["needs_person"]["recoveries"] = json!(waiting);
    let page_view: SituationView = view(data);
    let html = NowPage::of(&page_view, &[], true).render().unwrap();
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}: {html}"));
    let (head, table) = html.split_at(place("<div class=\"wide\">"));
    assert!(
        head.contains("20 recoveries: <a href=\"#/host/compute-0001\">") && head.contains(" and 14 more"),
        "{head}"
    );
    assert!(
        head.contains("Approve all") && !head.contains("compute-0007</a>"),
        "{head}"
    );
    assert!(table.contains("compute-0020</a>"), "{table}");
}

#[test]
fn board_lists_running_recoveries_by_host() {
    let mut data = situation(4);
    data["recoveries"] = json!([
        underway(3, &json!(null), "moving"),
        underway(1, &json!(null), "moving")
    ]);
    let page_view: SituationView = view(data);
    let html = NowPage::of(&page_view, &[], true).render().unwrap();
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}: {html}"));
    assert!(place("host compute-0001") < place("host compute-0003"));
}

/// The instances of a recovery on hold are in no list of moves.
#[test]
fn board_lists_instances_that_are_down_and_not_being_recovered() {
    let listed = |name: &str| -> ListedInstanceView {
        view(json!({
            "host": "compute-0001", "dismissed_by": null, "id": format!("id-of-{name}"), "name": name, "protection": "down",
            "reasons": [], "left": null, "waits": null,
        }))
    };
    let moving: VmoveView = view(json!({
        "instance": "id-of-web", "name": "web", "host": "compute-0001", "to": null, "may_run_on": [], "state": "asked",
        "needs_person": false, "waits": null, "commands": [], "recovery": "00000000-0000-0000-0000-000000000001", "life": "open",
        "known": null,
    }));
    let none = Instances::of(vec![moving.clone()], vec![listed("web")])
        .render()
        .unwrap();
    assert!(!none.contains("<h2>Down"), "{none}");
    assert_eq!(none.matches("id-of-web").count(), 1, "{none}");
    let many = (0..120).map(|number| listed(&format!("db-{number}"))).collect();
    let html = Instances::of(vec![moving], many).render().unwrap();
    for text in [
        "<h2>Down",
        "#/instance/id-of-db-99\"",
        "✗ down",
        "as its host",
        "20 more",
        "tachi instance list --down",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    assert!(!html.contains("id-of-db-100"), "{html}");
}

#[test]
fn board_shows_the_disk_destroying_action_last_and_folded() {
    let mut data = situation(1);
    let id = "00000000-0000-0000-0000-000000000007";
    data["needs_person"]["instances"] = json!([{
        "instance": id, "name": "db-1", "host": "a", "recovery": id, "life": "open", "waits": null,
        "commands": [format!("tachi instance resolve {id} --not-running-on b"), format!("tachi instance resolve {id} --dismiss")]}]);
    let page_view: SituationView = view(data);
    let html = NowPage::of(&page_view, &[], false).render().unwrap();
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}: {html}"));
    assert!(place("--dismiss") < place("<summary>Only after you have checked on that host"));
    assert!(place("<summary>Only after") < place("--not-running-on b</code>"));
    assert!(html.contains("it is not there, as you have checked: it is started elsewhere"));
    assert!(html.contains("it stays as it is, and is no longer listed"));
}

#[test]
fn board_shows_the_worst_host_first_and_marks_holds() {
    let situation_view: SituationView = view(situation(3));
    let html = Hosts::of(&situation_view).render().unwrap();
    assert!(
        html.contains("! reported dead: being checked"),
        "it is up in Nova: {html}"
    );
    let page_view: SituationView = view(night());
    let html = Hosts::of(&page_view).render().unwrap();
    let expected = [
        ["compute-0001", "✗ dead: on hold", "data-tags=\"down held\""],
        [
            "compute-0002",
            "✗ dead: on hold",
            "? host</span> <span class=\"soft\">last heartbeat",
        ],
        ["compute-0003", "✗ dead: being recovered", "data-tags=\"down\""],
        ["compute-0000", "● protected", "✗ fails"],
    ];
    let all = rows(&html);
    assert_eq!(all.len(), expected.len());
    for (row, texts) in all.iter().zip(expected) {
        for text in texts {
            assert!(row.contains(text), "{text}: {row}");
        }
    }
    for text in [
        "data-chip=\"down\" aria-pressed=\"false\">down 3<",
        ">on hold 2<",
        ">frozen 0<",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    assert!(!html.contains("....."), "words instead of flags: {html}");
    let mut data = situation(2);
    data["recoveries"] = json!([underway(1, &json!(null), "")]);
    data["recoveries"][0]["kind"] = json!("drain");
    let drained: SituationView = view(data);
    let html = Hosts::of(&drained).render().unwrap();
    assert!(rows(&html)[0].contains("… being drained"), "{html}");
    assert!(html.contains(">drained 1<"), "{html}");
}

#[test]
fn board_folds_many_events_of_one_kind() {
    let step = |seconds: u32, kind: &str, instance: Value| {
        json!({"at": format!("2026-11-20T06:15:{seconds:02}.000Z"), "claim": 1,
        "task": "Evacuate", "kind": kind, "instance": instance, "text": format!("{kind} {seconds} {EVIL}")})
    };
    let mut steps = vec![step(1, "note", json!(null))];
    steps.extend((2..15).map(|seconds| step(seconds, "intent", json!("i"))));
    steps.extend((15..17).map(|seconds| step(seconds, "outcome", json!("i"))));
    let steps: Vec<tachi_operator::StepView> = view(json!(steps));
    let html = Events::of(&steps).rows().0;
    assert_eq!(html.matches("<tr>").count(), 4, "{html}");
    assert!(html.contains("<summary>13 events until <time"), "{html}");
    assert!(html.contains("intent 14") && !html.contains("<script>"), "{html}");
}

/// A browser renders a thousand rows in less than a second, and gets all of them again when one changes.
#[test]
fn board_a_thousand_hosts_are_a_page_of_a_megabyte_at_most() {
    let page_view: SituationView = view(situation(1_000));
    let html = Hosts::of(&page_view).render().unwrap();
    assert!(html.len() < 1_400_000, "{} bytes", html.len());
    assert!(html.contains("1000</span> of 1000 hosts"));
}

#[test]
fn board_marks_every_good_state_so_that_the_browser_can_revoke_it() {
    let page_view: SituationView = view(situation(2));
    let html = NowPage::of(&page_view, &[], true).render().unwrap();
    for text in [
        "<span class=\"good\">50 of 50 protected</span>",
        "<span class=\"good\">50 of 50</span>",
        "<span class=\"good\">1</span>",
        "Freeze everything…",
        "data-key=\"freeze segment s\"",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    let read_only = NowPage::of(&page_view, &[], false).render().unwrap();
    assert!(!read_only.contains("data-act"), "{read_only}");
}

/// Returns the rows of the table of checks, by check.
fn needs(needs: &Value, left: Option<&str>) -> Vec<String> {
    let one: ExplanationView = view(json!({
        "kind": "host", "name": "compute-0001", "segment": "s", "reserved": false, "instances": null, "up": true, "levels": [],
        "hosted": [], "id": null, "host": null, "left": left, "protection": "degraded", "waits": null, "known": null,
        "recovery": null, "life": null, "message": null, "commands": [], "needs": needs, "room": null,
    }));
    let page = ExplanationPage {
        explanations: vec![(one, None)],
        freezes: &[],
        may: false,
    };
    let html = page.render().unwrap();
    let rows = html.split("<tr><td data-head=\"check\">").skip(1);
    rows.map(|row| row.split("</tr>").next().unwrap().to_owned())
        .collect()
}

#[test]
fn board_shows_each_check_and_none_as_good_against_a_finding() {
    let finding = json!({"code": "REPORTER_DOUBTED", "grade": "err", "subjects": [], "instances": 0, "since": null,
                         "text": "its reporter is doubted", "fix": null, "page": "docs/findings/reporter-doubted.md"});
    let of = |need: &str, holds: Option<bool>, assessed: bool, findings: &[&Value]| json!({"need": need, "holds": holds, "assessed": assessed, "findings": findings});
    let rows = needs(
        &json!([
            of("meant", Some(true), true, &[]),
            of("heard", None, true, &[]),
            of("heard", Some(false), true, &[]),
            of("room", Some(true), false, &[]),
            of("watched", Some(false), false, &[&finding]),
        ]),
        None,
    );
    let expected = [
        ("● pass", "it is included in HA"),
        ("? unknown", "unknown if Nova shows its host up"),
        ("✗ fails", "its host is not up in Nova"),
        ("· not assessed", "room on other hosts is not assessed"),
        ("✗ fails", "its reporter is doubted"),
    ];
    assert_eq!(rows.len(), expected.len());
    for (row, (state, why)) in rows.iter().zip(expected) {
        assert!(row.contains(state) && row.contains(why), "{state}: {why}: {row}");
    }
    assert!(!rows[4].contains("no reporter is doubted"), "{}", rows[4]);
    // Its severity is that of its worst finding.
    let of_grade = |grade: &str| {
        let mut finding = finding.clone();
        finding["grade"] = json!(grade);
        needs(&json!([of("room", Some(false), true, &[&finding])]), None)
    };
    for (grade, state) in [("err", "✗ fails"), ("warn", "! fails"), ("info", "· fails")] {
        assert!(
            of_grade(grade)[0].contains(state),
            "{grade}: {}",
            of_grade(grade)[0]
        );
    }
    // The reason for an exclusion takes precedence over other blockers.
    let rows = needs(
        &json!([of("meant", Some(false), true, &[&finding])]),
        Some("metadata no-ha"),
    );
    assert!(
        rows[0].contains("· excluded") && rows[0].contains("metadata no-ha"),
        "{}",
        rows[0]
    );
    assert!(!rows[0].contains("doubted"), "{}", rows[0]);
}

/// A story with two instances: the first is back, the second was excluded.
fn history() -> Value {
    let sample = include_str!("../../../../engine/operator/src/report/golden/story.json");
    let mut history: Value = serde_json::from_str(sample).unwrap();
    history["status"] = json!("finished");
    history["life"] = json!("closed");
    history["moves"] =
        json!({"total": 2, "pending": 0, "ongoing": 0, "succeeded": 1, "failed": 0, "ignored": 1});
    history["instance_words"] = json!([]);
    let mut excluded = history["instances"][0].clone();
    excluded["id"] = json!("00000000-0000-4000-8000-000000000002");
    excluded["status"] = json!("ignored");
    history["instances"] = json!([history["instances"][0], excluded]);
    history
}

#[test]
fn board_does_not_show_a_recovery_with_a_dismissed_instance_as_good() {
    let shown = |history: Value| result(&view(history)).to_string();
    let all_back = || {
        let mut history = history();
        history["moves"]["succeeded"] = json!(2);
        history["moves"]["ignored"] = json!(0);
        history["instances"][1]["status"] = json!("succeeded");
        history
    };
    let text = shown(all_back());
    assert!(text.contains("ok") && text.contains("finished"), "{text}");
    let text = shown(history());
    assert!(
        text.contains("info") && text.contains("finished, 1 of 2 back"),
        "{text}"
    );
    let mut dismissed = history();
    dismissed["instance_words"] = json!([{
        "word": "ignore", "instance": dismissed["instances"][1]["id"], "on": null, "by": "alice (broken)", "at": AT,
    }]);
    let text = shown(dismissed);
    assert!(
        text.contains("warn") && text.contains("finished, 1 of 2 back"),
        "{text}"
    );
    let mut acknowledged = history();
    acknowledged["instances"][1]["seen_to"] = json!("alice (broken)");
    let text = shown(acknowledged);
    assert!(text.contains("warn"), "{text}");
}

/// Nothing of a drain was down, and nothing had to be confirmed off. Actions are named as the commands name them.
#[test]
fn board_shows_a_drain_without_a_proof_and_actions_as_the_commands_name_them() {
    let shown = |history: Value| {
        let story: RecoveryHistoryView = view(history);
        let page = Recovery {
            story: &story,
            events: Events::of(&story.steps),
            timeline: None,
            may: false,
        };
        page.render().unwrap()
    };
    let mut with_actions = history();
    with_actions["words"] = json!([{"word": "reject", "by": "alice", "at": AT}]);
    with_actions["instance_words"] = json!([{
        "word": "failure", "instance": with_actions["instances"][1]["id"], "on": "compute-005", "by": "bob", "at": AT,
    }]);
    let html = shown(with_actions);
    assert!(
        html.contains("Fencing proof") && html.contains("1 of 2 instances back"),
        "{html}"
    );
    assert!(html.contains(">abort</td>") && !html.contains("reject"), "{html}");
    assert!(html.contains(">not-running-on compute-005 for <a "), "{html}");
    let mut drain = history();
    drain["kind"] = json!("drain");
    let html = shown(drain);
    assert!(!html.contains("Fencing proof"), "{html}");
    assert!(html.contains("1 of 2 instances moved"), "{html}");
}
