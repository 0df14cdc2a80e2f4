//! The part of Placement that discovery and a check of a host's capacity need: providers, inventories, usages,
//! allocations and traits that follow the simulated hosts' load.

use std::collections::BTreeMap;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use http::StatusCode;
use serde_json::{Value, json};

use crate::model::inventory::Amounts;
use crate::model::{HostIx, ServerIx, State as RegionState};
use crate::web::SandboxState;

type Pairs = Query<Vec<(String, String)>>;

type Found = Result<Json<Value>, (StatusCode, Json<Value>)>;

pub(crate) fn router() -> Router<SandboxState> {
    Router::new()
        .route("/placement", get(versions))
        .route("/placement/resource_providers", get(providers))
        .route("/placement/resource_providers/{id}/inventories", get(inventories))
        .route("/placement/resource_providers/{id}/usages", get(usages))
        .route("/placement/resource_providers/{id}/allocations", get(allocations))
        .route("/placement/resource_providers/{id}/traits", get(traits))
}

async fn versions() -> Json<Value> {
    let links = json!([{"rel": "self", "href": ""}]);
    Json(json!({"versions": [
        {"id": "v1.0", "min_version": "1.0", "max_version": "1.39", "status": "CURRENT", "links": links},
    ]}))
}

/// Lists providers, filtered by exact name or UUID as in Placement.
async fn providers(State(app): State<SandboxState>, Query(pairs): Pairs) -> Json<Value> {
    let value_of = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value);
    let (name, uuid) = (value_of("name"), value_of("uuid"));
    app.region.read(|state| {
        let rows: Value = state.world
            .hosts
            .iter()
            .filter(|(_, host)| name.is_none_or(|name| host.node == *name))
            .filter(|(_, host)| uuid.is_none_or(|uuid| host.hypervisor_id.to_string() == *uuid))
            .map(|(_, host)| json!({"uuid": host.hypervisor_id, "name": host.node, "generation": host.inventory.generation(), "links": []}))
            .collect();
        Json(json!({"resource_providers": rows}))
    })
}

fn provider(state: &RegionState, id: &str) -> Result<HostIx, (StatusCode, Json<Value>)> {
    let found = state
        .world
        .hosts
        .iter()
        .find(|(_, host)| host.hypervisor_id.to_string() == id);
    found.map(|(ix, _)| ix).ok_or_else(|| {
        let detail = format!("No resource provider with uuid {id} found");
        let body = json!({"errors": [{"status": 404, "title": "Not Found", "detail": detail}]});
        (StatusCode::NOT_FOUND, Json(body))
    })
}

async fn inventories(State(app): State<SandboxState>, Path(id): Path<String>) -> Found {
    app.region.read(|state| {
        let host = &state.world.hosts[provider(state, &id)?];
        let classes = host.inventory.classes(host.total());
        let rows: BTreeMap<&str, Value> = classes
            .into_iter()
            .map(|(class, (total, terms))| {
                let row = json!({
                    "total": total, "reserved": terms.reserved, "allocation_ratio": terms.ratio,
                    "min_unit": terms.min_unit, "max_unit": terms.max_unit(total), "step_size": terms.step_size,
                });
                (class, row)
            })
            .collect();
        let generation = host.inventory.generation();
        Ok(Json(json!({"resource_provider_generation": generation, "inventories": rows})))
    })
}

async fn usages(State(app): State<SandboxState>, Path(id): Path<String>) -> Found {
    app.region.read(|state| {
        let host = &state.world.hosts[provider(state, &id)?];
        let used = host.inventory.used();
        Ok(Json(
            json!({"resource_provider_generation": host.inventory.generation(), "usages": {
                "VCPU": used.vcpus, "MEMORY_MB": used.ram_mb, "DISK_GB": used.disk_gb,
            }}),
        ))
    })
}

/// Returns the allocations of a consumer: a server.
async fn allocations(State(app): State<SandboxState>, Path(id): Path<String>) -> Found {
    app.region.read(|state| {
        let inventory = &state.world.hosts[provider(state, &id)?].inventory;
        let of = |(index, taken): (ServerIx, Amounts)| {
            let server = state.world.servers.get(index)?;
            let resources = json!({"VCPU": taken.vcpus, "MEMORY_MB": taken.ram_mb, "DISK_GB": taken.disk_gb});
            Some((server.id.to_string(), json!({ "resources": resources })))
        };
        let rows: BTreeMap<String, Value> = inventory.allocations().filter_map(of).collect();
        Ok(Json(
            json!({"resource_provider_generation": inventory.generation(), "allocations": rows}),
        ))
    })
}

async fn traits(State(app): State<SandboxState>, Path(id): Path<String>) -> Found {
    app.region.read(|state| {
        let host = &state.world.hosts[provider(state, &id)?];
        let generation = host.inventory.generation();
        Ok(Json(
            json!({"resource_provider_generation": generation, "traits": host.inventory.traits}),
        ))
    })
}
