//! `os-hypervisors`.

use axum::Json;
use axum::extract::{Path, Query};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::context::Context;
use super::page::Page;
use crate::model::{HostIx, State};

type Pairs = Query<Vec<(String, String)>>;

fn view(context: &Context, state: &State, ix: HostIx, detail: bool, with_servers: bool) -> Value {
    let host = &state.world.hosts[ix];
    let version = context.version;
    let by_uuid = version.at_least(53);
    let id = if by_uuid {
        json!(host.hypervisor_id)
    } else {
        json!(host.number)
    };
    let mut shown = json!({
        "id": id,
        "hypervisor_hostname": host.node,
        "state": if state.service_up(ix) { "up" } else { "down" },
        "status": if host.disabled { "disabled" } else { "enabled" },
    });
    if detail {
        shown["hypervisor_type"] = json!("QEMU");
        shown["hypervisor_version"] = json!(8_002_002);
        shown["host_ip"] = json!(host.ip);
        let service_id = if by_uuid {
            json!(host.service_id)
        } else {
            json!(host.number)
        };
        shown["service"] =
            json!({"id": service_id, "host": &*host.name, "disabled_reason": host.disabled_reason});
        if version.at_least(88) {
            shown["uptime"] = Value::Null;
        } else {
            add_resources(&mut shown, state, ix);
        }
    }
    if with_servers {
        let servers = host
            .servers
            .iter()
            .filter_map(|index| state.world.servers.get(*index));
        let servers: Vec<Value> = servers
            .map(|server| json!({"uuid": server.id, "name": server.name}))
            .collect();
        // Before 2.75 Nova leaves out an empty list.
        if !servers.is_empty() || version.at_least(75) {
            shown["servers"] = json!(servers);
        }
    }
    shown
}

fn add_resources(shown: &mut Value, state: &State, ix: HostIx) {
    let host = &state.world.hosts[ix];
    for (key, value) in [
        ("vcpus", json!(host.vcpus)),
        ("vcpus_used", json!(host.inventory.used().vcpus)),
        ("memory_mb", json!(host.ram_mb)),
        ("memory_mb_used", json!(host.inventory.used().ram_mb)),
        (
            "free_ram_mb",
            json!(host.ram_mb.saturating_sub(host.inventory.used().ram_mb)),
        ),
        ("local_gb", json!(10_000)),
        ("local_gb_used", json!(0)),
        ("free_disk_gb", json!(10_000)),
        ("disk_available_least", json!(10_000)),
        ("running_vms", json!(host.servers.len())),
        ("current_workload", json!(0)),
        (
            "cpu_info",
            json!({"arch": "x86_64", "model": "sandbox", "vendor": "none", "topology": {}, "features": []}),
        ),
    ] {
        shown[key] = value;
    }
}

fn asks_for_servers(page: &Page) -> bool {
    page.get("with_servers")
        .is_some_and(|flag| super::body::parse_bool(flag) == Some(true))
}

fn list(context: &Context, pairs: Vec<(String, String)>, detail: bool) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:os-hypervisors:list")?;
    let page = Page::new(pairs);
    let pattern = page.get("hypervisor_hostname_pattern");
    let with_servers = asks_for_servers(&page);
    let path = if detail {
        "os-hypervisors/detail"
    } else {
        "os-hypervisors"
    };
    let url = format!("{}/compute/v2.1/{path}", context.app.base);
    context.app.region.read(|state| {
        let most = state.world.settings.max_limit;
        let limit = if context.version.at_least(33) {
            page.limit(most)?
        } else {
            usize::MAX
        };
        let mut rows: Vec<HostIx> = state
            .world
            .hosts
            .indexes()
            .filter(|ix| pattern.is_none_or(|pattern| state.world.hosts[*ix].node.contains(pattern)))
            .collect();
        if let Some(marker) = page.get("marker") {
            let position = rows
                .iter()
                .position(|ix| state.world.hosts[*ix].hypervisor_id.to_string() == marker);
            let position =
                position.ok_or_else(|| Answer::bad_request(format!("marker [{marker}] not found")))?;
            rows.drain(..=position);
        }
        rows.truncate(limit);
        if rows.is_empty() && pattern.is_some() && context.version.at_least(53) {
            let message = format!(
                "No hypervisor matching '{}' could be found.",
                pattern.unwrap_or_default()
            );
            return Err(Answer::not_found(message));
        }
        let last = rows
            .last()
            .map(|ix| state.world.hosts[*ix].hypervisor_id.to_string());
        let mut body = Map::new();
        let shown = rows
            .iter()
            .map(|ix| view(context, state, *ix, detail, with_servers))
            .collect();
        body.insert("hypervisors".into(), shown);
        if let Some(links) = page.next(&url, rows.len(), limit, last) {
            body.insert("hypervisors_links".into(), links);
        }
        Ok(Json(Value::Object(body)))
    })
}

pub(super) async fn summary(context: Context, Query(pairs): Pairs) -> Result<Json<Value>, Answer> {
    list(&context, pairs, false)
}

pub(super) async fn detail(context: Context, Query(pairs): Pairs) -> Result<Json<Value>, Answer> {
    list(&context, pairs, true)
}

/// `GET /os-hypervisors/{id}`.
pub(super) async fn show(
    context: Context,
    Path(id): Path<String>,
    Query(pairs): Pairs,
) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:os-hypervisors:show")?;
    let with_servers = asks_for_servers(&Page::new(pairs));
    context.app.region.read(|state| {
        let found = state.world.hosts.iter().find(|(_, host)| {
            host.hypervisor_id.to_string() == id
                || (!context.version.at_least(53) && host.number.to_string() == id)
        });
        let (ix, _) =
            found.ok_or_else(|| Answer::not_found(format!("Compute host {id} could not be found.")))?;
        Ok(Json(
            json!({"hypervisor": view(&context, state, ix, true, with_servers)}),
        ))
    })
}

/// `GET /os-hypervisors/statistics`.
pub(super) async fn statistics(context: Context) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:os-hypervisors:statistics")?;
    context.app.region.read(|state| {
        let sum = |pick: fn(&crate::model::host::Host) -> u64| state.world.hosts.iter().map(|(_, host)| pick(host)).sum::<u64>();
        Ok(Json(json!({"hypervisor_statistics": {
            "count": state.world.hosts.len(),
            "vcpus": sum(|host| u64::from(host.vcpus)),
            "vcpus_used": sum(|host| u64::from(host.inventory.used().vcpus)),
            "memory_mb": sum(|host| host.ram_mb),
            "memory_mb_used": sum(|host| host.inventory.used().ram_mb),
            "free_ram_mb": sum(|host| host.ram_mb.saturating_sub(host.inventory.used().ram_mb)),
            "running_vms": state.world.servers.len(),
            "local_gb": 0, "local_gb_used": 0, "free_disk_gb": 0, "disk_available_least": 0, "current_workload": 0,
        }})))
    })
}
