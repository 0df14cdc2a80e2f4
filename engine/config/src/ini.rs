//! The untyped entries of all files, the environment and the flags, with their places.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fmt,
    path::Path,
    sync::Arc,
};

use crate::{
    error::{ConfigError, ConfigErrors},
    lexer,
};

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The default: the option is not set.
    Default,
    /// A line of a file.
    File {
        /// The file as it was named.
        file: Arc<str>,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A command line flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) value: String,
    /// The number of the file, in reading order.
    pub(crate) file: usize,
    pub(crate) line: usize,
}

/// The whole configuration, untyped.
///
/// Section names are compared without case except `DEFAULT`; in option names `-` is the same as `_`. `Debug` shows no
/// values: they may be secrets.
#[derive(Clone, Default)]
pub struct Ini {
    files: Vec<Arc<str>>,
    entries: Vec<Entry>,
    index: HashMap<(String, String), Vec<usize>>,
    environment: BTreeMap<String, String>,
    flags: BTreeMap<(String, String), (String, String)>,
}

impl fmt::Debug for Ini {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ini")
            .field("files", &self.files)
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl Ini {
    /// Reads one text; `file` is its name in messages.
    ///
    /// # Errors
    ///
    /// Every line that is not valid INI.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigErrors> {
        let mut ini = Self::default();
        let mut problems = Vec::new();
        ini.add_text(file, text, &mut problems);
        ConfigErrors::check(problems)?;
        Ok(ini)
    }

    /// Adds a text whose values override those read before.
    pub(crate) fn add_text(&mut self, file: &str, text: &str, problems: &mut Vec<ConfigError>) {
        let number = self.files.len();
        self.files.push(Arc::from(file));
        for token in lexer::tokens(file, text, problems) {
            let (section, name) = (section_key(&token.section), file_key(&token.name));
            self.index
                .entry((section.clone(), name.clone()))
                .or_default()
                .push(self.entries.len());
            self.entries.push(Entry {
                section,
                name,
                value: token.value,
                file: number,
                line: token.line,
            });
        }
    }

    /// Adds the environment: `OS_<GROUP>__<OPTION>` takes precedence over every file, as in oslo.config. Other
    /// variables are ignored.
    ///
    /// Takes the output of `std::env::vars_os`. Bytes that are not UTF-8 become replacement characters, so that the type
    /// or the remote service refuses the value. Without the value the mistake would be hidden.
    #[must_use]
    pub fn with_environment<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        for (name, value) in variables {
            if let Ok(name) = name.into().into_string()
                && name.starts_with("OS_")
                && name.contains("__")
            {
                self.environment
                    .insert(name, value.into().to_string_lossy().into_owned());
            }
        }
        self
    }

    /// Sets an option from the command line, which takes precedence over file and environment; `flag` is its name in
    /// messages.
    pub fn set(&mut self, section: &str, option: &str, value: &str, flag: &str) {
        self.flags.insert(
            (section_key(section), name_key(option)),
            (value.to_owned(), flag.to_owned()),
        );
    }

    /// Returns the files that were read, in reading order.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| Path::new(&**file))
    }

    /// Returns the sections that contain at least one option, sorted.
    pub fn sections(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.entries.iter().map(|entry| entry.section.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns the sorted names of the options that files set in `section`, for sections with arbitrary options.
    pub fn section(&self, section: &str) -> Vec<&str> {
        let section = section_key(section);
        let in_section = self.entries.iter().filter(|entry| entry.section == section);
        let mut names: Vec<&str> = in_section.map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn environment(&self) -> impl Iterator<Item = &str> {
        self.environment.keys().map(String::as_str)
    }

    pub(crate) fn origin(&self, entry: &Entry) -> Origin {
        let file = self
            .files
            .get(entry.file)
            .map_or_else(|| Arc::from("?"), Arc::clone);
        Origin::File {
            file,
            line: entry.line,
        }
    }

    /// Returns the effective value of an option with these names, the current one first, and the index of the name in
    /// use. A later file takes precedence over an earlier one, even under an old name; within a file the order of the
    /// names decides, then the last line.
    pub(crate) fn find(&self, names: &[(String, String)]) -> Option<(usize, &str, Origin)> {
        self.find_outside_files(names).or_else(|| {
            let all = names.iter().enumerate().flat_map(|(rank, key)| {
                let places = self.index.get(key).into_iter().flatten();
                places.filter_map(move |&at| self.entries.get(at).map(|entry| (rank, at, entry)))
            });
            let best = all.max_by_key(|&(rank, at, entry)| (entry.file, std::cmp::Reverse(rank), at));
            best.map(|(rank, _, entry)| (rank, entry.value.as_str(), self.origin(entry)))
        })
    }

    /// Returns all values of a multi-valued option, in the order of the files and lines.
    pub(crate) fn find_all(&self, names: &[(String, String)]) -> Vec<(usize, &str, Origin)> {
        if let Some(one) = self.find_outside_files(names) {
            return vec![one];
        }
        let all = names.iter().enumerate().flat_map(|(rank, key)| {
            let places = self.index.get(key).into_iter().flatten();
            places.filter_map(move |&at| self.entries.get(at).map(|entry| (rank, at, entry)))
        });
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by_key(|&(_, at, _)| at);
        all.into_iter()
            .map(|(rank, _, entry)| (rank, entry.value.as_str(), self.origin(entry)))
            .collect()
    }

    fn find_outside_files(&self, names: &[(String, String)]) -> Option<(usize, &str, Origin)> {
        let flag = names.iter().enumerate().find_map(|(rank, key)| {
            let (value, flag) = self.flags.get(key)?;
            Some((rank, value.as_str(), Origin::Flag(flag.clone())))
        });
        // Only the current name has a variable: oslo.config has no aliases in the environment.
        flag.or_else(|| {
            let (section, name) = names.first()?;
            let variable = variable(section, name);
            let value = self.environment.get(&variable)?;
            Some((0, value.as_str(), Origin::Environment(variable)))
        })
    }
}

/// Returns the key under which a section is stored.
pub(crate) fn section_key(section: &str) -> String {
    if section == "DEFAULT" {
        section.to_owned()
    } else {
        section.to_lowercase()
    }
}

/// Returns the key under which an option is stored.
pub(crate) fn name_key(name: &str) -> String {
    name.replace('-', "_")
}

/// Old names of keystoneauth's options that have dashes in a file too.
const DASHED_NAMES: &[&str] = &["user-name", "tenant-id", "tenant-name"];

/// Returns the key of a name in a file. oslo.config looks options up by their names with underscores: with dashes it is another name.
fn file_key(name: &str) -> String {
    if DASHED_NAMES.contains(&name) {
        name_key(name)
    } else {
        name.to_owned()
    }
}

/// Returns the environment variable of an option.
pub(crate) fn variable(section: &str, name: &str) -> String {
    format!("OS_{}__{}", section.to_uppercase(), name.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(section: &str, name: &str) -> Vec<(String, String)> {
        vec![(section.to_owned(), name.to_owned())]
    }

    #[test]
    fn a_name_with_dashes_is_another_option() {
        let text = "[g]\nos_region_name = one\nos-region-name = two\nuser-name = three\n";
        let ini = Ini::parse("f", text).unwrap();
        let found = |name| ini.find(&key("g", name)).map(|(_, value, _)| value.to_owned());
        assert_eq!(found("os_region_name"), Some("one".to_owned()));
        assert_eq!(found("user_name"), Some("three".to_owned()));
    }

    #[test]
    fn flag_beats_environment_beats_file() {
        let ini = Ini::parse("f", "[g]\na = file\nb = file\nc = file\n").unwrap();
        let mut ini = ini.with_environment([("OS_G__A", "env"), ("OS_G__B", "env"), ("PATH", "x")]);
        ini.set("g", "a", "flag", "--a");
        let found = |name| {
            ini.find(&key("g", name))
                .map(|(_, value, origin)| (value, origin.to_string()))
        };
        assert_eq!(found("a"), Some(("flag", "flag --a".to_owned())));
        assert_eq!(found("b"), Some(("env", "environment OS_G__B".to_owned())));
        assert_eq!(found("c"), Some(("file", "f:4".to_owned())));
        assert_eq!(found("d"), None);
    }

    #[test]
    fn sections_and_their_options_can_be_listed() {
        let ini = Ini::parse(
            "f",
            "[fencing:b]\nhost_name = 1\n[DEFAULT]\nx = 1\n[fencing:a]\nq = 1\nq = 2\n",
        )
        .unwrap();
        assert_eq!(ini.sections(), ["DEFAULT", "fencing:a", "fencing:b"]);
        assert_eq!(ini.section("fencing:b"), ["host_name"]);
        assert_eq!(ini.section("Fencing:A"), ["q"]);
    }

    #[test]
    fn debug_shows_no_value() {
        let ini = Ini::parse("f", "[DEFAULT]\npassword = s3cret\n")
            .unwrap()
            .with_environment([("OS_G__B", "s3cret")]);
        assert!(!format!("{ini:?}").contains("s3cret"));
    }
}
