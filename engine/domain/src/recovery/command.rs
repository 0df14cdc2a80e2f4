//! What a recovery wants done.

use std::time::Duration;

use crate::elapsed::Elapsed;
use crate::hooks::HookCall;
use crate::id::{MigrationId, ServerId, ServiceId};
use crate::level::Target;
use crate::nova::VmState;
use crate::proof::Proof;
use crate::timestamp::Timestamp;

use super::observation::ServerCall;
use super::reserve::ReserveCall;

/// Leave to evacuate one server: only a fresh [`Proof`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evacuation {
    server: ServerId,
    target: Option<String>,
}

impl Evacuation {
    /// The server to be evacuated, if the proof holds now.
    pub(crate) fn on(proof: &Proof, server: ServerId, now: Elapsed, limit: Duration) -> Option<Self> {
        proof
            .is_fresh(now, limit)
            .then_some(Self { server, target: None })
    }

    /// The same, to this host.
    #[must_use]
    pub(crate) fn to(self, target: Option<String>) -> Self {
        Self { target, ..self }
    }

    /// Which server.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// To which host; `None` leaves that to Nova's scheduler.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }
}

/// What to change of the service record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceUpdate {
    /// `disabled` with a reason, and `forced_down`: one call, after the proof.
    DisableAndForceDown {
        /// Marked as ours.
        reason: String,
    },
    /// `forced_down` alone: somebody else has disabled it for a reason of their own (R23).
    ForceDown,
    /// `forced_down` no more: its nova-compute is back (R22).
    ClearForcedDown,
    /// `enabled`: the host is back, and we had disabled it (9.10).
    Enable,
    /// `disabled` with a reason: a process failed, the host lives.
    Disable {
        /// Marked as ours.
        reason: String,
    },
}

/// What a moved server is brought to, because it was so before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restoration {
    /// `os-stop`.
    Stop,
    /// `pause`.
    Pause,
    /// `suspend`.
    Suspend,
    /// `os-resetState` to `error`.
    MarkError,
    /// `os-resetState` to `active`: Nova has moved it and left it in error all the same.
    MarkActive,
}

/// Something to be done outside. Those that change something are carried out only after the decision that commands
/// them has been journalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Look at all hosts, for the guards.
    CountHosts,
    /// Read the host's service record.
    ReadService,
    /// Find out which devices the host has.
    LearnLevels,
    /// Ask one of them.
    ReadPower(Target),
    /// Tell one of them to cut the host's power.
    PowerOff {
        /// The device.
        target: Target,
        /// For its own log.
        reason: String,
    },
    /// Tell one of them to give the host its power back.
    PowerOn {
        /// The device.
        target: Target,
        /// For its own log.
        reason: String,
    },
    /// Change the host's service record.
    UpdateService {
        /// Nova's id of the record.
        id: ServiceId,
        /// Disabled and `forced_down` go in one call.
        update: ServiceUpdate,
    },
    /// Take the lists a plan is made of.
    TakeInventory {
        /// The host's service record was seen just now; otherwise it is read before the lists, too.
        shown: bool,
    },
    /// Take the lists moves are followed by.
    ReadLists {
        /// Evacuation records older than this are of no interest; Nova's clock.
        since: Option<Timestamp>,
    },
    /// Read the evacuation records alone; one reading serves many recoveries (R13).
    ReadEvacuations {
        /// As for the lists.
        since: Option<Timestamp>,
    },
    /// Read which servers Nova still has on the host: their ids alone, which cost it far less than the servers.
    ReadServerIds,
    /// Ask whether every nova-conductor is up.
    ReadConductors,
    /// Read one server.
    ReadServer(ServerId),
    /// Lock a server.
    Lock {
        /// The instance.
        server: ServerId,
        /// Marked as ours.
        reason: String,
    },
    /// Unlock a server.
    Unlock(ServerId),
    /// Set `vm_state` to `error`, because Nova evacuates it in no other state it could be set to.
    Prepare(ServerId),
    /// Evacuate a server.
    Evacuate(Evacuation),
    /// Bring a moved server to what it was.
    Restore {
        /// The instance, on its new host.
        server: ServerId,
        /// One step towards what it was before the failure.
        to: Restoration,
    },
    /// Stop an instance that has failed.
    Stop(ServerId),
    /// Start it again.
    Start(ServerId),
    /// Set `vm_state` to `to`, so that Nova lets it be stopped.
    Activate {
        /// The instance.
        server: ServerId,
        /// Always `active` today.
        to: VmState,
    },
    /// Look at a server and its live migrations.
    FollowMove(ServerId),
    /// Live-migrate a server.
    LiveMigrate {
        /// The instance.
        server: ServerId,
        /// To which host; `None` leaves that to Nova's scheduler.
        target: Option<String>,
    },
    /// Abort a live migration.
    AbortMigration {
        /// The instance.
        server: ServerId,
        /// Nova's record of it.
        migration: MigrationId,
    },
    /// Run an operator's hook.
    RunHook(Box<HookCall>),
    /// Something about reserved hosts.
    Reserve(ReserveCall),
}

impl Command {
    /// Whether it changes something outside.
    pub fn is_write(&self) -> bool {
        match self {
            Self::CountHosts
            | Self::ReadService
            | Self::LearnLevels
            | Self::ReadPower(_)
            | Self::TakeInventory { .. }
            | Self::ReadLists { .. }
            | Self::ReadEvacuations { .. }
            | Self::ReadServerIds
            | Self::ReadConductors
            | Self::ReadServer(_)
            | Self::FollowMove(_) => false,
            Self::Reserve(call) => call.is_write(),
            Self::PowerOff { .. }
            | Self::PowerOn { .. }
            | Self::UpdateService { .. }
            | Self::Lock { .. }
            | Self::Unlock(_)
            | Self::Prepare(_)
            | Self::Evacuate(_)
            | Self::Restore { .. }
            | Self::Stop(_)
            | Self::Start(_)
            | Self::Activate { .. }
            | Self::LiveMigrate { .. }
            | Self::AbortMigration { .. }
            | Self::RunHook(_) => true,
        }
    }

    /// The server a call is about, and which call it is.
    pub fn server_call(&self) -> Option<(ServerId, ServerCall)> {
        match self {
            Self::Lock { server, .. } => Some((*server, ServerCall::Lock)),
            Self::Unlock(server) => Some((*server, ServerCall::Unlock)),
            Self::Prepare(server) => Some((*server, ServerCall::Prepare)),
            Self::Evacuate(evacuation) => Some((evacuation.server, ServerCall::Evacuate)),
            Self::Restore { server, .. } => Some((*server, ServerCall::Restore)),
            Self::Stop(server) => Some((*server, ServerCall::Stop)),
            Self::Start(server) => Some((*server, ServerCall::Start)),
            Self::Activate { server, .. } => Some((*server, ServerCall::Activate)),
            Self::LiveMigrate { server, .. } => Some((*server, ServerCall::LiveMigrate)),
            Self::AbortMigration { server, .. } => Some((*server, ServerCall::AbortMigration)),
            Self::CountHosts
            | Self::ReadService
            | Self::LearnLevels
            | Self::ReadPower(_)
            | Self::PowerOff { .. }
            | Self::PowerOn { .. }
            | Self::UpdateService { .. }
            | Self::TakeInventory { .. }
            | Self::ReadLists { .. }
            | Self::ReadEvacuations { .. }
            | Self::ReadServerIds
            | Self::ReadConductors
            | Self::ReadServer(_)
            | Self::FollowMove(_)
            | Self::RunHook(_)
            | Self::Reserve(_) => None,
        }
    }

    /// A few words for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CountHosts => "count hosts",
            Self::ReadService => "read service",
            Self::LearnLevels => "learn levels",
            Self::ReadPower(_) => "read power",
            Self::PowerOff { .. } => "power off",
            Self::PowerOn { .. } => "power on",
            Self::UpdateService { .. } => "update service",
            Self::TakeInventory { .. } => "take inventory",
            Self::ReadLists { .. } => "read lists",
            Self::ReadEvacuations { .. } => "read evacuations",
            Self::ReadServerIds => "read server ids",
            Self::ReadConductors => "read conductors",
            Self::ReadServer(_) => "read server",
            Self::Lock { .. } => "lock",
            Self::Unlock(_) => "unlock",
            Self::Prepare(_) => "prepare",
            Self::Evacuate(_) => "evacuate",
            Self::Restore { .. } => "restore",
            Self::Stop(_) => "stop",
            Self::Start(_) => "start",
            Self::Activate { .. } => "activate",
            Self::FollowMove(_) => "follow move",
            Self::LiveMigrate { .. } => "live-migrate",
            Self::AbortMigration { .. } => "abort migration",
            Self::RunHook(_) => "run hook",
            Self::Reserve(call) => call.name(),
        }
    }
}
