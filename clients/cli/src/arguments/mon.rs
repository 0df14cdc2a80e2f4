//! `tachi mon`.

use clap::Args;
use tachi_config::ConfigSource;

use super::SourceArgs;

/// `tachi mon`.
#[derive(Debug, Args)]
pub struct MonArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Offer no action that changes anything
    #[arg(long)]
    pub read_only: bool,
    /// Print the current state once, and exit
    #[arg(long)]
    pub once: bool,
    /// Show times in UTC, not in the time zone of this machine
    #[arg(long)]
    pub utc: bool,
}

impl SourceArgs {
    /// Returns the options as arguments of another command.
    pub fn arguments(&self) -> Vec<String> {
        if let Some(cloud) = self.cloud() {
            return vec![format!("--os-cloud={cloud}")];
        }
        let render = |source: ConfigSource| match source {
            ConfigSource::File(file) => format!("--config-file={}", file.display()),
            ConfigSource::Folder(folder) => format!("--config-dir={}", folder.display()),
        };
        self.config.sources().into_iter().map(render).collect()
    }
}
