//! The ports: traits for everything that the engine and the API need from the outside. Each is small enough to fake in
//! a test.

pub mod audit;
pub mod canaries;
pub mod clock;
pub mod compute;
pub mod device_report;
pub mod engine_registry;
pub mod events;
pub mod facts;
pub mod fencer;
pub mod freezes;
pub mod hooks;
pub mod inventory;
pub mod jobs;
pub mod journal;
pub mod machines;
pub mod monitors;
pub mod operator;
pub mod past;
pub mod plans;
pub mod refusals;
pub mod registry;
pub mod reserve;
pub mod rooms;
pub mod wakeups;
pub mod witnesses;

pub use audit::{AuditEntry, AuditError, AuditSink, NoAudit};
pub use canaries::Canaries;
pub use clock::Clock;
pub use compute::{
    Aggregates, CallError, CloudLists, Compute, Contents, NovaCalls, Pushback, ServerCalls, ServiceChange,
    Services,
};
pub use engine_registry::EngineRegistry;
pub use events::{Events, NoEvents};
pub use facts::{Fact, FactStore, Round};
pub use fencer::{DeviceOperation, DevicePermit, Fencer};
pub use freezes::{FreezeEvent, FreezeLine, FreezeOutcome, FreezeTerms, Freezes, NewFreeze};
pub use hooks::Hooks;
pub use inventory::{Inventory, ServerPage};
pub use jobs::{JobEnd, JobLine, Jobs};
pub use journal::{FailedInstances, Journal, JournalError};
pub use machines::Machines;
pub use monitors::{HEARTBEAT_WRITE_LIMIT, Monitors, ReceivedHeartbeat};
pub use operator::OperatorJournal;
pub use plans::{MovedAway, NewPlan, PlanOutcome, Plans};
pub use refusals::{RefusalLog, Refusals};
pub use registry::{
    BootHolds, Hosts, Notifications, PoolUsage, Progress, Registry, RegistryError, Reports, Segments,
};
pub use rooms::{ProviderLine, Rooms};
pub use wakeups::{Notifier, Wakeups};
pub use witnesses::{NoWitnesses, Witnesses};
