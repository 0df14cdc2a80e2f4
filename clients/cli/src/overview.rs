//! `tachi` alone: the state of the region, if it can be read at once, and the commands.

use std::time::Duration;

use tachi_operator::{Failure, counted};

use crate::arguments::{SourceArgs, overview};
use crate::out;
use crate::source::{self, Controller};

/// Timeout for the state: help must not wait for a region that is down.
const LIMIT: Duration = Duration::from_secs(2);

/// Prints the state and the overview.
pub async fn run(controller: &dyn Controller) -> u8 {
    if let Ok(Ok(sentence)) = tokio::time::timeout(LIMIT, sentence(controller)).await {
        out::print(sentence);
        out::line("");
    }
    out::line(overview());
    crate::DONE
}

/// Returns the first line of `tachi status`.
async fn sentence(controller: &dyn Controller) -> Result<String, Failure> {
    let source = source::open_quiet(&SourceArgs::default(), controller).await?;
    let situation = source.situation().await?;
    let grade = situation.grade.as_str().to_ascii_uppercase();
    let counted = counted(situation.instances, situation.being_recovered());
    Ok(format!("{grade}  {counted}    (more: tachi status)"))
}
