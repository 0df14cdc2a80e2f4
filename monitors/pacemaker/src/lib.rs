//! Verdicts about the nodes of a Pacemaker cluster: pure, without any input or output.
//!
//! A node that Pacemaker shows as offline may be dead, taken out on purpose, unreachable but running, or merely
//! invisible because the cluster lost its quorum. Only one of these may be evacuated: the one that was *fenced* since
//! it was last up. This crate distinguishes them:
//!
//! ```text
//! crm_mon --output-as=xml -> CrmMon --+
//!                                     +-> Snapshot --+
//! cibadmin --query --------> Cib -----+              +-> verdict() -> Judgement of each node (verdict,
//!                                                    |                reason, proof)
//!                            History, Rules ---------+
//!                                                           |
//!                            Ledger, Pace ------------------+-> plan() -> reports to the Instance-HA API
//! ```
//!
//! The caller runs the tools and owns the clock, the disk and the API. All functions are total: whatever the XML
//! contains, the answer is a verdict or an error, never a panic, and the work is bounded by the size of the text.
//!
//! ```
//! use tachi_pacemaker::{CrmMon, History, Rules, Snapshot, Verdict, verdict};
//!
//! let xml = include_str!("../tests/recorded/001-all-up.xml");
//! let snapshot = Snapshot::new(CrmMon::parse(xml)?, None);
//! let judged = verdict(&History::default(), &snapshot, &Rules::default());
//! assert_eq!(judged["cmp1"].verdict, Verdict::Up);
//! # Ok::<(), tachi_pacemaker::Error>(())
//! ```

mod cib;
mod crm_mon;
mod device;
mod error;
mod history;
mod names;
mod plan;
mod publisher;
mod snapshot;
mod storm;
mod time;
mod verdict;
mod xml;

pub use cib::{Cib, Device, Level, NodeState, Target};
pub use crm_mon::{CrmMon, FenceEvent, FenceStatus, Kind, Node, Resource};
pub use device::{is_unknown_agent, proof_gap};
pub use error::Error;
pub use history::{History, NodeHistory};
pub use names::{NameError, Names};
pub use plan::{
    Change, LastReport, Ledger, Pace, PlanResult, PlanTime, Report, ReportedState, Streaks, plan,
};
pub use publisher::{Bridge, ClaimState, ReportClaim, delay, is_spare, later_claim, same_event};
pub use snapshot::Snapshot;
pub use storm::Brake;
pub use time::{Time, parse_time};
pub use verdict::{Judgement, Proof, Rules, Verdict, verdict};
