//! Calls about reserved hosts, and their answers.

use crate::fault::Fault;
use crate::id::ServiceId;
use crate::nova::Service;
use crate::reserved::{ReservedHostView, Survey};

/// The status that a reserved host's service is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceStatus {
    /// Nova's scheduler may use the host.
    Enabled,
    /// The service is disabled as it was before, with its former reason.
    Disabled {
        /// The former reason; Nova accepts no empty one.
        reason: Option<String>,
    },
}

/// A call about a reserved host. Hosts are named as in Nova.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReserveCall {
    /// Reads all reserved hosts of the segment.
    Survey,
    /// Reads one reserved host.
    ReadHost {
        host: String,
        /// True if its servers are needed too.
        servers: bool,
    },
    /// Enables the host, or disables it again.
    SetStatus {
        host: String,
        /// Nova's id of its service.
        service: ServiceId,
        status: ServiceStatus,
    },
    /// Adds the host to an aggregate.
    Join {
        host: String,
        /// The aggregate's number.
        aggregate: u64,
    },
    /// Removes the host from an aggregate.
    Leave {
        host: String,
        /// The aggregate's number.
        aggregate: u64,
    },
}

impl ReserveCall {
    /// True if the call changes something outside.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Survey | Self::ReadHost { .. } => false,
            Self::SetStatus { .. } | Self::Join { .. } | Self::Leave { .. } => true,
        }
    }

    /// Returns a short name for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Survey => "survey reserved hosts",
            Self::ReadHost { .. } => "read reserved host",
            Self::SetStatus { .. } => "set status of reserved host",
            Self::Join { .. } => "add reserved host to aggregate",
            Self::Leave { .. } => "remove reserved host from aggregate",
        }
    }

    /// Returns the answer to a failed call.
    #[must_use]
    pub fn failed(&self, fault: Fault) -> ReserveAnswer {
        match self {
            Self::Survey => ReserveAnswer::Survey(Err(fault)),
            Self::ReadHost { host, .. } => ReserveAnswer::ReadHost {
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

/// The result of adding a host to an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinResult {
    /// The host was not in the aggregate and is now.
    Added,
    /// The host is in the aggregate, and was when the call arrived: this was read again, not guessed from a 409.
    Already,
}

/// The answer to a [`ReserveCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReserveAnswer {
    /// The answer to [`ReserveCall::Survey`].
    Survey(Result<Survey, Fault>),
    /// The answer to [`ReserveCall::Look`].
    ReadHost {
        host: String,
        result: Result<ReservedHostView, Fault>,
    },
    /// The answer to [`ReserveCall::SetStatus`].
    StatusSet {
        host: String,
        result: Result<Service, Fault>,
    },
    /// The answer to [`ReserveCall::Join`]. A conflict is one of availability zones.
    Joined {
        host: String,
        aggregate: u64,
        result: Result<JoinResult, Fault>,
    },
    /// The answer to [`ReserveCall::Leave`]. A host that is not in the aggregate is no failure.
    Left {
        host: String,
        aggregate: u64,
        result: Result<(), Fault>,
    },
}

impl ReserveAnswer {
    /// Returns the reason why the call failed, if it did.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Survey(result) => result.as_ref().err(),
            Self::ReadHost { result, .. } => result.as_ref().err(),
            Self::StatusSet { result, .. } => result.as_ref().err(),
            Self::Joined { result, .. } => result.as_ref().err(),
            Self::Left { result, .. } => result.as_ref().err(),
        }
    }
}
