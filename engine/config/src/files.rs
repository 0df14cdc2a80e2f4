//! The configuration files to read, and their order.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    error::{ConfigError, ConfigErrors},
    ini::Ini,
};

/// Maximum size of a file, in bytes. It is far above any real configuration, and prevents `--config-file /dev/zero` from
/// filling the memory.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Returns the default configuration files; the first that exists is read.
pub fn default_search() -> [PathBuf; 2] {
    ["/etc/tachi/tachi.conf", "/etc/masakari/masakari.conf"].map(PathBuf::from)
}

/// Files that oslo.config reads after `masakari.conf` or `masakarimonitors.conf` where it searches for them itself: one
/// for each program of Masakari.
const PROGRAM_FILES: [&str; 6] = [
    "masakari-api.conf",
    "masakari-engine.conf",
    "masakari-hostmonitor.conf",
    "masakari-instancemonitor.conf",
    "masakari-introspectiveinstancemonitor.conf",
    "masakari-processmonitor.conf",
];

/// Returns the folders that a program of Masakari reads where none is named: the first `PROJECT.conf.d` and the first
/// `PROGRAM.conf.d` in the places that oslo.config searches.
pub fn default_folders(project: &str, program: &str) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home
        .into_iter()
        .flat_map(|home| [home.join(format!(".{project}")), home]);
    let etc = [Path::new("/etc").join(project), PathBuf::from("/etc")];
    folders_in(&home.chain(etc).collect::<Vec<_>>(), project, program)
}

fn folders_in(places: &[PathBuf], project: &str, program: &str) -> Vec<PathBuf> {
    let first = |name: &str| {
        let mut all = places.iter().map(|place| place.join(format!("{name}.conf.d")));
        all.find(|path| path.is_dir())
    };
    [project, program].into_iter().filter_map(first).collect()
}

/// A file or a folder of configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigSource {
    File(PathBuf),
    /// A folder, of which the `*.conf` are read by name.
    Folder(PathBuf),
}

impl ConfigSource {
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Folder(path) => path,
        }
    }
}

impl Ini {
    /// Reads the sources in their order; later values win.
    ///
    /// # Errors
    ///
    /// All files that cannot be read or are not INI files, in one error.
    pub fn load_in_order(sources: &[ConfigSource]) -> Result<Self, ConfigErrors> {
        let mut ini = Self::default();
        let mut problems = Vec::new();
        for source in sources {
            add(&mut ini, source, &mut problems);
        }
        ConfigErrors::check(problems)?;
        Ok(ini)
    }

    /// Reads what a command line names, in the order in which it is written there; later values win.
    ///
    /// First reads what the command line does not replace, in oslo.config's way: without a named file the first file of
    /// `search` that exists, and without a named folder the one of that file's name plus `.d`, or, with a named file,
    /// each of `default_folders` that exists. It is no error if none exists: every option has a default.
    ///
    /// # Errors
    ///
    /// All files that cannot be read or are not INI files, in one error. So are files and folders of one program of
    /// Masakari beside a file that was found: one process has several of these programs' options here.
    pub fn load(
        named: &[ConfigSource],
        search: &[PathBuf],
        default_folders: &[PathBuf],
    ) -> Result<Self, ConfigErrors> {
        let mut ini = Self::default();
        let mut problems = Vec::new();
        let is_file = |source: &ConfigSource| matches!(source, ConfigSource::File(_));
        let names_file = named.iter().any(is_file);
        let names_folder = named.iter().any(|source| !is_file(source));
        let found = search.iter().find(|path| path.exists()).filter(|_| !names_file);
        let masakari = |path: &&PathBuf| {
            let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes);
            name.is_some_and(|name| name.starts_with(b"masakari"))
        };
        let of_programs = PROGRAM_FILES
            .iter()
            .flat_map(|name| [(*name).to_owned(), format!("{name}.d")]);
        for path in found
            .filter(masakari)
            .into_iter()
            .flat_map(|path| of_programs.clone().map(|name| path.with_file_name(name)))
            .filter(|path| path.exists())
        {
            problems.push(ConfigError::Content {
                path,
                line: 1,
                why: "Masakari read this, and Tachi does not".to_owned(),
                help: "move its options into the file beside it, or name all files with --config-file",
            });
        }
        let mut first: Vec<_> = found.cloned().map(ConfigSource::File).into_iter().collect();
        if !names_folder {
            let beside = found.map(|path| {
                let mut name = path.clone().into_os_string();
                name.push(".d");
                PathBuf::from(name)
            });
            let defaults = default_folders.iter().filter(|_| names_file).cloned();
            let folders = beside.into_iter().chain(defaults);
            first.extend(folders.filter(|path| path.is_dir()).map(ConfigSource::Folder));
        }
        for source in first.iter().chain(named) {
            add(&mut ini, source, &mut problems);
        }
        ConfigErrors::check(problems)?;
        Ok(ini)
    }
}

fn add(ini: &mut Ini, source: &ConfigSource, problems: &mut Vec<ConfigError>) {
    match source {
        ConfigSource::File(path) => add_file(ini, path, problems),
        ConfigSource::Folder(path) => add_folder(ini, path, problems),
    }
}

fn add_folder(ini: &mut Ini, folder: &Path, problems: &mut Vec<ConfigError>) {
    let listed = fs::read_dir(folder).and_then(|entries| {
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && path.extension().is_some_and(|extension| extension == "conf") {
                paths.push(path);
            }
        }
        Ok(paths)
    });
    match listed {
        Ok(mut paths) => {
            paths.sort_unstable();
            for path in paths {
                add_file(ini, &path, problems);
            }
        }
        Err(source) => problems.push(unreadable(folder, source)),
    }
}

fn add_file(ini: &mut Ini, path: &Path, problems: &mut Vec<ConfigError>) {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(source) => problems.push(unreadable(path, source)),
        Ok(length) if u64::try_from(length).is_ok_and(|length| length > MAX_FILE_BYTES) => {
            problems.push(ConfigError::Content {
                path: path.to_owned(),
                line: 1,
                why: format!("longer than {MAX_FILE_BYTES} bytes"),
                help: "name a configuration file",
            });
        }
        Ok(_) => match std::str::from_utf8(&bytes) {
            Ok(text) => ini.add_text(&path.to_string_lossy(), text, problems),
            Err(error) => problems.push(not_utf8(path, &bytes, error.valid_up_to())),
        },
    }
}

fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> ConfigError {
    let line = bytes.iter().take(at).filter(|&&byte| byte == b'\n').count() + 1;
    let byte = bytes.get(at).copied().unwrap_or_default();
    ConfigError::Content {
        path: path.to_owned(),
        line,
        why: format!("byte 0x{byte:02x} is not UTF-8"),
        help: "save the file as UTF-8",
    }
}

fn unreadable(path: &Path, source: io::Error) -> ConfigError {
    let help = if source.kind() == io::ErrorKind::PermissionDenied {
        "let the service's user or group read it"
    } else {
        "correct the path, or leave it out to use the defaults"
    };
    ConfigError::Read {
        path: path.to_owned(),
        help,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(files: &[(&str, &[u8])]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(folder)
        }
        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }
        fn value(&self, ini: &Ini) -> Option<String> {
            ini.find(&[("DEFAULT".to_owned(), "a".to_owned())])
                .map(|(_, value, origin)| {
                    format!("{value} {origin}").replace(&format!("{}/", self.0.path().display()), "")
                })
        }
    }

    fn numbered() -> Folder {
        Folder::new(&[
            ("1.conf", b"[DEFAULT]\na = 1\n"),
            ("2.conf", b"[DEFAULT]\na = 2\n"),
            ("d/20.conf", b"[DEFAULT]\na = 20\n"),
            ("d/10.conf", b"[DEFAULT]\n\na = 10\n"),
            ("d/.30.conf", b"[DEFAULT]\na = 30\n"),
            ("d/40.conf.bak", b"[DEFAULT]\na = 40\n"),
            ("1.conf.d/x.conf", b"[DEFAULT]\na = x\n"),
        ])
    }

    #[test]
    fn order_of_files() {
        let folder = numbered();
        let at = |names: &[&str]| names.iter().map(|name| folder.at(name)).collect::<Vec<_>>();
        let of = |files: &[&str], dirs: &[&str]| -> Vec<ConfigSource> {
            let files = at(files).into_iter().map(ConfigSource::File);
            files
                .chain(at(dirs).into_iter().map(ConfigSource::Folder))
                .collect()
        };
        for (name, files, dirs, search, expected) in [
            ("one", &["1.conf"][..], &[][..], &[][..], Some("1 1.conf:2")),
            ("later wins", &["1.conf", "2.conf"], &[], &[], Some("2 2.conf:2")),
            ("named twice", &["2.conf", "1.conf"], &[], &[], Some("1 1.conf:2")),
            (
                "directory wins, sorted",
                &["1.conf"],
                &["d"],
                &[],
                Some("20 d/20.conf:2"),
            ),
            (
                "search takes the first that exists",
                &[],
                &[],
                &["0.conf", "2.conf", "1.conf"],
                Some("2 2.conf:2"),
            ),
            (
                "search takes its directory along",
                &[],
                &[],
                &["1.conf"],
                Some("x 1.conf.d/x.conf:2"),
            ),
            (
                "a named directory replaces that",
                &[],
                &["d"],
                &["1.conf"],
                Some("20 d/20.conf:2"),
            ),
            (
                "a named file stops the search",
                &["2.conf"],
                &[],
                &["1.conf"],
                Some("2 2.conf:2"),
            ),
            ("nothing found", &[], &[], &["0.conf"], None),
        ] {
            let ini = Ini::load(&of(files, dirs), &at(search), &[]).unwrap();
            assert_eq!(folder.value(&ini).as_deref(), expected, "{name}");
        }
        let ini = Ini::load(&of(&[], &["d"]), &[], &[]).unwrap();
        assert_eq!(ini.files().collect::<Vec<_>>(), at(&["d/10.conf", "d/20.conf"]));
    }

    /// oslo.config reads what is named in the order of the command line, after the default folders.
    #[test]
    fn the_command_lines_order_decides_after_the_default_folders() {
        let folder = numbered();
        let file = || ConfigSource::File(folder.at("1.conf"));
        let dir = || ConfigSource::Folder(folder.at("d"));
        let defaults = [folder.at("gone.conf.d"), folder.at("1.conf.d")];
        for (name, named, expected) in [
            ("a file before a folder", vec![file(), dir()], "20 d/20.conf:2"),
            ("a folder before a file", vec![dir(), file()], "1 1.conf:2"),
            ("a file over a default folder", vec![file()], "1 1.conf:2"),
        ] {
            let ini = Ini::load(&named, &[folder.at("2.conf")], &defaults).unwrap();
            assert_eq!(folder.value(&ini).as_deref(), Some(expected), "{name}");
            let reads = ini.files().any(|path| *path == folder.at("1.conf.d/x.conf"));
            assert_eq!(
                reads,
                named.len() == 1,
                "{name}: a named folder replaces the default ones"
            );
        }
        let found = Ini::load(&[], &[folder.at("2.conf")], &defaults).unwrap();
        assert_eq!(folder.value(&found).as_deref(), Some("2 2.conf:2"));
    }

    #[test]
    fn the_first_default_folder_of_each_name_is_read() {
        let folder = Folder::new(&[
            ("home/masakari.conf.d/a.conf", b""),
            ("etc/masakari.conf.d/a.conf", b""),
            ("etc/masakari-engine.conf.d/a.conf", b""),
            ("etc/masakari-api.conf.d/a.conf", b""),
        ]);
        let places = ["home", "etc"].map(|name| folder.at(name));
        assert_eq!(
            folders_in(&places, "masakari", "masakari-engine"),
            ["home/masakari.conf.d", "etc/masakari-engine.conf.d"].map(|name| folder.at(name))
        );
    }

    #[test]
    fn a_folder_of_one_program_is_not_passed_over() {
        let folder = Folder::new(&[
            ("masakari.conf", b"[DEFAULT]\na = 1\n"),
            ("masakari-engine.conf.d/x.conf", b"[DEFAULT]\na = 2\n"),
        ]);
        let refused = Ini::load(&[], &[folder.at("masakari.conf")], &[]).unwrap_err();
        assert!(
            refused.to_string().contains("masakari-engine.conf.d"),
            "{refused}"
        );
    }

    #[test]
    fn a_file_of_one_program_is_not_passed_over() {
        let folder = Folder::new(&[
            ("masakari.conf", b"[DEFAULT]\na = 1\n"),
            ("masakari-engine.conf", b"[DEFAULT]\na = 2\n"),
            ("tachi.conf", b"[DEFAULT]\na = 3\n"),
        ]);
        let text = Ini::load(&[], &[folder.at("masakari.conf")], &[])
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("masakari-engine.conf") && text.contains("--config-file"),
            "{text}"
        );
        for (files, search) in [
            (
                vec![ConfigSource::File(folder.at("masakari.conf"))],
                vec![folder.at("masakari.conf")],
            ),
            (vec![], vec![folder.at("tachi.conf"), folder.at("masakari.conf")]),
        ] {
            assert!(Ini::load(&files, &search, &[]).is_ok(), "{files:?} {search:?}");
        }
    }

    #[test]
    fn all_bad_files_are_reported_at_once() {
        let folder = Folder::new(&[
            ("latin1.conf", b"[DEFAULT]\na = 1\nb = caf\xe9\n"),
            ("bad.conf", b"[DEFAULT]\nnonsense\n"),
        ]);
        let files = ["gone.conf", "latin1.conf", "bad.conf"].map(|name| ConfigSource::File(folder.at(name)));
        let mut named = files.to_vec();
        named.push(ConfigSource::Folder(folder.at("gone.d")));
        let text = Ini::load(&named, &[], &[]).unwrap_err().to_string();
        let text = text.replace(&format!("{}/", folder.0.path().display()), "");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[0].starts_with("gone.conf: cannot be read; correct the path"),
            "{text}"
        );
        assert!(
            lines[0].ends_with("No such file or directory (os error 2)"),
            "{text}"
        );
        assert_eq!(
            lines[1],
            "latin1.conf:3: byte 0xe9 is not UTF-8; save the file as UTF-8"
        );
        assert!(
            lines[2].starts_with("bad.conf:2: the line contains neither"),
            "{text}"
        );
        assert!(lines[3].starts_with("gone.d: cannot be read"), "{text}");
    }

    #[test]
    fn an_endless_file_is_refused() {
        let text = Ini::load(&[ConfigSource::File(PathBuf::from("/dev/zero"))], &[], &[])
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            "/dev/zero:1: longer than 4194304 bytes; name a configuration file"
        );
    }
}
