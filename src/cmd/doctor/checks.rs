//! The checks: each is a function of what was read, and reads nothing itself.

use tachi_domain::situation::{Code, Grade};
use tachi_operator::{FindingView, SituationView};

use super::super::upgrade;

/// So many of what a finding is about are named.
const NAMED: usize = 5;

/// What is said of a check that was not reached.
pub(super) const NOT_READ: &str = "not looked at: the configuration cannot be read";

/// The check of the configuration, which all others need.
pub(super) const CONFIGURATION: &str = "configuration";

/// Everything that is looked at. What is `None` was not reached.
pub(super) struct Read {
    /// What looks wrong in the configuration, or why it cannot be read.
    pub(super) config: Result<Vec<String>, String>,
    /// Whether the devices' file can be read.
    pub(super) devices: Option<Result<(), String>>,
    /// What looks wrong in the policy's files.
    pub(super) policy: Option<Result<Vec<String>, String>>,
    /// What `tachi upgrade check` finds.
    pub(super) upgrade: Option<Result<Vec<upgrade::Check>, String>>,
    /// How the region is.
    pub(super) situation: Option<Result<SituationView, String>>,
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

/// A check, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) grade: Grade,
    pub(super) details: String,
    pub(super) fix: Option<String>,
    pub(super) page: Option<String>,
}

pub(super) fn check(name: impl Into<String>, grade: Grade, details: impl Into<String>) -> Check {
    Check {
        name: name.into(),
        grade,
        details: details.into(),
        fix: None,
        page: None,
    }
}

/// All of them, in the order in which a cause comes before what it causes.
pub(super) fn all(read: &Read) -> Vec<Check> {
    let mut all = vec![
        doubts(CONFIGURATION, Some(&read.config)),
        doubts("policy-rules", read.policy.as_ref()),
        devices(read.devices.as_ref()),
    ];
    all.extend(upgrades(read.upgrade.as_ref()));
    all.extend(findings(read.situation.as_ref()));
    all
}

/// Something that can be read, and about which something may be said.
fn doubts(name: &str, read: Option<&Result<Vec<String>, String>>) -> Check {
    match read {
        None => check(name, Grade::Unknown, NOT_READ),
        Some(Err(why)) => check(name, Grade::Err, why.as_str()),
        Some(Ok(doubts)) if doubts.is_empty() => check(name, Grade::Ok, ""),
        Some(Ok(doubts)) => check(name, Grade::Warn, doubts.join("; ")),
    }
}

fn devices(read: Option<&Result<(), String>>) -> Check {
    const NAME: &str = "fence-devices-file";
    match read {
        None => check(NAME, Grade::Unknown, NOT_READ),
        Some(Err(why)) => check(NAME, Grade::Err, why.as_str()),
        Some(Ok(())) => check(NAME, Grade::Ok, ""),
    }
}

fn upgrades(read: Option<&Result<Vec<upgrade::Check>, String>>) -> Vec<Check> {
    match read {
        None => vec![check("upgrade-check", Grade::Unknown, NOT_READ)],
        Some(Err(why)) => vec![check("upgrade-check", Grade::Unknown, why.as_str())],
        Some(Ok(checks)) => checks.iter().map(upgraded).collect(),
    }
}

fn upgraded(one: &upgrade::Check) -> Check {
    let name = one.name.to_ascii_lowercase().replace([' ', '_'], "-");
    let grade = match one.grade {
        upgrade::Grade::Success => Grade::Ok,
        upgrade::Grade::Warning => Grade::Warn,
        upgrade::Grade::Failure => Grade::Err,
    };
    check(name, grade, one.details.as_deref().unwrap_or_default())
}

/// One for each code. Where nothing is found that says something good only if what it is read from is young.
fn findings(read: Option<&Result<SituationView, String>>) -> Vec<Check> {
    let situation = match read {
        None => return vec![check("situation", Grade::Unknown, NOT_READ)],
        Some(Err(why)) => return vec![check("situation", Grade::Unknown, why.as_str())],
        Some(Ok(situation)) => situation,
    };
    let is_known = situation.looked_at.is_some()
        && !situation.findings.iter().any(|one| {
            matches!(
                one.code,
                Code::FactsOld | Code::InstancesNotListed | Code::NoEngine
            )
        });
    let of = |code: &Code| {
        let found: Vec<_> = situation
            .findings
            .iter()
            .filter(|one| one.code == *code)
            .collect();
        match found.iter().max_by_key(|one| one.grade) {
            Some(worst) => finding(worst, &found),
            None if is_known => check(name_of(*code), Grade::Ok, ""),
            None => check(
                name_of(*code),
                Grade::Unknown,
                "what is known of the region is old, or no engine has looked at it yet",
            ),
        }
    };
    Code::ALL.iter().map(of).collect()
}

pub(super) fn name_of(code: Code) -> String {
    code.as_str().to_ascii_lowercase().replace('_', "-")
}

fn finding(worst: &FindingView, all: &[&FindingView]) -> Check {
    let subjects: Vec<&str> = all
        .iter()
        .flat_map(|one| &one.subjects)
        .map(String::as_str)
        .collect();
    let named = subjects
        .iter()
        .take(NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    let details = match subjects.len() {
        0 => worst.text.clone(),
        count if count > NAMED => format!("{named}, {} more: {}", count - NAMED, worst.text),
        _ => format!("{named}: {}", worst.text),
    };
    Check {
        fix: worst.fix.clone(),
        page: Some(worst.page.clone()),
        ..check(name_of(worst.code), worst.grade, details)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::status::seen::tests::fine;
    use super::*;

    fn good() -> Read {
        let mut situation = SituationView::from(&fine());
        situation.looked_at = Some(situation.at);
        situation.findings.clear();
        Read {
            config: Ok(Vec::new()),
            devices: Some(Ok(())),
            policy: Some(Ok(Vec::new())),
            upgrade: Some(Ok(vec![upgrade::check(
                "Host Names",
                upgrade::Grade::Success,
                None,
            )])),
            situation: Some(Ok(situation)),
        }
    }

    fn grade(read: &Read, name: &str) -> Grade {
        let all = all(read);
        all.iter().find(|one| one.name == name).unwrap().grade
    }

    fn finding_of(code: Code, grade: Grade) -> FindingView {
        FindingView {
            code,
            grade,
            subjects: vec!["a".into(), "b".into()],
            instances: 0,
            since: None,
            text: "so".into(),
            fix: Some("do".into()),
            page: code.page(),
        }
    }

    #[test]
    fn of_a_good_region_every_check_is_good_and_each_has_a_name_of_its_own() {
        let all = all(&good());
        assert!(all.iter().all(|one| one.grade == Grade::Ok), "{all:?}");
        let names: BTreeSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn each_check_fails_for_its_fault_and_no_other_does() {
        let worse = |read: &Read| {
            let all = all(read);
            let bad = all.iter().filter(|one| one.grade != Grade::Ok);
            bad.map(|one| (one.name.clone(), one.grade)).collect::<Vec<_>>()
        };
        let mut read = good();
        read.config = Ok(vec!["[api] no_such is not known".into()]);
        assert_eq!(worse(&read), [("configuration".to_owned(), Grade::Warn)]);
        let mut read = good();
        read.policy = Some(Err("policy.yaml: line 3".into()));
        assert_eq!(worse(&read), [("policy-rules".to_owned(), Grade::Err)]);
        let mut read = good();
        read.devices = Some(Err("fencing.toml: line 3".into()));
        assert_eq!(worse(&read), [("fence-devices-file".to_owned(), Grade::Err)]);
        let mut read = good();
        let failed = upgrade::check("Host Names", upgrade::Grade::Failure, "such as a".to_owned());
        read.upgrade = Some(Ok(vec![failed]));
        assert_eq!(worse(&read), [("host-names".to_owned(), Grade::Err)]);
        let makes_old = [Code::FactsOld, Code::InstancesNotListed, Code::NoEngine];
        for code in Code::ALL.iter().filter(|code| !makes_old.contains(code)) {
            let mut read = good();
            if let Some(Ok(situation)) = &mut read.situation {
                situation.findings = vec![finding_of(*code, Grade::Warn), finding_of(*code, Grade::Err)];
            }
            assert_eq!(worse(&read), [(name_of(*code), Grade::Err)]);
            let all = all(&read);
            let one = all.iter().find(|one| one.name == name_of(*code)).unwrap();
            assert_eq!(one.fix.as_deref(), Some("do"));
            assert_eq!(one.details, "a, b, a, b: so");
        }
    }

    #[test]
    fn what_was_not_seen_is_never_good() {
        let none = Read {
            config: Err("masakari.conf: line 1".into()),
            ..Read::default()
        };
        let all = all(&none);
        assert_eq!(all[0].grade, Grade::Err);
        assert!(all[1..].iter().all(|one| one.grade == Grade::Unknown), "{all:?}");
        let mut old = good();
        if let Some(Ok(situation)) = &mut old.situation {
            situation.findings = vec![finding_of(Code::FactsOld, Grade::Unknown)];
        }
        assert_eq!(grade(&old, "host-not-in-segment"), Grade::Unknown);
        let mut unseen = good();
        if let Some(Ok(situation)) = &mut unseen.situation {
            situation.looked_at = None;
        }
        assert_eq!(grade(&unseen, "fence-failing"), Grade::Unknown);
        let mut away = good();
        away.situation = Some(Err("the database is away".into()));
        assert_eq!(grade(&away, "situation"), Grade::Unknown);
    }
}
