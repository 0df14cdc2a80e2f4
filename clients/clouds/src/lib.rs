//! `clouds.yaml`, its companions and the `OS_*` variables of a shell: where a cloud's Keystone is, as whom it is asked, and which
//! region is meant.
//!
//! openstacksdk's loader is the standard: `tests/clients-config/table.json` holds what it makes of each case. A setting that
//! chooses whom a command reaches is used or refused by its name, and never dropped (R35). Where the loader picks the first of
//! several, or goes on without a file that cannot be read, this one refuses.

mod auth;
mod cloud;
mod files;
mod node;
mod regions;

pub use cloud::Cloud;
pub use files::{ENVIRONMENT, Surroundings};

/// Why a cloud cannot be used, with the file and the setting. Values are not repeated: they may be passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CloudError(String);

/// Reads the cloud `name`.
///
/// # Errors
///
/// There is no such cloud, a file cannot be read, or something in it is wrong, ambiguous or not supported.
pub fn read(name: &str, around: &Surroundings) -> Result<Cloud, CloudError> {
    let found = files::find(name, around)?;
    let at = |why: String| CloudError(format!("{}: {why}", found.written_in));
    let region = regions::choose(&found, around).map_err(at)?;
    cloud::assemble(&found, &region).map_err(at)
}
