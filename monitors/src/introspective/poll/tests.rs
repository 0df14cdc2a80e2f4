use super::*;
use crate::fake_libvirt::{Agent, Guest, guest};
use crate::harness::{Harness, RunningMonitor, until};
use crate::introspective::channel::pattern;

const SOCKET: &str = r"/var/lib/libvirt/qemu/org\.qemu\.guest_agent\..*\.instance-.*\.sock";

fn monitor(harness: &Harness) -> Box<dyn Monitor> {
    Box::new(IntrospectiveMonitor {
        hostname: "compute-1".to_owned(),
        address: Address::parse(&harness.fake.uri(), false).unwrap(),
        socket: pattern(SOCKET).unwrap(),
        interval: Duration::from_millis(30),
        timeout: Duration::from_secs(1),
        threshold: 3,
        at_once: 3,
        file: harness.folder.path().join("guests.json"),
        clock: Clock::new(),
        keepalive: Keepalive::default(),
    })
}

/// Starts a monitor in which every agent has answered once.
async fn watched(guests: u32) -> (Harness, RunningMonitor, Vec<Guest>) {
    let harness = Harness::set();
    let guests: Vec<Guest> = (1..=guests).map(guest).collect();
    for guest in &guests {
        harness.fake.add(guest.clone());
    }
    let running = harness.start(monitor(&harness));
    rounds(&harness, 2).await;
    (harness, running, guests)
}

/// Waits for this number of complete rounds.
async fn rounds(harness: &Harness, count: usize) {
    // A round starts with a list; the current round is not counted.
    let started = harness.fake.calls(273);
    until(async || harness.fake.calls(273) > started + count).await;
}

fn agent(harness: &Harness, guest: &Guest, agent: Agent) {
    harness.fake.change(guest.uuid, |guest| guest.agent = agent);
}

/// Covers MW19.
#[tokio::test]
async fn a_guest_that_hangs_twice_is_reported_twice() {
    let (harness, running, guests) = watched(2).await;
    for _ in 0..2 {
        agent(&harness, &guests[0], Agent::Hangs);
        harness.wait_for_reports(1).await;
        let body = harness.bodies().await.remove(0);
        assert!(
            body.ends_with(&format!(
                "\"payload\": {{\"event\": \"QEMU_GUEST_AGENT_ERROR\", \"instance_uuid\": \"{}\", \
                 \"vir_domain_event\": \"STOPPED_FAILED\"}}}}}}",
                guests[0].uuid
            )),
            "{body}"
        );
        rounds(&harness, 8).await;
        assert_eq!(harness.bodies().await.len(), 1, "once while it lasts");
        harness.deliver().await;
        agent(&harness, &guests[0], Agent::Answers);
        rounds(&harness, 3).await;
    }
    running.stop().await;
}

/// Covers MW19.
#[tokio::test]
async fn guests_that_hang_are_all_reported_and_libvirtd_has_threads_left() {
    let (harness, running, guests) = watched(25).await;
    for guest in &guests[..3] {
        agent(&harness, guest, Agent::Hangs);
    }
    harness.wait_for_reports(3).await;
    let mut reported = harness.reports().await;
    reported.sort();
    let mut hung: Vec<String> = guests[..3].iter().map(|guest| guest.uuid.to_string()).collect();
    hung.sort();
    assert_eq!(reported, hung);
    for guest in &guests {
        agent(&harness, guest, Agent::Hangs);
    }
    rounds(&harness, 2).await;
    assert!(
        harness.fake.most_busy_agents() <= 4,
        "{}",
        harness.fake.most_busy_agents()
    );
    running.stop().await;
}

/// A stalled storage silences every guest of a host, and a restart of all of them would be the worst reaction.
/// Covers F1.
#[tokio::test]
async fn guests_that_fall_silent_together_are_one_event_of_the_host_and_none_is_reported() {
    let (harness, running, guests) = watched(30).await;
    for guest in &guests {
        agent(&harness, guest, Agent::Hangs);
    }
    running.wait_for_health(GUESTS, false).await;
    rounds(&harness, 8).await;
    assert_eq!(harness.reports().await, Vec::<String>::new());
    // One guest does not recover with the others: its count restarts, and it is reported.
    for guest in &guests[1..] {
        agent(&harness, guest, Agent::Answers);
    }
    running.wait_for_health(GUESTS, true).await;
    harness.wait_for_reports(1).await;
    assert_eq!(harness.reports().await, [guests[0].uuid.to_string()]);
    running.stop().await;
}

/// No permission, a lock that is not granted, an internal error: no evidence of silent guests.
/// Covers F1.
#[tokio::test]
async fn what_libvirt_refuses_is_no_silent_agent() {
    let (harness, running, guests) = watched(9).await;
    for (guest, code) in guests.iter().zip([88, 68, 38, 1, 9, 87, 97, 39]) {
        agent(&harness, guest, Agent::Refused(code));
    }
    running.wait_for_health(AGENTS, false).await;
    rounds(&harness, 12).await;
    assert_eq!(harness.reports().await, Vec::<String>::new());
    // Newer daemons have separate error codes for an agent without an answer and for one that answered with an error.
    agent(&harness, &guests[8], Agent::Refused(112));
    harness.wait_for_reports(1).await;
    assert_eq!(harness.reports().await, [guests[8].uuid.to_string()]);
    agent(&harness, &guests[8], Agent::Refused(113));
    until(async || harness.bodies().await.is_empty()).await;
    for guest in &guests[..8] {
        agent(&harness, guest, Agent::Answers);
    }
    running.wait_for_health(AGENTS, true).await;
    running.stop().await;
}

#[tokio::test]
async fn an_answer_withdraws_the_undelivered_report() {
    let (harness, running, guests) = watched(1).await;
    agent(&harness, &guests[0], Agent::NotConnected);
    harness.wait_for_reports(1).await;
    agent(&harness, &guests[0], Agent::Answers);
    until(async || harness.bodies().await.is_empty()).await;
    running.stop().await;
}

#[tokio::test]
async fn guests_that_are_paused_reset_gone_or_without_agent_are_not_reported() {
    let (harness, running, guests) = watched(4).await;
    // A paused guest is not in the list of running ones.
    harness.fake.change(guests[0].uuid, |guest| guest.state = 3);
    harness.fake.remove(guests[1].uuid);
    // A guest that resets repeatedly, without an agent.
    agent(&harness, &guests[2], Agent::NotConnected);
    let mut without = guest(9);
    without.xml = "<domain><devices/></domain>".to_owned();
    without.agent = Agent::NotConnected;
    harness.fake.add(without);
    for _ in 0..12 {
        rounds(&harness, 1).await;
        harness.fake.bare(&guests[2], 319);
    }
    assert_eq!(harness.reports().await, Vec::<String>::new());
    // The report about the fourth guest shows that the loop continues.
    agent(&harness, &guests[3], Agent::NotConnected);
    until(async || harness.reports().await.contains(&guests[3].uuid.to_string())).await;
    running.stop().await;
}

/// Covers MW6.
#[tokio::test]
async fn libvirtd_goes_and_comes_back_and_no_guest_is_reported() {
    let (harness, running, guests) = watched(2).await;
    harness.fake.stop().await;
    running.wait_for_health(LIBVIRT, false).await;
    harness.fake.start();
    running.wait_for_health(LIBVIRT, true).await;
    rounds(&harness, 3).await;
    assert_eq!(harness.reports().await, Vec::<String>::new());
    agent(&harness, &guests[1], Agent::Hangs);
    harness.wait_for_reports(1).await;
    running.stop().await;
}

/// Covers MW7.
#[tokio::test]
async fn a_guest_that_hung_while_the_monitor_was_dead_is_reported() {
    let (harness, running, guests) = watched(1).await;
    running.kill().await;
    agent(&harness, &guests[0], Agent::Hangs);
    let running = harness.start(monitor(&harness));
    harness.wait_for_reports(1).await;
    running.kill().await;
    let running = harness.start(monitor(&harness));
    rounds(&harness, 8).await;
    let mut bodies = harness.bodies().await;
    // Killed before it had recorded its report, it repeated the same, which the API treats as a duplicate.
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    running.stop().await;
}

/// Covers MW4.
#[tokio::test]
async fn one_unreadable_guest_hides_no_other() {
    let harness = Harness::set();
    let mut broken = guest(1);
    broken.broken = true;
    harness.fake.add(broken);
    harness.fake.add(guest(2));
    let running = harness.start(monitor(&harness));
    rounds(&harness, 2).await;
    agent(&harness, &guest(2), Agent::NotConnected);
    harness.wait_for_reports(1).await;
    running.stop().await;
}
