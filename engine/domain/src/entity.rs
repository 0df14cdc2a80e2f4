//! The entities that the API shows and the database stores: segments, hosts, notifications, vmoves.

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

/// The times at which a row was created and last changed, in whole seconds, as Masakari writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// The time the row was inserted.
    pub created_at: Timestamp,
    /// The time of the last change; `None` until the first one.
    pub updated_at: Option<Timestamp>,
}
