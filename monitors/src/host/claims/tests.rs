use super::*;

const TURN: Duration = Duration::from_secs(5);

fn mon() -> CrmMon {
    CrmMon::parse(
        r#"<crm_mon><summary><current_dc present="true" name="ctl1" with_quorum="true"/></summary><nodes>
        <node name="ctl1" type="member" online="true"/><node name="ctl2" type="member" online="true"/>
        <node name="cmp1" type="remote" online="true"/><node name="cmp2" type="remote" online="false"/>
        <node name="cmp3" type="remote" online="true"/><node name="cmp4" type="remote" online="true"/></nodes></crm_mon>"#,
    )
    .unwrap()
}

fn at(steady: Instant) -> TwoClockTime {
    let wall = chrono::DateTime::from_timestamp(1_795_277_700, 0).unwrap();
    TwoClockTime { wall, steady }
}

fn attributes_of(values: &[(&str, &str)]) -> Vec<(String, String)> {
    values
        .iter()
        .map(|(bridge, value)| ((*bridge).to_owned(), (*value).to_owned()))
        .collect()
}

fn decide(claims: &mut Claims, me: &str, values: &[(&str, &str)], now: Instant) -> ReportingBridge {
    claims.decide(
        me,
        &mon(),
        Some(&attributes_of(values)),
        "cmp2",
        "fenced:7",
        at(now),
    )
}

/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn the_bridge_on_the_dc_reports_and_the_others_learn_of_it() {
    let all = [("ctl1", "1"), ("ctl2", "1"), ("cmp1", "1")];
    let start = Instant::now();
    assert_eq!(
        decide(&mut Claims::new(TURN), "ctl1", &all, start),
        ReportingBridge::Mine
    );
    let mut other = Claims::new(TURN);
    assert_eq!(decide(&mut other, "ctl2", &all, start), ReportingBridge::Wait);
    let reported = [("ctl1", "1;cmp2=fenced:7/accepted/1"), ("ctl2", "1")];
    assert_eq!(
        decide(&mut other, "ctl2", &reported, start + TURN / 2),
        ReportingBridge::Reported("ctl1".to_owned())
    );
}

/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn no_bridge_waits_for_the_one_on_the_lost_host() {
    // Just fenced, and still shown online.
    let attributes_of = attributes_of(&[("cmp1", "1"), ("cmp2", "1")]);
    let decision = Claims::new(TURN).decide(
        "cmp2",
        &mon(),
        Some(&attributes_of),
        "cmp1",
        "fenced:7",
        at(Instant::now()),
    );
    assert_eq!(decision, ReportingBridge::Mine);
}

/// Pacemaker's fencers each set the time of a fencing themselves.
/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn a_claim_dated_by_another_nodes_clock_is_a_claim_on_the_same_fencing() {
    let start = Instant::now();
    for key in ["fenced:1795158416", "started:fenced:1795158416"] {
        let claim = format!("1;cmp2={}/accepted/1", key.replace("416", "417"));
        let attributes_of = attributes_of(&[("ctl1", &claim), ("ctl2", "1")]);
        let decision = Claims::new(TURN).decide("ctl2", &mon(), Some(&attributes_of), "cmp2", key, at(start));
        assert_eq!(decision, ReportingBridge::Reported("ctl1".to_owned()), "{key}");
    }
}

/// A bridge whose machine was suspended for minutes continues with its old state.
/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn what_another_bridge_has_reported_since_is_not_overwritten() {
    let start = Instant::now();
    let attributes_of = attributes_of(&[
        ("ctl1", "1;cmp2=started:fenced:1795277586/accepted/1"),
        ("ctl2", "1"),
    ]);
    let mut claims = Claims::new(TURN);
    let mut decision =
        |key: &str, when| claims.decide("ctl2", &mon(), Some(&attributes_of), "cmp2", key, at(when));
    let overtaken = ReportingBridge::Superseded {
        bridge: "ctl1".to_owned(),
        key: "started:fenced:1795277586".to_owned(),
    };
    for key in [
        "started:fenced:1795277525",
        "fenced:1795277525",
        "lost:fenced:1795277525",
    ] {
        for turns in 0..6 {
            assert_eq!(decision(key, start + TURN * turns), overtaken, "{key}");
        }
    }
    assert_eq!(
        decision("fenced:1795277600", start),
        ReportingBridge::Wait,
        "that is new"
    );
}

/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn what_the_api_has_not_answered_overtakes_nothing() {
    let attributes_of = attributes_of(&[
        ("ctl2", "1;cmp2=started:fenced:1795277586/spooled/1"),
        ("ctl1", "1"),
    ]);
    let mut claims = Claims::new(TURN);
    let decision = claims.decide(
        "ctl1",
        &mon(),
        Some(&attributes_of),
        "cmp2",
        "started:fenced:1795277525",
        at(Instant::now()),
    );
    assert_eq!(decision, ReportingBridge::Mine);
}

/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn a_standby_bridge_takes_over_when_none_reports() {
    let all = [("ctl1", "1"), ("ctl2", "1"), ("cmp1", "1")];
    let start = Instant::now();
    let mut second = Claims::new(TURN);
    let mut third = Claims::new(TURN);
    for half_turns in 0..2 {
        assert_eq!(
            decide(&mut second, "ctl2", &all, start + TURN / 2 * half_turns),
            ReportingBridge::Wait
        );
        assert_eq!(
            decide(&mut third, "cmp1", &all, start + TURN / 2 * half_turns),
            ReportingBridge::Wait
        );
    }
    assert_eq!(
        decide(&mut second, "ctl2", &all, start + TURN),
        ReportingBridge::Wait,
        "it announces its intention"
    );
    assert_eq!(second.value(true), "1;cmp2=fenced:7/intended/0");
    assert_eq!(
        decide(&mut second, "ctl2", &all, start + TURN),
        ReportingBridge::Mine
    );
    assert_eq!(
        decide(&mut third, "cmp1", &all, start + TURN),
        ReportingBridge::Wait
    );
    assert_eq!(
        decide(&mut third, "cmp1", &all, start + TURN * 2),
        ReportingBridge::Wait
    );
    assert_eq!(
        decide(&mut third, "cmp1", &all, start + TURN * 2),
        ReportingBridge::Mine
    );
}

/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn a_bridge_that_waits_for_the_api_is_left_alone_while_it_lives() {
    let start = Instant::now();
    let mut other = Claims::new(TURN);
    let mut now = start;
    for beat in 0..20 {
        let claim = format!("1;cmp2=fenced:7/spooled/{beat}");
        assert_eq!(
            decide(&mut other, "ctl2", &[("ctl1", &claim), ("ctl2", "1")], now),
            ReportingBridge::Wait,
            "{beat}"
        );
        now += TURN / 2;
    }
    // It died: its counter stands still.
    let claim = [("ctl1", "1;cmp2=fenced:7/spooled/19"), ("ctl2", "1")];
    assert_eq!(decide(&mut other, "ctl2", &claim, now), ReportingBridge::Wait);
    let later = now + TURN * 2;
    assert_eq!(
        decide(&mut other, "ctl2", &claim, later),
        ReportingBridge::Wait,
        "it announces its intention"
    );
    assert_eq!(decide(&mut other, "ctl2", &claim, later), ReportingBridge::Mine);
}

#[tokio::test(start_paused = true)]
async fn claims_on_something_else_are_no_claims() {
    let start = Instant::now();
    for (name, value) in [
        ("another node", "1;cmp1=fenced:7/accepted/1"),
        ("an earlier report", "1;cmp2=fenced:1/accepted/1"),
        ("its own old value", "1;cmp2=fenced:7/nonsense/1"),
        ("not there any more", "0"),
    ] {
        let attributes_of = [("ctl9", value), ("cmp1", "1")];
        let decision = decide(&mut Claims::new(TURN), "cmp1", &attributes_of, start);
        assert_eq!(decision, ReportingBridge::Mine, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_of_the_cluster_the_dc_goes_first() {
    let now = Instant::now();
    let mut claims = Claims::new(TURN);
    assert_eq!(
        claims.decide("ctl1", &mon(), None, "cmp2", "k", at(now)),
        ReportingBridge::Mine
    );
    let mut claims = Claims::new(TURN);
    assert_eq!(
        claims.decide("ctl2", &mon(), None, "cmp2", "k", at(now)),
        ReportingBridge::Wait
    );
    let later = now + TURN;
    let mut decision = || claims.decide("ctl2", &mon(), None, "cmp2", "k", at(later));
    assert_eq!(
        [decision(), decision()],
        [ReportingBridge::Wait, ReportingBridge::Mine],
        "it announces its intention first"
    );
}

/// Root on a hypervisor may write anything into the attribute of its own bridge, before the host dies or after.
/// Covers T8.
#[tokio::test(start_paused = true)]
async fn a_remote_that_claims_to_have_reported_silences_no_bridge() {
    for (name, lie) in [
        ("accepted", "1;cmp2=fenced:7/accepted/0"),
        ("what came after", "1;cmp2=started:fenced:8/accepted/0"),
        ("a later fencing", "1;cmp2=fenced:1795277600/accepted/0"),
        ("spooled", "1;cmp2=fenced:7/spooled/0"),
        ("intended", "1;cmp2=fenced:7/intended/0"),
    ] {
        let start = Instant::now();
        let attributes_of = [("cmp1", lie), ("ctl1", "1"), ("ctl2", "1"), ("cmp3", "1")];
        let decision = decide(&mut Claims::new(TURN), "ctl1", &attributes_of, start);
        assert_eq!(decision, ReportingBridge::Mine, "{name}: the bridge on the DC");
        // The other bridges on members report at their turn.
        assert!(reports_within(&attributes_of, "ctl2", 2), "{name}: a member");
        // With remotes only, the next in line waits longer, and reports.
        let remotes = [("cmp1", lie), ("cmp3", "1")];
        assert!(reports_within(&remotes, "cmp3", 5), "{name}: a remote");
    }
}

/// A counter that rises without end delays the others only for a limited time.
/// Covers T8.
#[tokio::test(start_paused = true)]
async fn a_remote_that_claims_to_work_on_it_for_ever_is_overtaken() {
    let start = Instant::now();
    let mut other = Claims::new(TURN);
    let reported = (0..20).find(|beat: &u32| {
        let claim = format!("1;cmp2=fenced:7/spooled/{beat}");
        let attributes_of = [("cmp1", claim.as_str()), ("cmp3", "1")];
        decide(&mut other, "cmp3", &attributes_of, start + TURN / 2 * *beat) == ReportingBridge::Mine
    });
    assert!(reported.is_some(), "it reports in the end");
}

/// A false attribute of the dead host, from any writer.
/// Covers T8.
#[tokio::test(start_paused = true)]
async fn no_node_is_believed_about_itself() {
    for who in ["ctl1", "cmp3"] {
        let lie = "1;cmp2=fenced:7/accepted/0";
        let attributes_of = [("cmp2", lie), ("ctl1", "1"), ("cmp3", "1")];
        assert!(reports_within(&attributes_of, who, 4), "{who}");
    }
}

/// Covers T8.
#[tokio::test(start_paused = true)]
async fn without_members_two_remotes_are_trusted() {
    let start = Instant::now();
    let attributes_of = [
        ("cmp1", "1;cmp2=fenced:7/accepted/3"),
        ("cmp4", "1;cmp2=fenced:7/accepted/0"),
        ("cmp3", "1"),
    ];
    assert_eq!(
        decide(&mut Claims::new(TURN), "cmp3", &attributes_of, start),
        ReportingBridge::Reported("cmp1".to_owned())
    );
    let strangers = attributes_of.map(|(bridge, value)| (bridge.replace("cmp", "x"), value));
    let strangers: Vec<_> = strangers
        .iter()
        .map(|(bridge, value)| (bridge.as_str(), *value))
        .collect();
    assert!(
        reports_within(&strangers, "cmp3", 5),
        "names that the cluster does not know"
    );
}

/// Returns whether the bridge on `me` reports within this many turns while all others keep their attributes.
fn reports_within(attributes_of: &[(&str, &str)], me: &str, turns: u32) -> bool {
    let start = Instant::now();
    let mut claims = Claims::new(TURN);
    (0..=turns * 4).any(|quarter| {
        decide(&mut claims, me, attributes_of, start + TURN / 4 * quarter) == ReportingBridge::Mine
    })
}
