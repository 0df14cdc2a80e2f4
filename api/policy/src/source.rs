//! The parser of policy files: YAML, or JSON, which is YAML.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Options, Spanned};

/// Maximum size of a policy file, in bytes.
const MAX_FILE_BYTES: usize = 1 << 20;

/// The text of one file, with the name that messages use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path of the file.
    pub name: String,
    pub text: String,
}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }
}

/// A reason why a policy file is invalid. None of the file's rules apply then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file is not YAML, or not a mapping from names to rules.
    #[error("{name}:{line}: reading the policy file")]
    Yaml {
        /// The path of the file.
        name: String,
        line: u64,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file exceeds the limit, which is above any real policy file.
    #[error("{name}: reading the policy file: it is longer than {limit} bytes")]
    TooLong {
        /// The path of the file.
        name: String,
        /// The limit, in bytes.
        limit: usize,
    },
}

/// A rule in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) rule: String,
    pub(crate) value: Value,
    pub(crate) line: u64,
}

/// Parses a policy file. An empty file has no rules.
pub(crate) fn entries(source: &Source) -> Result<Vec<Entry>, SourceError> {
    if source.text.len() > MAX_FILE_BYTES {
        return Err(SourceError::TooLong {
            name: source.name.clone(),
            limit: MAX_FILE_BYTES,
        });
    }
    let mut options = Options::default();
    // PyYAML also uses the last of two rules with the same name.
    options.duplicate_keys = DuplicateKeyPolicy::LastWins;
    options.with_snippet = false;
    let read: Result<Option<Mapping>, _> = serde_saphyr::from_str_with_options(&source.text, options);
    match read {
        Ok(mapping) => Ok(mapping.map(|Mapping(entries)| entries).unwrap_or_default()),
        Err(error) => Err(SourceError::Yaml {
            name: source.name.clone(),
            line: error.location().map_or(1, |location| location.line()),
            source: error.to_string().into(),
        }),
    }
}

struct Mapping(Vec<Entry>);

impl<'de> Deserialize<'de> for Mapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Mapping;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mapping from names of rules to rules")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mapping, A::Error> {
                let mut entries = Vec::new();
                while let Some(rule) = map.next_key::<Spanned<String>>()? {
                    entries.push(Entry {
                        line: rule.referenced.line(),
                        rule: rule.value,
                        value: map.next_value()?,
                    });
                }
                Ok(Mapping(entries))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}
