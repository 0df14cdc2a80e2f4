//! Bodies of drains and givebacks.

use std::time::Duration;

use tachi_domain::planned::{MAX_FREEZE_DURATION, MAX_MOVE_LIMIT, MAX_PARALLEL_MOVES, MIN_MOVE_LIMIT};
use tachi_domain::recovery::RecoveryKind;
use tachi_operator::plans::{MIN_FREEZE, PlanRequest};

use super::fields::{Body, Fields};
use super::rules::{Boolean, Name, Whole};
use crate::microversion::Microversion;

/// The defaults, which are also those of the command.
const DEFAULT_PARALLEL: u64 = 2;
const LIMIT: Duration = Duration::from_mins(30);

/// A request to drain a host.
#[derive(Debug)]
pub(crate) struct NewDrain(pub(crate) PlanRequest);

/// A request for a giveback to a host.
#[derive(Debug)]
pub(crate) struct NewGiveback(pub(crate) PlanRequest);

impl Body for NewDrain {
    const KEY: &'static str = "drain";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        let reason = fields.required("reason", Name);
        let lasts = fields.required(
            "lasts_seconds",
            Whole {
                least: MIN_FREEZE.as_secs(),
                most: MAX_FREEZE_DURATION.as_secs(),
            },
        );
        let plan_request = plan_request(RecoveryKind::Drain, fields);
        Some(Self(PlanRequest {
            reason: reason?,
            lasts: Duration::from_secs(lasts?),
            ..plan_request?
        }))
    }
}

impl Body for NewGiveback {
    const KEY: &'static str = "giveback";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        plan_request(RecoveryKind::Giveback, fields).map(Self)
    }
}

/// Parses the fields that drains and givebacks share.
fn plan_request(kind: RecoveryKind, fields: &mut impl Fields) -> Option<PlanRequest> {
    let at_once = fields.optional(
        "at_once",
        Whole {
            least: 1,
            most: u64::from(MAX_PARALLEL_MOVES),
        },
    );
    let limit = fields.optional(
        "limit_seconds",
        Whole {
            least: MIN_MOVE_LIMIT.as_secs(),
            most: MAX_MOVE_LIMIT.as_secs(),
        },
    );
    let with_locked = fields.optional("with_locked", Boolean);
    Some(PlanRequest {
        kind,
        reason: String::new(),
        lasts: Duration::ZERO,
        at_once: u32::try_from(at_once.unwrap_or(DEFAULT_PARALLEL)).ok()?,
        limit: limit.map_or(LIMIT, Duration::from_secs),
        with_locked: with_locked.unwrap_or_default(),
    })
}
