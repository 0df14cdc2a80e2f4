//! Reports of a host with an open recovery that add information to the first one.

use std::time::Duration;

use tachi_domain::Reporter;
use tachi_domain::entity::Host;
use tachi_domain::entity::notification::NotificationType::ComputeHost;
use tachi_domain::entity::notification::{NewNotification, NotificationStatus};
use tachi_domain::evidence::{FenceEvidence, GivenEvidence};
use tachi_domain::recovery::Life;
use tachi_engine::ports::journal::{Write, WriteOutcome};
use tachi_engine::ports::{Journal as _, OperatorJournal as _, RegistryError};
use tokio::task::JoinSet;

use crate::testing::{Bench, notification};

fn says(bench: &Bench, host_status: &str) -> NewNotification {
    let payload = [("event", "STOPPED"), ("host_status", host_status)];
    notification(ComputeHost, "cmp1", bench.clock_wall(), &payload)
}

/// Creates a host that is reported, without a claim that it is off.
async fn suspected() -> (Bench, Host) {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.accept(&says(&bench, "UNKNOWN")).await.unwrap();
    (bench, host)
}

/// Returns the write that ends a recovery for lack of that claim.
fn ignoring() -> Write {
    Write {
        life: Some(Life::Closed),
        notification: Some((
            NotificationStatus::Ignored,
            Some("no reporter claims that it is off".into()),
        )),
        unless_joined: true,
        unless_evidence: true,
        ..Write::default()
    }
}

async fn joins(bench: &Bench, host_status: &str) {
    let error = bench.accept(&says(bench, host_status)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Duplicate), "{error:?}");
}

/// Covers R19, EW16.
#[tokio::test]
async fn normal_after_unknown_joins_the_recovery_that_no_engine_has_claimed_yet() {
    let (bench, _) = suspected().await;
    joins(&bench, "UNKNOWN").await;
    assert!(
        !bench.claim_newest("engine").await.operator_state.joined_normal,
        "it adds nothing"
    );
    let (bench, _) = suspected().await;
    joins(&bench, "normal").await;
    joins(&bench, "NORMAL").await;
    assert!(bench.claim_newest("engine").await.operator_state.joined_normal);
}

/// Returns a report of a host that was fenced at that time, according to its reporter.
fn fenced(bench: &Bench, seconds_ago: i64) -> NewNotification {
    let json = include_bytes!("../../../../../docs/examples/fence-evidence.json");
    let mut evidence = FenceEvidence::from_json(json).unwrap();
    let now = bench.clock_wall();
    evidence.completed_at = now.minus_seconds(seconds_ago);
    evidence.observed_at = evidence.completed_at;
    let given = GivenEvidence {
        evidence,
        by: "bridge".into(),
        generated: now,
        arrived: now,
    };
    NewNotification {
        evidence: Some(Box::new(given)),
        ..says(bench, "NORMAL")
    }
}

/// Covers R18.
#[tokio::test]
async fn evidence_is_kept_with_the_report_that_opens_a_recovery() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    bench.host(&segment, "cmp1").await;
    let new = fenced(&bench, 7);
    bench.accept(&new).await.unwrap();
    for engine in ["engine", "other"] {
        let claimed = bench.claim_newest(engine).await;
        let off_claim = claimed.operator_state.off_claim.unwrap();
        assert_eq!(off_claim.evidence, new.evidence, "{engine}");
        assert_eq!(
            off_claim.dated,
            new.evidence.as_ref().unwrap().dated(),
            "not by its report's time"
        );
        bench
            .store
            .journal()
            .release_at(claimed.id, claimed.epoch)
            .await
            .unwrap();
    }
}

/// Covers R18.
#[tokio::test]
async fn evidence_of_a_report_that_joins_applies_and_the_later_one_counts() {
    let (bench, _) = suspected().await;
    bench.accept(&says(&bench, "NORMAL")).await.unwrap_err();
    let off_claim = bench
        .claim_newest("engine")
        .await
        .operator_state
        .off_claim
        .unwrap();
    assert_eq!((off_claim.dated, off_claim.evidence), (bench.clock_wall(), None));
    let (later, earlier) = (fenced(&bench, 3), fenced(&bench, 30));
    for report in [&earlier, &later, &earlier] {
        let error = bench.accept(report).await.unwrap_err();
        assert!(matches!(error, RegistryError::Duplicate), "{error:?}");
    }
    let off_claim = bench
        .claim_newest("engine")
        .await
        .operator_state
        .off_claim
        .unwrap();
    assert_eq!(off_claim.evidence, later.evidence);
}

/// Covers R19, EW16.
#[tokio::test]
async fn a_recovery_does_not_end_with_an_unread_report() {
    let (bench, _) = suspected().await;
    let claimed = bench.claim_newest("engine").await;
    assert!(!claimed.operator_state.joined_normal);
    joins(&bench, "NORMAL").await;
    let refused = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &ignoring())
        .await
        .unwrap();
    assert_eq!(refused, WriteOutcome::Joined);
    let WriteOutcome::Written(operator_state) = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &Write::default())
        .await
        .unwrap()
    else {
        panic!("still held");
    };
    assert!(operator_state.joined_normal);
    let again = bench.claim_newest("other").await;
    assert_eq!(again.notification.status, NotificationStatus::Running);
    assert!(again.operator_state.joined_normal);
}

/// Covers R19.
#[tokio::test]
async fn unread_evidence_prevents_that_a_report_without_evidence_is_ignored() {
    let (bench, _) = suspected().await;
    joins(&bench, "NORMAL").await;
    let claimed = bench.claim_newest("engine").await;
    assert!(claimed.operator_state.joined_normal);
    let joins_normal = Write {
        unless_joined: false,
        ..ignoring()
    };
    bench.accept(&fenced(&bench, 3)).await.unwrap_err();
    let commit = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &joins_normal);
    assert_eq!(commit.await.unwrap(), WriteOutcome::Joined);
    let again = bench.claim_newest("other").await;
    assert!(again.operator_state.off_claim.unwrap().evidence.is_some());
}

/// Covers R19, EW16.
#[tokio::test]
async fn normal_after_an_ignored_unknown_is_accepted() {
    let (bench, _) = suspected().await;
    let claimed = bench.claim_newest("engine").await;
    let ended = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &ignoring())
        .await
        .unwrap();
    assert!(matches!(ended, WriteOutcome::Written(_)), "{ended:?}");
    bench.accept(&says(&bench, "NORMAL")).await.unwrap();
}

/// Three reporters: a control node that lies, one that has no evidence yet, and one that repeats its claim.
/// Covers T4, R19.
#[tokio::test]
async fn after_an_ignored_report_evidence_and_other_reporters_are_accepted() {
    let by = |bench: &Bench, user: &str| NewNotification {
        reporter: Some(Box::new(Reporter {
            user_id: user.into(),
            control: true,
            ..Reporter::default()
        })),
        ..says(bench, "NORMAL")
    };
    // (case, reporter, with evidence, accepted)
    for (case, who, evidence, accepted) in [
        ("the same", Some("one"), false, false),
        ("another", Some("other"), false, true),
        ("the same, with evidence", Some("one"), true, true),
        ("the reporter is unknown", None, false, false),
    ] {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        bench.host(&segment, "cmp1").await;
        bench.accept(&by(&bench, "one")).await.unwrap();
        let claimed = bench.claim_newest("engine").await;
        let _ = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &ignoring())
            .await
            .unwrap();
        bench.clock.set_wall_on(100);
        let again = NewNotification {
            evidence: fenced(&bench, 3).evidence.filter(|_| evidence),
            ..who.map_or_else(|| says(&bench, "NORMAL"), |who| by(&bench, who))
        };
        match bench.accept(&again).await {
            Ok(_) => assert!(accepted, "{case}"),
            Err(error) => assert!(
                !accepted && matches!(error, RegistryError::Duplicate),
                "{case}: {error:?}"
            ),
        }
    }
}

/// Covers R19.
#[tokio::test]
async fn a_new_owner_reads_what_the_previous_owner_had_read() {
    let (bench, _) = suspected().await;
    joins(&bench, "NORMAL").await;
    let first = bench.claim_newest("engine").await;
    bench
        .store
        .journal()
        .release_at(first.id, first.epoch)
        .await
        .unwrap();
    assert!(bench.claim_newest("other").await.operator_state.joined_normal);
}

/// Covers R19, EW16.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_report_concurrent_with_the_end_is_not_lost() {
    for round in 0..20 {
        let (bench, _) = suspected().await;
        let claimed = bench.claim_newest("engine").await;
        let report = says(&bench, "NORMAL");
        let (store, other) = (bench.store.clone(), bench.another().await);
        let mut both = JoinSet::new();
        let (id, epoch) = (claimed.id, claimed.epoch);
        both.spawn(async move {
            let ended = store.journal().commit_at(id, epoch, &ignoring()).await.unwrap();
            matches!(ended, WriteOutcome::Written(_))
        });
        both.spawn(async move {
            use tachi_engine::ports::Reports as _;
            let accepted = other
                .registry()
                .accept_notification(&report, 180, report.generated_time)
                .await;
            assert!(
                matches!(accepted, Ok(_) | Err(RegistryError::Duplicate)),
                "{accepted:?}"
            );
            accepted.is_ok()
        });
        let outcomes = both.join_all().await;
        assert_eq!(
            outcomes[0], outcomes[1],
            "round {round}: ended {outcomes:?} accepted"
        );
    }
}

/// Returns the report of a reporter on `host`.
fn from(host: &str, report: NewNotification) -> NewNotification {
    let reporter = Reporter {
        user_id: format!("user of {host}"),
        host: Some(host.into()),
        ..Reporter::default()
    };
    NewNotification {
        reporter: Some(Box::new(reporter)),
        ..report
    }
}

async fn reported_by(bench: &Bench) -> Vec<String> {
    let standing = bench
        .store
        .journal()
        .host_records(Duration::from_secs(60))
        .await
        .unwrap();
    let reporters = standing.reporters.into_values().flatten();
    reporters.filter_map(|reporter| reporter.host).collect()
}

/// Covers T2.
#[tokio::test]
async fn each_reporter_of_an_open_recovery_is_counted_once_and_gets_a_duplicate() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    bench.host(&segment, "cmp1").await;
    let accepted = bench
        .accept(&from("cmp2", says(&bench, "UNKNOWN")))
        .await
        .unwrap();
    assert_eq!(accepted.reporter.unwrap().host.as_deref(), Some("cmp2"));
    for (reporter, expected) in [
        ("cmp2", &["cmp2"][..]),
        ("cmp3", &["cmp2", "cmp3"]),
        ("cmp2", &["cmp2", "cmp3"]),
        ("cmp3", &["cmp2", "cmp3"]),
    ] {
        let error = bench.accept(&from(reporter, says(&bench, "UNKNOWN"))).await;
        assert!(matches!(error, Err(RegistryError::Duplicate)), "{error:?}");
        assert_eq!(reported_by(&bench).await, expected, "{reporter}");
    }
    let claimed = bench.claim_newest("engine").await;
    assert!(
        !claimed.operator_state.joined_normal,
        "no reporter claims that it is off"
    );
    let first = claimed.notification.reporter.unwrap();
    assert_eq!(first.user_id, "user of cmp2");
    let history = bench
        .store
        .operator_journal()
        .history(claimed.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(history.reporters.len(), 2);
}

/// Covers T2.
#[tokio::test]
async fn a_reporter_with_more_evidence_joins_with_its_report() {
    let (bench, _) = suspected().await;
    assert!(reported_by(&bench).await.is_empty(), "the reporter is unknown");
    let error = bench.accept(&from("cmp3", says(&bench, "NORMAL"))).await;
    assert!(matches!(error, Err(RegistryError::Duplicate)), "{error:?}");
    assert_eq!(reported_by(&bench).await, ["cmp3"]);
    assert!(bench.claim_newest("engine").await.operator_state.joined_normal);
}
