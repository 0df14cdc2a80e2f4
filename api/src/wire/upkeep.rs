//! Why a reporter is heard again, or another attempt is made, on the wire.

use super::fields::{Body, Fields};
use super::rules::Name;
use crate::microversion::Microversion;

/// Why a reporter is to be heard again.
#[derive(Debug)]
pub(crate) struct NewLift {
    pub(crate) reason: Option<String>,
}

/// Why another attempt is to be made.
#[derive(Debug)]
pub(crate) struct NewRetry {
    pub(crate) reason: Option<String>,
}

impl Body for NewLift {
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
