//! Host aggregates.

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
    aggregates: Vec<Aggregate>,
}

/// Lists the aggregates. Nova returns all of them at once.
pub(super) async fn list(nova: &Nova) -> Result<Vec<Aggregate>, CallError> {
    let request = read(&["os-aggregates"], &[], ErrorScope::Service);
    let answer = nova.call(Feature::AGGREGATES, request).await?;
    let List { mut aggregates } = answer.json()?;
    for aggregate in &mut aggregates {
        aggregate.zone = aggregate.zone.take().filter(|zone| !zone.is_empty());
    }
    Ok(aggregates)
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
