//! The request for a token.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use openstack::IdOrName;
use reqwest::{Client, Response, Url};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use tachi_domain::Timestamp;
use tachi_domain::fault::FaultClass;
use tachi_engine::ports::{CallError, Clock};

use super::catalog::Catalog;
use super::token::Token;
use crate::fault::{self, About, Details, Effect};
use crate::options::{Credentials, Project};
use crate::{http as bodies, time};

const LINE: &str = "keystone: POST /auth/tokens";

#[derive(Deserialize)]
struct Reply {
    token: ReplyToken,
}

#[derive(Deserialize)]
struct ReplyToken {
    expires_at: String,
    #[serde(default)]
    issued_at: Option<String>,
    #[serde(default)]
    catalog: Catalog,
}

/// Asks for a token.
pub(crate) async fn fetch(
    client: &Client,
    base: &Url,
    credentials: &Credentials,
    clock: &dyn Clock,
    generation: u64,
) -> Result<Token, CallError> {
    let born = clock.boot();
    let mut url = base.clone();
    url.set_path(&format!("{}/auth/tokens", base.path()));
    let request_id = format!("req-{}", uuid::Uuid::new_v4());
    let sent = client
        .post(url)
        .header("x-openstack-request-id", &request_id)
        .json(&body(credentials))
        .send()
        .await;
    let response = sent.map_err(|error| fault::broken(LINE, error, Effect::Read))?;
    let status = response.status();
    if !status.is_success() {
        return Err(refused(response, credentials).await);
    }
    let Some(mut value) = response.headers().get("x-subject-token").cloned() else {
        return Err(fault::senseless(
            LINE,
            Some(status.as_u16()),
            false,
            "no X-Subject-Token",
        ));
    };
    value.set_sensitive(true);
    let date = date_of(response.headers());
    let content = bodies::read_body(response, bodies::BODY_LIMIT)
        .await
        .map_err(|error| fault::senseless(LINE, Some(status.as_u16()), false, &tachi_text::chain(&error)))?;
    let reply: Reply = serde_json::from_slice(&content)
        .map_err(|error| fault::senseless(LINE, Some(status.as_u16()), false, &error.to_string()))?;
    let life = life(&reply.token, date, clock.wall())
        .ok_or_else(|| fault::senseless(LINE, Some(status.as_u16()), false, "no readable expires_at"))?;
    tracing::debug!(life_seconds = life.as_secs(), generation, "got a token");
    Ok(Token {
        value,
        generation,
        catalog: reply.token.catalog,
        born,
        life,
    })
}

/// How long a token lives: by Keystone's clock alone if it says when it began.
fn life(token: &ReplyToken, date: Option<Timestamp>, wall: Timestamp) -> Option<Duration> {
    let end = time::parse(&token.expires_at)?;
    let begin = token
        .issued_at
        .as_deref()
        .and_then(time::parse)
        .or(date)
        .unwrap_or(wall);
    Some(Duration::from_micros(
        u64::try_from(end.micros_since(begin)).unwrap_or(0),
    ))
}

fn date_of(headers: &HeaderMap<HeaderValue>) -> Option<Timestamp> {
    headers
        .get("date")
        .and_then(|date| date.to_str().ok())
        .and_then(time::parse_http_date)
}

async fn refused(response: Response, credentials: &Credentials) -> CallError {
    let status = response.status();
    let request_id = response
        .headers()
        .get("x-openstack-request-id")
        .and_then(|id| id.to_str().ok())
        .map(|id| tachi_text::one_line(id, &[]));
    let body = bodies::read_body(response, bodies::ERROR_BODY_LIMIT)
        .await
        .unwrap_or_default();
    let details = Details {
        foreign: false,
        message: tachi_text::one_line(&tachi_text::message_of(&body), &[secret(credentials)]),
        retry_after: None,
        request_id,
    };
    let mut error = fault::refusal(LINE, status, Effect::Read, About::Service, &details);
    // A request for a token that Keystone finds wrong will not be right the next time.
    if status.is_client_error() && error.fault.class != FaultClass::Transient {
        error.fault.class = FaultClass::Fatal;
    }
    if status == StatusCode::UNAUTHORIZED {
        error
            .fault
            .text
            .push_str("; check user, password, project and domains");
    }
    error
}

fn secret(credentials: &Credentials) -> &str {
    match credentials {
        Credentials::Password { password, .. } => password.expose_secret(),
        Credentials::ApplicationCredential { secret, .. }
        | Credentials::NamedApplicationCredential { secret, .. } => secret.expose_secret(),
    }
}

fn body(credentials: &Credentials) -> Value {
    match credentials {
        Credentials::Password {
            user,
            user_domain,
            password,
            project,
        } => {
            let mut user = reference(user, user_domain.as_ref());
            user["password"] = json!(password.expose_secret());
            let Project { project, domain } = project;
            json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": reference(project, domain.as_ref())},
            }})
        }
        Credentials::ApplicationCredential { id, secret } => {
            application(&json!({"id": id, "secret": secret.expose_secret()}))
        }
        Credentials::NamedApplicationCredential {
            name,
            user,
            user_domain,
            secret,
        } => {
            let user = reference(user, user_domain.as_ref());
            application(&json!({"name": name, "secret": secret.expose_secret(), "user": user}))
        }
    }
}

fn application(credential: &Value) -> Value {
    json!({"auth": {"identity": {
        "methods": ["application_credential"],
        "application_credential": credential,
    }}})
}

/// A user or project. Keystone refuses a domain beside an id on some releases and ignores it on others.
fn reference(thing: &IdOrName, domain: Option<&IdOrName>) -> Value {
    match (thing, domain) {
        (IdOrName::Name(name), Some(IdOrName::Id(domain))) => json!({"name": name, "domain": {"id": domain}}),
        (IdOrName::Name(name), Some(IdOrName::Name(domain))) => {
            json!({"name": name, "domain": {"name": domain}})
        }
        (IdOrName::Name(name), None) => json!({"name": name}),
        (IdOrName::Id(id), _) => json!({"id": id}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_credentials_has_its_body() {
        let name = |text: &str| IdOrName::from_name(text);
        let id = |text: &str| IdOrName::from_id(text);
        let cases = [
            (
                Credentials::Password {
                    user: name("tachi"),
                    user_domain: Some(id("default")),
                    password: "pw".into(),
                    project: Project {
                        project: name("service"),
                        domain: Some(name("Default")),
                    },
                },
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user":
                        {"name": "tachi", "domain": {"id": "default"}, "password": "pw"}}},
                    "scope": {"project": {"name": "service", "domain": {"name": "Default"}}},
                }}),
            ),
            (
                Credentials::Password {
                    user: id("u1"),
                    user_domain: Some(id("default")),
                    password: "pw".into(),
                    project: Project {
                        project: id("p1"),
                        domain: None,
                    },
                },
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user": {"id": "u1", "password": "pw"}}},
                    "scope": {"project": {"id": "p1"}},
                }}),
            ),
            (
                Credentials::ApplicationCredential {
                    id: "a1".into(),
                    secret: "s".into(),
                },
                json!({"auth": {"identity": {
                    "methods": ["application_credential"],
                    "application_credential": {"id": "a1", "secret": "s"},
                }}}),
            ),
            (
                Credentials::NamedApplicationCredential {
                    name: "ha".into(),
                    user: name("tachi"),
                    user_domain: Some(name("Default")),
                    secret: "s".into(),
                },
                json!({"auth": {"identity": {
                    "methods": ["application_credential"],
                    "application_credential": {"name": "ha", "secret": "s",
                        "user": {"name": "tachi", "domain": {"name": "Default"}}},
                }}}),
            ),
        ];
        for (credentials, want) in cases {
            assert_eq!(body(&credentials), want);
        }
    }

    #[test]
    fn a_tokens_life_is_counted_by_keystones_clock() {
        let at = |text: &str| time::parse(text);
        let wall = at("2030-01-01T00:00:00").unwrap();
        let date = at("2024-01-01T00:30:00");
        // (issued, date, seconds of life)
        let cases = [
            (Some("2024-01-01T00:00:00.000000Z"), date, 3600),
            (None, date, 1800),
            (Some("rubbish"), date, 1800),
            (None, None, 0),
        ];
        for (issued, date, want) in cases {
            let token = ReplyToken {
                expires_at: "2024-01-01T01:00:00.000000Z".into(),
                issued_at: issued.map(ToOwned::to_owned),
                catalog: Catalog::default(),
            };
            assert_eq!(
                life(&token, date, wall),
                Some(Duration::from_secs(want)),
                "{issued:?} {date:?}"
            );
        }
    }
}
