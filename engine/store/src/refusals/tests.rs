use tachi_domain::entity::notification::NotificationType;
use tachi_domain::refusal::RefusalReason;
use tachi_engine::ports::past::Span;
use tachi_engine::ports::refusals::RefusalCount;
use tachi_engine::ports::{OperatorJournal as _, RefusalLog as _};
use uuid::Uuid;

use super::*;
use crate::testing::Bench;
use crate::{PurgeOptions, Role};

const MINUTE: i64 = 60_000_000;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + minute * MINUTE)
}

fn of(host: &str, writer: u128, number: u32, slot: i64, times: u64) -> Refusals {
    Refusals {
        slot: at(slot),
        writer: Uuid::from_u128(writer),
        number,
        host: host.to_owned(),
        count: RefusalCount {
            kind: NotificationType::ComputeHost,
            reporter: "monitor (bound to a)".to_owned(),
            reason: RefusalReason::Duplicate,
            times,
            first_at: at(slot + 1),
            last_at: at(slot + 9),
        },
    }
}

fn span(from: i64, to: i64) -> Span {
    Span {
        from: at(from),
        to: at(to),
    }
}

async fn left(bench: &Bench) -> usize {
    Entity::find().all(bench.store.db.reader()).await.unwrap().len()
}

#[tokio::test]
async fn each_process_has_its_rows_and_a_row_that_is_written_twice_stands_there_once() {
    let bench = Bench::new().await;
    let (table, operator_journal) = (bench.store.refusals(), bench.store.operator_journal());
    let strange = "b\u{1F4A3}'\"\\%";
    let first = [of("a", 1, 0, 0, 3), of(strange, 1, 1, 0, 1), of("", 1, 2, 0, 7)];
    table.write_refusals(&first).await.unwrap();
    table.write_refusals(&first).await.unwrap();
    let more = [of("a", 1, 0, 0, 5), of("a", 2, 0, 0, 2), of("a", 2, 0, 10, 4)];
    table.write_refusals(&more).await.unwrap();
    assert_eq!(left(&bench).await, 5);

    // These hosts were never registered.
    let past = operator_journal.past("a", span(0, 9)).await.unwrap().unwrap();
    let refused = past.refused.unwrap();
    assert!(!past.registered && past.reports.is_empty());
    assert_eq!(refused.refusals.len(), 1, "{refused:?}");
    assert_eq!(
        (
            refused.refusals[0].times,
            refused.refusals[0].first_at,
            refused.refusals[0].last_at
        ),
        (7, at(1), at(9)),
        "of both processes, and of those ten minutes only"
    );
    assert_eq!(refused.of_others, 7);
    assert!(refused.counted_since.is_some());
    let both = operator_journal.past("a", span(0, 20)).await.unwrap().unwrap();
    assert_eq!(both.refused.unwrap().refusals[0].times, 11);
    let other = operator_journal.past(strange, span(0, 9)).await.unwrap().unwrap();
    assert_eq!(other.refused.unwrap().refusals[0].times, 1);
    for (host, then) in [("a", span(20, 30)), ("", span(0, 9)), ("%", span(0, 9))] {
        assert_eq!(operator_journal.past(host, then).await.unwrap(), None, "{host}");
    }
}

#[tokio::test]
async fn old_and_surplus_rows_are_deleted() {
    let bench = Bench::new().await;
    let table = bench.store.refusals();
    let rows: Vec<Refusals> = (0..6).map(|slot| of("a", 1, 0, slot * 10, 1)).collect();
    table.write_refusals(&rows).await.unwrap();
    table.forget_refusals(at(20)).await.unwrap();
    assert_eq!(left(&bench).await, 4);
    let few = Forget {
        before: at(0),
        most: 3,
    };
    bench.store.db.write(&few).await.unwrap();
    assert_eq!(left(&bench).await, 3, "the newest");
    bench.store.db.write(&few).await.unwrap();
    assert_eq!(left(&bench).await, 3);

    let mut options = PurgeOptions::before(at(50));
    options.dry_run = true;
    let would = bench.store.purge(&options, |_| {}).await.unwrap();
    assert_eq!((would.of("tachi_refusal"), left(&bench).await), (2, 3));
    options.dry_run = false;
    let purged = bench.store.purge(&options, |_| {}).await.unwrap();
    assert_eq!((purged.of("tachi_refusal"), left(&bench).await), (2, 1));
}

/// On `SQLite` there are no users.
#[tokio::test]
async fn the_api_user_writes_and_a_user_without_the_grant_reads_the_rest() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    bench.host(&segment, "a").await;
    let Some(api) = bench.as_user(Role::Api).await else {
        return;
    };
    let rows = [of("a", 1, 0, 0, 3)];
    api.refusals().write_refusals(&rows).await.unwrap();
    api.refusals().write_refusals(&rows).await.unwrap();
    api.refusals().forget_refusals(at(-10)).await.unwrap();
    // A user with the grants of an earlier version: all other data is returned.
    let (old, given) = bench.granted(Role::Api).await.unwrap();
    let of_this = given
        .iter()
        .find(|statement| statement.contains("tachi_refusal"))
        .unwrap();
    let taken = of_this
        .replacen("GRANT", "REVOKE", 1)
        .replacen(" TO ", " FROM ", 1);
    bench.store.grant(&[taken]).await.unwrap();
    assert!(old.refusals().write_refusals(&rows).await.is_err());
    let past = old
        .operator_journal()
        .past("a", span(0, 9))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((past.registered, past.refused), (true, None));
    for role in [Role::Engine, Role::Reader] {
        let user = bench.as_user(role).await.unwrap();
        assert!(user.refusals().write_refusals(&rows).await.is_err());
        let past = user
            .operator_journal()
            .past("a", span(0, 9))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(past.refused.unwrap().refusals[0].times, 3);
    }
}
