//! `masakari-manage`, for those who have it in their scripts: what it prints where, and with which code it ends.

use super::{Failure, db};
use crate::cli::{ConfigArgs, ManageCategory, ManageDb, PurgeArgs};
use crate::out;

/// Does what was asked for.
pub(crate) async fn run(config: ConfigArgs, category: Option<ManageCategory>) -> Result<u8, Failure> {
    let Some(ManageCategory::Db(command)) = category else {
        out::line(format!(
            "OpenStack masakari version: {} (Tachi)\n",
            env!("CARGO_PKG_VERSION")
        ));
        out::line("masakari-manage category action [<args>]\nAvailable categories:\n\tdb");
        return Ok(crate::USAGE);
    };
    match command {
        ManageDb::Sync { version: None } => db::sync(&config).await?,
        ManageDb::Sync { version: Some(_) } => {
            return Err(Failure::told(
                "there is one version, the newest: leave the number out",
            ));
        }
        ManageDb::Version => out::line(db::masakari_revision(&config).await?),
        ManageDb::Purge {
            age_in_days,
            max_rows,
        } => {
            let args = PurgeArgs {
                config,
                age_in_days,
                max_rows,
                dry_run: false,
            };
            let options = db::purge_options(&args).map_err(Failure::not_usage)?;
            out::note(db::purge(&args, &options).await?);
        }
    }
    Ok(crate::DONE)
}
