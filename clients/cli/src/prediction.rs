//! Times of earlier recoveries: from the journal's last recoveries of hosts.

use tachi_domain::recovery::RecoveryKind;
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_operator::{Failure, Prediction};

use crate::source::Source;

/// Limit of the recoveries that are searched.
const MAX_SEARCHED: u64 = 50;

/// Limit of the host recoveries that count.
const MAX_COUNTED: usize = 10;

/// Reads the prediction; `None` if no host has been recovered yet.
pub async fn predicted(source: &dyn Source) -> Result<Option<Prediction>, Failure> {
    let filter = RecoveryFilter {
        closed: true,
        limit: Some(MAX_SEARCHED),
        ..RecoveryFilter::default()
    };
    let rows = source.recoveries(&filter).await?;
    let hosts = rows
        .iter()
        .filter(|row| row.kind == RecoveryKind::Host && row.moves.succeeded > 0);
    let mut figures = Vec::new();
    for row in hosts {
        if figures.len() == MAX_COUNTED {
            break;
        }
        let history = source.recovery(row.recovery).await?;
        let down = history.map(|history| history.downtime.all);
        figures.extend(down.and_then(|down| Some((down.median?, down.last?))));
    }
    Ok(Prediction::of(figures))
}
