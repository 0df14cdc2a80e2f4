//! Payloads: versioned objects in the form of oslo.versionedobjects.
//!
//! Payloads of Masakari's events have its namespace, names and versions. Ours have the namespace `tachi`, so that they
//! never collide with a future payload of Masakari.

use serde_json::{Map, Value, json};
use tachi_domain::entity::Segment;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::entity::vmove::{VmoveStatus, VmoveType};
use tachi_domain::event::{
    Event, EventSnapshot, FailureCause, RecoverySnapshot, ShownHost, ShownNotification, ShownSegment,
    Subject, VmoveSnapshot,
};
use tachi_domain::freeze::Freeze;
use tachi_domain::recovery::shown_status;

use crate::time;

const MASAKARI: &str = "masakari";
const TACHI: &str = "tachi";

pub(crate) fn of(event: &Event) -> Value {
    let (namespace, name, version, mut data) = match &event.subject {
        Subject::Segment(_, known) => (MASAKARI, "SegmentApiPayload", "1.1", segment(known)),
        Subject::Host(_, known) => (MASAKARI, "HostApiPayload", "1.0", host(known)),
        Subject::Notification(_, known) => (MASAKARI, "NotificationApiPayload", "1.0", notification(known)),
        Subject::Vmove(summary) => (TACHI, "VMovePayload", "1.0", vmove(summary)),
        Subject::Recovery(_, summary) => (TACHI, "RecoveryPayload", "1.0", recovery(summary)),
        Subject::Freeze(_, one) => (TACHI, "FreezePayload", "1.0", freeze(one)),
    };
    if event.starts_creation() {
        // The start event of a creation has no ids, even if the object has been created meanwhile.
        for id in ["id", "uuid", "notification_uuid"] {
            data.shift_remove(id);
        }
    }
    let fault = event.failure.as_ref().map_or(Value::Null, fault);
    data.insert("fault".to_owned(), fault);
    object(namespace, name, version, Value::Object(data))
}

fn object(namespace: &str, name: &str, version: &str, data: Value) -> Value {
    let mut fields = Map::with_capacity(4);
    for (key, text) in [("name", name), ("namespace", namespace), ("version", version)] {
        fields.insert(format!("masakari_object.{key}"), Value::from(text));
    }
    fields.insert("masakari_object.data".to_owned(), data);
    Value::Object(fields)
}

fn fields(data: Value) -> Map<String, Value> {
    if let Value::Object(fields) = data {
        fields
    } else {
        Map::new()
    }
}

// Unknown fields, such as the id of an object that was not created, are omitted instead of null.

fn segment(known: &ShownSegment) -> Map<String, Value> {
    fields(match known {
        EventSnapshot::Entity(segment) => json!({
            "id": segment.row,
            "uuid": segment.id.to_string(),
            "name": segment.name,
            "service_type": segment.service_type,
            "description": segment.description,
            "recovery_method": segment.recovery_method.as_str(),
            "enabled": segment.enabled,
        }),
        EventSnapshot::New(new) => json!({
            "name": new.name,
            "service_type": new.service_type,
            "description": new.description,
            "recovery_method": new.recovery_method.as_str(),
            "enabled": new.enabled,
        }),
        EventSnapshot::Id(id) => json!({ "uuid": id.to_string() }),
    })
}

fn host(known: &ShownHost) -> Map<String, Value> {
    fields(match known {
        EventSnapshot::Entity(host) => json!({
            "id": host.row,
            "uuid": host.id.to_string(),
            "name": host.name,
            "failover_segment": nested(&host.segment),
            "type": host.kind,
            "reserved": host.reserved,
            "control_attributes": host.control_attributes,
            "on_maintenance": host.on_maintenance,
        }),
        EventSnapshot::New((new, segment)) => json!({
            "name": new.name,
            "failover_segment": nested(segment),
            "type": new.kind,
            "reserved": new.reserved,
            "control_attributes": new.control_attributes,
            "on_maintenance": new.on_maintenance,
        }),
        EventSnapshot::Id(id) => json!({ "uuid": id.to_string() }),
    })
}

/// Renders a segment inside a host: the object itself, not its notification's payload.
fn nested(segment: &Segment) -> Value {
    let data = json!({
        "id": segment.row,
        "uuid": segment.id.to_string(),
        "name": segment.name,
        "service_type": segment.service_type,
        "enabled": segment.enabled,
        "description": segment.description,
        "recovery_method": segment.recovery_method.as_str(),
        "created_at": time::in_payload(segment.stamps.created_at),
        "updated_at": segment.stamps.updated_at.map(time::in_payload),
        "deleted_at": null,
        "deleted": false,
    });
    object(MASAKARI, "FailoverSegment", "1.1", data)
}

fn notification(known: &ShownNotification) -> Map<String, Value> {
    fields(match known {
        EventSnapshot::Entity(one) => json!({
            "id": one.row,
            "notification_uuid": one.id.to_string(),
            "generated_time": time::in_payload(one.generated_time),
            "source_host_uuid": one.source_host.to_string(),
            "type": one.kind.as_str(),
            "payload": one.payload,
            "status": one.status.as_str(),
        }),
        EventSnapshot::New(new) => json!({
            "generated_time": time::in_payload(new.generated_time),
            "type": new.kind.as_str(),
            "payload": new.payload,
            "status": NotificationStatus::New.as_str(),
        }),
        EventSnapshot::Id(id) => json!({ "notification_uuid": id.to_string() }),
    })
}

fn vmove(vmove: &VmoveSnapshot) -> Map<String, Value> {
    let state = &vmove.state;
    fields(json!({
        "uuid": state.id.to_string(),
        "notification_uuid": vmove.notification.to_string(),
        "recovery_uuid": vmove.recovery.to_string(),
        "instance_uuid": vmove.server.to_string(),
        "instance_name": state.name,
        "source_host": state.source_host,
        "dest_host": state.dest_host,
        "start_time": state.start_time.map(time::in_payload),
        "end_time": state.end_time.map(time::in_payload),
        "type": VmoveType::Evacuation.as_str(),
        "status": state.status.as_str(),
        "message": state.message,
    }))
}

fn recovery(recovery: &RecoverySnapshot) -> Map<String, Value> {
    // Includes statuses without moves, so that a missing one is never ambiguous.
    let moves: Map<String, Value> = VmoveStatus::ALL
        .iter()
        .map(|status| {
            let count = recovery.moves.get(status).copied().unwrap_or_default();
            (status.as_str().to_owned(), json!(count))
        })
        .collect();
    fields(json!({
        "uuid": recovery.id.to_string(),
        "notification_uuid": recovery.notification.to_string(),
        "type": recovery.kind.as_str(),
        "host_uuid": recovery.host.to_string(),
        "host_name": recovery.host_name,
        "failover_segment_uuid": recovery.segment.map(|id| id.to_string()),
        "recovery_method": recovery.recovery_method.map(RecoveryMethod::as_str),
        "engine": recovery.engine,
        "status": shown_status(recovery.status, recovery.dismissed),
        "message": recovery.message,
        "vmoves": moves,
    }))
}

fn freeze(freeze: &Freeze) -> Map<String, Value> {
    fields(json!({
        "scope": freeze.scope.as_str(),
        "name": freeze.name,
        "until": time::in_payload(freeze.until),
        "by": freeze.by,
        "reason": freeze.reason,
    }))
}

fn fault(failure: &FailureCause) -> Value {
    let data = json!({
        "module_name": failure.module,
        "function_name": failure.function,
        "exception": failure.exception,
        "exception_message": failure.message,
        "traceback": failure.trace,
    });
    object(MASAKARI, "ExceptionPayload", "1.0", data)
}
