//! A stand-in with the items that osauth needs to compile, without YAML. See `clients/stand-ins/README.md`.

use serde::de::{Deserialize, Deserializer, IgnoredAny};
use serde::{Serialize, Serializer};

/// A YAML value. No value is ever read from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    #[default]
    Null,
    String(String),
    Mapping(Mapping),
}

impl Value {
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null | Self::Mapping(_) => None,
        }
    }

    pub fn as_mapping(&self) -> Option<&Mapping> {
        match self {
            Self::Mapping(mapping) => Some(mapping),
            Self::Null | Self::String(_) => None,
        }
    }

    pub fn as_mapping_mut(&mut self) -> Option<&mut Mapping> {
        match self {
            Self::Mapping(mapping) => Some(mapping),
            Self::Null | Self::String(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self::Null)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// A mapping in the order of insertion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping(Vec<(Value, Value)>);

impl Mapping {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub fn insert(&mut self, key: Value, value: Value) -> Option<Value> {
        if let Some(there) = self.get_mut(&key) {
            return Some(std::mem::replace(there, value));
        }
        self.0.push((key, value));
        None
    }

    pub fn get(&self, key: impl Index) -> Option<&Value> {
        self.0.iter().find(|(one, _)| key.is(one)).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, key: impl Index) -> Option<&mut Value> {
        self.0
            .iter_mut()
            .find(|(one, _)| key.is(one))
            .map(|(_, value)| value)
    }

    pub fn contains_key(&self, key: impl Index) -> bool {
        self.get(key).is_some()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Value, &mut Value)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }
}

impl IntoIterator for Mapping {
    type Item = (Value, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A type that can be used to look up a key.
pub trait Index {
    fn is(&self, key: &Value) -> bool;
}

impl Index for &str {
    fn is(&self, key: &Value) -> bool {
        key.as_str() == Some(self)
    }
}

impl Index for &Value {
    fn is(&self, key: &Value) -> bool {
        *self == key
    }
}

/// The error of a stand-in that reads nothing.
#[derive(Clone, Copy, Debug)]
pub struct Error;

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this program does not read OpenStack's YAML files; serde_yaml is not included")
    }
}

impl std::error::Error for Error {}

/// Always fails.
///
/// # Errors
///
/// Always.
pub fn from_reader<R, T>(_: R) -> Result<T, Error> {
    Err(Error)
}

/// Always fails.
///
/// # Errors
///
/// Always.
pub fn from_value<T>(_: Value) -> Result<T, Error> {
    Err(Error)
}
