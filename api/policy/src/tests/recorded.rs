//! Our answers against those of oslo.policy (`testdata/oslo.jsonl`, written by `tests/policy/differential.py --record`).

use serde_json::Value;

use crate::{Options, Rules, Source};

#[test]
fn answers_are_those_of_oslo_policy() {
    let text = include_str!("../../testdata/oslo.jsonl");
    let (mut same, mut stricter) = (0, 0);
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let file = Source::new("policy.json", case["rules"].to_string());
        let rules = Rules::load(&[], &[file], &Options::default()).unwrap().rules;
        let allowed = rules.allows(case["ask"].as_str().unwrap(), &case["caller"], &case["target"]);
        match (case["answer"].as_str().unwrap(), allowed) {
            ("allow", true) | ("deny", false) => same += 1,
            // Undecidable, so it denies access, even below `not`.
            ("allow", false) if case["complained"] == true => stricter += 1,
            ("raised", _) => {}
            (answer, _) => panic!("oslo.policy says {answer}, we say {allowed}: {line}"),
        }
    }
    assert!(same > 200 && stricter < same / 10, "{same} {stricter}");
}
