//! Schemas of requests and answers, generated from the code that reads and writes them.

use serde_json::{Map, Value, json};
use tachi_domain::entity::notification::NotificationType;
use utoipa::{PartialSchema, ToSchema};

use super::answers;
use crate::datetime::Iso;
use crate::microversion::Microversion;
use crate::types::action::ActionView;
use crate::types::boot_guard::BootGuardView;
use crate::types::extension::ExtensionView;
use crate::types::fields::{Body, Outline};
use crate::types::host::HostView;
use crate::types::notification::{DetailView, NotificationView, TaskView};
use crate::types::payload;
use crate::types::rules::Boolean;
use crate::types::segment::SegmentView;
use crate::types::vmove::VmoveView;

/// Returns all named schemas.
pub(super) fn all() -> Value {
    let mut schemas = Map::new();
    view::<SegmentView>(&mut schemas);
    view::<HostView>(&mut schemas);
    view::<NotificationView>(&mut schemas);
    view::<TaskView>(&mut schemas);
    view::<DetailView>(&mut schemas);
    view::<VmoveView>(&mut schemas);
    view::<BootGuardView>(&mut schemas);
    view::<ExtensionView>(&mut schemas);
    view::<Iso>(&mut schemas);
    operators(&mut schemas);
    schemas.extend(documents());
    schemas.extend(answers::envelopes());
    Value::Object(schemas)
}

/// Adds the schemas of the views for operators.
fn operators(schemas: &mut Map<String, Value>) {
    view::<tachi_operator::Time>(schemas);
    view::<tachi_operator::WaitView>(schemas);
    view::<tachi_operator::SituationView>(schemas);
    view::<tachi_operator::ForecastView>(schemas);
    view::<tachi_operator::SegmentForecastView>(schemas);
    view::<tachi_operator::DomainView>(schemas);
    view::<tachi_operator::OutcomeView>(schemas);
    view::<tachi_operator::LandingView>(schemas);
    view::<tachi_operator::EngineView>(schemas);
    view::<tachi_operator::QueueView>(schemas);
    view::<tachi_operator::SegmentView>(schemas);
    view::<tachi_operator::RegisteredView>(schemas);
    view::<tachi_operator::HostView>(schemas);
    view::<tachi_operator::UnderwayView>(schemas);
    view::<tachi_operator::NeedsPersonView>(schemas);
    view::<tachi_operator::WaitingRecoveryView>(schemas);
    view::<tachi_operator::WaitingInstanceView>(schemas);
    view::<tachi_operator::FactView>(schemas);
    view::<tachi_operator::MonitorView>(schemas);
    view::<tachi_operator::GuestsView>(schemas);
    view::<tachi_operator::NoticeView>(schemas);
    view::<tachi_operator::FindingView>(schemas);
    view::<tachi_operator::CountsView>(schemas);
    view::<tachi_operator::ExplanationView>(schemas);
    view::<tachi_operator::NeedView>(schemas);
    view::<tachi_operator::RoomView>(schemas);
    view::<tachi_operator::EvidenceView>(schemas);
    view::<tachi_operator::LevelView>(schemas);
    view::<tachi_operator::LevelSeenView>(schemas);
    view::<tachi_operator::DiskView>(schemas);
    view::<tachi_operator::HostedView>(schemas);
    view::<tachi_operator::ListedInstanceView>(schemas);
    flatten(schemas, "ListedInstance");
    view::<tachi_operator::VmoveView>(schemas);
    view::<tachi_operator::RecoveryView>(schemas);
    view::<tachi_operator::MovesView>(schemas);
    view::<tachi_operator::downtime::Figures>(schemas);
    view::<tachi_operator::downtime::DowntimeView>(schemas);
    view::<tachi_operator::RecoveryActionView>(schemas);
    view::<tachi_operator::InstanceActionView>(schemas);
    view::<tachi_operator::ReportedView>(schemas);
    view::<tachi_operator::StepView>(schemas);
    view::<tachi_operator::ProofView>(schemas);
    view::<tachi_operator::InstanceView>(schemas);
    view::<tachi_operator::RecoveryHistoryView>(schemas);
    view::<tachi_operator::FreezeView>(schemas);
    view::<tachi_operator::FrozenView>(schemas);
    view::<tachi_operator::JobView>(schemas);
    view::<tachi_operator::FailurePreview>(schemas);
    view::<tachi_operator::FailedView>(schemas);
    view::<tachi_operator::ReporterView>(schemas);
    view::<tachi_operator::LiftedView>(schemas);
    view::<tachi_operator::ForgottenView>(schemas);
    view::<tachi_operator::RetriedView>(schemas);
    view::<tachi_operator::AuditView>(schemas);
    view::<tachi_operator::ReturnView>(schemas);
    view::<tachi_operator::ReturnCheckView>(schemas);
    view::<tachi_operator::ReturnStepView>(schemas);
    view::<tachi_operator::FromNovaView>(schemas);
    view::<tachi_operator::FromNovaSegmentView>(schemas);
    view::<tachi_operator::FromNovaLeftView>(schemas);
    view::<tachi_operator::PlannedView>(schemas);
    view::<tachi_operator::GivebackView>(schemas);
    view::<tachi_operator::AwayView>(schemas);
    flatten(schemas, "Downtime");
    view::<tachi_operator::PastReportView>(schemas);
    view::<tachi_operator::PastRefusalView>(schemas);
    view::<tachi_operator::PastRecoveryView>(schemas);
    view::<tachi_operator::PastFreezeView>(schemas);
    view::<tachi_operator::PastEngineView>(schemas);
    view::<tachi_operator::PastView>(schemas);
    flatten(schemas, "PastRecovery");
    flatten(schemas, "RecoveryStory");
    view::<ActionView>(schemas);
}

/// Replaces `allOf` with the complete list of fields, for readers that do not support `allOf`.
fn flatten(schemas: &mut Map<String, Value>, name: &str) {
    let parts = schemas[name]["allOf"].as_array().cloned().unwrap_or_default();
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in parts {
        let known = part["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        let part = known.and_then(|name| schemas.get(name)).cloned().unwrap_or(part);
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    let about = schemas[name]["description"].clone();
    let whole =
        json!({"type": "object", "description": about, "required": required, "properties": properties});
    schemas.insert(name.to_owned(), whole);
}

fn view<V: ToSchema + PartialSchema>(schemas: &mut Map<String, Value>) {
    // A schema consists of texts and numbers, so serialization cannot fail.
    let schema = serde_json::to_value(V::schema()).unwrap_or_default();
    schemas.insert(V::name().into_owned(), schema);
}

/// Returns the schemas that no type defines: the values of a boolean, and documents built by their handlers.
fn documents() -> Map<String, Value> {
    let link = json!({
        "type": "object",
        "properties": {"rel": {"type": "string"}, "href": {"type": "string"}, "type": {"type": "string"}},
        "required": ["rel", "href"],
    });
    let media_type = json!({
        "type": "object",
        "properties": {"base": {"type": "string"}, "type": {"type": "string"}},
        "required": ["base", "type"],
    });
    let version = json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "status": {"type": "string"},
            "version": {"type": "string", "description": "The newest microversion."},
            "min_version": {"type": "string", "description": "The oldest microversion."},
            "updated": {"type": "string", "format": "date-time"},
            "links": {"type": "array", "items": link},
            "media-types": {"type": "array", "items": media_type},
        },
        "required": ["id", "status", "version", "min_version", "updated", "links"],
    });
    let versions = json!({
        "type": "object",
        "properties": {"versions": {"type": "array", "items": {"$ref": "#/components/schemas/Version"}}},
        "required": ["versions"],
        "additionalProperties": false,
    });
    let health = json!({
        "type": "object",
        "properties": {
            "detailed": {"type": "boolean"},
            "reasons": {"type": "array", "items": {}},
        },
        "required": ["detailed", "reasons"],
    });
    let document = json!({"type": "object", "required": ["openapi", "info", "paths", "components"]});
    [
        ("Boolean", Boolean::values()),
        ("Version", version),
        ("Versions", versions),
        ("Health", health),
        ("Document", document),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}

/// Returns the schema of a body, for the newest microversion.
pub(super) fn body<B: Body>() -> Value {
    let mut inner = Outline::of::<B>(Microversion::MAX);
    if inner["properties"].get("payload").is_some() {
        inner = by_type(&inner);
    }
    json!({
        "type": "object",
        "properties": {B::KEY: inner},
        "required": [B::KEY],
        "additionalProperties": false,
    })
}

/// Adds the payload schema of each type of notification. Handlers check it after the policy, but it is part of the body's schema.
fn by_type(notification: &Value) -> Value {
    let kinds = NotificationType::ALL.iter().map(|kind| {
        let mut one = notification.clone();
        one["title"] = json!(kind.as_str());
        one["properties"]["type"] = json!({"type": "string", "const": kind.as_str()});
        one["properties"]["payload"] = payload::schema(*kind);
        one
    });
    json!({"oneOf": kinds.collect::<Vec<_>>()})
}

/// Returns example heartbeats of monitors.
pub(super) fn signature_examples() -> Value {
    let signature = |monitor: Value| json!({"value": {"monitor": monitor}});
    json!({
        "well": signature(json!({
            "version": "0.9.0",
            "watches": ["compute-001", "compute-002"],
            "watching": true,
        })),
        "ill": signature(json!({
            "version": "0.9.0",
            "troubles": {"libvirt": "the connection was refused"},
        })),
        "cut off": signature(json!({
            "version": "0.9.0",
            "watches": ["compute-001", "compute-002"],
            "watching": true,
            "planes": {"compute-002": {"storage": 35}},
        })),
    })
}

pub(super) fn action_examples() -> Value {
    let example = |action: Value| json!({"value": {"word": action}});
    json!({
        "approve": example(json!({
            "word": "approve",
            "recovery": "e241c4a2-1111-4222-8333-0123456789ab",
            "reason": "the switch was replaced",
        })),
        "ignore": example(json!({
            "word": "ignore",
            "instance": "6128798e-1111-4222-8333-0123456789ab",
            "reason": "its owner deletes it",
        })),
    })
}

pub(super) fn freeze_examples() -> Value {
    let freeze = |freeze: Value| json!({"value": {"freeze": freeze}});
    json!({
        "host": freeze(json!({
            "scope": "host",
            "name": "compute-004",
            "lasts_seconds": 7200,
            "reason": "firmware",
        })),
        "everything": freeze(json!({
            "scope": "region",
            "lasts_seconds": 172_800,
            "force": true,
            "reason": "the network is rebuilt",
        })),
    })
}

pub(super) fn failure_examples() -> Value {
    json!({"dead": {"value": {"failure": {"reason": "smoke in rack 7"}}}})
}

pub(super) fn lift_examples() -> Value {
    json!({"mended": {"value": {"lift": {"reason": "its clock was wrong"}}}})
}

pub(super) fn retry_examples() -> Value {
    json!({"mended": {"value": {"retry": {"reason": "there is room again"}}}})
}

pub(super) fn drain_examples() -> Value {
    json!({"firmware": {"value": {"drain": {"lasts_seconds": 10_800, "reason": "firmware"}}}})
}

pub(super) fn giveback_examples() -> Value {
    json!({"slowly": {"value": {"giveback": {"at_once": 1, "limit_seconds": 600}}}})
}

/// Returns example notifications, as monitors send them.
pub(super) fn notification_examples() -> Value {
    let notification = |kind: NotificationType, payload: Value| {
        json!({"value": {"notification": {
            "type": kind.as_str(),
            "hostname": "compute-001",
            "generated_time": "2026-11-20T06:15:08.123456",
            "payload": payload,
        }}})
    };
    json!({
        "host": notification(
            NotificationType::ComputeHost,
            json!({"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}),
        ),
        "process": notification(
            NotificationType::Process,
            json!({"event": "STOPPED", "process_name": "libvirtd"}),
        ),
        "instance": notification(
            NotificationType::Vm,
            json!({
                "instance_uuid": "6128798e-1111-4222-8333-0123456789ab",
                "event": "LIFECYCLE",
                "vir_domain_event": "STOPPED_FAILED",
            }),
        ),
    })
}
