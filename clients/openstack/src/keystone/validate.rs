//! The check of users' tokens, for the API.

use http::{HeaderValue, Method};
use serde::Deserialize;
use tachi_domain::Timestamp;
use tachi_engine::ports::CallError;

use super::plugin::Service;
use crate::fault::{Effect, ErrorScope};
use crate::session::{Call, RequestPath, Session};
use crate::time;

/// Maximum length of a token that is passed to Keystone, in bytes. Fernet tokens have some 200 bytes, JWS tokens some
/// 800.
const MAX_TOKEN_BYTES: usize = 8192;

/// A user, project or domain, by id and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// Keystone's id.
    pub id: String,
    /// The name.
    pub name: String,
}

/// A kind of request that an application credential's token permits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct AccessRule {
    /// The service's type.
    pub service: String,
    /// The method.
    pub method: String,
    /// The path; `*`, `**` and `{name}` stand for parts of it.
    pub path: String,
}

/// The user and permissions of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// The user.
    pub user: Identity,
    /// The user's domain.
    pub user_domain: Identity,
    /// The project to which the token is scoped.
    pub project: Option<Identity>,
    /// The project's domain.
    pub project_domain: Option<Identity>,
    /// The domain to which the token is scoped.
    pub domain: Option<Identity>,
    /// The system to which the token is scoped: `all`.
    pub system_scope: Option<String>,
    /// True if the token is scoped to Keystone's admin project, or if none is configured.
    pub is_admin_project: bool,
    /// The names of the roles.
    pub roles: Vec<String>,
    /// The name of the application credential with which the token was created.
    pub application_credential: Option<String>,
    /// The access rules that limit the token, if any; an empty list permits nothing.
    pub access_rules: Option<Vec<AccessRule>>,
    /// The token's expiry, by Keystone's clock.
    pub expires_at: Timestamp,
}

#[derive(Deserialize)]
struct Reply {
    token: ReplyToken,
}

#[derive(Deserialize)]
struct ReplyToken {
    user: Owner,
    #[serde(default)]
    project: Option<Owner>,
    #[serde(default)]
    domain: Option<Identity>,
    #[serde(default)]
    system: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default = "yes")]
    is_admin_project: bool,
    #[serde(default)]
    roles: Vec<Identity>,
    #[serde(default)]
    application_credential: Option<Credential>,
    expires_at: String,
}

#[derive(Deserialize)]
struct Credential {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    access_rules: Option<Vec<AccessRule>>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(flatten)]
    identity: Identity,
    #[serde(default)]
    domain: Identity,
}

const fn yes() -> bool {
    true
}

impl Session {
    /// Asks Keystone for the owner and permissions of a token; `None` if the token is invalid or has expired.
    ///
    /// The request excludes the catalogue, and the result is not cached here.
    ///
    /// # Errors
    ///
    /// Keystone failed (transient), or refuses this session's own user (fatal).
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so the future may be dropped.
    #[tracing::instrument(name = "keystone::validate_token", skip_all, err(level = "debug"))]
    pub async fn validate_token(&self, token: &str) -> Result<Option<TokenInfo>, CallError> {
        self.validate(token, false).await
    }

    /// Like [`Session::validate_token`], but also accepts a token that has expired recently. Only for requests that
    /// also carry a valid service token.
    ///
    /// # Errors
    ///
    /// The same as for [`Session::validate_token`].
    #[tracing::instrument(name = "keystone::validate_expired_token", skip_all, err(level = "debug"))]
    pub async fn validate_expired_token(&self, token: &str) -> Result<Option<TokenInfo>, CallError> {
        self.validate(token, true).await
    }

    async fn validate(&self, token: &str, allow_expired: bool) -> Result<Option<TokenInfo>, CallError> {
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
            return Ok(None);
        }
        let Ok(mut subject) = HeaderValue::from_str(token) else {
            return Ok(None);
        };
        subject.set_sensitive(true);
        let mut query = vec![("nocatalog", "true".to_owned())];
        if allow_expired {
            query.push(("allow_expired", "1".to_owned()));
        }
        let answer = self
            .call(&Call {
                service: Service::Identity,
                method: Method::GET,
                place: RequestPath::Path(&["auth", "tokens"]),
                query: &query,
                version: None,
                subject: Some(subject),
                body: None,
                effect: Effect::Read,
                // A user who may not check this token may check no token.
                about: ErrorScope::Service,
                started_at: self.now(),
            })
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.fault.status == Some(404) => return Ok(None),
            Err(error) => return Err(error),
        };
        let reply: Reply = answer.json()?;
        let token = reply.token;
        let expires_at =
            time::parse(&token.expires_at).ok_or_else(|| answer.malformed("no readable expires_at"))?;
        let (project, project_domain) = token.project.map(|p| (p.identity, p.domain)).unzip();
        let (application_credential, access_rules) =
            token.application_credential.map_or((None, None), |credential| {
                (credential.name, credential.access_rules)
            });
        Ok(Some(TokenInfo {
            user: token.user.identity,
            user_domain: token.user.domain,
            project,
            project_domain,
            domain: token.domain,
            system_scope: token.system.and_then(|system| system.keys().next().cloned()),
            is_admin_project: token.is_admin_project,
            roles: token.roles.into_iter().map(|role| role.name).collect(),
            application_credential,
            access_rules,
            expires_at,
        }))
    }
}
