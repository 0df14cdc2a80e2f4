//! Fencers: the adapters behind [`tachi_engine::ports::Fencer`]. They read and switch the power of hosts; when a host
//! counts as off is decided in the domain.
//!
//! ```text
//! tachi (binary) -> tachi-fence -> engine -> domain
//! ```
//!
//! * [`Fencers`] is the registry: it gives a host to the first fencer that covers it, and writes the audit lines.
//! * [`Maas`] asks a MAAS region controller, which asks the host's power controller.
//! * [`Device`] is one power controller: it reads and commands, and decides nothing.
//! * [`Source`] is where a secret comes from, with the checks that keep it one.

mod credential;
mod device;
mod maas;
mod registry;
mod text;

pub use credential::{CredentialError, Source};
pub use device::{Checked, Device, Kind, Limits, Plug, PlugError, UnknownKind};
pub use maas::{Maas, MaasOptions, SetupError};
pub use registry::Fencers;
