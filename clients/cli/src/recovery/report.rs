//! `tachi recovery report`.

use std::path::Path;

use serde_json::json;
use tachi_operator::Failure;
use tachi_operator::report::RecoveryReport;

use super::{named, unknown};
use crate::arguments::{ReportArgs, ReportFormat};
use crate::out;
use crate::source::{self, Controller};

/// Writes the report of one recovery.
pub(super) async fn run(args: ReportArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let format = form(args.format, args.out.as_deref());
    let source = source::open(&args.source, controller).await?;
    let id = named(source.as_ref(), &args.recovery).await?;
    let history = source.recovery(id).await?.ok_or_else(|| unknown(id))?;
    let report = RecoveryReport::of(&history);
    let text = match format {
        ReportFormat::Md => report.markdown(),
        ReportFormat::Html => report.html(),
        ReportFormat::Json => Ok(json!(report).to_string()),
    };
    let text = text.map_err(|error| Failure::new("writing the report", error))?;
    let text = text.trim_end();
    let Some(file) = args.out else {
        out::line(text);
        return Ok(crate::DONE);
    };
    std::fs::write(&file, format!("{text}\n"))
        .map_err(|error| Failure::new(format!("writing the report into {}", file.display()), error))?;
    out::note(format!("tachi: the report of {id} is in {}", file.display()));
    Ok(crate::DONE)
}

fn form(requested: Option<ReportFormat>, file: Option<&Path>) -> ReportFormat {
    let end = || file?.extension()?.to_str();
    requested.unwrap_or_else(|| match end() {
        Some("html" | "htm") => ReportFormat::Html,
        Some("json") => ReportFormat::Json,
        _ => ReportFormat::Md,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_is_asked_for_else_what_the_file_is_called() {
        let of = |requested, file: &str| form(requested, Some(Path::new(file)));
        assert_eq!(form(None, None), ReportFormat::Md);
        assert_eq!(of(None, "a.html"), ReportFormat::Html);
        assert_eq!(of(None, "a.json"), ReportFormat::Json);
        assert_eq!(of(None, "a.txt"), ReportFormat::Md);
        assert_eq!(of(Some(ReportFormat::Md), "a.html"), ReportFormat::Md);
    }
}
