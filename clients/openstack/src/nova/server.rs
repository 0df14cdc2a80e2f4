//! Server records.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tachi_domain::fault::FaultClass;
use tachi_domain::nova::{InstanceTraits as Nature, PowerState, Server, VmState};
use tachi_domain::reserved::Resources;
use tachi_domain::{ServerId, Timestamp};
use tachi_engine::ports::{CallError, ServerPage};

use super::pages::{self, List, Take};
use super::{Nova, read, service};
use crate::answer::Answer;
use crate::fault::{self, ErrorScope};
use crate::time;

/// The status of a server whose cell is down.
const OF_DOWN_CELL: &str = "UNKNOWN";

/// A server. One of a down cell has little more than an id and a status.
#[derive(Deserialize)]
struct Record {
    id: ServerId,
    #[serde(default)]
    status: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    locked: bool,
    /// The reason; empty for a lock without one. `None` below microversion 2.73, which does not show reasons.
    #[serde(default, deserialize_with = "shown")]
    locked_reason: Option<String>,
    #[serde(default)]
    tenant_id: String,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    image: Option<Value>,
    #[serde(default)]
    flavor: Option<FlavorRecord>,
    #[serde(default)]
    fault: Option<FaultRecord>,
    #[serde(default, rename = "OS-EXT-SRV-ATTR:host")]
    host: Host,
    #[serde(default, rename = "OS-EXT-STS:vm_state")]
    vm_state: Option<String>,
    #[serde(default, rename = "OS-EXT-STS:task_state")]
    task_state: Option<String>,
    #[serde(default, rename = "OS-EXT-STS:power_state")]
    power_state: Option<i64>,
    #[serde(default)]
    updated: Option<String>,
    #[serde(default, rename = "OS-SRV-USG:launched_at")]
    launched_at: Option<String>,
}

#[derive(Deserialize)]
struct FlavorRecord {
    /// Shown from microversion 2.47 on, to users whom the policy permits to see it.
    #[serde(default)]
    extra_specs: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    vcpus: Option<u64>,
    /// Memory in MiB.
    #[serde(default)]
    ram: Option<u64>,
    /// Root disk in GiB.
    #[serde(default)]
    disk: Option<u64>,
    /// Ephemeral disk in GiB.
    #[serde(default)]
    ephemeral: Option<u64>,
    /// Swap in MiB; an empty text if there is none.
    #[serde(default)]
    swap: Option<Value>,
}

#[derive(Deserialize)]
struct FaultRecord {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct NamedFlavor {
    id: ServerId,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct ServerEnvelope {
    server: Record,
}

/// The location of a server.
#[derive(Default)]
enum Host {
    /// The key is missing, because Nova shows it to administrators only.
    #[default]
    Hidden,
    /// The value of the key; empty for a server that is on no host.
    Shown(Option<String>),
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<String>::deserialize(deserializer).map(Self::Shown)
    }
}

fn shown<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| Some(text.unwrap_or_default()))
}

pub(super) async fn list(nova: &Nova, host: &str) -> Result<Vec<Server>, CallError> {
    let (servers, certain) = list_on(nova, host).await?;
    if !certain {
        service::ensure_cell_is_up(nova, host).await?;
    }
    Ok(servers)
}

/// Lists the servers on the host. The boolean is true if the list proves that the host's cell was read.
pub(super) async fn list_on(nova: &Nova, host: &str) -> Result<(Vec<Server>, bool), CallError> {
    let list = List {
        feature: nova.servers,
        path: &["servers", "detail"],
        query: vec![("all_tenants", "1".to_owned()), ("host", host.to_owned())],
        key: "servers",
        marker: "id",
    };
    let whole = pages::list(nova, &list, |answer, item, servers: &mut Vec<Server>| {
        let record =
            Record::deserialize(item).map_err(|error| answer.malformed(&format!("a server: {error}")))?;
        servers.push(understood(answer, record)?);
        Ok(Take::More)
    })
    .await?;
    // All servers of a host are in one cell, so a single page with an entry proves that the cell was read.
    let certain = !whole.items.is_empty() && !whole.many_pages;
    let mut servers = whole.items;
    // Nova ignores the filter of a user who may not filter by host, and its database ignores case.
    servers.retain(|server| server.host.as_deref() == Some(host));
    servers.sort_by_key(|server| server.id);
    servers.dedup_by_key(|server| server.id);
    Ok((servers, certain))
}

/// Lists the servers of the session's own project.
pub(super) async fn own(nova: &Nova) -> Result<Vec<Server>, CallError> {
    let list = List {
        feature: nova.servers,
        path: &["servers", "detail"],
        query: Vec::new(),
        key: "servers",
        marker: "id",
    };
    let whole = pages::list(nova, &list, |answer, item, servers: &mut Vec<Server>| {
        let record =
            Record::deserialize(item).map_err(|error| answer.malformed(&format!("a server: {error}")))?;
        servers.push(understood(answer, record)?);
        Ok(Take::More)
    })
    .await?;
    Ok(whole.items)
}

/// Lists ids only: for the details Nova joins half of its tables.
pub(super) async fn ids(nova: &Nova, host: &str) -> Result<BTreeSet<ServerId>, CallError> {
    let list = List {
        feature: nova.servers,
        path: &["servers"],
        query: vec![("all_tenants", "1".to_owned()), ("host", host.to_owned())],
        key: "servers",
        marker: "id",
    };
    let whole = pages::list(nova, &list, |answer, item, ids: &mut Vec<ServerId>| {
        let NamedFlavor { id, status } = NamedFlavor::deserialize(item)
            .map_err(|error| answer.malformed(&format!("a server: {error}")))?;
        if status == OF_DOWN_CELL {
            return Err(cell_down_error(id));
        }
        ids.push(id);
        Ok(Take::More)
    })
    .await?;
    if whole.items.is_empty() || whole.many_pages {
        service::ensure_cell_is_up(nova, host).await?;
    }
    Ok(whole.items.into_iter().collect())
}

/// Reads one page of the servers of all projects.
pub(super) async fn page(
    nova: &Nova,
    after: Option<ServerId>,
    changed_since: Option<Timestamp>,
) -> Result<ServerPage, CallError> {
    let mut query = vec![("all_tenants", "1".to_owned())];
    query.extend(changed_since.map(|since| ("changes-since", time::iso(since))));
    let list = List {
        feature: nova.servers,
        path: &["servers", "detail"],
        query,
        key: "servers",
        marker: "id",
    };
    let (answer, items, next) = pages::one(nova, &list, after.map(|id| id.to_string())).await?;
    let mut servers = Vec::with_capacity(items.len());
    let (mut unknown, mut updated) = (Vec::new(), BTreeMap::new());
    for item in items {
        let record =
            Record::deserialize(&item).map_err(|error| answer.malformed(&format!("a server: {error}")))?;
        if record.status == OF_DOWN_CELL {
            unknown.push(record.id);
        } else {
            let changed = record.updated.as_deref().and_then(time::parse);
            updated.extend(changed.map(|at| (record.id, at)));
            servers.push(understood(&answer, record)?);
        }
    }
    let next = next.map(|text| {
        let id = text.parse().map(ServerId);
        id.map_err(|_| answer.malformed(&format!("a marker that is not an id: {text}")))
    });
    Ok(ServerPage {
        servers,
        unknown,
        updated,
        next: next.transpose()?,
    })
}

pub(super) async fn get(nova: &Nova, id: ServerId) -> Result<Option<Server>, CallError> {
    let id = id.to_string();
    match nova
        .call(nova.servers, read(&["servers", &id], &[], ErrorScope::Object))
        .await
    {
        Ok(answer) => {
            let ServerEnvelope { server } = answer.json()?;
            understood(&answer, server).map(Some)
        }
        Err(error) if error.fault.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates the error for a list with a server of a down cell, because such a list may lack others (microversion 2.69).
fn cell_down_error(id: ServerId) -> CallError {
    let text = format!("nova cannot reach the cell of server {id}: the cell is down");
    fault::unsent(FaultClass::Transient, text)
}

fn understood(answer: &Answer, record: Record) -> Result<Server, CallError> {
    let id = record.id;
    let about = nature(&record);
    let Some(vm_state) = record.vm_state else {
        if record.status == OF_DOWN_CELL {
            return Err(cell_down_error(id));
        }
        return Err(answer.malformed(&format!("server {id} without a vm_state")));
    };
    let Host::Shown(host) = record.host else {
        let text = format!("nova does not show the host of server {id}: this user is not an administrator");
        return Err(fault::unsent(FaultClass::Fatal, text));
    };
    // Nova shows an empty text if there is no image.
    let volume_backed = match &record.image {
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Object(image)) => image.is_empty(),
        _ => true,
    };
    let needs = needs_of(record.flavor.as_ref(), volume_backed);
    Ok(Server {
        id,
        about,
        name: record.name,
        host: host.filter(|host| !host.is_empty()),
        vm_state: VmState::from_nova(&vm_state),
        task_state: record.task_state,
        power_state: record
            .power_state
            .map_or(PowerState::Other, PowerState::from_nova),
        locked: record.locked,
        locked_reason: record.locked_reason.filter(|_| record.locked),
        metadata: record.metadata,
        volume_backed,
        launched: record.launched_at.is_some(),
        fault: record
            .fault
            .map(|fault| fault.message)
            .filter(|message| !message.is_empty()),
        needs,
        updated: record.updated.as_deref().and_then(time::parse),
    })
}

/// Returns the server's resources for Placement: from 2.47 on, the record includes its flavor. A volume does not use
/// the host's disk.
fn needs_of(flavor: Option<&FlavorRecord>, volume_backed: bool) -> Option<Resources> {
    let flavor = flavor?;
    let root = if volume_backed { 0 } else { flavor.disk? };
    let swap = flavor.swap.as_ref().and_then(Value::as_u64).unwrap_or(0);
    Some(Resources {
        vcpus: flavor.vcpus?,
        memory_mb: flavor.ram?,
        disk_gb: root
            .saturating_add(flavor.ephemeral.unwrap_or(0))
            .saturating_add(swap.div_ceil(1024)),
    })
}

/// Returns the properties that rules about instances use. An invalid property counts as absent, so that it never
/// fails a whole list.
fn nature(record: &Record) -> Nature {
    let image = record.image.as_ref().and_then(Value::as_object);
    let properties = image
        .and_then(|image| image.get("properties"))
        .and_then(Value::as_object);
    let specs = record
        .flavor
        .as_ref()
        .and_then(|flavor| flavor.extra_specs.as_ref());
    Nature {
        project: record.tenant_id.clone(),
        created: record.created.as_deref().and_then(time::parse),
        image: image
            .and_then(|image| image.get("id"))
            .and_then(Value::as_str)
            .map(str::to_owned),
        image_properties: text_values(properties.into_iter().flatten()),
        flavor_properties: text_values(specs.into_iter().flatten()),
    }
}

/// Converts the values to texts: texts unchanged, numbers and booleans as in JSON. Omits other values.
fn text_values<'a>(pairs: impl Iterator<Item = (&'a String, &'a Value)>) -> BTreeMap<String, String> {
    pairs
        .filter_map(|(key, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            Some((key.clone(), text))
        })
        .collect()
}
