//! Configuration in the oslo dialect: files, environment, substitution, types.
//!
//! An operator's existing `masakari.conf` has to work unchanged. The grammar therefore equals that of
//! oslo.config: `testdata/oslo.json` contains oslo.config's answer to each case, and the tests compare. This crate improves
//! on it: every value has its file and line, all problems are reported at once, and an unknown option is reported
//! together with the nearest known one. The environment and the search path are arguments; nothing is read from the
//! process itself.
//!
//! ```text
//! files, directories -> Ini (entries with file:line) -+
//! environment, flags ---------------------------------+-> Reader -> typed values
//! KnownOptions (table of option names) ----------------------+          -> Report | ConfigErrors
//! ```
//!
//! This crate knows names, aliases and secrecy of options, but no defaults. Defaults belong to the component that reads
//! the option and are passed to the [`Reader`] there.
//!
//! ```
//! use std::time::Duration;
//! use tachi_config::{Ini, KnownOptions, Reader};
//!
//! let ini = Ini::parse("tachi.conf", "[DEFAULT]\nverify_interval = 2\n")?;
//! let known = KnownOptions::masakari();
//! let mut reader = Reader::new(&ini, &known);
//! let port: u16 = reader.int("DEFAULT", "masakari_api_listen_port").default(15868).range(1..=65535).get();
//! let poll = reader.seconds("DEFAULT", "verify_interval").default(Duration::from_secs(1)).get();
//! let report = reader.finish()?;
//! assert_eq!((port, poll), (15868, Duration::from_secs(2)));
//! assert!(report.warnings.is_empty());
//! # Ok::<(), tachi_config::ConfigErrors>(())
//! ```

mod database;
mod declaration;
mod error;
mod files;
mod ini;
mod known;
mod lexer;
mod lists;
mod masakari_seconds;
mod nearest;
mod oslo;
mod parse;
mod percent;
mod reader;
mod report;
mod setting;
mod substitute;
mod transport;

pub use database::{Backend, DatabaseUrl, DatabaseUrlError, database_url};
pub use declaration::{Declaration, sample, with_rows};
pub use error::{ConfigError, ConfigErrors};
pub use files::{ConfigSource, default_folders, default_search};
pub use ini::{Ini, Origin};
pub use known::{Handling, KnownOptions};
pub use lists::named_lists;
pub use masakari_seconds::MasakariSeconds;
pub use nearest::nearest;
pub use oslo::{ConfigOrder, LogArgs, OsloArgs};
pub use parse::{Integer, Refusal};
pub use reader::Reader;
pub use report::{ConfigReport, Effective, Warning};
pub use setting::Setting;
pub use transport::{TransportHost, TransportUrl, transport_url};

#[cfg(test)]
mod conformance;
