//! What tests of several crates share: a clock that is moved by hand, somebody who hears events, and rows as the API accepts them.
//!
//! A crate's own tests cannot use what here implements a trait of that crate: it is compiled a second time for them.

mod clock;
mod events;
pub mod rows;

pub use clock::{BOOTED, HandClock};
pub use events::Ear;
