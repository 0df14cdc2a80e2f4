//! What engines tell of a recovery, together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tachi_domain::event::{Event, Subject};
use tachi_engine::ports::Events;

use super::support::{Stage, quick_policy, quick_region, until};

const HOST: &str = "compute-001";
const INSTANCES: usize = 6;
const LIMIT: Duration = Duration::from_secs(40);

/// Keeps what it is told, by whomever.
#[derive(Default)]
struct Ear(Mutex<Vec<Event>>);

impl Events for Ear {
    fn wanted(&self) -> bool {
        true
    }

    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Ear {
    fn heard(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    /// How often each event was told; of an instance, how often each of its own at most.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in self.heard() {
            *counts.entry(event.name()).or_default() += 1;
        }
        counts
    }

    fn most_of_one_instance(&self) -> usize {
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        for event in self.heard() {
            if let Subject::Vmove(vmove) = &event.subject {
                *counts.entry((event.name(), vmove.server)).or_default() += 1;
            }
        }
        counts.into_values().max().unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        self.heard().iter().any(|event| event.name() == name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ew35_two_engines_never_tell_of_the_same_step() {
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
    until("the end to be told", LIMIT, async || {
        ear.has("recovery.process.end")
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
    assert_eq!(ear.counts(), expected.into());
    for engine in engines {
        engine.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ew35_an_engine_that_takes_over_tells_the_rest_and_nothing_twice() {
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
    until("a move to be told", LIMIT, async || {
        ear.has("vmove.process.start")
    })
    .await;
    first.kill().await;
    let second = stage
        .engine_telling(stage.journal(), quick_policy(), ear.clone())
        .await;
    stage.until_finished(notification, LIMIT).await;
    until("the end to be told", LIMIT, async || {
        ear.has("recovery.process.end")
    })
    .await;
    stage.assert_each_exactly_once(&servers, HOST);
    let counts = ear.counts();
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
    assert_eq!(ear.most_of_one_instance(), 1, "{counts:?}");
    second.stop().await;
}
