//! `tachi` alone: how the region is, where that can be read at once, and what can be typed.

use std::time::Duration;

use tachi_operator::counted;

use super::Failure;
use crate::cli::{SourceArgs, overview};
use crate::{out, source};

/// Help must not wait for a region that is away.
const LIMIT: Duration = Duration::from_secs(2);

/// Prints both.
pub(crate) async fn run() -> u8 {
    if let Ok(Ok(sentence)) = tokio::time::timeout(LIMIT, sentence()).await {
        out::told(sentence);
        out::line("");
    }
    out::line(overview());
    crate::DONE
}

/// The first line of `tachi status`.
async fn sentence() -> Result<String, Failure> {
    let source = source::open_quiet(&SourceArgs::default()).await?;
    let seen = source.situation().await?;
    let grade = seen.grade.as_str().to_ascii_uppercase();
    let counted = counted(seen.instances, seen.being_recovered());
    Ok(format!("{grade}  {counted}    (more: tachi status)"))
}
