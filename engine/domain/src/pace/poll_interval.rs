//! The interval at which a recovery polls Nova's progress.

use std::time::Duration;

use super::Model;

/// The number of evacuations picked up since the last poll that make a poll worth its requests.
const MIN_PICKUPS_PER_POLL: u32 = 3;

/// The factor by which the first polls come sooner while the pace is learnt; each waits twice as long as the one before.
const LEARNING_POLL_FACTOR: u32 = 5;

/// The longest interval that results from this. Late observations delay the next steps.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(1_500);

/// Returns the minimum interval between two polls of each of `recoveries`. `tick` is the policy's interval, and `in_flight`
/// the number in flight in all recoveries. `waits`: something is queued in front of Nova, or still to be requested.
pub fn pause(model: &Model, tick: Duration, in_flight: u32, recoveries: u32, waits: bool) -> Duration {
    if let Some(empty_polls) = model.learning_polls().filter(|_| waits) {
        let sooner = (tick / LEARNING_POLL_FACTOR).saturating_mul(1 << empty_polls.min(8));
        return sooner.min(tick).max(
            model
                .time_for(MIN_PICKUPS_PER_POLL)
                .unwrap_or_default()
                .min(MAX_POLL_INTERVAL),
        );
    }
    let pickups = in_flight.clamp(1, MIN_PICKUPS_PER_POLL.saturating_mul(recoveries.max(1)));
    model
        .time_for(pickups)
        .map_or(tick, |time| time.clamp(tick, MAX_POLL_INTERVAL.max(tick)))
}
