//! How long instances were down, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};
use tachi_domain::downtime::Downtime;

/// The marked ones, and the others, each with its name; who has none is not named.
pub(super) fn parts(down: impl IntoIterator<Item = (bool, Duration)>) -> [(&'static str, Downtime); 2] {
    let (marked, rest): (Vec<_>, Vec<_>) = down.into_iter().partition(|(marked, _)| *marked);
    let only = |some: Vec<(bool, Duration)>| some.into_iter().map(|(_, lasted)| lasted).collect();
    [("HA_Enabled", only(marked)), ("the rest", only(rest))]
}

/// All of them in a line; `None` if none is back.
pub(super) fn line(down: &Downtime) -> Option<String> {
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

/// The same of everything together and of each part.
pub(super) fn as_json(down: &[(bool, Duration)]) -> Value {
    let all = down.iter().map(|(_, lasted)| *lasted).collect();
    let [(_, marked), (_, rest)] = parts(down.iter().copied());
    let mut object = figures(&all);
    object["ha_enabled"] = figures(&marked);
    object["rest"] = figures(&rest);
    object
}

fn figures(down: &Downtime) -> Value {
    let seconds = |one: Option<Duration>| one.map(|one| rounded(one.as_secs_f64()));
    json!({
        "instance_seconds": rounded(down.total().as_secs_f64()),
        "back": down.count(),
        "mean": seconds(down.mean()),
        "first": seconds(down.first()),
        "median": seconds(down.median()),
        "p95": seconds(down.p95()),
        "last": seconds(down.last()),
    })
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
        let json = as_json(&down);
        assert_eq!(json["instance_seconds"], 20.5);
        assert_eq!(json["ha_enabled"]["last"], 4.0);
        assert_eq!(json["rest"]["first"], 6.5);
        assert_eq!(as_json(&[])["median"], Value::Null);
    }
}
