//! Fencers: the adapters behind [`tachi_engine::ports::Fencer`]. They read and switch the power of hosts; when a host
//! counts as off is decided in the domain.
//!
//! ```text
//! tachi (binary) -> tachi-fence -> engine -> domain
//! ```
//!
//! * [`Topology`] is the devices' file: which host has which devices, in which order.
//! * [`Fencers`] asks and commands the device that is meant, when its turn has come, and writes the audit lines.
//! * [`Maas`] asks a MAAS region controller, which asks the host's power controller.
//! * [`Device`] is one power controller: it reads and commands, and decides nothing.
//! * [`Ipmi`] is a BMC behind `ipmitool`, [`Redfish`] one that speaks HTTP.
//! * [`Exec`] runs any installed fence agent.
//! * [`agent`] is the other way round: our devices as fence agents for Pacemaker.
//! * [`Source`] is where a secret comes from, with the checks that keep it one.

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
mod text;
mod topology;
mod web;

pub use child::ChildError;
pub use credential::{CredentialError, Source};
pub use device::{Checked, Device, Kind, Limits, Plug, PlugError, UnknownKind};
pub use exec::{Exec, ExecError, ExecOptions};
pub use ipmi::{Ipmi, IpmiError, IpmiOptions, Privilege};
pub use maas::{Maas, MaasOptions, SetupError};
pub use redfish::{
    Fingerprint, FingerprintError, Redfish, RedfishError, RedfishLogin, RedfishOptions, Trust, WebClients,
};
pub use router::{Alarm, Fencers, Progress, Report};
pub use topology::{Problem, Resolved, Topology};
pub use web::AuthorityError;
