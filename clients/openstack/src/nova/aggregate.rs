//! Host aggregates.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tachi_domain::reserved::Aggregate;
use tachi_engine::ports::CallError;

use super::version::Feature;
use super::{Nova, read, write};
use crate::fault::{Effect, ErrorScope};

#[derive(Deserialize)]
struct List {
    aggregates: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    id: u64,
    name: String,
    #[serde(default)]
    availability_zone: Option<String>,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// Lists the aggregates. Nova returns all of them at once.
pub(super) async fn list(nova: &Nova) -> Result<Vec<Aggregate>, CallError> {
    let request = read(&["os-aggregates"], &[], ErrorScope::Service);
    let answer = nova.call(Feature::AGGREGATES, request).await?;
    let List { aggregates } = answer.json()?;
    let understood = |record: Record| Aggregate {
        id: record.id,
        name: record.name,
        zone: record.availability_zone.filter(|zone| !zone.is_empty()),
        hosts: record.hosts.into_iter().collect(),
        metadata: record.metadata,
    };
    Ok(aggregates.into_iter().map(understood).collect())
}

pub(super) async fn act(nova: &Nova, aggregate: u64, action: &str, host: &str) -> Result<(), CallError> {
    let started_at = nova.session.now();
    let id = aggregate.to_string();
    let body = Value::Object(
        [(action.to_owned(), json!({ "host": host }))]
            .into_iter()
            .collect(),
    );
    let path = ["os-aggregates", &id, "action"];
    let request = write(Method::POST, &path, Some(body), Effect::Idempotent, started_at);
    nova.call(Feature::AGGREGATES, request).await.map(|_| ())
}
