//! The guests' state at the boot of this host: the setting `resume_guests_state_on_host_boot` of its nova-compute.
//!
//! A host that was fenced and whose instances run elsewhere must not start them again. The files that nova-compute
//! reads follow from its command line; an unreadable setting is unknown, and never taken for safe.

use std::path::{Path, PathBuf};

use procfs::process::Process;
use tachi_config::{Ini, KnownOptions, Reader};

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
    pub(crate) const fn word(self) -> &'static str {
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
pub(crate) fn look(named: &[PathBuf]) -> Option<Guests> {
    if !named.is_empty() {
        return Some(read(&Sources {
            files: named.to_vec(),
            folders: Vec::new(),
        }));
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
        let there = Sources::searched(root);
        return (!there.is_empty()).then(|| read(&there));
    };
    if !is_in_our_tree(compute.pid) {
        return Some(Guests::unknown(format!(
            "its {PROGRAM} runs in a container: name the files that it reads in [monitor] nova_config_files"
        )));
    }
    let given = Sources::given(&compute.command, root);
    if given.is_empty() {
        return Some(Guests::unknown(format!(
            "found none of the files that its {PROGRAM} reads: name them in [monitor] nova_config_files"
        )));
    }
    Some(read(&given))
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

/// The files of a configuration, in the order in which they are read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sources {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Sources {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty()
    }

    /// Returns the files and folders of the command line; where it names none, those of the search path.
    fn given(command: &[String], root: &Path) -> Self {
        let mut given = Self::default();
        let mut words = command.iter();
        while let Some(word) = words.next() {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let list = match flag {
                "--config-file" => &mut given.files,
                "--config-dir" => &mut given.folders,
                _ => continue,
            };
            list.extend(value.or_else(|| words.next().cloned()).map(PathBuf::from));
        }
        let searched = Self::searched(root);
        if given.files.is_empty() {
            given.files = searched.files;
        }
        if given.folders.is_empty() {
            given.folders = searched.folders;
        }
        given
    }

    /// Returns the first existing file of each name, as oslo.config does.
    fn searched(root: &Path) -> Self {
        let first = |end: &str| {
            let places = |name: &str| {
                let name = format!("{name}{end}");
                FOLDERS.iter().map(move |folder| root.join(folder).join(&name))
            };
            NAMES
                .iter()
                .filter_map(|name| places(name).find(|path| path.exists()))
                .collect()
        };
        Self {
            files: first(".conf"),
            folders: first(".conf.d"),
        }
    }
}

/// Reads the setting by the rules of oslo.config. If it is missing, Nova's default applies: guests are not resumed.
fn read(sources: &Sources) -> Guests {
    let known = KnownOptions::default();
    let ini = match Ini::load(&sources.files, &sources.folders, &[]) {
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

fn names(sources: &Sources) -> String {
    let all = sources.files.iter().chain(&sources.folders);
    let all: Vec<String> = all.map(|path| path.display().to_string()).collect();
    all.join(", ")
}

fn line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Self(folder)
        }

        fn at(&self, path: &str) -> String {
            self.0.path().join(path).display().to_string()
        }

        /// Reads the setting of a nova-compute that was started with these words; its paths begin at this machine's
        /// root.
        fn resume_of(&self, words: &[&str]) -> (Resume, String) {
            let word = |word: &&str| word.replace("@/", &format!("{}/", self.0.path().display()));
            let compute = StartedProcess {
                pid: i32::try_from(std::process::id()).unwrap(),
                command: words.iter().map(word).collect(),
            };
            let found = of(Some(&compute), self.0.path()).unwrap();
            (
                found.resume,
                found.by.replace(&format!("{}/", self.0.path().display()), ""),
            )
        }
    }

    const TRUE: &str = "[DEFAULT]\nresume_guests_state_on_host_boot = True\n";
    const FALSE: &str = "[DEFAULT]\n\nresume_guests_state_on_host_boot = off\n";

    #[test]
    fn it_is_read_where_nova_compute_reads_it() {
        let machine = Machine::new(&[
            ("etc/nova/nova.conf", TRUE),
            ("etc/nova/nova-compute.conf", "[libvirt]\nvirt_type = kvm\n"),
            ("etc/nova/compute.d/10-ha.conf", FALSE),
            (
                "opt/other.conf",
                "[DEFAULT]\ndebug = true\n[nova]\nresume_guests_state_on_host_boot = true\n",
            ),
        ]);
        let (yes, no) = (Resume::Yes, Resume::No);
        for (words, resume, by) in [
            (&["nova-compute"][..], yes, "etc/nova/nova.conf:2"),
            (
                &[
                    "/usr/bin/python3",
                    "/usr/bin/nova-compute",
                    "--config-file=@/etc/nova/nova.conf",
                    "--config-file",
                    "@/opt/other.conf",
                ],
                yes,
                "etc/nova/nova.conf:2",
            ),
            (
                &["nova-compute", "--config-file", "@/opt/other.conf"],
                no,
                "resume_guests_state_on_host_boot is not set in opt/other.conf",
            ),
            (
                &[
                    "nova-compute",
                    "--config-dir",
                    "@/etc/nova/compute.d",
                    "--log-file",
                    "/var/log/a.log",
                ],
                no,
                "etc/nova/compute.d/10-ha.conf:3",
            ),
        ] {
            assert_eq!(machine.resume_of(words), (resume, by.to_owned()), "{words:?}");
        }
        // A folder beside the file is searched for too.
        let machine = Machine::new(&[
            ("etc/nova/nova.conf", FALSE),
            ("etc/nova/nova.conf.d/x.conf", TRUE),
        ]);
        assert_eq!(
            machine.resume_of(&["nova-compute"]),
            (yes, "etc/nova/nova.conf.d/x.conf:2".to_owned())
        );
    }

    #[test]
    fn booleans_are_those_of_oslo_and_what_is_none_is_not_known() {
        for (text, resume) in [
            ("true", Resume::Yes),
            ("TRUE", Resume::Yes),
            ("1", Resume::Yes),
            ("on", Resume::Yes),
            ("Yes", Resume::Yes),
            ("false", Resume::No),
            ("0", Resume::No),
            ("OFF", Resume::No),
            ("no", Resume::No),
            ("maybe", Resume::Unknown),
            ("", Resume::Unknown),
        ] {
            let text = format!("[DEFAULT]\nresume_guests_state_on_host_boot = {text}\n");
            let machine = Machine::new(&[("etc/nova/nova.conf", &text)]);
            assert_eq!(machine.resume_of(&["nova-compute"]).0, resume, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_known_and_says_why() {
        let machine = Machine::new(&[("etc/nova/broken.conf", "nonsense\n")]);
        for (file, part) in [
            ("gone.conf", "gone.conf: cannot be read"),
            ("broken.conf", "broken.conf:1"),
        ] {
            let file = format!("--config-file=@/etc/nova/{file}");
            let (resume, by) = machine.resume_of(&["nova-compute", &file]);
            assert_eq!(resume, Resume::Unknown);
            assert!(by.contains(part), "{by}");
        }
        let named = [PathBuf::from(machine.at("gone.conf"))];
        assert_eq!(look(&named).unwrap().resume, Resume::Unknown);
    }

    #[test]
    fn a_machine_without_nova_says_nothing_and_one_whose_nova_compute_is_stopped_what_its_files_say() {
        let bare = Machine::new(&[]);
        assert_eq!(of(None, bare.0.path()), None);
        let (resume, by) = bare.resume_of(&["nova-compute"]);
        assert!(
            resume == Resume::Unknown && by.contains("nova_config_files"),
            "{by}"
        );
        let stopped = Machine::new(&[("etc/nova/nova.conf", TRUE)]);
        assert_eq!(of(None, stopped.0.path()).unwrap().resume, Resume::Yes);
    }

    #[test]
    fn paths_mean_the_same_to_a_process_of_this_machine() {
        assert!(is_in_our_tree(i32::try_from(std::process::id()).unwrap()));
        assert!(!is_in_our_tree(i32::MAX), "there is none");
    }
}
