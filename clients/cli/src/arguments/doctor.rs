//! `tachi doctor`.

use clap::Args;

use super::{ShapeArgs, SourceArgs};

/// `tachi doctor`.
#[expect(clippy::struct_excessive_bools, reason = "clap's switches")]
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// Only this check, by its name
    pub name: Option<String>,
    /// Show passed checks too
    #[arg(long)]
    pub all: bool,
    /// Fix what Tachi's own rows and files can fix: adds hosts of Nova that are in no segment to one, and makes files with secrets
    /// unreadable to others. Never switches power or touches an instance
    #[arg(long, conflicts_with_all = ["format", "columns"])]
    pub fix: bool,
    /// Only print what would be fixed
    #[arg(long, requires = "fix")]
    pub dry_run: bool,
    /// Check upgrade readiness, and what Masakari has left; exits with 0 if all is well, 1 with warnings, 2 with failures, 255 if it
    /// could not check
    #[arg(long, conflicts_with_all = ["name", "all", "fix", "check"])]
    pub upgrade: bool,
    /// Exit with 0 if all is well, 1 with warnings, 2 with errors, 3 if something could not be checked
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub shape: ShapeArgs,
}
