//! Output of a shadow drill.

use serde_json::{Value, json};
use tachi_domain::situation::Severity;
use tachi_operator::Prediction;
use tachi_operator::drill::{GradedAnswer, Shadow, text};

/// Limit of the instances that are named in a line.
const NAMED: usize = 10;

/// Renders the result as lines.
pub fn lines(shadow: &Shadow, predicted: Option<&Prediction>) -> Vec<String> {
    let mut lines = vec![format!("shadow drill of {}: it only reads", shadow.host)];
    lines.extend(shadow.answers.iter().map(line));
    let order = &shadow.dry_run.order;
    let names: Vec<&str> = order.iter().take(NAMED).map(|(_, name)| name.as_str()).collect();
    lines.push(match order.len() {
        0 => "no instance would be evacuated".to_owned(),
        count if count > NAMED => format!(
            "{count} would be evacuated: {}, and {} more",
            names.join(", "),
            count - NAMED
        ),
        _ => format!("would be evacuated, in this order: {}", names.join(", ")),
    });
    let left = &shadow.dry_run.left;
    lines.extend(
        left.iter()
            .take(NAMED)
            .map(|(name, why)| format!("{name} would stay: {why}")),
    );
    if left.len() > NAMED {
        lines.push(format!("and {} more would stay", left.len() - NAMED));
    }
    lines.extend(predicted.map(Prediction::sentence));
    lines.push(shadow.summary());
    lines
}

fn line(one: &GradedAnswer) -> String {
    let mark = match one.grade {
        Severity::Ok | Severity::Info => "✓",
        Severity::Warn => "!",
        Severity::Err => "✗",
        Severity::Unknown => "?",
    };
    let answer = &one.answer;
    let took = format!("{} ms", answer.took.as_millis());
    format!("  {mark} {:<16} {took:>8}  {}", answer.what, text(answer))
}

/// Renders the result as an object, for programs.
pub fn object(shadow: &Shadow, predicted: Option<&Prediction>) -> Value {
    let answers = shadow.answers.iter().map(|answer| {
        json!({
            "what": answer.answer.what, "grade": answer.grade, "seconds": answer.answer.took.as_secs_f64(), "said": text(&answer.answer),
        })
    });
    let order = shadow.dry_run.order.iter();
    let left = shadow.dry_run.left.iter();
    json!({
        "host": shadow.host,
        "kind": "shadow",
        "grade": shadow.grade(),
        "seconds": shadow.took.as_secs_f64(),
        "sentence": shadow.sentence(),
        "answers": answers.collect::<Vec<_>>(),
        "evacuated": order.map(|(id, name)| json!({ "id": id, "name": name })).collect::<Vec<_>>(),
        "left": left.map(|(name, why)| json!({ "name": name, "why": why })).collect::<Vec<_>>(),
        "predicted": predicted,
    })
}
