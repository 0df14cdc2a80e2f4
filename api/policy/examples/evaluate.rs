//! Answers policy questions given as JSON lines, for the comparison with oslo.policy (`tests/policy/differential.py`).
//!
//! A question is `{"rules": {...}, "ask": "...", "caller": {...}, "target": {...}}`, an answer is `allow` or `deny`.

use std::error::Error;
use std::io::{BufRead as _, Write as _};

use serde_json::Value;
use tachi_policy::{Options, Rules, Source};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line?)?;
        let file = Source::new("policy.json", question["rules"].to_string());
        let loaded = Rules::load(&[], &[file], &Options::default())?;
        let ask = question["ask"].as_str().unwrap_or_default();
        let allowed = loaded.rules.allows(ask, &question["caller"], &question["target"]);
        writeln!(out, "{}", if allowed { "allow" } else { "deny" })?;
    }
    out.flush()?;
    Ok(())
}
