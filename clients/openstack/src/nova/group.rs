//! Server groups.

use std::collections::BTreeSet;

use serde::Deserialize;
use tachi_domain::ServerId;
use tachi_domain::forecast::Group;
use tachi_engine::ports::CallError;

use super::version::Feature;
use super::{Nova, read};
use crate::fault::ErrorScope;

/// Nova's default limit of entries per page.
const PAGE_SIZE: usize = 1_000;

/// Limit of pages, above any real list of groups.
const MAX_PAGES: usize = 100;

#[derive(Deserialize)]
struct List {
    server_groups: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    /// The policy, from microversion 2.64 on.
    #[serde(default)]
    policy: Option<String>,
    /// The policies, before 2.64.
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    rules: Rules,
    #[serde(default)]
    members: BTreeSet<ServerId>,
}

#[derive(Default, Deserialize)]
struct Rules {
    #[serde(default)]
    max_server_per_host: Option<u64>,
}

/// Lists the groups of all projects that have a member and a policy that constrains placement.
pub(super) async fn list(nova: &Nova) -> Result<Vec<Group>, CallError> {
    let mut groups = Vec::new();
    // Nova supports only offsets here. If a group is deleted between two pages, the others shift, so one may be missed
    // temporarily.
    let mut offset = 0;
    for _ in 0..MAX_PAGES {
        let query = [
            ("all_projects", "True".to_owned()),
            ("limit", PAGE_SIZE.to_string()),
            ("offset", offset.to_string()),
        ];
        let request = read(&["os-server-groups"], &query, ErrorScope::Service);
        let answer = nova.call(Feature::SERVER_GROUPS, request).await?;
        let List { server_groups } = answer.json()?;
        let count = server_groups.len();
        groups.extend(server_groups.into_iter().filter_map(understood));
        // A cloud may return shorter pages, so only an empty page is certain to be the last one. Most clouds have one
        // short page.
        if count == 0 || (offset == 0 && count < 100) {
            return Ok(groups);
        }
        offset += count;
    }
    Ok(groups)
}

fn understood(record: Record) -> Option<Group> {
    let policy = record.policy.or_else(|| record.policies.into_iter().next())?;
    let per_host = match policy.as_str() {
        "anti-affinity" => Some(record.rules.max_server_per_host.unwrap_or(1)),
        "affinity" => None,
        _ => return None,
    };
    (!record.members.is_empty()).then_some(Group {
        per_host,
        members: record.members,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tachi_engine::ports::Rooms as _;

    use crate::fake::{Fake, RecordedRequest, Reply};

    const ONE: &str = "11111111-2222-3333-4444-555555555555";

    #[tokio::test]
    async fn groups_of_old_and_new_are_read_to_the_last_page() {
        let fake = Fake::start(|recorded: &RecordedRequest| {
            if recorded.path != "/v2.1/os-server-groups" {
                return Reply::Unscripted;
            }
            assert_eq!(recorded.arg("all_projects").as_deref(), Some("True"));
            let offset: usize = recorded.arg("offset").unwrap().parse().unwrap();
            let group = |number: usize| match number {
                0 => {
                    json!({"policy": "anti-affinity", "rules": {"max_server_per_host": 3}, "members": [ONE]})
                }
                1 => json!({"policies": ["anti-affinity"], "members": [ONE]}),
                2 => json!({"policy": "affinity", "members": [ONE]}),
                3 => json!({"policy": "anti-affinity", "members": []}),
                _ => json!({"policy": "soft-affinity", "members": [ONE]}),
            };
            let rows: Vec<_> = (offset..150.min(offset + 120)).map(group).collect();
            Reply::Json(200, json!({"server_groups": rows}))
        })
        .await;
        let groups = fake.nova().await.groups().await.unwrap();
        let got: Vec<_> = groups.iter().map(|group| group.per_host).collect();
        assert_eq!(got, [Some(3), Some(1), None]);
        assert_eq!(
            fake.calls()
                .iter()
                .filter(|recorded| recorded.path.ends_with("groups"))
                .count(),
            3
        );
    }
}
