//! A client of Keystone and Nova with the calls that Tachi needs: the adapter behind [`tachi_engine::ports::Compute`],
//! and the check of users' tokens for the API.
//!
//! ```text
//! tachi (binary) -> tachi-openstack -> engine -> domain
//!                                   -> keystone
//! ```
//!
//! [`Session`] builds on [`openstack::session::Session`] of the `openstack` and `osauth` crates. They provide the cache
//! of endpoints, endpoint overrides, the composition of URLs, and the plugin interface for authentication
//! ([`osauth::AuthType`]). This crate adds four things that they lack:
//!
//! * **The token.** Their plugins cannot renew a revoked token (`refresh` returns early while the token seems valid),
//!   cannot fetch a token per request where tokens live less than ten minutes, know user domains by name only, and
//!   cannot look for a service by name. `tachi-keystone` can, and is plugged in here. It counts a token's lifetime on
//!   the boot clock, so a wrong wall clock does no harm.
//! * **The sending.** Their request builder turns every error of the HTTP client into text. An evacuation may have been
//!   accepted if the connection broke after the request was sent, but not if it was refused. So requests are sent and
//!   classified here, in one function ([`Session`]'s private `call`).
//! * **The microversion.** Theirs is sent in the header of 2015 and is read from the address in the version document,
//!   which is the wrong host behind some proxies. This crate asks the endpoint of the catalogue itself.
//! * **The typed calls.** They have none for evacuations, services and migrations.
//!
//! A call never waits longer than its timeout and never follows a redirect, which would carry the token elsewhere. It
//! reads further pages by the marker only, on the host that served the first page. Nothing is retried here except a
//! call that was refused for a stale token.

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

pub use keystone::admin::{NamedResource, NewCredential};
pub use keystone::validate::{AccessRule, Identity, TokenInfo};
pub use nova::{CanaryCalls, Nova};
pub use options::{CatalogInfo, CatalogInfoError, Options};
pub use session::{Session, SetupError};
