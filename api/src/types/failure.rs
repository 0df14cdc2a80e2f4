//! Bodies of operators' reports of dead hosts.

use super::fields::{Body, Fields};
use super::rules::Name;
use crate::microversion::Microversion;

/// A report that a host is dead.
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
