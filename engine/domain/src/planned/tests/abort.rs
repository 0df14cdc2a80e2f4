//! Live migrations that a plan aborts.

use super::*;

fn aborts(bench: &Bench) -> usize {
    let is_one = |call: &&Command| matches!(call, Command::AbortMigration { .. });
    bench.calls.iter().filter(is_one).count()
}

/// Covers R30.
#[test]
fn a_migration_that_may_be_another_clients_is_followed_and_never_aborted() {
    use FaultClass::{Conflict, Transient};
    // Another client started a migration after the check and Nova refuses the call; or its origin is unknown.
    for answer in [fault(Conflict, false), fault(Transient, true)] {
        for aborted in [false, true] {
            let mut bench = Bench::drain(vec![server(1, HOST)]);
            bench.answers = vec![(Err(answer.clone()), true)];
            bench.takes = None;
            bench.run(10_000);
            if aborted {
                bench.say_abort();
            }
            let (status, text) = bench.end();
            assert_eq!(status, NotificationStatus::Failed, "{text}");
            assert_eq!(aborts(&bench), 0, "{text}");
            assert!(bench.now < if aborted { 15_000 } else { 620_000 });
            let note = bench.one(1).note.clone().unwrap();
            assert!(
                note.contains("and migration 1 (running) may belong to others"),
                "{note}"
            );
            assert!(!bench.froze());
        }
    }
}

/// Covers R30.
#[test]
fn a_migration_by_others_after_ours_has_failed_is_not_aborted() {
    let mut bench = Bench::drain(vec![server(1, HOST)]);
    bench.takes = None;
    while bench.orders().is_empty() {
        bench.run(100);
    }
    bench.migrations[0].status = MigrationStatus::Failed;
    bench.live(id(1), None);
    bench.end();
    assert_eq!(aborts(&bench), 0, "{:?}", bench.one(1));
    let note = bench.one(1).note.clone().unwrap();
    assert!(note.contains("and migration 2 (running)"), "{note}");
}
