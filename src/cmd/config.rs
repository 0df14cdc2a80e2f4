//! `tachi config`.

use tachi_cli::arguments::ConfigCommand;
use tachi_cli::out;
use tachi_config::{Origin, sample};
use tachi_operator::Failure;

use super::command_settings;
use crate::settings::Settings;

/// Prints the configuration in effect, whose INI form can be read back as a file, or a sample of one.
pub(crate) fn run(command: ConfigCommand) -> Result<u8, Failure> {
    let args = match command {
        ConfigCommand::Show(args) => args,
        ConfigCommand::Sample => {
            out::line(sample(&Settings::declared()).trim_end());
            return Ok(crate::DONE);
        }
    };
    let mut report = command_settings(&args.config)?.report;
    if args.changed_only {
        report.effective.retain(|option| option.origin != Origin::Default);
    }
    tachi_cli::config::show(&report, args.format);
    Ok(crate::DONE)
}
