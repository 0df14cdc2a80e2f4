//! How long it took before: from the journal's last recoveries of hosts.

use serde::Serialize;
use tachi_domain::recovery::RecoveryKind;
use tachi_engine::ports::operator::RecoveryFilter;

use crate::cmd::Failure;
use crate::source::Source;

/// So many recoveries are looked through.
const LOOKED: u64 = 50;

/// So many of hosts count.
const COUNTED: usize = 10;

/// What the last recoveries say of the next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Predicted {
    /// So many recoveries of hosts that brought instances back.
    pub(crate) recoveries: usize,
    /// Half of an instance's recoveries were over so many seconds after they were opened, in the middle one of them.
    pub(crate) median_seconds: f64,
    /// The last instance of the slowest one.
    pub(crate) worst_seconds: f64,
}

impl Predicted {
    /// For people.
    pub(crate) fn sentence(&self) -> String {
        let (median, worst) = (self.median_seconds, self.worst_seconds);
        match self.recoveries {
            1 => format!(
                "the last recovery of a host had half of its instances back after {median:.1} s, the last after {worst:.1} s"
            ),
            count => format!(
                "the last {count} recoveries of hosts had half of their instances back after {median:.1} s, and the last of the slowest \
                 after {worst:.1} s; counted from the report"
            ),
        }
    }
}

/// Of each: when half of the instances were back, and all; seconds.
fn of(mut figures: Vec<(f64, f64)>) -> Option<Predicted> {
    figures.sort_by(|one, other| one.0.total_cmp(&other.0));
    let middle = figures.get(figures.len() / 2)?;
    Some(Predicted {
        recoveries: figures.len(),
        median_seconds: middle.0,
        worst_seconds: figures.iter().map(|one| one.1).fold(0.0, f64::max),
    })
}

/// Reads it; `None` if no host was ever recovered.
pub(crate) async fn predicted(source: &dyn Source) -> Result<Option<Predicted>, Failure> {
    let filter = RecoveryFilter {
        closed: true,
        limit: Some(LOOKED),
        ..RecoveryFilter::default()
    };
    let rows = source.recoveries(&filter).await?;
    let hosts = rows
        .iter()
        .filter(|row| row.kind == RecoveryKind::Host && row.moves.succeeded > 0);
    let mut figures = Vec::new();
    for row in hosts {
        if figures.len() == COUNTED {
            break;
        }
        let story = source.recovery(row.recovery).await?;
        let down = story.map(|story| story.downtime.all);
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
        let told = of(vec![(9.0, 11.0), (2.0, 300.0), (8.0, 10.0)]).unwrap();
        assert_eq!(
            (told.recoveries, told.median_seconds, told.worst_seconds),
            (3, 8.0, 300.0)
        );
    }
}
