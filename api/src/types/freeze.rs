//! Bodies of freezes.

use std::time::Duration;

use tachi_domain::freeze::FreezeScope;
use tachi_engine::ports::FreezeTerms;
use tachi_operator::freezes::{FreezeRequest, MAX_FREEZE, MIN_FREEZE};

use super::fields::{Body, Fields};
use super::rules::{Boolean, FREEZE_SCOPE, Name, Whole};
use crate::microversion::Microversion;

/// A request for a freeze.
#[derive(Debug)]
pub(crate) struct NewFreeze(pub(crate) FreezeRequest);

impl Body for NewFreeze {
    const KEY: &'static str = "freeze";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        let scope = fields.required("scope", FREEZE_SCOPE);
        let name = fields.optional("name", Name);
        let lasts = fields.required(
            "lasts_seconds",
            Whole {
                least: MIN_FREEZE.as_secs(),
                most: MAX_FREEZE.as_secs(),
            },
        );
        let reason = fields.required("reason", Name);
        let unless_worse = fields.optional("unless_worse", Boolean);
        let force = fields.optional("force", Boolean);
        Some(Self(FreezeRequest {
            scope: scope?,
            name: name.unwrap_or_default(),
            terms: FreezeTerms {
                lasts: Duration::from_secs(lasts?),
                reason: reason?,
                unless_worse: unless_worse.unwrap_or_default(),
            },
            force: force.unwrap_or_default(),
        }))
    }
}

impl NewFreeze {
    /// Checks that a name is present where the scope needs one, and absent for the region.
    pub(crate) fn is_named(&self) -> Result<(), String> {
        match (self.0.scope, self.0.name.is_empty()) {
            (FreezeScope::Region, false) => Err("the region has no name: omit name".to_owned()),
            (FreezeScope::Region, true) | (_, false) => Ok(()),
            (scope, true) => Err(format!("set name to the id or name of the {scope}")),
        }
    }
}
