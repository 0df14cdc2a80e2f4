//! Second failures within the window of the first: not a repetition if the subject ran in between.

use tachi_domain::Timestamp;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationType::{ComputeHost, Process, Vm};
use tachi_domain::entity::notification::{NewNotification, NotificationStatus};
use tachi_domain::evidence::{FenceEvidence, GivenEvidence};
use tachi_domain::recovery::Life;
use tachi_domain::situation::ComputeService;
use tachi_engine::ports::journal::{HostWrite, Write, WriteOutcome};
use tachi_engine::ports::{Fact, FactStore as _, Journal as _, OperatorJournal as _, RegistryError};
use tachi_engine::watcher::kind;

use crate::testing::{Bench, notification};

async fn bench() -> Bench {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    bench.host(&segment, "cmp1").await;
    bench
}

/// Ends the recovery of the newest report successfully. `running_again` is true if the subject was seen running.
async fn ends(bench: &Bench, running_again: bool) {
    let claimed = bench.claim_newest("engine").await;
    let write = Write {
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Finished, None)),
        running_again,
        ..Write::default()
    };
    let journal = bench.store.journal();
    let ended = journal.commit(&claimed.claim(), &write).await.unwrap();
    assert!(matches!(ended, WriteOutcome::Written(_)), "{ended:?}");
}

async fn is_accepted(bench: &Bench, new: &NewNotification) -> bool {
    match bench.accept(new).await {
        Ok(_) => true,
        Err(RegistryError::Duplicate) => false,
        Err(error) => panic!("{error:?}"),
    }
}

fn later(new: &NewNotification, bench: &Bench) -> NewNotification {
    NewNotification {
        generated_time: bench.clock_wall(),
        ..new.clone()
    }
}

/// Covers R19, EW16.
#[tokio::test]
async fn a_second_failure_is_accepted_once_what_failed_was_seen_running_again() {
    let host = [("event", "STOPPED"), ("host_status", "NORMAL")];
    let instance = [
        ("event", "LIFECYCLE"),
        ("instance_uuid", "x"),
        ("vir_domain_event", "STOPPED_FAILED"),
    ];
    for (kind, payload) in [(ComputeHost, &host[..]), (Vm, &instance)] {
        for running in [false, true] {
            let bench = bench().await;
            let first = notification(kind, "cmp1", bench.clock_wall(), payload);
            assert!(is_accepted(&bench, &first).await);
            bench.clock.set_wall_on(20);
            assert!(
                !is_accepted(&bench, &later(&first, &bench)).await,
                "{kind}: it is being seen to"
            );
            ends(&bench, running).await;
            bench.clock.set_wall_on(20);
            let second = later(&first, &bench);
            assert_eq!(is_accepted(&bench, &second).await, running, "{kind}");
            assert!(!is_accepted(&bench, &first).await, "{kind}: delivered once more");
            assert!(!is_accepted(&bench, &second).await, "{kind}: delivered once more");
            // No operator or engine has handled the second one.
            bench.clock.set_wall_on(20);
            assert!(!is_accepted(&bench, &later(&first, &bench)).await, "{kind}");
        }
    }
}

/// The time has whole seconds, as in a column that Masakari created.
/// Covers R19.
#[tokio::test]
async fn a_report_that_is_delivered_again_stays_a_repetition_whatever_was_seen_since() {
    let bench = bench().await;
    let payload = [("event", "LIFECYCLE"), ("instance_uuid", "x")];
    let first = notification(Vm, "cmp1", bench.clock_wall().whole_seconds(), &payload);
    assert!(is_accepted(&bench, &first).await);
    ends(&bench, true).await;
    for _ in 0..3 {
        bench.clock.set_wall_on(20);
        assert!(!is_accepted(&bench, &first).await);
    }
}

/// Covers R19, EW16.
#[tokio::test]
async fn a_process_that_was_reported_started_may_stop_again() {
    let bench = bench().await;
    let of = |bench: &Bench, event, process| {
        let payload = [("event", event), ("process_name", process)];
        notification(Process, "cmp1", bench.clock_wall(), &payload)
    };
    for (event, process, accepted) in [
        ("STOPPED", "libvirtd", true),
        ("STOPPED", "libvirtd", false),
        ("STARTED", "nova-compute", true),
        ("STOPPED", "libvirtd", false),
        ("STARTED", "libvirtd", true),
        ("STARTED", "libvirtd", false),
        ("STOPPED", "libvirtd", true),
        ("STOPPED", "libvirtd", false),
        ("STARTED", "libvirtd", true),
        ("STOPPED", "libvirtd", true),
    ] {
        bench.clock.set_wall_on(10);
        let new = of(&bench, event, process);
        assert_eq!(is_accepted(&bench, &new).await, accepted, "{event} of {process}");
        if accepted {
            ends(&bench, false).await;
        }
    }
}

/// Covers R19.
#[tokio::test]
async fn evidence_of_another_fencing_is_no_repetition_of_the_first() {
    let fenced = |bench: &Bench, at: Timestamp| {
        let json = include_bytes!("../../../../../docs/examples/fence-evidence.json");
        let mut evidence = FenceEvidence::from_json(json).unwrap();
        (evidence.completed_at, evidence.observed_at) = (at, at);
        let payload = [("event", "STOPPED"), ("host_status", "NORMAL")];
        NewNotification {
            evidence: Some(Box::new(GivenEvidence {
                evidence,
                by: "bridge".into(),
                generated: bench.clock_wall(),
                arrived: bench.clock_wall(),
            })),
            ..notification(ComputeHost, "cmp1", bench.clock_wall(), &payload)
        }
    };
    let bench = bench().await;
    let first = bench.clock_wall().minus_seconds(5);
    assert!(is_accepted(&bench, &fenced(&bench, first)).await);
    ends(&bench, false).await;
    bench.clock.set_wall_on(90);
    for (case, at, accepted) in [
        (
            "the same, as another reporter dates it",
            first.minus_seconds(-3),
            false,
        ),
        ("another", bench.clock_wall().minus_seconds(3), true),
    ] {
        assert_eq!(is_accepted(&bench, &fenced(&bench, at)).await, accepted, "{case}");
    }
}

/// The next attempt is a monitor's or an operator's report instead of a retry.
#[tokio::test]
async fn downtime_counts_from_the_first_report_also_if_the_next_attempt_is_a_report() {
    for (status, running_again, is_carried) in [
        (NotificationStatus::Failed, false, true),
        (NotificationStatus::Failed, true, false),
        (NotificationStatus::Finished, false, false),
    ] {
        let bench = bench().await;
        let stopped = [("event", "STOPPED"), ("host_status", "UNKNOWN")];
        let report = |bench: &Bench| notification(ComputeHost, "cmp1", bench.clock_wall(), &stopped);
        assert!(is_accepted(&bench, &report(&bench)).await);
        let mut first = None;
        for _ in 0..2 {
            let claimed = bench.claim_newest("engine").await;
            let ended = Write {
                life: Some(Life::Closed),
                notification: Some((status, None)),
                host: Some(HostWrite {
                    host: claimed.host.as_ref().unwrap().id,
                    why: MaintenanceReason::Recovery,
                }),
                running_again,
                ..Write::default()
            };
            let journal = bench.store.journal();
            let written = journal.commit(&claimed.claim(), &ended).await.unwrap();
            assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
            bench.clock.set_wall_on(3_600);
            assert!(is_accepted(&bench, &report(&bench)).await);
            let all = bench.store.operator_journal().recoveries(true).await.unwrap();
            let first = *first.get_or_insert_with(|| {
                let opened = all.iter().map(|recovery| recovery.opened_at);
                opened.min().unwrap()
            });
            let newest = all.iter().max_by_key(|recovery| recovery.opened_at).unwrap();
            let expected = if is_carried { first } else { newest.opened_at };
            assert_eq!(newest.first_reported_at, expected, "{status}, {running_again}");
        }
    }
}

/// A recovery that was aborted while on hold has not put its host in maintenance.
/// Covers D1.
#[tokio::test]
async fn downtime_counts_from_the_first_report_after_an_abort_on_hold_if_nova_has_shown_the_host_down_since()
{
    for (case, up, down_after, age, is_carried) in [
        ("down since the report", false, 60, 10, true),
        ("up at that time, and down since", false, 1_800, 10, false),
        ("up", true, 60, 10, false),
        ("down when it was last read", false, 60, 3_000, false),
    ] {
        for reports in [1, 2] {
            let bench = bench().await;
            let stopped = [("event", "STOPPED"), ("host_status", "UNKNOWN")];
            let report = |bench: &Bench| notification(ComputeHost, "cmp1", bench.clock_wall(), &stopped);
            assert!(is_accepted(&bench, &report(&bench)).await);
            let first = bench.store.operator_journal().recoveries(true).await.unwrap()[0].opened_at;
            let claimed = bench.claim_newest("engine").await;
            let aborted = Write {
                life: Some(Life::Closed),
                notification: Some((NotificationStatus::Failed, Some("aborted by ada".to_owned()))),
                ..Write::default()
            };
            let journal = bench.store.journal();
            let written = journal.commit(&claimed.claim(), &aborted).await.unwrap();
            assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
            bench.clock.set_wall_on(3_600);
            let compute = ComputeService {
                host: "cmp1".to_owned(),
                up,
                enabled: true,
                cell_down: false,
                ambiguous: false,
                drained: false,
                forced_down: false,
                since: first.minus_seconds(-down_after),
            };
            let known = Fact {
                kind: kind::COMPUTES.to_owned(),
                subject: String::new(),
                value: serde_json::to_string(&[compute]).unwrap(),
                as_of: bench.clock_wall().minus_seconds(age),
            };
            bench.store.facts().put_facts(&[known]).await.unwrap();
            // Two reports at once are accepted in one transaction.
            let segment = bench.segment("others").await;
            bench.host(&segment, "cmp9").await;
            let other = notification(ComputeHost, "cmp9", bench.clock_wall(), &stopped);
            let again = report(&bench);
            if reports == 1 {
                assert!(is_accepted(&bench, &again).await);
            } else {
                let both = tokio::join!(is_accepted(&bench, &again), is_accepted(&bench, &other));
                assert_eq!(both, (true, true), "{case}");
            }
            let all = bench.store.operator_journal().recoveries(true).await.unwrap();
            let of_host = all.iter().filter(|recovery| recovery.host == "cmp1");
            let newest = of_host.max_by_key(|recovery| recovery.opened_at).unwrap();
            let expected = if is_carried { first } else { newest.opened_at };
            assert_eq!(newest.first_reported_at, expected, "{case}, {reports}");
        }
    }
}
