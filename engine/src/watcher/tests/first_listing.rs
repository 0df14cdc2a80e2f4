//! The age of data during the first listing of a region.

use super::*;

/// Regression test: at its end the first listing was as old as its start, so instances that were just protected were unknown for minutes.
#[tokio::test]
async fn the_first_listing_is_never_old() {
    let world = Arc::new(World::default());
    for number in 0..3_000 {
        world.boot(&format!("compute-{:03}", number % 200), number);
    }
    let mut watcher = world.watcher("one");
    let mut rounds = 0;
    let mut complete = 0;
    while complete < 10 {
        rounds += 1;
        assert!(rounds < 20);
        // The machine is so busy that a round comes late.
        world.pass(20);
        complete += u32::from(watcher.roster.is_complete());
        assert!(world.round(&mut watcher).await);
        let now = watcher.sources.clock.wall();
        let known = watcher.watched().instances.unwrap();
        assert!(known.is_fresh(now), "round {rounds}");
        assert_eq!(known.value.listing_since.is_none(), known.value.complete);
    }
}
