//! What a stage works with in one decision: what it is told of the recovery, and where it leaves what came of it.

use std::collections::BTreeMap;

use super::Move;
use super::trouble::Troubles;
use crate::ServerId;
use crate::policy::Policy;
use crate::recovery::{Now, Record};

/// The instances of a recovery.
pub(super) type Moves = BTreeMap<ServerId, Move>;

/// See the module.
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    /// The host's service name in Nova.
    pub(super) host: &'a str,
    pub(super) policy: &'a Policy,
    /// Nothing may be begun just now.
    pub(super) forbidden: bool,
    pub(super) troubles: &'a mut Troubles,
    pub(super) record: &'a mut Record,
}

/// The turn of a recovery, which leaves its stages and moves to be borrowed beside it.
macro_rules! turn {
    ($recovery:ident, $now:expr, $record:expr) => {{
        let forbidden = $recovery.forbidden().is_some();
        $crate::host_recovery::turn::Turn {
            now: $now,
            host: &$recovery.host,
            policy: &$recovery.policy,
            forbidden,
            troubles: &mut $recovery.asks.troubles,
            record: $record,
        }
    }};
}

pub(super) use turn;
