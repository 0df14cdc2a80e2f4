//! `os-availability-zone`.

use std::collections::BTreeMap;

use axum::Json;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::context::Context;
use crate::model::{HostIx, State};

fn zones(state: &State) -> BTreeMap<&str, Vec<HostIx>> {
    let mut zones: BTreeMap<&str, Vec<HostIx>> = BTreeMap::new();
    for ix in state.world.hosts.indexes() {
        zones.entry(state.aggregates.zone_of(ix)).or_default().push(ix);
    }
    zones
}

pub(super) async fn summary(context: Context) -> Result<Json<Value>, Answer> {
    context.app.region.read(|state| {
        let rows: Value = zones(state)
            .keys()
            .map(|name| json!({"zoneName": name, "zoneState": {"available": true}, "hosts": null}))
            .collect();
        Ok(Json(json!({"availabilityZoneInfo": rows})))
    })
}

pub(super) async fn detail(context: Context) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:os-availability-zone:detail")?;
    let clock = context.app.region.clock();
    context.app.region.read(|state| {
        let rows: Value = zones(state)
            .into_iter()
            .map(|(name, hosts)| {
                let hosts: Map<String, Value> = hosts
                    .into_iter()
                    .map(|ix| {
                        let host = &state.world.hosts[ix];
                        let service = json!({"nova-compute": {
                            "active": !host.disabled,
                            "available": state.service_up(ix),
                            "updated_at": clock.stamp(state.service_updated(ix)),
                        }});
                        (host.name.to_string(), service)
                    })
                    .collect();
                json!({"zoneName": name, "zoneState": {"available": true}, "hosts": hosts})
            })
            .collect();
        Ok(Json(json!({"availabilityZoneInfo": rows})))
    })
}
