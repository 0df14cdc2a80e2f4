//! Reports of dead hosts by operators, on the wire.

use super::fields::{Body, Fields};
use super::rules::Name;
use crate::microversion::Microversion;

/// Why a host is said to be dead.
#[derive(Debug)]
pub(crate) struct NewFailure {
    pub(crate) reason: String,
}

impl Body for NewFailure {
    const KEY: &'static str = "failure";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        let reason = fields.required("reason", Name);
        Some(Self { reason: reason? })
    }
}
