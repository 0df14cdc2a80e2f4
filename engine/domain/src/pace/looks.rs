//! How often a recovery looks at what Nova is doing.

use std::time::Duration;

use super::Model;

/// A look is worth its requests when so many have been taken up since the last one.
const PER_LOOK: u32 = 3;

/// While the pace is being learnt the first looks come so much sooner, each twice as late as the one before.
const SOONER: u32 = 5;

/// The longest time between two looks on account of this: what is seen too late is begun too late.
const LONGEST: Duration = Duration::from_millis(1_500);

/// The time between two looks of each of `recoveries`, at least, where `tick` is what the policy says and `in_flight` are under way
/// in all of them. `waits`: something is waiting in front of Nova, or to be asked for.
pub fn pause(model: &Model, tick: Duration, in_flight: u32, recoveries: u32, waits: bool) -> Duration {
    if let Some(vain) = model.learns().filter(|_| waits) {
        let sooner = (tick / SOONER).saturating_mul(1 << vain.min(8));
        return sooner
            .min(tick)
            .max(model.time_for(PER_LOOK).unwrap_or_default().min(LONGEST));
    }
    let wanted = in_flight.clamp(1, PER_LOOK.saturating_mul(recoveries.max(1)));
    model
        .time_for(wanted)
        .map_or(tick, |time| time.clamp(tick, LONGEST.max(tick)))
}
