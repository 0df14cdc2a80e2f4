//! Read models and commands for operators: a region with its hosts, instances and recoveries, and the actions on them.
//!
//! Programs get one shape: a command with `--format json` prints what the API answers. All of it comes from the database, without a
//! request to Nova, except for the answers that only a controller can give ([`ReturnView`], [`FromNovaView`], [`AuditView`]), for
//! [`drill`]s, and for [`plans`] and [`fence`] commands on a controller.
//!
//! ```text
//! tachi status, show, recovery, freeze ───┐
//!                                         ├─> this ─> engine (ports: operator, facts) ─> domain (the assessment)
//! api: /operator/v1 ──────────────────────┘
//! ```

pub mod acknowledgement;
pub mod actions;
pub mod audited;
pub mod consequence;
mod controller;
mod counted;
pub mod downtime;
pub mod drill;
pub mod engine_heartbeat;
mod explanation;
pub mod failed_instance;
mod failure;
pub mod fence;
mod finding;
mod flags;
mod forecast;
pub mod freezes;
pub mod from_nova;
mod history;
mod host_instances;
mod host_return;
mod host_view;
mod instance_list;
mod job;
mod job_schedule;
pub mod maintenance;
mod monitor;
pub mod not_found;
pub mod past;
mod plain;
pub mod plans;
mod prediction;
mod proof;
mod recovery;
pub mod report;
pub mod report_host;
pub mod return_to_service;
pub mod schedule;
mod schema;
pub mod search;
pub mod shared_reading;
mod situation;
pub mod situation_gauges;
mod snapshot;
mod step_text;
mod vmove;
pub mod waits;
pub mod when;

pub use controller::{
    AuditRequest, AuditView, FromNovaLeftView, FromNovaSegmentView, FromNovaView, ReturnCheckView,
    ReturnStepView, ReturnView, VERDICTS,
};
pub use counted::counted;
pub use explanation::{ExplanationView, NeedView, RoomView};
pub use failure::Failure;
pub use finding::FindingView;
pub use flags::{Flags, flags};
pub use forecast::{
    DomainView, ForecastError, ForecastView, Forecasts, LandingView, OutcomeView, SegmentForecastView,
    headroom,
};
pub use freezes::{FreezeView, FrozenView};
pub use history::{
    InstanceView, RecoveryHistoryView, ReportedView, StepView, one_line, progress, progress_of, stage,
};
pub use host_instances::{DiskView, EvidenceView, HostedView, LevelView};
pub use host_view::{HostView, LevelSeenView};
pub use instance_list::ListedInstanceView;
pub use job::{Job, JobView};
pub use job_schedule::{JobSchedule, moment};
pub use maintenance::{ForgottenView, LiftedView, MaintenanceOperator, ReporterView, RetriedView};
pub use monitor::{GuestsView, MonitorView, NoticeView};
pub use past::{PastEngineView, PastFreezeView, PastRecoveryView, PastRefusalView, PastReportView, PastView};
pub use plain::{plain, without_repeats};
pub use plans::{AwayView, GivebackView, PlannedView};
pub use prediction::Prediction;
pub use proof::ProofView;
pub use recovery::{MovesView, RecoveryView, STATES, state};
pub use report_host::{FailedView, FailurePreview};
pub use schema::members;
pub use situation::{
    CountsView, EngineView, FactView, NeedsPersonView, QueueView, RegisteredView, SegmentView, SituationView,
    UnderwayView, WaitingInstanceView, WaitingRecoveryView,
};
pub use snapshot::{Age, Fencing, RegionSnapshot, SnapshotSource, is_alive};
pub use step_text::{InstanceActionView, RecoveryActionView};
pub use vmove::{VmoveLine, VmoveView};
pub use waits::{ShownWait, WaitView};
pub use when::Time;
