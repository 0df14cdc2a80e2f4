//! The table of option names: the known options, their handling, and which are secrets.

use std::collections::BTreeMap;

use crate::{
    error::{ConfigError, ConfigErrors},
    ini::{Ini, name_key, section_key, variable},
    nearest::nearest,
};

/// The handling of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handling {
    /// The option is read.
    Read,
    /// The option is accepted so that existing files keep working, but has no effect, for this reason.
    Ignored(String),
    /// The option is an old name of another one.
    Alias {
        /// The section of the current name.
        section: String,
        option: String,
    },
}

#[derive(Debug, Clone)]
struct Entry {
    handling: Handling,
    secret: bool,
}

/// Facts about options that are needed before the first option is read: old names, options without effect, and secrets,
/// to which another option may refer. All other options are known from the code that reads them.
///
/// A table is text: a `[section]` line, then `names | handling | note` lines. Names are separated by commas; `*` stands
/// for any option, and a section that ends in `*` for any section with that prefix. Handling is `ignored` (the note is
/// the reason), `alias name` or `alias section.name`, each optionally followed by `secret`. `secret` alone is for an
/// option that is read.
#[derive(Debug, Clone, Default)]
pub struct KnownOptions {
    sections: BTreeMap<String, BTreeMap<String, Entry>>,
}

impl KnownOptions {
    /// Returns all options of Masakari, of the libraries whose options appear in its file, and our own.
    pub fn masakari() -> Self {
        // A test ensures that the table has no bad lines.
        Self::read_table("options.txt", include_str!("options.txt")).0
    }

    /// Reads a table; `file` is its name in messages.
    ///
    /// # Errors
    ///
    /// Every line that cannot be parsed.
    pub fn table(file: &str, text: &str) -> Result<Self, ConfigErrors> {
        let (known, problems) = Self::read_table(file, text);
        ConfigErrors::check(problems)?;
        Ok(known)
    }

    fn read_table(file: &str, text: &str) -> (Self, Vec<ConfigError>) {
        let mut known = Self::default();
        let mut problems = Vec::new();
        let mut section = String::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = section_key(name);
                known.sections.entry(section.clone()).or_default();
            } else if !known.add_line(&section, line) {
                problems.push(ConfigError::Syntax {
                    file: file.to_owned(),
                    line: number + 1,
                    why: "not a line of an option table",
                    help: "write `names | ignored, alias name or secret | note`",
                });
            }
        }
        (known, problems)
    }

    fn add_line(&mut self, section: &str, line: &str) -> bool {
        let mut columns = line.splitn(3, '|').map(str::trim);
        let (names, directive) = (
            columns.next().unwrap_or_default(),
            columns.next().unwrap_or_default(),
        );
        let note = columns.next().unwrap_or_default();
        let (directive, secret) = match directive.strip_suffix("secret") {
            Some(directive) => (directive.trim(), true),
            None => (directive, false),
        };
        let handling = match directive.split_once(' ') {
            None if directive.is_empty() && secret => Handling::Read,
            None if directive == "ignored" && !note.is_empty() => Handling::Ignored(note.to_owned()),
            Some(("alias", target)) => {
                let (target_section, option) = target.split_once('.').unwrap_or((section, target));
                Handling::Alias {
                    section: section_key(target_section),
                    option: name_key(option),
                }
            }
            _ => return false,
        };
        let Some(options) = self.sections.get_mut(section) else {
            return false;
        };
        for name in names.split(',').map(str::trim) {
            let option = Entry {
                handling: handling.clone(),
                secret,
            };
            if name.is_empty() || options.insert(name_key(name), option).is_some() {
                return false;
            }
        }
        true
    }

    /// Returns the table extended by the options that were read.
    pub(crate) fn with<'k>(&self, read: impl Iterator<Item = &'k (String, String)>) -> Self {
        let mut known = self.clone();
        for (section, option) in read {
            let secret = self.is_secret(section, option);
            let entry = Entry {
                handling: Handling::Read,
                secret,
            };
            let options = known.sections.entry(section.clone()).or_default();
            options.insert(option.clone(), entry);
        }
        known
    }

    /// Returns the handling of an option; `None` if it is unknown.
    pub fn handling(&self, section: &str, option: &str) -> Option<&Handling> {
        self.option(&section_key(section), &name_key(option))
            .map(|option| &option.handling)
    }

    /// Returns the options that the table expects to be read: secrets, and options with an old name.
    pub fn expected(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = || {
            self.sections.iter().flat_map(|(section, options)| {
                options
                    .iter()
                    .map(|(name, option)| (section.as_str(), name.as_str(), &option.handling))
            })
        };
        all().filter_map(move |(section, name, handling)| match handling {
            Handling::Read => Some((section, name)),
            Handling::Alias { section, option } => {
                let ignored = matches!(self.handling(section, option), Some(Handling::Ignored(_)));
                (!ignored).then_some((section.as_str(), option.as_str()))
            }
            Handling::Ignored(_) => None,
        })
    }

    pub(crate) fn is_secret(&self, section: &str, option: &str) -> bool {
        self.option(section, option).is_some_and(|option| option.secret)
    }

    /// Returns all names of an option, the current one first.
    pub(crate) fn names(&self, section: &str, option: &str) -> Vec<(String, String)> {
        let mut names = vec![(section.to_owned(), option.to_owned())];
        for (old_section, options) in &self.sections {
            for (old, known) in options {
                if let Handling::Alias {
                    section: to_section,
                    option: to,
                } = &known.handling
                    && (to_section.as_str(), to.as_str()) == (section, option)
                {
                    names.push((old_section.clone(), old.clone()));
                }
            }
        }
        names
    }

    fn options(&self, section: &str) -> Option<&BTreeMap<String, Entry>> {
        self.sections.get(section).or_else(|| {
            let family = |name: &&String| {
                name.strip_suffix('*')
                    .is_some_and(|start| section.starts_with(start))
            };
            self.sections
                .keys()
                .find(family)
                .and_then(|name| self.sections.get(name))
        })
    }

    fn option(&self, section: &str, option: &str) -> Option<&Entry> {
        let options = self.options(section)?;
        options.get(option).or_else(|| options.get("*"))
    }

    pub(crate) fn has_section(&self, section: &str) -> bool {
        self.options(section).is_some()
    }

    /// Returns the section that was probably intended.
    pub(crate) fn nearest_section(&self, section: &str) -> Option<&str> {
        nearest(section, self.sections.keys().map(String::as_str))
    }

    /// Returns the option that was probably intended: the same name in another section, or a similar one in this
    /// section.
    pub(crate) fn nearest_option(&self, section: &str, option: &str) -> Option<String> {
        let near = self
            .options(section)
            .and_then(|options| nearest(option, options.keys().map(String::as_str)));
        near.map(|name| format!("`{name}`")).or_else(|| {
            let other_section = self
                .sections
                .iter()
                .find(|(_, options)| options.contains_key(option));
            other_section.map(|(section, _)| format!("section [{section}]"))
        })
    }

    /// Returns environment variables with a known section and an unknown option.
    pub(crate) fn unknown_variables(&self, ini: &Ini) -> Vec<(String, String, String)> {
        let mut strange = Vec::new();
        for name in ini.environment() {
            let owner = self.sections.iter().find_map(|(section, options)| {
                let option = name.strip_prefix(&variable(section, ""))?;
                Some((section, options, option))
            });
            if let Some((section, options, option)) = owner {
                let known = options.contains_key("*")
                    || options.keys().any(|known| variable(section, known) == *name);
                if !known {
                    strange.push((name.to_owned(), section.clone(), option.to_lowercase()));
                }
            }
        }
        strange
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_table_is_well_formed() {
        let (_, problems) = KnownOptions::read_table("options.txt", include_str!("options.txt"));
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn options_named_like_passwords_are_secret() {
        let known = KnownOptions::masakari();
        for (section, options) in &known.sections {
            for (name, option) in options {
                let is_secret_name = ["password", "secret", "hmac", "otp_key"]
                    .iter()
                    .any(|part| name.contains(part));
                assert!(!is_secret_name || option.secret, "[{section}] {name}");
            }
        }
    }

    #[test]
    fn lines_of_a_table() {
        for (name, line, good) in [
            ("secret", "a | secret", true),
            ("several names", "a, b-c | ignored | x | y", true),
            ("read", "a | read", false),
            ("ignored", "a | ignored | why", true),
            ("ignored without reason", "a | ignored", false),
            ("alias", "a | alias b", true),
            ("alias of nothing", "a | alias", false),
            ("no handling", "a", false),
            ("other word", "a | maybe", false),
            ("no name", " | read", false),
            ("twice", "a, a | secret", false),
        ] {
            assert_eq!(
                KnownOptions::table("t", &format!("[x]\n{line}\n")).is_ok(),
                good,
                "{name}"
            );
        }
        assert_eq!(
            KnownOptions::table("t", "\na | secret\n")
                .unwrap_err()
                .to_string()
                .split(':')
                .nth(1),
            Some("2")
        );
    }

    #[test]
    fn wildcards() {
        let known = KnownOptions::table("t", "[a:*]\nx | ignored | why\n[b]\n* | ignored | why\n").unwrap();
        let ignored = Handling::Ignored("why".to_owned());
        assert_eq!(known.handling("a:1", "x"), Some(&ignored));
        assert_eq!(known.handling("a:1", "y"), None);
        assert_eq!(known.handling("a", "x"), None);
        assert_eq!(known.handling("b", "z"), Some(&ignored));
        let read = [("b".to_owned(), "z".to_owned()), ("c".to_owned(), "x".to_owned())];
        let known = known.with(read.iter());
        assert_eq!(known.handling("b", "z"), Some(&Handling::Read));
        assert_eq!(known.handling("b", "y"), Some(&ignored));
        assert_eq!(known.handling("c", "x"), Some(&Handling::Read));
    }
}
