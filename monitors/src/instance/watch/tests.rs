use super::*;
use crate::fake_libvirt::{Guest, guest};
use crate::harness::{Harness, RunningMonitor, until};

fn monitor(harness: &Harness, rules: Rules) -> Box<dyn Monitor> {
    Box::new(InstanceMonitor {
        hostname: "compute-1".to_owned(),
        address: Address::parse(&harness.fake.uri(), true).unwrap(),
        rules,
        folder: harness.folder.path().join("instance"),
        clock: Clock::new(),
        keepalive: Keepalive {
            interval: Duration::from_millis(50),
            count: 3,
        },
    })
}

/// Starts a monitor of a host with this number of running guests, and waits until it receives events.
async fn watched(rules: Rules, guests: u32) -> (Harness, RunningMonitor, Vec<Guest>) {
    let harness = Harness::set();
    let guests: Vec<Guest> = (1..=guests).map(guest).collect();
    for guest in &guests {
        harness.fake.add(guest.clone());
    }
    let running = harness.start(monitor(&harness, rules));
    listening(&harness, &running).await;
    (harness, running, guests)
}

async fn listening(harness: &Harness, running: &RunningMonitor) {
    running.wait_for_health(LIBVIRT, true).await;
    // It is registered for events, and has compared its guests.
    until(async || {
        harness.folder.path().join("instance/guests.json").exists() && !harness.fake.registered().is_empty()
    })
    .await;
    let lists = harness.fake.calls(273);
    assert!(lists >= 2, "{lists}");
}

/// The guest's process exits.
fn dies(harness: &Harness, guest: &Guest) {
    harness
        .fake
        .change(guest.uuid, |guest| (guest.state, guest.reason) = (5, 3));
    harness.fake.lifecycle(guest, 5, 5);
}

fn starts(harness: &Harness, guest: &Guest) {
    harness
        .fake
        .change(guest.uuid, |guest| (guest.state, guest.reason) = (1, 1));
    harness.fake.lifecycle(guest, 2, 0);
}

#[tokio::test]
async fn a_death_is_reported_in_upstreams_exact_bytes() {
    let before = Clock::new().generated();
    let (harness, running, guests) = watched(Rules::default(), 1).await;
    dies(&harness, &guests[0]);
    harness.wait_for_reports(1).await;
    let body = harness.bodies().await.remove(0);
    let time = body.split('"').nth(13).unwrap().to_owned();
    let expected = format!(
        "{{\"notification\": {{\"type\": \"VM\", \"hostname\": \"compute-1\", \"generated_time\": \"{time}\", \
         \"payload\": {{\"event\": \"LIFECYCLE\", \"instance_uuid\": \"{}\", \"vir_domain_event\": \
         \"STOPPED_FAILED\"}}}}}}",
        guests[0].uuid
    );
    assert_eq!(body, expected);
    assert!(
        before.to_string() <= time && time <= Clock::new().generated().to_string(),
        "{time}"
    );
    running.stop().await;
}

/// Covers MW6.
#[tokio::test]
async fn libvirtd_goes_and_comes_back_and_the_monitor_stays() {
    let (harness, running, guests) = watched(Rules::default(), 2).await;
    for guest in &guests {
        harness.fake.stop().await;
        running.wait_for_health(LIBVIRT, false).await;
        harness.fake.start();
        running.wait_for_health(LIBVIRT, true).await;
        dies(&harness, guest);
        harness.wait_for_reports(1).await;
        harness.deliver().await;
    }
    assert!(running.runs());
    running.stop().await;
}

/// Covers MW5.
#[tokio::test]
async fn a_death_while_libvirtd_was_down_is_reported_once_when_it_is_back() {
    let (harness, running, guests) = watched(Rules::default(), 3).await;
    harness.fake.stop().await;
    running.wait_for_health(LIBVIRT, false).await;
    harness
        .fake
        .change(guests[0].uuid, |guest| (guest.state, guest.reason) = (5, 3));
    harness
        .fake
        .change(guests[1].uuid, |guest| (guest.state, guest.reason) = (5, 2));
    harness.fake.start();
    harness.wait_for_reports(1).await;
    assert_eq!(harness.reports().await, [guests[0].uuid.to_string()]);
    // The third guest dies after the second, so a report about the second would have come first.
    running.wait_for_health(LIBVIRT, true).await;
    dies(&harness, &guests[2]);
    harness.wait_for_reports(2).await;
    running.stop().await;
}

/// Covers MW5.
#[tokio::test]
async fn a_death_while_the_monitor_was_dead_is_reported_once_when_it_is_back() {
    let (harness, running, guests) = watched(Rules::default(), 2).await;
    running.kill().await;
    harness
        .fake
        .change(guests[0].uuid, |guest| (guest.state, guest.reason) = (5, 3));
    for _ in 0..3 {
        let running = harness.start(monitor(&harness, Rules::default()));
        harness.wait_for_reports(1).await;
        let lists = harness.fake.calls(273);
        until(async || harness.fake.calls(273) >= lists).await;
        running.stop().await;
    }
    assert_eq!(harness.reports().await, [guests[0].uuid.to_string()]);
}

/// Covers MW11.
#[tokio::test]
async fn a_thousand_deaths_in_a_second_are_reported_each_once() {
    let (harness, running, guests) = watched(Rules::default(), 1000).await;
    for guest in &guests {
        dies(&harness, guest);
    }
    harness.wait_for_reports(1000).await;
    let mut reported = harness.reports().await;
    reported.sort();
    reported.dedup();
    assert_eq!(reported.len(), 1000);
    running.stop().await;
}

/// Covers MW4.
#[tokio::test]
async fn a_frozen_libvirtd_is_noticed_and_what_happened_meanwhile_is_reported() {
    let (harness, running, guests) = watched(Rules::default(), 2).await;
    harness.fake.freeze();
    running.wait_for_health(LIBVIRT, false).await;
    harness
        .fake
        .change(guests[1].uuid, |guest| (guest.state, guest.reason) = (5, 3));
    harness.fake.thaw();
    harness.wait_for_reports(1).await;
    assert_eq!(harness.reports().await, [guests[1].uuid.to_string()]);
    running.wait_for_health(LIBVIRT, true).await;
    running.stop().await;
}

#[tokio::test]
async fn a_start_withdraws_the_undelivered_report() {
    let (harness, running, guests) = watched(Rules::default(), 1).await;
    dies(&harness, &guests[0]);
    harness.wait_for_reports(1).await;
    starts(&harness, &guests[0]);
    until(async || harness.bodies().await.is_empty()).await;
    running.stop().await;
}

#[tokio::test]
async fn guests_of_others_are_not_reported_and_queried_once() {
    let (harness, running, guests) = watched(Rules::default(), 1).await;
    let mut pet = guest(77);
    pet.metadata = None;
    harness.fake.add(pet.clone());
    harness.fake.lifecycle(&pet, 2, 0);
    dies(&harness, &pet);
    dies(&harness, &guests[0]);
    harness.wait_for_reports(1).await;
    assert_eq!(harness.reports().await, [guests[0].uuid.to_string()]);
    // Two queries for the foreign guest, one of each namespace, and one for Nova's.
    assert_eq!(harness.fake.calls(265), 3);
    running.stop().await;
}

/// Covers MW14.
#[tokio::test]
async fn a_panicked_guest_that_libvirt_keeps_is_reported() {
    let rules = Rules {
        panic_wait: Duration::from_millis(10),
        ..Rules::default()
    };
    let (harness, running, guests) = watched(rules, 1).await;
    harness
        .fake
        .change(guests[0].uuid, |guest| (guest.state, guest.reason) = (6, 1));
    harness.fake.lifecycle(&guests[0], 8, 0);
    harness.wait_for_reports(1).await;
    running.stop().await;
}

/// Covers MW12.
#[tokio::test]
async fn what_is_not_reported_is_not_polled() {
    let (harness, running, _) = watched(Rules::default(), 1).await;
    assert_eq!(harness.fake.registered(), [0, 4]);
    running.stop().await;
    let all = Rules {
        all_events: true,
        ..Rules::default()
    };
    let (harness, running, guests) = watched(all, 1).await;
    assert_eq!(harness.fake.registered(), [0, 4, 1, 6, 7, 3]);
    for _ in 0..3 {
        harness.fake.bare(&guests[0], 319);
    }
    harness.fake.watchdog(&guests[0], 2);
    harness.wait_for_reports(2).await;
    running.stop().await;
}

/// Covers MW4.
#[tokio::test]
async fn one_unreadable_guest_hides_no_other() {
    let harness = Harness::set();
    let (mut broken, well) = (guest(1), guest(2));
    broken.broken = true;
    harness.fake.add(broken.clone());
    harness.fake.add(well.clone());
    let running = harness.start(monitor(&harness, Rules::default()));
    listening(&harness, &running).await;
    harness.fake.lifecycle(&well, 5, 5);
    harness.fake.lifecycle(&broken, 5, 5);
    harness.wait_for_reports(2).await;
    running.stop().await;
}
