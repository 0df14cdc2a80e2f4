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
            match source {
                ConfigSource::File(path) => add_file(&mut ini, path, &mut problems),
                ConfigSource::Folder(path) => add_folder(&mut ini, path, &mut problems),
            }
        }
        ConfigErrors::check(problems)?;
        Ok(ini)
    }

    /// Reads `config_files` in their order, then each of `config_dirs` (its `*.conf` by name); later values win.
    ///
    /// Without `config_files` the first file of `search` that exists is read. Unless `config_dirs` are given, the
    /// directory of the same name plus `.d` is read too. It is no error if none exists: every option has a default.
    ///
    /// # Errors
    ///
    /// All files that cannot be read or are not INI files, in one error. So are files of one program of Masakari beside a
    /// file that was found: one process has several of these programs' options here.
    pub fn load(
        config_files: &[PathBuf],
        config_dirs: &[PathBuf],
        search: &[PathBuf],
    ) -> Result<Self, ConfigErrors> {
        let mut ini = Self::default();
        let mut problems = Vec::new();
        let found = search
            .iter()
            .find(|path| path.exists())
            .filter(|_| config_files.is_empty());
        for path in config_files.iter().chain(found) {
            add_file(&mut ini, path, &mut problems);
        }
        let masakari = |path: &&PathBuf| {
            let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes);
            name.is_some_and(|name| name.starts_with(b"masakari"))
        };
        for path in found
            .filter(masakari)
            .into_iter()
            .flat_map(|path| PROGRAM_FILES.map(|name| path.with_file_name(name)))
            .filter(|path| path.exists())
        {
            problems.push(ConfigError::Content {
                path,
                line: 1,
                why: "Masakari read this file, and Tachi does not".to_owned(),
                help: "move its options into the file beside it, or name all files with --config-file",
            });
        }
        let beside = found.filter(|_| config_dirs.is_empty()).map(|path| {
            let mut name = path.clone().into_os_string();
            name.push(".d");
            PathBuf::from(name)
        });
        let beside = beside.filter(|path| path.is_dir());
        for folder in config_dirs.iter().chain(&beside) {
            add_folder(&mut ini, folder, &mut problems);
        }
        ConfigErrors::check(problems)?;
        Ok(ini)
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
            let ini = Ini::load(&at(files), &at(dirs), &at(search)).unwrap();
            assert_eq!(folder.value(&ini).as_deref(), expected, "{name}");
        }
        let ini = Ini::load(&[], &at(&["d"]), &[]).unwrap();
        assert_eq!(ini.files().collect::<Vec<_>>(), at(&["d/10.conf", "d/20.conf"]));
    }

    #[test]
    fn a_file_of_one_program_is_not_passed_over() {
        let folder = Folder::new(&[
            ("masakari.conf", b"[DEFAULT]\na = 1\n"),
            ("masakari-engine.conf", b"[DEFAULT]\na = 2\n"),
            ("tachi.conf", b"[DEFAULT]\na = 3\n"),
        ]);
        let text = Ini::load(&[], &[], &[folder.at("masakari.conf")])
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("masakari-engine.conf") && text.contains("--config-file"),
            "{text}"
        );
        for (files, search) in [
            (vec![folder.at("masakari.conf")], vec![folder.at("masakari.conf")]),
            (vec![], vec![folder.at("tachi.conf"), folder.at("masakari.conf")]),
        ] {
            assert!(Ini::load(&files, &[], &search).is_ok(), "{files:?} {search:?}");
        }
    }

    #[test]
    fn all_bad_files_are_reported_at_once() {
        let folder = Folder::new(&[
            ("latin1.conf", b"[DEFAULT]\na = 1\nb = caf\xe9\n"),
            ("bad.conf", b"[DEFAULT]\nnonsense\n"),
        ]);
        let files = ["gone.conf", "latin1.conf", "bad.conf"].map(|name| folder.at(name));
        let text = Ini::load(&files, &[folder.at("gone.d")], &[])
            .unwrap_err()
            .to_string();
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
        let text = Ini::load(&[PathBuf::from("/dev/zero")], &[], &[])
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            "/dev/zero:1: longer than 4194304 bytes; name a configuration file"
        );
    }
}
