//! Payloads: versioned objects as oslo.versionedobjects writes them.
//!
//! Masakari's have its namespace, names and versions. Ours have the same shape and the namespace `tachi`, so that nothing
//! Masakari may send one day is taken for one of ours.

use serde_json::{Map, Value, json};
use tachi_domain::Timestamp;
use tachi_domain::entity::Segment;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::entity::vmove::{VmoveStatus, VmoveType};
use tachi_domain::event::{
    Event, HostPicture, NotificationPicture, RecoveryPicture, SegmentPicture, Subject, Trouble, VmovePicture,
};
use tachi_domain::freeze::Freeze;

use crate::time;

const THEIRS: &str = "masakari";
const OURS: &str = "tachi";

/// The payload of `event`.
pub(crate) fn of(event: &Event) -> Value {
    let (namespace, name, version, mut data) = match &event.subject {
        Subject::Segment(_, picture) => (THEIRS, "SegmentApiPayload", "1.1", segment(picture)),
        Subject::Host(_, picture) => (THEIRS, "HostApiPayload", "1.0", host(picture)),
        Subject::Notification(_, picture) => (THEIRS, "NotificationApiPayload", "1.0", notification(picture)),
        Subject::Vmove(picture) => (OURS, "VMovePayload", "1.0", vmove(picture)),
        Subject::Recovery(_, picture) => (OURS, "RecoveryPayload", "1.0", recovery(picture)),
        Subject::Freeze(_, picture) => (OURS, "FreezePayload", "1.0", freeze(picture)),
    };
    let fault = event.trouble.as_ref().map_or(Value::Null, fault);
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

/// Fields of an object; what is not known is left out, not null.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    fn text(self, name: &str, value: Option<impl ToString>) -> Self {
        self.put(name, value.map(|value| value.to_string()))
    }
}

fn segment(picture: &SegmentPicture) -> Map<String, Value> {
    Fields::default()
        .put("id", picture.row)
        .text("uuid", picture.id)
        .text("name", picture.name.as_ref())
        .text("service_type", picture.service_type.as_ref())
        .put("description", picture.description.clone())
        .text("recovery_method", picture.recovery_method)
        .put("enabled", picture.enabled)
        .0
}

fn host(picture: &HostPicture) -> Map<String, Value> {
    Fields::default()
        .put("id", picture.row)
        .text("uuid", picture.id)
        .text("name", picture.name.as_ref())
        .put("failover_segment", picture.segment.as_ref().map(nested))
        .text("type", picture.kind.as_ref())
        .put("reserved", picture.reserved)
        .text("control_attributes", picture.control_attributes.as_ref())
        .put("on_maintenance", picture.on_maintenance)
        .0
}

/// A segment inside a host: the object itself, not what is told of it.
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
    object(THEIRS, "FailoverSegment", "1.1", data)
}

fn notification(picture: &NotificationPicture) -> Map<String, Value> {
    Fields::default()
        .put("id", picture.row)
        .text("notification_uuid", picture.id)
        .put("generated_time", picture.generated_time.map(time::in_payload))
        .text("source_host_uuid", picture.source_host)
        .text("type", picture.kind)
        .put("payload", picture.payload.as_ref().map(|payload| json!(payload)))
        .text("status", picture.status)
        .0
}

fn vmove(picture: &VmovePicture) -> Map<String, Value> {
    let at = |time: Option<Timestamp>| time.map_or(Value::Null, |time| json!(time::in_payload(time)));
    Fields::default()
        .text("uuid", Some(picture.id))
        .text("notification_uuid", Some(picture.notification))
        .text("recovery_uuid", Some(picture.recovery))
        .text("instance_uuid", Some(picture.server))
        .text("instance_name", Some(&picture.name))
        .text("source_host", Some(&picture.source_host))
        .put("dest_host", Some(picture.dest_host.clone()))
        .put("start_time", Some(at(picture.start_time)))
        .put("end_time", Some(at(picture.end_time)))
        .text("type", Some(VmoveType::Evacuation))
        .text("status", Some(picture.status))
        .put("message", Some(picture.message.clone()))
        .0
}

fn recovery(picture: &RecoveryPicture) -> Map<String, Value> {
    // Every word is there, so that a reader need not guess at what a missing one means.
    let moves: Map<String, Value> = VmoveStatus::ALL
        .iter()
        .map(|status| {
            let count = picture.moves.get(status).copied().unwrap_or_default();
            (status.as_str().to_owned(), json!(count))
        })
        .collect();
    Fields::default()
        .text("uuid", Some(picture.id))
        .text("notification_uuid", Some(picture.notification))
        .text("type", Some(picture.kind))
        .put("host_uuid", Some(picture.host.map(|id| id.to_string())))
        .put("host_name", Some(picture.host_name.clone()))
        .put(
            "failover_segment_uuid",
            Some(picture.segment.map(|id| id.to_string())),
        )
        .put(
            "recovery_method",
            Some(picture.recovery_method.map(RecoveryMethod::as_str)),
        )
        .text("engine", Some(&picture.engine))
        .text("status", Some(picture.status))
        .put("message", Some(picture.message.clone()))
        .put("vmoves", Some(moves))
        .0
}

fn freeze(picture: &Freeze) -> Map<String, Value> {
    Fields::default()
        .text("scope", Some(picture.scope))
        .text("name", Some(&picture.name))
        .put("until", Some(time::in_payload(picture.until)))
        .text("by", Some(&picture.by))
        .text("reason", Some(&picture.reason))
        .0
}

fn fault(trouble: &Trouble) -> Value {
    let data = json!({
        "module_name": trouble.module,
        "function_name": trouble.function,
        "exception": trouble.exception,
        "exception_message": trouble.message,
        "traceback": trouble.trace,
    });
    object(THEIRS, "ExceptionPayload", "1.0", data)
}
