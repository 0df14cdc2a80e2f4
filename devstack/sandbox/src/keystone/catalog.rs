//! The catalog in a token.

use serde_json::{Value, json};

use super::store::{Endpoint, Store, Token};

/// Returns the catalog, with the token's project in every URL template.
pub(super) fn view(store: &Store, token: &Token) -> Value {
    store
        .endpoints
        .iter()
        .map(|endpoint| service(endpoint, token))
        .collect()
}

fn service(endpoint: &Endpoint, token: &Token) -> Value {
    let project = token.project_id().unwrap_or_default();
    let url = [
        "$(tenant_id)s",
        "$(project_id)s",
        "%(tenant_id)s",
        "%(project_id)s",
    ]
    .iter()
    .fold(endpoint.url.clone(), |url, place| url.replace(place, project));
    let endpoints: Value = ["public", "internal", "admin"]
        .iter()
        .map(|interface| {
            json!({
                "id": format!("{}{interface}", endpoint.service_id),
                "interface": interface,
                "region": endpoint.region,
                "region_id": endpoint.region,
                "url": url,
            })
        })
        .collect();
    json!({"id": endpoint.service_id, "type": endpoint.kind, "name": endpoint.name, "endpoints": endpoints})
}
