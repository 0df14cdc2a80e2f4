//! Files over defaults.

use serde_json::{Value, json};

use crate::{DeprecatedRule, Operation, Options, RuleDefault, Rules, Source, SourceError, Warning, sample};

const OLD_NAME: DeprecatedRule = DeprecatedRule {
    name: "svc:things",
    check: "role:admin",
    reason: "It was split.",
    since: "2.0",
};

const OLD_DEFAULT: DeprecatedRule = DeprecatedRule {
    name: "svc:show",
    check: "role:operator",
    reason: "Readers are enough.",
    since: "3.0",
};

const DEFAULTS: &[RuleDefault] = &[
    RuleDefault::new("admin_api", "role:admin", "Who is an administrator.", &[]),
    RuleDefault::new(
        "svc:list",
        "rule:admin_api",
        "Lists things.",
        &[Operation {
            method: "GET",
            path: "/things",
        }],
    )
    .instead_of(OLD_NAME),
    RuleDefault::new("svc:show", "role:reader", "Shows a thing.", &[]).instead_of(OLD_DEFAULT),
];

fn role(role: &str) -> Value {
    json!({"roles": [role]})
}

fn load(files: &[&str]) -> (Rules, Vec<String>) {
    load_with(files, &Options::default())
}

fn load_with(files: &[&str], options: &Options) -> (Rules, Vec<String>) {
    let files = files.iter().zip(1..);
    let sources: Vec<Source> = files
        .map(|(text, n)| Source::new(format!("{n}.yaml"), *text))
        .collect();
    let loaded = Rules::load(DEFAULTS, &sources, options).unwrap();
    (
        loaded.rules,
        loaded.warnings.iter().map(ToString::to_string).collect(),
    )
}

fn allows(rules: &Rules, rule: &str, own_role: &str) -> bool {
    rules.allows(rule, &role(own_role), &json!({}))
}

#[test]
fn a_file_changes_the_rules_it_names() {
    let cases: [(&str, &[&str], &str, &str, bool); 12] = [
        ("default", &[], "svc:list", "admin", true),
        ("default, refused", &[], "svc:list", "member", false),
        (
            "one rule",
            &["\"svc:list\": \"role:member\""],
            "svc:list",
            "member",
            true,
        ),
        (
            "one rule, away from admin",
            &["svc:list: role:member"],
            "svc:list",
            "admin",
            false,
        ),
        (
            "the others stay",
            &["svc:list: role:member"],
            "admin_api",
            "admin",
            true,
        ),
        (
            "a rule behind others",
            &["admin_api: role:boss"],
            "svc:list",
            "boss",
            true,
        ),
        (
            "later files win",
            &["svc:list: role:a", "svc:list: role:b"],
            "svc:list",
            "b",
            true,
        ),
        (
            "later files win over earlier",
            &["svc:list: role:a", "svc:list: role:b"],
            "svc:list",
            "a",
            false,
        ),
        (
            "last of two lines",
            &["svc:list: role:a\nsvc:list: role:b"],
            "svc:list",
            "b",
            true,
        ),
        (
            "JSON",
            &["{\"svc:list\": \"role:member\"}"],
            "svc:list",
            "member",
            true,
        ),
        (
            "rules of their own",
            &["mine: role:x\nsvc:list: rule:mine"],
            "svc:list",
            "x",
            true,
        ),
        ("empty file", &["# nothing\n"], "svc:list", "admin", true),
    ];
    for (name, files, rule, own_role, expected) in cases {
        assert_eq!(allows(&load(files).0, rule, own_role), expected, "{name}");
    }
}

#[test]
fn invalid_policy_files_are_refused_with_their_line() {
    let cases = [
        ("list", "- a\n- b\n"),
        ("text", "just words"),
        ("broken", "a: b\nc: [\n"),
        ("two documents", "a: b\n---\nc: d\n"),
        ("tab", "a: b\n\tc: d\n"),
        ("an alias of nothing", "a: *b\n"),
    ];
    for (name, text) in cases {
        let error = Rules::load(DEFAULTS, &[Source::new("p.yaml", text)], &Options::default()).unwrap_err();
        assert!(error.to_string().starts_with("p.yaml:"), "{name}: {error}");
        assert!(matches!(error, SourceError::Yaml { .. }), "{name}");
    }
}

#[test]
fn warnings_name_file_line_and_rule() {
    let cases = [
        (
            "misspelt",
            "a_b: '@'\nsvc:lst: role:x\n",
            "1.yaml:2: unknown rule svc:lst; no operation uses it; did you mean svc:list?",
        ),
        (
            "far off",
            "xyz: role:x\n",
            "1.yaml:1: unknown rule xyz; no operation uses it",
        ),
        (
            "reference",
            "\n\nsvc:list: rule:admin_ap\n",
            "1.yaml:3: the rule svc:list refers to rule:admin_ap, which is undefined and denies access; did you mean \
             admin_api?",
        ),
        (
            "word",
            "svc:list: member\n",
            "1.yaml:1: in the rule svc:list, `member`: `member` has no colon, so it is not a check; it denies access",
        ),
        (
            "empty",
            "svc:list:\n",
            "1.yaml:1: the rule svc:list is empty and admits every caller with a valid token; write \"@\" if that is \
             intended",
        ),
        (
            "boolean",
            "svc:list: false\n",
            "1.yaml:1: in the rule svc:list, `false`: it is neither a text nor a list of checks; it denies access",
        ),
    ];
    for (name, text, expected) in cases {
        let (_, warnings) = load(&[text]);
        assert!(
            warnings.iter().any(|warning| warning == expected),
            "{name}: {warnings:?}"
        );
    }
    let (_, warnings) = load(&["mine: role:x\nsvc:list: rule:mine\ndefault: '!'\n"]);
    assert!(
        !warnings.iter().any(|warning| warning.contains("unknown rule")),
        "{warnings:?}"
    );
}

/// Name, files, options, rule, role, answer.
type TestCase<'a> = (&'a str, &'a [&'a str], &'a Options, &'a str, &'a str, bool);

#[test]
fn old_names_and_old_defaults_apply_as_upstream() {
    let strict = Options {
        enforce_new_defaults: true,
        ..Options::default()
    };
    let usual = Options::default();
    let cases: [TestCase<'_>; 9] = [
        ("old name", &["svc:things: role:x"], &usual, "svc:list", "x", true),
        (
            "old name, not the default",
            &["svc:things: role:x"],
            &usual,
            "svc:list",
            "admin",
            false,
        ),
        (
            "old name with the old default",
            &["svc:things: role:admin"],
            &usual,
            "svc:list",
            "admin",
            true,
        ),
        (
            "old name that points to the new",
            &["svc:things: rule:svc:list"],
            &usual,
            "svc:list",
            "admin",
            true,
        ),
        (
            "the new name wins",
            &["svc:things: role:x\nsvc:list: role:y"],
            &usual,
            "svc:list",
            "x",
            false,
        ),
        ("old default besides", &[], &usual, "svc:show", "operator", true),
        ("new default", &[], &usual, "svc:show", "reader", true),
        (
            "only the new default",
            &[],
            &strict,
            "svc:show",
            "operator",
            false,
        ),
        (
            "a file ends both",
            &["svc:show: role:z"],
            &usual,
            "svc:show",
            "operator",
            false,
        ),
    ];
    for (name, files, options, rule, own_role, expected) in cases {
        assert_eq!(
            allows(&load_with(files, options).0, rule, own_role),
            expected,
            "{name}"
        );
    }
    let (_, warnings) = load(&["svc:things: role:x"]);
    let expected = "1.yaml:1: the rule svc:things has the name svc:list since 2.0: It was split.";
    assert!(warnings.iter().any(|warning| warning == expected), "{warnings:?}");
    let loaded = Rules::load(DEFAULTS, &[], &strict).unwrap();
    assert!(
        !loaded
            .warnings
            .iter()
            .any(|warning| matches!(warning, Warning::OldDefault { rule, .. } if rule == "svc:show"))
    );
}

#[test]
fn the_sample_changes_nothing_and_matches_the_defaults_when_uncommented() {
    let text = sample(DEFAULTS);
    let defaults: Vec<(String, String)> = load(&[])
        .0
        .list()
        .map(|rule| (rule.name.to_owned(), rule.text.to_owned()))
        .collect();
    assert_eq!(load(&[&text]).0.list().count(), defaults.len());
    let open = text.replace("#\"", "\"");
    let (rules, _) = load_with(
        &[&open],
        &Options {
            enforce_new_defaults: true,
            ..Options::default()
        },
    );
    for rule in DEFAULTS {
        let listed = rules.list().find(|listed| listed.name == rule.name).unwrap();
        assert_eq!(listed.text, rule.check);
        assert!(
            matches!(listed.place, crate::RuleLocation::File { .. }),
            "{}",
            rule.name
        );
    }
}
