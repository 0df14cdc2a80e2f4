//! The process monitor: restarts failed daemons of this host, and reports those that cannot be restarted.
//!
//! ```text
//! process_list.yaml -> Watch per entry -> Probe (systemd unit, or pidfd) : the state, with its changes
//!                                      -> CommandRunner (systemd, programs): start and restart
//!                                      -> Outlet                         : one report, withdrawn when it runs again
//! ```

mod find;
mod given_up;
mod list;
mod pid;
mod polkit;
mod probe;
mod runner;
mod systemd;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_instance_ha::{Notification, RegisteredHost};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::given_up::GivenUp;
use self::list::Entry;
use self::pid::PidProbe;
use self::probe::{Outlet, Probe, State};
use self::runner::LocalRunner;
use self::systemd::{Systemd, UnitProbe};
use self::watch::{Pace, Watch};
use crate::check::{Check, Finding};
use crate::cli::PolkitArgs;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::health::Health;
use crate::kind::Kind;
use crate::monitor::Monitor;
use crate::out;
use crate::reporter::Reporter;
use crate::settings::{ProcessSettings, Settings};

/// Time for a process to come back by itself.
const CONFIRM_WAIT: Duration = Duration::from_secs(1);

/// Interval of checking the list, and of the loop.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Subsystem of the health: the process list.
const LIST: &str = "process list";

/// Creates the monitor.
pub(crate) fn monitor(settings: &Settings, clock: &Clock) -> Box<dyn Monitor> {
    let folder = settings.folder(Kind::Process);
    Box::new(Processes {
        hostname: settings.hostname.clone(),
        settings: settings.process.clone(),
        given_up: GivenUp::open(folder.join("given-up.json"), clock),
        clock: clock.clone(),
    })
}

struct Processes {
    hostname: String,
    settings: ProcessSettings,
    given_up: GivenUp,
    clock: Clock,
}

impl ProcessSettings {
    fn pace(&self) -> Pace {
        Pace {
            interval: self.interval,
            confirm: CONFIRM_WAIT.min(self.interval),
            retries: self.retries,
            pause: self.restart_interval,
            pause_max: self.restart_interval_max,
            watch_only: self.watch_only,
        }
    }
}

/// Sends reports, and remembers the reported processes.
struct Reports {
    reporter: Reporter,
    hostname: String,
    clock: Clock,
    given_up: GivenUp,
}

#[async_trait]
impl Outlet for Reports {
    async fn gone(&self, process: &str) -> Result<(), String> {
        let notification = Notification::process(&self.hostname, process, self.clock.generated());
        self.reporter
            .report(&notification)
            .await
            .map_err(|error| Failure::new("reporting", error).chain())?;
        // If the monitor dies before this, the report is repeated, and the API detects the duplicate.
        self.given_up.add(process);
        Ok(())
    }

    async fn back(&self, process: &str) {
        self.given_up.remove(process);
        let started = Notification::process_started(&self.hostname, process, self.clock.generated()).minor();
        if let Err(error) = self
            .reporter
            .report_replacing(&started, "the process is running again")
            .await
        {
            tracing::warn!(%error, process, "failed to withdraw an obsolete report");
        }
    }
}

#[async_trait]
impl Monitor for Processes {
    async fn run(
        self: Box<Self>,
        reporter: Reporter,
        health: Health,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        let systemd = Systemd::system(health.clone());
        let mut watch_tasks = WatchTasks {
            runner: Arc::new(LocalRunner {
                systemd: systemd.clone(),
                timeout: self.settings.command_timeout,
            }),
            systemd,
            outlet: Arc::new(Reports {
                reporter,
                hostname: self.hostname,
                clock: self.clock,
                given_up: self.given_up.clone(),
            }),
            pace: self.settings.pace(),
            given_up: self.given_up,
            at: BTreeMap::new(),
            tasks: JoinSet::new(),
            first: true,
        };
        let mut loaded_file = None;
        loop {
            health.tick();
            watch_tasks
                .reload_list(&self.settings.list, &mut loaded_file, &health)
                .await;
            health.processes_down(watch_tasks.given_up.all());
            // Both branches only wait.
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(CHECK_INTERVAL) => {}
            }
        }
        watch_tasks.tasks.shutdown().await;
        Ok(())
    }
}

/// The tasks, one for each entry.
struct WatchTasks {
    runner: Arc<LocalRunner>,
    systemd: Systemd,
    outlet: Arc<Reports>,
    pace: Pace,
    given_up: GivenUp,
    at: BTreeMap<String, (Entry, AbortHandle)>,
    tasks: JoinSet<()>,
    /// True before the first read: processes that do not run are started.
    first: bool,
}

/// The identity of a file.
type FileId = (u64, u64, i64, i64);

fn file_id(path: &std::path::Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

impl WatchTasks {
    /// Reads the list if the file has changed; the last valid one stays in force.
    async fn reload_list(
        &mut self,
        path: &std::path::Path,
        loaded_file: &mut Option<FileId>,
        health: &Health,
    ) {
        let ended = self.at.values().any(|(_, task)| task.is_finished());
        let id = file_id(path);
        if id.is_some() && *loaded_file == id && !ended {
            return;
        }
        let owned: PathBuf = path.to_owned();
        let read = tokio::task::spawn_blocking(move || list::read(&owned)).await;
        let entries = match read {
            Ok(Ok(entries)) => entries,
            Ok(Err(failure)) => {
                let watched = if self.at.is_empty() {
                    "watching no process"
                } else {
                    "keeping the last valid list"
                };
                health.bad(LIST, format!("{}; {watched}", failure.chain()));
                return;
            }
            Err(error) => {
                health.bad(LIST, error.to_string());
                return;
            }
        };
        *loaded_file = id;
        health.good(LIST);
        if entries.is_empty() {
            tracing::warn!(list = %path.display(), "process list is empty; watching nothing");
        }
        health.status(format!("watching {} processes", entries.len()));
        self.take(entries);
    }

    /// Unchanged entries keep their tasks.
    fn take(&mut self, entries: Vec<Entry>) {
        self.given_up
            .retain(|name| entries.iter().any(|entry| entry.short() == name));
        self.at.retain(|name, (old, task)| {
            let stays = !task.is_finished() && entries.iter().any(|entry| entry == old);
            if !stays {
                tracing::info!(process = %name, "process entry removed or changed");
                task.abort();
            }
            stays
        });
        for entry in entries {
            if self.at.contains_key(&entry.name) {
                continue;
            }
            let probe: Box<dyn Probe> = match &entry.unit {
                Some(unit) => Box::new(UnitProbe::new(unit, self.systemd.clone())),
                None => Box::new(PidProbe::new(&entry.name)),
            };
            tracing::info!(process = %entry.name, unit = entry.unit.as_deref().unwrap_or("-"), "watching process");
            let mut watch = Watch {
                given_up: self.given_up.has(entry.short()),
                entry: entry.clone(),
                probe,
                runner: Arc::clone(&self.runner) as Arc<dyn probe::CommandRunner>,
                outlet: Arc::clone(&self.outlet) as Arc<dyn Outlet>,
                pace: self.pace,
            };
            let first = self.first;
            let task = self.tasks.spawn(async move {
                if first {
                    watch.start().await;
                }
                watch.run().await;
            });
            self.at.insert(entry.name.clone(), (entry, task));
        }
        self.first = false;
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Checks of `tachi-monitor check`.
pub(crate) struct Checks;

#[async_trait]
impl Check for Checks {
    async fn check(&self, settings: &Settings, _: Option<&[RegisteredHost]>) -> Vec<Finding> {
        const SUBSYSTEM: &str = "process";
        let path = &settings.process.list;
        let entries = match list::read(path) {
            Ok(entries) => entries,
            Err(failure) if !path.exists() => {
                let text = format!(
                    "{}: create it (an example is in /usr/share/doc/tachi-monitors/examples), or check only the monitors that run on this \
                     host, such as tachi-monitor check instance",
                    failure.chain()
                );
                return vec![Finding::wrong(SUBSYSTEM, text)];
            }
            Err(failure) => return vec![Finding::wrong(SUBSYSTEM, failure.chain())],
        };
        if entries.is_empty() {
            let text = format!(
                "{} names no process: the monitor watches and reports nothing",
                path.display()
            );
            return vec![Finding::note(SUBSYSTEM, text)];
        }
        let mut findings = vec![Finding::good(
            SUBSYSTEM,
            match entries.len() {
                1 => format!("{} names 1 process", path.display()),
                several => format!("{} names {several} processes", path.display()),
            },
        )];
        let systemd = Systemd::system(Health::default());
        if entries.iter().any(|entry| entry.unit.is_some())
            && let Err(why) = systemd.is_there().await
        {
            findings.push(Finding::wrong(SUBSYSTEM, why));
            return findings;
        }
        for entry in &entries {
            let (mut probe, how): (Box<dyn Probe>, String) = match &entry.unit {
                Some(unit) => (
                    Box::new(UnitProbe::new(unit, systemd.clone())),
                    format!("unit {unit}"),
                ),
                None => (Box::new(PidProbe::new(&entry.name)), "its program".to_owned()),
            };
            let name = format!("{} by {how}", entry.name);
            findings.push(match probe.state().await {
                State::Up => Finding::good(SUBSYSTEM, format!("{name}: runs")),
                State::Changing => Finding::note(SUBSYSTEM, format!("{name}: is being started or stopped")),
                State::Down(why) => Finding::wrong(SUBSYSTEM, format!("{name}: not running: {why}")),
                State::Unknown(why) => Finding::wrong(SUBSYSTEM, format!("{name}: {why}")),
            });
        }
        if !settings.process.watch_only {
            findings.extend(polkit::check(&entries, &systemd).await);
        }
        let pace = settings.process.pace();
        findings.push(Finding::reported_within(
            SUBSYSTEM,
            "a process dies and is restarted (plus the time of the command)",
            pace.confirm,
        ));
        findings.push(Finding::reported_within(
            SUBSYSTEM,
            format!(
                "a process dies, {} restarts fail, and it is reported",
                pace.retries.saturating_add(1)
            ),
            pace.max_latency(),
        ));
        findings
    }
}

/// Prints the polkit rule (`tachi-monitor init polkit`).
pub(crate) fn polkit_rule(args: &PolkitArgs) -> Result<u8, Failure> {
    let entries = match &args.process_list {
        Some(path) => list::read(path)?,
        None => list::read(&Settings::load(&args.config)?.process.list)?,
    };
    out::line(polkit::rule(&entries, &args.user, args.form)?.trim_end());
    Ok(out::DONE)
}

/// A running process and its command line.
pub(crate) struct StartedProcess {
    pub(crate) pid: i32,
    pub(crate) command: Vec<String>,
}

/// Returns the machine's processes that match a name, the oldest first.
pub(crate) fn running(name: &str) -> Result<Vec<StartedProcess>, procfs::ProcError> {
    let found = find::find(name)?.into_iter();
    let running = found.map(|process| StartedProcess {
        pid: process.pid,
        command: process.command,
    });
    Ok(running.collect())
}

impl Pace {
    /// Returns the longest time from the end of a process until its report, if each command ends at once.
    fn max_latency(&self) -> Duration {
        let mut total = self.confirm;
        if self.watch_only {
            return total;
        }
        for round in 0..=self.retries {
            // The monitor waits this long for the process to appear.
            total += self.interval;
            if round < self.retries {
                let doubled = 2_u32.saturating_pow(round.min(16));
                total += self
                    .pause
                    .saturating_mul(doubled)
                    .min(self.pause_max.max(self.pause));
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::FindingLevel;

    #[tokio::test]
    async fn an_empty_list_is_told_and_promises_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("process_list.yaml");
        for text in ["", "[]\n", "# nothing yet\n"] {
            std::fs::write(&list, text).unwrap();
            let config = format!("[process]\nprocess_list_path = {}\n", list.display());
            let settings = crate::settings::tests::settings(&config);
            let findings = Checks.check(&settings, None).await;
            let findings_seen: Vec<_> = findings
                .iter()
                .map(|finding| (finding.level, finding.worst_seconds))
                .collect();
            assert_eq!(findings_seen, [(FindingLevel::Note, None)], "{text:?}");
            assert!(
                findings
                    .iter()
                    .all(|finding| finding.text.contains("names no process")),
                "{findings:?}"
            );
        }
    }
}
