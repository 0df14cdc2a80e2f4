//! The commands of `tachi`, as people see them: their arguments, the output of all of them, and the commands that act on a region.
//!
//! ```text
//! tachi (src) ─> commands ─> source ─> API of a cloud
//!                   │           └────> what the program opens on a controller
//!                   ├─> arguments
//!                   └─> out
//! ```
//!
//! A command of a region works on a [`source::Source`]: the API of a cloud, or what the program gives as a [`source::Controller`]. This
//! crate knows neither the configuration nor the database.

pub mod ack;
pub mod arguments;
pub mod audit;
pub mod completions;
pub mod config;
pub mod consent;
pub mod db;
pub mod doctor;
pub mod drill;
pub mod events;
pub mod explain;
pub mod fence;
pub mod forecast;
pub mod freeze;
pub mod from_nova;
pub mod host;
pub mod instance;
pub mod interruption;
pub mod mon;
pub mod monitor;
pub mod monitor_credentials;
pub mod out;
pub mod overview;
pub mod policy;
pub mod prediction;
pub mod process_owner;
pub mod recovery;
pub mod reporter;
pub mod schedule;
pub mod source;
pub mod status;
pub mod upgrade;

/// Version of the build. Packages set `TACHI_VERSION`, which names the commit; a plain `cargo build` omits it, so that a new commit
/// rebuilds nothing.
pub const VERSION: &str = match option_env!("TACHI_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Exit code of success.
pub const DONE: u8 = 0;
/// Exit code of a failure.
pub const FAILED: u8 = 1;
/// Exit code of wrong usage or configuration.
pub const USAGE: u8 = 2;
