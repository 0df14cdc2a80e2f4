//! The policy language of oslo.policy, for authorization rules in `policy.yaml`.
//!
//! This crate reads no file, clock or network: the caller passes files as text, and the parser refuses remote
//! checks (`http:`).
//!
//! ```text
//! RuleDefault (in code) --+
//! policy.yaml, policy.d --+-> Rules::load -> Rules::allows(rule, caller, target)
//!                                        \-> Warning (file, line, rule)
//! ```
//!
//! In one respect it is stricter than upstream: a check that cannot be evaluated (without a colon, an undefined rule,
//! a cycle, a remote check) denies access, even below `not`. Evaluation has a third result between allow and deny.
//! `not` keeps it, and the final decision is deny.
//!
//! ```
//! use tachi_policy::{Options, RuleDefault, Rules, Source};
//! use serde_json::json;
//!
//! const DEFAULTS: &[RuleDefault] = &[RuleDefault::new("fly", "role:admin", "Fly.", &[])];
//! let file = Source::new("policy.yaml", "fly: role:admin or role:bird\n");
//! let loaded = Rules::load(DEFAULTS, &[file], &Options::default())?;
//! let (bird, cat) = (json!({"roles": ["Bird"]}), json!({}));
//! assert!(loaded.rules.allows("fly", &bird, &nobody));
//! assert!(!loaded.rules.allows("fly", &cat, &cat));
//! # Ok::<(), tachi_policy::SourceError>(())
//! ```

mod attributes;
mod check;
mod default;
mod evaluate;
mod literal;
mod parse;
mod problem;
mod python;
mod references;
mod rules;
mod sample;
mod source;
mod template;
mod warning;

pub use attributes::Attributes;
pub use default::{DeprecatedRule, Operation, RuleDefault};
pub use problem::Problem;
pub use python::same_but_for_case as same_role;
pub use rules::{LoadReport, Options, RuleListing, Rules};
pub use sample::sample;
pub use source::{Source, SourceError};
pub use warning::{RuleLocation, Warning};

#[cfg(test)]
mod tests;
