use tachi_domain::pace::{StartSample, Urgency};
use uuid::Uuid;

use super::division::Windows;
use super::*;

const LOW: Urgency = Urgency {
    tagged: false,
    priority: 0,
};
const HIGH: Urgency = Urgency {
    tagged: true,
    priority: 0,
};

fn rate_controller() -> RateController {
    let bounds = |min, start, max| Bounds { min, start, max };
    RateController::new(&PaceOptions {
        queued: bounds(4, 24, 256),
        calls: bounds(4, 32, 64),
        ..PaceOptions::default()
    })
}

/// Returns a poll with a number of picked-up evacuations, and their durations.
fn taken(count: usize, least: u64, most: u64) -> EvacuationProgress {
    let wait = StartSample {
        least: Duration::from_millis(least),
        most: Duration::from_millis(most),
    };
    EvacuationProgress {
        polled: true,
        taken: vec![wait; count],
    }
}

fn slots(rate_controller: &RateController, count: u128) -> Vec<RateSlot> {
    (0..count)
        .map(|n| rate_controller.join(RecoveryId(Uuid::from_u128(n))))
        .collect()
}

fn demand(requested: u64, in_flight: u32, queued: u32, ready: u32) -> Demand {
    Demand {
        requested,
        in_flight,
        queued,
        ready: vec![(LOW, ready)],
        calls: true,
        active: true,
    }
}

fn given(slots: &mut [RateSlot]) -> Vec<u64> {
    slots.iter_mut().map(|slot| slot.permits().evacuations).collect()
}

/// The watcher polls no instances while evacuations are in flight, and continues as soon as they are done.
#[tokio::test(start_paused = true)]
async fn moves_are_under_way_while_evacuations_are_in_flight_and_no_longer() {
    let rate_controller = rate_controller();
    let mut slots = slots(&rate_controller, 2);
    slots[0].update(demand(0, 0, 0, 40), &EvacuationProgress::default());
    assert!(!rate_controller.are_under_way(), "what waits is not under way");
    slots[0].update(demand(24, 24, 24, 16), &EvacuationProgress::default());
    assert!(rate_controller.are_under_way());
    slots[0].update(demand(24, 0, 0, 16), &EvacuationProgress::default());
    assert!(!rate_controller.are_under_way());
    slots[1].update(demand(1, 1, 0, 0), &EvacuationProgress::default());
    assert!(rate_controller.are_under_way());
    // The driver ends, which drops its slot.
    slots.pop();
    assert!(!rate_controller.are_under_way());
}

#[tokio::test(start_paused = true)]
async fn permits_equal_the_free_slots_and_are_not_given_twice() {
    let rate_controller = rate_controller();
    let mut slots = slots(&rate_controller, 2);
    assert_eq!(given(&mut slots), [0, 0], "nothing is wanted yet");
    slots[0].update(demand(0, 0, 0, 40), &EvacuationProgress::default());
    assert_eq!(given(&mut slots), [24, 0]);
    slots[0].update(demand(24, 24, 24, 16), &EvacuationProgress::default());
    slots[1].update(demand(0, 0, 0, 40), &EvacuationProgress::default());
    assert_eq!(given(&mut slots), [24, 0], "all of the window is used");
    // Destinations have started eight evacuations: their permits go to the recovery that has none.
    slots[0].update(demand(24, 24, 16, 16), &EvacuationProgress::default());
    assert_eq!(given(&mut slots), [24, 8]);
    drop(slots.remove(0));
    assert_eq!(given(&mut slots), [24], "what it had is free for the others");
}

#[tokio::test(start_paused = true)]
async fn urgent_moves_of_any_recovery_go_first() {
    let rate_controller = rate_controller();
    let mut slots = slots(&rate_controller, 3);
    let urgent = Demand {
        ready: vec![(HIGH, 30)],
        ..demand(0, 0, 0, 0)
    };
    slots[0].update(demand(0, 0, 0, 40), &EvacuationProgress::default());
    slots[1].update(urgent, &EvacuationProgress::default());
    slots[2].update(demand(0, 0, 0, 40), &EvacuationProgress::default());
    assert_eq!(given(&mut slots), [1, 22, 1]);
}

#[tokio::test(start_paused = true)]
async fn push_back_pauses_new_work_and_halves_the_window() {
    let rate_controller = rate_controller();
    let mut slots = slots(&rate_controller, 1);
    rate_controller.feedback(true, NovaFeedback::PushedBack(Some(Duration::from_secs(7))));
    slots[0].update(demand(0, 0, 0, 40), &EvacuationProgress::default());
    assert_eq!(slots[0].permits().evacuations, 0);
    assert_eq!(slots[0].permits().calls, 0);
    let quiet = rate_controller.pause_left().unwrap();
    assert!(quiet > Duration::from_secs(6), "{quiet:?}");
    tokio::time::advance(Duration::from_secs(8)).await;
    assert_eq!(rate_controller.pause_left(), None);
    rate_controller.resume();
    assert_eq!(slots[0].permits().evacuations, 12);
    assert_eq!(
        rate_controller.windows(),
        Windows {
            in_flight: 32,
            queued: 12,
            calls: 16
        }
    );
}

#[tokio::test(start_paused = true)]
async fn lists_are_shared_above_eight_recoveries_and_each_may_make_a_call() {
    let rate_controller = rate_controller();
    let mut many = slots(&rate_controller, 9);
    for slot in &many[..8] {
        slot.update(demand(0, 0, 0, 1), &EvacuationProgress::default());
    }
    assert!(!many[0].lists_are_shared());
    many[8].update(demand(0, 0, 0, 1), &EvacuationProgress::default());
    assert!(many[0].lists_are_shared());
    assert_eq!(many[0].permits().calls, 32 / 9);
    let more = (100..200).map(|n| rate_controller.join(RecoveryId(Uuid::from_u128(n))));
    let more: Vec<RateSlot> = more.collect();
    for slot in &more {
        slot.update(demand(0, 0, 0, 1), &EvacuationProgress::default());
    }
    assert_eq!(many[0].permits().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn quick_take_ups_widen_the_window_and_slow_ones_narrow_it() {
    let rate_controller = rate_controller();
    let slots = slots(&rate_controller, 1);
    slots[0].update(demand(24, 24, 24, 500), &EvacuationProgress::default());
    tokio::time::advance(Duration::from_millis(150)).await;
    slots[0].update(demand(24, 24, 0, 500), &taken(24, 0, 150));
    assert!(
        rate_controller.windows().queued >= 96,
        "{:?}",
        rate_controller.windows()
    );
    slots[0].update(demand(120, 120, 96, 400), &EvacuationProgress::default());
    tokio::time::advance(Duration::from_secs(20)).await;
    slots[0].update(demand(120, 96, 72, 400), &taken(24, 19_000, 20_000));
    assert!(
        rate_controller.windows().queued < 24,
        "{:?}",
        rate_controller.windows()
    );
}

#[tokio::test(start_paused = true)]
async fn polls_are_frequent_until_the_pace_is_known() {
    let rate_controller = rate_controller();
    let mut slots = slots(&rate_controller, 1);
    slots[0].update(demand(24, 24, 24, 500), &EvacuationProgress::default());
    assert_eq!(slots[0].permits().pause, Duration::from_millis(100));
    slots[0].update(demand(24, 24, 24, 500), &taken(0, 0, 0));
    assert_eq!(slots[0].permits().pause, Duration::from_millis(200));
    for _ in 0..4 {
        slots[0].update(demand(24, 24, 24, 500), &taken(0, 0, 0));
    }
    assert_eq!(
        slots[0].permits().pause,
        Duration::from_millis(500),
        "as the rules require"
    );
}
