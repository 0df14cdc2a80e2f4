//! Times of earlier recoveries, as a prediction of the next one.

use serde::Serialize;

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

    /// Computes the prediction from the seconds of each recovery: until half of the instances were back, and until all were.
    pub fn of(mut figures: Vec<(f64, f64)>) -> Option<Self> {
        figures.sort_by(|one, other| one.0.total_cmp(&other.0));
        let middle = figures.get(figures.len() / 2)?;
        Some(Self {
            recoveries: figures.len(),
            median_seconds: middle.0,
            worst_seconds: figures.iter().map(|one| one.1).fold(0.0, f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_recovery_and_the_slowest_instance_are_told() {
        assert_eq!(Prediction::of(Vec::new()), None);
        let prediction = Prediction::of(vec![(9.0, 11.0), (2.0, 300.0), (8.0, 10.0)]).unwrap();
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
