//! Keystone client for clients of OpenStack services: credentials, tokens and endpoints.
//!
//! ```text
//! tachi (binary) -> tachi-openstack, tachi-instance-ha -> tachi-keystone
//! ```
//!
//! This crate uses neither engine nor domain nor the `openstack` crate, so that a monitor pays for none of them
//! (ADR 0065).

#![warn(missing_docs, clippy::missing_errors_doc)]

mod address;
mod catalog;
mod credentials;
mod failure;
mod http;
mod keystone;
mod options;
mod request;
pub mod settings;
mod token;

pub use catalog::{Catalog, CatalogError, ServiceEndpoint, ServiceQuery};
pub use credentials::{ApplicationCredential, Credentials, Domain, ResourceRef, Scope, ScopeError};
pub use failure::{Cause, Failure, SetupError};
pub use http::{BodyError, Tls, Trust, read_body};
pub use keystone::{Keystone, Need};
pub use options::{Interface, Options, Region};
pub use request::skew;
pub use token::Token;
