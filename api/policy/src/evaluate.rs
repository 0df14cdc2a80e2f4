//! The evaluation of a check. Its depth and steps are bounded for any set of rules.

use std::cell::Cell;

use serde_json::Value;

use crate::attributes::Attributes;
use crate::check::Check;
use crate::python;
use crate::rules::Rules;
use crate::template::{Substitution, Template};

/// Maximum number of checks per question. Masakari's defaults need three.
const MAX_STEPS: u32 = 10_000;

/// Maximum nesting of checks in checks, and of rules in rules.
const MAX_DEPTH: u32 = 200;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyDecision {
    Allow,
    Deny,
    /// Undecidable; denies in the end.
    Unclear,
}

impl PolicyDecision {
    const fn of(allowed: bool) -> Self {
        if allowed { Self::Allow } else { Self::Deny }
    }
}

/// A request for a decision, with the rules, the caller and the target.
pub(crate) struct Question<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) caller: &'a dyn Attributes,
    pub(crate) target: &'a dyn Attributes,
    steps: Cell<u32>,
}

/// The rules that are being evaluated, innermost first.
struct Within<'a> {
    rule: &'a str,
    outer: Option<&'a Within<'a>>,
}

impl Within<'_> {
    fn has(&self, rule: &str) -> bool {
        let mut next = Some(self);
        while let Some(within) = next {
            if within.rule == rule {
                return true;
            }
            next = within.outer;
        }
        false
    }
}

impl<'a> Question<'a> {
    pub(crate) fn new(rules: &'a Rules, caller: &'a dyn Attributes, target: &'a dyn Attributes) -> Self {
        Self {
            rules,
            caller,
            target,
            steps: Cell::new(0),
        }
    }

    /// Evaluates the rule of this name.
    pub(crate) fn rule(&self, name: &str) -> PolicyDecision {
        self.refer(name, 0, None)
    }

    fn refer(&self, name: &str, depth: u32, outer: Option<&Within<'_>>) -> PolicyDecision {
        let Some((rule, check)) = self.rules.find(name) else {
            return PolicyDecision::Unclear;
        };
        if outer.is_some_and(|outer| outer.has(rule)) {
            return PolicyDecision::Unclear;
        }
        self.check(check, depth, &Within { rule, outer })
    }

    fn check(&self, check: &Check, depth: u32, within: &Within<'_>) -> PolicyDecision {
        let steps = self.steps.get() + 1;
        if steps > MAX_STEPS || depth > MAX_DEPTH {
            return PolicyDecision::Unclear;
        }
        self.steps.set(steps);
        let inner = depth + 1;
        match check {
            Check::Allow => PolicyDecision::Allow,
            Check::Deny => PolicyDecision::Deny,
            Check::Unclear => PolicyDecision::Unclear,
            Check::Rule(name) => self.refer(name, inner, Some(within)),
            Check::IsAdmin(expected) => PolicyDecision::of(self.caller.is_admin() == Some(*expected)),
            Check::Role(role) => self.role(role),
            Check::Literal(value, expected) => {
                self.filled(expected, |expected| PolicyDecision::of(value == expected))
            }
            Check::Attribute(path, expected) => {
                self.filled(expected, |expected| attribute(self.caller, path, expected))
            }
            Check::Not(check) => match self.check(check, inner, within) {
                PolicyDecision::Allow => PolicyDecision::Deny,
                PolicyDecision::Deny => PolicyDecision::Allow,
                PolicyDecision::Unclear => PolicyDecision::Unclear,
            },
            Check::All(checks) => {
                self.until(checks, PolicyDecision::Deny, PolicyDecision::Allow, inner, within)
            }
            Check::Any(checks) => {
                self.until(checks, PolicyDecision::Allow, PolicyDecision::Deny, inner, within)
            }
        }
    }

    /// Evaluates checks until one returns `decides`; otherwise returns `otherwise`, or unclear if any was.
    fn until(
        &self,
        checks: &[Check],
        decides: PolicyDecision,
        otherwise: PolicyDecision,
        depth: u32,
        within: &Within<'_>,
    ) -> PolicyDecision {
        let mut all = otherwise;
        for check in checks {
            match self.check(check, depth, within) {
                decision if decision == decides => return decides,
                PolicyDecision::Unclear => all = PolicyDecision::Unclear,
                PolicyDecision::Allow | PolicyDecision::Deny => {}
            }
        }
        all
    }

    fn role(&self, role: &Template) -> PolicyDecision {
        if let Some(role) = role.plain() {
            return PolicyDecision::of(self.caller.has_role(role));
        }
        self.filled(role, |role| PolicyDecision::of(self.caller.has_role(role)))
    }

    fn filled(&self, template: &Template, judge: impl FnOnce(&str) -> PolicyDecision) -> PolicyDecision {
        if let Some(text) = template.plain() {
            return judge(text);
        }
        match template.fill(self.target) {
            Substitution::Text(text) => judge(&text),
            Substitution::Missing => PolicyDecision::Deny,
            Substitution::Unclear => PolicyDecision::Unclear,
        }
    }
}

/// Compares the attribute of the caller at `path` with `expected`; in a list, any element may match.
fn attribute(caller: &dyn Attributes, path: &[String], expected: &str) -> PolicyDecision {
    let Some((first, rest)) = path.split_first() else {
        return PolicyDecision::Unclear;
    };
    match caller.attribute(first) {
        Some(value) => follow(&value, rest, expected),
        None => PolicyDecision::Deny,
    }
}

fn follow(value: &Value, path: &[String], expected: &str) -> PolicyDecision {
    if let Value::Array(values) = value {
        let mut all = PolicyDecision::Deny;
        for value in values {
            match inside(value, path, expected) {
                PolicyDecision::Allow => return PolicyDecision::Allow,
                PolicyDecision::Unclear => all = PolicyDecision::Unclear,
                PolicyDecision::Deny => {}
            }
        }
        return all;
    }
    inside(value, path, expected)
}

fn inside(value: &Value, path: &[String], expected: &str) -> PolicyDecision {
    match (path.split_first(), value) {
        // A check never compares with a whole list or object.
        (None, value) => PolicyDecision::of(python::text(value).is_some_and(|text| text == expected)),
        (Some((first, rest)), Value::Object(values)) => match values.get(first) {
            Some(value) => follow(value, rest, expected),
            None => PolicyDecision::Deny,
        },
        // A text or a number has no members. Upstream fails the request here.
        (Some(_), _) => PolicyDecision::Unclear,
    }
}
