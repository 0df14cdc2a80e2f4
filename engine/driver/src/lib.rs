//! The driver of one recovery as a state machine without a clock, a network or a database. It handles events with
//! their times, and returns the effects to perform. The engine runs it with tokio and the ports; the simulation in
//! `tests/simulation` runs the same machine in virtual time.

mod alarm;
mod claim_guard;
mod effect;
pub mod journal;
mod machine;
mod recovery;
mod rewind;
mod sweeper;
mod write;

pub use claim_guard::{Intent, MAX_INTENT_AGE, MAX_RENEWAL_AGE, may_act};
pub use effect::{Calls, DriverEnd, DurableState, Effect, Event, Time, UncertainClaim, refusal};
pub use machine::{Driver, RENEWAL_INTERVAL};
pub use recovery::{Recovery, Unusable, open};
pub use sweeper::{CLAIM_POLL_INTERVAL, OWNER_TIMEOUT, RowVersion, Sweeper};
