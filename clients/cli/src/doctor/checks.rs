//! The checks. Each is a function of the data that was read, and reads nothing itself.

use std::collections::BTreeSet;

use tachi_domain::monitor::HeartbeatUse;
use tachi_domain::situation::Severity;
use tachi_operator::SituationView;

use super::detection_latency::{self, Rules};
use super::finding_checks::{codes, found, name_of};
use super::storm_limits;
use crate::upgrade;

/// The maximum number of subjects of a finding that are named.
pub const MAX_NAMED_SUBJECTS: usize = 5;

/// Details of a check that was not reached.
pub const NOT_READ: &str = "not checked: the configuration cannot be read";

/// Name of the check of the configuration, which all other checks need.
pub const CONFIGURATION: &str = "configuration";

/// Input of the checks. `None` was not reached.
pub struct Read {
    /// Warnings about the configuration, or why it cannot be read.
    pub config: Result<Vec<String>, String>,
    /// Facts that an operator asserts in the devices' file, or why it cannot be read.
    pub devices: Option<Result<Vec<String>, String>>,
    /// Warnings about the policy's files.
    pub policy: Option<Result<Vec<String>, String>>,
    /// Results of `tachi doctor --upgrade`.
    pub upgrade: Option<Result<Vec<upgrade::Check>, String>>,
    /// The situation of the region, and the rules of recoveries if they are configured here.
    pub situation: Option<Result<(SituationView, Option<Rules>), String>>,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            config: Ok(Vec::new()),
            devices: None,
            policy: None,
            upgrade: None,
            situation: None,
        }
    }
}

/// A check and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub grade: Severity,
    pub details: String,
    pub fix: Option<String>,
    pub page: Option<String>,
}

pub fn check(name: impl Into<String>, grade: Severity, details: impl Into<String>) -> Check {
    Check {
        name: name.into(),
        grade,
        details: details.into(),
        fix: None,
        page: None,
    }
}

/// Returns all checks, causes before their effects. The list is always the same: a check that could not be made is
/// unknown.
pub fn all(read: &Read) -> Vec<Check> {
    let mut all = vec![
        doubts(CONFIGURATION, Some(&read.config)),
        doubts("policy-rules", read.policy.as_ref()),
        doubts("fence-devices-file", read.devices.as_ref()),
    ];
    all.extend(upgrades(read.upgrade.as_ref()));
    let situation = match &read.situation {
        None => Err(NOT_READ),
        Some(Err(why)) => Err(why.as_str()),
        Some(Ok(known)) => Ok(known),
    };
    all.push(match situation {
        Err(why) => check(detection_latency::NAME, Severity::Unknown, why),
        Ok((_, None)) => check(detection_latency::NAME, Severity::Unknown, NOT_READ),
        Ok((situation, Some(rules))) => detection_latency::of(rules, situation),
    });
    all.push(match situation {
        Err(why) => check(storm_limits::NAME, Severity::Unknown, why),
        Ok((_, None)) => check(storm_limits::NAME, Severity::Unknown, NOT_READ),
        Ok((situation, Some(rules))) => storm_limits::of(&rules.policy, situation),
    });
    all.push(match situation {
        Err(why) => check(HEARTBEATS, Severity::Unknown, why),
        Ok((situation, _)) => heartbeats(situation),
    });
    all.extend(codes().map(|code| match situation {
        Err(why) => check(name_of(code), Severity::Unknown, why),
        Ok((situation, _)) => found(code, situation),
    }));
    all
}

/// Name of the check of what monitors' heartbeats count for.
const HEARTBEATS: &str = "monitor-heartbeats";

/// Finds the hosts none of whose monitors can contradict a claim that the host is off.
fn heartbeats(situation: &SituationView) -> Check {
    let alive = || {
        situation
            .monitors
            .iter()
            .filter(|monitor| monitor.grade != Severity::Err)
    };
    if alive().next().is_none() {
        let why = "no monitor sends heartbeats: those of Masakari do not";
        return check(HEARTBEATS, Severity::Unknown, why);
    }
    let counts =
        |host: &str| alive().any(|one| one.host == host && one.heartbeat_use == HeartbeatUse::Counts);
    let without = |why: HeartbeatUse| -> Vec<&str> {
        let hosts = alive().filter(|one| one.heartbeat_use == why && !counts(&one.host));
        hosts
            .map(|host| host.host.as_str())
            .collect::<BTreeSet<&str>>()
            .into_iter()
            .collect()
    };
    let unbound = without(HeartbeatUse::Unbound);
    let mut old = without(HeartbeatUse::NoBootId);
    old.extend(without(HeartbeatUse::Unknown));
    let mut found = Vec::new();
    if !unbound.is_empty() {
        found.push(format!(
            "{}: the monitors are bound to no host ([api] reporter_binding), so their heartbeats cannot contradict a claim that the host \
             is off",
            named(&unbound)
        ));
    }
    if !old.is_empty() {
        found.push(format!(
            "{}: the monitors send no boot_id, so their heartbeats cannot contradict a claim that the host is off",
            named(&old)
        ));
    }
    if found.is_empty() {
        return check(HEARTBEATS, Severity::Ok, "");
    }
    let fix = if unbound.is_empty() {
        "upgrade tachi-monitor on these hosts"
    } else {
        "tachi setup monitors --out ./monitors    # on a controller; then copy HOST.conf to each host"
    };
    Check {
        fix: Some(fix.to_owned()),
        page: Some("docs/monitors.md".to_owned()),
        ..check(HEARTBEATS, Severity::Warn, found.join("; "))
    }
}

/// Checks an input that can be read and may have warnings.
fn doubts(name: &str, read: Option<&Result<Vec<String>, String>>) -> Check {
    match read {
        None => check(name, Severity::Unknown, NOT_READ),
        Some(Err(why)) => check(name, Severity::Err, why.as_str()),
        Some(Ok(doubts)) if doubts.is_empty() => check(name, Severity::Ok, ""),
        Some(Ok(doubts)) => check(name, Severity::Warn, doubts.join("; ")),
    }
}

/// Returns a check for each result of `tachi doctor --upgrade`, which omits checks that it does not reach.
fn upgrades(read: Option<&Result<Vec<upgrade::Check>, String>>) -> Vec<Check> {
    let (upgrade_checks, why) = match read {
        None => (&[][..], NOT_READ.to_owned()),
        Some(Err(why)) => (&[][..], why.clone()),
        Some(Ok(upgrade_checks)) => {
            let bad = upgrade_checks
                .iter()
                .filter(|one| one.grade == upgrade::CheckGrade::Failure);
            let bad: Vec<String> = bad.map(|one| slug(one.name)).collect();
            (
                upgrade_checks.as_slice(),
                format!("not checked until this is fixed: {}", bad.join(", ")),
            )
        }
    };
    let of = |name: &&str| {
        let upgrade_checks = upgrade_checks.iter().find(|one| one.name == *name);
        upgrade_checks.map_or_else(|| check(slug(name), Severity::Unknown, why.as_str()), upgraded)
    };
    upgrade::NAMES.iter().map(of).collect()
}

fn upgraded(one: &upgrade::Check) -> Check {
    let grade = match one.grade {
        upgrade::CheckGrade::Success => Severity::Ok,
        upgrade::CheckGrade::Warning => Severity::Warn,
        upgrade::CheckGrade::Failure => Severity::Err,
    };
    check(slug(one.name), grade, one.details.as_deref().unwrap_or_default())
}

/// Returns a name as it can be typed.
fn slug(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace([' ', '_'], "-");
    name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "")
}

/// Returns the first subjects, and the number of the others.
pub fn named(subjects: &[&str]) -> String {
    let some: Vec<&str> = subjects.iter().take(MAX_NAMED_SUBJECTS).copied().collect();
    match subjects.len().saturating_sub(MAX_NAMED_SUBJECTS) {
        0 => some.join(", "),
        more => format!("{}, {more} more", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::monitor::{HeartbeatUse, MonitorKind, Resume};
    use tachi_domain::situation::{Aspect, FindingCode};
    use tachi_operator::{FindingView, GuestsView, MonitorView, NoticeView};

    use super::super::super::status::common::tests::fine;
    use super::*;

    fn good() -> Read {
        let mut situation = SituationView::from(&fine());
        situation.looked_at = Some(situation.at);
        situation.findings.clear();
        situation.not_assessed.clear();
        let monitor = |host: &str, kind, watches| MonitorView {
            host: host.into(),
            kind,
            grade: Severity::Ok,
            signed_at: situation.at,
            version: "1".into(),
            trouble: String::new(),
            watches,
            guests: Some(GuestsView {
                resume: Resume::No,
                by: "nova.conf:2".into(),
            }),
            notice: Some(NoticeView {
                seconds: 9,
                by: "looks".into(),
                beside: String::new(),
            }),
            heartbeat_use: HeartbeatUse::Counts,
        };
        situation.monitors = vec![
            monitor("a", MonitorKind::Host, 2),
            monitor("b", MonitorKind::Instance, 0),
        ];
        let rules = detection_latency::tests::rules(&[30]);
        Read {
            config: Ok(Vec::new()),
            devices: Some(Ok(Vec::new())),
            policy: Some(Ok(Vec::new())),
            upgrade: Some(Ok(upgrade::NAMES
                .iter()
                .map(|name| upgrade::check(name, upgrade::CheckGrade::Success, None))
                .collect())),
            situation: Some(Ok((situation, Some(rules)))),
        }
    }

    fn grade(read: &Read, name: &str) -> Severity {
        let all = all(read);
        all.iter().find(|one| one.name == name).unwrap().grade
    }

    fn finding_of(code: FindingCode, grade: Severity) -> FindingView {
        FindingView {
            acknowledged_until: None,
            code,
            grade,
            subjects: vec!["a".into(), "b".into()],
            hosts: Vec::new(),
            instances: 0,
            since: None,
            ends_by: None,
            text: "so".into(),
            fix: Some("do".into()),
            page: code.page(),
        }
    }

    #[test]
    fn of_a_good_region_every_check_is_good_and_each_has_a_name_of_its_own() {
        let all = all(&good());
        assert!(all.iter().all(|one| one.grade == Severity::Ok), "{all:?}");
        let names: BTreeSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn each_check_fails_for_its_fault_and_no_other_does() {
        let worse = |read: &Read| {
            let all = all(read);
            let bad = all.iter().filter(|one| one.grade != Severity::Ok);
            bad.map(|one| (one.name.clone(), one.grade)).collect::<Vec<_>>()
        };
        let mut read = good();
        read.config = Ok(vec!["[api] no_such is not known".into()]);
        assert_eq!(worse(&read), [("configuration".to_owned(), Severity::Warn)]);
        let mut read = good();
        read.policy = Some(Err("policy.yaml: line 3".into()));
        assert_eq!(worse(&read), [("policy-rules".to_owned(), Severity::Err)]);
        let mut read = good();
        read.devices = Some(Err("fencing.toml: line 3".into()));
        assert_eq!(worse(&read), [("fence-devices-file".to_owned(), Severity::Err)]);
        let mut read = good();
        read.devices = Some(Ok(vec!["device a: proves_off".into()]));
        assert_eq!(worse(&read), [("fence-devices-file".to_owned(), Severity::Warn)]);
        let mut read = good();
        if let Some(Ok(upgrade_checks)) = &mut read.upgrade {
            let last = upgrade_checks.last_mut().unwrap();
            *last = upgrade::check("Host Names", upgrade::CheckGrade::Failure, "such as a".to_owned());
        }
        assert_eq!(worse(&read), [("host-names".to_owned(), Severity::Err)]);
        let mut read = good();
        if let Some(Ok((_, rules))) = &mut read.situation {
            *rules = Some(detection_latency::tests::rules(&[300]));
        }
        assert_eq!(
            worse(&read),
            [(detection_latency::NAME.to_owned(), Severity::Warn)]
        );
        let makes_old = [
            FindingCode::FactsOld,
            FindingCode::InstancesNotListed,
            FindingCode::NoEngine,
        ];
        for code in codes().filter(|code| !makes_old.contains(code)) {
            let mut read = good();
            if let Some(Ok((situation, _))) = &mut read.situation {
                situation.findings = vec![finding_of(code, Severity::Warn), finding_of(code, Severity::Err)];
            }
            assert_eq!(worse(&read), [(name_of(code), Severity::Err)]);
            let all = all(&read);
            let one = all.iter().find(|one| one.name == name_of(code)).unwrap();
            let lists = [
                (
                    FindingCode::InstanceDown,
                    "do    # and the others of `tachi instance list --down`",
                ),
                (
                    FindingCode::ReporterDoubted,
                    "do    # and the others of `tachi monitor list --muted`",
                ),
            ];
            let fix = lists
                .iter()
                .find(|(of, _)| *of == code)
                .map_or("do", |(_, fix)| fix);
            assert_eq!(one.fix.as_deref(), Some(fix));
            assert_eq!(one.details, "a, b, a, b: so");
        }
    }

    /// Covers R15.
    #[test]
    fn hosts_whose_monitors_count_for_nothing_are_named() {
        for (uses, grade, part) in [
            (
                [HeartbeatUse::Counts, HeartbeatUse::Unbound],
                Severity::Warn,
                "b: the monitors are bound to no host",
            ),
            (
                [HeartbeatUse::Counts, HeartbeatUse::NoBootId],
                Severity::Warn,
                "b: the monitors send no boot_id",
            ),
            (
                [HeartbeatUse::Unknown, HeartbeatUse::Counts],
                Severity::Warn,
                "a: the monitors send no boot_id",
            ),
            ([HeartbeatUse::Counts; 2], Severity::Ok, ""),
        ] {
            let mut read = good();
            if let Some(Ok((situation, _))) = &mut read.situation {
                for (monitor, heartbeat_use) in situation.monitors.iter_mut().zip(uses) {
                    monitor.heartbeat_use = heartbeat_use;
                }
            }
            let all = all(&read);
            let one = all.iter().find(|one| one.name == HEARTBEATS).unwrap();
            assert_eq!(one.grade, grade, "{uses:?}");
            assert!(one.details.starts_with(part), "{}", one.details);
        }
    }

    #[test]
    fn what_was_not_seen_is_never_good() {
        let none = Read {
            config: Err("masakari.conf: line 1".into()),
            ..Read::default()
        };
        let all = all(&none);
        assert_eq!(all[0].grade, Severity::Err);
        assert!(
            all[1..].iter().all(|one| one.grade == Severity::Unknown),
            "{all:?}"
        );
        let mut old = good();
        if let Some(Ok((situation, _))) = &mut old.situation {
            situation.findings = vec![finding_of(FindingCode::FactsOld, Severity::Unknown)];
        }
        assert_eq!(grade(&old, "host-not-in-segment"), Severity::Unknown);
        let mut unseen = good();
        if let Some(Ok((situation, _))) = &mut unseen.situation {
            situation.looked_at = None;
        }
        assert_eq!(grade(&unseen, "fence-failing"), Severity::Unknown);
        let mut unreachable = good();
        unreachable.situation = Some(Err("the database is away".into()));
        assert_eq!(grade(&unreachable, "fence-failing"), Severity::Unknown);
        assert_eq!(grade(&unreachable, detection_latency::NAME), Severity::Unknown);
    }

    #[test]
    fn the_checks_are_the_same_whatever_cannot_be_seen() {
        let names = |read: &Read| -> Vec<String> { all(read).into_iter().map(|one| one.name).collect() };
        let expected = names(&good());
        let distinct: BTreeSet<&String> = expected.iter().collect();
        assert_eq!(distinct.len(), expected.len());
        assert!(
            expected.iter().all(|name| !name.contains(['\'', ' ', '_'])),
            "{expected:?}"
        );
        assert_eq!(names(&Read::default()), expected);
        let mut unreachable = good();
        unreachable.upgrade = Some(Ok(vec![upgrade::check(
            "Nova",
            upgrade::CheckGrade::Failure,
            "no answer".to_owned(),
        )]));
        unreachable.situation = Some(Err("the database is away".into()));
        assert_eq!(names(&unreachable), expected);
        let all = all(&unreachable);
        let rights = all.iter().find(|one| one.name == "rights-in-nova").unwrap();
        assert_eq!(rights.details, "not checked until this is fixed: nova");
    }

    /// Each check is a row of the page that begins with the check's name.
    #[test]
    fn the_page_lists_every_check_and_no_other_in_the_same_order() {
        let page = include_str!("../../../../docs/reference/doctor.md");
        let (_, page) = page.split_once("## Configuration files").unwrap();
        let rows: Vec<Vec<&str>> = page
            .lines()
            .filter(|line| line.starts_with("| `") || line.starts_with("| [`"))
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        let listed = rows.iter().map(|cells| cells[1].split('`').nth(1).unwrap());
        let listed: Vec<&str> = listed.collect();
        let there = all(&good());
        let there: Vec<&str> = there.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(listed, there);
        let findings = &rows[rows.len() - codes().count()..];
        for (code, cells) in codes().zip(findings) {
            let name = name_of(code);
            assert_eq!(cells[1], format!("[`{name}`](../findings/{name}.md)"));
            assert_eq!(cells[2], code.grade().as_str(), "{name}");
        }
        let (fix, _) = include_str!("../../../../docs/reference/doctor.md")
            .split_once("You repair everything else by hand")
            .unwrap();
        let (_, fix) = fix.split_once("| check | what is done |").unwrap();
        let fixed: Vec<&str> = fix
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| there.contains(name))
            .collect();
        let mended: Vec<&str> = there
            .iter()
            .copied()
            .filter(|name| super::super::fix::is_fixable(name))
            .collect();
        assert_eq!(
            fixed.iter().collect::<BTreeSet<_>>(),
            mended.iter().collect::<BTreeSet<_>>()
        );
    }

    #[test]
    fn what_no_monitor_has_told_is_not_known() {
        let changed = |change: fn(&mut SituationView)| {
            let mut read = good();
            if let Some(Ok((situation, _))) = &mut read.situation {
                change(situation);
            }
            read
        };
        let of = |read: &Read, name: &str| {
            let all = all(read);
            all.into_iter().find(|one| one.name == name).unwrap()
        };
        let masakari = changed(|situation| {
            situation.monitors.clear();
            situation.not_assessed = vec![Aspect::Room, Aspect::Monitors];
        });
        for name in [
            "host-not-watched",
            "monitor-unknown",
            "monitor-silent",
            "monitor-part",
            "no-room",
            "room-tight",
            "room-unknown",
            "guests-resume",
            detection_latency::NAME,
        ] {
            assert_eq!(of(&masakari, name).grade, Severity::Unknown, "{name}");
        }
        assert_eq!(of(&masakari, "host-down").grade, Severity::Ok);
        let silent = changed(|situation| situation.monitors[1].grade = Severity::Err);
        let reported = of(&silent, "guests-resume");
        assert_eq!(reported.grade, Severity::Unknown);
        assert_eq!(
            reported.details,
            "b: no running monitor there reports its nova.conf"
        );
        let unread = changed(|situation| {
            situation.monitors[0].guests = Some(GuestsView {
                resume: Resume::Unknown,
                by: "nova.conf: cannot be read".into(),
            });
        });
        assert_eq!(
            of(&unread, "guests-resume").details,
            "a: nova.conf: cannot be read"
        );
    }
}
