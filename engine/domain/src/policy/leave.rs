//! The instances of a failed host that an operator excludes from evacuation.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::nova::Server;

/// A metadata rule: `key=value`, or `key` alone for any value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataPair {
    /// The key, as written in the metadata.
    pub key: String,
    /// The value; `None` for any.
    pub value: Option<String>,
}

/// The error for a text that is not a pair.
#[derive(Debug, thiserror::Error)]
#[error("it has no key")]
pub struct InvalidMetadataPair;

impl FromStr for MetadataPair {
    type Err = InvalidMetadataPair;

    fn from_str(text: &str) -> Result<Self, InvalidMetadataPair> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key.trim(), Some(value.trim().to_owned())),
            None => (text.trim(), None),
        };
        if key.is_empty() {
            return Err(InvalidMetadataPair);
        }
        Ok(Self {
            key: key.to_owned(),
            value,
        })
    }
}

impl std::fmt::Display for MetadataPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

impl MetadataPair {
    fn is_in(&self, pairs: &BTreeMap<String, String>) -> bool {
        pairs
            .get(&self.key)
            .is_some_and(|value| self.value.as_ref().is_none_or(|required| required == value))
    }
}

/// The exclusion rules; any matching one excludes an instance. They are the operator's: an owner's mark does not override
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExclusionRules {
    /// Pairs in the owner's metadata.
    pub metadata: Vec<MetadataPair>,
    pub projects: Vec<String>,
    pub images: Vec<String>,
    /// Properties of the image, if Nova shows them.
    pub image_properties: Vec<MetadataPair>,
    /// Extra specs of the flavor.
    pub flavor_properties: Vec<MetadataPair>,
}

impl ExclusionRules {
    /// Returns the reason why `server` is excluded, if a rule matches. Its text is the operator's rule, never the instance's
    /// data.
    pub fn why(&self, server: &Server) -> Option<String> {
        let about = &server.about;
        let pair = |rules: &[MetadataPair], pairs: &BTreeMap<String, String>| {
            rules
                .iter()
                .find(|rule| rule.is_in(pairs))
                .map(ToString::to_string)
        };
        let id = |rules: &[String], id: &str| rules.iter().find(|rule| *rule == id).cloned();
        let reason = |option: &str, rule: String| format!("{option} names {rule}");
        pair(&self.metadata, &server.metadata)
            .map(|rule| reason("exclude_instance_metadata", rule))
            .or_else(|| id(&self.projects, &about.project).map(|rule| reason("exclude_projects", rule)))
            .or_else(|| {
                let image = about.image.as_deref()?;
                id(&self.images, image).map(|rule| reason("exclude_images", rule))
            })
            .or_else(|| {
                pair(&self.image_properties, &about.image_properties)
                    .map(|rule| reason("exclude_image_properties", rule))
            })
            .or_else(|| {
                pair(&self.flavor_properties, &about.flavor_properties)
                    .map(|rule| reason("exclude_flavor_properties", rule))
            })
    }
}

/// Returns the service that keeps its own instances alive, and would conflict with a recovery of this one.
///
/// Octavia names an amphora `amphora-` and its id. Its health manager builds a new one within a minute when one falls
/// silent. Nova shows nothing else that identifies an amphora: no metadata, no tag, and a project whose name each cloud
/// chooses.
pub(super) fn owning_service(server: &Server) -> Option<&'static str> {
    let id = server.name.strip_prefix("amphora-")?;
    let is_id = id.len() == 36 && uuid::Uuid::try_parse(id).is_ok();
    is_id.then_some("Octavia")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_read_with_and_without_a_value() {
        let cases = [
            ("ha=no", Some(("ha", Some("no")))),
            (" ha = no ", Some(("ha", Some("no")))),
            ("ha", Some(("ha", None))),
            ("ha=", Some(("ha", Some("")))),
            ("a=b=c", Some(("a", Some("b=c")))),
            ("=no", None),
            ("", None),
            (" ", None),
        ];
        for (text, expected) in cases {
            let read = text.parse::<MetadataPair>().ok();
            let read = read
                .as_ref()
                .map(|pair| (pair.key.as_str(), pair.value.as_deref()));
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
