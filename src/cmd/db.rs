//! `tachi db`.

use tachi_engine::SystemClock;
use tachi_store::Store;

use super::{Failure, command_settings};
use crate::cli::DbCommand;
use crate::{out, wiring};

/// Looks after the database.
pub(crate) async fn run(command: DbCommand) -> Result<u8, Failure> {
    match command {
        DbCommand::Sync(args) => {
            let base = wiring::base(&command_settings(&args)?).await?;
            let version = base
                .store
                .version()
                .await
                .map_err(|error| Failure::new("reading the version", error))?;
            out::line(format!(
                "the database is at {}",
                version.as_deref().unwrap_or("no version")
            ));
        }
        DbCommand::Version(args) => {
            let settings = command_settings(&args)?;
            if !settings.database.exists() {
                out::line("None");
                return Ok(crate::DONE);
            }
            let clock = std::sync::Arc::new(SystemClock);
            let store = Store::connect(settings.database.options(), clock)
                .await
                .map_err(|error| Failure::new("opening the database", error))?;
            let version = store
                .version()
                .await
                .map_err(|error| Failure::new("reading the version", error))?;
            out::line(version.as_deref().unwrap_or("None"));
        }
    }
    Ok(crate::DONE)
}
