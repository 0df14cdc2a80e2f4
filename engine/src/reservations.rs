//! Executes the commands about reserved hosts.

use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::recovery::{Command, JoinResult, Observation, ReserveAnswer, ReserveCall, ServiceStatus};
use tachi_domain::reserved::{ReservedHost, ReservedHostView, Survey};

use crate::executor::{Context, fault};
use crate::ports::{CallError, ServiceChange};

/// Executes one call.
pub(crate) async fn execute(call: ReserveCall, context: &Context) -> Observation {
    let compute = &context.ports.compute;
    let answer = match call {
        ReserveCall::Survey => {
            let Some(host) = context.host_id else {
                return Observation::NotSent(Command::Reserve(call));
            };
            let rows = match context.ports.journal.reserve(host).await {
                Ok(rows) => rows,
                Err(error) => {
                    let text = format!("{error}: {}", error.source);
                    return Observation::Reserve(call.failed(transient(text)));
                }
            };
            ReserveAnswer::Survey(survey(rows, context).await.map_err(fault))
        }
        ReserveCall::ReadHost { host, servers } => {
            let result = read_reserved_host(&host, servers, context).await.map_err(fault);
            ReserveAnswer::ReadHost { host, result }
        }
        ReserveCall::SetStatus {
            host,
            service,
            status,
        } => {
            let change = ServiceChange {
                disable: Some(match status {
                    ServiceStatus::Enabled => None,
                    ServiceStatus::Disabled { reason } => Some(reason.unwrap_or_default()),
                }),
                forced_down: None,
            };
            let result = compute.update_service(service, &change).await.map_err(fault);
            ReserveAnswer::StatusSet { host, result }
        }
        ReserveCall::Join { host, aggregate } => {
            let result = join(&host, aggregate, context).await.map_err(fault);
            ReserveAnswer::Joined {
                host,
                aggregate,
                result,
            }
        }
        ReserveCall::Leave { host, aggregate } => {
            let result = match compute.remove_from_aggregate(aggregate, &host).await {
                // The host is not a member, or the aggregate does not exist: nothing is left to do.
                Err(error) if error.fault.is_gone() => Ok(()),
                other => other.map_err(fault),
            };
            ReserveAnswer::Left {
                host,
                aggregate,
                result,
            }
        }
    };
    Observation::Reserve(answer)
}

fn transient(text: String) -> Fault {
    Fault {
        class: FaultClass::Transient,
        status: None,
        maybe_done: false,
        text,
    }
}

async fn survey(
    rows: Vec<crate::ports::reserve::ReserveRow>,
    context: &Context,
) -> Result<Survey, CallError> {
    let compute = &context.ports.compute;
    let mut survey = Survey::default();
    if rows.iter().any(|row| !row.busy) {
        survey.aggregates = compute.aggregates().await?;
    }
    for row in rows {
        let (mut service, mut room) = (None, None);
        if !row.busy {
            service = compute.service(&row.name).await?;
            // Without Placement, Nova's scheduler decides by attempt. Placement need not be queried again for each
            // host.
            if service.is_some() && survey.placement_error.is_none() {
                match compute.room_on(&row.name).await {
                    Ok(found) => room = found,
                    Err(error) => survey.placement_error = Some(fault(error).text),
                }
            }
        }
        survey.hosts.push(ReservedHost {
            id: row.id,
            name: row.name,
            busy: row.busy,
            service,
            room,
        });
    }
    Ok(survey)
}

async fn read_reserved_host(
    host: &str,
    servers: bool,
    context: &Context,
) -> Result<ReservedHostView, CallError> {
    let compute = &context.ports.compute;
    let servers = if servers {
        Some(compute.servers_on(host).await?.len())
    } else {
        None
    };
    let service = compute.service(host).await?;
    Ok(ReservedHostView { service, servers })
}

/// Adds a host to an aggregate. Nova answers 409 both to a host that is already in the aggregate and to one of another
/// availability zone: the aggregate itself shows which.
async fn join(host: &str, aggregate: u64, context: &Context) -> Result<JoinResult, CallError> {
    let compute = &context.ports.compute;
    let Err(refusal) = compute.add_to_aggregate(aggregate, host).await else {
        return Ok(JoinResult::Added);
    };
    if refusal.fault.status != Some(409) {
        return Err(refusal);
    }
    let aggregates = compute.aggregates().await?;
    let is_in = aggregates
        .iter()
        .any(|aggregate_read| aggregate_read.id == aggregate && aggregate_read.hosts.contains(host));
    if is_in {
        Ok(JoinResult::Already)
    } else {
        Err(refusal)
    }
}
