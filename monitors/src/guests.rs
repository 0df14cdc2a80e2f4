//! The guests' state at the boot of this host: the setting `resume_guests_state_on_host_boot` of its nova-compute.
//!
//! A host that was fenced and whose instances run elsewhere must not start them again. The files that nova-compute
//! reads follow from its command line; an unreadable setting is unknown, and never taken for safe.

use std::path::{Path, PathBuf};

use procfs::process::Process;
use tachi_config::{ConfigSource, Ini, KnownOptions, Reader};

use crate::process::{StartedProcess, running};

const OPTION: &str = "resume_guests_state_on_host_boot";
const PROGRAM: &str = "nova-compute";

/// A process that always exists, and belongs to another user.
const FIRST: &str = "/proc/1";

/// oslo.config's search path for a Nova service without a file argument; its user's home is the same on all
/// distributions.
const FOLDERS: [&str; 4] = ["var/lib/nova/.nova", "var/lib/nova", "etc/nova", "etc"];
/// The names of configuration files: the project's and the program's. All existing ones are read.
const NAMES: [&str; 2] = ["nova", PROGRAM];

/// The value of the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resume {
    Yes,
    No,
    Unknown,
}

impl Resume {
    /// Returns the API's name of the value.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// The finding, with its source or the reason why it is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guests {
    pub(crate) resume: Resume,
    pub(crate) by: String,
}

impl Guests {
    fn unknown(why: impl Into<String>) -> Self {
        Self {
            resume: Resume::Unknown,
            by: why.into(),
        }
    }
}

/// Reads the setting; `None` if no nova-compute can be seen. Reads files of other processes, which may take a while.
pub(crate) fn read_guests(named: &[PathBuf]) -> Option<Guests> {
    if !named.is_empty() {
        let files: Vec<ConfigSource> = named.iter().cloned().map(ConfigSource::File).collect();
        return Some(read(&files));
    }
    // A monitor that cannot see other users' processes (ProtectProc=) does not know the files of nova-compute. It reports nothing, so that
    // a monitor that sees them reports.
    if !Path::new(FIRST).exists() {
        return None;
    }
    match running(PROGRAM) {
        Ok(found) => of(found.first(), Path::new("/")),
        Err(error) => Some(Guests::unknown(format!("searching for {PROGRAM}: {error}"))),
    }
}

fn of(compute: Option<&StartedProcess>, root: &Path) -> Option<Guests> {
    let Some(compute) = compute else {
        let there = searched(root);
        return (!there.is_empty()).then(|| read(&there));
    };
    if !is_in_our_tree(compute.pid) {
        return Some(Guests::unknown(format!(
            "its {PROGRAM} runs in a container: name the files that it reads in [monitor] nova_config_files"
        )));
    }
    let sources = given(&compute.command, root);
    if sources.is_empty() {
        return Some(Guests::unknown(format!(
            "found none of the files that its {PROGRAM} reads: name them in [monitor] nova_config_files"
        )));
    }
    Some(read(&sources))
}

/// True if a path means the same file to that process. If this cannot be determined, the result is false.
fn is_in_our_tree(pid: i32) -> bool {
    let root = |process: Result<Process, procfs::ProcError>| {
        let mounts = process.and_then(|process| process.mountinfo()).ok()?;
        let root = mounts
            .into_iter()
            .rfind(|mount| mount.mount_point == Path::new("/"))?;
        Some((root.majmin, root.root))
    };
    let theirs = root(Process::new(pid));
    theirs.is_some() && theirs == root(Process::myself())
}

/// Returns the files and folders that nova-compute reads, in the order of `_parse_config_files` of oslo.config: those of the search path that
/// the command line does not replace, then those of the command line as they are written there.
fn given(command: &[String], root: &Path) -> Vec<ConfigSource> {
    let mut named = Vec::new();
    let mut arguments = command.iter();
    while let Some(argument) = arguments.next() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let source = match flag {
            "--config-file" => ConfigSource::File,
            "--config-dir" => ConfigSource::Folder,
            _ => continue,
        };
        named.extend(
            value
                .or_else(|| arguments.next().cloned())
                .map(|path| source(path.into())),
        );
    }
    let is_file = |source: &ConfigSource| matches!(source, ConfigSource::File(_));
    let mut all = searched(root);
    all.retain(|found| !named.iter().any(|one| is_file(one) == is_file(found)));
    all.extend(named);
    all
}

/// Returns the first existing file of each name, and then the first folder, as oslo.config does.
fn searched(root: &Path) -> Vec<ConfigSource> {
    let first = |end: &'static str| {
        NAMES.iter().filter_map(move |name| {
            let name = format!("{name}{end}");
            let mut places = FOLDERS.iter().map(|folder| root.join(folder).join(&name));
            places.find(|path| path.exists())
        })
    };
    let files = first(".conf").map(ConfigSource::File);
    files.chain(first(".conf.d").map(ConfigSource::Folder)).collect()
}

/// Reads the setting by the rules of oslo.config. If it is missing, Nova's default applies: guests are not resumed.
fn read(sources: &[ConfigSource]) -> Guests {
    let known = KnownOptions::default();
    let ini = match Ini::load_in_order(sources) {
        Ok(ini) => ini,
        Err(errors) => return Guests::unknown(line(&errors.to_string())),
    };
    let mut reader = Reader::new(&ini, &known);
    let resume = reader.bool("DEFAULT", OPTION).default(false).get();
    let report = match reader.finish() {
        Ok(report) => report,
        Err(errors) => return Guests::unknown(line(&errors.to_string())),
    };
    let origin = report.effective.into_iter().find(|one| one.option == OPTION);
    let by = match origin.map(|one| one.origin) {
        Some(origin @ tachi_config::Origin::File { .. }) => origin.to_string(),
        _ => format!("{OPTION} is not set in {}", names(sources)),
    };
    let resume = if resume { Resume::Yes } else { Resume::No };
    Guests { resume, by }
}

fn names(sources: &[ConfigSource]) -> String {
    let all: Vec<String> = sources
        .iter()
        .map(|source| source.path().display().to_string())
        .collect();
    all.join(", ")
}

fn line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
