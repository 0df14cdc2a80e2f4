//! Findings of an assessment, as the API shows them.

use serde::{Deserialize, Serialize};
use tachi_domain::situation::{Finding, FindingCode, Severity, name_in_command, position_in_command};
use utoipa::ToSchema;

use crate::plain::without_repeats;
use crate::schema;
use crate::when::Time;

/// A finding of the assessment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Finding)]
pub struct FindingView {
    /// The finding's code, for programs; it stays the same when the text changes.
    #[schema(schema_with = schema::code)]
    pub code: FindingCode,
    /// The severity.
    #[schema(schema_with = schema::grade)]
    pub grade: Severity,
    /// The names of the hosts, instances, engines or others that it is about; empty if it is about the whole region.
    pub subjects: Vec<String>,
    /// The host of each subject, in the same order, if these are instances; else empty. An empty name is an unknown host.
    #[serde(default)]
    #[schema(required)]
    pub hosts: Vec<String>,
    /// The number of instances that are affected.
    pub instances: u64,
    /// Since when the finding has held; null if unknown.
    #[schema(required)]
    pub since: Option<Time>,
    /// A description for people.
    pub text: String,
    /// The command to type; null if there is none.
    #[schema(required)]
    pub fix: Option<String>,
    /// The documentation page about the finding.
    pub page: String,
    /// The end of an operator's acknowledgement, for whose time the severity is `info` at most; null if there is none.
    #[serde(default)]
    #[schema(required)]
    pub acknowledged_until: Option<Time>,
}

/// The maximum number of hosts that a command names; beyond it, the command takes `--all`, or its comment only counts the others.
const MAX_NAMED_HOSTS: usize = 4;

/// The command that lists the instances that are down.
const DOWN_LIST: &str = "tachi instance list --down";

impl FindingView {
    /// Returns the command for all subjects; `fix` names the first one only.
    pub fn typed(&self) -> Option<String> {
        let fix = self.fix.as_deref()?;
        let (first, others) = match self.subjects.split_first() {
            Some((first, others)) if !others.is_empty() && position_in_command(fix, first).is_some() => {
                (first, others)
            }
            Some((_, others)) if !others.is_empty() => {
                // These commands take an id or a number, and the subjects are names.
                let list = if self.code == FindingCode::InstanceDown {
                    DOWN_LIST
                } else if self.code == FindingCode::ReporterDoubted {
                    "tachi monitor list --muted"
                } else {
                    return Some(fix.to_owned());
                };
                return Some(format!("{fix}    # and the others of `{list}`"));
            }
            _ => return Some(fix.to_owned()),
        };
        let is_few = self.subjects.len() <= MAX_NAMED_HOSTS;
        let others: Vec<&str> = others.iter().map(|one| name_in_command(one)).collect();
        Some(match (fix.strip_suffix(first.as_str()), is_few) {
            // This command takes several hosts.
            (Some(check @ "tachi fence test "), true) => format!("{check}{}", self.subjects.join(" ")),
            (Some(check @ "tachi fence test "), false) => format!("{check}--all"),
            (_, true) => format!("{fix}    # and the same for {}", others.join(", ")),
            (_, false) => format!("{fix}    # and the same for the other {}", others.len()),
        })
    }

    /// Returns the subjects, each with its host if they are instances.
    fn located(&self) -> impl Iterator<Item = (&String, Option<&String>)> {
        let hosts = self.hosts.iter().map(Some).chain(std::iter::repeat(None));
        self.subjects.iter().zip(hosts)
    }

    /// True if it is about one of these subjects, or about an instance on one of them.
    pub fn is_about(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        self.located()
            .any(|(subject, host)| is_meant(host.unwrap_or(subject)))
    }

    /// Returns the finding with only the subjects for which `is_meant` is true, and the instances on them, or all of it if there is none.
    #[must_use]
    pub fn about(&self, is_meant: impl Fn(&str) -> bool) -> Self {
        let mut finding = self.clone();
        let meant = || {
            self.located()
                .filter(|(subject, host)| is_meant(host.unwrap_or(subject)))
        };
        finding.subjects = meant().map(|(subject, _)| subject.clone()).collect();
        finding.hosts = meant().filter_map(|(_, host)| host.cloned()).collect();
        let (Some(first), Some(own)) = (self.subjects.first(), finding.subjects.first()) else {
            return self.clone();
        };
        if let Some(fix) = &mut finding.fix {
            *fix = if self.code == FindingCode::InstanceDown && own != first {
                // The command has the id of another instance.
                DOWN_LIST.to_owned()
            } else {
                about_another(fix, first, own)
            };
        }
        finding
    }
}

/// Replaces the subject of a command by another one.
fn about_another(command: &str, subject: &str, other: &str) -> String {
    let named = position_in_command(command, subject);
    let arguments = command.split(' ').enumerate();
    let arguments = arguments.map(|(at, argument)| {
        if Some(at) == named {
            name_in_command(other)
        } else {
            argument
        }
    });
    arguments.collect::<Vec<_>>().join(" ")
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code,
            grade: finding.grade,
            subjects: finding.subjects.clone(),
            hosts: finding.hosts.clone(),
            instances: finding.instances,
            since: finding.since.map(Time),
            text: without_repeats(&finding.text),
            fix: finding.fix.clone(),
            page: finding.page.clone(),
            acknowledged_until: finding.acknowledged_until.map(Time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(fix: &str, subjects: &[&str]) -> FindingView {
        FindingView {
            code: FindingCode::FenceNotTested,
            grade: Severity::Warn,
            subjects: subjects.iter().map(|one| (*one).to_owned()).collect(),
            hosts: Vec::new(),
            instances: 0,
            since: None,
            text: String::new(),
            fix: Some(fix.to_owned()),
            page: String::new(),
            acknowledged_until: None,
        }
    }

    #[test]
    fn commands_cover_all_subjects_of_a_finding() {
        for (fix, subjects, expected) in [
            ("tachi recovery list", &[][..], "tachi recovery list"),
            ("tachi recovery list", &["a", "b"], "tachi recovery list"),
            ("tachi fence test a", &["a"], "tachi fence test a"),
            ("tachi fence test a", &["a", "b", "c"], "tachi fence test a b c"),
            (
                "tachi fence test a",
                &["a", "b", "c", "d", "e"],
                "tachi fence test --all",
            ),
            (
                "tachi host return a",
                &["a", "b"],
                "tachi host return a    # and the same for b",
            ),
            (
                "tachi host report-down a --reason TEXT",
                &["a", "b"],
                "tachi host report-down a --reason TEXT    # and the same for b",
            ),
            (
                "tachi host return a",
                &["a", "b", "c", "d", "e"],
                "tachi host return a    # and the same for the other 4",
            ),
            (
                "openstack segment update --is_enabled True s1",
                &["segment s1", "segment s2"],
                "openstack segment update --is_enabled True s1    # and the same for s2",
            ),
        ] {
            let shown = finding(fix, subjects).typed();
            assert_eq!(shown.as_deref(), Some(expected), "{subjects:?}");
        }
        let down = FindingView {
            code: FindingCode::InstanceDown,
            ..finding("openstack server start 1234", &["vm-1", "vm-2"])
        };
        let expected = "openstack server start 1234    # and the others of `tachi instance list --down`";
        assert_eq!(down.typed().as_deref(), Some(expected));
    }

    #[test]
    fn a_finding_is_reduced_to_the_instances_of_a_host() {
        let down = FindingView {
            code: FindingCode::InstanceDown,
            hosts: vec!["a".to_owned(), "b".to_owned()],
            ..finding("openstack server start 1234", &["web", "web"])
        };
        let on = |host: &str| {
            let part = down.about(|one| one == host);
            (part.subjects.len(), part.hosts, part.fix.unwrap())
        };
        assert!(down.is_about(|one| one == "a") && !down.is_about(|one| one == "web"));
        let (count, hosts, _) = on("a");
        assert_eq!((count, hosts), (1, vec!["a".to_owned()]));
        let web = FindingView {
            subjects: vec!["web".to_owned(), "db".to_owned()],
            ..down.clone()
        };
        let part = web.about(|one| one == "b");
        assert_eq!(
            (part.subjects, part.fix.as_deref()),
            (vec!["db".to_owned()], Some(DOWN_LIST))
        );
    }

    #[test]
    fn a_command_is_made_about_another_host_whatever_hosts_are_called() {
        for (command, subject, expected) in [
            ("tachi fence test a", "a", "tachi fence test b"),
            (
                "tachi host report-down host --reason TEXT",
                "host",
                "tachi host report-down b --reason TEXT",
            ),
            ("tachi doctor", "a", "tachi doctor"),
        ] {
            let shown = finding(command, &[subject, "b"]).about(|one| one == "b");
            assert_eq!(shown.fix.as_deref(), Some(expected));
            assert_eq!(shown.subjects, ["b"]);
        }
        let segments = finding("tachi thaw segment s1", &["segment s1", "segment s2"]);
        let other = segments.about(|one| one == "segment s2");
        assert_eq!(other.fix.as_deref(), Some("tachi thaw segment s2"));
        let whole = finding("tachi fence test a", &["a"]);
        assert_eq!(whole.about(|_| false), whole);
    }
}
