use super::*;
use crate::testing::Bench;

fn new(scope: FreezeScope, target: &str, minutes: u64) -> NewFreeze {
    NewFreeze {
        scope,
        target: target.to_owned(),
        name: format!("name of {target}"),
        by: "alice".into(),
        terms: FreezeTerms {
            lasts: Duration::from_secs(minutes * 60),
            reason: "firmware".into(),
            unless_worse: false,
        },
    }
}

/// Freezes, and expects the freeze to be in force.
async fn begun(table: &FreezeTable, new: &NewFreeze) -> FreezeLine {
    match table.freeze(new).await.unwrap() {
        FreezeOutcome::Started { line, .. } => line,
        FreezeOutcome::Longer(line) => panic!("{line:?}"),
    }
}

const SOON: Duration = Duration::from_mins(10);

#[tokio::test]
async fn a_freeze_is_listed_until_it_ends_and_its_end_is_reported_once() {
    let bench = Bench::new().await;
    let (store, other) = (bench.store.freezes(), bench.another().await.freezes().clone());
    let made = begun(store, &new(FreezeScope::Host, "h", 60)).await;
    assert_eq!(made.left, Duration::from_hours(1));
    assert_eq!(made.freeze.until, bench.clock_wall().plus(made.left));
    assert_eq!(other.freezes().await.unwrap(), std::slice::from_ref(&made));
    assert_eq!(store.take_freeze_events(SOON).await.unwrap(), []);
    bench.clock.set_wall_on(51 * 60);
    let events = store.take_freeze_events(SOON).await.unwrap();
    let [FreezeEvent::EndsSoon(soon)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(
        (soon.freeze.number, soon.left),
        (made.freeze.number, Duration::from_mins(9))
    );
    assert_eq!(
        other.take_freeze_events(SOON).await.unwrap(),
        [],
        "reported once, to any caller"
    );
    bench.clock.set_wall_on(9 * 60);
    assert_eq!(
        store.freezes().await.unwrap(),
        [],
        "ended at its expiry, whichever caller records it"
    );
    assert_eq!(store.thaw(made.freeze.number, "bob").await.unwrap(), None);
    let events = other.take_freeze_events(SOON).await.unwrap();
    assert!(
        matches!(&events[..], [FreezeEvent::Ended(line)] if line.left == Duration::ZERO),
        "{events:?}"
    );
    assert_eq!(store.take_freeze_events(SOON).await.unwrap(), []);
}

#[tokio::test]
async fn a_target_may_be_frozen_again_and_thawed_once() {
    let bench = Bench::new().await;
    let store = bench.store.freezes();
    let first = begun(store, &new(FreezeScope::Segment, "s", 60)).await;
    let longer = begun(store, &new(FreezeScope::Segment, "s", 120)).await;
    let region = begun(store, &new(FreezeScope::Region, "", 5)).await;
    assert!(longer.freeze.number > first.freeze.number, "it is another one");
    let listed = store.freezes().await.unwrap();
    assert_eq!(
        listed,
        [region.clone(), longer.clone()],
        "the one that ends first comes first"
    );
    assert_eq!(
        store.thaw(first.freeze.number, "bob").await.unwrap(),
        None,
        "the freeze that replaced it continues"
    );
    let thawed = store.thaw(longer.freeze.number, "bob").await.unwrap();
    assert_eq!(thawed.map(|line| line.freeze.number), Some(longer.freeze.number));
    assert_eq!(store.thaw(longer.freeze.number, "bob").await.unwrap(), None);
    assert_eq!(store.freezes().await.unwrap(), [region]);
    assert_eq!(store.thaw(i64::MAX, "bob").await.unwrap(), None);
}

#[tokio::test]
async fn two_that_freeze_the_same_at_once_leave_one_freeze() {
    let bench = Bench::new().await;
    let (store, other) = (bench.store.freezes(), bench.another().await.freezes().clone());
    let freeze = new(FreezeScope::Instance, "i", 60);
    let (one, two) = tokio::join!(begun(store, &freeze), begun(&other, &freeze));
    let last = std::cmp::max(one.freeze.number, two.freeze.number);
    let listed = store.freezes().await.unwrap();
    let numbers: Vec<i64> = listed.iter().map(|line| line.freeze.number).collect();
    assert_eq!(numbers, [last]);
}

/// The database's clock is set back by a day.
#[tokio::test]
async fn a_clock_set_back_does_not_extend_a_freeze() {
    let bench = Bench::new().await;
    let store = bench.store.freezes();
    let made = begun(store, &new(FreezeScope::Host, "h", 60)).await;
    bench.clock.set_wall_on(-86_400);
    let listed = store.freezes().await.unwrap();
    assert_eq!(
        listed.first().map(|line| line.left),
        Some(Duration::from_hours(1))
    );
    assert!(store.thaw(made.freeze.number, "bob").await.unwrap().is_some());
    assert_eq!(store.freezes().await.unwrap(), []);
}

#[tokio::test]
async fn freezes_that_ended_long_ago_are_deleted() {
    let bench = Bench::new().await;
    let store = bench.store.freezes();
    let made = begun(store, &new(FreezeScope::Host, "h", 60)).await;
    store.thaw(made.freeze.number, "bob").await.unwrap();
    let rows = || async { Entity::find().all(bench.store.db.reader()).await.unwrap().len() };
    store.take_freeze_events(SOON).await.unwrap();
    assert_eq!(rows().await, 1);
    bench.clock.set_wall_on(31 * 86_400);
    store.take_freeze_events(SOON).await.unwrap();
    assert_eq!(rows().await, 0);
}

/// A freeze of an hour does not end a freeze of a day on which another operator relies.
#[tokio::test]
async fn a_shorter_freeze_takes_the_place_of_none() {
    let bench = Bench::new().await;
    let store = bench.store.freezes();
    let first = begun(store, &new(FreezeScope::Host, "h", 60)).await;
    let mut worse = new(FreezeScope::Host, "h", 120);
    worse.terms.unless_worse = true;
    for less in [new(FreezeScope::Host, "h", 59), worse] {
        let refused = store.freeze(&less).await.unwrap();
        assert_eq!(refused, FreezeOutcome::Longer(first.clone()), "{less:?}");
    }
    assert_eq!(store.freezes().await.unwrap(), std::slice::from_ref(&first));
    let longer = store.freeze(&new(FreezeScope::Host, "h", 61)).await.unwrap();
    assert!(
        matches!(&longer, FreezeOutcome::Started { before: Some(before), .. } if *before == first),
        "{longer:?}"
    );
    bench.clock.set_wall_on(61 * 60);
    begun(store, &new(FreezeScope::Host, "h", 1)).await;
}

/// Covers R30.
#[tokio::test]
async fn freezes_of_a_drain_and_of_an_operator_coexist() {
    let bench = Bench::new().await;
    let segment = bench.segment("s").await;
    let host = bench.host(&segment, "cmp1").await;
    let id = host.id.to_string();
    bench.stopped(&host).await;
    let row = recovery::Entity::find()
        .one(bench.store.db.reader())
        .await
        .unwrap()
        .unwrap();
    let drained = async |minutes: u64, reason: &str| {
        let order = FreezeOrder {
            lasts: Duration::from_secs(minutes * 60),
            by: "drainer".into(),
            reason: reason.into(),
            left: std::collections::BTreeSet::new(),
        };
        let end = Drained(row.clone(), order, bench.clock_wall());
        bench.store.db.write(&end).await.unwrap();
    };
    let store = bench.store.freezes();
    let listed = async || {
        let all = store.freezes().await.unwrap();
        let shown = all
            .into_iter()
            .map(|line| (line.by_drain, line.freeze.by, line.freeze.reason));
        shown.collect::<Vec<_>>()
    };
    let shorter = begun(store, &new(FreezeScope::Host, &id, 10)).await;
    let operators = || (false, "alice".to_owned(), "firmware".to_owned());
    let drains = |reason: &str| (true, "drainer".to_owned(), reason.to_owned());
    drained(60, "disks").await;
    assert_eq!(listed().await, [operators(), drains("disks")]);
    store.thaw(shorter.freeze.number, "alice").await.unwrap();
    begun(store, &new(FreezeScope::Host, &id, 480)).await;
    assert_eq!(listed().await, [drains("disks"), operators()]);
    // Another drain of the same host.
    drained(30, "again").await;
    assert_eq!(listed().await, [drains("disks"), operators()]);
    drained(90, "longer").await;
    assert_eq!(listed().await, [drains("longer"), operators()]);
}

struct Drained(recovery::Model, FreezeOrder, Timestamp);

#[async_trait]
impl Transaction for Drained {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        of_drained(tx, &self.0, &self.1, self.2).await?;
        Ok(TxOutcome::Keep(()))
    }
}
