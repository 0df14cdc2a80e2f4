//! `tachi config`.

use serde_json::{Value, json};
use tachi_cli::arguments::{ConfigCommand, ConfigFormat};
use tachi_cli::out;
use tachi_config::{Effective, Origin, sample};
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
    match args.format {
        ConfigFormat::Ini => {
            if report.effective.is_empty() {
                out::note("tachi: every option has its default");
            } else {
                out::line(report.to_string().trim_end());
            }
            for warning in &report.warnings {
                out::note(format!("tachi: {warning}"));
            }
        }
        ConfigFormat::Json => {
            let options: Vec<Value> = report.effective.iter().map(option).collect();
            let warnings: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
            out::line(format!("{:#}", json!({"options": options, "warnings": warnings})));
        }
    }
    Ok(crate::DONE)
}

fn option(option: &Effective) -> Value {
    let origin = match &option.origin {
        Origin::File { file, line } => json!({"kind": "file", "file": **file, "line": line}),
        Origin::Environment(name) => json!({"kind": "environment", "name": name}),
        Origin::Flag(name) => json!({"kind": "flag", "name": name}),
        Origin::Default => json!({"kind": "default"}),
        other => json!({"kind": "other", "name": other.to_string()}),
    };
    json!({
        "section": option.section,
        "option": option.option,
        "value": option.value,
        "default": option.default,
        "secret": option.secret,
        "origin": origin,
    })
}
