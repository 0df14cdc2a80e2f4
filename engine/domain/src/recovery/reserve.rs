//! What is asked about reserved hosts, and of them.

use crate::fault::Fault;
use crate::id::ServiceId;
use crate::nova::Service;
use crate::reserved::{ReservedHostView, Survey};

/// What a reserved host's service is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceStatus {
    /// Nova's scheduler may use it.
    Enabled,
    /// As it was before, with the reason it had then.
    Disabled {
        /// Nova takes none that is empty.
        reason: Option<String>,
    },
}

/// A call about a reserved host. Hosts are named as in Nova.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReserveCall {
    /// Look at all of the segment.
    Survey,
    /// Look at one.
    Look {
        /// The reserved host.
        host: String,
        /// Whether its servers are wanted too.
        servers: bool,
    },
    /// Enable it, or disable it again.
    SetStatus {
        /// The reserved host.
        host: String,
        /// Nova's id of its service.
        service: ServiceId,
        /// To what.
        status: ServiceStatus,
    },
    /// Put it into an aggregate.
    Join {
        /// The reserved host.
        host: String,
        /// The aggregate's number.
        aggregate: u64,
    },
    /// Take it out again.
    Leave {
        /// The reserved host.
        host: String,
        /// The aggregate's number.
        aggregate: u64,
    },
}

impl ReserveCall {
    /// Whether it changes something outside.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Survey | Self::Look { .. } => false,
            Self::SetStatus { .. } | Self::Join { .. } | Self::Leave { .. } => true,
        }
    }

    /// A few words for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Survey => "survey reserved hosts",
            Self::Look { .. } => "look at reserved host",
            Self::SetStatus { .. } => "set status of reserved host",
            Self::Join { .. } => "add reserved host to aggregate",
            Self::Leave { .. } => "remove reserved host from aggregate",
        }
    }

    /// The answer of a call that failed.
    #[must_use]
    pub fn failed(&self, fault: Fault) -> ReserveAnswer {
        match self {
            Self::Survey => ReserveAnswer::Survey(Err(fault)),
            Self::Look { host, .. } => ReserveAnswer::Look {
                host: host.clone(),
                result: Err(fault),
            },
            Self::SetStatus { host, .. } => ReserveAnswer::StatusSet {
                host: host.clone(),
                result: Err(fault),
            },
            Self::Join { host, aggregate } => ReserveAnswer::Joined {
                host: host.clone(),
                aggregate: *aggregate,
                result: Err(fault),
            },
            Self::Leave { host, aggregate } => ReserveAnswer::Left {
                host: host.clone(),
                aggregate: *aggregate,
                result: Err(fault),
            },
        }
    }
}

/// What joining an aggregate came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It was not in it and is now.
    Added,
    /// It is in it, and was when the call arrived: read anew, not guessed from a 409.
    Already,
}

/// What came of a [`ReserveCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReserveAnswer {
    /// To [`ReserveCall::Survey`].
    Survey(Result<Survey, Fault>),
    /// To [`ReserveCall::Look`].
    Look {
        /// The reserved host.
        host: String,
        /// The answer.
        result: Result<ReservedHostView, Fault>,
    },
    /// To [`ReserveCall::SetStatus`].
    StatusSet {
        /// The reserved host.
        host: String,
        /// The answer.
        result: Result<Service, Fault>,
    },
    /// To [`ReserveCall::Join`]. A conflict is one of availability zones.
    Joined {
        /// The reserved host.
        host: String,
        /// The aggregate's number.
        aggregate: u64,
        /// The answer.
        result: Result<Joined, Fault>,
    },
    /// To [`ReserveCall::Leave`]. Not being in it is no failure.
    Left {
        /// The reserved host.
        host: String,
        /// The aggregate's number.
        aggregate: u64,
        /// The answer.
        result: Result<(), Fault>,
    },
}

impl ReserveAnswer {
    /// Why the call failed, if it did.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Survey(result) => result.as_ref().err(),
            Self::Look { result, .. } => result.as_ref().err(),
            Self::StatusSet { result, .. } => result.as_ref().err(),
            Self::Joined { result, .. } => result.as_ref().err(),
            Self::Left { result, .. } => result.as_ref().err(),
        }
    }
}
