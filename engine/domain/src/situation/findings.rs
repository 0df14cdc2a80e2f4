//! What there is to say.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Code, Grade};
use crate::timestamp::Timestamp;

/// One thing to say, of one subject or of several of which the same is to be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stays the same when the sentence changes.
    pub code: Code,
    /// How bad.
    pub grade: Grade,
    /// The hosts, instances, engines or others that it is about; empty if it is about everything.
    pub subjects: Vec<String>,
    /// How many instances are concerned.
    pub instances: u64,
    /// Since when, as far as it is known, in microseconds of Unix time.
    pub since: Option<Timestamp>,
    /// For people.
    pub text: String,
    /// What to type.
    pub fix: Option<String>,
    /// The page of the book about it.
    pub page: String,
}

impl Finding {
    /// About everything, as bad as its code is by itself.
    pub(super) fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            grade: code.grade(),
            subjects: Vec::new(),
            instances: 0,
            since: None,
            text: text.into(),
            fix: None,
            page: code.page(),
        }
    }

    pub(super) fn about(mut self, subject: impl Into<String>, instances: u64) -> Self {
        self.subjects.push(subject.into());
        self.instances = instances;
        self
    }

    pub(super) fn graded(self, grade: Grade) -> Self {
        Self { grade, ..self }
    }

    pub(super) fn since(self, since: impl Into<Option<Timestamp>>) -> Self {
        Self {
            since: since.into(),
            ..self
        }
    }

    pub(super) fn fix(self, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..self
        }
    }
}

/// Findings; those that say the same are one.
#[derive(Default)]
pub(super) struct Findings(BTreeMap<(std::cmp::Reverse<Grade>, Code, String), Finding>);

impl Findings {
    pub(super) fn note(&mut self, finding: Finding) {
        let key = (
            std::cmp::Reverse(finding.grade),
            finding.code,
            finding.text.clone(),
        );
        let Some(before) = self.0.get_mut(&key) else {
            self.0.insert(key, finding);
            return;
        };
        before.subjects.extend(finding.subjects);
        before.instances += finding.instances;
        before.since = match (before.since, finding.since) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    pub(super) fn sorted(self) -> Vec<Finding> {
        self.0.into_values().collect()
    }
}
