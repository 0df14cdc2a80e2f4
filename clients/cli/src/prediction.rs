//! Times of earlier recoveries: from the journal's last recoveries of hosts.

use serde::Serialize;
use tachi_domain::recovery::RecoveryKind;
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_operator::Failure;

use crate::source::Source;

/// Limit of the recoveries that are searched.
const MAX_SEARCHED: u64 = 50;

/// Limit of the host recoveries that count.
const MAX_COUNTED: usize = 10;

/// Prediction from the last recoveries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Number of host recoveries that brought instances back and count here.
    pub recoveries: usize,
    /// Median over the recoveries of the seconds from the opening until half of the instances were back.
    pub median_seconds: f64,
    /// Seconds until the last instance of the slowest recovery was back.
    pub worst_seconds: f64,
}

impl Prediction {
    /// Describes the prediction in a sentence.
    pub fn sentence(&self) -> String {
        let (median, slowest) = (self.median_seconds, self.worst_seconds);
        match self.recoveries {
            1 => format!(
                "the last recovery of a host had half of its instances back after {median:.1} s, the last after {slowest:.1} s"
            ),
            count => format!(
                "the last {count} recoveries of hosts had half of their instances back after {median:.1} s, and the last of the slowest \
                 after {slowest:.1} s; counted from the report"
            ),
        }
    }
}

/// Computes the prediction from the seconds of each recovery: until half of the instances were back, and until all were.
fn of(mut figures: Vec<(f64, f64)>) -> Option<Prediction> {
    figures.sort_by(|one, other| one.0.total_cmp(&other.0));
    let middle = figures.get(figures.len() / 2)?;
    Some(Prediction {
        recoveries: figures.len(),
        median_seconds: middle.0,
        worst_seconds: figures.iter().map(|one| one.1).fold(0.0, f64::max),
    })
}

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
    Ok(of(figures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_recovery_and_the_slowest_instance_are_told() {
        assert_eq!(of(Vec::new()), None);
        let prediction = of(vec![(9.0, 11.0), (2.0, 300.0), (8.0, 10.0)]).unwrap();
        assert_eq!(
            (
                prediction.recoveries,
                prediction.median_seconds,
                prediction.worst_seconds
            ),
            (3, 8.0, 300.0)
        );
    }
}
