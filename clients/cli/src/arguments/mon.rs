//! `tachi mon`.

use clap::Args;

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
    pub fn words(&self) -> Vec<String> {
        if let Some(cloud) = self.cloud() {
            return vec![format!("--os-cloud={cloud}")];
        }
        let files = self.config.config_file.iter();
        let files = files.map(|file| format!("--config-file={}", file.display()));
        let folders = self.config.config_dir.iter();
        files
            .chain(folders.map(|folder| format!("--config-dir={}", folder.display())))
            .collect()
    }
}
