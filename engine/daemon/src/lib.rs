//! The process of a daemon, for both programs: its signals, its notifications to the service manager, its tasks with their shutdown, and
//! files that are read again when they change.

mod daemon;
mod file_backed;
mod service_manager;
mod signals;

pub use daemon::{Daemon, Shutdown};
pub use file_backed::{FileBacked, POLL_INTERVAL, watch};
pub use sd_notify::NotifyState;
pub use service_manager::notify;
pub use signals::Signals;
