//! The effective rules: the defaults, overridden by files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::attributes::Attributes;
use crate::check::Check;
use crate::default::{DeprecatedRule, RuleDefault};
use crate::evaluate::{PolicyDecision, Question};
use crate::parse::{self, ParsedRule};
use crate::references;
use crate::source::{self, Source, SourceError};
use crate::warning::{RuleLocation, Warning};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `policy_default_rule`: the rule that replaces an undefined one, if it is defined itself.
    pub default_rule: String,
    /// `enforce_new_defaults`: true if the old default of a rule no longer applies.
    pub enforce_new_defaults: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_rule: "default".to_owned(),
            enforce_new_defaults: false,
        }
    }
}

/// The effective rules. An empty set denies everything.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: BTreeMap<String, Rule>,
    default_rule: String,
}

#[derive(Clone, Debug)]
struct Rule {
    check: Check,
    text: String,
    place: RuleLocation,
}

/// The rules and their warnings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadReport {
    pub rules: Rules,
    /// Warnings for the operator; warnings about files come first.
    pub warnings: Vec<Warning>,
}

/// A rule in a listing for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleListing<'a> {
    pub name: &'a str,
    /// The rule as written in its source.
    pub text: &'a str,
    /// The position of the definition.
    pub place: &'a RuleLocation,
}

impl Rules {
    /// Loads the defaults, overridden by `sources`; if two files define one rule, the later one applies.
    ///
    /// # Errors
    ///
    /// A source is not a policy file. An invalid rule is not an error: it denies access and causes a warning.
    pub fn load(
        defaults: &[RuleDefault],
        sources: &[Source],
        options: &Options,
    ) -> Result<LoadReport, SourceError> {
        let mut loading = RuleLoader::default();
        for source in sources {
            for entry in source::entries(source)? {
                loading.add(entry, &source.name);
            }
        }
        for default in defaults {
            loading.add_default(default, options);
        }
        loading.warn_of_references(defaults, options);
        Ok(LoadReport {
            rules: Self {
                rules: loading.rules,
                default_rule: options.default_rule.clone(),
            },
            warnings: loading.warnings,
        })
    }

    /// True if the rule of this name permits `caller` to act on `target`.
    pub fn allows(&self, rule: &str, caller: &dyn Attributes, target: &dyn Attributes) -> bool {
        Question::new(self, caller, target).rule(rule) == PolicyDecision::Allow
    }

    /// Returns every effective rule, ordered by name.
    pub fn list(&self) -> impl Iterator<Item = RuleListing<'_>> {
        self.rules.iter().map(|(name, rule)| RuleListing {
            name,
            text: &rule.text,
            place: &rule.place,
        })
    }

    /// Returns the rule of this name, or else the default rule.
    pub(crate) fn find(&self, name: &str) -> Option<(&str, &Check)> {
        let found = self.rules.get_key_value(name);
        let (name, rule) = found.or_else(|| self.rules.get_key_value(&self.default_rule))?;
        Some((name, &rule.check))
    }
}

#[derive(Default)]
struct RuleLoader {
    rules: BTreeMap<String, Rule>,
    warnings: Vec<Warning>,
    /// The old names that files still use.
    renamed: BTreeSet<String>,
}

impl RuleLoader {
    fn add(&mut self, entry: source::Entry, file: &str) {
        let place = RuleLocation::File {
            name: file.to_owned(),
            line: entry.line,
        };
        let parsed = parse::value(&entry.value);
        let text = match entry.value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        };
        if text.is_empty() {
            self.warnings.push(Warning::Empty {
                place: place.clone(),
                rule: entry.rule.clone(),
            });
        }
        self.insert(entry.rule, text, place, parsed);
    }

    fn insert(&mut self, name: String, text: String, place: RuleLocation, parsed: ParsedRule) {
        for problem in parsed.problems {
            self.warnings.push(Warning::Problem {
                place: place.clone(),
                rule: name.clone(),
                text: shortened(&text),
                problem,
            });
        }
        let check = parsed.check;
        self.rules.insert(name, Rule { check, text, place });
    }

    fn add_default(&mut self, default: &RuleDefault, options: &Options) {
        let old = default.deprecated.as_ref();
        let by_old_name = old.filter(|old| old.name != default.name && self.is_from_file(old.name));
        if let Some(old) = by_old_name {
            self.renamed.insert(old.name.to_owned());
            if let Some(rule) = self.rules.get(old.name) {
                self.warnings.push(Warning::OldName {
                    place: rule.place.clone(),
                    old: old.name.to_owned(),
                    rule: default.name.to_owned(),
                    since: old.since.to_owned(),
                    reason: old.reason.to_owned(),
                });
            }
        }
        if self.rules.contains_key(default.name) {
            return;
        }
        if let Some(rule) = by_old_name.and_then(|old| self.rule_under_old_name(old, default.name)) {
            self.rules.insert(default.name.to_owned(), rule);
            return;
        }
        let mut parsed = parse::text(default.check);
        let mut text = default.check.to_owned();
        if let Some(old) = old.filter(|old| !options.enforce_new_defaults && old.check != default.check) {
            let before = parse::text(old.check);
            parsed.problems.extend(before.problems);
            parsed.check = Check::Any(vec![parsed.check, before.check]);
            text = format!("({text}) or ({})", old.check);
            self.warnings.push(Warning::OldDefault {
                rule: default.name.to_owned(),
                old: old.check.to_owned(),
                new: default.check.to_owned(),
                since: old.since.to_owned(),
                reason: old.reason.to_owned(),
            });
        }
        self.insert(default.name.to_owned(), text, RuleLocation::Default, parsed);
    }

    /// Returns a file's rule under the old name, unless it equals the old default or refers to the new name.
    fn rule_under_old_name(&self, old: &DeprecatedRule, name: &str) -> Option<Rule> {
        let rule = self.rules.get(old.name)?;
        let is_redundant =
            rule.check == parse::text(old.check).check || rule.check == Check::Rule(name.to_owned());
        (!is_redundant).then(|| rule.clone())
    }

    fn is_from_file(&self, name: &str) -> bool {
        self.rules
            .get(name)
            .is_some_and(|rule| matches!(rule.place, RuleLocation::File { .. }))
    }

    fn warn_of_references(&mut self, defaults: &[RuleDefault], options: &Options) {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, rule) in &self.rules {
            let references = edges.entry(name).or_default();
            rule.check.each_reference(&mut |reference| {
                references.insert(reference);
            });
        }
        let nearest = |name: &str| tachi_config::nearest(name, self.rules.keys().map(String::as_str));
        let has_fallback = self.rules.contains_key(&options.default_rule);
        let mut warnings = Vec::new();
        for (name, rule) in &self.rules {
            let references = edges.get(name.as_str()).into_iter().flatten();
            for reference in
                references.filter(|reference| !has_fallback && !self.rules.contains_key(**reference))
            {
                warnings.push(Warning::Undefined {
                    place: rule.place.clone(),
                    rule: name.clone(),
                    reference: (*reference).to_owned(),
                    nearest: nearest(reference).map(ToOwned::to_owned),
                });
            }
        }
        for name in references::circular(&edges) {
            if let Some(rule) = self.rules.get(name) {
                warnings.push(Warning::Circular {
                    place: rule.place.clone(),
                    rule: name.to_owned(),
                });
            }
        }
        let referred: BTreeSet<&str> = edges.values().flatten().copied().collect();
        for (name, rule) in &self.rules {
            let is_used = defaults.iter().any(|default| default.name == name)
                || referred.contains(name.as_str())
                || self.renamed.contains(name)
                || *name == options.default_rule;
            if !is_used {
                let known = defaults.iter().map(|default| default.name);
                warnings.push(Warning::Unknown {
                    place: rule.place.clone(),
                    rule: name.clone(),
                    nearest: tachi_config::nearest(name, known).map(ToOwned::to_owned),
                });
            }
        }
        self.warnings.extend(warnings);
    }
}

/// Shortens a rule to one log line.
fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
