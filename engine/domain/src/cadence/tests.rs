use uuid::Uuid;

use super::*;
use crate::id::ServiceId;

const SECOND: i64 = 1_000_000;

fn service(heartbeat: i64, now: Option<i64>) -> Service {
    Service {
        id: ServiceId(Uuid::from_u128(1)),
        host: "c1".into(),
        enabled: true,
        disabled_reason: None,
        up: true,
        forced_down: false,
        last_heartbeat: Some(Timestamp::from_micros(heartbeat * SECOND)),
        nova_now: now.map(|now| Timestamp::from_micros(now * SECOND)),
    }
}

/// Polls for `seconds`, as the engine does, a host with a heartbeat every `every` seconds. `ahead` is the lead of the
/// clock of Nova's API over that of its conductor; `None` for an API that sends no time.
fn watched(every: i64, ahead: Option<i64>, seconds: i64) -> Cadences {
    let mut cadences = Cadences::default();
    let (mut at, mut pauses) = (1_000, [11, 16, 19].into_iter().cycle());
    while at < 1_000 + seconds {
        let heartbeat = at / every * every;
        let one = service(heartbeat, ahead.map(|ahead| at + ahead));
        let now = Duration::from_secs(at.unsigned_abs());
        cadences.observe(&BTreeMap::from([("c1".to_owned(), Some(one))]), now);
        at += pauses.next().unwrap_or(15);
    }
    cadences
}

fn seconds(cadences: &Cadences) -> Option<u64> {
    cadences.of("c1").map(|age| age.as_secs())
}

#[test]
fn the_age_of_a_running_hosts_heartbeats_is_learnt() {
    for (every, ahead, from, to) in [
        (1, Some(0), 0, 1),
        (5, Some(0), 3, 5),
        (10, Some(0), 7, 10),
        (30, Some(0), 24, 30),
        (60, Some(0), 48, 60),
        // The clocks' difference is part of the age.
        (10, Some(8), 15, 18),
        (10, Some(-60), 0, 0),
        // Without Nova's time, the age is the time between the first and the last poll that saw the heartbeat.
        (10, None, 0, 0),
        (30, None, 11, 30),
        (60, None, 41, 60),
    ] {
        let measured = seconds(&watched(every, ahead, 1_200));
        let well = measured.is_some_and(|age| (from..=to).contains(&age));
        assert!(well, "every {every} s, {ahead:?}: {measured:?}");
    }
}

/// Covers R26.
#[test]
fn the_times_of_the_last_heartbeat_and_of_novas_outage_are_kept() {
    let clock = Duration::from_secs;
    let mut cadences = Cadences::default();
    let observe = |cadences: &mut Cadences, at: i64, beats: [i64; 3]| {
        let services = ["a", "b", "c"].into_iter().zip(beats);
        let services =
            services.map(|(name, heartbeat)| (name.to_owned(), Some(service(heartbeat, Some(at)))));
        cadences.observe(&services.collect(), clock(at.unsigned_abs()));
    };
    let reads = |cadences: &Cadences, at: u64| {
        let watched = cadences.watched("a", clock(at));
        watched.map(|watched| (watched.stood.as_secs(), watched.deaf_ago.map(|ago| ago.as_secs())))
    };
    observe(&mut cadences, 1_000, [995, 995, 995]);
    observe(&mut cadences, 1_015, [995, 1_010, 1_010]);
    observe(&mut cadences, 1_030, [995, 1_025, 1_025]);
    assert_eq!(reads(&cadences, 1_035), Some((30, None)));
    observe(&mut cadences, 1_050, [995, 1_025, 1_025]);
    observe(&mut cadences, 1_065, [995, 1_060, 1_060]);
    assert_eq!(reads(&cadences, 1_070), Some((65, Some(20))));
    assert_eq!(reads(&cadences, 1_100), None, "no poll since");
    observe(&mut cadences, 1_200, [995, 1_195, 1_195]);
    assert_eq!(
        reads(&cadences, 1_200),
        Some((0, Some(150))),
        "nor the time in between"
    );
}

#[test]
fn a_few_heartbeats_give_no_result() {
    assert_eq!(seconds(&watched(10, Some(0), 50)), None);
    assert_eq!(Cadences::default().usual(), None);
}

#[test]
fn one_missed_heartbeat_and_a_failure_change_nothing() {
    let mut cadences = watched(10, Some(0), 1_200);
    let measured = seconds(&cadences);
    let observe = |cadences: &mut Cadences, service: Service, now: u64| {
        cadences.observe(
            &BTreeMap::from([("c1".to_owned(), Some(service))]),
            Duration::from_secs(now),
        );
    };
    observe(&mut cadences, service(2_190, Some(2_219)), 2_219);
    observe(&mut cadences, service(2_220, Some(2_220)), 2_220);
    assert_eq!(seconds(&cadences), measured, "one that was missed");
    for at in [2_235_i64, 2_250, 2_265, 2_290] {
        let up = at < 2_280;
        let dead = Service {
            up,
            ..service(2_220, Some(at))
        };
        observe(&mut cadences, dead, at.unsigned_abs());
    }
    observe(&mut cadences, service(3_000, Some(3_000)), 3_000);
    observe(&mut cadences, service(3_010, Some(3_010)), 3_010);
    assert_eq!(seconds(&cadences), measured, "it was down in between");
}

#[test]
fn hosts_are_distinguished_and_one_cannot_change_the_median() {
    let mut cadences = Cadences::default();
    for turn in 0..10_i64 {
        let at = 1_000 + turn * 60;
        let services: BTreeMap<String, Option<Service>> = [("slow", 59), ("b", 9), ("a", 8), ("away", 0)]
            .into_iter()
            .map(|(name, age)| {
                let one = (name != "away").then(|| service(at - age, Some(at)));
                (name.to_owned(), one)
            })
            .collect();
        cadences.observe(&services, Duration::from_secs(at.unsigned_abs()));
    }
    assert_eq!(cadences.of("slow"), Some(Duration::from_secs(59)));
    assert_eq!(cadences.usual(), Some(Duration::from_secs(9)));
    assert_eq!((cadences.of("away"), cadences.of("nobody")), (None, None));
    cadences.observe(&BTreeMap::new(), Duration::from_secs(2_000));
    assert_eq!(
        cadences.usual(),
        None,
        "hosts that Nova does not show are dropped"
    );
}
