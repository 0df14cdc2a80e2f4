//! Keystone and Nova, as far as Tachi needs them: the adapter behind [`tachi_engine::ports::Compute`], and the check
//! of users' tokens for the API.
//!
//! ```text
//! tachi (binary) -> tachi-openstack -> engine -> domain
//!                                   -> keystone
//! ```
//!
//! [`Session`] builds on [`openstack::session::Session`] of the `openstack` and `osauth` crates. Theirs are the cache
//! of endpoints, endpoint overrides, the composition of URLs, and the way in which authentication is plugged in
//! ([`osauth::AuthType`]). Ours are four things those crates cannot do:
//!
//! * **The token.** Their plugins cannot renew a revoked token (`refresh` returns early while the token looks alive),
//!   ask for a token per request where tokens live less than ten minutes, know user domains by name only, and cannot
//!   look for a service by name. `tachi-keystone` can, and is plugged in here; it counts a token's life on the boot
//!   clock, so a wrong wall clock does no harm.
//! * **The sending.** Their request builder turns every error of the HTTP client into text. Whether a connection was
//!   refused or broke after the request had gone out decides whether an evacuation may have been accepted, so
//!   requests are executed and judged here, in one function ([`Session`]'s private `call`).
//! * **The microversion.** Theirs is sent in the header of 2015 and is taken from wherever the version document
//!   points to, which is the wrong host behind some proxies. We ask the catalogued endpoint itself.
//! * **The typed calls.** They have none for evacuations, services and migrations.
//!
//! A call never waits longer than its deadline, never follows a redirect (that would carry the token elsewhere), and
//! follows pages by the marker only, on the host that was asked first. Nothing is retried here except a call that was
//! refused for a stale token.

#![warn(missing_docs, clippy::missing_errors_doc)]

mod answer;
mod fault;
mod http;
mod keystone;
mod nova;
mod options;
mod session;
mod time;

#[cfg(test)]
mod fake;

pub use keystone::admin::{Named, NewCredential};
pub use keystone::validate::{AccessRule, Identity, TokenInfo};
pub use nova::{Canaries, CanaryOrder, Networks, Nova};
pub use options::{CatalogInfo, CatalogInfoError, Options};
pub use session::{Session, SetupError};
