//! Events of a recovery from several engines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::event::Subject;
use tachi_testkit::EventRecorder;

use super::support::{Harness, quick_policy, quick_region, until};

const HOST: &str = "compute-001";
const INSTANCES: usize = 6;
const LIMIT: Duration = Duration::from_secs(40);

/// Counts each event.
fn counts(recorder: &EventRecorder) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in recorder.all() {
        *counts.entry(event.name()).or_default() += 1;
    }
    counts
}

/// Returns the maximum count of one event of one instance.
fn most_of_one_instance(recorder: &EventRecorder) -> usize {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for event in recorder.all() {
        if let Subject::Vmove(vmove) = &event.subject {
            *counts.entry((event.name(), vmove.server)).or_default() += 1;
        }
    }
    counts.into_values().max().unwrap_or_default()
}

fn has(recorder: &EventRecorder, name: &str) -> bool {
    recorder.all().iter().any(|event| event.name() == name)
}

/// Covers EW35.
#[tokio::test(flavor = "multi_thread")]
async fn two_engines_never_publish_the_same_step() {
    let harness = Harness::set(quick_region(5)).await;
    harness.protect().await;
    let servers = harness.boot(HOST, INSTANCES);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let recorder = Arc::<EventRecorder>::default();
    let mut engines = Vec::new();
    for _ in 0..2 {
        let engine = harness.engine_with_events(harness.journal(), quick_policy(), recorder.clone());
        engines.push(engine.await);
    }
    let notification = harness.report(HOST).await;
    harness.until_finished(notification, LIMIT).await;
    until("the event of the end", LIMIT, async || {
        has(&recorder, "recovery.process.end")
    })
    .await;
    harness.assert_each_exactly_once(&servers, HOST);
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
    assert_eq!(counts(&recorder), expected.into());
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
    let harness = Harness::set(region).await;
    harness.protect().await;
    let servers = harness.boot(HOST, INSTANCES);
    harness.sandbox.region().faults().power_loss(HOST).unwrap();
    let recorder = Arc::<EventRecorder>::default();
    let first = harness
        .engine_with_events(harness.journal(), quick_policy(), recorder.clone())
        .await;
    let notification = harness.report(HOST).await;
    until("the event of a move", LIMIT, async || {
        has(&recorder, "vmove.process.start")
    })
    .await;
    first.kill().await;
    let second = harness
        .engine_with_events(harness.journal(), quick_policy(), recorder.clone())
        .await;
    harness.until_finished(notification, LIMIT).await;
    until("the event of the end", LIMIT, async || {
        has(&recorder, "recovery.process.end")
    })
    .await;
    harness.assert_each_exactly_once(&servers, HOST);
    let counts = counts(&recorder);
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
    assert_eq!(most_of_one_instance(&recorder), 1, "{counts:?}");
    second.stop().await;
}
