//! The parser of rules, following oslo.policy: `not` binds closest, then `and`, then `or`; blanks separate words;
//! parentheses count only at the ends of a word.

use serde_json::Value;

use crate::check::Check;
use crate::literal::{self, Left};
use crate::problem::Problem;
use crate::python;
use crate::template::Template;

/// Maximum length of a rule, in bytes.
const MAX_RULE_BYTES: usize = 64 << 10;

/// Maximum nesting of a rule.
const MAX_DEPTH: usize = 100;

/// A parsed rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParsedRule {
    /// The parsed check.
    pub(crate) check: Check,
    /// The parts that could not be parsed.
    pub(crate) problems: Vec<Problem>,
}

impl ParsedRule {
    fn refused(problem: Problem) -> Self {
        Self {
            check: Check::Unclear,
            problems: vec![problem],
        }
    }
}

/// Parses a rule from a file: a text, or the old list of lists.
pub(crate) fn value(value: &Value) -> ParsedRule {
    match value {
        Value::String(rule) => text(rule),
        Value::Array(alternatives) => list(alternatives),
        // An empty value in YAML. Upstream accepts it as an empty rule; a warning reports it.
        Value::Null => ParsedRule {
            check: Check::Allow,
            problems: Vec::new(),
        },
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => ParsedRule::refused(Problem::Kind),
    }
}

/// Parses a rule in text form.
pub(crate) fn text(rule: &str) -> ParsedRule {
    if rule.is_empty() {
        return ParsedRule {
            check: Check::Allow,
            problems: Vec::new(),
        };
    }
    if rule.len() > MAX_RULE_BYTES {
        return ParsedRule::refused(Problem::TooLong {
            limit: MAX_RULE_BYTES,
        });
    }
    let mut problems = Vec::new();
    let mut stack = Stack::default();
    for fragment in rule
        .split(python::is_space)
        .filter(|fragment| !fragment.is_empty())
    {
        if let Err(problem) = each_token(fragment, &mut problems, &mut |token| stack.shift(token)) {
            return ParsedRule::refused(problem);
        }
    }
    match stack.result() {
        Some(check) => ParsedRule { check, problems },
        None => ParsedRule::refused(Problem::Grammar),
    }
}

/// Parses a list of lists: an OR of ANDs. The inner checks are not split into words.
fn list(alternatives: &[Value]) -> ParsedRule {
    let mut problems = Vec::new();
    if alternatives.is_empty() {
        return ParsedRule {
            check: Check::Allow,
            problems,
        };
    }
    let length: usize = alternatives.iter().map(length).sum();
    if length > MAX_RULE_BYTES {
        return ParsedRule::refused(Problem::TooLong {
            limit: MAX_RULE_BYTES,
        });
    }
    let mut any = Vec::new();
    for alternative in alternatives {
        let together = match alternative {
            Value::String(one) if one.is_empty() => continue,
            Value::String(one) => vec![single(one, &mut problems)],
            Value::Array(all) if all.is_empty() => continue,
            Value::Array(all) => {
                let all = all.iter().map(|one| match one {
                    Value::String(one) => single(one, &mut problems),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                        problems.push(Problem::Kind);
                        Check::Unclear
                    }
                });
                all.collect()
            }
            Value::Null => continue,
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                problems.push(Problem::Kind);
                vec![Check::Unclear]
            }
        };
        any.push(Check::All(together));
    }
    // A list of only empty lists denies, as upstream.
    ParsedRule {
        check: Check::Any(any),
        problems,
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 1,
        Value::Array(values) => values.iter().map(length).sum::<usize>() + 1,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => 1,
    }
}

enum Token {
    Check(Check),
    Text,
    And,
    Or,
    Not,
    Open,
    Close,
}

/// Splits a word into leading parentheses, the bare word and trailing parentheses.
fn each_token(
    fragment: &str,
    problems: &mut Vec<Problem>,
    shift: &mut dyn FnMut(Token) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let bare = fragment.trim_start_matches('(');
    for _ in 0..fragment.len() - bare.len() {
        shift(Token::Open)?;
    }
    if bare.is_empty() {
        return Ok(());
    }
    let clean = bare.trim_end_matches(')');
    let token = match clean.to_lowercase().as_str() {
        "" => None,
        "and" => Some(Token::And),
        "or" => Some(Token::Or),
        "not" => Some(Token::Not),
        // Upstream tests for quotes before it strips trailing parentheses, so this does too.
        _ if is_quoted(bare) => Some(Token::Text),
        _ => Some(Token::Check(single(clean, problems))),
    };
    if let Some(token) = token {
        shift(token)?;
    }
    for _ in 0..bare.len() - clean.len() {
        shift(Token::Close)?;
    }
    Ok(())
}

fn is_quoted(fragment: &str) -> bool {
    fragment.chars().count() >= 2
        && ['"', '\'']
            .iter()
            .any(|quote| fragment.starts_with(*quote) && fragment.ends_with(*quote))
}

/// Parses a single check.
fn single(text: &str, problems: &mut Vec<Problem>) -> Check {
    match parse_check(text) {
        Ok(check) => check,
        Err(problem) => {
            problems.push(problem);
            Check::Unclear
        }
    }
}

fn parse_check(text: &str) -> Result<Check, Problem> {
    match text {
        "!" => return Ok(Check::Deny),
        "@" => return Ok(Check::Allow),
        _ => {}
    }
    let Some((kind, right)) = text.split_once(':') else {
        return Err(Problem::NoColon {
            check: text.to_owned(),
        });
    };
    let template = || {
        Template::parse(right).ok_or_else(|| Problem::Right {
            text: right.to_owned(),
        })
    };
    match kind {
        "rule" => Ok(Check::Rule(right.to_owned())),
        "role" => Ok(Check::Role(template()?)),
        "is_admin" => Ok(Check::IsAdmin(right.to_lowercase() == "true")),
        "http" | "https" => Err(Problem::Remote {
            check: text.to_owned(),
        }),
        _ => match literal::left(kind) {
            Some(Left::Literal(value)) => Ok(Check::Literal(value, template()?)),
            Some(Left::Path(path)) => Ok(Check::Attribute(path, template()?)),
            None => Err(Problem::Left {
                kind: kind.to_owned(),
            }),
        },
    }
}

/// The parsed items that are not joined yet, with their depths.
#[derive(Default)]
struct Stack(Vec<Item>);

enum Item {
    /// A check that cannot be extended: a single check, a negation, or one in parentheses.
    Whole(Check, usize),
    And(Vec<Check>, usize),
    Or(Alternatives),
    Token(Token),
}

/// Checks joined by `or`.
struct Alternatives {
    any: Vec<Check>,
    /// Depth of the deepest alternative.
    deepest: usize,
    /// Depth of the last alternative, which a following `and` would bind to.
    last: usize,
}

impl Alternatives {
    fn of(first: Check, first_depth: usize, second: Check, second_depth: usize) -> Self {
        Self {
            any: vec![first, second],
            deepest: first_depth.max(second_depth),
            last: second_depth,
        }
    }

    fn add(mut self, check: Check, depth: usize) -> Self {
        self.any.push(check);
        self.deepest = self.deepest.max(depth);
        self.last = depth;
        self
    }

    /// Joins `c` in `a or b and c`: `and` binds to the last alternative.
    fn and(mut self, check: Check, depth: usize) -> Result<Self, Problem> {
        let last = match self.any.pop() {
            Some(Check::All(mut all)) => {
                self.last = self.last.max(deeper(depth)?);
                all.push(check);
                Check::All(all)
            }
            last => {
                self.last = deeper(self.last.max(depth))?;
                Check::All(last.into_iter().chain([check]).collect())
            }
        };
        self.any.push(last);
        self.deepest = self.deepest.max(self.last);
        Ok(self)
    }

    fn depth(&self) -> Result<usize, Problem> {
        deeper(self.deepest)
    }
}

impl Stack {
    fn shift(&mut self, token: Token) -> Result<(), Problem> {
        match token {
            Token::Check(check) => self.whole(check, 1),
            Token::Close => self.close(),
            Token::Text | Token::And | Token::Or | Token::Not | Token::Open => {
                self.0.push(Item::Token(token));
                Ok(())
            }
        }
    }

    fn close(&mut self) -> Result<(), Problem> {
        let opened = self.0.len().checked_sub(2).and_then(|at| self.0.get(at));
        if !matches!(opened, Some(Item::Token(Token::Open))) {
            self.0.push(Item::Token(Token::Close));
            return Ok(());
        }
        match self.0.pop() {
            Some(Item::Whole(check, depth)) => {
                self.0.pop();
                self.whole(check, depth)
            }
            Some(Item::And(checks, depth)) => {
                self.0.pop();
                self.whole(Check::All(checks), depth)
            }
            Some(Item::Or(alternatives)) => {
                self.0.pop();
                let depth = alternatives.depth()?;
                self.whole(Check::Any(alternatives.any), depth)
            }
            other => {
                self.0.extend(other);
                self.0.push(Item::Token(Token::Close));
                Ok(())
            }
        }
    }

    /// Joins a complete check with the items before it.
    fn whole(&mut self, mut check: Check, mut depth: usize) -> Result<(), Problem> {
        while matches!(self.0.last(), Some(Item::Token(Token::Not))) {
            self.0.pop();
            check = Check::Not(Box::new(check));
            depth = deeper(depth)?;
        }
        let operator = match self.0.last() {
            Some(Item::Token(Token::And)) => Token::And,
            Some(Item::Token(Token::Or)) => Token::Or,
            _ => {
                self.0.push(Item::Whole(check, depth));
                return Ok(());
            }
        };
        let Some(operator_item) = self.0.pop() else {
            return Ok(());
        };
        let Some(left) = self.0.pop() else {
            self.0.push(operator_item);
            self.0.push(Item::Whole(check, depth));
            return Ok(());
        };
        let joined = match (left, matches!(operator, Token::And)) {
            (Item::Whole(first, before), true) => Item::And(vec![first, check], deeper(before.max(depth))?),
            (Item::And(mut all, before), true) => {
                all.push(check);
                Item::And(all, before.max(deeper(depth)?))
            }
            (Item::Or(alternatives), true) => Item::Or(alternatives.and(check, depth)?),
            (Item::Whole(first, before), false) => Item::Or(Alternatives::of(first, before, check, depth)),
            (Item::And(all, before), false) => {
                Item::Or(Alternatives::of(Check::All(all), before, check, depth))
            }
            (Item::Or(alternatives), false) => Item::Or(alternatives.add(check, depth)),
            (left @ Item::Token(_), _) => {
                self.0.push(left);
                self.0.push(operator_item);
                Item::Whole(check, depth)
            }
        };
        self.0.push(joined);
        Ok(())
    }

    fn result(mut self) -> Option<Check> {
        let only = self.0.pop()?;
        if !self.0.is_empty() {
            return None;
        }
        match only {
            Item::Whole(check, _) => Some(check),
            Item::And(checks, _) => Some(Check::All(checks)),
            Item::Or(alternatives) => Some(Check::Any(alternatives.any)),
            Item::Token(_) => None,
        }
    }
}

fn deeper(depth: usize) -> Result<usize, Problem> {
    if depth >= MAX_DEPTH {
        return Err(Problem::TooDeep { limit: MAX_DEPTH });
    }
    Ok(depth + 1)
}
