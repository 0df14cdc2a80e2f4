//! The API's router in this process, for the operator at the keyboard: changes go through the same checks, events and audit log
//! as a client's requests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use serde_json::Value;
use tachi_api::settings::WebBoard;
use tachi_api::{Identity, PolicyFiles, TokenValidator, Unavailable};
use tachi_cli::out;
use tachi_engine::ports::audit::{AuditPhase, AuditResult};
use tachi_engine::ports::{AuditEntry, AuditSink};
use tachi_operator::Failure;
use tachi_operator::audited::{after, before};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::settings::Settings;
use crate::wiring::{self, AuthSetup, Base, Bus, EventSetup, Process};

/// Size limit of an answer.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Timeout for sending the remaining events at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A validator that accepts the caller as administrator. No other client reaches this router, and a user who can read the
/// configuration can write into the database.
struct Local(String);

#[async_trait]
impl TokenValidator for Local {
    async fn validate(&self, _: &str) -> Result<Option<Identity>, Unavailable> {
        Ok(Some(Identity {
            user_name: Some(self.0.clone()),
            roles: vec!["admin".to_owned()],
            ..Identity::default()
        }))
    }

    async fn validate_expired(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        self.validate(token).await
    }
}

/// An action that is about to be done.
pub(super) struct LocalOperation<'a> {
    /// The operator, and the reason if one was given.
    pub(super) by: &'a str,
    /// The command.
    pub(super) command: &'a str,
    /// The host; empty for several hosts.
    pub(super) host: &'a str,
    pub(super) intent: &'a str,
    /// Error text if the intent cannot be written beforehand.
    pub(super) not_done: &'a str,
}

pub(super) struct LocalController {
    router: axum::Router,
    audit: Arc<dyn AuditSink>,
    process: Process,
    by: String,
    host: String,
}

impl LocalController {
    /// Opens the router, once the audit log has the intent.
    pub(super) async fn open(
        mut settings: Settings,
        base: &Base,
        doing: &LocalOperation<'_>,
    ) -> Result<Self, Failure> {
        settings.http.metrics = None;
        settings.http.board = WebBoard::Off;
        let audit = wiring::audit(&settings, &base.clock, doing.command)?;
        let bus = Bus::open(&settings);
        let event_setup = EventSetup::open(&settings, &bus);
        let process = Process::default();
        let auth_setup = AuthSetup {
            auth: tachi_api::Auth::Keystone {
                validator: Arc::new(Local(doing.by.to_owned())),
                www_authenticate_uri: String::new(),
                cache: tachi_api::CacheOptions::default(),
            },
            login: None,
            audit: Arc::clone(&audit),
        };
        let notify = wiring::socket_notifier(&settings)?;
        let policy = PolicyFiles::open(&settings.oslo_policy)?.policy();
        let (_, rules) = watch::channel(settings.policy.clone());
        let router = wiring::router(
            &settings,
            base,
            notify,
            policy,
            rules,
            event_setup.port(),
            auth_setup,
        )
        .await?;
        event_setup.run(&process);
        bus.publish(&process);
        let controller = Self {
            router,
            audit,
            process,
            by: doing.by.to_owned(),
            host: doing.host.to_owned(),
        };
        let intent = controller.entry(AuditPhase::Intent, doing.intent);
        before(controller.audit.as_ref(), intent, doing.not_done).await?;
        Ok(controller)
    }

    fn entry(&self, phase: AuditPhase, text: &str) -> AuditEntry {
        AuditEntry::change(phase, &self.host, &self.by, text)
    }

    /// Sends a request; returns the answer, or the error as text.
    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Content-Type", "application/json")
            .header("X-Auth-Token", "local")
            .body(Body::from(body.to_string()))
            .map_err(|error| error.to_string())?;
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let bytes = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await;
        let bytes = bytes.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        let error = answer.as_object().and_then(|object| object.values().next());
        let why = error.and_then(|error| error["message"].as_str());
        Err(why.map_or_else(|| status.to_string(), str::to_owned))
    }

    /// Writes the outcome, and sends the remaining events first.
    pub(super) async fn close(self, text: &str, failed: bool) {
        let mut outcome = self.entry(AuditPhase::Outcome, text);
        outcome.result = Some(if failed {
            AuditResult::Permanent
        } else {
            AuditResult::Ok
        });
        after(self.audit.as_ref(), outcome, |text| out::note(text)).await;
        self.process.end(SHUTDOWN_TIMEOUT).await;
    }
}
