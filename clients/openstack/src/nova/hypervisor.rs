//! Hypervisors: Nova's records of nodes. A request for a single hypervisor goes only to the cell of its host, so it is
//! answered completely or fails. A list of servers, in contrast, silently omits a cell that does not respond.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tachi_engine::ports::CallError;

use super::pages::{self, List, Take};
use super::version::Feature;
use super::{Nova, read};
use crate::answer::Answer;
use crate::fault::ErrorScope;

const PATH: [&str; 2] = ["os-hypervisors", "detail"];

#[derive(Deserialize)]
struct HypervisorEnvelope {
    hypervisor: Hypervisor,
}

#[derive(Deserialize)]
struct Hypervisor {
    /// Before 2.75 Nova omits an empty list.
    #[serde(default)]
    servers: Vec<Value>,
}

/// Returns the number of servers on the host; `None` if Nova has no node there.
pub(super) async fn count_servers(nova: &Nova, host: &str) -> Result<Option<usize>, CallError> {
    // Any node will do, because the servers are those of the host.
    let mut nodes = named(nova, host).await?;
    if nodes.is_empty() {
        nodes = all(nova, host).await?;
    }
    let Some(node) = nodes.first() else {
        return Ok(None);
    };
    let query = [("with_servers", "true".to_owned())];
    let path = ["os-hypervisors", node];
    let request = read(&path, &query, ErrorScope::Service);
    let answer = nova.call(Feature::HYPERVISORS, request).await?;
    let HypervisorEnvelope { hypervisor } = answer.json()?;
    Ok(Some(hypervisor.servers.len()))
}

/// Returns the ids of the host's nodes, from the nodes whose names contain the host's name, as is usual.
async fn named(nova: &Nova, host: &str) -> Result<Vec<String>, CallError> {
    let query = [("hypervisor_hostname_pattern", host.to_owned())];
    let request = read(&PATH, &query, ErrorScope::Service);
    let answer = match nova.call(Feature::AGGREGATES, request).await {
        Ok(answer) => answer,
        // No node has this name, or the name is not a valid pattern.
        Err(error) if matches!(error.fault.status, Some(400 | 404)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let body: Value = answer.json()?;
    let Some(items) = body.get("hypervisors").and_then(Value::as_array) else {
        return Err(answer.malformed("no list of hypervisors"));
    };
    let ids = items.iter().map(|item| id_on(&answer, item, host));
    ids.filter_map(Result::transpose).collect()
}

/// Returns the ids of the host's nodes.
pub(super) async fn all(nova: &Nova, host: &str) -> Result<Vec<String>, CallError> {
    let list = List {
        feature: Feature::AGGREGATES,
        path: &PATH,
        query: Vec::new(),
        key: "hypervisors",
        marker: "id",
    };
    let whole = pages::list(nova, &list, |answer, item, nodes: &mut Vec<String>| {
        nodes.extend(id_on(answer, item, host)?);
        Ok(Take::More)
    });
    Ok(whole.await?.items)
}

/// Returns the service host of each node, by the node's id. Omits hosts with several nodes, whose instances cannot be
/// assigned to a node.
pub(super) async fn nodes(nova: &Nova) -> Result<BTreeMap<String, String>, CallError> {
    let list = List {
        feature: Feature::AGGREGATES,
        path: &PATH,
        query: Vec::new(),
        key: "hypervisors",
        marker: "id",
    };
    let whole = pages::list(nova, &list, |answer, item, nodes: &mut Vec<(String, String)>| {
        let text = |at: &str| item.pointer(at).and_then(Value::as_str).map(str::to_owned);
        match (text("/id"), text("/service/host")) {
            (Some(id), Some(host)) => nodes.push((id, host)),
            _ => return Err(answer.malformed("a hypervisor without a UUID or a host")),
        }
        Ok(Take::More)
    });
    let nodes = whole.await?.items;
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for (_, host) in &nodes {
        *count.entry(host.clone()).or_default() += 1;
    }
    let alone = nodes.into_iter().filter(|(_, host)| count.get(host) == Some(&1));
    Ok(alone.collect())
}

/// Returns the id of a node if it belongs to the host.
fn id_on(answer: &Answer, item: &Value, host: &str) -> Result<Option<String>, CallError> {
    let on = item.pointer("/service/host").and_then(Value::as_str);
    if on != Some(host) {
        return Ok(None);
    }
    match item.get("id").and_then(Value::as_str) {
        Some(id) => Ok(Some(id.to_owned())),
        None => Err(answer.malformed("a hypervisor without a UUID")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tachi_engine::ports::Compute as _;

    use crate::fake::{Fake, RecordedRequest, Reply};

    const NODE: &str = "22222222-2222-3333-4444-555555555555";
    const OTHER: &str = "33333333-2222-3333-4444-555555555555";

    /// Starts a Nova whose host `c1` has the node `node`, with the record `shown`.
    async fn nova(node: &'static str, shown: Reply) -> Fake {
        let shown = std::sync::Mutex::new(Some(shown));
        Fake::start(move |recorded: &RecordedRequest| {
            let one = json!({"id": NODE, "hypervisor_hostname": node, "service": {"host": "c1"}});
            let ten = json!({"id": OTHER, "hypervisor_hostname": "c10", "service": {"host": "c10"}});
            match (
                recorded.path.as_str(),
                recorded.arg("hypervisor_hostname_pattern"),
            ) {
                ("/v2.1/os-hypervisors/detail", None) => Reply::Json(200, json!({"hypervisors": [ten, one]})),
                ("/v2.1/os-hypervisors/detail", Some(pattern)) => {
                    assert_eq!(recorded.arg("limit"), None, "Nova refuses both");
                    let both = [ten, one];
                    let named: Vec<_> = both
                        .iter()
                        .filter(|one| one["hypervisor_hostname"].as_str().unwrap().contains(&pattern))
                        .collect();
                    let status = if named.is_empty() { 404 } else { 200 };
                    Reply::Json(status, json!({"hypervisors": named}))
                }
                (path, _) if path.ends_with(NODE) => {
                    assert_eq!(recorded.arg("with_servers").as_deref(), Some("true"));
                    shown.lock().unwrap().take().unwrap_or(Reply::Unscripted)
                }
                _ => Reply::Unscripted,
            }
        })
        .await
    }

    /// Covers C4.
    #[tokio::test]
    async fn the_cell_of_a_host_returns_its_number_of_servers() {
        let two = json!({"hypervisor": {"id": NODE, "servers": [{"uuid": "x", "name": "a"}, {"uuid": "y", "name": "b"}]}});
        let none = json!({"hypervisor": {"id": NODE, "servers": []}});
        let left_out = json!({"hypervisor": {"id": NODE}});
        for (case, node, shown, count) in [
            ("two", "c1", &two, 2),
            ("a node of a longer name", "c1.example.org", &two, 2),
            ("a node of another name", "elsewhere", &two, 2),
            ("none", "c1", &none, 0),
            ("none, before 2.75", "c1", &left_out, 0),
        ] {
            let fake = nova(node, Reply::Json(200, shown.clone())).await;
            let got = fake.nova().await.count_in_cell("c1").await.unwrap();
            assert_eq!(got, Some(count), "{case}");
            let lists = fake
                .calls()
                .iter()
                .filter(|recorded| recorded.arg("limit").is_some())
                .count();
            assert_eq!(
                lists,
                usize::from(node == "elsewhere"),
                "{case}: the list is long"
            );
        }
    }

    /// Covers C4.
    #[tokio::test]
    async fn a_cell_that_does_not_answer_is_no_empty_host() {
        let failed = json!({"computeFault": {"message": "Unexpected API Error."}});
        let fake = nova("c1", Reply::Json(500, failed)).await;
        assert!(fake.nova().await.count_in_cell("c1").await.is_err());
        let fake = nova("c1", Reply::Json(200, json!({"hypervisor": {"servers": "many"}}))).await;
        assert!(fake.nova().await.count_in_cell("c1").await.is_err());
        assert_eq!(fake.nova().await.count_in_cell("unknown").await.unwrap(), None);
    }
}
