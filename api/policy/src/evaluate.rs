//! The evaluation of a check. Its depth and steps are bounded for any set of rules.

use std::cell::Cell;

use serde_json::Value;

use crate::attributes::Attributes;
use crate::check::Check;
use crate::python;
use crate::rules::Rules;
use crate::template::{Filled, Template};

/// Maximum number of checks per question. Masakari's defaults need three.
const MOST_STEPS: u32 = 10_000;

/// Maximum nesting of checks in checks, and of rules in rules.
const DEEPEST: u32 = 200;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Deny,
    /// Undecidable; denies in the end.
    Unclear,
}

impl Verdict {
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
    pub(crate) fn rule(&self, name: &str) -> Verdict {
        self.refer(name, 0, None)
    }

    fn refer(&self, name: &str, depth: u32, outer: Option<&Within<'_>>) -> Verdict {
        let Some((rule, check)) = self.rules.find(name) else {
            return Verdict::Unclear;
        };
        if outer.is_some_and(|outer| outer.has(rule)) {
            return Verdict::Unclear;
        }
        self.check(check, depth, &Within { rule, outer })
    }

    fn check(&self, check: &Check, depth: u32, within: &Within<'_>) -> Verdict {
        let steps = self.steps.get() + 1;
        if steps > MOST_STEPS || depth > DEEPEST {
            return Verdict::Unclear;
        }
        self.steps.set(steps);
        let inner = depth + 1;
        match check {
            Check::Allow => Verdict::Allow,
            Check::Deny => Verdict::Deny,
            Check::Unclear => Verdict::Unclear,
            Check::Rule(name) => self.refer(name, inner, Some(within)),
            Check::IsAdmin(wanted) => Verdict::of(self.caller.is_admin() == Some(*wanted)),
            Check::Role(role) => self.role(role),
            Check::Literal(value, expected) => {
                self.filled(expected, |expected| Verdict::of(value == expected))
            }
            Check::Attribute(path, expected) => {
                self.filled(expected, |expected| attribute(self.caller, path, expected))
            }
            Check::Not(check) => match self.check(check, inner, within) {
                Verdict::Allow => Verdict::Deny,
                Verdict::Deny => Verdict::Allow,
                Verdict::Unclear => Verdict::Unclear,
            },
            Check::All(checks) => self.until(checks, Verdict::Deny, Verdict::Allow, inner, within),
            Check::Any(checks) => self.until(checks, Verdict::Allow, Verdict::Deny, inner, within),
        }
    }

    /// Evaluates checks until one returns `decides`; otherwise returns `otherwise`, or unclear if any was.
    fn until(
        &self,
        checks: &[Check],
        decides: Verdict,
        otherwise: Verdict,
        depth: u32,
        within: &Within<'_>,
    ) -> Verdict {
        let mut all = otherwise;
        for check in checks {
            match self.check(check, depth, within) {
                verdict if verdict == decides => return decides,
                Verdict::Unclear => all = Verdict::Unclear,
                Verdict::Allow | Verdict::Deny => {}
            }
        }
        all
    }

    fn role(&self, role: &Template) -> Verdict {
        if let Some(role) = role.plain() {
            return Verdict::of(self.caller.has_role(role));
        }
        self.filled(role, |role| Verdict::of(self.caller.has_role(role)))
    }

    fn filled(&self, template: &Template, judge: impl FnOnce(&str) -> Verdict) -> Verdict {
        if let Some(text) = template.plain() {
            return judge(text);
        }
        match template.fill(self.target) {
            Filled::Text(text) => judge(&text),
            Filled::Missing => Verdict::Deny,
            Filled::Unclear => Verdict::Unclear,
        }
    }
}

/// Compares the attribute of the caller at `path` with `expected`; in a list, any element may match.
fn attribute(caller: &dyn Attributes, path: &[String], expected: &str) -> Verdict {
    let Some((first, rest)) = path.split_first() else {
        return Verdict::Unclear;
    };
    match caller.attribute(first) {
        Some(value) => follow(&value, rest, expected),
        None => Verdict::Deny,
    }
}

fn follow(value: &Value, path: &[String], expected: &str) -> Verdict {
    if let Value::Array(values) = value {
        let mut all = Verdict::Deny;
        for value in values {
            match inside(value, path, expected) {
                Verdict::Allow => return Verdict::Allow,
                Verdict::Unclear => all = Verdict::Unclear,
                Verdict::Deny => {}
            }
        }
        return all;
    }
    inside(value, path, expected)
}

fn inside(value: &Value, path: &[String], expected: &str) -> Verdict {
    match (path.split_first(), value) {
        // A check never compares with a whole list or object.
        (None, value) => Verdict::of(python::text(value).is_some_and(|text| text == expected)),
        (Some((first, rest)), Value::Object(values)) => match values.get(first) {
            Some(value) => follow(value, rest, expected),
            None => Verdict::Deny,
        },
        // A text or a number has no members. Upstream fails the request here.
        (Some(_), _) => Verdict::Unclear,
    }
}
