//! The take-over of the polls by another engine.

use super::*;

/// Covers R36.
#[tokio::test]
async fn findings_of_one_watcher_are_known_to_the_engine_that_takes_over_the_round() {
    let world = Arc::new(World::default());
    let guest = world.boot("a", 1);
    world.stop(guest, &[("stop", Actor::Person)]);
    let (mut first, mut second) = (world.watcher("one"), world.watcher("two"));
    world.round(&mut first).await;
    let reads_before = world.reason_reads.lock().unwrap().len();
    world.pass(5);
    world.round(&mut second).await;
    assert_eq!(rest(&second, guest).unwrap().why, StopReason::Meant);
    assert!(world.reason_reads.lock().unwrap().len() <= reads_before + 1);
}
