//! Which engines run, as far as their signatures tell.

use tachi_domain::Timestamp;
use tachi_engine::ports::roll::EngineLine;

/// Whether it has signed lately.
pub(crate) fn is_alive(line: &EngineLine, now: Timestamp) -> bool {
    tachi_domain::situation::is_alive(line.seen_at, now)
}
