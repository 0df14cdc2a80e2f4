use super::*;
use crate::fake_libvirt::{Guest, guest};
use crate::stage::{RunningMonitor, Stage, until};

fn monitor(stage: &Stage, rules: Rules) -> Box<dyn Monitor> {
    Box::new(InstanceMonitor {
        hostname: "compute-1".to_owned(),
        address: Address::parse(&stage.fake.uri(), true).unwrap(),
        rules,
        folder: stage.folder.path().join("instance"),
        clock: Clock::new(),
        keepalive: Keepalive {
            interval: Duration::from_millis(50),
            count: 3,
        },
    })
}

/// Starts a monitor of a host with this number of running guests, and waits until it receives events.
async fn watched(rules: Rules, guests: u32) -> (Stage, RunningMonitor, Vec<Guest>) {
    let stage = Stage::set();
    let guests: Vec<Guest> = (1..=guests).map(guest).collect();
    for guest in &guests {
        stage.fake.add(guest.clone());
    }
    let running = stage.start(monitor(&stage, rules));
    listening(&stage, &running).await;
    (stage, running, guests)
}

async fn listening(stage: &Stage, running: &RunningMonitor) {
    running.until_part(LIBVIRT, true).await;
    // It is registered for events, and has compared its guests.
    until(async || {
        stage.folder.path().join("instance/guests.json").exists() && !stage.fake.registered().is_empty()
    })
    .await;
    let lists = stage.fake.calls(273);
    assert!(lists >= 2, "{lists}");
}

/// The guest's process exits.
fn dies(stage: &Stage, guest: &Guest) {
    stage
        .fake
        .change(guest.uuid, |guest| (guest.state, guest.reason) = (5, 3));
    stage.fake.lifecycle(guest, 5, 5);
}

fn starts(stage: &Stage, guest: &Guest) {
    stage
        .fake
        .change(guest.uuid, |guest| (guest.state, guest.reason) = (1, 1));
    stage.fake.lifecycle(guest, 2, 0);
}

#[tokio::test]
async fn a_death_is_told_in_upstreams_very_bytes() {
    let before = Clock::new().generated();
    let (stage, running, guests) = watched(Rules::default(), 1).await;
    dies(&stage, &guests[0]);
    stage.until_told(1).await;
    let body = stage.bodies().await.remove(0);
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
    let (stage, running, guests) = watched(Rules::default(), 2).await;
    for guest in &guests {
        stage.fake.stop().await;
        running.until_part(LIBVIRT, false).await;
        stage.fake.start();
        running.until_part(LIBVIRT, true).await;
        dies(&stage, guest);
        stage.until_told(1).await;
        stage.deliver().await;
    }
    assert!(running.runs());
    running.stop().await;
}

/// Covers MW5.
#[tokio::test]
async fn a_death_while_libvirtd_was_down_is_reported_once_when_it_is_back() {
    let (stage, running, guests) = watched(Rules::default(), 3).await;
    stage.fake.stop().await;
    running.until_part(LIBVIRT, false).await;
    stage
        .fake
        .change(guests[0].uuid, |guest| (guest.state, guest.reason) = (5, 3));
    stage
        .fake
        .change(guests[1].uuid, |guest| (guest.state, guest.reason) = (5, 2));
    stage.fake.start();
    stage.until_told(1).await;
    assert_eq!(stage.reports().await, [guests[0].uuid.to_string()]);
    // The third guest dies after the second, so a report about the second would have come first.
    running.until_part(LIBVIRT, true).await;
    dies(&stage, &guests[2]);
    stage.until_told(2).await;
    running.stop().await;
}

/// Covers MW5.
#[tokio::test]
async fn a_death_while_the_monitor_was_dead_is_reported_once_when_it_is_back() {
    let (stage, running, guests) = watched(Rules::default(), 2).await;
    running.kill().await;
    stage
        .fake
        .change(guests[0].uuid, |guest| (guest.state, guest.reason) = (5, 3));
    for _ in 0..3 {
        let running = stage.start(monitor(&stage, Rules::default()));
        stage.until_told(1).await;
        let lists = stage.fake.calls(273);
        until(async || stage.fake.calls(273) >= lists).await;
        running.stop().await;
    }
    assert_eq!(stage.reports().await, [guests[0].uuid.to_string()]);
}

/// Covers MW11.
#[tokio::test]
async fn a_thousand_deaths_in_a_second_are_reported_each_once() {
    let (stage, running, guests) = watched(Rules::default(), 1000).await;
    for guest in &guests {
        dies(&stage, guest);
    }
    stage.until_told(1000).await;
    let mut told = stage.reports().await;
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 1000);
    running.stop().await;
}

/// Covers MW4.
#[tokio::test]
async fn a_frozen_libvirtd_is_noticed_and_what_happened_meanwhile_is_reported() {
    let (stage, running, guests) = watched(Rules::default(), 2).await;
    stage.fake.freeze();
    running.until_part(LIBVIRT, false).await;
    stage
        .fake
        .change(guests[1].uuid, |guest| (guest.state, guest.reason) = (5, 3));
    stage.fake.thaw();
    stage.until_told(1).await;
    assert_eq!(stage.reports().await, [guests[1].uuid.to_string()]);
    running.until_part(LIBVIRT, true).await;
    running.stop().await;
}

#[tokio::test]
async fn a_start_overtakes_what_was_not_delivered() {
    let (stage, running, guests) = watched(Rules::default(), 1).await;
    dies(&stage, &guests[0]);
    stage.until_told(1).await;
    starts(&stage, &guests[0]);
    until(async || stage.bodies().await.is_empty()).await;
    running.stop().await;
}

#[tokio::test]
async fn guests_of_others_are_not_told_and_asked_about_once() {
    let (stage, running, guests) = watched(Rules::default(), 1).await;
    let mut pet = guest(77);
    pet.metadata = None;
    stage.fake.add(pet.clone());
    stage.fake.lifecycle(&pet, 2, 0);
    dies(&stage, &pet);
    dies(&stage, &guests[0]);
    stage.until_told(1).await;
    assert_eq!(stage.reports().await, [guests[0].uuid.to_string()]);
    // Two queries for the foreign guest, one of each namespace, and one for Nova's.
    assert_eq!(stage.fake.calls(265), 3);
    running.stop().await;
}

/// Covers MW14.
#[tokio::test]
async fn a_panicked_guest_that_libvirt_keeps_is_reported() {
    let rules = Rules {
        panic_wait: Duration::from_millis(10),
        ..Rules::default()
    };
    let (stage, running, guests) = watched(rules, 1).await;
    stage
        .fake
        .change(guests[0].uuid, |guest| (guest.state, guest.reason) = (6, 1));
    stage.fake.lifecycle(&guests[0], 8, 0);
    stage.until_told(1).await;
    running.stop().await;
}

/// Covers MW12.
#[tokio::test]
async fn what_is_not_reported_is_not_polled() {
    let (stage, running, _) = watched(Rules::default(), 1).await;
    assert_eq!(stage.fake.registered(), [0, 4]);
    running.stop().await;
    let all = Rules {
        all_events: true,
        ..Rules::default()
    };
    let (stage, running, guests) = watched(all, 1).await;
    assert_eq!(stage.fake.registered(), [0, 4, 1, 6, 7, 3]);
    for _ in 0..3 {
        stage.fake.bare(&guests[0], 319);
    }
    stage.fake.watchdog(&guests[0], 2);
    stage.until_told(2).await;
    running.stop().await;
}

/// Covers MW4.
#[tokio::test]
async fn one_unreadable_guest_hides_no_other() {
    let stage = Stage::set();
    let (mut broken, well) = (guest(1), guest(2));
    broken.broken = true;
    stage.fake.add(broken.clone());
    stage.fake.add(well.clone());
    let running = stage.start(monitor(&stage, Rules::default()));
    listening(&stage, &running).await;
    stage.fake.lifecycle(&well, 5, 5);
    stage.fake.lifecycle(&broken, 5, 5);
    stage.until_told(2).await;
    running.stop().await;
}
