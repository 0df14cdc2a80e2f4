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

/// True if `seen` is the daemon `name`, and alive.
pub(super) fn matches(name: &str, seen: &ProcessInfo) -> bool {
    !matches!(seen.state, 'Z' | 'X' | 'x') && means(name, seen)
}

fn means(name: &str, seen: &ProcessInfo) -> bool {
    let mut wanted = name.split_whitespace();
    let Some(program) = wanted.next() else {
        return false;
    };
    // Arguments in the name must follow the program.
    let arguments: Vec<&str> = wanted.collect();
    programs(seen).into_iter().any(|(path, rest)| {
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
fn programs(seen: &ProcessInfo) -> Vec<(&str, &[String])> {
    let (first, rest) = match seen.command.split_first() {
        Some((first, rest)) => (first.as_str(), rest),
        None => ("", &[][..]),
    };
    let mut programs = Vec::new();
    if let Some(exe) = seen.exe.as_deref().and_then(|exe| exe.to_str()) {
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
fn same(wanted: &str, path: &str) -> bool {
    if wanted.contains('/') {
        wanted == path || (!path.contains('/') && base(wanted) == path)
    } else {
        wanted == base(path)
    }
}

/// Returns the machine's processes that match `name`, the oldest first. Processes that end meanwhile are omitted.
pub(super) fn find(name: &str) -> Result<Vec<ProcessInfo>, procfs::ProcError> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found: Vec<ProcessInfo> = procfs::process::all_processes()?
        .filter_map(Result::ok)
        .filter(|process| process.pid != own)
        .filter_map(|process| read_process(&process))
        .filter(|seen| matches(name, seen))
        .collect();
    found.sort_by_key(|seen| (seen.started, seen.pid));
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

    fn seen(exe: Option<&str>, command: &[&str]) -> ProcessInfo {
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
                seen(Some("/usr/sbin/libvirtd"), &["/usr/sbin/libvirtd", "-d"]),
                true,
            ),
            (
                "by path",
                "/usr/sbin/libvirtd",
                seen(None, &["/usr/sbin/libvirtd"]),
                true,
            ),
            (
                "another path",
                "/usr/bin/libvirtd",
                seen(None, &["/usr/sbin/libvirtd"]),
                false,
            ),
            ("a script", "nova-compute", seen(Some(python), &nova), true),
            (
                "a script by path",
                "/usr/bin/nova-compute",
                seen(None, &nova),
                true,
            ),
            (
                "a script behind options",
                "x",
                seen(None, &["python3", "-u", "-s", "/opt/x"]),
                true,
            ),
            (
                "an argument in the name",
                "nova-compute --config-file",
                seen(None, &nova),
                true,
            ),
            (
                "another argument in the name",
                "nova-compute --debug",
                seen(None, &nova),
                false,
            ),
            (
                "a title",
                "nova-compute",
                seen(None, &["nova-compute: worker"]),
                true,
            ),
            (
                "deleted by an upgrade",
                "/usr/sbin/libvirtd",
                seen(Some("/usr/sbin/libvirtd (deleted)"), &["x"]),
                true,
            ),
            (
                "an editor",
                "nova-compute",
                seen(Some("/usr/bin/vim"), &["vim", "/usr/bin/nova-compute"]),
                false,
            ),
            (
                "a pager without exe",
                "nova-compute",
                seen(None, &["less", "/var/log/nova-compute"]),
                false,
            ),
            (
                "grep",
                "nova-compute",
                seen(None, &["grep", "nova-compute"]),
                false,
            ),
            ("a part of a name", "nova", seen(None, &nova), false),
            ("an argument of a script", "nova.conf", seen(None, &nova), false),
            (
                "the log of the name",
                "nova-compute",
                seen(None, &["tail", "-f", "nova-compute"]),
                false,
            ),
            ("a kernel thread", "nova-compute", seen(None, &[]), false),
        ];
        for (case, name, seen, expected) in cases {
            assert_eq!(matches(name, &seen), expected, "{case}");
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
            let mut seen = seen(None, &["libvirtd"]);
            seen.state = state;
            assert_eq!(matches("libvirtd", &seen), expected, "{state}");
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
            let _ = matches(&name, &seen(None, &command));
            let _ = matches(&name, &seen(Some("/usr/bin/python3"), &command));
        }
    }
}
