//! The token.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::error::{Class, Failed, SetupError};
use crate::http;
use crate::options::{ApplicationCredential, Credentials, Domain, Named, Options, Scope};

const LINE: &str = "keystone: POST /auth/tokens";

/// A token is renewed so long before it ends.
const EARLY: Duration = Duration::from_secs(120);

/// A token and what it opens.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) value: HeaderValue,
    pub(crate) endpoint: Result<Url, String>,
    /// When it is renewed, by a clock nobody sets.
    pub(crate) renew_at: Instant,
    /// When it ends.
    pub(crate) ends_at: Instant,
    /// Keystone's clock minus ours when it was given, if Keystone said a time.
    pub(crate) skew_seconds: Option<i64>,
}

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
    options: &Options,
    find: impl FnOnce(&Catalog) -> Result<Url, String>,
) -> Result<Token, Failed> {
    let asked = Instant::now();
    let mut url = base.clone();
    url.set_path(&format!("{}/auth/tokens", base.path()));
    let sent = client.post(url).json(&body(&options.credentials)).send().await;
    let response = sent.map_err(|error| http::unanswered(LINE, error))?;
    let status = response.status();
    let headers = response.headers().clone();
    let content = http::body(response)
        .await
        .map_err(|why| Failed::new(Class::Away, format!("{LINE}: {why}")))?;
    if !status.is_success() {
        return Err(refused(status, &content, options));
    }
    let senseless = |why: &str| Failed::new(Class::Away, format!("{LINE}: an answer without sense: {why}"));
    let mut value = headers
        .get("x-subject-token")
        .cloned()
        .ok_or_else(|| senseless("no X-Subject-Token"))?;
    value.set_sensitive(true);
    let reply: Reply = serde_json::from_slice(&content).map_err(|error| senseless(&error.to_string()))?;
    let date = date_of(&headers);
    let life = life(&reply.token, date).ok_or_else(|| senseless("no readable expires_at"))?;
    tracing::debug!(life_seconds = life.as_secs(), "got a token");
    Ok(Token {
        value,
        endpoint: find(&reply.token.catalog),
        renew_at: asked + life.saturating_sub(EARLY).max(life / 2),
        ends_at: asked + life,
        skew_seconds: skew(&headers),
    })
}

/// How long a token lives: by Keystone's clock alone if it says when it began, else as if it began when it was asked for.
fn life(token: &ReplyToken, date: Option<DateTime<Utc>>) -> Option<Duration> {
    let end = parse(&token.expires_at)?;
    let begin = token.issued_at.as_deref().and_then(parse).or(date)?;
    Some((end - begin).to_std().unwrap_or_default())
}

fn parse(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        return Some(zoned.to_utc());
    }
    let naive = NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(naive.and_utc())
}

fn date_of(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = headers.get("date")?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(date).ok()?.to_utc())
}

/// A server's clock minus ours, in seconds, by the `Date` of an answer that came just now.
pub(crate) fn skew(headers: &HeaderMap) -> Option<i64> {
    let ours = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .ok()?;
    Some(date_of(headers)?.timestamp() - i64::try_from(ours.as_secs()).ok()?)
}

fn refused(status: StatusCode, content: &[u8], options: &Options) -> Failed {
    let said = tachi_text::one_line(&tachi_text::message_of(content), &[secret(&options.credentials)]);
    let (class, hint) = match status {
        StatusCode::UNAUTHORIZED => (
            Class::Barred,
            format!(
                "; check user, password, project and domains in {}",
                options.written_in
            ),
        ),
        _ if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            (Class::Barred, String::new())
        }
        _ => (Class::Away, String::new()),
    };
    Failed {
        status: Some(status.as_u16()),
        ..Failed::new(class, format!("{LINE}: {}: {said}{hint}", status.as_u16()))
    }
}

fn secret(credentials: &Credentials) -> &str {
    match credentials {
        Credentials::Password { password, .. } => password.expose_secret(),
        Credentials::ApplicationCredential { secret, .. } => secret.expose_secret(),
    }
}

fn body(credentials: &Credentials) -> Value {
    match credentials {
        Credentials::Password {
            user,
            password,
            scope,
        } => {
            let mut user = named(user);
            user["password"] = json!(password.expose_secret());
            let mut auth = json!({"identity": {"methods": ["password"], "password": {"user": user}}});
            match scope {
                Scope::Project(project) => auth["scope"] = json!({"project": named(project)}),
                Scope::Domain(domain) => auth["scope"] = json!({"domain": self::domain(domain)}),
                Scope::System => auth["scope"] = json!({"system": {"all": true}}),
                Scope::Default => {}
            }
            json!({"auth": auth})
        }
        Credentials::ApplicationCredential { credential, secret } => {
            let mut credential = match credential {
                ApplicationCredential::Id(id) => json!({"id": id}),
                ApplicationCredential::Name { name, user } => json!({"name": name, "user": named(user)}),
            };
            credential["secret"] = json!(secret.expose_secret());
            json!({"auth": {"identity": {
                "methods": ["application_credential"],
                "application_credential": credential,
            }}})
        }
    }
}

/// Keystone refuses a domain beside an id on some releases and ignores it on others.
fn named(thing: &Named) -> Value {
    match thing {
        Named::Id(id) => json!({"id": id}),
        Named::Name { name, domain: None } => json!({"name": name}),
        Named::Name {
            name,
            domain: Some(domain),
        } => json!({"name": name, "domain": self::domain(domain)}),
    }
}

fn domain(domain: &Domain) -> Value {
    match domain {
        Domain::Id(id) => json!({"id": id}),
        Domain::Name(name) => json!({"name": name}),
    }
}

/// `https://host/identity`, with or without `/v3` and slashes, to `https://host/identity/v3`.
pub(crate) fn base_url(text: &str) -> Result<Url, SetupError> {
    let wrong = |why: String| SetupError::AuthUrl {
        url: without_userinfo(text),
        why,
    };
    let mut url = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("not an http or https address".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("credentials do not belong into the address".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("an address has no query and no fragment".to_owned()));
    }
    let mut parts: Vec<String> = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    match parts.last().map(String::as_str) {
        Some("v3") => {}
        // Python's clients discover v3 from here too.
        Some("v2.0") => {
            parts.pop();
            parts.push("v3".to_owned());
        }
        _ => parts.push("v3".to_owned()),
    }
    url.set_path(&parts.join("/"));
    Ok(url)
}

fn without_userinfo(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            let (before, behind) = (text.get(..scheme), text.get(at..));
            format!(
                "{}://***{}",
                before.unwrap_or_default(),
                behind.unwrap_or_default()
            )
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_urls_are_brought_to_one_form() {
        let cases = [
            ("http://k:5000", Some("http://k:5000/v3")),
            ("http://k:5000/", Some("http://k:5000/v3")),
            ("http://k:5000/v3/", Some("http://k:5000/v3")),
            ("https://k/identity//v3//", Some("https://k/identity/v3")),
            ("https://k/identity", Some("https://k/identity/v3")),
            ("http://k:5000/v2.0", Some("http://k:5000/v3")),
            ("k:5000", None),
            ("ftp://k/v3", None),
            ("http://user:pw@k/v3", None),
            ("http://k/v3?x=1", None),
            ("", None),
        ];
        for (given, want) in cases {
            assert_eq!(base_url(given).ok().as_ref().map(Url::as_str), want, "{given:?}");
        }
        let error = base_url("http://user:hunter2@k/v3").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    fn name(name: &str, domain: Option<Domain>) -> Named {
        Named::Name {
            name: name.to_owned(),
            domain,
        }
    }

    #[test]
    fn each_kind_of_credentials_has_its_body() {
        let password = |user, scope| Credentials::Password {
            user,
            password: "pw".into(),
            scope,
        };
        let default = || Some(Domain::Id("default".to_owned()));
        let cases = [
            (
                password(
                    name("masakari", default()),
                    Scope::Project(name("service", Some(Domain::Name("Default".to_owned())))),
                ),
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user":
                        {"name": "masakari", "domain": {"id": "default"}, "password": "pw"}}},
                    "scope": {"project": {"name": "service", "domain": {"name": "Default"}}},
                }}),
            ),
            (
                password(Named::Id("u1".to_owned()), Scope::System),
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user": {"id": "u1", "password": "pw"}}},
                    "scope": {"system": {"all": true}},
                }}),
            ),
            (
                password(name("u", None), Scope::Default),
                json!({"auth": {"identity": {"methods": ["password"],
                    "password": {"user": {"name": "u", "password": "pw"}}}}}),
            ),
            (
                Credentials::ApplicationCredential {
                    credential: ApplicationCredential::Id("a1".to_owned()),
                    secret: "s".into(),
                },
                json!({"auth": {"identity": {
                    "methods": ["application_credential"],
                    "application_credential": {"id": "a1", "secret": "s"},
                }}}),
            ),
        ];
        for (credentials, want) in cases {
            assert_eq!(body(&credentials), want);
            assert!(!format!("{credentials:?}").contains("pw"), "{credentials:?}");
        }
    }

    #[test]
    fn a_tokens_life_is_counted_by_keystones_clock() {
        let date = parse("2024-01-01T00:30:00");
        let cases = [
            (Some("2024-01-01T00:00:00.000000Z"), date, Some(3600)),
            (None, date, Some(1800)),
            (Some("rubbish"), date, Some(1800)),
            (Some("2025-01-01T00:00:00Z"), date, Some(0)),
            (None, None, None),
        ];
        for (issued, date, want) in cases {
            let token = ReplyToken {
                expires_at: "2024-01-01T01:00:00.000000Z".into(),
                issued_at: issued.map(ToOwned::to_owned),
                catalog: Catalog::default(),
            };
            assert_eq!(
                life(&token, date),
                want.map(Duration::from_secs),
                "{issued:?} {date:?}"
            );
        }
    }
}
