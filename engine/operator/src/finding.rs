//! Findings of an assessment, as the API shows them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tachi_domain::Timestamp;
use tachi_domain::situation::{Finding, FindingCode, Severity, name_in_command, position_in_command};
use utoipa::ToSchema;

use crate::plain::without_repeats;
use crate::schema;
use crate::snapshot::{RegionSnapshot, is_alive};
use crate::when::{Time, age, ago};

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
    /// When the finding ends by itself, at the latest; null if unknown, and if only an action ends it.
    #[serde(default)]
    #[schema(required)]
    pub ends_by: Option<Time>,
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

/// Time after the start of an engine within which it tests each fence device; the finding's text has the same time.
const FIRST_TESTS_DURATION: Duration = Duration::from_mins(2);

/// The command that lists the instances that are down.
const DOWN_LIST: &str = "tachi instance list --down";

impl FindingView {
    /// Builds the view of one finding.
    pub fn of(snapshot: &RegionSnapshot, finding: &Finding) -> Self {
        let is_untested = finding.code == FindingCode::FenceNotTested;
        let since = finding.since;
        Self {
            code: finding.code,
            grade: finding.grade,
            subjects: finding.subjects.clone(),
            hosts: finding.hosts.clone(),
            instances: finding.instances,
            since: since
                .or_else(|| last_test(snapshot, finding).filter(|_| is_untested))
                .map(Time),
            ends_by: ends_by(snapshot, finding).map(Time),
            text: without_repeats(&finding.text),
            fix: finding.fix.clone(),
            page: finding.page.clone(),
            acknowledged_until: finding.acknowledged_until.map(Time),
        }
    }

    /// Returns the finding's age and the time that is left until it ends by itself, as far as they are known.
    pub fn times(&self, now: Timestamp) -> Option<String> {
        let since = self.since.map(|since| ago(since.0, now));
        let left = self
            .ends_by
            .map(|end| format!("ends within {}", left(now, end.0)));
        let times: Vec<String> = since.into_iter().chain(left).collect();
        (!times.is_empty()).then(|| times.join("; "))
    }

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
        let others: Vec<&str> = others.iter().map(|subject| name_in_command(subject)).collect();
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

/// Returns the time until `end` in words, rounded up: it has passed when it says so.
fn left(now: Timestamp, end: Timestamp) -> String {
    let seconds = end.micros_since(now).max(0).saturating_add(999_999) / 1_000_000;
    let up = |unit: i64| seconds.saturating_add(unit - 1) / unit * unit;
    let rounded = match seconds {
        0..=119 => seconds,
        120..=7_199 => up(60),
        7_200..=172_799 => up(3_600),
        _ => up(86_400),
    };
    age(end.minus_seconds(rounded), end)
}

/// Returns when a fence device of each subject had been tested, at least.
fn last_test(snapshot: &RegionSnapshot, finding: &Finding) -> Option<Timestamp> {
    let of_host = |host: &String| {
        let own = snapshot.tests.iter().filter(|test| test.host == *host);
        own.map(|test| test.as_of).max()
    };
    let tested: Option<Vec<Timestamp>> = finding.subjects.iter().map(of_host).collect();
    tested?.into_iter().min()
}

fn ends_by(snapshot: &RegionSnapshot, finding: &Finding) -> Option<Timestamp> {
    if finding.code == FindingCode::FenceNotTested {
        let engines = snapshot.tables.engines.iter();
        let alive = engines.filter(|engine| is_alive(engine, snapshot.now));
        let tested = alive.map(|engine| engine.heartbeat.started_at.plus(FIRST_TESTS_DURATION));
        return tested.filter(|end| *end > snapshot.now).max();
    }
    let mut freezes = snapshot.facts.freezes.iter();
    let is_frozen = finding.code == FindingCode::Frozen;
    let own = freezes.find(|one| is_frozen && finding.text.contains(&one.freeze.terms()));
    own.map(|one| one.freeze.until)
}

#[cfg(test)]
mod tests {
    use tachi_domain::freeze::{Freeze, FreezeScope};
    use tachi_domain::policy::FencingMode;
    use tachi_domain::situation::{ActiveFreeze, DeviceTest, assess};

    use super::*;
    use crate::freezes::tests::fine;

    fn finding(fix: &str, subjects: &[&str]) -> FindingView {
        FindingView {
            code: FindingCode::FenceNotTested,
            grade: Severity::Warn,
            subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
            hosts: Vec::new(),
            instances: 0,
            since: None,
            ends_by: None,
            text: String::new(),
            fix: Some(fix.to_owned()),
            page: String::new(),
            acknowledged_until: None,
        }
    }

    /// The finding's text promises the tests, so its time must be the one that the assessment counts with.
    #[test]
    fn hosts_without_a_test_show_the_time_until_it_and_later_its_age() {
        let mut snapshot = fine();
        let now = snapshot.now;
        snapshot.facts.fencing.mode = FencingMode::Engine;
        snapshot.facts.fencing.has_devices = true;
        let mut view = |started: i64, tested: Option<i64>| {
            let started_at = now.minus_seconds(started);
            snapshot.tables.engines[0].heartbeat.started_at = started_at;
            snapshot.facts.engines[0].started_at = started_at;
            let test = |host: &str| DeviceTest {
                host: host.to_owned(),
                level: 1,
                device: "bmc".to_owned(),
                target: "bmc".to_owned(),
                as_of: now.minus_seconds(tested.unwrap_or_default()),
                counts_for: 60,
                power: None,
                fault: None,
                failures: 0,
            };
            snapshot.tests = tested.map_or_else(Vec::new, |_| ["a", "b"].map(test).into());
            snapshot.facts.fencing.tests = Some(snapshot.tests.clone());
            snapshot.situation = assess(&snapshot.facts, now);
            let mut found = snapshot.situation.findings.iter();
            let found = found.find(|one| one.code == FindingCode::FenceNotTested).unwrap();
            let view = FindingView::of(&snapshot, found);
            (view.text.contains("has just started"), view.times(now))
        };
        for (started, tested, expected) in [
            (40, None, (true, Some("ends within 80 s"))),
            (119, None, (true, Some("ends within 1 s"))),
            (120, None, (false, None)),
            (7_200, Some(900), (false, Some("15 min ago"))),
        ] {
            let (starts, times) = view(started, tested);
            assert_eq!((starts, times.as_deref()), expected, "{started} {tested:?}");
        }
    }

    #[test]
    fn a_freeze_shows_the_time_until_its_end() {
        let mut snapshot = fine();
        let now = snapshot.now;
        let freeze = Freeze {
            number: 1,
            scope: FreezeScope::Host,
            name: "a".to_owned(),
            until: now.minus_seconds(-2_999),
            by: "admin".to_owned(),
            reason: "disk".to_owned(),
            unless_worse: false,
        };
        snapshot.facts.freezes = vec![ActiveFreeze {
            freeze,
            server: None,
            since: now.minus_seconds(600),
            by_drain: false,
        }];
        snapshot.situation = assess(&snapshot.facts, now);
        let mut found = snapshot.situation.findings.iter();
        let found = found.find(|one| one.code == FindingCode::Frozen).unwrap();
        let times = FindingView::of(&snapshot, found).times(now);
        assert_eq!(times.as_deref(), Some("10 min ago; ends within 50 min"));
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
            let part = down.about(|subject| subject == host);
            (part.subjects.len(), part.hosts, part.fix.unwrap())
        };
        assert!(down.is_about(|subject| subject == "a") && !down.is_about(|subject| subject == "web"));
        let (count, hosts, _) = on("a");
        assert_eq!((count, hosts), (1, vec!["a".to_owned()]));
        let web = FindingView {
            subjects: vec!["web".to_owned(), "db".to_owned()],
            ..down.clone()
        };
        let part = web.about(|subject| subject == "b");
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
            let shown = finding(command, &[subject, "b"]).about(|subject| subject == "b");
            assert_eq!(shown.fix.as_deref(), Some(expected));
            assert_eq!(shown.subjects, ["b"]);
        }
        let segments = finding("tachi thaw segment s1", &["segment s1", "segment s2"]);
        let other = segments.about(|subject| subject == "segment s2");
        assert_eq!(other.fix.as_deref(), Some("tachi thaw segment s2"));
        let whole = finding("tachi fence test a", &["a"]);
        assert_eq!(whole.about(|_| false), whole);
    }
}
