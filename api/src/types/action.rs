//! Operator actions in requests and answers.

use std::fmt;

use serde::Serialize;
use tachi_domain::{ApprovedWait, RecoveryId};
use utoipa::ToSchema;
use utoipa::openapi::Object;

use super::enum_schema;
use super::fields::{Body, Fields};
use super::rules::{Name, OPERATOR_ACTION, OrNull, ShownWait};
use crate::microversion::Microversion;

/// An operator action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActionKind {
    /// Continues a recovery that is on hold.
    Approve,
    /// Ends a recovery.
    Abort,
    /// Resolves an instance: it runs on the given host.
    Success,
    /// Resolves an instance: it does not run on the given host.
    Failure,
    /// Resolves an instance: Nova is asked to move it again.
    Retry,
    /// Resolves an instance: it is left as it is.
    Ignore,
}

impl ActionKind {
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

    pub(super) fn from_value(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == value)
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ActionKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A request for an action.
#[derive(Debug)]
pub(crate) struct NewAction {
    pub(crate) kind: ActionKind,
    pub(crate) recovery: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) on: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) waits: ApprovedWait,
}

impl Body for NewAction {
    const KEY: &'static str = "word";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        let kind = fields.required("word", OPERATOR_ACTION);
        let recovery = fields.optional("recovery", Name);
        let instance = fields.optional("instance", Name);
        let on = fields.optional("on", Name);
        let reason = fields.optional("reason", Name);
        let waits = fields.optional("waits", OrNull(ShownWait));
        Some(Self {
            kind: kind?,
            recovery,
            instance,
            on,
            reason,
            waits: waits.map_or(ApprovedWait::Current, ApprovedWait::Snapshot),
        })
    }
}

/// An operator action that was accepted.
#[derive(Serialize, ToSchema)]
#[schema(as = Word)]
pub(crate) struct ActionView {
    /// The action, such as `abort`.
    #[schema(schema_with = kinds)]
    pub(crate) word: ActionKind,
    /// The UUID of the recovery that the action is about, or of the recovery of the instance.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) recovery: RecoveryId,
    /// The UUID of the instance, or null if the action is about a recovery.
    #[schema(required)]
    pub(crate) instance: Option<String>,
    /// The operator, as stored: the Keystone user, followed by the reason if one was given.
    pub(crate) by: String,
    /// True if the same action had been submitted before, so that nothing was stored.
    pub(crate) already: bool,
}

fn kinds() -> Object {
    enum_schema::values(ActionKind::ALL.iter().map(|kind| kind.as_str()))
}
