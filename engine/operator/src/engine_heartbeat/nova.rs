//! State of Nova in the engine's heartbeat: it answers or not.

use std::sync::Arc;

use tachi_domain::situation::MAX_FACT_AGE;
use tachi_engine::{CloudCache, CloudView};

use super::PartState;

/// Returns the heartbeat's fact about Nova: it answers or not.
pub fn nova(cloud: CloudCache) -> PartState {
    Arc::new(move || answers(&cloud.view()))
}

fn answers(view: &CloudView) -> String {
    let seconds = view.age.map(|age| age.as_secs());
    match (seconds, &view.problem) {
        (None, None) => "ok: not called yet".into(),
        (None, Some(why)) => format!("unreachable, and has never answered this engine: {why}"),
        (Some(seconds), Some(why)) => format!("unreachable for {seconds} s: {why}"),
        (Some(seconds), None) if view.age.is_some_and(|age| age > MAX_FACT_AGE) => {
            format!("unknown: it has not answered for {seconds} s")
        }
        (Some(seconds), None) => {
            let beats = view.heartbeat_age.map_or_else(String::new, |age| {
                format!(", heartbeats up to {} s old", age.as_secs())
            });
            let services = view.services.len();
            format!("ok: answered {seconds} s ago, {services} compute services{beats}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_nova_that_is_away_is_told_with_since_when_and_why() {
        let view = |age: Option<u64>, problem: Option<&str>| CloudView {
            age: age.map(Duration::from_secs),
            problem: problem.map(str::to_owned),
            services: BTreeMap::new(),
            ambiguous: [].into(),
            scheduler_up: true,
            heartbeat_age: None,
        };
        for (view, expected) in [
            (view(None, None), "ok: not called yet"),
            (view(Some(3), None), "ok: answered 3 s ago, 0 compute services"),
            (view(Some(50), Some("refused")), "unreachable for 50 s: refused"),
            (view(Some(50), None), "unknown: it has not answered for 50 s"),
            (
                view(None, Some("refused")),
                "unreachable, and has never answered this engine: refused",
            ),
        ] {
            assert_eq!(answers(&view), expected);
        }
    }
}
