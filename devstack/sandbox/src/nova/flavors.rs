//! Flavors.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};

use super::answer::Answer;
use super::context::Context;
use crate::model::catalog::Flavor;

fn links(context: &Context, flavor: &Flavor) -> Value {
    let base = &context.app.base;
    json!([{"rel": "self", "href": format!("{base}/compute/v2.1/flavors/{}", flavor.id)}])
}

fn detailed(context: &Context, flavor: &Flavor) -> Value {
    let mut shown = json!({
        "id": flavor.id, "name": flavor.name, "vcpus": flavor.vcpus, "ram": flavor.ram_mb, "disk": flavor.disk_gb,
        "swap": if context.version.at_least(75) { json!(0) } else { json!("") },
        "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": false, "os-flavor-access:is_public": true,
        "rxtx_factor": 1.0, "links": links(context, flavor),
    });
    if context.version.at_least(55) {
        shown["description"] = Value::Null;
    }
    if context.version.at_least(61) {
        shown["extra_specs"] = json!(flavor.extra_specs);
    }
    shown
}

fn no_such(id: &str) -> Answer {
    Answer::not_found(format!("Flavor {id} could not be found."))
}

pub(super) async fn summary(context: Context) -> Json<Value> {
    context.app.region.read(|state| {
        let rows: Value = state
            .flavors
            .iter()
            .map(|flavor| json!({"id": flavor.id, "name": flavor.name, "links": links(&context, flavor)}))
            .collect();
        Json(json!({"flavors": rows}))
    })
}

pub(super) async fn detail(context: Context) -> Json<Value> {
    context.app.region.read(|state| {
        let rows: Value = state
            .flavors
            .iter()
            .map(|flavor| detailed(&context, flavor))
            .collect();
        Json(json!({"flavors": rows}))
    })
}

pub(super) async fn show(context: Context, Path(id): Path<String>) -> Result<Json<Value>, Answer> {
    context.app.region.read(|state| {
        let flavor = state
            .flavors
            .iter()
            .find(|flavor| flavor.id == id)
            .ok_or_else(|| no_such(&id))?;
        Ok(Json(json!({"flavor": detailed(&context, flavor)})))
    })
}

pub(super) async fn extra_specs(context: Context, Path(id): Path<String>) -> Result<Json<Value>, Answer> {
    context.app.region.read(|state| {
        let mut flavors = state.flavors.iter();
        let flavor = flavors
            .find(|flavor| flavor.id == id)
            .ok_or_else(|| no_such(&id))?;
        Ok(Json(json!({"extra_specs": flavor.extra_specs})))
    })
}
