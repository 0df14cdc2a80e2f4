//! Which engines run, as far as their signatures tell.

use std::time::Duration;

use tachi_domain::Timestamp;
use tachi_engine::ports::roll::EngineLine;

/// An engine signs every five seconds. One that has not for so long is told as silent; clocks of machines may differ a little.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(20);

/// Whether it has signed lately.
pub(crate) fn is_alive(line: &EngineLine, now: Timestamp) -> bool {
    let silence = now.micros().saturating_sub(line.seen_at.micros());
    u128::try_from(silence.max(0)).unwrap_or(0) <= SILENT_AFTER.as_micros()
}
