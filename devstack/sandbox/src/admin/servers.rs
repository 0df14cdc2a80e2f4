//! Servers: bulk creation, their real state, and manipulated records.

use axum::Json;
use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Done, Operator, done};
use crate::SandboxError;
use crate::model::migration::MigrationKind;
use crate::model::server::{TaskState, VmState};
use crate::region::{Boot, ServerSnapshot};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct States {
    vm_state: VmState,
    #[serde(default)]
    task_state: Option<TaskState>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HalfMove {
    dest: String,
    kind: MigrationKind,
    guest_at_dest: bool,
}

pub(super) async fn list(Operator(app): Operator) -> Json<Vec<ServerSnapshot>> {
    Json(app.region.snapshot())
}

pub(super) async fn show(Operator(app): Operator, Path(id): Path<Uuid>) -> Result<Json<Value>, SandboxError> {
    let server = app.region.server(id)?;
    let runs: Value = app
        .region
        .runs(id)
        .iter()
        .map(|run| {
            let to = run.to.map(|to| to.age().as_secs_f64());
            json!({"host": &*run.host, "from_seconds": run.from.age().as_secs_f64(), "to_seconds": to})
        })
        .collect();
    Ok(Json(
        json!({"server": server, "runs": runs, "migrations": app.region.migrations(id)}),
    ))
}

pub(super) async fn boot(Operator(app): Operator, Json(body): Json<Boot>) -> Done {
    Ok(Json(json!({"ids": app.region.boot(&body)?})))
}

pub(super) async fn set_state(
    Operator(app): Operator,
    Path(id): Path<Uuid>,
    Json(body): Json<States>,
) -> Done {
    app.region
        .faults()
        .set_server_state(id, body.vm_state, body.task_state)?;
    Ok(done())
}

pub(super) async fn half_move(
    Operator(app): Operator,
    Path(id): Path<Uuid>,
    Json(body): Json<HalfMove>,
) -> Done {
    app.region
        .faults()
        .half_move(id, &body.dest, body.kind, body.guest_at_dest)?;
    Ok(done())
}

pub(super) async fn crash(Operator(app): Operator, Path(id): Path<Uuid>) -> Done {
    app.region.faults().crash_guest(id)?;
    Ok(done())
}
