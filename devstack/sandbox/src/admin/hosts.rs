//! Machines, racks, controllers.

use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use serde::Deserialize;
use serde_json::json;

use super::{Done, Operator, done};
use crate::SandboxError;
use crate::model::maas::{PowerCommand, PowerQuery};
use crate::region::HostSnapshot;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Power {
    on: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostPower {
    up: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Agent {
    running: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Bmc {
    powered: Option<bool>,
    query: Option<PowerQuery>,
    query_delay_millis: Option<u64>,
    command: Option<PowerCommand>,
    power_type: Option<String>,
}

pub(super) async fn list(Operator(app): Operator) -> Json<Vec<HostSnapshot>> {
    Json(app.region.hosts())
}

pub(super) async fn show(
    Operator(app): Operator,
    Path(name): Path<String>,
) -> Result<Json<HostSnapshot>, SandboxError> {
    app.region.host(&name).map(Json)
}

pub(super) async fn power(
    Operator(app): Operator,
    Path(name): Path<String>,
    Json(body): Json<Power>,
) -> Done {
    if body.on {
        app.region.faults().power_on(&name)?;
    } else {
        app.region.faults().power_loss(&name)?;
    }
    Ok(done())
}

pub(super) async fn link(
    Operator(app): Operator,
    Path(name): Path<String>,
    Json(body): Json<HostPower>,
) -> Done {
    if body.up {
        app.region.faults().link_restore(&name)?;
    } else {
        app.region.faults().link_loss(&name)?;
    }
    Ok(done())
}

pub(super) async fn agent(
    Operator(app): Operator,
    Path(name): Path<String>,
    Json(body): Json<Agent>,
) -> Done {
    if body.running {
        app.region.faults().agent_start(&name)?;
    } else {
        app.region.faults().agent_stop(&name)?;
    }
    Ok(done())
}

pub(super) async fn purge(Operator(app): Operator, Path(name): Path<String>) -> Done {
    let purged = app.region.faults().purge_queue(&name)?;
    Ok(Json(json!({"purged": purged})))
}

pub(super) async fn bmc(Operator(app): Operator, Path(name): Path<String>, Json(body): Json<Bmc>) -> Done {
    let region = &app.region;
    region.host(&name)?;
    if let Some(powered) = body.powered {
        region.faults().bmc_power(&name, powered)?;
    }
    if let Some(query) = body.query {
        region.faults().maas_query(&name, query)?;
    }
    if let Some(millis) = body.query_delay_millis {
        region
            .faults()
            .maas_query_delay(&name, Duration::from_millis(millis))?;
    }
    if let Some(command) = body.command {
        region.faults().maas_command(&name, command)?;
    }
    if let Some(power_type) = body.power_type {
        region.faults().maas_power_type(&name, &power_type)?;
    }
    Ok(done())
}

pub(super) async fn rack(Operator(app): Operator, Path(name): Path<String>, Json(body): Json<Power>) -> Done {
    if body.on {
        app.region.faults().rack_restore(&name);
        return Ok(done());
    }
    let hosts = app.region.faults().rack_loss(&name)?;
    Ok(Json(json!({"hosts": hosts})))
}

pub(super) async fn controller(
    Operator(app): Operator,
    Path(name): Path<String>,
    Json(body): Json<HostPower>,
) -> Done {
    app.region.faults().set_controller(&name, body.up)?;
    Ok(done())
}
