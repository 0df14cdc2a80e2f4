//! Service records.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tachi_domain::ServiceId;
use tachi_domain::fault::FaultClass;
use tachi_domain::nova::Service;
use tachi_engine::ports::{CallError, ServiceChange, Services};

use super::version::{DOWN_CELLS, Feature};
use super::{Nova, read, write};
use crate::answer::Answer;
use crate::fault::{self, Effect, ErrorScope};
use crate::time;

/// Maximum length of a reason that Nova accepts, in characters.
pub(super) const MAX_REASON_CHARS: usize = 255;

#[derive(Deserialize)]
struct List {
    services: Vec<Record>,
}

#[derive(Deserialize)]
struct ServiceEnvelope {
    service: Record,
}

/// A service record. One of a down cell has only binary, host and status.
#[derive(Clone, Deserialize)]
struct Record {
    #[serde(default)]
    id: Option<Value>,
    host: String,
    binary: String,
    status: String,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    disabled_reason: Option<String>,
    #[serde(default)]
    forced_down: bool,
    #[serde(default)]
    updated_at: Option<String>,
}

impl Record {
    fn in_down_cell(&self) -> bool {
        self.status == "UNKNOWN"
    }

    fn is_up(&self) -> bool {
        !self.in_down_cell() && self.state.as_deref() == Some("up")
    }
}

pub(super) async fn get(nova: &Nova, host: &str) -> Result<Option<Service>, CallError> {
    let (answer, records) = of_host(nova, host).await?;
    if records.iter().any(Record::in_down_cell) {
        return Err(down_cell(host));
    }
    if let Some(error) = ambiguous(host, &records.iter().collect::<Vec<_>>()) {
        return Err(error);
    }
    let record = records.into_iter().next();
    record.map(|record| understood(&answer, record)).transpose()
}

/// Lists all services with one request: compared with the computes there are few conductors and schedulers.
pub(super) async fn all(nova: &Nova) -> Result<Services, CallError> {
    let (answer, records) = list(nova, &[]).await?;
    let of = |binary: &'static str| records.iter().filter(move |record| record.binary == binary);
    let mut of_hosts: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in of("nova-compute") {
        of_hosts.entry(&record.host).or_default().push(record);
    }
    let mut services = Services {
        conductors_up: of("nova-conductor").next().is_some() && of("nova-conductor").all(Record::is_up),
        scheduler_up: of("nova-scheduler").any(Record::is_up),
        ..Services::default()
    };
    for (host, records) in of_hosts {
        // The record of a cell that is down may be the host's own.
        let known = match records.as_slice() {
            all if all.iter().any(|record| record.in_down_cell()) => None,
            [record] => Some(understood(&answer, (*record).clone())?),
            several => {
                let error = ambiguous(host, several);
                services
                    .ambiguous
                    .extend(error.map(|error| (host.to_owned(), error.fault)));
                None
            }
        };
        services.computes.insert(host.to_owned(), known);
    }
    Ok(services)
}

/// Returns the error of a host that has several records. Each cell has its own table, so two hosts with the same name can
/// exist at once, and a record stays where a host has left a cell: which of them is the host's is not known.
fn ambiguous(host: &str, records: &[&Record]) -> Option<CallError> {
    let [first, second, ..] = records else { return None };
    let id = |record: &Record| record.id.as_ref().map(ToString::to_string).unwrap_or_default();
    let text = format!(
        "nova has {} nova-compute services on host {host}, {} and {}: two hosts have this name, or a record of an \
         old cell is left. Delete the obsolete record",
        records.len(),
        id(first),
        id(second),
    );
    Some(fault::unsent(
        FaultClass::Permanent,
        tachi_text::one_line(&text, &[]),
    ))
}

pub(super) async fn exists(nova: &Nova, host: &str) -> Result<bool, CallError> {
    let (_, records) = of_host(nova, host).await?;
    Ok(!records.is_empty())
}

/// Fails if the cell of `host` is down: Nova then silently omits the cell's servers and migrations from every list.
pub(super) async fn ensure_cell_is_up(nova: &Nova, host: &str) -> Result<(), CallError> {
    if nova.version(Feature::SERVICES).await? < DOWN_CELLS {
        return Ok(());
    }
    let (_, records) = of_host(nova, host).await?;
    if records.iter().any(Record::in_down_cell) {
        Err(down_cell(host))
    } else {
        Ok(())
    }
}

pub(super) async fn update(nova: &Nova, id: ServiceId, change: &ServiceChange) -> Result<Service, CallError> {
    let started_at = nova.session.now();
    let Some(body) = body_of(change) else {
        return Err(CallError::refused("a service change without a field to change"));
    };
    let id = id.to_string();
    let path = ["os-services", &id];
    let request = write(Method::PUT, &path, Some(body), Effect::Idempotent, started_at);
    let answer = nova.call(Feature::SERVICES, request).await?;
    let ServiceEnvelope { service } = answer.json()?;
    understood(&answer, service)
}

/// Builds the body of the request; `None` if there is nothing to change.
fn body_of(change: &ServiceChange) -> Option<Value> {
    let mut body = serde_json::Map::new();
    match &change.disable {
        Some(Some(reason)) => {
            body.insert("status".to_owned(), json!("disabled"));
            let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
            // Nova refuses an empty reason.
            if !reason.is_empty() {
                body.insert("disabled_reason".to_owned(), json!(reason));
            }
        }
        Some(None) => {
            body.insert("status".to_owned(), json!("enabled"));
        }
        None => {}
    }
    if let Some(forced_down) = change.forced_down {
        body.insert("forced_down".to_owned(), json!(forced_down));
    }
    (!body.is_empty()).then_some(Value::Object(body))
}

/// Reads the compute records of exactly this host. The names are compared again, because Nova's database ignores case.
async fn of_host(nova: &Nova, host: &str) -> Result<(Answer, Vec<Record>), CallError> {
    let query = [("binary", "nova-compute".to_owned()), ("host", host.to_owned())];
    let (answer, mut records) = list(nova, &query).await?;
    records.retain(|record| record.host == host && record.binary == "nova-compute");
    Ok((answer, records))
}

async fn list(nova: &Nova, query: &[(&'static str, String)]) -> Result<(Answer, Vec<Record>), CallError> {
    let answer = nova
        .call(
            Feature::SERVICES,
            read(&["os-services"], query, ErrorScope::Service),
        )
        .await?;
    let List { services } = answer.json()?;
    Ok((answer, services))
}

fn down_cell(host: &str) -> CallError {
    fault::unsent(
        FaultClass::Transient,
        format!("nova cannot reach the cell of host {host}: the cell is down"),
    )
}

fn understood(answer: &Answer, record: Record) -> Result<Service, CallError> {
    let id = record
        .id
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|id| id.parse::<ServiceId>().ok());
    let Some(id) = id else {
        return Err(answer.malformed("a service without a UUID"));
    };
    let enabled = match record.status.as_str() {
        "enabled" => true,
        "disabled" => false,
        other => return Err(answer.malformed(&format!("a service of status {other}"))),
    };
    let up = match record.state.as_deref() {
        Some("up") => true,
        Some("down") => false,
        other => return Err(answer.malformed(&format!("a service of state {other:?}"))),
    };
    Ok(Service {
        id,
        host: record.host,
        enabled,
        disabled_reason: record.disabled_reason.filter(|reason| !reason.is_empty()),
        up,
        forced_down: record.forced_down,
        last_heartbeat: record.updated_at.as_deref().and_then(time::parse),
        nova_now: answer.date,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_becomes_one_put() {
        let cases = [
            (None, None, None),
            (
                Some(Some("dead")),
                None,
                Some(json!({"status": "disabled", "disabled_reason": "dead"})),
            ),
            (Some(Some("")), None, Some(json!({"status": "disabled"}))),
            (Some(None), None, Some(json!({"status": "enabled"}))),
            (None, Some(true), Some(json!({"forced_down": true}))),
            (
                Some(None),
                Some(false),
                Some(json!({"status": "enabled", "forced_down": false})),
            ),
            (
                Some(Some("dead")),
                Some(true),
                Some(json!({"status": "disabled", "disabled_reason": "dead", "forced_down": true})),
            ),
        ];
        for (disable, forced_down, expected) in cases {
            let change = ServiceChange {
                disable: disable.map(|d| d.map(ToOwned::to_owned)),
                forced_down,
            };
            assert_eq!(body_of(&change), expected);
        }
        let long = ServiceChange {
            disable: Some(Some("é".repeat(300))),
            forced_down: None,
        };
        let reason = body_of(&long).unwrap()["disabled_reason"]
            .as_str()
            .unwrap()
            .chars()
            .count();
        assert_eq!(reason, MAX_REASON_CHARS);
    }
}
