use tachi_domain::ServiceId;
use uuid::Uuid;

use super::*;

const OURS: &str = "live drill [tachi drain 1]";

fn service(enabled: bool, reason: Option<&str>) -> Service {
    Service {
        id: ServiceId(Uuid::from_u128(7)),
        host: "c1".into(),
        enabled,
        disabled_reason: reason.map(str::to_owned),
        up: true,
        forced_down: false,
        last_heartbeat: None,
        nova_now: None,
    }
}

fn closed() -> Made {
    Made::Closed(OURS.into())
}

/// Covers R30.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn only_what_the_drill_has_made_of_the_service_is_put_back() {
    let leave = |text: &str| ServiceDecision::Leave(text.into());
    let (open, drained) = (
        service(true, None),
        service(false, Some("firmware [tachi drain 9]")),
    );
    let broken = "it is disabled (RAID controller is broken)";
    let other = || Some(service(false, Some("RAID controller is broken")));
    let ours = || Some(service(false, Some(OURS)));
    let with = |change: fn(&mut Service), shown: Option<Service>| {
        let mut shown = shown.unwrap();
        change(&mut shown);
        Some(shown)
    };
    let down: fn(&mut Service) = |shown| shown.up = false;
    let forced: fn(&mut Service) = |shown| shown.forced_down = true;
    let cases = [
        (
            "nothing was changed",
            &open,
            Made::Nothing,
            other(),
            ServiceDecision::Same,
        ),
        (
            "closed by the drill",
            &open,
            closed(),
            ours(),
            ServiceDecision::PutBack,
        ),
        (
            "the closing came to nothing",
            &open,
            closed(),
            Some(open.clone()),
            ServiceDecision::Same,
        ),
        ("a person's reason", &open, closed(), other(), leave(broken)),
        (
            "no reason",
            &open,
            closed(),
            Some(service(false, None)),
            leave("it is disabled (no reason given)"),
        ),
        (
            "forced down",
            &open,
            closed(),
            with(forced, ours()),
            leave("it is forced down"),
        ),
        (
            "dead",
            &open,
            closed(),
            with(down, ours()),
            leave("Nova shows it down"),
        ),
        (
            "not there",
            &open,
            closed(),
            None,
            leave("Nova has no nova-compute on it"),
        ),
        (
            "of a drained host",
            &drained,
            closed(),
            ours(),
            ServiceDecision::PutBack,
        ),
        (
            "opened by the drill",
            &drained,
            Made::Opened,
            Some(open.clone()),
            ServiceDecision::PutBack,
        ),
        (
            "opened, and not closed",
            &drained,
            closed(),
            Some(open.clone()),
            ServiceDecision::PutBack,
        ),
        (
            "the opening came to nothing",
            &drained,
            Made::Opened,
            Some(drained.clone()),
            ServiceDecision::Same,
        ),
        (
            "opened, then a person's reason",
            &drained,
            Made::Opened,
            other(),
            leave(broken),
        ),
        (
            "closed, then a person's reason",
            &drained,
            closed(),
            other(),
            leave(broken),
        ),
    ];
    for (case, was, made, shown, expected) in cases {
        assert_eq!(verdict(was, &made, shown.as_ref()), expected, "{case}");
    }
}

/// Covers R30.
#[test]
fn the_drill_changes_no_service_that_is_not_as_it_knows_it() {
    let open = service(true, None);
    assert_eq!(unlike(Some(&open), true, None), None);
    // Nova keeps the last reason of an enabled service no longer; whatever it shows says nothing.
    assert_eq!(unlike(Some(&service(true, Some("old"))), true, None), None);
    let other = service(false, Some("mine"));
    assert_eq!(
        unlike(Some(&other), true, None).as_deref(),
        Some("it is disabled (mine)")
    );
    assert_eq!(
        unlike(Some(&other), false, Some(OURS)).as_deref(),
        Some("it is disabled (mine)")
    );
    assert_eq!(unlike(Some(&other), false, Some("mine")), None);
    assert!(unlike(None, true, None).is_some());
}
