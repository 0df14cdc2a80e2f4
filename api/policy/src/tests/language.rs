//! Single rules.

use serde_json::{Value, json};

use crate::{Options, Problem, Rules, Source, Warning};

fn load(file: &Value) -> (Rules, Vec<Warning>) {
    let loaded = Rules::load(
        &[],
        &[Source::new("policy.json", file.to_string())],
        &Options::default(),
    )
    .unwrap();
    (loaded.rules, loaded.warnings)
}

fn caller() -> Value {
    json!({
        "user_id": "u1", "project_id": "p1", "domain_id": null, "system_scope": "all", "is_admin": true,
        "roles": ["Member", "reader"], "service_roles": ["service"],
        "token": {"user": {"id": "u1", "enabled": true}, "groups": [{"id": "g1"}, {"id": "g2"}]},
    })
}

fn target() -> Value {
    json!({"user_id": "u1", "project_id": "p1", "role": "member", "word": "admin", "yes": true, "nothing": null, "one": 1})
}

fn allows(rule: &Value) -> bool {
    let (rules, _) = load(&json!({"asked": rule, "yes": "@", "no": "!"}));
    rules.allows("asked", &caller(), &target())
}

#[test]
fn checks() {
    let cases = [
        ("everybody", "@", true),
        ("nobody", "!", false),
        ("empty", "", true),
        ("blank is no rule", "  ", false),
        ("role", "role:member", true),
        ("role in capitals", "role:READER", true),
        ("role not held", "role:admin", false),
        ("part of a role", "role:mem", false),
        ("role of the target", "role:%(role)s", true),
        ("role of a missing attribute", "role:%(missing)s", false),
        ("administrator", "is_admin:True", true),
        ("administrator, lower case", "is_admin:true", true),
        ("not an administrator", "is_admin:False", false),
        ("any other word is False", "is_admin:1", false),
        ("attribute and text", "user_id:u1", true),
        ("attribute and target", "user_id:%(user_id)s", true),
        ("case matters in attributes", "user_id:U1", false),
        ("attribute that is empty", "domain_id:None", true),
        ("attribute that is not there", "missing:None", false),
        ("attribute in a list", "service_roles:service", true),
        ("dotted", "token.user.id:%(user_id)s", true),
        ("dotted, a boolean", "token.user.enabled:True", true),
        ("dotted, in a list of objects", "token.groups.id:g2", true),
        ("dotted, in no object of the list", "token.groups.id:g3", false),
        ("dotted, below a text", "user_id.x:1", false),
        ("text on the left", "'admin':%(word)s", true),
        ("another text on the left", "'member':%(word)s", false),
        ("boolean on the left", "True:%(yes)s", true),
        ("none on the left", "None:%(nothing)s", true),
        ("number on the left", "1:%(one)s", true),
        ("null is a name, not a literal", "null:%(nothing)s", false),
        ("a quoted text alone is no check", "'admin':'admin'", false),
        ("text and text", "('admin':'admin')", false),
        ("colon on the right", "user_id:a:b", false),
        ("reference", "rule:yes", true),
        ("reference to a denial", "rule:no", false),
        ("reference to nothing", "rule:nowhere", false),
        ("word", "member", false),
        ("remote", "http://127.0.0.1/", false),
        ("not", "not role:admin", true),
        ("not not", "not not role:member", true),
        (
            "not binds closer than and",
            "not role:admin and role:member",
            true,
        ),
        ("not binds closer than or", "not role:member or role:reader", true),
        ("and binds closer than or, right", "@ or ! and !", true),
        ("and binds closer than or, left", "! and ! or @", true),
        ("three", "! or @ and @ and !", false),
        ("after a change", "! or @ and @ or !", true),
        ("parentheses", "(@ or !) and !", false),
        ("parentheses with blanks", "( @ or ! ) and @", true),
        ("nested", "((role:member) and (not (role:admin or role:x)))", true),
        ("capitals", "@ AND NOT !", true),
        ("tabs and line ends", "@\tand\n@", true),
        ("open", "(@", false),
        ("closed", "@)", false),
        ("empty parentheses", "()", false),
        ("operator alone", "and", false),
        ("operator at the end", "@ and", false),
        ("operator in front", "or @", false),
        ("two operators", "@ and or @", false),
        ("no operator", "@ @", false),
    ];
    for (name, rule, expected) in cases {
        assert_eq!(allows(&json!(rule)), expected, "{name}: {rule}");
    }
}

#[test]
fn lists_of_lists() {
    let cases = [
        ("empty", json!([]), true),
        ("nothing but empty", json!([[], []]), false),
        ("one", json!([["role:member"]]), true),
        ("any of the outer", json!([["role:admin"], ["role:member"]]), true),
        ("all of the inner", json!([["role:admin", "role:member"]]), false),
        ("bare texts", json!(["role:admin", "role:member"]), true),
        ("not split into words", json!([["not role:admin"]]), false),
        ("something else inside", json!([[1], "role:member"]), true),
        ("only something else inside", json!([[1]]), false),
        ("a number", json!(0), false),
        ("a boolean", json!(false), false),
        ("an object", json!({}), false),
        ("null, as upstream", json!(null), true),
    ];
    for (name, rule, expected) in cases {
        assert_eq!(allows(&rule), expected, "{name}: {rule}");
    }
}

#[test]
fn unparsable_rules_deny_and_cause_a_warning() {
    let no_colon = |check: &str| Problem::NoColon { check: check.into() };
    let cases = [
        ("word", "member", Some(no_colon("member"))),
        ("grammar", "@ @", Some(Problem::Grammar)),
        ("blank", " ", Some(Problem::Grammar)),
        (
            "remote",
            "https://x/%(y)s",
            Some(Problem::Remote {
                check: "https://x/%(y)s".into(),
            }),
        ),
        ("left", "a$:b", Some(Problem::Left { kind: "a$".into() })),
        ("right", "user_id:%d", Some(Problem::Right { text: "%d".into() })),
        ("nothing wrong", "role:member", None),
    ];
    for (name, rule, expected) in cases {
        for text in [
            rule.to_owned(),
            format!("not ({rule})"),
            format!("@ and not {rule}"),
        ] {
            let (rules, warnings) = load(&json!({"default": text}));
            assert!(
                expected.is_none() || !rules.allows("default", &caller(), &target()),
                "{name}: {text}"
            );
            let has_warning = warnings
                .iter()
                .any(|warning| matches!(warning, Warning::Problem { .. }));
            assert_eq!(has_warning, expected.is_some(), "{name}: {warnings:?}");
        }
        let (_, warnings) = load(&json!({"default": rule}));
        let problem = warnings.into_iter().find_map(|warning| {
            if let Warning::Problem { problem, .. } = warning {
                Some(problem)
            } else {
                None
            }
        });
        assert_eq!(problem, expected, "{name}");
    }
    // The valid parts beside it still apply.
    assert!(allows(&json!("member or role:member")));
    assert!(allows(&json!("rule:nowhere or role:member")));
    assert!(!allows(&json!("not rule:nowhere")));
    assert!(!allows(&json!("member and role:admin")));
}

#[test]
fn cycles_deny_access() {
    let (rules, warnings) = load(&json!({
        "a": "rule:b", "b": "rule:a", "c": "not rule:c", "d": "rule:d or role:member", "e": "rule:a and rule:a and rule:a",
    }));
    for (rule, expected) in [
        ("a", false),
        ("b", false),
        ("c", false),
        ("d", true),
        ("e", false),
    ] {
        assert_eq!(rules.allows(rule, &caller(), &target()), expected, "{rule}");
    }
    let circular = warnings
        .iter()
        .filter(|warning| matches!(warning, Warning::Circular { .. }));
    assert_eq!(circular.count(), 5, "{warnings:?}");
}

#[test]
fn the_default_rule_replaces_undefined_rules() {
    let (rules, warnings) = load(&json!({"default": "role:member", "a": "rule:nowhere"}));
    assert!(rules.allows("a", &caller(), &target()));
    assert!(rules.allows("anything", &caller(), &target()));
    assert!(
        !warnings
            .iter()
            .any(|warning| matches!(warning, Warning::Undefined { .. }))
    );
    let (rules, _) = load(&json!({"a": "@"}));
    assert!(!rules.allows("anything", &caller(), &target()));
}

#[test]
fn is_admin_is_undefined_while_the_admin_rule_is_evaluated() {
    let (rules, _) = load(&json!({"yes": "is_admin:True", "no": "is_admin:False"}));
    let unknown = json!({"is_admin": null, "roles": ["admin"]});
    assert!(!rules.allows("yes", &unknown, &unknown));
    assert!(!rules.allows("no", &unknown, &unknown));
}
