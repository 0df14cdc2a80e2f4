//! Nova's API on the model.

mod actions;
mod aggregates;
mod answer;
mod body;
mod context;
mod extras;
mod flavors;
mod hypervisors;
mod metadata;
mod migrations;
mod page;
mod server_list;
mod server_view;
mod servers;
mod services;
mod version;
mod zones;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use http::HeaderValue;

use crate::web::SandboxState;
use version::Microversion;

/// The routes under `/compute`.
pub(crate) fn router() -> Router<SandboxState> {
    Router::new()
        .route("/compute", get(version::list))
        .route("/compute/v2.1", get(version::show))
        .route(
            "/compute/v2.1/servers",
            get(server_list::summary).post(servers::create),
        )
        .route("/compute/v2.1/servers/detail", get(server_list::detail))
        .route(
            "/compute/v2.1/servers/{id}",
            get(servers::show).put(servers::update).delete(servers::delete),
        )
        .route("/compute/v2.1/servers/{id}/action", post(actions::act))
        .route(
            "/compute/v2.1/servers/{id}/metadata",
            get(metadata::list).post(metadata::merge).put(metadata::replace),
        )
        .route(
            "/compute/v2.1/servers/{id}/metadata/{key}",
            get(metadata::show).put(metadata::set).delete(metadata::delete),
        )
        .route(
            "/compute/v2.1/servers/{id}/os-instance-actions",
            get(extras::instance_actions),
        )
        .route(
            "/compute/v2.1/servers/{id}/migrations",
            get(migrations::of_server),
        )
        .route(
            "/compute/v2.1/servers/{id}/migrations/{migration}",
            delete(migrations::abort),
        )
        .route("/compute/v2.1/servers/{id}/os-interface", get(extras::interfaces))
        .route(
            "/compute/v2.1/servers/{id}/os-volume_attachments",
            get(extras::volume_attachments),
        )
        .route(
            "/compute/v2.1/servers/{id}/os-security-groups",
            get(extras::security_groups),
        )
        .route("/compute/v2.1/os-migrations", get(migrations::list))
        .route("/compute/v2.1/os-services", get(services::list))
        .route("/compute/v2.1/os-services/{id}", put(services::update))
        .route("/compute/v2.1/os-hypervisors", get(hypervisors::summary))
        .route("/compute/v2.1/os-hypervisors/detail", get(hypervisors::detail))
        .route(
            "/compute/v2.1/os-hypervisors/statistics",
            get(hypervisors::statistics),
        )
        .route("/compute/v2.1/os-hypervisors/{id}", get(hypervisors::show))
        .route(
            "/compute/v2.1/os-aggregates",
            get(aggregates::list).post(aggregates::create),
        )
        .route(
            "/compute/v2.1/os-aggregates/{id}",
            get(aggregates::show).delete(aggregates::delete),
        )
        .route("/compute/v2.1/os-aggregates/{id}/action", post(aggregates::act))
        .route("/compute/v2.1/os-availability-zone", get(zones::summary))
        .route("/compute/v2.1/os-availability-zone/detail", get(zones::detail))
        .route("/compute/v2.1/flavors", get(flavors::summary))
        .route("/compute/v2.1/flavors/detail", get(flavors::detail))
        .route("/compute/v2.1/flavors/{id}", get(flavors::show))
        .route(
            "/compute/v2.1/flavors/{id}/os-extra_specs",
            get(flavors::extra_specs),
        )
        .route("/compute/v2.1/limits", get(extras::limits))
        .route("/compute/v2.1/extensions", get(extras::extensions))
        .route("/compute/v2.1/os-keypairs", get(extras::keypairs))
        .route("/compute/v2.1/os-server-groups", get(extras::server_groups))
        .layer(from_fn(label))
}

/// Adds the headers of every answer of Nova.
async fn label(request: Request, next: Next) -> Response {
    let negotiated = Microversion::of(request.headers()).unwrap_or_default();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let request_id = format!("req-{}", uuid::Uuid::new_v4());
    for (name, value) in [
        ("openstack-api-version", format!("compute {negotiated}")),
        ("x-openstack-nova-api-version", negotiated.to_string()),
        ("x-openstack-request-id", request_id.clone()),
        ("x-compute-request-id", request_id),
        (
            "vary",
            "OpenStack-API-Version, X-OpenStack-Nova-API-Version".to_owned(),
        ),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}
