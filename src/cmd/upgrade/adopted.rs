//! Checks of an adopted configuration, database and broker of Masakari, and of what is left to tighten.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tachi_api::BindingMode;
use tachi_cli::upgrade::{Check, CheckGrade, NAMED, check};
use tachi_config::{ConfigReport, Warning};
use tachi_domain::count;
use tachi_domain::policy::{BareNormal, FencingMode};
use tachi_domain::recovery::Life;
use tachi_engine::ports::OperatorJournal as _;
use tachi_operator::Failure;
use tachi_store::Store;

use crate::settings::{AuthStrategy, Settings};
use crate::wiring;

/// Timeout for reading the consumers of the engines' queue from the broker.
const BROKER: Duration = Duration::from_secs(5);

/// Lists the options in the file that have no effect, each with its line.
pub(super) fn options(report: &ConfigReport) -> Check {
    const NAME: &str = "Options Without Effect";
    let warnings: Vec<&Warning> = report
        .warnings
        .iter()
        .filter(|warning| !matches!(warning, Warning::Renamed { .. }))
        .collect();
    // Options that Masakari has and Tachi does not need are no mistake.
    let grade = if warnings.iter().all(|warning| warning.is_notice()) {
        CheckGrade::Success
    } else {
        CheckGrade::Warning
    };
    let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    check(NAME, grade, (!lines.is_empty()).then(|| lines.join("; ")))
}

/// Checks the CA files, which are read at the start.
pub(super) fn authorities(settings: &Settings) -> Check {
    const NAME: &str = "CA Files";
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
    let (grade, missing) = missing(&ca_files);
    if missing.is_empty() {
        return check(NAME, CheckGrade::Success, None);
    }
    let named: Vec<String> = missing.into_iter().collect();
    check(NAME, grade, named.join("; "))
}

/// Lists the files that are missing, by the URL that they are for.
fn missing(ca_files: &[(&str, Option<&Path>)]) -> (CheckGrade, BTreeSet<String>) {
    let mut grade = CheckGrade::Success;
    let mut shown = BTreeSet::new();
    for (url, file) in ca_files {
        let Some(file) = file.filter(|file| !file.exists()) else {
            continue;
        };
        let plain = url.starts_with("http://");
        grade = grade.max(if plain {
            CheckGrade::Warning
        } else {
            CheckGrade::Failure
        });
        let end = if plain {
            "it is not needed while no service uses TLS"
        } else {
            "the services would not start"
        };
        shown.insert(format!("{} does not exist (for {url}): {end}", file.display()));
    }
    (grade, shown)
}

/// Checks the effect of a report without evidence.
pub(super) fn without_evidence(settings: &Settings) -> Check {
    const NAME: &str = "Reports Without Evidence";
    match (settings.policy.fencing, settings.policy.bare_normal) {
        (FencingMode::External, BareNormal::Wait(time)) => {
            let details = format!(
                "[fencing] normal_without_evidence = wait: NORMAL counts without evidence after {} s of silence, as with Masakari; \
                 configure fence devices, or set it to refuse once the monitors send evidence",
                time.as_secs()
            );
            check(NAME, CheckGrade::Warning, details)
        }
        (FencingMode::External, BareNormal::Refuse) => {
            let details =
                "[fencing] normal_without_evidence = refuse: NORMAL without evidence recovers nothing";
            check(NAME, CheckGrade::Success, details.to_owned())
        }
        (FencingMode::Engine | FencingMode::DryRun, _) => check(NAME, CheckGrade::Success, None),
    }
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

fn some_of(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    let end = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{end}", shown.join(", "))
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
        let none = options(&settings("[DEFAULT]\nstate_path = /tmp\n").report);
        assert_eq!((none.grade, none.details), (CheckGrade::Success, None));
        // This is an option of Masakari, without use here.
        let checked =
            options(&settings("[DEFAULT]\nstate_path = /tmp\nenabled_apis = masakari_api\n").report);
        assert_eq!(checked.grade, CheckGrade::Success);
        assert!(
            details(&checked).contains("masakari.conf:3"),
            "{:?}",
            checked.details
        );
        let checked = options(&settings("[DEFAULT]\nstate_pat = /tmp\n").report);
        assert_eq!(checked.grade, CheckGrade::Warning);
        assert!(
            details(&checked).contains("masakari.conf:2") && details(&checked).contains("state_path"),
            "{:?}",
            checked.details
        );
    }

    #[test]
    fn a_missing_ca_file_is_a_failure_only_where_tls_is_spoken() {
        let absent = Path::new("/nowhere/ca.pem");
        let there = Path::new("/");
        for (ca_files, grade) in [
            (vec![("https://k/v3", None)], CheckGrade::Success),
            (vec![("https://k/v3", Some(there))], CheckGrade::Success),
            (vec![("http://k/v3", Some(absent))], CheckGrade::Warning),
            (vec![("https://k/v3", Some(absent))], CheckGrade::Failure),
            (
                vec![("http://k/v3", Some(absent)), ("https://k/v3", Some(absent))],
                CheckGrade::Failure,
            ),
        ] {
            let (found, checked) = missing(&ca_files);
            assert_eq!(found, grade, "{ca_files:?}");
            assert_eq!(checked.is_empty(), grade == CheckGrade::Success, "{checked:?}");
        }
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
            let checked = without_evidence(&settings(text));
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

    #[test]
    fn many_names_are_counted() {
        let names: BTreeSet<String> = (0..7).map(|n| format!("c{n}")).collect();
        assert_eq!(some_of(&names), "c0, c1, c2, c3, c4 and 2 more");
    }
}
