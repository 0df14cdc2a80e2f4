//! The checks that need no controller, but only what one has read.

use std::collections::BTreeSet;
use std::path::Path;

use tachi_config::{ConfigReport, Warning};
use tachi_domain::Timestamp;
use tachi_domain::count;
use tachi_domain::policy::{BareNormal, FencingMode};
use tachi_engine::ports::{CloudLists, EngineRegistry};
use tachi_operator::{Failure, Fencing, is_alive};

use super::{Check, CheckGrade, NAMED, check};

/// Makes Masakari's own check, under its own name.
pub fn policy_file(file: &Path) -> Check {
    const NAME: &str = "Policy File JSON to YAML Migration";
    if file.extension().is_some_and(|extension| extension == "json") {
        let details = format!(
            "[oslo_policy] policy_file is {}: write the rules that differ from the defaults as YAML",
            file.display()
        );
        return check(NAME, CheckGrade::Failure, details);
    }
    check(NAME, CheckGrade::Success, None)
}

/// Lists the options in the file that have no effect, each with its line.
pub fn options(report: &ConfigReport) -> Check {
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

/// Checks the CA files, which are read at the start, each with the URL that it is for.
pub fn authorities(ca_files: &[(&str, Option<&Path>)]) -> Check {
    const NAME: &str = "CA Files";
    let (grade, missing) = missing(ca_files);
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
pub fn without_evidence(mode: FencingMode, bare_normal: BareNormal) -> Check {
    const NAME: &str = "Reports Without Evidence";
    match (mode, bare_normal) {
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

/// Checks that no migration of the database is to come; `pending` are those, or why they are not known.
pub fn revision(pending: Result<Vec<String>, String>) -> Check {
    const NAME: &str = "Database Revision";
    match pending {
        Ok(pending) if pending.is_empty() => check(NAME, CheckGrade::Success, None),
        Ok(pending) => {
            let details = format!(
                "run `tachi db sync`: {} to come",
                count(pending.len(), "migration is", "migrations are")
            );
            check(NAME, CheckGrade::Failure, details)
        }
        Err(error) => check(NAME, CheckGrade::Failure, error),
    }
}

/// Checks the fencing mode and its devices.
pub fn fencing(fencing: &Fencing) -> Check {
    const NAME: &str = "Fencing";
    match (fencing.mode, &fencing.device) {
        (FencingMode::Engine, Some(_)) => check(NAME, CheckGrade::Success, None),
        (FencingMode::Engine, None) => check(NAME, CheckGrade::Failure, fencing.line()),
        (FencingMode::External | FencingMode::DryRun, _) => check(NAME, CheckGrade::Warning, fencing.line()),
    }
}

/// Checks that an engine runs.
pub async fn engines(engine_registry: &dyn EngineRegistry, now: Timestamp) -> Check {
    const NAME: &str = "Engines";
    match engine_registry.engines().await {
        Ok(lines) if lines.iter().any(|line| is_alive(line, now)) => check(NAME, CheckGrade::Success, None),
        Ok(_) => check(NAME, CheckGrade::Warning, "no engine is running".to_owned()),
        Err(error) => check(
            NAME,
            CheckGrade::Failure,
            Failure::new("reading the list of engines", error).chain(),
        ),
    }
}

/// Checks our rights in Nova by the list of services, which only administrators may read.
pub async fn rights(nova: &dyn CloudLists) -> Check {
    const NAME: &str = "Rights in Nova";
    match nova.services().await.map(|services| services.conductors_up) {
        Ok(true) => check(NAME, CheckGrade::Success, None),
        Ok(false) => {
            let details = "not every nova-conductor is up; evacuations go through them".to_owned();
            check(NAME, CheckGrade::Warning, details)
        }
        Err(error) => check(NAME, CheckGrade::Failure, error.to_string()),
    }
}

/// Names the first few, and counts the rest.
pub fn some_of(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    let end = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{end}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn many_names_are_counted() {
        let names: BTreeSet<String> = (0..7).map(|n| format!("c{n}")).collect();
        assert_eq!(some_of(&names), "c0, c1, c2, c3, c4 and 2 more");
    }
}
