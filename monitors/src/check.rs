//! `tachi-monitor check`: checks if a failure on this host would be noticed and reported, and how soon.

use std::time::Duration;

use rustix::fs::{Access, access};
use serde::Serialize;
use tachi_instance_ha::{CallFailure, Class, Client, RegisteredHost, Registration};

use crate::cli::{CheckArgs, Format};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::guests::{self, Resume};
use crate::kind::Kind;
use crate::settings::Settings;
use crate::{host, instance, introspective, out, process, run};

/// Width of a finding's label with the blank after it.
const LABEL_WIDTH: usize = 6;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingLevel {
    Good,
    /// A fact to know.
    Note,
    /// A problem: failures would not be noticed or not be reported.
    Wrong,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The checked subsystem.
    pub part: String,
    #[serde(rename = "told")]
    pub level: FindingLevel,
    /// The finding in words.
    pub text: String,
    /// The longest time from the failure until its report, in seconds, for a failure that can happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst_seconds: Option<f64>,
}

impl Finding {
    /// Creates a finding without a problem.
    pub fn good(part: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(part, FindingLevel::Good, text)
    }

    /// Creates a finding with a fact to know.
    pub fn note(part: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(part, FindingLevel::Note, text)
    }

    /// Creates a finding with a problem.
    pub fn wrong(part: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(part, FindingLevel::Wrong, text)
    }

    /// Creates a finding about a failure that is noticed, and reported within `max_latency` as long as the API answers.
    pub fn reported_within(
        part: impl Into<String>,
        failure: impl Into<String>,
        max_latency: Duration,
    ) -> Self {
        Self {
            worst_seconds: Some(max_latency.as_secs_f64()),
            ..Self::new(part, FindingLevel::Note, failure)
        }
    }

    fn new(part: impl Into<String>, level: FindingLevel, text: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            level,
            text: text.into(),
            worst_seconds: None,
        }
    }

    fn line(&self) -> String {
        let label = match (self.level, self.worst_seconds) {
            (FindingLevel::Good, _) => "ok   ".to_owned(),
            (FindingLevel::Wrong, _) => "WRONG".to_owned(),
            (FindingLevel::Note, Some(_)) => "time ".to_owned(),
            (FindingLevel::Note, None) => "note ".to_owned(),
        };
        let max_latency = self
            .worst_seconds
            .map(|seconds| format!(": at most {seconds:.1} s"))
            .unwrap_or_default();
        // The output of a program may have several lines.
        let lines = self.text.lines().map(str::trim).filter(|line| !line.is_empty());
        let text = lines.collect::<Vec<_>>().join("; ");
        format!("{label} {}: {text}{max_latency}", self.part)
    }
}

/// The check of one monitor's prerequisites.
#[async_trait::async_trait]
pub trait Check: Send + Sync {
    /// Checks the monitor. Takes no longer than a few seconds, even if a checked part hangs. `registered_hosts` are the hosts
    /// of all segments, if known.
    async fn check(&self, settings: &Settings, registered_hosts: Option<&[RegisteredHost]>) -> Vec<Finding>;
}

/// Runs `tachi-monitor check`.
pub(crate) async fn run(args: &CheckArgs) -> Result<u8, Failure> {
    let settings = Settings::load(&args.config)?;
    let mut findings = vec![Finding::good("configuration", sources(&settings))];
    for warning in settings
        .report
        .warnings
        .iter()
        .filter(|warning| !warning.is_notice())
    {
        findings.push(Finding::note("configuration", warning.to_string()));
    }
    let exposed = settings.exposed().into_iter();
    findings.extend(exposed.map(|text| Finding::note("configuration", text)));
    findings.extend(tempdir(&settings));
    findings.extend(guests(&settings).await);
    let (level, registered_hosts) = api(&settings).await;
    findings.extend(level);
    let kinds = if args.monitors.is_empty() {
        &Kind::ALL[..]
    } else {
        &args.monitors
    };
    for kind in kinds {
        findings.push(spool(&settings, *kind));
        findings.extend(monitor(*kind, &settings, registered_hosts.as_deref()).await);
    }
    let good = findings
        .iter()
        .all(|finding| finding.level != FindingLevel::Wrong);
    match args.format {
        Format::Text => findings
            .iter()
            .for_each(|finding| out::line(out::wrapped(&finding.line(), LABEL_WIDTH))),
        Format::Json => {
            let all = serde_json::json!({"good": good, "hostname": settings.hostname, "findings": findings});
            out::line(format!("{all:#}"));
        }
    }
    Ok(if good { out::DONE } else { out::FAILED })
}

/// Checks a monitor. If its own start-up fails, the reason is the only finding: it would notice nothing.
async fn monitor(
    kind: Kind,
    settings: &Settings,
    registered_hosts: Option<&[RegisteredHost]>,
) -> Vec<Finding> {
    if let Err(failure) = run::made(kind, settings, &Clock::new()) {
        return vec![Finding::wrong(kind.name(), failure.chain())];
    }
    let check: Box<dyn Check> = match kind {
        Kind::Host => Box::new(host::Checks),
        Kind::Process => Box::new(process::Checks),
        Kind::Instance => Box::new(instance::Checks),
        Kind::Introspective => Box::new(introspective::Checks),
    };
    check.check(settings, registered_hosts).await
}

/// Checks the guests' state at the boot of this host.
async fn guests(settings: &Settings) -> Option<Finding> {
    const SUBSYSTEM: &str = "guests";
    let nova = settings.nova.clone();
    let found = tokio::task::spawn_blocking(move || guests::read_guests(&nova))
        .await
        .ok()??;
    let by = &found.by;
    Some(match found.resume {
        Resume::No => Finding::good(
            SUBSYSTEM,
            format!("do not start automatically when this host boots ({by})"),
        ),
        Resume::Yes => Finding::wrong(
            SUBSYSTEM,
            format!(
                "start automatically when this host boots, even if their instances were evacuated: set resume_guests_state_on_host_boot = \
                 false ({by})"
            ),
        ),
        Resume::Unknown => Finding::note(
            SUBSYSTEM,
            format!("it is unknown if they start automatically when this host boots: {by}"),
        ),
    })
}

/// Checks the folder that every monitor's start-up requires. It is not created here: it would belong to the caller.
fn tempdir(settings: &Settings) -> Option<Finding> {
    const SUBSYSTEM: &str = "configuration";
    let folder = settings.tempdir.as_ref()?;
    if !folder.exists() {
        let text = format!(
            "[DEFAULT] tempdir: {} does not exist; the monitors create it at their start",
            folder.display()
        );
        return Some(Finding::note(SUBSYSTEM, text));
    }
    let failure = settings.check_tempdir().err()?;
    Some(Finding::wrong(SUBSYSTEM, failure.chain()))
}

fn sources(settings: &Settings) -> String {
    let mut files: Vec<String> = Vec::new();
    for option in &settings.report.effective {
        if let tachi_config::Origin::File { file, .. } = &option.origin
            && !files.iter().any(|known| known.as_str() == &**file)
        {
            files.push(file.to_string());
        }
    }
    if files.is_empty() {
        "no configuration file".to_owned()
    } else {
        format!("read from {}", files.join(", "))
    }
}

/// Checks the API, and returns the registered hosts.
async fn api(settings: &Settings) -> (Vec<Finding>, Option<Vec<RegisteredHost>>) {
    let client = match Client::new(settings.api.clone()) {
        Ok(client) => client,
        Err(error) => {
            let text = Failure::new("setting up", error).chain();
            return (vec![Finding::wrong("[api]", text)], None);
        }
    };
    let login = match client.login().await {
        Ok(login) => login,
        Err(failed) => {
            let text = if failed.class == Class::Unreachable {
                format!("{} (Keystone is {})", failed.text, settings.api.keystone.auth_url)
            } else {
                failed.text
            };
            return (vec![Finding::wrong("log-in", text)], None);
        }
    };
    let mut findings = vec![Finding::good(
        "log-in",
        format!("the API is at {}", login.endpoint),
    )];
    let hosts = client.registered_hosts().await;
    findings.push(registration(settings, hosts.as_deref()));
    match client.skew_seconds().or(login.skew_seconds) {
        Some(skew) if skew.abs() > 2 => findings.push(Finding::wrong(
            "clock",
            format!("differs by {skew} s from the API's, so reports have a wrong time; synchronize it"),
        )),
        Some(_) => findings.push(Finding::good("clock", "agrees with the API's")),
        None => {}
    }
    (findings, hosts.ok())
}

fn registration(settings: &Settings, hosts: Result<&[RegisteredHost], &CallFailure>) -> Finding {
    const SUBSYSTEM: &str = "registration";
    let name = &settings.hostname;
    match hosts.map(|hosts| Registration::of(name, hosts)) {
        Ok(Registration::In(host)) if !host.on_maintenance => {
            Finding::good(SUBSYSTEM, format!("{name} is in segment {}", host.segment))
        }
        Ok(Registration::In(host)) => Finding::note(
            SUBSYSTEM,
            format!(
                "{name} is in segment {}, in maintenance: its failure is not recovered",
                host.segment
            ),
        ),
        Ok(Registration::Not {
            similar: Some(similar),
            ..
        }) => Finding::wrong(
            SUBSYSTEM,
            format!("{name} is not registered, {similar} is: set [DEFAULT] hostname to the name Nova uses"),
        ),
        Ok(Registration::Not { similar: None, hosts }) => Finding::wrong(
            SUBSYSTEM,
            format!("{name} is not among the {hosts} registered hosts: its reports are rejected"),
        ),
        // A user that may only report cannot list.
        Err(failed) if failed.status == Some(403) => Finding::note(
            SUBSYSTEM,
            "this user may not list hosts, so it is unknown if this one is registered; check as an administrator",
        ),
        Err(CallFailure {
            class: Class::Unreachable | Class::Busy,
            text,
            ..
        }) => Finding::wrong("API", text.clone()),
        Err(failed) => Finding::wrong(SUBSYSTEM, failed.text.clone()),
    }
}

fn spool(settings: &Settings, kind: Kind) -> Finding {
    let part = format!("{} spool", kind.name());
    let folder = settings.folder(kind).join("spool");
    // It is not created here: it would belong to the caller.
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    if let Some(existing) = folder.ancestors().find(|path| path.exists())
        && let Err(error) = access(existing, rights)
    {
        let text = format!(
            "{} cannot be written by the user of this check ({error}): that user's monitor would hold reports only in memory, and lose \
             them at a restart; check [monitor] state_path, and run the check as the user of the unit",
            existing.display()
        );
        return Finding::wrong(part, text);
    }
    match tachi_spool::Spool::waiting(&folder) {
        Ok(0) => Finding::good(part, "no report is waiting"),
        Ok(1) => Finding::note(part, "1 report is waiting"),
        Ok(waiting) => Finding::note(part, format!("{waiting} reports are waiting")),
        Err(error) => Finding::note(part, Failure::new("reading the spool", error).chain()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    #[tokio::test]
    async fn a_check_runs_the_bridges_start_up_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (state, socket) = (folder.path().join("host"), folder.path().join("alert.sock"));
        std::fs::create_dir(&state).unwrap();
        let settings = settings(&format!(
            "[monitor]\nstate_path = {}\n[host]\nalert_socket = {}\n",
            folder.path().display(),
            socket.display()
        ));
        // The socket of a running bridge.
        let running = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
        let file = state.join("pacemaker.json");
        std::fs::write(&file, "{").unwrap();
        let findings = monitor(Kind::Host, &settings, None).await;
        let is_damaged =
            |finding: &Finding| finding.level == FindingLevel::Note && finding.text.contains("is damaged");
        assert!(findings.iter().any(is_damaged), "{findings:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{");
        let datagram = std::os::unix::net::UnixDatagram::unbound().unwrap();
        datagram.send_to(b"poke", &socket).unwrap();
        assert_eq!(running.recv(&mut [0_u8; 16]).unwrap(), 4);
        // A state that cannot be read ends the start.
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        let findings = monitor(Kind::Host, &settings, None).await;
        let [one] = findings.as_slice() else {
            panic!("{findings:?}")
        };
        assert!(
            one.level == FindingLevel::Wrong
                && one.text.starts_with("reading ")
                && one.worst_seconds.is_none(),
            "{one:?}"
        );
    }

    #[test]
    fn a_folder_that_the_start_requires_is_checked_and_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| {
            let path = folder.path().join(name);
            (
                tempdir(&settings(&format!("[DEFAULT]\ntempdir = {}\n", path.display()))),
                path,
            )
        };
        let (missing, path) = of("missing");
        assert_eq!(missing.unwrap().level, FindingLevel::Note);
        assert!(!path.exists());
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(of("file").0.unwrap().level, FindingLevel::Wrong);
        std::fs::create_dir(folder.path().join("good")).unwrap();
        assert_eq!(of("good").0, None);
        assert_eq!(tempdir(&settings("")), None);
    }

    #[test]
    fn a_spool_that_cannot_be_written_is_wrong() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&format!("[monitor]\nstate_path = {}\n", folder.path().display()));
        assert_eq!(spool(&settings, Kind::Process).level, FindingLevel::Good);
        // Mode bits do not restrict root.
        if rustix::process::geteuid().is_root() {
            return;
        }
        let set_mode = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let own = folder.path().join("process");
        std::fs::create_dir(&own).unwrap();
        for path in [own.as_path(), folder.path()] {
            set_mode(path, 0o500);
            let finding = spool(&settings, Kind::Process);
            set_mode(path, 0o700);
            if path == own {
                std::fs::remove_dir(path).unwrap();
            }
            assert_eq!(finding.level, FindingLevel::Wrong);
            let expected = format!("{} cannot be written", path.display());
            assert!(finding.text.starts_with(&expected), "{finding:?}");
        }
    }

    /// Covers MW13.
    #[test]
    fn an_unregistered_name_is_reported_with_the_likely_one() {
        let settings = settings("[DEFAULT]\nhostname = cmp1\n");
        let failed = |class, status| CallFailure {
            status,
            ..CallFailure::new(class, "said")
        };
        let hosts = |name: &str, on_maintenance| {
            let host = |name: &str| RegisteredHost {
                name: name.to_owned(),
                segment: "one".to_owned(),
                on_maintenance,
            };
            Ok(vec![host("cmp8"), host("cmp9"), host(name)])
        };
        let cases = [
            (hosts("cmp1", false), FindingLevel::Good, "is in segment one"),
            (hosts("cmp1", true), FindingLevel::Note, "in maintenance"),
            (
                hosts("cmp1.maas", false),
                FindingLevel::Wrong,
                "cmp1.maas is: set [DEFAULT] hostname",
            ),
            (hosts("cmp7", false), FindingLevel::Wrong, "not among the 3"),
            (
                Err(failed(Class::Barred, Some(403))),
                FindingLevel::Note,
                "may not list",
            ),
            (Err(failed(Class::Unreachable, None)), FindingLevel::Wrong, "said"),
        ];
        for (found, expected_level, part) in cases {
            let finding = registration(&settings, found.as_deref());
            assert!(
                finding.level == expected_level && finding.text.contains(part),
                "{finding:?}"
            );
        }
        let line = Finding::reported_within("host", "a host dies", Duration::from_millis(1500)).line();
        assert_eq!(line, "time  host: a host dies: at most 1.5 s");
        let line = Finding::wrong("host", "crm_mon failed\nerror: refused\n\ncrm_mon: failed\n").line();
        assert_eq!(
            line,
            "WRONG host: crm_mon failed; error: refused; crm_mon: failed"
        );
    }
}
