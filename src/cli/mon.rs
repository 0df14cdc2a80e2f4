//! `tachi mon`.

use clap::Args;

use super::SourceArgs;

/// `tachi mon`.
#[derive(Debug, Args)]
pub(crate) struct MonArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Offer nothing that changes anything
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Print what is seen now, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Tell times in UTC, not in the time of this machine
    #[arg(long)]
    pub(crate) utc: bool,
}

impl SourceArgs {
    /// As they are given to another command.
    pub(crate) fn words(&self) -> Vec<String> {
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
