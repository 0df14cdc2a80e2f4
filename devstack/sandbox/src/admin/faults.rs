//! Faults, speeds, tokens, catalog.

use std::time::Duration;

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operator, done};
use crate::keystone::REGION;
use crate::model::fault::MoveFaultRule;
use crate::web::faults::ApiFault;

/// `{"move": {...}}` or `{"api": {...}}`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NewFault {
    Move(MoveFaultRule),
    Api(ApiFault),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Speeds {
    rebuild_millis: Option<u64>,
    rebuild_spread_millis: Option<u64>,
    conductor_millis: Option<u64>,
    conductor_rate: Option<f64>,
    action_millis: Option<u64>,
    boot_millis: Option<u64>,
    service_down_millis: Option<u64>,
    resume_guests: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEndpoint {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    url: String,
}

pub(super) async fn list(Operator(app): Operator) -> Json<Value> {
    Json(json!({"move": app.region.faults().move_faults(), "api": app.region.api_faults().list()}))
}

pub(super) async fn add(Operator(app): Operator, Json(fault): Json<NewFault>) -> Json<Value> {
    match fault {
        NewFault::Move(rule) => app.region.faults().add_move_fault(rule),
        NewFault::Api(fault) => app.region.api_faults().add(fault),
    }
    done()
}

pub(super) async fn clear(Operator(app): Operator) -> Json<Value> {
    app.region.faults().clear_faults();
    done()
}

pub(super) async fn settings(Operator(app): Operator, Json(speeds): Json<Speeds>) -> Json<Value> {
    app.region.tune(|settings| {
        let set = |place: &mut Duration, millis: Option<u64>| {
            if let Some(millis) = millis {
                *place = Duration::from_millis(millis);
            }
        };
        set(&mut settings.rebuild_time, speeds.rebuild_millis);
        set(&mut settings.rebuild_spread, speeds.rebuild_spread_millis);
        set(&mut settings.conductor_delay, speeds.conductor_millis);
        set(&mut settings.action_time, speeds.action_millis);
        set(&mut settings.boot_time, speeds.boot_millis);
        set(&mut settings.service_down_time, speeds.service_down_millis);
        settings.conductor_rate = speeds.conductor_rate.or(settings.conductor_rate);
        settings.resume_guests = speeds.resume_guests.unwrap_or(settings.resume_guests);
    });
    done()
}

pub(super) async fn revoke_tokens(Operator(app): Operator) -> Json<Value> {
    Json(json!({"revoked": app.keystone.revoke_all()}))
}

pub(super) async fn register(Operator(app): Operator, Json(endpoint): Json<NewEndpoint>) -> Json<Value> {
    app.keystone
        .register(REGION, &endpoint.kind, &endpoint.name, &endpoint.url);
    done()
}
