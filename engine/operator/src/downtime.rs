//! How long instances were down, for people and for programs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tachi_domain::downtime::Downtime;
use utoipa::ToSchema;

/// The marked ones, and the others, each with its name; who has none is not named.
pub fn parts(down: impl IntoIterator<Item = (bool, Duration)>) -> [(&'static str, Downtime); 2] {
    let (marked, rest): (Vec<_>, Vec<_>) = down.into_iter().partition(|(marked, _)| *marked);
    let only = |some: Vec<(bool, Duration)>| some.into_iter().map(|(_, lasted)| lasted).collect();
    [("HA_Enabled", only(marked)), ("the rest", only(rest))]
}

/// All of them in a line; `None` if none is back.
pub fn line(down: &Downtime) -> Option<String> {
    let [first, median, p95, last] = [down.first(), down.median(), down.p95(), down.last()];
    let (first, median, p95, last) = (first?, median?, p95?, last?);
    Some(format!(
        "{:.1} instance-seconds; {} back, the first after {:.1} s, the median after {:.1}, 95 of 100 after {:.1}, the last after {:.1}",
        down.total().as_secs_f64(),
        down.count(),
        first.as_secs_f64(),
        median.as_secs_f64(),
        p95.as_secs_f64(),
        last.as_secs_f64()
    ))
}

/// How long instances were down, counted from the opening of their recovery, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DowntimeFigures)]
pub struct Figures {
    /// All together.
    pub instance_seconds: f64,
    /// How many are back.
    pub back: usize,
    /// On average.
    #[schema(required)]
    pub mean: Option<f64>,
    /// The first.
    #[schema(required)]
    pub first: Option<f64>,
    /// Half of them were back by then.
    #[schema(required)]
    pub median: Option<f64>,
    /// 95 of 100 were.
    #[schema(required)]
    pub p95: Option<f64>,
    /// The last.
    #[schema(required)]
    pub last: Option<f64>,
}

/// The same of everything together and of each part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Downtime)]
pub struct DowntimeView {
    /// All together.
    pub instance_seconds: f64,
    /// How many are back.
    pub back: usize,
    /// On average.
    #[schema(required)]
    pub mean: Option<f64>,
    /// The first.
    #[schema(required)]
    pub first: Option<f64>,
    /// Half of them were back by then.
    #[schema(required)]
    pub median: Option<f64>,
    /// 95 of 100 were.
    #[schema(required)]
    pub p95: Option<f64>,
    /// The last.
    #[schema(required)]
    pub last: Option<f64>,
    /// Those that are marked `HA_Enabled`.
    pub ha_enabled: Figures,
    /// The others.
    pub rest: Figures,
}

impl DowntimeView {
    /// Of these: whether each is marked, and how long it was down.
    pub fn of(down: &[(bool, Duration)]) -> Self {
        let all = figures(&down.iter().map(|(_, lasted)| *lasted).collect());
        let [(_, marked), (_, rest)] = parts(down.iter().copied());
        Self {
            instance_seconds: all.instance_seconds,
            back: all.back,
            mean: all.mean,
            first: all.first,
            median: all.median,
            p95: all.p95,
            last: all.last,
            ha_enabled: figures(&marked),
            rest: figures(&rest),
        }
    }
}

fn figures(down: &Downtime) -> Figures {
    let seconds = |one: Option<Duration>| one.map(|one| rounded(one.as_secs_f64()));
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

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marked_and_the_rest_are_told_apart_and_add_up() {
        let down = [(true, 2_000), (false, 8_000), (true, 4_000), (false, 6_500)];
        let down = down.map(|(marked, millis)| (marked, Duration::from_millis(millis)));
        let [(_, marked), (_, rest)] = parts(down);
        assert_eq!(
            line(&marked).unwrap(),
            "6.0 instance-seconds; 2 back, the first after 2.0 s, the median after 2.0, 95 of 100 after 4.0, the last after 4.0"
        );
        assert!(line(&rest).unwrap().starts_with("14.5 instance-seconds; 2 back"));
        assert_eq!(line(&Downtime::default()), None);
        let json = serde_json::to_value(DowntimeView::of(&down)).unwrap();
        assert_eq!(json["instance_seconds"], 20.5);
        assert_eq!(json["ha_enabled"]["last"], 4.0);
        assert_eq!(json["rest"]["first"], 6.5);
        assert_eq!(DowntimeView::of(&[]).median, None);
    }
}
