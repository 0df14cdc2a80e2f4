//! Events of a recovery from several engines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::event::Subject;
use tachi_testkit::Ear;

use super::support::{Stage, quick_policy, quick_region, until};

const HOST: &str = "compute-001";
const INSTANCES: usize = 6;
const LIMIT: Duration = Duration::from_secs(40);

/// Counts each event.
fn counts(ear: &Ear) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in ear.all() {
        *counts.entry(event.name()).or_default() += 1;
    }
    counts
}

/// Returns the maximum count of one event of one instance.
fn most_of_one_instance(ear: &Ear) -> usize {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for event in ear.all() {
        if let Subject::Vmove(vmove) = &event.subject {
            *counts.entry((event.name(), vmove.server)).or_default() += 1;
        }
    }
    counts.into_values().max().unwrap_or_default()
}

fn has(ear: &Ear, name: &str) -> bool {
    ear.all().iter().any(|event| event.name() == name)
}

/// Covers EW35.
#[tokio::test(flavor = "multi_thread")]
async fn two_engines_never_publish_the_same_step() {
    let stage = Stage::set(quick_region(5)).await;
    stage.protect().await;
    let servers = stage.boot(HOST, INSTANCES);
    stage.sandbox.region().faults().power_loss(HOST).unwrap();
    let ear = Arc::<Ear>::default();
    let mut engines = Vec::new();
    for _ in 0..2 {
        let engine = stage.engine_telling(stage.journal(), quick_policy(), ear.clone());
        engines.push(engine.await);
    }
    let notification = stage.report(HOST).await;
    stage.until_finished(notification, LIMIT).await;
    until("the event of the end", LIMIT, async || {
        has(&ear, "recovery.process.end")
    })
    .await;
    stage.assert_each_exactly_once(&servers, HOST);
    let expected = [
        ("host.update.end", 1),
        ("host.update.start", 1),
        ("notification.process.end", 1),
        ("notification.process.start", 1),
        ("recovery.process.end", 1),
        ("recovery.process.start", 1),
        ("recovery.proof", 1),
        ("vmove.process.end", INSTANCES),
        ("vmove.process.start", INSTANCES),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(counts(&ear), expected.into());
    for engine in engines {
        engine.stop().await;
    }
}

/// Covers EW35.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_takes_over_publishes_the_rest_and_nothing_twice() {
    let region = tachi_sandbox::RegionSettings {
        rebuild_time: Duration::from_secs(3),
        ..quick_region(5)
    };
    let stage = Stage::set(region).await;
    stage.protect().await;
    let servers = stage.boot(HOST, INSTANCES);
    stage.sandbox.region().faults().power_loss(HOST).unwrap();
    let ear = Arc::<Ear>::default();
    let first = stage
        .engine_telling(stage.journal(), quick_policy(), ear.clone())
        .await;
    let notification = stage.report(HOST).await;
    until("the event of a move", LIMIT, async || {
        has(&ear, "vmove.process.start")
    })
    .await;
    first.kill().await;
    let second = stage
        .engine_telling(stage.journal(), quick_policy(), ear.clone())
        .await;
    stage.until_finished(notification, LIMIT).await;
    until("the event of the end", LIMIT, async || {
        has(&ear, "recovery.process.end")
    })
    .await;
    stage.assert_each_exactly_once(&servers, HOST);
    let counts = counts(&ear);
    for once in [
        "notification.process.start",
        "notification.process.end",
        "recovery.process.start",
        "recovery.process.end",
        "recovery.take_over",
    ] {
        assert_eq!(counts.get(once), Some(&1), "{once}: {counts:?}");
    }
    assert_eq!(counts["vmove.process.end"], INSTANCES, "{counts:?}");
    assert_eq!(most_of_one_instance(&ear), 1, "{counts:?}");
    second.stop().await;
}
