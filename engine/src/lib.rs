//! The engine: claims recoveries, observes the cloud, asks the domain for a decision, journals it, acts on it, and
//! journals the result. It reaches the outside only through the [`ports`], which adapters implement:
//!
//! ```text
//! tachi (binary) -> store, bus, openstack, fence, api -> engine -> domain
//! ```
//!
//! One [`Engine`] has one sweeper, which finds recoveries without an owner or whose owner has stopped renewing its
//! lease, and one driver per recovery it owns. A driver is a loop of `decide -> journal -> act`; no outside call is
//! made before the decision behind it is durable.

mod audit;
mod claim_guard;
mod clock;
mod cloud;
pub mod correlation;
mod driver;
pub mod dry_run;
mod engine;
mod event_emitter;
mod executor;
mod hooks;
mod lease;
mod lists;
mod liveness;
mod machine_check;
mod muting;
mod numbers;
pub mod ports;
mod rate_controller;
mod region_scan;
mod reservations;
pub mod situation;
pub mod watcher;

pub use clock::SystemClock;
pub use cloud::{CloudCache, CloudView};
pub use engine::{Engine, EngineOptions, Ports};
pub use liveness::Liveness;
pub use machine_check::{MACHINE_CHECK_TIMEOUT, MachineCheckedFencer};
pub use numbers::device_known;
pub use rate_controller::PaceOptions;
