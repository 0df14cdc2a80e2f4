//! The result of reading: effective values for `config show`, warnings for the log.

use std::{collections::BTreeSet, fmt};

use crate::{
    declaration::Declaration,
    ini::{Ini, Origin},
    known::{Handling, KnownOptions},
};

/// The result of a successful reading.
#[derive(Debug, Clone, Default)]
pub struct ConfigReport {
    /// The warnings for the operator, in the order of the files.
    pub warnings: Vec<Warning>,
    /// Every option that was read, by section and name.
    pub effective: Vec<Effective>,
}

/// The effective value of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub section: String,
    /// The current name of the option.
    pub option: String,
    /// The value, masked if it is a secret; `None` if it is not set and has no default.
    pub value: Option<String>,
    pub default: Option<String>,
    /// The source of the value.
    pub origin: Origin,
    /// True if the value is masked.
    pub secret: bool,
    /// True if the value contains credentials, so that others must not read the file. Not every masked value does.
    pub sensitive: bool,
    /// The description of the option, for people.
    pub declaration: Declaration,
}

/// Prints a configuration file with these values, each below a comment with its origin. Secrets are masked.
impl fmt::Display for ConfigReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for option in &self.effective {
            if option.section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                writeln!(f, "{gap}[{}]", option.section)?;
                section = &option.section;
            }
            writeln!(f, "# {}", option.origin)?;
            match &option.value {
                Some(value) => {
                    let value = value.replace('$', "$$").replace('\n', "\n    ");
                    let quote = if value.trim() == value && !value.starts_with(['"', '\'']) {
                        ""
                    } else {
                        "\""
                    };
                    writeln!(f, "{} = {quote}{value}{quote}", option.option)?;
                }
                None => writeln!(f, "# {} is not set", option.option)?,
            }
        }
        Ok(())
    }
}

/// A setting without effect, or with an effect that was probably not intended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The option does not exist.
    Unknown {
        origin: Origin,
        section: String,
        option: String,
        /// The option that was probably intended.
        nearest: Option<String>,
    },
    /// The section does not exist; reported once for all of its options.
    UnknownSection {
        /// The place of its first option.
        origin: Origin,
        section: String,
        /// The section that was probably intended.
        nearest: Option<String>,
    },
    /// The option is accepted and has no effect.
    Ignored {
        origin: Origin,
        section: String,
        option: String,
        reason: String,
    },
    /// The value is not supported, and another one is used instead.
    Replaced {
        origin: Origin,
        section: String,
        option: String,
        value: String,
        /// The value that is used.
        used: String,
        reason: String,
    },
    /// The option has a new name.
    Renamed {
        origin: Origin,
        section: String,
        option: String,
        /// The current name, with its section.
        current: String,
    },
    /// An indented comment became part of the value above.
    CommentInValue {
        /// The start of the value.
        origin: Origin,
        section: String,
        option: String,
    },
}

impl Warning {
    /// True for a warning that every unchanged Masakari file causes, to log at debug level only.
    pub fn is_notice(&self) -> bool {
        matches!(self, Self::Ignored { .. })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suggestion = |nearest: &Option<String>| {
            nearest
                .as_ref()
                .map_or(String::new(), |name| format!("; did you mean {name}?"))
        };
        match self {
            Self::Unknown {
                origin,
                section,
                option,
                nearest,
            } => {
                write!(
                    f,
                    "{origin}: [{section}] {option} is not an option{}",
                    suggestion(nearest)
                )
            }
            Self::UnknownSection {
                origin,
                section,
                nearest,
            } => {
                write!(
                    f,
                    "{origin}: [{section}] is not a section, its options have no effect{}",
                    suggestion(nearest)
                )
            }
            Self::Ignored {
                origin,
                section,
                option,
                reason,
            } => {
                write!(f, "{origin}: [{section}] {option} has no effect: {reason}")
            }
            Self::Replaced {
                origin,
                section,
                option,
                value,
                used,
                reason,
            } => {
                write!(
                    f,
                    "{origin}: [{section}] {option} = {value} is not supported, {used} is used: {reason}"
                )
            }
            Self::Renamed {
                origin,
                section,
                option,
                current,
            } => {
                write!(f, "{origin}: [{section}] {option} is the old name of {current}")
            }
            Self::CommentInValue {
                origin,
                section,
                option,
            } => write!(
                f,
                "{origin}: an indented comment is part of the value of [{section}] {option}; start comments at the beginning of the line"
            ),
        }
    }
}

/// Compares the configuration with the known options.
pub(crate) fn warnings(ini: &Ini, known: &KnownOptions) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let (mut warned_options, mut warned_sections) = (BTreeSet::new(), BTreeSet::new());
    // The keystoneauth library lets [keystone_authtoken] refer to a section of any name.
    let pointer = ini.find(&[("keystone_authtoken".to_owned(), "auth_section".to_owned())]);
    let auth_section = pointer.map(|(_, value, _)| value.to_lowercase());
    for entry in ini.entries() {
        let (section, option) = (entry.section.clone(), entry.name.clone());
        let origin = ini.origin(entry);
        if entry.value.contains("\n#") || entry.value.contains("\n;") {
            let (section, option, origin) = (section.clone(), option.clone(), origin.clone());
            warnings.push(Warning::CommentInValue {
                origin,
                section,
                option,
            });
        }
        if !warned_options.insert((&entry.section, &entry.name)) || auth_section.as_ref() == Some(&section) {
            continue;
        }
        warnings.extend(match known.handling(&section, &option) {
            Some(Handling::Ignored(reason)) => Some(Warning::Ignored {
                origin,
                section,
                option,
                reason: reason.clone(),
            }),
            Some(Handling::Alias {
                section: to_section,
                option: to,
            }) => Some(Warning::Renamed {
                origin,
                section,
                option,
                current: format!("[{to_section}] {to}"),
            }),
            None if known.has_section(&section) => {
                let nearest = known.nearest_option(&section, &option);
                Some(Warning::Unknown {
                    origin,
                    section,
                    option,
                    nearest,
                })
            }
            None if warned_sections.insert(&entry.section) => {
                let nearest = known.nearest_section(&section).map(|name| format!("[{name}]"));
                Some(Warning::UnknownSection {
                    origin,
                    section,
                    nearest,
                })
            }
            Some(Handling::Read) | None => None,
        });
    }
    for (name, section, option) in known.unknown_variables(ini) {
        let nearest = known.nearest_option(&section, &option);
        warnings.push(Warning::Unknown {
            origin: Origin::Environment(name),
            section,
            option,
            nearest,
        });
    }
    warnings
}
