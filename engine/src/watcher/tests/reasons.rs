//! The reasons why instances do not run.

use super::*;

/// Covers R36.
#[tokio::test]
async fn an_instance_that_stopped_without_an_operator_is_known_in_the_round_that_sees_it() {
    let world = Arc::new(World::default());
    let ids: Vec<ServerId> = (1..=3).map(|number| world.boot("a", number)).collect();
    world.pass(600);
    let mut watcher = world.watcher("one");
    world.round(&mut watcher).await;
    assert_eq!(
        *world.reason_reads.lock().unwrap(),
        [],
        "what runs is asked nothing"
    );
    world.stop(ids[0], &[("stop", Actor::Person), ("create", Actor::Person)]);
    world.stop(
        ids[1],
        &[
            ("start", Actor::Ours),
            ("stop", Actor::Ours),
            ("create", Actor::Person),
        ],
    );
    world.pass(15);
    world.round(&mut watcher).await;
    let why = |watcher: &Watcher, id| rest(watcher, id).map(|rest| rest.why);
    assert_eq!(why(&watcher, ids[0]), Some(StopReason::Meant));
    assert_eq!(why(&watcher, ids[1]), Some(StopReason::Due));
    assert_eq!(why(&watcher, ids[2]), None);
    assert!(world.on("a").unwrap().contains("\"why\":\"due\""), "it is kept");
    // Its owner requests a start, which fails: the stop no longer counts as intended.
    world.record(ids[0], &[("start", Actor::Person), ("stop", Actor::Person)]);
    world.change(ids[0], true, |server| {
        server.task_state = Some("powering-on".into());
    });
    world.pass(15);
    world.round(&mut watcher).await;
    assert_eq!(
        why(&watcher, ids[0]),
        Some(StopReason::Unasked),
        "not before Nova is done"
    );
    world.change(ids[0], true, |server| server.task_state = None);
    world.pass(15);
    world.round(&mut watcher).await;
    assert_eq!(why(&watcher, ids[0]), Some(StopReason::Due));
    world.change(ids[0], true, |server| {
        server.vm_state = VmState::Active;
        server.power_state = PowerState::Running;
    });
    world.pass(15);
    world.round(&mut watcher).await;
    assert_eq!(why(&watcher, ids[0]), None);
}

/// Covers R36.
#[tokio::test]
async fn what_has_to_end_before_nova_starts_an_instance_is_stored() {
    let world = Arc::new(World::default());
    let id = world.boot("a", 1);
    world.pass(600);
    let mut watcher = world.watcher("one");
    world.round(&mut watcher).await;
    let blocker = |text: &str| {
        world
            .on("a")
            .unwrap()
            .contains(&format!("\"start_blocker\":\"{text}\""))
    };
    assert!(!blocker("resize") && !blocker("task"));
    for (vm_state, task, expected) in [
        (VmState::Resized, None, "resize"),
        (VmState::Active, Some("powering-off"), "task"),
    ] {
        world.change(id, true, |server| {
            server.vm_state = vm_state.clone();
            server.task_state = task.map(str::to_owned);
        });
        world.pass(15);
        world.round(&mut watcher).await;
        assert!(blocker(expected), "{vm_state}");
    }
}

/// Nova's record of the stop does not contain the cause; the recovery of the crash does. It may fail after Nova has
/// recorded the stop.
/// Covers R36.
#[tokio::test]
async fn an_instance_that_nova_stopped_is_down_once_a_recovery_of_its_crash_has_failed() {
    let world = Arc::new(World::default());
    let ids: Vec<ServerId> = (1..=2).map(|number| world.boot("a", number)).collect();
    for id in &ids {
        world.stop(*id, &[("stop", Actor::Nova), ("create", Actor::Person)]);
    }
    let mut watcher = world.watcher("one");
    let mut reasons = async || {
        world.round(&mut watcher).await;
        world.pass(15);
        [0, 1].map(|place: usize| rest(&watcher, ids[place]).unwrap().why)
    };
    assert_eq!(reasons().await, [StopReason::Unclear; 2]);
    world.failed.lock().unwrap().insert(ids[0], world.wall());
    assert_eq!(reasons().await, [StopReason::Due, StopReason::Unclear]);
    assert_eq!(reasons().await, [StopReason::Due, StopReason::Unclear]);
    world.failed.lock().unwrap().clear();
    assert_eq!(reasons().await, [StopReason::Unclear; 2]);
}

/// A host that was switched off and came back without an evacuation has lost its guests.
/// Covers R36.
#[tokio::test]
async fn an_instance_that_nova_stopped_soon_after_the_boot_of_its_host_is_down() {
    let world = Arc::new(World::default());
    let ids: Vec<ServerId> = [("a", 1), ("b", 2)]
        .map(|(host, number)| world.boot(host, number))
        .into();
    for id in &ids {
        world.stop(*id, &[("stop", Actor::Nova), ("create", Actor::Person)]);
    }
    let now = world.wall();
    for order in world.orders.lock().unwrap().values_mut().flatten() {
        order.at = (order.action == "stop").then_some(now);
    }
    world.boots.lock().unwrap().insert("a".to_owned(), world.wall());
    let mut watcher = world.watcher("one");
    world.round(&mut watcher).await;
    let reasons = [0, 1].map(|place: usize| rest(&watcher, ids[place]).unwrap().why);
    assert_eq!(reasons, [StopReason::Due, StopReason::Unclear]);
    // The monitor starts later than nova-compute: its boot is known once the reasons were read twice.
    for _ in 0..4 {
        world.pass(15);
        world.round(&mut watcher).await;
    }
    world.boots.lock().unwrap().insert("b".to_owned(), now);
    for _ in 0..2 {
        world.pass(15);
        world.round(&mut watcher).await;
    }
    assert_eq!(rest(&watcher, ids[1]).unwrap().why, StopReason::Due);
}

fn ended_by_boot(watcher: &Watcher, id: ServerId) -> Option<Timestamp> {
    let on = watcher.watched().instances.unwrap().value.on;
    let found = on.values().flat_map(|all| all.iter()).find(|one| one.id == id);
    found.unwrap().ended_by_boot
}

/// Nova shows the guests that a boot has ended as running until its power synchronisation.
/// Covers R36.
#[tokio::test]
async fn an_instance_that_nova_has_not_started_since_the_boot_of_its_host_has_ended() {
    let world = Arc::new(World::default());
    let ids: Vec<ServerId> = [("a", 1), ("a", 2), ("b", 3)]
        .map(|(host, number)| world.boot(host, number))
        .into();
    world.stop(ids[1], &[("stop", Actor::Person)]);
    world.pass(600);
    let mut watcher = world.watcher("one");
    world.round(&mut watcher).await;
    let ended = |watcher: &Watcher| -> Vec<Option<Timestamp>> {
        ids.iter().map(|id| ended_by_boot(watcher, *id)).collect()
    };
    assert_eq!(ended(&watcher), [None; 3]);
    let booted = world.wall();
    world.pass(120);
    world.boots.lock().unwrap().insert("a".to_owned(), booted);
    world.round(&mut watcher).await;
    assert_eq!(
        ended(&watcher),
        [Some(booted), None, None],
        "the second was stopped"
    );
    let stored = world.on("a").unwrap();
    assert!(stored.contains("ended_by_boot"), "{stored}");
    // Each heartbeat shows the boot a bit differently.
    let again = booted.minus_seconds(1);
    world.boots.lock().unwrap().insert("a".to_owned(), again);
    world.pass(15);
    world.round(&mut watcher).await;
    let mut second = world.watcher("two");
    second.resume().await.unwrap();
    assert_eq!(ended(&watcher)[0], Some(booted));
    assert_eq!(ended(&second)[0], Some(booted), "another engine resumes from it");
    // It is started: Nova changes its record.
    world.change(ids[0], true, |server| server.name = "started".into());
    world.pass(15);
    world.round(&mut watcher).await;
    assert_eq!(ended(&watcher), [None; 3]);
}

/// Covers R36.
#[tokio::test]
async fn novas_state_counts_again_once_its_power_synchronisation_is_over() {
    let world = Arc::new(World::default());
    let one = world.boot("a", 1);
    world.pass(600);
    let mut watcher = world.watcher("one");
    world.boots.lock().unwrap().insert("a".to_owned(), world.wall());
    let ended = |watcher: &Watcher| ended_by_boot(watcher, one).is_some();
    world.round(&mut watcher).await;
    assert!(ended(&watcher));
    world.pass(1_185);
    world.round(&mut watcher).await;
    assert!(ended(&watcher));
    world.pass(30);
    world.round(&mut watcher).await;
    assert!(!ended(&watcher), "Nova has found it running");
}

/// Nova shows a crashed instance as running until it has noticed, so that alone is no proof.
/// Covers C3, R36.
#[tokio::test]
async fn a_failed_recovery_is_forgotten_once_its_instance_runs_again() {
    let world = Arc::new(World::default());
    let ids: Vec<ServerId> = (1..=3).map(|number| world.boot("a", number)).collect();
    let mut watcher = world.watcher("one");
    world.round(&mut watcher).await;
    world.pass(15);
    for id in &ids {
        world.record(*id, &[("create", Actor::Person)]);
        world.failed.lock().unwrap().insert(*id, world.wall());
    }
    let mut known = async || {
        for _ in 0..4 {
            world.pass(15);
            world.round(&mut watcher).await;
        }
        world.failed.lock().unwrap().keys().copied().collect::<Vec<_>>()
    };
    assert_eq!(known().await, ids, "nothing shows that they run");
    world.record(ids[0], &[("reboot", Actor::Person), ("create", Actor::Person)]);
    if let Some(actions) = world.orders.lock().unwrap().get_mut(&ids[0]) {
        actions[0].at = Some(world.wall());
    }
    world.stop(ids[1], &[("stop", Actor::Nova), ("create", Actor::Person)]);
    assert_eq!(known().await, ids[1..], "a user has rebooted the first");
    world.change(ids[1], true, |server| {
        server.vm_state = VmState::Active;
        server.power_state = PowerState::Running;
    });
    *world.forget_fails.lock().unwrap() = true;
    assert_eq!(known().await, ids[1..], "the database does not answer");
    *world.forget_fails.lock().unwrap() = false;
    assert_eq!(
        known().await,
        ids[2..],
        "Nova showed the second stopped, and running since"
    );
}

#[tokio::test]
async fn a_failed_recovery_is_forgotten_once_its_instance_is_deleted() {
    let world = Arc::new(World::default());
    let there = world.boot("a", 1);
    let gone = ServerId(Uuid::from_u128(2));
    let failed = [there, gone].map(|id| (id, world.wall()));
    *world.failed.lock().unwrap() = failed.into();
    let mut watcher = world.watcher("one");
    world.round(&mut watcher).await;
    let known = || world.failed.lock().unwrap().len();
    assert_eq!(known(), 2, "a list of Nova may lag");
    world.pass(3_601);
    *world.cell_down.lock().unwrap() = true;
    world.round(&mut watcher).await;
    assert_eq!(known(), 2, "it may be in the cell that is down");
    *world.cell_down.lock().unwrap() = false;
    for _ in 0..3 {
        world.pass(15);
        world.round(&mut watcher).await;
    }
    assert_eq!(
        *world.failed.lock().unwrap(),
        failed[..1].iter().copied().collect()
    );
}

/// Covers R36.
#[tokio::test]
async fn a_change_that_novas_timestamp_hides_is_found() {
    let world = Arc::new(World::default());
    let guest = world.boot("a", 1);
    world.stop(guest, &[("stop", Actor::Person)]);
    let mut watcher = world.watcher("one");
    world.round(&mut watcher).await;
    world.record(guest, &[("start", Actor::Person), ("stop", Actor::Person)]);
    for _ in 0..3 {
        world.pass(15);
        world.round(&mut watcher).await;
    }
    assert_eq!(rest(&watcher, guest).unwrap().why, StopReason::Due);
}

/// Covers R36.
#[tokio::test]
async fn a_thousand_stopped_instances_cost_few_requests() {
    let world = Arc::new(World::default());
    let ids: Vec<ServerId> = (0..900).map(|number| world.boot("a", number)).collect();
    for id in &ids {
        world.stop(*id, &[("stop", Actor::Person)]);
    }
    let mut watcher = world.watcher("one");
    *world.moves.lock().unwrap() = true;
    world.round(&mut watcher).await;
    world.pass(15);
    world.round(&mut watcher).await;
    assert!(
        world.reason_reads.lock().unwrap().len() <= MAX_REASONS_PER_ROUND,
        "once, before anything was known"
    );
    *world.moves.lock().unwrap() = false;
    while watcher.query_reason().await && world.reason_reads.lock().unwrap().len() < ids.len() {}
    let why = |id| rest(&watcher, id).unwrap().why;
    assert!(ids.iter().all(|id| why(*id) == StopReason::Meant));
    world.reason_reads.lock().unwrap().clear();
    for _ in 0..60 {
        for _ in 0..5 {
            watcher.query_reason().await;
        }
        world.pass(1);
    }
    let reads_before = world.reason_reads.lock().unwrap().len();
    assert!(reads_before < 10, "{reads_before} requests in a minute at rest");
}

/// Nova's timestamps hide only what has changed in the same second.
/// Covers R36.
#[tokio::test]
async fn instances_that_stay_stopped_cost_nothing_once_they_were_read_again() {
    let world = Arc::new(World::default());
    let guests = [1, 2].map(|number| world.boot("a", number));
    for guest in guests {
        world.stop(guest, &[("stop", Actor::Person)]);
    }
    let mut watcher = world.watcher("one");
    let reads_in_two_minutes = async |watcher: &mut Watcher| {
        world.reason_reads.lock().unwrap().clear();
        for second in 0..120 {
            if second % 15 == 0 {
                world.round(watcher).await;
            }
            watcher.query_reason().await;
            world.pass(1);
        }
        world.reason_reads.lock().unwrap().len()
    };
    let first = reads_in_two_minutes(&mut watcher).await;
    assert!((4..=6).contains(&first), "{first}");
    assert_eq!(reads_in_two_minutes(&mut watcher).await, 0, "at rest");
    world.stop(guests[0], &[("start", Actor::Person)]);
    let again = reads_in_two_minutes(&mut watcher).await;
    assert!((2..=3).contains(&again), "{again}: only the one that has changed");
    assert_eq!(rest(&watcher, guests[0]).unwrap().why, StopReason::Due);
}
