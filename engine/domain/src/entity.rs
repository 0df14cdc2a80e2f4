//! What the API shows and the database keeps: segments, hosts, notifications, vmoves.

pub mod host;
pub mod notification;
pub mod progress;
pub mod segment;
pub mod vmove;

pub use host::Host;
pub use notification::Notification;
pub use progress::TaskProgress;
pub use segment::Segment;
pub use vmove::Vmove;

use crate::timestamp::Timestamp;

/// When a row was made and last changed. Both are whole seconds, as Masakari writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// When the row was inserted.
    pub created_at: Timestamp,
    /// When it was last changed; `None` until the first change.
    pub updated_at: Option<Timestamp>,
}
