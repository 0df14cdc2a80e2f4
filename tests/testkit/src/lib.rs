//! Test helpers for several crates: a manual clock, an event recorder, rows as the API accepts them, a scripted server,
//! free ports, and a time zone.
//!
//! A crate's own tests cannot use a helper that implements a trait of that crate: it is compiled a second time for
//! them.

mod clock;
mod events;
mod http;
mod ports;
pub mod rows;
mod time_zone;

pub use clock::{BOOTED, ManualClock};
pub use events::EventRecorder;
pub use http::{FakeHttp, RecordedRequest, Reply};
pub use ports::free_port;
pub use time_zone::{TestTimeZone, utc};
