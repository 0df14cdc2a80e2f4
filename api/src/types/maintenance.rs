//! Bodies of requests to unmute a reporter or to retry a recovery.

use super::fields::{Body, Fields};
use super::rules::Name;
use crate::microversion::Microversion;

/// A request to unmute a reporter.
#[derive(Debug)]
pub(crate) struct NewUnmute {
    pub(crate) reason: Option<String>,
}

/// A request for another attempt of a failed recovery.
#[derive(Debug)]
pub(crate) struct NewRetry {
    pub(crate) reason: Option<String>,
}

impl Body for NewUnmute {
    const KEY: &'static str = "lift";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        let reason = fields.optional("reason", Name);
        Some(Self { reason })
    }
}

impl Body for NewRetry {
    const KEY: &'static str = "retry";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        let reason = fields.optional("reason", Name);
        Some(Self { reason })
    }
}
