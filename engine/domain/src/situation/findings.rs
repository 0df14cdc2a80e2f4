//! Findings of an assessment.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Acknowledgement, FindingCode, Severity};
use crate::id::ServerId;
use crate::timestamp::Timestamp;

/// A finding about one subject, or about several subjects with the same text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The code, which stays the same when the text changes.
    pub code: FindingCode,
    pub grade: Severity,
    /// The hosts, instances, engines or other subjects; empty if the finding is about the whole region.
    pub subjects: Vec<String>,
    /// The host of each subject, in the same order, if these are instances; else empty. An empty name is an unknown host.
    pub hosts: Vec<String>,
    /// The ids of the subjects, as far as they are known, if these are instances. Instances on one host may have the same name.
    #[serde(skip)]
    pub servers: BTreeSet<ServerId>,
    /// The number of affected instances.
    pub instances: u64,
    /// The start of the condition, as far as it is known, in microseconds of Unix time.
    pub since: Option<Timestamp>,
    /// The text for people.
    pub text: String,
    /// The command to run or the setting to change.
    pub fix: Option<String>,
    /// The page of the documentation.
    pub page: String,
    /// The end of the operator's acknowledgement, if there is one.
    pub acknowledged_until: Option<Timestamp>,
}

impl Finding {
    /// Creates a finding about the whole region, with the usual severity of its code.
    pub(super) fn new(code: FindingCode, text: impl Into<String>) -> Self {
        Self {
            code,
            grade: code.grade(),
            subjects: Vec::new(),
            hosts: Vec::new(),
            servers: BTreeSet::new(),
            instances: 0,
            since: None,
            text: text.into(),
            fix: None,
            page: code.page(),
            acknowledged_until: None,
        }
    }

    pub(super) fn about(mut self, subject: impl Into<String>, instances: u64) -> Self {
        self.subjects.push(subject.into());
        self.instances = instances;
        self
    }

    /// Makes the finding one about an instance.
    pub(super) fn about_instance(
        mut self,
        id: impl Into<Option<ServerId>>,
        name: impl Into<String>,
        host: impl Into<String>,
    ) -> Self {
        self.hosts.push(host.into());
        self.servers.extend(id.into());
        self.about(name, 1)
    }

    pub(super) fn graded(self, grade: Severity) -> Self {
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

/// Returns the name by which commands take a subject: segments are shown with their kind.
pub fn name_in_command(subject: &str) -> &str {
    subject.strip_prefix("segment ").unwrap_or(subject)
}

/// Returns the position of a subject in a command: the last word that equals it, since a host may be called `host`.
pub fn position_in_command(command: &str, subject: &str) -> Option<usize> {
    let words: Vec<&str> = command.split(' ').collect();
    words.iter().rposition(|word| *word == name_in_command(subject))
}

/// The severity, code and text of a finding, and its command without the subject.
type MergeKey = (std::cmp::Reverse<Severity>, FindingCode, String, String);

/// The findings; those that differ in the subject alone are merged into one. The command of a merged finding is given again for each
/// subject, so two hosts whose commands name different segments have a finding each.
pub(super) struct Findings<'a> {
    merged: BTreeMap<MergeKey, Finding>,
    acknowledged: &'a [Acknowledgement],
    now: Timestamp,
}

/// Returns the command without the subject; nothing if it does not name the subject, such as `openstack server start ID`.
fn command_shape(finding: &Finding) -> String {
    let (Some(fix), Some(subject)) = (&finding.fix, finding.subjects.first()) else {
        return String::new();
    };
    let Some(place) = position_in_command(fix, subject) else {
        // A quoted name cannot be replaced, so such a subject has a finding of its own.
        let quoted = crate::freeze::typed(name_in_command(subject));
        let is_quoted = quoted.starts_with('\'') && fix.contains(&*quoted);
        return if is_quoted { fix.clone() } else { String::new() };
    };
    let words = fix.split(' ').enumerate().filter(|(at, _)| *at != place);
    words.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
}

impl<'a> Findings<'a> {
    pub(super) const fn new(acknowledged: &'a [Acknowledgement], now: Timestamp) -> Self {
        Self {
            merged: BTreeMap::new(),
            acknowledged,
            now,
        }
    }

    pub(super) fn note(&mut self, finding: Finding) {
        self.alarm(Acknowledgement::lower(finding, self.acknowledged, self.now));
    }

    /// Notes a finding that no acknowledgement lowers.
    pub(super) fn alarm(&mut self, finding: Finding) {
        let key = (
            std::cmp::Reverse(finding.grade),
            finding.code,
            finding.text.clone(),
            command_shape(&finding),
        );
        let Some(before) = self.merged.get_mut(&key) else {
            self.merged.insert(key, finding);
            return;
        };
        before.subjects.extend(finding.subjects);
        before.hosts.extend(finding.hosts);
        before.servers.extend(finding.servers);
        before.instances += finding.instances;
        before.since = match (before.since, finding.since) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    pub(super) fn sorted(self) -> Vec<Finding> {
        self.merged.into_values().collect()
    }
}
