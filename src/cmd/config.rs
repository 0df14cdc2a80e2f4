//! `tachi config show`.

use super::{Failure, command_settings};
use crate::cli::ConfigCommand;
use crate::out;

/// Prints the configuration in effect; it can be read back as a file.
pub(crate) fn run(command: ConfigCommand) -> Result<u8, Failure> {
    let ConfigCommand::Show(args) = command;
    let settings = command_settings(&args)?;
    out::line(settings.report.to_string().trim_end());
    for warning in &settings.report.warnings {
        out::note(format!("tachi: {warning}"));
    }
    Ok(crate::DONE)
}
