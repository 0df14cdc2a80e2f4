use super::*;
use crate::fake_libvirt::{Agent, Guest, guest};
use crate::introspective::channel::pattern;
use crate::stage::{RunningMonitor, Stage, until};

const SOCKET: &str = r"/var/lib/libvirt/qemu/org\.qemu\.guest_agent\..*\.instance-.*\.sock";

fn monitor(stage: &Stage) -> Box<dyn Monitor> {
    Box::new(IntrospectiveMonitor {
        hostname: "compute-1".to_owned(),
        address: Address::parse(&stage.fake.uri(), false).unwrap(),
        socket: pattern(SOCKET).unwrap(),
        interval: Duration::from_millis(30),
        timeout: Duration::from_secs(1),
        threshold: 3,
        at_once: 3,
        file: stage.folder.path().join("guests.json"),
        clock: Clock::new(),
        keepalive: Keepalive::default(),
    })
}

/// Starts a monitor in which every agent has answered once.
async fn watched(guests: u32) -> (Stage, RunningMonitor, Vec<Guest>) {
    let stage = Stage::set();
    let guests: Vec<Guest> = (1..=guests).map(guest).collect();
    for guest in &guests {
        stage.fake.add(guest.clone());
    }
    let running = stage.start(monitor(&stage));
    rounds(&stage, 2).await;
    (stage, running, guests)
}

/// Waits for this number of complete rounds.
async fn rounds(stage: &Stage, count: usize) {
    // A round starts with a list; the current round is not counted.
    let begun = stage.fake.calls(273);
    until(async || stage.fake.calls(273) > begun + count).await;
}

fn agent(stage: &Stage, guest: &Guest, agent: Agent) {
    stage.fake.change(guest.uuid, |guest| guest.agent = agent);
}

/// Covers MW19.
#[tokio::test]
async fn a_guest_that_hangs_twice_is_reported_twice() {
    let (stage, running, guests) = watched(2).await;
    for _ in 0..2 {
        agent(&stage, &guests[0], Agent::Hangs);
        stage.until_told(1).await;
        let body = stage.bodies().await.remove(0);
        assert!(
            body.ends_with(&format!(
                "\"payload\": {{\"event\": \"QEMU_GUEST_AGENT_ERROR\", \"instance_uuid\": \"{}\", \
                 \"vir_domain_event\": \"STOPPED_FAILED\"}}}}}}",
                guests[0].uuid
            )),
            "{body}"
        );
        rounds(&stage, 8).await;
        assert_eq!(stage.bodies().await.len(), 1, "once while it lasts");
        stage.deliver().await;
        agent(&stage, &guests[0], Agent::Answers);
        rounds(&stage, 3).await;
    }
    running.stop().await;
}

/// Covers MW19.
#[tokio::test]
async fn guests_that_hang_are_all_reported_and_libvirtd_has_threads_left() {
    let (stage, running, guests) = watched(25).await;
    for guest in &guests[..3] {
        agent(&stage, guest, Agent::Hangs);
    }
    stage.until_told(3).await;
    let mut told = stage.reports().await;
    told.sort();
    let mut hung: Vec<String> = guests[..3].iter().map(|guest| guest.uuid.to_string()).collect();
    hung.sort();
    assert_eq!(told, hung);
    for guest in &guests {
        agent(&stage, guest, Agent::Hangs);
    }
    rounds(&stage, 2).await;
    assert!(
        stage.fake.most_busy_agents() <= 4,
        "{}",
        stage.fake.most_busy_agents()
    );
    running.stop().await;
}

/// A stalled storage silences every guest of a host, and a restart of all of them would be the worst reaction.
/// Covers F1.
#[tokio::test]
async fn guests_that_fall_silent_together_are_one_event_of_the_host_and_none_is_reported() {
    let (stage, running, guests) = watched(30).await;
    for guest in &guests {
        agent(&stage, guest, Agent::Hangs);
    }
    running.until_part(GUESTS, false).await;
    rounds(&stage, 8).await;
    assert_eq!(stage.reports().await, Vec::<String>::new());
    // One guest does not recover with the others: its count restarts, and it is reported.
    for guest in &guests[1..] {
        agent(&stage, guest, Agent::Answers);
    }
    running.until_part(GUESTS, true).await;
    stage.until_told(1).await;
    assert_eq!(stage.reports().await, [guests[0].uuid.to_string()]);
    running.stop().await;
}

/// No permission, a lock that is not granted, an internal error: no evidence of silent guests.
/// Covers F1.
#[tokio::test]
async fn what_libvirt_refuses_is_no_silent_agent() {
    let (stage, running, guests) = watched(9).await;
    for (guest, code) in guests.iter().zip([88, 68, 38, 1, 9, 87, 97, 39]) {
        agent(&stage, guest, Agent::Refused(code));
    }
    running.until_part(AGENTS, false).await;
    rounds(&stage, 12).await;
    assert_eq!(stage.reports().await, Vec::<String>::new());
    // Newer daemons have separate error codes for an agent without an answer and for one that answered with an error.
    agent(&stage, &guests[8], Agent::Refused(112));
    stage.until_told(1).await;
    assert_eq!(stage.reports().await, [guests[8].uuid.to_string()]);
    agent(&stage, &guests[8], Agent::Refused(113));
    until(async || stage.bodies().await.is_empty()).await;
    for guest in &guests[..8] {
        agent(&stage, guest, Agent::Answers);
    }
    running.until_part(AGENTS, true).await;
    running.stop().await;
}

#[tokio::test]
async fn a_guest_that_answers_again_overtakes_what_was_not_delivered() {
    let (stage, running, guests) = watched(1).await;
    agent(&stage, &guests[0], Agent::NotConnected);
    stage.until_told(1).await;
    agent(&stage, &guests[0], Agent::Answers);
    until(async || stage.bodies().await.is_empty()).await;
    running.stop().await;
}

#[tokio::test]
async fn guests_that_are_paused_reset_gone_or_without_agent_are_not_told() {
    let (stage, running, guests) = watched(4).await;
    // A paused guest is not in the list of running ones.
    stage.fake.change(guests[0].uuid, |guest| guest.state = 3);
    stage.fake.remove(guests[1].uuid);
    // A guest that resets repeatedly, without an agent.
    agent(&stage, &guests[2], Agent::NotConnected);
    let mut without = guest(9);
    without.xml = "<domain><devices/></domain>".to_owned();
    without.agent = Agent::NotConnected;
    stage.fake.add(without);
    for _ in 0..12 {
        rounds(&stage, 1).await;
        stage.fake.bare(&guests[2], 319);
    }
    assert_eq!(stage.reports().await, Vec::<String>::new());
    // The report about the fourth guest shows that the loop continues.
    agent(&stage, &guests[3], Agent::NotConnected);
    until(async || stage.reports().await.contains(&guests[3].uuid.to_string())).await;
    running.stop().await;
}

/// Covers MW6.
#[tokio::test]
async fn libvirtd_goes_and_comes_back_and_no_guest_is_reported() {
    let (stage, running, guests) = watched(2).await;
    stage.fake.stop().await;
    running.until_part(LIBVIRT, false).await;
    stage.fake.start();
    running.until_part(LIBVIRT, true).await;
    rounds(&stage, 3).await;
    assert_eq!(stage.reports().await, Vec::<String>::new());
    agent(&stage, &guests[1], Agent::Hangs);
    stage.until_told(1).await;
    running.stop().await;
}

/// Covers MW7.
#[tokio::test]
async fn a_guest_that_hung_while_the_monitor_was_dead_is_reported() {
    let (stage, running, guests) = watched(1).await;
    running.kill().await;
    agent(&stage, &guests[0], Agent::Hangs);
    let running = stage.start(monitor(&stage));
    stage.until_told(1).await;
    running.kill().await;
    let running = stage.start(monitor(&stage));
    rounds(&stage, 8).await;
    let mut bodies = stage.bodies().await;
    // Killed before it had recorded its report, it repeated the same, which the API treats as a duplicate.
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    running.stop().await;
}

/// Covers MW4.
#[tokio::test]
async fn one_unreadable_guest_hides_no_other() {
    let stage = Stage::set();
    let mut broken = guest(1);
    broken.broken = true;
    stage.fake.add(broken);
    stage.fake.add(guest(2));
    let running = stage.start(monitor(&stage));
    rounds(&stage, 2).await;
    agent(&stage, &guest(2), Agent::NotConnected);
    stage.until_told(1).await;
    running.stop().await;
}
