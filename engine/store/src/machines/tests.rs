use super::*;
use crate::testing::Bench;

fn id(text: &str) -> MachineId {
    text.parse().unwrap()
}

async fn record_machine(bench: &Bench, host: &str, device: &str, machine: &MachineId) -> bool {
    let new = NewMachine {
        host: host.into(),
        device: device.into(),
        machine: machine.clone(),
    };
    bench.store.machines().register(&[new]).await.unwrap() == 1
}

/// Covers T9.
#[tokio::test]
async fn a_machine_is_recorded_once_and_changed_by_an_operator_only() {
    let bench = Bench::new().await;
    let store = &bench.store;
    let (a, b) = (id("guid=a"), id("guid=b"));
    assert_eq!(
        store.machines().known("c1", "bmc", Some(&a)).await.unwrap(),
        Entry::default()
    );
    assert!(record_machine(&bench, "c1", "bmc", &a).await);
    assert!(!record_machine(&bench, "c1", "bmc", &b).await, "one is known");
    let entry = store.machines().known("c1", "bmc", Some(&b)).await.unwrap();
    assert_eq!((entry.known.expected, entry.noted), (Some(a.clone()), false));
    store.machines().note("c1", "bmc", Some(Some(&b))).await.unwrap();
    assert!(store.machines().known("c1", "bmc", Some(&b)).await.unwrap().noted);
    bench.clock.set_wall_on(60);
    let stale = store
        .machines()
        .confirm("c1", "bmc", (Some(&b), Some(&b)), "ada")
        .await
        .unwrap();
    assert!(!stale, "something else was expected");
    assert!(
        store
            .machines()
            .confirm("c1", "bmc", (Some(&a), Some(&b)), "ada")
            .await
            .unwrap()
    );
    let lines = store.machines().machines().await.unwrap();
    let line = MachineLine {
        host: "c1".into(),
        device: "bmc".into(),
        machine: Some(b.clone()),
        since: bench.clock_wall(),
        said_by: Some("ada".into()),
        foreign: None,
    };
    assert_eq!(lines, [line]);
    store.machines().note("c1", "bmc", Some(None)).await.unwrap();
    let foreign = store.machines().machines().await.unwrap().remove(0).foreign;
    assert_eq!(foreign, Some((None, bench.clock_wall())));
    store.machines().note("c1", "bmc", None).await.unwrap();
    assert_eq!(store.machines().machines().await.unwrap()[0].foreign, None);
    assert!(
        store
            .machines()
            .confirm("c1", "bmc", (Some(&b), None), "ada")
            .await
            .unwrap()
    );
    assert!(store.machines().machines().await.unwrap().is_empty());
}

/// Covers T9.
#[tokio::test]
async fn many_devices_are_known_as_each_is_by_itself() {
    let bench = Bench::new().await;
    let (store, a, b, c) = (&bench.store, id("guid=a"), id("guid=b"), id("guid=c"));
    let segment = bench.segment("s1").await;
    for name in ["c1", "c2", "c3"] {
        bench.host(&segment, name).await;
    }
    assert!(record_machine(&bench, "c1", "bmc", &a).await);
    assert!(record_machine(&bench, "c1", "maas", &a).await);
    // Another machine answers for c2, for which no machine is known, and for c1.
    store.machines().note("c2", "bmc", Some(Some(&b))).await.unwrap();
    store.machines().note("c1", "bmc", Some(None)).await.unwrap();
    assert!(
        store
            .machines()
            .confirm("c3", "bmc", (None, Some(&c)), "ada")
            .await
            .unwrap()
    );
    assert!(
        record_machine(&bench, "gone", "bmc", &id("guid=d")).await,
        "not a registered host"
    );
    let mut statements = Vec::new();
    for host in ["c1", "c2", "c3", "gone", "nobody"] {
        for device in ["bmc", "maas"] {
            for answers in [
                None,
                Some("guid=a"),
                Some("guid=b"),
                Some("guid=c"),
                Some("guid=d"),
            ] {
                statements.push((host, device.to_owned(), answers.map(id)));
            }
        }
    }
    let statements: Vec<_> = statements
        .iter()
        .map(|(host, device, answers)| (*host, device.clone(), answers.as_ref()))
        .collect();
    let together = store.machines().known_of(&statements).await.unwrap();
    assert_eq!(together.len(), statements.len());
    for ((host, device, answers), entry) in statements.iter().zip(together) {
        let alone = store.machines().known(host, device, *answers).await.unwrap();
        assert_eq!(entry, alone, "{host} {device} {answers:?}");
    }
    assert_eq!(store.machines().known_of(&[]).await.unwrap(), []);
}

/// Covers T9.
#[tokio::test]
async fn a_machine_of_two_hosts_is_uncertain_and_never_recorded_twice() {
    let bench = Bench::new().await;
    let (store, a) = (&bench.store, id("guid=a"));
    let segment = bench.segment("s1").await;
    for name in ["c1", "c2"] {
        bench.host(&segment, name).await;
    }
    assert!(record_machine(&bench, "c1", "bmc1", &a).await);
    assert!(
        record_machine(&bench, "c1", "maas", &a).await,
        "two devices of one host"
    );
    assert!(!record_machine(&bench, "c2", "bmc2", &a).await);
    let second = store.machines().known("c2", "bmc2", Some(&a)).await.unwrap();
    assert_eq!(
        (second.known.expected, second.known.elsewhere),
        (None, vec!["c1".to_owned()])
    );
    let first = |store: &crate::Store| {
        let store = store.clone();
        async move {
            store
                .machines()
                .known("c1", "bmc1", Some(&id("guid=a")))
                .await
                .unwrap()
                .known
                .elsewhere
        }
    };
    assert!(first(store).await.is_empty());
    // The machine's host is uncertain once both hosts are known to have it.
    store.machines().note("c2", "bmc2", Some(Some(&a))).await.unwrap();
    assert_eq!(first(store).await, ["c2"]);
    // A device with a known machine that answers as the other machine does not make that machine uncertain.
    store
        .machines()
        .confirm("c2", "bmc2", (None, Some(&id("guid=b"))), "ada")
        .await
        .unwrap();
    store.machines().note("c2", "bmc2", Some(Some(&a))).await.unwrap();
    assert!(first(store).await.is_empty());
    // The machine of a deleted host may be recorded for another host.
    let other = store
        .machines()
        .known("c9", "bmc9", Some(&id("guid=b")))
        .await
        .unwrap();
    assert_eq!(other.known.elsewhere, ["c2"]);
    record_machine(&bench, "gone", "bmc", &id("guid=c")).await;
    let free = store
        .machines()
        .known("c2", "bmc2", Some(&id("guid=c")))
        .await
        .unwrap();
    assert!(free.known.elsewhere.is_empty());
}

/// Covers T9.
#[tokio::test]
async fn no_machine_is_recorded_while_a_host_is_under_recovery() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "c1").await;
    bench.stopped(&host).await;
    assert!(!record_machine(&bench, "c1", "bmc", &id("guid=a")).await);
    assert!(bench.store.machines().machines().await.unwrap().is_empty());
}
