//! Hostile input, which must be answered in bounded time.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Options, Problem, Rules, Source, Warning, parse};

fn rules(file: &Value) -> Rules {
    let source = Source::new("policy.json", file.to_string());
    Rules::load(&[], &[source], &Options::default()).unwrap().rules
}

#[test]
fn long_and_deep_rules_are_refused() {
    let deep = |levels: usize| "(".repeat(levels) + "@" + &")".repeat(levels);
    let nested = |levels: usize| "@ and (".repeat(levels) + "@" + &")".repeat(levels);
    let cases = [
        ("parentheses alone nest nothing", deep(5000), true),
        ("not", "not ".repeat(98) + "!", false),
        ("not, an even number of times", "not ".repeat(96) + "@", true),
        ("not, too often", "not ".repeat(5000) + "@", false),
        ("nested", nested(90), true),
        ("nested too deep", nested(2000), false),
        ("many side by side", "@ and ".repeat(5000) + "@", true),
        ("many alternatives", "! or ".repeat(5000) + "@", true),
        ("alternatives of two", "! and ! or ".repeat(4000) + "@", true),
        ("ors with an and", "! or @ and ! or ".repeat(2000) + "@", true),
        ("too long", "@ and ".repeat(20_000) + "@", false),
        ("unbalanced", "(".repeat(60_000), false),
    ];
    for (name, rule, expected) in cases {
        let rules = rules(&json!({"a": rule}));
        assert_eq!(rules.allows("a", &json!({}), &json!({})), expected, "{name}");
    }
    let parsed = parse::text(&("not ".repeat(5000) + "@"));
    assert!(matches!(parsed.problems.as_slice(), [Problem::TooDeep { .. }]));
}

#[test]
fn rules_that_double_at_each_step_are_cut_off() {
    let mut file = json!({"r60": "!"});
    for n in 0..60 {
        file[format!("r{n}")] = json!(format!("rule:r{0} or rule:r{0}", n + 1));
    }
    let rules = rules(&file);
    assert!(
        !rules.allows("r0", &json!({}), &json!({})),
        "2^60 checks would never end"
    );
    assert!(!rules.allows("r55", &json!({}), &json!({})));
}

#[test]
fn a_long_chain_of_rules_neither_overflows_nor_allows() {
    let mut file = json!({"r2000": "@"});
    for n in 0..2000 {
        file[format!("r{n}")] = json!(format!("rule:r{}", n + 1));
    }
    let rules = rules(&file);
    assert!(!rules.allows("r0", &json!({}), &json!({})));
    assert!(rules.allows("r1900", &json!({}), &json!({})));
}

#[test]
fn a_big_file_is_read_in_linear_time() {
    let mut text = String::new();
    for n in 0..10_000 {
        writeln!(text, "\"rule{n}\": \"rule:rule{} and role:admin\"", n / 2).unwrap();
    }
    let loaded = Rules::load(&[], &[Source::new("policy.yaml", text)], &Options::default()).unwrap();
    assert_eq!(loaded.rules.list().count(), 10_000);
    let huge = Source::new("policy.yaml", "a: ".to_owned() + &"x".repeat(2 << 20));
    assert!(Rules::load(&[], &[huge], &Options::default()).is_err());
}

/// Texts that look like rules.
fn near_rules() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "(",
        ")",
        " ",
        "and",
        "or",
        "not",
        "role:admin",
        "rule:a",
        "rule:b",
        "@",
        "!",
        "'",
        "\"",
        ":",
        "%(x)s",
        "%",
        "%%",
        "a.b",
        "True",
        "1",
        "\\",
        "\u{e9}",
        "\u{1c}",
        "\0",
        "is_admin:True",
        "http:",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_answered(a in near_rules(), b in any::<String>(), x in any::<String>()) {
        let file = json!({"a": a, "b": b});
        let rules = rules(&file);
        let caller = json!({"roles": ["admin"], "is_admin": true, "a": {"b": x.clone()}});
        let target = json!({"x": x});
        let _ = rules.allows("a", &caller, &target);
        let _ = rules.allows("b", &caller, &target);
    }

    #[test]
    fn negation_inverts_the_answer_or_both_deny(rule in near_rules()) {
        let rules = rules(&json!({"a": rule, "yes": "rule:a", "no": "not rule:a"}));
        let (caller, target) = (json!({"roles": ["admin"], "is_admin": true}), json!({"x": "y"}));
        let both = rules.allows("yes", &caller, &target) && rules.allows("no", &caller, &target);
        prop_assert!(!both);
    }

    #[test]
    fn any_file_is_read_or_refused(text in any::<String>()) {
        let _ = Rules::load(&[], &[Source::new("policy.yaml", text)], &Options::default());
    }

    #[test]
    fn valid_rules_have_no_problems(rule in near_rules()) {
        let loaded = Rules::load(
            &[],
            &[Source::new("f", json!({"default": rule.clone()}).to_string())],
            &Options::default(),
        ).unwrap();
        let has_warning = loaded.warnings.iter().any(|warning| matches!(warning, Warning::Problem { .. }));
        prop_assert_eq!(has_warning, !parse::text(&rule).problems.is_empty());
    }
}
