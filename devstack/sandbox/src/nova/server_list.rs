//! `GET /servers` and `GET /servers/detail`.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::Query;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::answer::Answer;
use super::body::parse_bool;
use super::context::Context;
use super::page::Page;
use super::server_view::ViewContext;
use crate::model::server::Server;
use crate::model::{ServerIx, State};
use crate::region_time::RegionTime;

type Pairs = Query<Vec<(String, String)>>;

/// The filters of a query.
#[derive(Debug, Default)]
struct Filter {
    project: Option<String>,
    user: Option<String>,
    /// The service host's name; the list is empty for an unknown one.
    host: Option<String>,
    node: Option<String>,
    name: Option<String>,
    statuses: Vec<String>,
    vm_state: Option<String>,
    task_state: Option<String>,
    zone: Option<String>,
    flavor: Option<String>,
    image: Option<String>,
    uuid: Option<String>,
    locked: Option<bool>,
    deleted: bool,
    changes_since: Option<RegionTime>,
    changes_before: Option<RegionTime>,
}

impl Filter {
    fn read(context: &Context, page: &Page) -> Result<Self, Answer> {
        let own = |name: &str| page.get(name).map(str::to_owned);
        let all = page
            .get("all_tenants")
            .is_some_and(|flag| flag.is_empty() || parse_bool(flag) == Some(true));
        if all {
            context.admin("os_compute_api:servers:detail:get_all_tenants")?;
        }
        let admin = context.caller.admin;
        // Filters on fields of admins are ignored for other callers, as in Nova.
        let privileged = |name: &str| own(name).filter(|_| admin);
        let project_filter = privileged("project_id").or_else(|| privileged("tenant_id"));
        let time = |name: &str| match page.get(name) {
            None => Ok(None),
            Some(text) => super::migrations::time(context, text)
                .map(Some)
                .ok_or_else(|| Answer::bad_request(format!("Invalid filter field: {name}."))),
        };
        Ok(Self {
            project: if all {
                project_filter
            } else {
                Some(context.caller.project_id.clone())
            },
            user: privileged("user_id"),
            host: privileged("host"),
            node: privileged("node"),
            name: own("name"),
            statuses: page
                .get("status")
                .map(str::to_ascii_uppercase)
                .into_iter()
                .collect(),
            vm_state: privileged("vm_state"),
            task_state: privileged("task_state"),
            zone: privileged("availability_zone"),
            flavor: own("flavor"),
            image: own("image"),
            uuid: own("uuid"),
            locked: page
                .get("locked")
                .filter(|_| context.version.at_least(73))
                .and_then(parse_bool),
            deleted: admin && page.get("deleted").and_then(parse_bool) == Some(true),
            changes_since: time("changes-since")?,
            changes_before: time("changes-before")?,
        })
    }

    fn accepts(&self, state: &State, server: &Server) -> bool {
        let is = |expected: &Option<String>, value: &str| {
            expected.as_deref().is_none_or(|expected| expected == value)
        };
        let host = server.host.map(|ix| &state.world.hosts[ix]);
        let flavor = state.flavors.get(server.flavor);
        is(&self.project, &server.project_id)
            && is(&self.user, &server.user_id)
            && is(&self.host, host.map_or("", |host| &*host.name))
            && is(&self.node, host.map_or("", |host| &host.node))
            && self
                .name
                .as_deref()
                .is_none_or(|pattern| name_matches(pattern, &server.name))
            && (self.statuses.is_empty() || self.statuses.iter().any(|status| status == server.status()))
            && is(&self.vm_state, server.vm_state.as_str())
            && is(
                &self.task_state,
                server
                    .task_state
                    .map_or("", crate::model::server::TaskState::as_str),
            )
            && is(
                &self.zone,
                server.host.map_or("", |ix| state.aggregates.zone_of(ix)),
            )
            && is(&self.flavor, flavor.map_or("", |flavor| &flavor.id))
            && is(
                &self.image,
                &server.image.map(|id| id.to_string()).unwrap_or_default(),
            )
            && is(&self.uuid, &server.id.to_string())
            && self.locked.is_none_or(|locked| server.lock.is_some() == locked)
            && self.changes_since.is_none_or(|since| server.updated >= since)
            && self.changes_before.is_none_or(|before| server.updated <= before)
    }
}

/// True if the name matches. Nova passes the pattern to the database as a regular expression; here only anchors are supported.
fn name_matches(pattern: &str, name: &str) -> bool {
    let (head, pattern) = pattern
        .strip_prefix('^')
        .map_or((false, pattern), |rest| (true, rest));
    let (tail, pattern) = pattern
        .strip_suffix('$')
        .map_or((false, pattern), |rest| (true, rest));
    match (head, tail) {
        (true, true) => name == pattern,
        (true, false) => name.starts_with(pattern),
        (false, true) => name.ends_with(pattern),
        (false, false) => name.contains(pattern),
    }
}

/// Returns the candidates, newest first, from the narrowest index.
fn candidates<'a>(
    state: &'a State,
    filter: &Filter,
    marker: Option<ServerIx>,
) -> Box<dyn Iterator<Item = ServerIx> + 'a> {
    let below = move |numbers: &'a BTreeSet<ServerIx>| -> Box<dyn Iterator<Item = ServerIx> + 'a> {
        match marker {
            Some(marker) => Box::new(numbers.range(..marker).rev().copied()),
            None => Box::new(numbers.iter().rev().copied()),
        }
    };
    if let Some(host) = &filter.host {
        return match state.world.hosts.find(host) {
            Some(ix) => below(&state.world.hosts[ix].servers),
            None => Box::new(std::iter::empty()),
        };
    }
    if let Some(project) = &filter.project {
        return state
            .world
            .servers
            .of_project(project)
            .map_or_else(|| Box::new(std::iter::empty()) as _, below);
    }
    state.world.servers.newest(marker)
}

fn list(context: &Context, pairs: Vec<(String, String)>, detail: bool) -> Result<Json<Value>, Answer> {
    let page = Page::new(pairs);
    let filter = Filter::read(context, &page)?;
    let view = ViewContext::new(context, false);
    let path = if detail { "servers/detail" } else { "servers" };
    let url = format!("{}/compute/v2.1/{path}", context.app.base);
    context.app.region.read(|state| {
        let limit = page.limit(state.world.settings.max_limit)?;
        let marker = match page.get("marker") {
            None => None,
            Some(text) => Some(
                text.parse::<Uuid>()
                    .ok()
                    .and_then(|id| state.world.servers.index(id))
                    .ok_or_else(|| Answer::bad_request(format!("marker [{text}] not found")))?,
            ),
        };
        let rows: Vec<&Server> = candidates(state, &filter, marker)
            .filter_map(|index| state.world.servers.get(index))
            .filter(|server| !filter.deleted && filter.accepts(state, server))
            .take(limit)
            .collect();
        let last = rows.last().map(|server| server.id.to_string());
        let shown: Value = rows
            .iter()
            .map(|server| {
                if detail {
                    view.detailed(state, server)
                } else {
                    view.summary(server)
                }
            })
            .collect();
        let mut body = Map::new();
        body.insert("servers".into(), shown);
        if let Some(links) = page.next(&url, rows.len(), limit, last) {
            body.insert("servers_links".into(), links);
        }
        Ok(Json(Value::Object(body)))
    })
}

pub(super) async fn summary(context: Context, Query(pairs): Pairs) -> Result<Json<Value>, Answer> {
    list(&context, pairs, false)
}

pub(super) async fn detail(context: Context, Query(pairs): Pairs) -> Result<Json<Value>, Answer> {
    list(&context, pairs, true)
}

#[cfg(test)]
mod tests {
    use super::name_matches;

    #[test]
    fn names_match_with_and_without_anchors() {
        for (pattern, name, expected) in [
            ("^vm-1$", "vm-1", true),
            ("^vm-1$", "vm-10", false),
            ("vm-1", "vm-10", true),
            ("^vm", "a-vm", false),
            ("vm$", "a-vm", true),
        ] {
            assert_eq!(name_matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
