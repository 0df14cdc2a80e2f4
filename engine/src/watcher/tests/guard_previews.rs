//! The guards, evaluated before a failure.

use super::*;

#[tokio::test]
async fn guard_previews_are_stored_and_become_stale() {
    let world = Arc::new(World::default());
    let mut watcher = world.watcher("a");
    let kept = || {
        CloudSnapshot::from_stored(&world.kept.lock().unwrap().values().cloned().collect::<Vec<_>>()).holds
    };
    assert!(world.round(&mut watcher).await);
    assert_eq!(kept(), None, "no observer was notified");
    let holds = vec![WouldHold {
        host: "compute-1".into(),
        why: vec!["G11 protected: it is listed".into()],
    }];
    *world.holds.lock().unwrap() = Some(holds.clone());
    assert!(world.round(&mut watcher).await);
    let observed = kept().unwrap();
    assert_eq!(observed.value, holds);
    *world.holds.lock().unwrap() = None;
    world.pass(15);
    assert!(world.round(&mut watcher).await);
    assert_eq!(kept().unwrap().as_of, observed.as_of, "as old as it is");
}

/// At rest the guards cost Nova no request.
#[tokio::test]
async fn the_guards_are_given_what_the_round_has_read() {
    let world = Arc::new(World::default());
    let mut watcher = world.watcher("a");
    assert!(world.round(&mut watcher).await);
    let nova = world.previewed.lock().unwrap().pop().unwrap().unwrap();
    assert_eq!(nova.services.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(nova.aggregates.len(), 1);
    assert!(!nova.scheduler_up, "as Nova shows it");
    let mut given_nothing = async |case: &str| {
        world.pass(15);
        assert!(world.round(&mut watcher).await);
        let given = world.previewed.lock().unwrap().pop().unwrap();
        assert_eq!(given, None, "{case}");
    };
    *world.rooms_fail.lock().unwrap() = true;
    given_nothing("Placement refuses").await;
    *world.rooms_fail.lock().unwrap() = false;
    *world.moves.lock().unwrap() = true;
    given_nothing("instances are being moved").await;
    *world.moves.lock().unwrap() = false;
    *world.is_away.lock().unwrap() = true;
    given_nothing("Nova did not answer the last poll").await;
}
