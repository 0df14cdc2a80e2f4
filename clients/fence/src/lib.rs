//! Fencers: the adapters behind [`tachi_engine::ports::Fencer`]. They read and switch the power of hosts; the domain
//! decides when a host counts as off.
//!
//! ```text
//! tachi (binary) -> tachi-fence -> engine -> domain
//! ```
//!
//! * [`Topology`] is the devices' file: the devices of each host, in order.
//! * [`Fencers`] calls the devices within their limits, and writes the audit lines.
//! * [`Maas`] calls a MAAS region controller, which calls the host's power controller.
//! * [`self_test`] tests all of them all the time.
//! * [`Device`] is one power controller. It makes no decisions.
//! * [`Ipmi`] is a BMC behind `ipmitool`, [`Redfish`] one with an HTTP interface.
//! * [`Exec`] runs any installed fence agent.
//! * [`agent`] offers our devices as fence agents for Pacemaker.
//! * [`Source`] is the source of a secret. It checks the permissions of files.

#![warn(missing_docs, clippy::missing_errors_doc)]

mod address;
pub mod agent;
mod child;
mod credential;
mod device;
mod exec;
mod fault;
mod ipmi;
mod maas;
mod redfish;
mod router;
pub mod self_test;
mod text;
mod topology;
mod web;

pub use child::ChildError;
pub use credential::{CredentialError, Source};
pub use device::{Device, Kind, Limits, Plug, PlugError, SelfTestOutcome, UnknownKind};
pub use exec::{Exec, ExecError, ExecOptions};
pub use ipmi::{Ipmi, IpmiError, IpmiOptions, Privilege};
pub use maas::{Maas, MaasOptions, SetupError};
pub use redfish::{
    Fingerprint, FingerprintError, Redfish, RedfishError, RedfishLogin, RedfishOptions, Trust, WebClients,
};
pub use router::{Fencers, Progress};
pub use topology::{HostLevels, Problem, Topology};
pub use web::AuthorityError;
