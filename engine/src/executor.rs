//! Executes one command and returns its result.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::Elapsed;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::level::Target;
use tachi_domain::pace::NovaFeedback;
use tachi_domain::recovery::{
    Command, Evacuations, InCell, Inventory, Lists, Observation, Restoration, ServerCall, ServerIds,
    ServerReading, ServiceUpdate, UnknownEvacuations,
};
use tachi_domain::{
    HostId, ServerId,
    nova::{Server, VmState},
};
use tachi_driver::Intent;

use crate::claim_guard::ClaimGuard;
use crate::engine::Ports;
use crate::hooks::{self, DocumentContext};
use crate::lists::SharedLists;
use crate::ports::{CallError, Contents, DeviceOperation, JournalError, ServiceChange};
use crate::rate_controller::RateController;
use crate::reservations;

/// The context in which a command is executed.
pub(crate) struct Context {
    pub(crate) ports: Ports,
    pub(crate) host: String,
    pub(crate) host_id: Option<HostId>,
    pub(crate) document: Arc<DocumentContext>,
    pub(crate) claim_guard: ClaimGuard,
    pub(crate) rate_controller: RateController,
    pub(crate) lists: SharedLists,
    /// True if evacuation records are read once for many recoveries.
    pub(crate) shares_records: bool,
    /// True if services are read once: for many recoveries, or for a scan of all hosts requested at the same moment.
    pub(crate) shares_services: bool,
    /// The transaction that wrote the intent.
    pub(crate) intent: Intent,
    /// The recovery's elapsed time when the decision was known to be durable.
    pub(crate) started: Elapsed,
}

/// Executes `command`, unless the claim or the intent has expired by the time of its first byte.
pub(crate) async fn execute(command: Command, context: Context) -> Observation {
    if command.is_write()
        && touches_nova(&command)
        && let Err(error) = context.ports.compute.make_ready().await
    {
        tracing::debug!(command = command.name(), %error, "failed to prepare the session with Nova; not sending the command");
        // No byte was sent to Nova. The next read meets the same problem and reports it.
        return failed(command, &error);
    }
    // A device accepts a limited number of concurrent calls. If the wait for a permit outlasts the intent, the command
    // is decided again.
    let turn = match device_of(&command) {
        Some((target, work)) => Some(context.ports.fencer.permit(&context.host, target, work).await),
        None => None,
    };
    let waited = context.ports.clock.boot().saturating_sub(context.intent.durable);
    if !context.claim_guard.may_act(context.intent, command.is_write()) {
        tracing::info!(
            command = command.name(),
            host = context.host,
            "intent or claim of the command has expired; not sending it"
        );
        return Observation::NotSent(command);
    }
    match command {
        Command::ScanHosts => count_hosts(command, &context).await,
        Command::ReadService if context.shares_services => {
            Observation::Service(context.lists.service(&context.host).await)
        }
        Command::ReadService => {
            Observation::Service(context.ports.compute.service(&context.host).await.map_err(fault))
        }
        Command::ReadLevels => Observation::Levels(context.ports.fencer.levels(&context.host)),
        Command::ReadPower(target) => {
            let fencer = &context.ports.fencer;
            let result = fencer.read_power(&context.host, &target).await.map_err(fault);
            drop(turn);
            Observation::Power {
                target,
                started: context.started.plus(waited),
                waited,
                result,
            }
        }
        Command::PowerOff { target, reason } => {
            let fencer = &context.ports.fencer;
            let result = fencer.power_off(&context.host, &target, &reason).await;
            drop(turn);
            Observation::PowerOff {
                target,
                result: result.map_err(fault),
            }
        }
        Command::PowerOn { target, reason } => {
            let fencer = &context.ports.fencer;
            let result = fencer.power_on(&context.host, &target, &reason).await;
            drop(turn);
            Observation::PowerOn {
                target,
                result: result.map_err(fault),
            }
        }
        Command::UpdateService { id, update } => {
            let change = change_of(update);
            let result = context.ports.compute.update_service(id, &change).await;
            Observation::ServiceUpdated(result.map_err(fault))
        }
        Command::TakeInventory { shown, unknown } => {
            Observation::Inventory(inventory(&context, shown, unknown).await.map_err(fault))
        }
        Command::ReadLists { since } => Observation::Lists(lists(&context, since).await.map_err(fault)),
        Command::ReadEvacuations { since } => Observation::Evacuations(evacuations(&context, since).await),
        Command::ReadServerIds => Observation::ServerIds(server_ids(&context).await.map_err(fault)),
        Command::ReadConductors => Observation::Conductors(context.lists.messaging().await),
        Command::ReadServer(server) => {
            let result = context.ports.compute.server(server).await.map_err(fault);
            Observation::Server { server, result }
        }
        Command::ReadActions(server) => {
            let result = context.ports.compute.orders(server).await.map_err(fault);
            Observation::Actions { server, result }
        }
        Command::FollowMove(server) => Observation::Followed {
            server,
            result: followed(&context, server).await.map_err(fault),
        },
        Command::RunHook(call) => hooks::run(call, &context.document, context.ports.hooks.as_ref()).await,
        Command::Reserve(call) => reservations::execute(call, &context).await,
        Command::Lock { .. }
        | Command::Unlock(_)
        | Command::Prepare(_)
        | Command::Evacuate(_)
        | Command::Restore { .. }
        | Command::Stop(_)
        | Command::Start(_)
        | Command::Migrate(_)
        | Command::ConfirmMigration(_)
        | Command::Activate { .. }
        | Command::LiveMigrate { .. }
        | Command::AbortMigration { .. } => call_about_server(command, &context).await,
    }
}

/// Executes a call about one server. The observation contains the name of the call.
async fn call_about_server(command: Command, context: &Context) -> Observation {
    let Some((server, call)) = command.server_call() else {
        return Observation::NotSent(command);
    };
    let compute = &context.ports.compute;
    let started_at = tokio::time::Instant::now();
    let result = match &command {
        Command::Lock { reason, .. } => compute.lock(server, reason).await,
        Command::Unlock(_) => compute.unlock(server).await,
        Command::Prepare(_) => compute.reset_state(server, &VmState::Error).await,
        Command::Evacuate(evacuation) => compute.evacuate(evacuation.server(), evacuation.target()).await,
        Command::Restore { to, .. } => match to {
            Restoration::Stop => compute.stop(server).await,
            Restoration::Pause => compute.pause(server).await,
            Restoration::Suspend => compute.suspend(server).await,
            Restoration::MarkError => compute.reset_state(server, &VmState::Error).await,
            Restoration::MarkActive => compute.reset_state(server, &VmState::Active).await,
        },
        Command::Stop(_) => compute.stop(server).await,
        Command::Start(_) => compute.start(server).await,
        Command::Migrate(_) => compute.migrate(server).await,
        Command::ConfirmMigration(_) => compute.confirm_migration(server).await,
        Command::Activate { to, .. } => compute.reset_state(server, to).await,
        Command::LiveMigrate { target, .. } => compute.live_migrate(server, target.as_deref()).await,
        Command::AbortMigration { migration, .. } => compute.abort_migration(server, *migration).await,
        Command::ScanHosts
        | Command::ReadService
        | Command::ReadLevels
        | Command::ReadPower(_)
        | Command::PowerOff { .. }
        | Command::PowerOn { .. }
        | Command::UpdateService { .. }
        | Command::TakeInventory { .. }
        | Command::ReadLists { .. }
        | Command::ReadEvacuations { .. }
        | Command::ReadServerIds
        | Command::ReadConductors
        | Command::ReadServer(_)
        | Command::ReadActions(_)
        | Command::FollowMove(_)
        | Command::RunHook(_)
        | Command::Reserve(_) => return Observation::NotSent(command),
    };
    if let Some(feedback_of) = feedback_of(&result, started_at.elapsed()) {
        context
            .rate_controller
            .feedback(call == ServerCall::Evacuate, feedback_of);
    }
    Observation::ServerCall {
        server,
        call,
        result: result.map_err(fault),
    }
}

/// Returns the information about Nova's load in the result of a call. A refusal counts as an answer; a call that never
/// reached Nova contains none.
fn feedback_of(result: &Result<(), CallError>, took: Duration) -> Option<NovaFeedback> {
    let Err(error) = result else {
        return Some(NovaFeedback::Answered(took));
    };
    if let Some(pushback) = error.pushback() {
        return Some(NovaFeedback::PushedBack(pushback.retry_after));
    }
    match error.fault.class {
        FaultClass::Transient => Some(NovaFeedback::Failed),
        FaultClass::Permanent | FaultClass::Conflict if error.fault.status.is_some() => {
            Some(NovaFeedback::Answered(took))
        }
        FaultClass::Permanent | FaultClass::Conflict | FaultClass::Fatal => None,
    }
}

/// Returns the device to wait for, and the kind of call.
fn device_of(command: &Command) -> Option<(&Target, DeviceOperation)> {
    if let Command::ReadPower(target) = command {
        Some((target, DeviceOperation::Read))
    } else if let Command::PowerOff { target, .. } | Command::PowerOn { target, .. } = command {
        Some((target, DeviceOperation::Switch))
    } else {
        None
    }
}

fn touches_nova(command: &Command) -> bool {
    !matches!(
        command,
        Command::PowerOff { .. } | Command::PowerOn { .. } | Command::RunHook(_)
    )
}

/// Returns the observation for a command whose call could not start.
fn failed(command: Command, error: &CallError) -> Observation {
    let fault = Fault {
        maybe_done: false,
        ..error.fault.clone()
    };
    if let Command::Reserve(call) = &command {
        return Observation::Reserve(call.failed(fault));
    }
    match command.server_call() {
        Some((server, call)) => Observation::ServerCall {
            server,
            call,
            result: Err(fault),
        },
        None if matches!(command, Command::UpdateService { .. }) => Observation::ServiceUpdated(Err(fault)),
        None => Observation::NotSent(command),
    }
}

/// Logs the whole error chain. Decisions get only the fault.
pub(crate) fn fault(error: CallError) -> Fault {
    let source = error.source.as_ref().map(ToString::to_string);
    tracing::debug!(fault = %error.fault, source, class = ?error.fault.class, "call failed");
    error.fault
}

async fn count_hosts(command: Command, context: &Context) -> Observation {
    match context.lists.region_scan().await {
        Ok(region) => Observation::Region(region),
        Err(fault) => {
            tracing::debug!(%fault, "failed to read all hosts");
            Observation::NotSent(command)
        }
    }
}

fn change_of(update: ServiceUpdate) -> ServiceChange {
    match update {
        ServiceUpdate::DisableAndForceDown { reason } => ServiceChange {
            disable: Some(Some(reason)),
            forced_down: Some(true),
        },
        ServiceUpdate::ForceDown => ServiceChange {
            disable: None,
            forced_down: Some(true),
        },
        ServiceUpdate::Enable => ServiceChange {
            disable: Some(None),
            forced_down: None,
        },
        ServiceUpdate::ClearForcedDown => ServiceChange {
            disable: None,
            forced_down: Some(false),
        },
        ServiceUpdate::Disable { reason } => ServiceChange {
            disable: Some(Some(reason)),
            forced_down: None,
        },
    }
}

async fn inventory(
    context: &Context,
    shown: bool,
    unknown: Option<UnknownEvacuations>,
) -> Result<Inventory, CallError> {
    let compute = &context.ports.compute;
    let written_off = context.ports.journal.written_off(&context.host).await;
    let written_off = written_off.map_err(journal_failed)?;
    let Contents {
        service,
        migrations,
        servers,
    } = compute.contents(&context.host, shown).await?;
    let in_cell = if servers.is_empty() {
        let count = compute.count_in_cell(&context.host).await;
        count.map_or_else(
            |error| InCell::Failed(fault(error)),
            |count| count.map_or(InCell::NotQueried, InCell::Has),
        )
    } else {
        InCell::NotQueried
    };
    let unknown = unknown.map(|of| of.servers(&context.host, &migrations, &servers));
    let evacuated = evacuated(context, unknown.unwrap_or_default()).await;
    let ids: BTreeSet<ServerId> = servers.iter().map(|server| server.id).collect();
    let may_run = context
        .ports
        .journal
        .may_run(&ids)
        .await
        .map_err(journal_failed)?;
    let local_disks = context.ports.journal.local_disks(&context.host).await;
    let local_disks = local_disks.map_err(journal_failed)?;
    Ok(Inventory {
        migrations,
        servers,
        evacuated,
        in_cell,
        service,
        written_off,
        may_run,
        local_disks,
    })
}

/// Reads servers that have left the host. One that cannot be read is left out, because it must not hold up the others; a recovery that
/// lists the host again reads it again.
async fn evacuated(context: &Context, servers: BTreeSet<ServerId>) -> Vec<Server> {
    let mut read = Vec::new();
    for server in servers {
        match context.ports.compute.server(server).await {
            Ok(shown) => read.extend(shown),
            Err(error) => {
                tracing::debug!(%server, error = %error.fault.text, "failed to read a server that was evacuated");
            }
        }
    }
    read
}

/// Converts the error of a journal read that is part of a query to Nova, so that the query fails like a call.
fn journal_failed(error: JournalError) -> CallError {
    CallError {
        fault: Fault {
            class: FaultClass::Transient,
            status: None,
            maybe_done: false,
            text: format!("{error}: {}", error.source),
        },
        source: Some(Box::new(error)),
    }
}

/// Returns this host's records from the shared list. The time of the reading, as the recovery's elapsed time, is counted
/// back from now.
async fn evacuations(
    context: &Context,
    since: Option<tachi_domain::Timestamp>,
) -> Result<Evacuations, Fault> {
    if !context.shares_records {
        let compute = &context.ports.compute;
        return Ok(Evacuations {
            started: context.started,
            records: compute
                .evacuations_from(&context.host, since)
                .await
                .map_err(fault)?,
        });
    }
    let records = context.lists.records(since).await?;
    // The read of the records started after the decision that needs them.
    let later = records.started.saturating_sub(context.intent.durable);
    Ok(Evacuations {
        started: context.started.plus(later),
        records: records.of(&context.host),
    })
}

/// Reads the records before the server: Nova writes the record of a finished move after the server's new host.
async fn followed(context: &Context, server: ServerId) -> Result<ServerReading, CallError> {
    let compute = &context.ports.compute;
    let (migrations, percent) = compute.migrations_of(server).await?;
    Ok(ServerReading {
        server: compute.server(server).await?,
        migrations,
        percent,
    })
}

async fn server_ids(context: &Context) -> Result<ServerIds, CallError> {
    Ok(ServerIds {
        started: context.started,
        ids: context.ports.compute.server_ids_on(&context.host).await?,
    })
}

async fn lists(context: &Context, since: Option<tachi_domain::Timestamp>) -> Result<Lists, CallError> {
    let compute = &context.ports.compute;
    // First, so that a host confirmed off in between does not count for records read before.
    let proven_off = context.ports.journal.proven_off().await.map_err(journal_failed)?;
    let servers = compute.servers_on(&context.host).await?;
    let evacuations = compute.evacuations_from(&context.host, since).await?;
    Ok(Lists {
        started: context.started,
        servers,
        evacuations,
        proven_off,
    })
}
