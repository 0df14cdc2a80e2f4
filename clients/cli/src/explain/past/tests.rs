use std::collections::BTreeMap;

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::entity::{Notification, Stamps};
use tachi_domain::freeze::{Freeze, FreezeScope};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::refusal::RefusalReason;
use tachi_domain::{HostId, NotificationId, RecoveryId, Reporter, Wait, WaitsFor};
use tachi_engine::ports::engine_registry::{EngineHeartbeat, EngineRow};
use tachi_engine::ports::operator::{MoveCounts, RecoverySummary, StepLine};
use tachi_engine::ports::past::{Past, PastFreeze, PastRecovery, PastReport, RefusedReports, Span};
use tachi_engine::ports::refusals::RefusalCount;
use tachi_testkit::{TestTimeZone, utc};
use uuid::Uuid;

use super::*;

const NIGHT: &str = "11-23T03:05";

fn at(seconds: i64) -> Timestamp {
    utc(NIGHT).minus_seconds(-seconds)
}

fn span() -> Span {
    Span {
        from: at(-600),
        to: at(600),
    }
}

fn notification() -> NotificationId {
    NotificationId(Uuid::from_u128(0x0a3e))
}

fn report(status: NotificationStatus, message: &str) -> PastReport {
    let payload = [("event", "STOPPED"), ("host_status", "UNKNOWN")];
    PastReport {
        accepted_at: at(0),
        recovery: Some(RecoveryId(Uuid::from_u128(0xe241))),
        notification: Notification {
            row: 1,
            id: notification(),
            kind: NotificationType::ComputeHost,
            generated_time: at(-2),
            source_host: HostId(Uuid::nil()),
            segment: None,
            payload: payload
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            status,
            message: Some(message.to_owned()),
            reporter: Some(Box::new(Reporter {
                user_id: "5f0c".to_owned(),
                user_name: Some("monitor-001".to_owned()),
                host: Some("compute-001".to_owned()),
                ..Reporter::default()
            })),
            stamps: Stamps {
                created_at: at(0),
                updated_at: None,
            },
        },
    }
}

fn step(after: i64, kind: &str, text: &str) -> StepLine {
    StepLine {
        at: at(after),
        epoch: 1,
        task: "FenceHostTask".to_owned(),
        kind: kind.to_owned(),
        server: None,
        text: text.to_owned(),
    }
}

fn recovery(life: Life, status: &str, wait: WaitsFor, steps: Vec<StepLine>) -> PastRecovery {
    PastRecovery {
        summary: RecoverySummary {
            id: RecoveryId(Uuid::from_u128(0xe241)),
            notification: notification(),
            kind: RecoveryKind::Host,
            host: "compute-002".to_owned(),
            host_id: HostId(Uuid::nil()),
            segment: None,
            moves: MoveCounts::default(),
            life,
            status: status.to_owned(),
            wait: Some(Wait::bare(wait, at(3))),
            message: None,
            owner: None,
            opened_at: at(0),
            first_reported_at: at(0),
        },
        word: None,
        before: None,
        steps,
        more_steps: false,
    }
}

fn past(reports: Vec<PastReport>, recoveries: Vec<PastRecovery>) -> Past {
    Past {
        host: "compute-002".to_owned(),
        registered: true,
        maintenance: None,
        reports,
        refused: Some(RefusedReports {
            counted_since: Some(at(-86_400)),
            ..RefusedReports::default()
        }),
        recoveries,
        freezes: Vec::new(),
        more: false,
        engines: vec![EngineRow {
            heartbeat: EngineHeartbeat {
                name: "ctl-1:812".to_owned(),
                version: "0.9.0".to_owned(),
                started_at: at(-86_400),
                facts: BTreeMap::new(),
            },
            seen_at: at(7_200),
            beat: 9,
        }],
        oldest: Some(at(-7 * 86_400)),
        read_at: at(7_200),
    }
}

fn rendered(past: &Past) -> String {
    lines(&PastView::of(past, span()), &View::bare(at(7_200))).join("\n")
}

const REFUSED: &str = "  ? reports without a valid token, or whose host could not be read: they are not counted; the access log of \
                       each API has them (400, 401, 403)";
const SILENT: &str = "  ? if an engine was silent then: the registry has only the last heartbeat of each";

/// Somebody put the host in maintenance between the report and the engine's look at it.
#[test]
fn explain_at_golden_a_report_was_ignored_because_the_host_was_on_maintenance() {
    let why = "host compute-002 is in maintenance, set by an operator";
    let ended = recovery(
        Life::Closed,
        "ignored",
        WaitsFor::Nothing,
        vec![step(1, "note", why)],
    );
    let mut past = past(vec![report(NotificationStatus::Ignored, why)], vec![ended]);
    past.maintenance = Some((MaintenanceReason::Operator, Some(at(-60))));
    let expected = [
        "host compute-002 from 2026-11-23T02:55:00Z to 2026-11-23T03:15:00Z: 1 report accepted, 1 recovery, no freeze",
        "2026-11-23T03:05:00Z report of monitor-001 (bound to compute-001): COMPUTE_HOST (event STOPPED, host_status UNKNOWN)",
        "    noticed at 2026-11-23T03:04:58Z",
        "    accepted, then ignored: host compute-002 is in maintenance, set by an operator",
        "    -> tachi recovery show 00000000-0000-0000-0000-00000000e241",
        "2026-11-23T03:05:00Z recovery 00000000-0000-0000-0000-00000000e241 of host opened; now: closed, ignored",
        "    2026-11-23T03:05:01Z note: host compute-002 is in maintenance, set by an operator",
        "engine ctl-1:812: running since 2026-11-22T03:05:00Z, and has sent heartbeats since",
        "now: the host is in maintenance (operator)",
        "not known:",
        REFUSED,
        "  ? when its maintenance started; its row was changed last at 2026-11-23T03:04:00.000Z: `tachi audit show --host \
         compute-002` on each machine of the API and of an engine has each change and who made it",
        SILENT,
    ];
    assert_eq!(rendered(&past), expected.join("\n"));
}

/// A guard held it, nobody answered for hours, and then it was given up.
#[test]
fn explain_at_golden_a_report_was_held_by_a_guard_and_given_up() {
    let held = "on hold: 2 of the segment's 4 hosts are out";
    let mut ended = recovery(
        Life::Closed,
        "failed",
        WaitsFor::Nothing,
        vec![
            step(1, "note", "host compute-002 is reported down"),
            step(3, "note", held),
        ],
    );
    ended.word = Some(("reject".to_owned(), "alice (too late)".to_owned(), at(5 * 3_600)));
    let mut frozen_past = past(
        vec![report(NotificationStatus::Failed, "given up by alice (too late)")],
        vec![ended],
    );
    frozen_past.freezes.push(PastFreeze {
        freeze: Freeze {
            number: 1,
            scope: FreezeScope::Segment,
            name: "rack-a".to_owned(),
            until: at(300),
            by: "bob".to_owned(),
            reason: "switch".to_owned(),
            unless_worse: false,
        },
        since: at(-3_600),
        ended: Some((at(-300), "bob".to_owned())),
    });
    let text = rendered(&frozen_past);
    let expected = [
        "host compute-002 from 2026-11-23T02:55:00Z to 2026-11-23T03:15:00Z: 1 report accepted, 1 recovery, 1 freeze",
        "2026-11-23T03:05:00Z report of monitor-001 (bound to compute-001): COMPUTE_HOST (event STOPPED, host_status UNKNOWN)",
        "    noticed at 2026-11-23T03:04:58Z",
        "    accepted; it failed: given up by alice (too late)",
        "    -> tachi recovery show 00000000-0000-0000-0000-00000000e241",
        "2026-11-23T03:05:00Z recovery 00000000-0000-0000-0000-00000000e241 of host opened; now: closed, failed",
        "    2026-11-23T03:05:01Z note: host compute-002 is reported down",
        "    2026-11-23T03:05:03Z note: on hold: 2 of the segment's 4 hosts are out",
        "2026-11-23T02:05:00Z freeze of segment rack-a, ended at 2026-11-23T03:00:00Z (bob), by bob: switch",
        "engine ctl-1:812: running since 2026-11-22T03:05:00Z, and has sent heartbeats since",
        "not known:",
        REFUSED,
        "  ? if it was in maintenance then; now it is not: `tachi audit show --host compute-002` on each machine of the API and of \
         an engine has each change and who made it",
        SILENT,
    ];
    assert_eq!(text, expected.join("\n"));

    // As long as nobody has answered.
    frozen_past.reports[0].notification.status = NotificationStatus::Running;
    frozen_past.reports[0].notification.message = Some(held.to_owned());
    frozen_past.recoveries[0].summary.wait = Some(Wait::bare(WaitsFor::Approval, at(3)));
    let text = rendered(&frozen_past);
    assert!(
        text.contains("    accepted; on hold since 2026-11-23T03:05:03.000Z: on hold: 2 of"),
        "{text}"
    );
}

#[test]
fn what_is_not_kept_is_said_and_nothing_is_made_up() {
    let mut nothing = past(Vec::new(), Vec::new());
    nothing.registered = false;
    nothing.engines.clear();
    nothing.oldest = Some(at(86_400));
    nothing.read_at = at(40 * 86_400);
    let text = rendered(&nothing);
    for expected in [
        "no report accepted, no recovery, no freeze",
        "the oldest stored report of any host is of 2026-11-24T03:05:00.000Z; older ones were purged",
        "when it was removed from its segment",
        "freezes that ended more than 30 days ago",
        "if an engine was running then: every engine that is registered now started later",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let mut muted = report(
        NotificationStatus::Ignored,
        "its reporter is muted, so no recovery was started: tachi monitor list --muted",
    );
    muted.recovery = None;
    if let Some(who) = muted.notification.reporter.as_mut() {
        who.muted = true;
    }
    let mut unheard = report(NotificationStatus::Finished, "3 instances moved");
    if let Some(who) = unheard.notification.reporter.as_mut() {
        who.discarded_status = Some("NORMAL".to_owned());
    }
    let text = rendered(&past(vec![muted, unheard], Vec::new()));
    assert!(
        text.contains("    stored, without starting a recovery: its reporter is muted"),
        "{text}"
    );
    assert!(
        text.contains("(its claim that the host is NORMAL was discarded"),
        "{text}"
    );
}

#[test]
fn a_time_is_the_last_one_that_has_passed_on_the_clock_that_is_read() {
    let now = utc("11-23T09:00");
    for (text, expected) in [
        ("03:05", Some("11-23T02:05")),
        (" 3:05", Some("11-23T02:05")),
        ("10:00", Some("11-23T09:00")),
        ("10:01", Some("11-22T09:01")),
        ("2026-11-22 03:05", Some("11-22T02:05")),
        ("2026-11-22T03:05:00", Some("11-22T02:05")),
        ("2026-11-22T03:05:00Z", Some("11-22T03:05")),
        ("2026-10-25 02:30", Some("10-25T00:30")),
        ("2026-11-23 10:01", None),
        ("25:00", None),
        ("03:05\u{1b}", None),
        ("", None),
    ] {
        let read = time(text, now, &TestTimeZone);
        assert_eq!(
            read.as_ref().ok(),
            expected.map(utc).as_ref(),
            "{text:?}: {read:?}"
        );
    }
    assert!(
        time("2026-11-23 10:01", now, &TestTimeZone)
            .unwrap_err()
            .ends_with("has not passed yet")
    );
}

/// Nothing was accepted: the host was in maintenance, and its cluster went on telling that it is dead.
#[test]
fn explain_at_golden_reports_were_refused() {
    let mut past = past(Vec::new(), Vec::new());
    let refusals = |reporter: &str, reason, times, until| RefusalCount {
        kind: NotificationType::ComputeHost,
        reporter: reporter.to_owned(),
        reason,
        times,
        first_at: at(0),
        last_at: at(until),
    };
    past.refused = Some(RefusedReports {
        refusals: vec![
            refusals(
                "monitor-001 (bound to compute-001)",
                RefusalReason::OnMaintenance,
                24,
                240,
            ),
            refusals("", RefusalReason::UnknownHost, 1, 0),
        ],
        of_others: 9,
        counted_since: Some(at(-60)),
    });
    let text = rendered(&past);
    let expected = [
        "host compute-002 from 2026-11-23T02:55:00Z to 2026-11-23T03:15:00Z: no report accepted, 25 refused, no recovery, no freeze",
        "2026-11-23T03:05:00Z report of monitor-001 (bound to compute-001): COMPUTE_HOST",
        "    not accepted 24 times until 2026-11-23T03:09:00Z: the host was in maintenance (409)",
        "2026-11-23T03:05:00Z report of an unknown reporter: COMPUTE_HOST",
        "    not accepted: no host was registered under this name (400)",
        "engine ctl-1:812: running since 2026-11-22T03:05:00Z, and has sent heartbeats since",
        "not known:",
        REFUSED,
        "  ? reports that were not accepted before 2026-11-23T03:04:00.000Z: they are counted since then; the access log of each \
         API has them",
        "  ? the hosts of 9 refused reports of that time: there were too many to store each; the access log of each API has them",
    ];
    assert!(text.starts_with(&expected.join("\n")), "{text}");
    past.refused = None;
    let text = rendered(&past);
    assert!(
        text.contains("the database's user may not read them (`tachi db grants`)"),
        "{text}"
    );
}
