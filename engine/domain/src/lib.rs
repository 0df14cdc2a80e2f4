//! The domain of Tachi: ids, entities, and the state machines of a recovery. It performs no actions.
//!
//! This crate is not async, reads no clock, draws no random numbers and does no IO. Time comes in as an argument, so every
//! decision can be tested by a table, by properties and by simulation. This crate depends on no other crate of the project:
//!
//! ```text
//! binaries -> adapters -> engine -> domain
//! ```
//!
//! The main entry points are [`host_recovery::decide`] and [`vm_recovery::decide`]: `decide(state, observations, now)`
//! updates the state, and returns what to write and which commands to carry out. An evacuation can only be commanded with a
//! [`proof::Proof`] that the host is off.

pub mod binding;
pub mod cadence;
mod count;
pub mod downtime;
pub mod elapsed;
pub mod entity;
pub mod event;
pub mod evidence;
pub mod fault;
pub mod forecast;
pub mod freeze;
pub mod guard;
pub mod hooks;
pub mod host_recovery;
pub mod id;
mod instance_event;
pub mod level;
pub mod machine_id;
pub mod monitor;
pub mod nova;
pub mod pace;
pub mod planned;
pub mod policy;
pub mod power;
pub mod process_recovery;
pub mod proof;
mod question;
pub mod recovery;
pub mod refusal;
pub mod reporter;
pub mod reserved;
pub mod resources;
pub mod situation;
pub mod state_version;
mod string_enum;
pub mod timestamp;
pub mod vm_recovery;
pub mod wait;

pub use count::count;
pub use elapsed::Elapsed;
pub use id::{HostId, MigrationId, NotificationId, RecoveryId, SegmentId, ServerId, ServiceId, VmoveId};
pub use reporter::{Reporter, ReporterIdentity};
pub use state_version::StateVersion;
pub use timestamp::Timestamp;
pub use wait::{ApprovedWait, EndedBy, Wait, WaitsFor};
