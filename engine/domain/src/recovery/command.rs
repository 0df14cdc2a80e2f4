//! Commands of a recovery.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::elapsed::Elapsed;
use crate::hooks::HookCall;
use crate::id::{MigrationId, ServerId, ServiceId};
use crate::level::Target;
use crate::nova::{Migration, Server, VmState};
use crate::proof::Proof;
use crate::timestamp::Timestamp;

use super::observation::ServerCall;
use super::reserve::ReserveCall;

/// The evacuations from a host that its recovery has no record of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEvacuations {
    /// The time from which records count, by Nova's clock.
    pub since: Timestamp,
    /// The servers that the recovery knows.
    pub known: BTreeSet<ServerId>,
}

impl UnknownEvacuations {
    /// Returns the servers that such evacuations have taken, or may have taken, from `host`.
    pub fn servers(&self, host: &str, migrations: &[Migration], on_host: &[Server]) -> BTreeSet<ServerId> {
        let mut servers: BTreeSet<ServerId> = migrations
            .iter()
            .filter(|record| record.is_evacuation_from(host) && !record.status.is_failed())
            .filter(|record| record.created_at.is_none_or(|at| at >= self.since))
            .map(|record| record.server)
            .filter(|server| !self.known.contains(server))
            .collect();
        for server in on_host {
            servers.remove(&server.id);
        }
        servers
    }
}

/// Permission to evacuate one server; only a fresh [`Proof`] grants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evacuation {
    server: ServerId,
    target: Option<String>,
}

impl Evacuation {
    /// Returns the permission for this server, if the proof holds now.
    pub(crate) fn on(proof: &Proof, server: ServerId, now: Elapsed, limit: Duration) -> Option<Self> {
        proof
            .is_fresh(now, limit)
            .then_some(Self { server, target: None })
    }

    /// Sets the target host.
    #[must_use]
    pub(crate) fn to(self, target: Option<String>) -> Self {
        Self { target, ..self }
    }

    pub fn server(&self) -> ServerId {
        self.server
    }

    /// Returns the target host; `None` leaves the choice to Nova's scheduler.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }
}

/// A change of the host's service record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceUpdate {
    /// `disabled` with a reason, and `forced_down`: one call, after the proof.
    DisableAndForceDown {
        /// The reason, marked as ours.
        reason: String,
    },
    /// `forced_down` alone: others have disabled the service for a reason of their own.
    ForceDown,
    /// `forced_down` is cleared: its nova-compute is back.
    ClearForcedDown,
    /// `enabled`: the host is back, and we had disabled it (9.10).
    Enable,
    /// `disabled` with a reason: a process failed, and the host is up.
    Disable {
        /// The reason, marked as ours.
        reason: String,
    },
}

/// The state that a moved server is restored to, because it was in it before.
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
    /// `os-resetState` to `active`: Nova has moved the server but left it in error.
    MarkActive,
}

/// An action outside the engine. Commands that change something are carried out only after the decision that gives them
/// has been journalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Reads the state of all hosts, for the guards.
    ScanHosts,
    /// Reads the host's service record.
    ReadService,
    /// Reads the fence devices of the host.
    ReadLevels,
    /// Reads the power state from one of them.
    ReadPower(Target),
    /// Orders one of them to cut the host's power.
    PowerOff {
        target: Target,
        /// The reason, for the device's own log.
        reason: String,
    },
    /// Orders one of them to give the host its power back.
    PowerOn {
        target: Target,
        /// The reason, for the device's own log.
        reason: String,
    },
    /// Changes the host's service record.
    UpdateService {
        /// Nova's id of the record.
        id: ServiceId,
        /// The change; disabling and `forced_down` go in one call.
        update: ServiceUpdate,
    },
    /// Reads the lists that a plan is made from.
    TakeInventory {
        /// True if the host's service record was read just now; otherwise it is read before the lists, too.
        shown: bool,
        /// The evacuations whose servers are read too.
        unknown: Option<UnknownEvacuations>,
    },
    /// Reads the lists by which moves are followed.
    ReadLists {
        /// The time before which evacuation records are not needed, by Nova's clock.
        since: Option<Timestamp>,
    },
    /// Reads only the evacuation records; one read serves many recoveries.
    ReadEvacuations {
        /// The same limit as for the lists.
        since: Option<Timestamp>,
    },
    /// Reads the ids of the servers that Nova still has on the host. Ids cost Nova far less than the servers themselves.
    ReadServerIds,
    /// Checks that every nova-conductor is up.
    ReadConductors,
    ReadServer(ServerId),
    /// Reads what users and Nova have requested on one server.
    ReadActions(ServerId),
    Lock {
        server: ServerId,
        /// The reason, marked as ours.
        reason: String,
    },
    Unlock(ServerId),
    /// Sets `vm_state` to `error`, because Nova evacuates the server in no other state that could be set.
    Prepare(ServerId),
    Evacuate(Evacuation),
    /// Restores the former state of a moved server.
    Restore {
        /// The instance, on its new host.
        server: ServerId,
        /// One step towards what it was before the failure.
        to: Restoration,
    },
    /// Stops an instance that has failed.
    Stop(ServerId),
    /// Starts the instance again.
    Start(ServerId),
    /// Moves a stopped instance to another host of the scheduler's choice (a cold migration).
    Migrate(ServerId),
    /// Confirms such a move: Nova then allows the instance to be started.
    ConfirmMigration(ServerId),
    /// Sets `vm_state` to `to`, so that Nova allows the instance to be stopped.
    Activate {
        server: ServerId,
        /// Always `active` today.
        to: VmState,
    },
    /// Reads a server and its live migrations.
    FollowMove(ServerId),
    LiveMigrate {
        server: ServerId,
        /// The target host; `None` leaves the choice to Nova's scheduler.
        target: Option<String>,
    },
    AbortMigration {
        server: ServerId,
        /// Nova's record of the migration.
        migration: MigrationId,
    },
    /// Runs an operator's hook.
    RunHook(Box<HookCall>),
    /// Makes a call about reserved hosts.
    Reserve(ReserveCall),
}

impl Command {
    /// True if the command changes something outside.
    pub fn is_write(&self) -> bool {
        match self {
            Self::ScanHosts
            | Self::ReadService
            | Self::ReadLevels
            | Self::ReadPower(_)
            | Self::TakeInventory { .. }
            | Self::ReadLists { .. }
            | Self::ReadEvacuations { .. }
            | Self::ReadServerIds
            | Self::ReadConductors
            | Self::ReadServer(_)
            | Self::ReadActions(_)
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
            | Self::Migrate(_)
            | Self::ConfirmMigration(_)
            | Self::Activate { .. }
            | Self::LiveMigrate { .. }
            | Self::AbortMigration { .. }
            | Self::RunHook(_) => true,
        }
    }

    /// Returns the server that the call is about, and the kind of call.
    pub fn server_call(&self) -> Option<(ServerId, ServerCall)> {
        match self {
            Self::Lock { server, .. } => Some((*server, ServerCall::Lock)),
            Self::Unlock(server) => Some((*server, ServerCall::Unlock)),
            Self::Prepare(server) => Some((*server, ServerCall::Prepare)),
            Self::Evacuate(evacuation) => Some((evacuation.server, ServerCall::Evacuate)),
            Self::Restore { server, .. } => Some((*server, ServerCall::Restore)),
            Self::Stop(server) => Some((*server, ServerCall::Stop)),
            Self::Start(server) => Some((*server, ServerCall::Start)),
            Self::Migrate(server) => Some((*server, ServerCall::Migrate)),
            Self::ConfirmMigration(server) => Some((*server, ServerCall::ConfirmMigration)),
            Self::Activate { server, .. } => Some((*server, ServerCall::Activate)),
            Self::LiveMigrate { server, .. } => Some((*server, ServerCall::LiveMigrate)),
            Self::AbortMigration { server, .. } => Some((*server, ServerCall::AbortMigration)),
            Self::ScanHosts
            | Self::ReadService
            | Self::ReadLevels
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
            | Self::ReadActions(_)
            | Self::FollowMove(_)
            | Self::RunHook(_)
            | Self::Reserve(_) => None,
        }
    }

    /// Returns a short name for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ScanHosts => "count hosts",
            Self::ReadService => "read service",
            Self::ReadLevels => "learn levels",
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
            Self::ReadActions(_) => "read actions",
            Self::Lock { .. } => "lock",
            Self::Unlock(_) => "unlock",
            Self::Prepare(_) => "prepare",
            Self::Evacuate(_) => "evacuate",
            Self::Restore { .. } => "restore",
            Self::Stop(_) => "stop",
            Self::Start(_) => "start",
            Self::Migrate(_) => "migrate",
            Self::ConfirmMigration(_) => "confirm migration",
            Self::Activate { .. } => "activate",
            Self::FollowMove(_) => "follow move",
            Self::LiveMigrate { .. } => "live-migrate",
            Self::AbortMigration { .. } => "abort migration",
            Self::RunHook(_) => "run hook",
            Self::Reserve(call) => call.name(),
        }
    }
}
