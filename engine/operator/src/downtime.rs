//! Downtime of instances, for people and for programs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tachi_domain::downtime::Downtime;
use utoipa::ToSchema;

const MARKED: &str = "marked";
const OTHER_LABEL: &str = "the rest";

/// Splits the downtimes into the marked instances and the rest, each with its name. Instances without a mark count as the rest.
pub fn parts(down: impl IntoIterator<Item = (bool, Duration)>) -> [(&'static str, Downtime); 2] {
    let (marked, rest): (Vec<_>, Vec<_>) = down.into_iter().partition(|(marked, _)| *marked);
    let only = |some: Vec<(bool, Duration)>| some.into_iter().map(|(_, lasted)| lasted).collect();
    [(MARKED, only(marked)), (OTHER_LABEL, only(rest))]
}

/// Renders all downtimes in one line; `None` if no instance is back.
pub fn line(down: &Downtime) -> Option<String> {
    figures(down).line()
}

/// The downtime of a group of instances, in seconds, counted from the first report through all attempts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DowntimeFigures)]
pub struct Figures {
    /// The sum of the downtimes of the instances that are back.
    pub instance_seconds: f64,
    /// The number of instances that are back.
    pub back: usize,
    /// The mean downtime; null if no instance is back.
    #[schema(required)]
    pub mean: Option<f64>,
    /// The shortest downtime; null if no instance is back.
    #[schema(required)]
    pub first: Option<f64>,
    /// The median downtime; null if no instance is back.
    #[schema(required)]
    pub median: Option<f64>,
    /// The 95th percentile of the downtime; null if no instance is back.
    #[schema(required)]
    pub p95: Option<f64>,
    /// The longest downtime; null if no instance is back.
    #[schema(required)]
    pub last: Option<f64>,
}

impl Figures {
    /// Renders the figures in one line; `None` if no instance is back.
    pub fn line(&self) -> Option<String> {
        let (first, median, p95, last) = (self.first?, self.median?, self.p95?, self.last?);
        Some(format!(
            "{} back, min {first:.1} s, median {median:.1} s, p95 {p95:.1} s, max {last:.1} s, {:.1} s in all",
            self.back, self.instance_seconds
        ))
    }
}

/// The downtime of a recovery's instances: all of them, the marked ones, and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Downtime)]
pub struct DowntimeView {
    /// The figures for all instances.
    #[serde(flatten)]
    pub all: Figures,
    /// The figures for the instances that are marked for high availability.
    pub ha_enabled: Figures,
    /// The figures for the other instances.
    pub rest: Figures,
}

impl DowntimeView {
    /// Returns the marked instances and the rest, each with its name.
    pub fn parts(&self) -> [(&'static str, Figures); 2] {
        [(MARKED, self.ha_enabled), (OTHER_LABEL, self.rest)]
    }

    /// Computes the figures; each instance is given as true if it is marked, with its downtime.
    pub fn of(down: &[(bool, Duration)]) -> Self {
        let [(_, marked), (_, rest)] = parts(down.iter().copied());
        Self {
            all: figures(&down.iter().map(|(_, lasted)| *lasted).collect()),
            ha_enabled: figures(&marked),
            rest: figures(&rest),
        }
    }
}

fn figures(down: &Downtime) -> Figures {
    let seconds = |downtime: Option<Duration>| downtime.map(|downtime| rounded(downtime.as_secs_f64()));
    Figures {
        instance_seconds: rounded(down.total().as_secs_f64()),
        back: down.count(),
        mean: seconds(down.mean()),
        first: seconds(down.first()),
        median: seconds(down.median()),
        p95: seconds(down.p95()),
        last: seconds(down.last()),
    }
}

pub(crate) fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_and_other_instances_are_separate_and_add_up() {
        let down = [(true, 2_000), (false, 8_000), (true, 4_000), (false, 6_500)];
        let down = down.map(|(marked, millis)| (marked, Duration::from_millis(millis)));
        let [(_, marked), (_, rest)] = parts(down);
        assert_eq!(
            line(&marked).unwrap(),
            "2 back, min 2.0 s, median 2.0 s, p95 4.0 s, max 4.0 s, 6.0 s in all"
        );
        assert!(line(&rest).unwrap().ends_with(", 14.5 s in all"));
        assert_eq!(line(&Downtime::default()), None);
        let json = serde_json::to_value(DowntimeView::of(&down)).unwrap();
        assert_eq!(json["instance_seconds"], 20.5);
        assert_eq!(json["ha_enabled"]["last"], 4.0);
        assert_eq!(json["rest"]["first"], 6.5);
        assert_eq!(DowntimeView::of(&[]).all.median, None);
    }
}
