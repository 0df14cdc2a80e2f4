//! Output of a live drill.

use serde_json::{Value, json};
use tachi_operator::drill::live::Live;
use tachi_operator::plain;

/// Renders the result as lines.
pub fn lines(live: &Live) -> Vec<String> {
    let host = plain(&live.host);
    let mut lines = vec![format!("live drill of {host}; seconds count from the power-off")];
    lines.push(match live.unnoticed_for_seconds {
        None => format!(
            "  ✓ {:<24} {:>8.1} s  by a monitor",
            "reported", live.noticed_seconds
        ),
        Some(waited) => format!(
            "  ! {:<24} {:>8.1} s  by the drill: no monitor reported it within {waited} s",
            "reported", live.noticed_seconds
        ),
    });
    for one in &live.canaries {
        let name = plain(&one.name);
        lines.push(match (&one.to, one.down_seconds) {
            (Some(to), Some(down)) => format!("  ✓ {name:<24} {down:>8.1} s  back, on {}", plain(to)),
            (Some(to), None) => format!(
                "  ✗ {name:<24} {:>10}  runs on {}, but not by this recovery",
                "-",
                plain(to)
            ),
            (None, _) => format!("  ✗ {name:<24} {:>10}  not back", "-"),
        });
    }
    lines.extend(
        live.predicted
            .iter()
            .map(|before| format!("before: {}", before.sentence())),
    );
    if let (Some(median), Some(last)) = (live.median_seconds, live.last_seconds) {
        lines.push(format!(
            "now: half of the canaries were back after {median:.1} s, the last after {last:.1} s, counted from the report"
        ));
    }
    lines.push(live.sentence());
    lines.push(if live.all_back() {
        format!("the canaries are deleted; {host} is off and disabled: `tachi host return {host}` shows how to return it")
    } else {
        format!(
            "the canaries are left for inspection: `tachi recovery show {}`; afterwards `tachi drill {host} --clean-up`, and `tachi \
             host return {host}`",
            live.recovery
        )
    });
    lines
}

/// Renders the result as an object, for programs.
pub fn object(live: &Live) -> Value {
    let mut object = json!({
        "kind": "live", "grade": live.grade(), "sentence": live.sentence(), "cleaned_up": live.all_back(),
    });
    let measured = serde_json::to_value(live).unwrap_or_default();
    if let (Value::Object(into), Value::Object(more)) = (&mut object, measured) {
        into.extend(more);
    }
    object
}
