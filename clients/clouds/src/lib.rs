//! Reads `clouds.yaml`, its companions and the `OS_*` variables: Keystone's address, credentials and region.
//!
//! openstacksdk's loader is the standard: `tests/clients-config/table.json` holds its result for each case. A setting
//! that selects the target of a command is used or refused by its name, and never dropped. Where openstacksdk
//! picks the first of several, or continues without a file that it cannot read, this loader refuses.

#![warn(missing_docs, clippy::missing_errors_doc)]

mod auth;
mod cloud;
mod files;
mod node;
mod regions;

pub use cloud::Cloud;
pub use files::{ENVIRONMENT, ProcessEnvironment};

/// An error in a cloud's settings, with file and setting. It omits values, which may be passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CloudError(String);

/// Reads the cloud `name`.
///
/// # Errors
///
/// There is no such cloud, a file cannot be read, or something in it is wrong, ambiguous or not supported.
pub fn read(name: &str, environment: &ProcessEnvironment) -> Result<Cloud, CloudError> {
    let found = files::find(name, environment)?;
    let at = |why: String| CloudError(format!("{}: {why}", found.config_source));
    let region = regions::choose(&found, environment).map_err(at)?;
    cloud::assemble(&found, &region).map_err(at)
}
