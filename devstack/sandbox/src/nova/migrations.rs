//! `os-migrations`.

use axum::Json;
use axum::extract::{Path, Query};
use chrono::{DateTime, NaiveDateTime, Utc};
use http::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::body::server_id;
use super::context::Context;
use super::page::Page;
use crate::model::migration::{Migration, MigrationFilter, MigrationKind, MigrationStatus};
use crate::region_time::RegionTime;

/// Parses a time in any of the formats that clients send; without a zone it is UTC.
pub(super) fn time(context: &Context, text: &str) -> Option<RegionTime> {
    // An unencoded `+` arrives as a space.
    let text = text.replace(' ', "+");
    let wall = DateTime::parse_from_rfc3339(&text)
        .map(|time| time.with_timezone(&Utc))
        .or_else(|_| NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc()))
        .ok()?;
    Some(context.app.region.clock().region_time(wall))
}

fn view(context: &Context, row: &Migration) -> Value {
    let clock = context.app.region.clock();
    let version = context.version;
    let mut shown = json!({
        "id": row.id,
        "status": row.status.as_str(),
        "instance_uuid": row.server_id,
        "source_compute": row.source_compute,
        "source_node": row.source_node,
        "dest_compute": row.dest_compute,
        "dest_node": row.dest_node,
        "dest_host": row.dest_host,
        "old_instance_type_id": row.flavor + 1,
        "new_instance_type_id": row.flavor + 1,
        "created_at": clock.stamp(row.created),
        "updated_at": row.updated.map(|at| clock.stamp(at)),
    });
    if version.at_least(23) {
        shown["migration_type"] = json!(row.kind.as_str());
        let live = row.kind == MigrationKind::LiveMigration
            && matches!(row.status, MigrationStatus::Preparing | MigrationStatus::Running);
        if live {
            let base = &context.app.base;
            let href = format!(
                "{base}/compute/v2.1/servers/{}/migrations/{}",
                row.server_id, row.id
            );
            shown["links"] = json!([{"rel": "self", "href": href}]);
        }
    }
    if version.at_least(59) {
        shown["uuid"] = json!(row.uuid);
    }
    if version.at_least(80) {
        shown["user_id"] = json!(row.user_id);
        shown["project_id"] = json!(row.project_id);
    }
    shown
}

/// Refuses unknown keys from 2.59 on.
fn check_names(context: &Context, page: &Page) -> Result<(), Answer> {
    let version = context.version;
    if !version.at_least(59) {
        return Ok(());
    }
    let mut known = vec![
        "hidden",
        "host",
        "instance_uuid",
        "source_compute",
        "status",
        "migration_type",
        "limit",
        "marker",
        "changes-since",
    ];
    if version.at_least(66) {
        known.push("changes-before");
    }
    if version.at_least(80) {
        known.extend(["user_id", "project_id"]);
    }
    match page.names().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Answer::bad_request(format!(
            "Additional properties are not allowed ('{name}' was unexpected)"
        ))),
    }
}

fn filter(context: &Context, page: &Page) -> Result<Option<MigrationFilter>, Answer> {
    let own = |name: &str| page.get(name).map(str::to_owned);
    let paged = context.version.at_least(59);
    let when = |name: &str, from: u16| match page.get(name).filter(|_| context.version.at_least(from)) {
        None => Ok(None),
        Some(text) => time(context, text).map(Some).ok_or_else(|| {
            Answer::bad_request(format!(
                "Invalid input for query parameters {name}. Value: {text}"
            ))
        }),
    };
    let (changes_since, changes_before) = (when("changes-since", 59)?, when("changes-before", 66)?);
    if changes_since
        .zip(changes_before)
        .is_some_and(|(since, before)| before < since)
    {
        return Err(Answer::bad_request(
            "The value of changes-since must be less than or equal to changes-before.",
        ));
    }
    // An instance that is no UUID has no migrations.
    let instance_uuid = match page.get("instance_uuid").map(str::parse::<Uuid>) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return Ok(None),
    };
    if page
        .get("hidden")
        .is_some_and(|flag| flag == "1" || flag.eq_ignore_ascii_case("true"))
    {
        return Ok(None);
    }
    Ok(Some(MigrationFilter {
        instance_uuid,
        host: own("host"),
        source_compute: own("source_compute"),
        status: own("status"),
        kind: own("migration_type"),
        user_id: own("user_id").filter(|_| paged),
        project_id: own("project_id").filter(|_| paged),
        changes_since,
        changes_before,
    }))
}

/// `GET /os-migrations`.
pub(super) async fn list(
    context: Context,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:os-migrations:index:all_projects")?;
    let page = Page::new(pairs);
    check_names(&context, &page)?;
    let filter = filter(&context, &page)?;
    let paged = context.version.at_least(59);
    let url = format!("{}/compute/v2.1/os-migrations", context.app.base);
    context.app.region.read(|state| {
        let limit = if paged {
            page.limit(state.world.settings.max_limit)?
        } else {
            usize::MAX
        };
        let marker = match page.get("marker").filter(|_| paged) {
            None => None,
            Some(text) => Some(
                text.parse::<Uuid>()
                    .ok()
                    .and_then(|uuid| state.world.migrations.id_of(uuid))
                    .ok_or_else(|| Answer::bad_request(format!("Marker {text} could not be found.")))?,
            ),
        };
        let mut rows = filter
            .map(|filter| state.world.migrations.list(&filter, marker, limit))
            .unwrap_or_default();
        if !paged {
            rows.reverse();
        }
        let last = rows.last().map(|row| row.uuid.to_string());
        let mut body = Map::new();
        body.insert(
            "migrations".into(),
            rows.iter().map(|row| view(&context, row)).collect(),
        );
        if let Some(links) = page.next(&url, rows.len(), limit, last).filter(|_| paged) {
            body.insert("migrations_links".into(), links);
        }
        Ok(Json(Value::Object(body)))
    })
}

/// Memory that a live migration copies.
const MEMORY_KIB: u32 = 1024 * 1024;

/// `DELETE /servers/{id}/migrations/{migration}`: aborts a live migration.
pub(super) async fn abort(
    context: Context,
    Path((id, migration)): Path<(String, u64)>,
) -> Result<StatusCode, Answer> {
    let id = server_id(&id)?;
    let region = &context.app.region;
    region.change(|state| state.abort_live_migration(&context.caller, id, migration))?;
    Ok(StatusCode::ACCEPTED)
}

/// `GET /servers/{id}/migrations`: live migrations in progress.
pub(super) async fn of_server(context: Context, Path(id): Path<String>) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:servers:migrations:index")?;
    let id = server_id(&id)?;
    context.app.region.read(|state| {
        state.find_server(&context.caller, id)?;
        let rows: Value = state
            .world
            .migrations
            .of_server(id)
            .filter(|row| row.kind == MigrationKind::LiveMigration)
            .filter(|row| matches!(row.status, MigrationStatus::Preparing | MigrationStatus::Running))
            .map(|row| {
                let mut shown = view(&context, row);
                shown["server_uuid"] = json!(row.server_id);
                let taken = state.world.now.since(row.created).as_secs_f64();
                let whole = state.world.settings.live_migration_time.as_secs_f64();
                // A migration that takes longer copies the same pages repeatedly.
                let part = (taken / whole.max(0.001)).min(0.97);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "part of a GiB, in KiB"
                )]
                let done = (part * f64::from(MEMORY_KIB)) as u64 * 1024;
                let total = u64::from(MEMORY_KIB) * 1024;
                shown["memory_total_bytes"] = json!(total);
                shown["memory_processed_bytes"] = json!(done);
                shown["memory_remaining_bytes"] = json!(total - done);
                for disk in ["total", "processed", "remaining"] {
                    shown[format!("disk_{disk}_bytes")] = json!(0);
                }
                shown
            })
            .collect();
        Ok(Json(json!({"migrations": rows})))
    })
}
