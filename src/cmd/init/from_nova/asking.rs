//! The API's router in this process, asked by whoever is at the keyboard.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::Value;
use tachi_api::{Identity, TokenValidator, Unavailable};
use tachi_engine::ports::audit::{AuditAction, AuditPhase, AuditResult};
use tachi_engine::ports::{AuditEntry, AuditSink};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::cmd::Failure;
use crate::cmd::freeze::{after, before};
use crate::settings::Settings;
use crate::wiring::policy::PolicyFiles;
use crate::wiring::{self, Base, Bus, Front, Process, Telling};

/// The longest answer that is read.
const MOST_BYTES: usize = 1 << 20;

/// How long what is still to be told may take.
const LAST: Duration = Duration::from_secs(5);

/// An administrator, whoever asks: nobody else reaches this router, and who can read the configuration can write into the database.
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

    async fn validate_ended(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        self.validate(token).await
    }
}

/// See the module.
pub(super) struct Desk {
    router: axum::Router,
    audit: Arc<dyn AuditSink>,
    process: Process,
    by: String,
}

impl Desk {
    pub(super) async fn open(mut settings: Settings, base: &Base, by: &str) -> Result<Self, Failure> {
        settings.http.metrics = None;
        settings.http.board = false;
        let audit = wiring::audit(&settings, &base.clock, "tachi init from-nova")?;
        let bus = Bus::open(&settings);
        let telling = Telling::open(&settings, &bus);
        let process = Process::default();
        let front = Front {
            auth: tachi_api::Auth::Keystone {
                validator: Arc::new(Local(by.to_owned())),
                www_authenticate_uri: String::new(),
                cache: tachi_api::CacheOptions::default(),
            },
            login: None,
            audit: Arc::clone(&audit),
        };
        let poke = wiring::socket_poke(&settings)?;
        let policy = PolicyFiles::open(&settings.oslo_policy)?.policy();
        let (_, rules) = watch::channel(settings.policy.clone());
        let router = wiring::router(&settings, base, poke, policy, rules, telling.port(), front).await?;
        telling.run(&process);
        bus.publish(&process);
        let desk = Self {
            router,
            audit,
            process,
            by: by.to_owned(),
        };
        let intent = desk.entry(AuditPhase::Intent, "makes segments and hosts of what Nova has");
        before(&desk.audit, intent, "nothing was made").await?;
        Ok(desk)
    }

    fn entry(&self, phase: AuditPhase, text: &str) -> AuditEntry {
        let mut entry = AuditEntry::new(AuditAction::Change, phase, "");
        entry.operator = Some(self.by.clone());
        text.clone_into(&mut entry.text);
        entry
    }

    /// Sends a request; gives what was made, or why not.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = Request::post(path)
            .header("Content-Type", "application/json")
            .header("X-Auth-Token", "local")
            .body(Body::from(body.to_string()))
            .map_err(|error| error.to_string())?;
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let bytes = to_bytes(response.into_body(), MOST_BYTES).await;
        let bytes = bytes.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        let error = answer.as_object().and_then(|object| object.values().next());
        let why = error.and_then(|error| error["message"].as_str());
        Err(why.map_or_else(|| status.to_string(), str::to_owned))
    }

    /// What is still to be written or told goes out first.
    pub(super) async fn close(self, made: usize, failed: bool) {
        let mut outcome = self.entry(AuditPhase::Outcome, &format!("{made} hosts were made"));
        outcome.result = Some(if failed {
            AuditResult::Permanent
        } else {
            AuditResult::Ok
        });
        after(&self.audit, outcome).await;
        self.process.end(LAST).await;
    }
}
