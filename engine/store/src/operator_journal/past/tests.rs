use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait as _, Statement};
use tachi_domain::ApprovedWait;
use tachi_domain::entity::Host;
use tachi_domain::entity::host::HostAttributes;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::{OperatorCommand, Task};
use tachi_engine::ports::journal::{StepWrite, Write, WriteOutcome};
use tachi_engine::ports::{FreezeTerms, Freezes as _, Hosts as _, NewFreeze, OperatorJournal as _};

use super::*;
use crate::testing::{Bench, START, step};

fn span_around(at: i64) -> Span {
    let at = Timestamp::from_micros(START + at * 1_000_000);
    Span {
        from: at.minus_seconds(600),
        to: at.minus_seconds(-600),
    }
}

async fn past_at(bench: &Bench, host: &str, at: i64) -> Past {
    let past = bench
        .store
        .operator_journal()
        .past(host, span_around(at))
        .await
        .unwrap();
    past.unwrap()
}

async fn write(bench: &Bench, text: &str, life: Option<Life>, status: NotificationStatus) {
    let claimed = bench.claim_newest("engine").await;
    let write = Write {
        steps: vec![StepWrite {
            at: bench.clock_wall(),
            ..step(Task::Fence, 0.1, false, text)
        }],
        life,
        notification: Some((status, Some(text.to_owned()))),
        ..Write::default()
    };
    let journal = bench.store.journal();
    let written = journal
        .commit_at(claimed.id, claimed.epoch, &write)
        .await
        .unwrap();
    assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
}

async fn two(bench: &Bench) -> (Host, Host) {
    let segment = bench.segment("s1").await;
    (bench.host(&segment, "a").await, bench.host(&segment, "b").await)
}

#[tokio::test]
async fn recoveries_of_the_period_are_listed_for_this_host_only() {
    let bench = Bench::new().await;
    let (a, b) = two(&bench).await;
    bench.stopped(&b).await;
    bench.stopped(&a).await;
    write(&bench, "on hold by guards", None, NotificationStatus::Running).await;
    bench.clock.set_wall_on(3_600);
    bench
        .store
        .operator_journal()
        .submit(
            bench.newest().await,
            OperatorCommand::Reject,
            &ApprovedWait::Current,
            "alice",
        )
        .await
        .unwrap();
    write(&bench, "given up", Some(Life::Closed), NotificationStatus::Failed).await;
    bench.clock.set_wall_on(3_600);

    let first = past_at(&bench, "a", 0).await;
    assert_eq!((first.reports.len(), first.recoveries.len()), (1, 1));
    assert_eq!(first.reports[0].recovery, Some(first.recoveries[0].summary.id));
    let texts = |steps: &[StepLine]| steps.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&first.recoveries[0].steps), ["on hold by guards"]);
    assert_eq!(first.recoveries[0].before, None);

    // The recovery was open, although it wrote nothing in that period.
    let between = past_at(&bench, &a.id.to_string(), 1_800).await;
    assert_eq!((between.host.as_str(), between.reports.len()), ("a", 0));
    assert_eq!(between.recoveries.len(), 1);
    assert_eq!(texts(&between.recoveries[0].steps), [""; 0]);
    assert_eq!(
        between.recoveries[0].before.as_ref().unwrap().text,
        "on hold by guards"
    );

    let end = past_at(&bench, "a", 3_600).await;
    assert_eq!(texts(&end.recoveries[0].steps), ["given up"]);
    let (action, by, _) = end.recoveries[0].word.clone().unwrap();
    assert_eq!((action.as_str(), by.as_str()), ("reject", "alice"));

    // A closed recovery is not listed later; an open one is.
    assert_eq!(past_at(&bench, "a", 7_200).await.recoveries, []);
    assert_eq!(past_at(&bench, "b", 7_200).await.recoveries.len(), 1);
    assert_eq!(
        past_at(&bench, "b", -7_200).await.recoveries,
        [],
        "it was not open before"
    );
    let oldest = past_at(&bench, "b", -7_200).await.oldest.unwrap();
    assert_eq!(oldest.micros() / 1_000_000, START / 1_000_000);
    assert_eq!(
        bench
            .store
            .operator_journal()
            .past("c", span_around(0))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn freezes_of_the_period_and_the_current_maintenance_are_listed() {
    let bench = Bench::new().await;
    let (a, b) = two(&bench).await;
    let freeze = |scope, target: String, minutes| NewFreeze {
        scope,
        target,
        name: "x".to_owned(),
        by: "alice".to_owned(),
        terms: FreezeTerms {
            lasts: Duration::from_mins(minutes),
            reason: "firmware".to_owned(),
            unless_worse: false,
        },
    };
    let table = bench.store.freezes();
    for new in [
        freeze(FreezeScope::Host, a.id.to_string(), 30),
        freeze(FreezeScope::Host, b.id.to_string(), 600),
        freeze(FreezeScope::Segment, a.segment.id.to_string(), 600),
        freeze(
            FreezeScope::Instance,
            "11111111-0000-4000-8000-000000000009".to_owned(),
            600,
        ),
    ] {
        table.freeze(&new).await.unwrap();
    }
    let change = HostAttributes {
        on_maintenance: Some(true),
        ..HostAttributes::default()
    };
    let registry = bench.store.registry();
    registry.update_host(a.segment.id, a.id, &change).await.unwrap();
    let scopes = |past: &Past| {
        past.freezes
            .iter()
            .map(|freeze| freeze.freeze.scope)
            .collect::<Vec<_>>()
    };
    let now = past_at(&bench, "a", 0).await;
    // Freezes use the database's clock, which on a server is not the test's.
    if std::env::var_os("TACHI_TEST_DATABASE").is_none() {
        assert_eq!(scopes(&now), [FreezeScope::Host, FreezeScope::Segment]);
        assert_eq!(scopes(&past_at(&bench, "a", 7_200).await), [FreezeScope::Segment]);
        assert_eq!(scopes(&past_at(&bench, "a", -7_200).await), []);
    }
    assert_eq!(now.maintenance.unwrap().0, MaintenanceReason::Operator);
    assert_eq!(past_at(&bench, "b", 0).await.maintenance, None);
}

/// A monitor has reported one host repeatedly for weeks.
#[tokio::test]
async fn a_hundred_thousand_reports_are_looked_through_in_less_than_a_second() {
    let bench = Bench::sqlite().await;
    let (a, _) = two(&bench).await;
    bench.stopped(&a).await;
    write(&bench, "moved", Some(Life::Closed), NotificationStatus::Finished).await;
    let writer = bench.store.db.writer();
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)";
    for sql in [
        format!(
            "{numbers} INSERT INTO notifications (notification_uuid, generated_time, source_host_uuid, type, payload, status, \
             created_at, deleted) SELECT printf('22222222-0000-4000-8000-%012d', i), datetime(1700000000 + i * 60, 'unixepoch'), \
             '{}', 'COMPUTE_HOST', '{{}}', 'finished', datetime(1700000000 + i * 60, 'unixepoch'), 0 FROM n",
            a.id
        ),
        format!(
            "{numbers} INSERT INTO recovery (uuid, notification_uuid, kind, host_uuid, host_name, life, epoch, seq, beat, \
             elapsed_ms, proven_off, opened_at, word_number, joined_normal) SELECT printf('33333333-0000-4000-8000-%012d', i), \
             printf('22222222-0000-4000-8000-%012d', i), 'host', '{}', 'a', 'closed', 1, 1, 1, 0, 0, \
             (1700000000 + i * 60) * 1000000, 0, 0 FROM n",
            a.id
        ),
        format!(
            "{numbers} INSERT INTO recovery_step (recovery_id, epoch, task, kind, progress, failed, text, at) \
             SELECT i + 1, 1, 'FenceHostTask', 'note', 0.1, 0, 'moved', (1700000000 + i * 60) * 1000000 FROM n"
        ),
    ] {
        let backend = writer.get_database_backend();
        writer
            .execute_raw(Statement::from_string(backend, sql))
            .await
            .unwrap();
    }
    for at in [600, 3_000_000, 5_990_000] {
        // A busy machine may be slow once.
        let (mut past, mut took) = (None, Duration::MAX);
        for _ in 0..5 {
            let began = Instant::now();
            past = Some(past_at(&bench, "a", at).await);
            took = took.min(began.elapsed());
        }
        let past = past.unwrap();
        assert!((20..=23).contains(&past.reports.len()), "{}", past.reports.len());
        assert_eq!(past.recoveries.len(), past.reports.len());
        assert!(took < Duration::from_secs(1), "{at}: {took:?}");
    }
    let all = Span {
        from: Timestamp::from_micros(0),
        to: Timestamp::from_micros(2 * START),
    };
    let all = bench
        .store
        .operator_journal()
        .past("a", all)
        .await
        .unwrap()
        .unwrap();
    assert!(all.more);
    assert_eq!((all.reports.len(), all.recoveries.len()), (100, 100));
}
