//! Output of `tachi config show`.

use serde_json::{Value, json};
use tachi_config::{ConfigReport, Effective, Origin};

use crate::arguments::ConfigFormat;
use crate::out;

/// Prints the options of the report, whose INI form can be read back as a file.
pub fn show(report: &ConfigReport, format: ConfigFormat) {
    match format {
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
