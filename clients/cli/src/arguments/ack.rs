//! `tachi ack`.

use std::time::Duration;

use clap::Args;
use tachi_domain::situation::FindingCode;
use tachi_operator::when::span;

use super::{ConfigArgs, ShapeArgs};

/// `tachi ack`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["lasts", "end", "list"]))]
pub struct AckArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The finding's code, as `tachi status` shows it
    #[arg(value_name = "CODE", value_parser = code, required_unless_present = "list")]
    pub code: Option<FindingCode>,
    /// The host, segment, instance or engine that the finding is about; every one without it
    pub name: Option<String>,
    /// Duration: 2h, 7d, at most 90d. The acknowledgement ends by itself
    #[arg(long = "for", value_name = "TIME", value_parser = span, requires = "reason")]
    pub lasts: Option<Duration>,
    /// The reason, shown to other operators
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// End the acknowledgement
    #[arg(long)]
    pub end: bool,
    /// List acknowledgements, earliest end first
    #[arg(long, conflicts_with_all = ["code", "name"])]
    pub list: bool,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

fn code(text: &str) -> Result<FindingCode, String> {
    let requested = text.to_ascii_uppercase().replace('-', "_");
    let mut all = FindingCode::ALL.iter();
    all.find(|code| code.as_str() == requested)
        .copied()
        .ok_or_else(|| format!("{text:?} is not the code of a finding: `tachi status` shows them"))
}
