//! Instances that are not moved, temporarily or at all.

use super::*;

#[test]
fn an_instance_that_cannot_be_moved_stays_with_its_reason_and_prevents_the_freeze() {
    let mut locked = server(1, HOST);
    (locked.locked, locked.locked_reason) = (true, Some("mine".into()));
    let mut suspended = server(2, HOST);
    suspended.vm_state = VmState::Suspended;
    let mut recovered = server(3, HOST);
    (recovered.locked, recovered.locked_reason) = (true, Some("tachi 77".into()));
    let mut bench = Bench::drain(vec![locked, suspended, recovered, server(4, HOST)]);
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Failed);
    assert_eq!(bench.orders(), [id(4)]);
    for part in [
        "1 instance moved, 3 left running",
        "vm-1 (it is locked (mine); --with-locked moves it too)",
        "vm-2 (it is suspended",
        "vm-3 (a recovery has locked it",
        "not frozen, so what is left stays protected",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!bench.froze());
}

#[test]
fn an_instance_locked_by_a_recovery_delays_no_other() {
    let mut servers: Vec<Server> = (1..=5).map(|number| server(number, HOST)).collect();
    for server in &mut servers[..3] {
        (server.locked, server.locked_reason) = (true, Some("tachi 77".into()));
    }
    let mut bench = Bench::drain(servers);
    bench.run(30_000);
    assert_eq!(bench.orders(), [id(4), id(5)]);
    assert_eq!(
        bench.state().message.as_deref(),
        Some("waits for the recovery that has locked vm-1")
    );
    let polls = bench
        .calls
        .iter()
        .filter(|call| **call == Command::FollowMove(id(1)));
    assert!(polls.count() < 15, "it does not poll continuously");
    for number in 1..=3 {
        let server = bench.servers.get_mut(&id(number)).unwrap();
        (server.locked, server.locked_reason) = (false, None);
    }
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert_eq!(bench.orders().len(), 5);
    assert_eq!(bench.most_under_way, 2);
    assert!(bench.froze());
}

#[test]
fn a_stopped_instance_stays_and_does_not_prevent_the_freeze() {
    let mut stopped = server(1, HOST);
    stopped.vm_state = VmState::Stopped;
    let mut bench = Bench::drain(vec![stopped]);
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert!(
        text.contains("1 instance left that does not run; frozen"),
        "{text}"
    );
    assert!(bench.orders().is_empty() && bench.froze());
}

#[test]
fn a_host_enabled_meanwhile_is_not_frozen() {
    let mut bench = Bench::drain(vec![server(1, HOST)]);
    bench.run(4_000);
    bench.service.enabled = true;
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Failed);
    let expected = "1 instance moved, 0 left running: its service was enabled meanwhile";
    assert!(text.contains(expected) && !text.contains("is disabled"), "{text}");
    assert!(!bench.froze());
}

/// Covers R26.
#[test]
fn a_copy_that_shows_the_service_enabled_for_a_while_ends_no_drain() {
    let mut bench = Bench::drain(Vec::new());
    while !bench
        .calls
        .iter()
        .any(|call| matches!(call, Command::TakeInventory { .. }))
    {
        bench.run(100);
    }
    bench.service.enabled = true;
    bench.run(20_000);
    assert!(!bench.froze(), "{:?}", bench.state().message);
    bench.service.enabled = false;
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert!(bench.froze());
}

#[test]
fn an_instance_that_is_being_started_counts_as_running() {
    let mut stopped = server(1, HOST);
    (stopped.vm_state, stopped.task_state) = (VmState::Stopped, Some("powering-on".into()));
    let mut bench = Bench::drain(vec![stopped]);
    // It stays: only running instances are migrated, and a task has a minute to end.
    bench.run(90_000);
    assert_eq!(
        bench.state().message.as_deref(),
        Some("waits for what is stopped on compute-1 and being changed: vm-1")
    );
    let server = bench.servers.get_mut(&id(1)).unwrap();
    (server.vm_state, server.task_state) = (VmState::Active, None);
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Failed, "{text}");
    assert!(text.contains("no instance moved, 1 left running: vm-1"), "{text}");
    assert!(!bench.froze());
}
