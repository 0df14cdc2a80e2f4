//! The remedy that is printed for each finding, typed as it is printed. `tachi` is the real binary; `openstack` and `systemctl` are done to
//! the simulated region. A command that is not known here fails the test.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tachi_domain::situation::FindingCode;
use tachi_sandbox::Region;
use uuid::Uuid;

use super::{LIMIT, PAUSE, Scene};

/// The way in which a finding goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The printed command, typed as it is.
    Printed,
    /// The printed command lists commands, and the operator types those that fit.
    InList(&'static str),
    /// An operator removes the cause, which no command can. The printed command, if there is one, is typed afterwards.
    ByHand(&'static str),
    /// Another test types the printed command; its name.
    CoveredBy(&'static str),
    /// The code is never a finding of its own.
    NoFinding,
}

use Remedy::{ByHand, CoveredBy, InList, NoFinding, Printed};

/// Returns the remedy of a finding.
#[rustfmt::skip] // A line for a code.
#[expect(clippy::match_same_arms, reason = "in the order of the codes")]
pub(super) const fn remedy(code: FindingCode) -> Remedy {
    match code {
        FindingCode::MoveNeedsPerson => InList("an operator has to look where the instance runs"),
        FindingCode::MoveFailed => InList("an operator decides what becomes of the instance"),
        FindingCode::InstanceDown => CoveredBy("an_instance_whose_restart_failed_is_down_in_every_view_until_it_runs"),
        FindingCode::RecoveryHeld => ByHand("the cause of the hold ends, or an operator decides against what is known"),
        FindingCode::NoEngine => Printed,
        FindingCode::NovaAway => ByHand("Nova has to be mended"),
        FindingCode::QueueStalls => ByHand("an engine has to run"),
        FindingCode::FencingStopped | FindingCode::FencingDryRun | FindingCode::NoFenceDevice => Printed,
        FindingCode::FenceFileUnreadable => ByHand("the mistake in the file has to be corrected"),
        FindingCode::NoHosts | FindingCode::HostDown | FindingCode::HostNotInSegment => Printed,
        FindingCode::HostWithoutFence => ByHand("a device has to be entered for the host"),
        FindingCode::FenceForeignMachine => Printed,
        FindingCode::FenceFailing | FindingCode::FenceLevelFailing => ByHand("the power controller has to be mended"),
        FindingCode::NoReservedHost => Printed,
        FindingCode::HostNotWatched | FindingCode::MonitorSilent => ByHand("the monitor has to be started on its host"),
        FindingCode::GuestsResume => ByHand("nova.conf is on the host, and a monitor has to read it again"),
        FindingCode::FactsOld => ByHand("engines read Nova again as soon as it answers"),
        FindingCode::InstancesNotListed => ByHand("engines list the instances as soon as Nova answers"),
        FindingCode::HostCellDown => ByHand("the cell's database has to be mended, or a record of the host deleted"),
        FindingCode::FenceNotTested => Printed,
        FindingCode::MonitorUnknown => ByHand("a monitor has to be configured to watch the host"),
        FindingCode::RoomUnknown => ByHand("Placement has to be mended"),
        FindingCode::SegmentDisabled => Printed,
        FindingCode::FewHosts => ByHand("another host has to be returned or added"),
        FindingCode::RecoveryWouldHold => ByHand("the guard's reason has to end"),
        FindingCode::NoRoom | FindingCode::RoomTight => ByHand("hosts have to be added or enabled"),
        FindingCode::HostUnknownToNova => ByHand("an operator knows whether the name or nova-compute is wrong"),
        FindingCode::HostOnMaintenance | FindingCode::Frozen => Printed,
        FindingCode::HostNotBack | FindingCode::ProcessDown => InList("the steps of the return, after the host was mended"),
        FindingCode::HostDisabled | FindingCode::ReporterDoubted => Printed,
        FindingCode::MonitorPart => ByHand("the monitor's part has to be mended on its host"),
        FindingCode::EngineSilent | FindingCode::EnginePart => ByHand("the engine has to be started or mended on its machine"),
        FindingCode::HostUnderRecovery => ByHand("it ends with the recovery"),
        FindingCode::PlaneLost => ByHand("the network of the host has to be mended"),
        FindingCode::LocalDisk => Printed,
        FindingCode::InstanceMoving => NoFinding,
    }
}

/// Returns the code of a check of the doctor.
fn code_of(check: &str) -> Option<FindingCode> {
    let name = check.to_ascii_uppercase().replace('-', "_");
    FindingCode::ALL
        .iter()
        .copied()
        .find(|code| code.as_str() == name)
}

/// Returns the remedy of a check, if it is a finding.
pub(super) fn of_check(check: &str) -> Option<Remedy> {
    code_of(check).map(remedy)
}

/// Splits a line as a shell does, without the comment.
fn arguments(line: &str) -> Vec<String> {
    let command = line.split("    #").next().unwrap();
    shlex(command)
}

/// Text in single quotes is one argument.
fn shlex(command: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let mut is_quoted = false;
    for letter in command.chars() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => arguments.push(String::new()),
            letter => arguments.last_mut().unwrap().push(letter),
        }
    }
    arguments.retain(|argument| !argument.is_empty());
    arguments
}

/// Returns the commands of a line: the first, and the same for each other subject that its comment names.
fn commands(line: &str, subjects: &[String]) -> Vec<Vec<String>> {
    let first = arguments(line);
    let mut all = vec![first.clone()];
    if let Some((_, others)) = line.split_once("    # and the same for ") {
        for other in others.split(", ") {
            let mut next = first.clone();
            let place = next
                .iter()
                .rposition(|argument| subjects.contains(argument))
                .unwrap();
            other.clone_into(&mut next[place]);
            all.push(next);
        }
    }
    all
}

impl Scene {
    /// Returns the commands that the doctor prints for a check, and the subjects that it names.
    fn printed(&self, check: &str, more: Option<&Path>) -> (Vec<String>, Vec<String>) {
        let (code, output, note) = self.run(&["doctor", check, "-f", "json"], more);
        assert_eq!(code, 0, "{}: {note}", self.name);
        let output: Value = serde_json::from_str(&output).unwrap();
        let row = &output["checks"][0];
        let details = row["details"].as_str().unwrap();
        let named = details.split_once(": ").map_or("", |(subjects, _)| subjects);
        let named = named
            .split(", ")
            .map(|one| one.strip_prefix("segment ").unwrap_or(one).to_owned());
        let fix = row["fix"].as_str().unwrap_or_default();
        (fix.lines().map(str::to_owned).collect(), named.collect())
    }

    /// Types the printed commands of these checks; a command that is printed for two of them once. The actions that only an
    /// operator can take were taken before. A check whose remedy is the printed command must be failing now.
    pub(super) async fn apply_remedy(&self, checks: &[&'static str]) {
        self.apply_remedy_with(checks, None).await;
    }

    pub(super) async fn apply_remedy_with(&self, checks: &[&'static str], more: Option<&Path>) {
        let mut lines: Vec<(String, Vec<String>, &str)> = Vec::new();
        for check in checks {
            let (fixes, subjects) = self.printed(check, more);
            let remedy = of_check(check).unwrap();
            let is_elsewhere = matches!(remedy, CoveredBy(_) | NoFinding);
            assert!(!is_elsewhere, "{check} is cured elsewhere");
            let is_printed = !fixes.is_empty() || matches!(remedy, ByHand(_));
            assert!(is_printed, "{}: {check}: nothing is printed", self.name);
            for line in fixes {
                if lines.iter().all(|(before, ..)| *before != line) {
                    lines.push((line, subjects.clone(), check));
                }
            }
        }
        for (line, subjects, check) in lines {
            if matches!(of_check(check), Some(InList(_))) {
                self.type_listed(&line).await;
            } else {
                self.type_all(&line, &subjects, more).await;
            }
        }
        self.check_states.note(checks, "remedy");
    }

    async fn type_all(&self, line: &str, subjects: &[String], more: Option<&Path>) {
        if let Some(edit) = line.strip_prefix("set ") {
            return self.set(edit, more);
        }
        for command in commands(line, subjects) {
            self.type_one(&command, more).await;
        }
    }

    /// Types the open steps of a return.
    async fn type_listed(&self, line: &str) {
        let arguments = arguments(line);
        let mut arguments: Vec<&str> = arguments[1..].iter().map(String::as_str).collect();
        arguments.extend(["-f", "json"]);
        assert_eq!(arguments[..2], ["host", "return"], "{line}");
        let began = Instant::now();
        let steps = loop {
            let (_, output, note) = self.run(&arguments, None);
            let output: Value =
                serde_json::from_str(&output).unwrap_or_else(|_| panic!("{arguments:?}: {note}"));
            if output["ready"] == true {
                break output["steps"].clone();
            }
            assert!(
                began.elapsed() < LIMIT,
                "{}: {arguments:?}: {}",
                self.name,
                output["checks"]
            );
            tokio::time::sleep(PAUSE).await;
        };
        for step in steps
            .as_array()
            .unwrap()
            .iter()
            .filter(|step| step["done"] == false)
        {
            for command in step["commands"].as_array().unwrap() {
                self.type_all(command.as_str().unwrap(), &[], None).await;
            }
        }
    }

    /// Types one command.
    pub(super) async fn type_one(&self, arguments: &[String], more: Option<&Path>) {
        let all: Vec<&str> = arguments
            .iter()
            .map(|argument| {
                if argument == "TEXT" {
                    "looked at it"
                } else {
                    argument
                }
            })
            .collect();
        match all[..] {
            ["tachi", ref rest @ ..] => self.tachi(rest, more),
            ["openstack", ref rest @ ..] => self.openstack(rest).await,
            ["systemctl", "start", "masakari-engine"] => self.start_engine(),
            // It shows why the monitor does not run.
            ["systemctl", "status", unit] => {
                let units = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd");
                assert!(
                    Path::new(units).join(format!("{unit}.service")).exists(),
                    "{unit}"
                );
            }
            _ => panic!("{}: an unknown command is printed: {all:?}", self.name),
        }
    }

    fn tachi(&self, arguments: &[&str], more: Option<&Path>) {
        let (code, output, note) = self.run(arguments, more);
        let needs_yes = note.contains("without confirmation: add --yes");
        let (code, output, note) = if needs_yes || note.contains("--reason: write why") {
            // The operator answers at the terminal.
            let mut arguments = arguments.to_vec();
            arguments.push("--yes");
            if !arguments.contains(&"--reason") {
                arguments.extend(["--reason", "looked at it"]);
            }
            self.run(&arguments, more)
        } else {
            (code, output, note)
        };
        // Exit code 1 of a check is its result.
        assert!(
            code == 0 || (code == 1 && arguments[0] == "fence"),
            "{}: {arguments:?}: {output}{note}",
            self.name
        );
    }

    async fn openstack(&self, arguments: &[&str]) {
        let region = self.harness.sandbox.region();
        match *arguments {
            ["compute", "service", "list"] => assert!(!region.hosts().is_empty()),
            ["compute", "service", "set", "--enable", host, "nova-compute"] => {
                region.operator().set_service(host, true, None).unwrap();
            }
            ["segment", "update", "--is_enabled", "True", segment] => {
                let id = self.segment_id(segment).await;
                let body = json!({"segment": {"enabled": true}});
                self.put(&format!("/segments/{id}"), &body).await;
            }
            ["segment", "update", "--recovery_method", method, segment] => {
                let id = self.segment_id(segment).await;
                let body = json!({"segment": {"recovery_method": method}});
                self.put(&format!("/segments/{id}"), &body).await;
            }
            ["segment", "host", "update", segment, host, "--reserved", "True"] => {
                let id = self.segment_id(segment).await;
                let body = json!({"host": {"reserved": true}});
                let host = self.host_id(id, host).await;
                self.put(&format!("/segments/{id}/hosts/{host}"), &body).await;
            }
            [
                "segment",
                "host",
                "update",
                "--on_maintenance",
                "False",
                segment,
                host,
            ]
            | [
                "segment",
                "host",
                "update",
                segment,
                host,
                "--on_maintenance",
                "False",
            ] => {
                let id = self.segment_id(segment).await;
                let body = json!({"host": {"on_maintenance": false}});
                let host = self.host_id(id, host).await;
                self.put(&format!("/segments/{id}/hosts/{host}"), &body).await;
            }
            _ => panic!(
                "{}: an unknown command is printed: openstack {arguments:?}",
                self.name
            ),
        }
    }

    /// Edits an option of a configuration file, as `[group] name = value`.
    fn set(&self, edit: &str, more: Option<&Path>) {
        // The host's own file: a monitor reads it and sends its value.
        if edit.starts_with("resume_guests_state_on_host_boot = false in its nova.conf") {
            return;
        }
        let (group, option) = edit.split_once(' ').unwrap();
        let option = option.replace(
            "FILE",
            self.harness.folder.path().join("good.toml").to_str().unwrap(),
        );
        let conf = self.harness.conf();
        let file = more.unwrap_or(&conf);
        let (name, _) = option.split_once(" = ").unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        let kept = text
            .lines()
            .filter(|line| !line.starts_with(&format!("{name} =")));
        let kept = kept.collect::<Vec<_>>().join("\n");
        std::fs::write(file, format!("{kept}\n{group}\n{option}\n")).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Types the command that is listed for instances that wait for an operator, the one with these parts.
    pub(super) fn choose(&self, parts: &[&str]) {
        let (code, output, note) = self.run(&["instance", "list", "--waiting", "-f", "json"], None);
        assert_eq!(code, 0, "{note}");
        let output: Value = serde_json::from_str(&output).unwrap();
        let rows = output.as_array().unwrap().iter();
        let commands = rows.flat_map(|row| row["commands"].as_array().unwrap());
        let commands: Vec<&str> = commands.map(|one| one.as_str().unwrap()).collect();
        let has = |line: &&&str| parts.iter().all(|part| line.contains(part));
        let line = commands.iter().find(has);
        let line = line.unwrap_or_else(|| panic!("no {parts:?} in {commands:?}"));
        let arguments = arguments(line);
        let arguments: Vec<&str> = arguments[1..].iter().map(String::as_str).collect();
        self.tachi(&arguments, None);
    }
}

/// True if the simulated host runs the instance.
pub(super) fn runs_on(region: &Region, server: Uuid, host: &str) -> bool {
    region
        .runs(server)
        .iter()
        .any(|run| &*run.host == host && run.to.is_none())
}

/// A test that another one refers to by its name is one of these.
#[test]
fn each_test_that_covers_a_remedy_exists() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/blackbox");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let sources = files.filter(|path| path.extension().is_some_and(|suffix| suffix == "rs"));
    let sources: Vec<String> = sources
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for code in FindingCode::ALL {
        if let CoveredBy(name) = remedy(*code) {
            let test = format!("fn {name}() {{");
            assert!(sources.iter().any(|text| text.contains(&test)), "{code}: {name}");
        }
    }
}
