//! Server actions.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tachi_domain::nova::VmState;
use tachi_domain::{MigrationId, ServerId};
use tachi_engine::ports::CallError;

use super::service::MAX_REASON_CHARS;
use super::version::{Feature, LOCK_REASON};
use super::{Nova, write};
use crate::fault::Effect;

pub(super) async fn evacuate(nova: &Nova, id: ServerId, target: Option<&str>) -> Result<(), CallError> {
    let started_at = nova.session.now();
    let body = match target {
        Some(host) => json!({"evacuate": {"host": host}}),
        None => json!({"evacuate": {}}),
    };
    act(nova, started_at, Feature::EVACUATE, id, body, Effect::Once).await
}

pub(super) async fn live_migrate(nova: &Nova, id: ServerId, target: Option<&str>) -> Result<(), CallError> {
    let started_at = nova.session.now();
    let body = json!({"os-migrateLive": {"host": target, "block_migration": "auto"}});
    act(nova, started_at, Feature::LIVE_MIGRATE, id, body, Effect::Once).await
}

pub(super) async fn abort_migration(
    nova: &Nova,
    id: ServerId,
    migration: MigrationId,
) -> Result<(), CallError> {
    let (id, migration) = (id.to_string(), migration.to_string());
    let path = ["servers", &id, "migrations", &migration];
    let request = write(
        Method::DELETE,
        &path,
        None,
        Effect::Idempotent,
        nova.session.now(),
    );
    nova.call(Feature::LIVE_MIGRATE, request).await.map(|_| ())
}

pub(super) async fn lock(nova: &Nova, id: ServerId, reason: &str) -> Result<(), CallError> {
    let started_at = nova.session.now();
    let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
    let body = if nova.version(Feature::SERVERS).await? >= LOCK_REASON && !reason.is_empty() {
        json!({"lock": {"locked_reason": reason}})
    } else {
        json!({"lock": null})
    };
    act(nova, started_at, Feature::SERVERS, id, body, Effect::Idempotent).await
}

pub(super) async fn unlock(nova: &Nova, id: ServerId) -> Result<(), CallError> {
    act(
        nova,
        nova.session.now(),
        Feature::ACTIONS,
        id,
        json!({"unlock": null}),
        Effect::Idempotent,
    )
    .await
}

pub(super) async fn reset_state(nova: &Nova, id: ServerId, to: &VmState) -> Result<(), CallError> {
    if !matches!(to, VmState::Error | VmState::Active) {
        return Err(CallError::refused(format!(
            "nova resets a server to error or active only, not to {to}"
        )));
    }
    let body = json!({"os-resetState": {"state": to.as_nova()}});
    act(
        nova,
        nova.session.now(),
        Feature::ACTIONS,
        id,
        body,
        Effect::Idempotent,
    )
    .await
}

/// Sends an action without arguments that must not be repeated, because a repetition is a second action.
pub(super) async fn once(nova: &Nova, id: ServerId, action: &str) -> Result<(), CallError> {
    let body = Value::Object([(action.to_owned(), Value::Null)].into_iter().collect());
    act(nova, nova.session.now(), Feature::ACTIONS, id, body, Effect::Once).await
}

async fn act(
    nova: &Nova,
    started_at: Duration,
    feature: Feature,
    id: ServerId,
    body: Value,
    effect: Effect,
) -> Result<(), CallError> {
    let id = id.to_string();
    let path = ["servers", &id, "action"];
    let request = write(Method::POST, &path, Some(body), effect, started_at);
    nova.call(feature, request).await.map(|_| ())
}
