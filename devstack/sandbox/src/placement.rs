//! As much of Placement as discovery and a look at the room on a host need: providers, inventories and usages that
//! follow the simulated hosts' load.

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use http::StatusCode;
use serde_json::{Value, json};

use crate::model::{HostIx, State as RegionState};
use crate::web::App;

/// Hosts have disks larger than anything that is put on them.
const DISK_GB: u64 = 10_000;

type Pairs = Query<Vec<(String, String)>>;

type Found = Result<Json<Value>, (StatusCode, Json<Value>)>;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/placement", get(versions))
        .route("/placement/resource_providers", get(providers))
        .route("/placement/resource_providers/{id}/inventories", get(inventories))
        .route("/placement/resource_providers/{id}/usages", get(usages))
}

async fn versions() -> Json<Value> {
    let links = json!([{"rel": "self", "href": ""}]);
    Json(json!({"versions": [
        {"id": "v1.0", "min_version": "1.0", "max_version": "1.39", "status": "CURRENT", "links": links},
    ]}))
}

/// Filtered by name or UUID, as Placement does it: exactly.
async fn providers(State(app): State<App>, Query(pairs): Pairs) -> Json<Value> {
    let wanted = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value);
    let (name, uuid) = (wanted("name"), wanted("uuid"));
    app.region.read(|state| {
        let rows: Value = state
            .hosts
            .iter()
            .filter(|(_, host)| name.is_none_or(|name| host.node == *name))
            .filter(|(_, host)| uuid.is_none_or(|uuid| host.hypervisor_id.to_string() == *uuid))
            .map(|(_, host)| json!({"uuid": host.hypervisor_id, "name": host.node, "generation": 1, "links": []}))
            .collect();
        Json(json!({"resource_providers": rows}))
    })
}

fn provider(state: &RegionState, id: &str) -> Result<HostIx, (StatusCode, Json<Value>)> {
    let found = state
        .hosts
        .iter()
        .find(|(_, host)| host.hypervisor_id.to_string() == id);
    found.map(|(ix, _)| ix).ok_or_else(|| {
        let detail = format!("No resource provider with uuid {id} found");
        let body = json!({"errors": [{"status": 404, "title": "Not Found", "detail": detail}]});
        (StatusCode::NOT_FOUND, Json(body))
    })
}

async fn inventories(State(app): State<App>, Path(id): Path<String>) -> Found {
    app.region.read(|state| {
        let host = &state.hosts[provider(state, &id)?];
        let of = |total: u64| {
            json!({"total": total, "reserved": 0, "min_unit": 1, "max_unit": total, "step_size": 1,
                   "allocation_ratio": 1.0})
        };
        Ok(Json(json!({"resource_provider_generation": 1, "inventories": {
            "VCPU": of(u64::from(host.vcpus)), "MEMORY_MB": of(host.ram_mb), "DISK_GB": of(DISK_GB),
        }})))
    })
}

async fn usages(State(app): State<App>, Path(id): Path<String>) -> Found {
    app.region.read(|state| {
        let host = &state.hosts[provider(state, &id)?];
        Ok(Json(json!({"resource_provider_generation": 1, "usages": {
            "VCPU": host.vcpus_used, "MEMORY_MB": host.ram_mb_used, "DISK_GB": 0,
        }})))
    })
}
