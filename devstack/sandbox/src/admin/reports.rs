//! Reports from the ledger and the journal.

use axum::Json;
use axum::extract::Query;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Operator, done};
use crate::ledger::LedgerReport;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LostServers {
    servers: Vec<Uuid>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RequestReport {
    journal: bool,
}

pub(super) async fn ledger(Operator(app): Operator) -> Json<LedgerReport> {
    Json(app.region.ledger())
}

pub(super) async fn lost(Operator(app): Operator, Json(body): Json<LostServers>) -> Json<Value> {
    Json(json!({"lost": app.region.lost(&body.servers)}))
}

pub(super) async fn requests(Operator(app): Operator, Query(requested): Query<RequestReport>) -> Json<Value> {
    let log = app.region.requests();
    let mut body = json!({"counts": log.counts()});
    if requested.journal {
        body["journal"] = json!(log.journal());
    }
    Json(body)
}

pub(super) async fn clear_requests(Operator(app): Operator) -> Json<Value> {
    app.region.requests().clear();
    done()
}
