use tachi_domain::entity::notification::NotificationType::ComputeHost;
use tachi_domain::entity::notification::{NewNotification, NotificationStatus};
use tachi_domain::guard::MutingPolicy;
use tachi_domain::recovery::Life;
use tachi_engine::ports::journal::{Write, WriteOutcome};
use tachi_engine::ports::{Journal as _, Notifications as _, OperatorJournal as _, RegistryError};

use super::*;
use crate::testing::{Bench, all, notification};

const HOSTS: [&str; 6] = ["cmp1", "cmp2", "cmp3", "cmp4", "cmp5", "cmp6"];

async fn bench(hosts: usize) -> Bench {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    for name in &HOSTS[..hosts] {
        bench.host(&segment, name).await;
    }
    bench
}

fn bound_to(host: &str) -> Reporter {
    Reporter {
        user_id: format!("user of {host}"),
        host: Some(host.into()),
        ..Reporter::default()
    }
}

fn control(user: &str) -> Reporter {
    Reporter {
        user_id: user.into(),
        control: true,
        ..Reporter::default()
    }
}

fn says(bench: &Bench, reporter: &Reporter, host: &str) -> NewNotification {
    let payload = [("event", "STOPPED"), ("host_status", "UNKNOWN")];
    NewNotification {
        reporter: Some(Box::new(reporter.clone())),
        ..notification(ComputeHost, host, bench.clock_wall(), &payload)
    }
}

/// Ends a recovery as contradicted: the host was up in Nova all the time, so its reporters were wrong.
async fn contradicted(bench: &Bench, reporter: &Reporter, host: &str) -> Vec<MutedReporter> {
    bench.clock.set_wall_on(200);
    bench.accept(&says(bench, reporter, host)).await.unwrap();
    let claimed = bench.claim_newest("engine").await;
    let write = Write {
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Failed, None)),
        ..Write::default()
    };
    let written = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &write)
        .await
        .unwrap();
    assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
    let changed = bench
        .store
        .journal()
        .contradicted(claimed.id, MutingPolicy::default())
        .await
        .unwrap();
    let again = bench
        .store
        .journal()
        .contradicted(claimed.id, MutingPolicy::default())
        .await
        .unwrap();
    assert!(again.is_empty(), "counted once: {again:?}");
    changed
}

async fn muted_list(bench: &Bench) -> Vec<(String, bool)> {
    let listed = bench.store.operator_journal().muted_reporters().await.unwrap();
    listed
        .into_iter()
        .map(|muted| {
            (
                muted.reporter.host.unwrap_or(muted.reporter.user_id),
                muted.is_muted,
            )
        })
        .collect()
}

/// Covers T4.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one sequence of events")]
async fn a_reporter_contradicted_repeatedly_is_muted_and_others_still_count() {
    let bench = bench(6).await;
    let contradicted_reporter = bound_to("cmp6");
    assert!(
        contradicted(&bench, &contradicted_reporter, "cmp1")
            .await
            .is_empty()
    );
    assert!(
        contradicted(&bench, &contradicted_reporter, "cmp2")
            .await
            .is_empty()
    );
    let changed = contradicted(&bench, &contradicted_reporter, "cmp3").await;
    assert_eq!(changed.len(), 1);
    assert!(changed[0].is_muted);
    assert!(
        changed[0].why.contains("3 times") && changed[0].why.contains("cmp1, cmp2, cmp3"),
        "{}",
        changed[0].why
    );

    // Its reports are stored and shown, and start nothing.
    bench.clock.set_wall_on(200);
    let before = bench
        .store
        .operator_journal()
        .recoveries(true)
        .await
        .unwrap()
        .len();
    let kept = bench
        .accept(&says(&bench, &contradicted_reporter, "cmp4"))
        .await
        .unwrap();
    assert_eq!(kept.status, NotificationStatus::Ignored);
    assert!(
        kept.message.as_deref().unwrap().contains("is muted"),
        "{:?}",
        kept.message
    );
    assert!(kept.reporter.unwrap().muted);
    let repeated = bench.accept(&says(&bench, &contradicted_reporter, "cmp4")).await;
    assert!(matches!(repeated, Err(RegistryError::Duplicate)), "{repeated:?}");
    assert_eq!(
        bench
            .store
            .operator_journal()
            .recoveries(true)
            .await
            .unwrap()
            .len(),
        before
    );
    assert_eq!(
        bench.store.operator_journal().muted_reporters().await.unwrap()[0].ignored_reports,
        1
    );

    // Another reporter's report of the same failure at the same time is not a repetition of it.
    let real = bench
        .accept(&says(&bench, &bound_to("cmp5"), "cmp4"))
        .await
        .unwrap();
    assert_eq!(real.status, NotificationStatus::New);
    assert_eq!(
        bench
            .store
            .operator_journal()
            .recoveries(true)
            .await
            .unwrap()
            .len(),
        before + 1
    );
    // The muted reporter's report does not join the others.
    bench.clock.set_wall_on(200);
    bench
        .accept(&says(&bench, &contradicted_reporter, "cmp4"))
        .await
        .unwrap();
    let claimed = bench.claim_newest("engine").await;
    let history = bench
        .store
        .operator_journal()
        .history(claimed.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(history.reporters.len(), 1, "{:?}", history.reporters);

    // An operator unmutes the reporter; its contradictions are counted from zero.
    let number = bench.store.operator_journal().muted_reporters().await.unwrap()[0].number;
    let lifted = bench
        .store
        .operator_journal()
        .unmute_reporter(number)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(lifted.ignored_reports, 2);
    assert_eq!(
        bench
            .store
            .operator_journal()
            .unmute_reporter(number)
            .await
            .unwrap(),
        None
    );
    assert!(
        contradicted(&bench, &contradicted_reporter, "cmp1")
            .await
            .is_empty()
    );
    assert_eq!(muted_list(&bench).await, []);
}

/// Covers T4.
#[tokio::test]
async fn concurrent_reports_are_distinguished_by_whether_their_reporter_is_muted() {
    use NotificationStatus::{Ignored, New};
    let bench = bench(6).await;
    let contradicted_reporter = bound_to("cmp6");
    for host in ["cmp1", "cmp2", "cmp3"] {
        contradicted(&bench, &contradicted_reporter, host).await;
    }
    bench.clock.set_wall_on(200);
    let honest = bound_to("cmp5");
    let reports: Vec<NewNotification> = [
        (&contradicted_reporter, "cmp1"),
        (&honest, "cmp2"),
        (&contradicted_reporter, "cmp3"),
        (&honest, "cmp4"),
    ]
    .map(|(who, host)| says(&bench, who, host))
    .into();
    let accepted = futures_util::future::join_all(reports.iter().map(|report| bench.accept(report))).await;
    let statuses: Vec<NotificationStatus> = accepted
        .into_iter()
        .map(|accepted_report| accepted_report.unwrap().status)
        .collect();
    assert_eq!(statuses, [Ignored, New, Ignored, New]);
}

/// Covers T4.
#[tokio::test]
async fn a_flapping_nova_mutes_no_more_than_a_share_and_raises_an_alarm() {
    let bench = bench(4).await;
    for reporter in ["cmp1", "cmp2", "cmp3", "cmp4"] {
        for host in ["cmp1", "cmp2", "cmp3"] {
            contradicted(&bench, &bound_to(reporter), host).await;
        }
    }
    let expected = [("cmp1", true), ("cmp2", false), ("cmp3", false), ("cmp4", false)];
    assert_eq!(
        muted_list(&bench).await,
        expected.map(|(name, aside)| (name.to_owned(), aside))
    );
    bench.clock.set_wall_on(200);
    let real = bench
        .accept(&says(&bench, &bound_to("cmp2"), "cmp4"))
        .await
        .unwrap();
    assert_eq!(
        real.status,
        NotificationStatus::New,
        "it is stored, and starts a recovery"
    );
}

/// Covers T4.
#[tokio::test]
async fn the_only_reporter_of_the_control_nodes_is_never_muted() {
    for (controls, expected) in [(1, false), (2, false), (3, true)] {
        let bench = bench(6).await;
        for number in 0..controls {
            let one = control(&format!("other {number}"));
            if number > 0 {
                bench.accept(&says(&bench, &one, "cmp6")).await.ok();
            }
            bench.clock.set_wall_on(200);
        }
        for host in ["cmp1", "cmp2", "cmp3"] {
            contradicted(&bench, &control("monitor"), host).await;
        }
        assert_eq!(
            muted_list(&bench).await,
            [("monitor".to_owned(), expected)],
            "{controls} of them"
        );
    }
}

/// Covers T4.
#[tokio::test]
async fn contradictions_about_one_host_or_from_long_ago_mute_no_reporter() {
    let bench = bench(6).await;
    for _ in 0..5 {
        contradicted(&bench, &bound_to("cmp6"), "cmp1").await;
    }
    assert_eq!(muted_list(&bench).await, []);
    bench.clock.set_wall_on(3_600);
    contradicted(&bench, &bound_to("cmp6"), "cmp2").await;
    contradicted(&bench, &bound_to("cmp6"), "cmp3").await;
    assert_eq!(muted_list(&bench).await, []);
    assert!(
        !bench
            .store
            .registry()
            .list_notifications(&all())
            .await
            .unwrap()
            .is_empty()
    );
}

/// Covers T2.
#[tokio::test]
async fn a_muted_reporter_corroborates_no_open_recovery() {
    let bench = bench(6).await;
    let contradicted_reporter = bound_to("cmp6");
    bench
        .accept(&says(&bench, &contradicted_reporter, "cmp5"))
        .await
        .unwrap();
    for host in ["cmp1", "cmp2", "cmp3"] {
        contradicted(&bench, &contradicted_reporter, host).await;
    }
    let standing = bench
        .store
        .journal()
        .host_records(std::time::Duration::from_mins(1))
        .await
        .unwrap();
    let reporters: Vec<Reporter> = standing.reporters.into_values().flatten().collect();
    assert!(
        reporters.iter().all(|reporter| reporter.muted) && reporters.len() == 1,
        "{reporters:?}"
    );
}

/// Covers R31.
#[tokio::test]
async fn another_attempt_drops_the_evidence_of_a_reporter_that_is_muted_by_now() {
    let bench = bench(6).await;
    let contradicted_reporter = bound_to("cmp6");
    let at = bench.clock_wall();
    let json = include_bytes!("../../../../docs/examples/fence-evidence.json");
    let mut evidence = tachi_domain::evidence::FenceEvidence::from_json(json).unwrap();
    (evidence.completed_at, evidence.observed_at) = (at, at);
    let given = tachi_domain::evidence::GivenEvidence {
        evidence,
        by: "bridge".into(),
        generated: at,
        arrived: at,
    };
    let new = NewNotification {
        evidence: Some(Box::new(given)),
        reporter: Some(Box::new(contradicted_reporter.clone())),
        ..crate::testing::stopped("cmp4", at)
    };
    bench.accept(&new).await.unwrap();
    let claimed = bench.claim_newest("engine").await;
    assert!(claimed.operator_state.off_claim.is_some());
    let write = Write {
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Failed, None)),
        ..Write::default()
    };
    let journal = bench.store.journal();
    let _ = journal
        .commit_at(claimed.id, claimed.epoch, &write)
        .await
        .unwrap();
    let mut changed = Vec::new();
    for host in ["cmp1", "cmp2", "cmp3"] {
        changed = contradicted(&bench, &contradicted_reporter, host).await;
    }
    assert!(changed[0].is_muted);
    bench
        .store
        .operator_journal()
        .retry(claimed.id, "alice")
        .await
        .unwrap();
    let again = bench.claim_newest("engine").await;
    assert!(again.operator_state.off_claim.is_none(), "its reporter is muted");
    assert_eq!(again.notification.payload["host_status"], "UNKNOWN");
}
