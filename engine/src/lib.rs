//! The engine: claims recoveries, observes the cloud, asks the domain for a decision, journals it, acts on it, and
//! journals the result. It reaches everything outside through the [`ports`], which adapters implement:
//!
//! ```text
//! tachi (binary) -> store, bus, openstack, fence, api -> engine -> domain
//! ```
//!
//! One [`Engine`] has one sweeper, which finds recoveries without an owner or whose owner has stopped renewing its
//! lease, and one driver per recovery it owns. A driver is a loop of `decide -> journal -> act`; no outside call is
//! made before the decision behind it is durable.

mod around;
mod auditing;
mod clock;
mod cloud;
pub mod correlation;
mod doubting;
mod driver;
mod engine;
mod executor;
mod governor;
mod heart;
mod holding;
mod hooking;
mod identified;
mod lists;
mod liveness;
mod numbers;
pub mod ports;
pub mod rehearsal;
mod reserving;
pub mod situation;
mod telling;
pub mod watcher;

pub use clock::SystemClock;
pub use cloud::{CloudCache, CloudView};
pub use engine::{Engine, EngineOptions, Ports};
pub use governor::PaceOptions;
pub use identified::{MachineCheckedFencer, NAMING};
pub use liveness::Liveness;
pub use numbers::device_known;
