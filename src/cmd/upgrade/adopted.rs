//! Checks of an adopted configuration, database and broker of Masakari, and of what is left to tighten.

use std::collections::BTreeSet;
use std::time::Duration;

use tachi_api::BindingMode;
use tachi_cli::upgrade::checks::{self, some_of};
use tachi_cli::upgrade::{Check, CheckGrade, check};
use tachi_domain::count;
use tachi_domain::recovery::Life;
use tachi_engine::ports::OperatorJournal as _;
use tachi_operator::Failure;
use tachi_store::Store;

use crate::settings::{AuthStrategy, Settings};
use crate::wiring;

/// Timeout for reading the consumers of the engines' queue from the broker.
const BROKER: Duration = Duration::from_secs(5);

/// Checks the CA files, which are read at the start.
pub(super) fn authorities(settings: &Settings) -> Check {
    let mut ca_files = Vec::new();
    if let AuthStrategy::Keystone {
        session: Some(session),
        ..
    } = &settings.auth
    {
        ca_files.push((
            session.keystone.auth_url.as_str(),
            session.keystone.tls.ca_file.as_deref(),
        ));
    }
    if let Some(nova) = &settings.nova {
        ca_files.push((
            nova.keystone.auth_url.as_str(),
            nova.keystone.tls.ca_file.as_deref(),
        ));
    }
    checks::authorities(&ca_files)
}

/// Checks that reporters are bound to hosts, and shows who would be refused.
pub(super) async fn binding(settings: &Settings, store: Option<&Store>) -> Check {
    const NAME: &str = "Reporter Binding";
    let (grade, description) = match settings.binding.mode {
        BindingMode::Off => (
            CheckGrade::Warning,
            "off: every reporter is trusted for every host",
        ),
        BindingMode::Warn => (
            CheckGrade::Warning,
            "warn: reporters that are bound to no host are trusted for every host; give each host its own credential (tachi setup \
             monitors) and set it to enforce",
        ),
        BindingMode::Enforce => (CheckGrade::Success, "enforce"),
    };
    let mut details = vec![format!("[api] reporter_binding = {description}")];
    let Some(store) = store else {
        return check(NAME, grade, details.concat());
    };
    let found = match store.reporters().await {
        Ok(found) => found,
        Err(error) => {
            return check(
                NAME,
                CheckGrade::Failure,
                Failure::new("reading reports", error).chain(),
            );
        }
    };
    if found.bound > 0 {
        details.push(format!(
            "{} reported under their own names",
            count(found.bound, "host has", "hosts have")
        ));
    }
    if !found.unbound.is_empty() {
        details.push(format!("bound to no host: {}", some_of(&found.unbound)));
    }
    if found.unknown > 0 {
        details.push(format!(
            "{} of the newest reports were accepted by Masakari's API, which stores no reporter",
            found.unknown
        ));
    }
    check(NAME, grade, details.join("; "))
}

/// Lists unfinished work, and reserved hosts. Skips missing tables, which the check of the revision reports.
pub(super) async fn open_work(store: &Store, current: bool) -> Vec<Check> {
    const OPEN: &str = "Open Work";
    const RESERVED: &str = "Reserved Hosts";
    let open = match store.open_work().await {
        Ok(open) => open,
        Err(_) if !current => return Vec::new(),
        Err(error) => {
            let why = Failure::new("reading the open work", error).chain();
            return vec![check(OPEN, CheckGrade::Failure, why)];
        }
    };
    let mut lines: Vec<String> = open
        .notifications
        .iter()
        .map(|(status, number)| {
            format!(
                "{} {status}",
                count(*number, "notification is", "notifications are")
            )
        })
        .collect();
    let mut grade = if lines.is_empty() {
        CheckGrade::Success
    } else {
        CheckGrade::Warning
    };
    if current {
        match store.operator_journal().recoveries(false).await {
            Ok(recoveries) => {
                let of = |life| recoveries.iter().filter(|recovery| recovery.life == life).count();
                let (open, watching) = (of(Life::Open), of(Life::Watching));
                if open > 0 {
                    grade = CheckGrade::Warning;
                    lines.push(count(open, "recovery is open", "recoveries are open"));
                }
                // These recoveries only wait for their hosts.
                if watching > 0 {
                    lines.push(count(
                        watching,
                        "waits for a host that is not back yet",
                        "wait for hosts that are not back yet",
                    ));
                }
            }
            Err(error) => {
                grade = CheckGrade::Failure;
                lines.push(Failure::new("reading recoveries", error).chain());
            }
        }
    }
    let work = check(OPEN, grade, (!lines.is_empty()).then(|| lines.join(", ")));
    let reserved: BTreeSet<String> = open.reserved.into_iter().collect();
    let names = (!reserved.is_empty()).then(|| format!("{}: {}", reserved.len(), some_of(&reserved)));
    vec![work, check(RESERVED, CheckGrade::Success, names)]
}

/// Checks for a running engine of Masakari.
pub(super) async fn upstream_engine(settings: &Settings) -> Check {
    const NAME: &str = "Masakari's Engine";
    let Some(messaging) = &settings.messaging else {
        let details = "no transport_url: cannot check if masakari-engine is running".to_owned();
        return check(NAME, CheckGrade::Success, details);
    };
    match tokio::time::timeout(BROKER, wiring::upstream_engines_now(messaging)).await {
        Ok(Ok(0)) => check(NAME, CheckGrade::Success, None),
        Ok(Ok(engines)) => {
            let details =
                format!("{engines} are running: stop masakari-engine everywhere before tachi engine starts");
            check(NAME, CheckGrade::Warning, details)
        }
        Ok(Err(why)) => check(
            NAME,
            CheckGrade::Warning,
            format!("the broker gave no answer: {why}"),
        ),
        Err(_) => check(
            NAME,
            CheckGrade::Warning,
            format!("the broker has not answered within {} s", BROKER.as_secs()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::parse("masakari.conf", text).unwrap()
    }

    fn details(check: &Check) -> &str {
        check.details.as_deref().unwrap_or_default()
    }

    #[test]
    fn options_without_effect_are_told_with_their_line() {
        let none = checks::options(&settings("[DEFAULT]\nstate_path = /tmp\n").report);
        assert_eq!((none.grade, none.details), (CheckGrade::Success, None));
        // This is an option of Masakari, without use here.
        let checked =
            checks::options(&settings("[DEFAULT]\nstate_path = /tmp\nenabled_apis = masakari_api\n").report);
        assert_eq!(checked.grade, CheckGrade::Success);
        assert!(
            details(&checked).contains("masakari.conf:3"),
            "{:?}",
            checked.details
        );
        let checked = checks::options(&settings("[DEFAULT]\nstate_pat = /tmp\n").report);
        assert_eq!(checked.grade, CheckGrade::Warning);
        assert!(
            details(&checked).contains("masakari.conf:2") && details(&checked).contains("state_path"),
            "{:?}",
            checked.details
        );
    }

    #[test]
    fn what_a_report_is_worth_without_evidence() {
        for (text, grade, description) in [
            ("[fencing]\nmode = external\n", CheckGrade::Warning, "after 180 s"),
            (
                "[fencing]\nmode = external\nnormal_without_evidence = refuse\n",
                CheckGrade::Success,
                "refuse",
            ),
            ("[fencing]\nmode = engine\n", CheckGrade::Success, ""),
        ] {
            let policy = settings(text).policy;
            let checked = checks::without_evidence(policy.fencing, policy.bare_normal);
            assert_eq!(checked.grade, grade, "{text}");
            assert!(
                details(&checked).contains(description),
                "{text}: {:?}",
                checked.details
            );
        }
    }

    #[tokio::test]
    async fn every_way_to_bind_reporters_but_enforce_is_a_warning() {
        for (text, grade, description) in [
            ("", CheckGrade::Warning, "warn: "),
            ("[api]\nreporter_binding = off\n", CheckGrade::Warning, "off: "),
            (
                "[api]\nreporter_binding = enforce\n",
                CheckGrade::Success,
                "enforce",
            ),
        ] {
            let checked = binding(&settings(text), None).await;
            assert_eq!(checked.grade, grade, "{text}");
            assert!(
                details(&checked).contains(description),
                "{text}: {:?}",
                checked.details
            );
        }
    }

    #[tokio::test]
    async fn a_broker_that_does_not_answer_is_no_engine() {
        let checked = upstream_engine(&settings("")).await;
        assert_eq!(checked.grade, CheckGrade::Success);
        let checked = upstream_engine(&settings(
            "[DEFAULT]\ntransport_url = rabbit://guest:secret-word@127.0.0.1:1/\n",
        ))
        .await;
        assert_eq!(checked.grade, CheckGrade::Warning);
        assert!(
            !details(&checked).contains("secret-word"),
            "{:?}",
            checked.details
        );
    }
}
