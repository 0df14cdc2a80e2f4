//! Identification of a daemon among the machine's processes.
//!
//! A process is identified by its program, not by any text on its command line: an editor with the file open, a
//! `grep` for the name, or a zombie are not the daemon.

use std::path::PathBuf;

/// The known properties of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProcessInfo {
    pub(super) pid: i32,
    /// The start time, in ticks since boot: together with the pid it identifies a process for good.
    pub(super) started: u64,
    /// The state in `/proc`: `R`, `S`, `D`, `Z` and so on.
    pub(super) state: char,
    /// The path of the program, if readable.
    pub(super) exe: Option<PathBuf>,
    pub(super) command: Vec<String>,
}

/// Interpreters: the daemon is their first argument that is not an option.
const INTERPRETERS: [&str; 9] = [
    "python", "perl", "ruby", "bash", "sh", "dash", "node", "php", "java",
];

/// True if `process` is the daemon `name`, and alive.
pub(super) fn matches(name: &str, process: &ProcessInfo) -> bool {
    !matches!(process.state, 'Z' | 'X' | 'x') && means(name, process)
}

fn means(name: &str, process: &ProcessInfo) -> bool {
    let mut expected = name.split_whitespace();
    let Some(program) = expected.next() else {
        return false;
    };
    // Arguments in the name must follow the program.
    let arguments: Vec<&str> = expected.collect();
    programs(process).into_iter().any(|(path, rest)| {
        same(program, path)
            && (arguments.is_empty()
                || rest
                    .iter()
                    .map(String::as_str)
                    .take(arguments.len())
                    .eq(arguments.iter().copied()))
    })
}

/// Returns the programs of a process, as paths, each with the arguments that follow.
fn programs(process: &ProcessInfo) -> Vec<(&str, &[String])> {
    let (first, rest) = match process.command.split_first() {
        Some((first, rest)) => (first.as_str(), rest),
        None => ("", &[][..]),
    };
    let mut programs = Vec::new();
    if let Some(exe) = process.exe.as_deref().and_then(|exe| exe.to_str()) {
        programs.push((exe.trim_end_matches(" (deleted)"), rest));
    }
    // A daemon may replace its arguments by a title: `nova-compute: worker`.
    let title = first.split([' ', ':']).next().unwrap_or_default();
    programs.push((if first.starts_with('/') { first } else { title }, rest));
    let interpreter = programs.iter().any(|(path, _)| is_interpreter(path));
    if interpreter && let Some(at) = rest.iter().position(|argument| !argument.starts_with('-')) {
        let (script, behind) = rest.split_at(at + 1);
        if let Some(script) = script.last() {
            programs.push((script, behind));
        }
    }
    programs
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// True for an interpreter: `python3.11` is one, `pythonic` is not.
fn is_interpreter(path: &str) -> bool {
    let name = base(path).trim_start_matches('-');
    INTERPRETERS.iter().any(|interpreter| {
        name.strip_prefix(interpreter)
            .is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
    })
}

/// True if a path is the wanted program. A wanted path matches itself or its bare name; a wanted name matches any
/// program of that name.
fn same(expected: &str, path: &str) -> bool {
    if expected.contains('/') {
        expected == path || (!path.contains('/') && base(expected) == path)
    } else {
        expected == base(path)
    }
}

/// Returns the machine's processes that match `name`, the oldest first. Processes that end meanwhile are omitted.
pub(super) fn find(name: &str) -> Result<Vec<ProcessInfo>, procfs::ProcError> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found: Vec<ProcessInfo> = procfs::process::all_processes()?
        .filter_map(Result::ok)
        .filter(|process| process.pid != own)
        .filter_map(|process| read_process(&process))
        .filter(|process| matches(name, process))
        .collect();
    found.sort_by_key(|process| (process.started, process.pid));
    Ok(found)
}

/// Reads this process again.
pub(super) fn reread(pid: i32) -> Option<ProcessInfo> {
    read_process(&procfs::process::Process::new(pid).ok()?)
}

fn read_process(process: &procfs::process::Process) -> Option<ProcessInfo> {
    let stat = process.stat().ok()?;
    Some(ProcessInfo {
        pid: process.pid,
        started: stat.starttime,
        state: stat.state,
        // For other users' processes, only root can read it.
        exe: process.exe().ok(),
        command: process.cmdline().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(exe: Option<&str>, command: &[&str]) -> ProcessInfo {
        ProcessInfo {
            pid: 1,
            started: 1,
            state: 'S',
            exe: exe.map(PathBuf::from),
            command: command.iter().map(|argument| (*argument).to_owned()).collect(),
        }
    }

    /// Covers MW17.
    #[test]
    fn a_process_is_known_by_its_program() {
        let python = "/usr/bin/python3.11";
        let nova = [
            python,
            "/usr/bin/nova-compute",
            "--config-file",
            "/etc/nova/nova.conf",
        ];
        let cases = [
            (
                "by name",
                "libvirtd",
                process(Some("/usr/sbin/libvirtd"), &["/usr/sbin/libvirtd", "-d"]),
                true,
            ),
            (
                "by path",
                "/usr/sbin/libvirtd",
                process(None, &["/usr/sbin/libvirtd"]),
                true,
            ),
            (
                "another path",
                "/usr/bin/libvirtd",
                process(None, &["/usr/sbin/libvirtd"]),
                false,
            ),
            ("a script", "nova-compute", process(Some(python), &nova), true),
            (
                "a script by path",
                "/usr/bin/nova-compute",
                process(None, &nova),
                true,
            ),
            (
                "a script behind options",
                "x",
                process(None, &["python3", "-u", "-s", "/opt/x"]),
                true,
            ),
            (
                "an argument in the name",
                "nova-compute --config-file",
                process(None, &nova),
                true,
            ),
            (
                "another argument in the name",
                "nova-compute --debug",
                process(None, &nova),
                false,
            ),
            (
                "a title",
                "nova-compute",
                process(None, &["nova-compute: worker"]),
                true,
            ),
            (
                "deleted by an upgrade",
                "/usr/sbin/libvirtd",
                process(Some("/usr/sbin/libvirtd (deleted)"), &["x"]),
                true,
            ),
            (
                "an editor",
                "nova-compute",
                process(Some("/usr/bin/vim"), &["vim", "/usr/bin/nova-compute"]),
                false,
            ),
            (
                "a pager without exe",
                "nova-compute",
                process(None, &["less", "/var/log/nova-compute"]),
                false,
            ),
            (
                "grep",
                "nova-compute",
                process(None, &["grep", "nova-compute"]),
                false,
            ),
            ("a part of a name", "nova", process(None, &nova), false),
            (
                "an argument of a script",
                "nova.conf",
                process(None, &nova),
                false,
            ),
            (
                "the log of the name",
                "nova-compute",
                process(None, &["tail", "-f", "nova-compute"]),
                false,
            ),
            ("a kernel thread", "nova-compute", process(None, &[]), false),
        ];
        for (case, name, process, expected) in cases {
            assert_eq!(matches(name, &process), expected, "{case}");
        }
    }

    /// Covers MW17.
    #[test]
    fn a_zombie_is_not_alive() {
        for (state, expected) in [
            ('S', true),
            ('R', true),
            ('D', true),
            ('T', true),
            ('Z', false),
            ('X', false),
        ] {
            let mut process = process(None, &["libvirtd"]);
            process.state = state;
            assert_eq!(matches("libvirtd", &process), expected, "{state}");
        }
    }

    #[test]
    fn processes_of_this_machine_are_found_without_ourselves() {
        let own = reread(i32::try_from(std::process::id()).unwrap()).unwrap();
        let exe = own.exe.unwrap();
        let others = find(exe.to_str().unwrap()).unwrap();
        assert!(others.iter().all(|other| other.pid != own.pid));
    }

    proptest::proptest! {
        #[test]
        fn nothing_a_process_calls_itself_panics(name in "\\PC{0,12}", command in proptest::collection::vec("\\PC{0,12}", 0..4)) {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            let _ = matches(&name, &process(None, &command));
            let _ = matches(&name, &process(Some("/usr/bin/python3"), &command));
        }
    }
}
