//! The context of a message: the fields of oslo.context that are not secret.

use serde_json::{Map, Value, json};
use tachi_domain::Timestamp;
use tachi_domain::event::Cause;

use crate::time;

/// Returns the fields, each under its name on the wire. Listeners build a context from them, so none is omitted.
pub(crate) fn context(cause: &Cause, at: Timestamp) -> Map<String, Value> {
    let fields = json!({
        "_context_user": cause.user_id,
        "_context_project_id": cause.project_id,
        "_context_system_scope": cause.system_scope,
        "_context_project": cause.project_id,
        "_context_domain": cause.domain_id,
        "_context_user_domain": cause.user_domain_id,
        "_context_project_domain": cause.project_domain_id,
        "_context_is_admin": cause.is_admin,
        "_context_read_only": false,
        "_context_show_deleted": false,
        // The token is never sent.
        "_context_auth_token": null,
        "_context_request_id": cause.request_id,
        "_context_global_request_id": cause.global_request_id,
        "_context_resource_uuid": null,
        "_context_roles": cause.roles,
        "_context_user_identity": identity(cause),
        "_context_is_admin_project": true,
        "_context_user_id": cause.user_id,
        "_context_read_deleted": "no",
        "_context_remote_address": null,
        "_context_timestamp": time::of_context(at),
        "_context_user_name": cause.user_name,
        "_context_service_catalog": [],
        "_context_project_name": null,
    });
    if let Value::Object(fields) = fields {
        fields
    } else {
        Map::new()
    }
}

fn identity(cause: &Cause) -> String {
    let parts = [
        &cause.user_id,
        &cause.project_id,
        &cause.domain_id,
        &cause.user_domain_id,
        &cause.project_domain_id,
    ];
    parts.map(|part| part.as_deref().unwrap_or("-")).join(" ")
}
