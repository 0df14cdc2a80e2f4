//! `masakari-manage`, for operators who use it in their scripts: the same output and the same exit codes.

use tachi_cli::arguments::{ConfigArgs, ManageCategory, ManageDb, PurgeArgs, ShapeArgs};
use tachi_cli::out::{self, View};
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::Failure;

use super::db;

/// Runs the command.
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
        // As in `masakari-manage`, it waits for a server that is not up yet.
        ManageDb::Sync { version: None } => db::sync(&config, true).await?,
        ManageDb::Sync { version: Some(_) } => {
            return Err(Failure::from_text(
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
                shape: ShapeArgs::default(),
            };
            let options = db::purge_options(&args).map_err(Failure::not_usage)?;
            let sheet = db::purge(&args, &options).await?;
            let view = View::bare(SystemClock.wall());
            out::note(sheet.table(&[], &view).map_err(Failure::from_text)?);
        }
    }
    Ok(crate::DONE)
}
