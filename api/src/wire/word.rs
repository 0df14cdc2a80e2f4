//! Words of operators on the wire.

use std::fmt;

use serde::Serialize;
use tachi_domain::RecoveryId;
use utoipa::ToSchema;
use utoipa::openapi::Object;

use super::fields::{Body, Fields};
use super::rules::{Name, OPERATOR_WORD};
use super::shown;
use crate::microversion::Microversion;

/// What can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordKind {
    /// Of a recovery: go on.
    Approve,
    /// Of a recovery: end it.
    Abort,
    /// Of an instance: it runs on that host.
    Success,
    /// Of an instance: it does not run on that host.
    Failure,
    /// Of an instance: ask again.
    Retry,
    /// Of an instance: leave it.
    Ignore,
}

impl WordKind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Approve,
        Self::Abort,
        Self::Success,
        Self::Failure,
        Self::Retry,
        Self::Ignore,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Abort => "abort",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Retry => "retry",
            Self::Ignore => "ignore",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for WordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for WordKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A word that is to be said.
#[derive(Debug)]
pub(crate) struct NewWord {
    pub(crate) kind: WordKind,
    pub(crate) recovery: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) on: Option<String>,
    pub(crate) reason: Option<String>,
}

impl Body for NewWord {
    const KEY: &'static str = "word";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        let kind = fields.required("word", OPERATOR_WORD);
        let recovery = fields.optional("recovery", Name);
        let instance = fields.optional("instance", Name);
        let on = fields.optional("on", Name);
        let reason = fields.optional("reason", Name);
        Some(Self {
            kind: kind?,
            recovery,
            instance,
            on,
            reason,
        })
    }
}

/// A word that was said.
#[derive(Serialize, ToSchema)]
#[schema(as = Word)]
pub(crate) struct SaidView {
    /// What was said, such as `abort`.
    #[schema(schema_with = kinds)]
    pub(crate) word: WordKind,
    /// The recovery that it is about, or whose instance.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) recovery: RecoveryId,
    /// The instance, if it is about one.
    #[schema(required)]
    pub(crate) instance: Option<String>,
    /// As whom it is kept.
    pub(crate) by: String,
    /// Whether it had been said before, so that nothing was written.
    pub(crate) already: bool,
}

fn kinds() -> Object {
    shown::words(WordKind::ALL.iter().map(|kind| kind.as_str()))
}
