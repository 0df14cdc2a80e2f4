//! What tests of several crates share: a clock that is moved by hand, somebody who hears events, rows as the API
//! accepts them, and a server that answers as a test says.
//!
//! A crate's own tests cannot use what here implements a trait of that crate: it is compiled a second time for them.

mod clock;
mod events;
mod http;
pub mod rows;

pub use clock::{BOOTED, HandClock};
pub use events::Ear;
pub use http::{Asked, FakeHttp, Reply};
