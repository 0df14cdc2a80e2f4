use futures_util::future::join_all;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, PaginatorTrait as _, Set};
use tachi_domain::entity::host::HostAttributes;
use tachi_domain::entity::notification::NotificationType;
use tachi_domain::recovery::Life;
use tachi_engine::ports::{Hosts as _, OperatorJournal as _, Reports as _};

use super::*;
use crate::conn::statements;
use crate::testing::{Bench, notification, stopped};
use crate::time::to_column;

fn entry(hostname: &str, at: Timestamp) -> Entry {
    Entry {
        new: stopped(hostname, at),
        window_seconds: 180,
        now: at,
        muted: None,
        answer: oneshot::channel().0,
    }
}

#[test]
fn the_oldest_of_each_host_go_together_and_none_overtakes_another_of_its_host() {
    let waiting = AcceptQueue::default();
    let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
    for (second, name) in [(1, "a"), (2, "b"), (3, "A"), (4, "b"), (5, "c")] {
        waiting.join(entry(name, at(second)));
    }
    for n in 0..40 {
        waiting.join(entry(&format!("h{n}"), at(6)));
    }
    assert!(waiting.another(1), "a worker is needed");
    assert!(!waiting.another(1), "one is enough");
    let batches: Vec<Vec<(String, i64)>> = std::iter::repeat_with(|| waiting.next())
        .take_while(|batch| !batch.is_empty())
        .map(|batch| {
            let reports = batch.iter().map(|entry| {
                let second = entry.now.micros() / 1_000_000;
                (entry.new.hostname.clone(), second)
            });
            reports.collect()
        })
        .collect();
    let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
    assert_eq!(sizes, [32, 8, 4, 1], "powers of two");
    let first = |n: usize| batches[0][n].clone();
    assert_eq!(
        [first(0), first(1), first(2)],
        [("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 5)]
    );
    assert_eq!(batches[1][..2], [("A".to_owned(), 3), ("b".to_owned(), 4)]);
    assert!(!waiting.another(1), "no notification waits");
    waiting.join(entry("d", at(7)));
    assert!(waiting.another(1), "the last worker has ended");
}

fn crash(host: &str, instance: u32, event: &str, at: Timestamp) -> NewNotification {
    let instance = format!("{instance:08x}-0000-4000-8000-000000000001");
    let payload = [
        ("event", event),
        ("instance_uuid", instance.as_str()),
        ("vir_domain_event", "STOPPED_FAILED"),
    ];
    notification(NotificationType::Vm, host, at, &payload)
}

#[test]
fn different_reports_of_a_host_share_a_batch_and_a_repetition_waits() {
    let waiting = AcceptQueue::default();
    let at = Timestamp::from_micros(1_000_000);
    let join = |new: NewNotification| {
        waiting.join(Entry {
            new,
            ..entry("any", at)
        });
    };
    for instance in [1, 2, 1, 3, 4] {
        join(crash("a", instance, "LIFECYCLE", at));
    }
    join(crash("b", 5, "LIFECYCLE", at));
    // Another event of the same instance is not a repetition, but belongs to the same recovery.
    join(crash("b", 5, "QEMU_GUEST_AGENT_ERROR", at));
    join(crash("b", 6, "LIFECYCLE", at));
    assert!(waiting.another(1));
    let next = || -> Vec<(String, char)> {
        let batch = waiting.next();
        let reports = batch.iter().map(|entry| {
            let instance = &entry.new.payload["instance_uuid"];
            (entry.new.hostname.clone(), instance.chars().nth(7).unwrap())
        });
        reports.collect()
    };
    let of = |reports: &[(&str, char)]| -> Vec<(String, char)> {
        reports
            .iter()
            .map(|(host, instance)| ((*host).to_owned(), *instance))
            .collect()
    };
    assert_eq!(
        next(),
        of(&[("a", '1'), ("b", '5')]),
        "three would be no power of two"
    );
    assert_eq!(next(), of(&[("a", '2'), ("a", '1'), ("a", '3'), ("b", '5')]));
    assert_eq!(next(), of(&[("a", '4'), ("b", '6')]));
    assert_eq!(next(), of(&[]));
}

#[tokio::test]
async fn each_of_one_host_is_accepted_once_and_costs_as_little_as_of_many() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    bench.host(&segment, "cmp1").await;
    let now = bench.clock_wall();
    bench.accept(&crash("cmp1", 99, "LIFECYCLE", now)).await.unwrap();
    let before = statements::times();
    let different: Vec<NewNotification> = (0..16).map(|n| crash("cmp1", n, "LIFECYCLE", now)).collect();
    let accept = |new| bench.store.registry().accept_notification(new, 180, now);
    for answer in join_all(different.iter().map(accept)).await {
        answer.unwrap();
    }
    assert!(
        statements::times() - before <= 8,
        "one transaction: {}",
        statements::times() - before
    );

    let twice: Vec<NewNotification> = (100..116)
        .flat_map(|n| [n, n])
        .map(|n| crash("cmp1", n, "LIFECYCLE", now))
        .collect();
    let answers = join_all(twice.iter().map(accept)).await;
    for pair in answers.chunks(2) {
        let refused = pair
            .iter()
            .filter(|answer| matches!(answer, Err(RegistryError::Duplicate)));
        assert_eq!(refused.count(), 1, "{pair:?}");
        assert_eq!(pair.iter().filter(|answer| answer.is_ok()).count(), 1, "{pair:?}");
    }
    let recoveries = bench.store.operator_journal().recoveries(false).await.unwrap();
    assert_eq!(recoveries.len(), 1 + 16 + 16, "one of each instance");
}

#[test]
fn a_worker_that_panics_leaves_its_place_to_another() {
    let waiting = AcceptQueue::default();
    waiting.join(entry("a", Timestamp::from_micros(0)));
    assert!(waiting.another(1));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _place = SlotGuard(&waiting);
        panic!("a test");
    }));
    assert!(panicked.is_err());
    assert!(waiting.another(1), "the place is free again");
}

#[tokio::test]
async fn each_gets_its_own_answer_whatever_the_others_are() {
    each_gets_its_own_answer(false).await;
}

#[tokio::test]
async fn a_failed_notification_affects_no_other() {
    each_gets_its_own_answer(true).await;
}

async fn each_gets_its_own_answer(one_fails: bool) {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let now = bench.clock_wall();
    let mut good = Vec::new();
    for n in 0..20 {
        good.push(bench.host(&segment, &format!("good{n}")).await);
    }
    let maintained = bench.host(&segment, "maintained").await;
    let change = HostAttributes {
        on_maintenance: Some(true),
        ..HostAttributes::default()
    };
    bench
        .store
        .registry()
        .update_host(segment.id, maintained.id, &change)
        .await
        .unwrap();
    bench.host(&segment, "held").await;
    bench.accept(&stopped("held", now)).await.unwrap();
    bench.host(&segment, "repeated").await;
    let process = |host: &str| {
        notification(
            NotificationType::Process,
            host,
            now,
            &[("process_name", "libvirtd"), ("event", "STOPPED")],
        )
    };
    bench.accept(&process("repeated")).await.unwrap();
    // A row that no code can parse.
    let broken = bench.host(&segment, "broken").await;
    let row = notification::ActiveModel {
        notification_uuid: Set(uuid::Uuid::new_v4().to_string()),
        generated_time: Set(to_column(now).unwrap()),
        source_host_uuid: Set(broken.id.to_string()),
        kind: Set("COMPUTE_HOST".to_owned()),
        payload: Set(Some("STOPPED, but no JSON".to_owned())),
        status: Set("finished".to_owned()),
        deleted: Set(Some(0)),
        ..Default::default()
    };
    row.insert(bench.store.db.writer()).await.unwrap();

    let mut posts: Vec<NewNotification> = good.iter().map(|host| stopped(&host.name, now)).collect();
    for name in ["maintained", "stranger", "held"] {
        posts.insert(7, stopped(name, now));
    }
    if one_fails {
        posts.insert(5, stopped("broken", now));
    }
    posts.insert(3, process("repeated"));
    let registry = bench.store.registry();
    let answers = join_all(
        posts
            .iter()
            .map(|new| registry.accept_notification(new, 180, now)),
    )
    .await;
    for (new, answer) in posts.iter().zip(answers) {
        let name = new.hostname.as_str();
        let as_expected = match name {
            "maintained" => matches!(answer, Err(RegistryError::OnMaintenance { .. })),
            "stranger" => matches!(answer, Err(RegistryError::UnknownHostName { .. })),
            "held" | "repeated" => matches!(answer, Err(RegistryError::Duplicate)),
            "broken" => matches!(answer, Err(RegistryError::Database { .. })),
            _ => {
                let host = good.iter().find(|host| host.name == name).unwrap();
                answer.as_ref().is_ok_and(|row| row.source_host == host.id)
            }
        };
        assert!(as_expected, "{name}: {answer:?}");
    }
    let recoveries = bench.store.operator_journal().recoveries(false).await.unwrap();
    assert_eq!(
        recoveries.len(),
        good.len() + 2,
        "the good, held and repeated ones"
    );
}

/// Each notification waits for the database; those that arrive meanwhile share one transaction.
#[tokio::test]
async fn many_cost_as_many_round_trips_as_two() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let now = bench.clock_wall();
    for n in 0..16 {
        bench.host(&segment, &format!("cmp{n}")).await;
    }
    let vm = |host: usize, instance: &str| {
        let payload = [("event", "LIFECYCLE"), ("instance_uuid", instance)];
        notification(NotificationType::Vm, &format!("cmp{host}"), now, &payload)
    };
    let post = async |count: usize, instance: &str| {
        let before = statements::times();
        let posts: Vec<NewNotification> = (0..count).map(|host| vm(host, instance)).collect();
        let answers = posts
            .iter()
            .map(|new| bench.store.registry().accept_notification(new, 180, now));
        for answer in join_all(answers).await {
            answer.unwrap();
        }
        statements::times() - before
    };
    // Begin, lock, hosts, earlier notifications, two inserts, commit. SQLite takes no lock, and reads its inserted
    // rows back.
    let expected = 7;
    // The first transaction also reads the ids of the hosts.
    post(16, "11111111-0000-4000-8000-000000000001").await;
    for (count, instance) in [
        (2, "11111111-0000-4000-8000-000000000002"),
        (16, "11111111-0000-4000-8000-000000000003"),
    ] {
        assert_eq!(post(count, instance).await, expected, "{count} at once");
    }
}

#[tokio::test]
async fn fifty_equal_and_fifty_different_posts_at_once() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let now = bench.clock_wall();
    for n in 0..50 {
        bench.host(&segment, &format!("cmp{n}")).await;
    }
    let posts: Vec<NewNotification> = (0..100)
        .map(|n| stopped(&format!("cmp{}", if n % 2 == 0 { 0 } else { n / 2 }), now))
        .collect();
    let other = bench.another().await;
    let stores = [&bench.store, &other];
    let answers = join_all(
        posts
            .iter()
            .zip(stores.iter().cycle())
            .map(|(new, store)| store.registry().accept_notification(new, 180, now)),
    )
    .await;
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    for error in refused {
        assert!(matches!(error, RegistryError::Duplicate), "{error:?}");
    }
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(accepted, 50, "one of each host");
    let rows = notification::Entity::find()
        .count(bench.store.db.reader())
        .await
        .unwrap();
    assert_eq!(rows, 50);
}

#[tokio::test]
async fn a_dropped_caller_is_served() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    bench.host(&segment, "cmp1").await;
    bench.host(&segment, "cmp2").await;
    let now = bench.clock_wall();
    let (first, second) = (stopped("cmp1", now), stopped("cmp2", now));
    {
        let mut dropped = Box::pin(bench.store.registry().accept_notification(&first, 180, now));
        assert!(futures_util::poll!(&mut dropped).is_pending());
    }
    bench
        .store
        .registry()
        .accept_notification(&second, 180, now)
        .await
        .unwrap();
    let error = bench
        .store
        .registry()
        .accept_notification(&first, 180, now)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Duplicate), "{error:?}");
}

#[tokio::test]
async fn a_name_that_another_host_has_now_is_that_hosts() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let now = bench.clock_wall();
    let mut hosts = Vec::new();
    for n in 0..8 {
        hosts.push(bench.host(&segment, &format!("cmp{n}")).await);
    }
    let report = |hour: i64| {
        let at = now.minus_seconds(60 * 60 * (3 - hour));
        (0..8)
            .map(|n| {
                let payload = [("process_name", "libvirtd"), ("event", "STOPPED")];
                notification(NotificationType::Process, &format!("cmp{n}"), at, &payload)
            })
            .collect::<Vec<_>>()
    };
    let accept = async |posts: Vec<NewNotification>| {
        let accepted = posts
            .iter()
            .map(|new| bench.store.registry().accept_notification(new, 180, now));
        let mut sources = Vec::new();
        for answer in join_all(accepted).await {
            sources.push(answer.unwrap().source_host);
        }
        // A host with an open notification cannot be renamed.
        let over = notification::Column::Status;
        notification::Entity::update_many()
            .col_expr(over, over.save_as(Expr::value("finished")))
            .exec(bench.store.db.writer())
            .await
            .unwrap();
        recovery::Entity::update_many()
            .col_expr(recovery::Column::Life, Expr::value(Life::Closed.as_str()))
            .exec(bench.store.db.writer())
            .await
            .unwrap();
        sources
    };
    let mut expected: Vec<HostId> = hosts.iter().map(|host| host.id).collect();
    assert_eq!(accept(report(0)).await, expected);
    let rename = async |n: usize, name: &str| {
        let change = HostAttributes {
            name: Some(name.to_owned()),
            ..HostAttributes::default()
        };
        bench
            .store
            .registry()
            .update_host(segment.id, hosts[n].id, &change)
            .await
            .unwrap();
    };
    rename(0, "elsewhere").await;
    rename(1, "cmp0").await;
    rename(0, "cmp1").await;
    expected.swap(0, 1);
    assert_eq!(accept(report(1)).await, expected, "two have changed names");
    bench
        .store
        .registry()
        .delete_host(segment.id, hosts[2].id)
        .await
        .unwrap();
    expected[2] = bench.host(&segment, "cmp2").await.id;
    assert_eq!(accept(report(2)).await, expected, "one host was created again");
}
